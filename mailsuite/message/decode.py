"""
Content transfer encodings undone piece by piece, whatever the damage (RFC 2045 section 6).

A piece costs what its octets cost, and no more of them is kept than the next piece needs.
"""

import binascii
import re
from typing import Protocol

from mailsuite.message.encoding import NOT_BASE64, decode_base64, decode_quoted_printable

LINE_PIECE_OCTETS = 64 * 1024
"""So much of a line that does not end is held back."""

IDENTITY = frozenset(("", "7bit", "8bit", "binary"))
"""Encodings that encode nothing."""

# A run of blanks is looked at from its beginning only, so that it costs one step an octet.
_BLANKS_AT_END = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n)")
_UNCERTAIN_OCTETS = 2  # of an =XX that may go on


class Decoder(Protocol):
    """Undoes one encoding."""

    def feed(self, octets: bytes) -> bytes:
        """Take some octets, and give what is certain."""

    def finish(self) -> bytes:
        """Give the rest."""


class Identity:
    """Octets that are not encoded."""

    def feed(self, octets: bytes) -> bytes:
        """Give them back."""
        return octets

    def finish(self) -> bytes:
        """Nothing is left."""
        return b""


class Base64:
    """Base64: foreign octets are passed over, and padding ends a run, as in `decode_base64`."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, octets: bytes) -> bytes:
        """Decode all whole groups of four."""
        letters = self._rest + octets.translate(None, NOT_BASE64)
        runs, padding, last = letters.rpartition(b"=")
        whole = len(last) - len(last) % 4
        self._rest = last[whole:]
        decoded = decode_base64(runs + padding) if padding else b""
        return decoded + binascii.a2b_base64(last[:whole])

    def finish(self) -> bytes:
        """Give what is whole of a group that was cut off."""
        rest, self._rest = self._rest, b""
        return decode_base64(rest)


class QuotedPrintable:
    """Quoted-printable: blanks at the end of a line are none of the text (RFC 2045 section 6.7, rule 3)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, octets: bytes) -> bytes:
        """Decode all whole lines, and of a very long one what is certain."""
        lines, line_end, rest = (self._rest + octets).rpartition(b"\n")
        decoded = _decode_lines(lines + line_end)
        if len(rest) > LINE_PIECE_OCTETS:
            stop = _certain(rest)
            decoded += decode_quoted_printable(rest[:stop])
            rest = rest[stop:]
        self._rest = rest
        return decoded

    def finish(self) -> bytes:
        """Decode the line that has no end."""
        rest, self._rest = self._rest, b""
        return decode_quoted_printable(rest.rstrip(b" \t"))


def _certain(line: bytes) -> int:
    """Say up to where a line without an end can be decoded, whatever follows; of too many blanks, all."""
    equals = line.find(b"=", len(line) - _UNCERTAIN_OCTETS)
    stop = equals if equals >= 0 else len(line)
    return len(line[:stop].rstrip(b" \t")) or len(line)


def _decode_lines(lines: bytes) -> bytes:
    if b" \r\n" in lines or b"\t\r\n" in lines or b" \n" in lines or b"\t\n" in lines:
        lines = _BLANKS_AT_END.sub(b"", lines)
    return decode_quoted_printable(lines)


def decoder_for(encoding: str) -> Decoder | None:
    """
    Give what undoes an encoding; None when nobody knows how.

    Args:
        encoding: in lower case.
    """
    if encoding in IDENTITY:
        return Identity()
    if encoding == "base64":
        return Base64()
    if encoding == "quoted-printable":
        return QuotedPrintable()
    return None


def decode_whole(octets: bytes, encoding: str) -> bytes | None:
    """Decode octets that are in memory; None when the encoding is unknown."""
    decoder = decoder_for(encoding)
    return None if decoder is None else decoder.feed(octets) + decoder.finish()
