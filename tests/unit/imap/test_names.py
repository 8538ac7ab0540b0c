"""Mailbox names: modified UTF-7, their one form, what no mailbox can be called, and LIST's patterns."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.imap.names import (
    ListPattern,
    check_name,
    decode_name,
    decode_pattern,
    decode_utf7,
    encode_utf7,
    matches_pattern,
)
from mailsuite.imap.tokens import BadCommandError


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", ""),
        (b"INBOX", "INBOX"),
        (b"R&-D", "R&D"),
        (b"&-", "&"),
        (b"&-&-", "&&"),
        (b"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e"),  # RFC 3501 section 5.1.3
        (b"Entw&APw-rfe", "Entw\u00fcrfe"),
        (b"&2D3eAA-", "\U0001f600"),
        (b"&AOk-&-", "\u00e9&"),
        (b"&AAk-", "\t"),
    ],
)
def test_modified_utf7_is_read_and_written(octets, text):
    assert decode_utf7(octets) == text
    assert encode_utf7(text) == octets


@pytest.mark.parametrize(
    "octets",
    [
        b"&",
        b"R&D",
        b"&U,BTFw",  # not ended
        b"&Jjo!-",
        b"&U/BTFw-",  # "/" is not of this alphabet
        b"&AGE-",  # "a" must stand for itself
        b"&AC8-",  # so must "/": a way around path checks
        b"&ACY-",  # and "&"
        b"&AOl-",  # unused bits set
        b"&AO-",  # half a unit
        b"&A-",
        b"&AOk=-",
        b"&2D0-",  # half a surrogate pair
        b"&3gA-",
        b"&U,BTFw-&ZeVnLIqe-",  # two runs where one would do
        b"Entw\xc3\xbcrfe",
        b"&\xc3-",
    ],
)
def test_what_has_another_form_is_refused(octets):
    with pytest.raises(BadCommandError) as refused:
        decode_utf7(octets)
    assert (refused.value.status, refused.value.code) == (b"NO", b"CANNOT")


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_survives_modified_utf7(text):
    octets = encode_utf7(text)
    assert re.fullmatch(rb"[\x20-\x7e]*", octets)
    assert decode_utf7(octets) == text


@settings(deadline=None, max_examples=300)
@given(st.text("&-,/+AOkwQ=a\u00e9", max_size=12))
def test_what_reads_is_what_would_be_written(text):
    octets = text.encode()
    try:
        decoded = decode_utf7(octets)
    except BadCommandError:
        return
    assert encode_utf7(decoded) == octets


@pytest.mark.parametrize(
    ("octets", "name"),
    [
        (b"inbox", "INBOX"),
        (b"InBox/Work", "INBOX/Work"),
        (b"Inboxes", "Inboxes"),
        (b"x/inbox", "x/inbox"),
        (b"e&AwE-", "\u00e9"),
        (b"a..b", "a..b"),
        (b".hidden", ".hidden"),
    ],
)
def test_a_name_has_one_form(octets, name):
    assert decode_name(octets) == name
    assert unicodedata.is_normalized("NFC", name)


@pytest.mark.parametrize(
    "name",
    ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\0b", "a\rb", "a\x7fb", "a\u0085b", "a\u2028b",
     "\ufeffa", "a\ufffe", "a/\uffff", "\ufdd0", "\U0010ffff", "\U0001fffe",
     "x" * 256, "\u00e9" * 128, "a/" * 32 + "a", "/".join(["x" * 250] * 5)],
)  # fmt: skip
def test_no_mailbox_can_have_this_name(name):
    with pytest.raises(BadCommandError) as refused:
        check_name(name)
    assert (refused.value.status, refused.value.code) == (b"NO", b"CANNOT")


@pytest.mark.parametrize(
    "name", ["x" * 255, "a/" * 31 + "a", "...", "a b", "\u65e5\u672c", "a\\b", 'a"b', "a*b%", "a\ufeff", "\ufdcf"]
)
def test_a_mailbox_can_have_this_name(name):
    check_name(name)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*", ["INBOX", "a", "a/b/c"], []),
        ("%", ["INBOX", "a"], ["a/b", "INBOX/x"]),
        ("a", ["a"], ["A", "ab", "a/b", ""]),
        ("a/%", ["a/b", "a/"], ["a", "a/b/c", "b/a"]),
        ("a/*", ["a/b", "a/b/c"], ["a", "b"]),
        ("%/b", ["a/b"], ["b", "a/c/b", "a/b/b"]),
        ("*/b", ["a/b", "a/c/b"], ["b"]),
        ("%%", ["a", "abc"], ["a/b"]),
        ("%*", ["a", "a/b"], []),
        ("*%", ["a", "a/b"], []),
        ("a%c*e", ["ace", "abcde", "abc/d/e"], ["a/ce", "abcd"]),
        ("*a%b", ["ab", "x/axb", "a/ab"], ["a/b"]),
        ("%a%", ["bab", "a"], ["b/a", "bb"]),
        ("inbox", ["INBOX"], ["INBOX/x", "inbox"[:4]]),
        ("iNbOx/%", ["INBOX/x"], ["INBOX"]),
        ("i%", ["INBOX", "ix"], ["INBOX/x", "Ix"]),
        ("*x", ["INBOX", "INBOX/x", "ax"], ["INBOX/X", "aX"]),
        ("", [""], ["a"]),
    ],
)
def test_a_pattern_matches_these_names(pattern, matching, other):
    assert [name for name in matching if not matches_pattern(name, pattern)] == []
    assert [name for name in other if matches_pattern(name, pattern)] == []


@settings(deadline=None, max_examples=400)
@given(st.text("ab/*%", max_size=10), st.text("ab/", max_size=10))
def test_a_pattern_matches_as_a_regular_expression_would(pattern, name):
    expression = "".join({"*": ".*", "%": "[^/]*"}.get(c, re.escape(c)) for c in pattern)
    assert ListPattern(pattern).matches(name) == (re.fullmatch(expression, name) is not None)


def test_a_hostile_pattern_costs_one_step_for_each_of_its_characters():
    steps = []

    class Counting(str):
        __slots__ = ()

        def __iter__(self):
            for character in str.__iter__(self):
                steps.append(character)
                yield character

    pattern = ListPattern("*a%" * 300 + "b")
    pattern._text = Counting(pattern._text)
    assert not pattern.matches("a" * 1000)
    assert len(steps) <= 901


@pytest.mark.parametrize("octets", [b"*" * 2001, b"&x", b"&-&", b"*\xff"])
def test_a_pattern_that_is_none_matches_nothing(octets):
    pattern = ListPattern(decode_pattern(octets))
    assert not any(pattern.matches(name) for name in ("INBOX", "", "x", "&x", "a" * 2001))


def test_a_name_too_long_to_be_one_is_not_even_decoded():
    with pytest.raises(BadCommandError, match="too long"):
        decode_utf7(b"&AOk-x" * 10_000)
