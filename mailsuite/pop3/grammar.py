"""POP3 as octets: lines in, commands out; messages in, stuffed lines out. No I/O. RFC 1939, RFC 2449, RFC 5034."""

import re

import attrs

from mailsuite.errors import ProtocolError

TERMINATOR = b".\r\n"
RUNAWAY_LINE_OCTETS = 16_384  # without a line end: nothing that follows can be told from the line

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_NUMBER = re.compile(rb"[0-9]{1,10}")
_TEXT = re.compile(r"[^\x20-\x7e]")


@attrs.frozen
class LineTooLong:
    """A line was longer than allowed and has been skipped; ``runaway`` when its end was not found."""

    runaway: bool = False


class LineReader:
    """Cuts what is received into lines."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0  # where the next line begins

    @property
    def buffered(self) -> int:
        """How many octets wait."""
        return len(self._buffer) - self._position

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        if self._position:
            del self._buffer[: self._position]
            self._position = 0
        self._buffer += data

    def discard(self) -> None:
        """Forget what waits."""
        self._buffer.clear()
        self._position = 0

    def next_line(self, limit_octets: int) -> bytes | LineTooLong | None:
        """
        Take the next line, without its CRLF; None when it is not there yet.

        Args:
            limit_octets: of the line, without its CRLF.
        """
        end = self._buffer.find(b"\r\n", self._position)
        if end < 0:
            if self.buffered > RUNAWAY_LINE_OCTETS:
                self.discard()
                return LineTooLong(runaway=True)
            return None
        begin, self._position = self._position, end + 2
        if end - begin > limit_octets:
            return LineTooLong()
        return bytes(self._buffer[begin:end])


@attrs.frozen
class Command:
    """
    One command.

    Args:
        verb: in upper case.
        argument: everything after the first space, as it came; empty when there is none.
    """

    verb: bytes
    argument: bytes = attrs.field(default=b"", repr=False)


def parse_command(line: bytes) -> Command:
    """
    Divide a line, without its CRLF.

    Raises:
        ProtocolError: it holds control characters or begins with no word.
    """
    if _CONTROL.search(line):
        raise ProtocolError("control characters are not allowed in a command")
    verb, _, argument = line.partition(b" ")
    if not verb.isalpha():
        raise ProtocolError("that is no command")
    return Command(verb.upper(), argument)


def parse_number(argument: bytes) -> int:
    """
    Read a message number.

    Raises:
        ProtocolError: it is none.
    """
    text = argument.strip(b" ")
    if not _NUMBER.fullmatch(text) or int(text) == 0:
        raise ProtocolError("a message number is needed")
    return int(text)


def parse_top(argument: bytes) -> tuple[int, int]:
    """
    Read the arguments of TOP: a message number and how many lines of the body.

    Raises:
        ProtocolError: they are not that.
    """
    words = argument.split()
    if len(words) != 2 or not _NUMBER.fullmatch(words[1]):  # noqa: PLR2004 - the two arguments
        raise ProtocolError("TOP needs a message number and a number of lines")
    return parse_number(words[0]), int(words[1])


def encode_ok(text: str = "") -> bytes:
    """Write a positive reply."""
    return _encode("+OK", text)


def encode_error(text: str, code: str = "") -> bytes:
    """
    Write a negative reply.

    Args:
        code: a response code such as ``SYS/TEMP`` (RFC 2449 section 8, RFC 3206).
    """
    return _encode("-ERR", f"[{code}] {text}" if code else text)


def encode_lines(first: str, lines: list[str]) -> bytes:
    """Write a positive reply of many lines, none of which begins with a dot."""
    return b"%b%b%b" % (encode_ok(first), "".join(f"{line}\r\n" for line in lines).encode("ascii"), TERMINATOR)


def _encode(status: str, text: str) -> bytes:
    line = f"{status} {_TEXT.sub('?', text)}".rstrip()
    return line[: 512 - 2].encode("ascii") + b"\r\n"  # RFC 1939 section 3


class Stuffer:
    """Puts a dot before each line that begins with one, for a message that comes in pieces (RFC 1939 section 3)."""

    def __init__(self) -> None:
        self._tail = b"\r\n"

    def feed(self, piece: bytes) -> bytes:
        """Write the next piece."""
        if not piece:
            return b""
        tail = self._tail
        joined = tail + piece
        self._tail = joined[-2:]
        return joined.replace(b"\r\n.", b"\r\n..")[len(tail) :]

    def finish(self) -> bytes:
        """Write the end: of the last line, if it has none, and of the message."""
        return TERMINATOR if self._tail == b"\r\n" else b"\r\n" + TERMINATOR


class Top:
    """
    Cuts a message that comes in pieces after its header and some lines of its body (RFC 1939 section 7).

    Args:
        lines: how many lines of the body.
    """

    def __init__(self, lines: int) -> None:
        self._left = lines
        self._in_header = True
        self._line = b""  # how the current line of the header began
        self.done = False

    def feed(self, piece: bytes) -> bytes:
        """Give what of this piece belongs to the answer."""
        position = 0
        while not self.done:
            if not self._in_header and self._left == 0:
                self.done = True
                break
            end = piece.find(b"\n", position)
            if end < 0:
                self._line = (self._line + piece[position : position + 2])[:2]
                return piece
            if not self._in_header:
                self._left -= 1
            elif (self._line + piece[position : min(position + 2, end)])[:2] in {b"", b"\r"}:
                self._in_header = False
            self._line = b""
            position = end + 1
        return piece[:position]


class LineEnds:
    """Gives every line of a message that comes in pieces the line end CRLF, for stores that keep bare LF."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """Write the next piece."""
        piece = self._held + piece
        self._held = b"\r" if piece.endswith(b"\r") else b""
        if self._held:
            piece = piece[:-1]
        return piece.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    def finish(self) -> bytes:
        """Write what was held back."""
        held, self._held = self._held, b""
        return held
