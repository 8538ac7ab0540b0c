"""
The octets that a body section names, and how they are sent.

RFC 3501 sections 6.4.5 and 7.4.2, RFC 3516 section 4.2.

Pure: where octets come from is not known here.
"""

import functools
import re
from collections.abc import Callable, Iterable

from mailsuite.imap.fetch_grammar import BodySection, SectionForm, SectionText
from mailsuite.interfaces import CACHED_FIELDS, PartOffsets
from mailsuite.message.decode import decode_whole
from mailsuite.message.header import header_extent, parse_fields
from mailsuite.message.mime import SectionKind, find_part, locate

_KINDS = {
    SectionText.ALL: SectionKind.BODY,
    SectionText.HEADER: SectionKind.HEADER,
    SectionText.HEADER_FIELDS: SectionKind.HEADER,
    SectionText.HEADER_FIELDS_NOT: SectionKind.HEADER,
    SectionText.MIME: SectionKind.MIME,
    SectionText.TEXT: SectionKind.TEXT,
}
_SELECTING = frozenset((SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT))
_HEADER_TEXTS = _SELECTING | {SectionText.HEADER}


SHOWN_FOR_NUL = b"\x80"
"""What a literal has in the place of NUL, which it must not hold (RFC 3501 section 4.3)."""


class UnknownEncodingError(Exception):
    """Nobody knows how a part is to be decoded (RFC 3516 section 4.3)."""


def is_cached(section: BodySection) -> bool:
    """Whether the index keeps all the fields that this section selects."""
    return section.text is SectionText.HEADER_FIELDS and not section.part and section.fields <= CACHED_FIELDS


def needs_content(section: BodySection) -> bool:
    """Whether the message itself must be read."""
    return not is_cached(section)


def is_header(section: BodySection) -> bool:
    """Whether only the message's own header must be read."""
    return not section.part and section.text in _HEADER_TEXTS


def is_whole(section: BodySection) -> bool:
    """Whether the section is the message from its beginning to its end."""
    return not section.part and section.text is SectionText.ALL


def selects_fields(section: BodySection) -> bool:
    """Whether the header's octets are to be picked from, not sent as they are."""
    return section.text in _SELECTING


@functools.lru_cache(maxsize=256)
def _remover(fields: frozenset[bytes]) -> Callable[[bytes, bytes], bytes]:
    # A line end and the line after it, where that neither begins a wanted field nor continues one, and what continues
    # it: most fields are wanted, and what stays is only searched for line ends. Names as most write them come first,
    # since it costs more to try both cases of each letter.
    names = [re.escape(name) for name in sorted(fields)]
    usual = b"|".join(name.title().replace(b"-Id", b"-ID") + b":" for name in names)
    kept = rb"%b|(?i:%b)[ \t]*+:|[ \t](?<!\A\n[ \t])|\Z" % (usual, b"|".join(names))
    return re.compile(rb"\n(?!%b).*+(?:\n[ \t].*+)*+" % kept).sub


def cached_fields(block: bytes, section: BodySection) -> bytes:
    """
    Pick fields from those that the index keeps; an empty line ends them.

    Args:
        block: empty, or with an end of its last line.
    """
    return cut(_remover(section.fields)(b"", b"\n" + block)[1:] + b"\r\n", section)


def cached_literals(blocks: Iterable[bytes], section: BodySection) -> list[bytes]:
    """Do the same for many messages, and make the octets fit for literals."""
    remove = _remover(section.fields)
    found = [remove(b"", b"\n" + block)[1:].replace(b"\0", SHOWN_FOR_NUL) + b"\r\n" for block in blocks]
    return found if section.offset is None else [cut(octets, section) for octets in found]


def picked_fields(header: bytes, section: BodySection) -> bytes:
    """
    Pick fields from a whole header section; an empty line ends them.

    Args:
        header: of the message, with its empty line if it has one.
    """
    wanted = section.text is SectionText.HEADER_FIELDS
    chosen = [raw for name, raw in parse_fields(header) if (name in section.fields) is wanted]
    if chosen and not chosen[-1].endswith(b"\n"):  # the message ends within its header
        chosen.append(b"\r\n")
    return b"".join([*chosen, b"\r\n"])


def extent(parts: PartOffsets, section: BodySection) -> tuple[int, int] | None:
    """
    Find the octets of a section in its message, before fields are picked and before a partial range is cut.

    Returns:
        Beginning and end; None when the message has no such section.
    """
    return locate(parts, section.part, _KINDS[section.text])


def encoding_of(parts: PartOffsets, section: BodySection) -> str:
    """Name the content transfer encoding that is to be undone; of what has parts, there is none."""
    part = find_part(parts, section.part) if section.part else None
    return "" if part is None or part.children or part.content_type.startswith("multipart/") else part.encoding


def partial(start: int, end: int, section: BodySection) -> tuple[int, int]:
    """Narrow beginning and end to the partial range that was asked for."""
    if section.offset is None:
        return start, end
    start = min(start + section.offset, end)
    return start, min(start + section.length, end)


def cut(octets: bytes, section: BodySection) -> bytes:
    """Cut the partial range that was asked for."""
    if section.offset is None:
        return octets
    return octets[section.offset : section.offset + section.length]


def from_content(content: bytes, parts: Callable[[], PartOffsets], section: BodySection) -> bytes | None:
    """
    Give a section of a message that is in memory; None when it has no such section.

    Args:
        parts: finds the parts; not called when the section can be found without.

    Raises:
        UnknownEncodingError: it cannot be decoded.
    """
    if is_whole(section):
        return cut(content, section)
    if section.form is not SectionForm.OCTETS:
        return _decoded(content, parts(), section)
    if is_header(section):
        header = content[: header_extent(content, 0, len(content))[1]]
        return cut(picked_fields(header, section) if selects_fields(section) else header, section)
    found = extent(parts(), section)
    if found is None:
        return None
    start, end = found
    if selects_fields(section):
        return cut(picked_fields(content[start:end], section), section)
    start, end = partial(start, end, section)
    return content[start:end]


def _decoded(content: bytes, parts: PartOffsets, section: BodySection) -> bytes | None:
    found = extent(parts, section)
    if found is None:
        return None
    decoded = decode_whole(content[slice(*found)], encoding_of(parts, section))
    if decoded is None:
        raise UnknownEncodingError
    return cut(decoded, section)


def without_nul(octets: bytes) -> bytes:
    """Make octets fit for a literal: their number stays the same."""
    return octets.replace(b"\0", SHOWN_FOR_NUL) if b"\0" in octets else octets


def answer(section: BodySection, octets: bytes | None) -> bytes:
    """Write a section's answer; the octets always as a literal, which may hold anything."""
    if section.form is SectionForm.SIZE:
        return size_answer(section, len(octets or b""))
    if octets is None:
        return section.label + b" NIL"
    if section.form is SectionForm.DECODED and b"\0" in octets:
        return b"%b ~{%d}\r\n%b" % (section.label, len(octets), octets)
    return b"%b {%d}\r\n%b" % (section.label, len(octets), without_nul(octets))


def size_answer(section: BodySection, octets: int) -> bytes:
    """Write how many octets a decoded section has."""
    return b"%b %d" % (section.label, octets)
