"""
Twisted's own account and mailbox interfaces, seen as ours.

So that a realm written for ``twisted.mail`` plugs into `IMAPFactory` unchanged. What those interfaces cannot say (who
changed what, which UIDs an append took) is found by comparing the mailbox before and after; it is right and not fast.
"""

import contextlib
import io
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

from twisted.mail.interfaces import (
    IAccountIMAP,
    IMailboxIMAP,
)
from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.imap import responses
from mailsuite.imap.bridge_mailbox import (
    DELETED_FLAG,
    KEYWORDS_MAX,
    NOSELECT_FLAG,
    STATUS_NAMES,
    TwistedMailbox,
    ask,
    fetch_all,
    foreign_text,
    shown_flags,
)
from mailsuite.interfaces import (
    Appended,
    AppendMessage,
    Body,
    Created,
    IBodyFile,
    IChangeBus,
    IMailAccount,
    IMailbox,
    ISubscription,
    MailboxChange,
    MailboxEntry,
    MailboxStatus,
    SpecialUse,
    SpecialUseError,
)


@implementer(ISubscription)
class _Subscription:
    def __init__(
        self, listeners: list[Callable[[MailboxChange], None]], callback: Callable[[MailboxChange], None]
    ) -> None:
        self._listeners = listeners
        self._callback = callback

    def cancel(self) -> None:
        """Stop listening."""
        with contextlib.suppress(ValueError):
            self._listeners.remove(self._callback)


@implementer(IChangeBus)
class SessionBus:
    """Carries what the foreign mailbox tells its listener to the one session that has it open."""

    is_alone = False

    def __init__(self) -> None:
        self._listeners: list[Callable[[MailboxChange], None]] = []

    def publish(self, change: MailboxChange) -> None:
        """Tell the session."""
        for callback in list(self._listeners):
            callback(change)

    def subscribe(self, account_id: int, callback: Callable[[MailboxChange], None]) -> ISubscription:
        """Listen; there is but one account here."""
        del account_id
        self._listeners.append(callback)
        return _Subscription(self._listeners, callback)


@implementer(IBodyFile)
class _TemporaryBody:
    """A large APPEND in the system's temporary folder, as Twisted's own server keeps it."""

    def __init__(self) -> None:
        self._descriptor, self._path = tempfile.mkstemp(prefix="mailsuite-append-")
        self._file = os.fdopen(self._descriptor, "wb")
        self._size = 0

    async def write(self, chunk: bytes) -> None:
        """Add octets."""
        self._file.write(chunk)
        self._size += len(chunk)

    async def finish(self) -> Body:
        """Close the file."""
        self._file.close()
        return Body(self._path, self._size)

    def abort(self) -> None:
        """Remove the file."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


@implementer(IMailAccount)
class TwistedAccount:
    """
    An ``IAccountIMAP`` as an `IMailAccount`.

    Args:
        avatar: what the portal gave.
        email: who logged in.
    """

    account_id = 0
    remembers = False
    keywords_max = KEYWORDS_MAX

    def __init__(self, avatar: IAccountIMAP, email: str) -> None:
        self.email = email
        self.changes = SessionBus()
        self._avatar = avatar
        self._ids: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def _id(self, name: str) -> int:
        if name not in self._ids:
            self._ids[name] = next(self._numbers)
        return self._ids[name]

    def ensure_present(self, mailbox_id: int) -> None:
        """Raise NOT_FOUND when the mailbox was deleted through this account."""
        if mailbox_id not in self._ids.values():
            raise MailError(Kind.NOT_FOUND, "the mailbox is gone")

    async def _select(self, name: str, *, read_only: bool) -> IMailboxIMAP:
        mailbox = await ask(self._avatar.select, name, not read_only)
        if mailbox is None or NOSELECT_FLAG in {foreign_text(flag) for flag in mailbox.getFlags()}:
            raise MailError(Kind.NOT_FOUND, "no such mailbox")
        return IMailboxIMAP(mailbox)

    async def list_mailboxes(self) -> Sequence[MailboxEntry]:
        """List what the account lists for ``*``; the delimiter becomes ``/``."""
        entries = []
        for listed, info in await ask(self._avatar.listMailboxes, "", "*"):
            name = foreign_text(listed)
            delimiter = foreign_text(info.getHierarchicalDelimiter() or "/")
            flags = {foreign_text(flag).lower() for flag in info.getFlags()}
            entries.append(
                MailboxEntry(
                    name=name.replace(delimiter, "/"),
                    mailbox_id=self._id(name),
                    selectable=NOSELECT_FLAG.lower() not in flags,
                    subscribed=bool(await ask(self._avatar.isSubscribed, name)),
                    special_use=frozenset(use for use in SpecialUse if use.value.lower() in flags),
                )
            )
        return sorted(entries, key=lambda entry: entry.name)

    async def open_mailbox(self, name: str, *, read_only: bool) -> IMailbox:
        """Open a mailbox; raises NOT_FOUND when the account has none of that name."""
        mailbox = await self._select(name, read_only=read_only)
        return TwistedMailbox(
            self,
            mailbox,
            mailbox_id=self._id(name),
            name=name,
            read_only=read_only or not mailbox.isWriteable(),
        )

    async def status(self, name: str) -> MailboxStatus:
        """Count; what ``requestStatus`` does not know is counted here."""
        mailbox = await self._select(name, read_only=True)
        counts = await ask(mailbox.requestStatus, list(STATUS_NAMES))
        messages = await fetch_all(mailbox)
        return MailboxStatus(
            messages=int(counts.get("MESSAGES", len(messages))),
            recent=int(counts.get("RECENT", 0)),
            unseen=int(counts.get("UNSEEN", 0)),
            deleted=sum(DELETED_FLAG in shown_flags(message) for message in messages.values()),
            uidnext=int(counts.get("UIDNEXT", max(messages, default=0) + 1)),
            uidvalidity=int(counts.get("UIDVALIDITY", mailbox.getUIDValidity())),
            highest_modseq=0,
            size_octets=sum(message.getSize() for message in messages.values()),
            deleted_octets=sum(
                message.getSize() for message in messages.values() if DELETED_FLAG in shown_flags(message)
            ),
        )

    async def create(self, name: str, special_use: frozenset[SpecialUse]) -> Created:
        """Make a mailbox; a purpose cannot be kept."""
        if special_use:
            raise SpecialUseError("mailboxes here have no special use")
        if not await ask(self._avatar.create, name):
            raise MailError(Kind.EXISTS, "the mailbox exists")
        return Created(mailbox_id=self._id(name), uidvalidity=0)

    async def delete(self, name: str) -> None:
        """Remove a mailbox."""
        await ask(self._avatar.delete, name)
        self._ids.pop(name, None)

    async def rename(self, old: str, new: str) -> None:
        """Rename a mailbox."""
        await ask(self._avatar.rename, old, new)
        if old in self._ids:
            self._ids[new] = self._ids.pop(old)

    async def subscribe(self, name: str, subscribed: bool) -> None:  # noqa: FBT001 - the interface says so
        """Note or forget a subscription."""
        if subscribed:
            await ask(self._avatar.subscribe, name)
        elif await ask(self._avatar.isSubscribed, name):
            await ask(self._avatar.unsubscribe, name)

    async def append(self, name: str, messages: Sequence[AppendMessage]) -> Appended:
        """Add messages one after the other."""
        mailbox = await self._select(name, read_only=False)
        before = set(await fetch_all(mailbox))
        for message in messages:
            with _opened(message.content) as content:
                date = (
                    b"" if message.internal_date is None else responses.internal_date(message.internal_date).strip(b'"')
                )
                await ask(mailbox.addMessage, content, sorted(message.flags), date)
        after = await fetch_all(mailbox)
        return Appended(uidvalidity=mailbox.getUIDValidity(), uids=sorted(set(after) - before))

    async def begin_body(self, size_octets: int, replaced_octets: int | None = None) -> IBodyFile:
        """Open a temporary file."""
        del size_octets, replaced_octets
        return _TemporaryBody()

    async def quota(self) -> Mapping[str, tuple[int, int]]:
        """Nothing is known of a quota."""
        return {}

    def logout(self) -> None:
        """Nothing to do: the portal gave its own logout along with the avatar."""


@contextlib.contextmanager
def _opened(content: bytes | Body) -> Iterator[IO[bytes]]:
    if isinstance(content, bytes):
        yield io.BytesIO(content)
        return
    with open(content.path, "rb") as file:
        yield file
    os.unlink(content.path)
