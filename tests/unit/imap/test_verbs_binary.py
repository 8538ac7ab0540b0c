"""FETCH BINARY: parts without their content transfer encoding; and APPEND of what holds NUL."""

import base64

import pytest

from mailsuite.imap.bodies import PIECE_OCTETS, SMALL_MAX_OCTETS

IMAGE = bytes(range(256)) * 8
WORDS = b"caf=C3=A9 and a long line that goes =\r\non  \r\nend\r\n"
DECODED = "café and a long line that goes on\r\nend\r\n".encode()


def mime(*parts):
    return (
        b"Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"
        + b"".join(b"--B\r\n" + part + b"\r\n" for part in parts)
        + b"--B--\r\n"
    )


def part(encoding, body, content_type=b"application/octet-stream"):
    return b"Content-Type: %b\r\nContent-Transfer-Encoding: %b\r\n\r\n%b" % (content_type, encoding, body)


SMALL = mime(
    part(b"base64", base64.encodebytes(IMAGE).replace(b"\n", b"\r\n")),
    part(b"quoted-printable", WORDS, b"text/plain; charset=utf-8"),
    part(b"x-uuencode", b"begin 644 x\r\n"),
    b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n",
)


@pytest.fixture
def client(suite):
    suite.account.put("INBOX", SMALL)
    return suite.connect().login().select()


def fetched(client, items, number=1):
    return b"".join(client.ok(b"FETCH %d %b" % (number, items)))


PARTS = {b"1": IMAGE, b"2": DECODED, b"4.1": b"ABC"}


@pytest.mark.parametrize("number", PARTS)
def test_a_part_is_sent_without_its_encoding(client, number):
    content = PARTS[number]
    tilde = b"~" if b"\0" in content else b""
    answer = client.send(b"a FETCH 1 BINARY.PEEK[%b]\r\n" % number)
    assert answer.startswith(b"* 1 FETCH (BINARY[%b] %b{%d}\r\n%b)\r\na OK" % (number, tilde, len(content), content))
    assert client.send(b"b FETCH 1 BINARY.SIZE[%b]\r\n" % number).startswith(
        b"* 1 FETCH (BINARY.SIZE[%b] %d)\r\nb OK" % (number, len(content))
    )


def test_the_whole_message_and_a_part_with_parts_are_sent_as_they_are(client):
    assert b"BINARY[] {%d}\r\n%b)" % (len(SMALL), SMALL) in client.send(b"a FETCH 1 BINARY.PEEK[]\r\n")
    assert b"BINARY.SIZE[] %d)" % len(SMALL) in client.send(b"a FETCH 1 BINARY.SIZE[]\r\n")
    inner = b"Subject: in\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n"
    assert b"BINARY[4] {%d}\r\n%b)" % (len(inner), inner) in client.send(b"a FETCH 1 BINARY.PEEK[4]\r\n")


def test_a_partial_range_counts_decoded_octets(client):
    assert client.send(b"a FETCH 1 BINARY.PEEK[1]<254.4>\r\n").startswith(
        b"* 1 FETCH (BINARY[1]<254> ~{4}\r\n\xfe\xff\x00\x01)\r\na OK"
    )
    assert b"BINARY[2]<9999> {0}\r\n)" in client.send(b"a FETCH 1 BINARY.PEEK[2]<9999.4>\r\n")


def test_only_binary_without_peek_sets_seen(client, suite):
    client.ok(b"FETCH 1 (BINARY.PEEK[2] BINARY.SIZE[2])")
    assert suite.account.boxes["INBOX"].messages[1].flags == frozenset()
    assert b"FLAGS (\\Recent \\Seen)" in client.send(b"a FETCH 1 BINARY[2]\r\n")


def test_a_part_that_is_not_there_is_nil(client):
    assert b"(BINARY[9] NIL BINARY.SIZE[9] 0)" in client.send(b"a FETCH 1 (BINARY.PEEK[9] BINARY.SIZE[9])\r\n")


def test_an_encoding_that_nobody_knows_is_said(client, suite):
    suite.account.put("INBOX", mime(part(b"7bit", b"one"), part(b"7bit", b"two"), part(b"8bit", b"three")))
    client.ok(b"NOOP")
    answer = client.send(b"a FETCH 1:2 BINARY.PEEK[3]\r\n")
    assert answer.startswith(b"* 2 FETCH (BINARY[3] {5}\r\nthree)\r\na NO [UNKNOWN-CTE]")
    assert b"NO [UNKNOWN-CTE]" in client.send(b"a FETCH 1 BINARY.SIZE[3]\r\n")


@pytest.mark.parametrize("item", [b"BINARY", b"BINARY[TEXT]", b"BINARY[1.MIME]", b"BINARY[HEADER]", b"BINARY[0]",
                                  b"BINARY.SIZE[1]<0.5>", b"BINARY[1]<0.0>", b"BINARY[1.]"])  # fmt: skip
def test_what_is_no_section_is_refused(client, item):
    assert client.run(b"FETCH 1 %b" % item)[1].startswith(b"BAD")


LARGE = [
    (b"base64", lambda content: base64.encodebytes(content).replace(b"\n", b"\r\n"), bytes(range(256)) * 4000),
    (b"quoted-printable", lambda content: content.replace(b"=", b"=3D").replace(b"e", b"=65"), b"cafe=\r\n" * 110_000),
    (b"binary", lambda content: content, bytes(range(1, 256)) * 3000),
]  # fmt: skip


@pytest.mark.parametrize(("encoding", "encode", "content"), LARGE)
def test_a_large_part_is_decoded_piece_by_piece(suite, client, encoding, encode, content):
    message = mime(part(encoding, encode(content)), part(b"7bit", b"x" * SMALL_MAX_OCTETS * 4))
    assert len(encode(content)) > PIECE_OCTETS
    suite.account.put("INBOX", message)
    client.ok(b"NOOP")
    answer = client.send(b"a FETCH 2 BINARY.PEEK[1]\r\n")
    tilde = b"~" if b"\0" in content else b""
    assert answer.startswith(b"* 2 FETCH (BINARY[1] %b{%d}\r\n" % (tilde, len(content)))
    assert answer.partition(b"}\r\n")[2].startswith(content + b")\r\na OK")
    assert b"BINARY.SIZE[1] %d)" % len(content) in client.send(b"a FETCH 2 BINARY.SIZE[1]\r\n")
    start = 400_000
    ranged = client.send(b"a FETCH 2 BINARY.PEEK[1]<%d.300000>\r\n" % start)
    assert ranged.startswith(b"* 2 FETCH (BINARY[1]<%d> %b{300000}\r\n" % (start, tilde))
    assert ranged.partition(b"}\r\n")[2].startswith(content[start : start + 300_000] + b")\r\na OK")
    beyond = client.send(b"a FETCH 2 BINARY.PEEK[1]<%d.9>\r\n" % (len(content) + 5))
    assert b"{0}\r\n)\r\na OK" in beyond


WITH_NUL = b"a" * PIECE_OCTETS + b"\0" + b"b" * PIECE_OCTETS
FORMS = [(b"base64", base64.encodebytes(WITH_NUL)), (b"binary", WITH_NUL)]


@pytest.mark.parametrize(("encoding", "encoded"), FORMS)
@pytest.mark.parametrize(
    ("start", "length"),
    [(0, PIECE_OCTETS), (0, PIECE_OCTETS + 1), (5, PIECE_OCTETS - 5), (PIECE_OCTETS, 1), (PIECE_OCTETS + 1, 1),
     (PIECE_OCTETS - 3, 9), (PIECE_OCTETS + 1, 10**9), (2 * PIECE_OCTETS, 5), (2 * PIECE_OCTETS + 9, 5)],
)  # fmt: skip
def test_only_what_holds_nul_is_a_literal8(suite, client, encoding, encoded, start, length):
    """RFC 9051 section 7.5.2: also of a large message, and of a range what is in that."""
    suite.account.put("INBOX", mime(part(b"7bit", b"none"), part(encoding, encoded)))
    client.ok(b"NOOP")
    wanted = WITH_NUL[start : start + length]
    answer = client.send(b"a FETCH 2 BINARY.PEEK[2]<%d.%d>\r\n" % (start, length))
    tilde = b"~" if b"\0" in wanted else b""
    assert answer.startswith(b"* 2 FETCH (BINARY[2]<%d> %b{%d}\r\n%b)\r\na OK" % (start, tilde, len(wanted), wanted))
    assert client.send(b"a FETCH 2 BINARY.PEEK[1]\r\n").startswith(b"* 2 FETCH (BINARY[1] {4}\r\nnone)")
    whole = client.send(b"a FETCH 2 BINARY.PEEK[]<0.%d>\r\n" % length)
    assert (b" ~{" in whole[:60]) is (b"\0" in whole)


def test_a_range_is_decoded_no_further_than_it_goes(suite, client):
    suite.account.put("INBOX", mime(part(b"base64", base64.encodebytes(bytes(8 * PIECE_OCTETS)))))
    client.ok(b"NOOP")
    suite.account.calls.clear()
    assert b"BINARY[1]<0> ~{5}\r\n" in client.send(b"a FETCH 2 BINARY.PEEK[1]<0.5>\r\n")
    assert suite.account.calls.count("read") == 2  # to measure, and to send


def test_nul_that_was_not_there_before_the_answer_began_is_not_sent(suite, client):
    suite.account.put("INBOX", mime(part(b"binary", b"a" * 3 * PIECE_OCTETS)))
    client.ok(b"NOOP")
    suite.account.calls.clear()
    original = suite.account.pass_gate
    message = suite.account.boxes["INBOX"].messages[2]

    async def change(call):
        await original(call)
        if suite.account.calls.count("read") == 4:
            message.content = message.content.replace(b"aaa", b"a\0a")

    suite.account.pass_gate = change
    answer = client.send(b"a FETCH 2 BINARY.PEEK[1]\r\n")
    assert answer.startswith(b"* 2 FETCH (BINARY[1] {%d}\r\n" % (3 * PIECE_OCTETS))
    assert b"\0" not in answer
    assert not client.connected


def test_a_large_part_that_nobody_can_decode_is_said(suite, client):
    suite.account.put("INBOX", mime(part(b"x-own", b"y" * SMALL_MAX_OCTETS * 5)))
    client.ok(b"NOOP")
    assert client.send(b"a FETCH 2 BINARY.PEEK[1]\r\n").startswith(b"a NO [UNKNOWN-CTE]")


def test_nul_in_a_body_is_not_sent_in_a_plain_literal(suite, client):
    for content in (b"Subject: x\r\n\r\na\0b", b"Subject: x\r\n\r\na\0b" + b"c" * SMALL_MAX_OCTETS * 5):
        suite.account.put("INBOX", content)
    client.ok(b"NOOP")
    for number in (2, 3):
        answer = client.send(b"a FETCH %d BODY.PEEK[TEXT]<0.3>\r\n" % number)
        assert answer.startswith(b"* %d FETCH (BODY[TEXT]<0> {3}\r\na\x80b)" % number)
        whole = client.send(b"a FETCH %d BODY.PEEK[]\r\n" % number)
        assert b"\0" not in whole
        assert b"a\x80b" in whole


def test_nul_is_appended_as_literal8(suite, client):
    answer = client.send(b"a APPEND INBOX (\\Seen) ~{17+}\r\nSubject: x\r\n\r\n\0ab\r\n")
    assert answer.startswith(b"* 2 EXISTS")
    assert suite.account.boxes["INBOX"].messages[2].content == b"Subject: x\r\n\r\n\0ab"
    assert b"NO [CANNOT]" in client.send(b"a APPEND INBOX {17+}\r\nSubject: x\r\n\r\n\0ab\r\n")
