import email
import email.policy
from email.message import Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.message.mime import (
    BOUNDARY_MAX_OCTETS,
    DEPTH_MAX,
    FALSE_MARKS_MAX,
    PARTS_MAX,
    Scan,
    SectionKind,
    find_part,
    locate,
    parse_parts,
    parse_tree,
)


def shape(part):
    """Write a tree of parts as nested tuples."""
    return (part.content_type, *map(shape, part.children)) if part.children else part.content_type


def body(content, part):
    return content[part.body : part.end]


MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
TEXT = "text/plain"
DIGEST = (
    b"Content-Type: multipart/digest; boundary=d\r\n\r\n"
    b"--d\r\n\r\nA: 1\r\n\r\nx\r\n--d\r\nContent-Type: text/plain\r\n\r\ny\r\n--d--\r\n"
)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", TEXT),
        (b"\r\n", TEXT),
        (b"A: 1\r\n\r\nhi", TEXT),
        (b"no header at all", TEXT),
        (b"Content-Type: text/html; charset=x\r\n\r\n", "text/html"),
        (b"Content-Type: nonsense\r\n\r\n", TEXT),
        (b"Content-Type: a/b/c\r\n\r\n", TEXT),
        (b"Content-Type: text /plain x\r\n\r\n", TEXT),
        (b"Content-Type: /plain\r\n\r\n", TEXT),
        (b"Content-Type: \xff/plain\r\n\r\n", TEXT),
        (b'Content-Type: "text/html"\r\n\r\n', TEXT),
        (b"Content-Type: te<x>t/html\r\n\r\n", TEXT),
        (b"Content-Type: text/html (a; b=c); charset=utf-8\r\n\r\n", "text/html"),
        (
            b"Content-Type: multipart/mixed; (c) boundary=(d) b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
            ("multipart/mixed", TEXT),
        ),
        (b"Content-Type: text/html\r\nContent-Type: image/png\r\n\r\n", "text/html"),
        (MIXED + b"--b\r\n\r\nx\r\n--b--\r\n", ("multipart/mixed", TEXT)),
        (MIXED + b"pre\r\n--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--\r\nepi\r\n--b\r\n", ("multipart/mixed", TEXT, TEXT)),
        (MIXED + b"--b\r\n\r\nno end", ("multipart/mixed", TEXT)),
        (MIXED + b"--b  \t\r\n\r\nx\r\n--b-- \r\n", ("multipart/mixed", TEXT)),
        (MIXED + b"--bb\r\n\r\nx\r\n--b--x\r\n", TEXT),
        (MIXED + b"nothing of the kind", TEXT),
        (b"Content-Type: multipart/mixed\r\n\r\n--\r\n\r\nx\r\n", TEXT),
        (b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\nx\r\n', TEXT),
        (b"Content-Type: multipart/mixed; boundary=b", TEXT),
        (b"Content-Type: message/rfc822\r\n\r\nA: 1\r\n\r\nx", ("message/rfc822", TEXT)),
        (b"Content-Type: message/rfc822\r\n\r\n", ("message/rfc822", TEXT)),
        (
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ==",
            "application/octet-stream",
        ),
        (
            b"Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\n" + MIXED + b"--b\r\n\r\nx",
            ("message/rfc822", ("message/rfc822", ("multipart/mixed", TEXT))),
        ),
        (b"Content-Type: Message/Global\r\n\r\nA: \xc3\xbc\r\n\r\nx", ("message/global", TEXT)),
        (
            MIXED
            + b"--b\r\nContent-Type: message/global\r\n\r\n"
            + MIXED.replace(b"=b", b"=c")
            + b"--c\r\n\r\nx\r\n--b\r\n",
            ("multipart/mixed", ("message/global", ("multipart/mixed", TEXT)), TEXT),
        ),
        (
            b"Content-Type: message/global\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nA: =C3=BC",
            "application/octet-stream",
        ),
        (b"Content-Type: message/global-headers\r\n\r\nA: 1\r\n\r\n", "message/global-headers"),
        (
            DIGEST,
            ("multipart/digest", ("message/rfc822", TEXT), TEXT),
        ),
    ],
)  # fmt: skip
def test_messages_have_the_parts_that_they_should(content, expected):
    assert shape(parse_parts(content)) == expected
    assert shape(parse_parts(content.replace(b"\r\n", b"\n"))) == expected


def test_bodies_end_before_the_line_end_of_the_boundary():
    content = MIXED + b"--b\r\n\r\none\r\n\r\n--b\r\nA: 1\r\n\r\n--b\r\n\r\n\r\n--b\r\nA: 1\r\n--b\r\n--b--\r\n"
    parts = parse_parts(content).children
    assert [body(content, part) for part in parts] == [b"one\r\n", b"", b"", b"", b""]
    assert [content[part.header : part.body] for part in parts] == [b"\r\n", b"A: 1\r\n", b"\r\n", b"A: 1", b""]
    assert parts[4].header == parts[4].end


def test_a_message_without_a_body_ends_where_its_header_does():
    forward = b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
    content = (
        MIXED + forward + b"Subject: 1\r\n" + forward + b"Subject: 2\r\n\r\n" + forward + forward + b"\r\n--b--\r\n"
    )
    parts = parse_parts(content)
    for number, header in enumerate((b"Subject: 1", b"Subject: 2\r\n", b"", b""), 1):
        for kind in (SectionKind.BODY, SectionKind.HEADER):
            assert content[slice(*locate(parts, [number], kind))] == header
        assert content[slice(*locate(parts, [number], SectionKind.TEXT))] == b""


def test_inner_parts_end_where_an_outer_boundary_stands():
    content = (
        b"Content-Type: multipart/mixed; boundary=outer\r\n\r\n"
        b"--outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
        b"--inner\r\n\r\nfirst, never closed\r\n"
        b"--outer\r\n\r\nsecond\r\n--inner\r\nnot a boundary any more\r\n--outer--\r\n"
    )
    found = parse_parts(content)
    assert shape(found) == ("multipart/mixed", ("multipart/alternative", TEXT), TEXT)
    assert body(content, found.children[0].children[0]) == b"first, never closed"
    assert body(content, found.children[1]) == b"second\r\n--inner\r\nnot a boundary any more"


@pytest.mark.parametrize(
    ("outer", "inner"), [(b"b", b"bb"), (b"bb", b"b"), (b"b", b"b--"), (b"b--", b"b"), (b"b", b"c")]
)
def test_a_boundary_may_begin_with_another(outer, inner):
    content = (
        b'Content-Type: multipart/mixed; boundary="' + outer + b'"\r\n\r\n--' + outer + b"\r\n"
        b'Content-Type: multipart/alternative; boundary="' + inner + b'"\r\n\r\n'
        b"--" + inner + b"\r\n\r\none\r\n--" + inner + b"\r\n\r\ntwo\r\n--" + inner + b"--\r\n"
        b"--" + outer + b"\r\n\r\nthree\r\n--" + outer + b"--\r\n"
    )
    found = parse_parts(content)
    assert shape(found)[1] == ("multipart/alternative", TEXT, TEXT)
    assert body(content, found.children[-1]) == b"three"


def test_the_same_boundary_inside_itself_belongs_to_the_innermost():
    content = MIXED + b"--b\r\n" + MIXED + b"--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo\r\n--b--\r\n"
    found = parse_parts(content)
    assert shape(found) == ("multipart/mixed", ("multipart/mixed", TEXT), TEXT)
    assert body(content, found.children[1]) == b"two"


def test_a_boundary_may_be_long_but_not_too_long():
    for length, expected in ((BOUNDARY_MAX_OCTETS, 1), (BOUNDARY_MAX_OCTETS + 1, 0)):
        boundary = b"x" * length
        content = b"Content-Type: multipart/mixed; boundary=" + boundary + b"\r\n\r\n--" + boundary + b"\r\n\r\nhi"
        assert len(parse_parts(content).children) == expected


def test_encoding_and_charset_are_told():
    content = b'Content-Type: text/plain; charset="UTF-8"\r\nContent-Transfer-Encoding: BASE64 (x)\r\n\r\nQQ=='
    found = parse_parts(content)
    assert (found.encoding, found.charset) == ("base64", "utf-8")


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (b"", "7bit"),
        (b"(what)", "7bit"),
        (b"BASE64", "base64"),
        (b"(it is) base64 (really)", "base64"),
        (b"base64;", "base64"),
        (b"base64; x=y", "base64"),
        (b'"base64"', "base64"),
        (b"x-own", "x-own"),
        (b"quoted printable", "quoted printable"),
        (b"\xff", "\ufffd"),
    ],
)
def test_the_encoding_is_found_among_what_people_write(value, encoding):
    assert parse_parts(b"Content-Transfer-Encoding: " + value + b"\r\n\r\nQQ==").encoding == encoding


def test_nesting_ends_at_the_limit():
    content = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (depth, depth) for depth in range(500)
    )
    depth = 0
    found = parse_parts(content)
    while found.children:
        (found,) = found.children
        depth += 1
    assert depth == DEPTH_MAX - 1
    assert found.content_type == "application/octet-stream"
    found = parse_parts(b"Content-Type: message/rfc822\r\n\r\n" * 500)
    for _ in range(DEPTH_MAX - 1):
        (found,) = found.children
    assert found.content_type == "application/octet-stream"


def test_what_follows_too_many_parts_belongs_to_the_last():
    content = MIXED + b"--b\r\n\r\nx\r\n" * (PARTS_MAX + 100)
    found = parse_parts(content)
    assert len(found.children) == PARTS_MAX - 1
    assert body(content, found.children[-1]).count(b"--b") == 101


def test_too_many_lines_that_only_look_like_boundaries_end_the_search():
    content = MIXED + b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n"
    content += b"--\n" * FALSE_MARKS_MAX + b"--c\r\n\r\nx"
    assert shape(parse_parts(content)) == ("multipart/mixed", ("multipart/mixed", TEXT))


def test_the_headers_of_parts_are_bounded_together():
    part = b"--b\r\nContent-Type: text/html\r\nX: " + b"x" * 500_000 + b"\r\n\r\n"
    found = parse_parts(MIXED + part * 10)
    assert [child.content_type for child in found.children] == ["text/html"] * 8 + [TEXT] * 2


def hostile_messages():
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (depth, depth) for depth in range(99)
    )
    return {
        "5,000 parts": MIXED + b"--b\r\n\r\nx\r\n" * 5000,
        "parts without empty lines": MIXED + b"--b\r\n" * 50_000,
        "deep, then a long body": nested + b"\r\n" + b"x" * 76_000,
        "deep, then lines like boundaries": nested + b"\r\n" + b"--x\r\n" * 20_000,
        "deep headers without empty lines": nested.replace(b"\r\n\r\n", b"\r\n") + b"A: 1\r\n" * 20_000,
        "deep, parts without empty lines": nested + b"\r\n--b0\r\nA: 1" * 20_000,
        "rfc822 in rfc822": b"Content-Type: message/rfc822\r\n\r\n" * 5000,
        "digest of digests": b"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n" * 3000,
        "bare LF": (MIXED + b"--b\r\n\r\nx\r\n" * 5000).replace(b"\r\n", b"\n"),
        "huge header": b"X: 1\r\n" * 100_000,
        "folds without end": b"X: 1\r\n" + b" \r\n" * 100_000,
        "long line": b"x" * 500_000,
        "only line ends": b"\r\n" * 100_000,
        "colons": b":" * 100_000,
        "name without end": b"n" * 100_000 + b"\r\n\r\n",
    }


@pytest.mark.parametrize("name", hostile_messages())
def test_work_is_linear_in_the_size_of_the_message(name, counting):
    content = counting(hostile_messages()[name])
    Scan(content).run()
    assert content.searched <= 8 * len(content)
    assert content.copied <= 8 * len(content)
    assert content.calls <= 2 * len(content) + 100


def test_a_memory_map_is_as_good_as_bytes(mapped):
    for content in (b"A: 1\r\n\r\nx", MIXED + b"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n"):
        assert parse_parts(mapped(content)) == parse_parts(content)


# What RFC 3501 section 6.4.5 shows, in octets.
NUMBERED = b"""\
Content-Type: multipart/mixed; boundary=m

--m
A: one

body 1
--m
Content-Type: message/rfc822
A: two

Subject: in 2
Content-Type: multipart/mixed; boundary=n

--n
A: two.one

body 2.1
--n
Content-Type: message/rfc822
A: two.two

Subject: in 2.2

body of 2.2
--n--
--m--
""".replace(b"\n", b"\r\n")

PLAIN = b"A: 1\r\n\r\nbody"
FORWARDED = b"Content-Type: message/rfc822\r\nA: 1\r\n\r\nSubject: in\r\n\r\nbody"
GLOBAL = FORWARDED.replace(b"rfc822", b"global").replace(b": in", ": grün".encode())


@pytest.mark.parametrize(
    ("content", "path", "kind", "octets"),
    [
        (PLAIN, [], "", PLAIN),
        (PLAIN, [], "HEADER", b"A: 1\r\n\r\n"),
        (PLAIN, [], "TEXT", b"body"),
        (PLAIN, [], "MIME", None),
        (PLAIN, [1], "", b"body"),
        (PLAIN, [1], "MIME", b"A: 1\r\n\r\n"),
        (PLAIN, [1], "HEADER", None),
        (PLAIN, [1], "TEXT", None),
        (PLAIN, [2], "", None),
        (PLAIN, [0], "", None),
        (PLAIN, [-1], "", None),
        (PLAIN, [1, 1], "", None),
        (FORWARDED, [1], "", b"Subject: in\r\n\r\nbody"),
        (FORWARDED, [1], "HEADER", b"Subject: in\r\n\r\n"),
        (FORWARDED, [1, 1], "", b"body"),
        (FORWARDED, [1, 1, 1], "", None),
        (FORWARDED, [], "TEXT", b"Subject: in\r\n\r\nbody"),
        (GLOBAL, [1], "", "Subject: grün\r\n\r\nbody".encode()),
        (GLOBAL, [1], "HEADER", "Subject: grün\r\n\r\n".encode()),
        (GLOBAL, [1], "TEXT", b"body"),
        (GLOBAL, [1], "MIME", b"Content-Type: message/global\r\nA: 1\r\n\r\n"),
        (GLOBAL, [1, 1], "", b"body"),
        (NUMBERED, [1], "", b"body 1"),
        (NUMBERED, [1], "MIME", b"A: one\r\n\r\n"),
        (NUMBERED, [1], "HEADER", None),
        (NUMBERED, [1, 1], "", None),
        (NUMBERED, [2], "MIME", b"Content-Type: message/rfc822\r\nA: two\r\n\r\n"),
        (NUMBERED, [2], "HEADER", b"Subject: in 2\r\nContent-Type: multipart/mixed; boundary=n\r\n\r\n"),
        (NUMBERED, [2, 1], "", b"body 2.1"),
        (NUMBERED, [2, 1], "MIME", b"A: two.one\r\n\r\n"),
        (NUMBERED, [2, 2], "", b"Subject: in 2.2\r\n\r\nbody of 2.2"),
        (NUMBERED, [2, 2], "HEADER", b"Subject: in 2.2\r\n\r\n"),
        (NUMBERED, [2, 2], "TEXT", b"body of 2.2"),
        (NUMBERED, [2, 2, 1], "", b"body of 2.2"),
        (NUMBERED, [2, 2, 1], "MIME", b"Subject: in 2.2\r\n\r\n"),
        (NUMBERED, [2, 3], "", None),
        (NUMBERED, [3], "", None),
    ],
)
def test_sections_are_numbered_as_imap_does(content, path, kind, octets):
    found = locate(parse_parts(content), path, SectionKind(kind))
    assert (None if found is None else content[slice(*found)]) == octets


def test_a_part_can_be_found_by_number():
    found = parse_parts(NUMBERED)
    assert find_part(found, [2, 2]).content_type == "message/rfc822"
    assert find_part(found, []) is found
    assert find_part(found, [9]) is None


# The standard library as the second opinion: generated messages, whose parts must have the same types and octets.

LINE = st.text("ab-= \t.é", max_size=12).map(lambda text: text.encode("latin-1")).filter(lambda line: line[:2] != b"--")
BODY = st.lists(LINE, max_size=5).map(b"\r\n".join)
EXTRA = st.lists(st.sampled_from([b"X-One: 1\r\n", b"Subject: a\r\n b\r\n", b"Received: x;\r\n\ty\r\n"]), max_size=3)


def leaf(main):
    return st.tuples(EXTRA, BODY, st.booleans()).map(
        lambda made: (
            b"".join(made[0])
            + (b"Content-Type: " + main + b"; name=x\r\n" if made[2] or main != b"text/plain" else b"")
            + b"\r\n"
            + made[1]
        )
    )


LEAF = st.one_of(leaf(b"text/plain"), leaf(b"text/html"), leaf(b"application/pdf"))


@st.composite
def multipart(draw, children):
    # The length of what is inside makes a boundary that is not that of any part inside, but may begin like it.
    parts = draw(st.lists(children, min_size=1, max_size=3))
    boundary = b"b%d" % sum(map(len, parts)) + draw(st.sampled_from([b"", b"-", b"--", b" x"]))
    padding = draw(st.sampled_from([b"", b" ", b"\t"]))
    made = b"".join(draw(EXTRA))
    made += b'Content-Type: multipart/mixed;\r\n boundary="' + boundary + b'"\r\n\r\n' + draw(BODY)
    made += b"".join(b"\r\n--" + boundary + padding + b"\r\n" + part for part in parts)
    return made + draw(st.sampled_from([b"\r\n--" + boundary + b"--" + padding + b"\r\n", b"\r\n"])) + draw(BODY)


def forwarded(children):
    return children.map(lambda inner: b"X: 1\r\nContent-Type: message/rfc822\r\n\r\n" + inner)


MESSAGE = st.recursive(LEAF, lambda children: st.one_of(multipart(children), forwarded(children)), max_leaves=8)


def compare(content, part, other: Message):
    assert part.content_type == other.get_content_type()
    if other.is_multipart():
        assert len(part.children) == len(other.get_payload())
        for child, other_child in zip(part.children, other.get_payload(), strict=True):
            compare(content, child, other_child)
    else:
        assert not part.children
        octets, expected = body(content, part), other.get_payload(decode=True)
        # Where the last boundary is missing, the standard library takes a line end from the part nevertheless.
        assert octets == expected or (part.end == len(content) and octets == expected + b"\r\n")


@settings(deadline=None, max_examples=300)
@given(MESSAGE)
def test_parts_agree_with_the_standard_library(content):
    other = email.message_from_bytes(content, policy=email.policy.compat32)
    compare(content, parse_parts(content), other)


@settings(deadline=None, max_examples=100)
@given(MESSAGE, st.integers(0, 1000))
def test_a_message_that_is_cut_off_has_parts_within_its_octets(content, cut):
    content = content[:cut]
    pending = [parse_parts(content)]
    while pending:
        part = pending.pop()
        assert 0 <= part.header <= part.body <= part.end <= len(content)
        for child in part.children:
            assert part.body <= child.header <= child.end <= part.end
        pending.extend(part.children)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([b"\r\n", b"\n", b"--b", b"--", b"Content-Type: multipart/x; boundary=b", b"\r", b"x",
                                 b"Content-Type: message/rfc822"]), max_size=40).map(b"".join))  # fmt: skip
def test_broken_messages_have_parts_within_their_octets(content):
    for tree in (parse_tree(content), parse_parts(content)):
        pending = [tree]
        while pending:
            part = pending.pop()
            assert 0 <= part.header <= part.body <= part.end <= len(content)
            for child in part.children:
                assert part.body <= child.header <= child.end <= part.end
            pending.extend(part.children)
