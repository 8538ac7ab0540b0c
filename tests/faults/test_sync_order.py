"""What the kernel sees: octets and envelope are synced between the end of the content and the 250."""

import re
import shutil
import smtplib
import subprocess
from pathlib import Path

import pytest
from demo_server import CONDITION_SECONDS, DemoServer

CALLS = "fdatasync,fsync,sendto,write"
BEGUN = re.compile(r"^(?P<thread>\d+) +(?P<call>\w+)\(\d+<(?P<path>[^>]*)>(?P<rest>.*)$")
RESUMED = re.compile(r"^(?P<thread>\d+) +<\.\.\. (?P<call>\w+) resumed>.*= (?P<result>-?\d+)")


def trace(server: DemoServer, output: Path, size_octets: int) -> list[str]:
    """Send one message while strace looks on; give what it saw, in order."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed; Debian package strace")
    assert server.process is not None
    watcher = subprocess.Popen(
        [strace, "-f", "-y", "-s", "40", "-e", f"trace={CALLS}", "-o", str(output), "-p", str(server.process.pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watcher.stderr is not None
        said = watcher.stderr.readline()
        assert "attached" in said, said
        with smtplib.SMTP("localhost", server.port("smtp"), timeout=CONDITION_SECONDS) as client:
            content = "Subject: synced\r\n\r\n" + "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * (size_octets // 72)
            client.sendmail("far@elsewhere.test", ["alice@example.test"], content)
    finally:
        watcher.terminate()
        watcher.communicate(timeout=CONDITION_SECONDS)
    return output.read_text(encoding="utf-8", errors="replace").splitlines()


def completed(lines: list[str]) -> list[tuple[str, str, str]]:
    """Give (call, path, line) in the order in which the calls ended well."""
    pending: dict[str, tuple[str, str, str]] = {}
    calls = []
    for line in lines:
        if (begun := BEGUN.match(line)) is not None:
            call = (begun["call"], begun["path"], line)
            if begun["rest"].endswith("<unfinished ...>"):
                pending[begun["thread"]] = call
            elif re.search(r"= \d+$", line):
                calls.append(call)
        elif (resumed := RESUMED.match(line)) is not None and int(resumed["result"]) >= 0:
            calls.append(pending.pop(resumed["thread"]))
    return calls


@pytest.mark.parametrize("size_octets", [500, 300_000], ids=["in the row", "in a file"])
def test_the_kernel_sees_the_sync_before_the_250(tmp_path: Path, size_octets: int) -> None:
    server = DemoServer(tmp_path / "server", "--no-sample-mail").start()
    try:
        calls = completed(trace(server, tmp_path / "trace", size_octets))
    finally:
        assert server.stop() == 0
    replies = [
        n for n, (call, path, line) in enumerate(calls) if call in {"sendto", "write"} and path.startswith("socket:")
    ]
    invited = next(n for n in replies if '"354 ' in calls[n][2])
    accepted = next(n for n in replies if n > invited and '"250 ' in calls[n][2])
    synced = [path for call, path, _ in calls[invited:accepted] if call in {"fdatasync", "fsync"}]
    assert any(path.endswith("spool.db-wal") for path in synced), "\n".join(line for _, _, line in calls)
    if size_octets > 64 * 1024:
        bodies = [n for n, path in enumerate(synced) if "/spool/body/" in path]
        folders = [n for n, path in enumerate(synced) if path.endswith("/spool/body")]
        rows = [n for n, path in enumerate(synced) if path.endswith("spool.db-wal")]
        assert bodies
        assert bodies[0] < rows[0]
        assert folders
        assert folders[0] < rows[0]
