"""The store of a server: lanes, the accounts in them, and the way in for deliveries."""

import contextlib
import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from mailsuite.durable import Disk, FolderListener, InlineLane, Lane, LanePool, boot_id, is_damage
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    Account,
    Expired,
    Expiry,
    IAccountNumbers,
    IAccountUpkeep,
    IChangeBus,
    IDeliveryStore,
    ISharingStore,
    LocalDelivery,
    LocalOutcome,
    Usage,
)
from mailsuite.observe import EventLog
from mailsuite.store import boots, reindex, rights
from mailsuite.store.accounts import OpenAccounts, Others, neutral_error
from mailsuite.store.changes import ChangeBus, Publisher
from mailsuite.store.delivery import DeliveryLane
from mailsuite.store.expire import expire, usage
from mailsuite.store.guest import GuestSession
from mailsuite.store.index import AccountIndex
from mailsuite.store.lock import AccountLock
from mailsuite.store.maildir import home_of
from mailsuite.store.marker import ensure_layout
from mailsuite.store.moves import Moves
from mailsuite.store.session import AccountSession
from mailsuite.store.settings import StorageSettings
from mailsuite.store.transaction import Place
from mailsuite.store.unwritable import reason_not_to_write, reason_of
from mailsuite.store.watch import Notices, Watches

T = TypeVar("T")

UPLOADS = "..uploads"
PRESENCE = "..lock"
UPLOAD_AGE_SECONDS = 36 * 3600

LaneFactory = Callable[[str, IReactorFromThreads], Lane | InlineLane]


@implementer(IDeliveryStore, IAccountUpkeep, ISharingStore)
class MailStore:
    """
    Mailboxes in Maildir++ folders with SQLite indexes. Made by `open_store`.

    Args:
        bus: hears of every change.
        lane: makes the threads.
        clock: seconds since the epoch.

    Attributes:
        on_let_go: called in the reactor with an account that other processes should close by `let_go`; set by who
            knows them.
        numbers: tells what accounts may have now; None: what each session was given holds for it.
        watches: what hears of other programs at once, see `watch_folders`; None: nothing does.
    """

    def __init__(
        self,
        settings: StorageSettings,
        *,
        disk: Disk,
        reactor: IReactorFromThreads,
        bus: IChangeBus,
        lane: LaneFactory,
        clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.bus = bus
        self.disk = disk
        self.clock = clock
        self.uploads = f"{settings.maildir_root}/{UPLOADS}"
        self._log = EventLog(Logger("mailsuite.store"))
        self._reactor = reactor
        self._publisher = Publisher(bus, reactor)
        self.on_let_go: Callable[[int], None] = _nobody_else
        self.numbers: IAccountNumbers | None = None
        self.watches: Watches | None = None
        self._pool = LanePool([lane(f"store-{number}", reactor) for number in range(settings.lanes)])
        self._accounts: list[OpenAccounts] = []
        self._deliveries: list[DeliveryLane] = []
        self._touched: set[str] = set()
        self._touched_lock = threading.Lock()
        self._boot = boot_id()
        self._clean_boots: frozenset[str] = frozenset()
        self._presence: AccountLock | None = None
        self._entering = threading.Lock()
        self._started = False

    def start(self) -> None:
        """
        Make the root folder, start the threads. Blocks.

        Raises:
            MailError: CONFLICT, when the accounts lie in another layout.
        """
        root = self.settings.maildir_root
        self.disk.make_folders(root)
        ensure_layout(self.disk, root, self.settings.layout)
        try:
            self._enter()
        except OSError:
            reason = reason_not_to_write(self.disk, root)
            if not reason:
                raise
            self._log.emit("store.root.frozen", path=root, reason=reason)
        place = Place(
            settings=self.settings,
            disk=self.disk,
            clock=self.clock,
            boot=self._boot,
            clean_boots=lambda: self._clean_boots,
            enter=self._enter,
            log=self._log,
        )
        share = max(1, self.settings.open_accounts_max // len(self._pool.lanes))
        self._moves = Moves(self.disk, root, self.settings.layout)
        others = Others(told=self._publisher.tell, finish=self._finish_move, let_go=self._ask_to_let_go)
        self._accounts = [OpenAccounts(lane, place, share, self._moves, others) for lane in self._pool.lanes]
        self._deliveries = [DeliveryLane(accounts, self._touch, self._log) for accounts in self._accounts]
        self._pool.start()
        self._started = True

    def _enter(self) -> None:
        """Be there, before anything is written; where nothing could be at first, when something can."""
        with self._entering:
            if self._presence is not None:
                return
            self.disk.mkdir(self.uploads)
            self._clean_uploads()
            presence = AccountLock(f"{self.settings.maildir_root}/{PRESENCE}", self.disk)
            try:
                presence.acquire()
                presence.enter()
                self._clean_boots = boots.take(self.disk, self.settings.maildir_root, self._boot)
                presence.release()
            except BaseException:
                presence.close()
                raise
            self._presence = presence

    def stop(self) -> None:
        """Finish what was given, close the accounts, end the threads, sync. Blocks."""
        if not self._started:
            return
        self._started = False
        for accounts in self._accounts:
            accounts.lane.post(accounts.close)
        self._pool.stop()
        presence, self._presence = self._presence, None
        if presence is None:
            return  # nothing could be written
        with contextlib.suppress(OSError, MailError):
            presence.acquire()
            if presence.is_alone():
                self.sync()
                boots.give(self.disk, self.settings.maildir_root, self._boot)
        presence.close()

    def _clean_uploads(self) -> None:
        now = time.time()
        for name in self.disk.listdir(self.uploads):
            path = f"{self.uploads}/{name}"
            with contextlib.suppress(FileNotFoundError):
                if now - self.disk.stat(path).st_mtime > UPLOAD_AGE_SECONDS:
                    self.disk.remove(path)

    # accounts

    @property
    def is_alone(self) -> bool:
        """Whether no other process of ours serves these mailboxes, so that the bus tells of all commits at once."""
        return bool(self.bus.is_alone)

    def watch_folders(self, open_notices: Callable[[FolderListener], Notices], clock: IReactorTime) -> Watches:
        """
        Hear of what other programs do to mailboxes that somebody waits for, until what is given back is closed.

        Args:
            open_notices: gives what watches folders, when it is first needed.
        """
        self.watches = Watches(open_notices, self.run, clock, self._log)
        return self.watches

    def account(self, account: Account) -> AccountSession:
        """Give an account's mailboxes, for one session."""
        return AccountSession(self, account)

    def guest(self, owner: Account, guest_id: int) -> GuestSession:
        """Give an account the mailboxes of another, as far as its rights go, for one session."""
        return GuestSession(self, owner, guest_id)

    async def limit_of(self, account: Account) -> int:
        """
        Say how much an account may have now, in octets, which may be other than when its session began; 0 is no limit.

        While the directory cannot be asked, what it said then holds.
        """
        if self.numbers is None:
            return account.quota_octets
        try:
            found = await self.numbers.find_id(account.account_id)
        except MailError:
            found = None
        return account.quota_octets if found is None else found.quota_octets

    def sharers(self, guest_id: int) -> "Deferred[list[int]]":
        """List the accounts that may have granted something to this one."""
        accounts = self._of(guest_id)
        return self._in_lane(accounts, lambda: rights.sharers(self.disk, self.settings.maildir_root, guest_id))

    def run(self, account: Account, job: Callable[[AccountIndex], T]) -> "Deferred[T]":
        """Do something with an open account in its lane; call it in the reactor thread."""
        if not self._started:
            return fail(MailError(Kind.UNAVAILABLE, "the store is closed"))
        accounts = self._of(account.account_id)

        def work() -> T:
            try:
                with accounts.using(account.account_id, account.email) as index:
                    return job(index)
            except sqlite3.DatabaseError as error:
                if is_damage(error):
                    accounts.damaged(account.account_id)
                self._log.failure("store.job.failed", error, account=account.account_id)
                raise neutral_error(error) from error
            except OSError as error:
                if not accounts.is_frozen(account.account_id) or not reason_of(error):  # that was told once
                    self._log.failure("store.job.failed", error, account=account.account_id)
                raise neutral_error(error) from error

        return accounts.lane.run(work)

    def usage(self, account: Account) -> "Deferred[Usage]":
        """Say how much an account has."""
        return self.run(account, usage)

    def expire(self, account: Account, expiry: Expiry) -> "Deferred[Expired]":
        """Remove one batch of what is old."""
        return self.run(account, lambda index: expire(index, expiry))

    def mirror(self, account: Account, mailbox_id: int) -> None:
        """Write flags into file names when the lane comes to it."""
        accounts = self._of(account.account_id)
        accounts.lane.post(accounts.mirror, account.account_id, account.email, mailbox_id)

    def run_free(self, account: Account, job: Callable[[], T]) -> "Deferred[T]":
        """Do something that needs no index in the lane of an account."""

        def work() -> T:
            try:
                return job()
            except OSError as error:
                raise neutral_error(error) from error

        return self._of(account.account_id).lane.run(work)

    def post_free(self, account: Account, job: Callable[[], None]) -> None:
        """Do something that needs no index, does not raise, and nobody waits for."""
        self._of(account.account_id).lane.post(job)

    def _of(self, account_id: int) -> OpenAccounts:
        return self._accounts[account_id % len(self._accounts)]

    def reindex(self, account: Account, progress: reindex.Progress | None = None) -> "Deferred[int]":
        """
        Build the index anew from the Maildir and what the old index knew besides; give the number of messages.

        Args:
            progress: called in the lane with the name of a mailbox and how many of its messages are done.
        """
        accounts = self._of(account.account_id)

        def work() -> int:
            try:
                return accounts.rebuild(account.account_id, account.email, progress)
            except (OSError, sqlite3.Error) as error:
                self._log.failure("store.job.failed", error, account=account.account_id)
                raise neutral_error(error) from error

        return accounts.lane.run(work)

    def verify(self, account: Account) -> "Deferred[list[str]]":
        """Compare index and Maildir; give what does not fit, in sentences."""
        return self.run(account, reindex.verify)

    def begin_rename(self, account: Account, new_email: str) -> "Deferred[None]":
        """
        Prepare for another address: call it before the directory changes, and `finish_move` after.

        The mail stays reachable under both addresses meanwhile and afterwards, for sessions and queued mail.
        """
        accounts = self._of(account.account_id)
        return self._in_lane(accounts, lambda: accounts.begin_rename(account.account_id, account.email, new_email))

    def begin_removal(self, account: Account) -> "Deferred[None]":
        """Prepare for an account's end: call it before the directory forgets it, and `finish_move` after."""
        accounts = self._of(account.account_id)
        return self._in_lane(accounts, lambda: accounts.begin_removal(account.account_id, account.email))

    def finish_move(self, account_id: int) -> "Deferred[str]":
        """Let the folder of an account follow the directory; say where its mail is now, if there is any."""
        accounts = self._of(account_id)
        return self._in_lane(accounts, lambda: accounts.finish_move(account_id))

    def cancel_move(self, account_id: int) -> "Deferred[None]":
        """Forget what was begun: the directory did not change."""
        return self._in_lane(self._of(account_id), lambda: self._moves.cancel(account_id))

    def _finish_move(self, account_id: int) -> None:
        accounts = self._of(account_id)
        accounts.lane.post(accounts.finish_quietly, account_id)

    def _in_lane(self, accounts: OpenAccounts, job: Callable[[], T]) -> "Deferred[T]":
        def work() -> T:
            try:
                return job()
            except (OSError, sqlite3.Error) as error:
                self._log.failure("store.move.failed", error)
                raise neutral_error(error) from error

        return accounts.lane.run(work)

    def _ask_to_let_go(self, account_id: int) -> None:
        self._reactor.callFromThread(lambda: self.on_let_go(account_id))

    def let_go(self, account_id: int) -> None:
        """Close an account, so that another process can exchange what is open; it opens again when it is needed."""
        if self._started:
            accounts = self._of(account_id)
            accounts.lane.post(accounts.forget, account_id)

    def remove_account(self, account: Account) -> "Deferred[None]":
        """Remove an account's mail for ever."""
        accounts = self._of(account.account_id)
        home = home_of(self.settings.maildir_root, self.settings.layout, account.account_id, account.email)

        def work() -> None:
            accounts.forget(account.account_id)
            try:
                if os.path.isdir(home.path):
                    _remove_tree(self.disk, home.path)
            except OSError as error:
                raise neutral_error(error) from error

        return accounts.lane.run(work)

    # deliveries

    def deliver(self, deliveries: Sequence[LocalDelivery], report: Callable[[Sequence[LocalOutcome]], None]) -> None:
        """Put messages into mailboxes soon; from any thread."""
        lanes = len(self._deliveries)
        if lanes == 1:
            self._deliveries[0].put(deliveries, report)
            return
        for number, lane in enumerate(self._deliveries):
            mine = [delivery for delivery in deliveries if delivery.account_id % lanes == number]
            if mine:
                lane.put(mine, report)

    def backlog(self) -> int:
        """How many deliveries wait."""
        return sum(lane.backlog() for lane in self._deliveries)

    def _touch(self, path: str) -> None:
        with self._touched_lock:
            self._touched.add(path)

    def sync(self) -> None:
        """Make everything reported so far survive a power loss. Blocks."""
        with self._touched_lock:
            touched, self._touched = self._touched, set()
        try:
            try:
                self.disk.sync_file_system(self.settings.maildir_root)
            except OSError as error:
                if error.errno != errno.ENOSYS:
                    raise
                for path in sorted(touched):
                    _sync_tree(self.disk, path)
        except BaseException:
            with self._touched_lock:
                self._touched |= touched
            raise


def _nobody_else(_account_id: int) -> None:
    """Nobody hears it."""


def _sync_tree(disk: Disk, path: str) -> None:
    for folder, _, files in os.walk(path):
        for name in files:
            file = f"{folder}/{name}"
            with contextlib.suppress(FileNotFoundError), disk.opened(file) as descriptor:
                disk.fsync(descriptor, file)
        disk.sync_folder(folder)
    disk.sync_folder(os.path.dirname(path))


def _remove_tree(disk: Disk, path: str) -> None:
    for folder, folders, files in os.walk(path, topdown=False):
        for name in files:
            disk.remove(f"{folder}/{name}")
        for name in folders:
            inner = f"{folder}/{name}"
            if os.path.islink(inner):
                disk.remove(inner)
            else:
                disk.rmdir(inner)
    disk.rmdir(path)


def open_store(
    settings: StorageSettings,
    *,
    disk: Disk,
    reactor: IReactorFromThreads,
    bus: IChangeBus | None = None,
    lane: LaneFactory = Lane,
    clock: Callable[[], float] = time.time,
) -> MailStore:
    """
    Make the store that the settings ask for; `MailStore.start` opens it.

    Args:
        bus: made when there is none.
        lane: `Lane` for threads, `InlineLane` for tests and one-shot commands.
        clock: seconds since the epoch.
    """
    return MailStore(settings, disk=disk, reactor=reactor, bus=bus or ChangeBus(), lane=lane, clock=clock)
