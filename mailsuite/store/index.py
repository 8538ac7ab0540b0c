"""
One open account: its index, its folders, and the transaction that keeps the two together.

Every change is made in this order. Files are staged in ``tmp/`` of the mailbox; the index commits; then files are
renamed to where they belong and what is gone is removed. The commit decides: before it nothing happened, after it what
is left to do is found in ``tmp/`` or in the table of pending work and is done when the account is next looked at.
Files of many messages that are gone are removed some at a time, so that other work of the lane has its turn.
"""

import contextlib
import errno
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator

from mailsuite.durable import Database, ReadOnlyDatabase, Synchronous, migrate
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import TooManyKeywordsError
from mailsuite.message.references import thread_id
from mailsuite.store import maildir, statements
from mailsuite.store.flags import LETTERED_KEYWORDS, SET_SHIFT, FlagSets, split_flags
from mailsuite.store.lock import AccountLock
from mailsuite.store.statements import MailboxRow
from mailsuite.store.transaction import Place, Transaction
from mailsuite.store.work import PendingWork

CACHE_KIBIBYTES = 256
UID_RESERVE = 4096
MODSEQ_RESERVE = 1 << 20
UID_MAX = (1 << 32) - 1
REBUILDING = 2
"""In place of the truth value of `clean`: the index is not complete."""

SPECIAL_NAMES = {
    "Archive": "\\Archive",
    "Drafts": "\\Drafts",
    "Junk": "\\Junk",
    "Sent": "\\Sent",
    "Trash": "\\Trash",
}


class UnfinishedIndexError(sqlite3.DatabaseError):
    """The index was not built to its end; nothing is in it that is not elsewhere."""


class AccountIndex:
    """
    One account, in one thread.

    Other processes may have it open as well: whoever uses this object has its turn, see `AccountLock`.

    Args:
        home: where it lies; the folder is there.
        lock: of the account, entered unless it is only read.
        told: called after commits with the mailbox and its MODSEQ; 0 and 0 when the set of mailboxes changed.
        fresh: fill an empty index with the mailboxes that every account has.
        read_only: nothing can be written; see `mailsuite.store.unwritable`.
    """

    def __init__(
        self,
        account_id: int,
        home: maildir.Home,
        place: Place,
        told: Callable[[int, int, int], None],
        lock: AccountLock,
        *,
        fresh: bool = True,
        read_only: bool = False,
    ) -> None:
        self.account_id = account_id
        self.read_only = read_only
        self.home = home
        self.lock = lock
        self.place = place
        self.disk = place.disk
        self.settings = place.settings
        self.home_stamp = 0
        self.recovering = False
        self._told = told
        self._opened = False
        self._unsynced = not os.path.exists(home.index)
        if not read_only and not self._unsynced and not os.access(home.index, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), home.index)  # SQLite would not say so
        self.work = PendingWork(self)
        self._version = -1
        self._newest = (-1, -1)
        self.database = (
            ReadOnlyDatabase(home.index, place.disk)
            if read_only
            else Database(home.index, place.disk, synchronous=Synchronous.NORMAL, cache_size=-CACHE_KIBIBYTES)
        )
        try:
            migrate(self.database, "mailsuite.store")
            self.connection = self.database.connection
            self.connection.create_function("thread_id", 2, thread_id, deterministic=True)
            self.flags = FlagSets()
            self._inode = place.disk.stat(home.index).st_ino
            self.refresh()
            if read_only:
                self._ensure_complete()
            else:
                self._begin(fresh=fresh)
        except BaseException:
            self.database.close()
            raise

    # opening and closing

    def _begin(self, *, fresh: bool) -> None:
        account = statements.load_account(self.connection)
        if account is None:
            if not fresh:
                return
            if os.path.exists(f"{self.home.folder(maildir.INBOX)}/cur"):
                raise UnfinishedIndexError
            with self.writing() as transaction:
                statements.save_account(transaction.connection, self.place.boot, 0, int(self.place.clock()))
                self.make_mailbox(transaction, maildir.INBOX)
                for name in self.settings.create_special:
                    self.make_mailbox(transaction, maildir.check_name(name), SPECIAL_NAMES.get(name, ""))
                    statements.subscribe(transaction.connection, name, subscribed=True)
            return
        boot, clean, uidvalidity = account
        if clean == REBUILDING:
            raise UnfinishedIndexError
        if not clean and self.lock.is_alone():
            self.recovering = True  # who had it open before has ended without closing it
            self._unsynced = True
        self.work.load()
        self.work.retry()
        if boot != self.place.boot or not boot:
            with self.writing() as transaction:
                if boot not in self.place.clean_boots() or not boot:
                    self._jump(transaction)
                statements.save_account(transaction.connection, self.place.boot, 0, uidvalidity)

    def _ensure_complete(self) -> None:
        account = statements.load_account(self.connection)
        if account is None or account[1] == REBUILDING:
            raise UnfinishedIndexError

    def _jump(self, transaction: Transaction) -> None:
        # The machine stopped at once: clients may have seen UIDs and MODSEQs that the index has lost.
        for row in statements.mailboxes(transaction.connection):
            if row.selectable:
                transaction.rows[row.mailbox_id] = row
                row.uidnext = max(row.uidnext, row.ceiling)
                row.modseq += MODSEQ_RESERVE
                self.reserve(row, 0)

    def is_current(self) -> bool:
        """Whether this is still the account's index: another process can have built it anew or moved it."""
        try:
            return self.disk.stat(self.home.index).st_ino == self._inode
        except FileNotFoundError:
            return False

    def refresh(self) -> None:
        """Take in what another process changed since our last turn."""
        (version,) = self.connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return
        known, self._version = self._version >= 0, version
        newest = statements.newest(self.connection)
        if newest[0] != self._newest[0]:
            self._load()
        if known:
            if newest[1] != self._newest[1]:
                self._unsynced = True  # made by another process, which owes nobody that it is durable
            # What another process promised and could not do is as much our work; what it did, it has forgotten.
            self.work.load()
            self._opened = True
        self._newest = newest

    def _load(self) -> None:
        self.flags = FlagSets(statements.keyword_sets(self.connection))

    def close(self) -> None:
        """Note that nothing is left to do, unless another process has the account open as well, and close."""
        try:
            if self._opened and self.lock.is_alone():
                with self.writing() as transaction:
                    account = statements.load_account(transaction.connection)
                    statements.save_account(transaction.connection, self.place.boot, 1, account[2] if account else 0)
        finally:
            self.database.close()

    def tell_from_now_on(self, told: Callable[[int, int, int], None]) -> None:
        """Tell where every mailbox stands, and from now on of every commit."""
        self._told = told
        for row in statements.mailboxes(self.connection):
            if row.selectable:
                told(self.account_id, row.mailbox_id, row.modseq)
        told(self.account_id, 0, 0)

    # transactions

    @contextlib.contextmanager
    def writing(self, *, durable: bool = False) -> Iterator[Transaction]:
        """
        Change the index and the folders together.

        Args:
            durable: at the end everything survives a power loss.
        """
        if self.work.is_overdue:
            self.work.retry()  # before what it was promised for can change
        if durable:
            self.sync_tree()
        self.database.set_synchronous(Synchronous.FULL if durable else Synchronous.NORMAL)
        transaction = None
        try:
            with self.database.writing() as connection, self.work.noting(connection):
                transaction = Transaction(connection, durable)
                self._note_open(connection)
                yield transaction
                for row in transaction.rows.values():
                    statements.save_mailbox(connection, row)
                if durable:
                    for folder in {self.folder(row) for row, _, _ in transaction.staged}:
                        self.disk.sync_folder(f"{folder}/{maildir.TMP}")
        except BaseException:
            if transaction is not None:
                self._undo(transaction)
            raise
        self._opened = True
        self._finish(transaction)

    def _note_open(self, connection: sqlite3.Connection) -> None:
        if not self._opened:
            connection.execute("UPDATE account SET clean = 0 WHERE id = 1 AND clean = 1")

    def _undo(self, transaction: Transaction) -> None:
        self._load()
        for row, file, _ in transaction.staged:
            with contextlib.suppress(OSError):
                self.disk.remove(f"{self.folder(row)}/{maildir.TMP}/{file}")
        for folder in transaction.made:
            with contextlib.suppress(OSError):
                self._remove_folder(folder)

    def _finish(self, transaction: Transaction) -> None:
        if transaction.staged:
            self._publish_files(transaction.staged)
        if transaction.work:
            self.work.do(transaction.work)
        if transaction.removals:
            self.work.add_removals(transaction.removals)
        for row in transaction.rows.values():
            self._told(self.account_id, row.mailbox_id, row.modseq)
        if transaction.tree_changed:
            self._told(self.account_id, 0, 0)

    def _publish_files(self, staged: Iterable[tuple[MailboxRow, str, str]]) -> None:
        by_mailbox: dict[int, list[tuple[MailboxRow, str, str]]] = {}
        for item in staged:
            by_mailbox.setdefault(item[0].mailbox_id, []).append(item)
        for items in by_mailbox.values():
            folder = self.folder(items[0][0])
            with self.own_change(items[0][0].mailbox_id, folder):
                for row, file, subfolder in items:
                    try:
                        self.disk.rename(f"{folder}/{maildir.TMP}/{file}", f"{folder}/{subfolder}/{file}")
                    except OSError:
                        # It is committed: whoever looks for the file finds it in tmp.
                        self.lock.set_look(row.mailbox_id, None)

    def _ensure_free(self, folder: str) -> None:
        # Work that is left would take a new folder of the same name for the old one.
        if self.work.awaits(folder):
            raise MailError(Kind.UNAVAILABLE, "a mailbox of that name is still being removed; try again later")

    def _remove_folder(self, path: str) -> None:
        if not os.path.isdir(path):
            return
        for subfolder in maildir.SUBFOLDERS:
            with contextlib.suppress(FileNotFoundError):
                for name in self.disk.listdir(f"{path}/{subfolder}"):
                    self.disk.remove(f"{path}/{subfolder}/{name}")
                self.disk.rmdir(f"{path}/{subfolder}")
        for name in self.disk.listdir(path):
            self.disk.remove(f"{path}/{name}")
        self.disk.rmdir(path)

    def sync_tree(self) -> None:
        """Make folders durable that were made since the last time, by us or by another process."""
        if not self._unsynced:
            return
        try:
            self.disk.sync_file_system(self.home.path)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            for folder, _, files in os.walk(self.settings.maildir_root):
                if folder.startswith(self.home.path):
                    for name in files:
                        with self.disk.opened(f"{folder}/{name}") as descriptor:
                            self.disk.fsync(descriptor, f"{folder}/{name}")
                    self.disk.sync_folder(folder)
            self.disk.sync_folder(self.settings.maildir_root)
        self._unsynced = False

    # folders

    def folder(self, row: MailboxRow) -> str:
        """Give the path of a mailbox's Maildir."""
        return self.home.folder(row.name)

    def stamp(self, folder: str) -> tuple[int, int]:
        """Give the modification times of new and cur."""
        return self.disk.stat(f"{folder}/new").st_mtime_ns, self.disk.stat(f"{folder}/cur").st_mtime_ns

    @contextlib.contextmanager
    def own_change(self, mailbox_id: int, folder: str) -> Iterator[None]:
        """Change new or cur without having to list them again because of it."""
        look = self.lock.look(mailbox_id)
        known = False
        if look is not None:
            with contextlib.suppress(OSError):
                known = self.stamp(folder) == look.stamp
        yield
        if look is not None and known:
            with contextlib.suppress(OSError):
                look.stamp = self.stamp(folder)
                look.sure = False
                self.lock.set_look(mailbox_id, look)

    def make_mailbox(self, transaction: Transaction, name: str, special: str = "") -> MailboxRow:
        """Make a mailbox and its folder; neither is durable before the next durable transaction."""
        self._ensure_free(self.home.folder(name))
        connection = transaction.connection
        account = statements.load_account(connection)
        last = account[2] if account else 0
        uidvalidity = min(max(last + 1, int(self.place.clock())), UID_MAX)
        connection.execute("UPDATE account SET uidvalidity = ? WHERE id = 1", (uidvalidity,))
        mailbox_id = statements.add_mailbox(connection, name, uidvalidity, UID_RESERVE, 1, special)
        row = transaction.row(mailbox_id)
        folder = self.folder(row)
        if folder != self.home.path and not os.path.lexists(folder):
            transaction.made.append(folder)
        self.make_folder(row)
        transaction.tree_changed = True
        return row

    def make_folder(self, row: MailboxRow) -> None:
        """Make a mailbox's folder, as far as it is not there."""
        folder = self.folder(row)
        self._unsynced = True
        self.place.make_tree(folder)
        for subfolder in maildir.SUBFOLDERS:
            self.disk.mkdir(f"{folder}/{subfolder}")
        if folder != self.home.path:
            self.disk.write_file(f"{folder}/maildirfolder", [], sync=False)
        self.disk.write_file(f"{folder}/{maildir.STATE}", [self.state_text(row)], sync=False)

    def state_text(self, row: MailboxRow) -> bytes:
        """Write what a lost index must not take with it."""
        lines = [
            f"uidvalidity {row.uidvalidity}",
            f"ceiling {row.ceiling}",
            f"mailbox {row.mailbox_id}",
            f"special {row.special}",
        ]
        lines.extend(
            f"keyword {number} {name}"
            for number, name in sorted(statements.keywords(self.connection, row.mailbox_id))
            if number < LETTERED_KEYWORDS
        )
        return "".join([f"{line.rstrip()}\n" for line in lines]).encode("ascii", "replace")

    def reserve(self, row: MailboxRow, count: int) -> None:
        """
        Note durably that UIDs up to the next `count` and some more may be given.

        Raises:
            MailError: UNAVAILABLE when all are used up.
        """
        if row.uidnext + count > UID_MAX - UID_RESERVE:
            raise MailError(Kind.UNAVAILABLE, "the mailbox has no UIDs left")
        if row.uidnext + count > row.ceiling or count == 0:
            row.ceiling = row.uidnext + count + UID_RESERVE
            self.disk.replace_file(f"{self.folder(row)}/{maildir.STATE}", self.state_text(row))

    def take_uid(self, row: MailboxRow) -> int:
        """Give the next UID."""
        if row.uidnext + 1 > row.ceiling:
            self.reserve(row, 1)
        uid = row.uidnext
        row.uidnext += 1
        return uid

    # flags

    def flags_number(self, transaction: Transaction, row: MailboxRow, flags: frozenset[str]) -> int:
        """
        Give flags their number, making keywords where they are new.

        Raises:
            TooManyKeywordsError: there would be too many.
        """
        bits, keywords = split_flags(flags)
        if not keywords:
            return bits
        keywords = self.ensure_keywords(transaction, row, keywords)
        number = self.flags.numbers.get(keywords)
        if number is None:
            number = statements.add_keyword_set(transaction.connection, " ".join(sorted(keywords)))
            self.flags.add(number, keywords)
        return number << SET_SHIFT | bits

    def ensure_keywords(self, transaction: Transaction, row: MailboxRow, keywords: frozenset[str]) -> frozenset[str]:
        """Make keywords of a mailbox where they are new; give all as they were first written."""
        known = {name.lower(): name for _, name in statements.keywords(transaction.connection, row.mailbox_id)}
        new = [name for name in sorted(keywords) if name.lower() not in known]
        if new:
            if len(known) + len(new) > self.settings.keywords_max:
                raise TooManyKeywordsError
            for number, name in enumerate(new, len(known)):
                if known.setdefault(name.lower(), name) == name:
                    statements.add_keyword(transaction.connection, row.mailbox_id, number, name)
            if len(known) <= LETTERED_KEYWORDS + len(new):
                self.disk.write_file(f"{self.folder(row)}/{maildir.STATE}.new", [self.state_text(row)], sync=False)
                self.disk.rename(f"{self.folder(row)}/{maildir.STATE}.new", f"{self.folder(row)}/{maildir.STATE}")
        return frozenset(known[name.lower()] for name in keywords)

    # finding

    def find_row(self, name: str) -> MailboxRow:
        """
        Find a mailbox that can be selected.

        Raises:
            MailError: NOT_FOUND.
        """
        row = statements.mailbox_by_name(self.connection, maildir.find_name(name))
        if row is None or not row.selectable:
            raise MailError(Kind.NOT_FOUND, "there is no such mailbox")
        return row

    def get_row(self, mailbox_id: int) -> MailboxRow:
        """
        Find an open mailbox.

        Raises:
            MailError: NOT_FOUND when it was deleted.
        """
        row = statements.mailbox_by_id(self.connection, mailbox_id)
        if row is None or not row.selectable:
            raise MailError(Kind.NOT_FOUND, "the mailbox is gone")
        return row

    def check_quota(self, limit_octets: int, octets: int, messages: int) -> None:
        """
        Check whether there is room for more.

        Raises:
            MailError: OVER_QUOTA.
        """
        if not limit_octets and not self.settings.messages_max:
            return
        used_octets, used_messages = statements.totals(self.connection)
        if limit_octets and used_octets + octets > limit_octets:
            raise MailError(Kind.OVER_QUOTA, "the account has not enough room")
        if self.settings.messages_max and used_messages + messages > self.settings.messages_max:
            raise MailError(Kind.OVER_QUOTA, "the account has too many messages")


def stored_token(clock: float) -> str:
    """Make a unique part for a message that a client stores."""
    return f"{maildir.STORED}{int(clock * 1000):x}-{secrets.token_hex(8)}"
