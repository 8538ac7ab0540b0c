"""Annotations in the reference store."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    SPECIAL_USE_ENTRY,
    AnnotationChange,
    AnnotationChanges,
    AnnotationLimits,
    Depth,
    SpecialUse,
    TooManyAnnotationsError,
    is_asked,
    is_private,
    parse_special_use,
    special_use_value,
)
from mailsuite.store.maildir import INBOX

if TYPE_CHECKING:
    from mailsuite.store.memory import MemoryStore
    from mailsuite.store.memory_mail import Box, Mail

ACCOUNT = 0
"""In place of the id of a mailbox: the account itself."""
EVERYBODY = 0
"""In place of the id of a reader: a shared entry."""


@attrs.frozen
class Annotation:
    """A value, or the removal of one; the later, the higher its number."""

    number: int
    entry: str
    value: bytes | None


Key = tuple[int, int, str]
"""The id of a mailbox, that of a reader, and an entry in lower case."""


@attrs.define
class Annotations:
    """All of one account."""

    kept: dict[Key, Annotation] = attrs.field(factory=dict)
    last: int = 0
    _numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))

    def put(self, mailbox_id: int, reader: int, entry: str, value: bytes | None) -> int:
        """Set or remove one; return its number."""
        self.last = next(self._numbers)
        self.kept[mailbox_id, reader, entry.lower()] = Annotation(self.last, entry, value)
        return self.last

    def values(self, mailbox_id: int, reader: int) -> dict[tuple[int, str], Annotation]:
        """Give what a reader sees of a mailbox."""
        return {
            (owner, entry): annotation
            for (box, owner, entry), annotation in self.kept.items()
            if box == mailbox_id and owner in {EVERYBODY, reader} and annotation.value is not None
        }

    def forget(self, mailbox_ids: set[int]) -> None:
        """Forget those of mailboxes that are not there any more."""
        self.kept = {key: kept for key, kept in self.kept.items() if key[0] == ACCOUNT or key[0] in mailbox_ids}

    def octets(self) -> int:
        """Sum the octets of all values."""
        return sum(len(annotation.value or b"") for annotation in self.kept.values())


class MemoryAnnotating:
    """What a `MemoryAccount` does with annotations."""

    _store: "MemoryStore"
    _mail: "Mail"
    _quota_octets: int
    account_id: int

    @property
    def _reader(self) -> int:
        """The account whose private annotations are meant."""
        return self.account_id

    def _annotated_box(self, name: str) -> "Box | None":
        return self._mail.find(name) if name else None

    async def annotations(self, name: str, entries: Sequence[str], depth: Depth) -> Mapping[str, bytes]:
        """Give entries that have a value."""
        box = self._annotated_box(name)
        mailbox_id = ACCOUNT if box is None else box.mailbox_id
        found = {
            annotation.entry: annotation.value
            for annotation in self._mail.annotations.values(mailbox_id, self._reader).values()
            if annotation.value is not None and is_asked(annotation.entry, entries, depth)
        }
        owns = self._reader == self.account_id
        special_use = special_use_value(box.special_use) if box is not None and owns else None
        if special_use is not None and is_asked(SPECIAL_USE_ENTRY, entries, depth):
            found[SPECIAL_USE_ENTRY] = special_use
        return found

    async def annotate(self, name: str, values: Mapping[str, bytes | None], limits: AnnotationLimits) -> Sequence[int]:
        """Set and remove entries, all or none; what is so already is no change."""
        box = self._annotated_box(name)
        mailbox_id = ACCOUNT if box is None else box.mailbox_id
        known = self._mail.annotations.values(mailbox_id, self._reader)
        uses = None if box is None else box.special_use
        new: dict[tuple[int, str], tuple[str, bytes | None]] = {}
        for entry, value in values.items():
            if entry.lower() == SPECIAL_USE_ENTRY:
                if self._reader != self.account_id:
                    raise MailError(Kind.DENIED, "the purposes of mailboxes are their owner's choice")
                uses = _check_special_use(box, value)
                continue
            key = self._reader if is_private(entry) else EVERYBODY, entry.lower()
            so = known.get(key)
            if (value is not None or so is not None) and (so is None or (so.entry, so.value) != (entry, value)):
                new[key] = entry, value
        self._check_room(known, new, limits)
        annotations = self._mail.annotations
        numbers = [annotations.put(mailbox_id, reader, entry, value) for (reader, _), (entry, value) in new.items()]
        if box is not None and uses is not None and uses != box.special_use:
            box.special_use = uses
            numbers.append(self._note_special_use(box))
        if numbers and box is not None:  # RFC 7162 section 3.2
            box.modseq += 1
            self._store.told(self._mail, box)
        if numbers:
            self._store.told(self._mail)
        return numbers

    def _note_special_use(self, box: "Box") -> int:
        """Note for other sessions that a mailbox is for something else now; give the number."""
        return self._mail.annotations.put(box.mailbox_id, self.account_id, SPECIAL_USE_ENTRY, None)

    def _check_room(
        self,
        known: Mapping[tuple[int, str], Annotation],
        new: Mapping[tuple[int, str], tuple[str, bytes | None]],
        limits: AnnotationLimits,
    ) -> None:
        octets = self._mail.totals()[0]  # forgets those of mailboxes that are gone
        added = sum((value is not None) - (key in known) for key, (_, value) in new.items())
        in_all = sum(annotation.value is not None for annotation in self._mail.annotations.kept.values())
        if added > 0 and (len(known) + added > limits.per_mailbox or in_all + added > limits.per_account):
            raise TooManyAnnotationsError
        before = sum(len(known[key].value or b"") for key in new if key in known)
        growth = sum(len(value or b"") for _, value in new.values()) - before
        if growth > 0 and self._quota_octets and octets + growth > self._quota_octets:
            raise MailError(Kind.OVER_QUOTA, "the account has not enough room")

    async def annotated(self, since: int | None) -> AnnotationChanges:
        """Say which annotations were changed."""
        annotations = self._mail.annotations
        if since is None or annotations.last <= since:
            return AnnotationChanges(number=annotations.last)
        names = {box.mailbox_id: box.name for box in self._mail.boxes.values()} | {ACCOUNT: ""}
        changes = [
            AnnotationChange(number=annotation.number, mailbox=names[mailbox_id], entry=annotation.entry)
            for (mailbox_id, reader, _), annotation in annotations.kept.items()
            if annotation.number > since and reader in {EVERYBODY, self._reader} and mailbox_id in names
        ]
        return AnnotationChanges(number=annotations.last, changes=sorted(changes, key=lambda each: each.number))


def _check_special_use(box: "Box | None", value: bytes | None) -> frozenset[SpecialUse]:
    if box is None or box.name == INBOX:
        raise MailError(Kind.INVALID, "that cannot have a special use")
    return parse_special_use(value, box.special_use)
