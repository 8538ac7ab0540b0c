"""
The reference store: everything in memory, written to be read. What the other store promises, this one shows.

Nothing blocks, so every call does its work at once, in the reactor thread.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence

from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    ANYONE,
    Account,
    AppendMessage,
    Body,
    Expired,
    Expiry,
    IAccountUpkeep,
    IChangeBus,
    IDeliveryStore,
    ISharingStore,
    LocalDelivery,
    LocalOutcome,
    MailboxChange,
    Rights,
    SpecialUse,
    TooManyKeywordsError,
    Usage,
    allowed_flags,
)
from mailsuite.message.summary import summarize
from mailsuite.store.changes import ChangeBus
from mailsuite.store.flags import check_flags
from mailsuite.store.maildir import INBOX, check_name
from mailsuite.store.memory_account import MemoryAccount
from mailsuite.store.memory_expire import doomed_messages
from mailsuite.store.memory_guest import MemoryGuest
from mailsuite.store.memory_mail import Box, Mail, Message
from mailsuite.store.settings import StorageSettings

_ATTRIBUTES = {
    "Archive": SpecialUse.ARCHIVE,
    "Drafts": SpecialUse.DRAFTS,
    "Junk": SpecialUse.JUNK,
    "Sent": SpecialUse.SENT,
    "Trash": SpecialUse.TRASH,
}


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

    def account(self, account: Account) -> MemoryAccount:
        """Give an account's mailboxes, for one session."""
        return MemoryAccount(self, self.mail(account.account_id), account)

    def guest(self, owner: Account, guest_id: int) -> MemoryGuest:
        """Give an account the mailboxes of another, as far as its rights go, for one session."""
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
