"""UIDONLY: no sequence number, either way."""

import re

import pytest

from mailsuite.imap import responses


@pytest.fixture
def client(suite, mail):
    for number in range(4):
        suite.account.put("INBOX", mail(str(number)))
    client = suite.connect().login()
    assert client.ok(b"ENABLE UIDONLY") == [b"* ENABLED UIDONLY"]
    client.select()
    client.ok(b"UID STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok(b"EXPUNGE")
    return client


NUMBERED = [
    b"FETCH 1 FLAGS", b"STORE 1 FLAGS ()", b"COPY 1 INBOX", b"MOVE 1 INBOX", b"SEARCH ALL", b"SORT (DATE) UTF-8 ALL",
    b"THREAD REFERENCES UTF-8 ALL", b"UID SEARCH 1:2", b"UID SEARCH NOT 1", b"UID SEARCH 1,$",
    b"UID SORT (DATE) UTF-8 1:*",
]  # fmt: skip


@pytest.mark.parametrize("command", NUMBERED)
def test_numbers_are_refused(client, command):
    assert client.run(command)[1].startswith(b"BAD [UIDREQUIRED] ")


def test_what_was_saved_is_no_number(client):
    client.ok(b"UID SEARCH RETURN (SAVE) ALL")
    assert client.ok(b"UID SEARCH $") == [b"* SEARCH 2 3 4"]
    assert len(client.ok(b"UID FETCH $ (UID)")) == 3


def test_numbers_of_a_former_session_are_refused(client):
    client.ok(b"ENABLE QRESYNC")
    assert client.run(b"SELECT INBOX (QRESYNC (7 1 1:4 (1:2 1:2)))")[1].startswith(b"BAD [UIDREQUIRED] ")
    client.ok(b"SELECT INBOX (QRESYNC (7 1 1:4))")


@pytest.mark.parametrize(
    "items",
    [
        b"FLAGS",
        b"(UID FLAGS MODSEQ)",
        b"(FLAGS RFC822.SIZE ENVELOPE)",
        b"BODY.PEEK[]",
        b"BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
    ],
)
def test_fetch_answers_with_uids(client, items):
    answer = b"\r\n".join(client.ok(b"UID FETCH 1:* " + items))
    assert re.findall(rb"^\* (\d+) (\w+) \(UID (\d+)", answer, re.MULTILINE) == [
        (b"%d" % uid, b"UIDFETCH", b"%d" % uid) for uid in (2, 3, 4)
    ]


def test_store_and_what_others_do_are_told_by_uid(client, suite):
    other = suite.connect().login().select()
    assert client.ok(b"UID STORE 3 +FLAGS (\\Seen)")[0].startswith(b"* 3 UIDFETCH (UID 3 FLAGS (")
    other.ok(b"STORE 1 +FLAGS (\\Flagged)")
    assert client.ok(b"NOOP")[0].startswith(b"* 2 UIDFETCH (FLAGS (")
    other.ok(b"STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    client.ok(b"NOOP")
    other.ok(b"EXPUNGE")
    lines = client.ok(b"NOOP")
    assert lines[0] == b"* VANISHED 2:3"
    assert not [line for line in lines if b"EXPUNGE" in line]
    assert client.ok(b"UID SEARCH ALL") == [b"* SEARCH 4"]
    assert client.ok(b"UID FETCH 4 (UID)") == [b"* 4 UIDFETCH (UID 4)"]


def test_changes_since_a_modseq_are_told_by_uid(client):
    client.ok(b"UID STORE 3 +FLAGS (\\Seen)")
    lines = client.ok(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1)")
    told = [line for line in lines if b"FETCH" in line]
    assert len(told) == 3
    assert all(re.match(rb"\* (\d+) UIDFETCH \(UID \1 ", line) for line in told)


def test_select_names_no_unseen_message(client):
    assert not [line for line in client.ok(b"SELECT INBOX") if b"UNSEEN" in line]


def test_others_still_hear_of_numbers(client, suite):
    other = suite.connect().login().select()
    assert other.ok(b"FETCH 1 FLAGS")[0].startswith(b"* 1 FETCH (")
    assert responses.fetch_flags_line(1, ()) == b"* 1 FETCH (FLAGS ())\r\n"
