"""IMAP4rev2 and UTF8=ACCEPT: what ENABLE changes, and that nothing changes before."""

import unicodedata

import pytest

from mailsuite.imap.capabilities import without

ENABLES = [b"IMAP4rev2", b"UTF8=ACCEPT", b"utf8=accept", b"IMAP4REV2 UTF8=ACCEPT CONDSTORE"]
UMLAUT = "Entwürfe"
NAME = UMLAUT.encode()


@pytest.fixture
def client(suite):
    suite.account.put("INBOX", b"Subject: hello\r\n\r\ntext")
    return suite.connect().login()


@pytest.fixture
def rev2(client):
    client.ok(b"ENABLE IMAP4rev2")
    return client


@pytest.mark.parametrize("words", ENABLES)
def test_names_are_utf8_both_ways_once_the_client_has_said_so(client, suite, words):
    (line,) = client.ok(b"ENABLE " + words)
    assert line == b"* ENABLED " + words.upper()
    client.ok(b'CREATE "%b/x & y"' % NAME)
    assert f"{UMLAUT}/x & y" in suite.account.boxes
    lines = client.ok(b'LIST "" "%b*"' % NAME)
    assert any(line.endswith(b'"/" "%b"' % NAME) for line in lines)
    assert any(line.endswith(b'"/" "%b/x & y"' % NAME) for line in lines)
    (line,) = client.ok(b'STATUS "%b/x & y" (MESSAGES)' % NAME)
    assert line == b'* STATUS "%b/x & y" (MESSAGES 0)' % NAME
    client.ok(b"SELECT {%d+}\r\n%b/x & y" % (len(NAME) + 6, NAME))
    client.ok(b'SUBSCRIBE "%b/x & y"' % NAME)
    assert b'* LSUB () "/" "%b/x & y"' % NAME in client.ok(b'LSUB "" *')
    client.ok(b'RENAME "%b/x & y" "%b/z"' % (NAME, NAME))
    client.ok(b'DELETE "%b/z"' % NAME)


def test_names_are_modified_utf7_before(client, suite):
    client.ok(b"CREATE Entw&APw-rfe")
    assert UMLAUT in suite.account.boxes
    assert any(line.endswith(b" Entw&APw-rfe") for line in client.ok(b'LIST "" *'))
    assert client.run(b'SELECT "%b"' % NAME)[1].startswith(b"NO [CANNOT]")


def test_an_ampersand_is_itself_in_utf8(rev2, suite):
    rev2.ok(b"CREATE Entw&APw-rfe")
    assert "Entw&APw-rfe" in suite.account.boxes


@pytest.mark.parametrize("command", [b'SELECT "\xff"', b'LIST "" "\xc3"', b'CREATE "\xed\xa0\x80"', b'LIST "\xff" x'])
def test_what_is_no_utf8_is_refused(rev2, command):
    assert rev2.run(command)[1].startswith(b"BAD")


@pytest.mark.parametrize("command", [b'CREATE "a\x00b"', b'CREATE "a\xc2\x80b"', b'CREATE "a//b"', b'CREATE ".."'])
def test_hostile_names_are_refused_in_utf8_as_well(rev2, suite, command):
    boxes = set(suite.account.boxes)
    assert not rev2.run(command)[1].startswith(b"OK")
    assert set(suite.account.boxes) == boxes


def test_append_goes_to_a_name_in_utf8(rev2, suite):
    rev2.ok(b'CREATE "%b"' % NAME)
    assert b"a OK [APPENDUID" in rev2.send(b'a APPEND "%b" {4+}\r\n\r\nhi\r\n' % NAME)
    assert len(suite.account.boxes[UMLAUT].messages) == 1


def test_select_tells_the_name_and_nothing_of_recent(rev2, suite):
    lines = rev2.ok(b"SELECT INBOX")
    assert b'* LIST (\\HasNoChildren) "/" INBOX' in lines
    assert not [line for line in lines if b"RECENT" in line or b"UNSEEN" in line]
    assert b"* 1 FETCH (FLAGS ())" in rev2.ok(b"FETCH 1 FLAGS")
    suite.account.deliver("INBOX", b"Subject: new\r\n\r\n")
    assert rev2.ok(b"NOOP") == [b"* 2 EXISTS"]
    assert b"* 2 FETCH (FLAGS ())" in rev2.ok(b"FETCH 2 FLAGS")


def test_enable_in_a_selected_mailbox_forgets_recent(client, suite):
    client.select()
    client.ok(b"ENABLE IMAP4rev2")
    assert client.ok(b"FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS ())"]
    suite.account.deliver("INBOX", b"Subject: new\r\n\r\n")
    assert client.ok(b"NOOP") == [b"* 2 EXISTS"]


# RFC 9051 section 7.5.2: what is told unasked of a message's flags tells its UID as well


@pytest.fixture
def three(suite):
    """A mailbox whose UIDs are others than its numbers, and somebody else who has it open."""
    for number in range(4):
        suite.account.put("INBOX", b"Subject: %d\r\n\r\n" % number)
    other = suite.connect().login().select()
    other.ok(b"STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    other.ok(b"EXPUNGE")
    return other


@pytest.mark.parametrize("enables", [b"IMAP4rev2", b"IMAP4rev2 CONDSTORE"])
@pytest.mark.parametrize("command", [b"NOOP", b"FETCH 1 UID", b"SEARCH ALL", b"STATUS INBOX (UIDNEXT)", b"IDLE"])
def test_flags_that_others_changed_are_told_with_the_uid(client, three, enables, command):
    client.ok(b"ENABLE " + enables)
    client.select()
    three.ok(b"STORE 2 +FLAGS (\\Flagged)")
    told = [line for line in client.send(b"a " + command + b"\r\n").split(b"\r\n") if b"Flagged" in line]
    assert len(told) == 1
    assert told[0].startswith(b"* 2 FETCH (UID 4 FLAGS (\\Flagged)")


def test_flags_that_others_changed_are_told_without_it_before_enable(client, three):
    client.select()
    three.ok(b"STORE 2 +FLAGS (\\Flagged)")
    assert client.ok(b"NOOP") == [b"* 2 FETCH (FLAGS (\\Flagged))"]
    client.ok(b"ENABLE IMAP4rev2")
    three.ok(b"STORE 2 -FLAGS (\\Flagged)")
    assert client.ok(b"NOOP") == [b"* 2 FETCH (UID 4 FLAGS ())"]


def test_idle_tells_the_uid(rev2, three):
    rev2.select()
    rev2.send(b"a IDLE\r\n")
    three.ok(b"STORE 3 +FLAGS (\\Flagged)")
    assert rev2.received() == b"* 3 FETCH (UID 5 FLAGS (\\Flagged))\r\n"
    rev2.send(b"DONE\r\n")


def test_store_tells_the_uid_where_others_changed_flags_as_well(rev2, suite, three):
    rev2.select()
    box = suite.account.boxes["INBOX"]
    box.messages[4].flags |= {"\\Answered"}  # by another process, whose notice has not come yet
    assert rev2.ok(b"STORE 1:3 +FLAGS.SILENT (\\Seen)") == [b"* 2 FETCH (UID 4 FLAGS (\\Answered \\Seen))"]


def test_notify_tells_the_uid_of_flags_and_of_new_messages(rev2, suite, three):
    rev2.select()
    rev2.ok(b"NOTIFY SET (SELECTED (MessageNew (FLAGS) MessageExpunge FlagChange))")
    three.ok(b"STORE 1 +FLAGS (\\Flagged)")
    assert rev2.received() == b"* 1 FETCH (UID 3 FLAGS (\\Flagged))\r\n"
    suite.account.deliver("INBOX", b"Subject: new\r\n\r\n")
    rev2.settle()
    assert rev2.received() == b"* 4 EXISTS\r\n* 4 FETCH (UID 6 FLAGS ())\r\n"


def test_another_form_of_a_name_is_told(rev2, client, suite):
    decomposed = unicodedata.normalize("NFD", UMLAUT).encode()
    assert b'* LIST () "/" "%b" ("OLDNAME" ("%b"))' % (NAME, decomposed) in rev2.ok(b'CREATE "%b"' % decomposed)
    assert UMLAUT in suite.account.boxes
    told = b'* LIST (\\HasNoChildren) "/" "%b" ("OLDNAME" ("%b"))' % (NAME, decomposed)
    assert told in rev2.ok(b'SELECT "%b"' % decomposed)
    assert b'* LIST (\\HasNoChildren) "/" "%b"' % NAME in rev2.ok(b'EXAMINE "%b"' % NAME)
    assert b'* LIST (\\HasNoChildren) "/" INBOX' in rev2.ok(b"SELECT inbox")


def test_before_enable_no_name_is_told(client):
    assert client.ok(b"CREATE e&AwE-") == []
    assert not [line for line in client.ok(b"SELECT e&AwE-") if b"LIST" in line]


def test_search_always_answers_with_esearch(rev2):
    rev2.select()
    assert rev2.send(b"a SEARCH ALL\r\n").startswith(b'* ESEARCH (TAG "a") ALL 1\r\na OK')
    assert rev2.send(b"b UID SEARCH UNSEEN\r\n").startswith(b'* ESEARCH (TAG "b") UID ALL 1\r\nb OK')
    assert rev2.send(b"c SEARCH SEEN\r\n").startswith(b'* ESEARCH (TAG "c")\r\nc OK')
    assert rev2.send(b"d SORT (DATE) UTF-8 ALL\r\n").startswith(b"* SORT 1\r\nd OK")
    assert rev2.send(b"e SEARCH CHARSET UTF-8 ALL\r\n").startswith(b'* ESEARCH (TAG "e") ALL 1\r\ne OK')


def test_who_enables_utf8_names_no_charset(client):
    client.select()
    assert client.run(b"SEARCH CHARSET UTF-8 ALL")[1].startswith(b"OK")
    client.ok(b"ENABLE UTF8=ACCEPT")
    assert client.run(b"SEARCH CHARSET UTF-8 ALL")[1].startswith(b"BAD")
    assert client.run(b'SEARCH SUBJECT "\xc3\xbc"')[1].startswith(b"OK")
    assert client.run(b'SEARCH SUBJECT "\xc3"')[1].startswith(b"BAD")


APPENDS = [
    (b"UTF8 (~{4+}\r\n\r\nhi)", 1),
    (b"utf8 (~{4+}\r\n\r\nhi)", 1),
    (b'(\\Seen) "17-Jul-1996 02:44:25 -0700" UTF8 (~{4+}\r\n\r\nhi)', 1),
    (b"UTF8 (~{4+}\r\n\r\nhi) (\\Seen) UTF8 (~{4+}\r\n\r\nho)", 2),
    (b"UTF8 (~{4+}\r\n\r\nhi) {4+}\r\n\r\nho", 2),
    (b"{4+}\r\n\r\nhi UTF8 (~{4+}\r\n\r\nho)", 2),
]


@pytest.mark.parametrize(("arguments", "count"), APPENDS)
@pytest.mark.parametrize("octets_at_once", [1, 1000])
def test_a_message_with_utf8_is_appended(client, suite, arguments, count, octets_at_once):
    command = b"a APPEND INBOX %b\r\n" % arguments
    pieces = [command[at : at + octets_at_once] for at in range(0, len(command), octets_at_once)]
    answer = b"".join(map(client.send, pieces))
    assert b"a OK [APPENDUID" in answer
    assert [message.content for message in suite.account.boxes["INBOX"].messages.values()][1:] == [
        b"\r\nhi", b"\r\nho"
    ][:count]  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        b"UTF8 (~{4+}\r\n\r\nhi",
        b"UTF8 (~{4+}\r\n\r\nhi))",
        b"UTF8 (~{4+}\r\n\r\nhi) ",
        b"UTF8 ~{4+}\r\n\r\nhi",
        b"UTF7 (~{4+}\r\n\r\nhi)",
        b"UTF8 (~{4+}\r\n\r\nhi {4+}\r\n\r\nho)",
        b"{4+}\r\n\r\nhi)",
    ],
)
def test_an_append_that_is_not_written_so_is_refused_and_the_next_command_found(client, suite, arguments):
    answer = client.send(b"a APPEND INBOX %b\r\n" % arguments)
    assert b"a BAD" in answer
    assert len(suite.account.boxes["INBOX"].messages) == 1
    client.ok(b"NOOP")


def test_what_is_switched_off_is_neither_announced_nor_enabled(client):
    client.server.session.off = frozenset((b"IMAP4REV2", b"SORT", b"CONDSTORE", b"UTF8=ACCEPT"))
    words = client.ok(b"CAPABILITY")[0].split()
    assert not {b"IMAP4rev2", b"SORT", b"SORT=DISPLAY", b"CONDSTORE", b"UTF8=ACCEPT"} & set(words)
    assert {b"IMAP4rev1", b"QRESYNC", b"ESORT"} <= set(words)
    assert client.ok(b"ENABLE IMAP4rev2 CONDSTORE UTF8=ACCEPT") == [b"* ENABLED"]
    assert not client.server.session.is_rev2


def test_nothing_is_left_out_when_nothing_is_off():
    assert without((b"A", b"B=C"), frozenset()) == [b"A", b"B=C"]
    assert without((b"A", b"B=C", b"BD"), frozenset((b"B",))) == [b"A", b"BD"]


def test_select_tells_the_attributes_that_list_tells(rev2):
    rev2.ok(b"CREATE away (USE (\\Sent))")
    rev2.ok(b"CREATE away/old")
    (listed,) = rev2.ok(b'LIST "" away')
    assert listed == b'* LIST (\\HasChildren \\Sent) "/" away'
    assert listed in rev2.ok(b"SELECT away")
    assert b'* LIST (\\HasNoChildren) "/" away/old' in rev2.ok(b"EXAMINE away/old")


def test_another_form_of_a_name_is_told_where_it_goes(rev2):
    decomposed = unicodedata.normalize("NFD", UMLAUT).encode()
    rev2.ok(b"CREATE old")
    told = rev2.ok(b'RENAME old "%b"' % decomposed)
    assert told == [b'* LIST () "/" "%b" ("OLDNAME" (old))' % NAME]
    assert rev2.ok(b'RENAME "%b" plain' % decomposed) == [b'* LIST () "/" plain ("OLDNAME" ("%b"))' % decomposed]
    assert rev2.ok(b'RENAME plain "%b"' % NAME) == []
    told = rev2.ok(b'DELETE "%b"' % decomposed)
    assert told == [b'* LIST (\\NonExistent) "/" "%b" ("OLDNAME" ("%b"))' % (NAME, decomposed)]
