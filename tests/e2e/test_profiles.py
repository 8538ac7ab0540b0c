"""Servers for development, and servers whose configuration comes from elsewhere, on real sockets."""

import imaplib
import shlex
import smtplib
import socket
import subprocess
from pathlib import Path

import pytest
from demo_server import COMMAND, CONDITION_SECONDS, DemoServer, Login

EXAMPLES = Path(__file__).parents[1] / "data" / "convert"
LOGIN = Login("anna@example.test", "five green bottles")
MESSAGE = b"Subject: by hand\r\n\r\nhi\r\n"


class ServedFolder(DemoServer):
    """A folder with a configuration that the test made."""

    def arguments(self):
        return [*self.interpreter, "-c", str(self.folder / "mailsuite.toml"), "serve", *self.options]


def run(*arguments):
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done


def send_and_read(server, smtp, imap):
    """Send as a stranger and with a login, and read both, on the ports that the documents name."""
    with smtplib.SMTP("127.0.0.1", smtp, timeout=CONDITION_SECONDS) as client:
        client.sendmail("far@elsewhere.test", [LOGIN.email], MESSAGE)
    with smtplib.SMTP("127.0.0.1", smtp, timeout=CONDITION_SECONDS) as client:
        client.login(LOGIN.email, LOGIN.password)
        client.sendmail(LOGIN.email, [LOGIN.email], MESSAGE)
    with imaplib.IMAP4("127.0.0.1", imap, timeout=CONDITION_SECONDS) as client:
        client.login(LOGIN.email, LOGIN.password)
        server.eventually(lambda: client.select("INBOX")[1], lambda count: count == [b"2"])


def is_open(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def developer(tmp_path):
    """What init --profile dev makes, on ports that are free."""
    server = ServedFolder(tmp_path / "srv")
    made = ("--hostname", "mx.example.test", "--domain", "example.test", "--port-offset", server.offset)
    run("init", server.folder, "--profile", "dev", *made)
    server.command("user", "add", LOGIN.email, "--password", LOGIN.password)
    server.start()
    yield server
    assert server.stop() == 0


def test_a_server_for_development_takes_mail_and_logins_in_the_clear(developer):
    send_and_read(developer, developer.offset + 2525, developer.offset + 1993)
    with smtplib.SMTP("localhost", developer.offset + 2587, timeout=CONDITION_SECONDS) as client:
        client.starttls(context=developer.context)
        client.login(LOGIN.email, LOGIN.password)
    assert not is_open(developer.port("smtp"))
    assert "# This server is for development" in (developer.folder / "mailsuite.toml").read_text("utf-8")


def test_a_server_for_development_is_not_reached_from_elsewhere(developer):
    shown = developer.command("config", "show").stdout.splitlines()
    assert 'server.listen_address\t"127.0.0.1"\tfile' in shown


def test_a_converted_server_starts_and_serves_as_the_old_one_did(tmp_path):
    """Which has its databases and its mail in the folder of its configuration, on its ports."""
    server = ServedFolder(tmp_path)
    server.environment["MAILSUITE_SERVER__PORT_OFFSET"] = str(server.offset)
    (tmp_path / "config.toml").write_bytes((EXAMPLES / "config.toml").read_bytes())
    output = tmp_path / "mailsuite.toml"
    run("config", "convert", tmp_path / "config.toml", "--profile", "dev", "--output", output)
    server.command("domain", "add", "example.test")
    server.command("user", "add", LOGIN.email, "--password", LOGIN.password)
    server.command("check")
    server.start()
    send_and_read(server, server.offset + 2525, server.offset + 1993)
    home = tmp_path / "data" / "maildir" / LOGIN.email
    assert {"cur", "new", "tmp"} <= {path.name for path in home.iterdir()}
    assert not is_open(server.port("pop3"))
    assert server.stop() == 0


def test_the_commands_that_are_printed_work(tmp_path):
    (tmp_path / "server.conf").write_text("[smtp]\nhostname = mx.example.com\nlocal_domains = a.test, b.test\n")
    output = tmp_path / "mail suite.toml"
    said = run("config", "convert", tmp_path / "server.conf", "--output", output).stderr
    commands = [shlex.split(line) for line in said.splitlines() if line.startswith("    mailsuite ")]
    assert len(commands) == 2
    for _, *arguments in commands:
        run(*arguments)
    listed = run("-c", output, "domain", "list").stdout
    assert [line.split("\t")[0] for line in listed.splitlines()] == ["a.test", "b.test"]
