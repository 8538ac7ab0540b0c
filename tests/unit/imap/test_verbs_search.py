"""SEARCH: every key, charset, cost."""

import itertools

import pytest
from twisted.internet.defer import Deferred

from mailsuite.imap.evaluate import Evaluation
from mailsuite.imap.search_keys import HeaderContains


@pytest.fixture
def client(suite, mail):
    put = suite.account.put
    put("INBOX", mail("alpha", "apple pie\r\n"), ["\\Seen"], date=1763373600)  # 17 Nov 2025
    put("INBOX", mail("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "banana\r\n", "X-Own: Some Thing\r\n"), ["\\Flagged", "work"])
    put("INBOX", mail("gamma", "cherry " + "x" * 3000 + "\r\n"), ["\\Deleted", "\\Answered"], date=1700000000)
    put("INBOX", b"Subject: no date\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n", ["\\Draft", "\\Seen"], date=1800000000)
    return suite.connect().login().select()


def found(client, keys):
    (line,) = client.ok(b"SEARCH " + keys)
    assert line.startswith(b"* SEARCH")
    return [int(number) for number in line.split()[2:]]


TABLE = {
    b"ALL": [1, 2, 3, 4],
    b"2:3": [2, 3],
    b"*": [4],
    b"UID 2,9": [2],
    b"9:20": [],
    b"SEEN": [1, 4],
    b"UNSEEN": [2, 3],
    b"FLAGGED": [2],
    b"UNFLAGGED": [1, 3, 4],
    b"ANSWERED DELETED": [3],
    b"DRAFT": [4],
    b"UNDRAFT": [1, 2, 3],
    b"KEYWORD work": [2],
    b"KEYWORD WORK": [2],
    b"UNKEYWORD work": [1, 3, 4],
    b"KEYWORD other": [],
    b"RECENT": [1, 2, 3, 4],
    b"NEW": [2, 3],
    b"OLD": [],
    b"NOT SEEN": [2, 3],
    b"NOT (SEEN DRAFT)": [1, 2, 3],
    b"OR SEEN FLAGGED": [1, 2, 4],
    b"OR (SEEN DRAFT) (OR FLAGGED DELETED)": [2, 3, 4],
    b"SUBJECT alpha": [1],
    b"SUBJECT ALPHA": [1],
    b'SUBJECT "al"': [1],
    b'CHARSET UTF-8 SUBJECT "gr\xc3\xbc\xc3\x9fe"': [2],
    b'CHARSET UTF-8 SUBJECT "GR\xc3\x9cSSE"': [2],
    b"FROM alice": [1, 2, 3],
    b"TO bob@example.test": [1, 2, 3],
    b"CC bob": [],
    b"HEADER X-Own thing": [2],
    b'HEADER X-Own ""': [2],
    b'HEADER Date ""': [1, 2, 3],
    b"BODY banana": [2],
    b"BODY alpha": [],
    b"TEXT alpha": [1],
    b'CHARSET UTF-8 BODY "gr\xc3\xbc\xc3\x9fe"': [4],
    b"LARGER 1000": [3],
    b"SMALLER 1000": [1, 2, 4],
    b"SINCE 17-Nov-2025": [1, 4],
    b"BEFORE 17-Nov-2025": [2, 3],
    b"ON 17-Nov-2025": [1],
    b"SENTON 17-Nov-2026": [1, 2, 3],
    b"SENTSINCE 18-Nov-2026": [],
    b"SENTBEFORE 18-Nov-2026": [1, 2, 3],
    b"SEEN SUBJECT alpha BODY apple": [1],
    b"SEEN BODY banana": [],
}


@pytest.mark.parametrize("keys", TABLE)
def test_keys(client, keys):
    assert found(client, keys) == TABLE[keys]


def test_uid_search_gives_uids(suite, client):
    client.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok(b"UID EXPUNGE 1")
    assert client.ok(b"UID SEARCH SUBJECT gamma") == [b"* SEARCH 3"]
    assert client.ok(b"SEARCH SUBJECT gamma") == [b"* SEARCH 2"]


def test_an_unknown_charset_is_named_with_the_known_ones(client):
    assert client.run(b"SEARCH CHARSET KOI8-R SUBJECT x")[1].startswith(b"NO [BADCHARSET (US-ASCII UTF-8)]")


def test_flags_are_searched_without_the_store(suite, client):
    suite.account.calls.clear()
    found(client, b"UNSEEN UNDELETED 1:3")
    assert suite.account.calls == []


def test_bodies_are_read_only_where_cheaper_keys_left_something(suite, client):
    suite.account.calls.clear()
    found(client, b"BODY apple SUBJECT nothing-like-this")
    assert "search_text" not in suite.account.calls


def test_cached_fields_are_searched_without_opening_messages(suite, client):
    suite.account.calls.clear()
    found(client, b"SUBJECT alpha")
    assert suite.account.calls == ["fetch", "changes"]


def test_messages_that_vanished_are_not_found(suite, client):
    other = suite.connect().login().select()
    other.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok(b"NOOP")
    other.ok(b"UID EXPUNGE 1")
    client.ok(b"FETCH 2 UID")  # learns of it, and holds it back
    assert found(client, b"ALL") == [2, 3, 4]


@pytest.mark.parametrize("command", [b"SEARCH ALL", b"UID SEARCH SUBJECT x"])
def test_a_search_that_leaves_out_what_others_expunged_says_so(suite, client, command):
    """RFC 5530 section 3, EXPUNGEISSUED."""
    box = suite.account.boxes["INBOX"]
    del box.messages[2]
    box.modseq += 1
    box.expunged.append((2, box.modseq))
    suite.account.tell(box)
    lines, end = client.run(command)
    assert end.startswith(b"OK [EXPUNGEISSUED]")
    assert b"* 2 EXPUNGE" in (lines if command.startswith(b"UID") else client.ok(b"NOOP"))
    assert client.run(command)[1].startswith(b"OK SEARCH")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (b"SEARCH LARGER 1", b"* SEARCH 1 3 4"),
        (b"SEARCH NOT SMALLER 1", b"* SEARCH 1 3 4"),
        (b"SEARCH RETURN (COUNT) TEXT subject", b'* ESEARCH (TAG "t3") COUNT 3'),
        (b"SORT (SIZE) UTF-8 ALL", b"* SORT 4 1 3"),
        (b"THREAD ORDEREDSUBJECT UTF-8 ALL", b"* THREAD (1)(3)(4)"),
    ],
)
def test_what_went_before_its_notice_came_is_not_among_the_answers_and_that_is_said(suite, client, command, told):
    box = suite.account.boxes["INBOX"]
    del box.messages[2]  # by another process
    box.modseq += 1
    box.expunged.append((2, box.modseq))
    lines, end = client.run(command)
    assert end.startswith(b"OK [EXPUNGEISSUED]")
    assert lines[-1] == told
    assert b"* 2 EXPUNGE" in client.ok(b"NOOP")


def test_a_search_that_takes_too_long_is_given_up(suite, client):
    original = suite.account.pass_gate

    async def slow(call):
        await original(call)
        suite.clock.rightNow += 11

    suite.account.pass_gate = slow
    assert client.run(b"SEARCH BODY apple SUBJECT alpha")[1].startswith(b"NO [LIMIT]")


def test_deep_searches_are_refused_and_not_fatal(client):
    assert client.run(b"SEARCH " + b"(" * 5000 + b"SEEN" + b")" * 5000)[1].startswith(b"BAD")
    assert client.run(b"SEARCH " + b"NOT " * 5000 + b"SEEN")[1].startswith((b"BAD", b"OK", b"NO"))
    client.ok(b"NOOP")


def test_tests_of_long_headers_take_turns_with_others_and_end_in_time(suite, mail):
    """Each test of a header that somebody made long can take a while, and a search makes one for each message."""
    for number in range(100):
        suite.account.put("INBOX", mail(str(number)))
    client = suite.connect().login().select()
    selected = client.server.session.selected
    turns = []

    async def pause():
        turns.append(now[0])

    def seconds():
        now[0] += 0.01  # of each test
        return now[0]

    for deadline, expected in ((1000.0, list(range(100))), (0.5, None)):
        now = [0.0]
        turns.clear()
        evaluation = Evaluation(selected.mailbox, selected.view, seconds=seconds, deadline=deadline, pause=pause)
        result = []
        key = HeaderContains(b"subject", "")
        running = Deferred.fromCoroutine(evaluation.matching(key, list(range(100))))
        running.addCallback(result.append)
        assert result == [expected]
        gaps = [later - earlier for earlier, later in itertools.pairwise(turns)]
        assert max(gaps) < 0.1
    assert now[0] < 1


def test_of_large_headers_no_message_is_passed_over_between_two_reads(suite):
    for number in range(60):
        text = b"Subject: %02d even\r\n" if number % 2 else b"Subject: %02d odd\r\n"
        suite.account.put("INBOX", text % number + b"References: %b\r\n\r\n" % (b"<a@b> " * 5000))
    client = suite.connect().login().select()
    for uid in (18, 17, 60):
        suite.account.boxes["INBOX"].messages.pop(uid)
    suite.account.calls.clear()
    (line,) = [line for line in client.run(b"UID SEARCH SUBJECT even")[0] if b"SEARCH" in line]
    assert line == b"* SEARCH " + b" ".join(b"%d" % uid for uid in range(2, 60, 2) if uid != 18)
    assert 3 < suite.account.calls.count("fetch") < 8
    (line,) = [line for line in client.run(b"UID SORT (REVERSE SUBJECT) UTF-8 ALL")[0] if b"SORT" in line]
    assert line == b"* SORT " + b" ".join(b"%d" % uid for uid in range(59, 0, -1) if uid not in (17, 18))


def test_search_and_fetch_by_the_date_of_saving(suite, mail):
    day = 86_400
    for number in range(3):
        uid = suite.account.put("INBOX", mail(), date=0)
        suite.account.boxes["INBOX"].messages[uid].saved = 16_000 * day + number * day - 1  # 2013-10-21T23:59:59Z, ...
    client = suite.connect().login().select()
    for keys, numbers in {
        b"SAVEDBEFORE 22-Oct-2013": b" 1",
        b"SAVEDON 22-Oct-2013": b" 2",
        b"SAVEDSINCE 22-Oct-2013": b" 2 3",
        b"NOT SAVEDON 22-Oct-2013 SAVEDATESUPPORTED": b" 1 3",
        b"NOT SAVEDATESUPPORTED": b"",
    }.items():
        assert client.ok(b"SEARCH " + keys) == [b"* SEARCH" + numbers]
    assert client.ok(b"FETCH 2 (SAVEDATE INTERNALDATE)") == [
        b'* 2 FETCH (SAVEDATE "22-Oct-2013 23:59:59 +0000" INTERNALDATE " 1-Jan-1970 00:00:00 +0000")'
    ]
