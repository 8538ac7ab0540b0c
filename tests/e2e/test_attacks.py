"""Peers that mean harm, on real sockets: whatever they send, nothing is stored, sent or shown that should not be."""

import base64
import contextlib
import imaplib
import itertools
import os
import re
import secrets
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest
from demo_server import COMMAND, READY_SECONDS, Login, eventually
from free_ports import free_offset

END_OF_DATA = b"\r\n.\r\n"
TIMEOUT_SECONDS = 20
BOB = Login("bob@example.test", "bob-demo")


class Wire:
    """A socket, and what came over it."""

    def __init__(self, port, *, tls=None, receive_octets=0):
        self.socket = socket.socket()
        if receive_octets:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_octets)
        self.socket.settimeout(TIMEOUT_SECONDS)
        self.socket.connect(("127.0.0.1", port))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._waiting = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def until(self, pattern):
        """Give everything up to a line that matches, with it."""
        compiled = re.compile(rb"(?m)^" + pattern + rb".*?\r\n")
        while (found := compiled.search(self._waiting)) is None:
            octets = self.socket.recv(65536)
            assert octets, f"closed after {self._waiting[-500:]!r}; expected {pattern!r}"
            self._waiting += octets
        answer, self._waiting = self._waiting[: found.end()], self._waiting[found.end() :]
        return answer

    def say(self, octets, pattern):
        """Send a line and wait for the answer."""
        self.socket.sendall(octets + b"\r\n")
        return self.until(pattern)

    def reply(self, octets=None):
        """Give an SMTP reply."""
        if octets is not None:
            self.socket.sendall(octets + b"\r\n")
        return self.until(rb"\d\d\d ")

    def code(self, octets=None):
        """Give the code of an SMTP reply."""
        return int(self.reply(octets).split(b"\r\n")[-2][:3])

    def command(self, octets):
        """Send an IMAP command and give everything up to its tagged answer."""
        return self.say(b"t " + octets, rb"t (?:OK|NO|BAD)")

    def rest(self):
        """Give everything up to the end of the connection."""
        while True:
            try:
                octets = self.socket.recv(65536)
            except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
                octets = b""
            if not octets:
                return self._waiting
            self._waiting += octets

    def flood(self, octets, limit_octets=32 << 20):
        """Send until the server has had enough; give what it said."""
        sent = 0
        with contextlib.suppress(OSError):
            while sent < limit_octets:
                self.socket.sendall(octets)
                sent += len(octets)
        assert sent < limit_octets, "it took everything"
        return self.rest()


@pytest.fixture(scope="module")
def anyone(demo):
    """An account for tests that leave its INBOX as it was."""
    return demo.add_account()


@pytest.fixture
def smtp(demo):
    """Connect a stranger who has said EHLO."""
    with contextlib.ExitStack() as stack:

        def connect(service="smtp"):
            wire = stack.enter_context(Wire(demo.port(service)))
            assert wire.code() == 220
            assert wire.code(b"EHLO stranger.test") == 250
            return wire

        yield connect


@pytest.fixture
def imap(demo):
    """Connect a client that has logged in."""
    with contextlib.ExitStack() as stack:

        def connect(login, **options):
            wire = stack.enter_context(Wire(demo.port("imap"), **options))
            wire.until(rb"\* OK")
            assert b"t OK" in wire.command(f'LOGIN {login.email} "{login.password}"'.encode())
            return wire

        yield connect


def _resident_octets(demo):
    with open(f"/proc/{demo.process.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _greets_at_once(demo):
    for service, begins in (("smtp", b"220"), ("imap", b"* OK"), ("pop3", b"+OK")):
        began = time.monotonic()
        with Wire(demo.port(service)) as wire:
            assert wire.socket.recv(200).startswith(begins)
        assert time.monotonic() - began < 5


def _stored(demo, login):
    with demo.imap(login) as client:
        client.select("INBOX", readonly=True)
        _, (found,) = client.search(None, "ALL")
        return [client.fetch(number, "(BINARY.PEEK[])")[1][0][1] for number in found.split()]


# Smuggling


def _unstuffed(content):
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:]


def test_no_mark_but_one_ends_a_message(demo, account, smtp):
    target = account()
    begin = b"MAIL FROM:<far@elsewhere.test>\r\nRCPT TO:<%b>\r\nDATA" % target.email.encode()
    second = b"MAIL FROM:<smuggler@elsewhere.test>\r\nRCPT TO:<%b>\r\nDATA\r\nsmuggled" % target.email.encode()
    marks = [bytes(mark) for length in range(1, 6) for mark in itertools.product(b"\r\n.", repeat=length)]
    expected = []
    wire = smtp()
    for number, mark in enumerate(marks):
        if number % 90 == 89:
            wire = smtp()
        content = b"Subject: %d\r\n\r\nfirst" % number + mark + second + END_OF_DATA
        if content.index(END_OF_DATA) != len(content) - len(END_OF_DATA):
            continue  # it is the right mark: what follows are commands, and a stranger may not pipeline them here
        wire.socket.sendall(begin + b"\r\n")
        assert [wire.code(), wire.code(), wire.code()] == [250, 250, 354]
        wire.socket.sendall(content)
        code = wire.code()
        lines = content.replace(b"\r\n", b"")
        assert code == (550 if b"\r" in lines or b"\n" in lines else 250), content
        if code == 250:
            expected.append(_unstuffed(content[: -len(b".\r\n")]))
        assert wire.code(b"RSET") == 250, "what was behind the mark ran as commands"
    eventually(lambda: demo.count(target), lambda count: count >= len(expected))
    stored = [message[message.index(b"Subject: ") :] for message in _stored(demo, target)]
    assert sorted(stored) == sorted(expected)


def test_the_right_mark_followed_by_commands_of_a_stranger_is_two_messages_or_a_refusal(demo, account, smtp):
    target = account()
    wire = smtp()
    wire.socket.sendall(b"MAIL FROM:<far@elsewhere.test>\r\nRCPT TO:<%b>\r\nDATA\r\n" % target.email.encode())
    assert [wire.code(), wire.code(), wire.code()] == [250, 250, 354]
    envelope = b"MAIL FROM:<far@elsewhere.test>\r\nRCPT TO:<%b>\r\nDATA\r\n" % target.email.encode()
    wire.socket.sendall(b"Subject: one\r\n\r\none" + END_OF_DATA + envelope + b"Subject: two\r\n\r\ntwo" + END_OF_DATA)
    codes = re.findall(rb"(?m)^(\d\d\d) ", wire.rest())
    assert codes == [b"250", b"250", b"250", b"554"], "content before the 354 is never taken"
    eventually(lambda: demo.count(target), lambda count: count == 1)


# Relaying

RELAY_FORMS = [
    "<victim@elsewhere.test>",
    "<victim%elsewhere.test@example.test>",
    "<victim%elsewhere.test@localhost>",
    "<elsewhere.test!victim@example.test>",
    "<elsewhere.test!victim>",
    "<victim@elsewhere.test@example.test>",
    '<"victim@elsewhere.test"@example.test>',
    '<"victim%elsewhere.test"@example.test>',
    '<"victim@elsewhere.test">',
    "<@example.test:victim@elsewhere.test>",
    "<@example.test,@localhost:victim@elsewhere.test>",
    "<@localhost:victim@elsewhere.test>",
    "<victim@elsewhere.test.>",
    "<bob@example.test.elsewhere.test>",
    "<bob@sub.example.test>",
    "<bob@[127.0.0.1]>",
    "<victim@[192.0.2.1]>",
    "<victim@[IPv6:::1]>",
    "<victim@[IPv6:2001:db8::1]>",
    "<victim@[elsewhere.test]>",
    "<victim@[]>",
    "victim@elsewhere.test",
    "<victim@elsewhere.test> <bob@example.test>",
    "<bob@example.test,victim@elsewhere.test>",
    "<bob@example.test>,<victim@elsewhere.test>",
    "<victim@elsewhere.test\x00@example.test>",
    "<victim\t@elsewhere.test>",
    '<"bob@example.test"@elsewhere.test>',
    "<>",
]


def test_no_mark_ends_a_chunk_and_none_hides_in_one(demo, account, smtp):
    """By BDAT the number ends the content; what another program could take for a line end is refused."""
    target = account()
    begin = b"MAIL FROM:<far@elsewhere.test>\r\nRCPT TO:<%b>" % target.email.encode()
    second = b"MAIL FROM:<smuggler@elsewhere.test>\r\nRCPT TO:<%b>\r\nDATA\r\nsmuggled" % target.email.encode()
    marks = [bytes(mark) for length in range(1, 6) for mark in itertools.product(b"\r\n.", repeat=length)]
    expected = []
    wire = smtp()
    for number, mark in enumerate(marks):
        if number % 60 == 59:
            wire = smtp()
        content = b"Subject: %d\r\n\r\nfirst" % number + mark + second + END_OF_DATA + b"QUIT\r\n"
        half = len(content) // 2
        wire.socket.sendall(begin + b"\r\nBDAT %d\r\n" % half + content[:half])
        wire.socket.sendall(b"BDAT %d LAST\r\n" % (len(content) - half) + content[half:])
        bare = bool(re.search(rb"\r(?!\n)|(?<!\r)\n", content))
        codes = [wire.code() for _ in range(4)]
        assert codes[:2] == [250, 250]
        assert codes[3] == (550 if bare else 250), mark
        if not bare:
            expected.append(content)
    eventually(lambda: demo.count(target), lambda count: count >= len(expected))
    stored = [message[message.index(b"Subject: ") :] for message in _stored(demo, target)]
    assert sorted(stored) == sorted(expected)


def test_chunks_for_refused_recipients_are_never_commands(demo, account, smtp):
    """A client that pipelines does not know yet that nobody takes its message."""
    target = account()
    hidden = b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<%b>\r\nDATA\r\nsmuggled\r\n.\r\n" % target.email.encode()
    wire = smtp()
    wire.socket.sendall(
        b"MAIL FROM:<far@elsewhere.test>\r\nRCPT TO:<nobody@example.test>\r\nRCPT TO:<far@elsewhere.test>\r\n"
        + b"BDAT %d\r\n%b" % (len(hidden), hidden) * 3
        + b"BDAT %d LAST\r\n%bRSET\r\n" % (len(hidden), hidden)
    )
    assert [wire.code() for _ in range(8)] == [250, 550, 550, 503, 503, 503, 503, 250]
    assert demo.count(target) == 0


@pytest.mark.parametrize(
    "size", [b"", b"-1", b"+5", b"0x5", b"5 FIRST", b"99999999999999999999", b"9223372036854775808"]
)
def test_a_chunk_of_no_size_or_an_endless_one_ends_the_connection(demo, account, smtp, size):
    wire = smtp()
    assert wire.code(b"MAIL FROM:<far@elsewhere.test>") == 250
    assert wire.code(b"RCPT TO:<%b>" % account().email.encode()) == 250
    assert wire.code(b"BDAT " + size) in {501, 552}
    assert wire.rest() == b""


def test_content_that_is_no_text_comes_and_goes_octet_for_octet(demo, account, smtp):
    """It is taken by BDAT with BODY=BINARYMIME only, and nothing in it is anything but content."""
    target = account()
    body = bytes(range(256)) * 400 + END_OF_DATA + b"QUIT\r\n\r\0\n"
    content = b"Subject: octets\r\nContent-Transfer-Encoding: binary\r\n\r\n" + body
    wire = smtp()
    assert wire.code(b"MAIL FROM:<far@elsewhere.test> BODY=BINARYMIME") == 250
    assert wire.code(b"RCPT TO:<%b>" % target.email.encode()) == 250
    wire.socket.sendall(b"BDAT %d LAST\r\n" % len(content) + content)
    assert wire.code() == 250
    assert wire.code(b"NOOP") == 250
    eventually(lambda: demo.count(target), lambda count: count == 1)
    (stored,) = _stored(demo, target)
    assert stored.endswith(content)


@pytest.mark.parametrize("sender", ["", "far@elsewhere.test", "bob@example.test", "postmaster@localhost"])
def test_strangers_relay_in_no_way(smtp, sender):
    for start in range(0, len(RELAY_FORMS), 7):  # few errors each, or the server would lose its patience
        wire = smtp()
        assert wire.code(f"MAIL FROM:<{sender}>".encode()) == 250
        for form in RELAY_FORMS[start : start + 7]:
            assert 500 <= wire.code(f"RCPT TO:{form}".encode()) < 600, form
        assert wire.code(b"DATA") in {503, 554}


def test_only_an_account_submits(smtp):
    wire = smtp("submission")
    for sender in ("", "bob@example.test", "far@elsewhere.test"):
        assert wire.code(f"MAIL FROM:<{sender}>".encode()) == 530
    assert wire.code(b"RCPT TO:<bob@example.test>") == 503


def test_an_account_sends_in_nobody_elses_name(demo, anyone):
    me, other = anyone, BOB
    name, other_name = (login.email.partition("@")[0] for login in (me, other))
    forms = [
        f"<{other.email}>",
        f"<{other.email.upper()}>",
        f'<"{other_name}"@example.test>',
        f"<{other_name}+tag@example.test>",
        f"<@example.test:{other.email}>",
        f"<{name}@elsewhere.test>",
        f"<{name}@[127.0.0.1]>",
        f"<{name}@example.test.>",
        f"<{name}%example.test@elsewhere.test>",
        f'<"{me.email}"@elsewhere.test>',
        "<postmaster@example.test>",
        "<far@elsewhere.test>",
    ]
    for service in ("smtp", "submission"):
        with smtplib.SMTP("127.0.0.1", demo.port(service), timeout=TIMEOUT_SECONDS) as client:
            client.starttls(context=demo.context)
            client.login(me.email, me.password)
            for form in forms:
                code, text = client.docmd("MAIL", f"FROM:{form}")
                assert 500 <= code < 600, (form, text)
            assert client.docmd("MAIL", f"FROM:<{me.email}>")[0] == 250
            assert client.docmd("RCPT", "TO:<victim@elsewhere.test>")[0] == 250


# What is said in the clear before TLS


def test_what_follows_starttls_in_the_clear_is_never_executed(demo, anyone):
    login = anyone
    plain = base64.b64encode(f"\0{login.email}\0{login.password}".encode())
    attacks = {
        "smtp": (b"EHLO stranger.test", b"STARTTLS", b"EHLO injected.test\r\nAUTH PLAIN " + plain),
        "submission": (b"EHLO stranger.test", b"STARTTLS", b"EHLO injected.test\r\nAUTH PLAIN " + plain),
        "imap": (
            b"a CAPABILITY",
            b"b STARTTLS",
            f'c LOGIN {login.email} "{login.password}"\r\nd SELECT INBOX'.encode(),
        ),
        "pop3": (b"CAPA", b"STLS", f"USER {login.email}\r\nPASS {login.password}".encode()),
    }
    for service, (hello, starttls, injected) in attacks.items():
        for parts in ([starttls + b"\r\n" + injected + b"\r\n"], [starttls + b"\r\n" + injected[:1]]):
            with Wire(demo.port(service)) as wire:
                wire.socket.recv(500)
                wire.socket.sendall(hello + b"\r\n")
                wire.until({"imap": rb"a OK", "pop3": rb"\."}.get(service, rb"250 "))
                for part in parts:
                    wire.socket.sendall(part)
                after = wire.rest()
            assert not re.search(rb"(?m)^(250|235|354|c OK|d OK|\+OK .*messages)", after), (service, after)
            assert b"injected" not in after


def test_what_was_said_before_starttls_is_forgotten(demo):
    with Wire(demo.port("smtp")) as wire:
        wire.reply()
        assert wire.code(b"EHLO stranger.test") == 250
        assert wire.code(b"MAIL FROM:<far@elsewhere.test>") == 250
        assert wire.code(b"STARTTLS") == 220
        wire.socket = demo.context.wrap_socket(wire.socket, server_hostname="localhost")
        assert wire.code(b"RCPT TO:<bob@example.test>") == 503
        assert wire.code(b"MAIL FROM:<far@elsewhere.test>") == 503
        assert b"STARTTLS" not in wire.reply(b"EHLO stranger.test")
    with Wire(demo.port("pop3")) as wire:
        wire.until(rb"\+OK")
        wire.say(b"USER bob@example.test", rb"\+OK")
        wire.say(b"STLS", rb"\+OK")
        wire.socket = demo.context.wrap_socket(wire.socket, server_hostname="localhost")
        assert wire.say(b"PASS bob-demo", rb"[-+]").startswith(b"-ERR")


def test_passwords_are_not_taken_in_the_clear(tmp_path):
    folder, offset = tmp_path / "srv", free_offset()

    def run(*arguments):
        done = subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False
        )
        assert done.returncode == 0, done.stderr

    options = ["--hostname", "localhost", "--domain", "example.test", "--listen", "127.0.0.1", "--self-signed"]
    run("init", str(folder), "--port-offset", str(offset), *options)
    config = str(folder / "mailsuite.toml")
    run("-c", config, "user", "add", BOB.email, "--password", BOB.password)
    with subprocess.Popen(
        [*COMMAND, "-c", config, "serve"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            deadline = time.monotonic() + READY_SECONDS
            lines = []
            while "mailsuite is ready" not in (line := process.stdout.readline()):
                lines.append(line)
                assert line, lines
                assert time.monotonic() < deadline, lines
            _refuses_passwords(offset)
            keys = (folder / "data" / "keys" / "tls").iterdir()
            certificate = next(path for path in keys if b"BEGIN CERTIFICATE" in path.read_bytes())
            context = ssl.create_default_context(cafile=certificate)
            with imaplib.IMAP4_SSL("localhost", offset + 993, ssl_context=context, timeout=TIMEOUT_SECONDS) as client:
                assert client.login(BOB.email, BOB.password)[0] == "OK"
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def _refuses_passwords(offset):
    plain = base64.b64encode(f"\0{BOB.email}\0{BOB.password}".encode())
    for port in (25, 587):
        with Wire(offset + port) as wire:
            wire.reply()
            assert b"AUTH" not in wire.reply(b"EHLO stranger.test")
            for line in (b"AUTH PLAIN " + plain, b"AUTH PLAIN", b"AUTH LOGIN", b"AUTH LOGIN " + plain):
                assert wire.code(line) in {530, 538}
            assert wire.code(b"MAIL FROM:<bob@example.test>") in {250, 530}
            assert wire.code(b"RCPT TO:<victim@elsewhere.test>") in {503, 550}
    with Wire(offset + 143) as wire:
        greeting = wire.until(rb"\* OK")
        assert b"LOGINDISABLED" in greeting
        assert b"AUTH=" not in greeting
        for command in (f"LOGIN {BOB.email} {BOB.password}".encode(), b"AUTHENTICATE PLAIN " + plain):
            assert b"t NO [PRIVACYREQUIRED]" in wire.command(command)
        assert b"t NO" in wire.command(b"AUTHENTICATE PLAIN"), "no continuation that would invite the password"
        assert b"t BAD" in wire.command(b"SELECT INBOX")
    with Wire(offset + 110) as wire:
        wire.until(rb"\+OK")
        capabilities = wire.say(b"CAPA", rb"\.")
        assert b"USER" not in capabilities
        assert b"SASL" not in capabilities
        for line in (b"USER bob@example.test", b"PASS bob-demo", b"AUTH PLAIN", b"AUTH PLAIN " + plain):
            assert wire.say(line, rb"[-+]").startswith(b"-ERR")
        assert wire.say(b"STAT", rb"[-+]").startswith(b"-ERR")


# Floods and what cannot be read


@pytest.mark.parametrize("service", ["smtp", "submission", "imap", "pop3"])
@pytest.mark.parametrize("octets", [b"A", b"A ", b"\0", b"\r", b"\xff", b"("])
def test_a_line_without_end_is_cut_off(demo, service, octets):
    before = _resident_octets(demo)
    with Wire(demo.port(service)) as wire:
        wire.socket.recv(500)
        wire.flood(octets * 65536)
    assert _resident_octets(demo) - before < 30 << 20
    _greets_at_once(demo)


def test_many_short_lines_that_mean_nothing_end_the_connection(demo):
    for service in ("smtp", "imap", "pop3"):
        for line in (b"\r\n", b"x\r\n", b"x \xff\r\n", b"* * *\r\n"):
            with Wire(demo.port(service)) as wire:
                wire.socket.recv(500)
                with contextlib.suppress(OSError):
                    wire.socket.sendall(line * 200)
                wire.rest()  # the server closes; otherwise this times out


BEFORE_LOGIN_FLOODS = [
    b"a LOGIN {99999999999999}\r\n",
    b"a LOGIN {99999999999999+}\r\n",
    b"a LOGIN {-5}\r\n",
    b"a LOGIN {4097}\r\n",
    b"a LOGIN {4097+}\r\n" + b"x" * 4097,
    b"a LOGIN " + b"{1+}\r\nx " * 9000,
    b"a" * 70 + b" NOOP\r\n",
    b"a" * 5000 + b" NOOP\r\n",
    b"a APPEND INBOX {99999999+}\r\n",
    b"a APPEND INBOX {5}\r\n",
    b"a SEARCH " + b"(" * 4000 + b"\r\n",
    b"a FETCH 1:* " + b"(" * 4000 + b")" * 4000 + b"\r\n",
    b"a LOGIN {3+}\r\na\0b x\r\n",
    b'a LOGIN "a\0b" x\r\n',
    b"a\0b NOOP\r\n",
    b"a LOGIN " + b"9" * 4000 + b"}\r\n",
]


def test_what_strangers_send_to_imap_never_logs_in_or_is_invited(demo):
    for flood in BEFORE_LOGIN_FLOODS:
        with Wire(demo.port("imap")) as wire:
            wire.until(rb"\* OK")
            with contextlib.suppress(OSError):
                wire.socket.sendall(flood)
            answer = wire.until(rb"\S+ (?:BAD|NO|BYE|OK)")
        assert b"+ " not in answer, flood[:60]
        assert b" OK" not in answer, flood[:60]
    _greets_at_once(demo)


AFTER_LOGIN_FLOODS = [
    b"FETCH 1:* " + b"(" * 30000,
    b"FETCH 1:* " + b"(" * 20000 + b"FLAGS" + b")" * 20000,
    b"SEARCH " + b"(" * 20000 + b"ALL" + b")" * 20000,
    b"SEARCH " + b"NOT " * 15000 + b"ALL",
    b"SEARCH " + b"OR ALL " * 8000 + b"ALL",
    b"FETCH " + b",".join([b"1"] * 25000) + b" FLAGS",
    b"FETCH " + b",".join([b"%d:*" % number for number in range(1, 9000)]) + b" FLAGS",
    b"FETCH 1:99999999999999999999 FLAGS",
    b"FETCH 0 FLAGS",
    b"FETCH 1 BODY[" + b"1." * 20000 + b"1]",
    b"FETCH 1 BODY[]<99999999999999999999.99999999999999999999>",
    b"FETCH 1 (" + b"BODY[] " * 6000 + b"UID)",
    b"STORE 1 +FLAGS (" + b" ".join([b"keyword%d" % number for number in range(5000)]) + b")",
    b"LIST " + b'"" ' + b"*%" * 900,
    b'LIST "" ' + b"%" * 60000,
    b"STATUS INBOX (" + b"MESSAGES " * 6000 + b"RECENT)",
    b"APPEND INBOX {99999999999999999999}",
    b"APPEND INBOX {999999999}",
    b'APPEND INBOX "99-Foo-9999 99:99:99 +9999" {5}',
    b"ID (" + b'"a" "b" ' * 5000 + b")",
]


def test_monstrous_commands_are_answered_and_the_session_goes_on_or_is_closed(demo, account, imap):
    login = account()
    demo.send(login, "Subject: one\r\n\r\nhello\r\n")
    eventually(lambda: demo.count(login), lambda count: count == 1)
    before = _resident_octets(demo)
    for flood in AFTER_LOGIN_FLOODS:
        wire = imap(login)
        wire.command(b"SELECT INBOX")
        began = time.monotonic()
        wire.socket.sendall(b"t " + flood + b"\r\n")
        answer = wire.until(rb"(?:t (?:OK|NO|BAD)|\* BYE|\+ )")
        assert b"\r\n+ " not in answer, flood[:60]
        assert not answer.startswith(b"+ "), flood[:60]
        assert b"SERVERBUG" not in answer, flood[:60]
        assert time.monotonic() - began < 5, flood[:60]
        wire.socket.close()
    assert _resident_octets(demo) - before < 60 << 20
    _greets_at_once(demo)


def test_nul_is_refused_everywhere(demo, anyone, imap, smtp):
    login = anyone
    wire = smtp()
    for line in (b"NOOP \0", b"MAIL FROM:<a\0b@elsewhere.test>", b"EHLO a\0b"):
        assert wire.code(line) == 500
    assert wire.code(b"MAIL FROM:<far@elsewhere.test>") == 250
    assert wire.code(b"RCPT TO:<%b>" % login.email.encode()) == 250
    assert wire.code(b"DATA") == 354
    assert wire.code(b"Subject: a\0b\r\n\r\nhello\0\r\n.") == 550
    wire = imap(login)
    for octets in (b'CREATE "a\0b"', b"CREATE {3+}\r\na\0b", b"CREATE a\0b", b'SEARCH SUBJECT "\0"'):
        assert b"t BAD" in wire.command(octets)
    wire.socket.sendall(b"t APPEND INBOX {5+}\r\na\0b\r\n\r\n")
    assert b"t NO" in wire.until(rb"t (?:OK|NO|BAD)")
    with Wire(demo.port("pop3")) as pop3:
        pop3.until(rb"\+OK")
        for line in (b"USER a\0b", b"\0"):
            assert pop3.say(line, rb"[-+]").startswith(b"-ERR")
    assert demo.count(login) == 0


# Names of mailboxes

BAD_NAMES = [
    b'"../escape"',
    b'".."',
    b'"."',
    b'"a/../../escape"',
    b'"a/./b"',
    b'"/etc/passwd"',
    b'"a//b"',
    b'"&AC8-etc"',
    b'"..&AC8-escape"',
    b'"&AC4ALgAv-escape"',
    b'"&AC4-&AC4-"',
    b'"&AAA-"',
    b'"a&AAo-b"',
    b'"a&AAEAAg-b"',
    b'"&2AA-"',
    b'"&ACCg"',
    b'"a&AH8-b"',
    b'"' + b"x" * 256 + b'"',
    b'"' + b"/".join([b"d"] * 40) + b'"',
    b'"' + b"x" * 3000 + b'"',
    b'"' + b"/".join([b"y" * 200] * 6) + b'"',
    b'"\xe9"',
    b'"a\tb"',
    b'""',
]
GOOD_NAMES = [
    b'"..x"',
    b'"x.."',
    b'".hidden"',
    b'"a.b.c"',
    b'"tmp"',
    b'"new"',
    b'"cur"',
    b'"index.db"',
    b'"INBOX/cur"',
    b'"~bob"',
    b'"-rf"',
    b'"a\\\\b"',
    b'"$(id)"',
    b'"&AOk-"',
    b'"Case"',
    b'"case"',
    b'"CASE"',
    b'"' + b"/".join([b"d"] * 20) + b'"',
    b'"' + b"z" * 200 + b'"',
]


def _folders_outside(demo, login):
    home = demo.maildir(login)
    return {
        folder
        for folder, _, _ in os.walk(demo.folder)
        if not f"{folder}/".startswith(f"{home}/") and folder != str(home)
    }


def test_no_name_of_a_mailbox_leaves_the_account(demo, account, imap):
    login = account()
    wire = imap(login)
    wire.command(b"SELECT INBOX")
    outside = _folders_outside(demo, login)
    for name in BAD_NAMES:
        for command in (b"CREATE %b", b"SELECT %b", b"RENAME Sent %b", b"DELETE %b", b"STATUS %b (MESSAGES)"):
            answer = wire.command(command % name)
            assert b"t NO" in answer or b"t BAD" in answer, (command, name, answer)
            if b"t BAD" in answer:
                wire = imap(login)
        wire.socket.sendall(b"t APPEND %b {1+}\r\nx\r\n" % name)
        assert b"t OK" not in wire.until(rb"t (?:OK|NO|BAD)")
    made = [name for name in GOOD_NAMES if b"t OK" in wire.command(b"CREATE %b" % name)]
    assert made == GOOD_NAMES
    for number, name in enumerate(made):
        wire.socket.sendall(
            b"t APPEND %b {%d+}\r\n%b\r\n" % (name, 12 + len(str(number)), b"Subject: %d\r\n\r" % number)
        )
        assert b"t OK" in wire.until(rb"t (?:OK|NO|BAD)")
    for number, name in enumerate(made):
        assert b"* 1 EXISTS" in wire.command(b"SELECT %b" % name), name
        assert b"Subject: %d\r" % number in wire.command(b"FETCH 1 BODY[]")
    assert _folders_outside(demo, login) == outside
    home = demo.maildir(login)
    for entry in os.listdir(home):
        assert entry.startswith((".", "index.", "mailbox.")) or entry in {"cur", "new", "tmp"}, entry
    assert not [entry for entry in os.listdir(home) if entry.startswith("..")]
    assert demo.count(login) == 0, "nothing has come into INBOX"


def test_names_that_differ_by_normalisation_are_one_mailbox(imap, anyone):
    wire = imap(anyone)
    assert b"t OK" in wire.command(b'CREATE "caf&AOk-"')
    assert b"t NO" in wire.command(b'CREATE "cafe&AwE-"')
    assert b"t OK" in wire.command(b'SELECT "cafe&AwE-"')
    assert b"t OK" in wire.command(b"CREATE inbox/x")
    assert b"t NO" in wire.command(b"CREATE InBoX/x")
    assert b"t NO" in wire.command(b"CREATE inBOX")
    assert b"t NO" in wire.command(b"DELETE inbox")


def test_one_account_cannot_reach_anothers_mail(demo, account, anyone, imap):
    victim, thief = account(), anyone
    demo.send(victim, "Subject: secret\r\n\r\nsecret\r\n")
    eventually(lambda: demo.count(victim), lambda count: count == 1)
    name = victim.email.partition("@")[0]
    wire = imap(thief)
    for form in (
        f"../{name}",
        f"../{name}/INBOX",
        f"user/{name}",
        f"user.{name}",
        f"~{name}/INBOX",
        f"#user/{name}",
        f"Other Users/{name}",
        f"/{name}",
        victim.email,
        f"..&AC8-{name}",
        f"example.test/{name}",
        str(demo.maildir(victim)),
    ):
        for command in ('SELECT "{}"', 'EXAMINE "{}"', 'STATUS "{}" (MESSAGES)', 'RENAME "{}" mine', 'DELETE "{}"'):
            answer = wire.command(command.format(form).encode())
            assert b"t NO" in answer, (command, form, answer)
    wire.command(b"SELECT INBOX")
    assert b"EXISTS" not in wire.command(b"UID FETCH 1:* BODY[]")
    assert name.encode() not in wire.command(b'LIST "" "*"')
    assert name.encode() not in wire.command(b'LIST "../" "*"')
    assert demo.count(victim) == 1


# Peers that are slow, or gone


def test_a_reader_that_never_reads_costs_little_memory(demo, account, imap):
    login = account()
    body = ("x" * 76 + "\r\n") * 30_000
    demo.send(login, f"Subject: big\r\n\r\n{body}")
    eventually(lambda: demo.count(login), lambda count: count == 1)
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(OSError))
        before = _resident_octets(demo)
        for _ in range(8):
            wire = imap(login, receive_octets=4096)
            wire.command(b"SELECT INBOX")
            wire.socket.settimeout(0.3)
            with contextlib.suppress(OSError):
                wire.socket.sendall(b"t UID FETCH 1:* (BODY.PEEK[] BODY.PEEK[])\r\n" * 5000)
            pop3 = stack.enter_context(Wire(demo.port("pop3"), receive_octets=4096))
            pop3.until(rb"\+OK")
            pop3.say(b"USER " + login.email.encode(), rb"\+OK")
            pop3.say(b"PASS " + login.password.encode(), rb"\+OK")
            pop3.socket.settimeout(0.3)
            with contextlib.suppress(OSError):
                pop3.socket.sendall(b"RETR 1\r\n" * 30_000)
            smtp = stack.enter_context(Wire(demo.port("smtp"), receive_octets=4096))
            smtp.socket.settimeout(0.3)
            smtp.code()
            with contextlib.suppress(OSError):
                smtp.socket.sendall(b"HELP\r\n" * 200_000)
        _greets_at_once(demo)
        assert _resident_octets(demo) - before < 60 << 20


def test_half_open_connections_stop_nobody(demo, account):
    login = account()
    halves = {
        "smtp": [b"", b"EHLO x", b"EHLO x\r\nMAIL FROM:<far@else", b"\x16\x03"],
        "submissions": [b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00"],
        "imap": [b"", b"a LOGIN {5}\r\nab", b"a LOGIN {5+}\r\nab", b"a AUTHENTICATE PLAIN\r\n"],
        "imaps": [b"", b"\x16\x03\x01", b"GET / HTTP/1.0\r\n"],
        "pop3": [b"", b"USER", b"USER x\r\nPA", b"AUTH PLAIN\r\n"],
        "pop3s": [b"", b"\x16\x03\x01\xff\xff"],
    }
    with contextlib.ExitStack() as stack:
        for service, pieces in halves.items():
            for piece in pieces * 3:
                stack.enter_context(Wire(demo.port(service))).socket.sendall(piece)
        demo.send(login, "Subject: through\r\n\r\nhello\r\n")
        eventually(lambda: demo.count(login), lambda count: count == 1, seconds=10)
        _greets_at_once(demo)


STOPPED_CLIENT = """
import imaplib, sys
client = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]))
client.login(sys.argv[2], sys.argv[3])
client.select("INBOX")
print("go", flush=True)
while True:
    client.fetch("1:*", "(BODY.PEEK[])")
"""


def test_stopped_clients_do_not_stop_others(demo, account):
    login, other = account(), account()
    demo.send(login, "Subject: big\r\n\r\n" + ("x" * 76 + "\r\n") * 60_000)
    eventually(lambda: demo.count(login), lambda count: count == 1)
    arguments = [sys.executable, "-c", STOPPED_CLIENT, str(demo.port("imap")), login.email, login.password]
    clients = [subprocess.Popen(arguments, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for client in clients:
            assert client.stdout.readline() == b"go\n"
        time.sleep(0.2)
        for client in clients:
            client.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        for number in range(5):
            demo.send(other, f"Subject: {number}\r\n\r\nhello\r\n")
        eventually(lambda: demo.count(other), lambda count: count == 5, seconds=10)
        assert demo.count(login) == 1, "the account of the stopped ones can be used elsewhere"
        assert time.monotonic() - began < 10
    finally:
        for client in clients:
            client.kill()
            client.stdout.close()
            client.wait()


# Secrets and the log


def _smtp_refusal(demo, name, password):
    with smtplib.SMTP("127.0.0.1", demo.port("submission"), timeout=TIMEOUT_SECONDS) as client:
        client.ehlo()
        return client.docmd("AUTH", "PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode()).decode())


def _imap_refusal(demo, name, password):
    with Wire(demo.port("imap")) as wire:
        wire.until(rb"\* OK")
        return wire.command(f'LOGIN "{name}" "{password}"'.encode())


def _pop3_refusal(demo, name, password):
    with Wire(demo.port("pop3")) as wire:
        wire.until(rb"\+OK")
        user = wire.say(f"USER {name}".encode(), rb"[-+]")
        return user + wire.say(f"PASS {password}".encode(), rb"[-+]")


def _log_text(demo):
    return (demo.folder / "log" / "mailsuite.log").read_text("utf-8")


def test_a_refused_login_tells_nothing_and_no_password_is_logged(demo, account, anyone):
    disabled, known = account(), anyone
    demo.command("user", "disable", disabled.email)
    wrong = f"wrong-{secrets.token_hex(8)}"
    names = [(known.email, wrong), (disabled.email, disabled.password), ("nobody-at-all@example.test", wrong)]
    names += [("nobody@elsewhere.test", wrong), ("no address", wrong)]
    answers = {}
    threads = [
        threading.Thread(target=lambda ask=ask, pair=pair: answers.__setitem__((ask, pair), ask(demo, *pair)))
        for ask in (_smtp_refusal, _imap_refusal, _pop3_refusal)
        for pair in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for ask in (_smtp_refusal, _imap_refusal, _pop3_refusal):
        assert len({answers[ask, pair] for pair in names}) == 1, [answers[ask, pair] for pair in names]
    with demo.imap(known):
        pass
    text = _log_text(demo)
    assert known.email in text
    for password in (wrong, known.password, disabled.password):
        for form in (password, base64.b64encode(password.encode()).decode()):
            assert form not in text
    assert "Traceback" not in text
    assert wrong not in "".join(demo.output)


def test_what_a_peer_says_makes_no_line_of_the_log(demo, smtp):
    mark = secrets.token_hex(8)
    forged = f"2026-01-01T00:00:00Z smtp.login.accepted account={mark}"
    before = len(_log_text(demo).splitlines())
    wire = smtp()
    wire.code(f"FORGE\u2028{forged}".encode())
    wire.code(f"EHLO x\n{forged}".encode())
    wire = smtp()
    wire.code(f"EHLO x\r{forged}".encode())
    wire.code(f"MAIL FROM:<{mark}\u2028\u202e@elsewhere.test> SMTPUTF8".encode())
    wire.code(f'RCPT TO:<"\x1b[2J{mark}"@example.test>'.encode())
    wire.code(f"RCPT TO:<{mark}\u2028{mark}\u0085@example.test>".encode())
    with Wire(demo.port("imap")) as client:
        client.until(rb"\* OK")
        client.command(b'ID ("name" {%d+}\r\n%b)' % (len(forged) + 2, b"\r\n" + forged.encode()))
        client.command(b"LOGIN {%d+}\r\n%b x" % (len(forged) + 2, b"\r\n" + forged.encode()))
    with Wire(demo.port("pop3")) as client:
        client.until(rb"\+OK")
        client.say(b"USER \xe2\x80\xa8" + forged.encode(), rb"[-+]")
        client.say(b"PASS x", rb"[-+]")
    text = eventually(lambda: _log_text(demo), lambda text: text.count(mark) > 2)
    fresh = text.split("\n")[before:]
    assert not [line for line in fresh if line.startswith("2026-01-01T00:00:00Z")]
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", "\n".join(fresh))
