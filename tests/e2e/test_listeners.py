"""Where the server listens: sockets of systemd, unix sockets, IPv6; and what it says of that at the start."""

import imaplib
import shutil
import smtplib
import socket
import stat
import threading
from pathlib import Path

import pytest
from demo_server import CONDITION_SECONDS, Login, MadeServer, eventually
from free_ports import free_port

ANN = Login("ann@example.test", "correct horse 1")
LETTER = "From: far@elsewhere.test\r\nSubject: hello\r\n\r\nhello\r\n"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="the machine has no IPv6")


class UnixSMTP(smtplib.SMTP):
    """SMTP over a unix socket; `first` is sent before everything."""

    def __init__(self, path: Path, first: bytes = b"") -> None:
        self.path, self.first = str(path), first
        super().__init__("localhost", 1, timeout=CONDITION_SECONDS)

    def _get_socket(self, host, port, timeout):
        return unix_connection(self.path, self.first)


class UnixIMAP(imaplib.IMAP4):
    """IMAP over a unix socket."""

    def __init__(self, path: Path, first: bytes = b"") -> None:
        self.path, self.first = str(path), first
        super().__init__("localhost", timeout=CONDITION_SECONDS)

    def _create_socket(self, timeout):
        return unix_connection(self.path, self.first)


def unix_connection(path: str, first: bytes) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(CONDITION_SECONDS)
    client.connect(path)
    client.sendall(first)
    return client


def make(folder: Path, listen: str, environment: dict[str, str] | None = None) -> MadeServer:
    """Make a server with an account, with ``[listen]`` as told; the rest is off."""
    off = "".join(f"{name} = []\n" for name in ("submission", "submissions", "pop3s") if f"{name} =" not in listen)
    made = MadeServer(folder, f"[listen]\n{listen}{off}", environment=environment)
    made.command("user", "add", ANN.email, "--password", ANN.password)
    return made


def received(client: imaplib.IMAP4, count: int) -> str:
    """Wait for a number of messages, and read the last one's topmost Received field."""

    def look() -> int:
        return int(client.select("INBOX", readonly=True)[1][0])

    eventually(look, lambda found: found == count)
    return client.fetch(str(count), "(BODY.PEEK[HEADER.FIELDS (RECEIVED)])")[1][0][1].decode()


def said(server: MadeServer, event: str) -> list[str]:
    return [line.rstrip("\n") for line in server.output if f" {event} " in line]


# unix sockets


@pytest.fixture(scope="module")
def unix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unix")
    listen = "".join(f'{name} = ["unix:{folder}/{name}:mode=660"]\n' for name in ("smtp", "imap", "pop3", "submission"))
    made = make(folder / "srv", listen + "imaps = []\n")
    made.environment |= {
        "MAILSUITE_SERVER__PROXY_PEERS": '["unix"]',
        "MAILSUITE_SERVER__PROXY_SERVICES": '["submission"]',
        "MAILSUITE_LOG__LEVEL": "debug",
    }
    yield made.start(), folder
    assert made.stop() == 0, "".join(made.output[-50:])
    assert not (folder / "imap").exists()


def test_mail_goes_over_unix_sockets_and_their_peer_is_called_unix(unix):
    server, folder = unix
    assert stat.S_IMODE((folder / "smtp").stat().st_mode) == 0o660
    client = UnixIMAP(folder / "imap")
    client.starttls(server.context)
    client.login(ANN.email, ANN.password)
    with UnixSMTP(folder / "smtp") as sender:
        sender.starttls(context=server.context)
        sender.sendmail("far@elsewhere.test", [ANN.email], LETTER)
    field = received(client, 1)
    client.logout()
    assert " (unix)\r\n" in field
    assert "TLSv1" in field
    refused = UnixIMAP(folder / "imap")
    refused.starttls(server.context)
    with pytest.raises(imaplib.IMAP4.error):
        refused.login(ANN.email, "wrong")
    refused.logout()
    (line,) = eventually(lambda: said(server, "imap.login.refused"), lambda lines: len(lines) == 1)
    assert "peer=unix]" in line
    assert eventually(lambda: said(server, "smtp.tls.started"), bool)[0].count("peer=unix")


def test_pop3_over_a_unix_socket(unix):
    server, folder = unix
    with unix_connection(str(folder / "pop3"), b"CAPA\r\nQUIT\r\n") as client:
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"+OK")
    assert b"STLS" in answer
    (line,) = eventually(lambda: said(server, "pop3.session.closed"), lambda lines: len(lines) == 1)
    assert "peer=unix" in line


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (b"PROXY TCP4 198.51.100.7 203.0.113.25 4711 587\r\n", "198.51.100.7"),
        (b"PROXY UNKNOWN\r\n", "unix"),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21\x31\x00\xd8" + bytes(216), "unix"),
        (b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "unix"),
    ],
)
def test_a_proxy_that_comes_by_a_unix_socket_names_its_client(unix, header, peer):
    server, folder = unix
    before = len(server.output)
    with UnixSMTP(folder / "submission", header) as client:
        client.starttls(context=server.context)
        client.ehlo("x.test")
        client.user, client.password = ANN.email, "wrong"
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.auth("PLAIN", client.auth_plain)
    (line,) = eventually(
        lambda: [line for line in server.output[before:] if "smtp.login.refused" in line], lambda lines: len(lines) == 1
    )
    assert f"peer={peer}]" in line


# sockets of systemd


class Activated(MadeServer):
    """Started by the first connection to one of the sockets that systemd hands over."""

    sockets: list[str]
    names: list[str]

    def arguments(self) -> list[str]:
        program = shutil.which("systemd-socket-activate")
        assert program is not None
        options = [option for place in self.sockets for option in ("-l", place)]
        options += [f"--fdname={':'.join(self.names)}"]
        options += [option for name, value in self.environment.items() for option in ("-E", f"{name}={value}")]
        return [program, *options, *super().arguments()]


@pytest.fixture
def activated(tmp_path):
    """Make one; the test says which sockets."""
    if shutil.which("systemd-socket-activate") is None:
        pytest.skip("systemd-socket-activate is not installed; Debian package systemd")
    made = make(tmp_path / "srv", "smtp = []\nimap = []\nimaps = []\npop3 = []\n")
    made.__class__ = Activated
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def start_by(server: Activated, listen: str, connect) -> socket.socket:
    """Set ``[listen]``, start, and connect, which is what starts it."""
    path = server.folder / "mailsuite.toml"
    before, _, _ = path.read_text().partition("[listen]\n")
    off = "".join(
        f"{name} = []\n"
        for name in ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s")
        if f"{name} =" not in listen
    )
    path.write_text(f"{before}[listen]\n{listen}{off}")
    found = []

    def attempt() -> socket.socket | None:
        try:
            return connect()
        except OSError:
            return None

    knocking = threading.Thread(target=lambda: found.append(eventually(attempt, bool)))
    knocking.start()
    server.start()
    knocking.join()
    return found[0]


def test_systemd_hands_over_several_sockets_by_name(activated, tmp_path):
    smtp, imaps, imap = free_port(), free_port(), tmp_path / "imap.sock"
    activated.sockets = [f"127.0.0.1:{smtp}", f"127.0.0.1:{imaps}", str(imap)]
    activated.names = ["mail", "reading", "local"]
    listen = 'smtp = ["systemd:domain=INET:name=mail"]\nimaps = ["systemd:domain=INET:name=reading"]\n'
    listen += 'imap = ["systemd:domain=UNIX:name=local"]\n'
    with start_by(activated, listen, lambda: socket.create_connection(("127.0.0.1", smtp), 10)) as first:
        first.settimeout(CONDITION_SECONDS)
        assert first.recv(100).startswith(b"220 ")
    with smtplib.SMTP("localhost", smtp, timeout=CONDITION_SECONDS) as client:
        client.starttls(context=activated.context)
        client.sendmail("far@elsewhere.test", [ANN.email], LETTER)
    with imaplib.IMAP4_SSL("localhost", imaps, ssl_context=activated.context, timeout=CONDITION_SECONDS) as reader:
        reader.login(ANN.email, ANN.password)
        assert "([127.0.0.1])" in received(reader, 1)
    local = UnixIMAP(imap)
    local.starttls(activated.context)
    local.login(ANN.email, ANN.password)
    local.logout()
    assert activated.stop() == 0


@needs_ipv6
def test_the_string_of_the_documentation_and_ipv4_over_an_ipv6_socket(activated):
    port = free_port()
    activated.sockets, activated.names = [f"[::]:{port}"], ["any"]
    listen = 'smtp = ["systemd:domain=INET6:index=0"]\n'
    with start_by(activated, listen, lambda: socket.create_connection(("127.0.0.1", port), 10)) as first:
        first.settimeout(CONDITION_SECONDS)
        assert first.recv(100).startswith(b"220 ")
    with smtplib.SMTP("127.0.0.1", port, timeout=CONDITION_SECONDS) as client:
        client.ehlo("x.test")
        client.mail("a@b.test")
        assert client.rcpt("nobody-here@example.test")[0] == 550
    (line,) = eventually(lambda: said(activated, "smtp.rcpt.refused"), lambda lines: len(lines) == 1)
    assert "peer=127.0.0.1 " in line
    assert activated.stop() == 0


def test_without_the_sockets_it_says_in_one_line_what_is_missing(tmp_path):
    made = make(tmp_path / "srv", 'smtp = ["systemd:domain=INET:name=mail"]\nimap = []\nimaps = []\npop3 = []\n')
    done = made.command("serve", expect=1)
    (line,) = [line for line in done.stderr.splitlines() if "cannot start" in line and "mailsuite cannot" in line]
    assert "listen.smtp" in line
    assert "systemd handed no such socket over" in line


# IPv6, and the words at the start


@needs_ipv6
def test_all_addresses_are_two_sockets_and_each_peer_has_the_address_of_its_kind(tmp_path):
    made = make(tmp_path / "srv", "imap = []\nimaps = []\npop3 = []\n")
    path = made.folder / "mailsuite.toml"
    path.write_text(path.read_text().replace('listen_address = "127.0.0.1"\n', ""))
    made.start()
    port = made.port("smtp")
    for number, host in enumerate(("127.0.0.1", "::1"), 1):
        with smtplib.SMTP(host, port, timeout=CONDITION_SECONDS) as client:
            client.ehlo("x.test")
            client.mail("a@b.test")
            assert client.rcpt("nobody-here@example.test")[0] == 550
        lines = eventually(lambda: said(made, "smtp.rcpt.refused"), lambda lines, number=number: len(lines) == number)
        assert f"peer={host} " in lines[-1]
    opened = [line.rpartition("] ")[2] for line in said(made, "service.listener.opened")]
    assert f"smtp listens on 0.0.0.0:{port}" in opened[0]
    assert f"smtp listens on [::]:{port}" in opened[1]
    assert made.stop() == 0


def test_the_start_lists_every_listener_and_every_place(tmp_path):
    made = make(tmp_path / "srv", "")
    made.start()
    assert made.stop() == 0
    text = "".join(made.output)
    for service in ("smtp", "imap", "imaps", "pop3"):
        assert text.count(f"{service} listens on 127.0.0.1:{made.port(service)}\n") == 1
    places = [line.partition("service.storage.opened ")[2] for line in said(made, "service.storage.opened")]
    data = made.folder / "data"
    assert places == [
        f"accounts in {data}/mailsuite.db",
        f"mailboxes (domain) in {data}/mail",
        f"spool in {data}/spool",
    ]
