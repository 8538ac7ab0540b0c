"""
Mail that can be read and not changed: the disk is full or mounted read-only, or the files belong to somebody else.

An account that cannot be opened for that reason is opened to be read: what its index knows, and nothing of what other
programs did to its folders. Whatever would change something is refused. It is closed at the end of each job, and the
next one looks whether that is over.
"""

import errno
import fcntl
import os
import sqlite3

from mailsuite.durable import Disk
from mailsuite.store.lock import TURN_SECONDS, AccountLock

PROBE = "..probe"
PROBE_OCTETS = 64 * 1024
"""SQLite needs so much before anything can be read in its usual way."""
FULL_OR_READ_ONLY = frozenset(("EROFS", "ENOSPC", "EDQUOT"))
REASONS = FULL_OR_READ_ONLY | {"EACCES", "EPERM"}


def reason_of(error: Exception) -> str:
    """Name the system's error if it means that nothing can be written; else give nothing."""
    if isinstance(error, OSError):
        name = errno.errorcode.get(error.errno or 0, "")
        return name if name in REASONS else ""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return {sqlite3.SQLITE_FULL: "ENOSPC", sqlite3.SQLITE_READONLY: "EROFS"}.get(code, "")


def reason_not_to_write(disk: Disk, folder: str) -> str:
    """Say why nothing can be written in a folder, by the name of the error; empty when something can."""
    path = f"{folder}/{PROBE}"
    try:
        try:
            disk.write_file(path, [bytes(PROBE_OCTETS)], sync=False)
        finally:
            disk.remove(path)
    except OSError as error:
        return reason_of(error)
    return ""


class ReadOnlyLock(AccountLock):
    """The lock of an account where its file cannot be written: turns are shared with others who only read."""

    turn = fcntl.F_RDLCK

    def __init__(self, path: str, disk: Disk) -> None:
        self.path = path
        self._disk = disk
        try:
            self._descriptor = disk.open(path, os.O_RDONLY)
        except OSError:
            self._descriptor = -1  # a copy without one, say: nobody else can have it either

    def is_in_place(self) -> bool:
        """Whether the file that is open, if there is one, is the one that others would open."""
        return self._descriptor < 0 or super().is_in_place()

    def acquire(self, seconds: float = TURN_SECONDS) -> None:
        """
        Wait until nobody writes. Blocks.

        Raises:
            MailError: UNAVAILABLE, when another process does not end in time.
        """
        if self._descriptor >= 0:
            super().acquire(seconds)
