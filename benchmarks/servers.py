"""Start the servers that are measured, each in its own process, on loopback."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ADDRESS = "alice@example.test"
PASSWORD = "alice-benchmark"
READY_SECONDS = 30
TICKS = os.sysconf("SC_CLK_TCK")


def free_offset(ports: tuple[int, ...] = (25, 110, 143, 465, 587, 993, 995)) -> int:
    """Find a port offset at which every service's port is free."""
    for offset in range(12000, 60000, 1000):
        with contextlib.ExitStack() as stack:
            try:
                for port in ports:
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", offset + port))
            except OSError:
                continue
            return offset
    raise SystemExit("no free ports")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and the children it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICKS


def cpu_of_all(parent: int) -> float:
    """The same with the children that run; those of a server that keeps them."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    seconds = cpu_seconds(parent)
    for child in children:
        with contextlib.suppress(OSError):
            seconds += cpu_seconds(int(child))
    return seconds


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise SystemExit(f"no server came up on port {port}")


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a server for the length of a block."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdout=said, stderr=said)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


MAILSUITE = (sys.executable, "-m", "mailsuite.cli.main")


@contextlib.contextmanager
def mailsuite(
    folder: Path, accounts: int = 1, prepare: Callable[[Path], None] = lambda _: None
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run mailsuite on `folder`, without rate limits; gives its process and its port offset."""
    command = [*MAILSUITE]
    offset = free_offset()
    subprocess.run(
        [*command, "init", str(folder), "--hostname", "mx.example.test", "--domain", "example.test"]
        + ["--port-offset", str(offset), "--listen", "127.0.0.1", "--self-signed"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    configuration = folder / "mailsuite.toml"
    users = folder / "users.csv"
    given = addresses(accounts) if isinstance(accounts, int) else accounts
    users.write_text("email,password\n" + "".join(f"{address},{PASSWORD}\n" for address in given), encoding="ascii")
    subprocess.run(
        [*command, "-c", str(configuration), "user", "import", str(users)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    prepare(folder)
    environment = {"MAILSUITE_LIMITS__RATES": "false", "MAILSUITE_AUTH__ALLOW_CLEARTEXT": "true"}
    with running([*command, "-c", str(configuration), "serve"], environment) as process:
        wait_for_port(offset + 25, process)
        wait_for_port(offset + 143, process)
        yield process, offset


def addresses(accounts: int) -> list[str]:
    """Name the accounts."""
    return [ADDRESS] if accounts == 1 else [f"user{number}@example.test" for number in range(accounts)]


AIOSMTPD = """
import sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
controller = Controller(Mailbox(sys.argv[1]), hostname="127.0.0.1", port=int(sys.argv[2]))
controller.start()
while True:
    time.sleep(3600)
"""


@contextlib.contextmanager
def aiosmtpd(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run aiosmtpd with its Mailbox, which syncs each file; gives its process and its port."""
    port = free_offset() + 25
    with running([sys.executable, "-c", AIOSMTPD, str(folder), str(port)]) as process:
        wait_for_port(port, process)
        yield process, port


def program(name: str, package: str) -> str:
    """Find a load generator."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise SystemExit(f"{name} is needed: install the Debian package {package}")
    return path
