"""
What FETCH asks for: data items, macros and body sections, each with the label of its response.

RFC 3501 sections 6.4.5 and 7.4.2, RFC 3516 section 4.2, RFC 7162 section 3.1.4.2, RFC 8474 section 5.3, RFC 8514
section 4.2, RFC 8970 section 6.
"""

import enum
import functools
import re

import attrs

from mailsuite.imap.tokens import NUMBER64_MAX, NUMBER_MAX, BadCommandError, Tokens
from mailsuite.message.mime import DEPTH_MAX

ITEMS_MAX = 1000
PART_DEPTH_MAX = DEPTH_MAX
FIELDS_MAX = 1000
_CACHED_MAX_OCTETS = 512

# Modifiers change from one command to the next, so that there is nothing to keep.
_MODIFIER = re.compile(rb"(?:CHANGEDSINCE|PARTIAL) ", re.IGNORECASE)

_ITEM = re.compile(rb"[A-Za-z0-9.]+")
_LAZY = re.compile(rb"(?: \(LAZY(?: LAZY)*+\))?", re.IGNORECASE)
_PART = re.compile(rb"[1-9][0-9]{0,9}(?:\.[1-9][0-9]{0,9})*")
_PARTIAL = re.compile(rb"<([0-9]{1,19})\.([0-9]{1,19})>")  # RFC 9051 section 9, "partial"
_FIELD_NAME = re.compile(rb"[\x21-\x39\x3b-\x7e]+")  # RFC 5322 section 2.2
_PLAIN_FIELD_NAME = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')


class FetchAttribute(enum.Enum):
    """What the index knows of a message; the value is the label."""

    UID = b"UID"
    FLAGS = b"FLAGS"
    INTERNALDATE = b"INTERNALDATE"
    RFC822_SIZE = b"RFC822.SIZE"
    ENVELOPE = b"ENVELOPE"
    BODY = b"BODY"
    BODYSTRUCTURE = b"BODYSTRUCTURE"
    MODSEQ = b"MODSEQ"
    SAVEDATE = b"SAVEDATE"
    EMAILID = b"EMAILID"
    THREADID = b"THREADID"
    PREVIEW = b"PREVIEW"
    LAZY_PREVIEW = b"PREVIEW (LAZY)"


class SectionText(enum.Enum):
    """Which octets of a part are meant."""

    ALL = b""
    HEADER = b"HEADER"
    HEADER_FIELDS = b"HEADER.FIELDS"
    HEADER_FIELDS_NOT = b"HEADER.FIELDS.NOT"
    MIME = b"MIME"
    TEXT = b"TEXT"


class SectionForm(enum.Enum):
    """What is told of a section (RFC 3516 section 4.2); the value begins the label."""

    OCTETS = b"BODY"
    DECODED = b"BINARY"
    """Without the part's content transfer encoding."""
    SIZE = b"BINARY.SIZE"
    """How many octets that would be."""


@attrs.frozen
class BodySection:
    r"""
    Octets of a message.

    Args:
        label: as the response names it, with the origin octet in ``<>`` when a part of it was asked for.
        part: numbers of the MIME parts from the outside inwards; empty for the message itself.
        fields: names of header fields, in lower case, for HEADER_FIELDS and HEADER_FIELDS_NOT.
        offset: where to begin; None when all is asked for.
        length: how much of it at most, with an offset.
        peek: ``\Seen`` is not to be set.
        form: octets as they are, or decoded.
    """

    label: bytes
    part: tuple[int, ...] = ()
    text: SectionText = SectionText.ALL
    fields: frozenset[bytes] = frozenset()
    offset: int | None = None
    length: int = 0
    peek: bool = True
    form: SectionForm = SectionForm.OCTETS


@attrs.frozen
class FetchItems:
    """
    What a FETCH asks for.

    Args:
        attributes: what the index can answer, in the client's order, each once.
        sections: what needs the message's octets (or its cached header fields), in the client's order, each once.
    """

    attributes: tuple[FetchAttribute, ...]
    sections: tuple[BodySection, ...] = ()

    @property
    def sets_seen(self) -> bool:
        r"""Whether fetching this sets ``\Seen`` (RFC 3501 section 6.4.5)."""
        return any(not section.peek for section in self.sections)

    def with_uid(self) -> "FetchItems":
        """Give the same with UID, which every answer to UID FETCH holds (RFC 3501 section 6.4.8)."""
        if FetchAttribute.UID in self.attributes:
            return self
        return FetchItems((FetchAttribute.UID, *self.attributes), self.sections)

    def with_modseq(self) -> "FetchItems":
        """Give the same with MODSEQ, which every answer to CHANGEDSINCE holds (RFC 7162 section 3.1.4.1)."""
        if FetchAttribute.MODSEQ in self.attributes:
            return self
        return FetchItems((*self.attributes, FetchAttribute.MODSEQ), self.sections)


_FAST = (FetchAttribute.FLAGS, FetchAttribute.INTERNALDATE, FetchAttribute.RFC822_SIZE)
_ALL = (*_FAST, FetchAttribute.ENVELOPE)
_MACROS = {b"ALL": _ALL, b"FAST": _FAST, b"FULL": (*_ALL, FetchAttribute.BODY)}
_ATTRIBUTES = {attribute.value: attribute for attribute in FetchAttribute}
_RFC822 = {
    b"RFC822": BodySection(b"RFC822", peek=False),
    b"RFC822.HEADER": BodySection(b"RFC822.HEADER", text=SectionText.HEADER),
    b"RFC822.TEXT": BodySection(b"RFC822.TEXT", text=SectionText.TEXT, peek=False),
}
_BINARY = {
    b"BINARY": (SectionForm.DECODED, False),
    b"BINARY.PEEK": (SectionForm.DECODED, True),
    b"BINARY.SIZE": (SectionForm.SIZE, True),
}
_TEXTS = {text.value: text for text in SectionText if text is not SectionText.ALL}


def parse_fetch_items(tokens: Tokens, *, uid: bool = False) -> FetchItems:
    """
    Read the items of a FETCH; nothing but modifiers may follow (RFC 4466 section 2.4).

    Args:
        uid: UID is one of them, whether written or not.

    Raises:
        BadCommandError: they are not written as RFC 3501 section 9, "fetch", says.
    """
    rest = tokens.rest_of_line()
    if rest is not None and len(rest) <= _CACHED_MAX_OCTETS and not _MODIFIER.search(rest):
        items = _parse_cached(rest, uid)
        tokens.take_rest()
        return items
    items = _parse(tokens)
    return items.with_uid() if uid else items


@functools.lru_cache(maxsize=256)
def _parse_cached(text: bytes, uid: bool) -> FetchItems:  # noqa: FBT001 - a cache is cheaper without keywords
    """Read items that were often read before: a client asks for the same ones all day."""
    tokens = Tokens((text,))
    items = _parse(tokens)
    tokens.end()
    return items.with_uid() if uid else items


def _parse(tokens: Tokens) -> FetchItems:
    attributes: dict[FetchAttribute, None] = {}
    sections: dict[BodySection, None] = {}
    if tokens.accept(b"("):
        return parse_fetch_list(tokens)
    name = tokens.take(_ITEM, "a data item").upper()
    if name in _MACROS:
        return FetchItems(_MACROS[name])
    _add_item(name, tokens, attributes, sections)
    return FetchItems(tuple(attributes), tuple(sections))


def parse_fetch_list(tokens: Tokens) -> FetchItems:
    """
    Read items behind a parenthesis, and the one that ends them.

    Raises:
        BadCommandError: as `parse_fetch_items`.
    """
    attributes: dict[FetchAttribute, None] = {}
    sections: dict[BodySection, None] = {}
    count = 0
    while True:
        count += 1
        if count > ITEMS_MAX:
            raise BadCommandError("too many data items")
        _add_item(tokens.take(_ITEM, "a data item").upper(), tokens, attributes, sections)
        if tokens.accept(b")"):
            if FetchAttribute.PREVIEW in attributes:
                attributes.pop(FetchAttribute.LAZY_PREVIEW, None)
            return FetchItems(tuple(attributes), tuple(sections))
        tokens.space()


def _add_item(
    name: bytes, tokens: Tokens, attributes: dict[FetchAttribute, None], sections: dict[BodySection, None]
) -> None:
    if name in {b"BODY", b"BODY.PEEK"} and tokens.accept(b"["):
        sections[_parse_section(tokens, peek=name == b"BODY.PEEK")] = None
    elif name in _BINARY:
        form, peek = _BINARY[name]
        sections[_parse_binary(tokens, form, peek=peek)] = None
    elif name == b"PREVIEW":
        lazy = tokens.take(_LAZY, "PREVIEW")
        attributes[FetchAttribute.LAZY_PREVIEW if lazy else FetchAttribute.PREVIEW] = None
    elif name in _ATTRIBUTES:
        attributes[_ATTRIBUTES[name]] = None
    elif name in _RFC822:
        sections[_RFC822[name]] = None
    else:
        raise BadCommandError("unknown data item")


def parse_section(text: bytes) -> BodySection:
    """
    Read what stands between the brackets of ``BODY.PEEK[]`` (RFC 3501 section 9, "section-spec").

    Raises:
        BadCommandError: it is no section.
    """
    tokens = Tokens((text + b"]",))
    section = _parse_section(tokens, peek=True)
    tokens.end()
    return section


def _parse_section(tokens: Tokens, *, peek: bool) -> BodySection:
    part: tuple[int, ...] = ()
    text = SectionText.ALL
    names: list[bytes] = []
    label = b"BODY["
    if tokens.peek().isdigit():
        path, part = _parse_part(tokens)
        label += path
        dot = tokens.accept(b".")
        label += b"." if dot else b""
    else:
        dot = tokens.peek() != b"]"
    if dot:
        found = _TEXTS.get(tokens.take(_ITEM, "a section name").upper())
        if found is None or (found is SectionText.MIME and not part):
            raise BadCommandError("unknown body section")
        text = found
        label += text.value
    if text in {SectionText.HEADER_FIELDS, SectionText.HEADER_FIELDS_NOT}:
        names = _parse_field_names(tokens)
        label += b" (" + b" ".join(map(_encode_field_name, names)) + b")"
    tokens.expect(b"]")
    label += b"]"
    fields = frozenset(name.lower() for name in names)
    if tokens.peek() != b"<":
        return BodySection(label, part, text, fields, peek=peek)
    offset, length = _parse_partial(tokens)
    return BodySection(b"%b<%d>" % (label, offset), part, text, fields, offset, length, peek)


def _parse_part(tokens: Tokens) -> tuple[bytes, tuple[int, ...]]:
    path = tokens.take(_PART, "a part number")
    if path.count(b".") >= PART_DEPTH_MAX:
        raise BadCommandError("the part number is nested too deeply")
    part = tuple(map(int, path.split(b".")))
    if max(part) > NUMBER_MAX:
        raise BadCommandError("the part number is too large")
    return path, part


def _parse_binary(tokens: Tokens, form: SectionForm, *, peek: bool) -> BodySection:
    """Read the section of BINARY, which has a part number or nothing (RFC 3516 section 7, "section-binary")."""
    path = b""
    part: tuple[int, ...] = ()
    tokens.expect(b"[")
    if tokens.peek() != b"]":
        path, part = _parse_part(tokens)
    tokens.expect(b"]")
    label = b"%b[%b]" % (form.value, path)
    if form is SectionForm.SIZE or tokens.peek() != b"<":
        return BodySection(label, part, peek=peek, form=form)
    offset, length = _parse_partial(tokens)
    return BodySection(b"%b<%d>" % (label, offset), part, offset=offset, length=length, peek=peek, form=form)


def _parse_field_names(tokens: Tokens) -> list[bytes]:
    tokens.space()
    tokens.expect(b"(")
    names: list[bytes] = []
    while True:
        name = tokens.astring("a field name")
        if not _FIELD_NAME.fullmatch(name):
            raise BadCommandError("that is not the name of a header field")
        names.append(name)
        if len(names) > FIELDS_MAX:
            raise BadCommandError("too many header fields")
        if tokens.accept(b")"):
            return names
        tokens.space()


def _encode_field_name(name: bytes) -> bytes:
    if _PLAIN_FIELD_NAME.fullmatch(name):
        return name
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _parse_partial(tokens: Tokens) -> tuple[int, int]:
    found = _PARTIAL.fullmatch(tokens.take(_PARTIAL, "<origin.length>"))
    if found is None:  # it has just matched
        raise BadCommandError("expected <origin.length>")
    offset, length = int(found.group(1)), int(found.group(2))
    if offset > NUMBER64_MAX or not 1 <= length <= NUMBER64_MAX:
        raise BadCommandError("a partial range is out of range")
    return offset, length
