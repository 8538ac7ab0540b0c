"""Twisted's own mailboxes and messages, seen as ours: what `mailsuite.imap.bridge` hands out."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.mail.imap4 import MailboxCollision, MailboxException, MessageSet, NoSuchMailbox, ReadOnlyMailbox
from twisted.mail.interfaces import (
    ICloseableMailboxIMAP,
    IMailboxIMAP,
    IMailboxIMAPListener,
    IMessageIMAP,
    IMessageIMAPFile,
)
from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    Appended,
    AppendMessage,
    Changes,
    Column,
    History,
    IMailbox,
    MailboxChange,
    PartOffsets,
    Snapshot,
    StoreMode,
    TooManyKeywordsError,
)
from mailsuite.message.dates import parse_date, parse_internal_date
from mailsuite.message.mime import parse_parts
from mailsuite.message.preview import PREVIEW_READ_MAX_OCTETS, make_preview
from mailsuite.message.references import thread_id
from mailsuite.message.summary import Summary, summarize

if TYPE_CHECKING:
    from mailsuite.imap.bridge import TwistedAccount

DELETED_FLAG = "\\Deleted"
RECENT_FLAG = "\\Recent"
NOSELECT_FLAG = "\\Noselect"
KEYWORDS_MAX = 1000  # of a mailbox; Twisted's interfaces know no limit
COUNTED_ROWS_MAX = 64  # each is made from its message
STATUS_NAMES = ("MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN")
STORE_MODES = {StoreMode.REPLACE: 0, StoreMode.ADD: 1, StoreMode.REMOVE: -1}


def foreign_text(value: bytes | str) -> str:
    """Read what Twisted's interfaces leave open: octets or text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


async def ask(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call a foreign method that may answer now or later, and say its failures in our words."""
    try:
        return await maybeDeferred(call, *arguments)
    except MailboxCollision as error:
        raise MailError(Kind.EXISTS) from error
    except NoSuchMailbox as error:
        raise MailError(Kind.NOT_FOUND) from error
    except (ReadOnlyMailbox, MailboxException) as error:
        raise MailError(Kind.DENIED) from error


def shown_flags(message: IMessageIMAP) -> frozenset[str]:
    """Give a message's flags as text."""
    return frozenset(foreign_text(flag) for flag in message.getFlags())


def message_set(uids: Iterable[int]) -> MessageSet:
    """Write UIDs as Twisted's set."""
    return MessageSet([(uid, uid) for uid in uids])


async def fetch_all(mailbox: IMailboxIMAP) -> dict[int, IMessageIMAP]:
    """Give all messages by UID, in order of UID."""
    count = mailbox.getMessageCount()
    if not count:
        return {}
    found = await ask(mailbox.fetch, MessageSet(1, count), False)  # noqa: FBT003 - Twisted's signature
    return dict(sorted((int(message.getUID()), message) for _, message in found))


def whole_message(message: IMessageIMAP) -> bytes:
    """Give a message's octets; those of a message that only tells its fields are put together again."""
    file = IMessageIMAPFile(message, None)
    if file is not None:
        with contextlib.closing(file.open()) as opened:
            return bytes(opened.read())
    fields = message.getHeaders(True)  # noqa: FBT003 - Twisted's signature
    lines = [f"{foreign_text(name)}: {foreign_text(value)}\r\n" for name, value in fields.items()]
    return "".join(lines).encode("utf-8", "surrogateescape") + b"\r\n" + bytes(message.getBodyFile().read())


@implementer(IMailbox, IMailboxIMAPListener)
class TwistedMailbox:
    """
    An ``IMailboxIMAP`` as an `IMailbox`.

    MODSEQs are made up here: each comparison that finds a change takes the next one.
    """

    def __init__(
        self, account: "TwistedAccount", mailbox: IMailboxIMAP, *, mailbox_id: int, name: str, read_only: bool
    ) -> None:
        self.mailbox_id = mailbox_id
        self.name = name
        self.read_only = read_only
        self._account = account
        self._mailbox = mailbox
        self._modseq = 1
        self._known: dict[int, frozenset[str]] = {}
        self._octets: tuple[int, bytes] = (0, b"")
        self._closed: Deferred[object] | None = None
        mailbox.addListener(self)

    # what the foreign mailbox tells

    def modeChanged(self, writeable: bool) -> None:  # noqa: FBT001 - Twisted's signature
        """Take note that the mailbox may be written, or no longer."""
        self.read_only = self.read_only or not writeable

    def flagsChanged(self, newFlags: object) -> None:
        """Tell the session to look."""
        del newFlags
        self._publish()

    def newMessages(self, exists: int | None, recent: int | None) -> None:
        """Tell the session to look."""
        del exists, recent
        self._publish()

    def _publish(self) -> None:
        self._account.changes.publish(MailboxChange(self._account.account_id, self.mailbox_id, self._modseq + 1))

    # looking

    async def _look(self) -> tuple[dict[int, frozenset[str]], frozenset[int]]:
        flags: dict[int, frozenset[str]] = {}
        recent = set()
        for uid, message in (await fetch_all(self._mailbox)).items():
            shown = shown_flags(message)
            if RECENT_FLAG in shown:
                recent.add(uid)
            flags[uid] = shown - {RECENT_FLAG}
        return flags, frozenset(recent)

    async def snapshot(self) -> Snapshot:
        """Look at every message."""
        self._known, recent = await self._look()
        return Snapshot(
            uidvalidity=self._mailbox.getUIDValidity(),
            uidnext=max([self._mailbox.getUIDNext(), *(uid + 1 for uid in self._known)]),
            highest_modseq=self._modseq,
            uids=list(self._known),
            flags=list(self._known.values()),
            keywords=_keywords(self._known.values()),
            recent=recent,
        )

    async def changes(self, since_modseq: int) -> Changes:
        """Compare with the last look; raises NOT_FOUND when the mailbox was deleted."""
        del since_modseq
        self._account.ensure_present(self.mailbox_id)
        before = self._known
        self._known, recent = await self._look()
        flags = [(uid, each) for uid, each in self._known.items() if before.get(uid) != each]
        expunged = [uid for uid in before if uid not in self._known]
        if flags or expunged:
            self._modseq += 1
        return Changes(
            modseq=self._modseq,
            expunged=expunged,
            flags=[(uid, each, self._modseq) for uid, each in flags],
            added=[uid for uid, _ in flags if uid not in before],
            recent=recent,
            keywords=_keywords(each for _, each in flags),
        )

    async def history(self, since_modseq: int) -> History:
        """Nothing is kept from one session to the next."""
        del since_modseq
        raise MailError(Kind.INVALID, "the mailbox keeps no MODSEQs")

    async def _messages(self, uids: Sequence[int]) -> list[tuple[int, IMessageIMAP]]:
        if not uids:
            return []
        found = await ask(self._mailbox.fetch, message_set(uids), True)  # noqa: FBT003 - Twisted's signature
        return sorted((int(message.getUID()), message) for _, message in found)

    async def fetch(
        self, uids: Sequence[int], columns: Sequence[Column], header_octets: int | None = None
    ) -> Sequence[tuple[object, ...]]:
        """Make each column from the message itself; when octets are counted, of a few messages."""
        if header_octets is None:
            return [_row(uid, message, columns) for uid, message in await self._messages(uids)]
        found: list[tuple[object, ...]] = []
        total = 0
        for start in range(0, len(uids), COUNTED_ROWS_MAX):
            for uid, message in await self._messages(uids[start : start + COUNTED_ROWS_MAX]):
                row = _row(uid, message, (*columns, Column.HEADER))
                total += len(row[-1])  # type: ignore[arg-type]  # octets
                if found and total > header_octets:
                    return found
                found.append(row[:-1])
            if found:
                break
        return found

    async def _content(self, uid: int) -> bytes:
        if self._octets[0] != uid:
            messages = await self._messages([uid])
            if not messages:
                raise MailError(Kind.EXPUNGED)
            self._octets = (uid, whole_message(messages[0][1]))
        return self._octets[1]

    async def read(self, uid: int, offset: int, length: int) -> bytes:
        """Read octets; the last message read is kept."""
        return (await self._content(uid))[offset : offset + length]

    async def read_many(self, uids: Sequence[int], limit_octets: int) -> Sequence[tuple[int, bytes]]:
        """Read whole messages up to the limit."""
        found: list[tuple[int, bytes]] = []
        total = 0
        for uid in uids:
            with contextlib.suppress(MailError):
                content = await self._content(uid)
                total += len(content)
                if found and total > limit_octets:
                    break
                found.append((uid, content))
        return found

    async def parts(self, uid: int) -> PartOffsets:
        """Scan the message."""
        return parse_parts(await self._content(uid))

    async def search_text(
        self, uids: Sequence[int], test: Callable[[Callable[[int, int], bytes], int], bool]
    ) -> Sequence[int]:
        """Run the test on each message."""
        found = []
        for uid in uids:
            content = await self._content(uid)
            if test(functools.partial(_slice, content), len(content)):
                found.append(uid)
        return found

    async def previews(self, uids: Sequence[int], *, make: bool) -> Mapping[int, bytes]:
        """Make each from the beginning of its message; none is kept."""
        found = {}
        for uid in uids if make else ():
            with contextlib.suppress(MailError):
                content = await self._content(uid)
                found[uid] = make_preview(content[:PREVIEW_READ_MAX_OCTETS]).encode("utf-8")
        return found

    # changing

    def _writable(self) -> None:
        if self.read_only:
            raise MailError(Kind.DENIED, "the mailbox is read-only")

    def _ensure_few_keywords(self, keywords: frozenset[str]) -> None:
        known = _keywords(self._known.values()) if keywords else keywords
        if not keywords <= known and len(known | keywords) > KEYWORDS_MAX:
            raise TooManyKeywordsError

    async def store_flags(
        self, uids: Sequence[int], mode: StoreMode, flags: frozenset[str], unchanged_since: int | None
    ) -> tuple[Sequence[tuple[int, frozenset[str], int]], Sequence[int]]:
        """Change flags; nothing is known of MODSEQs, so `unchanged_since` is passed over."""
        del unchanged_since
        self._writable()
        if not uids:
            return [], []
        if mode is not StoreMode.REMOVE:
            self._ensure_few_keywords(_keywords([flags]))
        await ask(self._mailbox.store, message_set(uids), sorted(flags), STORE_MODES[mode], True)  # noqa: FBT003 - Twisted's
        rows = []
        for uid, message in await self._messages(uids):
            shown = shown_flags(message) - {RECENT_FLAG}
            self._known[uid] = shown
            rows.append((uid, shown, self._modseq))
        return rows, []

    async def expunge(self, uids: Sequence[int] | None) -> Sequence[int]:
        """Expunge; of some UIDs alone by hiding the others from Twisted's EXPUNGE."""
        self._writable()
        before = await fetch_all(self._mailbox)
        doomed = [uid for uid, message in before.items() if DELETED_FLAG in shown_flags(message)]
        spared = [] if uids is None else [uid for uid in doomed if uid not in set(uids)]
        if len(spared) == len(doomed):
            return []
        if spared:
            await ask(self._mailbox.store, message_set(spared), [DELETED_FLAG], -1, True)  # noqa: FBT003 - Twisted's
        try:
            await ask(self._mailbox.expunge)
        finally:
            if spared:
                await ask(self._mailbox.store, message_set(spared), [DELETED_FLAG], 1, True)  # noqa: FBT003 - likewise
        after = await fetch_all(self._mailbox)
        return [uid for uid in before if uid not in after]

    async def copy_to(self, uids: Sequence[int], name: str) -> Appended:
        """Append each message to the other mailbox."""
        messages = [
            AppendMessage(
                content=whole_message(message),
                flags=shown_flags(message) - {RECENT_FLAG},
                internal_date=read_date(message.getInternalDate()),
            )
            for _, message in await self._messages(uids)
        ]
        appended = await self._account.append(name, messages)
        return Appended(uidvalidity=appended.uidvalidity, uids=appended.uids, source_uids=list(uids))

    async def move_to(self, uids: Sequence[int], name: str) -> Appended:
        """Copy, then expunge."""
        self._writable()
        appended = await self.copy_to(uids, name)
        await self.store_flags(uids, StoreMode.ADD, frozenset((DELETED_FLAG,)), None)
        await self.expunge(uids)
        return appended

    async def replace(self, uid: int, name: str, message: AppendMessage) -> Appended:
        """Append, then expunge."""
        self._writable()
        if not await self._messages([uid]):
            raise MailError(Kind.EXPUNGED)
        appended = await self._account.append(name, [message])
        await self.store_flags([uid], StoreMode.ADD, frozenset((DELETED_FLAG,)), None)
        await self.expunge([uid])
        return appended

    def close(self) -> None:
        """Stop listening, and close what can be closed."""
        with contextlib.suppress(ValueError):
            self._mailbox.removeListener(self)
        closeable = ICloseableMailboxIMAP(self._mailbox, None)
        if closeable is not None:
            self._closed = maybeDeferred(closeable.close).addErrback(lambda _: None)


def _slice(content: bytes, offset: int, length: int) -> bytes:
    return content[offset : offset + length]


def _keywords(flags: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset(flag for each in flags for flag in each if not flag.startswith("\\"))


def read_date(value: bytes | str) -> int | None:
    """Read what a foreign message says of its arrival: a date of RFC 3501 or of RFC 5322; None when it is neither."""
    octets = value.encode("ascii", "replace") if isinstance(value, str) else value
    found = parse_internal_date(octets) or parse_date(octets)
    return None if found is None else found[0]


def _row(uid: int, message: IMessageIMAP, columns: Sequence[Column]) -> tuple[object, ...]:
    content = whole_message(message)
    summary: Summary | None = None
    row: list[object] = [uid]
    for column in columns:
        match column:
            case Column.UID:
                row.append(uid)
            case Column.FLAGS:
                row.append(shown_flags(message) - {RECENT_FLAG})
            case Column.INTERNAL_DATE | Column.SAVED:
                row.append(read_date(message.getInternalDate()) or 0)
            case Column.SIZE:
                row.append(len(content))
            case Column.MODSEQ:
                row.append(0)
            case Column.EMAIL_ID:
                row.append(b"%d" % uid)
            case Column.THREAD_ID:
                summary = summary or summarize(content)
                row.append(thread_id(summary.header, b"%d" % uid))
            case _:
                summary = summary or summarize(content)
                row.append(getattr(summary, column.value))
    return tuple(row)
