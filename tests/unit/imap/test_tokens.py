"""The tokens that all of IMAP's grammars share."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imap_pieces import assemble

from mailsuite.imap import responses
from mailsuite.imap.tokens import BadCommandError, Tokens


def assembled(data):
    return Tokens(assemble(data + b"\r\n"))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=30).map(lambda octets: octets.replace(b"\0", b"")))
def test_what_we_write_as_a_string_reads_back(octets):
    for write in (responses.string, responses.literal, responses.astring, responses.nstring):
        tokens = assembled(b"x " + write(octets) + b" y")
        tokens.atom()
        tokens.space()
        assert (tokens.nstring() if write is responses.nstring else tokens.astring()) == octets
        tokens.space()
        tokens.atom()
        tokens.end()


def test_nil_is_none_and_a_quoted_nil_is_text():
    assert Tokens((b"nil",)).nstring() is None
    assert Tokens((b'"NIL"',)).nstring() == b"NIL"
    assert Tokens((b"NIL",)).astring() == b"NIL"


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        (b'""', b""),
        (b'"a b"', b"a b"),
        (b'"\\"\\\\"', b'"\\'),
        (b'"\\\\\\"x\\"\\\\"', b'\\"x"\\'),
        (b'"{5}"', b"{5}"),
        (b'"\xff"', b"\xff"),
    ],
)
def test_a_quoted_string_is_what_it_quotes(text, octets):
    tokens = Tokens((text,))
    assert tokens.string() == octets
    tokens.end()


@pytest.mark.parametrize("text", [b'"', b'"a', b'"a\\"', b'"\\a"', b'"\\', b"'a'", b"a"])
def test_what_is_no_quoted_string_is_refused(text):
    with pytest.raises(BadCommandError):
        Tokens((text,)).string()


@pytest.mark.parametrize("text", [b'"\xff"', b'"\\"\xff"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\xc0\x80"'])
def test_who_writes_utf8_quotes_nothing_else(text):
    Tokens((text,)).string()
    for enabled in (b"UTF8=ACCEPT", b"IMAP4REV2"):
        with pytest.raises(BadCommandError):
            Tokens((text,), {enabled}).string()
        assert Tokens(('"\u00fc"'.encode(),), {enabled}).string() == "\u00fc".encode()
        assert Tokens((b"{1}", b"\xff", b""), {enabled}).string() == b"\xff"


def test_a_literal_stands_only_at_the_end_of_a_line():
    with pytest.raises(BadCommandError):
        Tokens((b"{3} x",)).string()
    with pytest.raises(BadCommandError):
        Tokens((b"{3}",)).string()
    tokens = Tokens((b"{3}", b"abc", b" x"))
    assert tokens.string() == b"abc"
    assert not tokens.at_end()


@pytest.mark.parametrize("text", [b"", b"x", b"-1", b"4294967296", b"9" * 5000])
def test_what_is_no_number_of_32_bits_is_refused(text):
    with pytest.raises(BadCommandError):
        Tokens((text,)).number()


def test_a_string_with_very_many_escapes_is_read_in_one_pass():
    assert Tokens((b'"' + b"\\\\" * 30_000 + b'"',)).string() == b"\\" * 30_000
    with pytest.raises(BadCommandError):
        Tokens((b'"' + b'\\"' * 30_000,)).string()


def test_a_missing_argument_is_told_from_a_missing_space():
    with pytest.raises(BadCommandError, match="missing argument"):
        Tokens((b"",)).space()
    with pytest.raises(BadCommandError, match="expected a space"):
        Tokens((b"x",)).space()
