"""Other projects' clients against a server in a child process."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

RUN_SECONDS = 60


@pytest.fixture
def program() -> Callable[[str, str], str]:
    """Find a client, or skip with the name of the Debian package that brings it."""

    def find(name: str, package: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed; Debian package {package}")
        return path

    return find


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a client to its end, with an empty home folder."""

    def run_client(
        command: Sequence[str], *, stdin: str = "", expect: int | None = 0
    ) -> "subprocess.CompletedProcess[str]":
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            list(command),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=RUN_SECONDS,
            check=False,
            env={"HOME": str(home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TERM": "xterm"},
        )
        said = f"{command[0]} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        assert expect is None or done.returncode == expect, said
        return done

    return run_client
