import base64
import quopri
from email.header import Header, decode_header, make_header

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.message.encoding import decode_base64, decode_quoted_printable, decode_transfer, python_codec, to_text
from mailsuite.message.newline import find_bare, to_crlf, to_lf
from mailsuite.message.parameters import (
    PARAMETERS_MAX,
    parameter,
    parameter_text,
    parse_parameters,
    without_comments,
)
from mailsuite.message.words import WORDS_MAX, decode_words, encode_words


@pytest.mark.parametrize(
    "name",
    ["idna", "utf-7",
     "punycode", "unicode_escape", "raw_unicode_escape", "zlib", "bz2", "rot13", "hex", "base64", "quopri",
     "uu", "undefined", "mbcs", "utf-8-sig", "", "nonsense", "x" * 100_000, "../etc", "utf\0"],
)  # fmt: skip
def test_codecs_that_are_no_charsets_are_refused(name):
    assert python_codec(name) is None


@pytest.mark.parametrize("name", ["UTF-8", "utf8", "us-ascii", "ISO-8859-1", "latin1", "windows-1252", "KOI8-R", "Big5",
                                  "gb2312", "GB18030", "ISO-2022-JP", "Shift_JIS", "euc-kr", "iso-8859-8-i",
                                  "ks_c_5601-1987", "utf-16", "macintosh", '"utf-8"'])  # fmt: skip
def test_charsets_of_mail_are_known(name):
    assert python_codec(name) is not None


@pytest.mark.parametrize(
    ("octets", "charset", "text"),
    [
        ("\xfc".encode(), "", "\xfc"),
        (b"\xfc", "", "\xfc"),
        (b"\x93hi\x94", "", "\u201chi\u201d"),
        (b"\xfc", "iso-8859-1", "\xfc"),
        (b"\xfc", "us-ascii", "\xfc"),
        (b'\x1b$B$"\x1b(B', "iso-2022-jp", "\u3042"),
        ("\u3042".encode(), "euc-jp-nonsense", "\u3042"),
        (b"abc", "idna", "abc"),
        (b"\xff", "utf-8", "\ufffd"),
    ],
)
def test_text_is_decoded_whatever_is_declared(octets, charset, text):
    assert to_text(octets, charset) == text


@settings(deadline=None)
@given(st.binary(), st.sampled_from([b"", b"\r\n", b" \t", b"!", b"\0\xff"]), st.integers(1, 10))
def test_base64_survives_foreign_octets(data, noise, every):
    encoded = base64.b64encode(data)
    noisy = noise.join(encoded[index : index + every] for index in range(0, len(encoded), every))
    assert decode_base64(noisy) == data


@pytest.mark.parametrize(
    ("octets", "decoded"),
    [(b"YWJj", b"abc"), (b"YWI", b"ab"), (b"YWI=YWI=", b"abab"), (b"Y", b""), (b"====", b""), (b"YWJjZ", b"abc")],
)
def test_base64_keeps_what_is_whole(octets, decoded):
    assert decode_base64(octets) == decoded


@settings(deadline=None)
@given(st.binary())
def test_quoted_printable_agrees_with_the_standard_library(data):
    assert decode_quoted_printable(quopri.encodestring(data)) == quopri.decodestring(quopri.encodestring(data))


def test_unknown_encodings_leave_octets_alone():
    assert decode_transfer(b"=41", "x-unknown") == b"=41"
    assert decode_transfer(b"=41", "quoted-printable") == b"A"
    assert decode_transfer(b"QQ==", "base64") == b"A"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?q?B=C3=B6b?=", "B\xf6b"),
        (b"=?UTF-8?B?QsO2Yg==?= x", "B\xf6b x"),
        (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?= \t =?iso-8859-1?q?=FC?=", "a\xfc"),
        (b"=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
        (b"=?utf-8?b?w7?= =?utf-8?b?w?=", "\ufffd"),
        (b"=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "\xfc"),
        (b"=?utf-8*de?q?a_b?=", "a b"),
        (b"=?utf-8?q?with space?=", "with space"),
        (b"=?x-unknown?q?abc?=", "abc"),
        (b"=?idna?q?abc?=", "abc"),
        (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        (b"=?utf-8?q?unclosed", "=?utf-8?q?unclosed"),
        (b"=?=?=?=?", "=?=?=?=?"),
        (b"=?utf-8?q??= x", " x"),
        (b"raw \xfc", "raw \xfc"),
        ("raw \xfc".encode(), "raw \xfc"),
    ],
)
def test_encoded_words_are_decoded(value, text):
    assert decode_words(value) == text


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["utf-8", "utf-7", "utf-16", "utf-32", "iso-2022-jp", "hz", "gb18030", "cp932", "big5hkscs", "x"]),
    st.binary(max_size=30),
)
def test_decoded_text_can_be_stored_as_utf8(charset, octets):
    to_text(octets, charset).encode("utf-8")
    to_text(b"+2AA-", charset).encode("utf-8")
    decode_words(b"=?" + charset.encode() + b"?b?" + base64.b64encode(octets) + b"?=").encode("utf-8")


def test_encoded_words_are_bounded():
    value = b" ".join([b"=?utf-8?q?a?="] * (WORDS_MAX + 10))
    assert len(decode_words(value)) <= 65536
    for piece in (b"=?", b"?=", b"=?q?", b"=?utf-8?q?", b"=?utf-8?q?a?= ", b"?"):
        decode_words(piece * 50_000)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_encoded_words_come_back(text):
    encoded = encode_words(text)
    assert encoded.isascii()
    assert not any(octet < 0x20 for octet in encoded)
    assert all(len(word) <= 75 for word in encoded.split(b" ")) or text.isascii()
    assert decode_words(encoded) == text


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]), min_size=1))
def test_words_of_the_standard_library_are_understood(text):
    value = Header(text, "utf-8").encode(linesep="")
    assert decode_words(value.encode()) == str(make_header(decode_header(value)))


@pytest.mark.parametrize(
    ("value", "head", "parameters"),
    [
        (b"text/plain", b"text/plain", ()),
        (b"TEXT/Plain; Charset=UTF-8", b"text/plain", ((b"charset", b"UTF-8"),)),
        (b'a/b; x="q;\\"="; y=1', b"a/b", ((b"x", b'q;"='), (b"y", b"1"))),
        (b"a/b (comment); x=1 (other)", b"a/b", ((b"x", b"1"),)),
        (b"a/b; name=report (1).pdf", b"a/b", ((b"name", b"report (1).pdf"),)),
        (b"a/b;", b"a/b", ()),
        (b"a/b; ;; x=1;", b"a/b", ((b"x", b"1"),)),
        (b"a/b; junk; x=1", b"a/b", ((b"x", b"1"),)),
        (b"a/b; x = 1", b"a/b", ((b"x", b"1"),)),
        (b"a/b; x=a=b", b"a/b", ((b"x", b"a=b"),)),
        (b'a/b; x="unclosed', b"a/b", ((b"x", b"unclosed"),)),
        (b"a/b; x=1; X=2", b"a/b", ((b"x", b"1"),)),
        (b"a/b; f*0=ab; f*1=cd", b"a/b", ((b"f", b"abcd"),)),
        (b"a/b; f*1=cd; g=1; f*0=ab", b"a/b", ((b"f", b"abcd"), (b"g", b"1"))),
        (b"a/b; f*0*=utf-8''%C3; f*1*=%BC; f*2=%x", b"a/b", ((b"f*", b"utf-8''%C3%BC%25x"),)),
        (b"a/b; f*=utf-8''%C3%BC", b"a/b", ((b"f*", b"utf-8''%C3%BC"),)),
        (b"a/b; f*0=a; f*2=c", b"a/b", ((b"f", b"a"), (b"f*2", b"c"))),
        (b"a/b; f*1=b; f*2*=c", b"a/b", ((b"f*1", b"b"), (b"f*2*", b"c"))),
        (b"a/b (c; d=e); x=1", b"a/b", ((b"x", b"1"),)),
        (b"a/b (c; d=e", b"a/b", ((b"d", b"e"),)),
        (b"a/b; (c) x=(d) 1 (e)", b"a/b", ((b"x", b"1"),)),
        (b"a/b; (c; d=e) x=1 (f; g=h); y=2", b"a/b", ((b"x", b"1"), (b"y", b"2"))),
        (b'a/b; x="1" (f; g=h); y=2', b"a/b", ((b"x", b"1"), (b"y", b"2"))),
        (b"a/b; f=report (1).pdf; y=2", b"a/b", ((b"f", b"report (1).pdf"), (b"y", b"2"))),
        (b"a/b; f=report (1).pdf (c)", b"a/b", ((b"f", b"report (1).pdf"),)),
        (b"a/b; f=1 (\\) (c)); y=2", b"a/b", ((b"f", b"1"), (b"y", b"2"))),
        (b"", b"", ()),
    ],
)
def test_parameters_are_read(value, head, parameters):
    assert parse_parameters(value) == (head, parameters)


@pytest.mark.parametrize(
    "piece", [b"(", b"()", b"(;", b" (x)y", b";=(", b"c=d (;", b'c="d"(;', b"=", b";", b"c*0=d;", b"\\(", b'"']
)
def test_hostile_parameters_come_to_an_end(piece):
    for opening in (b"a/b", b"a/b;", b"a/b; c=d", b'a/b; c="d"', b"a/b;" + b"(" * 50_000):
        parse_parameters((opening + piece * 50_000)[:100_000])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"attachment; filename=a.txt", "a.txt"),
        (b"attachment; filename*=utf-8'de'%C3%BC.txt", "\xfc.txt"),
        (b"attachment; filename=x; filename*=utf-8''%C3%BC.txt", "\xfc.txt"),
        (b"attachment; filename*0*=iso-8859-1''%FC; filename*1=.txt", "\xfc.txt"),
        (b'attachment; filename="=?utf-8?q?=C3=BC?=.txt"', "\xfc.txt"),
        (b"attachment", ""),
    ],
)
def test_a_parameter_can_be_read_as_text(value, text):
    assert parameter_text(parse_parameters(value)[1], b"filename") == text


def test_parameters_are_bounded():
    _, parameters = parse_parameters(b"a/b" + b"".join(b"; p%d=1" % number for number in range(5000)))
    assert len(parameters) == PARAMETERS_MAX
    _, parameters = parse_parameters(b"a/b" + b"".join(b"; p*%d=1" % number for number in range(5000)))
    assert len(parameter(parameters, b"p")) == PARAMETERS_MAX
    for piece in (b";a", b";a=", b'"', b'\\"', b"(", b"=", b";=", b' "'):
        parse_parameters(b"a/b; x=" + piece * 20_000)
        parse_parameters(b'a/b; x="' + piece * 20_000)


def test_comments_are_removed_but_not_from_quoted_strings():
    assert without_comments(b'a (b (c) \\) d) "(e)" f') == b'a  "(e)" f'
    assert without_comments(b"a (b") == b"a "


@pytest.mark.parametrize(
    ("octets", "index"),
    [(b"", -1), (b"a\r\nb\r\n", -1), (b"a\nb", 1), (b"a\r\nb\n", 4), (b"a\rb", 1), (b"a\r\n\r", 3), (b"\r\r\n", 0)],
)
def test_bare_line_ends_are_found(octets, index):
    assert find_bare(octets) == index


@settings(deadline=None)
@given(st.text("a\r\n").map(str.encode))
def test_line_ends_become_crlf_once(octets):
    made = to_crlf(octets)
    assert find_bare(made) == -1
    assert to_crlf(made) is made
    assert to_lf(made).count(b"\n") == made.count(b"\r\n")
    if find_bare(octets) == -1:
        assert made is octets
