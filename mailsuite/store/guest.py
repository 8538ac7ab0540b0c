"""
The mailboxes of an account as others may use them: every call looks at the rights in the job that does the work.

So there is no moment between the look and the work, whatever other processes do, and who loses the right to read gets
no octet more: the mailbox is gone, as if it had been deleted.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import attrs
from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    ANYONE,
    FLAG_RIGHTS,
    WRITING_RIGHTS,
    Account,
    AnnotationChanges,
    AnnotationLimits,
    Appended,
    AppendMessage,
    Changes,
    Created,
    Depth,
    IGuestAccount,
    IGuestMailbox,
    IMailbox,
    MailboxChange,
    MailboxEntry,
    MailboxStatus,
    Right,
    Rights,
    RightsMode,
    Snapshot,
    SpecialUse,
    SpecialUseError,
    StoreMode,
    allowed_flags,
    rights_text,
    told_uids,
)
from mailsuite.store import (
    annotations,
    guest_annotations,
    mailboxes,
    maildir,
    messages,
    reading,
    rights,
    statements,
)
from mailsuite.store.index import AccountIndex
from mailsuite.store.maildir import INBOX
from mailsuite.store.session import AccountSession, MailboxSession
from mailsuite.store.statements import MailboxRow

if TYPE_CHECKING:
    from mailsuite.store.maildirstore import MailStore

T = TypeVar("T")

LOOKING = (Right.LOOKUP, Right.READ, Right.INSERT, Right.CREATE, Right.DELETE_MAILBOX, Right.ADMINISTER)
"""Who has one of them may ask for all (RFC 4314 section 4, MYRIGHTS)."""


@implementer(IGuestAccount)
class GuestSession(AccountSession):
    """The mailboxes of one account, for another, or for itself where rights are told and changed."""

    __slots__ = ("_guest",)

    def __init__(self, store: "MailStore", owner: Account, guest_id: int) -> None:
        super().__init__(store, owner)
        self._guest = guest_id

    # rights

    def rights(self, name: str) -> Awaitable[Rights]:
        """Say what the guest may do with a mailbox."""

        def work(index: AccountIndex) -> Rights:
            found = rights.rights_for(index, index.find_row(name).mailbox_id, self._guest)
            if found.isdisjoint(LOOKING):
                raise rights.not_there()
            return found

        return self._run(work)

    def entries(self, name: str) -> Awaitable[Mapping[int, Rights]]:
        """Give who has rights on a mailbox."""
        return self._run(lambda index: rights.entries(index, self._find(index, name, Right.ADMINISTER).mailbox_id))

    async def change_rights(self, name: str, account_id: int, mode: RightsMode, rights_: Rights) -> Rights:
        """Change the rights of an account."""

        def work(index: AccountIndex) -> tuple[Rights, bool]:
            row = self._find(index, name, Right.ADMINISTER)
            new, changed = rights.change(index, row, account_id, mode, rights_)
            if changed:
                index.place.log.emit(
                    "store.rights.changed",
                    account=index.account_id,
                    guest=account_id,
                    rights=rights_text(new),
                    mailbox=row.mailbox_id,
                    by=self._guest,
                )
            return new, changed

        new, changed = await self._run(work)
        if changed and account_id != ANYONE:
            self.changes.publish(MailboxChange(account_id, 0, 0))
        return new

    def _find(self, index: AccountIndex, name: str, right: Right) -> MailboxRow:
        return rights.find(index, name, self._guest, right)[0]

    # mailboxes

    def list_mailboxes(self) -> Awaitable[Sequence[MailboxEntry]]:
        """List what the guest may look up; subscriptions and special uses are the owner's own."""

        def work(index: AccountIndex) -> list[MailboxEntry]:
            mailboxes.look_at_folders(index)
            granted = rights.all_rights_for(index, self._guest)
            owns = self._guest == index.account_id
            return [
                MailboxEntry(name=row.name, mailbox_id=row.mailbox_id)
                for row in statements.mailboxes(index.connection)
                if row.selectable and (owns or Right.LOOKUP in granted.get(row.mailbox_id, ()))
            ]

        return self._run(work)

    async def statuses(self, names: Sequence[str]) -> Sequence[MailboxStatus | None]:
        """Count those mailboxes that the guest may read."""
        return [await self._status_or_none(name) for name in names]

    async def _status_or_none(self, name: str) -> MailboxStatus | None:
        try:
            return await self.status(name)
        except MailError:
            return None

    async def subscribe(self, name: str, subscribed: bool) -> None:  # noqa: ARG002, FBT001 - the interface says so
        """Refuse it: subscriptions are the owner's own."""
        raise rights.not_allowed()

    async def quota(self) -> Mapping[str, tuple[int, int]]:
        """Refuse it: how much there is is the owner's own business."""
        raise rights.not_allowed()

    @property
    def _reader(self) -> int:
        """Whose private annotations are meant: the owner's own, for the owner only."""
        return self.account_id if self._guest == self.account_id else guest_annotations.SHARED_READER

    def annotations(self, name: str, entries: Sequence[str], depth: Depth) -> Awaitable[Mapping[str, bytes]]:
        """Give shared entries that have a value; the private ones of a guest have none."""

        def work(index: AccountIndex) -> Mapping[str, bytes]:
            _, granted = rights.find(index, name, self._guest, Right.LOOKUP)
            guest_annotations.ensure_seen(granted)
            return annotations.read(index, name, self._reader, entries, depth)

        return self._run(work)

    async def annotate(self, name: str, values: Mapping[str, bytes | None], limits: AnnotationLimits) -> Sequence[int]:
        """Set and remove shared entries."""
        quota = await self._store.limit_of(self._account)

        def work(index: AccountIndex) -> list[int]:
            _, granted = rights.find(index, name, self._guest, Right.LOOKUP)
            if self._guest != index.account_id:
                guest_annotations.ensure_settable(granted, values)
            return annotations.change(index, name, self._reader, values, limits, quota)

        return await self._run(work)

    async def annotated(self, since: int | None) -> AnnotationChanges:  # noqa: ARG002 - the interface says so
        """Refuse it: it would tell of all mailboxes."""
        raise rights.not_allowed()

    async def open_mailbox(self, name: str, *, read_only: bool) -> IMailbox:
        """Open a mailbox that the guest may read."""
        row, granted = await self._run(lambda index: rights.find(index, name, self._guest, Right.READ))
        return GuestMailbox(self._store, self._account, self._guest, row, granted, read_only=read_only)

    def status(self, name: str) -> Awaitable[MailboxStatus]:
        """Count without opening."""

        def work(index: AccountIndex) -> MailboxStatus:
            self._find(index, name, Right.READ)
            return mailboxes.status(index, name)

        return self._run(work)

    def create(self, name: str, special_use: frozenset[SpecialUse]) -> Awaitable[Created]:
        """Make a mailbox below one where the guest may do that."""

        def work(index: AccountIndex) -> Created:
            if special_use:
                raise SpecialUseError("the purposes of mailboxes are their owner's choice")
            mailboxes.notice_folders(index)
            return mailboxes.create(index, self._free_name(index, name), special_use)

        return self._run(work)

    def _free_name(self, index: AccountIndex, name: str) -> str:
        """Check that the guest may give a mailbox this name; who may not know what is there always hears the same."""
        try:
            name = maildir.check_name(name)
        except MailError as error:
            raise _cannot_create() from error
        parent = rights.nearest(index, name)
        if parent is None or Right.CREATE not in rights.rights_for(index, parent.mailbox_id, self._guest):
            raise _cannot_create()
        taken = statements.mailbox_by_name(index.connection, name)
        if taken is not None and taken.selectable:
            if Right.LOOKUP not in rights.rights_for(index, taken.mailbox_id, self._guest):
                raise _cannot_create()
            raise MailError(Kind.EXISTS, "there is a mailbox of that name")
        return name

    def delete(self, name: str) -> Awaitable[None]:
        """Remove a mailbox and its messages."""

        def work(index: AccountIndex) -> None:
            self._find(index, name, Right.DELETE_MAILBOX)
            mailboxes.delete(index, name)

        return self._run(work)

    def rename(self, old: str, new: str) -> Awaitable[None]:
        """Rename a mailbox and those below it."""

        def work(index: AccountIndex) -> None:
            row = self._find(index, old, Right.DELETE_MAILBOX)
            if row.name == INBOX:
                raise MailError(Kind.DENIED, "INBOX cannot be renamed by others")
            mailboxes.notice_folders(index)
            name = self._free_name(index, new)
            try:
                mailboxes.rename(index, row.name, name)
            except MailError as error:
                if error.kind is Kind.EXISTS:  # below it: perhaps nothing that the guest may know of
                    raise _cannot_create() from error
                raise

        return self._run(work)

    # messages

    async def append(self, name: str, messages_: Sequence[AppendMessage]) -> Appended:
        """Store messages durably, all or none, with the flags that the guest may set."""
        quota = await self._store.limit_of(self._account)

        def work(index: AccountIndex) -> Appended:
            _, granted = rights.find(index, name, self._guest, Right.INSERT)
            kept = [attrs.evolve(each, flags=allowed_flags(each.flags, granted)) for each in messages_]
            return told_uids(messages.append(index, name, kept, quota), granted)

        return await self._run(work)

    async def check_append(self, name: str, size_octets: int, replaced_octets: int | None = None) -> None:
        """Say, before a message comes, whether it could be appended."""
        limit = self._store.settings.message_max_octets
        quota = await self._store.limit_of(self._account)

        def work(index: AccountIndex) -> None:
            self._find(index, name, Right.INSERT)
            if limit and size_octets > limit:
                raise MailError(Kind.TOO_LARGE, "the message is too long")
            if replaced_octets is None:
                index.check_quota(quota, size_octets, 1)
            else:
                messages.check_growth(index, quota, replaced_octets, size_octets)

        await self._run(work)


def _cannot_create() -> MailError:
    return MailError(Kind.DENIED, "you cannot make a mailbox of that name")


@implementer(IGuestMailbox)
class GuestMailbox(MailboxSession):
    """One selected mailbox of somebody else."""

    def __init__(
        self, store: "MailStore", owner: Account, guest_id: int, row: MailboxRow, granted: Rights, *, read_only: bool
    ) -> None:
        super().__init__(store, owner, row.mailbox_id, row.name, read_only=read_only)
        self._guest = guest_id
        self._asked_read_only = read_only
        self._note(granted)

    def _note(self, granted: Rights) -> None:
        self.rights = granted
        self.read_only = self._asked_read_only or granted.isdisjoint(WRITING_RIGHTS)

    def _run(self, job: Callable[[AccountIndex], T]) -> Awaitable[T]:
        return self._run_with((), lambda index, _: job(index))

    def _run_with(self, needed: Sequence[Right], job: Callable[[AccountIndex, Rights], T]) -> Awaitable[T]:
        """Do something in the lane, if the guest may read the mailbox, and has these rights besides."""

        def work(index: AccountIndex) -> T:
            index.get_row(self.mailbox_id)
            granted = rights.rights_for(index, self.mailbox_id, self._guest)
            if Right.READ not in granted:
                raise MailError(Kind.NOT_FOUND, "the mailbox is gone")
            self._note(granted)
            if needed and self._asked_read_only:
                raise MailError(Kind.DENIED, "the mailbox is open for reading only")
            if not granted.issuperset(needed):
                raise rights.not_allowed()
            return job(index, granted)

        return self._store.run(self._account, work)

    def snapshot(self) -> Awaitable[Snapshot]:
        """Look at everything once."""
        return self._run(lambda index: reading.snapshot(index, self.mailbox_id, read_only=True))

    def changes(self, since_modseq: int) -> Awaitable[Changes]:
        """Say what happened since."""
        return self._run(lambda index: reading.changes(index, self.mailbox_id, since_modseq, read_only=True))

    async def store_flags(
        self, uids: Sequence[int], mode: StoreMode, flags: frozenset[str], unchanged_since: int | None
    ) -> tuple[Sequence[tuple[int, frozenset[str], int]], Sequence[int]]:
        """Change those of the flags that the guest may change (RFC 4314 section 4)."""
        self._changed = True

        def work(index: AccountIndex, granted: Rights) -> tuple[list[messages.FlagRow], list[int]]:
            if self._asked_read_only:
                raise MailError(Kind.DENIED, "the mailbox is open for reading only")
            changed = allowed_flags(flags, granted)
            if (flags and not changed) or granted.isdisjoint(FLAG_RIGHTS):
                raise rights.not_allowed()
            return messages.store_flags(index, self.mailbox_id, uids, mode, changed, unchanged_since, granted)

        return await self._run_with((), work)

    async def expunge(self, uids: Sequence[int] | None) -> Sequence[int]:
        r"""Remove messages that carry ``\Deleted``."""
        return await self._run_with((Right.EXPUNGE,), lambda index, _: messages.expunge(index, self.mailbox_id, uids))

    async def remove(self, uids: Sequence[int]) -> Sequence[int]:
        """Remove messages that have gone to another account."""
        return await self._run_with(
            (Right.DELETE_MESSAGES, Right.EXPUNGE), lambda index, _: messages.remove(index, self.mailbox_id, uids)
        )

    async def copy_to(self, uids: Sequence[int], name: str) -> Appended:
        """Copy to another mailbox of the same owner."""
        quota = await self._store.limit_of(self._account)

        def work(index: AccountIndex, _rights: Rights) -> Appended:
            _, granted = rights.find(index, name, self._guest, Right.INSERT)
            return told_uids(messages.copy(index, self.mailbox_id, uids, name, quota, granted), granted)

        return await self._run_with((), work)

    async def move_to(self, uids: Sequence[int], name: str) -> Appended:
        """Move to another mailbox of the same owner."""

        def work(index: AccountIndex, _rights: Rights) -> Appended:
            _, granted = rights.find(index, name, self._guest, Right.INSERT)
            return told_uids(messages.move(index, self.mailbox_id, uids, name, granted), granted)

        return await self._run_with((Right.DELETE_MESSAGES, Right.EXPUNGE), work)

    async def replace(self, uid: int, name: str, message: AppendMessage) -> Appended:
        """Store a message, with the flags that the guest may set, and remove one of the same owner in its place."""
        quota = await self._store.limit_of(self._account)

        def work(index: AccountIndex, _rights: Rights) -> Appended:
            _, granted = rights.find(index, name, self._guest, Right.INSERT)
            kept = attrs.evolve(message, flags=allowed_flags(message.flags, granted))
            return told_uids(messages.replace(index, self.mailbox_id, uid, name, kept, quota), granted)

        return await self._run_with((Right.DELETE_MESSAGES, Right.EXPUNGE), work)
