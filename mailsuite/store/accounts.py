"""The open accounts of one lane: opened when needed, closed when others need the room."""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable

from mailsuite.durable import InlineLane, Lane
from mailsuite.errors import Kind, MailError
from mailsuite.store import reindex, statements
from mailsuite.store.carry import forget_previous, is_damage
from mailsuite.store.index import AccountIndex, Place, UnfinishedIndexError
from mailsuite.store.maildir import Home, home_of
from mailsuite.store.moves import Moves
from mailsuite.store.prune import prune
from mailsuite.store.scan import mirror_flags, recover


class OpenAccounts:
    """
    Used in its lane only.

    Args:
        open_max: most accounts held open.
        moves: where accounts lie whose address changed.
        finish: lets the lane of another account finish its move.
    """

    def __init__(
        self,
        lane: Lane | InlineLane,
        place: Place,
        told: Callable[[int, int, int], None],
        open_max: int,
        moves: Moves,
        finish: Callable[[int], None],
    ) -> None:
        self.lane = lane
        self._place = place
        self._told = told
        self._open_max = open_max
        self._moves = moves
        self._finish = finish
        self._open: OrderedDict[int, AccountIndex] = OrderedDict()

    def get(self, account_id: int, email: str) -> AccountIndex:
        """
        Give an account, opened, repaired if need be, and up to date.

        Raises:
            MailError, OSError, sqlite3.Error: it cannot be opened.
        """
        index = self._open.get(account_id)
        if index is not None:
            self._open.move_to_end(account_id)
            index.refresh()
            return index
        while len(self._open) >= self._open_max:
            _, oldest = self._open.popitem(last=False)
            self._close(oldest)
        index = self._open_account(account_id, email)
        self._open[account_id] = index
        forget_previous(index.home, self._place)
        return index

    def _home(self, account_id: int, email: str) -> Home:
        settings = self._place.settings
        here = home_of(settings.maildir_root, settings.layout, account_id, email)
        home = self._moves.home(account_id, here)
        if other := self._moves.claimant(account_id, home):
            # The directory gave this address to somebody else: what lies here belongs to who had it before.
            self._finish(other)
            if self._moves.claimant(account_id, home):
                raise MailError(Kind.UNAVAILABLE, "the mailboxes are being moved; try again")
        return home

    def begin_rename(self, account_id: int, email: str, new_email: str) -> None:
        """Prepare for another address of an account; see `Moves`."""
        settings = self._place.settings
        index = self.get(account_id, email)
        if index.retry_work():
            raise MailError(Kind.UNAVAILABLE, "something is still to be removed from the mailboxes; try again later")
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
        return self._moves.finish(account_id)

    def finish_quietly(self, account_id: int) -> None:
        """Do so for a lane's `post`."""
        try:
            self.finish_move(account_id)
        except (OSError, MailError) as error:
            self._place.log.failure("store.move.failed", error)

    def _open_account(self, account_id: int, email: str) -> AccountIndex:
        home = self._home(account_id, email)
        try:
            if reindex.is_needed(home):
                return reindex.rebuild(account_id, home, self._place, self._told)
            index = AccountIndex(account_id, home, self._place, self._told)
        except UnfinishedIndexError:
            reindex.throw_away(home, self._place.disk)
            return reindex.rebuild(account_id, home, self._place, self._told)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return reindex.replace_damaged(account_id, home, self._place, self._told)
        if index.recovering:
            try:
                recover(index)
            except BaseException:
                index.database.close()
                raise
        return index

    def rebuild(self, account_id: int, email: str, progress: reindex.Progress | None) -> int:
        """Build an account's index anew; return the number of messages."""
        self.forget(account_id)
        home = self._home(account_id, email)
        index = reindex.replace(account_id, home, self._place, self._told, progress)
        self._open[account_id] = index
        forget_previous(home, self._place)
        return statements.totals(index.connection)[1]

    def damaged(self, account_id: int) -> None:
        """Close an account whose index turned out to be damaged; it is checked when it is next opened."""
        index = self._open.pop(account_id, None)
        if index is not None:
            index.database.close()
            reindex.keep_damaged(index.home, self._place)

    def forget(self, account_id: int) -> None:
        """Close an account if it is open."""
        index = self._open.pop(account_id, None)
        if index is not None:
            self._close(index)

    def mirror(self, account_id: int, email: str, mailbox_id: int) -> None:
        """Write flags into file names; for a lane's `post`, so it never raises."""
        try:
            index = self.get(account_id, email)
            mirror_flags(index, mailbox_id)
            prune(index)
        except (OSError, sqlite3.Error, MailError) as error:
            self._place.log.failure("store.mirror.failed", error, account=account_id)

    def _close(self, index: AccountIndex) -> None:
        try:
            try:
                prune(index)
            finally:
                index.close()
        except (OSError, sqlite3.Error) as error:
            self._place.log.failure("store.close.failed", error, account=index.account_id)

    def close(self) -> None:
        """Close all."""
        while self._open:
            _, index = self._open.popitem()
            self._close(index)


def neutral_error(error: Exception) -> MailError:
    """Turn a failure of the disk or the database into one that protocols know."""
    if isinstance(error, MailError):
        return error
    return MailError(Kind.UNAVAILABLE, "the mailbox cannot be reached; try again later")
