"""STORE, EXPUNGE, COPY, MOVE; and sessions that share a mailbox."""

import re

import pytest

from mailsuite.errors import Kind, MailError


@pytest.fixture
def client(suite, mail):
    for number in range(4):
        suite.account.put("INBOX", mail(str(number)))
    suite.account.add_box("other")
    client = suite.connect().login().select()
    client.ok(b"NOOP")
    return client


def flags(suite, uid):
    return suite.account.boxes["INBOX"].messages[uid].flags


# STORE


def test_store_tells_the_new_flags(suite, client):
    assert client.ok(b"STORE 1:2 +FLAGS (\\Seen \\flagged)") == [
        b"* 1 FETCH (FLAGS (\\Flagged \\Recent \\Seen))",
        b"* 2 FETCH (FLAGS (\\Flagged \\Recent \\Seen))",
    ]
    assert client.ok(b"STORE 1 -FLAGS \\Seen") == [b"* 1 FETCH (FLAGS (\\Flagged \\Recent))"]
    assert client.ok(b"STORE 1 FLAGS (\\Draft)") == [b"* 1 FETCH (FLAGS (\\Draft \\Recent))"]
    assert client.ok(b"STORE 1 FLAGS ()") == [b"* 1 FETCH (FLAGS (\\Recent))"]
    assert flags(suite, 1) == frozenset()
    assert flags(suite, 2) == {"\\Seen", "\\Flagged"}


def test_uid_store_tells_the_uid(client):
    assert client.ok(b"UID STORE 2 +FLAGS (\\Seen)") == [b"* 2 FETCH (UID 2 FLAGS (\\Recent \\Seen))"]


def test_silent_store_is_silent_then_and_later(suite, client):
    assert client.ok(b"STORE 1 +FLAGS.SILENT (\\Seen)") == []
    assert client.ok(b"NOOP") == []
    assert flags(suite, 1) == {"\\Seen"}


def test_silence_is_broken_where_others_changed_as_well(suite, client):
    other_session_sets(suite, 2, "$Others")
    lines = client.ok(b"STORE 1:3 +FLAGS.SILENT (\\Seen)")
    assert lines[0].startswith(b"* FLAGS (")
    assert lines[2:] == [b"* 2 FETCH (FLAGS ($Others \\Recent \\Seen))"]
    client.ok(b"STORE 2 -FLAGS.SILENT ($OTHERS \\Seen)")
    assert client.ok(b"STORE 2 FLAGS.SILENT (\\Draft $other)")[2:] == []
    assert flags(suite, 2) == {"\\Draft", "$other"}


def test_ones_own_change_and_those_of_others_are_learned_in_one_trip(suite, client):
    suite.account.calls.clear()
    client.ok(b"STORE 1 +FLAGS (\\Seen)")
    assert suite.account.calls == ["store_flags", "changes"]


def test_what_others_changed_is_not_lost_when_ones_own_store_changes_nothing(suite, client):
    box = suite.account.boxes["INBOX"]
    for uid in (1, 2, 3):  # by another process, whose notice has not come yet
        box.messages[uid].flags = frozenset(["\\Seen"])
        box.messages[uid].modseq = box.modseq + 1
    box.modseq += 1
    lines = client.ok(b"STORE 1 +FLAGS (\\Seen)")
    assert [line[:3] for line in lines] == [b"* 1", b"* 2", b"* 3"]


def test_a_new_keyword_is_announced_first(client):
    lines = client.ok(b"STORE 1 +FLAGS ($New)")
    assert lines[0].startswith(b"* FLAGS (")
    assert b"$New" in lines[0]
    assert lines[1].startswith(b"* OK [PERMANENTFLAGS (")
    assert lines[2] == b"* 1 FETCH (FLAGS ($New \\Recent))"


def other_session_sets(suite, uid, *keywords):
    """Another process, whose notice has not come yet."""
    box = suite.account.boxes["INBOX"]
    box.modseq += 1
    message = box.messages[uid]
    message.flags |= frozenset(keywords)
    message.modseq = box.modseq
    box.keywords |= set(keywords)


@pytest.mark.parametrize(
    "command",
    [b"STORE 1 -FLAGS (\\Seen)", b"STORE 1 +FLAGS (\\Seen)", b"STORE 1:4 +FLAGS ($Own)", b"FETCH 1 BODY[TEXT]"],
)
def test_no_answer_uses_a_keyword_of_others_that_is_not_announced(suite, client, command):
    other_session_sets(suite, 1, "$Others")
    lines = client.ok(command)
    telling = [line for line in lines if b"$Others" in line]
    assert telling[0].startswith(b"* FLAGS (")
    assert telling[-1].endswith(b"))")  # of the answer to FETCH
    assert not telling[-1].startswith(b"* FLAGS (")


def test_fetch_announces_a_keyword_of_others_first(suite, client):
    other_session_sets(suite, 1, "$Others")
    suite.account.tell(suite.account.boxes["INBOX"])
    lines = client.ok(b"FETCH 1 (FLAGS UID)")
    assert b"$Others" in lines[0]
    assert [line.split(b" (")[0] for line in lines[:3]] == [b"* FLAGS", b"* OK [PERMANENTFLAGS", b"* 1 FETCH"]


@pytest.mark.parametrize("unknown", [b"\\Recent", b"\\Foo", b"\\Foo \\RECENT"])
def test_flags_that_cannot_be_stored_are_passed_over(suite, client, unknown):
    """RFC 9051 section 7.1, PERMANENTFLAGS."""
    assert client.ok(b"STORE 1 +FLAGS (%b \\Seen)" % unknown) == [b"* 1 FETCH (FLAGS (\\Recent \\Seen))"]
    assert client.ok(b"STORE 1 +FLAGS (%b)" % unknown) == [b"* 1 FETCH (FLAGS (\\Recent \\Seen))"]
    assert client.ok(b"STORE 1 -FLAGS %b" % unknown) == [b"* 1 FETCH (FLAGS (\\Recent \\Seen))"]
    assert client.ok(b"UID STORE 1 FLAGS.SILENT (%b \\Draft)" % unknown) == []
    assert flags(suite, 1) == {"\\Draft"}
    assert client.ok(b"STORE 1 FLAGS (%b)" % unknown) == [b"* 1 FETCH (FLAGS (\\Recent))"]
    assert client.run(b"SEARCH KEYWORD \\Foo")[1].startswith(b"BAD")


@pytest.mark.parametrize(
    "command",
    [
        b"APPEND other (\\Foo \\Seen \\Recent kw) {4+}\r\n\r\nhi",
        b"APPEND other {4+}\r\n\r\nho (\\Foo \\Seen \\Recent kw) {4+}\r\n\r\nhi",
        b"APPEND other (\\Foo \\Seen \\Recent kw) CATENATE (TEXT {4+}\r\n\r\nhi)",
        b"APPEND other (\\Foo \\Seen \\Recent kw) UTF8 (~{4+}\r\n\r\nhi)",
        b"REPLACE 1 other (\\Foo \\Seen \\Recent kw) {4+}\r\n\r\nhi",
        b"UID REPLACE 1 other (\\Foo \\Seen \\Recent kw) CATENATE (TEXT {4+}\r\n\r\nhi)",
    ],
)
def test_appended_messages_get_those_flags_that_there_are(suite, client, command):
    client.ok(b"ENABLE UTF8=ACCEPT")
    client.ok(command)
    assert list(suite.account.boxes["other"].messages.values())[-1].flags == {"\\Seen", "kw"}


def test_keywords_are_limited(suite, mail):
    suite.account.keywords_max = 2
    suite.account.put("INBOX", mail())
    client = suite.connect().login().select()
    client.ok(b"STORE 1 +FLAGS (a b)")
    assert client.run(b"STORE 1 +FLAGS (c)")[1].startswith(b"NO [LIMIT]")
    client.ok(b"STORE 1 -FLAGS (a)")
    assert client.run(b"STORE 1 +FLAGS (" + b"k" * 51 + b")")[1].startswith(b"NO [LIMIT]")


def permanent(lines):
    (line,) = [line for line in lines if b"PERMANENTFLAGS" in line]
    return line[line.index(b"(") + 1 : line.index(b")")].split()


@pytest.mark.parametrize("kind", ["memory", "maildir"])
def test_that_no_more_keywords_can_be_made_is_told_before_one_is_refused(make_server, kind):
    """RFC 9051 section 7.1, PERMANENTFLAGS and LIMIT."""
    store, connect = make_server(kind)
    most = store.settings.keywords_max
    client, other = connect(), connect()
    for name in (b"INBOX", b"Trash"):
        client.ok(b"APPEND %b {4+}\r\n\r\nhi" % name)
    client.ok(b"SELECT INBOX")
    other.ok(b"SELECT INBOX")
    words = [b"k%d" % number for number in range(most)]
    assert b"\\*" in permanent(client.ok(b"STORE 1 +FLAGS (%b)" % b" ".join(words[:-1])))
    other.ok(b"NOOP")
    last = client.ok(b"STORE 1 +FLAGS (%b)" % words[-1])
    told = other.ok(b"NOOP")
    shown = client.ok(b"SELECT INBOX")
    for lines in (last, told, shown):
        assert b"\\*" not in permanent(lines)
        assert set(words) < set(permanent(lines))
    assert b"\\*" in permanent(client.ok(b"SELECT Trash"))
    client.ok(b"STORE 1 +FLAGS (another)")
    refused = b"NO [LIMIT] the mailbox has too many keywords"
    assert client.run(b"COPY 1 INBOX")[1] == refused
    assert client.run(b"MOVE 1 INBOX")[1] == refused
    assert client.run(b"APPEND INBOX (another) {4+}\r\n\r\nhi")[1] == refused
    assert client.run(b"REPLACE 1 INBOX (another) {4+}\r\n\r\nhi")[1] == refused
    client.ok(b"SELECT INBOX")
    assert client.run(b"STORE 1 +FLAGS (\\Seen another)")[1] == refused
    assert client.run(b"STORE 1 FLAGS (another)")[1] == refused
    client.ok(b"STORE 1 FLAGS (K1 k2)")
    client.ok(b"STORE 1 -FLAGS (another)")


def test_a_store_that_fails_changes_nothing(suite, client):
    suite.account.failure = MailError(Kind.UNAVAILABLE, "no disk")
    assert client.run(b"STORE 1 +FLAGS (\\Seen)")[1].startswith(b"NO [UNAVAILABLE]")
    assert client.ok(b"FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS (\\Recent))"]


BEYOND = [
    b"FETCH 5 UID", b"FETCH 1:99 UID", b"FETCH 5:* UID", b"FETCH *:5 (FLAGS MODSEQ)", b"FETCH 1,5 BODY[]",
    b"FETCH 1:9 (FLAGS) (CHANGEDSINCE 1)", b"STORE 5 +FLAGS (\\Seen)", b"STORE 1:9 FLAGS.SILENT ()",
    b"STORE 5:* (UNCHANGEDSINCE 1) +FLAGS (\\Seen)", b"COPY 5 other", b"COPY 4:5 nowhere",
    b"MOVE 5 other", b"MOVE 1:5 other",
]  # fmt: skip


@pytest.mark.parametrize("command", BEYOND)
def test_numbers_that_no_message_has_are_refused(suite, client, command):
    """RFC 9051 section 9, "seq-number"."""
    lines, status = client.run(command)
    assert (lines, status) == ([], b"BAD there are only 4 messages")
    assert not client.server.session.enabled
    assert all(flags(suite, uid) == frozenset() for uid in range(1, 5))
    assert suite.account.boxes["other"].messages == {}


@pytest.mark.parametrize(
    "command", [b"FETCH * UID", b"FETCH *:* FLAGS", b"STORE * +FLAGS (\\Seen)", b"COPY * other", b"MOVE * other"]
)
def test_an_empty_mailbox_has_no_last_message(suite, client, command):
    client.select(b"other")
    assert client.run(command) == ([], b"BAD there are no messages")
    assert client.run(command.replace(b"*", b"1"))[1].startswith(b"BAD there")
    client.ok(b"UID " + command)
    suite.account.put("other", b"\r\n")
    client.ok(b"NOOP")
    assert (
        client.run(command.split(b" ")[0] + b" 2 " + command.split(b" ", 2)[2])[1] == b"BAD there is only one message"
    )
    client.ok(command.replace(b"other", b"INBOX"))


@pytest.mark.parametrize(
    "command", [b"FETCH 1:* UID", b"STORE *:1 +FLAGS (\\Seen)", b"COPY 1:* other", b"MOVE 1:* other"]
)
def test_all_messages_of_an_empty_mailbox_are_none(client, command):
    client.select(b"other")
    assert client.ok(command) == []


def test_uids_and_what_is_searched_for_may_be_any_numbers(client):
    client.ok(b"UID STORE 99 +FLAGS (\\Seen)")
    client.ok(b"UID FETCH 5:9 FLAGS")
    client.ok(b"UID MOVE 99:* other")
    assert client.ok(b"SEARCH 2:9") == [b"* SEARCH 2 3"]


def test_numbers_that_no_message_has_end_no_connection(suite, client, mail):
    for _ in range(3 * client.server.settings.bad_commands_after_login):
        assert client.run(b"FETCH 5 UID")[1].startswith(b"BAD there are only")
    suite.account.deliver("INBOX", mail())
    assert client.ok(b"NOOP") == [b"* 5 EXISTS", b"* 5 RECENT"]
    client.ok(b"FETCH 5 UID")


def test_a_number_counts_until_the_client_is_told_otherwise(suite, client, mail):
    expunged_elsewhere(suite, 4)
    assert client.run(b"FETCH 4 RFC822.SIZE")[1].startswith(b"OK [EXPUNGEISSUED]")
    assert client.run(b"STORE 4 +FLAGS (\\Seen)")[1].startswith(b"OK [EXPUNGEISSUED]")
    assert client.ok(b"NOOP") == [b"* 4 EXPUNGE", b"* 3 RECENT"]
    suite.account.put("INBOX", mail())  # by another process, whose notice has not come yet
    assert client.run(b"FETCH 4 RFC822.SIZE")[1] == b"BAD there are only 3 messages"
    suite.account.tell(suite.account.boxes["INBOX"])
    assert client.run(b"FETCH 4 UID") == ([b"* 4 EXISTS", b"* 4 RECENT"], b"BAD there are only 3 messages")
    assert client.ok(b"FETCH 4 UID") == [b"* 4 FETCH (UID 5)"]


def test_messages_that_others_expunged_are_what_this_session_makes_of_them(suite, client):
    """Until it may be told, the client counts on an answer for each (RFC 2180 section 4.2)."""
    client.ok(b"STORE 2 +FLAGS.SILENT ($Kept \\Draft)")
    suite.account.boxes["INBOX"].messages[2].flags = frozenset({"\\Deleted"})
    expunged_elsewhere(suite, 2)
    lines, status = client.run(b"STORE 1:2 +FLAGS (\\Seen)")
    assert lines == [
        b"* 1 FETCH (FLAGS (\\Recent \\Seen))",
        b"* 2 FETCH (FLAGS ($Kept \\Draft \\Recent \\Seen))",
    ]
    assert status.startswith(b"OK [EXPUNGEISSUED]")
    assert client.ok(b"STORE 2 -FLAGS (\\DRAFT)") == [b"* 2 FETCH (FLAGS ($Kept \\Recent \\Seen))"]
    assert client.ok(b"STORE 2 FLAGS (\\Flagged $kept)")[0] == b"* 2 FETCH (FLAGS ($Kept \\Flagged \\Recent))"
    assert client.ok(b"STORE 2 +FLAGS.SILENT (\\Seen)") == []
    assert client.ok(b"NOOP")[0] == b"* 2 EXPUNGE"


def test_a_condition_is_not_met_by_what_is_expunged(suite, client):
    client.ok(b"ENABLE CONDSTORE")
    expunged_elsewhere(suite, 2)
    lines, status = client.run(b"STORE 1:2 (UNCHANGEDSINCE 99) +FLAGS (\\Seen)")
    assert len(lines) == 1
    assert status.startswith(b"NO [EXPUNGEISSUED]")


def expunged_elsewhere(suite, uid):
    box = suite.account.boxes["INBOX"]
    box.modseq += 1
    del box.messages[uid]
    box.expunged.append((uid, box.modseq))
    suite.account.tell(box)


def test_a_silent_store_is_done_when_what_is_left_has_the_flags(suite, client):
    """RFC 2180 section 4.2.1."""
    del suite.account.boxes["INBOX"].messages[2]
    assert client.run(b"STORE 1:2 +FLAGS.SILENT (\\Seen)")[1].startswith(b"OK [EXPUNGEISSUED]")
    assert flags(suite, 1) == {"\\Seen"}


# EXPUNGE


def test_expunge_tells_numbers_as_they_shift(client):
    client.ok(b"STORE 1,3:4 +FLAGS.SILENT (\\Deleted)")
    lines = client.ok(b"EXPUNGE")
    assert [line for line in lines if line.endswith(b"EXPUNGE")] == [b"* 1 EXPUNGE", b"* 2 EXPUNGE", b"* 2 EXPUNGE"]
    assert client.ok(b"FETCH 1 UID") == [b"* 1 FETCH (UID 2)"]


def test_uid_expunge_takes_only_what_it_names(suite, client):
    client.ok(b"STORE 1:3 +FLAGS.SILENT (\\Deleted)")
    assert b"* 2 EXPUNGE" in client.ok(b"UID EXPUNGE 2,4")
    assert sorted(suite.account.boxes["INBOX"].messages) == [1, 3, 4]


# COPY and MOVE


def test_copy_says_where_the_copies_are(suite, client):
    _, status = client.run(b"COPY 2,4 other")
    assert status.startswith(b"OK [COPYUID 7 2,4 1:2]")
    assert len(suite.account.boxes["other"].messages) == 2
    assert client.run(b"UID COPY 99 other")[1].startswith(b"OK no such")


def test_move_says_where_before_it_expunges(suite, client):
    lines, status = client.run(b"UID MOVE 2:3 other")
    assert lines[:3] == [b"* OK [COPYUID 7 2:3 1:2] moved", b"* 2 EXPUNGE", b"* 2 EXPUNGE"]
    assert status.startswith(b"OK")
    assert sorted(suite.account.boxes["INBOX"].messages) == [1, 4]


@pytest.mark.parametrize("messages", [b"UID %b 1", b"%b 1", b"UID %b 99999", b"%b $", b"UID %b $"])
@pytest.mark.parametrize("verb", [b"COPY", b"MOVE"])
def test_a_missing_target_asks_for_create_whatever_is_to_go_there(suite, client, verb, messages):
    """RFC 9051 sections 6.4.7 and 6.4.8."""
    assert client.run(messages % verb + b" nowhere")[1].startswith(b"NO [TRYCREATE]")
    assert client.run(messages % verb + b" other")[1].startswith(b"OK")
    assert len(suite.account.boxes["other"].messages) == (0 if b"1" not in messages.split(b" ") else 1)


@pytest.mark.parametrize("uid", [b"", b"UID "])
def test_a_copy_says_when_some_of_the_messages_are_gone(suite, client, uid):
    assert client.run(uid + b"COPY 1:4 other")[1] == b"OK [COPYUID 7 1:4 1:4] COPY completed"
    for gone in (2, 3):
        del suite.account.boxes["INBOX"].messages[gone]  # by another process, whose notice has not come yet
    expunged = b"; some of the messages are expunged"
    assert client.run(uid + b"COPY 1:4 other")[1] == b"OK [COPYUID 7 1,4 5:6] COPY completed" + expunged
    assert client.run(uid + b"COPY 2:3 other")[1] == b"OK COPY completed; all of the messages are expunged"
    assert client.run(uid + b"COPY 2 nowhere")[1].startswith(b"NO [TRYCREATE]")
    lines, status = client.run(uid + b"MOVE 1:2 other")
    assert lines[:2] == [b"* OK [COPYUID 7 1 7] moved", b"* 1 EXPUNGE"]
    assert status == b"OK MOVE completed" + expunged


@pytest.mark.parametrize("kind", ["memory", "maildir"])
def test_a_copy_says_when_another_session_has_expunged_some_of_the_messages(make_server, kind):
    _, connect = make_server(kind)
    client, other = connect(), connect()
    for _ in range(3):
        client.ok(b"APPEND INBOX {4+}\r\n\r\nhi")
    client.ok(b"SELECT INBOX")
    other.ok(b"SELECT INBOX")
    other.ok(b"STORE 2 +FLAGS (\\Deleted)")
    other.ok(b"EXPUNGE")
    status = client.run(b"COPY 1:3 Trash")[1]
    assert re.fullmatch(rb"OK \[COPYUID \d+ 1,3 1:2\] COPY completed; some of the messages are expunged", status)


# sessions that share a mailbox


@pytest.fixture
def other(suite, client):
    return suite.connect().login().select()


def test_what_others_change_is_told_with_the_next_answer(client, other):
    other.ok(b"STORE 2 +FLAGS (\\Answered kw)")
    lines = client.ok(b"CAPABILITY")
    assert lines[1].startswith(b"* FLAGS (")
    assert lines[-1] == b"* 2 FETCH (FLAGS (\\Answered \\Recent kw))"
    assert client.ok(b"NOOP") == []


@pytest.mark.parametrize("command", [b"FETCH 4 UID", b"STORE 4 +FLAGS.SILENT (\\Seen)", b"SEARCH UID 4"])
def test_an_expunge_waits_while_numbers_are_used(client, other, command):
    other.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok(b"NOOP")
    other.ok(b"EXPUNGE")
    lines = client.ok(command)
    assert not any(b"EXPUNGE" in line for line in lines)
    if not command.startswith(b"STORE"):
        assert b"4" in lines[0]
    assert b"* 1 EXPUNGE" in client.ok(b"NOOP")
    assert client.ok(b"FETCH 3 UID") == [b"* 3 FETCH (UID 4)"]


@pytest.mark.parametrize("command", [b"UID FETCH 4 UID", b"UID SEARCH ALL", b"UID STORE 4 +FLAGS.SILENT (\\Seen)"])
def test_uid_commands_may_be_told_of_an_expunge(client, other, command):
    other.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    other.ok(b"EXPUNGE")
    assert b"* 1 EXPUNGE" in client.ok(command)


def test_arrivals_are_counted_over_held_back_expunges(suite, mail, client, other):
    other.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok(b"NOOP")
    other.ok(b"EXPUNGE")
    suite.account.deliver("INBOX", mail("new"))
    assert b"* 5 EXISTS" in client.ok(b"FETCH 4 UID")
    assert b"* 1 EXPUNGE" in client.ok(b"NOOP")
    assert client.ok(b"FETCH 4 UID") == [b"* 4 FETCH (UID 5)"]


def test_recent_belongs_to_one_session(suite, mail, client, other):
    suite.account.deliver("INBOX", mail("new"))
    told = [b"* 5 RECENT" in client.ok(b"NOOP"), b"* 1 RECENT" in other.ok(b"NOOP")]
    assert sorted(told) == [False, True]


def test_concurrent_sessions_do_not_wait_for_each_other(suite, client, other):
    gate = suite.gate()
    assert client.send(b"a STORE 1 +FLAGS (\\Seen)\r\n") == b""
    other.ok(b"FETCH 1 ENVELOPE")
    gate.callback(None)
    assert b"a OK" in client.received()
