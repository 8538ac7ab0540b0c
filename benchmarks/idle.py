"""
Clients that idle: what watching their folders costs deliveries, how soon they hear, what memory a connection takes.

The first rows are two servers in turns that differ in ``storage.watch_folders`` alone, while each account has a client
that idles.
"""

import argparse
import contextlib
import os
import re
import selectors
import smtplib
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import servers
import smtp_load
from smtp_delivered import delivered

OCTETS = 1024


@attrs.frozen
class Server:
    """One that is measured."""

    name: str
    process: int
    offset: int
    mail: Path


def idle(port: int, account: str) -> socket.socket:
    """Begin to idle in an INBOX."""
    client = socket.create_connection(("127.0.0.1", port), 60)
    client.recv(4096)
    for command in (f"LOGIN {account} {servers.PASSWORD}", "SELECT INBOX", "IDLE"):
        client.sendall(f"a {command}\r\n".encode())
        heard = b""
        while not re.search(rb"^(a |\+)", heard, re.MULTILINE) or not heard.endswith(b"\r\n"):
            heard += client.recv(65536)
    return client


class Listeners:
    """All that idle, read by one thread that throws away what it reads."""

    def __init__(self, clients: list[socket.socket]) -> None:
        self._selector = selectors.DefaultSelector()
        self._over = False
        for client in clients:
            self._selector.register(client, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(0.2):
                key.fileobj.recv(1 << 16)  # type: ignore[union-attr]  # they are sockets

    def stop(self) -> None:
        """Read no more."""
        self._over = True
        self._thread.join()
        self._selector.close()


def deliver(server: Server, accounts: list[str], messages: int) -> tuple[float, float]:
    """Give messages a second and microseconds of processor time a message."""
    before, cpu, began = delivered(server.mail), servers.cpu_of_all(server.process), time.perf_counter()
    smtp_load.send(server.offset + 25, accounts, messages=messages, connections=10, octets=OCTETS)
    while delivered(server.mail) - before < messages:
        time.sleep(0.005)
    seconds = time.perf_counter() - began
    return messages / seconds, (servers.cpu_of_all(server.process) - cpu) / messages * 1e6


def hear(server: Server, client: socket.socket, account: str, times: int) -> list[float]:
    """Give the seconds between 250 and EXISTS."""
    found = []
    with smtplib.SMTP("127.0.0.1", server.offset + 25) as sender:
        for _ in range(times):
            sender.sendmail("far@elsewhere.test", [account], b"Subject: x\r\n\r\nx\r\n")
            began = time.perf_counter()
            while b"EXISTS" not in client.recv(4096):
                pass
            found.append(time.perf_counter() - began)
    return found


def hear_others(server: Server, client: socket.socket, account: str, times: int) -> list[float]:
    """Give the seconds between another program's delivery and EXISTS."""
    found = []
    folder = server.mail / "example.test" / account.partition("@")[0]
    for number in range(times):
        time.sleep(0.3)  # each finds the mailbox quiet
        began = time.perf_counter()
        (folder / "new" / f"{time.time_ns()}.{number}.other").write_bytes(b"Subject: x\n\nx\n")
        while b"EXISTS" not in client.recv(4096):
            pass
        found.append(time.perf_counter() - began)
    return found


def memory(process: int) -> int:
    """Give the memory of a process alone, in octets: shared pages count in part."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    return int(re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[0]) * 1024


@contextlib.contextmanager
def started(folder: Path, accounts: int, *, watch: bool) -> Iterator[Server]:
    """Run one."""
    os.environ["MAILSUITE_STORAGE__WATCH_FOLDERS"] = "true" if watch else "false"
    with servers.mailsuite(folder, accounts) as (process, offset):
        yield Server("watched" if watch else "not watched", process.pid, offset, folder / "data" / "mail")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=60)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=2000, help="that idle while memory is measured")
    arguments = parser.parse_args()
    names = servers.addresses(arguments.accounts)
    found: dict[str, list[tuple[float, float]]] = {}
    with (
        tempfile.TemporaryDirectory() as temporary,
        started(Path(temporary, "a"), arguments.accounts, watch=True) as watched,
        started(Path(temporary, "b"), arguments.accounts, watch=False) as plain,
    ):
        clients = {server.name: [idle(server.offset + 143, name) for name in names] for server in (watched, plain)}
        listeners = Listeners([client for each in clients.values() for client in each])
        for number in range(arguments.rounds + 1):
            for server in (watched, plain) if number % 2 else (plain, watched):
                measured = deliver(server, names, arguments.messages)
                if number:  # the first round warms up
                    found.setdefault(server.name, []).append(measured)
        listeners.stop()
        rates = {
            name: [statistics.median(column) for column in zip(*each, strict=True)] for name, each in found.items()
        }
        for name, (rate, cpu) in rates.items():
            print(f"{name:<12} {rate:>8,.0f} messages/s {cpu:>8,.0f} us of processor time a message")
        (rate, cpu), (plain_rate, plain_cpu) = rates["watched"], rates["not watched"]
        print(f"watched / not watched: {rate / plain_rate:.3f} of the messages, {cpu / plain_cpu:.3f} of the time")
        time.sleep(1)
        client = idle(watched.offset + 143, names[0])
        for what, times in (
            ("250 to EXISTS", hear(watched, client, names[0], 200)),
            ("another program's file to EXISTS", hear_others(watched, client, names[0], 30)),
        ):
            times.sort()
            print(
                f"{what}: p50 {times[len(times) // 2] * 1000:.1f} ms, p99 {times[int(len(times) * 0.99)] * 1000:.1f} ms"
            )
        for server in (watched, plain):
            before = memory(server.process)
            more = [idle(server.offset + 143, names[number % len(names)]) for number in range(arguments.connections)]
            time.sleep(2)
            each = (memory(server.process) - before) / len(more) / 1024
            print(f"{len(more)} more that idle, {server.name}: {each:.1f} KiB each")
            for other in more:
                other.close()


if __name__ == "__main__":
    main()
