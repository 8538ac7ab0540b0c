"""
Files whose octets and names survive what they should.

All calls block: make them from a worker thread.
"""

import contextlib
import ctypes
import errno
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence

FILE_MODE = 0o600
FOLDER_MODE = 0o700
COPY_CHUNK_OCTETS = 256 * 1024


SYNC_TOGETHER = 64  # so many files are open at once, while they are written to disk


def _load(name: str, *arguments: type) -> "ctypes._NamedFuncPointer | None":
    try:
        function: ctypes._NamedFuncPointer = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    function.argtypes = arguments
    return function


_SYNCFS = _load("syncfs", ctypes.c_int)
_SYNC_FILE_RANGE = _load("sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_BEGIN = 2  # SYNC_FILE_RANGE_WRITE


class Disk:
    """
    The door. One is made by the service and handed down; a test hands down its own.

    Every method tells `before` what it is about to do; nothing else touches the disk.
    """

    def before(self, operation: str, path: str) -> None:
        """
        Do nothing; the seam for fault injection.

        Args:
            operation: ``open write fsync close rename link unlink mkdir rmdir listdir stat read utime commit syncfs``.
        """

    # one system call each

    def open(self, path: str, flags: int, mode: int = FILE_MODE) -> int:
        """Open a file, never through a symbolic link as its last part, never inherited by children."""
        self.before("open", path)
        return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode)

    def write(self, descriptor: int, data: bytes | memoryview, path: str) -> None:
        """Write all of `data`; a full disk raises, and what was written so far is there."""
        self.before("write", path)
        view = memoryview(data)
        while view:
            written = os.write(descriptor, view)
            view = view[written:]

    def fsync(self, descriptor: int, path: str) -> None:
        """Wait until octets and size are on disk."""
        self.before("fsync", path)
        os.fdatasync(descriptor)

    def close(self, descriptor: int, path: str) -> None:
        """Close a descriptor; it is closed even if this raises."""
        try:
            self.before("close", path)
        finally:
            os.close(descriptor)

    def rename(self, old: str, new: str) -> None:
        """Rename within a file system, replacing what was there."""
        self.before("rename", new)
        os.rename(old, new)

    def link(self, old: str, new: str) -> None:
        """Give a file a second name; raises FileExistsError when the name is taken."""
        self.before("link", new)
        os.link(old, new, follow_symlinks=False)

    def unlink(self, path: str) -> None:
        """Remove a name; raises FileNotFoundError when it is not there."""
        self.before("unlink", path)
        os.unlink(path)

    def mkdir(self, path: str) -> None:
        """Make one folder; one that is there already is fine."""
        self.before("mkdir", path)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, FOLDER_MODE)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        self.before("rmdir", path)
        os.rmdir(path)

    def listdir(self, path: str) -> list[str]:
        """Names in a folder, in no order."""
        self.before("listdir", path)
        return os.listdir(path)

    def list_some(self, path: str, most: int) -> list[str]:
        """So many names in a folder at most, in no order."""
        self.before("listdir", path)
        with os.scandir(path) as entries:
            return [entry.name for entry in itertools.islice(entries, most)]

    def stat(self, path: str) -> os.stat_result:
        """Look at a file, not through a symbolic link."""
        self.before("stat", path)
        return os.stat(path, follow_symlinks=False)

    def pread(self, descriptor: int, length: int, offset: int, path: str) -> bytes:
        """Read octets at an offset; fewer only at the end."""
        self.before("read", path)
        pieces = []
        while length > 0:
            piece = os.pread(descriptor, length, offset)
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return b"".join(pieces)

    def utime(self, path: str, seconds: float) -> None:
        """Set a file's modification time."""
        self.before("utime", path)
        os.utime(path, (seconds, seconds), follow_symlinks=False)

    def free_octets(self, path: str) -> int:
        """Room left for us on the file system of `path`."""
        self.before("stat", path)
        info = os.statvfs(path)
        return info.f_bavail * info.f_frsize

    # made of the above

    @contextlib.contextmanager
    def opened(self, path: str, flags: int = os.O_RDONLY) -> Iterator[int]:
        """Open for the length of a block."""
        descriptor = self.open(path, flags)
        try:
            yield descriptor
        finally:
            self.close(descriptor, path)

    def read_file(self, path: str, limit_octets: int | None = None) -> bytes:
        """Read a file from its beginning."""
        with self.opened(path) as descriptor:
            size = os.fstat(descriptor).st_size
            return self.pread(descriptor, size if limit_octets is None else min(size, limit_octets), 0, path)

    def write_file(self, path: str, pieces: Iterable[bytes | memoryview], *, sync: bool) -> int:
        """
        Write a file under its own name, emptying one that is there; return its length.

        Args:
            sync: wait until the octets are on disk. The name is not: see `sync_folder`.
        """
        length = 0
        with self.opened(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
            for piece in pieces:
                self.write(descriptor, piece, path)
                length += len(piece)
            if sync:
                self.fsync(descriptor, path)
        return length

    def sync_files(self, paths: Sequence[str]) -> None:
        """
        Wait until the octets of files are on disk, as `write_file` does for one.

        Writing all of them is begun before one is waited for: the file system then needs fewer turns.

        Raises:
            OSError: those of some may not be.
        """
        for start in range(0, len(paths), SYNC_TOGETHER):
            with contextlib.ExitStack() as stack:
                some = [(stack.enter_context(self.opened(path)), path) for path in paths[start : start + SYNC_TOGETHER]]
                if _SYNC_FILE_RANGE is not None and len(some) > 1:
                    for descriptor, _ in some:
                        _SYNC_FILE_RANGE(descriptor, 0, 0, _BEGIN)  # whether it did is told by what follows
                for descriptor, path in some:
                    self.fsync(descriptor, path)

    def replace_file(self, path: str, data: bytes) -> None:
        """Give a file new content, so that at any moment the old or the new one is there, and durable at the end."""
        beside = f"{path}.new"
        self.write_file(beside, [data], sync=True)
        self.rename(beside, path)
        self.sync_folder(os.path.dirname(path))

    def make_folders(self, path: str) -> None:
        """Make a folder and those above it, and make their names durable; above it, symbolic links are followed."""
        path = os.path.realpath(path)
        missing = []
        while path and not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for folder in reversed(missing):
            self.mkdir(folder)
            self.sync_folder(os.path.dirname(folder))

    def remove(self, path: str) -> bool:
        """Remove a name if it is there; say whether it was."""
        try:
            self.unlink(path)
        except FileNotFoundError:
            return False
        return True

    def sync_folder(self, path: str) -> None:
        """Wait until the names in a folder are on disk."""
        descriptor = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self.before("fsync", path)
            os.fsync(descriptor)
        finally:
            self.close(descriptor, path)

    def sync_file_system(self, path: str) -> None:
        """
        Wait until everything written to the file system of `path` is on disk; a symbolic link is followed.

        Raises:
            OSError: it may not be; ENOSYS where the system cannot do it.
        """
        descriptor = self.open(os.path.realpath(path), os.O_RDONLY)
        try:
            self.before("syncfs", path)
            if _SYNCFS is None:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
            if _SYNCFS(descriptor) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), path)
        finally:
            self.close(descriptor, path)
