"""A server that runs out of file descriptors: who is beyond is turned away, mail goes on, nothing spins."""

import contextlib
import imaplib
import os
import resource
import smtplib
import socket
import time
from pathlib import Path

import pytest
from demo_server import CONDITION_SECONDS, Login, MadeServer, eventually

ANN = Login("ann@example.test", "correct horse 1")
LIMIT = 200
LETTER = "From: far@elsewhere.test\r\nSubject: {}\r\n\r\nhello\r\n"


@pytest.fixture
def server(tmp_path):
    made = MadeServer(tmp_path / "srv", "[limits]\nrates = false\n").start()
    made.command("user", "add", ANN.email, "--password", ANN.password)
    yield made
    assert made.stop() == 0, "".join(made.output[-50:])


@pytest.fixture
def connections():
    with contextlib.ExitStack() as stack:
        yield stack


def cpu_seconds(server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def connect(server) -> socket.socket | None:
    """Connect by SMTP; None when turned away, which must happen at once."""
    client = socket.create_connection(("127.0.0.1", server.port("smtp")), CONDITION_SECONDS)
    client.settimeout(CONDITION_SECONDS)
    try:
        if client.recv(100).startswith(b"220 "):
            return client
    except ConnectionResetError:
        pass
    client.close()
    return None


def fill(server, connections, count) -> int:
    """Open connections; say how many were let in."""
    made = [connect(server) for _ in range(count)]
    for client in made:
        if client is not None:
            connections.enter_context(client)
    return sum(client is not None for client in made)


def deliver(client: smtplib.SMTP, subject: str) -> int:
    """Give a message; say the code of the answer."""
    code, _ = client.mail("far@elsewhere.test")
    if code == 250:
        code, _ = client.rcpt(ANN.email)
    if code == 250:
        code, _ = client.data(LETTER.format(subject).encode())
    client.rset()
    return code


@pytest.mark.slow
def test_connections_beyond_are_closed_at_once_and_the_mail_has_what_it_needs(tmp_path, connections):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    made = MadeServer(tmp_path / "srv", "[limits]\nrates = false\n")
    made.interpreter = ["prlimit", f"--nofile={LIMIT}:{LIMIT}", *made.interpreter]
    made.start()
    try:
        made.command("user", "add", ANN.email, "--password", ANN.password)
        reader = imaplib.IMAP4_SSL("localhost", made.port("imaps"), ssl_context=made.context, timeout=CONDITION_SECONDS)
        connections.callback(reader.logout)
        reader.login(ANN.email, ANN.password)
        sender = smtplib.SMTP("localhost", made.port("smtp"), timeout=CONDITION_SECONDS)
        connections.callback(sender.close)
        sender.ehlo("x.test")
        let_in = fill(made, connections, LIMIT)
        assert 20 < let_in < LIMIT // 2
        assert descriptors(made) < LIMIT - 50
        assert [deliver(sender, str(number)) for number in range(5)] == [250] * 5
        eventually(lambda: int(reader.select("INBOX", readonly=True)[1][0]), lambda count: count == 5)
        refused = [line for line in made.output if "service.connection.refused" in line]
        assert refused
        assert f"limit of {LIMIT} open files" in refused[0]
        assert len(refused) < 5
        connections.pop_all().close()
        eventually(lambda: connect(made), lambda client: client is not None and client.close() is None)
    finally:
        assert made.stop() == 0, "".join(made.output[-50:])
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def first_free(server) -> int:
    """Find the number that the next descriptor gets."""
    taken = {int(name) for name in os.listdir(f"/proc/{server.process.pid}/fd")}
    return next(number for number in range(len(taken) + 1) if number not in taken)


@pytest.fixture
def sessions(server, connections):
    """A reader who has logged in, and a sender."""
    reader = imaplib.IMAP4_SSL("localhost", server.port("imaps"), ssl_context=server.context, timeout=CONDITION_SECONDS)
    connections.callback(reader.logout)
    reader.login(ANN.email, ANN.password)
    sender = smtplib.SMTP("localhost", server.port("smtp"), timeout=CONDITION_SECONDS)
    connections.callback(sender.close)
    sender.ehlo("x.test")
    assert deliver(sender, "first") == 250
    return reader, sender


def squeeze(server, limit: int) -> tuple[int, int]:
    """Lower the limit of the running server, as if something in it had taken everything; give the old one."""
    full = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, full[1]))
    return full


def check_it_goes_on(server, reader, sender) -> int:
    """Mail is taken or refused for now, sessions go on, the processor has rest; say how many messages were taken."""
    began, used = time.monotonic(), cpu_seconds(server)
    codes = [deliver(sender, f"squeezed {number}") for number in range(3)]
    assert all(code == 250 or 400 <= code < 500 for code in codes), codes
    assert reader.noop()[0] == "OK"
    eventually(time.monotonic, lambda now: now > began + 3)
    assert cpu_seconds(server) - used < 1.0
    assert server.process.poll() is None
    return codes.count(250)


@pytest.mark.slow
def test_without_a_free_descriptor_who_comes_is_closed_at_once_and_it_recovers(server, sessions, connections):
    assert fill(server, connections, 20) == 20
    full = squeeze(server, first_free(server))
    assert fill(server, connections, 30) < 5  # what a delivery of ours gives back may be taken
    assert fill(server, connections, 10) == 0
    accepted = check_it_goes_on(server, *sessions)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, full)
    assert fill(server, connections, 10) == 10
    assert deliver(sessions[1], "last") == 250
    server.command("queue", "flush")  # what could not be delivered meanwhile
    eventually(lambda: server.count(ANN), lambda count: count == 2 + accepted)


@pytest.mark.slow
def test_without_even_twisteds_last_descriptor_who_comes_waits_and_is_served_later(server, sessions, connections):
    full = squeeze(server, 10)
    waiting = [
        connections.enter_context(socket.create_connection(("127.0.0.1", server.port("smtp")), CONDITION_SECONDS))
        for _ in range(5)
    ]
    accepted = check_it_goes_on(server, *sessions)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, full)
    assert [client.recv(4) for client in waiting] == [b"220 "] * 5
    assert fill(server, connections, 10) == 10
    assert deliver(sessions[1], "last") == 250
    server.command("queue", "flush")  # what could not be delivered meanwhile
    eventually(lambda: server.count(ANN), lambda count: count == 2 + accepted)
