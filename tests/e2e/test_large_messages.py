"""Many large messages at once: the server neither stands still nor grows."""

import concurrent.futures
import json
import re
import socket
import threading

import pytest
from demo_server import DemoServer

CLIENTS = 10
MESSAGE_OCTETS = 20_000_000
RSS_MAX_OCTETS = 200_000_000
STALL_SECONDS = 0.05
ROUNDS = 3
"""Turns in which the machine ran something else count as well, so one quiet round of these is enough."""
TIMEOUT_SECONDS = 60
LINE = b"0123456789" * 7 + b"abcdef\r\n"
PIECE = LINE * 6400


class Client:
    """One peer; all of them send their content at the same moment."""

    def __init__(self, port, together):
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self.stream = self.socket.makefile("rb")
        self.together = together

    def reply(self):
        while (line := self.stream.readline())[3:4] == b"-":
            pass
        return int(line[:3])

    def begin(self, recipient):
        assert self.reply() == 220
        for command in ("EHLO far.test", "MAIL FROM:<far@elsewhere.test>", f"RCPT TO:<{recipient}>"):
            self.socket.sendall(command.encode() + b"\r\n")
            assert self.reply() == 250

    def send_pieces(self, before):
        left = MESSAGE_OCTETS
        while left:
            piece = PIECE[: min(left, len(PIECE))]
            self.socket.sendall(before(len(piece)) + piece)
            left -= len(piece)

    def by_data(self):
        self.socket.sendall(b"DATA\r\n")
        assert self.reply() == 354
        self.together.wait(TIMEOUT_SECONDS)
        self.socket.sendall(b"Subject: large\r\n\r\n")
        self.send_pieces(lambda _octets: b"")
        self.socket.sendall(b"\r\n.\r\n")
        assert self.reply() == 250

    def by_bdat(self):
        self.together.wait(TIMEOUT_SECONDS)
        self.socket.sendall(b"BDAT 18\r\nSubject: large\r\n\r\n")
        self.send_pieces(b"BDAT %d\r\n".__mod__)
        self.socket.sendall(b"BDAT 0 LAST\r\n")
        while (line := self.stream.readline()).endswith(b" octets taken\r\n"):
            assert line.startswith(b"250 ")
        assert line.startswith(b"250 2.0.0 queued as ")

    def close(self):
        self.stream.close()
        self.socket.close()


def send_all(server, recipient, way):
    together = threading.Barrier(CLIENTS)
    clients = [Client(server.port("smtp"), together) for _ in range(CLIENTS)]

    def send(client):
        client.begin(recipient)
        way(client)
        client.close()

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(send, clients))


def stalls(server):
    """Say how many turns were too long so far, and where the last ones were."""
    told = json.loads(server.command("stalls", "--json").stdout)
    return told["count"], told["recent"]


@pytest.mark.slow
@pytest.mark.parametrize("way", [Client.by_data, Client.by_bdat])
def test_ten_clients_with_twenty_megabytes_each_hold_nobody_up(tmp_path, way):
    """200 MB at once: no turn of the reactor over 50 ms, and less than 200 MB of memory."""
    environment = {"MAILSUITE_SERVER__STALL_SECONDS": str(STALL_SECONDS)}
    server = DemoServer(tmp_path / "demo", "--no-sample-mail", environment=environment).start()
    try:
        held_up = []
        for _ in range(ROUNDS):
            login = server.add_account()
            before, _ = stalls(server)
            send_all(server, login.email, way)
            server.eventually(lambda login=login: server.count(login), lambda now: now == CLIENTS)
            after, recent = stalls(server)
            if after == before:
                break
            held_up.append(recent[before - after :])
        else:
            pytest.fail(f"held up in each round: {held_up}")
        with open(f"/proc/{server.process.pid}/status") as status:
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) * 1024
        assert peak < RSS_MAX_OCTETS
    finally:
        assert server.stop() == 0
