"""
Where the parts of a message lie: one linear scan over the octets, nothing decoded, nothing copied whole.

RFC 2045, RFC 2046 section 5.1, RFC 9051 section 6.4.5.1. What is broken degrades to text/plain, as RFC 2045 section 5.2
says; what is too deep or too much is opaque.
"""

import enum
import functools
from collections.abc import Sequence

import attrs

from mailsuite.interfaces import PartOffsets
from mailsuite.message.header import HEADER_MAX_OCTETS, Content, Field, find_empty_line, parse_fields, unfold
from mailsuite.message.parameters import Parameters, is_token, parameter, parse_parameters, without_comments

DEPTH_MAX = 100
"""Parts nested deeper are opaque."""

PARTS_MAX = 10_000
"""What follows this many parts belongs to the last one."""

PART_HEADERS_MAX_OCTETS = 4 << 20
"""Header fields of parts are looked at until this much of them has been seen in a message; then all are text/plain."""

FALSE_MARKS_MAX = 500_000
"""What follows this many lines that look like boundaries and are none belongs to the part it is in."""

BOUNDARY_MAX_OCTETS = 2048
"""A multipart with a longer boundary is text (RFC 2046 section 5.1.1 allows 70)."""

_PADDING_MAX_OCTETS = 256
_COMMON_MAX_OCTETS = 64  # of a Content-Type that is worth remembering
_TYPE_MAX_OCTETS = 255  # RFC 6838 section 4.2 allows 127 for each half
_OPAQUE = "application/octet-stream"
_TEXT = "text/plain"
_RFC822 = "message/rfc822"
MESSAGE_TYPES = frozenset((_RFC822, "message/global"))
"""What holds another message: RFC 9051 section 6.4.5.1, RFC 6532 section 3.7."""

_MECHANISMS = frozenset((b"7bit", b"8bit", b"base64", b"quoted-printable"))  # most mail has these
_IDENTITY = frozenset(("7bit", "8bit", "binary"))


class SectionKind(enum.Enum):
    """What of a part an IMAP section names (RFC 9051 section 6.4.5.1)."""

    BODY = ""
    HEADER = "HEADER"
    TEXT = "TEXT"
    MIME = "MIME"


@attrs.define
class Part:
    """
    A message or body part while and after it is found; offsets are octets from the message's beginning.

    Args:
        header: where the header begins.
        body: where the body begins.
        end: where the body ends.
        content_type: lower case; what the part is treated as, not always what it says.
        parameters: of Content-Type.
        fields: all header fields.
        encoding: Content-Transfer-Encoding in lower case; ``7bit`` when absent.
        children: parts of a multipart; for those of `MESSAGE_TYPES` the message within.
    """

    header: int
    body: int
    end: int
    content_type: str
    parameters: Parameters
    fields: list[Field]
    encoding: str
    children: "list[Part]"

    @property
    def boundary(self) -> bytes:
        """The boundary between the parts of a multipart; empty when it cannot be used."""
        text = parameter(self.parameters, b"boundary").rstrip(b" \t")
        return text if len(text) <= BOUNDARY_MAX_OCTETS and b"\n" not in text else b""


def parse_tree(content: Content) -> Part:
    """Find all parts of a message; the root is the message itself."""
    return Scan(content).run()[0]


def parse_parts(content: Content) -> PartOffsets:
    """Find all parts of a message, as other packages see them."""
    return offsets_of(Scan(content).run())


def offsets_of(parts: Sequence[Part]) -> PartOffsets:
    """
    Turn the parts that a scan found into values.

    Args:
        parts: parents before their children; the first is the message.
    """
    made: dict[int, PartOffsets] = {}
    for part in reversed(parts):
        made[id(part)] = PartOffsets(
            header=part.header,
            body=part.body,
            end=part.end,
            content_type=part.content_type,
            encoding=part.encoding,
            charset=parameter(part.parameters, b"charset").decode("ascii", "replace").lower(),
            children=tuple(made.pop(id(child)) for child in part.children),
        )
    return made[id(parts[0])]


def locate(parts: PartOffsets, path: Sequence[int], kind: SectionKind) -> tuple[int, int] | None:
    """
    Give the octets that an IMAP section names: RFC 9051 section 6.4.5.1.

    Part 1 of a message that is no multipart is its body; the numbers below a part that is a message (message/rfc822,
    message/global) are those of the message within.

    The line end before a boundary belongs to that, be it the one after a header or the empty line (RFC 2046 section
    5.1.1): a part without a body may have a header without them.

    Returns:
        Beginning and end; None when there is no such part, or when it has no such section.
    """
    part = find_part(parts, path)
    if part is None:
        return None
    if not path:
        return _message_section(part, kind)
    if kind is SectionKind.BODY:
        return part.body, part.end
    if kind is SectionKind.MIME:
        return part.header, part.body
    if part.content_type in MESSAGE_TYPES and part.children:
        return _message_section(part.children[0], kind)
    return None


def find_part(parts: PartOffsets, path: Sequence[int]) -> PartOffsets | None:
    """Find a part by its IMAP part number; the empty path is the message. None when there is none."""
    current = parts
    is_message = True
    for number in path:
        if not is_message and current.content_type in MESSAGE_TYPES and current.children:
            current = current.children[0]
            is_message = True
        if current.content_type.startswith("multipart/"):
            if not 1 <= number <= len(current.children):
                return None
            current = current.children[number - 1]
        elif number != 1 or not is_message:
            return None
        is_message = False
    return current


def _message_section(message: PartOffsets, kind: SectionKind) -> tuple[int, int] | None:
    if kind is SectionKind.BODY:
        return message.header, message.end
    if kind is SectionKind.HEADER:
        return message.header, message.body
    if kind is SectionKind.TEXT:
        return message.body, message.end
    return None


@attrs.define
class _Level:
    """A multipart whose parts are being found, and what to restore when it is done."""

    index: int  # of the multipart among the open parts
    saved: list[tuple[bytes, "tuple[int, bool] | None"]]
    needle: bytes


class Scan:
    """
    Finds the parts of one message.

    Each octet is searched a fixed number of times, whatever the nesting: every line that may be a boundary is looked
    up among those of all open multiparts at once.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        self._size = len(content)
        self._parts: list[Part] = []
        self._open: list[Part] = []
        self._levels: list[_Level] = []
        self._marks: dict[bytes, tuple[int, bool]] = {}  # boundary line: level, is it the last one
        self._needle = b""
        self._empty_line = -1  # the last one found, to be found only once
        self._header_octets = 0
        self._false_marks = 0

    def run(self) -> list[Part]:
        """Find them: parents before their children, the message first. Call it once."""
        self._begin(0, _TEXT)
        self._descend()
        if self._levels:
            self._read_multiparts()
        for part in self._open:
            part.end = self._size
        for part in self._parts:
            if not part.children and part.content_type.startswith("multipart/"):
                part.content_type, part.parameters = _TEXT, ()
        return self._parts

    def _begin(self, start: int, default: str) -> None:
        """Read the header of a part and open it; a boundary line within the header ends it."""
        content = self._content
        opening = content[start : start + 2]
        if opening[:1] == b"\n":
            header_end, body = start, start + 1
        elif opening == b"\r\n":
            header_end, body = start, start + 2
        else:
            if self._empty_line < start:
                found = find_empty_line(content, start, self._size)
                self._empty_line = found if found >= 0 else self._size
            header_end = min(self._empty_line + 1, self._size)
            body = header_end
            if header_end < self._size:
                body += 2 if content[header_end : header_end + 1] == b"\r" else 1
        if self._levels:
            mark = self._next_mark(start - 1, body)
            if mark is not None:
                header_end = body = max(mark[0] + 1, start)
        looked_at = min(header_end - start, HEADER_MAX_OCTETS)
        if self._parts and self._header_octets + looked_at > PART_HEADERS_MAX_OCTETS:
            fields: list[Field] = []
        else:
            fields = parse_fields(content[start : start + looked_at])
            if self._parts:
                self._header_octets += looked_at
        content_type, parameters, encoding = describe(fields, default)
        part = Part(start, body, body, content_type, parameters, fields, encoding, [])
        self._parts.append(part)
        if self._open:
            self._open[-1].children.append(part)
        self._open.append(part)

    def _descend(self) -> None:
        """Open what is inside of the part that was opened last, up to the next multipart."""
        while True:
            part = self._open[-1]
            nested = part.content_type
            if nested in MESSAGE_TYPES:
                # RFC 6532 section 3.7 lets message/global be encoded; nothing can be found in it then.
                if len(self._open) >= DEPTH_MAX or len(self._parts) >= PARTS_MAX or part.encoding not in _IDENTITY:
                    part.content_type = _OPAQUE
                    return
                self._begin(part.body, _TEXT)
                continue
            if nested.startswith("multipart/"):
                boundary = part.boundary
                if len(self._open) >= DEPTH_MAX:
                    part.content_type = _OPAQUE
                elif boundary:
                    self._push(boundary)
                else:
                    part.content_type, part.parameters = _TEXT, ()
            return

    def _push(self, boundary: bytes) -> None:
        delimiter = b"--" + boundary
        saved = []
        number = len(self._levels)
        for line, is_last in ((delimiter, False), (delimiter + b"--", True)):
            saved.append((line, self._marks.get(line)))
            self._marks[line] = (number, is_last)
        self._levels.append(_Level(len(self._open) - 1, saved, self._needle))
        needle = b"\n" + delimiter
        self._needle = needle if number == 0 else common_prefix(self._needle, needle)

    def _pop(self) -> None:
        level = self._levels.pop()
        for line, value in reversed(level.saved):
            if value is None:
                del self._marks[line]
            else:
                self._marks[line] = value
        self._needle = level.needle

    def _next_mark(self, position: int, stop: int) -> tuple[int, int, bool, int] | None:
        """
        Find the next line that is a boundary of an open multipart.

        Returns:
            The LF before it, the level, whether it is the last boundary, and where its line ends.
        """
        content, needle, marks = self._content, self._needle, self._marks
        line_max = BOUNDARY_MAX_OCTETS + _PADDING_MAX_OCTETS
        while self._false_marks < FALSE_MARKS_MAX:
            found = content.find(needle, position, stop)
            if found < 0:
                return None
            line_end = content.find(b"\n", found + 1, min(found + line_max, self._size))
            if line_end < 0:
                line_end = min(found + line_max, self._size)
            mark = marks.get(content[found + 1 : line_end].rstrip(b" \t\r"))
            if mark is not None:
                return found, *mark, line_end
            self._false_marks += 1
            position = found + 1
        return None

    def _read_multiparts(self) -> None:
        position = self._open[-1].body - 1
        while self._levels:
            mark = self._next_mark(max(position, 0), self._size)
            if mark is None:
                return
            found, number, is_last, line_end = mark
            if not is_last and len(self._parts) >= PARTS_MAX:
                return
            while len(self._levels) > number + 1:
                self._pop()
            level = self._levels[number]
            end = found - 1 if found and self._content[found - 1 : found] == b"\r" else found
            for part in self._open[level.index + 1 :]:  # a header may end with the boundary, too
                part.end = max(part.header, end)
                part.body = min(part.body, part.end)
            del self._open[level.index + 1 :]
            position = line_end
            if is_last:
                self._pop()
                continue
            digest = self._open[-1].content_type == "multipart/digest"
            self._begin(min(line_end + 1, self._size), _RFC822 if digest else _TEXT)
            self._descend()
            position = max(line_end, self._open[-1].body - 1)


def describe(fields: Sequence[Field], default: str) -> tuple[str, Parameters, str]:
    """Read Content-Type and Content-Transfer-Encoding, the first of each."""
    content_type, encoding = None, b""
    for name, raw in fields:
        if name == b"content-type":
            if content_type is None:
                content_type = unfold(raw)
        elif name == b"content-transfer-encoding" and not encoding:
            encoding = unfold(raw).lower()
    if encoding and encoding not in _MECHANISMS and not is_token(encoding):
        encoding = _mend_mechanism(encoding)
    mechanism = encoding.decode("ascii", "replace") if encoding else "7bit"
    if content_type is None:
        return default, (), mechanism
    cheap = len(content_type) <= _COMMON_MAX_OCTETS and b"boundary" not in content_type
    return *(_common_type(content_type) if cheap else _parse_type(content_type)), mechanism


def declared_type(part: Part) -> str:
    """Name the type of a part; of one that is opaque, since it is encoded or too deep, what it says it is."""
    if part.content_type != _OPAQUE:
        return part.content_type
    return describe(part.fields, _RFC822)[0]  # what is opaque and says nothing is a message in a digest


def _mend_mechanism(value: bytes) -> bytes:
    """Take the mechanism out of what people write: comments, quotes, and parameters that do not belong there."""
    if b"(" in value:
        value = without_comments(value)
    word = value.partition(b";")[0].strip(b' \t"')
    return word if is_token(word) else value.strip()


@functools.lru_cache(maxsize=256)
def _common_type(value: bytes) -> tuple[str, Parameters]:
    return _parse_type(value)


def _parse_type(value: bytes) -> tuple[str, Parameters]:
    head, parameters = parse_parameters(value)
    main, _, subtype = head.partition(b"/")
    main, subtype = main.strip(), subtype.strip()
    if not is_token(main) or not is_token(subtype) or len(head) > _TYPE_MAX_OCTETS:
        return _TEXT, ()  # RFC 2045 section 5.2
    return (main + b"/" + subtype).decode("ascii"), parameters


def common_prefix(left: bytes, right: bytes) -> bytes:
    """Give the octets with which both begin."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[:middle] == right[:middle]:
            low = middle
        else:
            high = middle - 1
    return left[:low]
