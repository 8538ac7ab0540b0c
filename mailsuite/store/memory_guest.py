"""The mailboxes of an account as others may use them, in memory; see `mailsuite.store.guest`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    ALL_RIGHTS,
    ANYONE,
    FLAG_RIGHTS,
    NO_RIGHTS,
    RIGHTS_ENTRIES_MAX,
    WRITING_RIGHTS,
    Account,
    AnnotationChanges,
    AnnotationLimits,
    Appended,
    AppendMessage,
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
    SpecialUse,
    SpecialUseError,
    StoreMode,
    allowed_flags,
    combine_rights,
    told_uids,
)
from mailsuite.store import guest_annotations
from mailsuite.store.maildir import INBOX, check_name, find_name
from mailsuite.store.memory_account import MemoryAccount
from mailsuite.store.memory_mail import Box, Mail
from mailsuite.store.memory_mailbox import MemoryMailbox

if TYPE_CHECKING:
    from mailsuite.store.memory import MemoryStore


def rights_for(mail: Mail, box: Box, guest_id: int) -> Rights:
    """Say what an account may do with a mailbox; the owner, everything."""
    if guest_id == mail.account_id:
        return ALL_RIGHTS
    return box.rights.get(guest_id, NO_RIGHTS) | box.rights.get(ANYONE, NO_RIGHTS)


def _not_there() -> MailError:
    return MailError(Kind.NOT_FOUND, "there is no such mailbox")


def _not_allowed() -> MailError:
    return MailError(Kind.DENIED, "you have not the right to do that with this mailbox")


def _cannot_create() -> MailError:
    return MailError(Kind.DENIED, "you cannot make a mailbox of that name")


def find(mail: Mail, name: str, guest_id: int, right: Right) -> tuple[Box, Rights]:
    """Find a mailbox for somebody who needs a right."""
    box = mail.find(name)
    rights = rights_for(mail, box, guest_id)
    if right not in rights:
        raise _not_allowed() if Right.LOOKUP in rights else _not_there()
    return box, rights


@implementer(IGuestAccount)
class MemoryGuest(MemoryAccount):
    """The mailboxes of one account, for another, or for itself where rights are told and changed."""

    def __init__(self, store: "MemoryStore", mail: Mail, owner: Account, guest_id: int) -> None:
        super().__init__(store, mail, owner)
        self._guest = guest_id

    def _find(self, name: str, right: Right) -> Box:
        return find(self._mail, name, self._guest, right)[0]

    async def rights(self, name: str) -> Rights:
        """Say what the guest may do with a mailbox."""
        rights = rights_for(self._mail, self._mail.find(name), self._guest)
        if not rights - FLAG_RIGHTS - {Right.POST, Right.EXPUNGE}:
            raise _not_there()
        return rights

    async def entries(self, name: str) -> Mapping[int, Rights]:
        """Give who has rights on a mailbox."""
        return dict(sorted(self._find(name, Right.ADMINISTER).rights.items()))

    async def change_rights(self, name: str, account_id: int, mode: RightsMode, rights: Rights) -> Rights:
        """Change the rights of an account."""
        box = self._find(name, Right.ADMINISTER)
        if account_id == self.account_id:
            raise MailError(Kind.INVALID, "the owner of a mailbox has all rights, always")
        old = box.rights.get(account_id, NO_RIGHTS)
        new = combine_rights(old, mode, rights)
        if new and account_id not in box.rights and len(box.rights) >= RIGHTS_ENTRIES_MAX:
            raise MailError(Kind.OVER_QUOTA, "too many have rights on the mailbox")
        if new != old:
            box.rights = {key: value for key, value in {**box.rights, account_id: new}.items() if value}
            box.modseq += 1
            self._store.told(self._mail, box)
            if account_id != ANYONE:
                self._store.bus.publish(MailboxChange(account_id, 0, 0))
        return new

    async def list_mailboxes(self) -> Sequence[MailboxEntry]:
        """List what the guest may look up."""
        return [
            MailboxEntry(name=name, mailbox_id=box.mailbox_id)
            for name, box in sorted(self._mail.boxes.items())
            if box.selectable and Right.LOOKUP in rights_for(self._mail, box, self._guest)
        ]

    async def subscribe(self, name: str, subscribed: bool) -> None:  # noqa: ARG002, FBT001 - the interface says so
        """Refuse it: subscriptions are the owner's own."""
        raise _not_allowed()

    async def quota(self) -> Mapping[str, tuple[int, int]]:
        """Refuse it: how much there is is the owner's own business."""
        raise _not_allowed()

    @property
    def _reader(self) -> int:
        """Whose private annotations are meant: the owner's own, for the owner only."""
        return self.account_id if self._guest == self.account_id else guest_annotations.SHARED_READER

    async def annotations(self, name: str, entries: Sequence[str], depth: Depth) -> Mapping[str, bytes]:
        """Give shared entries that have a value; the private ones of a guest have none."""
        _, granted = find(self._mail, name, self._guest, Right.LOOKUP)
        guest_annotations.ensure_seen(granted)
        return await super().annotations(name, entries, depth)

    async def annotate(self, name: str, values: Mapping[str, bytes | None], limits: AnnotationLimits) -> Sequence[int]:
        """Set and remove shared entries."""
        _, granted = find(self._mail, name, self._guest, Right.LOOKUP)
        if self._guest != self.account_id:
            guest_annotations.ensure_settable(granted, values)
        return await super().annotate(name, values, limits)

    async def annotated(self, since: int | None) -> AnnotationChanges:  # noqa: ARG002 - the interface says so
        """Refuse it: it would tell of all mailboxes."""
        raise _not_allowed()

    async def open_mailbox(self, name: str, *, read_only: bool) -> IMailbox:
        """Open a mailbox that the guest may read."""
        box = self._find(name, Right.READ)
        return MemoryGuestMailbox(
            self._store, self._mail, box, self._quota_octets, read_only=read_only, guest_id=self._guest
        )

    async def status(self, name: str) -> MailboxStatus:
        """Count without opening."""
        self._find(name, Right.READ)
        return await super().status(name)

    async def create(self, name: str, special_use: frozenset[SpecialUse]) -> Created:
        """Make a mailbox below one where the guest may do that."""
        if special_use:
            raise SpecialUseError("the purposes of mailboxes are their owner's choice")
        return await super().create(self._free_name(name), special_use)

    def _free_name(self, name: str) -> str:
        try:
            name = check_name(name)
        except MailError as error:
            raise _cannot_create() from error
        above = self._mail.nearest(name)
        if above is None or Right.CREATE not in rights_for(self._mail, above, self._guest):
            raise _cannot_create()
        taken = self._mail.boxes.get(name)
        if taken is not None and taken.selectable:
            if Right.LOOKUP not in rights_for(self._mail, taken, self._guest):
                raise _cannot_create()
            raise MailError(Kind.EXISTS, "there is a mailbox of that name")
        return name

    async def delete(self, name: str) -> None:
        """Remove a mailbox and its messages."""
        self._find(name, Right.DELETE_MAILBOX)
        await super().delete(name)

    async def rename(self, old: str, new: str) -> None:
        """Rename a mailbox and those below it."""
        if self._find(old, Right.DELETE_MAILBOX).name == INBOX:
            raise MailError(Kind.DENIED, "INBOX cannot be renamed by others")
        new = self._free_name(new)
        try:
            await super().rename(find_name(old), new)
        except MailError as error:
            if error.kind is Kind.EXISTS:
                raise _cannot_create() from error
            raise

    async def append(self, name: str, messages: Sequence[AppendMessage]) -> Appended:
        """Store messages, all or none, with the flags that the guest may set."""
        _, rights = find(self._mail, name, self._guest, Right.INSERT)
        kept = [attrs.evolve(each, flags=allowed_flags(each.flags, rights)) for each in messages]
        return told_uids(await super().append(name, kept), rights)

    async def check_append(self, name: str, size_octets: int, replaced_octets: int | None = None) -> None:
        """Say, before a message comes, whether it could be appended."""
        self._find(name, Right.INSERT)
        self._ensure_fits(size_octets, replaced_octets)


@implementer(IGuestMailbox)
class MemoryGuestMailbox(MemoryMailbox):
    """One selected mailbox of somebody else."""

    def __init__(
        self, store: "MemoryStore", mail: Mail, box: Box, quota_octets: int, *, read_only: bool, guest_id: int
    ) -> None:
        super().__init__(store, mail, box, quota_octets, read_only=read_only)
        self._asked_read_only = read_only
        self._guest = guest_id
        self.rights = rights_for(mail, box, guest_id)
        self.read_only = read_only or self.rights.isdisjoint(WRITING_RIGHTS)

    @property
    def _box(self) -> Box:
        """The mailbox, each time that it is asked for something, if the guest may read it."""
        box = super()._box
        self.rights = rights_for(self._mail, box, self._guest)
        self.read_only = self._asked_read_only or self.rights.isdisjoint(WRITING_RIGHTS)
        if Right.READ not in self.rights:
            raise MailError(Kind.NOT_FOUND, "the mailbox is gone")
        return box

    def _take_recent(self, box: Box, uids: Iterable[int]) -> frozenset[int]:
        return frozenset(uid for uid in uids if uid >= box.recent)

    def _ensure(self, *needed: Right) -> Rights:
        rights = rights_for(self._mail, self._box, self._guest)
        if self._asked_read_only:
            raise MailError(Kind.DENIED, "the mailbox is open for reading only")
        if not rights.issuperset(needed):
            raise _not_allowed()
        return rights

    async def store_flags(
        self, uids: Sequence[int], mode: StoreMode, flags: frozenset[str], unchanged_since: int | None
    ) -> tuple[Sequence[tuple[int, frozenset[str], int]], Sequence[int]]:
        """Change those of the flags that the guest may change."""
        rights = self._ensure()
        changed = allowed_flags(flags, rights)
        if (flags and not changed) or rights.isdisjoint(FLAG_RIGHTS):
            raise _not_allowed()
        return self._store_flags(uids, mode, changed, unchanged_since, rights)

    async def expunge(self, uids: Sequence[int] | None) -> Sequence[int]:
        r"""Remove messages that carry ``\Deleted``."""
        self._ensure(Right.EXPUNGE)
        return await super().expunge(uids)

    async def remove(self, uids: Sequence[int]) -> Sequence[int]:
        """Remove messages that have gone to another account."""
        self._ensure(Right.DELETE_MESSAGES, Right.EXPUNGE)
        return await super().remove(uids)

    async def copy_to(self, uids: Sequence[int], name: str) -> Appended:
        """Copy to another mailbox of the same owner."""
        messages = self._some(uids)
        target, rights = find(self._mail, name, self._guest, Right.INSERT)
        size = sum(len(message.content) for message in messages)
        if messages:
            self._store.check_quota(self._mail, self._quota_octets, size, len(messages))
        return told_uids(self._transfer(target, messages, move=False, rights=rights), rights)

    async def move_to(self, uids: Sequence[int], name: str) -> Appended:
        """Move to another mailbox of the same owner."""
        self._ensure(Right.DELETE_MESSAGES, Right.EXPUNGE)
        target, rights = find(self._mail, name, self._guest, Right.INSERT)
        return told_uids(self._transfer(target, self._some(uids), move=True, rights=rights), rights)

    async def replace(self, uid: int, name: str, message: AppendMessage) -> Appended:
        """Store a message, with the flags that the guest may set, and remove one of the same owner in its place."""
        self._ensure(Right.DELETE_MESSAGES, Right.EXPUNGE)
        _, rights = find(self._mail, name, self._guest, Right.INSERT)
        kept = attrs.evolve(message, flags=allowed_flags(message.flags, rights))
        return told_uids(await super().replace(uid, name, kept), rights)
