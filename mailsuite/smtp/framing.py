"""
Octets in, events out: command lines, content, end of content. No I/O; linear in what is fed, however it is cut.

Only ``CRLF.CRLF`` ends DATA (RFC 5321 section 4.1.1.4), and only their number ends the octets of BDAT (RFC 3030
section 2); a bare CR or LF is told and never taken for a line end.
"""

import attrs

from mailsuite.smtp.chunks import LineEnds

COMMAND_LINE_MAX_OCTETS = 12_288  # RFC 4954 section 4: the longest line of an authentication exchange
RUNAWAY_LINE_OCTETS = 65_536  # a line that has not ended by then is no line
END_MARK = b"\r\n.\r\n"  # RFC 5321 section 4.1.1.4
_STUFFED = b"\r\n."  # RFC 5321 section 4.5.2
_LINE_END = b"\r\n"


@attrs.define
class CommandLine:
    """A line that ended in CRLF, without it."""

    line: bytes


@attrs.define
class BareNewline:
    """A command line that ended in LF alone."""


@attrs.define
class LineTooLong:
    """
    A command line over the limit.

    Args:
        runaway: it has not even ended; nothing more is read.
    """

    runaway: bool


@attrs.define
class ContentChunk:
    """The next octets of the message, the dots of DATA unstuffed; never empty."""

    octets: bytes


@attrs.define
class EndOfData:
    """
    The end mark came.

    Args:
        bare_newline: a CR without LF or an LF without CR was seen.
        nul: a NUL was seen.
    """

    bare_newline: bool
    nul: bool


@attrs.define
class EndOfChunk:
    """
    All octets came that BDAT announced.

    Args:
        bare_newline: a CR without LF or an LF without CR was seen in the message so far.
        nul: likewise a NUL.
    """

    bare_newline: bool
    nul: bool


Event = CommandLine | BareNewline | LineTooLong | ContentChunk | EndOfData | EndOfChunk


def held_back(octets: bytes) -> int:
    """Say how many of the last octets may be the beginning of an end mark."""
    for length in (4, 3, 2, 1):
        if octets.endswith(END_MARK[:length]):
            return length
    return 0


class Framer:
    """
    One side of a conversation, cut into events.

    Feed it octets, take events until there is none, and call `begin_data` or `begin_chunk` when the next octets are
    content.
    """

    def __init__(self, line_max_octets: int = COMMAND_LINE_MAX_OCTETS) -> None:
        self._line_max_octets = line_max_octets
        self._buffer = b""
        self._position = 0  # of the first octet that is in no event yet
        self._searched = 0  # no LF lies between position and here
        self._skipping = 0  # octets of an overlong line so far
        self._in_data = False
        self._ended = False  # the end mark was found and is to be told
        self._first_piece = False  # it begins with the CRLF of the DATA line, which is no content
        self._bare_newline = False
        self._nul = False
        self._chunk_left = -1  # octets of a chunk that are to come; negative when the content ends by a mark
        self._chunk_last = False
        self._held_cr = False  # the last octet of a chunk was a CR, whose LF may follow

    @property
    def in_data(self) -> bool:
        """Whether the next octets are content."""
        return self._in_data

    @property
    def buffered(self) -> int:
        """How many octets are in no event yet."""
        return len(self._buffer) - self._position

    def feed(self, octets: bytes) -> None:
        """Add what was read."""
        if self._position == len(self._buffer):
            self._buffer = octets
            self._position = self._searched = 0
        else:
            self._buffer = self._buffer[self._position :] + octets
            self._searched -= self._position
            self._position = 0

    def discard(self) -> int:
        """Forget what is in no event yet, and say how many octets it was."""
        count = self.buffered
        self._buffer = b""
        self._position = self._searched = 0
        return count

    def begin_data(self) -> None:
        """Content follows, until the end mark."""
        self._in_data = True
        self._bare_newline = self._nul = False
        # The CRLF of the DATA line is the first of the mark that ends an empty message: RFC 5321 section 4.1.1.4.
        self._buffer = _LINE_END + self._buffer[self._position :]
        self._position = self._searched = 0
        self._first_piece = True

    def begin_chunk(self, octets: int, *, first: bool, last: bool) -> None:
        """
        So many octets of content follow, whatever they are.

        Args:
            first: a message begins with them.
            last: it ends with them.
        """
        if first:
            self._bare_newline = self._nul = self._held_cr = False
        self._in_data = True
        self._chunk_left = octets
        self._chunk_last = last

    def next_event(self) -> Event | None:
        """Give the next event, or None when more octets are needed."""
        if self._in_data:
            return self._next_content() if self._chunk_left < 0 else self._next_of_chunk()
        return self._next_line()

    def _next_line(self) -> CommandLine | BareNewline | LineTooLong | None:
        buffer, start = self._buffer, self._position
        end = buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(buffer)
            return self._watch_unended_line()
        self._position = self._searched = end + 1
        if self._skipping or end - start > self._line_max_octets + 1:
            self._skipping = 0
            return LineTooLong(runaway=False)
        if end > start and buffer[end - 1] == 13:  # noqa: PLR2004 - CR
            return CommandLine(buffer[start : end - 1])
        return BareNewline()

    def _watch_unended_line(self) -> LineTooLong | None:
        waiting = self.buffered
        if not self._skipping and waiting <= self._line_max_octets + 1:
            return None
        self._skipping += waiting
        self.discard()
        return LineTooLong(runaway=True) if self._skipping > RUNAWAY_LINE_OCTETS else None

    def _next_content(self) -> ContentChunk | EndOfData | None:
        if self._ended:
            return self._leave_data()
        buffer, start = self._buffer, self._position
        mark = buffer.find(END_MARK, start)
        if mark >= 0:
            self._ended = True
            end = mark + len(_LINE_END)  # the first CRLF of the mark belongs to the content
            self._position = mark + len(END_MARK)
        else:
            end = self._position = len(buffer) - held_back(buffer)
            if end <= start:
                return None
        octets = self._unstuff(buffer[start:end])
        if octets:
            return ContentChunk(octets)
        return self._leave_data() if self._ended else None

    def _unstuff(self, body: bytes) -> bytes:
        """Note what is wrong with this piece, which never ends between CR and LF, and take off the extra dots."""
        ends = body.count(_LINE_END)
        if body.count(b"\r") != ends or body.count(b"\n") != ends:
            self._bare_newline = True
        if b"\0" in body:
            self._nul = True
        if _STUFFED in body:
            body = body.replace(_STUFFED, _LINE_END)
        if self._first_piece:
            self._first_piece = False
            return body[len(_LINE_END) :]
        return body

    def _next_of_chunk(self) -> ContentChunk | EndOfChunk | None:
        if not self._chunk_left:
            self._in_data = False
            self._chunk_left = -1
            self._searched = self._position
            bare_newline = self._bare_newline or (self._chunk_last and self._held_cr)
            return EndOfChunk(bare_newline=bare_newline, nul=self._nul)
        start = self._position
        octets = self._buffer[start : start + self._chunk_left]
        if not octets:
            return None
        self._position = self._searched = start + len(octets)
        self._chunk_left -= len(octets)
        self._look_at(octets)
        return ContentChunk(octets)

    def _look_at(self, octets: bytes) -> None:
        """Note what is wrong with this piece; a CR at its end may have its LF in the next one, of any chunk."""
        returns, feeds = octets.count(b"\r"), octets.count(b"\n")
        if self._held_cr:
            if octets.startswith(b"\n"):
                feeds -= 1
            else:
                self._bare_newline = True
        self._held_cr = octets.endswith(b"\r")
        ends = octets.count(_LINE_END)
        if returns - self._held_cr != ends or feeds != ends:
            self._bare_newline = True
        if b"\0" in octets:
            self._nul = True

    def _leave_data(self) -> EndOfData:
        self._in_data = self._ended = False
        self._searched = self._position
        return EndOfData(bare_newline=self._bare_newline, nul=self._nul)


class ContentEncoder:
    """
    Writes content for the wire, piece by piece: every line end is CRLF, leading dots are doubled, the end is marked.

    A bare CR or LF becomes CRLF before dots are looked for, so no content can hide an end mark from any receiver.
    """

    def __init__(self) -> None:
        self._ends = LineEnds()
        self._line_begins = True

    def encode(self, octets: bytes) -> bytes:
        """Write the next octets of the content."""
        octets = self._ends.encode(octets)
        if not octets:
            return b""
        stuffed = octets.replace(_STUFFED, b"\r\n..") if _STUFFED in octets else octets
        if self._line_begins and octets.startswith(b"."):
            stuffed = b"." + stuffed
        self._line_begins = octets.endswith(_LINE_END)
        return stuffed

    def finish(self) -> bytes:
        """End the last line, if it has not ended, and the content."""
        return self._ends.finish() + b".\r\n"
