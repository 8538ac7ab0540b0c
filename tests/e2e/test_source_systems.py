"""
Users of other mail servers find their accounts, their mail and their commands here, on real sockets.

The tests named ``test_smtp_...`` and ``test_maildir_structure`` are the list that one of those servers has, two of them
marked there as too flaky to run; here they run on a server with that one's settings.
"""

import concurrent.futures
import email
import email.policy
import imaplib
import json
import os
import pty
import re
import secrets
import smtplib
import socket
import sqlite3
import subprocess
import sys

import attrs
import pytest
from demo_server import CONDITION_SECONDS, Login, MadeServer
from passlib.hash import sha512_crypt

PASSWORD = "five green bottles"
SETTINGS = """
[listen]
smtp = 2525
imap = 1993
[smtp]
message_max_octets = 10485760
connections_per_minute_max = 100000
[auth]
allow_cleartext = true
[storage]
layout = "address"
maildir_root = "data/maildir"
[database]
url = "sqlite:///data/users.db"
"""


class MovedServer(MadeServer):
    """A server with the settings of another one, whose accounts were made with that one's command."""

    further_ports = (2525, 1993)

    def user(self, name):
        login = Login(f"{name}@delfour.co", PASSWORD)
        self.command("mail-user", "add", login.email, login.password)
        return login

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.offset + 2525, timeout=CONDITION_SECONDS)

    def mail(self, login, count):
        """Wait for so many messages; give them."""
        self.eventually(lambda: self.count(login), lambda now: now == count)
        with self.imap(login) as client:
            client.select("INBOX", readonly=True)
            found = [client.fetch(str(number), "(BODY.PEEK[])")[1][0][1] for number in range(1, count + 1)]
        return [email.message_from_bytes(octets, policy=email.policy.default) for octets in found]


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    server = MovedServer(tmp_path_factory.mktemp("moved") / "srv", SETTINGS).start()
    yield server
    assert server.stop() == 0, "".join(server.output[-50:])


@pytest.fixture
def user(moved):
    """Make accounts of the test's own."""
    return lambda: moved.user(f"user-{secrets.token_hex(6)}")


def test_smtp_connection(moved):
    with socket.create_connection(("127.0.0.1", moved.offset + 2525), CONDITION_SECONDS) as wire:
        assert wire.recv(100).startswith(b"220 mx.example.test ESMTP")
    with moved.smtp() as client:
        assert client.ehlo("far.test")[0] == 250
        assert client.esmtp_features["size"] == "10485760"


def test_smtp_send_without_auth(moved, user):
    target = user()
    with moved.smtp() as client:
        assert (
            client.sendmail("sender@example.com", [target.email], b"Subject: Test Email\r\n\r\nThis is a test.\r\n")
            == {}
        )
    assert moved.mail(target, 1)[0]["Subject"] == "Test Email"


def test_smtp_invalid_credentials(moved, user):
    login = user()
    with moved.smtp() as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.login(login.email, "not the password")
        assert caught.value.smtp_code == 535
    with moved.smtp() as client:
        assert client.login(login.email, login.password)[0] == 235


def test_maildir_structure(moved, user):
    target = user()
    with moved.smtp() as client:
        client.sendmail("sender@example.com", [target.email], b"Subject: file\r\n\r\nhi\r\n")
    moved.mail(target, 1)
    home = moved.folder / "data" / "maildir" / target.email
    assert all((home / part).is_dir() for part in ("new", "cur", "tmp"))
    (file,) = [path for part in ("new", "cur") for path in (home / part).iterdir()]
    assert file.read_bytes().endswith(b"Subject: file\r\n\r\nhi\r\n")


def test_smtp_multiple_recipients(moved, user):
    to, cc, bcc = (user() for _ in range(3))
    with moved.smtp() as client:
        text = f"To: {to.email}\r\nCc: {cc.email}\r\nSubject: all of you\r\n\r\nhi\r\n"
        assert client.sendmail("sender@example.com", [to.email, cc.email, bcc.email], text) == {}
    for target in (to, cc, bcc):
        (message,) = moved.mail(target, 1)
        assert message["Subject"] == "all of you"
        assert bcc.email not in message.as_string()


def test_smtp_special_characters(moved, user):
    target = user()
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = "sender@example.com", target.email, "Spéciål: 你好 🎉 <&>"
    message.set_content("àéîõü – „quotes“ 你好 🎉\n.\n..dots\nFrom here\n")
    with moved.smtp() as client:
        client.sendmail(message["From"], [target.email], message.as_bytes())
    (found,) = moved.mail(target, 1)
    assert found["Subject"] == message["Subject"]
    assert found.get_content().replace("\r\n", "\n") == message.get_content()


def test_smtp_send_with_auth(moved, user):
    sender, target = user(), user()
    with moved.smtp() as client:
        client.login(sender.email, sender.password)
        client.sendmail(sender.email, [target.email], b"Subject: with a login\r\n\r\nhi\r\n")
    assert moved.mail(target, 1)[0]["Subject"] == "with a login"


def test_smtp_concurrent_sends(moved, user):
    target, count = user(), 30

    def send(number):
        with moved.smtp() as client:
            client.sendmail("sender@example.com", [target.email], f"Subject: number {number}\r\n\r\nhi\r\n")

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        list(pool.map(send, range(count)))
    found = moved.mail(target, count)
    assert {message["Subject"] for message in found} == {f"number {number}" for number in range(count)}


# commands


class ServedByMailserver(MadeServer):
    def arguments(self):
        program = [sys.executable, "-c", "from mailsuite.cli.mailserver import command; command()"]
        return [*program, "serve", "--config", str(self.folder / "mailsuite.toml")]


def test_mailserver_serve_runs_the_server(tmp_path):
    server = ServedByMailserver(tmp_path / "srv")
    login = Login("user@example.test", PASSWORD)
    server.command("mailserver", "user", "add", login.email, "--password", login.password)
    server.start()
    server.send(login, "Subject: here\r\n\r\nhi\r\n")
    server.eventually(lambda: server.count(login), lambda count: count == 1)
    assert server.stop() == 0


def test_create_user_asks_for_the_password(moved):
    address = f"user-{secrets.token_hex(6)}@delfour.co"
    moved.command("mail-user", "add", f"first-{address}", PASSWORD)
    ours, theirs = pty.openpty()
    program = [sys.executable, "-c", "from mailsuite.cli.create_user import command; command()"]
    command = [*program, "-c", str(moved.folder / "mailsuite.toml"), "add", address]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    for prompt in (b"Password: ", b"Repeat for confirmation: "):
        shown = b""
        while not shown.endswith(prompt):  # the space comes once the echo is off and what was typed ahead is gone
            shown += os.read(ours, 1000)
        os.write(ours, PASSWORD.encode() + b"\n")
    assert process.wait(CONDITION_SECONDS) == 0
    os.close(ours)
    assert moved.count(Login(address, PASSWORD)) == 0


# mail that lies on disk


LETTERS = {"": "old", "Sent": "sent", "Drafts": "draft", "Trash": "gone"}


@attrs.frozen
class Origin:
    """Where another server's mail lies below its root, and how it names files."""

    layout: str
    home: str
    inbox: str
    folder: str
    """In front of the name of a mailbox."""
    read: str
    answered: str
    new: str


ORIGINS = {
    "domain": Origin(
        "domain",
        "example.com/username",
        "",
        ".",
        "1700000000.M93P42.mail,S=93:2,S",
        "1700000001.M94P42.mail:2,RS",
        "1700000002.M95P42.mail",
    ),
    "userid": Origin(
        "userid", "user_1", "INBOX", "", "1700000000.42_1.mail:2,S", "1700000001.42_2.mail:2,RS", "1700000002.42_3.mail"
    ),
    "address": Origin(
        "address",
        "username@example.com",
        "",
        ".",
        "1700000000.8d3c-41aa.eml:2,S",
        "1700000001.1f77-9be0.eml:2,RS",
        "1700000002.aa12-04c4.eml",
    ),
}


def lay_out(root, origin):
    """Write the folders of another server."""
    home = root / origin.home
    names = [origin.inbox, *(f"{origin.folder}{name}" for name in ("Sent", "Drafts", "Trash"))]
    if origin.layout == "address":
        names = names[:1]  # that server has one mailbox
    for name in names:
        for part in ("cur", "new", "tmp"):
            (home / name / part).mkdir(parents=True)
    inbox = home / origin.inbox
    (inbox / "cur" / origin.read).write_bytes(b"Subject: read\r\n\r\none\r\n")
    (inbox / "cur" / origin.answered).write_bytes(b"Subject: answered\r\n\r\ntwo\r\n")
    (inbox / "new" / origin.new).write_bytes(b"Subject: new\r\n\r\nthree\r\n")
    for name in names[1:]:
        (home / name / "cur" / f"1700000003.{len(name)}.mail:2,S").write_bytes(
            b"Subject: in %b\r\n\r\nx\r\n" % name.encode()
        )
    return home


def snapshot(server, login):
    """Read everything by IMAP: UIDs, flags and octets of each mailbox."""
    found = {}
    with server.imap(login) as client:
        names = [line.rpartition(b' "/" ')[2].decode().strip('"') for line in client.list()[1]]
        for name in names:
            count = int(client.select(name, readonly=True)[1][0])
            answers = client.fetch("1:*", "(UID FLAGS BODY.PEEK[])")[1] if count else []
            found[name] = [
                (int(re.search(rb"UID (\d+)", line)[1]), set(imaplib.ParseFlags(line)) - {b"\\Recent"}, octets)
                for line, octets in (answer for answer in answers if isinstance(answer, tuple))
            ]
    return found


@pytest.mark.parametrize("name", ORIGINS)
def test_mail_of_another_server_is_read_where_it_lies(tmp_path, name):
    origin = ORIGINS[name]
    root = tmp_path / "theirs"
    lay_out(root, origin)
    server = MadeServer(tmp_path / "srv", f'[storage]\nlayout = "{origin.layout}"\nmaildir_root = "{root}"\n')
    server.command("domain", "add", "example.com")
    login = Login("username@example.com", PASSWORD)
    server.command("user", "add", login.email, "--password", login.password)
    server.start()
    found = snapshot(server, login)
    assert [(flags, octets) for _, flags, octets in found["INBOX"]] == [
        ({b"\\Seen"}, b"Subject: read\r\n\r\none\r\n"),
        ({b"\\Seen", b"\\Answered"}, b"Subject: answered\r\n\r\ntwo\r\n"),
        (set(), b"Subject: new\r\n\r\nthree\r\n"),
    ]
    if origin.layout != "address":
        for mailbox in ("Sent", "Drafts", "Trash"):
            ((_, flags, octets),) = found[mailbox]
            assert (flags, octets) == ({b"\\Seen"}, f"Subject: in {origin.folder}{mailbox}\r\n\r\nx\r\n".encode())
    server.send(login, "Subject: fresh\r\n\r\nhi\r\n")
    server.eventually(lambda: server.count(login), lambda count: count == 4)
    assert server.stop() == 0


def test_a_server_changes_its_layout_and_clients_notice_nothing(tmp_path):
    server = MadeServer(tmp_path / "srv")
    login = Login("john.doe@example.test", PASSWORD)
    server.command("user", "add", login.email, "--password", login.password)
    server.start()
    server.send(login, "Subject: one\r\n\r\nhi\r\n")
    server.eventually(lambda: server.count(login), lambda count: count == 1)
    with server.imap(login) as client:
        client.create("Work/Plans")
        client.append("Work/Plans", "(\\Flagged)", None, b"Subject: two\r\n\r\nhi\r\n")
    before = snapshot(server, login)
    refused = server.command("storage", "convert", "--to", "userid", expect=1)
    assert "stop it first" in refused.stderr
    assert server.stop() == 0
    told = json.loads(server.command("storage", "convert", "--to", "userid", "--dry-run", "--json").stdout)
    assert [(row["from"], row["to"]) for row in told["accounts"]] == [("example.test/john&AC4-doe", "user_1")]
    assert server.command("storage", "convert", "--to", "userid", "--dry-run").stderr.endswith("nothing was moved\n")
    done = server.command("storage", "convert", "--to", "userid")
    assert f'write layout = "userid" below [storage] in {server.folder}/mailsuite.toml' in done.stderr
    for arguments in (("serve",), ("mailbox", "list", login.email)):
        stopped = server.command(*arguments, expect=1)
        assert "lies in layout userid, and storage.layout says domain" in stopped.stdout + stopped.stderr
        assert "Traceback" not in stopped.stdout + stopped.stderr
    with (server.folder / "mailsuite.toml").open("a") as stream:
        stream.write('[storage]\nlayout = "userid"\n')
    server.start()
    assert snapshot(server, login) == before
    assert (server.folder / "data/mail/user_1/Work.Plans/cur").is_dir()
    assert server.stop() == 0
    assert "lies in layout userid" in server.command("storage", "convert", "--to", "userid").stderr


# accounts


def test_a_list_of_users_is_imported_under_a_running_server(moved, tmp_path):
    domain = f"d{secrets.token_hex(4)}.test"
    moved.command("domain", "add", domain)
    base = sqlite3.connect(tmp_path / "users.db")
    base.execute("CREATE TABLE users (email TEXT PRIMARY KEY, password_hash TEXT)")
    hashed = sha512_crypt.using(rounds=1000).hash(PASSWORD)
    logins = [Login(f"user{number}@{domain}", PASSWORD) for number in range(3)]
    base.executemany("INSERT INTO users VALUES (?, ?)", [(login.email, hashed) for login in logins])
    base.commit()
    base.close()
    moved.command("user", "import", str(tmp_path / "users.db"))
    for login in logins:
        assert moved.count(login) == 0
