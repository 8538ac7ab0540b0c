"""FETCH: every item, sections, large messages, what vanishes meanwhile."""

import pytest

from mailsuite.errors import Kind, MailError
from mailsuite.imap.bodies import PIECE_OCTETS, SMALL_MAX_OCTETS
from mailsuite.interfaces import UnwritableError

MULTIPART = (
    b"From: a@example.test\r\nSubject: parts\r\nX-Own: one\r\n two\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"
    b"preamble\r\n--B\r\nContent-Type: text/plain\r\n\r\nfirst\r\n"
    b"--B\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nTo: b@example.test\r\n\r\ninner text\r\n--B--\r\n"
)


@pytest.fixture
def client(suite, mail):
    suite.account.put("INBOX", mail(), date=1700000000)
    suite.account.put("INBOX", MULTIPART, ["\\Seen"])
    return suite.connect().login().select()


def fetched(client, command):
    """Give the untagged octets of a FETCH."""
    answer = client.send(b"a " + command + b"\r\n")
    untagged, found, _ = answer.rpartition(b"a OK")
    assert found, answer
    return untagged


def section(client, name, number=2):
    answer = fetched(client, b"FETCH %d BODY.PEEK[%b]" % (number, name))
    head, _, rest = answer.partition(b"{")
    assert head.startswith(b"* %d FETCH (BODY[" % number), answer
    size, _, octets = rest.partition(b"}\r\n")
    assert octets[int(size) :] == b")\r\n", answer
    return octets[: int(size)]


def test_items_in_the_clients_order(client):
    answer = fetched(client, b"FETCH 1 (RFC822.SIZE UID FLAGS INTERNALDATE)")
    assert answer == b'* 1 FETCH (RFC822.SIZE 119 UID 1 FLAGS (\\Recent) INTERNALDATE "14-Nov-2023 22:13:20 +0000")\r\n'


def test_envelope_and_structures(client):
    answer = fetched(client, b"FETCH 1 (ENVELOPE BODY BODYSTRUCTURE)")
    assert b'ENVELOPE ("Tue, 17 Nov 2026 10:00:00 +0000" "hello" ((' in answer
    assert b'BODY ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1)' in answer
    assert b'BODYSTRUCTURE ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 6 1 NIL NIL NIL NIL)' in answer


@pytest.mark.parametrize(
    ("macro", "items"),
    [
        (b"FAST", [b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE"]),
        (b"ALL", [b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE"]),
        (b"FULL", [b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY"]),
    ],
)
def test_macros(client, macro, items):
    answer = fetched(client, b"FETCH 1 " + macro)
    assert all(item + b" " in answer for item in items)


def test_uid_fetch_always_tells_the_uid(client):
    assert fetched(client, b"UID FETCH 2 FLAGS") == b"* 2 FETCH (UID 2 FLAGS (\\Recent \\Seen))\r\n"
    assert b"UID 2" in fetched(client, b"UID FETCH 2 BODY.PEEK[]")
    assert fetched(client, b"UID FETCH 99 FLAGS") == b""
    assert b"UID 2" in fetched(client, b"UID FETCH 99:* FLAGS")


SECTIONS = {
    b"": MULTIPART,
    b"HEADER": MULTIPART[: MULTIPART.index(b"preamble")],
    b"TEXT": MULTIPART[MULTIPART.index(b"preamble") :],
    b"1": b"first",
    b"1.MIME": b"Content-Type: text/plain\r\n\r\n",
    b"2": b"Subject: inner\r\nTo: b@example.test\r\n\r\ninner text",
    b"2.HEADER": b"Subject: inner\r\nTo: b@example.test\r\n\r\n",
    b"2.TEXT": b"inner text",
    b"2.1": b"inner text",
    b"2.HEADER.FIELDS (TO)": b"To: b@example.test\r\n\r\n",
    b"2.HEADER.FIELDS.NOT (TO)": b"Subject: inner\r\n\r\n",
    b"HEADER.FIELDS (SUBJECT)": b"Subject: parts\r\n\r\n",
    b"HEADER.FIELDS (subject From)": b"From: a@example.test\r\nSubject: parts\r\n\r\n",
    b"HEADER.FIELDS (X-OWN)": b"X-Own: one\r\n two\r\n\r\n",
    b"HEADER.FIELDS (ABSENT-FIELD)": b"\r\n",
    b"HEADER.FIELDS (CC)": b"\r\n",
    b"HEADER.FIELDS.NOT (X-OWN CONTENT-TYPE)": b"From: a@example.test\r\nSubject: parts\r\n\r\n",
}


@pytest.mark.parametrize("name", SECTIONS)
def test_sections(client, name):
    assert section(client, name) == SECTIONS[name]


@pytest.mark.parametrize("name", SECTIONS)
def test_sections_of_a_large_message_are_the_same(suite, client, name):
    filler = b"\r\n--B\r\nContent-Type: application/octet-stream\r\n\r\n" + b"x" * PIECE_OCTETS * 2 + b"\r\n--B--\r\n"
    large = MULTIPART.replace(b"\r\n--B--\r\n", filler)
    suite.account.put("INBOX", large)
    client.ok(b"NOOP")
    expected = SECTIONS[name] if name not in {b"", b"TEXT"} else large[0 if not name else large.index(b"preamble") :]
    assert section(client, name, 3) == expected
    assert max(suite.account.boxes["INBOX"].messages) == 3


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"<0.4>", MULTIPART[:4]),
        (b"<5.10>", MULTIPART[5:15]),
        (b"<999999999.10>", b""),
    ],
)
def test_partial_ranges(suite, client, name, expected, large):
    if large:
        suite.account.put("INBOX", MULTIPART + b"x" * SMALL_MAX_OCTETS * 5)
        client.ok(b"NOOP")
    number = 3 if large else 2
    answer = fetched(client, b"FETCH %d BODY.PEEK[]%b" % (number, name))
    origin = name[1:].split(b".")[0]
    assert answer == b"* %d FETCH (BODY[]<%b> {%d}\r\n%b)\r\n" % (number, origin, len(expected), expected)


def test_partial_range_of_picked_fields(client):
    answer = fetched(client, b"FETCH 2 BODY.PEEK[HEADER.FIELDS (SUBJECT)]<2.5>")
    assert answer == b"* 2 FETCH (BODY[HEADER.FIELDS (SUBJECT)]<2> {5}\r\nbject)\r\n"


@pytest.mark.parametrize("name", [b"3", b"1.1", b"2.2", b"1.HEADER", b"9.9.9"])
def test_a_part_that_is_not_there_is_nil(client, name):
    assert fetched(client, b"FETCH 2 BODY.PEEK[%b]" % name) == b"* 2 FETCH (BODY[%b] NIL)\r\n" % name


def test_rfc822_items(client, mail):
    content = mail()
    header, body = content[: content.index(b"\r\n\r\n") + 4], content[content.index(b"\r\n\r\n") + 4 :]
    assert fetched(client, b"FETCH 1 RFC822.HEADER") == b"* 1 FETCH (RFC822.HEADER {%d}\r\n%b)\r\n" % (
        len(header),
        header,
    )
    assert b"RFC822.TEXT {%d}\r\n%b FLAGS (\\Recent \\Seen))" % (len(body), body) in fetched(
        client, b"FETCH 1 RFC822.TEXT"
    )
    assert b"RFC822 {%d}\r\n%b)" % (len(content), content) in fetched(client, b"FETCH 1 RFC822")


# \Seen


def test_reading_a_body_sets_seen_and_says_so(suite, client):
    assert fetched(client, b"FETCH 1 BODY[TEXT]").endswith(b" FLAGS (\\Recent \\Seen))\r\n")
    assert suite.account.boxes["INBOX"].messages[1].flags == {"\\Seen"}
    assert b"FLAGS" not in fetched(client, b"FETCH 1 BODY[TEXT]")


def test_flags_are_told_once_when_they_are_asked_for(client):
    answer = fetched(client, b"FETCH 1 (FLAGS BODY[TEXT])")
    assert answer.count(b"FLAGS") == 1
    assert b"FLAGS (\\Recent \\Seen)" in answer


def test_cached_fields_set_seen_as_well(suite, client):
    assert fetched(client, b"FETCH 1 BODY[HEADER.FIELDS (SUBJECT)]").endswith(b" FLAGS (\\Recent \\Seen))\r\n")
    assert "read_many" not in suite.account.calls


@pytest.mark.parametrize("failure", [MailError(Kind.DENIED), UnwritableError()], ids=["denied", "unwritable"])
def test_what_cannot_be_marked_can_be_read(suite, client, failure):
    suite.account.failures["store_flags"] = failure
    answer = fetched(client, b"FETCH 1 BODY[TEXT]")
    assert answer.startswith(b"* 1 FETCH (BODY[TEXT] {") and answer.endswith(b")\r\n")
    assert b"Seen" not in answer


def test_other_failures_to_mark_are_told(suite, client):
    suite.account.failures["store_flags"] = MailError(Kind.UNAVAILABLE, "busy")
    assert client.send(b"a FETCH 1 BODY[TEXT]\r\n") == b"a NO [UNAVAILABLE] busy\r\n"


def test_peeking_does_not(suite, client):
    fetched(client, b"FETCH 1 (BODY.PEEK[] RFC822.HEADER)")
    assert suite.account.boxes["INBOX"].messages[1].flags == frozenset()


# what the store is asked


def test_the_index_answers_without_opening_messages(suite, client):
    suite.account.calls.clear()
    fetched(client, b"FETCH 1:* (UID FLAGS ENVELOPE BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)])")
    assert suite.account.calls == ["fetch"]


def test_flags_alone_come_from_the_view(suite, client):
    suite.account.calls.clear()
    assert fetched(client, b"UID FETCH 1:* FLAGS").count(b"FETCH") == 2
    assert suite.account.calls == []


def test_flags_from_the_view_are_new(suite, client):
    other = suite.connect().login().select()
    other.ok(b"STORE 1 +FLAGS (\\Flagged)")
    assert fetched(client, b"FETCH 1 FLAGS").count(b"\\Flagged") >= 1


def test_many_messages_come_in_order_and_complete(suite, mail):
    for number in range(2500):
        suite.account.put("INBOX", mail(str(number)))
    client = suite.connect().login().select()
    for command in (b"FETCH 1:* (UID RFC822.SIZE)", b"FETCH 1:* (UID FLAGS)", b"FETCH 1:* (UID BODY.PEEK[TEXT])"):
        lines = [line for line in fetched(client, command).split(b"\r\n") if line.startswith(b"* ")]
        assert [int(line.split()[1]) for line in lines] == list(range(1, 2501))
        assert [int(line.split(b"UID ")[1].split()[0].rstrip(b")")) for line in lines] == list(range(1, 2501))


def test_the_next_chunk_is_asked_for_while_this_one_is_written(suite, mail):
    for number in range(2100):
        suite.account.put("INBOX", mail(str(number)))
    client = suite.connect().login().select()
    suite.account.calls.clear()
    client.transport.producer.pauseProducing()
    client.send(b"a FETCH 1:* RFC822.SIZE\r\n")
    assert suite.account.calls == ["fetch", "fetch"]
    client.transport.producer.resumeProducing()
    client.settle()
    assert suite.account.calls == ["fetch"] * 3


# what vanishes


def test_messages_that_vanish_are_passed_over_and_told(suite, client):
    box = suite.account.boxes["INBOX"]
    del box.messages[1]
    for items in (b"(UID ENVELOPE)", b"BODY.PEEK[]"):
        answer = client.send(b"a FETCH 1:2 " + items + b"\r\n")
        assert b"* 1 FETCH" not in answer
        assert b"* 2 FETCH" in answer
        assert b"a OK [EXPUNGEISSUED]" in answer


def test_a_large_message_that_vanishes_before_it_begins_is_passed_over(suite, client):
    suite.account.put("INBOX", MULTIPART + b"x" * PIECE_OCTETS * 3)
    client.ok(b"NOOP")
    gate = suite.gate()
    client.send(b"a FETCH 3 BODY.PEEK[]\r\n")
    row = suite.account.boxes["INBOX"].messages.pop(3)
    suite.account.boxes["INBOX"].messages[3] = row
    original = suite.account.pass_gate

    async def vanish(call):
        await original(call)
        if call == "read":
            suite.account.boxes["INBOX"].messages.pop(3, None)

    suite.account.pass_gate = vanish
    gate.callback(None)
    answer = client.received()
    assert b"* 3 FETCH" not in answer
    assert b"a OK [EXPUNGEISSUED]" in answer


def test_a_message_that_breaks_off_ends_the_connection_instead_of_lying(suite, client):
    suite.account.put("INBOX", MULTIPART + b"x" * PIECE_OCTETS * 3)
    client.ok(b"NOOP")
    original = suite.account.pass_gate

    async def vanish(call):
        await original(call)
        if call == "read" and suite.account.calls.count("read") == 4:
            suite.account.boxes["INBOX"].messages.pop(3, None)

    suite.account.pass_gate = vanish
    answer = client.send(b"a FETCH 3 BODY.PEEK[]\r\n")
    assert b"a OK" not in answer
    assert not client.connected


def test_a_large_message_is_never_read_ahead_of_the_client(suite, client):
    suite.account.put("INBOX", MULTIPART + b"x" * PIECE_OCTETS * 8)
    client.ok(b"NOOP")
    suite.account.calls.clear()
    client.transport.producer.pauseProducing()
    client.send(b"a FETCH 3 BODY.PEEK[]\r\n")
    assert suite.account.calls.count("read") <= 2
    client.transport.producer.resumeProducing()
    client.settle()
    assert b"a OK" in client.received()[-40:]


def test_a_hundred_thousand_numbers_beyond_the_mailbox_cost_nothing(client):
    assert client.run(b"FETCH 3:4294967295 FLAGS")[1] == b"BAD there are only 2 messages"
    assert fetched(client, b"UID FETCH 3:4294967295 FLAGS") == b""


def test_large_cached_headers_are_read_and_written_a_few_at_a_time(suite, monkeypatch):
    for number in range(100):
        suite.account.put("INBOX", b"Subject: %d\r\n" % number + b"References: %b\r\n\r\n" % (b"<a@b> " * 5000))
    client = suite.connect().login().select()
    writes = []
    write = client.transport.write
    monkeypatch.setattr(client.transport, "write", lambda octets: (writes.append(len(octets)), write(octets)))
    suite.account.calls.clear()
    answer = client.send(b"a FETCH 1:* (BODY.PEEK[HEADER.FIELDS (REFERENCES)])\r\n")
    assert answer.count(b"* ") == 100
    assert suite.account.calls == ["fetch"] * 6
    assert max(writes) < 400_000


def test_of_large_cached_headers_nothing_is_lost_between_two_reads(suite):
    for number in range(60):
        suite.account.put("INBOX", b"Subject: %d\r\n" % number + b"References: %b\r\n\r\n" % (b"<a@b> " * 5000))
    client = suite.connect().login().select()
    suite.account.boxes["INBOX"].messages.pop(17)
    suite.account.boxes["INBOX"].messages.pop(60)
    answer = client.send(b"a FETCH 1:* (UID BODY[HEADER.FIELDS (SUBJECT)])\r\n")
    lines = answer.split(b"* ")[1:]
    told = [line for line in lines if b"BODY[" in line]
    assert [int(line.split()[0]) for line in told] == [number for number in range(1, 60) if number != 17]
    for line in told:
        number = int(line.split()[0])
        assert line.startswith(b"%d FETCH (UID %d BODY[HEADER.FIELDS (SUBJECT)] {" % (number, number))
        assert b"}\r\nSubject: %d\r\n\r\n FLAGS (" % (number - 1) in line
        assert b"\\Seen" in line


def test_many_sections_of_cached_fields_are_written_in_the_clients_order(client):
    text = b"Subject: parts\r\n\r\n"
    asked = [b"BODY.PEEK[HEADER.FIELDS (Subject)]<%d.%d>" % (at, 1 + at % 3) for at in range(400)]
    told = [b"BODY[HEADER.FIELDS (Subject)]<%d> {%d}\r\n%b" % (at, len(cut), cut)
            for at, cut in ((at, text[at : at + 1 + at % 3]) for at in range(400))]  # fmt: skip
    answer = fetched(client, b"FETCH 1:* (UID %b BODY.PEEK[HEADER.FIELDS (X-PRIORITY)])" % b" ".join(asked))
    assert answer.count(b" FETCH (UID ") == 2
    last = b"BODY[HEADER.FIELDS (X-PRIORITY)] {2}\r\n\r\n"
    assert answer.endswith(b"* 2 FETCH (UID 2 %b)\r\n" % b" ".join([*told, last]))
