"""
Hear at once what other programs do to the folders of mailboxes that somebody waits for.

What comes is gathered, so that a mailbox is looked at some times a second at most, however much happens. A look asks
first whether the index knows already what it was told of, which is so for everything that we do ourselves, and only
otherwise lists the folder. What it finds is committed, and told like any other change.
"""

import contextlib
import errno
import time
from collections.abc import Callable, Collection
from typing import Protocol, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailsuite.durable import ENTRIES, ITSELF, FolderListener
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account
from mailsuite.observe import EventLog, background
from mailsuite.store.index import AccountIndex
from mailsuite.store.scan import PAUSE_PER_COST, Noticed, notice, notice_names

T = TypeVar("T")

GATHER_SECONDS = 0.1
"""Between the first notice and the look."""
PAUSE_MAX_SECONDS = 0.5
"""Between two looks at what only we change; the more it is, the rarer."""
RETRY_SECONDS = 1.0
"""After a look that failed."""
NAMES_MAX = 500
"""Of so many names of files the index is asked; when there are more, the folder is looked at."""

Name = tuple[str, str]
"""Subfolder and file."""


class Notices(Protocol):
    """What `mailsuite.durable.FolderNotices` does."""

    def watch(self, path: str, mask: int) -> int:
        """Watch a folder; in a lane. Raises OSError."""

    def ignore(self, number: int) -> None:
        """Watch it no longer."""

    def drain(self) -> None:
        """Tell all that there is to tell by now."""

    def close(self) -> None:
        """Watch nothing any more."""


@attrs.define(eq=False)
class WatchedMailbox:
    """
    One mailbox that somebody waits for.

    Args:
        users: how many.
        numbers: of its folders, while they are watched.
        names: files of which something was told since the last look; None: of too many to be named.
        ended: its folders are not those that are watched.
    """

    account: Account
    mailbox_id: int
    users: int = 0
    numbers: tuple[int, ...] = ()
    names: set[Name] | None = attrs.field(factory=set)
    ended: bool = True
    looking: bool = False
    look: "Deferred[None] | None" = None
    due: IDelayedCall | None = None
    looked: float = 0.0
    pause: float = 0.0


@attrs.define(eq=False)
class Watch:
    """What somebody holds who waits for a mailbox."""

    _watches: "Watches"
    _watched: WatchedMailbox | None

    @property
    def is_quiet(self) -> bool:
        """Whether it is certain that nothing happened to the folder since it was last looked at."""
        return self._watched is not None and self._watches.is_quiet(self._watched)

    def close(self) -> None:
        """Wait no longer; may be called twice."""
        watched, self._watched = self._watched, None
        if watched is not None:
            self._watches.leave(watched)


@attrs.frozen
class _Seen:
    """
    What a look in the lane brought.

    Args:
        numbers: of the folders that are watched from now on, with the subfolder of each; None: of the same as before.
        error: why they cannot be.
        cost: how long it took, in seconds.
    """

    numbers: dict[int, str] | None
    error: OSError | None
    noticed: Noticed
    cost: float


class Watches:
    """
    Watched mailboxes of one process; used in the reactor thread only.

    Args:
        open_notices: gives what watches folders, when it is first needed.
        run: does something with an open account in its lane.
    """

    def __init__(
        self,
        open_notices: Callable[[FolderListener], Notices],
        run: Callable[[Account, Callable[[AccountIndex], _Seen]], "Deferred[_Seen]"],
        clock: IReactorTime,
        log: EventLog,
    ) -> None:
        self._open_notices = open_notices
        self._run = run
        self._clock = clock
        self._log = log
        self._notices: Notices | None = None
        self._mailboxes: dict[tuple[int, int], WatchedMailbox] = {}
        self._by_number: dict[int, tuple[WatchedMailbox, str]] = {}
        self._beginning = 0
        self._strays: set[int] = set()
        self._failed = False
        self._closed = False

    def watch(self, account: Account, mailbox_id: int) -> Watch:
        """Have what other programs do to a mailbox told on the change bus soon, until the watch is closed."""
        key = account.account_id, mailbox_id
        watched = self._mailboxes.get(key)
        if watched is not None:
            watched.users += 1
            return Watch(self, watched)
        watched = WatchedMailbox(account, mailbox_id, users=1)
        if self._open():
            self._mailboxes[key] = watched
            self._begin_look(watched)
        return Watch(self, watched)

    def leave(self, watched: WatchedMailbox) -> None:
        """One waits no longer."""
        watched.users -= 1
        key = watched.account.account_id, watched.mailbox_id
        if watched.users <= 0 and self._mailboxes.get(key) is watched:
            del self._mailboxes[key]
            self._release(watched)

    def is_quiet(self, watched: WatchedMailbox) -> bool:
        """Whether a mailbox is watched, and nothing was told of it that was not looked at."""
        if self._notices is None or not watched.numbers:
            return False
        self._notices.drain()
        return bool(watched.numbers) and not (
            watched.ended or watched.looking or watched.due is not None or watched.names is None or watched.names
        )

    def close(self) -> None:
        """Hear nothing any more."""
        self._closed = True
        for watched in self._mailboxes.values():
            self._stop_waiting(watched)
        self._mailboxes.clear()
        self._by_number.clear()
        notices, self._notices = self._notices, None
        if notices is not None:
            notices.close()

    def _open(self) -> bool:
        if self._notices is None and not self._failed and not self._closed:
            try:
                self._notices = self._open_notices(
                    FolderListener(entry=self._entry, ended=self._ended, lost=self._lost)
                )
            except OSError as error:
                self._tell_failed(error)
        return self._notices is not None

    def _tell_failed(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            self._log.emit("store.watch.failed", reason=errno.errorcode.get(error.errno or 0, str(error)))

    def _release(self, watched: WatchedMailbox) -> None:
        self._stop_waiting(watched)
        for number in watched.numbers:
            found = self._by_number.get(number)
            if found is not None and found[0] is watched:
                del self._by_number[number]
                if self._notices is not None:
                    self._notices.ignore(number)
        watched.numbers = ()

    @staticmethod
    def _stop_waiting(watched: WatchedMailbox) -> None:
        if watched.due is not None:
            watched.due.cancel()
            watched.due = None

    # what is told of folders

    def _entry(self, number: int, name: str) -> None:
        found = self._by_number.get(number)
        if found is None:
            if self._beginning:
                self._strays.add(number)
            return
        watched, subfolder = found
        if name.startswith("."):
            return  # a file that is still being copied, say, and no message
        if watched.names is not None:
            watched.names.add((subfolder, name))
            if len(watched.names) > NAMES_MAX:
                watched.names = None
        if watched.due is None:
            self._look_soon(watched)

    def _ended(self, number: int) -> None:
        found = self._by_number.get(number)
        if found is not None:
            self._look_anew(found[0])
        elif self._beginning:
            self._strays.add(number)

    def _look_anew(self, watched: WatchedMailbox) -> None:
        watched.ended = True
        self._look_soon(watched)

    def _lost(self) -> None:
        for watched in self._mailboxes.values():
            watched.names = None
            self._look_soon(watched)

    # looking

    def _look_soon(self, watched: WatchedMailbox) -> None:
        if watched.looking or watched.due is not None or not watched.users:
            return
        now = self._clock.seconds()
        wait = max(GATHER_SECONDS, watched.looked + watched.pause - now)
        watched.due = self._clock.callLater(wait, self._begin_look, watched)

    def _begin_look(self, watched: WatchedMailbox) -> None:
        watched.due = None
        watched.looking = True
        watched.look = background(self._look(watched), self._log, "look at a watched mailbox")

    async def _look(self, watched: WatchedMailbox) -> None:
        notices = self._notices
        if notices is None:
            return
        anew, names = watched.ended, watched.names
        watched.ended, watched.names = False, set()
        if anew:
            self._release(watched)
            self._beginning += 1
        again = False
        try:
            seen = await self._run(
                watched.account, lambda index: _look_in_lane(index, watched, notices, names, anew=anew)
            )
        except MailError as error:
            if error.kind is not Kind.NOT_FOUND:  # else it was deleted, and whoever has it open is told of that
                watched.ended = watched.ended or anew
                watched.names = None
                watched.pause = RETRY_SECONDS
                again = True
        else:
            again = self._take(watched, seen, notices, names)
        finally:
            if anew:
                self._beginning -= 1
                if not self._beginning:
                    self._strays.clear()
            watched.looking = False
            watched.looked = self._clock.seconds()
        if again or watched.names is None or watched.names or watched.ended:
            self._look_soon(watched)

    def _take(self, watched: WatchedMailbox, seen: _Seen, notices: Notices, names: set[Name] | None) -> bool:
        """Take in what a look brought; say whether another one is needed."""
        again = False
        if isinstance(seen.error, FileNotFoundError):
            watched.ended = again = True  # it was removed once more
        elif seen.error is not None:
            self._tell_failed(seen.error)
        if seen.numbers is not None:
            again = self._keep(watched, seen.numbers, notices)
        if seen.noticed.failed:
            watched.pause, watched.names = RETRY_SECONDS, None
            return True
        if seen.noticed.foreign:
            watched.pause = max(GATHER_SECONDS, seen.cost * PAUSE_PER_COST)
        else:
            watched.pause = min(max(2 * watched.pause, GATHER_SECONDS), PAUSE_MAX_SECONDS)
        if names is None and seen.noticed.doubtful:
            watched.names = None
            again = True
        return again

    def _keep(self, watched: WatchedMailbox, numbers: dict[int, str], notices: Notices) -> bool:
        """Note which folders are watched; say whether something was told of them meanwhile."""
        if self._closed or not watched.users:
            for number in numbers:
                if number not in self._by_number:
                    notices.ignore(number)
            return False
        for number, subfolder in numbers.items():
            other = self._by_number.get(number)
            if other is not None and other[0] is not watched:
                self._look_anew(other[0])  # another program renamed its folder, which is another mailbox's now
            self._by_number[number] = watched, subfolder
        watched.numbers = tuple(numbers)
        missed = not self._strays.isdisjoint(numbers)
        if missed:
            watched.ended = True  # it may have been the end of a folder
        return missed


def _look_in_lane(
    index: AccountIndex, watched: WatchedMailbox, notices: Notices, names: Collection[Name] | None, *, anew: bool
) -> _Seen:
    began = time.monotonic()
    numbers: dict[int, str] | None = None
    failure = None
    if anew:
        try:
            numbers = _watch_folders(index, watched.mailbox_id, notices)
        except OSError as error:
            failure = error
        names = None
    noticed = notice_names(index, watched.mailbox_id, names)
    return _Seen(numbers, failure, noticed, time.monotonic() - began)


def _watch_folders(index: AccountIndex, mailbox_id: int, notices: Notices) -> dict[int, str]:
    folder = index.folder(index.get_row(mailbox_id))
    with contextlib.suppress(FileNotFoundError):
        return _watch(folder, notices)
    notice(index, mailbox_id)  # somebody removed the folder, or parts of it: now they are there again
    return _watch(folder, notices)


def _watch(folder: str, notices: Notices) -> dict[int, str]:
    numbers: dict[int, str] = {}
    try:
        numbers[notices.watch(folder, ITSELF)] = ""
        for subfolder in ("new", "cur"):
            numbers[notices.watch(f"{folder}/{subfolder}", ENTRIES)] = subfolder
    except OSError:
        for number in numbers:
            notices.ignore(number)
        raise
    return numbers
