"""What IMAP says of odd messages is well-formed and true: those of the corpus, and any octets that look like MIME."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from imap_values import read_fetch, read_value, structure
from mime_corpus import all_messages, messages_with_nul
from mime_invariants import check_message

from mailsuite.message.mime import DEPTH_MAX

MESSAGES = all_messages()


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_said_of_odd_messages_holds(name):
    check_message(MESSAGES[name])


@pytest.mark.parametrize("name", messages_with_nul())
def test_what_is_said_of_messages_with_nul_holds(name):
    check_message(messages_with_nul()[name])


def test_there_are_many_odd_messages_and_each_is_another():
    assert len(MESSAGES) > 600
    assert len(set(MESSAGES.values())) > 600
    assert all_messages() == MESSAGES


def test_structures_are_as_deep_as_they_may_be():
    assert max(len(path) for path, _ in check_message(MESSAGES["nested-120"]).numbered()) == DEPTH_MAX - 1
    assert max(len(path) for path, _ in check_message(MESSAGES["messages-nested-120"]).numbered()) == DEPTH_MAX


@pytest.mark.parametrize(
    "octets",
    [b'("a"  "b")', b'("a" )', b'( "a")', b'("a")("b")', b"(a)", b'("a\r\n")', b'("\xfc")', b'("\\a")', b"({2}\r\na)",
     b'("a"', b'"a""b"', b"()()", b"(01)", b"({1}\r\n\0)", b'("a""b")', b"(4294967296)"],
)  # fmt: skip
def test_the_reader_is_strict(octets):
    with pytest.raises(AssertionError):
        read_value(octets)


@pytest.mark.parametrize(
    "octets",
    [
        b'("text" "plain" NIL NIL NIL "7bit" 1)',
        b'("text" "plain" () NIL NIL "7bit" 1 1)',
        b'("text" "plain" ("a") NIL NIL "7bit" 1 1)',
        b'("text" "plain" NIL NIL NIL NIL 1 1)',
        b'("text" "plain" NIL NIL NIL "7bit" 1 1 NIL)',
        b'("image" "png" NIL NIL NIL "7bit" 1 1)',
        b'("message" "rfc822" NIL NIL NIL "7bit" 1)',
        b'("multipart" "mixed" NIL NIL NIL "7bit" 1)',
        b'(("image" "png" NIL NIL NIL "7bit" 1) "mixed" NIL)',
    ],
)
def test_the_reader_knows_what_a_body_is(octets):
    with pytest.raises(AssertionError):
        structure(read_value(octets), extended=False)


def test_the_reader_reads_fetch_answers():
    assert read_fetch(b"* 1 FETCH (BODY[1.HEADER.FIELDS (A B)]<3> {2}\r\nab RFC822.SIZE 5)") == {
        b"BODY[1.HEADER.FIELDS (A B)]<3>": b"ab",
        b"RFC822.SIZE": 5,
    }


# octets that look like MIME

BOUNDARIES = [b"b", b"bb", b"b--", b"c", b"b ", b""]
LINES = [
    b"",
    b"\r",
    b" ",
    b"text",
    b"Subject: s",
    b"From: a@b, c: d;",
    b"To: (",
    b"Content-Type: message/rfc822",
    b"Content-Type: message/global",
    b"Content-Type: multipart/digest; boundary=b",
    b"Content-Type: text/html",
    b"Content-Type",
    b"Content-Transfer-Encoding: base64",
    b" folded",
    *[b"Content-Type: multipart/mixed; boundary=" + boundary for boundary in BOUNDARIES],
    *[b'Content-Type: multipart/x; boundary="' + boundary + b'"' for boundary in BOUNDARIES],
    *[b"--" + boundary for boundary in BOUNDARIES],
    *[b"--" + boundary + b"--" for boundary in BOUNDARIES],
]
FIELD_TEXT = st.text("a@<>()\"',;:=\\[]*%. \t\r\n\0\xff/?-0", max_size=30).map(lambda text: text.encode("latin-1"))
FIELD_NAME = st.sampled_from(
    [b"From", b"To", b"Cc", b"Subject", b"Date", b"Message-ID", b"Content-Type", b"Content-Disposition", b"Content-ID",
     b"Content-Language", b"Content-MD5", b"Content-Location", b"Content-Transfer-Encoding", b"Reply-To", b"X"]
)  # fmt: skip
FIELD = st.tuples(FIELD_NAME, FIELD_TEXT).map(lambda field: field[0] + b": " + field[1])
LINE = st.one_of(st.sampled_from(LINES), st.sampled_from(LINES), FIELD, st.binary(max_size=6))
END = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""])
SOUP = st.lists(st.tuples(LINE, END).map(b"".join), max_size=40).map(b"".join)


@st.composite
def entity(draw, depth=0):
    """Make an entity that is mostly right."""
    fields = [line + b"\r\n" for line in draw(st.lists(FIELD, max_size=3))]
    kind = draw(st.sampled_from(["leaf", "leaf", "message", "multipart", "soup"])) if depth < 5 else "leaf"
    if kind == "message":
        subtype = draw(st.sampled_from([b"rfc822", b"global"]))
        return b"".join([*fields, b"Content-Type: message/", subtype, b"\r\n\r\n", draw(entity(depth + 1))])
    if kind == "multipart":
        boundary = draw(st.sampled_from(BOUNDARIES))
        made = b"".join([*fields, b'Content-Type: multipart/mixed; boundary="', boundary, b'"\r\n\r\n'])
        for _ in range(draw(st.integers(0, 3))):
            made += b"\r\n--" + boundary + b"\r\n" + draw(entity(depth + 1))
        return made + draw(st.sampled_from([b"", b"\r\n--" + boundary + b"--\r\n"]))
    return b"".join([*fields, draw(END), draw(SOUP if kind == "soup" else st.binary(max_size=20))])


@settings(deadline=None, max_examples=300)
@given(SOUP)
@example(b"")
def test_what_is_said_of_any_lines_holds(content):
    check_message(content)


@settings(deadline=None, max_examples=300)
@given(entity())
def test_what_is_said_of_any_entities_holds(content):
    check_message(content)


@settings(deadline=None, max_examples=150)
@given(entity(), st.integers(0, 400), st.binary(max_size=3))
def test_what_is_said_of_entities_that_are_cut_or_damaged_holds(content, where, octets):
    check_message(content[:where])
    check_message(content[:where] + octets + content[where:])
