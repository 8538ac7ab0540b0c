"""Messages made fit for hosts that take less: the same parts, the same meaning."""

import email
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.message.convert import (
    PIECE_OCTETS,
    NotConvertibleError,
    convert,
    encode_base64,
    encode_quoted_printable,
)
from mailsuite.message.encoding import decode_base64, decode_quoted_printable
from mailsuite.message.survey import LINE_MAX_OCTETS, Survey, has_long_line

HEAD = b"Received: from a\r\n\tby b\r\nSubject: gr\xc3\xbcn\r\n"
LONG = b"x" * (LINE_MAX_OCTETS + 1)


def meaning(content):
    """The parts as a reader sees them: type, parameters and decoded octets."""
    message = email.message_from_bytes(content)
    return [
        (part.get_content_type(), part.get_params(), part.get_payload(decode=True))
        for part in message.walk()
        if not part.is_multipart()
    ]


def mixed(*parts, top=b""):
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts)
    return (
        HEAD
        + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
        + top
        + b"\r\n"
        + body
        + b"--b--\r\n"
    )


def test_what_needs_nothing_is_the_same_object():
    for content in (b"", b"\r\n", HEAD + b"\r\nhello\r\n", mixed(b"\r\nhello"), b"no header at all"):
        assert convert(content, seven_bit=True) is content
    eight = HEAD + "\r\ngrün\r\n".encode()
    assert convert(eight, seven_bit=False) is eight


def test_text_that_is_mostly_ascii_stays_readable():
    text = "Guten Tag, liebe Leute, das Gras ist grün und bleibt es auch.\r\n".encode()
    content = HEAD + b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text
    converted = convert(content, seven_bit=True)
    assert converted.startswith(HEAD)
    assert b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGuten Tag, liebe Leute" in converted
    assert meaning(converted) == meaning(content)


def test_the_field_of_the_encoding_is_replaced_where_it_stands_and_there_is_one():
    fields = b"Content-Transfer-Encoding:\r\n 8bit\r\nX: y\r\ncontent-transfer-encoding: 8bit\r\nMIME-Version: 1.0\r\n"
    converted = convert(fields + b"Content-Type: image/x\r\n\r\n\xff\xfe", seven_bit=True)
    assert converted == (
        b"Content-Transfer-Encoding: base64\r\nX: y\r\nMIME-Version: 1.0\r\nContent-Type: image/x\r\n\r\n//4="
    )


@pytest.mark.parametrize(
    ("text", "charset"), [("grün", b"utf-8"), (b"gr\xfcn", b"unknown-8bit")], ids=["utf-8", "other"]
)
def test_what_was_no_mime_becomes_it(text, charset):
    body = text if isinstance(text, bytes) else text.encode()
    converted = convert(HEAD + b"\r\n" + body + b"\r\n", seven_bit=True)
    message = email.message_from_bytes(converted)
    assert message["MIME-Version"] == "1.0"
    assert message.get_params() == [("text/plain", ""), ("charset", charset.decode())]
    assert message.get_payload(decode=True) == body + b"\r\n"


def test_a_multipart_is_relabelled_and_its_ascii_parts_are_untouched():
    plain = b"Content-Type: text/plain\r\nX-Note: here\r\n\r\nhello"
    content = mixed(plain, b"Content-Type: image/png\r\n\r\n\x89PNG", top=b"Content-Transfer-Encoding: 8bit\r\n")
    converted = convert(content, seven_bit=True)
    assert plain in converted
    assert b"boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n" in converted
    assert converted.removeprefix(HEAD).isascii()
    assert meaning(converted) == meaning(content)


def test_an_internationalised_message_within_is_encoded_as_a_whole():
    """RFC 6532 section 3.7: where hosts take seven bits only, since its header fields have more."""
    inner = "Subject: grün\r\n\r\nhello\r\n".encode()
    converted = convert(mixed(b"Content-Type: message/global\r\n\r\n" + inner), seven_bit=True)
    _, found, rest = converted.partition(b"message/global\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
    assert found
    assert decode_quoted_printable(rest.partition(b"\r\n--b--")[0]) == inner


def test_a_message_within_is_converted_within():
    inner = b"Subject: inner\r\nContent-Type: text/plain; charset=utf-8\r\nMIME-Version: 1.0\r\n\r\n" + "grün".encode()
    content = mixed(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + inner)
    converted = convert(content, seven_bit=True)
    assert b"message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: inner" in converted
    assert meaning(converted) == meaning(content)


def test_octets_around_the_parts_become_question_marks():
    content = mixed(b"\r\nhello").replace(b"\r\n\r\n--b", b"\r\n\r\npr\xc3\xa4\r\n--b", 1) + b"\xff"
    converted = convert(content, seven_bit=True)
    assert b"pr??\r\n--b" in converted
    assert converted.endswith(b"--b--\r\n?")


SIGNED = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n%s\r\n"
    b"--s\r\nContent-Type: application/pgp-signature\r\n\r\nsignature\r\n--s--\r\n"
)


@pytest.mark.parametrize(
    "content",
    [
        SIGNED % b"gr\xc3\xbcn",
        b"Content-Type: multipart/mixed\r\n\r\ngr\xc3\xbcn",
        b"Content-Type: message/partial; id=1\r\n\r\ngr\xc3\xbcn",
        b"Content-Transfer-Encoding: x-uuencode\r\n\r\ngr\xc3\xbcn",
        mixed(b"\r\nhello").replace(b"--b", b"--\xc3\xbc").replace(b"boundary=b", b'boundary="\xc3\xbc"') + b"\xff",
    ],
)
def test_what_would_break_is_told(content):
    with pytest.raises(NotConvertibleError):
        convert(content, seven_bit=True)


def test_what_stands_before_signed_parts_is_not_signed():
    content = (SIGNED % b"gruen").replace(b"\r\n\r\n--s", b"\r\n\r\npr\xc3\xa4\r\n--s")
    assert convert(content, seven_bit=True) == content.replace(b"\xc3\xa4", b"??")


def test_a_signed_part_keeps_its_long_lines():
    content = SIGNED % LONG
    assert convert(content, seven_bit=True) is content


@pytest.mark.parametrize("encoding", [b"7bit", b"8bit", b"base64", b"quoted-printable"])
def test_long_lines_are_broken_up_whatever_the_encoding(encoding):
    body = encode_base64(b"y" * 2000).replace(b"\r\n", b"") if encoding == b"base64" else LONG
    content = (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: "
        + encoding
        + b"\r\n\r\n"
        + body
        + b"\r\n"
    )
    converted = convert(content, seven_bit=False)
    assert not has_long_line(converted)
    assert meaning(converted)[0][2].rstrip() == meaning(content)[0][2].rstrip()


def test_binary_content_becomes_base64_and_text_gets_its_true_label():
    part = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\n%s"
    content = mixed(part % b"a\nb\rc\0", part % b"plain", part % b"gr\xc3\xbcn")
    seven, eight = (convert(content, seven_bit=flag, binary=True) for flag in (True, False))
    assert re.findall(rb"Encoding: (\w+)", eight) == [b"base64", b"7bit", b"8bit"]
    assert re.findall(rb"Encoding: (\w+)", seven) == [b"base64", b"7bit", b"base64"]
    assert decode_base64(seven.split(b"base64\r\n\r\n")[1].split(b"\r\n")[0]) == b"a\nb\rc\0"
    with pytest.raises(NotConvertibleError):
        convert(SIGNED % b"a\0b", seven_bit=False, binary=True)


# properties

LINES = st.lists(
    st.one_of(
        st.binary(max_size=120).map(lambda octets: octets.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")),
        st.sampled_from([b" ", b"\t", b".", b"=", b"From x", b"a ", LONG, b"\xc3\xbc" * 600]),
    ),
    max_size=8,
).map(b"\r\n".join)


@given(LINES)
def test_quoted_printable_is_read_as_it_was(octets):
    encoded = encode_quoted_printable(octets)
    assert encoded.isascii()
    assert decode_quoted_printable(encoded) == octets
    assert all(len(line) <= 76 and not line.endswith((b" ", b"\t")) for line in encoded.split(b"\r\n"))
    assert encoded.count(b"\r") == encoded.count(b"\n") == encoded.count(b"\r\n")


@pytest.mark.parametrize("unit", [b"a = b \r\n", b"\xc3\xbc ", b"x"])
def test_quoted_printable_of_many_pieces(unit):
    octets = unit * (3 * PIECE_OCTETS // len(unit) + 1)
    encoded = encode_quoted_printable(octets)
    assert decode_quoted_printable(encoded) == octets
    assert max(map(len, encoded.split(b"\r\n"))) <= 76


@pytest.mark.parametrize("length", range(PIECE_OCTETS - 3, PIECE_OCTETS + 2))
def test_a_line_that_ends_where_a_piece_does_keeps_its_end(length):
    octets = b"x" * length + b"\r\nsecond line\r\n"
    encoded = encode_quoted_printable(octets)
    assert encoded.count(b"\n") == encoded.count(b"\r\n")
    assert decode_quoted_printable(encoded) == octets


@given(st.binary(max_size=500))
def test_base64_is_read_as_it_was(octets):
    assert decode_base64(encode_base64(octets)) == octets


PARTS = st.lists(
    st.tuples(
        st.sampled_from([b"text/plain; charset=utf-8", b"image/png", b"application/x-y"]),
        st.sampled_from([b"", b"Content-Transfer-Encoding: 8bit\r\n"]),
        LINES.filter(lambda octets: b"--" not in octets),
    ),
    min_size=1,
    max_size=4,
)


@given(PARTS, st.booleans())
def test_a_converted_message_means_the_same(parts, seven_bit):
    content = mixed(*(b"Content-Type: " + kind + b"\r\n" + label + b"\r\n" + body for kind, label, body in parts))
    converted = convert(content, seven_bit=seven_bit)
    assert meaning(converted) == meaning(content)
    assert converted.startswith(HEAD)
    assert not has_long_line(converted)
    if seven_bit:
        assert converted.removeprefix(HEAD).isascii()
    assert convert(converted, seven_bit=seven_bit) is converted


@given(st.binary(max_size=400), st.booleans(), st.booleans())
def test_any_octets_are_converted_or_refused(octets, seven_bit, binary):
    try:
        converted = convert(octets, seven_bit=seven_bit, binary=binary)
    except NotConvertibleError:
        return
    assert isinstance(converted, bytes)


# the survey


def reference(octets):
    return any(len(line.removesuffix(b"\r")) > LINE_MAX_OCTETS for line in octets.split(b"\n"))


@given(
    st.lists(st.integers(0, 2 * LINE_MAX_OCTETS), max_size=6),
    st.lists(st.integers(0, 5000), max_size=4),
    st.sampled_from([b"\r\n", b"\n"]),
)
def test_long_lines_are_found_in_any_cut(lengths, cuts, line_end):
    octets = line_end.join(b"x" * length for length in lengths)
    if line_end == b"\n" and any(length == LINE_MAX_OCTETS + 1 for length in lengths):
        return  # an octet more is let pass where a CR would have room
    survey = Survey()
    places = sorted({0, len(octets), *(cut for cut in cuts if cut < len(octets))})
    for start, stop in itertools.pairwise(places):
        survey.feed(octets[start:stop])
    assert survey.long_lines == reference(octets)


@pytest.mark.parametrize("extra", [-1, 0, 1, 2])
@pytest.mark.parametrize("before", [b"", b"a\r\n"])
@pytest.mark.parametrize("after", [b"\r\n", b"\r\nb", b"\r\nb\r\n"])
def test_the_limit_is_exact(extra, before, after):
    octets = before + b"x" * (LINE_MAX_OCTETS + extra) + after
    for cut in range(len(octets) - 4, len(octets) + 1):
        survey = Survey()
        survey.feed(octets[:cut])
        survey.feed(octets[cut:])
        assert survey.long_lines == (extra > 0)


def test_eight_bit_is_seen_in_any_piece():
    survey = Survey()
    survey.feed(b"a")
    assert not survey.eight_bit
    survey.feed(b"\x80")
    survey.feed(b"a")
    assert survey.eight_bit
