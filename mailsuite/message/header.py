"""
Header sections: where they end, their fields, and a field's value.

RFC 5322 sections 2.1 and 2.2, read leniently: bare LF ends a line, lines that are no fields are passed over.
"""

import itertools
import re
from collections.abc import Sequence
from typing import Protocol

HEADER_MAX_OCTETS = 1 << 20
"""Fields beyond this much of a header section are not looked at."""

FIELDS_MAX = 1000
"""Fields beyond this number are not looked at."""

FIELD_MAX_OCTETS = 100_000
"""More than this of a field's value is not looked at."""

Field = tuple[bytes, bytes]
"""A field: its name in lower case, and its octets as they stand, from the name to the end of its last line."""

_FIRST_WINDOW_OCTETS = 2048

# A line with a name, and the lines that continue it. RFC 5322 section 4.5 allows white space before the colon. The
# repeats are possessive: no octet is tried twice.
_FIELD = re.compile(rb"^(([!-9;-~]++)[ \t]*+:.*+(?:\n[ \t].*+)*+\n?)", re.MULTILINE)


class Content(Protocol):
    """Octets of a message: `bytes`, an `mmap`, or whatever else can be searched and sliced."""

    def __len__(self) -> int:
        """Give the number of octets."""

    def __getitem__(self, part: slice, /) -> bytes:
        """Copy some octets."""

    def find(self, wanted: bytes, start: int, end: int, /) -> int:
        """Give the lowest index in [start, end) where `wanted` lies whole; -1 when it does not."""


def find_empty_line(content: Content, start: int, end: int) -> int:
    """
    Find the LF after which an empty line follows, at or after `start`; -1 when there is none.

    The search goes on in growing windows: a message whose lines end in CRLF is never read to its end for the other
    kind of empty line.
    """
    window = _FIRST_WINDOW_OCTETS
    while start < end:
        stop = min(start + window, end)
        found = content.find(b"\n\r\n", start, stop)
        bare = content.find(b"\n\n", start, stop if found < 0 else found + 2)
        if bare >= 0:
            return bare
        if found >= 0:
            return found
        if stop == end:
            return -1
        start = stop - 2
        window *= 2
    return -1


def header_extent(content: Content, start: int, end: int) -> tuple[int, int]:
    """
    Find the header section that begins at `start`.

    Returns:
        Where its last field ends, and where the body begins; both are `end` when no empty line follows.
    """
    opening = content[start : start + 2]
    if opening[:1] == b"\n":
        return start, start + 1
    if opening == b"\r\n":
        return start, start + 2
    line_end = find_empty_line(content, start, end)
    if line_end < 0:
        return end, end
    return line_end + 1, line_end + (3 if content[line_end + 1 : line_end + 2] == b"\r" else 2)


def parse_fields(block: bytes) -> list[Field]:
    """
    Split a header section into fields; an empty line ends it.

    Args:
        block: the octets; those after `HEADER_MAX_OCTETS` are passed over.
    """
    if len(block) > HEADER_MAX_OCTETS:
        block = block[:HEADER_MAX_OCTETS]
    if b"\n\r\n" in block or b"\n\n" in block or block[:1] in {b"\r", b"\n"}:
        block = block[: header_extent(block, 0, len(block))[0]]
    if block.count(b"\n") <= FIELDS_MAX:
        return [(name.lower(), raw) for raw, name in _FIELD.findall(block)]
    first = itertools.islice(_FIELD.finditer(block), FIELDS_MAX)
    return [(field[2].lower(), field[1]) for field in first]


def unfold(raw: bytes) -> bytes:
    """Give a field's value on one line: RFC 5322 section 2.2.3, without the name and the white space around."""
    value = raw[raw.find(b":") + 1 : FIELD_MAX_OCTETS]
    if b"\n" in value:
        value = value.replace(b"\r\n", b"").replace(b"\n", b"")
    return value.strip(b" \t\r")


def first_value(fields: Sequence[Field], name: bytes) -> bytes | None:
    """Give the unfolded value of the first field of this name (lower case); None when there is none."""
    for field_name, raw in fields:
        if field_name == name:
            return unfold(raw)
    return None


def all_values(fields: Sequence[Field], name: bytes) -> list[bytes]:
    """Give the unfolded values of all fields of this name (lower case), in order."""
    return [unfold(raw) for field_name, raw in fields if field_name == name]
