"""
From octets as they arrive to whole commands: lines, literals and the messages of APPEND.

RFC 3501 sections 2.2 and 4.3, RFC 7888 (non-synchronising literals), RFC 3502 (several messages in one APPEND),
RFC 8508 (REPLACE, which brings a message like APPEND).

The assembler is asked for one event at a time, because an event may change what the next octets mean: after STARTTLS
they are dropped, after AUTHENTICATE and IDLE they are bare lines, after a login the limits are others.
"""

import enum
import re

import attrs

from mailsuite.imap.tokens import TAG_MAX_OCTETS

LITERAL_MAX_DIGITS = 19  # RFC 9051 section 9, "number64"

_LITERAL = re.compile(rb"(~?)\{([0-9]+)(\+?)\}")
_LITERAL_TAIL = re.compile(rb"[0-9]+\+?\}")
_HEAD = re.compile(
    rb'([^\x00-\x20\x7f-\xff(){%%*"\\+]{1,%d}) (APPEND |(?:UID )?REPLACE (?:[0-9]{1,10}|\*) )?' % TAG_MAX_OCTETS,
    re.IGNORECASE,
)
_COMMAND = re.compile(rb"[^ ]+ ([A-Za-z]+) ")
_SEAM_OCTETS = 64  # enough of a line's end to see the announcement of a literal


class Fault(enum.Enum):
    """Why what arrived cannot become a command."""

    LINE_TOO_LONG = "the command is too long"
    LITERAL_TOO_LARGE = "the literal is too large"
    BARE_NEWLINE = "a line ends without CRLF"
    NUL = "NUL is not allowed"


@attrs.frozen
class WireLimits:
    """
    How much a client may send at once.

    Args:
        line_max_octets: all lines of one command together.
        literal_max_octets: all literals of one command together, without the messages of APPEND.
        skip_max_octets: what is read and thrown away, after a refusal, to find where the next command begins;
            beyond that the connection must be closed.
    """

    line_max_octets: int
    literal_max_octets: int
    skip_max_octets: int


# An ID with 30 fields of 30 and 1024 octets fits (RFC 2971 section 3.3).
BEFORE_LOGIN = WireLimits(line_max_octets=32768, literal_max_octets=4096, skip_max_octets=4096)
AFTER_LOGIN = WireLimits(line_max_octets=65536, literal_max_octets=65536, skip_max_octets=64 * 2**20)


@attrs.frozen
class CommandReceived:
    """
    A whole command.

    Args:
        pieces: a line, a literal, a line, ... and a line at the end, without CRLF; each line that a literal follows
            still ends with its ``{n}``.
    """

    pieces: tuple[bytes, ...]


@attrs.frozen
class ContinuationNeeded:
    """The client waits for ``+`` before it sends a literal, which is within the limits."""


@attrs.frozen
class BeginMessageLiteral:
    """
    A message of APPEND or REPLACE is announced: call `CommandAssembler.accept_message` or `refuse_message`.

    Args:
        head: the pieces of the command so far; for a further message of the same APPEND those since the last one.
        size_octets: of the message.
        synchronising: the client waits for ``+`` before it sends it.
        binary: announced as literal8, so that NUL is allowed (RFC 3516 section 4.4).
        further: a message of this APPEND came before (RFC 3502).
    """

    head: tuple[bytes, ...]
    size_octets: int
    synchronising: bool
    binary: bool = False
    further: bool = False


@attrs.frozen
class MessageChunk:
    """Octets of the message; never empty."""

    octets: bytes


@attrs.frozen
class EndMessageLiteral:
    """
    All octets of the message have arrived.

    Args:
        nul: NUL was among them, although it was not announced as literal8.
    """

    nul: bool = False


@attrs.frozen
class EndAppend:
    """
    The APPEND command is complete.

    Args:
        rest: what stands after the last message; empty when the command is right.
    """

    rest: bytes = b""


@attrs.frozen
class RawLine:
    """The line that `CommandAssembler.expect_line` asked for, without CRLF."""

    octets: bytes


@attrs.frozen
class InputRefused:
    """
    Something that is no command; it has been forgotten.

    Args:
        tag: of the command that it belonged to, None when that could not be read.
        close: it is unknown where the next command begins, so the connection cannot go on.
        command: the name of the command whose literal was too large, in upper case; empty when unknown.
    """

    fault: Fault
    tag: bytes | None = None
    close: bool = False
    command: str = ""


Event = (
    CommandReceived
    | ContinuationNeeded
    | BeginMessageLiteral
    | MessageChunk
    | EndMessageLiteral
    | EndAppend
    | RawLine
    | InputRefused
)

_CONTINUATION = ContinuationNeeded()


class _State(enum.Enum):
    LINE = enum.auto()  # a line of a command, or of what follows a message
    LITERAL = enum.auto()  # octets of an argument
    DECISION = enum.auto()  # a message is announced and neither accepted nor refused
    MESSAGE = enum.auto()  # octets of a message
    RAW = enum.auto()  # one line outside of commands
    SKIP_LITERAL = enum.auto()  # octets of a literal that was refused
    SKIP_LINE = enum.auto()  # the rest of the command that it belonged to
    CLOSED = enum.auto()


_LINE = _State.LINE


class CommandAssembler:
    """
    Cuts what a client sends into events.

    Args:
        limits: in force now; `limits` may be set again at any time, for the next command.
    """

    __slots__ = (
        "_announced",
        "_append_end",
        "_appending",
        "_binary",
        "_buffer",
        "_line_octets",
        "_literal_octets",
        "_nul",
        "_pieces",
        "_raw_max",
        "_remaining",
        "_searched",
        "_skipped",
        "_state",
        "_tag",
        "limits",
    )

    def __init__(self, limits: WireLimits = BEFORE_LOGIN) -> None:
        self.limits = limits
        self._buffer = bytearray()
        self._raw_max = 0
        self._reset()

    def _reset(self) -> None:
        self._state = _State.LINE
        self._pieces: list[bytes] = []
        self._searched = 0
        self._line_octets = 0
        self._literal_octets = 0
        self._remaining = 0
        self._skipped = 0
        self._tag: bytes | None = None
        self._append_end = 0
        self._appending = False
        self._announced = False
        self._binary = False
        self._nul = False

    @property
    def buffered_octets(self) -> int:
        """How much has arrived and is not yet an event; stop reading from the client when it is much."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what arrived; then call `next_event` until it gives None."""
        self._buffer += data

    def discard(self) -> int:
        """Drop everything that arrived and is not yet an event, as STARTTLS must, and say how many octets it was."""
        dropped = len(self._buffer)
        self._buffer.clear()
        self._reset()
        return dropped

    def expect_line(self, max_octets: int) -> None:
        """
        Give the next line as it is: the client's answer in AUTHENTICATE, or DONE after IDLE.

        Call it between two commands. A longer line is refused and ends the connection.
        """
        self._state = _State.RAW
        self._raw_max = max_octets

    def accept_message(self) -> None:
        """Let the message come that `BeginMessageLiteral` announced; write ``+`` first if the client waits for it."""
        self._state = _State.MESSAGE

    def refuse_message(self) -> bool:
        """
        Forget the APPEND whose message was announced or is arriving.

        Returns:
            Whether the connection can go on: False when more than the limit would have to be read in vain.
        """
        waiting = self._state is _State.DECISION and self._announced
        return self._abandon(0 if waiting else self._remaining, waiting=waiting)

    def _abandon(self, octets: int, *, waiting: bool) -> bool:
        """Go to the end of a refused command; a client that waits for ``+`` has ended it already."""
        skipped = self._skipped + octets
        self._reset()
        if waiting:
            return True
        if skipped > self.limits.skip_max_octets:
            self._state = _State.CLOSED
            return False
        self._skipped = skipped
        self._remaining = octets
        self._state = _State.SKIP_LITERAL
        return True

    def next_event(self) -> Event | None:  # noqa: C901 - the table of states stands in one place
        """Give the next event, or None when more octets, or a decision about a message, are needed."""
        while True:
            state = self._state
            if state is _LINE:
                line = self._take_line(self.limits.line_max_octets - self._line_octets)
                if not isinstance(line, bytes):
                    return line
                event = self._line_complete(line)
                if event is not None:
                    return event
            elif state is _State.LITERAL:
                if len(self._buffer) < self._remaining:
                    return None
                octets = self._take(self._remaining)
                if 0 in octets and not self._binary:
                    tag = self._tag
                    return InputRefused(Fault.NUL, tag, close=not self._abandon(0, waiting=False))
                self._pieces.append(octets)
                self._state = _State.LINE
            elif state is _State.MESSAGE:
                return self._message_octets()
            elif state is _State.RAW:
                return self._raw_line()
            elif state is _State.SKIP_LITERAL:
                count = min(self._remaining, len(self._buffer))
                del self._buffer[:count]
                self._remaining -= count
                if self._remaining:
                    return None
                self._state = _State.SKIP_LINE
            elif state is _State.SKIP_LINE:
                if not self._skip_line():
                    return InputRefused(Fault.LINE_TOO_LONG, close=True) if self._state is _State.CLOSED else None
            else:
                return None

    def _take(self, count: int) -> bytes:
        octets = bytes(self._buffer[:count])
        del self._buffer[:count]
        return octets

    def _take_line(self, max_octets: int) -> "bytes | InputRefused | None":
        """Take a line without its CRLF."""
        buffer = self._buffer
        end = buffer.find(b"\n", self._searched)
        if (len(buffer) if end < 0 else end) > max_octets + 1:
            return self._refuse_long_line(max_octets)
        if end < 0:
            self._searched = len(buffer)
            return None
        self._searched = 0
        line = self._take(end)
        del buffer[:1]
        if not line.endswith(b"\r"):
            return self._refuse_line(Fault.BARE_NEWLINE, line)
        line = line[:-1]
        if b"\r" in line:
            return self._refuse_line(Fault.BARE_NEWLINE, line + b"\r")
        if b"\0" in line:
            return self._refuse_line(Fault.NUL, line + b"\r")
        return line

    def _tag_of(self, line: bytes) -> bytes | None:
        if self._pieces or self._appending:
            return self._tag
        found = _HEAD.match(line)
        return found.group(1) if found else None

    def _refuse_long_line(self, max_octets: int) -> InputRefused:
        tag = self._tag_of(bytes(self._buffer[: min(TAG_MAX_OCTETS + 1, max_octets)]))
        limits = self.limits
        self._reset()
        going = limits.skip_max_octets >= limits.line_max_octets
        self._state = _State.SKIP_LINE if going else _State.CLOSED
        return InputRefused(Fault.LINE_TOO_LONG, tag, close=not going)

    def _refuse_line(self, fault: Fault, line: bytes) -> InputRefused:
        """Forget a command because of this line, with the literal that it may announce."""
        tag = self._tag_of(line)
        announced = _announcement(line.removesuffix(b"\r"))
        if announced is None:
            self._reset()
            return InputRefused(fault, tag)
        if not line.endswith(b"\r"):
            # Whoever ends lines wrongly may or may not wait for "+": the next command cannot be found.
            self._reset()
            self._state = _State.CLOSED
            return InputRefused(fault, tag, close=True)
        return InputRefused(fault, tag, close=not self._abandon(announced.octets, waiting=announced.synchronising))

    def _line_complete(self, line: bytes) -> Event | None:
        """Decide what a line is: the end of a command, or the announcement of a literal."""
        if not line.endswith(b"}") or (announced := _announcement(line)) is None:
            if not self._pieces and not self._appending:
                return CommandReceived((line,))
            event = EndAppend(line) if self._appending else CommandReceived((*self._pieces, line))
            self._reset()
            return event
        first = not self._pieces and not self._appending
        if first and (found := _HEAD.match(line)) is not None:
            self._tag = found.group(1)
            self._append_end = found.end() if found.group(2) else 0
        self._pieces.append(line)
        self._line_octets += len(line)
        self._remaining = announced.octets
        self._binary = announced.binary
        # Of the arguments of APPEND and REPLACE before the message only the mailbox name can be a literal.
        if self._append_end and not (first and announced.start == self._append_end):
            further = self._appending
            self._announced = announced.synchronising
            self._appending = True
            self._state = _State.DECISION
            return BeginMessageLiteral(
                tuple(self._pieces), announced.octets, announced.synchronising, announced.binary, further
            )
        self._literal_octets += announced.octets
        if self._literal_octets > self.limits.literal_max_octets:
            tag, command = self._tag, _command_of(self._pieces[0])
            going = self._abandon(announced.octets, waiting=announced.synchronising)
            return InputRefused(Fault.LITERAL_TOO_LARGE, tag, close=not going, command=command)
        self._state = _State.LITERAL
        return _CONTINUATION if announced.synchronising else None

    def _message_octets(self) -> Event | None:
        if not self._remaining:
            nul = self._nul
            self._nul = False
            self._pieces = []
            self._line_octets = 0
            self._state = _State.LINE
            return EndMessageLiteral(nul)
        if not self._buffer:
            return None
        octets = self._take(min(self._remaining, len(self._buffer)))
        self._remaining -= len(octets)
        if not self._binary and b"\0" in octets:
            self._nul = True
        return MessageChunk(octets)

    def _raw_line(self) -> Event | None:
        buffer = self._buffer
        end = buffer.find(b"\n", self._searched)
        if end < 0 and len(buffer) <= self._raw_max + 1:
            self._searched = len(buffer)
            return None
        if end < 0 or end > self._raw_max + 1:
            self._reset()
            self._state = _State.CLOSED
            return InputRefused(Fault.LINE_TOO_LONG, close=True)
        line = self._take(end)
        del buffer[:1]
        self._reset()
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            return InputRefused(Fault.BARE_NEWLINE)
        if b"\0" in line:
            return InputRefused(Fault.NUL)
        return RawLine(line[:-1])

    def _skip_line(self) -> bool:
        """Throw away a line of a refused command; False when more octets are needed or it must be closed."""
        buffer = self._buffer
        end = buffer.find(b"\n", self._searched)
        if self._skipped + (len(buffer) if end < 0 else end + 1) > self.limits.skip_max_octets:
            self._reset()
            self._state = _State.CLOSED
            return False
        if end < 0:
            excess = max(0, len(buffer) - _SEAM_OCTETS - 2)
            del buffer[:excess]
            self._skipped += excess
            self._searched = len(buffer)
            return False
        tail = bytes(buffer[max(0, end - _SEAM_OCTETS - 1) : end]).removesuffix(b"\r")[-_SEAM_OCTETS:]
        self._skipped += end + 1
        del buffer[: end + 1]
        self._searched = 0
        announced = _announcement(tail)
        if announced is not None:
            return self._abandon(announced.octets, waiting=announced.synchronising)
        if len(tail) == _SEAM_OCTETS and _LITERAL_TAIL.fullmatch(tail):
            self._reset()
            self._state = _State.CLOSED
            return False
        self._reset()
        return True


def _command_of(line: bytes) -> str:
    """Read the name of a command from its first line."""
    found = _COMMAND.match(line)
    return found.group(1).decode("ascii").upper() if found is not None else ""


@attrs.frozen
class _Announcement:
    start: int
    octets: int
    synchronising: bool
    binary: bool


def _announcement(line: bytes) -> _Announcement | None:
    """Read the ``{n}`` at the end of a line."""
    start = line.rfind(b"{")
    if start > 0 and line.startswith(b"~", start - 1):
        start -= 1
    found = _LITERAL.fullmatch(line, max(start, 0))
    if found is None:
        return None
    tilde, digits, plus = found.groups()
    digits = digits.lstrip(b"0") or b"0"
    octets = int(digits) if len(digits) <= LITERAL_MAX_DIGITS else 10**LITERAL_MAX_DIGITS
    return _Announcement(start, octets, synchronising=not plus, binary=bool(tilde))
