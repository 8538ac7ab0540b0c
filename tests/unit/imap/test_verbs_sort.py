"""SORT: every key, with RETURN, and what happens meanwhile."""

import itertools

import pytest


def message(subject, sender, date, body="x"):
    return (
        f"From: {sender}\r\nTo: {sender}\r\nCc: {sender}\r\nSubject: {subject}\r\nDate: {date}\r\n\r\n{body}\r\n"
    ).encode()


@pytest.fixture
def client(suite):
    put = suite.account.put
    put("INBOX", b"Subject: gone\r\n\r\n", ["\\Deleted"])
    put("INBOX", message("beta", "Zoe <bob@x.test>", "Tue, 17 Nov 2026 10:00:00 +0000", "x" * 300), date=500)
    put("INBOX", message("Re: [list] Alpha", "alice@y.test", "Tue, 17 Nov 2026 10:00:00 +0100", "x" * 100), date=400)
    put("INBOX", message("alpha", "Bea <zoe@x.test>", "Tue, 17 Nov 2026 10:00:00 +0200"), ["\\Seen"], date=400)
    put("INBOX", b"\r\nno header\r\n", date=100)
    client = suite.connect().login().select()
    client.ok(b"EXPUNGE")  # from here on each UID is one more than its number
    return client


def order(client, command):
    (line,) = client.ok(command)
    assert line.startswith(b"* SORT")
    return [int(number) for number in line.split()[2:]]


def test_the_extensions_are_announced(client):
    assert {b"SORT", b"SORT=DISPLAY", b"ESORT"} <= set(client.ok(b"CAPABILITY")[0].split())


@pytest.mark.parametrize(
    ("criteria", "numbers"),
    [
        (b"ARRIVAL", [4, 2, 3, 1]),
        (b"REVERSE ARRIVAL", [1, 2, 3, 4]),
        (b"DATE", [4, 3, 2, 1]),
        (b"REVERSE DATE", [1, 2, 3, 4]),
        (b"SIZE", [4, 3, 2, 1]),
        (b"SUBJECT", [4, 2, 3, 1]),
        (b"REVERSE SUBJECT", [1, 2, 3, 4]),
        (b"SUBJECT DATE", [4, 3, 2, 1]),
        (b"SUBJECT REVERSE DATE", [4, 2, 3, 1]),
        (b"FROM", [4, 2, 1, 3]),
        (b"TO", [4, 2, 1, 3]),
        (b"CC", [4, 2, 1, 3]),
        (b"DISPLAYFROM", [4, 2, 3, 1]),
        (b"REVERSE DISPLAYTO", [1, 3, 2, 4]),
        (b"ARRIVAL SIZE", [4, 3, 2, 1]),
    ],
)
def test_every_key_puts_messages_in_its_order(client, criteria, numbers):
    assert order(client, b"SORT (%b) UTF-8 ALL" % criteria) == numbers
    assert order(client, b"UID SORT (%b) US-ASCII ALL" % criteria) == [number + 1 for number in numbers]


def test_only_what_matches_is_in_the_answer(client):
    assert order(client, b"SORT (DATE) UTF-8 UNSEEN SUBJECT a") == [2, 1]
    assert order(client, b'SORT (DATE) "utf-8" 2:3') == [3, 2]
    assert client.ok(b"SORT (DATE) UTF-8 DRAFT") == [b"* SORT"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (b"SORT RETURN () (REVERSE SIZE) UTF-8 ALL", b"ALL 1:4"),
        (b"SORT RETURN (ALL) (SUBJECT) UTF-8 ALL", b"ALL 4,2:3,1"),
        (b"UID SORT RETURN (MIN MAX COUNT) (SUBJECT) UTF-8 ALL", b"UID MIN 5 MAX 2 COUNT 4"),
        (b"SORT RETURN (COUNT ALL) (SIZE) UTF-8 DRAFT", b"COUNT 0"),
    ],
)
def test_the_least_and_the_greatest_are_those_of_the_order(client, asked, told):
    """RFC 5267 section 3."""
    assert client.ok(asked) == [b'* ESEARCH (TAG "t%d") %b' % (client._tags, told)]


def test_what_was_sorted_can_be_saved(client):
    client.ok(b"SORT RETURN (SAVE MIN) (SUBJECT) UTF-8 ALL")
    assert client.ok(b"SEARCH $") == [b"* SEARCH 4"]
    client.ok(b"SORT RETURN (SAVE) (SUBJECT) UTF-8 SUBJECT alpha")
    assert client.ok(b"SEARCH $") == [b"* SEARCH 2 3"]
    assert client.run(b"SORT RETURN (SAVE) (SUBJECT) x ALL")[1].startswith(b"NO [BADCHARSET (US-ASCII UTF-8)]")
    assert client.ok(b"SEARCH $") == [b"* SEARCH"]


def test_an_expunge_waits_but_for_uid_sort(suite, client):
    other = suite.connect().login().select()
    other.ok(b"STORE 2 +FLAGS.SILENT (\\Deleted)")
    other.ok(b"EXPUNGE")
    lines, end = client.run(b"SORT (DATE) UTF-8 ALL")
    assert lines[0] == b"* SORT 4 3 1"
    assert not [line for line in lines if line.endswith(b"EXPUNGE")]
    assert end.startswith(b"OK [EXPUNGEISSUED]")
    assert client.ok(b"UID SORT (DATE) UTF-8 ALL")[:2] == [b"* SORT 5 4 2", b"* 2 EXPUNGE"]


def test_a_sort_that_takes_too_long_is_given_up(suite, client):
    original = suite.account.pass_gate

    async def slow(call):
        await original(call)
        suite.clock.rightNow += 11

    suite.account.pass_gate = slow
    assert client.run(b"SORT (SUBJECT) UTF-8 ALL")[1].startswith(b"NO [LIMIT]")
    suite.account.pass_gate = original
    assert order(client, b"SORT (SUBJECT) UTF-8 ALL") == [4, 2, 3, 1]


def test_a_client_that_goes_leaves_nothing_behind(suite, client):
    gate = suite.gate()
    client.send(b"x SORT (SUBJECT) UTF-8 ALL\r\n")
    client.transport.loseConnection()
    gate.callback(None)
    client.settle()
    assert not client.connected


def test_many_messages_are_sorted_in_turns_with_others(suite, client, mail, monkeypatch):
    """No turn goes on for long, whatever the number of messages: the clock here moves with each look at it."""
    for number in range(300):
        suite.account.put("INBOX", mail(str(number)))
    client.ok(b"NOOP")
    client.ok(b"SELECT INBOX")
    session = client.server.session
    sleeps = []
    now = itertools.count()

    def seconds():
        return next(now) * 0.001

    original = session.connection.sleep

    async def sleep(wait):
        sleeps.append(seconds())
        await original(wait)

    monkeypatch.setattr(session, "seconds", seconds)
    monkeypatch.setattr(session.connection, "sleep", sleep)
    (line,) = client.ok(b"SORT (SUBJECT REVERSE DATE) UTF-8 ALL")
    assert len(line.split()) == 2 + 304
    assert max(later - earlier for earlier, later in itertools.pairwise(sleeps)) < 0.05
