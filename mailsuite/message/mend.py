"""
Header fields brought into the form that may travel: ASCII, in lines of bounded length.

RFC 2047 for what people read, RFC 2231 for file names, RFC 5322 sections 2.1.1 and 2.2.3 for lines. What needs no
change keeps its octets, and what cannot be changed without a guess does too.
"""

import binascii
import re
from collections.abc import Collection
from urllib.parse import quote_from_bytes

from mailsuite.message.addresses import ADDRESSES_MAX, MailboxField, parse_addresses
from mailsuite.message.header import FIELDS_MAX, unfold
from mailsuite.message.parameters import PARAMETERS_MAX, parse_parameters
from mailsuite.message.reencode import LINE_MAX_OCTETS
from mailsuite.message.words import TEXT_MAX_OCTETS, decode_words, encode_words

LINE_WANTED_OCTETS = 78
"""Where a line that must be folded is folded (RFC 5322 section 2.1.1)."""

UNKNOWN_CHARSET = "unknown-8bit"
"""Of octets that are no UTF-8 and whose charset nobody said (RFC 1428 section 3)."""

_ADDRESS_FIELDS = frozenset(
    (
        b"from sender reply-to to cc bcc resent-from resent-sender resent-reply-to resent-to resent-cc resent-bcc "
        b"disposition-notification-to return-receipt-to errors-to mail-followup-to mail-reply-to apparently-to"
    ).split()
)
_PARAMETER_FIELDS = frozenset((b"content-type", b"content-disposition"))
_FILE_NAMES = frozenset((b"filename", b"name"))
_OTHER_STRUCTURED = frozenset(
    (
        b"date resent-date message-id resent-message-id in-reply-to references received return-path delivered-to "
        b"mime-version content-transfer-encoding content-id content-md5 content-language content-location "
        b"dkim-signature domainkey-signature authentication-results received-spf arc-seal arc-message-signature "
        b"arc-authentication-results autocrypt auto-submitted list-id list-post list-help list-archive list-owner "
        b"list-subscribe list-unsubscribe list-unsubscribe-post"
    ).split()
)
_FIELD_START = re.compile(rb"(?<=\n)(?![ \t])")
_SPACE = re.compile(rb"[ \t]")
_NOT_SPACE = re.compile(rb"[^ \t]")
_DOT_ATOM = re.compile(rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")
_ATOMS = re.compile(rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*+")
_TOKEN = re.compile(rb"[A-Za-z0-9!#$%&'*+^_`{|}~.-]+")
_ESCAPED = re.compile(rb'(["\\])')
_ADDRESSES_MAX_OCTETS = 30_000  # below the number of tokens that are looked at
ENCODED_MAX_OCTETS = 128 * 1024
"""Fields that are not ASCII are left as they are where they are more than this together: it would take too long."""
_UNKNOWN_WORD_OCTETS = 39  # in base64 52, with "=?unknown-8bit?b?" and "?=" 71: RFC 2047 section 2
_LINE_END = b"\r\n"


def split_fields(header: bytes) -> list[tuple[bytes, bytes]]:
    """
    Divide a header section into all that is in it: nothing is left out, unlike in `parse_fields`.

    Returns:
        For each field its name in lower case and its octets with the lines that continue it; for lines that are no
        field, an empty name.
    """
    return [(_name_of(raw), raw) for raw in _FIELD_START.split(header) if raw]


def _name_of(raw: bytes) -> bytes:
    name, colon, _ = raw.partition(b":")
    return name.rstrip(b" \t").lower() if colon and b"\n" not in name else b""


def without_fields(header: bytes, names: Collection[bytes]) -> bytes:
    """Leave fields out of a header section, with their continuation lines; all else keeps its octets."""
    return b"".join(raw for name, raw in split_fields(header) if name not in names)


def mend_header(header: bytes, *, utf8: bool) -> bytes:
    """
    Bring a header section into the form that may travel.

    Args:
        header: fields, each with its line end; more than `FIELDS_MAX` are left as they are.
        utf8: octets that are not ASCII may stay (RFC 6532); they do as well where they are too many, see
            `ENCODED_MAX_OCTETS`.
    """
    if (utf8 or header.isascii()) and not _is_long(header):
        return header
    fields = split_fields(header)
    if len(fields) > FIELDS_MAX:
        return header
    utf8 = utf8 or sum(len(raw) for _, raw in fields if not raw.isascii()) > ENCODED_MAX_OCTETS
    return b"".join(mend_field(name, raw, utf8=utf8) for name, raw in fields)


def mend_field(name: bytes, raw: bytes, *, utf8: bool) -> bytes:
    """
    Bring one field into the form that may travel.

    Args:
        name: in lower case.
        raw: its octets, from the name to the end of its last line.
        utf8: octets that are not ASCII may stay.
    """
    if not utf8 and not raw.isascii():
        encoded = _encode(name, raw)
        if encoded is not None:
            written = raw.partition(b":")[0].rstrip(b" \t")
            return fold(written + b": " + encoded) + _LINE_END
    if not _is_long(raw):
        return raw
    lines = [line.removesuffix(b"\n").removesuffix(b"\r") for line in raw.splitlines(keepends=True)]
    return b"".join((fold(line) if len(line) > LINE_MAX_OCTETS else line) + _LINE_END for line in lines)


def fold(line: bytes) -> bytes:
    """
    Fold a line at white space where it is longer than wanted (RFC 5322 section 2.2.3).

    Where there is no white space it stays as long as it is; no line of white space alone is made.
    """
    pieces = []
    start, end = 0, len(line.rstrip(b" \t"))
    while end - start > LINE_WANTED_OCTETS:
        first = _NOT_SPACE.search(line, start, end)
        if first is None:
            break
        stop = start + LINE_WANTED_OCTETS
        cut = max(line.rfind(b" ", first.end(), stop + 1), line.rfind(b"\t", first.end(), stop + 1))
        if cut < 0:
            following = _SPACE.search(line, max(stop, first.end()), end)
            if following is None:
                break
            cut = following.start()
        pieces.append(line[start:cut])
        start = cut
    return _LINE_END.join([*pieces, line[start:]])


def encode_text(octets: bytes) -> bytes:
    """Encode text whose charset nobody said as encoded words: as UTF-8 if it is that, else as of unknown charset."""
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        pieces = [octets[at : at + _UNKNOWN_WORD_OCTETS] for at in range(0, len(octets), _UNKNOWN_WORD_OCTETS)]
        opening = f"=?{UNKNOWN_CHARSET}?b?".encode("ascii")
        return b" ".join(opening + binascii.b2a_base64(piece, newline=False) + b"?=" for piece in pieces)
    return encode_words(decode_words(octets))


def format_mailbox(entry: MailboxField) -> bytes | None:
    """Write a mailbox with its display name (RFC 5322 section 3.4); None when its address cannot be ASCII."""
    local, host = entry.mailbox or b"", entry.host or b""
    if not local or not (local + host).isascii() or entry.route is not None:
        return None
    if not _DOT_ATOM.fullmatch(local):
        local = _quoted(local)
    address = local + b"@" + host if host else local
    if not entry.name:
        return address
    return _phrase(entry.name) + b" <" + address + b">"


def _phrase(name: bytes) -> bytes:
    if not name.isascii():
        return encode_text(name)
    return name if _ATOMS.fullmatch(name) else _quoted(name)


def _quoted(text: bytes) -> bytes:
    return b'"' + _ESCAPED.sub(rb"\\\1", text) + b'"'


def _is_long(lines: bytes) -> bool:
    return len(lines) > LINE_MAX_OCTETS and max(map(len, lines.split(b"\n"))) > LINE_MAX_OCTETS + 1


def _encode(name: bytes, raw: bytes) -> bytes | None:
    """Encode a field's value; None when that cannot be done, or should not."""
    if not name or not name.isascii() or len(raw) > TEXT_MAX_OCTETS or name in _OTHER_STRUCTURED:
        return None
    value = unfold(raw)
    if name in _PARAMETER_FIELDS:
        return _encode_parameters(value)
    if name in _ADDRESS_FIELDS:
        return _encode_addresses(value)
    return encode_text(value)


def _encode_addresses(value: bytes) -> bytes | None:
    if len(value) > _ADDRESSES_MAX_OCTETS:
        return None
    entries = parse_addresses(value)
    if len(entries) >= ADDRESSES_MAX:
        return None
    pieces: list[bytes] = []
    opening = b""
    members: list[bytes] | None = None
    for entry in entries:
        if entry.host is None:
            if entry.mailbox is not None:  # a group begins
                opening, members = _phrase(entry.mailbox), []
            elif members is not None:  # a group ends
                pieces.append(opening + b": " + b", ".join(members) + b";")
                members = None
            continue
        written = format_mailbox(entry)
        if written is None:
            return None
        (pieces if members is None else members).append(written)
    return b", ".join(pieces) if members is None else None


def _encode_parameters(value: bytes) -> bytes | None:
    head, parameters = parse_parameters(value)
    if not head.isascii() or len(parameters) >= PARAMETERS_MAX:
        return None
    written: list[bytes] = [head]
    for name, text in parameters:
        parameter = _encode_parameter(name, text)
        if parameter is None:
            return None
        written.append(parameter)
    return b"; ".join(written)


def _encode_parameter(name: bytes, text: bytes) -> bytes | None:
    if name.endswith(b"*") and (name + text).isascii():
        return name + b"=" + text
    if text.isascii():
        return name + b"=" + (text if _TOKEN.fullmatch(text) else _quoted(text))
    if name not in _FILE_NAMES:
        return None
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        charset = UNKNOWN_CHARSET
    else:
        charset = "utf-8"
    return name + b"*=" + f"{charset}''{quote_from_bytes(text, safe='')}".encode("ascii")


def charset_of(octets: bytes, *, whole: bool) -> str:
    """
    Name the charset of text that nobody named: us-ascii, utf-8, or that it is unknown.

    Args:
        whole: otherwise it may be cut within a character.
    """
    if octets.isascii():
        return "us-ascii"
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError as error:
        if whole or error.reason != "unexpected end of data":
            return UNKNOWN_CHARSET
    return "utf-8"
