"""
What a mailbox's index keeps of a message, made once: IMAP's ENVELOPE, BODY and BODYSTRUCTURE as ready-made octets.

RFC 3501 section 7.4.2.
"""

import functools
import re
from collections.abc import Sequence

import attrs

from mailsuite.interfaces import CACHED_FIELDS, PartOffsets
from mailsuite.message.addresses import MailboxField, parse_addresses
from mailsuite.message.dates import parse_date
from mailsuite.message.header import FIELD_MAX_OCTETS, Content, Field, unfold
from mailsuite.message.mime import Part, Scan, offsets_of
from mailsuite.message.parameters import Parameters, is_token, parse_parameters, without_comments
from mailsuite.message.words import decode_words

_ENVELOPE_FIELDS = frozenset((b"date", b"subject", b"in-reply-to", b"message-id"))
_ADDRESS_FIELDS = frozenset((b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"))
_DESCRIPTION_FIELDS = frozenset(
    (
        b"content-id",
        b"content-description",
        b"content-md5",
        b"content-disposition",
        b"content-language",
        b"content-location",
    )
)
_ALL_ENVELOPE_FIELDS = _ENVELOPE_FIELDS | _ADDRESS_FIELDS
STRING_MAX_OCTETS = 65536
"""More than this of a string is not sent."""

_INNER_ENVELOPES_MAX_OCTETS = 1 << 19  # of fields; envelopes of messages within that go beyond it are empty
_COUNT_CHUNK_OCTETS = 1 << 18
_COMMON_MAX_OCTETS = 200
_CHARSET = frozenset((b"charset", b"charset*"))
_FIRST_TOKEN = re.compile(rb'[ \t"]*([!#$%&\'*+\-.0-9A-Z^_`a-z{|}~]+)')
_FIRST_TAG = re.compile(rb'[ \t"]*([0-9A-Za-z_-]+)')
_QUOTABLE = bytes(octet for octet in range(1, 128) if octet not in b'\r\n"\\')
_GROUP_END = b"(NIL NIL NIL NIL)"
_NEXT_FIELD = b"\n"  # between values of several fields: none is left in an unfolded value


@attrs.frozen
class Summary:
    """
    A message's ready-made answers.

    Args:
        envelope: ENVELOPE.
        body: BODY, without extension data.
        bodystructure: BODYSTRUCTURE.
        header: octets of the fields in `CACHED_FIELDS`, in message order, without the empty line at the end; of a
            header beyond the limits of `mailsuite.message.header`, those before the limit.
        size: of the message in octets.
        date: of the Date field in seconds since the epoch; None when it has none.
        subject: decoded for people to read.
        message_id: as written, with its angle brackets.
    """

    envelope: bytes
    body: bytes
    bodystructure: bytes
    header: bytes
    size: int
    date: int | None
    subject: str
    message_id: str


def summarize(content: Content) -> Summary:
    """Make the summary of a message in one scan."""
    return _summarize(content, Scan(content).run())


def summarize_with_parts(content: Content) -> tuple[Summary, PartOffsets]:
    """Make the summary and the offsets of the parts in the same scan."""
    parts = Scan(content).run()
    return _summarize(content, parts), offsets_of(parts)


def _summarize(content: Content, parts: list[Part]) -> Summary:
    values = _envelope_values(parts[0].fields)
    body, bodystructure = _structures(content, parts)
    date_value = values.get(b"date")
    date = parse_date(date_value) if date_value else None
    header = b"".join([raw for name, raw in parts[0].fields if name in CACHED_FIELDS])
    if header[-1:] not in {b"\n", b""}:  # the message ends within its header
        header += b"\r\n"
    return Summary(
        envelope=_envelope(values),
        body=body,
        bodystructure=bodystructure,
        header=header,
        size=len(content),
        date=date[0] if date else None,
        subject=decode_words(values.get(b"subject", b"")),
        message_id=values.get(b"message-id", b"").decode("ascii", "replace"),
    )


def nstring(value: bytes | None) -> bytes:
    """Write a string for IMAP: quoted, or a literal where it cannot be quoted; NIL for None. NUL becomes ``?``."""
    if value is None:
        return b"NIL"
    if len(value) > STRING_MAX_OCTETS:
        value = value[:STRING_MAX_OCTETS]
    if not value.translate(None, _QUOTABLE):
        return b'"%b"' % value
    if b"\0" in value:
        value = value.replace(b"\0", b"?")
    if value.isascii() and b"\r" not in value and b"\n" not in value:
        return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"{%d}\r\n%b" % (len(value), value)


def _envelope_values(fields: Sequence[Field]) -> dict[bytes, bytes]:
    """Unfold the fields of ENVELOPE; of several fields with recipients each is a list (RFC 5322 section 4.5.3)."""
    values: dict[bytes, bytes] = {}
    for name, raw in fields:
        if name not in _ALL_ENVELOPE_FIELDS:
            continue
        if name not in values:
            values[name] = unfold(raw)
        elif name in {b"to", b"cc", b"bcc"} and len(values[name]) < FIELD_MAX_OCTETS:
            values[name] += _NEXT_FIELD + unfold(raw)
    return values


def _envelope(values: dict[bytes, bytes]) -> bytes:
    get = values.get
    author = _address_list(get(b"from"))
    sender = _address_list(get(b"sender"))
    reply_to = _address_list(get(b"reply-to"))
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        nstring(get(b"date")),
        nstring(get(b"subject")),
        author,
        author if sender == b"NIL" else sender,
        author if reply_to == b"NIL" else reply_to,
        _address_list(get(b"to")),
        _address_list(get(b"cc")),
        _address_list(get(b"bcc")),
        nstring(get(b"in-reply-to")),
        nstring(get(b"message-id")),
    )


def _address_list(value: bytes | None) -> bytes:
    if not value:
        return b"NIL"
    return _common_address_list(value) if len(value) <= _COMMON_MAX_OCTETS else _make_address_list(value)


def _make_address_list(value: bytes) -> bytes:
    entries = [entry for field in value.split(_NEXT_FIELD) for entry in parse_addresses(field)]
    if not entries:
        return b"NIL"
    return b"(" + b"".join([_address(entry) for entry in entries]) + b")"


_common_address_list = functools.lru_cache(maxsize=1024)(_make_address_list)
"""Much mail goes to, and comes from, the same few addresses."""


def _address(entry: MailboxField) -> bytes:
    if entry.mailbox is None:
        return _GROUP_END
    return b"(%b %b %b %b)" % (
        nstring(entry.name),
        b"NIL" if entry.route is None else nstring(entry.route),
        nstring(entry.mailbox),
        nstring(entry.host),
    )


def _structures(content: Content, parts: list[Part]) -> tuple[bytes, bytes]:
    """Write BODY and BODYSTRUCTURE, children before their parents, so that no depth is too much."""
    lines = _count_lines(content, parts)
    made: dict[int, tuple[bytes, bytes]] = {}
    envelope_octets = 0
    for part in reversed(parts):
        described = _described(part.fields)
        extension = _extension(described) if described else b" NIL NIL NIL"
        main, _, subtype = part.content_type.partition("/")
        if main == "multipart":
            children = [made.pop(id(child)) for child in part.children]
            kind = nstring(subtype.encode())
            made[id(part)] = (
                b"(%b %b)" % (b"".join([child[0] for child in children]), kind),
                b"(%b %b %b%b)"
                % (b"".join([child[1] for child in children]), kind, _parameters(part.parameters), extension),
            )
            continue
        parameters = part.parameters
        if main == "text" and not any(name in _CHARSET for name, _ in parameters):
            parameters = (*parameters, (b"charset", b"us-ascii"))  # RFC 2046 section 4.1.2
        opening = b"(%b %b %b %b %b %d" % (
            _media_type(part.content_type),
            _parameters(parameters),
            nstring(described.get(b"content-id")),
            nstring(described.get(b"content-description")),
            nstring(part.encoding.encode("ascii", "replace")),
            part.end - part.body,
        )
        extension = b" " + nstring(described.get(b"content-md5")) + extension + b")"
        if part.children:
            values = _envelope_values(part.children[0].fields)
            envelope_octets += sum(map(len, values.values()))
            envelope = _envelope(values if envelope_octets <= _INNER_ENVELOPES_MAX_OCTETS else {})
            inner_body, inner_structure = made.pop(id(part.children[0]))
            count = lines[part.end] - lines[part.body]
            made[id(part)] = (
                b"%b %b %b %d)" % (opening, envelope, inner_body, count),
                b"%b %b %b %d%b" % (opening, envelope, inner_structure, count, extension),
            )
            continue
        if main == "text":
            opening += b" %d" % (lines[part.end] - lines[part.body])
        made[id(part)] = (opening + b")", opening + extension)
    return made[id(parts[0])]


@functools.lru_cache(maxsize=256)
def _media_type(content_type: str) -> bytes:
    main, _, subtype = content_type.encode().partition(b"/")
    return nstring(main) + b" " + nstring(subtype)


def _described(fields: Sequence[Field]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, raw in fields:
        if name in _DESCRIPTION_FIELDS and name not in found:
            found[name] = unfold(raw)
    return found


def _parameters(parameters: Parameters) -> bytes:
    if not parameters:
        return b"NIL"
    return b"(" + b" ".join([nstring(text) for pair in parameters for text in pair]) + b")"


def _extension(described: dict[bytes, bytes]) -> bytes:
    disposition = described.get(b"content-disposition")
    return b" %b %b %b" % (
        b"NIL" if disposition is None else _disposition(disposition),
        _language(described.get(b"content-language")),
        nstring(described.get(b"content-location")),
    )


def _disposition(value: bytes) -> bytes:
    kind, parameters = parse_parameters(value)
    if not is_token(kind):
        word = _FIRST_TOKEN.match(kind)
        if word is None or kind[word.end() : word.end() + 1] == b"=":  # there is no kind: it is one that nobody knows
            if b"=" not in value:
                return b"NIL"
            kind, parameters = parse_parameters(b"attachment;" + value)  # RFC 2183 section 2.8
        else:
            kind = word[1]
    return b"(%b %b)" % (nstring(kind), _parameters(parameters))


def _language(value: bytes | None) -> bytes:
    """List the tags of RFC 3282, which may stand among comments and what does not belong there."""
    if not value:
        return b"NIL"
    if b"(" in value:
        value = without_comments(value)
    found = [_FIRST_TAG.match(piece) for piece in value.split(b",")]
    tags = [nstring(tag[1]) for tag in found if tag is not None]
    if len(tags) <= 1:
        return tags[0] if tags else b"NIL"
    return b"(" + b" ".join(tags) + b")"


def _count_lines(content: Content, parts: list[Part]) -> dict[int, int]:
    """Count the line ends before each offset that matters, all in one pass, however the parts are nested."""
    offsets: set[int] = set()
    for part in parts:
        if part.children or part.content_type.startswith("text/"):
            if part.content_type.startswith("multipart/"):
                continue
            offsets.add(part.body)
            offsets.add(part.end)
    counted: dict[int, int] = {}
    total = 0
    position = None
    for offset in sorted(offsets):
        if position is not None:
            total += _count_newlines(content, position, offset)
        counted[offset] = total
        position = offset
    return counted


def _count_newlines(content: Content, start: int, end: int) -> int:
    if isinstance(content, bytes):
        return content.count(b"\n", start, end)
    total = 0
    while start < end:
        stop = min(start + _COUNT_CHUNK_OCTETS, end)
        total += content[start:stop].count(b"\n")
        start = stop
    return total
