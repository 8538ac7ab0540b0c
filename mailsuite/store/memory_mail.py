"""What the store in memory holds of an account: mailboxes and messages."""

import itertools

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Rights, SpecialUse
from mailsuite.message.summary import Summary
from mailsuite.store.maildir import find_name, parent_names
from mailsuite.store.memory_annotations import Annotations


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
