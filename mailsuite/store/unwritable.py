"""
Mail that can be read and not changed: the disk is full or mounted read-only, or the files belong to somebody else.

An account that cannot be opened for that reason is opened to be read: what its index knows, and nothing of what other
programs did to its folders. Whatever would change something is refused, and each job looks whether that is over.
"""

import errno
import os
import sqlite3

from mailsuite.durable import Disk
from mailsuite.store.lock import AccountLock, Look

PROBE = "..probe"
PROBE_OCTETS = 64 * 1024
"""SQLite needs so much before anything can be read in its usual way."""
FULL_OR_READ_ONLY = frozenset(("EROFS", "ENOSPC", "EDQUOT"))
REASONS = FULL_OR_READ_ONLY | {"EACCES", "EPERM"}

Stamp = tuple[int, int, int, int]


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


def stamp_of(disk: Disk, database: str) -> Stamp:
    """
    Tell a state of a database from others; it says nothing of a log that grows, which SQLite itself looks at.

    Raises:
        FileNotFoundError: there is none.
    """
    status = disk.stat(database)
    log = f"{database}-wal"
    return status.st_ino, status.st_mtime_ns, status.st_size, os.path.exists(log) and os.path.getsize(log) > 0


class NoLock(AccountLock):
    """In place of the lock of an account whose lock cannot be written: nobody changes anything."""

    def __init__(self, path: str, disk: Disk) -> None:
        self.path = path
        self._disk = disk
        self._descriptor = -1

    def is_in_place(self) -> bool:
        """Say yes."""
        return True

    def acquire(self, seconds: float = 0.0) -> None:
        """Wait for nobody."""

    def enter(self) -> bool:
        """Say that others may be there, so that nothing is repaired."""
        return False

    def is_alone(self) -> bool:
        """Say the same."""
        return False

    def look(self, mailbox_id: int) -> Look | None:
        """Know nothing."""

    def set_look(self, mailbox_id: int, look: Look | None) -> None:
        """Note nothing."""
