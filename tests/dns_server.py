"""
The DNS server for tests in a child process::

    with DNSServer(tmp_path / "zone", ZONE, "--servfail", "broken.test") as server:
        DemoServer(folder, environment=server.environment)

``server.write(zone)`` gives it other zones; see `mailsuite.testing.dns` for what it can be told.
"""

import subprocess
import sys
from pathlib import Path
from typing import Self


class DNSServer:
    def __init__(self, path: Path, zone: str, *options: str) -> None:
        self._path = path
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        path.write_text(zone, encoding="utf-8")

    def write(self, zone: str) -> None:
        """Serve these zones from now on; answers that were given hold for their TTL."""
        beside = self._path.with_suffix(".new")
        beside.write_text(zone, encoding="utf-8")
        beside.replace(self._path)

    @property
    def nameserver(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What tells a mailsuite to ask this server."""
        return {"MAILSUITE_DNS__NAMESERVERS": f'["{self.nameserver}"]'}

    def start(self) -> Self:
        command = [sys.executable, "-m", "mailsuite.testing.dns", str(self._path), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        word, _, number = self._process.stdout.readline().partition(" ")
        if word != "port":
            self.stop()
            raise AssertionError("the DNS server did not start")
        self.port = int(number)
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=30)
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
