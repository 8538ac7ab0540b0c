"""
One header section with its body, and how the body is to be encoded.

RFC 2045 sections 2.7 to 2.9 and 6: what is 7bit, 8bit or binary, and the encodings that make 7bit of it.
"""

import attrs

from mailsuite.message.mend import charset_of, mend_header, split_fields
from mailsuite.message.newline import find_bare
from mailsuite.message.reencode import (
    LINE_MAX_OCTETS,
    Base64,
    Base64Again,
    Encoder,
    QuotedPrintable,
    QuotedPrintableAgain,
    Unchanged,
)

WINDOW_OCTETS = 64 * 1024
"""So much of a part is held back until it is clear how it must be encoded."""

IDENTITY = frozenset(("7bit", "8bit", "binary"))
"""Encodings that encode nothing."""

_TEXT = "text/plain"
_ENCODING_FIELD = b"content-transfer-encoding"
_PLAIN = bytes(octet for octet in range(32, 127) if octet != ord("=")) + b"\t\r\n"  # RFC 2045 section 6.7


@attrs.frozen(kw_only=True)
class ConversionRules:
    """
    What a message is brought to.

    Args:
        ascii_only: no octet of 128 or more; otherwise these may stay, and only lines that are too long, and binary
            content, are encoded.
        utf8_fields: header fields may hold UTF-8 (RFC 6532).
        window_octets: see `WINDOW_OCTETS`. A part that was called 7bit and is something else only after so much of it
            is left as it is.
    """

    ascii_only: bool = True
    utf8_fields: bool = False
    window_octets: int = WINDOW_OCTETS


@attrs.frozen
class Head:
    """
    A header section and what it says of the body.

    Args:
        octets: all fields.
        empty_line: what follows them.
        is_message: of a message, not of a part.
    """

    octets: bytes
    empty_line: bytes
    names: frozenset[bytes]
    content_type: str
    encoding: str
    is_message: bool

    def written(self, label: str | None, charset: str, *, utf8: bool) -> bytes:
        """
        Give the section as it is to be.

        Args:
            label: another Content-Transfer-Encoding; None leaves that.
            charset: for a text whose header does not even say that it is one.
        """
        octets = self.octets
        if label is not None:
            octets = _labelled(octets, label)
            if b"content-type" not in self.names and self.content_type == _TEXT:
                octets += f"Content-Type: {_TEXT}; charset={charset}\r\n".encode("ascii")
        wants_version = label is not None or self.content_type.startswith("multipart/")
        if wants_version and self.is_message and b"mime-version" not in self.names:
            octets = b"MIME-Version: 1.0\r\n" + octets
        return mend_header(octets, utf8=utf8) + self.empty_line


def _labelled(octets: bytes, label: str) -> bytes:
    field = f"Content-Transfer-Encoding: {label}\r\n".encode("ascii")
    kept = []
    placed = False
    for name, raw in split_fields(octets):
        if name != _ENCODING_FIELD:
            kept.append(raw)
        elif not placed:
            kept.append(field)
            placed = True
    return b"".join(kept) + (b"" if placed else field)


class Leaf:
    """The body of a part without parts, held back until it is clear how it is to be encoded; its header goes first."""

    def __init__(self, head: Head, rules: ConversionRules) -> None:
        self._head = head
        self._rules = rules
        self._encoder: Encoder | None = None
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, octets: bytes) -> bytes:
        """Take some of the body, and give what is certain."""
        if self._encoder is not None:
            return self._encoder.feed(octets)
        self._held.append(octets)
        self._size += len(octets)
        return self._decide(whole=False) if self._size > self._rules.window_octets else b""

    def finish(self) -> bytes:
        """Give the rest."""
        first = self._decide(whole=True) if self._encoder is None else b""
        assert self._encoder is not None  # it was decided
        return first + self._encoder.finish()

    def _decide(self, *, whole: bool) -> bytes:
        window = b"".join(self._held)
        self._held.clear()
        self._encoder, label = self._choose(window, whole=whole)
        charset = charset_of(window, whole=whole)
        return self._head.written(label, charset, utf8=self._rules.utf8_fields) + self._encoder.feed(window)

    def _choose(self, window: bytes, *, whole: bool) -> tuple[Encoder, str | None]:
        ascii_only, encoding = self._rules.ascii_only, self._head.encoding
        is_ascii = window.isascii()
        too_long = longest_line(window) > LINE_MAX_OCTETS
        if encoding == "base64" and (too_long or not is_ascii):
            return Base64Again(), None
        if encoding == "quoted-printable" and (too_long or not is_ascii):
            return QuotedPrintableAgain(), None
        if encoding not in IDENTITY:
            return Unchanged(), None
        is_binary = b"\0" in window or find_bare(window if whole else window.rstrip(b"\r")) >= 0
        if is_binary or too_long or (ascii_only and not is_ascii) or (not whole and self._may_become_worse):
            return self._encoded(window, is_binary=is_binary)
        if encoding == "binary" or (encoding == "7bit" and not is_ascii):
            return Unchanged(), "7bit" if is_ascii else "8bit"
        return Unchanged(), None

    @property
    def _may_become_worse(self) -> bool:
        """Whether what follows the window can be expected to need an encoding: its own header says so."""
        return self._head.encoding == "binary" or (self._rules.ascii_only and self._head.encoding == "8bit")

    def _encoded(self, window: bytes, *, is_binary: bool) -> tuple[Encoder, str | None]:
        # Text that can be read as it stands is worth a little: it is base64 where quoted-printable adds half.
        costly = len(window.translate(None, _PLAIN)) * 4 > len(window)
        if is_binary or costly or not self._head.content_type.startswith("text/"):
            return Base64(), "base64"
        return QuotedPrintable(), "quoted-printable"


def longest_line(octets: bytes) -> int:
    """Measure the longest line, without its line end."""
    if len(octets) <= LINE_MAX_OCTETS:
        return len(octets)
    return max(len(line) - line.endswith(b"\r") for line in octets.split(b"\n"))
