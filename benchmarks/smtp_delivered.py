"""SMTP in: messages delivered to the Maildir per second, against aiosmtpd's Mailbox, alternating in one run."""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import servers

DEADLINE_SECONDS = 120


def delivered(folder: Path) -> int:
    """Count the messages in every Maildir below a folder."""
    return sum(len(files) for path, _, files in os.walk(folder) if Path(path).name in {"new", "cur"})


def send(port: int, arguments: argparse.Namespace) -> None:
    """Send the messages; smtp-source ends when the last is acknowledged."""
    command = [servers.program("smtp-source", "postfix")]
    if not arguments.reconnect:
        command.append("-d")
    command += ["-s", str(arguments.connections), "-m", str(arguments.messages), "-l", str(arguments.octets)]
    command += ["-f", "sender@elsewhere.test", "-t", servers.ADDRESS, f"127.0.0.1:{port}"]
    subprocess.run(command, check=True)


def measure(name: str, mail: Path, port: int, pid: int, arguments: argparse.Namespace) -> tuple[float, float]:
    """Send once; give messages per second and server CPU in microseconds per message."""
    before = delivered(mail)
    cpu = servers.cpu_seconds(pid)
    began = time.perf_counter()
    send(port, arguments)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (count := delivered(mail) - before) < arguments.messages:
        if time.monotonic() > deadline:
            raise SystemExit(f"{name}: {count} of {arguments.messages} arrived")
    seconds = time.perf_counter() - began
    return arguments.messages / seconds, (servers.cpu_seconds(pid) - cpu) / arguments.messages * 1e6


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--octets", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reconnect", action="store_true", help="a connection for each message")
    arguments = parser.parse_args()
    results: dict[str, list[tuple[float, float]]] = {"mailsuite": [], "aiosmtpd": []}
    with tempfile.TemporaryDirectory() as temporary:
        ours, theirs = Path(temporary, "mailsuite"), Path(temporary, "aiosmtpd")
        with servers.mailsuite(ours) as (process, offset), servers.aiosmtpd(theirs) as (peer, port):
            for _ in range(arguments.rounds):
                results["mailsuite"].append(
                    measure("mailsuite", ours / "data" / "mail", offset + 25, process.pid, arguments)
                )
                results["aiosmtpd"].append(measure("aiosmtpd", theirs, port, peer.pid, arguments))
    print(f"{arguments.messages} messages of {arguments.octets} octets, {arguments.connections} connections")
    print(f"{'server':<12}{'delivered/s':>14}{'CPU us/msg':>14}")
    medians = {}
    for name, rounds in results.items():
        medians[name] = statistics.median(rate for rate, _ in rounds)
        print(f"{name:<12}{medians[name]:>14.0f}{statistics.median(cpu for _, cpu in rounds):>14.0f}")
    print(f"ratio {medians['mailsuite'] / medians['aiosmtpd']:.2f}")


if __name__ == "__main__":
    main()
