"""The open accounts of one lane: opened when needed, closed when others need the room."""

import contextlib
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

import attrs

from mailsuite.durable import InlineLane, Lane, is_damage
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import UnwritableError
from mailsuite.store import annotations, reindex, rights, statements
from mailsuite.store.carry import forget_previous
from mailsuite.store.index import AccountIndex, UnfinishedIndexError
from mailsuite.store.lock import AccountLock
from mailsuite.store.maildir import Home, home_of
from mailsuite.store.moves import Moves
from mailsuite.store.prune import prune
from mailsuite.store.scan import mirror_flags, recover
from mailsuite.store.transaction import Place
from mailsuite.store.unwritable import FULL_OR_READ_ONLY, ReadOnlyLock, reason_not_to_write, reason_of

ALONE_SECONDS = 3.0
"""So long we wait for other processes to close an account whose index or folder is to be exchanged."""
ALONE_POLL_SECONDS = 0.02
FROZEN_SECONDS = 1.0
"""So long what could only be opened to be read is not tried to be written again."""
PAUSE_PER_COST = 10
"""Trying it takes at most about this part of the time."""


@attrs.frozen(kw_only=True)
class Others:
    """
    What a lane asks of those beside it.

    Args:
        told: hears of commits: account, mailbox, MODSEQ.
        finish: lets the lane of another account finish its move.
        let_go: asks other processes to close an account; they may be slow, or none.
    """

    told: Callable[[int, int, int], None]
    finish: Callable[[int], None]
    let_go: Callable[[int], None]


class OpenAccounts:
    """
    Used in its lane only.

    Args:
        open_max: most accounts held open.
        moves: where accounts lie whose address changed.
    """

    def __init__(self, lane: Lane | InlineLane, place: Place, open_max: int, moves: Moves, others: Others) -> None:
        self.lane = lane
        self._place = place
        self._open_max = open_max
        self._moves = moves
        self._others = others
        self._open: OrderedDict[int, AccountIndex] = OrderedDict()
        self._removing: set[int] = set()
        self._frozen: dict[int, float] = {}

    @contextlib.contextmanager
    def using(self, account_id: int, email: str) -> Iterator[AccountIndex]:
        """
        Give an account, opened, repaired if need be, and up to date, while no other process works on it.

        Raises:
            MailError, OSError, sqlite3.Error: it cannot be opened.
        """
        index = self._take(account_id, email)
        try:
            yield index
        finally:
            index.lock.release()
            if index.read_only:
                index.database.close()
                index.lock.close()
            if index.work.has_removals and account_id not in self._removing:
                self._removing.add(account_id)
                self.lane.post(self._remove_more, account_id, email)

    def _remove_more(self, account_id: int, email: str) -> None:
        """Go on with removing files, behind what others asked of the lane meanwhile; for a lane's `post`."""
        self._removing.discard(account_id)
        try:
            with self.using(account_id, email) as index:
                index.work.remove_some()
        except (OSError, sqlite3.Error, MailError) as error:
            self._place.log.failure("store.removal.failed", error, account=account_id)

    def _take(self, account_id: int, email: str) -> AccountIndex:
        index = self._open.get(account_id)
        if index is not None:
            index.lock.acquire()
            try:
                if index.is_current():
                    self._open.move_to_end(account_id)
                    index.refresh()
                    return index
            except BaseException:
                index.lock.release()
                raise
            self._drop(account_id)  # built anew, or moved, by another process
        while len(self._open) >= self._open_max:
            self.forget(next(iter(self._open)))
        index = self._open_account(account_id, email)
        if not index.read_only:
            self._open[account_id] = index
            forget_previous(index.home, self._place)
        return index

    def _drop(self, account_id: int) -> None:
        index = self._open.pop(account_id)
        index.database.close()
        index.lock.close()

    def _home(self, account_id: int, email: str) -> Home:
        settings = self._place.settings
        here = home_of(settings.maildir_root, settings.layout, account_id, email)
        if self._moves.is_due(account_id, here):
            try:
                self.finish_move(account_id)
            except OSError as error:
                if not reason_of(error):  # else it is read where it is
                    raise
        home = self._moves.home(account_id, here)
        if other := self._moves.claimant(account_id, home):
            # The directory gave this address to somebody else: what lies here belongs to who had it before.
            self._others.finish(other)
            if self._moves.claimant(account_id, home):
                raise MailError(Kind.UNAVAILABLE, "the mailboxes are being moved; try again")
        return home

    def _make_home(self, account_id: int, home: Home) -> None:
        """Make the folder of an account; not while it is being moved, or there would be two."""
        self._place.enter()
        if not self._moves.is_begun(account_id):
            self._place.make_tree(home.path)

    def _lock(self, home: Home, make: type[AccountLock] = AccountLock) -> AccountLock:
        """Have our turn with an account that we have not open; it is ours until the lock is released or closed."""
        while True:
            lock = make(home.lock, self._place.disk)
            try:
                lock.acquire()
                if lock.is_in_place():
                    return lock
            except BaseException:
                lock.close()
                raise
            lock.close()  # the folder was moved, and another one made, while we waited

    def begin_rename(self, account_id: int, email: str, new_email: str) -> None:
        """Prepare for another address of an account; see `Moves`."""
        settings = self._place.settings
        with self.using(account_id, email) as index:
            if index.work.finish():
                raise MailError(
                    Kind.UNAVAILABLE, "something is still to be removed from the mailboxes; try again later"
                )
            with index.writing():
                pass  # what was promised and done must not be done again at this path
            new = home_of(settings.maildir_root, settings.layout, account_id, new_email)
            self._moves.begin_rename(account_id, index.home, new)

    def begin_removal(self, account_id: int, email: str) -> None:
        """Prepare for an account's end; see `Moves`."""
        self._moves.begin_removal(account_id, self._home(account_id, email))

    def finish_move(self, account_id: int) -> str:
        """Let the folder of an account follow the directory; say where it is."""
        self.forget(account_id)
        home = self._moves.source(account_id)
        if home is None:
            return self._moves.finish(account_id)
        lock = self._lock_alone(account_id, home)
        try:
            return self._moves.finish(account_id)
        finally:
            lock.close()

    def _lock_alone(self, account_id: int, home: Home) -> AccountLock:
        """
        Have an account for ourselves, which is not open here: nobody may keep what is exchanged open.

        Raises:
            MailError: UNAVAILABLE, when another process keeps it open.
        """
        deadline = time.monotonic() + ALONE_SECONDS
        while True:
            lock = self._lock(home)
            if lock.enter():
                return lock
            lock.close()
            if time.monotonic() > deadline:
                raise MailError(Kind.UNAVAILABLE, "another process has the mailboxes open; try again, or stop it first")
            self._others.let_go(account_id)
            time.sleep(ALONE_POLL_SECONDS)

    def finish_quietly(self, account_id: int) -> None:
        """Do so for a lane's `post`."""
        try:
            self.finish_move(account_id)
        except (OSError, MailError) as error:
            self._place.log.failure("store.move.failed", error)

    def _open_account(self, account_id: int, email: str) -> AccountIndex:
        home = self._home(account_id, email)
        began = time.monotonic()
        if began < self._frozen.get(account_id, 0.0):
            with contextlib.suppress(OSError, sqlite3.DatabaseError):
                return self._open_to_read(account_id, home)
        try:
            index = self._open_home(account_id, home)
        except (OSError, sqlite3.OperationalError) as error:
            reason = reason_of(error) or reason_not_to_write(self._place.disk, home.path)
            if not reason:
                raise
            try:
                index = self._open_to_read(account_id, home)
            except (OSError, sqlite3.DatabaseError):
                raise error from None
            if account_id not in self._frozen:
                self._place.log.emit("store.account.frozen", account=account_id, reason=reason)
            now = time.monotonic()
            self._frozen[account_id] = now + max(FROZEN_SECONDS, PAUSE_PER_COST * (now - began))
        else:
            self._frozen.pop(account_id, None)
        return index

    def is_frozen(self, account_id: int) -> bool:
        """Whether an account could only be opened to be read."""
        return account_id in self._frozen

    def _open_to_read(self, account_id: int, home: Home) -> AccountIndex:
        """Open what can be read where nothing can be written; it is not there for others, which may repair and move."""
        try:
            lock = self._lock(home)
        except OSError:
            lock = self._lock(home, ReadOnlyLock)
        try:
            return AccountIndex(account_id, home, self._place, self._others.told, lock, read_only=True)
        except BaseException:
            lock.close()
            raise

    def _open_home(self, account_id: int, home: Home) -> AccountIndex:
        self._make_home(account_id, home)
        lock = self._lock(home)
        try:
            alone = lock.enter()
            index = self._open_index(account_id, home, lock, alone=alone)
            try:
                if index.recovering:
                    recover(index)
                rights.write_all(index)
                annotations.write_all(index)
            except BaseException:
                index.database.close()
                raise
        except BaseException:
            lock.close()
            raise
        return index

    def _open_index(self, account_id: int, home: Home, lock: AccountLock, *, alone: bool) -> AccountIndex:
        place, told = self._place, self._others.told
        try:
            if reindex.is_needed(home):
                return reindex.rebuild(account_id, home, place, told, lock)
            return AccountIndex(account_id, home, place, told, lock)
        except UnfinishedIndexError:
            self._ensure_alone(account_id, alone=alone)
            reindex.throw_away(home, place.disk)
            return reindex.rebuild(account_id, home, place, told, lock)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._ensure_alone(account_id, alone=alone)
            return reindex.replace_damaged(account_id, home, place, told, lock)

    def _ensure_alone(self, account_id: int, *, alone: bool) -> None:
        if not alone:
            self._others.let_go(account_id)
            raise MailError(Kind.UNAVAILABLE, "the mailboxes are being repaired; try again")

    def rebuild(self, account_id: int, email: str, progress: reindex.Progress | None) -> int:
        """Build an account's index anew; return the number of messages."""
        self.forget(account_id)
        home = self._home(account_id, email)
        self._make_home(account_id, home)
        lock = self._lock_alone(account_id, home)
        try:
            index = reindex.replace(account_id, home, self._place, self._others.told, lock, progress)
        except BaseException:
            lock.close()
            raise
        self._open[account_id] = index
        forget_previous(home, self._place)
        count = statements.totals(index.connection)[1]
        lock.release()
        return count

    def damaged(self, account_id: int) -> None:
        """Close an account whose index turned out to be damaged; it is checked when it is next opened."""
        index = self._open.pop(account_id, None)
        if index is None:
            return
        index.database.close()
        try:
            index.lock.acquire()
            if index.lock.is_alone():
                reindex.keep_damaged(index.home, self._place)
            else:
                self._others.let_go(account_id)
        except (OSError, MailError) as error:
            self._place.log.failure("store.close.failed", error, account=account_id)
        finally:
            index.lock.close()

    def forget(self, account_id: int) -> None:
        """Close an account if it is open."""
        index = self._open.pop(account_id, None)
        if index is not None:
            self._close(index)

    def mirror(self, account_id: int, email: str, mailbox_id: int) -> None:
        """Write flags into file names; for a lane's `post`, so it never raises."""
        try:
            with self.using(account_id, email) as index:
                mirror_flags(index, mailbox_id)
                prune(index)
        except (OSError, sqlite3.Error, MailError) as error:
            self._place.log.failure("store.mirror.failed", error, account=account_id)

    def _close(self, index: AccountIndex) -> None:
        try:
            index.lock.acquire()
            if index.is_current():
                try:
                    prune(index)
                finally:
                    index.close()
        except (OSError, sqlite3.Error, MailError) as error:
            self._place.log.failure("store.close.failed", error, account=index.account_id)
        finally:
            index.database.close()
            index.lock.close()

    def close(self) -> None:
        """Close all."""
        while self._open:
            _, index = self._open.popitem()
            self._close(index)


def neutral_error(error: Exception) -> MailError:
    """Turn a failure of the disk or the database into one that protocols know."""
    if isinstance(error, MailError):
        return error
    if reason_of(error) in FULL_OR_READ_ONLY:
        return UnwritableError()
    return MailError(Kind.UNAVAILABLE, "the mailbox cannot be reached; try again later")
