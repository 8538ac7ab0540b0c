"""Two workers against one: messages and small commands per second, spread, and how soon the other one hears."""

import argparse
import contextlib
import itertools
import json
import os
import re
import selectors
import smtplib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import servers
from held import held
from smtp_delivered import delivered

ACCOUNTS = 8  # an account is worked on by one process at a time
COMMANDS = (b"NOOP", b"STATUS INBOX (MESSAGES UIDNEXT)", b"UID FETCH 1 (FLAGS)", b"UID FETCH 1 (ENVELOPE)")
BATCH = 50


class Client:
    """An IMAP client that keeps a batch of small commands under way, at next to no cost of its own."""

    def __init__(self, port: int, account: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self._read_until(rb"^\* OK")
        self.socket.sendall(b"l LOGIN %b %b\r\n" % (account.encode(), servers.PASSWORD.encode()))
        self._read_until(rb"^l OK")
        self.socket.sendall(b"s SELECT INBOX\r\n")
        self._read_until(rb"^s OK")
        self.batch = b"".join(b"z %b\r\n" % COMMANDS[number % len(COMMANDS)] for number in range(BATCH))
        self.missing = 0
        self.answered = 0

    def _read_until(self, pattern: bytes) -> None:
        text = b""
        while not re.search(pattern, text, re.MULTILINE):
            text += self.socket.recv(65536)

    def send(self) -> None:
        self.missing = BATCH
        self.socket.sendall(self.batch)

    def read(self) -> None:
        octets = self.socket.recv(262144)
        count = octets.count(b"\nz OK") + octets.startswith(b"z OK")
        self.missing -= count
        self.answered += count
        if self.missing <= 0:
            self.send()


def cpu_seconds(folder: Path) -> float:
    """Give the time of all processors that a server has had."""
    return servers.cpu_of_all(int((folder / "run" / "smtp.lock").read_text(encoding="ascii")))


def small_commands(port: int, connections: int, seconds: float) -> tuple[float, int]:
    """Give how many commands were answered in a second, and how many in all."""
    names = itertools.cycle(servers.addresses(ACCOUNTS))
    clients = [Client(port, next(names)) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.send()
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            for key, _ in selector.select(1):
                key.data.read()
        taken = time.perf_counter() - began
    for client in clients:
        client.socket.close()
    answered = sum(client.answered for client in clients)
    return answered / taken, answered


def receive(port: int, mail: Path, arguments: argparse.Namespace) -> float:
    """Give how many messages were delivered in a second; each of several senders writes to an account of its own."""
    before = delivered(mail)
    share = arguments.messages // ACCOUNTS
    command = [servers.program("smtp-source", "postfix"), "-d", "-l", "1024", "-f", "sender@elsewhere.test"]
    command += ["-s", str(max(1, arguments.connections // ACCOUNTS)), "-m", str(share)]
    began = time.perf_counter()
    senders = [
        subprocess.Popen([*command, "-t", address, f"127.0.0.1:{port}"]) for address in servers.addresses(ACCOUNTS)
    ]
    for sender in senders:
        sender.wait()
    while delivered(mail) - before < share * ACCOUNTS:
        time.sleep(0.005)
    return share * ACCOUNTS / (time.perf_counter() - began)


def told(folder: Path, what: str) -> list[int]:
    """Give what ``status`` tells of each worker."""
    command = [sys.executable, "-m", "mailsuite.cli.main", "-c", str(folder / "mailsuite.toml"), "status", "--json"]
    answer = subprocess.run(command, check=True, capture_output=True)
    return [worker[what] for worker in json.loads(answer.stdout)["workers"] if worker["name"] != "queue"]


def spread(folder: Path, port: int) -> list[int]:
    """Open connections one after the other, once those of the load are over, and give how many each worker has."""
    while any(told(folder, "connections")):
        time.sleep(0.1)
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    for client in clients:
        client.recv(1000)
    counts = told(folder, "connections")
    for client in clients:
        client.close()
    return counts


def hear(offset: int, rounds: int) -> list[float]:
    """Give the seconds between 250 and EXISTS of a client that idles; connections alternate between the workers."""
    account = servers.addresses(ACCOUNTS)[0]
    client = Client(offset + 143, account)
    client.socket.sendall(b"i IDLE\r\n")
    client.socket.recv(1000)
    times = []
    for _ in range(rounds):
        with contextlib.closing(smtplib.SMTP("127.0.0.1", offset + 25)) as sender:
            sender.sendmail("far@elsewhere.test", [account], b"Subject: x\r\n\r\nx\r\n")
            began = time.perf_counter()
            while b"EXISTS" not in client.socket.recv(1000):
                pass
            times.append(time.perf_counter() - began)
    client.socket.close()
    return times


@contextlib.contextmanager
def served(folder: Path, workers: int) -> Iterator[tuple[Path, int]]:
    """Run mailsuite with some workers, and a message in every mailbox."""
    os.environ["MAILSUITE_SERVER__WORKERS"] = str(workers)
    with servers.mailsuite(folder, ACCOUNTS) as (_, offset):
        for address in servers.addresses(ACCOUNTS):
            with smtplib.SMTP("127.0.0.1", offset + 25) as sender:
                sender.sendmail("far@elsewhere.test", [address], b"Subject: first\r\n\r\nx\r\n")
        yield folder, offset


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--messages", type=int, default=8000)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hold", type=int, default=0, metavar="PERCENT", help="of a processor that each worker gets")
    arguments = parser.parse_args()
    received: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    answered: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    with (
        tempfile.TemporaryDirectory() as temporary,
        served(Path(temporary, "one"), 1) as one,
        served(Path(temporary, "two"), 2) as two,
        held([*told(one[0], "pid"), *told(two[0], "pid")], arguments.hold),
    ):
        for number in range(arguments.rounds + 1):
            for workers, (folder, offset) in ((1, one), (2, two)):
                before = cpu_seconds(folder)
                rate = receive(offset + 25, folder / "data" / "mail", arguments)
                between = cpu_seconds(folder)
                cost = (between - before) / arguments.messages
                answers, count = small_commands(offset + 143, arguments.connections, arguments.seconds)
                if number:  # the first round warms up
                    received[workers].append((rate, cost))
                    answered[workers].append((answers, (cpu_seconds(folder) - between) / count))
        print("connections of each of two workers:", *spread(two[0], two[1] + 143))
        times = hear(two[1], 100)
    for name, found in (("messages received/s", received), ("small IMAP commands/s", answered)):
        (one_, cost_one), (two_, cost_two) = (
            [statistics.median(column) for column in zip(*found[number], strict=True)] for number in (1, 2)
        )
        print(
            f"{name:<24} one {one_:>8,.0f} ({cost_one * 1e6:.0f} us)   two {two_:>8,.0f} ({cost_two * 1e6:.0f} us)   "
            f"ratio {two_ / one_:.2f}, by the servers' time of two processors {2 * cost_one / cost_two:.2f}"
        )
    middle, worst = statistics.median(times) * 1000, max(times) * 1000
    print(f"250 to EXISTS, by either worker: median {middle:.1f} ms, longest {worst:.1f} ms")


if __name__ == "__main__":
    main()
