"""A disk that fails, or a machine that stops, at the n-th call: for every n, what was promised must hold."""

import errno
import os
from collections.abc import Collection

import attrs

from mailsuite.durable import Disk


class Crash(BaseException):
    """
    The process ends here.

    No ``except Exception`` stops it; a test catches it, forgets every object, and opens the folder again.
    """


@attrs.frozen
class Call:
    """One call that reached the disk."""

    operation: str
    path: str


class FaultyDisk(Disk):
    """
    Counts calls and breaks one of them.

    Args:
        fail_at: number of the call, from 1, that raises OSError instead of reaching the disk; 0 for none.
        error: its number, for example ``errno.EIO`` or ``errno.ENOSPC``.
        crash_at: number of the call that raises `Crash`, as does every later one; 0 for none.
        lasting: later calls fail as well, until `heal`.
        operations: only these count and break; None for all.
        path_part: only calls whose path contains this count and break.

    Attributes:
        trace: every call in order, the broken one included.
        count: how many of them counted.
        crashed: the crash has happened.
    """

    def __init__(
        self,
        *,
        fail_at: int = 0,
        error: int = errno.EIO,
        crash_at: int = 0,
        lasting: bool = False,
        operations: Collection[str] | None = None,
        path_part: str = "",
    ) -> None:
        self.fail_at = fail_at
        self.error = error
        self.crash_at = crash_at
        self.lasting = lasting
        self.operations = operations
        self.path_part = path_part
        self.trace: list[Call] = []
        self.count = 0
        self.crashed = False

    def before(self, operation: str, path: str) -> None:
        """Note the call; break it if its turn has come."""
        if self.crashed:
            raise Crash(f"{operation} {path} after the crash")
        self.trace.append(Call(operation, path))
        if (self.operations is not None and operation not in self.operations) or self.path_part not in path:
            return
        self.count += 1
        if self.crash_at and self.count >= self.crash_at:
            self.crashed = True
            raise Crash(f"call {self.count}: {operation} {path}")
        if self.fail_at and (self.count == self.fail_at or (self.lasting and self.count > self.fail_at)):
            raise OSError(self.error, os.strerror(self.error), path)

    def heal(self) -> None:
        """Break nothing any more."""
        self.fail_at = self.crash_at = 0

    def reset(self) -> None:
        """Count and note from the beginning."""
        self.count = 0
        self.trace.clear()
