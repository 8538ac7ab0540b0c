"""
Folders that tell of their changes, by inotify(7) of Linux.

Twisted's own ``INotify`` ends for all folders when one of them is deleted, says nothing when the system has dropped
notices, and takes whatever folder comes to lie at a path for the one that lay there before; `tests/seams` shows it.
"""

import ctypes
import errno
import fcntl
import os
import struct
import termios
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_UNMOUNT = 0x2000
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x01000000

ITSELF = IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
"""Watch for the end of a folder alone."""
ENTRIES = ITSELF | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
"""Watch for entries that come, go and are renamed as well."""

_ENDED = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED
_HEAD = struct.Struct("iIII")
_COUNT = struct.Struct("i")
_NOTHING = _COUNT.pack(0)
READ_OCTETS = 64 * 1024


def _load(name: str) -> Any:
    try:
        return getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None


_INIT, _ADD, _REMOVE = map(_load, ("inotify_init1", "inotify_add_watch", "inotify_rm_watch"))


def _check(result: int, path: str = "") -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


@attrs.frozen(kw_only=True)
class FolderListener:
    """
    Who hears of changes, in the reactor.

    Args:
        entry: an entry came, went or was renamed: the number of the folder, and the entry's name.
        ended: a folder was deleted or renamed, or its file system is gone; nothing more may come of it.
        lost: the system has dropped notices, of any folder.
    """

    entry: Callable[[int, str], None]
    ended: Callable[[int], None]
    lost: Callable[[], None]


@implementer(IReadDescriptor)
class FolderNotices:
    """
    Watched folders of one process: one descriptor, however many there are.

    Raises:
        OSError: there is no inotify, or all that a user may have are in use.
    """

    def __init__(self, reactor: IReactorFDSet, listener: FolderListener) -> None:
        self._reactor = reactor
        self._listener = listener
        self._descriptor = -1
        if _INIT is None or _ADD is None or _REMOVE is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        self._descriptor = _check(_INIT(os.O_CLOEXEC | os.O_NONBLOCK))
        reactor.addReader(self)

    def watch(self, path: str, mask: int) -> int:
        """
        Watch a folder; the same folder has the same number under whatever path. From any thread; may block.

        Raises:
            OSError: there is no such folder, or no more can be watched.
        """
        return _check(_ADD(self._descriptor, os.fsencode(path), ctypes.c_uint32(mask)), path)

    def ignore(self, number: int) -> None:
        """Watch a folder no longer; nothing happens when it is not watched. From any thread."""
        _REMOVE(self._descriptor, number)

    def close(self) -> None:
        """Watch nothing any more; may be called twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._reactor.removeReader(self)
            os.close(descriptor)

    # IReadDescriptor

    def logPrefix(self) -> str:
        """Name it in the log."""
        return "folders"

    def fileno(self) -> int:
        """Give the descriptor to wait for."""
        return self._descriptor

    def drain(self) -> None:
        """Take all notices that there are by now, and tell them; in the reactor thread."""
        while self._descriptor >= 0 and self._has_some():
            self._take()

    def _has_some(self) -> bool:
        """Whether there are notices: cheaper than to read in vain, since the answer is mostly no."""
        octets: int = _COUNT.unpack(fcntl.ioctl(self._descriptor, termios.FIONREAD, _NOTHING))[0]
        return octets > 0

    def doRead(self) -> None:
        """Take notices, as many as one read gives, and tell them."""
        self._take()

    def _take(self) -> None:
        """Take some, if there are any."""
        try:
            octets = os.read(self._descriptor, READ_OCTETS)
        except BlockingIOError:
            return
        entry, ended, lost = self._listener.entry, self._listener.ended, self._listener.lost
        position = 0
        while position < len(octets) and self._descriptor >= 0:
            number, mask, _, length = _HEAD.unpack_from(octets, position)
            position += _HEAD.size + length
            if mask & IN_Q_OVERFLOW:
                lost()
            elif mask & _ENDED:
                ended(number)
            elif length:
                entry(number, os.fsdecode(octets[position - length : position].rstrip(b"\0")))

    def connectionLost(self, reason: Failure) -> None:
        """Close: the reactor gives us up."""
        del reason
        self.close()
