"""
The reference store: everything in memory, written to be read. What the other store promises, this one shows.

Nothing blocks, so every call does its work at once, in the reactor thread.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    ANYONE,
    Account,
    Appended,
    AppendMessage,
    Body,
    Created,
    Expired,
    Expiry,
    IAccountUpkeep,
    IAnnotatedAccount,
    IBodyFile,
    IChangeBus,
    IDeliveryStore,
    IMailbox,
    ISharingStore,
    LocalDelivery,
    LocalOutcome,
    MailboxChange,
    MailboxEntry,
    MailboxStatus,
    Rights,
    SpecialUse,
    TooManyKeywordsError,
    Usage,
    allowed_flags,
    ensure_possible_uses,
)
from mailsuite.message.summary import Summary, summarize
from mailsuite.store.changes import ChangeBus
from mailsuite.store.flags import check_flags
from mailsuite.store.maildir import INBOX, check_name, find_name, parent_names
from mailsuite.store.memory_annotations import Annotations, MemoryAnnotating
from mailsuite.store.memory_body import MemoryBody
from mailsuite.store.memory_expire import doomed_messages
from mailsuite.store.memory_mailbox import MemoryMailbox, transfer
from mailsuite.store.settings import StorageSettings

if TYPE_CHECKING:
    from mailsuite.store.memory_guest import MemoryGuest

_ATTRIBUTES = {
    "Archive": SpecialUse.ARCHIVE,
    "Drafts": SpecialUse.DRAFTS,
    "Junk": SpecialUse.JUNK,
    "Sent": SpecialUse.SENT,
    "Trash": SpecialUse.TRASH,
}


@attrs.define(kw_only=True)
class Message:
    """A message in a mailbox."""

    uid: int
    content: bytes
    summary: Summary
    flags: frozenset[str]
    date: int
    saved: int
    modseq: int
    added: int
    email_id: bytes
    preview: bytes | None = None


@attrs.define(kw_only=True)
class Box:
    """A mailbox; messages in order of UID."""

    mailbox_id: int
    name: str
    uidvalidity: int
    special_use: frozenset[SpecialUse] = frozenset()
    selectable: bool = True
    uidnext: int = 1
    modseq: int = 1
    recent: int = 1
    messages: dict[int, Message] = attrs.field(factory=dict)
    expunged: dict[int, int] = attrs.field(factory=dict)
    keywords: dict[str, str] = attrs.field(factory=dict)
    rights: dict[int, Rights] = attrs.field(factory=dict)


@attrs.define
class Mail:
    """Everything of one account."""

    account_id: int
    boxes: dict[str, Box] = attrs.field(factory=dict)
    subscriptions: set[str] = attrs.field(factory=set)
    delivered: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    annotations: Annotations = attrs.field(factory=Annotations)
    ids: "itertools.count[int]" = attrs.field(factory=lambda: itertools.count(1))
    validities: "itertools.count[int]" = attrs.field(factory=lambda: itertools.count(1))

    def find(self, name: str) -> Box:
        """Find a mailbox that can be selected."""
        box = self.boxes.get(find_name(name))
        if box is None or not box.selectable:
            raise MailError(Kind.NOT_FOUND, "there is no such mailbox")
        return box

    def make(self, name: str, special_use: frozenset[SpecialUse] = frozenset()) -> Box:
        """Make a mailbox."""
        box = Box(mailbox_id=next(self.ids), name=name, uidvalidity=next(self.validities), special_use=special_use)
        self.boxes[name] = box
        return box

    def nearest(self, name: str) -> Box | None:
        """Find the nearest mailbox above a name."""
        above = [self.boxes[parent] for parent in parent_names(name) if parent in self.boxes]
        return next((box for box in reversed(above) if box.selectable), None)

    def make_below(self, name: str, special_use: frozenset[SpecialUse] = frozenset()) -> Box:
        """Make a mailbox with the rights of the nearest one above (RFC 4314 section 4)."""
        box = self.make(name, special_use)
        above = self.nearest(name)
        box.rights = dict(above.rights) if above is not None else {}
        return box

    def drop_lonely_names(self) -> None:
        """Forget mere names that have nothing below them any more."""
        for name in [box.name for box in self.boxes.values() if not box.selectable]:
            if not any(other.startswith(f"{name}/") for other in self.boxes):
                del self.boxes[name]

    def totals(self) -> tuple[int, int]:
        """Sum octets, those of annotations among them, and messages."""
        self.annotations.forget({box.mailbox_id for box in self.boxes.values()})
        messages = [message for box in self.boxes.values() for message in box.messages.values()]
        return sum(len(message.content) for message in messages) + self.annotations.octets(), len(messages)


@implementer(IDeliveryStore, IAccountUpkeep, ISharingStore)
class MemoryStore:
    """
    Mail that ends with the process.

    Args:
        bus: hears of every change; made when there is none.
        clock: seconds since the epoch.
    """

    def __init__(self, settings: StorageSettings, *, bus: IChangeBus | None = None, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.bus: IChangeBus = bus or ChangeBus()
        self.clock = clock
        self._accounts: dict[int, Mail] = {}
        self.bodies: dict[str, bytes] = {}
        self._arrivals = itertools.count(1)

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def account(self, account: Account) -> "MemoryAccount":
        """Give an account's mailboxes, for one session."""
        return MemoryAccount(self, self.mail(account.account_id), account)

    def guest(self, owner: Account, guest_id: int) -> "MemoryGuest":
        """Give an account the mailboxes of another, as far as its rights go, for one session."""
        from mailsuite.store.memory_guest import MemoryGuest

        return MemoryGuest(self, self.mail(owner.account_id), owner, guest_id)

    async def sharers(self, guest_id: int) -> Sequence[int]:
        """List the accounts that have granted something to this one."""
        return [
            owner
            for owner, mail in sorted(self._accounts.items())
            if owner != guest_id and any({guest_id, ANYONE} & set(box.rights) for box in mail.boxes.values())
        ]

    def mail(self, account_id: int) -> Mail:
        """Find an account, making its first mailboxes."""
        mail = self._accounts.get(account_id)
        if mail is None:
            mail = self._accounts[account_id] = Mail(account_id)
            mail.make(INBOX)
            for name in self.settings.create_special:
                uses = frozenset([_ATTRIBUTES[name]]) if name in _ATTRIBUTES else frozenset()
                mail.make(name, uses)
                mail.subscriptions.add(name)
        return mail

    def told(self, mail: Mail, *boxes: Box) -> None:
        """Publish changes of mailboxes, or of their names when none is given."""
        for box in boxes:
            self.bus.publish(MailboxChange(mail.account_id, box.mailbox_id, box.modseq))
        if not boxes:
            self.bus.publish(MailboxChange(mail.account_id, 0, 0))

    def check_quota(self, mail: Mail, limit_octets: int, octets: int, messages: int) -> None:
        """Check whether there is room."""
        used_octets, used_messages = mail.totals()
        if limit_octets and used_octets + octets > limit_octets:
            raise MailError(Kind.OVER_QUOTA, "the account has not enough room")
        if self.settings.messages_max and used_messages + messages > self.settings.messages_max:
            raise MailError(Kind.OVER_QUOTA, "the account has too many messages")

    def keywords(self, box: Box, flags: Iterable[str]) -> frozenset[str]:
        """Make keywords where they are new; give flags as they were first written."""
        flags = list(flags)
        new = {flag.lower() for flag in flags if flag[0] != "\\"} - set(box.keywords)
        if new and len(box.keywords) + len(new) > self.settings.keywords_max:
            raise TooManyKeywordsError
        return frozenset(
            flag if flag[0] == "\\" else box.keywords.setdefault(flag.lower(), flag) for flag in sorted(flags)
        )

    def add(self, box: Box, content: bytes, flags: frozenset[str], date: int) -> Message:
        """Add a message with the mailbox's MODSEQ."""
        message = Message(
            uid=box.uidnext,
            content=content,
            summary=summarize(content),
            flags=self.keywords(box, flags),
            date=date,
            saved=int(self.clock()),
            modseq=box.modseq,
            added=box.modseq,
            email_id=b"M%024x" % next(self._arrivals),
        )
        box.uidnext += 1
        box.messages[message.uid] = message
        return message

    def copy(self, box: Box, message: Message, rights: Rights) -> Message:
        """Add a copy of a message, with the flags that the rights cover."""
        copied = self.add(box, message.content, allowed_flags(message.flags, rights), message.date)
        copied.email_id = message.email_id
        copied.preview = message.preview
        return copied

    def check_growth(self, mail: Mail, limit_octets: int, old: int, new: int) -> None:
        """Check whether there is room for a message in place of another one; what becomes smaller always fits."""
        if new > old:
            self.check_quota(mail, limit_octets, new - old, 0)

    def whole(self, message: AppendMessage) -> bytes:
        """Give the octets of a message that is not too large."""
        content = self.octets(message.content)
        limit = self.settings.message_max_octets
        if limit and len(content) > limit:
            raise MailError(Kind.TOO_LARGE, "the message is too long")
        return content

    def take(self, box: Box, message: AppendMessage, content: bytes) -> int:
        """Add a message that a client stores; give its UID."""
        date = int(self.clock()) if message.internal_date is None else message.internal_date
        if isinstance(message.content, Body):
            self.bodies.pop(message.content.path, None)
        added = self.add(box, content, check_flags(message.flags), date)
        added.email_id = message.email_id or added.email_id
        return added.uid

    def octets(self, content: bytes | Body) -> bytes:
        """Give the octets of a message, reading its file if need be."""
        if isinstance(content, bytes):
            return content
        if content.path in self.bodies:
            return self.bodies[content.path]
        with open(content.path, "rb") as file:
            return file.read()

    # deliveries

    def deliver(self, deliveries: Sequence[LocalDelivery], report: Callable[[Sequence[LocalOutcome]], None]) -> None:
        """Put messages into mailboxes now."""
        report([self._deliver(delivery) for delivery in deliveries])

    def _deliver(self, delivery: LocalDelivery) -> LocalOutcome:
        mail = self.mail(delivery.account_id)
        if delivery.delivery_id in mail.delivered:
            return LocalOutcome(delivery.delivery_id, *mail.delivered[delivery.delivery_id])
        content = self.octets(delivery.content)
        try:
            self.check_quota(mail, delivery.quota_octets, len(content), 1)
            flags = check_flags(delivery.flags)
        except MailError as error:
            return LocalOutcome(delivery.delivery_id, 0, 0, error)
        try:
            box = self._box_for(mail, delivery)
        except MailError as error:
            return LocalOutcome(delivery.delivery_id, 0, 0, error)
        box.modseq += 1
        message = self.add(box, content, flags, delivery.received)
        mail.delivered[delivery.delivery_id] = box.mailbox_id, message.uid
        self.told(mail, box)
        return LocalOutcome(delivery.delivery_id, box.mailbox_id, message.uid, mailbox=box.name)

    def _box_for(self, mail: Mail, delivery: LocalDelivery) -> Box:
        try:
            return mail.find(delivery.mailbox)
        except MailError:
            if not delivery.make_mailbox:
                return mail.find(INBOX)
        try:
            name = check_name(delivery.mailbox)
        except MailError:
            return mail.find(INBOX)
        if len(mail.boxes) >= self.settings.mailboxes_max:
            raise MailError(Kind.OVER_QUOTA, "there are too many mailboxes")
        mail.boxes.pop(name, None)
        box = mail.make(name)
        self.told(mail)
        return box

    # upkeep

    async def usage(self, account: Account) -> Usage:
        """Say how much an account has."""
        mail = self.mail(account.account_id)
        return Usage(*mail.totals(), sum(box.selectable for box in mail.boxes.values()))

    async def expire(self, account: Account, expiry: Expiry) -> Expired:
        """Remove what is old, all at once."""
        mail = self.mail(account.account_id)
        boxes = [box for box in mail.boxes.values() if box.selectable]
        named = [box for box in boxes if box.name != INBOX and not box.special_use]
        gone = 0
        for box, uid in doomed_messages(mail, boxes, named, expiry):
            box.modseq += 1
            del box.messages[uid]
            box.expunged[uid] = box.modseq
            self.told(mail, box)
            gone += 1
        empty = [box for box in named if not box.messages]
        for box in empty:
            box.selectable = False
            del mail.boxes[box.name]
        if empty:
            self.told(mail)
        return Expired(gone, len(empty))

    def sync(self) -> None:
        """Nothing survives anyway."""

    def backlog(self) -> int:
        """Nothing waits."""
        return 0


@implementer(IAnnotatedAccount)
class MemoryAccount(MemoryAnnotating):
    """The mailboxes of one account."""

    remembers = True

    def __init__(self, store: MemoryStore, mail: Mail, account: Account) -> None:
        self._store = store
        self._mail = mail
        self._quota_octets = account.quota_octets
        self.account_id = account.account_id
        self.email = account.email
        self.keywords_max = store.settings.keywords_max
        self.changes: IChangeBus = store.bus

    async def list_mailboxes(self) -> Sequence[MailboxEntry]:
        """List all names, also mere parents and subscriptions, in order."""
        names = {*self._mail.boxes, *self._mail.subscriptions}
        names |= {parent for name in names for parent in parent_names(name)}
        entries = []
        for name in sorted(names, key=lambda name: (name != INBOX, name)):
            box = self._mail.boxes.get(name)
            real = box is not None and box.selectable
            entries.append(
                MailboxEntry(
                    name=name,
                    mailbox_id=box.mailbox_id if box is not None and real else 0,
                    selectable=real,
                    subscribed=name in self._mail.subscriptions,
                    special_use=box.special_use if box is not None else frozenset(),
                )
            )
        return entries

    async def open_mailbox(self, name: str, *, read_only: bool) -> IMailbox:
        """Open a mailbox."""
        return MemoryMailbox(self._store, self._mail, self._mail.find(name), self._quota_octets, read_only=read_only)

    async def status(self, name: str) -> MailboxStatus:
        """Count without opening."""
        box = self._mail.find(name)
        messages = box.messages.values()
        return MailboxStatus(
            messages=len(messages),
            recent=sum(message.uid >= box.recent for message in messages),
            unseen=sum("\\Seen" not in message.flags for message in messages),
            deleted=sum("\\Deleted" in message.flags for message in messages),
            uidnext=box.uidnext,
            uidvalidity=box.uidvalidity,
            highest_modseq=box.modseq,
            size_octets=sum(len(message.content) for message in messages),
            deleted_octets=sum(len(message.content) for message in messages if "\\Deleted" in message.flags),
            mailbox_id=box.mailbox_id,
        )

    async def create(self, name: str, special_use: frozenset[SpecialUse]) -> Created:
        """Make a mailbox and the levels above it."""
        ensure_possible_uses(special_use)
        name = check_name(name)
        boxes = self._mail.boxes
        if name in boxes and boxes[name].selectable:
            raise MailError(Kind.EXISTS, "there is a mailbox of that name")
        self._make_parents(name, more=1)
        box = self._mail.make_below(name, special_use)
        changes = (self._note_special_use(box),) if special_use else ()
        self._store.told(self._mail)
        return Created(mailbox_id=box.mailbox_id, uidvalidity=box.uidvalidity, changes=changes)

    def _make_parents(self, name: str, *, more: int) -> None:
        """Make the levels above a name, where there may be these and so many more."""
        boxes = self._mail.boxes
        missing = [parent for parent in parent_names(name) if parent not in boxes]
        if len(boxes) + len(missing) + more > self._store.settings.mailboxes_max:
            raise MailError(Kind.OVER_QUOTA, "there are too many mailboxes")
        for parent in missing:
            self._mail.make_below(parent)

    async def delete(self, name: str) -> None:
        """Remove a mailbox and its messages."""
        name = find_name(name)
        if name == INBOX:
            raise MailError(Kind.DENIED, "INBOX cannot be deleted")
        boxes = self._mail.boxes
        box = boxes.get(name)
        below = any(other.startswith(f"{name}/") for other in boxes)
        if below and (box is None or not box.selectable):
            raise MailError(Kind.CONFLICT, "the name has mailboxes below it")
        if box is None:
            raise MailError(Kind.NOT_FOUND, "there is no such mailbox")
        box.messages.clear()
        box.selectable = False
        if below:
            boxes[name] = Box(mailbox_id=next(self._mail.ids), name=name, uidvalidity=0, selectable=False)
        else:
            del boxes[name]
        self._mail.drop_lonely_names()
        self._store.told(self._mail)

    async def rename(self, old: str, new: str) -> None:
        """Rename a mailbox and those below; of INBOX, move the messages."""
        old, new = find_name(old), check_name(new)
        boxes = self._mail.boxes
        moving = [name for name in boxes if name == old or name.startswith(f"{old}/")]
        if not moving:
            raise MailError(Kind.NOT_FOUND, "there is no such mailbox")
        targets = {name: check_name(new + name[len(old) :]) for name in moving}
        if new == old or any(target in boxes and boxes[target].selectable for target in targets.values()):
            raise MailError(Kind.EXISTS, "there is a mailbox of that name")
        if new.startswith(f"{old}/") and old != INBOX:
            raise MailError(Kind.INVALID, "a mailbox cannot be moved below itself")
        self._make_parents(new, more=int(old == INBOX))
        if old == INBOX:
            inbox, box = boxes[INBOX], self._mail.make_below(new)
            inbox.modseq += 1
            transfer(self._store, inbox, box, list(inbox.messages.values()), move=True)
            self._store.told(self._mail, inbox, box)
        else:
            for name in moving:
                box = boxes.pop(name)
                box.name = targets[name]
                boxes[box.name] = box
            self._mail.drop_lonely_names()
        self._store.told(self._mail)

    async def subscribe(self, name: str, subscribed: bool) -> None:  # noqa: FBT001 - the interface says so
        """Note or forget a subscription."""
        name = check_name(name)
        if subscribed:
            self._mail.subscriptions.add(name)
        else:
            self._mail.subscriptions.discard(name)
        self._store.told(self._mail)

    async def append(self, name: str, messages: Sequence[AppendMessage]) -> Appended:
        """Store messages, all or none."""
        box = self._mail.find(name)
        contents = [self._store.whole(message) for message in messages]
        self._store.check_quota(self._mail, self._quota_octets, sum(map(len, contents)), len(contents))
        flags = [check_flags(message.flags) for message in messages]
        self._store.keywords(box, frozenset().union(*flags))
        box.modseq += 1
        uids = [self._store.take(box, message, content) for message, content in zip(messages, contents, strict=True)]
        self._store.told(self._mail, box)
        return Appended(uidvalidity=box.uidvalidity, uids=uids)

    async def begin_body(self, size_octets: int, replaced_octets: int | None = None) -> IBodyFile:
        """Begin a large message; it lies in memory like all others."""
        limit = self._store.settings.message_max_octets
        if limit and size_octets > limit:
            raise MailError(Kind.TOO_LARGE, "the message is too long")
        if replaced_octets is None:
            self._store.check_quota(self._mail, self._quota_octets, size_octets, 1)
        else:
            self._store.check_growth(self._mail, self._quota_octets, replaced_octets, size_octets)
        return MemoryBody(self._store.bodies)

    async def quota(self) -> Mapping[str, tuple[int, int]]:
        """Tell use and limit."""
        octets, messages = self._mail.totals()
        return {"STORAGE": (octets, self._quota_octets), "MESSAGES": (messages, self._store.settings.messages_max)}

    def logout(self) -> None:
        """Nothing is kept for the session."""
