"""
Content transfer encodings written piece by piece, of content that comes piece by piece.

Each encoder takes octets, cut anywhere, and gives what can be written of them; `finish` gives the rest. None of them
keeps more than a line, and of a line no more than `LINE_PIECE_OCTETS`. RFC 2045 section 6.
"""

import binascii
import re
from typing import Protocol

from mailsuite.message.encoding import NOT_BASE64
from mailsuite.message.newline import find_bare

LINE_MAX_OCTETS = 998
"""A line without its CRLF (RFC 5322 section 2.1.1)."""

ENCODED_LINE_OCTETS = 76
"""A line of what is encoded, without its CRLF (RFC 2045 sections 6.7 and 6.8)."""

LINE_PIECE_OCTETS = 16 * 1024
"""A line that is longer is encoded in pieces."""

_BASE64_LINE_OCTETS = ENCODED_LINE_OCTETS * 3 // 4
_MASKED_LINE_OCTETS = LINE_MAX_OCTETS - 8
_LINE_END = b"\r\n"
_SOFT_END = b"=\r\n"  # RFC 2045 section 6.7, rule 5
_NOT_ASCII = re.compile(rb"[\x80-\xff]+")
_MASK = bytes(octet if octet < 128 else 0x3F for octet in range(256))  # noqa: PLR2004 - ASCII


class Encoder(Protocol):
    """Takes the octets of one body and gives others."""

    def feed(self, octets: bytes) -> bytes:
        """Take some, and give what is certain by now."""

    def finish(self) -> bytes:
        """Give the rest; nothing comes after it."""


class Unchanged:
    """Gives what it takes."""

    def feed(self, octets: bytes) -> bytes:
        """Give them back."""
        return octets

    def finish(self) -> bytes:
        """Give nothing."""
        return b""


class Base64:
    """Base64 in lines of 76 letters (RFC 2045 section 6.8); the last has no CRLF."""

    unit_octets = _BASE64_LINE_OCTETS

    def __init__(self) -> None:
        self._rest = b""
        self._written = False

    def feed(self, octets: bytes) -> bytes:
        """Encode what gives whole lines."""
        octets = self._rest + self.chosen(octets)
        whole = len(octets) - len(octets) % self.unit_octets
        self._rest = octets[whole:]
        return self._lines(octets[:whole])

    def finish(self) -> bytes:
        """Encode the last line."""
        rest, self._rest = self._rest, b""
        return self._lines(rest)

    def chosen(self, octets: bytes) -> bytes:
        """Leave out what is not to be encoded."""
        return octets

    def letters(self, octets: bytes) -> bytes:
        """Encode."""
        return binascii.b2a_base64(octets, newline=False)

    def _lines(self, octets: bytes) -> bytes:
        if not octets:
            return b""
        letters = self.letters(octets)
        opening = _LINE_END if self._written else b""
        self._written = True
        lines = [letters[at : at + ENCODED_LINE_OCTETS] for at in range(0, len(letters), ENCODED_LINE_OCTETS)]
        return opening + _LINE_END.join(lines)


class Base64Again(Base64):
    """Base64 that somebody wrote in lines of another length, or with octets between that mean nothing."""

    unit_octets = ENCODED_LINE_OCTETS

    def chosen(self, octets: bytes) -> bytes:
        """Leave out what is no base64."""
        return octets.translate(None, NOT_BASE64)

    def letters(self, octets: bytes) -> bytes:
        """Give them back: they are encoded."""
        return octets


class QuotedPrintable:
    """
    Quoted-printable (RFC 2045 section 6.7).

    Only CRLF is a line end. A CR or LF that stands alone is encoded, so nothing that is decoded again differs.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, octets: bytes) -> bytes:
        """Encode all whole lines, and of a very long one what can be written of it."""
        lines, line_end, rest = (self._rest + octets).rpartition(_LINE_END)
        written = [self.encode_lines(lines + line_end)] if line_end else []
        position = 0
        while len(rest) - position > LINE_PIECE_OCTETS:
            stop = self.cut(rest, position + LINE_PIECE_OCTETS)
            written.append(self.encode_line(rest[position:stop]) + _SOFT_END)
            position = stop
        self._rest = rest[position:]
        return b"".join(written)

    def finish(self) -> bytes:
        """Encode what follows the last CRLF."""
        rest, self._rest = self._rest, b""
        return self.encode_line(rest)

    def cut(self, line: bytes, stop: int) -> int:  # noqa: ARG002 - for subclasses
        """Say where, at or shortly before `stop`, a long line can be divided."""
        return stop

    def encode_lines(self, lines: bytes) -> bytes:
        """Encode whole lines."""
        if find_bare(lines) < 0:
            return binascii.b2a_qp(lines)  # it goes by the first line end that it finds
        return b"".join(self.encode_line(line) + _LINE_END for line in lines.split(_LINE_END)[:-1])

    def encode_line(self, line: bytes) -> bytes:
        """Encode one line in as many as it needs."""
        written = binascii.b2a_qp(line, istext=False)
        return written.replace(b"\n", _LINE_END) if b"\n" in written else written


class QuotedPrintableAgain(QuotedPrintable):
    """Quoted-printable that somebody wrote with lines that are too long, or with octets that are not ASCII."""

    def cut(self, line: bytes, stop: int) -> int:
        """Never divide an ``=`` from its two digits."""
        equals = line.rfind(b"=", stop - 2, stop)
        return stop if equals < 0 else equals

    def encode_lines(self, lines: bytes) -> bytes:
        """Mend each line."""
        return b"".join(self.encode_line(line) + _LINE_END for line in lines.split(_LINE_END)[:-1])

    def encode_line(self, line: bytes) -> bytes:
        """Encode what is not ASCII, and divide a long line between octets."""
        if not line.isascii():
            line = _NOT_ASCII.sub(lambda found: b"=" + found[0].hex("=").upper().encode("ascii"), line)
        if len(line) <= ENCODED_LINE_OCTETS:
            return line
        pieces = []
        position = 0
        while len(line) - position > ENCODED_LINE_OCTETS:
            stop = self.cut(line, position + ENCODED_LINE_OCTETS - 1)
            pieces.append(line[position:stop])
            position = stop
        return _SOFT_END.join([*pieces, line[position:]])


class Masked:
    """
    What stands before and after the parts of a multipart, and no reader shows (RFC 2046 section 5.1.1).

    Octets that are not ASCII become ``?``, and lines that are too long are divided.

    Args:
        ascii_only: otherwise only the length of lines matters.
    """

    def __init__(self, *, ascii_only: bool) -> None:
        self._ascii_only = ascii_only
        self._column = 0

    def feed(self, octets: bytes) -> bytes:
        """Take some and give as many or more."""
        if self._ascii_only and not octets.isascii():
            octets = octets.translate(_MASK)
        first, *others = octets.split(b"\n")
        written = [self._divided(first)]
        for line in others:
            self._column = 0
            written.append(self._divided(line))
        return b"\n".join(written)

    def finish(self) -> bytes:
        """Give nothing."""
        return b""

    def _divided(self, line: bytes) -> bytes:
        pieces = []
        while self._column + len(line) > _MASKED_LINE_OCTETS:
            room = _MASKED_LINE_OCTETS - self._column
            pieces.append(line[:room])
            line = line[room:]
            self._column = 1  # a space begins the next line, so that it never looks like a boundary
        pieces.append(line)
        self._column += len(line)
        return b"\r\n ".join(pieces)
