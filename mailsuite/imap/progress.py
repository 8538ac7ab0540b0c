"""What a client is told while a command takes long (RFC 9585): how much is done, of how much."""

import contextlib
from collections.abc import Iterator

import attrs

from mailsuite.imap import responses
from mailsuite.imap.capabilities import INPROGRESS, is_off
from mailsuite.imap.session import Session


@attrs.define
class Progress:
    """
    How far a command has come, in messages; what is told only grows, and stays below the goal.

    Args:
        phases: how often all messages are gone through; the goal counts each of them.
    """

    phases: int = 1
    _messages: int = 0
    _phase: int = -1
    _steps: int = 0
    _steps_done: int = 0

    def begin(self, messages: int, steps_each: int = 1) -> None:
        """
        Begin the next phase.

        Args:
            messages: how many are gone through; the first phase's number counts for all.
            steps_each: how often one of them may be looked at in this phase.
        """
        self._messages = self._messages or messages
        self._phase += 1
        self._steps, self._steps_done = messages * steps_each, 0

    def add(self, steps: int) -> None:
        """Note that so many were looked at."""
        self._steps_done = min(self._steps_done + steps, self._steps)

    def counts(self) -> tuple[int, int] | None:
        """Give what is done and the goal; None when nothing is known of them."""
        goal = self._messages * self.phases
        if not goal:
            return None
        done = self._messages * self._phase
        if self._steps:
            done += self._messages * self._steps_done // self._steps
        return min(done, goal - 1), goal


@contextlib.contextmanager
def telling(session: Session, tag: bytes, progress: Progress | None = None) -> Iterator[None]:
    """
    Tell the client every few seconds that a command is at work, until this ends.

    Nothing may be written meanwhile that is no whole line.

    Args:
        progress: how far it has come; None when that cannot be known.
    """
    seconds = session.settings.progress_seconds
    if not seconds or is_off(INPROGRESS, session.off):
        yield
        return

    def line() -> bytes:
        code = responses.in_progress_code(tag, None if progress is None else progress.counts())
        return responses.untagged(responses.OK, "still at work", code)

    stop = session.connection.repeat(seconds, line)
    try:
        yield
    finally:
        stop()
