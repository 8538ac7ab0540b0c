"""
One account with its own mailboxes and those of others that it may use.

What is its own goes to the store as it would without this. A name below the prefix is somebody else's, unless there is
a mailbox of one's own that was there before; what the account may do with it, the store decides each time. A name that
is nobody's, one of an account that is switched off, and one that this account may not look up are answered alike
(RFC 4314 section 6).
"""

from collections.abc import Awaitable, Mapping, Sequence

import attrs
from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    ALL_RIGHTS,
    ANYONE,
    NO_RIGHTS,
    Account,
    AnnotationChanges,
    AnnotationLimits,
    Appended,
    AppendMessage,
    Body,
    Column,
    Created,
    Depth,
    Grantable,
    IAccountNumbers,
    IAccounts,
    IAnnotatedAccount,
    IBodyFile,
    ICountsMailboxes,
    IGuestAccount,
    IGuestMailbox,
    ILoginNames,
    IMailbox,
    IRemovingMailbox,
    IRightsAccount,
    ISharingStore,
    ISubscription,
    MailboxEntry,
    MailboxStatus,
    Right,
    Rights,
    RightsMode,
    SpecialUse,
    SpecialUseError,
)
from mailsuite.sharing.changes import SharingBus, others_id, read_others_id
from mailsuite.sharing.mailbox import OthersMailbox, OwnMailbox
from mailsuite.sharing.names import INBOX, Namespace
from mailsuite.sharing.settings import SharingSettings
from mailsuite.sharing.transfer import Transfer

ANYONE_IDENTIFIER = "anyone"


@attrs.frozen
class Place:
    """
    Where a name leads.

    Args:
        mailboxes: the owner's, as this account may use them.
        name: as the owner knows it.
        owner: whose it is; None for this account's own.
    """

    mailboxes: IGuestAccount
    name: str
    owner: Account | None = None

    @property
    def owner_id(self) -> int:
        """The account that the mailbox belongs to."""
        return int(self.mailboxes.account_id)


@implementer(IRightsAccount, ICountsMailboxes, IAnnotatedAccount)
class SharingAccount:
    """
    The mailboxes of one account and those of others.

    Args:
        account: whose session it is.
        store: has the mailboxes of all.
        accounts: finds others by address.
        numbers: finds them by id.
    """

    __slots__ = (
        "_account",
        "_accounts",
        "_bus",
        "_granting",
        "_namespace",
        "_numbers",
        "_own",
        "_settings",
        "_store",
        "account_id",
        "changes",
        "email",
        "keywords_max",
        "others",
        "remembers",
    )

    def __init__(
        self,
        account: Account,
        store: ISharingStore,
        accounts: IAccounts,
        numbers: IAccountNumbers,
        settings: SharingSettings,
    ) -> None:
        self._account = account
        self._store = store
        self._accounts = accounts
        self._numbers = numbers
        self._settings = settings
        self._own: IAnnotatedAccount = store.account(account)
        self._granting: IGuestAccount = store.guest(account, account.account_id)
        self._namespace = Namespace(settings.prefix)
        self._bus = SharingBus(self._own.changes, account.account_id)
        self.account_id = account.account_id
        self.email = account.email
        self.changes = self._bus
        self.remembers: bool = self._own.remembers
        self.keywords_max: int = self._own.keywords_max
        self.others = settings.prefix

    # whose a name is

    async def _find(self, name: str) -> Place | None:
        """Find out where a name leads; None when it can be nobody's."""
        if not self._namespace.holds(name):
            return Place(self._granting, name)
        try:
            await self._granting.rights(name)
        except MailError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
        else:
            return Place(self._granting, name)
        others = self._namespace.read(name)
        if others is None:
            return None
        owner = await self._accounts.find(others.address)
        if owner is None or not owner.enabled or owner.account_id == self.account_id:
            return None
        return Place(self._store.guest(owner, self.account_id), others.name, owner)

    async def _place(self, name: str) -> Place:
        place = await self._find(name)
        if place is None:
            raise _not_there()
        return place

    async def is_others(self, name: str) -> bool:
        """Whether a name is that of another's mailbox, if there is one of that name at all."""
        if not self._namespace.holds(name):
            return False
        place = await self._find(name)
        return place is None or place.owner is not None

    def follow(self, mailbox_id: int) -> ISubscription | None:
        """Let the bus carry what happens in a mailbox of another."""
        owner_id, its_id = read_others_id(mailbox_id)
        return self._bus.follow(owner_id, its_id) if owner_id else None

    async def ensure_there(self, owner_id: int) -> None:
        """
        Check that an account whose mailbox is open has not been switched off or removed meanwhile.

        Raises:
            MailError: NOT_FOUND.
        """
        owner = await self._numbers.find_id(owner_id)
        if owner is None or not owner.enabled:
            raise MailError(Kind.NOT_FOUND, "the mailbox is gone")

    # IMailAccount

    async def list_mailboxes(self) -> Sequence[MailboxEntry]:
        """List all names: one's own, then what others let this account look up."""
        own = await self._own.list_mailboxes()
        shared: dict[str, MailboxEntry] = {}
        for owner_id in await self._store.sharers(self.account_id):
            owner = await self._numbers.find_id(owner_id)
            if owner is None or not owner.enabled:
                continue
            try:
                entries = await self._store.guest(owner, self.account_id).list_mailboxes()
            except MailError:
                continue  # somebody else's trouble; one's own mailboxes are there
            for entry in entries:
                name = self._namespace.write(owner.email, entry.name)
                shared[name] = attrs.evolve(entry, name=name, mailbox_id=others_id(owner_id, entry.mailbox_id))
        if not shared:
            return own
        found = []
        for entry in own:
            other = shared.get(entry.name)
            if other is None or entry.selectable:
                found.append(entry)
                shared.pop(entry.name, None)
            else:
                shared[entry.name] = attrs.evolve(other, subscribed=entry.subscribed)
        return sorted([*found, *shared.values()], key=lambda entry: (entry.name != INBOX, entry.name))

    async def open_mailbox(self, name: str, *, read_only: bool) -> IMailbox:
        """Open a mailbox."""
        place = await self._place(name)
        if place.owner is None:
            return OwnMailbox(self, await self._own.open_mailbox(name, read_only=read_only))
        mailbox = IGuestMailbox(await place.mailboxes.open_mailbox(place.name, read_only=read_only))
        return OthersMailbox(
            self,
            mailbox,
            owner_id=place.owner_id,
            mailbox_id=others_id(place.owner_id, mailbox.mailbox_id),
            name=self._namespace.write(place.owner.email, mailbox.name),
            following=self._bus.follow(place.owner_id, mailbox.mailbox_id),
        )

    async def status(self, name: str) -> MailboxStatus:
        """Count without opening."""
        if not self._namespace.holds(name):
            return await self._own.status(name)
        place = await self._place(name)
        if place.owner is None:
            return await self._own.status(name)
        counts = await place.mailboxes.status(place.name)
        return attrs.evolve(counts, mailbox_id=others_id(place.owner_id, counts.mailbox_id))

    async def statuses(self, names: Sequence[str]) -> Sequence[MailboxStatus | None]:
        """Count mailboxes: those of one's own at once, as the store can, the others one by one."""
        found: dict[str, MailboxStatus | None] = {}
        own = [name for name in names if not self._namespace.holds(name)]
        if ICountsMailboxes.providedBy(self._own):
            found.update(zip(own, await ICountsMailboxes(self._own).statuses(own), strict=True))
        for name in names:
            if name not in found:
                found[name] = await self._status_or_none(name)
        return [found[name] for name in names]

    async def _status_or_none(self, name: str) -> MailboxStatus | None:
        try:
            return await self.status(name)
        except MailError:
            return None

    async def create(self, name: str, special_use: frozenset[SpecialUse]) -> Created:
        """Make a mailbox: one's own, or with the right to, one that belongs to the owner of those above."""
        if not self._namespace.holds(name):
            return await self._own.create(name, special_use)
        if special_use:
            raise SpecialUseError("the purposes of mailboxes are their owner's choice")
        place = await self._find(name)
        if place is None:
            raise _cannot_create()
        if place.owner is None:
            raise MailError(Kind.EXISTS, "there is a mailbox of that name")
        made = await place.mailboxes.create(place.name, special_use)
        return attrs.evolve(made, mailbox_id=others_id(place.owner_id, made.mailbox_id))

    async def delete(self, name: str) -> None:
        """Remove a mailbox and its messages."""
        place = await self._place(name)
        await (self._own if place.owner is None else place.mailboxes).delete(place.name)

    async def rename(self, old: str, new: str) -> None:
        """Rename a mailbox; it stays its owner's."""
        if not self._namespace.holds(old) and not self._namespace.holds(new):
            await self._own.rename(old, new)
            return
        source = await self._place(old)
        await source.mailboxes.rights(source.name)  # who may not know of it hears that it is not there
        target = self._namespace.read(new)
        if source.owner is None:
            if self._namespace.holds(new):
                raise MailError(Kind.INVALID, "names below that one are those of other people's mailboxes")
            await self._own.rename(old, new)
            return
        owner = await self._accounts.find(target.address) if target is not None else None
        if target is None or owner is None or owner.account_id != source.owner_id:
            raise MailError(Kind.INVALID, "a mailbox stays with its owner; copy its messages instead")
        await source.mailboxes.rename(source.name, target.name)

    async def subscribe(self, name: str, subscribed: bool) -> None:  # noqa: FBT001 - the interface says so
        """
        Note or forget a subscription, which is one's own, whosever the mailbox is.

        It is noted under the name that the list has, or the two would be two names there (RFC 5258 section 3).
        """
        listed = await self._listed_name(name)
        await self._own.subscribe(listed, subscribed)
        if not subscribed and name != listed:
            await self._own.subscribe(name, subscribed=False)

    async def _listed_name(self, name: str) -> str:
        """Give the one form of a name, however the address and INBOX in it are written."""
        place = await self._find(name) if self._namespace.holds(name) else None
        if place is not None and place.owner is None:
            return name
        others = self._namespace.read(name)
        owner = await self._accounts.find(others.address) if others is not None else None
        return name if owner is None or others is None else self._namespace.write(owner.email, others.name)

    async def append(self, name: str, messages: Sequence[AppendMessage]) -> Appended:
        """Store messages durably, all or none."""
        if not self._namespace.holds(name):
            return await self._own.append(name, messages)
        place = await self._place(name)
        return await (self._own if place.owner is None else place.mailboxes).append(place.name, messages)

    def begin_body(self, size_octets: int, replaced_octets: int | None = None) -> Awaitable[IBodyFile]:
        """Open a file for a large message that will be one's own."""
        return self._own.begin_body(size_octets, replaced_octets)

    def quota(self) -> Awaitable[Mapping[str, tuple[int, int]]]:
        """Tell one's own use and limit."""
        return self._own.quota()

    # annotations: one's own, and what others share

    async def _annotated(self, name: str) -> tuple[IAnnotatedAccount, str]:
        if not self._namespace.holds(name):
            return self._own, name
        place = await self._place(name)
        return (self._own if place.owner is None else place.mailboxes), place.name

    async def annotations(self, name: str, entries: Sequence[str], depth: Depth) -> Mapping[str, bytes]:
        """Give entries that have a value; of mailboxes of others, shared ones, to who may see them."""
        account, there = await self._annotated(name)
        return await account.annotations(there, entries, depth)

    async def annotate(self, name: str, values: Mapping[str, bytes | None], limits: AnnotationLimits) -> Sequence[int]:
        """Set and remove entries; in mailboxes of others their numbers are the owner's, and nothing to this account."""
        account, there = await self._annotated(name)
        numbers = await account.annotate(there, values, limits)
        return numbers if account is self._own else ()

    def annotated(self, since: int | None) -> Awaitable[AnnotationChanges]:
        """Say which annotations were changed; only of one's own mailboxes, also by guests."""
        return self._own.annotated(since)

    def logout(self) -> None:
        """The session is over."""
        self._bus.close()
        self._own.logout()

    # rights

    async def rights(self, name: str) -> Rights:
        """Say what this account may do with a mailbox."""
        place = await self._place(name)
        return await place.mailboxes.rights(place.name)

    async def entries(self, name: str) -> Mapping[str, Rights]:
        """Give who has rights on a mailbox, the owner first; accounts that are gone have none."""
        place = await self._place(name)
        known = await place.mailboxes.entries(place.name)
        owner = await self._numbers.find_id(place.owner_id) or place.owner or self._account
        found = {owner.email: ALL_RIGHTS}
        for account_id, rights in known.items():
            if account_id == ANYONE:
                found[ANYONE_IDENTIFIER] = rights
                continue
            account = await self._numbers.find_id(account_id)
            if account is not None:
                found[account.email] = rights
        return found

    async def grantable(self, name: str, identifier: str) -> Grantable:
        """Say what may be granted to an identifier; the same to one that is nobody's."""
        place = await self._place(name)
        await place.mailboxes.entries(place.name)  # only who may administer is told
        if identifier.lower() == ANYONE_IDENTIFIER and not self._settings.anyone:
            return Grantable(always=NO_RIGHTS, optional=NO_RIGHTS)
        found = await self._named(identifier)
        if found is not None and found.account_id == place.owner_id:
            return Grantable(always=ALL_RIGHTS, optional=NO_RIGHTS)
        return Grantable(always=NO_RIGHTS, optional=ALL_RIGHTS)

    async def change_rights(self, name: str, identifier: str, mode: RightsMode, rights: Rights) -> None:
        """Change the rights of an identifier."""
        place = await self._place(name)
        await place.mailboxes.entries(place.name)  # who may not administer learns nothing about identifiers
        account_id = await self._identify(identifier, place, mode, rights)
        await place.mailboxes.change_rights(place.name, account_id, mode, rights)

    async def _named(self, identifier: str) -> Account | None:
        """Find whose an identifier is: what LOGIN takes as a name is one for that account (RFC 4314 section 2)."""
        if ILoginNames.providedBy(self._accounts):
            return await ILoginNames(self._accounts).find_login(identifier)
        return await self._accounts.find(identifier)

    async def _identify(self, identifier: str, place: Place, mode: RightsMode, rights: Rights) -> int:
        """
        Find whom an identifier means.

        Raises:
            MailError: INVALID, when it is nobody, or the owner, whose rights nobody can change.
        """
        if identifier.startswith("-"):
            raise MailError(Kind.INVALID, "negative rights are not supported")  # RFC 4314 section 2 leaves that to us
        if identifier.lower() == ANYONE_IDENTIFIER:
            takes_away = mode is RightsMode.REMOVE or (mode is RightsMode.REPLACE and not rights)
            if not self._settings.anyone and not takes_away:
                raise MailError(Kind.DENIED, "rights for anyone are turned off on this server")
            return ANYONE
        account = await self._named(identifier)
        if account is None:
            raise MailError(Kind.INVALID, "there is no account of that address")
        if account.account_id == place.owner_id:
            raise MailError(Kind.INVALID, "the owner of a mailbox has all rights, always")
        return account.account_id

    # messages that come, and go elsewhere

    async def check_append(self, name: str, size_octets: int, replaced_octets: int | None = None) -> None:
        """Say, before a message comes, whether it could be appended."""
        place = await self._place(name)
        await place.mailboxes.check_append(place.name, size_octets, replaced_octets)

    async def begin_body_for(self, name: str, size_octets: int, replaced_octets: int | None = None) -> IBodyFile:
        """Open a file for a large message to be appended there."""
        place = await self._place(name)
        await place.mailboxes.check_append(place.name, size_octets, replaced_octets)
        return await place.mailboxes.begin_body(size_octets, replaced_octets)

    async def transfer(
        self, source: IMailbox, owner_id: int, uids: Sequence[int], name: str, *, move: bool
    ) -> Appended:
        """
        Copy or move messages out of an open mailbox; within one account in one transaction, see `Transfer` otherwise.

        Args:
            source: as the store gave it.
            owner_id: whose it is.

        Raises:
            MailError: NOT_FOUND when there is no such mailbox; DENIED; OVER_QUOTA.
        """
        place = await self._place(name)
        if place.owner_id == owner_id:
            work = source.move_to if move else source.copy_to
            return await work(uids, place.name)
        await place.mailboxes.check_append(place.name, 0)
        if move:
            _ensure_removable(source)
        target = self._own if place.owner is None else place.mailboxes
        return await Transfer(source, target, place.mailboxes.begin_body).run(uids, place.name, move=move)

    async def replace(self, source: IMailbox, owner_id: int, uid: int, name: str, message: AppendMessage) -> Appended:
        """
        Store a message and remove one of an open mailbox; within one account in one transaction.

        Between two accounts the new message is stored durably before the old one is removed.

        Args:
            source: as the store gave it.
            owner_id: whose it is.

        Raises:
            MailError: NOT_FOUND when there is no such mailbox; DENIED; EXPUNGED; OVER_QUOTA; TOO_LARGE.
        """
        place = await self._place(name)
        if place.owner_id == owner_id:
            return await source.replace(uid, place.name, message)
        content = message.content
        await place.mailboxes.check_append(
            place.name, content.size_octets if isinstance(content, Body) else len(content)
        )
        if not await source.fetch([uid], (Column.SIZE,)):
            raise MailError(Kind.EXPUNGED, "the message is gone")
        _ensure_removable(source)
        target = self._own if place.owner is None else place.mailboxes
        appended = await target.append(place.name, [message])
        await IRemovingMailbox(source).remove([uid])
        return appended


def _ensure_removable(source: IMailbox) -> None:
    if source.read_only:
        raise MailError(Kind.DENIED, "the mailbox is open for reading only")
    if not IGuestMailbox.providedBy(source):
        return
    rights: Rights = IGuestMailbox(source).rights
    if not rights.issuperset((Right.DELETE_MESSAGES, Right.EXPUNGE)):
        raise MailError(Kind.DENIED, "you have not the right to remove messages from this mailbox")


def _not_there() -> MailError:
    return MailError(Kind.NOT_FOUND, "there is no such mailbox")


def _cannot_create() -> MailError:
    return MailError(Kind.DENIED, "you cannot make a mailbox of that name")
