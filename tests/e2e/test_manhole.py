"""The manhole, with OpenSSH's own programs."""

import contextlib
import datetime as dt
import json
import os
import pty
import re
import select
import shutil
import smtplib
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from cryptography import x509
from demo_server import CONDITION_SECONDS, DemoServer, MadeServer, eventually

from mailsuite.config.settings import TLSSettings
from mailsuite.config.tls import write_self_signed
from mailsuite.durable import Disk

PROMPT = b">>> "
REFUSED = 255  # what ssh ends with when it cannot log in


def make_key(path: Path, comment: str, kind: str = "ed25519") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", str(path)], check=True, timeout=60)
    return path


class Client:
    """``ssh`` with a key of its own, and no settings but these."""

    def __init__(self, server, folder, key):
        self.server = server
        host_key = (server.folder / "data/keys/manhole/ssh_host_ed25519_key.pub").read_text()
        known = folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{server.port('manhole')} {host_key}")
        self.command = ["ssh", "-F", "none", "-p", str(server.port("manhole")), "-i", str(key)]
        for option in (f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"):
            self.command += ["-o", option]

    def run(self, *command, options=("-o", "BatchMode=yes"), stdin="", expect=0):
        done = subprocess.run(
            [*self.command, *options, "operator@127.0.0.1", *command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        )
        assert done.returncode == expect, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout if expect != REFUSED else done.stderr

    def logged(self, event):
        return [line for line in self.server.output if f" {event} " in line]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    for name in ("ssh", "ssh-keygen"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed; Debian package openssh-client")
    folder = tmp_path_factory.mktemp("manhole")
    key = make_key(folder / "key", "alice@laptop")
    authorized = folder / "authorized_keys"
    authorized.write_text(key.with_suffix(".pub").read_text())
    authorized.chmod(0o600)
    server = MadeServer(
        folder / "srv", f'[manhole]\nauthorized_keys = "{authorized}"\n[auth]\nallow_cleartext = true\n'
    )
    server.start()
    yield server
    assert server.stop() == 0


@pytest.fixture
def client(server, tmp_path):
    return Client(server, tmp_path, server.folder.parent / "key")


def test_a_connection_that_is_open_is_listed(server, client):
    login = server.add_account()
    with server.imap(login) as imap:
        imap.select()
        rows = client.run("ops.sessions()").splitlines()
        listed = json.loads(server.command("sessions", "--json").stdout)
        assert rows[0].split()[:7] == ["id", "service", "peer", "account", "tls", "seconds", "doing"]
        (row,) = [row for row in rows if login.email in row]
        assert re.match(rf"imap-\w+ +imaps +127\.0\.0\.1 +{login.email} +yes +\d+ +selected INBOX: SELECT\b", row)
        (facts,) = [facts for facts in listed if facts["account"] == login.email]
        assert facts["id"] == row.split()[0]
        account = client.run(f"[a for a in await ops.accounts() if a['address'] == '{login.email}'][0]['sessions']")
        assert account == "1\n"
    eventually(lambda: client.run("ops.sessions()"), lambda text: login.email not in text)


def test_every_protocol_tells_its_connections(server, client):
    login = server.add_account()
    with contextlib.ExitStack() as stack:
        smtp = stack.enter_context(smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=CONDITION_SECONDS))
        smtp.ehlo("far.test")
        pop3 = stack.enter_context(socket.create_connection(("127.0.0.1", server.port("pop3")), CONDITION_SECONDS))
        stream = stack.enter_context(pop3.makefile("rwb"))
        stream.readline()
        for line in (f"USER {login.email}", f"PASS {login.password}", "STAT"):
            stream.write(f"{line}\r\n".encode())
            stream.flush()
            assert stream.readline().startswith(b"+OK")
        rows = json.loads(server.command("sessions", "--json").stdout)
        facts = {row["service"]: (row["account"], row["tls"], row["doing"]) for row in rows}
        assert facts["smtp"] == ("", False, "EHLO")
        assert facts["pop3"] == (login.email, False, "transaction: STAT")
        smtp.mail("far@elsewhere.test")
        smtp.rcpt(login.email)
        smtp.docmd("DATA")
        smtp.send(b"Subject: x\r\n")
        doing = eventually(
            lambda: [row["doing"] for row in json.loads(server.command("sessions", "--json").stdout)],
            lambda found: any("octets so far" in text for text in found),
        )
        assert any(text.startswith("message from far@elsewhere.test, ") for text in doing)
        smtp.send(b"\r\n.\r\n")
        assert smtp.getreply()[0] == 250


@pytest.mark.parametrize("service", ["imap", "pop3", "smtp"])
def test_an_operator_ends_a_session(server, service):
    with socket.create_connection(("127.0.0.1", server.port(service)), CONDITION_SECONDS) as peer:
        stream = peer.makefile("rb")
        stream.readline()
        rows = json.loads(server.command("sessions", "--json").stdout)
        (session,) = [row["id"] for row in rows if row["service"] == service]
        assert server.command("sessions", "end", "--id", session).stderr == f"{session} ends\n"
        assert b"the operator ended this connection" in stream.read()
    done = server.command("sessions", "end", "--id", "none-1", expect=1)
    assert done.stderr == "Error: there is no session none-1\n"


def test_a_changed_certificate_is_picked_up(server, client):
    def served():
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", server.port("imaps")), CONDITION_SECONDS) as connection,
            context.wrap_socket(connection) as secure,
        ):
            return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True)).serial_number

    keys = server.folder / "data/keys/tls"
    settings = TLSSettings(certificate=str(keys / "cert.pem"), private_key=str(keys / "key.pem"))
    before = served()
    write_self_signed(settings, "mx.example.test", Disk(), dt.datetime.now(dt.UTC))
    assert re.search(r"changed +yes", client.run("ops.reload()"))
    expected = x509.load_pem_x509_certificate((keys / "cert.pem").read_bytes()).serial_number
    assert served() == expected != before
    assert re.search(r"changed +no", client.run("ops.reload()"))
    good = (keys / "cert.pem").read_bytes()
    (keys / "cert.pem").write_bytes(b"nothing")
    assert "INVALID: certificate" in client.run("ops.reload()", expect=1)
    assert served() == expected
    (keys / "cert.pem").write_bytes(good)
    client.run("ops.reload()")


def test_a_key_that_is_not_known_is_refused_and_both_are_logged(server, client, tmp_path):
    stranger = Client(server, tmp_path, make_key(tmp_path / "stranger", "mallory@elsewhere"))
    assert "Permission denied (publickey)" in stranger.run("ops.status()", expect=REFUSED)
    prints = {
        key: subprocess.run(
            ["ssh-keygen", "-l", "-f", str(key)], capture_output=True, text=True, check=True, timeout=60
        ).stdout.split()[1]
        for key in (tmp_path / "stranger", server.folder.parent / "key")
    }
    refusal = f"AUTH failed: login as 'operator' by publickey refused {prints[tmp_path / 'stranger']}"
    eventually(lambda: stranger.logged("manhole.login.refused"), lambda lines: any(refusal in line for line in lines))
    client.run("'who typed this?'")
    who = f"[peer=127.0.0.1] alice@laptop {prints[server.folder.parent / 'key']}"
    (typed,) = eventually(
        lambda: [line for line in client.logged("manhole.line.typed") if "who typed this?" in line], bool
    )
    assert typed.rstrip().endswith(f"{who} typed: 'who typed this?'")
    assert any(f"{who} logged in as 'operator'" in line for line in client.logged("manhole.login.succeeded"))


def test_passwords_are_not_even_asked_for(server, client):
    options = ("-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password,keyboard-interactive")
    assert "Permission denied (publickey)" in client.run("1", options=options, expect=REFUSED)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_key_added_to_the_file_is_taken_at_the_next_login_and_one_removed_is_not(server, tmp_path, kind):
    key = make_key(tmp_path / "key", f"bob-{kind}", kind)
    bob = Client(server, tmp_path, key)
    authorized = server.folder.parent / "authorized_keys"
    before = authorized.read_text()
    bob.run("1", expect=REFUSED)
    authorized.write_text(before + key.with_suffix(".pub").read_text())
    try:
        assert bob.run("1") == "1\n"
    finally:
        authorized.write_text(before)
    bob.run("1", expect=REFUSED)


@pytest.mark.parametrize(
    ("option", "expect"),
    [
        ("KexAlgorithms=diffie-hellman-group14-sha1", "key exchange"),
        ("MACs=hmac-sha1", "MAC"),
        ("Ciphers=aes256-cbc", "cipher"),
    ],
)
def test_what_is_old_is_not_spoken(client, option, expect):
    said = client.run("1", options=("-o", "BatchMode=yes", "-o", option), expect=REFUSED)
    assert re.search(f"no matching {expect}", said)


def test_nothing_but_the_console_is_there(server, client):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    forward = ("-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-R", f"{port}:127.0.0.1:1")
    assert "forwarding failed" in client.run("1", options=forward, expect=REFUSED)
    done = client.run(options=("-o", "BatchMode=yes", "-W", f"127.0.0.1:{server.port('imap')}"), expect=REFUSED)
    assert "open failed" in done
    assert "subsystem request failed" in client.run("sftp", options=("-o", "BatchMode=yes", "-s"), expect=REFUSED)


def test_octets_that_are_no_ssh_end_the_connection_and_hurt_nobody(server, client):
    for octets in (b"\x00" * 100, b"SSH-2.0-x\r\n" + b"\xff" * 2000, b"SSH-2.0-x\r\n\x00\x00\x00\x08\x04\x15abcd"):
        with socket.create_connection(("127.0.0.1", server.port("manhole")), CONDITION_SECONDS) as stranger:
            stranger.sendall(octets)
            stranger.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while stranger.recv(4096):
                    pass
    assert client.run("1") == "1\n"
    assert not [line for line in server.output if "Traceback" in line or " critical " in line]


def test_what_is_piped_in_runs_line_by_line(client):
    script = "for n in (1, 2):\n    print(n)\n\nconfig.server.hostname\n"
    assert client.run(stdin=script) == "1\n2\n'mx.example.test'\n"
    assert "ZeroDivisionError" in client.run(stdin="1/0\n", expect=1)


class Terminal:
    """``ssh`` on a terminal of its own."""

    def __init__(self, client):
        self.process, self._descriptor = pty.fork()
        if self.process == 0:
            os.execvpe("ssh", [*client.command, "-tt", "operator@127.0.0.1"], {**os.environ, "TERM": "xterm"})

    def read(self, until):
        octets = b""
        deadline = time.monotonic() + CONDITION_SECONDS
        while until not in octets and time.monotonic() < deadline:
            if select.select([self._descriptor], [], [], 0.1)[0]:
                try:
                    octets += os.read(self._descriptor, 4096)
                except OSError:  # the other end has closed
                    break
        assert until in octets, octets
        return octets

    def type(self, keys, until=b"\r\n" + PROMPT):
        os.write(self._descriptor, keys)
        return self.read(until)

    def wait(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


def test_on_a_terminal_names_are_completed_and_lines_come_back(server, client):
    terminal = Terminal(client)
    greeting = terminal.read(PROMPT)
    assert re.search(rb"Names: ops, config, (directory, store, queue, listeners|workers)\.", greeting)
    terminal.type(b"ops.do\t", b"ops.domains(")
    assert b"example.test" in terminal.type(b")\r")
    assert b"example.test" in terminal.type(b"\x1b[A\r")
    assert b"end_session(" in terminal.type(b"ops.\t", b">>> ops.")
    terminal.type(b"\x15from twisted.internet.task import deferLater as later\r")
    terminal.type(b"from twisted.internet import reactor\r")
    assert b"'it came'" in terminal.type(b"later(reactor, 0.1, str, 'it came')\r")
    terminal.type(b"later(reactor, 1000)\r", b"1000)\r\n")
    assert b"interrupted" in terminal.type(b"\x03")
    assert b"42" in terminal.type(b"6*7\r")
    terminal.type(b"\x04", b"closed")
    assert terminal.wait() == 0
    other = Terminal(client)
    other.read(PROMPT)
    other.type(b"from twisted.internet import reactor, task\r")
    other.type(b"await task.deferLater(reactor, 0.01); exit()\r", b"closed")
    assert other.wait() == 0
    assert not [line for line in server.output if "Traceback" in line]


def test_the_server_stops_while_somebody_is_in_the_manhole_and_knows_its_key_again(server, client):
    terminal = Terminal(client)
    terminal.read(PROMPT)
    assert server.stop() == 0
    terminal.read(b"the server is shutting down")
    assert terminal.wait() == REFUSED
    server.start()
    assert client.run("1") == "1\n"


def test_a_trace_tells_what_happened_to_a_message(server, client):
    login = server.add_account()
    server.send(login, "Message-ID: <trace-1@elsewhere.test>\r\nSubject: x\r\n\r\nx\r\n")
    rows = eventually(
        lambda: json.loads(server.command("trace", "<trace-1@elsewhere.test>", "--json").stdout),
        lambda found: len(found) > 1,
    )
    assert [row["event"] for row in rows] == ["spool.message.accepted", "spool.delivery.completed"]
    assert rows[0]["peer"] == "127.0.0.1"
    assert rows[0]["fields"]["sender"] == "far@elsewhere.test"
    assert rows[1]["fields"]["recipient"] == login.email
    queue_id = rows[0]["queue_id"]
    lines = server.command("trace", queue_id).stdout.splitlines()
    assert [line.split("\t")[1] for line in lines] == ["spool.message.accepted", "spool.delivery.completed"]
    assert f"{queue_id} for {login.email} is in INBOX of {login.email}" in client.run(f"ops.trace('{queue_id}')")
    assert "nothing is known of X-1" in server.command("trace", "X-1", expect=1).stderr


def test_a_trace_tells_of_attempts_elsewhere(server):
    login = server.add_account()
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=CONDITION_SECONDS) as smtp:
        smtp.login(login.email, login.password)
        smtp.sendmail(login.email, ["away@elsewhere.test"], "Message-ID: <out-1@x>\r\n\r\nx\r\n")
    rows = eventually(
        lambda: json.loads(server.command("trace", "out-1@x", "--json").stdout), lambda found: len(found) > 1
    )
    assert [row["event"] for row in rows[:2]] == ["spool.message.accepted", "queue.recipient.deferred"]
    assert rows[0]["fields"]["account"] == login.email
    assert rows[1]["fields"]["recipient"] == "away@elsewhere.test"


def test_without_a_key_nothing_listens(demo: DemoServer):
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", demo.port("manhole"))) != 0
    assert "manhole" not in json.loads(demo.command("status", "--json").stdout)["services"]


def test_keys_that_cannot_be_read_are_told_by_check_and_at_the_start(tmp_path):
    server = MadeServer(tmp_path / "srv", '[manhole]\nauthorized_keys = "nothing"\n')
    told = f"manhole.authorized_keys: cannot read {server.folder}/nothing: No such file or directory"
    assert told in server.command("check", expect=1).stderr
    server.start()
    assert server.stop() == 0
    assert any("nobody can log in to the manhole" in line for line in server.output)


def test_without_a_server_there_is_nobody_to_ask(tmp_path):
    stopped = MadeServer(tmp_path / "srv")
    for arguments in (["sessions"], ["sessions", "end", "--id", "x"]):
        done = stopped.command(*arguments, expect=1)
        assert done.stderr == "Error: no server runs on this folder\n"
