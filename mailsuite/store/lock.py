"""
What the processes that have an account open share: whose turn it is, who is there, and what folders looked like.

One file beside the index, with locks that belong to the open file (``fcntl`` with ``F_OFD_SETLK``), so that they end
with their process, however it ends. Whoever works on the account holds the first octet alone; whoever has it open
shares the second one. Behind them lie the looks, one record for each mailbox.
"""

import contextlib
import fcntl
import os
import struct
import time

import attrs

from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError

TURN_SECONDS = 5.0
"""So long a job waits for its turn; other processes hold it for the length of one job."""
PAUSES_SECONDS = (0.0, 0.0001, 0.0002, 0.0005, 0.001)

_TURN, _PRESENCE = 0, 1
_LOCK = struct.Struct("hhqqi")
_LOOK = struct.Struct("=qqdd??")
_FIRST_LOOK = 16
_LOOK_OCTETS = 40


@attrs.define
class Look:
    """
    What a folder looked like when it was last known.

    Args:
        stamp: modification times of new and cur.
        listed: when it was listed, on the monotonic clock of the machine.
        cost: how long that took, in seconds.
        sure: nothing can have happened that `stamp` does not tell; False after a change so recent that another one
            would have the same time.
    """

    stamp: tuple[int, int]
    listed: float
    cost: float = 0.0
    sure: bool = True


class AccountLock:
    """
    The lock of one account, or of a whole store, in one process; made by opening it.

    Args:
        path: of its file; the folder is there.

    Raises:
        OSError: the file cannot be opened.
    """

    turn = fcntl.F_WRLCK

    def __init__(self, path: str, disk: Disk) -> None:
        self.path = path
        self._disk = disk
        self._descriptor = disk.open(path, os.O_RDWR | os.O_CREAT)

    def __del__(self) -> None:
        """Let go, if nobody did."""
        self.close()

    def close(self) -> None:
        """Give up everything; may be called twice."""
        descriptor, self._descriptor = getattr(self, "_descriptor", -1), -1
        if descriptor >= 0:
            os.close(descriptor)

    def is_in_place(self) -> bool:
        """Whether the file that is open is the one that others would open."""
        try:
            return self._disk.stat(self.path).st_ino == os.fstat(self._descriptor).st_ino
        except FileNotFoundError:
            return False

    # whose turn it is

    def acquire(self, seconds: float = TURN_SECONDS) -> None:
        """
        Wait for our turn. Blocks.

        Raises:
            MailError: UNAVAILABLE, when another process does not give it up in time.
        """
        if self._try(self.turn, _TURN):
            return
        deadline = time.monotonic() + seconds
        count = 0
        while not self._try(self.turn, _TURN):
            if time.monotonic() > deadline:
                raise MailError(Kind.UNAVAILABLE, "another process works on the mailboxes; try again later")
            time.sleep(PAUSES_SECONDS[min(count, len(PAUSES_SECONDS) - 1)])
            count += 1

    def release(self) -> None:
        """Let the next one work."""
        if self._descriptor >= 0:
            self._try(fcntl.F_UNLCK, _TURN)

    # who is there

    def enter(self) -> bool:
        """Be there, for as long as this is open; with our turn held. Say whether nobody else is."""
        alone = self._try(fcntl.F_WRLCK, _PRESENCE)
        self._try(fcntl.F_RDLCK, _PRESENCE)
        if alone:
            os.ftruncate(self._descriptor, 0)  # what folders looked like while nobody looked is anybody's guess
        return alone

    def is_alone(self) -> bool:
        """Whether no other process has the account open; with our turn held it stays so."""
        if not self._try(fcntl.F_WRLCK, _PRESENCE):
            return False
        self._try(fcntl.F_RDLCK, _PRESENCE)
        return True

    def _try(self, kind: int, octet: int) -> bool:
        request = _LOCK.pack(kind, os.SEEK_SET, octet, 1, 0)
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, request)
        except (BlockingIOError, PermissionError):
            return False
        return True

    # what folders looked like

    def look(self, mailbox_id: int) -> Look | None:
        """Give what a mailbox's folder looked like when a process of ours last knew it; None when none did."""
        record = os.pread(self._descriptor, _LOOK.size, _FIRST_LOOK + mailbox_id * _LOOK_OCTETS)
        if len(record) < _LOOK.size:
            return None
        new, cur, listed, cost, sure, known = _LOOK.unpack(record)
        return Look((new, cur), listed, cost, sure) if known else None

    def set_look(self, mailbox_id: int, look: Look | None) -> None:
        """Tell what a folder looks like, or that nobody knows; where the disk is full, nobody does."""
        known = look is not None
        record = _LOOK.pack(*look.stamp, look.listed, look.cost, look.sure, known) if look else bytes(_LOOK.size)
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, record, _FIRST_LOOK + mailbox_id * _LOOK_OCTETS)
