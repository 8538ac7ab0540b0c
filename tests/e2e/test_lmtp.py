"""LMTP by a port and by a unix socket, with Python's client: from a mail system in front into our mailboxes."""

import contextlib
import smtplib
import stat

import pytest
from demo_server import CONDITION_SECONDS, DemoServer, Login

ALICE = Login("alice@example.test", "alice-demo")
BOB = Login("bob@example.test", "bob-demo")
CAROL = Login("carol@example.test", "carol-demo")
STRANGER = "far@elsewhere.test"


class LMTPServer(DemoServer):
    """The demo, where LMTP listens as well."""

    def __init__(self, folder, workers):
        super().__init__(folder, "--no-sample-mail", environment={"MAILSUITE_SERVER__WORKERS": str(workers)})
        self.lmtp_port = self.offset + 24
        endpoints = f'["tcp:{self.lmtp_port}:interface=127.0.0.1", "unix:run/lmtp.sock:mode=600"]'
        self.environment["MAILSUITE_LISTEN__LMTP"] = endpoints

    @property
    def lmtp_socket(self):
        return self.folder / "run" / "lmtp.sock"


@pytest.fixture(scope="module", params=[0, 2], ids=["one process", "two workers"])
def server(request, tmp_path_factory):
    server = LMTPServer(tmp_path_factory.mktemp("lmtp"), request.param).start()
    yield server
    assert server.stop() == 0, "".join(server.output[-50:])


@contextlib.contextmanager
def by_port(server):
    with smtplib.LMTP("127.0.0.1", server.lmtp_port, timeout=CONDITION_SECONDS) as client:
        yield client


@contextlib.contextmanager
def by_socket(server):
    with smtplib.LMTP(str(server.lmtp_socket)) as client:
        yield client


@pytest.mark.parametrize("connect", [by_port, by_socket])
def test_each_recipient_is_answered_and_has_the_message(server, connect):
    before = [server.count(login) for login in (ALICE, BOB)]
    with connect(server) as client:
        assert client.ehlo()[0] == 250  # Python's LMTP client says LHLO here
        assert client.has_extn("chunking")
        assert client.mail(STRANGER)[0] == 250
        for recipient, code in ((ALICE.email, 250), ("nobody@example.test", 550), (STRANGER, 550), (BOB.email, 250)):
            assert client.rcpt(recipient)[0] == code
        assert client.data(b"Subject: by LMTP\r\n\r\nhello\r\n")[0] == 250
        assert client.getreply()[0] == 250
        assert client.noop()[0] == 250
    for login, count in zip((ALICE, BOB), before, strict=True):
        server.eventually(lambda login=login: server.count(login), lambda now, count=count: now == count + 1)
    newest = max((server.maildir(ALICE) / "new").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert b"with LMTP\r\n" in newest.read_bytes()


def test_chunks_are_answered_for_each_recipient_at_their_end(server):
    before = server.count(CAROL)
    with by_socket(server) as client:
        client.ehlo()
        client.mail(STRANGER)
        client.rcpt(CAROL.email)
        client.rcpt(CAROL.email)
        client.send(b"BDAT 12\r\nSubject: x\r\nBDAT 6 LAST\r\n\r\nhey\n"[:-1] + b"\r")
        assert client.getreply()[0] == 250
        assert [client.getreply()[0] for _ in range(2)] == [550, 550]  # a bare CR
        client.mail(STRANGER)
        client.rcpt(CAROL.email)
        client.send(b"BDAT 12 LAST\r\nSubject: x\r\n")
        assert client.getreply()[0] == 250
    server.eventually(lambda: server.count(CAROL), lambda now: now == before + 1)


def test_who_says_ehlo_is_told_what_this_is(server):
    with by_port(server) as client:
        assert client.docmd("EHLO", "far.test") == (500, b"this is LMTP, say LHLO")


def test_the_socket_is_for_its_owner(server):
    assert stat.S_IMODE(server.lmtp_socket.stat().st_mode) == 0o600
