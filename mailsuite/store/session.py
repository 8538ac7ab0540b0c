"""What a portal hands out: an account's mailboxes, each call a job in the account's lane."""

import contextlib
import os
import secrets
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from twisted.internet.defer import Deferred
from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    Account,
    AnnotationChanges,
    AnnotationLimits,
    Appended,
    AppendMessage,
    Body,
    Changes,
    Column,
    Created,
    Depth,
    History,
    IAnnotatedAccount,
    IBodyFile,
    IChangeBus,
    ICountsMailboxes,
    IMailbox,
    IRemovingMailbox,
    IWatchableMailbox,
    MailboxEntry,
    MailboxStatus,
    PartOffsets,
    Snapshot,
    SpecialUse,
    StoreMode,
)
from mailsuite.store import annotations, mailboxes, messages, reading
from mailsuite.store.index import AccountIndex
from mailsuite.store.watch import Watch

if TYPE_CHECKING:
    from mailsuite.store.maildirstore import MailStore

T = TypeVar("T")

SEARCH_BATCH = 64
SEARCH_TURN_SECONDS = 0.05  # then the lane serves others; how long one message takes is up to who sent it


@implementer(IAnnotatedAccount, ICountsMailboxes)
class AccountSession:
    """The mailboxes of one account."""

    __slots__ = ("_account", "_store", "account_id", "changes", "email", "keywords_max")

    remembers = True

    def __init__(self, store: "MailStore", account: Account) -> None:
        self._store = store
        self._account = account
        self.account_id = account.account_id
        self.email = account.email
        self.keywords_max = store.settings.keywords_max
        self.changes: IChangeBus = store.bus

    def _run(self, job: Callable[[AccountIndex], T]) -> "Deferred[T]":
        return self._store.run(self._account, job)

    def list_mailboxes(self) -> Awaitable[Sequence[MailboxEntry]]:
        """List all names."""
        return self._run(mailboxes.list_mailboxes)

    async def open_mailbox(self, name: str, *, read_only: bool) -> IMailbox:
        """Open a mailbox."""
        row = await self._run(lambda index: index.find_row(name))
        return MailboxSession(self._store, self._account, row.mailbox_id, row.name, read_only=read_only)

    def status(self, name: str) -> Awaitable[MailboxStatus]:
        """Count without opening."""
        return self._run(lambda index: mailboxes.status(index, name))

    def statuses(self, names: Sequence[str]) -> Awaitable[Sequence[MailboxStatus | None]]:
        """Count several without opening."""
        return self._run(lambda index: mailboxes.statuses(index, names))

    def create(self, name: str, special_use: frozenset[SpecialUse]) -> Awaitable[Created]:
        """Make a mailbox."""
        return self._run(lambda index: mailboxes.create(index, name, special_use))

    def delete(self, name: str) -> Awaitable[None]:
        """Remove a mailbox."""
        return self._run(lambda index: mailboxes.delete(index, name))

    def rename(self, old: str, new: str) -> Awaitable[None]:
        """Rename a mailbox."""
        return self._run(lambda index: mailboxes.rename(index, old, new))

    def subscribe(self, name: str, subscribed: bool) -> Awaitable[None]:  # noqa: FBT001 - the interface says so
        """Note or forget a subscription."""
        return self._run(lambda index: mailboxes.subscribe(index, name, subscribed=subscribed))

    async def append(self, name: str, messages_: Sequence[AppendMessage]) -> Appended:
        """Store messages durably, all or none."""
        quota = await self._store.limit_of(self._account)
        return await self._run(lambda index: messages.append(index, name, messages_, quota))

    async def begin_body(self, size_octets: int, replaced_octets: int | None = None) -> IBodyFile:
        """Open a file for a large message."""
        limit = self._store.settings.message_max_octets
        if limit and size_octets > limit:
            raise MailError(Kind.TOO_LARGE, "the message is too long")
        quota = await self._store.limit_of(self._account)
        if replaced_octets is None:
            await self._run(lambda index: index.check_quota(quota, size_octets, 1))
        else:
            await self._run(lambda index: messages.check_growth(index, quota, replaced_octets, size_octets))
        body = BodyFile(self._store, self._account, f"{self._store.uploads}/{secrets.token_hex(12)}")
        await body.open()
        return body

    async def quota(self) -> Mapping[str, tuple[int, int]]:
        """Tell use and limit."""
        quota = await self._store.limit_of(self._account)
        return await self._run(lambda index: mailboxes.quota(index, quota))

    @property
    def _reader(self) -> int:
        """The account whose private annotations are meant."""
        return self.account_id

    def annotations(self, name: str, entries: Sequence[str], depth: Depth) -> Awaitable[Mapping[str, bytes]]:
        """Give entries that have a value."""
        return self._run(lambda index: annotations.read(index, name, self._reader, entries, depth))

    async def annotate(self, name: str, values: Mapping[str, bytes | None], limits: AnnotationLimits) -> Sequence[int]:
        """Set and remove entries."""
        quota = await self._store.limit_of(self._account)
        return await self._run(lambda index: annotations.change(index, name, self._reader, values, limits, quota))

    def annotated(self, since: int | None) -> Awaitable[AnnotationChanges]:
        """Say which annotations were changed."""
        return self._run(lambda index: annotations.changed(index, self._reader, since))

    def logout(self) -> None:
        """Nothing is kept for the session."""


@implementer(IRemovingMailbox, IWatchableMailbox)
class MailboxSession:
    """One selected mailbox."""

    __slots__ = ("_account", "_changed", "_store", "_watch", "mailbox_id", "name", "read_only")

    def __init__(self, store: "MailStore", account: Account, mailbox_id: int, name: str, *, read_only: bool) -> None:
        self._store = store
        self._account = account
        self._changed = False
        self._watch: Watch | None = None
        self.mailbox_id = mailbox_id
        self.name = name
        self.read_only = read_only

    def _run(self, job: Callable[[AccountIndex], T]) -> Awaitable[T]:
        return self._store.run(self._account, job)

    def snapshot(self) -> Awaitable[Snapshot]:
        """Look at everything once."""
        return self._run(lambda index: reading.snapshot(index, self.mailbox_id, read_only=self.read_only))

    def changes(self, since_modseq: int) -> Awaitable[Changes]:
        """Say what happened since."""
        return self._run(lambda index: reading.changes(index, self.mailbox_id, since_modseq, read_only=self.read_only))

    def history(self, since_modseq: int) -> Awaitable[History]:
        """Say what happened since any MODSEQ."""
        return self._run(lambda index: reading.history(index, self.mailbox_id, since_modseq))

    def fetch(
        self, uids: Sequence[int], columns: Sequence[Column], header_octets: int | None = None
    ) -> Awaitable[Sequence[tuple[object, ...]]]:
        """Give columns of messages."""
        return self._run(lambda index: reading.fetch(index, self.mailbox_id, uids, columns, header_octets))

    def read(self, uid: int, offset: int, length: int) -> Awaitable[bytes]:
        """Read octets of a message."""
        return self._run(lambda index: reading.read(index, self.mailbox_id, uid, offset, length))

    def read_many(self, uids: Sequence[int], limit_octets: int) -> Awaitable[Sequence[tuple[int, bytes]]]:
        """Read whole messages in order."""
        return self._run(lambda index: reading.read_many(index, self.mailbox_id, uids, limit_octets))

    def parts(self, uid: int) -> Awaitable[PartOffsets]:
        """Find the MIME parts of a message."""
        return self._run(lambda index: reading.parts(index, self.mailbox_id, uid))

    async def previews(self, uids: Sequence[int], *, make: bool) -> Mapping[int, bytes]:
        """Give what messages begin with; those to be made some at a time, so that the lane serves others in between."""
        found: dict[int, bytes] = {}
        waiting = sorted(uids)
        start = 0
        while start < len(waiting):
            batch = waiting[start : start + SEARCH_BATCH] if make else waiting
            some, last = await self._run(partial(_previews, self.mailbox_id, batch, make))
            found |= some
            start = bisect_right(waiting, last)
        return found

    async def store_flags(
        self, uids: Sequence[int], mode: StoreMode, flags: frozenset[str], unchanged_since: int | None
    ) -> tuple[Sequence[tuple[int, frozenset[str], int]], Sequence[int]]:
        """Change flags durably."""
        self._ensure_writable()
        self._changed = True
        return await self._run(
            lambda index: messages.store_flags(index, self.mailbox_id, uids, mode, flags, unchanged_since)
        )

    async def expunge(self, uids: Sequence[int] | None) -> Sequence[int]:
        r"""Remove messages that carry ``\Deleted``."""
        self._ensure_writable()
        return await self._run(lambda index: messages.expunge(index, self.mailbox_id, uids))

    async def remove(self, uids: Sequence[int]) -> Sequence[int]:
        """Remove messages that have gone to another account."""
        self._ensure_writable()
        return await self._run(lambda index: messages.remove(index, self.mailbox_id, uids))

    async def copy_to(self, uids: Sequence[int], name: str) -> Appended:
        """Copy to another mailbox."""
        quota = await self._store.limit_of(self._account)
        return await self._run(lambda index: messages.copy(index, self.mailbox_id, uids, name, quota))

    async def move_to(self, uids: Sequence[int], name: str) -> Appended:
        """Move to another mailbox."""
        self._ensure_writable()
        return await self._run(lambda index: messages.move(index, self.mailbox_id, uids, name))

    async def replace(self, uid: int, name: str, message: AppendMessage) -> Appended:
        """Store a message and remove one in its place."""
        self._ensure_writable()
        quota = await self._store.limit_of(self._account)
        return await self._run(lambda index: messages.replace(index, self.mailbox_id, uid, name, message, quota))

    async def search_text(
        self, uids: Sequence[int], test: Callable[[Callable[[int, int], bytes], int], bool]
    ) -> Sequence[int]:
        """Run a test over the octets of messages, some at a time, so that the lane serves others in between."""
        passed: list[int] = []
        waiting = sorted(uids)
        start = 0
        while start < len(waiting):
            batch = waiting[start : start + SEARCH_BATCH]
            found, last = await self._run(partial(_search, self.mailbox_id, batch, test))
            passed.extend(found)
            start = bisect_right(waiting, last)
        return passed

    def watch(self) -> None:
        """Hear at once of what other programs do."""
        if self._watch is None and self._store.watches is not None:
            self._watch = self._store.watches.watch(self._account, self.mailbox_id)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing can have happened that the bus has not told."""
        return self._store.is_alone and self._watch is not None and self._watch.is_quiet

    def close(self) -> None:
        """Let other programs see the flags that were set."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._changed:
            self._changed = False
            self._store.mirror(self._account, self.mailbox_id)

    def _ensure_writable(self) -> None:
        if self.read_only:
            raise MailError(Kind.DENIED, "the mailbox is open for reading only")


def _search(
    mailbox_id: int,
    uids: Sequence[int],
    test: Callable[[Callable[[int, int], bytes], int], bool],
    index: AccountIndex,
) -> tuple[list[int], int]:
    return reading.search_text(index, mailbox_id, uids, test, SEARCH_TURN_SECONDS)


def _previews(
    mailbox_id: int,
    uids: Sequence[int],
    make: bool,  # noqa: FBT001 - bound by functools.partial
    index: AccountIndex,
) -> tuple[dict[int, bytes], int]:
    return reading.previews(index, mailbox_id, uids, SEARCH_TURN_SECONDS, make=make)


@implementer(IBodyFile)
class BodyFile:
    """A large message on its way into the store."""

    def __init__(self, store: "MailStore", account: Account, path: str) -> None:
        self._store = store
        self._account = account
        self._run = partial(store.run_free, account)
        self._disk = store.disk
        self._path = path
        self._descriptor = -1
        self._size = 0

    def open(self) -> Awaitable[None]:
        """Make the file."""
        return self._run(self._open)

    def _open(self) -> None:
        self._descriptor = self._disk.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def write(self, chunk: bytes) -> Awaitable[None]:
        """Add octets."""
        return self._run(lambda: self._write(chunk))

    def _write(self, chunk: bytes) -> None:
        if self._descriptor < 0:
            raise MailError(Kind.UNAVAILABLE, "the message was given up")
        self._disk.write(self._descriptor, chunk, self._path)
        self._size += len(chunk)

    def finish(self) -> Awaitable[Body]:
        """All is written; have it on disk."""
        return self._run(self._finish)

    def _finish(self) -> Body:
        if self._descriptor < 0:
            raise MailError(Kind.UNAVAILABLE, "the message was given up")
        self._disk.fsync(self._descriptor, self._path)
        self._close()
        return Body(self._path, self._size)

    def abort(self) -> None:
        """Remove it."""
        self._store.post_free(self._account, self._abort)

    def _abort(self) -> None:
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            self._disk.remove(self._path)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._disk.close(descriptor, self._path)
