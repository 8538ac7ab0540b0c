"""SMTP in: messages delivered to the Maildir per second, side by side with Postfix and aiosmtpd's Mailbox, in turns."""

import argparse
import contextlib
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import postfix
import servers
import smtp_load

DEADLINE_SECONDS = 120
PEERS = ("postfix", "aiosmtpd")


@attrs.frozen
class Server:
    """
    A server that is measured.

    Args:
        mail: below it are the Maildirs.
        cpu: gives the seconds of processor time that it has had.
    """

    name: str
    mail: Path
    port: int
    cpu: Callable[[], float]


@attrs.frozen
class Measured:
    """What one round brought: messages a second, microseconds of processor time a message, seconds to 250."""

    rate: float
    cost: float
    latencies: list[float]


def delivered(folder: Path) -> int:
    """Count the messages in every Maildir below a folder."""
    return sum(len(files) for path, _, files in os.walk(folder) if Path(path).name in {"new", "cur"})


def send(port: int, arguments: argparse.Namespace) -> list[float]:
    """Send the messages; returns when the last is acknowledged."""
    if not arguments.reconnect and (arguments.accounts > 1 or arguments.connections == 1):
        return smtp_load.send(
            port,
            servers.addresses(arguments.accounts),
            messages=arguments.messages,
            connections=arguments.connections,
            octets=arguments.octets,
        )
    command = [servers.program("smtp-source", "postfix")]
    if not arguments.reconnect:
        command.append("-d")
    command += ["-s", str(arguments.connections), "-m", str(arguments.messages), "-l", str(arguments.octets)]
    command += ["-f", "sender@elsewhere.test", "-t", servers.ADDRESS, f"127.0.0.1:{port}"]
    subprocess.run(command, check=True)
    return []


def measure(server: Server, arguments: argparse.Namespace) -> Measured:
    """Send once, and wait until everything is delivered."""
    before = delivered(server.mail)
    cpu = server.cpu()
    began = time.perf_counter()
    latencies = send(server.port, arguments)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (count := delivered(server.mail) - before) < arguments.messages:
        if time.monotonic() > deadline:
            raise SystemExit(f"{server.name}: {count} of {arguments.messages} arrived")
    seconds = time.perf_counter() - began
    return Measured(arguments.messages / seconds, (server.cpu() - cpu) / arguments.messages * 1e6, latencies)


def start(stack: contextlib.ExitStack, folder: Path, arguments: argparse.Namespace) -> list[Server]:
    """Start all servers."""
    os.environ["MAILSUITE_SERVER__WORKERS"] = str(arguments.workers)
    process, offset = stack.enter_context(servers.mailsuite(folder / "mailsuite", arguments.accounts))
    pid = process.pid
    started = [
        Server("mailsuite", folder / "mailsuite" / "data" / "mail", offset + 25, lambda: servers.cpu_of_all(pid))
    ]
    if "postfix" in arguments.peers:
        master, port = stack.enter_context(postfix.postfix(folder / "postfix", arguments.accounts))
        started.append(Server("postfix", folder / "postfix" / "mail", port, lambda: servers.cpu_of_all(master)))
    if "aiosmtpd" in arguments.peers:
        peer, port = stack.enter_context(servers.aiosmtpd(folder / "aiosmtpd"))
        started.append(Server("aiosmtpd", folder / "aiosmtpd", port, lambda: servers.cpu_seconds(peer.pid)))
    return started


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--octets", type=int, default=1024)
    parser.add_argument("--accounts", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="server.workers of mailsuite")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reconnect", action="store_true", help="a connection for each message")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    arguments = parser.parse_args()
    results: dict[str, list[Measured]] = {}
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        started = start(stack, Path(temporary), arguments)
        for server in started:  # a file system makes its first files in new folders slowly
            measure(server, arguments)
        for _ in range(arguments.rounds):
            for server in started:
                results.setdefault(server.name, []).append(measure(server, arguments))
    print(
        f"{arguments.messages} messages of {arguments.octets} octets, {arguments.connections} connections"
        f"{', one for each message' if arguments.reconnect else ''}, {arguments.accounts} accounts, "
        f"{arguments.workers} workers"
    )
    print(f"{'server':<12}{'delivered/s':>12}{'CPU us/msg':>12}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>8}")
    ours = statistics.median(each.rate for each in results["mailsuite"])
    for name, rounds in results.items():
        rate = statistics.median(each.rate for each in rounds)
        cost = statistics.median(each.cost for each in rounds)
        latencies = sorted(latency for each in rounds for latency in each.latencies)
        middle, late = (latencies[int(len(latencies) * share)] * 1000 if latencies else 0.0 for share in (0.5, 0.99))
        print(f"{name:<12}{rate:>12.0f}{cost:>12.0f}{middle:>9.2f}{late:>9.2f}{ours / rate:>8.2f}")


if __name__ == "__main__":
    main()
