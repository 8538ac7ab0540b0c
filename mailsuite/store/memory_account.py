"""The mailboxes of one account in memory, as its owner uses them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    Account,
    Appended,
    AppendMessage,
    Created,
    IAnnotatedAccount,
    IBodyFile,
    IChangeBus,
    IMailbox,
    MailboxEntry,
    MailboxStatus,
    SpecialUse,
    ensure_possible_uses,
)
from mailsuite.store.flags import check_flags
from mailsuite.store.maildir import INBOX, check_name, find_name, parent_names
from mailsuite.store.memory_annotations import MemoryAnnotating
from mailsuite.store.memory_body import MemoryBody
from mailsuite.store.memory_mail import Box, Mail
from mailsuite.store.memory_mailbox import MemoryMailbox, transfer

if TYPE_CHECKING:
    from mailsuite.store.memory import MemoryStore


@implementer(IAnnotatedAccount)
class MemoryAccount(MemoryAnnotating):
    """The mailboxes of one account."""

    remembers = True

    def __init__(self, store: "MemoryStore", mail: Mail, account: Account) -> None:
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
        self._ensure_fits(size_octets, replaced_octets)
        return MemoryBody(self._store.bodies)

    def _ensure_fits(self, size_octets: int, replaced_octets: int | None) -> None:
        """Check that a message, perhaps in place of another, could be stored. Raises MailError."""
        limit = self._store.settings.message_max_octets
        if limit and size_octets > limit:
            raise MailError(Kind.TOO_LARGE, "the message is too long")
        if replaced_octets is None:
            self._store.check_quota(self._mail, self._quota_octets, size_octets, 1)
        else:
            self._store.check_growth(self._mail, self._quota_octets, replaced_octets, size_octets)

    async def quota(self) -> Mapping[str, tuple[int, int]]:
        """Tell use and limit."""
        octets, messages = self._mail.totals()
        return {"STORAGE": (octets, self._quota_octets), "MESSAGES": (messages, self._store.settings.messages_max)}

    def logout(self) -> None:
        """Nothing is kept for the session."""
