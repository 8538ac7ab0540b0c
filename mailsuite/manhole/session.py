"""One SSH session: a terminal, lines from a pipe, or one command. RFC 4254 section 6."""

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.conch.insults.insults import ServerProtocol
from twisted.conch.interfaces import ISession
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.manhole.console import Console
from mailsuite.manhole.terminal import ConsoleTerminal
from mailsuite.observe import EventLog, background

INPUT_MAX_OCTETS = 1024 * 1024  # of lines that wait for those before them
MakeConsole = Callable[[Callable[[str], object]], Console]


class Channel:
    """
    What the SSH side writes to.

    Args:
        received: takes what the client sent.
    """

    def __init__(self, received: Callable[[bytes], object]) -> None:
        self._received = received

    def write(self, data: bytes) -> None:
        """Take octets of the client."""
        self._received(data)

    def loseConnection(self) -> None:
        """The channel is closed; `ConsoleSession.closed` is told as well."""


@implementer(ISession)
class ConsoleSession:
    """
    Joins one channel to a console.

    Args:
        make_console: given where output goes.
        log: for work in the background.
        clock: for what must wait until the client has its answer.
    """

    def __init__(self, make_console: MakeConsole, log: EventLog, clock: IReactorTime) -> None:
        self._make_console = make_console
        self._log = log
        self._clock = clock
        self._size: tuple[int, int] | None = None
        self._process: Any = None
        self._terminal: ConsoleTerminal | None = None
        self._lines: Lines | None = None
        self._has_command = False

    def getPty(self, term: bytes, windowSize: tuple[int, int, int, int], attrs: object) -> None:  # noqa: ARG002 - ISession
        """The client has a terminal."""
        self._size = (windowSize[1], windowSize[0])

    def openShell(self, proto: Any) -> None:
        """Begin to take lines."""
        self._process = proto
        if self._size is None:
            self._lines = Lines(self._make_console(self._print), self._log, self._exit)
            proto.makeConnection(Channel(self._lines.feed))
            return
        screen = ServerProtocol(lambda: ConsoleTerminal(self._make_console, self._log, self._exit))
        screen.makeConnection(_Screen(proto))
        proto.makeConnection(Channel(screen.dataReceived))
        terminal: Any = screen.terminalProtocol
        terminal.terminalSize(*self._size)
        self._terminal = terminal

    def execCommand(self, proto: Any, command: bytes) -> None:
        """Run one command, and end with its exit status."""
        self._process = proto
        self._lines = Lines(self._make_console(self._print), self._log, self._exit)
        self._has_command = True
        proto.makeConnection(Channel(_ignore))
        # The client must have heard that the command is accepted before it hears how it ended.
        self._clock.callLater(0, self._lines.feed_all, command)

    def windowChanged(self, newWindowSize: tuple[int, int, int, int]) -> None:
        """The terminal has another size."""
        if self._terminal is not None:
            self._terminal.terminalSize(newWindowSize[1], newWindowSize[0])

    def eofReceived(self) -> None:
        """No more lines come."""
        if self._has_command:
            return
        if self._lines is not None:
            self._lines.end()
        elif self._terminal is not None:
            self._exit(0)

    def closed(self) -> None:
        """The client has gone: what runs is interrupted."""
        if self._lines is not None:
            self._lines.stop()
        if self._terminal is not None:
            self._terminal.stop()

    def _print(self, text: str) -> None:
        self._process.outReceived(text.encode("utf-8", "backslashreplace"))

    def _exit(self, status: int) -> None:
        if self._terminal is not None:
            self._terminal.stop()
            self._terminal = None
        ended: Exception = ProcessTerminated(exitCode=status) if status else ProcessDone(0)
        self._process.processEnded(Failure(ended))


class _Screen:
    """The transport of Twisted's terminal protocol."""

    def __init__(self, process: Any) -> None:
        self._process = process

    def write(self, data: bytes) -> None:
        self._process.outReceived(data)

    def loseConnection(self) -> None:
        self._process.processEnded(Failure(ProcessDone(0)))


class Lines:
    """
    Runs lines without a terminal, one after the other.

    Args:
        ended: told the exit status: 1 when the last statement failed.
    """

    def __init__(self, console: Console, log: EventLog, ended: Callable[[int], object]) -> None:
        self._console = console
        self._log = log
        self._ended = ended
        self._input = b""
        self._lines: deque[bytes] = deque()
        self._octets = 0
        self._closed = False
        self._status = 0
        self._working: Deferred[None] | None = None
        self._done = False

    def feed_all(self, data: bytes) -> None:
        """Take everything there will be."""
        self.feed(data)
        self.end()

    def feed(self, data: bytes) -> None:
        """Take octets."""
        if self._closed:
            return
        *lines, self._input = (self._input + data).split(b"\n")
        self._lines.extend(lines)
        self._octets += len(data)
        if self._octets > INPUT_MAX_OCTETS:
            self._refuse("too much input at once\n")
        self._go_on()

    def end(self) -> None:
        """Nothing more comes."""
        if not self._closed:
            self._closed = True
            if self._input:
                self._lines.append(self._input)
                self._input = b""
            self._go_on()

    def stop(self) -> None:
        """Nobody waits for the rest any more."""
        self._closed = self._done = True
        self._lines.clear()
        if self._working is not None:
            self._working.cancel()

    def _go_on(self) -> None:
        if self._working is None and not self._done:
            self._working = background(self._work(), self._log, "lines in the manhole")
            if self._working.called:
                self._working = None

    async def _work(self) -> None:
        try:
            while self._lines and not self._done:
                line = self._lines.popleft()
                self._octets -= len(line) + 1
                await self._take(line.decode("utf-8", "replace").removesuffix("\r"))
            if self._closed and not self._done:
                rest = self._console.take_rest()
                if rest is not None:
                    await self._run(rest)
                self._finish(self._status)
        except SystemExit as leaving:
            self._finish(leaving.code if isinstance(leaving.code, int) else 0)
        finally:
            self._working = None

    async def _take(self, line: str) -> None:
        try:
            statement = self._console.take(line)
        except ValueError as error:
            self._refuse(f"{error}\n")
            return
        if statement is not None:
            await self._run(statement)

    async def _run(self, statement: str) -> None:
        self._status = 0 if await self._console.run(statement) else 1

    def _refuse(self, text: str) -> None:
        self._console.tell(text)
        self._lines.clear()
        self._input = b""
        self._status = 1
        self._closed = True

    def _finish(self, status: int) -> None:
        if not self._done:
            self._done = True
            self._working = None
            self._ended(status)


def _ignore(_data: bytes) -> None:
    """A command of its own takes no input."""
