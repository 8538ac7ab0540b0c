"""
Mail that can be read and not changed: the disk is full or mounted read-only, or the files belong to somebody else.

An account that cannot be opened for that reason is opened to be read: its index as it is, folders as far as the index
knows them. What would change something is refused, and each job looks anew whether that is over.
"""

import errno
import os
import sqlite3

from mailsuite.durable import Disk
from mailsuite.store.lock import AccountLock, Look

PROBE = "..probe-"
PROBE_OCTETS = 64 * 1024
"""SQLite needs so much before anything can be read in its usual way."""
REASONS = frozenset((errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM))


def is_unwritable(error: Exception) -> bool:
    """Whether an error says that the disk is full or read-only."""
    if isinstance(error, OSError):
        return error.errno in {errno.EROFS, errno.ENOSPC, errno.EDQUOT}
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}


def reason_not_to_write(disk: Disk, folder: str) -> str:
    """Say why nothing can be written in a folder, by the name of the error; empty when something can."""
    path = f"{folder}/{PROBE}{os.getpid()}"
    try:
        try:
            disk.write_file(path, [bytes(PROBE_OCTETS)], sync=False)
        finally:
            disk.remove(path)
    except OSError as error:
        return errno.errorcode[error.errno] if error.errno in REASONS else ""
    return ""


class NoLock(AccountLock):
    """In place of the lock of an account whose lock cannot be written: nobody changes anything."""

    def __init__(self, path: str, disk: Disk) -> None:
        self.path = path
        self._disk = disk
        self._descriptor = -1
        self._looks: dict[int, Look] = {}

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
        """Give what this process knows."""
        return self._looks.get(mailbox_id)

    def set_look(self, mailbox_id: int, look: Look | None) -> None:
        """Note it for this process."""
        if look is None:
            self._looks.pop(mailbox_id, None)
        else:
            self._looks[mailbox_id] = look
