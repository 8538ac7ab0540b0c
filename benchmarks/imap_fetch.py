"""IMAP: FETCH 1:* of what the index holds, messages per second over loopback."""

import argparse
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import servers

FETCHES = {
    "metadata": b"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)",
    "flags": b"UID FETCH 1:* (FLAGS)",
    "header fields": b"FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID IN-REPLY-TO)])",
}
BUFFER_OCTETS = 1 << 20
TAIL_OCTETS = 2000
"""A tagged reply may name all capabilities."""
REPLY_SECONDS = 120


class Client:
    """A socket that reads to a tagged reply and looks at nothing else."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), REPLY_SECONDS)
        self.socket.recv(4096)
        self.buffer = bytearray(BUFFER_OCTETS)

    def command(self, text: bytes) -> int:
        """Do a command; give the octets of its answer."""
        self.socket.sendall(b"a " + text + b"\r\n")
        total = 0
        tail = b""
        while True:
            count = self.socket.recv_into(self.buffer)
            if not count:
                raise SystemExit("the server closed the connection")
            total += count
            tail = (tail + bytes(self.buffer[max(0, count - TAIL_OCTETS) : count]))[-TAIL_OCTETS:]
            if tail.endswith(b"\r\n"):
                last = tail[:-2].rpartition(b"\n")[2]
                if last.startswith(b"a "):
                    if not last.startswith(b"a OK"):
                        raise SystemExit(last.decode())
                    return total


def fill(offset: int, messages: int) -> None:
    """Deliver the messages by SMTP and wait for the last."""
    command = [servers.program("smtp-source", "postfix"), "-d", "-s", "10", "-m", str(messages), "-l", "1024"]
    command += ["-f", "sender@elsewhere.test", "-t", servers.ADDRESS, f"127.0.0.1:{offset + 25}"]
    subprocess.run(command, check=True)
    client = login(offset)
    while True:
        client.socket.sendall(b"s STATUS INBOX (MESSAGES)\r\n")
        answer = client.socket.recv(4096)
        if b"MESSAGES %d)" % messages in answer:
            return
        time.sleep(0.1)


def login(offset: int) -> Client:
    """Log in."""
    client = Client(offset + 143)
    client.command(f"LOGIN {servers.ADDRESS} {servers.PASSWORD}".encode())
    return client


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, servers.mailsuite(Path(folder, "server")) as (process, offset):
        fill(offset, arguments.messages)
        client = login(offset)
        client.command(b"SELECT INBOX")
        print(f"{arguments.messages} messages")
        print(f"{'fetch':<16}{'messages/s':>14}{'MB/s':>10}{'CPU us/msg':>14}")
        for name, command in FETCHES.items():
            client.command(command)
            rates, speeds, cpus = [], [], []
            for _ in range(arguments.rounds):
                cpu = servers.cpu_seconds(process.pid)
                began = time.perf_counter()
                octets = client.command(command)
                seconds = time.perf_counter() - began
                rates.append(arguments.messages / seconds)
                speeds.append(octets / seconds / 1e6)
                cpus.append((servers.cpu_seconds(process.pid) - cpu) / arguments.messages * 1e6)
            print(
                f"{name:<16}{statistics.median(rates):>14.0f}{statistics.median(speeds):>10.0f}"
                f"{statistics.median(cpus):>14.1f}"
            )


if __name__ == "__main__":
    main()
