"""What other mail servers promised their users, as the list in docs/features.tsv has it, on real sockets."""

import base64
import concurrent.futures
import contextlib
import email
import email.policy
import imaplib
import json
import os
import poplib
import pty
import secrets
import smtplib
import socket
import sqlite3
import ssl
import stat
import subprocess
import time

import pytest
from demo_server import COMMAND, CONDITION_SECONDS, DemoServer, Login

ALICE = Login("alice@example.test", "alice-demo")


class Wire:
    """A socket and the lines on it, as a telnet user sees them."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), CONDITION_SECONDS)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.stream.close()
        self.socket.close()

    def say(self, line):
        self.socket.sendall(line + b"\r\n")

    def line(self):
        return self.stream.readline().removesuffix(b"\r\n")

    def until(self, good):
        lines = [self.line()]
        while not good(lines[-1]):
            assert lines[-1] or self.stream.peek(1), lines
            lines.append(self.line())
        return lines

    def smtp(self, line=None):
        """Say a command; give the lines of its reply."""
        if line is not None:
            self.say(line)
        return self.until(lambda got: got[3:4] != b"-")

    def imap(self, line):
        """Say a command with its tag; give all lines of the answer."""
        self.say(line)
        tag = line.split()[0]
        return self.until(lambda got: got.startswith(tag + b" "))

    def pop3(self, line=None, *, many=False):
        """Say a command; give its answer, without the dot at the end."""
        if line is not None:
            self.say(line)
        first = self.line()
        return [first, *(self.until(lambda got: got == b".")[:-1] if many else [])]


def codes(lines):
    return {int(line[:3]) for line in lines}


def messages(demo, login, mailbox="INBOX"):
    with demo.imap(login) as client:
        assert client.select(mailbox, readonly=True)[0] == "OK"
        _, (found,) = client.search(None, "ALL")
        return [
            email.message_from_bytes(client.fetch(number, "(BODY.PEEK[])")[1][0][1], policy=email.policy.default)
            for number in found.split()
        ]


def arrived(demo, login, count=1):
    demo.eventually(lambda: demo.count(login), lambda now: now == count)
    return messages(demo, login)


# SMTP


def test_smtp_connection(demo):
    with Wire(demo.port("smtp")) as wire:
        assert wire.smtp() == [b"220 localhost ESMTP"]


def test_every_smtp_command_does_its_work(demo, account):
    login = account()
    target = login.email.encode()
    with Wire(demo.port("smtp")) as wire:
        wire.smtp()
        assert wire.smtp(b"HELO far.test") == [b"250 localhost"]
        assert codes(wire.smtp(b"EHLO far.test")) == {250}
        assert codes(wire.smtp(b"NOOP")) == {250}
        assert codes(wire.smtp(b"VRFY " + target)) == {252}
        assert codes(wire.smtp(b"RCPT TO:<%b>" % target)) == {503}
        assert codes(wire.smtp(b"MAIL FROM:<far@elsewhere.test>")) == {250}
        assert codes(wire.smtp(b"RCPT TO:<%b>" % target)) == {250}
        assert codes(wire.smtp(b"RSET")) == {250}
        assert codes(wire.smtp(b"DATA")) == {503}
        assert codes(wire.smtp(b"MAIL FROM:<far@elsewhere.test>")) == {250}
        assert codes(wire.smtp(b"RCPT TO:<%b>" % target)) == {250}
        assert codes(wire.smtp(b"DATA")) == {354}
        assert codes(wire.smtp(b"Subject: by hand\r\n\r\n..a dot\r\n.")) == {250}
        assert codes(wire.smtp(b"QUIT")) == {221}
        assert wire.line() == b""
    (message,) = arrived(demo, login)
    assert (message["Subject"], message.get_content()) == ("by hand", ".a dot\r\n")


def test_extensions_are_announced_and_work(demo, account):
    target = account()
    with Wire(demo.port("smtp")) as wire:
        wire.smtp()
        announced = {line[4:] for line in wire.smtp(b"EHLO far.test")}
        assert {b"SIZE 26214400", b"8BITMIME", b"PIPELINING", b"ENHANCEDSTATUSCODES", b"STARTTLS"} <= announced
        assert wire.smtp(b"MAIL FROM:<far@elsewhere.test> SIZE=26214401")[0].startswith(b"552 5.3.4")
        recipient = target.email.encode()
        wire.say(b"MAIL FROM:<far@elsewhere.test> SIZE=99 BODY=8BITMIME\r\nRCPT TO:<%b>\r\nDATA" % recipient)
        assert wire.smtp()[0].startswith(b"250 2.1.0")
        assert wire.smtp()[0].startswith(b"250 2.1.5")
        assert wire.smtp()[0].startswith(b"354")
        assert wire.smtp("Subject: eight\r\n\r\nGrüße\r\n.".encode())[0].startswith(b"250 2.0.0")
        assert wire.smtp(b"RCPT TO:<nobody@example.test>")[0].startswith(b"503 5.5.1")
    demo.eventually(lambda: demo.count(target), lambda count: count == 1)
    with demo.imap(target) as client:
        client.select("INBOX", readonly=True)
        assert client.fetch("1", "(BODY.PEEK[TEXT])")[1][0][1] == "Grüße\r\n".encode()


def test_smtp_send_without_auth(demo, account):
    target = account()
    with smtplib.SMTP("127.0.0.1", demo.port("smtp")) as client:
        assert client.sendmail("far@elsewhere.test", [target.email], b"Subject: no login\r\n\r\nhi\r\n") == {}
    assert arrived(demo, target)[0]["Subject"] == "no login"


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
def test_smtp_send_with_auth(demo, account, method):
    sender, target = account(), account()
    with smtplib.SMTP("127.0.0.1", demo.port("submission")) as client:
        client.starttls(context=demo.context)
        client.ehlo()
        assert method in client.esmtp_features["auth"].split()
        client.user, client.password = sender.email, sender.password
        authenticate = {"PLAIN": client.auth_plain, "LOGIN": client.auth_login}[method]
        assert client.auth(method, authenticate)[0] == 235
        client.sendmail(sender.email, [target.email], b"Subject: with a login\r\n\r\nhi\r\n")
    assert arrived(demo, target)[0]["Subject"] == "with a login"


def test_auth_plain_with_its_initial_response_on_the_wire(demo, account):
    login = account()
    response = base64.b64encode(f"\0{login.email}\0{login.password}".encode())
    with Wire(demo.port("submission")) as wire:
        wire.smtp()
        wire.smtp(b"EHLO me.test")
        assert wire.smtp(b"AUTH PLAIN " + response)[0].startswith(b"235 2.7.0")


def test_smtp_invalid_credentials(demo, account):
    login = account()
    with smtplib.SMTP_SSL("localhost", demo.port("submissions"), context=demo.context) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.login(login.email, "not the password")
        assert caught.value.smtp_code == 535
        assert client.mail(login.email)[0] == 530


def test_smtp_multiple_recipients(demo, account):
    targets = [account() for _ in range(3)]
    content = f"To: {targets[0].email}\r\nCc: {targets[1].email}\r\nSubject: all of you\r\n\r\nhi\r\n"
    with smtplib.SMTP("127.0.0.1", demo.port("smtp")) as client:
        client.sendmail("far@elsewhere.test", [target.email for target in targets], content)
    for target in targets:
        (message,) = arrived(demo, target)
        assert message["Subject"] == "all of you"
        assert targets[2].email not in message.as_string(), "who was in Bcc stays unknown"


def test_smtp_special_characters(demo, account):
    target = account()
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"] = "far@elsewhere.test", target.email
    message["Subject"] = "Grüße, 你好, مرحبا, 🎉"
    text = "naïve café – “quotes” <&> 'a' \"b\" \\ ; -- $(x) 你好 🎉\n.\n..\nFrom here\n"
    message.set_content(text)
    with smtplib.SMTP("127.0.0.1", demo.port("smtp")) as client:
        client.sendmail("far@elsewhere.test", [target.email], message.as_bytes())
    (found,) = arrived(demo, target)
    assert found["Subject"] == message["Subject"]
    assert found.get_content().replace("\r\n", "\n") == text


def test_smtp_concurrent_sends(demo, account):
    target, count = account(), 40

    def send(number):
        with smtplib.SMTP("127.0.0.1", demo.port("smtp"), timeout=CONDITION_SECONDS) as client:
            client.sendmail("far@elsewhere.test", [target.email], f"Subject: number {number}\r\n\r\nhi\r\n")

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        list(pool.map(send, range(count)))
    found = arrived(demo, target, count)
    assert {message["Subject"] for message in found} == {f"number {number}" for number in range(count)}


def test_every_domain_of_ours_has_its_own_users(demo):
    name = f"d{secrets.token_hex(4)}.test"
    demo.command("domain", "add", name)
    assert name in demo.command("domain", "list").stdout
    logins = [
        Login(f"sales@{name}", "five green bottles"),
        Login(f"sales-{secrets.token_hex(4)}@example.test", "five green b"),
    ]
    for login in logins:
        demo.command("user", "add", login.email, "--password", login.password)
    rows = json.loads(demo.command("user", "list", "--domain", name, "--json").stdout)
    assert [row["email"] for row in rows] == [logins[0].email]
    for login in logins:
        demo.send(login, f"Subject: for {login.email}\r\n\r\nhi\r\n")
    for login in logins:
        assert arrived(demo, login)[0]["Subject"] == f"for {login.email}"
    with smtplib.SMTP("127.0.0.1", demo.port("smtp")) as client:
        client.ehlo("far.test")
        client.mail("far@elsewhere.test")
        assert client.rcpt(f"sales@not-{name}")[0] == 550


# IMAP


def test_the_imap_session_that_telnet_users_know(demo, account):
    login = account()
    demo.send(login, "Subject: look\r\n\r\nhi\r\n")
    demo.eventually(lambda: demo.count(login), lambda count: count == 1)
    with Wire(demo.port("imap")) as wire:
        assert wire.line().startswith(b"* OK ")
        assert wire.imap(f"a1 LOGIN {login.email} {login.password}".encode())[-1].startswith(b"a1 OK")
        selected = wire.imap(b"a2 SELECT INBOX")
        assert b"* 1 EXISTS" in selected
        assert selected[-1] == b"a2 OK [READ-WRITE] SELECT completed"
        fetched = wire.imap(b"a3 FETCH 1:* (FLAGS BODY.PEEK[HEADER])")
        assert fetched[0].startswith(b"* 1 FETCH (FLAGS (")
        assert b"Subject: look" in fetched
        assert fetched[-1].startswith(b"a3 OK")
        assert [line[:5] for line in wire.imap(b"a4 LOGOUT")] == [b"* BYE", b"a4 OK"]


def test_every_imap_command_does_its_work(demo, account):
    login = account()
    with demo.imap(login) as client:
        assert "IMAP4REV1" in client.capabilities
        assert client.noop()[0] == "OK"
        assert client.append("INBOX", "(\\Draft)", None, b"Subject: one\r\n\r\nfirst\r\n")[0] == "OK"
        assert client.append("INBOX", None, None, b"Subject: two\r\n\r\nsecond\r\n")[0] == "OK"
        assert client.create("Work/Plans")[0] == "OK"
        assert client.rename("Work/Plans", "Work/Ideas")[0] == "OK"
        names = [line.split(b' "/" ')[1] for line in client.list()[1]]
        assert {b"INBOX", b"Work/Ideas", b"Sent", b"Drafts", b"Trash"} <= set(names)
        assert b"Work/Plans" not in names
        assert b"(MESSAGES 2 UIDNEXT 3)" in client.status("INBOX", "(MESSAGES UIDNEXT)")[1][0]
        assert client.select("INBOX", readonly=True) == ("OK", [b"2"])
        assert client.store("1", "+FLAGS", "\\Seen")[0] == "NO"
        assert client.select("INBOX") == ("OK", [b"2"])
        assert client.search(None, "SUBJECT", "two") == ("OK", [b"2"])
        for flag in ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"):
            assert flag.encode() in client.store("2", "+FLAGS", flag)[1][0]
            assert flag.encode() not in client.store("2", "-FLAGS", flag)[1][0]
        assert client.copy("1", "Work/Ideas")[0] == "OK"
        assert client.uid("COPY", "2", "Work/Ideas")[0] == "OK"
        assert client.uid("SEARCH", "ALL") == ("OK", [b"1 2"])
        assert client.uid("STORE", "1", "+FLAGS", "(\\Deleted)")[1] == [b"1 (UID 1 FLAGS (\\Deleted \\Draft \\Recent))"]
        assert client.expunge() == ("OK", [b"1"])
        assert client.uid("FETCH", "1:*", "(UID BODY.PEEK[TEXT])")[1][0][1] == b"second\r\n"
        assert client._simple_command("MOVE", "1", "Trash")[0] == "OK"
        assert client.select("Trash") == ("OK", [b"1"])
        assert client.select("Work/Ideas") == ("OK", [b"2"])
        assert client.close()[0] == "OK"
        assert client.delete("Work/Ideas")[0] == "OK"
        assert client.delete("INBOX")[0] == "NO"


# POP3


def test_the_pop3_session_that_telnet_users_know(demo, account):
    login = account()
    demo.send(login, "Subject: look\r\n\r\nhi\r\n")
    demo.eventually(lambda: demo.count(login), lambda count: count == 1)
    with Wire(demo.port("pop3")) as wire:
        assert wire.pop3()[0].startswith(b"+OK")
        assert wire.pop3(b"USER " + login.email.encode())[0].startswith(b"+OK")
        assert wire.pop3(b"PASS " + login.password.encode())[0].startswith(b"+OK")
        word, number, size = wire.pop3(b"STAT")[0].split()
        assert (word, number) == (b"+OK", b"1")
        assert wire.pop3(b"LIST", many=True)[1:] == [b"1 " + size]
        message = wire.pop3(b"RETR 1", many=True)[1:]
        assert b"Subject: look" in message
        assert len(b"\r\n".join(message)) + 2 == int(size)
        assert wire.pop3(b"QUIT")[0].startswith(b"+OK")
        assert wire.line() == b""


def test_every_pop3_command_does_its_work(demo, account):
    login = account()
    for number in (1, 2):
        demo.send(login, f"Subject: number {number}\r\n\r\nfirst line\r\nsecond line\r\n")
        demo.eventually(lambda: demo.count(login), lambda count, wanted=number: count == wanted)
    client = poplib.POP3_SSL("localhost", demo.port("pop3s"), context=demo.context)
    assert {"UIDL", "TOP", "USER", "SASL", "PIPELINING"} <= set(client.capa())
    client.user(login.email)
    client.pass_(login.password)
    ids = [line.split()[1] for line in client.uidl()[1]]
    assert len(set(ids)) == 2
    assert client.top(2, 1)[1][-2:] == [b"", b"first line"]
    assert client.noop().startswith(b"+OK")
    client.dele(1)
    client.dele(2)
    assert client.stat()[0] == 0
    client.rset()
    assert client.stat()[0] == 2
    client.dele(1)
    client.quit()
    assert [message["Subject"] for message in messages(demo, login)] == ["number 2"]
    client = poplib.POP3("127.0.0.1", demo.port("pop3"))
    assert "STLS" in client.capa()
    client.stls(demo.context)
    client.user(login.email)
    client.pass_(login.password)
    assert [line.split()[1] for line in client.uidl()[1]] == ids[1:]
    client.quit()


# storage


def test_maildir_structure(demo, account):
    login = account()
    demo.send(login, "Subject: file\r\n\r\nhi\r\n")
    demo.eventually(lambda: demo.count(login), lambda count: count == 1)
    home = demo.maildir(login)
    assert home == demo.folder / "data" / "mail" / "example.test" / login.email.partition("@")[0]
    for mailbox in (home, *(home / f".{name}" for name in ("Sent", "Drafts", "Trash"))):
        for part in ("cur", "new", "tmp"):
            assert stat.S_IMODE((mailbox / part).stat().st_mode) == 0o700
    (file,) = [path for part in ("cur", "new") for path in (home / part).iterdir()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes().endswith(b"Subject: file\r\n\r\nhi\r\n")


def test_accounts_may_lie_below_their_numbers(tmp_path):
    settings = {"MAILSUITE_STORAGE__LAYOUT": "userid", "MAILSUITE_STORAGE__MAILDIR_ROOT": "data/maildir"}
    server = DemoServer(tmp_path / "srv", "--no-sample-mail", environment=settings).start()
    server.send(ALICE, "Subject: file\r\n\r\nhi\r\n")
    server.eventually(lambda: server.count(ALICE), lambda count: count == 1)
    number = json.loads(server.command("user", "info", ALICE.email, "--json").stdout)["account_id"]
    home = server.folder / "data" / "maildir" / f"user_{number}"
    for mailbox in ("INBOX", "Sent", "Drafts"):
        assert {"cur", "new", "tmp"} <= {path.name for path in (home / mailbox).iterdir()}
    assert len([path for part in ("cur", "new") for path in (home / "INBOX" / part).iterdir()]) == 1
    assert server.stop() == 0


# accounts


def test_a_password_is_asked_for_on_a_terminal(demo):
    address, password = f"user-{secrets.token_hex(6)}@example.test", "five green bottles"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "-c", str(demo.folder / "mailsuite.toml"), "user", "add", address],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    for _ in range(2):
        while not shown.rstrip().endswith(b":"):
            shown += os.read(ours, 1000)
        shown = b""
        time.sleep(0.2)  # getpass flushes what was typed ahead
        os.write(ours, password.encode() + b"\n")
    assert process.wait(60) == 0
    os.close(ours)
    with demo.imap(Login(address, password)):
        pass


def test_the_users_database_can_be_read_with_sqlite(demo, account):
    login = account()
    connection = sqlite3.connect(f"file:{demo.folder}/data/mailsuite.db?mode=ro", uri=True)
    rows = connection.execute(
        "SELECT email, username, length(password_hash) FROM users WHERE email = ?", (login.email,)
    )
    assert rows.fetchall() == [(login.email, login.email.partition("@")[0], 97)]
    connection.close()


def test_the_queue_can_be_read_with_sqlite(demo, account):
    login = account()
    target = f"{login.email.partition('@')[0]}@elsewhere.test"
    with smtplib.SMTP_SSL("localhost", demo.port("submissions"), context=demo.context) as client:
        client.login(login.email, login.password)
        client.sendmail(login.email, [target], "Subject: far\r\n\r\nhi\r\n")

    def queued():
        rows = []
        for path in (demo.folder / "data/spool").rglob("spool.db"):  # each worker has one
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
                rows += base.execute("SELECT address FROM recipient WHERE address = ?", (target,)).fetchall()
        return rows

    demo.eventually(queued, lambda rows: rows == [(target,)])


def test_an_account_is_shown_found_and_deleted(demo, account):
    login = account()
    demo.command("user", "exists", login.email)
    assert json.loads(demo.command("user", "info", login.email, "--json").stdout)["email"] == login.email
    assert login.email in demo.command("user", "list").stdout
    demo.command("user", "remove", login.email)
    demo.command("user", "exists", login.email, expect=1)
    with pytest.raises(imaplib.IMAP4.error), demo.imap(login):
        pass


def test_a_quota_binds_deliveries_and_uploads(demo, account):
    login = account()
    demo.command("user", "quota", login.email, "1000")
    big = "Subject: big\r\n\r\n" + "x" * 70 + "\r\n" * 1000
    with demo.imap(login) as client:
        kind, (text,) = client.append("INBOX", None, None, big.encode())
        assert (kind, text[:11]) == ("NO", b"[OVERQUOTA]")
    demo.command("user", "quota", login.email, "1M")
    with demo.imap(login) as client:
        assert client.append("INBOX", None, None, big.encode())[0] == "OK"
        _, ((root, *_), (quota, *_)) = client.getquotaroot("INBOX")
        assert (root, quota) == (b'INBOX ""', b'"" (STORAGE 3 1024)')
        client.select()
        client.store("1", "+FLAGS", "\\Deleted")
        _, (status,) = client.status("INBOX", "(DELETED DELETED-STORAGE)")
        assert status == b"INBOX (DELETED 1 DELETED-STORAGE %d)" % len(big)


# TLS


@pytest.mark.parametrize(
    ("ciphers", "taken"), [("ECDHE-ECDSA-NULL-SHA", False), ("AECDH-AES256-SHA", False), ("ECDHE+AESGCM", True)]
)
def test_ciphers_without_secrecy_or_identity_are_refused(demo, ciphers, taken):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", demo.port("imaps")), CONDITION_SECONDS) as plain:
        if taken:
            with context.wrap_socket(plain) as tls:
                assert tls.version() == "TLSv1.2"
        else:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(plain)


# a server with other settings


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """What a careful and slightly odd administrator would set."""
    settings = {
        "SMTP__REQUIRE_TLS": "true",
        "SMTP__VRFY": "true",
        "SMTP__MESSAGE_MAX_OCTETS": "10485760",
        "AUTH__MECHANISMS": '["LOGIN"]',
        "LISTEN__SMTP": "2525",
        "LISTEN__IMAP": "1993",
        "LISTEN__POP3": "[]",
        "STORAGE__LAYOUT": "address",
        "STORAGE__MAILDIR_ROOT": "data/maildir",
        "DATABASE__URL": "sqlite:///data/users.db",
        "LOG__FORMAT": "json",
        "LOG__OUTPUT": "stdout",
        "LOG__LEVEL": "debug",
    }
    environment = {f"MAILSUITE_{key}": value for key, value in settings.items()}
    server = DemoServer(tmp_path_factory.mktemp("other") / "srv", "--no-sample-mail", environment=environment).start()
    yield server
    assert server.stop() == 0


def test_mail_may_be_refused_before_tls(other):
    with smtplib.SMTP("127.0.0.1", other.offset + 2525) as client:
        client.ehlo("far.test")
        assert client.mail("far@elsewhere.test")[0] == 530
        client.starttls(context=other.context)
        client.ehlo("far.test")
        assert client.mail("far@elsewhere.test")[0] == 250


def test_the_size_limit_the_mechanisms_and_vrfy_are_settings(other):
    with smtplib.SMTP("127.0.0.1", other.offset + 2525) as client:
        client.starttls(context=other.context)
        client.ehlo("far.test")
        assert client.esmtp_features["size"] == "10485760"
        assert client.esmtp_features["auth"].split() == ["LOGIN"]
        assert client.verify(ALICE.email)[0] == 250
        assert client.verify("nobody@example.test")[0] == 550


def test_ports_layout_and_database_are_settings(other):
    with smtplib.SMTP("127.0.0.1", other.offset + 2525) as client:
        client.starttls(context=other.context)
        client.sendmail("far@elsewhere.test", [ALICE.email], b"Subject: elsewhere\r\n\r\nhi\r\n")
    with imaplib.IMAP4("127.0.0.1", other.offset + 1993) as client:
        client.login(ALICE.email, ALICE.password)
        other.eventually(lambda: client.select("INBOX")[1], lambda count: count == [b"1"])
    home = other.folder / "data" / "maildir" / ALICE.email
    assert {"new", "cur", "tmp"} <= {path.name for path in home.iterdir()}
    connection = sqlite3.connect(f"file:{other.folder}/data/users.db?mode=ro", uri=True)
    assert connection.execute("SELECT count(*) FROM users").fetchone() == (4,)
    connection.close()
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", other.port("pop3"))) != 0


def test_the_log_goes_to_standard_output_as_json(other):
    def events():
        return [json.loads(line) for line in list(other.output) if line.startswith("{")]

    with Wire(other.offset + 2525) as wire:
        wire.smtp()
    assert {"service.start.completed"} <= {event["event"] for event in events()}
    assert all({"time", "level", "event"} <= set(event) for event in events())
    other.eventually(events, lambda found: any(event["level"] == "debug" for event in found))


# relaying


def test_what_users_send_elsewhere_goes_where_a_route_says(demo, tmp_path):
    name = f"sink{secrets.token_hex(4)}.test"
    target = Login(f"somebody@{name}", "five green bottles")
    demo.command("domain", "add", name)
    demo.command("user", "add", target.email, "--password", target.password)
    relay = DemoServer(tmp_path / "relay", "--no-sample-mail").start()
    assert relay.stop() == 0
    with (relay.folder / "mailsuite.toml").open("a") as stream:
        stream.write(f'\n[[route]]\ndomain = "{name}"\nhost = "127.0.0.1"\nport = {demo.port("smtp")}\n')
    relay.start()
    with smtplib.SMTP_SSL("localhost", relay.port("submissions"), context=relay.context) as client:
        client.login(ALICE.email, ALICE.password)
        client.sendmail(ALICE.email, [target.email], b"Subject: by a relay\r\n\r\nhi\r\n")
    (message,) = arrived(demo, target)
    assert message["Subject"] == "by a relay"
    assert len(message.get_all("Received")) == 2
    relay.eventually(lambda: json.loads(relay.command("queue", "list", "--json").stdout), lambda rows: rows == [])
    assert relay.stop() == 0


def test_the_configuration_may_stand_in_the_working_folder(demo):
    done = subprocess.run(
        [*COMMAND, "--config", "mailsuite.toml", "check"],
        cwd=demo.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
