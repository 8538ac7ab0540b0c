"""
Messages made fit for hosts that take less: parts are encoded, and mean what they meant.

RFC 6152 section 3, RFC 2045 section 6. Header fields stay octet for octet but for Content-Transfer-Encoding: what is
in them is signed, and raw octets over 127 in fields of old are passed on as other mail servers do.
"""

import binascii
import re
from collections.abc import Iterator

import attrs

from mailsuite.message.encoding import decode_transfer
from mailsuite.message.header import first_value, parse_fields
from mailsuite.message.mime import Part, parse_tree
from mailsuite.message.newline import find_bare
from mailsuite.message.survey import has_long_line

BASE64_LINE_OCTETS = 76  # RFC 2045 section 6.8
PIECE_OCTETS = 64 * 1024
"""The interpreter can turn to other threads after each piece."""

SPARSE = 6
"""Text of which less than one octet in so many is over 127 stays readable as quoted-printable."""

_IDENTITY = frozenset(("7bit", "8bit", "binary"))
_ENCODED = frozenset(("base64", "quoted-printable"))
_GLOBAL = "message/global"
"""Unlike other messages it is encoded as a whole, since its header may not be ASCII (RFC 6532 section 3.7)."""

_COMPOSITE = (b"multipart/", b"message/rfc822", b"message/partial", b"message/external-body")
_ENCODING_FIELD = re.compile(rb"^content-transfer-encoding[ \t]*+:.*+(?:\n[ \t].*+)*+\n?", re.IGNORECASE | re.MULTILINE)
_HIGH = bytes(range(128, 256))
_QUESTIONS = bytes(octet if octet < 128 else ord("?") for octet in range(256))  # noqa: PLR2004 - ASCII


class NotConvertibleError(ValueError):
    """A part cannot be encoded without breaking what it is; the words say why."""


@attrs.frozen
class _Edit:
    start: int
    end: int
    octets: bytes


def convert(content: bytes, *, seven_bit: bool, binary: bool = False) -> bytes:
    """
    Encode the parts that a host would not take as they are; costs about twice the message in memory.

    Lines over 998 octets are always broken up; in a part that is signed (RFC 1847 section 2.1) they stay.

    Args:
        seven_bit: octets over 127 are not taken either.
        binary: the content was sent as BINARYMIME: lines may end in anything (RFC 3030 section 3).

    Returns:
        The message; the same object when nothing had to change.

    Raises:
        NotConvertibleError: octets over 127, or binary ones, lie where no encoding is allowed.
    """
    converter = _Converter(content, seven_bit=seven_bit, binary=binary)
    edits = sorted(converter.run(), key=lambda edit: (edit.start, edit.end))
    if not edits:
        return content
    pieces, position = [], 0
    for edit in edits:
        pieces += [content[position : edit.start], edit.octets]
        position = edit.end
    pieces.append(content[position:])
    return b"".join(pieces)


class _Converter:
    def __init__(self, content: bytes, *, seven_bit: bool, binary: bool) -> None:
        self._content = content
        self._seven_bit = seven_bit
        self._binary = binary

    def run(self) -> Iterator[_Edit]:
        """Give what is to be replaced, in any order."""
        waiting = [(parse_tree(self._content), True, False)]
        while waiting:
            part, is_message, signed = waiting.pop()
            if part.children and part.content_type != _GLOBAL:
                yield from self._container(part, signed=signed)
                signed = signed or part.content_type == "multipart/signed"
                within = part.content_type == "message/rfc822"
                waiting += [(child, within, signed) for child in part.children]
            else:
                yield from self._leaf(part, is_message=is_message, signed=signed)

    def _container(self, part: Part, *, signed: bool) -> Iterator[_Edit]:
        if not signed and part.encoding in self._wrong_labels:
            yield from self._label(part, b"7bit" if self._seven_bit else b"8bit")
        if not self._seven_bit:
            return
        start = part.body
        for child in (*part.children, None):
            end = part.end if child is None else child.header
            between = self._content[start:end]
            if not between.isascii():  # around the parts, where nobody reads
                if signed or not part.boundary.isascii():
                    raise NotConvertibleError("8-bit octets around signed parts or in a boundary")
                yield _Edit(start, end, between.translate(_QUESTIONS))
            start = start if child is None else child.end

    @property
    def _wrong_labels(self) -> frozenset[str]:
        labels = {"8bit"} if self._seven_bit else set()
        return frozenset(labels | ({"binary"} if self._binary or self._seven_bit else set()))

    def _leaf(self, part: Part, *, is_message: bool, signed: bool) -> Iterator[_Edit]:
        body = self._content[part.body : part.end]
        wild = self._binary and (b"\0" in body or find_bare(body) >= 0)
        needed = wild or (self._seven_bit and not body.isascii())
        if not needed and not has_long_line(body):
            if not signed and part.encoding in self._wrong_labels:
                yield from self._label(part, b"7bit" if body.isascii() else b"8bit")
            return
        fields = parse_fields(self._content[part.header : part.body])
        obstacle = self._obstacle(part, fields, signed=signed)
        if obstacle:
            if needed:
                raise NotConvertibleError(obstacle)
            return  # a long line does less harm than a broken part
        encoding, encoded = self._encode(part, body, wild=wild)
        if is_message:
            yield from self._describe(part, fields, body)
        yield from self._label(part, encoding)
        yield _Edit(part.body, part.end, encoded)

    @staticmethod
    def _obstacle(part: Part, fields: list[tuple[bytes, bytes]], *, signed: bool) -> str:
        """Say why this part cannot be encoded; empty when it can."""
        if signed:
            return "8-bit octets in a signed part"
        if part.encoding not in _IDENTITY | _ENCODED:
            return "8-bit octets in a part of an unknown encoding"
        declared = (first_value(fields, b"content-type") or b"").lower()
        if declared.startswith(_COMPOSITE):
            return "8-bit octets in a broken multipart or message"
        return ""

    @staticmethod
    def _encode(part: Part, body: bytes, *, wild: bool) -> tuple[bytes, bytes]:
        octets = decode_transfer(body, part.encoding)
        if part.encoding in _ENCODED:
            is_text = part.encoding == "quoted-printable"
        else:
            high = len(octets) - len(octets.translate(None, _HIGH))
            is_text = part.content_type.startswith(("text/", "message/")) and high * SPARSE < len(octets)
        if is_text and not wild and find_bare(octets) < 0 and b"\0" not in octets:
            return b"quoted-printable", encode_quoted_printable(octets)
        return b"base64", encode_base64(octets)

    def _label(self, part: Part, encoding: bytes) -> Iterator[_Edit]:
        """Put the one Content-Transfer-Encoding field that is true."""
        field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
        for found in _ENCODING_FIELD.finditer(self._content, part.header, part.body):
            yield _Edit(found.start(), found.end(), field)
            field = b""
        if field:
            place = self._fields_end(part)
            yield _Edit(place, place, field)

    def _fields_end(self, part: Part) -> int:
        """Give the place of the empty line behind a header section."""
        header = self._content[max(part.header, part.body - 2) : part.body]
        return part.body - (2 if header == b"\r\n" else 1 if header.endswith(b"\n") else 0)

    def _describe(self, part: Part, fields: list[tuple[bytes, bytes]], body: bytes) -> Iterator[_Edit]:
        """Make a message MIME that was not: RFC 2045 section 4, RFC 1428 section 3."""
        names = {name for name, _ in fields}
        added = b""
        if b"mime-version" not in names:
            added += b"MIME-Version: 1.0\r\n"
        if b"content-type" not in names and not body.isascii():
            added += b"Content-Type: text/plain; charset=" + _charset_of(body) + b"\r\n"
        if added:
            place = self._fields_end(part)
            yield _Edit(place, place, added)


def _charset_of(octets: bytes) -> bytes:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return b"unknown-8bit"
    return b"utf-8"


def encode_quoted_printable(octets: bytes) -> bytes:
    """
    Write text as quoted-printable: RFC 2045 section 6.7.

    Args:
        octets: with CRLF line ends and no others.
    """
    return b"".join(_quoted_pieces(octets))


def _quoted_pieces(octets: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(octets):
        stop = start + PIECE_OCTETS
        if stop < len(octets):
            line_end = octets.rfind(b"\r\n", start, stop)
            # A CR stays with its LF: apart, the library would take them for content and for a line end of its own.
            stop = line_end + 2 if line_end >= 0 else stop - octets.startswith(b"\r\n", stop - 1)
        piece = octets[start:stop]
        if b"\n" in piece:  # the first line end is what the standard library goes by
            yield binascii.b2a_qp(piece)
        else:
            yield binascii.b2a_qp(piece).replace(b"\n", b"\r\n")
            if stop < len(octets):
                yield b"=\r\n"
        start = stop


def encode_base64(octets: bytes) -> bytes:
    """Write octets as base64 in lines: RFC 2045 section 6.8."""
    return b"\r\n".join(_base64_lines(octets))


def _base64_lines(octets: bytes) -> Iterator[bytes]:
    step = BASE64_LINE_OCTETS * 3 // 4
    for start in range(0, len(octets), step):
        yield binascii.b2a_base64(octets[start : start + step], newline=False)
