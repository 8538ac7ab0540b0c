"""
Searching in what people read: decoded header fields and decoded text parts.

RFC 9051 section 6.4.4 (BODY, HEADER, TEXT): substrings, compared as RFC 5255 section 4.2 says.
"""

import binascii
import codecs
import re
from collections.abc import Callable, Iterator

from mailsuite.message.addresses import parse_addresses
from mailsuite.message.collation import casemap
from mailsuite.message.encoding import NOT_BASE64, decode_base64, python_codec
from mailsuite.message.header import Content, Field, parse_fields, unfold
from mailsuite.message.mime import Part, Scan, declared_type
from mailsuite.message.parameters import parameter
from mailsuite.message.words import decode_words

Read = Callable[[int, int], bytes]
"""Gives octets of a message from an offset on; shorter at its end."""

_CHUNK_OCTETS = 1 << 17
_BASE64_QUANTUM = 4
_ADDRESS_FIELDS = frozenset((b"from", b"to", b"cc", b"bcc"))
_WITHIN_ADDRESS = re.compile(rb'[\s)"][@.]|[@.][\s("]')
_ESCAPED = re.compile("[\udc80-\udcff]")
_AS_CP1252 = {0xDC00 + octet: bytes((octet,)).decode("cp1252", "replace") for octet in range(0x80, 0x100)}


class ReadContent:
    """
    A message that is read in chunks when it is looked at, and looks like octets.

    Args:
        read: gives octets from an offset on.
        size: of the whole message in octets.
    """

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._size = size
        self._start = 0
        self._chunk = b""

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice, /) -> bytes:
        start, stop, _ = part.indices(self._size)
        if start >= stop:
            return b""
        if stop - start > _CHUNK_OCTETS:
            return self._read(start, stop - start)
        self._load(start, stop)
        return self._chunk[start - self._start : stop - self._start]

    def find(self, wanted: bytes, start: int, end: int, /) -> int:
        """Give the lowest index in [start, end) where `wanted` lies whole; -1 when it does not."""
        end = min(end, self._size)
        overlap = max(len(wanted) - 1, 0)
        while start + len(wanted) <= end:
            self._load(start, min(start + len(wanted), end))
            loaded_end = self._start + len(self._chunk)
            if loaded_end < start + len(wanted):
                return -1  # the message is shorter than it was said to be
            found = self._chunk.find(wanted, start - self._start, end - self._start)
            if found >= 0:
                return found + self._start
            start = loaded_end - overlap
        return -1

    def _load(self, start: int, stop: int) -> None:
        if not (self._start <= start and stop <= self._start + len(self._chunk)):
            self._start = start
            self._chunk = self._read(start, min(max(_CHUNK_OCTETS, stop - start), self._size - start))


def contains(read: Read, size: int, needle: str, *, headers: bool) -> bool:
    """
    Say whether a message holds a text.

    BODY "doesn't match any header fields" (RFC 9051 section 6.4.4): neither those of parts nor, though they stand in
    the body, those of messages within.

    Args:
        read: gives octets from an offset on.
        size: of the message in octets.
        needle: any case; empty is in every message.
        headers: also in header fields, of the message, its parts and messages within: TEXT; without it: BODY.
    """
    wanted = _searched(needle)
    if not wanted:
        return True
    content = ReadContent(read, size)
    parts = Scan(content).run()
    if headers and any(_in_fields(part.fields, wanted) for part in parts):
        return True
    return any(_in_part(content, part, wanted) for part in parts if _is_text(part))


def _searched(text: str) -> str:
    """Give what is compared; "ss" finds a sharp s as well, which the collation takes for another letter."""
    return casemap(text).replace("\u00df", "SS").replace("\u1e9e", "SS")


def header_contains(header_block: bytes, name: bytes, needle: str) -> bool:
    """
    Say whether a field of this name (any case) holds a text; with an empty needle, whether there is such a field.

    Args:
        header_block: fields as they stand in the message; an empty line and what follows is not looked at.
    """
    wanted = _searched(needle)
    name = name.lower()
    return any(
        field_name == name and _in_value(name, unfold(raw), wanted) for field_name, raw in parse_fields(header_block)
    )


def _in_value(name: bytes, value: bytes, wanted: str) -> bool:
    if not wanted or wanted in _searched(decode_words(value)):
        return True
    # RFC 3501 section 6.4.4: FROM and its like are of the envelope, where addresses hold no comments and spaces.
    if "@" not in wanted or name not in _ADDRESS_FIELDS or not _WITHIN_ADDRESS.search(value):
        return False
    return any(wanted in _searched(entry.address) for entry in parse_addresses(value))


def part_text(content: Content, part: Part) -> Iterator[str]:
    """Give the text of a part in pieces, decoded as far as it goes; what cannot be decoded becomes U+FFFD."""
    declared = python_codec(parameter(part.parameters, b"charset").decode("ascii", "replace"))
    if declared is None or declared in {"ascii", "utf-8"}:
        codec, errors = "utf-8", "surrogateescape"
    else:
        codec, errors = declared, "replace"
    decoder = codecs.getincrementaldecoder(codec)(errors)
    for octets in _decoded_chunks(content, part):
        yield _mend(decoder.decode(octets))
    yield _mend(decoder.decode(b"", final=True))


def _mend(text: str) -> str:
    """Read octets that were no UTF-8 as windows-1252."""
    if text.isascii():
        return text
    return text.translate(_AS_CP1252) if _ESCAPED.search(text) else text


def _is_text(part: Part) -> bool:
    # RFC 9051 section 6.4.4: all but text and messages may be left out. Reports count, and messages that are encoded.
    return not part.children and declared_type(part).startswith(("text/", "message/"))


def _in_fields(fields: list[Field], wanted: str) -> bool:
    for name, raw in fields:
        value = unfold(raw)
        if wanted in _searched(f"{name.decode('ascii')}: {decode_words(value)}"):
            return True
    return False


def _in_part(content: Content, part: Part, wanted: str) -> bool:
    seam = ""
    for text in part_text(content, part):
        window = seam + _searched(text)
        if wanted in window:
            return True
        seam = window[len(window) - len(wanted) + 1 :] if len(wanted) > 1 else ""
    return False


def _decoded_chunks(content: Content, part: Part) -> Iterator[bytes]:
    """Undo the transfer encoding piece by piece; a piece ends where the encoding lets it end."""
    rest = b""
    position = part.body
    while position < part.end:
        stop = min(position + _CHUNK_OCTETS, part.end)
        chunk = rest + content[position:stop]
        position = stop
        rest = b""
        if part.encoding == "base64":
            chunk = chunk.translate(None, NOT_BASE64)
            whole = len(chunk) - len(chunk) % _BASE64_QUANTUM
            if position < part.end:
                chunk, rest = chunk[:whole], chunk[whole:]
            yield decode_base64(chunk)
        elif part.encoding == "quoted-printable":
            # Only after an LF is it certain that neither "=XX" nor a soft line break is cut; a line that fills the
            # whole piece is cut before its last "=".
            cut = chunk.rfind(b"\n") + 1 or chunk.rfind(b"=", len(chunk) - 2)
            if position < part.end and cut > 0:
                chunk, rest = chunk[:cut], chunk[cut:]
            yield binascii.a2b_qp(chunk)
        else:
            yield chunk
