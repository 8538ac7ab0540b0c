"""REPLACE: a message comes and another one goes, as one thing."""

import pytest

from mailsuite.errors import Kind, MailError


@pytest.fixture
def client(suite):
    for number in range(3):
        suite.account.put("INBOX", b"old %d" % number)
    suite.account.add_box("Drafts")
    return suite.connect().login().select()


def contents(suite, name="INBOX"):
    return [message.content for message in suite.account.boxes[name].messages.values()]


def test_a_draft_is_replaced_in_its_mailbox(suite, client):
    assert client.send(b'a REPLACE 2 INBOX (\\Draft kw) "17-Jul-1996 02:44:25 -0700" {3}\r\n').startswith(b"+ ")
    answer = client.send(b"new\r\n").split(b"\r\n")
    assert answer[0] == b"* OK [APPENDUID 7 4] the replacement is stored"
    assert answer[1:3] == [b"* 2 EXPUNGE", b"* 3 EXISTS"]
    assert answer[-2] == b"a OK REPLACE completed"
    message = suite.account.boxes["INBOX"].messages[4]
    assert (message.content, message.flags, message.date) == (b"new", {"\\Draft", "kw"}, 837596665)
    assert contents(suite) == [b"old 0", b"old 2", b"new"]
    assert suite.account.calls.count("replace") == 1


def test_the_new_message_may_go_elsewhere(suite, client):
    answer = client.send(b"a UID REPLACE 2 Drafts {3+}\r\nnew\r\n").split(b"\r\n")
    assert answer == [
        b"* OK [APPENDUID 7 1] the replacement is stored",
        b"* 2 EXPUNGE",
        b"* 2 RECENT",
        b"a OK REPLACE completed",
        b"",
    ]
    assert (contents(suite), contents(suite, "Drafts")) == ([b"old 0", b"old 2"], [b"new"])


@pytest.mark.parametrize("command", [b"REPLACE", b"UID REPLACE"])
def test_the_star_is_the_last_message(suite, client, command):
    assert b"* 3 EXPUNGE\r\n" in client.send(b"a %b * INBOX {3+}\r\nnew\r\n" % command)
    assert contents(suite) == [b"old 0", b"old 1", b"new"]


def test_nothing_is_taken_over_from_the_old_message(suite, client):
    client.ok(b"STORE 1 +FLAGS (\\Flagged)")
    client.send(b"a REPLACE 1 INBOX {3+}\r\nnew\r\n")
    assert suite.account.boxes["INBOX"].messages[4].flags == frozenset()


def test_who_uses_qresync_hears_which_uid_vanished(suite, client):
    client.ok(b"ENABLE QRESYNC")
    answer = client.send(b"a REPLACE 2 Drafts {3+}\r\nnew\r\n")
    assert b"* VANISHED 2\r\n* 2 RECENT\r\na OK [HIGHESTMODSEQ " in answer
    assert b"EXPUNGE" not in answer


def test_a_mailbox_that_is_open_for_reading_keeps_its_message(suite, client):
    client.ok(b"EXAMINE INBOX")
    assert client.send(b"a REPLACE 1 INBOX {3}\r\n").startswith(b"a NO [READ-ONLY]")
    assert client.send(b"b REPLACE 1 INBOX {3+}\r\nnew\r\nc NOOP\r\n").startswith(b"b NO [READ-ONLY]")
    assert len(contents(suite)) == 3
    client.ok(b"NOOP")


@pytest.mark.parametrize("command", [b"REPLACE 4", b"UID REPLACE 99"])
def test_a_message_that_never_was_cannot_be_replaced(suite, client, command):
    assert client.send(b"a %b INBOX {3}\r\n" % command).startswith(b"a NO [NONEXISTENT]")
    client.ok(b"NOOP")


def test_a_message_that_somebody_else_expunged_is_not_replaced(suite, client):
    del suite.account.boxes["INBOX"].messages[2]
    assert client.send(b"a REPLACE 2 INBOX {3}\r\n").startswith(b"a NO [EXPUNGEISSUED]")
    assert len(contents(suite)) == 2


def test_a_message_that_goes_while_the_new_one_comes_is_not_replaced(suite, client):
    client.send(b"a REPLACE 2 INBOX {3}\r\n")
    other = suite.connect().login().select()
    other.ok(b"STORE 2 +FLAGS (\\Deleted)")
    other.ok(b"EXPUNGE")
    answer = client.send(b"new\r\n")
    assert b"APPENDUID" not in answer
    assert b"* 2 EXPUNGE\r\n* 2 RECENT\r\na NO [EXPUNGEISSUED]" in answer
    assert contents(suite) == [b"old 0", b"old 2"]


def test_a_missing_mailbox_asks_for_create(suite, client):
    assert client.send(b"a REPLACE 1 none {3+}\r\nnew\r\n").startswith(b"a NO [TRYCREATE]")
    assert client.send(b"b REPLACE 1 none {100000}\r\n").startswith(b"b NO [TRYCREATE]")
    assert len(contents(suite)) == 3


def test_a_store_that_fails_loses_neither(suite, client):
    client.send(b"a REPLACE 1 INBOX {3}\r\n")
    suite.account.failure = MailError(Kind.UNAVAILABLE, "no disk")
    answer = client.send(b"new\r\n")
    assert answer.startswith(b"a NO [UNAVAILABLE]")
    assert contents(suite) == [b"old 0", b"old 1", b"old 2"]


def test_only_what_is_more_counts_against_the_quota(suite, client):
    suite.account.limit = 20  # of which 15 are used
    assert client.send(b"a APPEND INBOX {6}\r\n").startswith(b"a NO [OVERQUOTA]")
    assert client.send(b"b REPLACE 1 INBOX {11}\r\n").startswith(b"b NO [OVERQUOTA]")
    assert client.send(b"c REPLACE 1 INBOX {10}\r\n").startswith(b"+ ")
    assert b"c OK" in client.send(b"0123456789\r\n")


def test_a_large_message_goes_to_a_file_while_it_comes(suite, client):
    client.send(b"a REPLACE 1 Drafts {200000}\r\n")
    (file,) = suite.account.files
    client.send(b"x" * 150_000)
    assert len(file.octets) == 150_000
    assert b"a OK" in client.send(b"x" * 50_000 + b"\r\n")
    assert contents(suite, "Drafts") == [b"x" * 200_000]
    assert not file.aborted


def test_a_large_message_that_does_not_come_whole_replaces_nothing(suite, client):
    client.send(b"a REPLACE 1 Drafts {200000}\r\n")
    client.send(b"x" * 150_000)
    client.transport.loseConnection()
    assert suite.account.files[0].aborted
    assert (len(contents(suite)), contents(suite, "Drafts")) == (3, [])


def test_one_message_is_replaced_by_one(suite, client):
    answer = client.send(b"a REPLACE 1 INBOX {3+}\r\nnew {3+}\r\nmor\r\nb NOOP\r\n")
    assert answer.startswith(b"a BAD ")
    assert b"b OK" in answer
    assert contents(suite) == [b"old 0", b"old 1", b"old 2"]


@pytest.mark.parametrize("rest", [b" junk", b")", b" (\\Seen)"])
def test_text_behind_the_message_is_bad_and_nothing_is_replaced(suite, client, rest):
    assert client.send(b"a REPLACE 1 INBOX {3+}\r\nnew" + rest + b"\r\n").startswith(b"a BAD")
    assert contents(suite) == [b"old 0", b"old 1", b"old 2"]


@pytest.mark.parametrize(
    "line", [b"a REPLACE 1 INBOX", b"a REPLACE 1:2 INBOX {3+}\r\nnew", b"a REPLACE $ INBOX {3+}\r\nnew"]
)
def test_what_cannot_be_read_is_bad(client, line):
    assert client.send(line + b"\r\n").startswith(b"a BAD ")
    client.ok(b"NOOP")


def test_nul_is_refused_and_the_session_goes_on(suite, client):
    assert client.send(b"a REPLACE 1 INBOX {3+}\r\na\0b\r\nb NOOP\r\n").startswith(b"a NO ")
    assert len(contents(suite)) == 3


def test_an_empty_message_replaces_nothing(suite, client):
    assert client.send(b"a REPLACE 1 INBOX {0}\r\n").startswith(b"a NO an empty message")
    assert client.send(b"b REPLACE 1 INBOX {0+}\r\n\r\nc NOOP\r\n").startswith(b"b NO an empty message")
    assert len(contents(suite)) == 3


def test_who_wants_to_hear_of_nothing_hears_what_it_has_removed(suite, client):
    client.ok(b"NOTIFY SET (PERSONAL (MessageNew MessageExpunge))")
    answer = client.send(b"a REPLACE 2 Drafts {3+}\r\nnew\r\n")
    assert b"* 2 EXPUNGE\r\n" in answer


def test_who_is_told_of_new_messages_is_told_nothing_of_its_own(suite, client):
    client.ok(b"NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge))")
    answer = client.send(b"a REPLACE 2 INBOX {3+}\r\nnew\r\n")
    assert b"* 2 EXPUNGE\r\n* 3 EXISTS\r\n" in answer
    assert b"FETCH" not in answer + client.send(b"b NOOP\r\n")


def test_who_uses_uids_alone_replaces_by_uid(suite, client):
    client.ok(b"ENABLE UIDONLY")
    assert client.send(b"a REPLACE 2 Drafts {3}\r\n").startswith(b"a BAD [UIDREQUIRED]")
    answer = client.send(b"b UID REPLACE 2 Drafts {3+}\r\nnew\r\n")
    assert b"* VANISHED 2\r\n" in answer
    assert b"b OK" in answer
