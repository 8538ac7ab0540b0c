import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.interfaces import CACHED_FIELDS
from mailsuite.message.mime import parse_parts
from mailsuite.message.summary import nstring, summarize, summarize_with_parts

LETTER = b"""\
Received: from a by b; Sat, 21 Nov 2026 00:00:00 +0000
Date: Sun, 06 Nov 1994 08:49:37 +0000
From: Bob "B." Example <bob@example.net>
To: Alice <alice@example.test>,
 carol@example.test
Subject: =?utf-8?q?B=C3=B6b?= says
 hello
X-Other: not kept
Message-ID: <1@example.net>
In-Reply-To: <0@example.test>

line 1
line 2
""".replace(b"\n", b"\r\n")


def tokens(octets):
    """Read IMAP parenthesized data strictly: lists, NIL as None, numbers, quoted strings, literals."""
    stack = [[]]
    position = 0
    while position < len(octets):
        octet = octets[position : position + 1]
        if octet == b"(":
            stack.append([])
            position += 1
        elif octet == b")":
            done = stack.pop()
            stack[-1].append(done)
            position += 1
        elif octet == b" ":
            position += 1
            assert octets[position : position + 1] not in {b" ", b")", b""}
        elif octet == b'"':
            position += 1
            text = bytearray()
            while octets[position] != ord('"'):
                assert 0 < octets[position] < 128
                assert octets[position] not in b"\r\n"
                if octets[position] == ord("\\"):
                    position += 1
                    assert octets[position] in b'\\"'
                text.append(octets[position])
                position += 1
            position += 1
            stack[-1].append(bytes(text))
        elif octet == b"{":
            size, _, rest = octets[position + 1 :].partition(b"}\r\n")
            text = rest[: int(size)]
            assert len(text) == int(size)
            assert b"\0" not in text
            position += len(size) + 4 + len(text)
            stack[-1].append(text)
        elif octets.startswith(b"NIL", position):
            stack[-1].append(None)
            position += 3
        else:
            digits = octets[position : position + 12].split(b" ")[0].split(b")")[0]
            assert digits.isdigit()
            position += len(digits)
            stack[-1].append(int(digits))
    assert len(stack) == 1
    (value,) = stack[0]
    return value


BOB = [b"Bob B. Example", None, b"bob", b"example.net"]


def test_an_ordinary_letter():
    summary = summarize(LETTER)
    assert tokens(summary.envelope) == [
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"=?utf-8?q?B=C3=B6b?= says hello",
        [BOB],
        [BOB],
        [BOB],
        [[b"Alice", None, b"alice", b"example.test"], [None, None, b"carol", b"example.test"]],
        None,
        None,
        b"<0@example.test>",
        b"<1@example.net>",
    ]
    assert summary.body == b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 16 2)'
    assert summary.bodystructure == b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 16 2 NIL NIL NIL NIL)'
    assert summary.size == len(LETTER)
    assert summary.date == 784111777
    assert summary.subject == "B\xf6b says hello"
    assert summary.message_id == "<1@example.net>"


def test_the_kept_header_is_the_message_without_other_fields():
    assert b"received" not in CACHED_FIELDS
    expected = LETTER[LETTER.index(b"Date:") : LETTER.index(b"\r\n\r\n") + 2].replace(b"X-Other: not kept\r\n", b"")
    assert summarize(LETTER).header == expected


@pytest.mark.parametrize(
    "content", [b"", b"\r\n", b"\r\n\r\n", b"no header", b"\0", b"Subject:", b"From:\r\nDate: x\r\n\r\n"]
)
def test_poor_messages_have_a_summary(content):
    summary = summarize(content)
    assert len(tokens(summary.envelope)) == 10
    assert tokens(summary.envelope)[2:5] == [None, None, None]
    assert tokens(summary.bodystructure)[:2] == [b"text", b"plain"]
    assert summary.size == len(content)
    assert summary.date is None


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        (None, b"NIL"),
        (b"", b'""'),
        (b"a b", b'"a b"'),
        (b'a"b\\c', b'"a\\"b\\\\c"'),
        (b"a\rb", b"{3}\r\na\rb"),
        (b"a\nb", b"{3}\r\na\nb"),
        (b"\xfc", b"{1}\r\n\xfc"),
        (b'\xfc"\\', b'{3}\r\n\xfc"\\'),
        (b"a\0b", b'"a?b"'),
        (b"\xfc\0", b"{2}\r\n\xfc?"),
        (b"\t\x7f\x01", b'"\t\x7f\x01"'),
    ],
)
def test_strings_are_quoted_or_literals(value, octets):
    assert nstring(value) == octets


def test_sender_and_reply_to_are_the_author_unless_they_say_otherwise():
    envelope = tokens(summarize(b"From: a@b\r\nSender:\r\nReply-To: c@d\r\n\r\n").envelope)
    assert envelope[2:5] == [[[None, None, b"a", b"b"]], [[None, None, b"a", b"b"]], [[None, None, b"c", b"d"]]]


def test_groups_have_a_beginning_and_an_end():
    envelope = tokens(summarize(b"From: a@b\r\nTo: Team: c@d;, <@x:e@f>\r\n\r\n").envelope)
    assert envelope[5] == [
        [None, None, b"Team", None],
        [None, None, b"c", b"d"],
        [None, None, None, None],
        [None, b"@x", b"e", b"f"],
    ]


def test_an_address_without_a_domain_is_not_taken_for_a_group():
    assert tokens(summarize(b"From: root\r\n\r\n").envelope)[2] == [[None, None, b"root", b""]]


def test_several_fields_of_recipients_are_one_list():
    envelope = tokens(summarize(b"To: a@b\r\nSubject: 1\r\nTo: c@d\r\nSubject: 2\r\n\r\n").envelope)
    assert envelope[5] == [[None, None, b"a", b"b"], [None, None, b"c", b"d"]]
    assert envelope[1] == b"1"


def test_a_group_ends_with_its_field():
    envelope = tokens(summarize(b'To: Team: a@b\r\nTo: "c\r\nTo: (d\r\nTo: e@f\r\n\r\n').envelope)
    assert envelope[5] == [
        [None, None, b"Team", None],
        [None, None, b"a", b"b"],
        [None, None, None, None],
        [None, None, b"c", b""],
        [None, None, b"e", b"f"],
    ]


@pytest.mark.parametrize(
    ("value", "parameters"),
    [
        (b"text/plain", [b"charset", b"us-ascii"]),
        (b"text/plain; format=flowed", [b"format", b"flowed", b"charset", b"us-ascii"]),
        (b"text/plain; charset=utf-8; format=flowed", [b"charset", b"utf-8", b"format", b"flowed"]),
        (b"text/plain; charset*=us-ascii''utf-8", [b"charset*", b"us-ascii''utf-8"]),
        (b"image/png; format=flowed", [b"format", b"flowed"]),
    ],
)
def test_text_has_a_charset(value, parameters):
    assert tokens(summarize(b"Content-Type: " + value + b"\r\n\r\n").body)[2] == parameters


@pytest.mark.parametrize(
    ("value", "disposition"),
    [
        (b"", None),
        (b"()", None),
        (b"INLINE", [b"inline", None]),
        (b"attachment; filename=a", [b"attachment", [b"filename", b"a"]]),
        (b"; filename=a", [b"attachment", [b"filename", b"a"]]),
        (b"filename=a", [b"attachment", [b"filename", b"a"]]),
        (b'filename="a b"; size=1', [b"attachment", [b"filename", b"a b", b"size", b"1"]]),
        (b'"attachment"; filename=a', [b"attachment", [b"filename", b"a"]]),
        (b"attachment inline", [b"attachment", None]),
        (b"attachment/x; filename=a", [b"attachment", [b"filename", b"a"]]),
        (b"\xff; filename=a", [b"attachment", [b"filename", b"a"]]),
    ],
)
def test_a_disposition_is_found_among_what_people_write(value, disposition):
    assert tokens(summarize(b"Content-Disposition: " + value + b"\r\n\r\n").bodystructure)[9] == disposition


@pytest.mark.parametrize(
    ("value", "language"),
    [
        (b"", None),
        (b",", None),
        (b"(de)", None),
        (b"de", b"de"),
        (b"de (German, mostly), en-GB", [b"de", b"en-GB"]),
        (b'"de"; q=1,, en us,\xff', [b"de", b"en"]),
    ],
)
def test_languages_are_tags_alone(value, language):
    assert tokens(summarize(b"Content-Language: " + value + b"\r\n\r\n").bodystructure)[10] == language


MULTIPART = b"""\
From: a@b
Content-Type: multipart/mixed; boundary="=_1"; x=y
Content-Language: de, en

--=_1
Content-Type: text/html; charset=utf-8; name*=utf-8''%C3%BC
Content-ID: <id@x>
Content-Description: what "it" is
Content-Transfer-Encoding: Quoted-Printable
Content-MD5: Q2hlY2s=
Content-Disposition: attachment; filename=a.html
Content-Language: de
Content-Location: http://x/

<p>
</p>
--=_1
Content-Type: message/rfc822

Subject: within
From: c@d

one
two
--=_1
Content-Type: image/png
Content-Transfer-Encoding: base64

QQ==
--=_1--
""".replace(b"\n", b"\r\n")


def test_a_multipart_is_described_part_by_part():
    summary = summarize(MULTIPART)
    html = [b"text", b"html", [b"charset", b"utf-8", b"name*", b"utf-8''%C3%BC"], b"<id@x>", b'what "it" is']
    html += [b"quoted-printable", 9, 1]
    author = [[None, None, b"c", b"d"]]
    within = [b"message", b"rfc822", None, None, None, b"7bit", 38]
    envelope = [None, b"within", author, author, author, None, None, None, None, None]
    text = [b"text", b"plain", [b"charset", b"us-ascii"], None, None, b"7bit", 8, 1]
    png = [b"image", b"png", None, None, None, b"base64", 4]
    assert tokens(summary.body) == [html, [*within, envelope, text, 4], png, b"mixed"]
    none = [None] * 4
    html += [b"Q2hlY2s=", [b"attachment", [b"filename", b"a.html"]], b"de", b"http://x/"]
    assert tokens(summary.bodystructure) == [
        html,
        [*within, envelope, [*text, *none], 4, *none],
        [*png, *none],
        b"mixed",
        [b"boundary", b"=_1", b"x", b"y"],
        None,
        [b"de", b"en"],
        None,
    ]


def test_an_internationalised_message_within_is_described_like_any_other():
    within = "Subject: grün\r\nFrom: d@e\r\n\r\none\r\n".encode()
    content = b"From: a@b\r\nContent-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + within
    envelope = tokens(summarize(within).envelope)
    text = [b"text", b"plain", [b"charset", b"us-ascii"], None, None, b"7bit", 5, 1]
    expected = [b"message", b"global", None, None, None, b"8bit", len(within), envelope]
    assert tokens(summarize(content).body) == [*expected, text, 4]
    assert tokens(summarize(content).bodystructure) == [*expected, [*text, *[None] * 4], 4, *[None] * 4]


def test_parts_come_from_the_same_scan():
    summary, parts = summarize_with_parts(MULTIPART)
    assert summary == summarize(MULTIPART)
    assert parts == parse_parts(MULTIPART)


def test_a_memory_map_is_as_good_as_bytes(mapped):
    assert summarize(mapped(MULTIPART)) == summarize(MULTIPART)
    assert summarize(mapped(LETTER)) == summarize(LETTER)


def test_an_empty_multipart_is_text():
    summary = summarize(b"Content-Type: multipart/mixed; boundary=b\r\n\r\nno parts\r\n")
    assert tokens(summary.body) == [b"text", b"plain", [b"charset", b"us-ascii"], None, None, b"7bit", 10, 1]


def test_lines_are_counted_once_however_deep_they_lie(counting):
    content = counting(b"Content-Type: message/rfc822\r\n\r\n" * 90 + b"\r\n" + b"x\r\n" * 100_000)
    summarize(content)
    assert content.copied < 3 * len(content)


def test_a_deep_message_has_a_structure():
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (depth, depth) for depth in range(500)
    )
    assert summarize(nested).body.count(b'"mixed"') == 99


def test_many_addresses_are_bounded():
    summary = summarize(b"To: a@b" + b",\r\n a@b" * 20_000 + b"\r\n\r\n")
    assert len(tokens(summary.envelope)[5]) == 1000


def test_envelopes_within_are_bounded_together():
    part = b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: " + b"x" * 50_000 + b"\r\n\r\n"
    content = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 40
    summary = summarize(content)
    assert summary.body.count(b'"rfc822"') == 40
    assert len(summary.body) < 600_000
    assert len(tokens(summary.body)) == 41


def test_headers_in_eight_bits_are_literals():
    summary = summarize("Subject: Grüße\r\nFrom: Jürgen <ü@x>\r\n\r\n".encode())
    envelope = tokens(summary.envelope)
    assert envelope[1] == "Grüße".encode()
    assert envelope[2] == [["Jürgen".encode(), None, "ü".encode(), b"x"]]
    assert summary.subject == "Grüße"
    assert b"{7}\r\n" in summary.envelope


HOSTILE = st.text('a@<>()",;:\\[]. \t\r\n\0\xffNIL{3}?=', max_size=40).map(lambda text: text.encode("latin-1"))
NAME = st.sampled_from(
    ["From", "To", "Subject", "Date", "Message-ID", "Content-Type", "Content-Disposition", "Content-Language",
     "Content-ID", "Content-MD5", "Content-Transfer-Encoding", "Content-Location", "Reply-To"]
).map(str.encode)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(NAME, HOSTILE), max_size=6),
    st.sampled_from([b"", b"multipart/mixed; boundary=b", b"message/rfc822"]),
)
def test_hostile_fields_never_break_the_grammar(fields, content_type):
    header = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    content = header + b"\r\nhi\r\n"
    if content_type:
        content = b"Content-Type: " + content_type + b"\r\n\r\n--b\r\n" + content
    summary = summarize(content)
    assert len(tokens(summary.envelope)) == 10
    tokens(summary.body)
    tokens(summary.bodystructure)
