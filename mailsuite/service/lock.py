"""Locks that keep two servers from running on one folder; they end with their process, however it ends."""

import fcntl
import os
import time
from collections.abc import Callable, Iterable

from mailsuite.errors import Kind, MailError
from mailsuite.service.identity import ROOT
from mailsuite.service.roles import ALL_ROLES, Role

LOCK_FILE_MODE = 0o600
POLL_SECONDS = 0.02
ORPHANS_SECONDS = 10.0
"""So long a server waits at its start for workers of one that was killed; they notice it, and end."""


class RunLock:
    """
    The right to run some roles on a folder, or to be one of its workers. Each has a lock of its own.

    Args:
        folder: made when it is not there.
        worker: the name of a worker, which has locks of its own for its roles.
    """

    def __init__(self, folder: str, roles: Iterable[Role] = ALL_ROLES, *, worker: str = "") -> None:
        self._folder = folder
        self._worker = worker
        suffix = f"-{worker}" if worker else ""
        self._names = sorted(f"{role.value}{suffix}" for role in roles)
        self._descriptors: list[int] = []

    def acquire(self, patience_seconds: float = 0.0) -> None:
        """
        Take the locks; who is no worker also waits until none of a former server's is left.

        Args:
            patience_seconds: so long we wait for a process that is about to end. Blocks.

        Raises:
            MailError: CONFLICT when another process has one of them.
            OSError: the folder cannot be used.
        """
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        try:
            _persist(self._take_all, patience_seconds)
            if not self._worker:
                _persist(self._ensure_no_orphans, ORPHANS_SECONDS)
        except BaseException:
            self.release()
            raise

    def _take_all(self) -> None:
        self.release()
        for name in self._names:
            self._take(os.path.join(self._folder, f"{name}.lock"))

    def _ensure_no_orphans(self) -> None:
        roles = tuple(f"{name}-" for name in self._names)
        for file in os.listdir(self._folder):
            if file.startswith(roles) and file.endswith(".lock"):
                descriptor = os.open(os.path.join(self._folder, file), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    self._lock(descriptor)
                finally:
                    os.close(descriptor)

    def _take(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, LOCK_FILE_MODE)
        self._descriptors.append(descriptor)
        if os.geteuid() == ROOT:
            # Whoever the server becomes must be able to open it the next time.
            owner_of = os.stat(self._folder)
            os.fchown(descriptor, owner_of.st_uid, owner_of.st_gid)
        self._lock(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            who = f"process {owner}" if owner.isdigit() else "another process"
            folder = os.path.dirname(self._folder)
            raise MailError(Kind.CONFLICT, f"a server runs on {folder} already ({who}); stop it first") from None

    def release(self) -> None:
        """Give the locks back; may be called twice."""
        while self._descriptors:
            os.close(self._descriptors.pop())


def _persist(take: Callable[[], None], seconds: float) -> None:
    """Try for so long."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            take()
        except MailError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return
