"""PARTIAL: pages of SEARCH, SORT and UID FETCH."""

import pytest

WIRE_LENGTHS = (1, 3, 1000)


@pytest.fixture
def client(suite, mail):
    for number in range(1, 12):
        suite.account.put("INBOX", mail(f"number {number % 4}"), ["\\Seen"] if number % 2 else [])
    client = suite.connect().login().select()
    client.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok(b"EXPUNGE")  # from here on each UID is one more than its number
    return client


def told(client, command):
    (line,) = client.ok(command)
    prefix = b'* ESEARCH (TAG "t%d")' % client._tags
    assert line.startswith(prefix)
    return line.removeprefix(prefix).strip()


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (b"SEARCH RETURN (PARTIAL 1:3) ALL", b"PARTIAL (1:3 1:3)"),
        (b"UID SEARCH RETURN (PARTIAL 1:3) ALL", b"UID PARTIAL (1:3 2:4)"),
        (b"UID SEARCH RETURN (partial -1:-3) ALL", b"UID PARTIAL (-1:-3 9:11)"),
        (b"SEARCH RETURN (PARTIAL 3:2) SEEN", b"PARTIAL (3:2 4,6)"),
        (b"SEARCH RETURN (PARTIAL -2:-1) SEEN", b"PARTIAL (-2:-1 8,10)"),
        (b"SEARCH RETURN (PARTIAL 4:100) SEEN", b"PARTIAL (4:100 8,10)"),
        (b"SEARCH RETURN (PARTIAL 100:200) SEEN", b"PARTIAL (100:200 NIL)"),
        (b"SEARCH RETURN (PARTIAL 1:2) DRAFT", b"PARTIAL (1:2 NIL)"),
        (b"SEARCH RETURN (PARTIAL 1:2 COUNT) SEEN", b"PARTIAL (1:2 2,4) COUNT 5"),
        (b"SEARCH RETURN (MIN MAX PARTIAL 2:3) SEEN", b"MIN 2 MAX 10 PARTIAL (2:3 4,6)"),
        (b"SEARCH RETURN (MIN PARTIAL 2:3 COUNT) DRAFT", b"PARTIAL (2:3 NIL) COUNT 0"),
        (b"SORT RETURN (PARTIAL 1:3) (SUBJECT) UTF-8 ALL", b"PARTIAL (1:3 3,7,4)"),
        (b"UID SORT RETURN (PARTIAL -1:-3 COUNT) (REVERSE ARRIVAL) UTF-8 ALL", b"UID PARTIAL (-1:-3 9:11) COUNT 10"),
        (b"UID SORT RETURN (PARTIAL 1:2) (REVERSE SUBJECT) UTF-8 ALL", b"UID PARTIAL (1:2 3,7)"),
    ],
)
def test_a_page_of_the_results_is_told(client, asked, answer):
    assert told(client, asked) == answer


@pytest.mark.parametrize(
    ("returns", "uids"),
    [
        (b"SAVE PARTIAL 2:3", b"5,7"),
        (b"SAVE PARTIAL 2:3 MIN", b"3,5,7"),
        (b"SAVE PARTIAL 2:3 MAX", b"5,7,11"),
        (b"SAVE PARTIAL 2:3 MIN MAX", b"3,5,7,11"),
        (b"SAVE PARTIAL -1:-1 MAX", b"11"),
        (b"SAVE PARTIAL 2:3 COUNT", b"3,5,7,9,11"),
        (b"SAVE PARTIAL 2:3 MIN COUNT", b"3,5,7,9,11"),
        (b"SAVE PARTIAL 20:30", b""),
    ],
)
def test_what_is_saved_is_the_page(client, returns, uids):
    """RFC 9394 section 3.2, table 1."""
    assert b"PARTIAL (" in told(client, b"SEARCH RETURN (%b) SEEN" % returns)
    assert client.ok(b"UID SEARCH $") == [b" ".join([b"* SEARCH", *uids.split(b",")]) if uids else b"* SEARCH"]


def test_the_modseq_is_that_of_the_page(client):
    client.ok(b"ENABLE CONDSTORE")
    client.ok(b"STORE 10 +FLAGS (a)")
    client.ok(b"STORE 1 +FLAGS (b)")
    assert told(client, b"SEARCH RETURN (PARTIAL -1:-1) MODSEQ 1") == b"PARTIAL (-1:-1 10) MODSEQ 15"
    assert told(client, b"SEARCH RETURN (PARTIAL 1:2) MODSEQ 1") == b"PARTIAL (1:2 1:2) MODSEQ 16"
    assert told(client, b"SEARCH RETURN (PARTIAL 90:99) MODSEQ 1") == b"PARTIAL (90:99 NIL)"
    assert told(client, b"SEARCH RETURN (PARTIAL -1:-1 COUNT) MODSEQ 1") == b"PARTIAL (-1:-1 10) COUNT 10 MODSEQ 16"


@pytest.mark.parametrize(
    "returns",
    [b"PARTIAL", b"PARTIAL 1", b"PARTIAL 1:-1", b"PARTIAL 0:1", b"PARTIAL 1:2 ALL", b"ALL PARTIAL 1:2",
     b"PARTIAL 1:2 PARTIAL 3:4", b"PARTIAL 1:2 PARTIAL 1:2", b"PARTIAL (1:2)", b"PARTIAL  1:2", b"PARTIAL 1:2,4:5"],
)  # fmt: skip
@pytest.mark.parametrize("command", [b"SEARCH RETURN (%b) ALL", b"UID SORT RETURN (%b) (DATE) UTF-8 ALL"])
def test_what_cannot_be_read_is_bad(client, command, returns):
    assert client.run(command % returns)[1].startswith(b"BAD ")


@pytest.mark.parametrize(
    ("modifiers", "uids"),
    [
        (b"PARTIAL 1:2", [5, 6]),
        (b"PARTIAL -1:-3", [7, 8, 9]),
        (b"partial 2:1", [5, 6]),
        (b"PARTIAL 4:90", [8, 9]),
        (b"PARTIAL 6:90", []),
        (b"PARTIAL -1:-90", [5, 6, 7, 8, 9]),
    ],
)
def test_a_page_of_the_messages_named_is_fetched(client, modifiers, uids):
    for items in (b"(UID FLAGS)", b"(UID RFC822.SIZE)"):
        lines = client.ok(b"UID FETCH 5:9 %b (%b)" % (items, modifiers))
        assert [int(line.split()[4]) for line in lines] == uids


def test_a_page_is_found_before_what_changed(client):
    client.ok(b"STORE 4:5 +FLAGS (x)")  # UIDs 5 and 6
    client.ok(b"STORE 10 +FLAGS (x)")
    (line,) = [each for each in client.ok(b"STATUS INBOX (HIGHESTMODSEQ)") if b"STATUS" in each]
    before = int(line.split()[-1].rstrip(b")")) - 2
    for modifiers in (b"PARTIAL -5:-6 CHANGEDSINCE %d", b"CHANGEDSINCE %d PARTIAL -6:-5"):
        for items in (b"FLAGS", b"RFC822.SIZE"):
            lines = client.ok(b"UID FETCH 1:* (%b) (%b)" % (items, modifiers % before))
            assert [line.split()[1] for line in lines] == [b"5"], "number 6 did not change"


def test_the_same_items_may_follow_with_another_page(client):
    for first in (1, 2, 3):
        (line,) = client.ok(b"UID FETCH 1:* (UID) (PARTIAL %d:%d)" % (first, first))
        assert line == b"* %d FETCH (UID %d)" % (first, first + 1)
    assert len(client.ok(b"UID FETCH 1:* (UID)")) == 10


@pytest.mark.parametrize(
    "command",
    [b"FETCH 1:* UID (PARTIAL 1:2)", b"UID FETCH 1:* UID (PARTIAL)", b"UID FETCH 1:* UID (PARTIAL 1:2 PARTIAL 1:2)",
     b"UID FETCH 1:* UID (VANISHED PARTIAL 1:2)", b"UID FETCH 1:* UID (PARTIAL 1:-2)",
     b"UID FETCH 1:* UID (PARTIAL 1:2",
     b"UID FETCH 1:* UID(PARTIAL 1:2)", b"UID FETCH 1:* UID (CHANGEDSINCE 0 PARTIAL 1:2)"],
)  # fmt: skip
def test_a_fetch_that_cannot_be_read_is_bad(client, command):
    assert client.run(command)[1].startswith(b"BAD ")


@pytest.mark.parametrize("length", WIRE_LENGTHS)
def test_the_answer_is_the_same_however_the_command_is_cut(client, length):
    octets = b"a SEARCH RETURN (PARTIAL -1:-2) SEEN\r\nb UID FETCH 1:* UID (PARTIAL 1:1)\r\nc NOOP\r\n"
    answer = b"".join(client.send(octets[at : at + length]) for at in range(0, len(octets), length))
    assert answer.split(b"\r\n") == [
        b'* ESEARCH (TAG "a") PARTIAL (-1:-2 8,10)',
        b"a OK SEARCH completed",
        b"* 1 FETCH (UID 2)",
        b"b OK FETCH completed",
        b"c OK NOOP completed",
        b"",
    ]
