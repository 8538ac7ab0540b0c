"""
The octets of one message on their way into the spool: in memory while they are few, in a file when they are many.

The file is written by the file lane while the message is received, so that neither the reactor nor memory holds it.
"""

import os
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailsuite.durable import Disk, InlineLane, Lane
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Body

PIECE_OCTETS = 256 * 1024
WINDOW_OCTETS = 1024 * 1024
"""Octets that may wait for the disk before the peer is asked to pause."""


class SpoolBody:
    """
    Collects a message; used in the reactor. Exactly one of `finish` and `abort` ends it.

    Args:
        path: of the file, if there will be one.
        inline_max_octets: above it there is a file.
        hold: told how many octets in memory came, or went when negative.
    """

    def __init__(
        self,
        path: str,
        *,
        disk: Disk,
        lane: Lane | InlineLane,
        inline_max_octets: int,
        hold: Callable[[int], None],
        ended: Callable[[], None],
    ) -> None:
        self._path = path
        self._disk = disk
        self._lane = lane
        self._inline_max = inline_max_octets
        self._hold = hold
        self._told_ended = False
        self._ended = ended
        self._pieces: list[bytes] = []
        self._held = 0
        self._writing = 0
        self._in_file = False
        self._descriptor: int | None = None
        self._failure: MailError | None = None
        self._paused: Deferred[None] | None = None
        self._idle: Deferred[None] | None = None
        self.size_octets = 0

    def write(self, chunk: bytes) -> Deferred[None] | None:
        """
        Take the next octets.

        Returns:
            None to go on; a Deferred that fires, and never fails, when the disk has caught up.

        Raises:
            MailError: UNAVAILABLE when the disk fails.
        """
        if self._failure is not None:
            raise self._failure
        self._pieces.append(chunk)
        self._held += len(chunk)
        self.size_octets += len(chunk)
        self._hold(len(chunk))
        if self.size_octets <= self._inline_max:
            return None
        self._in_file = True
        if self._held >= PIECE_OCTETS and not self._writing:
            self._pass_on()
        if self._held + self._writing > WINDOW_OCTETS:
            if self._paused is None:
                self._paused = Deferred()
            return self._paused
        return None

    async def finish(self) -> bytes | Body:
        """
        Give the octets, or the file that holds them and is on disk under a name that is not yet.

        Raises:
            MailError: UNAVAILABLE when the disk fails.
        """
        self._end()
        if not self._in_file:
            content = b"".join(self._pieces)
            self._pieces = [content]
            return content
        if self._writing:
            self._idle = Deferred()
            await self._idle
        if self._failure is not None:
            raise self._failure
        pieces, self._pieces = self._pieces, []
        held, self._held = self._held, 0
        try:
            await self._lane.run(self._write_last, pieces)
        except OSError as error:
            raise _unavailable() from error
        finally:
            self._hold(-held)
        return Body(self._path, self.size_octets)

    def release(self) -> None:
        """The octets are somebody else's now: they no longer count as ours."""
        self._hold(-self._held)
        self._held = 0
        self._pieces.clear()

    def abort(self) -> None:
        """Forget the octets and remove the file; after `finish` as well, when nobody wants what it gave."""
        self._end()
        self.release()
        if self._in_file:
            self._lane.post(self._remove)

    def _end(self) -> None:
        if not self._told_ended:
            self._told_ended = True
            self._ended()

    def _pass_on(self) -> None:
        pieces, self._pieces = self._pieces, []
        self._writing, self._held = self._held, 0
        _ = self._lane.run(self._write_pieces, pieces).addBoth(self._written)

    def _written(self, result: object) -> None:
        if isinstance(result, Failure):
            self._failure = _unavailable()
        self._hold(-self._writing)
        self._writing = 0
        if self._idle is not None:
            self._idle.callback(None)
        elif self._held >= PIECE_OCTETS and self._failure is None:
            self._pass_on()
        if self._paused is not None and self._held + self._writing <= WINDOW_OCTETS:
            paused, self._paused = self._paused, None
            paused.callback(None)

    # in the file lane

    def _write_pieces(self, pieces: list[bytes]) -> None:
        if self._descriptor is None:
            self._descriptor = self._disk.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for piece in pieces:
            self._disk.write(self._descriptor, piece, self._path)

    def _write_last(self, pieces: list[bytes]) -> None:
        self._write_pieces(pieces)
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            try:
                self._disk.fsync(descriptor, self._path)
            finally:
                self._disk.close(descriptor, self._path)

    def _remove(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        try:
            if descriptor is not None:
                self._disk.close(descriptor, self._path)
            self._disk.remove(self._path)
        except OSError:
            return  # an orphan: the next start removes it


def _unavailable() -> MailError:
    return MailError(Kind.UNAVAILABLE, "the message could not be stored; try again later")
