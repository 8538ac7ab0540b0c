"""CONDSTORE (RFC 7162 section 3.1): MODSEQs told, asked for, and made a condition."""

import pytest

from mailsuite.errors import Kind, MailError


@pytest.fixture
def client(suite, mail):
    for number in range(4):
        suite.account.put("INBOX", mail(str(number)))  # MODSEQs 2 to 5
    suite.account.boxes["INBOX"].recent.clear()
    suite.account.add_box("other")
    return suite.connect().login()


def change(suite, uid, flag="\\Seen"):
    """Another session."""
    box = suite.account.boxes["INBOX"]
    box.modseq += 1
    box.messages[uid].flags |= {flag}
    box.messages[uid].modseq = box.modseq
    suite.account.tell(box)


def highest(lines):
    return [line for line in lines if b"[HIGHESTMODSEQ" in line]


TOLD = b"* OK [HIGHESTMODSEQ 5] highest MODSEQ"


def test_select_tells_the_highest_modseq_to_everybody(client):
    assert highest(client.ok(b"SELECT INBOX")) == [TOLD]
    assert highest(client.ok(b"EXAMINE INBOX")) == [TOLD]
    assert highest(client.ok(b"SELECT other")) == [b"* OK [HIGHESTMODSEQ 1] highest MODSEQ"]


def test_another_mailbox_is_said_to_be_closed_before_the_next_one_answers(client):
    assert not any(b"CLOSED" in line for line in client.ok(b"SELECT INBOX"))
    assert client.ok(b"SELECT other")[0] == b"* OK [CLOSED] the previous mailbox is closed"
    lines, status = client.run(b"SELECT nowhere")
    assert lines == [b"* OK [CLOSED] the previous mailbox is closed"]
    assert status.startswith(b"NO [NONEXISTENT]")
    assert not any(b"CLOSED" in line for line in client.ok(b"SELECT INBOX"))
    client.ok(b"CLOSE")
    assert not any(b"CLOSED" in line for line in client.ok(b"SELECT INBOX"))


@pytest.mark.parametrize(
    "command",
    [
        b"ENABLE CONDSTORE",
        b"STATUS other (HIGHESTMODSEQ)",
        b'LIST "" other RETURN (STATUS (HIGHESTMODSEQ))',
        b"FETCH 1 (MODSEQ)",
        b"FETCH 1 (UID) (CHANGEDSINCE 90)",
        b"SEARCH NOT MODSEQ 90",
        b"STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)",
    ],
)
def test_what_shows_that_the_client_knows_modseqs_is_answered_with_the_highest_once(suite, client, command):
    client.select()
    change(suite, 2)
    assert client.ok(b"NOOP") == [b"* 2 FETCH (FLAGS (\\Seen))"]
    assert highest(client.ok(command)) == [b"* OK [HIGHESTMODSEQ 6] highest MODSEQ"]
    assert highest(client.ok(command)) == []
    change(suite, 3)
    now = suite.account.boxes["INBOX"].modseq
    assert client.ok(b"NOOP") == [b"* 3 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (%d))" % now]


def test_select_with_condstore_shows_it_too(suite, client):
    assert len(highest(client.ok(b"SELECT INBOX (CONDSTORE)"))) == 1
    change(suite, 1)
    idler = client.send(b"i IDLE\r\n")
    assert b"* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (6))\r\n" in idler + client.received()
    client.send(b"DONE\r\n")


def test_fetch_of_modseqs(client):
    client.select()
    assert client.ok(b"FETCH 2:3 (MODSEQ FLAGS)")[1:] == [
        b"* 2 FETCH (MODSEQ (3) FLAGS ())",
        b"* 3 FETCH (MODSEQ (4) FLAGS ())",
    ]
    assert client.ok(b"UID FETCH 4 (MODSEQ)") == [b"* 4 FETCH (UID 4 MODSEQ (5))"]
    (line, *_) = client.ok(b"FETCH 1 (MODSEQ BODY.PEEK[TEXT])")
    assert line == b"* 1 FETCH (MODSEQ (2) BODY[TEXT] {6}"


def test_flags_and_modseq_of_one_answer_belong_together(suite, client):
    client.ok(b"SELECT INBOX (CONDSTORE)")
    box = suite.account.boxes["INBOX"]
    box.modseq += 1  # by another process, whose notice has not come yet
    box.messages[1].flags = frozenset(["\\Seen", "$New"])
    box.messages[1].modseq = box.modseq
    box.keywords.add("$New")
    lines = client.ok(b"FETCH 1 (FLAGS MODSEQ)")
    assert lines[0].startswith(b"* FLAGS (")
    assert lines[2] == b"* 1 FETCH (FLAGS ($New \\Seen) MODSEQ (6))"


def test_fetch_of_what_changed_since(client, suite):
    client.ok(b"SELECT INBOX (CONDSTORE)")
    change(suite, 2, "\\Flagged")
    client.ok(b"NOOP")
    assert client.ok(b"FETCH 1:* (FLAGS) (CHANGEDSINCE 4)") == [
        b"* 2 FETCH (FLAGS (\\Flagged) MODSEQ (6))",
        b"* 4 FETCH (FLAGS () MODSEQ (5))",
    ]
    assert client.ok(b"UID FETCH 1,3:99 (FLAGS) (CHANGEDSINCE 3)") == [
        b"* 3 FETCH (UID 3 FLAGS () MODSEQ (4))",
        b"* 4 FETCH (UID 4 FLAGS () MODSEQ (5))",
    ]
    assert client.ok(b"FETCH 2:3 RFC822.SIZE (CHANGEDSINCE 4)")[0].startswith(b"* 2 FETCH (RFC822.SIZE ")
    assert client.ok(b"UID FETCH 1:* (UID) (CHANGEDSINCE 6)") == []


def test_ten_thousand_changes_are_told_in_turns(suite, client, mail):
    content = mail()
    for _ in range(10_000):
        suite.account.put("INBOX", content)
    suite.account.boxes["INBOX"].recent.clear()
    client.ok(b"SELECT INBOX (CONDSTORE)")
    turns = []
    sleep = client.server.sleep

    async def count(seconds):
        turns.append(seconds)
        await sleep(seconds)

    client.server.sleep = count
    assert len(client.ok(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 5)")) == 10_000
    assert len(turns) >= 10
    assert suite.account.calls.count("history") == 1


def test_a_fetch_that_sets_seen_tells_uid_and_modseq(client):
    client.ok(b"SELECT INBOX (CONDSTORE)")
    lines = client.ok(b"FETCH 1 BODY[TEXT]")
    assert lines[-1] == b" FLAGS (\\Seen) UID 1 MODSEQ (6))"
    lines = client.ok(b"UID FETCH 2 (FLAGS BODY[TEXT])")
    assert lines[0] == b"* 2 FETCH (UID 2 FLAGS (\\Seen) BODY[TEXT] {6}"
    assert lines[-1] == b" MODSEQ (7))"
    lines = client.ok(b"FETCH 3 (UID MODSEQ BODY[HEADER.FIELDS (SUBJECT)])")
    assert lines[0] == b"* 3 FETCH (UID 3 MODSEQ (8) BODY[HEADER.FIELDS (SUBJECT)] {14}"
    assert lines[-1] == b" FLAGS (\\Seen))"


def test_store_tells_the_modseq_even_when_it_is_silent(client):
    client.ok(b"SELECT INBOX (CONDSTORE)")
    assert client.ok(b"STORE 1 +FLAGS (\\Seen)") == [b"* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (6))"]
    assert client.ok(b"STORE 2 +FLAGS.SILENT (\\Seen)") == [b"* 2 FETCH (UID 2 MODSEQ (7))"]
    assert client.ok(b"NOOP") == []


def test_a_conditional_store_leaves_alone_what_changed(suite, client):
    client.ok(b"SELECT INBOX (CONDSTORE)")
    change(suite, 2, "\\Flagged")
    lines, status = client.run(b"STORE 1:3 (UNCHANGEDSINCE 5) FLAGS.SILENT (\\Deleted)")
    assert lines == [
        b"* 1 FETCH (UID 1 MODSEQ (7))",
        b"* 3 FETCH (UID 3 MODSEQ (7))",
        b"* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (6))",  # so that it need not ask (RFC 7162 section 3.1.3)
    ]
    assert status.startswith(b"OK [MODIFIED 2]")
    assert suite.account.boxes["INBOX"].messages[2].flags == {"\\Flagged"}
    lines, status = client.run(b"UID STORE 1:4 (UNCHANGEDSINCE 0) FLAGS ()")
    assert lines == [
        b"* 1 FETCH (UID 1 FLAGS (\\Deleted) MODSEQ (7))",
        b"* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (6))",
        b"* 3 FETCH (UID 3 FLAGS (\\Deleted) MODSEQ (7))",
        b"* 4 FETCH (UID 4 FLAGS () MODSEQ (5))",
    ]
    assert status.startswith(b"OK [MODIFIED 1:4]")
    assert client.ok(b"STORE 2 (UNCHANGEDSINCE 6) -FLAGS (\\Flagged)")[0].startswith(b"* 2 FETCH (UID 2 FLAGS ()")


def test_a_conditional_store_is_answered_though_the_reason_cannot_be_told(suite, client):
    client.ok(b"SELECT INBOX (CONDSTORE)")
    suite.account.failures["fetch"] = MailError(Kind.UNAVAILABLE, "no disk")
    lines, status = client.run(b"STORE 1 (UNCHANGEDSINCE 0) +FLAGS (\\Seen)")
    assert lines == []
    assert status.startswith(b"OK [MODIFIED 1]")
    assert not suite.account.failures


def test_of_many_that_are_refused_the_first_are_told(client, monkeypatch):
    monkeypatch.setattr("mailsuite.imap.verbs.store._REFUSED_TOLD_MAX", 2)
    client.ok(b"SELECT INBOX (CONDSTORE)")
    lines, status = client.run(b"STORE 1:4 (UNCHANGEDSINCE 0) +FLAGS (\\Seen)")
    assert lines == [b"* 1 FETCH (UID 1 FLAGS () MODSEQ (2))", b"* 2 FETCH (UID 2 FLAGS () MODSEQ (3))"]
    assert status.startswith(b"OK [MODIFIED 1:4]")


def test_nobody_is_refused_because_of_another_flag(suite, client):
    client.ok(b"SELECT INBOX (CONDSTORE)")
    change(suite, 2, "\\Flagged")
    change(suite, 3, "\\Deleted")
    lines, status = client.run(b"STORE 1:3 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\\DELETED)")
    assert lines == [
        b"* 1 FETCH (UID 1 MODSEQ (8))",
        b"* 2 FETCH (UID 2 FLAGS (\\Deleted \\Flagged) MODSEQ (9))",
        b"* 3 FETCH (UID 3 FLAGS (\\Deleted) MODSEQ (7))",
    ]
    assert status.startswith(b"OK [MODIFIED 3]")
    change(suite, 4, "\\Seen")
    _, status = client.run(b"STORE 4 (UNCHANGEDSINCE 8) -FLAGS (\\Deleted)")
    assert status.startswith(b"OK [MODIFIED 4]")  # it does not even know what it was told


def test_a_conditional_store_on_expunged_messages_says_both(suite, client):
    client.ok(b"SELECT INBOX (CONDSTORE)")
    change(suite, 1)
    suite.account.boxes["INBOX"].messages.pop(4)
    _, status = client.run(b"STORE 1:4 (UNCHANGEDSINCE 5) -FLAGS (\\Seen)")
    assert status.startswith(b"NO [MODIFIED 1]")


def test_search_by_modseq_tells_the_highest_of_what_it_found(client):
    client.ok(b"SELECT INBOX (CONDSTORE)")
    assert client.ok(b"SEARCH MODSEQ 4") == [b"* SEARCH 3 4 (MODSEQ 5)"]
    assert client.ok(b"UID SEARCH 1:3 MODSEQ 4") == [b"* SEARCH 3 (MODSEQ 4)"]
    assert client.ok(b"SEARCH OR NOT MODSEQ 3 UID 2") == [b"* SEARCH 1 2 (MODSEQ 3)"]
    assert client.ok(b"SEARCH MODSEQ 6") == [b"* SEARCH"]
    assert client.ok(b"SEARCH ALL") == [b"* SEARCH 1 2 3 4"]


@pytest.mark.parametrize(
    ("returns", "answer"),
    [
        (b"ALL", b"ALL 2:4 MODSEQ 5"),
        (b"COUNT", b"COUNT 3 MODSEQ 5"),
        (b"MIN", b"MIN 2 MODSEQ 3"),
        (b"MAX", b"MAX 4 MODSEQ 5"),
        (b"MIN MAX", b"MIN 2 MAX 4 MODSEQ 5"),
        (b"MIN COUNT", b"MIN 2 COUNT 3 MODSEQ 5"),
    ],
)
def test_an_extended_search_tells_the_highest_modseq_of_what_it_returns(client, returns, answer):
    client.ok(b"SELECT INBOX (CONDSTORE)")
    (line,) = client.ok(b"SEARCH RETURN (%b) MODSEQ 3" % returns)
    assert line.partition(b") ")[2] == answer
    (line,) = client.ok(b"SEARCH RETURN (%b) MODSEQ 9" % returns)
    assert b"MODSEQ" not in line


def test_sort_tells_the_highest_modseq_too(client):
    client.ok(b"SELECT INBOX (CONDSTORE)")
    assert client.ok(b"SORT (REVERSE ARRIVAL) UTF-8 MODSEQ 3")[0].endswith(b" (MODSEQ 5)")
    assert client.ok(b"SORT (ARRIVAL) UTF-8 MODSEQ 9") == [b"* SORT"]
    (line,) = client.ok(b"UID SORT RETURN (COUNT) (ARRIVAL) UTF-8 MODSEQ 4")
    assert line.endswith(b" UID COUNT 2 MODSEQ 5")


def test_a_status_that_fails_is_no_answer(suite, client):
    suite.account.failure = MailError(Kind.UNAVAILABLE, "no disk")
    assert client.run(b"SELECT INBOX (CONDSTORE)")[1].startswith(b"NO [UNAVAILABLE]")
    assert client.ok(b"STATUS INBOX (HIGHESTMODSEQ)") == [b"* STATUS INBOX (HIGHESTMODSEQ 5)"]


@pytest.mark.parametrize(
    "command",
    [b"FETCH 1 MODSEQ", b"FETCH 1 UID (CHANGEDSINCE 1)", b"SEARCH MODSEQ 1", b"STORE 1 (UNCHANGEDSINCE 1) FLAGS ()"],
)
def test_an_account_that_remembers_nothing_says_so(suite, client, command):
    suite.account.remembers = False
    (line,) = client.ok(b"CAPABILITY")
    assert b"CONDSTORE" not in line
    assert client.ok(b"ENABLE CONDSTORE") == [b"* ENABLED"]
    lines = client.ok(b"SELECT INBOX (CONDSTORE)")
    assert b"* OK [NOMODSEQ] MODSEQs are not kept" in lines
    assert highest(lines) == []
    assert client.run(command)[1].startswith(b"BAD")
    change(suite, 1)
    assert client.ok(b"NOOP") == [b"* 1 FETCH (FLAGS (\\Seen))"]


def test_who_knows_modseqs_hears_of_a_new_one_even_where_the_flags_came_back_to_what_they_were(suite, client):
    client.select()
    knowing = suite.connect().login()
    knowing.ok(b"ENABLE CONDSTORE")
    knowing.select()
    change(suite, 2)
    suite.account.boxes["INBOX"].messages[2].flags = frozenset()
    assert client.ok(b"NOOP") == []
    assert knowing.ok(b"NOOP") == [b"* 2 FETCH (UID 2 FLAGS () MODSEQ (6))"]
    assert knowing.ok(b"STORE 3 +FLAGS.SILENT (\\Seen)") == [b"* 3 FETCH (UID 3 MODSEQ (7))"]
    assert knowing.ok(b"NOOP") == []


@pytest.mark.parametrize("more", [b"", b" EMAILID", b" BODY.PEEK[HEADER.FIELDS (SUBJECT)]", b" BODY.PEEK[]"])
def test_what_an_answer_with_modseqs_tells_is_not_told_again(suite, client, more):
    client.ok(b"ENABLE CONDSTORE")
    client.select()
    listeners, suite.account.changes.listeners = suite.account.changes.listeners, []
    change(suite, 2)  # by another process, whose notice has not come yet
    suite.account.changes.listeners = listeners
    told = [line for line in client.ok(b"FETCH 1:* (FLAGS" + more + b") (CHANGEDSINCE 5)") if b"MODSEQ" in line]
    assert len(told) == 1
    assert told[0].startswith(b"* 2 FETCH (FLAGS (\\Seen) ")
    assert b"MODSEQ (6)" in told[0]
    assert client.ok(b"NOOP") == []
    change(suite, 2, "\\Draft")
    told = [line for line in client.ok(b"FETCH 2 (MODSEQ FLAGS" + more + b")") if b"MODSEQ" in line]
    assert len(told) == 1
    assert told[0].startswith(b"* 2 FETCH (MODSEQ (7) FLAGS (\\Draft \\Seen)")
    assert client.ok(b"NOOP") == []


def test_what_an_answer_without_flags_leaves_out_is_told_after_it(suite, client):
    client.ok(b"ENABLE CONDSTORE")
    client.select()
    change(suite, 3)
    assert client.ok(b"FETCH 1:* (UID) (CHANGEDSINCE 5)") == [
        b"* 3 FETCH (UID 3 MODSEQ (6))",
        b"* 3 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (6))",
    ]


def test_move_tells_the_modseq_of_the_mailbox_that_was_left(suite, client):
    """RFC 6851 section 4.4."""
    client.select()
    assert client.run(b"MOVE 4 other")[1] == b"OK MOVE completed"
    client.ok(b"SELECT INBOX (CONDSTORE)")
    lines, status = client.run(b"MOVE 1 other")
    assert lines[1:] == [b"* 1 EXPUNGE"]
    assert status == b"OK [HIGHESTMODSEQ %d] MOVE completed" % suite.account.boxes["INBOX"].modseq
    assert client.run(b"UID MOVE 99 other")[1] == b"OK no such messages; nothing moved"
