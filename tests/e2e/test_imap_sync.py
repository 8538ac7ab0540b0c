"""Clients that were away: what they are told when they come back, by a server on real sockets."""

import contextlib
import datetime as dt
import re

import pytest

MESSAGE = b"From: far@elsewhere.test\r\nSubject: %d\r\n\r\nhello\r\n"


@pytest.fixture
def session(demo, account):
    """Log in to a mailbox of this test's own, as often as is asked for."""
    login = account()
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(demo.imap(login))


def ask(client, command):
    """Run one command; give its untagged lines and the tagged one."""
    tag = client._new_tag()
    client.send(tag + b" " + command + b"\r\n")
    lines = []
    while True:
        line = client.readline().rstrip(b"\r\n")
        if line.startswith(tag + b" "):
            return lines, line[len(tag) + 1 :]
        lines.append(line)


def ok(client, command):
    lines, status = ask(client, command)
    assert status.startswith(b"OK"), (command, status)
    return lines


def modseq(lines):
    (found,) = re.findall(rb"\[HIGHESTMODSEQ (\d+)\]", b"\n".join(lines))
    return int(found)


def append(client, count, first=0):
    for number in range(first, first + count):
        assert client.append("INBOX", None, None, MESSAGE % number)[0] == "OK"


def test_condstore_tells_what_changed_and_refuses_what_is_too_late(session):
    sleeper, other = session(), session()
    assert b"CONDSTORE" in ok(sleeper, b"CAPABILITY")[0].split()
    append(other, 5)
    began = modseq(ok(sleeper, b"SELECT INBOX (CONDSTORE)"))
    assert ok(sleeper, b"STATUS INBOX (HIGHESTMODSEQ)") == [b"* STATUS INBOX (HIGHESTMODSEQ %d)" % began]
    sleeper.logout()
    ok(other, b"SELECT INBOX")
    ok(other, b"STORE 2:3 +FLAGS (\\Flagged)")
    awake = session()
    assert modseq(ok(awake, b"SELECT INBOX (CONDSTORE)")) == began + 1
    assert ok(awake, b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)" % began) == [
        b"* %d FETCH (UID %d FLAGS (\\Flagged) MODSEQ (%d))" % (number, number, began + 1) for number in (2, 3)
    ]
    assert ok(awake, b"UID SEARCH MODSEQ %d" % (began + 1)) == [b"* SEARCH 2 3 (MODSEQ %d)" % (began + 1)]
    lines, status = ask(awake, b"STORE 1:2 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Seen)" % began)
    assert lines == [b"* 1 FETCH (UID 1 MODSEQ (%d))" % (began + 2)]
    assert status.startswith(b"OK [MODIFIED 2]")
    lines = ok(other, b"NOOP")
    assert b"* 1 FETCH (FLAGS (\\Recent \\Seen))" in lines or b"* 1 FETCH (FLAGS (\\Seen))" in lines


def test_savedate_is_when_a_message_came_into_its_mailbox(session):
    client = session()
    assert b"SAVEDATE" in ok(client, b"CAPABILITY")[0].split()
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    assert client.append("INBOX", None, '"01-Jan-2001 00:00:00 +0000"', MESSAGE % 1)[0] == "OK"
    ok(client, b"SELECT INBOX")
    (line,) = ok(client, b"FETCH 1 (SAVEDATE)")
    (text,) = re.findall(rb'SAVEDATE "(.*)"', line)
    saved = dt.datetime.strptime(text.decode().strip(), "%d-%b-%Y %H:%M:%S %z")
    assert before <= saved <= dt.datetime.now(dt.UTC)
    day = saved.strftime("%d-%b-%Y").encode()
    assert ok(client, b"SEARCH SAVEDON " + day) == [b"* SEARCH 1"]
    assert ok(client, b"SEARCH SAVEDBEFORE " + day) == [b"* SEARCH"]
    assert ok(client, b"SEARCH BEFORE " + day + b" SAVEDATESUPPORTED") == [b"* SEARCH 1"]


def test_objectid_names_mailboxes_and_messages_for_good(session):
    client = session()
    assert b"OBJECTID" in ok(client, b"CAPABILITY")[0].split()
    _, status = ask(client, b"CREATE foo")
    (mailbox,) = re.findall(rb"^OK \[MAILBOXID \(([A-Za-z0-9_-]+)\)\]", status)
    ok(client, b"RENAME foo bar")
    assert ok(client, b"STATUS bar (MAILBOXID)") == [b"* STATUS bar (MAILBOXID (%b))" % mailbox]
    append(client, 2)
    ok(client, b"SELECT INBOX")
    lines = ok(client, b"FETCH 1:2 (EMAILID THREADID)")
    emails = [re.search(rb"\(EMAILID \(([A-Za-z0-9_-]+)\) THREADID NIL\)", line)[1] for line in lines]
    assert len(set(emails)) == 2
    ok(client, b"MOVE 2 bar")
    assert b"* OK [MAILBOXID (%b)] permanent id" % mailbox in ok(client, b"SELECT bar")
    assert ok(client, b"SEARCH EMAILID " + emails[1]) == [b"* SEARCH 1"]
