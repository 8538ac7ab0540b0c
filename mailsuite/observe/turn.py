"""Write the lines of one turn of the reactor together: each write hands the interpreter to another thread."""

from typing import Any

from twisted.python.threadable import isInIOThread

from mailsuite.observe.record import LineStream


class TurnStream:
    """
    A stream that passes on what it took when the reactor's turn ends.

    Outside the reactor's thread, and while it does not run, every line is passed on at once. The end of the process by
    a signal that cannot be caught loses the lines of one turn.

    Args:
        reactor: with ``running`` and ``callLater``.
    """

    def __init__(self, stream: LineStream, reactor: Any) -> None:
        self._stream = stream
        self._reactor = reactor
        self._lines: list[str] = []

    def write(self, text: str) -> None:
        """Take a line."""
        if not (self._reactor.running and isInIOThread()):
            self.pass_on()
            self._stream.write(text)
            return
        self._lines.append(text)
        if len(self._lines) == 1:
            self._reactor.callLater(0, self.pass_on)

    def flush(self) -> None:
        """Pass on what need not wait for the end of a turn."""
        if not self._lines:
            self._stream.flush()

    def pass_on(self) -> None:
        """Write what waits, now."""
        lines, self._lines = self._lines, []
        if lines:
            self._stream.write("".join(lines))
            self._stream.flush()
