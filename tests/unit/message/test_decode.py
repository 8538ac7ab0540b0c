"""Content transfer encodings undone piece by piece."""

import binascii
import itertools
import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.message.decode import LINE_PIECE_OCTETS, decode_whole, decoder_for

CASES = [
    ("7bit", b"a =41\r\n", b"a =41\r\n"),
    ("", b"\0\xff", b"\0\xff"),
    ("binary", b"\0\xff", b"\0\xff"),
    ("base64", b"", b""),
    ("base64", b"QUJD\r\nREVG\r\n", b"ABCDEF"),
    ("base64", b"QUI=\r\nQUI=", b"ABAB"),
    ("base64", b"QQ==QQ==", b"AA"),
    ("base64", b"Q U-JD!REVG", b"ABCDEF"),
    ("base64", b"QUJDRA", b"ABCD"),
    ("base64", b"QUJDR", b"ABC"),
    ("base64", b"====", b""),
    ("quoted-printable", b"a=3Db=\r\nc=E4 \t\r\nd\r\n", b"a=bc\xe4\r\nd\r\n"),
    ("quoted-printable", b"a=20 \r\nb=\t\r\nc", b"a \r\nbc"),
    ("quoted-printable", b"a=zz=4", b"a=zz=4"),
    ("quoted-printable", b"ends in blanks \t", b"ends in blanks"),
    ("quoted-printable", b"bare\nline =\nends \nhere", b"bare\nline ends\nhere"),
]


@pytest.mark.parametrize(("encoding", "octets", "expected"), CASES)
def test_pieces_and_the_whole_are_decoded_alike(encoding, octets, expected):
    assert decode_whole(octets, encoding) == expected
    for size in (1, 2, 3, 5):
        decoder = decoder_for(encoding)
        pieces = [decoder.feed(octets[at : at + size]) for at in range(0, len(octets), size)]
        assert b"".join(pieces) + decoder.finish() == expected


def test_an_encoding_that_nobody_knows_has_no_decoder():
    assert decoder_for("x-uuencode") is None
    assert decode_whole(b"x", "x-unknown") is None


@given(st.binary(max_size=2000), st.lists(st.integers(0, 3000), max_size=5))
def test_what_was_encoded_comes_back_whatever_the_pieces(content, cuts):
    for encoding, encoded in (
        ("base64", binascii.b2a_base64(content)),
        ("quoted-printable", quopri.encodestring(content.replace(b"\r", b"").replace(b"\n", b""), quotetabs=True)),
    ):
        decoder = decoder_for(encoding)
        places = [0, *sorted(min(cut, len(encoded)) for cut in cuts), len(encoded)]
        pieces = [decoder.feed(encoded[start:end]) for start, end in itertools.pairwise(places)]
        decoded = b"".join(pieces) + decoder.finish()
        expected = content if encoding == "base64" else content.replace(b"\r", b"").replace(b"\n", b"")
        assert decoded == expected


@given(st.binary(max_size=600), st.integers(1, 7))
def test_damaged_octets_are_decoded_alike_in_pieces(octets, size):
    for encoding in ("base64", "quoted-printable"):
        decoder = decoder_for(encoding)
        pieces = [decoder.feed(octets[at : at + size]) for at in range(0, len(octets), size)]
        assert b"".join(pieces) + decoder.finish() == decode_whole(octets, encoding)


@pytest.mark.parametrize("line", [b"x" * 3, b" ", b"=20", b"a ", b"=\r\n"])
def test_a_line_without_an_end_is_not_kept(line):
    decoder = decoder_for("quoted-printable")
    long = line * (4 * LINE_PIECE_OCTETS // len(line))
    given_back = sum(len(decoder.feed(long[at : at + 4096])) for at in range(0, len(long), 4096))
    assert len(decoder._rest) <= LINE_PIECE_OCTETS + 4096
    assert given_back + len(decoder.finish()) >= len(decode_whole(long, "quoted-printable")) - LINE_PIECE_OCTETS
