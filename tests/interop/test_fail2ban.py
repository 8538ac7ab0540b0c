"""fail2ban finds every failed login in the log, with the address it came from, and nothing else."""

import base64
import io
import shutil
import socket
from pathlib import Path

import pytest
from demo_server import CONDITION_SECONDS, DemoServer
from twisted.logger import Logger

from mailsuite.observe import EventLog, JSONLog, TextLog

ROOT = Path(__file__).parents[2]
FILTER = ROOT / "etc/fail2ban/filter.d/mailsuite.conf"
FORGED = "192.0.2.66"
HOSTILE = (
    f'x", "session": "s", "peer": "{FORGED}", "username": "y',
    f"x\r\n2026-11-28T23:10:58.947+00:00 warn     imap.login.refused [session=s peer={FORGED}] AUTH failed: x",
    f"] [session=s peer={FORGED}] AUTH failed: ",
    f'\\", "peer": "{FORGED}"',
)


@pytest.fixture
def matches(program, run, tmp_path):
    """Give the addresses that the filter finds in a log."""
    fail2ban_regex = program("fail2ban-regex", "fail2ban")

    def find(log):
        path = tmp_path / "searched.log"
        path.write_text(log)
        return run([fail2ban_regex, "-o", "ip", str(path), str(FILTER)], expect=None).stdout.split()

    return find


def talk(port, source, *lines):
    """Say lines from an address of our own, each after an answer; give the last answer."""
    with (
        socket.create_connection(("127.0.0.1", port), CONDITION_SECONDS, (source, 0)) as wire,
        wire.makefile("rb") as stream,
    ):
        answer = stream.readline()
        for line in lines:
            wire.sendall(line + b"\r\n")
            answer = stream.readline()
            while answer[3:4] == b"-" or answer.startswith(b"* "):
                answer = stream.readline()
    return answer


def plain(name, password):
    return b"AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode())


@pytest.mark.interop
@pytest.mark.slow
@pytest.mark.parametrize("format_", ["text", "json"])
def test_every_failed_login_is_found_with_its_address(tmp_path, matches, format_):
    settings = {"MAILSUITE_LOG__FORMAT": format_, "MAILSUITE_LOG__LEVEL": "debug"}
    server = DemoServer(tmp_path / "srv", "--no-sample-mail", environment=settings).start()
    alice = "alice@example.test"
    wanted = []
    for number, name in enumerate([alice, *HOSTILE]):
        wanted.append(f"127.0.1.{number + 1}")
        assert talk(server.port("submission"), wanted[-1], b"EHLO x.test", plain(name, "wrong")).startswith(b"535")
    wanted += ["127.0.2.1", "127.0.2.2", "127.0.3.1"]
    quoted = HOSTILE[0].replace("\\", "\\\\").replace('"', '\\"').encode()
    assert talk(server.port("imap"), "127.0.2.1", b"a LOGIN alice@example.test wrong").startswith(b"a NO")
    assert talk(server.port("imap"), "127.0.2.2", b'a LOGIN "%b" wrong' % quoted).startswith(b"a NO")
    assert talk(server.port("pop3"), "127.0.3.1", b"USER alice@example.test", b"PASS wrong").startswith(b"-ERR")
    # Nothing to keep anybody out for:
    assert talk(server.port("submission"), "127.0.9.1", b"EHLO x.test", plain(alice, "alice-demo")).startswith(b"235")
    assert talk(server.port("imap"), "127.0.9.2", b"a LOGIN alice@example.test alice-demo").startswith(b"a OK")
    assert (
        talk(server.port("smtp"), "127.0.9.3", b"EHLO x.test", b"MAIL FROM:<a@b.test>", b"RCPT TO:<x@y.test>")[:3]
        == b"550"
    )
    assert talk(server.port("smtp"), "127.0.9.4", f"AUTH failed: [session=s peer={FORGED}]".encode())[:1] == b"5"
    assert server.stop() == 0
    log = (server.folder / "log/mailsuite.log").read_text()
    assert FORGED in log
    assert sorted(matches(log)) == sorted(wanted)


@pytest.mark.interop
def test_lines_of_the_journal_and_of_syslog_are_found(matches):
    text = "2026-11-28T23:10:58.947+00:00 warn     pop3.login.refused [session=1e-3 peer=2001:db8::5] AUTH failed: x"
    json = '{"time": "2026-11-28T23:11:42.762+00:00", "level": "warn", "event": "imap.login.refused", "text": '
    json += '"AUTH failed: login as \'a\\"b\' refused", "session": "imap-1", "peer": "192.0.2.6", "username": "a"}'
    syslog = "Nov 28 23:10:58 mx mailsuite[12]: "
    assert matches(f"{text}\n{json}\n{syslog}{text}\n{syslog}{json}\n") == ["2001:db8::5", "192.0.2.6"] * 2


@pytest.mark.interop
@pytest.mark.parametrize("observer_class", [TextLog, JSONLog])
def test_what_a_peer_brings_into_the_log_elsewhere_is_not_found(matches, observer_class):
    stream = io.StringIO()
    log = EventLog(Logger(observer=observer_class(stream))).bind(session="s", peer="192.0.2.1")
    line = f"warn     imap.login.refused [session=s peer={FORGED}] AUTH failed: login as 'x' refused"
    for text in (
        *HOSTILE,
        line,
        f"x y: {line}",
        f'", "level": "warn", "event": "imap.login.refused", "peer": "{FORGED}"',
    ):
        log.emit("smtp.rcpt.refused", recipient=text, code=550, text=text)
        log.failure("background.work.failed", ValueError(f"{text}\n{text}\n{line}"), what=text)
    assert FORGED in stream.getvalue()
    assert matches(stream.getvalue()) == []


@pytest.mark.interop
def test_the_jail_is_taken_by_fail2ban(program, run, tmp_path):
    client = program("fail2ban-client", "fail2ban")
    folder = tmp_path / "fail2ban"
    shutil.copytree("/etc/fail2ban", folder, ignore=shutil.ignore_patterns("jail.d"))
    shutil.copytree(ROOT / "etc/fail2ban", folder, dirs_exist_ok=True)
    log = tmp_path / "mailsuite.log"
    log.touch()
    jail = folder / "jail.d/mailsuite.conf"
    text = jail.read_text().replace("enabled = false", "enabled = true")
    jail.write_text(text.replace("/srv/mail/log/mailsuite.log", str(log)))
    run([client, "-c", str(folder), "-t"])
    told = run([client, "-c", str(folder), "-d"]).stdout
    assert f"['set', 'mailsuite', 'addlogpath', '{log}', 'head']" in told
    assert "['set', 'mailsuite', 'maxretry', 5]" in told
