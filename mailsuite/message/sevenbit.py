"""
A message brought into the form that every hop takes, while it streams: lines of bounded length, and ASCII if wanted.

A part whose content needs it gets another Content-Transfer-Encoding (RFC 2045 section 6), since who does that on the
way breaks signatures: it belongs before the first one is made. What is signed or encrypted already is not touched
(RFC 1847 section 2.1). Nothing else changes: decoded again, each part is what it was.

To know whether a part needs it, its beginning is held back; memory is bounded by that window and one header section.
"""

from collections.abc import Sequence

import attrs

from mailsuite.message.header import HEADER_MAX_OCTETS, parse_fields
from mailsuite.message.leaf import IDENTITY, ConversionRules, Head, Leaf
from mailsuite.message.mime import BOUNDARY_MAX_OCTETS, DEPTH_MAX, common_prefix, describe
from mailsuite.message.parameters import Parameters, parameter
from mailsuite.message.reencode import Encoder, Masked, Unchanged

PART_HEADER_MAX_OCTETS = 64 * 1024
"""A part with a longer header section is left as it is."""

PARTS_MAX = 1000
"""Parts that follow so many are left as they are."""

_MARK_LINE_OCTETS = BOUNDARY_MAX_OCTETS + 256
_SEALED = frozenset(("multipart/signed", "multipart/encrypted"))
_RFC822 = "message/rfc822"
_TEXT = "text/plain"


@attrs.define
class _Level:
    """A multipart that is open: what ends its parts, and what was open before it."""

    depth: int
    default: str
    saved: Sequence[tuple[bytes, "tuple[int, bool] | None"]]
    outer: bytes


@attrs.frozen
class _Mark:
    """A boundary line: where it begins and ends, of which level, and whether it is the last one of that."""

    start: int
    end: int
    level: int
    is_last: bool


class Conversion:
    """
    Converts one message.

    `feed` takes its octets from the first on, in any pieces, and gives those that may go on; `finish` gives the rest.
    What comes out, converted once more, does not change.
    """

    def __init__(self, rules: ConversionRules | None = None) -> None:
        self._rules = rules or ConversionRules()
        self._data = bytearray()
        self._in_header = True
        self._seen = 0  # octets of a header in which its end is not
        self._at_line_start = True
        self._is_message = True
        self._default = _TEXT
        self._depth = 0
        self._parts = 0
        self._levels: list[_Level] = []
        self._marks: dict[bytes, tuple[int, bool]] = {}  # boundary line: level, is it the last one
        self._delimiter = b""  # what the boundary lines of all open multiparts begin with
        self._sink: Encoder = Unchanged()
        self._out: list[bytes] = []
        self._last = b""  # octet that was given
        self._ends_in_newline = False

    def feed(self, octets: bytes) -> bytes:
        """Take some octets, and give those that are certain."""
        if octets:
            self._ends_in_newline = octets.endswith(b"\n")
        self._data += octets
        self._run(final=False)
        return self._taken()

    def finish(self) -> bytes:
        """Give the rest."""
        self._run(final=True)
        self._out.append(self._sink.finish())
        last = b"".join(self._out)
        # Of base64 the last line end is nobody's, but of the message it is.
        return last + b"\r\n" if self._ends_in_newline and not (last or self._last).endswith(b"\n") else last

    def _taken(self) -> bytes:
        taken = b"".join(self._out)
        self._out.clear()
        if taken:
            self._last = taken[-1:]
        return taken

    def _run(self, *, final: bool) -> None:
        while self._read_header(final=final) if self._in_header else self._read_body(final=final):
            pass

    # header sections

    def _read_header(self, *, final: bool) -> bool:
        """Take a header section if all of it is there; say whether to go on."""
        data, seen = self._data, self._seen
        end, body = self._header_end()
        mark = self._find_mark(len(data) if body < 0 else body, final=final, seen=seen)
        if mark is not None:
            end = body = mark.start  # a boundary line within the header ends it
        elif body < 0:
            if len(data) > (PART_HEADER_MAX_OCTETS if self._parts else HEADER_MAX_OCTETS):
                self._begin_body(Unchanged())  # nobody can tell what it says
                return True
            if not final:
                return False
            end = body = len(data)
        octets, empty_line = bytes(data[:end]), bytes(data[end:body])
        del data[:body]
        self._enter(octets, empty_line)
        return True

    def _header_end(self) -> tuple[int, int]:
        """Find where the fields end and where the body begins; -1 for both while that is not known."""
        data = self._data
        if data[:1] == b"\n":
            return 0, 1
        if data[:2] == b"\r\n":
            return 0, 2
        start = max(self._seen - 2, 0)
        self._seen = len(data)
        found = data.find(b"\n\r\n", start)
        bare = data.find(b"\n\n", start, len(data) if found < 0 else found + 1)
        if bare >= 0:
            return bare + 1, bare + 2
        return (found + 1, found + 3) if found >= 0 else (-1, -1)

    def _enter(self, octets: bytes, empty_line: bytes) -> None:
        """Decide what becomes of the body that follows a header section."""
        fields = parse_fields(octets)
        content_type, parameters, encoding = describe(fields, self._default)
        names = frozenset(name for name, _ in fields)
        head = Head(octets, empty_line, names, content_type, encoding, self._is_message)
        self._parts += 1
        if not content_type.startswith(("multipart/", "message/")):
            self._begin_body(Leaf(head, self._rules))
            return
        boundary = _boundary(parameters) if content_type.startswith("multipart/") else b""
        opens = bool(boundary) or content_type == _RFC822
        opens = opens and content_type not in _SEALED and encoding in IDENTITY and self._depth < DEPTH_MAX
        # Nothing inside is binary any more.
        label = "8bit" if opens and encoding == "binary" else None
        self._out.append(head.written(label, "", utf8=self._rules.utf8_fields))
        if not opens:
            self._begin_body(Unchanged())
            return
        self._depth += 1
        if boundary:
            self._push(boundary, _RFC822 if content_type == "multipart/digest" else _TEXT)
            self._begin_body(Masked(ascii_only=self._rules.ascii_only))
        else:
            self._begin_header(_TEXT, is_message=True)

    def _begin_header(self, default: str, *, is_message: bool) -> None:
        self._in_header = self._at_line_start = True
        self._seen = 0
        self._default = default
        self._is_message = is_message
        self._sink = Unchanged()

    def _begin_body(self, sink: Encoder) -> None:
        self._in_header = False
        self._at_line_start = True
        self._sink = sink

    # bodies

    def _read_body(self, *, final: bool) -> bool:
        """Pass on what belongs to this body; say whether to go on after its end."""
        if not self._levels:
            self._pass_on(len(self._data))
            return False
        mark = self._find_mark(len(self._data), final=final)
        if mark is None:
            self._pass_on(len(self._data) if final else self._certain())
            return False
        # The line end before a boundary line belongs to that: RFC 2046 section 5.1.1.
        end = self._without_line_end(mark.start)
        self._pass_on(end)
        self._out.extend((self._sink.finish(), bytes(self._data[: mark.end - end])))
        del self._data[: mark.end - end]
        self._cross(mark)
        return True

    def _pass_on(self, count: int) -> None:
        if count:
            self._out.append(self._sink.feed(bytes(self._data[:count])))
            del self._data[:count]
            self._at_line_start = False

    def _certain(self) -> int:
        """Count the octets that belong to the body whatever follows."""
        data, size = self._data, len(self._data)
        line = data.rfind(b"\n") + 1
        if line or self._at_line_start:
            tail = bytes(data[line : line + _MARK_LINE_OCTETS])
            if len(tail) < _MARK_LINE_OCTETS and (self._delimiter.startswith(tail) or tail.startswith(self._delimiter)):
                return self._without_line_end(line)
        return size - 1 if data.endswith(b"\r") else size

    def _without_line_end(self, position: int) -> int:
        """Step back over the line end before a position."""
        if not position:
            return 0
        return position - (2 if self._data.endswith(b"\r\n", 0, position) else 1)

    # multiparts

    def _find_mark(self, stop: int, *, final: bool, seen: int = 0) -> _Mark | None:
        """
        Find the first line before `stop` that is a boundary of an open multipart and is there whole.

        Args:
            final: nothing follows, so the last line is whole without a line end.
            seen: so many octets were looked through before; a line that was whole among them is none.
        """
        if not self._levels:
            return None
        data = self._data
        if seen:
            start = data.rfind(b"\n", 0, seen) + 1
        else:
            start = 0 if self._at_line_start else data.find(b"\n" + self._delimiter) + 1
        while start or self._at_line_start:
            if start >= stop:
                return None
            newline = data.find(b"\n", start, start + _MARK_LINE_OCTETS)
            if newline >= 0 or final:
                end = newline + 1 if newline >= 0 else min(len(data), start + _MARK_LINE_OCTETS)
                found = self._marks.get(bytes(data[start:end]).rstrip(b" \t\r\n"))
                if found is not None:
                    return _Mark(start, end, *found)
            following = data.find(b"\n" + self._delimiter, start, stop)
            if following < 0:
                return None
            start = following + 1
        return None

    def _cross(self, mark: _Mark) -> None:
        """Go on behind a boundary line."""
        while len(self._levels) > mark.level + 1:
            self._pop()
        level = self._levels[mark.level]
        self._depth = level.depth
        if mark.is_last:
            self._pop()
            self._depth -= 1
            self._begin_body(Masked(ascii_only=self._rules.ascii_only))
        elif self._parts >= PARTS_MAX:
            self._begin_body(Unchanged())
        else:
            self._begin_header(level.default, is_message=False)

    def _push(self, boundary: bytes, default: str) -> None:
        delimiter = b"--" + boundary
        saved = []
        for line, is_last in ((delimiter, False), (delimiter + b"--", True)):
            saved.append((line, self._marks.get(line)))
            self._marks[line] = (len(self._levels), is_last)
        outer = self._delimiter
        self._levels.append(_Level(self._depth, default, saved, outer))
        self._delimiter = common_prefix(outer, delimiter) if outer else delimiter

    def _pop(self) -> None:
        level = self._levels.pop()
        for line, value in reversed(level.saved):
            if value is None:
                del self._marks[line]
            else:
                self._marks[line] = value
        self._delimiter = level.outer


def _boundary(parameters: Parameters) -> bytes:
    text = parameter(parameters, b"boundary").rstrip(b" \t")
    return text if len(text) <= BOUNDARY_MAX_OCTETS and b"\n" not in text else b""
