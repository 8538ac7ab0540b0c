"""The console on a terminal: line editing, history, completion. The keys are those of readline."""

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.conch.insults import insults
from twisted.conch.recvline import HistoricRecvLine
from twisted.internet.defer import Deferred

from mailsuite.manhole.completion import complete
from mailsuite.manhole.console import LINE_MAX_CHARACTERS, Console
from mailsuite.observe import EventLog, background

HISTORY_MAX = 500
AHEAD_MAX = LINE_MAX_CHARACTERS  # key strokes that wait while a statement runs
GREETING = "mailsuite manhole. Names: {names}. Tab completes, help(x) describes, Ctrl-D leaves.\n"

CTRL_A, CTRL_C, CTRL_D, CTRL_E = b"\x01", b"\x03", b"\x04", b"\x05"
CTRL_H, CTRL_K, CTRL_L, CTRL_U = b"\x08", b"\x0b", b"\x0c", b"\x15"
BELL = b"\a"


class ConsoleTerminal(HistoricRecvLine):
    """
    One typist at a terminal. What is typed while a statement runs waits; Ctrl-C interrupts it.

    Args:
        make_console: given where output goes.
        log: for work in the background.
        leave: ends the session.
    """

    terminal: Any

    def __init__(
        self,
        make_console: Callable[[Callable[[str], object]], Console],
        log: EventLog,
        leave: Callable[[int], None],
    ) -> None:
        self._console = make_console(self._show)
        self._events = log
        self._leave = leave
        self._running: Deferred[None] | None = None
        self._ahead: deque[tuple[bytes, object]] = deque(maxlen=AHEAD_MAX)

    def connectionMade(self) -> None:
        """Greet."""
        super().connectionMade()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self.keyHandlers.update(
            {
                CTRL_A: self.handle_HOME,
                CTRL_C: self._interrupt,
                CTRL_D: self._end_of_input,
                CTRL_E: self.handle_END,
                CTRL_H: self.handle_BACKSPACE,
                CTRL_K: self._erase_to_end,
                CTRL_L: self._clear,
                CTRL_U: self._erase_to_begin,
            }
        )

    def initializeScreen(self) -> None:
        """Leave what is on the screen where it is."""
        names = ", ".join(name for name in self._console.names if name.isidentifier() and _is_offered(name))
        self._show(GREETING.format(names=names))
        self.setInsertMode()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self._prompt()

    def terminalSize(self, width: int, height: int) -> None:
        """Note the size."""
        self.width, self.height = width or self.width, height or self.height

    def keystrokeReceived(self, keyID: bytes, modifier: object) -> None:
        """Take a key."""
        if self._running is not None and keyID != CTRL_C:
            self._ahead.append((keyID, modifier))
        elif keyID in self.keyHandlers or (keyID in self._printableChars and keyID.isascii()):
            super().keystrokeReceived(keyID, modifier)  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        else:
            self.terminal.write(BELL)

    def characterReceived(self, ch: bytes, moreCharactersComing: bool) -> None:  # noqa: FBT001 - Twisted's signature
        """Put a character into the line."""
        if len(self.lineBuffer) >= LINE_MAX_CHARACTERS:
            self.terminal.write(BELL)
            return
        super().characterReceived(ch, moreCharactersComing)  # type: ignore[no-untyped-call]  # Twisted's is not

    def lineReceived(self, line: bytes) -> None:
        """Run what the line completes."""
        del self.historyLines[:-HISTORY_MAX]
        self.historyPosition = len(self.historyLines)
        statement = self._console.take(line.decode("ascii", "replace"))
        if statement is None:
            self._prompt()
            return
        self._running = background(self._run(statement), self._events, "a statement in the manhole")
        if self._running.called:
            self._running = None

    async def _run(self, statement: str) -> None:
        try:
            await self._console.run(statement)
        except SystemExit:
            self._running = None
            self._leave(0)
            return
        self._running = None
        self._prompt()
        while self._ahead and self._running is None:
            self.keystrokeReceived(*self._ahead.popleft())

    def handle_TAB(self) -> None:
        """Complete what stands before the cursor, or show what could stand there."""
        before, after = self.currentLineBuffer()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        found = complete(self._console.names, before.decode("ascii", "replace"))
        if found.insert:
            for character in found.insert.encode("ascii", "ignore"):
                self.characterReceived(bytes([character]), False)  # noqa: FBT003 - Twisted's signature
        elif len(found.candidates) > 1:
            self._show("\n" + _columns(found.candidates, self.width))
            self._prompt()
            self.terminal.write(before + after)
            if after:
                self.terminal.cursorBackward(len(after))
        else:
            self.terminal.write(BELL)

    def _interrupt(self) -> None:
        self._ahead.clear()
        if self._running is not None:
            self._running.cancel()
            return
        self._console.forget()
        self.lineBuffer, self.lineBufferIndex = [], 0
        self._show("^C\n")
        self._prompt()

    def _end_of_input(self) -> None:
        if self.lineBuffer:
            self.handle_DELETE()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        else:
            self._show("\n")
            self._leave(0)

    def _clear(self) -> None:
        self.terminal.eraseDisplay()
        self.terminal.cursorHome()
        self.drawInputLine()  # type: ignore[no-untyped-call]  # Twisted's is not annotated

    def _erase_to_end(self) -> None:
        del self.lineBuffer[self.lineBufferIndex :]
        self.terminal.eraseToLineEnd()

    def _erase_to_begin(self) -> None:
        rest = self.lineBuffer[self.lineBufferIndex :]
        self.handle_HOME()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self.lineBuffer = rest
        self.terminal.eraseToLineEnd()
        if rest:
            self.terminal.write(b"".join(rest))
            self.terminal.cursorBackward(len(rest))

    def _prompt(self) -> None:
        self.pn = int(self._console.is_within)
        self.terminal.write(self.ps[self.pn])

    def _show(self, text: str) -> None:
        self.terminal.write(text.encode("utf-8", "backslashreplace"))

    def stop(self) -> None:
        """Leave the terminal as it was."""
        self.terminal.resetModes([insults.modes.IRM])
        if self._running is not None:
            self._running.cancel()


def _is_offered(name: str) -> bool:
    return not name.startswith("_") and name not in {"print", "help", "input", "breakpoint", "exit", "quit"}


def _columns(words: "list[str] | tuple[str, ...] | Any", width: int) -> str:
    """Lay words out in as many columns as the terminal has room for."""
    cell = max(map(len, words)) + 2
    count = max(1, width // cell)
    rows = [words[start : start + count] for start in range(0, len(words), count)]
    return "".join("".join(word.ljust(cell) for word in row).rstrip() + "\n" for row in rows)
