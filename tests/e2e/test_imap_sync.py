"""Clients that were away: what they are told when they come back, by a server on real sockets."""

import contextlib
import datetime as dt
import re

import pytest
from imap_words import ask, ok

MESSAGE = b"From: far@elsewhere.test\r\nSubject: %d\r\n\r\nhello\r\n"


@pytest.fixture
def session(demo, account):
    """Log in to a mailbox of this test's own, as often as is asked for."""
    login = account()
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(demo.imap(login))


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
    assert lines == [
        b"* 1 FETCH (UID 1 MODSEQ (%d))" % (began + 2),
        b"* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (%d))" % (began + 1),
    ]
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
    form = re.compile(rb"\(EMAILID \(([A-Za-z0-9_-]+)\) THREADID \(([A-Za-z0-9_-]+)\)\)")
    emails, threads = zip(*[form.search(line).groups() for line in lines], strict=True)
    assert len({*emails, *threads}) == 4
    ok(client, b"MOVE 2 bar")
    assert b"* OK [MAILBOXID (%b)] permanent id" % mailbox in ok(client, b"SELECT bar")
    assert ok(client, b"SEARCH EMAILID " + emails[1]) == [b"* SEARCH 1"]
    assert ok(client, b"SEARCH THREADID " + threads[1]) == [b"* SEARCH 1"]
    assert ok(client, b"SEARCH THREADID " + threads[0]) == [b"* SEARCH"]


def resync(client, uidvalidity, since):
    lines = ok(client, b"SELECT INBOX (QRESYNC (%d %d))" % (uidvalidity, since))
    return [line for line in lines if b"VANISHED" in line or b" FETCH " in line]


def test_qresync_tells_what_went_and_what_changed_in_one_pass(session):
    sleeper, other = session(), session()
    assert b"QRESYNC" in ok(sleeper, b"CAPABILITY")[0].split()
    append(other, 6)
    assert ok(sleeper, b"ENABLE QRESYNC") == [b"* ENABLED QRESYNC"]
    lines = ok(sleeper, b"SELECT INBOX")
    began = modseq(lines)
    (uidvalidity,) = map(int, re.findall(rb"\[UIDVALIDITY (\d+)\]", b"\n".join(lines)))
    ok(other, b"SELECT INBOX")
    ok(other, b"STORE 2,4 +FLAGS.SILENT (\\Deleted)")
    ok(other, b"EXPUNGE")
    lines, status = ask(sleeper, b"NOOP")
    assert lines[0] == b"* VANISHED 2,4"
    assert status.startswith(b"OK [HIGHESTMODSEQ %d]" % (began + 2))
    sleeper.logout()
    ok(other, b"STORE 3 +FLAGS.SILENT ($Work)")
    awake = session()
    ok(awake, b"ENABLE QRESYNC")
    changed = b"* 3 FETCH (UID 5 FLAGS ($Work) MODSEQ (%d))" % (began + 3)
    assert resync(awake, uidvalidity, began) == [b"* VANISHED (EARLIER) 2,4", changed]
    assert resync(awake, uidvalidity, began + 2) == [changed]
    assert resync(awake, uidvalidity + 1, began) == []
    assert ask(awake, b"SELECT Sent")[0][0].startswith(b"* OK [CLOSED]")
    ok(awake, b"SELECT INBOX")
    assert ok(awake, b"UID FETCH 1:5 (UID) (CHANGEDSINCE %d VANISHED)" % (began + 3)) == []
    ok(awake, b"UID STORE 1 +FLAGS.SILENT (\\Deleted)")
    lines, status = ask(awake, b"UID EXPUNGE 1")
    assert lines == [b"* VANISHED 1"]
    assert status.startswith(b"OK [HIGHESTMODSEQ %d]" % (began + 5))


@pytest.mark.slow
def test_ten_thousand_changes_are_told_to_who_slept(session):
    sleeper, other = session(), session()
    for _ in range(10):
        messages = b" ".join(b"{%d+}\r\n%b" % (len(MESSAGE), MESSAGE) for _ in range(1000))
        ok(other, b"APPEND INBOX " + messages)
    ok(sleeper, b"ENABLE QRESYNC")
    lines = ok(sleeper, b"SELECT INBOX")
    began = modseq(lines)
    (uidvalidity,) = map(int, re.findall(rb"\[UIDVALIDITY (\d+)\]", b"\n".join(lines)))
    sleeper.logout()
    ok(other, b"SELECT INBOX")
    ok(other, b"STORE 1:5000 +FLAGS.SILENT (\\Deleted)")
    ok(other, b"EXPUNGE")
    ok(other, b"STORE 1:5000 +FLAGS.SILENT (\\Seen)")
    awake = session()
    ok(awake, b"ENABLE QRESYNC")
    lines = resync(awake, uidvalidity, began)
    vanished = [line for line in lines if b"VANISHED (EARLIER)" in line]
    assert lines[: len(vanished)] == vanished
    ranges = [pair.split(b":") for line in vanished for pair in line.split()[-1].split(b",")]
    assert [uid for pair in ranges for uid in range(int(pair[0]), int(pair[-1]) + 1)] == list(range(1, 5001))
    assert len(lines) == len(vanished) + 5000
    assert lines[-1].startswith(b"* 5000 FETCH (UID 10000 FLAGS (\\Seen) MODSEQ (")
