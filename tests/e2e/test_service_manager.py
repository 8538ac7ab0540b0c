"""The server as a service manager sees it: notifications, SIGHUP, rotated logs, sockets that are handed over."""

import json
import os
import shutil
import signal
import smtplib
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from demo_server import MadeServer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def notified(tmp_path):
    """A server, and the socket to which it reports."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(60)
        listening.bind(str(tmp_path / "notify"))
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}
        server = MadeServer(tmp_path / "srv", '[log]\noutput = "log/mail.log"\n', environment=environment)
        yield server, listening
    if server.process is not None and server.process.poll() is None:
        server.kill()


def _next(listening, start):
    """Wait for a message that begins so; those of the watchdog come in between."""
    while True:
        message = listening.recv(4096).decode()
        if message.startswith(start):
            return message.split("\n")
        assert message == "WATCHDOG=1", message


def test_the_manager_hears_of_start_life_reload_and_end(notified):
    server, listening = notified
    server.start()
    assert _next(listening, "READY=1")[1] == ("STATUS=serves smtp, submission, submissions, imap, imaps, pop3, pop3s")
    for _ in range(3):
        _next(listening, "WATCHDOG=1")
    server.process.send_signal(signal.SIGHUP)
    assert _next(listening, "RELOADING=1")[1].startswith("MONOTONIC_USEC=")
    _next(listening, "READY=1")
    assert server.stop() == 0
    _next(listening, "STOPPING=1")


def test_the_manager_hears_why_it_does_not_start(notified):
    server, listening = notified
    with socket.create_server(("127.0.0.1", server.port("imap"))):
        done = subprocess.run(server.arguments(), env=server.environment, capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    (status,) = _next(listening, "STATUS=")
    assert f"cannot start: port {server.port('imap')} (imap)" in status


class Talk:
    """A client that has recipients refused as fast as it can, each of which is a line in the log."""

    def __init__(self, server):
        self.refused = 0
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk)

    def __enter__(self):
        self._thread.start()
        return self

    def _talk(self):
        with smtplib.SMTP("127.0.0.1", self._server.port("smtp"), timeout=30) as client:
            client.ehlo("far.test")
            client.mail("far@elsewhere.test")
            while not self._over.is_set():
                assert client.rcpt(f"number-{self.refused}@example.test")[0] == 550
                self.refused += 1

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


UNLIMITED = """
[smtp]
unknown_recipients_max = 1000000
errors_max = 1000000
junk_commands_max = 1000000
recipients_max = 1000000
[log]
output = "log/mailsuite.log"
format = "json"
"""


def _numbers(folder):
    lines = [line for path in sorted(folder.glob("mailsuite.log*")) for line in path.read_text().splitlines()]
    found = [json.loads(line) for line in lines]
    return sorted(
        int(line["recipient"].partition("@")[0].removeprefix("number-"))
        for line in found
        if line["event"] == "smtp.rcpt.refused"
    )


def test_logrotate_loses_no_line_while_mail_comes_in(tmp_path):
    logrotate = shutil.which("logrotate", path="/usr/sbin:/usr/bin")
    if logrotate is None:
        pytest.skip("logrotate is not installed; Debian package logrotate")
    pidfile = tmp_path / "pid"
    server = MadeServer(tmp_path / "srv", UNLIMITED, "--pidfile", str(pidfile))
    user, group = (subprocess.check_output(["id", option], text=True).strip() for option in ("-un", "-gn"))
    text = (ROOT / "etc" / "logrotate.d" / "mailsuite").read_text()
    text = text.replace("/srv/mail", str(server.folder)).replace("/run/mailsuite/mailsuite.pid", str(pidfile))
    text = text.replace("mailsuite mailsuite", f"{user} {group}")
    (tmp_path / "logrotate.conf").write_text(text)
    (tmp_path / "logrotate.conf").chmod(0o644)
    log = server.folder / "log" / "mailsuite.log"
    server.start()
    try:
        with Talk(server) as talk:
            for round_ in range(1, 4):
                server.eventually(lambda: talk.refused, lambda count, least=200 * round_: count >= least)
                before = log.stat().st_ino
                done = subprocess.run(
                    [logrotate, "--force", "--state", str(tmp_path / "state"), str(tmp_path / "logrotate.conf")],
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=60,
                )
                assert (done.returncode, done.stderr) == (0, "")
                assert log.stat().st_ino != before
                # The new file is in use at once, not when somebody looks.
                server.eventually(lambda: log.stat().st_size, bool, seconds=10)
        assert server.stop() == 0
    finally:
        if server.process.poll() is None:
            server.kill()
    for packed in log.parent.glob("*.gz"):
        subprocess.run(["gunzip", str(packed)], check=True)
    assert len(list(log.parent.glob("mailsuite.log*"))) == 4
    assert _numbers(log.parent) == list(range(talk.refused))
    assert {path.stat().st_mode & 0o777 for path in log.parent.glob("mailsuite.log*")} == {0o600}


def test_sockets_of_systemd_are_served(tmp_path):
    activate = shutil.which("systemd-socket-activate")
    if activate is None:
        pytest.skip("systemd-socket-activate is not installed; Debian package systemd")
    services = ["smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s"]
    listen = "".join(f'{name} = ["systemd:domain=INET:index={place}"]\n' for place, name in enumerate(services))
    server = MadeServer(tmp_path / "srv", f"[listen]\n{listen}")
    addresses = [part for name in services for part in ("--listen", f"127.0.0.1:{server.port(name)}")]
    variables = [f"--setenv={name}" for name in ("PYTHONPATH", "PYTHONUNBUFFERED") if name in server.environment]
    command = server.arguments()
    names = "--fdname=" + ":".join(["mailsuite.socket"] * len(services))  # as systemd names those of one unit
    server.arguments = lambda: [activate, *variables, names, *addresses, *command]

    def knock():
        for _ in range(3000):
            try:
                return socket.create_connection(("127.0.0.1", server.port("smtp")), 60)
            except ConnectionRefusedError:
                threading.Event().wait(0.02)
        raise AssertionError("systemd-socket-activate does not listen")

    # The program is started by the first connection, which it then serves.
    first = []
    knocking = threading.Thread(target=lambda: first.append(knock()))
    knocking.start()
    server.start()
    knocking.join()
    try:
        assert first[0].recv(100).startswith(b"220 mx.example.test")
        with socket.create_connection(("127.0.0.1", server.port("imap")), 30) as client:
            assert client.recv(100).startswith(b"* OK")
        with socket.create_connection(("127.0.0.1", server.port("pop3")), 30) as client:
            assert client.recv(100).startswith(b"+OK")
    finally:
        first[0].close()
        assert server.stop() == 0


def test_the_reload_that_the_unit_names_is_the_signal_that_is_served(notified):
    server, listening = notified
    server.start()
    _next(listening, "READY=1")
    log = server.folder / "log" / "mail.log"
    log.rename(log.with_suffix(".1"))
    os.kill(server.process.pid, signal.SIGHUP)
    _next(listening, "RELOADING=1")
    _next(listening, "READY=1")
    assert log.exists()
    assert log.stat().st_mode & 0o777 == 0o600
    assert server.stop() == 0


def test_a_signal_while_the_server_starts_does_not_end_it(tmp_path):
    pidfile = tmp_path / "pid"
    server = MadeServer(tmp_path / "srv", "", "--pidfile", str(pidfile))

    def knock():
        server.eventually(lambda: pidfile.read_text() if pidfile.exists() else "", bool)
        os.kill(int(pidfile.read_text()), signal.SIGHUP)

    knocking = threading.Thread(target=knock)
    knocking.start()
    server.start()
    knocking.join()
    assert server.stop() == 0
