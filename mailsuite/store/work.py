"""What commits have promised to do to files and folders: each promise is in the index until it is kept."""

import contextlib
import errno
import os
import sqlite3
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from mailsuite.durable import Synchronous
from mailsuite.store import file_statements, maildir

if TYPE_CHECKING:
    from mailsuite.store.index import AccountIndex

REMOVAL_SECONDS = 0.02
"""So long files of messages that are gone are removed at a time; then the lane serves others."""
REMOVAL_BATCH = 32

Promise = tuple[int, str, str]
"""Its number, the path, and the one that it is to have then; empty for a file that is to be removed."""


@attrs.frozen
class Removal:
    """
    A file of a message that is gone, or a folder of a mailbox that is.

    Args:
        number: of the promise.
        mailbox_id: whose file it was; 0: nobody knows any more.
        is_folder: it is removed with all that is in it.
    """

    number: int
    path: str
    mailbox_id: int = 0
    is_folder: bool = False


class PendingWork:
    """
    The promises of one account.

    Renames and what must be gone before others go on are done at once; files are removed some at a time.

    Args:
        index: the account's; whoever uses this has its turn.
    """

    def __init__(self, index: "AccountIndex") -> None:
        self._index = index
        self._done: list[int] = []
        self._emptying: list[int] = []
        self._left: list[Promise] = []
        self._removals: deque[Removal] = deque()

    def load(self) -> None:
        """Learn what is promised; what another process did, it has forgotten."""
        pending = file_statements.pending(self._index.connection)
        self._left = [line for line in pending if line[2]]
        self._removals = deque([Removal(number, source) for number, source, target in pending if not target])
        self._done, self._emptying = [], []

    @contextlib.contextmanager
    def noting(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Note in a transaction what is done; it counts as noted when the transaction ends well."""
        done, emptying = len(self._done), len(self._emptying)
        if done:
            file_statements.forget_pending(connection, self._done)
        if emptying:
            file_statements.note_discarded(connection, self._emptying)
        yield
        del self._done[:done], self._emptying[:emptying]

    def do(self, work: Sequence[Promise]) -> None:
        """Keep promises; what fails is tried again later."""
        for number, source, target in work:
            try:
                if not target:
                    self._index.disk.remove(source)
                elif os.path.lexists(source) and not os.path.lexists(target):
                    self._index.disk.rename(source, target)
            except OSError as error:
                self._fail((number, source, target), error)
            else:
                if target and os.path.basename(target).startswith(maildir.DISCARDED):
                    self._emptying.append(number)
                    self._removals.append(Removal(number, target, is_folder=True))
                else:
                    self._done.append(number)
        named = any(target for _, _, target in work)
        if (self._done or self._emptying) and (named or not self._index.lock.is_alone()):
            self._note()

    def _fail(self, promise: Promise, error: OSError) -> None:
        self._left.append(promise)
        reason = errno.errorcode.get(error.errno or 0, "")
        self._index.place.log.emit("store.work.deferred", account=self._index.account_id, reason=reason)

    def _note(self) -> None:
        """Note at once what is done: another process would do it again, to what has the name by then."""
        database = self._index.database
        with contextlib.suppress(OSError, sqlite3.Error):  # else with the next transaction
            database.set_synchronous(Synchronous.NORMAL)
            with database.writing() as connection, self.noting(connection):
                pass

    @property
    def is_overdue(self) -> bool:
        """Whether something has failed that is to be done before what it was promised for can change."""
        return bool(self._left)

    def retry(self) -> set[str]:
        """Do again what failed; give the paths that should be gone and are not."""
        left, self._left = self._left, []
        self.do(left)
        return {source for _, source, _ in self._left}.union([removal.path for removal in self._removals])

    def awaits(self, folder: str) -> bool:
        """Whether a folder is still to be renamed: one that is made of that name would be taken for it."""
        return any(source == folder for _, source, _ in self._left)

    @property
    def has_removals(self) -> bool:
        """Whether files wait to be removed."""
        return bool(self._removals)

    def add_removals(self, removals: Sequence[Removal]) -> None:
        """Remove more files, the first of them now."""
        self._removals.extend(removals)
        self.remove_some()

    def remove_some(self) -> None:
        """Remove files of messages that are gone, for a while."""
        ends = time.monotonic() + REMOVAL_SECONDS
        while self._removals:
            first = self._removals[0]
            if first.is_folder:
                self._empty(first)
            else:
                self._remove(first.mailbox_id)
            if time.monotonic() > ends:
                return

    def _remove(self, mailbox_id: int) -> None:
        batch: list[Promise] = []
        while self._removals and len(batch) < REMOVAL_BATCH:
            removal = self._removals[0]
            if removal.mailbox_id != mailbox_id or removal.is_folder:
                break
            self._removals.popleft()
            batch.append((removal.number, removal.path, ""))
        if mailbox_id:
            with self._index.own_change(mailbox_id, os.path.dirname(os.path.dirname(batch[0][1]))):
                self.do(batch)
        else:
            self.do(batch)

    def _empty(self, removal: Removal) -> None:
        """Remove some of what is in a folder, and the folder when nothing is."""
        try:
            gone = self._remove_files(removal.path)
        except OSError as error:
            self._removals.popleft()
            self._fail((removal.number, removal.path, removal.path), error)
            return
        if gone:
            self._removals.popleft()
            self._done.append(removal.number)
            self._note()

    def _remove_files(self, folder: str) -> bool:
        for path in (*(f"{folder}/{subfolder}" for subfolder in maildir.SUBFOLDERS), folder):
            if not os.path.isdir(path):
                continue
            some = self._index.disk.list_some(path, REMOVAL_BATCH)
            for name in some:
                self._index.disk.remove(f"{path}/{name}")
            if len(some) == REMOVAL_BATCH:
                return False
            self._index.disk.rmdir(path)
        return True

    def finish(self) -> set[str]:
        """Keep all promises, however long it takes; give the paths that should be gone and are not."""
        self.retry()
        while self._removals:
            self.remove_some()
        return self.retry()
