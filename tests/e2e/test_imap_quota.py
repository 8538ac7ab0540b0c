"""SETQUOTA on a server with two workers: what an administrator sets holds at once, in every open session."""

import json
import smtplib

import pytest
from demo_server import DemoServer, Login
from imap_words import announced, ask, connections, connections_of_workers, ok

ADMIN = Login("admin@example.test", "admin-demo")
WORKERS = 2
SESSIONS = 6
KIB = 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    environment = {
        "MAILSUITE_SERVER__WORKERS": str(WORKERS),
        "MAILSUITE_LIMITS__RATES": "false",
        "MAILSUITE_LOG__FORMAT": "json",
    }
    made = DemoServer(tmp_path_factory.mktemp("quota") / "srv", "--no-sample-mail", environment=environment).start()
    yield made
    assert made.stop() == 0, "".join(made.output[-50:])


@pytest.fixture
def connect(server):
    with connections(server) as log_in:
        yield log_in


@pytest.fixture
def bob(server):
    return server.add_account()


@pytest.fixture
def sessions(server, connect, bob):
    """Sessions of Bob in all workers."""
    clients = [connect(bob) for _ in range(SESSIONS)]
    spread = connections_of_workers(server)
    assert all(spread[f"worker-{number}"] for number in range(WORKERS)), spread
    return clients


def root_of(login):
    return b"Users/" + login.email.encode()


def info(server, login):
    return json.loads(server.command("user", "info", login.email, "--json").stdout)


def append(client, octets):
    return client.append("INBOX", None, None, b"x" * octets)


def test_an_administrator_sets_a_quota_and_open_sessions_obey_at_once(server, connect, bob, sessions):
    admin = connect(ADMIN)
    assert b"QUOTASET" in announced(admin)
    for kib in (3, 2, 7, 2):
        set_ = ok(admin, b"SETQUOTA %b (STORAGE %d)" % (root_of(bob), kib))
        assert set_ == [b"* QUOTA %b (STORAGE 0 %d)" % (root_of(bob), kib)]
        for client in sessions:
            assert ok(client, b'GETQUOTA ""') == [b'* QUOTA "" (STORAGE 0 %d)' % kib]
    for client in sessions:
        status, text = append(client, 2 * KIB + 1)
        assert status == "NO"
        assert text[0].startswith(b"[OVERQUOTA]")
    assert append(sessions[0], 2 * KIB)[0] == "OK"
    assert ok(admin, b"GETQUOTA " + root_of(bob)) == [b"* QUOTA %b (STORAGE 2 2)" % root_of(bob)]
    assert info(server, bob)["quota_octets"] == 2 * KIB
    for _ in range(SESSIONS):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            server.send(bob, "Subject: no room\r\n\r\nbody\r\n")
        assert caught.value.recipients[bob.email][0] == 452
    assert ok(admin, b"SETQUOTA %b ()" % root_of(bob)) == [b"* QUOTA %b ()" % root_of(bob)]
    for client in sessions:
        assert append(client, 2 * KIB)[0] == "OK"
    assert info(server, bob)["quota_octets"] == 0
    changes = server.eventually(lambda: told(server, bob), lambda found: len(found) == 5)
    assert changes[-2:] == [(7 * KIB, 2 * KIB), (2 * KIB, 0)]


def told(server, login):
    """Give what the log says about the quota of an account."""
    lines = (server.folder / "log" / "mailsuite.log").read_text().splitlines()
    events = [json.loads(line) for line in lines if "imap.quota.changed" in line]
    changes = [each for each in events if each["owner"] == login.email]
    assert all(each["account"] == ADMIN.email and each["session"] for each in changes)
    return [(each["before_octets"], each["limit_octets"]) for each in changes]


def test_a_quota_that_the_command_line_sets_holds_in_open_sessions_as_well(server, bob, sessions):
    server.command("user", "quota", bob.email, "1K")
    for client in sessions:
        assert ok(client, b'GETQUOTA ""') == [b'* QUOTA "" (STORAGE 0 1)']
        assert append(client, KIB + 1)[1][0].startswith(b"[OVERQUOTA]")


def test_who_is_no_administrator_is_refused_and_learns_nothing(server, connect, bob):
    client = connect(bob)
    assert b"QUOTASET" not in announced(client)
    for name in (root_of(bob), root_of(ADMIN), b"Users/nobody@example.test", b'""'):
        lines, status = ask(client, b"SETQUOTA %b (STORAGE 1)" % name)
        assert (lines, status) == ([], b"NO [NOPERM] quotas are set by the administrators of this server")
    for name in (root_of(bob), root_of(ADMIN), b"Users/nobody@example.test"):
        assert ask(client, b"GETQUOTA " + name) == ([], b"NO [NONEXISTENT] no such quota root")
    assert info(server, bob)["quota_octets"] == 0


def test_what_cannot_be_set_changes_nothing_and_what_is_set_survives_a_kill(server, connect, bob):
    admin = connect(ADMIN)
    ok(admin, b"SETQUOTA %b (STORAGE 9)" % root_of(bob))
    for limits in (b"(STORAGE 1 MESSAGE 1)", b"(STORAGE 0)", b"(STORAGE 9223372036854775807)"):
        assert ask(admin, b"SETQUOTA %b %b" % (root_of(bob), limits))[1].startswith(b"NO [CANNOT]")
    assert ask(admin, b"SETQUOTA %b (STORAGE 9223372036854775808)" % root_of(bob))[1].startswith(b"BAD ")
    assert ask(admin, b"SETQUOTA Users/nobody@example.test ()")[1].startswith(b"NO [NONEXISTENT]")
    server.kill()
    assert info(server, bob)["quota_octets"] == 9 * KIB
    server.start()
    assert ok(connect(ADMIN), b"GETQUOTA " + root_of(bob)) == [b"* QUOTA %b (STORAGE 0 9)" % root_of(bob)]
