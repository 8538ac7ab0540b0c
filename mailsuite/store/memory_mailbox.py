"""A selected mailbox of the store that keeps everything in memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    ALL_RIGHTS,
    Appended,
    AppendMessage,
    Changes,
    Column,
    History,
    IRemovingMailbox,
    PartOffsets,
    Rights,
    Snapshot,
    StoreMode,
    allowed_flags,
    right_of_flag,
)
from mailsuite.message.mime import parse_parts
from mailsuite.message.preview import PREVIEW_READ_MAX_OCTETS, make_preview
from mailsuite.message.references import thread_id
from mailsuite.store.flags import check_flags
from mailsuite.store.memory_mail import Box, Mail, Message

if TYPE_CHECKING:
    from mailsuite.store.memory import MemoryStore


def transfer(
    store: "MemoryStore",
    source: Box,
    target: Box,
    messages: Sequence[Message],
    *,
    move: bool,
    rights: Rights = ALL_RIGHTS,
) -> list[int]:
    """Copy or move messages between mailboxes whose MODSEQs are already the new ones; give the new UIDs."""
    uids = []
    for message in messages:
        if move:
            del source.messages[message.uid]
            source.expunged[message.uid] = source.modseq
        uids.append(store.copy(target, message, rights).uid)
    return uids


@implementer(IRemovingMailbox)
class MemoryMailbox:
    """One selected mailbox."""

    def __init__(self, store: "MemoryStore", mail: Mail, box: Box, quota_octets: int, *, read_only: bool) -> None:
        self._store = store
        self._mail = mail
        self._opened = box
        self._quota_octets = quota_octets
        self.mailbox_id = box.mailbox_id
        self.name = box.name
        self.read_only = read_only

    @property
    def _box(self) -> Box:
        if not self._opened.selectable:
            raise MailError(Kind.NOT_FOUND, "the mailbox is gone")
        return self._opened

    def _some(self, uids: Sequence[int]) -> list[Message]:
        messages = self._box.messages
        return [messages[uid] for uid in sorted(set(uids)) if uid in messages]

    def _take_recent(self, box: Box, uids: Iterable[int]) -> frozenset[int]:
        recent = frozenset(uid for uid in uids if uid >= box.recent)
        if not self.read_only:
            box.recent = box.uidnext
        return recent

    def _ensure_writable(self) -> None:
        if self.read_only:
            raise MailError(Kind.DENIED, "the mailbox is open for reading only")

    async def snapshot(self) -> Snapshot:
        """Look at everything once."""
        box = self._box
        return Snapshot(
            uidvalidity=box.uidvalidity,
            uidnext=box.uidnext,
            highest_modseq=box.modseq,
            uids=list(box.messages),
            flags=[message.flags for message in box.messages.values()],
            keywords=frozenset(box.keywords.values()),
            recent=self._take_recent(box, box.messages),
        )

    async def changes(self, since_modseq: int) -> Changes:
        """Say what happened since."""
        box = self._box
        if box.modseq <= since_modseq:
            return Changes(modseq=box.modseq, expunged=(), flags=(), added=(), recent=frozenset())
        changed = [message for message in box.messages.values() if message.modseq > since_modseq]
        added = [message.uid for message in changed if message.added > since_modseq]
        return Changes(
            modseq=box.modseq,
            expunged=sorted(uid for uid, modseq in box.expunged.items() if modseq > since_modseq),
            flags=[(message.uid, message.flags, message.modseq) for message in changed],
            added=added,
            recent=self._take_recent(box, added),
            keywords=frozenset(box.keywords.values()),
        )

    async def history(self, since_modseq: int) -> History:
        """Say what happened since any MODSEQ; nothing is ever forgotten."""
        box = self._box
        changed = [message for message in box.messages.values() if message.modseq > since_modseq]
        return History(
            modseq=box.modseq,
            flags=[(message.uid, message.flags, message.modseq) for message in changed],
            expunged=sorted(uid for uid, modseq in box.expunged.items() if modseq > since_modseq),
            complete=True,
        )

    async def fetch(
        self, uids: Sequence[int], columns: Sequence[Column], header_octets: int | None = None
    ) -> Sequence[tuple[object, ...]]:
        """Give columns of messages."""
        getters = [_GETTERS[column] for column in columns if column is not Column.UID]
        found: list[tuple[object, ...]] = []
        total = 0
        for message in self._some(uids):
            total += len(message.summary.header)
            if header_octets is not None and found and total > header_octets:
                break
            found.append((message.uid, *(get(message) for get in getters)))
        return found

    def _content(self, uid: int) -> bytes:
        message = self._box.messages.get(uid)
        if message is None:
            raise MailError(Kind.EXPUNGED, "the message is gone")
        return message.content

    async def read(self, uid: int, offset: int, length: int) -> bytes:
        """Read octets of a message."""
        return self._content(uid)[offset : offset + length]

    async def read_many(self, uids: Sequence[int], limit_octets: int) -> Sequence[tuple[int, bytes]]:
        """Read whole messages while they fit, but at least one."""
        found: list[tuple[int, bytes]] = []
        total = 0
        for message in self._some(uids):
            total += len(message.content)
            if found and total > limit_octets:
                break
            found.append((message.uid, message.content))
        return found

    async def parts(self, uid: int) -> PartOffsets:
        """Find the MIME parts of a message."""
        return parse_parts(self._content(uid))

    async def previews(self, uids: Sequence[int], *, make: bool) -> Mapping[int, bytes]:
        """Give what messages begin with."""
        messages = self._some(uids)
        for message in messages:
            if make and message.preview is None:
                message.preview = make_preview(message.content[:PREVIEW_READ_MAX_OCTETS]).encode("utf-8")
        return {message.uid: message.preview for message in messages if message.preview is not None}

    async def store_flags(
        self, uids: Sequence[int], mode: StoreMode, flags: frozenset[str], unchanged_since: int | None
    ) -> tuple[Sequence[tuple[int, frozenset[str], int]], Sequence[int]]:
        """Change flags."""
        self._ensure_writable()
        return self._store_flags(uids, mode, flags, unchanged_since, ALL_RIGHTS)

    def _store_flags(
        self, uids: Sequence[int], mode: StoreMode, flags: frozenset[str], unchanged_since: int | None, rights: Rights
    ) -> tuple[Sequence[tuple[int, frozenset[str], int]], Sequence[int]]:
        box = self._box
        flags = check_flags(flags)
        messages = self._some(uids)
        late = [message for message in messages if unchanged_since is not None and message.modseq > unchanged_since]
        messages = [message for message in messages if message not in late]
        if mode is not StoreMode.REMOVE and messages:
            flags = self._store.keywords(box, flags)
        became = {message.uid: _combine(message.flags, mode, flags, rights) for message in messages}
        if any(became[message.uid] != message.flags for message in messages):
            box.modseq += 1
            for message in messages:
                if became[message.uid] != message.flags:
                    message.flags = became[message.uid]
                    message.modseq = box.modseq
            self._store.told(self._mail, box)
        result = [(message.uid, message.flags, message.modseq) for message in messages]
        return result, [message.uid for message in late]

    async def expunge(self, uids: Sequence[int] | None) -> Sequence[int]:
        r"""Remove messages that carry ``\Deleted``."""
        self._ensure_writable()
        box = self._box
        messages = list(box.messages.values()) if uids is None else self._some(uids)
        return self._remove([message.uid for message in messages if "\\Deleted" in message.flags])

    async def remove(self, uids: Sequence[int]) -> Sequence[int]:
        """Remove messages that have gone to another account."""
        self._ensure_writable()
        return self._remove([message.uid for message in self._some(uids)])

    def _remove(self, doomed: list[int]) -> list[int]:
        box = self._box
        if doomed:
            box.modseq += 1
            for uid in doomed:
                del box.messages[uid]
                box.expunged[uid] = box.modseq
            self._store.told(self._mail, box)
        return doomed

    async def copy_to(self, uids: Sequence[int], name: str) -> Appended:
        """Copy to another mailbox."""
        target = self._mail.find(name)
        messages = self._some(uids)
        size = sum(len(message.content) for message in messages)
        if messages:
            self._store.check_quota(self._mail, self._quota_octets, size, len(messages))
        return self._transfer(target, messages, move=False)

    async def move_to(self, uids: Sequence[int], name: str) -> Appended:
        """Move to another mailbox."""
        self._ensure_writable()
        return self._transfer(self._mail.find(name), self._some(uids), move=True)

    def _transfer(
        self, target: Box, messages: Sequence[Message], *, move: bool, rights: Rights = ALL_RIGHTS
    ) -> Appended:
        if not messages:
            return Appended(uidvalidity=target.uidvalidity, uids=())
        box = self._box
        self._store.keywords(target, allowed_flags(frozenset().union(*(each.flags for each in messages)), rights))
        changed = [box, target] if move and box is not target else [target]
        for each in changed:
            each.modseq += 1
        uids = transfer(self._store, box, target, messages, move=move, rights=rights)
        self._store.told(self._mail, *changed)
        return Appended(uidvalidity=target.uidvalidity, uids=uids, source_uids=[message.uid for message in messages])

    async def replace(self, uid: int, name: str, message: AppendMessage) -> Appended:
        """Store a message and remove one in its place."""
        self._ensure_writable()
        store, box, target = self._store, self._box, self._mail.find(name)
        if uid not in box.messages:
            raise MailError(Kind.EXPUNGED, "the message is gone")
        content = store.whole(message)
        store.check_growth(self._mail, self._quota_octets, len(box.messages[uid].content), len(content))
        store.keywords(target, check_flags(message.flags))
        changed = [box, target] if box is not target else [box]
        for each in changed:
            each.modseq += 1
        new_uid = store.take(target, message, content)
        del box.messages[uid]
        box.expunged[uid] = box.modseq
        store.told(self._mail, *changed)
        return Appended(uidvalidity=target.uidvalidity, uids=[new_uid])

    async def search_text(
        self, uids: Sequence[int], test: Callable[[Callable[[int, int], bytes], int], bool]
    ) -> Sequence[int]:
        """Run a test over the octets of messages."""
        return [message.uid for message in self._some(uids) if test(_reader(message.content), len(message.content))]

    def close(self) -> None:
        """Nothing is kept for the session."""


def _reader(content: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: content[offset : offset + length]


def _combine(old: frozenset[str], mode: StoreMode, flags: frozenset[str], rights: Rights) -> frozenset[str]:
    if mode is StoreMode.REPLACE:
        return flags | {flag for flag in old if right_of_flag(flag) not in rights}
    if mode is StoreMode.ADD:
        return old | flags
    if mode is StoreMode.REMOVE:
        lower = {flag.lower() for flag in flags}
        return frozenset(flag for flag in old if flag.lower() not in lower)
    return flags


_GETTERS: Mapping[Column, Callable[[Message], object]] = {
    Column.FLAGS: lambda message: message.flags,
    Column.MODSEQ: lambda message: message.modseq,
    Column.INTERNAL_DATE: lambda message: message.date,
    Column.SIZE: lambda message: len(message.content),
    Column.ENVELOPE: lambda message: message.summary.envelope,
    Column.BODY: lambda message: message.summary.body,
    Column.BODYSTRUCTURE: lambda message: message.summary.bodystructure,
    Column.HEADER: lambda message: message.summary.header,
    Column.EMAIL_ID: lambda message: message.email_id,
    Column.THREAD_ID: lambda message: thread_id(message.summary.header, message.email_id),
    Column.SAVED: lambda message: message.saved,
}
