r"""
What one session has been told of its selected mailbox: the owner of its sequence numbers.

A client counts messages by what it was told, so a message that another session expunged keeps its number here until
this session may be told (RFC 3501 sections 5.5 and 7.4.1). Pure: it is given `Changes` and gives `Notices`.
"""

import functools
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

import attrs

from mailsuite.imap.sequence import SequenceSet, joined
from mailsuite.interfaces import Changes, Snapshot

RECENT_FLAG = "\\Recent"
SEEN_FLAG = "\\Seen"
_NONE: frozenset[int] = frozenset()
_NO_UIDS = array("I")  # read only
_NO_STATE: tuple[frozenset[str], int] = (frozenset(), 0)
SYSTEM_FLAGS = ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")  # RFC 3501 section 2.3.2


@functools.lru_cache(maxsize=4096)
def with_recent(flags: frozenset[str]) -> frozenset[str]:
    r"""Add ``\Recent``; sets of flags are few, and equal ones are to be one object."""
    return flags | {RECENT_FLAG}


@functools.lru_cache(maxsize=4096)
def _shared(keywords: frozenset[str]) -> frozenset[str]:
    """Give one object for equal sets of keywords."""
    return keywords


@attrs.frozen(kw_only=True)
class Notices:
    r"""
    What a client is to be told now, in this order.

    Args:
        expunged: sequence numbers, each as it is when the ones before it are gone.
        vanished: the UIDs of the same messages, ascending.
        exists: the number of messages, or None when the client knows it.
        recent: the number of messages with ``\Recent``, or None when the client knows it.
        keywords: all keywords of the mailbox, or None when the client knows them.
        flags: sequence number, UID, flags, with ``\Recent`` where it is due, and MODSEQ of changed messages.
    """

    expunged: Sequence[int] = ()
    vanished: Sequence[int] = ()
    exists: int | None = None
    recent: int | None = None
    keywords: frozenset[str] | None = None
    flags: Sequence[tuple[int, int, frozenset[str], int]] = ()


class SelectedView:
    r"""
    The messages of a selected mailbox, in the order of the client's sequence numbers.

    Attributes:
        told_exists: how many messages the client knows of; those that came since have higher numbers.
        tells_modseqs: a new MODSEQ is told also where the flags came back to what they were (RFC 7162 section 3.1).

    Args:
        snapshot: the mailbox when it was selected; the client is told its counts by the verb that selects.
        recent: whether the client is told of ``\Recent``, which IMAP4rev2 does not know (RFC 9051 appendix E).
    """

    __slots__ = (
        "_changed",
        "_gone",
        "_gone_since",
        "_noted",
        "_saved",
        "_told_keywords",
        "_told_recent",
        "flags",
        "keywords",
        "modseq",
        "recent",
        "tells_modseqs",
        "tells_recent",
        "told_exists",
        "uidnext",
        "uids",
        "uidvalidity",
    )  # fmt: skip

    def __init__(self, snapshot: Snapshot, *, recent: bool = True) -> None:
        self.uidvalidity = snapshot.uidvalidity
        self.uidnext = snapshot.uidnext
        self.modseq = snapshot.highest_modseq
        self.uids = array("I", snapshot.uids)
        self.flags = list(snapshot.flags)
        self.tells_recent = recent
        self.recent: AbstractSet[int] = snapshot.recent if recent and snapshot.recent else _NONE
        self.keywords = _shared(snapshot.keywords)
        self._gone: AbstractSet[int] = _NONE
        self._gone_since = self.modseq
        self._changed: dict[int, int] = {}  # UID and MODSEQ
        self._noted: dict[int, int] = {}  # the same, of what was told elsewhere since `apply`
        self._saved = _NO_UIDS
        self.tells_modseqs = False
        self.told_exists = len(self.uids)
        self._told_recent = len(self.recent)
        self._told_keywords = self.keywords

    def __len__(self) -> int:
        return len(self.uids)

    # what the client's numbers mean

    def index(self, uid: int) -> int:
        """Find where a UID stands, counted from 0; -1 when the client knows no such message."""
        position = bisect_left(self.uids, uid)
        return position if position < len(self.uids) and self.uids[position] == uid else -1

    def sequence_number(self, uid: int) -> int:
        """Give the client's number of a message; 0 when it knows no such message."""
        return self.index(uid) + 1

    def sequence_numbers(self, uids: Sequence[int]) -> Sequence[int]:
        """Give the numbers of ascending UIDs that the client knows; a run of neighbours costs one search."""
        if not uids:
            return ()
        first = bisect_left(self.uids, uids[0])
        if self.uids[first : first + len(uids)] == (uids if isinstance(uids, array) else array("I", uids)):
            return range(first + 1, first + 1 + len(uids))
        numbers = []
        position = first
        for uid in uids:
            position = bisect_left(self.uids, uid, position)
            numbers.append(position + 1)
        return numbers

    def positions(self, messages: SequenceSet, *, uid: bool) -> list[range]:
        """Find messages that a client named and knows of, as ascending ranges of positions in `uids`."""
        if messages.saved and messages.has_numbers:
            return joined([*self._saved_positions(), *self._named_positions(messages, uid=uid)])
        return self._saved_positions() if messages.saved else self._named_positions(messages, uid=uid)

    def _named_positions(self, messages: SequenceSet, *, uid: bool) -> list[range]:
        """Find messages by what was written as numbers."""
        if not uid:
            return messages.message_ranges(self.told_exists)
        return messages.uid_ranges(self.uids if self.told_exists == len(self.uids) else self.uids[: self.told_exists])

    def goes_beyond(self, messages: SequenceSet) -> bool:
        """
        Whether sequence numbers name messages that the client was never told of.

        That includes ``*`` where there is none at all (RFC 9051 section 9, "seq-number"), but not ``1:*``: programs
        that want all messages write it whether there are some or none.
        """
        if not self.told_exists:
            return messages.has_numbers and (messages.tail != 1 or bool(messages.ranges))
        return messages.largest > self.told_exists

    def _saved_positions(self) -> list[range]:
        """Find what was saved and is still there: a UID stays what it is whatever was expunged."""
        wanted = set(self._saved)
        marks = bytes(map(wanted.__contains__, self.uids[: self.told_exists])) if wanted else b""
        found: list[range] = []
        start = marks.find(1)
        while start >= 0:
            end = marks.find(0, start)
            end = len(marks) if end < 0 else end
            found.append(range(start, end))
            start = marks.find(1, end)
        return found

    def save(self, uids: Iterable[int]) -> None:
        """Keep these messages as what ``$`` names from now on (RFC 5182 section 2.1)."""
        self._saved = array("I", uids)

    def resolve(self, messages: SequenceSet, *, uid: bool) -> "array[int]":
        """Give the UIDs of messages that a client named, ascending; those that it does not know are passed over."""
        found = array("I")
        for part in self.positions(messages, uid=uid):
            found += self.uids[part.start : part.stop]
        return found

    def flags_of(self, uid: int) -> frozenset[str]:
        r"""Give a message's flags as the client is to see them, with ``\Recent``; empty when there is none."""
        position = self.index(uid)
        return self.shown_flags(uid, self.flags[position]) if position >= 0 else frozenset()

    def shown_flags(self, uid: int, flags: frozenset[str]) -> frozenset[str]:
        r"""Add ``\Recent`` where it is due."""
        return with_recent(flags) if uid in self.recent else flags

    def flags_at(self, numbers: Sequence[int]) -> Sequence[frozenset[str]]:
        r"""Give the flags of messages by sequence number, with ``\Recent`` where it is due."""
        if isinstance(numbers, range):
            flags = self.flags[numbers.start - 1 : numbers.stop - 1]
        else:
            flags = [self.flags[number - 1] for number in numbers]
        if self.recent:
            recent = self.recent
            if isinstance(numbers, range):
                uids: Sequence[int] = self.uids[numbers.start - 1 : numbers.stop - 1]
            else:
                uids = [self.uids[number - 1] for number in numbers]
            return [with_recent(each) if uid in recent else each for uid, each in zip(uids, flags, strict=True)]
        return flags

    def forget_recent(self) -> None:
        r"""From now on ``\Recent`` is not told."""
        self.tells_recent = False
        self.recent = _NONE
        self._told_recent = 0

    def is_gone(self, uid: int) -> bool:
        """Whether the message is expunged and the client has not been told yet."""
        return uid in self._gone

    @property
    def has_gone(self) -> bool:
        """Whether an EXPUNGE is held back."""
        return bool(self._gone)

    def first_unseen(self) -> int:
        r"""Give the number of the first message without ``\Seen``; 0 when all have it."""
        for number, flags in enumerate(self.flags, 1):
            if SEEN_FLAG not in flags:
                return number
        return 0

    # what happens to the mailbox

    def apply(self, changes: Changes) -> None:
        """Take in what happened; `notices` then says what to tell."""
        self.expunge(changes.expunged)
        self.modseq = max(self.modseq, changes.modseq)
        if changes.keywords:
            self.keywords |= changes.keywords
        flags_of = {uid: (flags, modseq) for uid, flags, modseq in changes.flags}
        last = self.uids[-1] if self.uids else 0
        for uid in changes.added:
            if uid > last:
                last = uid
                self.uids.append(uid)
                self.flags.append(flags_of.pop(uid, _NO_STATE)[0])
                if self.tells_recent and uid in changes.recent:
                    if not isinstance(self.recent, set):
                        self.recent = set(self.recent)
                    self.recent.add(uid)
        self.uidnext = max(self.uidnext, last + 1)
        self._apply_flags(flags_of)
        self._noted.clear()

    def _apply_flags(self, flags_of: Mapping[int, tuple[frozenset[str], int]], *, is_news: bool = False) -> None:
        """
        Set flags that others changed, given in order of UID.

        Args:
            is_news: whether they are told in any case.
        """
        uids = self.uids
        known = self.flags
        count = len(uids)
        position = 0
        for uid, (flags, modseq) in flags_of.items():
            if position == count or uids[position] != uid:
                position = bisect_left(uids, uid)
                if position == count or uids[position] != uid:
                    continue
            news = is_news or known[position] != flags or (self.tells_modseqs and modseq > self._noted.get(uid, 0))
            if news and uid not in self._gone:
                known[position] = flags
                self._changed[uid] = modseq
            position += 1

    def expunge(self, uids: Iterable[int]) -> None:
        """Note that messages are gone; they keep their numbers until `notices` may tell."""
        for uid in uids:
            if self.index(uid) >= 0:
                if not isinstance(self._gone, set):
                    self._gone, self._gone_since = set(), self.modseq
                self._gone.add(uid)
                self._changed.pop(uid, None)

    @property
    def told_modseq(self) -> int:
        """The MODSEQ up to which the client knows, or is about to be told, everything (RFC 7162 section 3.2)."""
        return self._gone_since if self._gone else self.modseq

    def note_flags(self, uid: int, flags: frozenset[str], modseq: int = 0) -> int:
        r"""
        Set flags that the client is told, or chose, elsewhere; return its number, 0 when it knows no such message.

        Args:
            flags: without ``\Recent``.
            modseq: that they came with, if the client is told it as well.
        """
        position = self.index(uid)
        if position >= 0:
            self.flags[position] = flags
            if modseq:
                self._noted[uid] = modseq
            self._changed.pop(uid, None)
            self._note_keywords(flags)
        return position + 1

    def note_told(self, rows: Iterable[tuple[int, frozenset[str], int]]) -> None:
        """Note UID, flags and MODSEQ as an answer tells them; what is news is not told again."""
        for uid, flags, modseq in rows:
            if modseq > self.modseq or modseq >= self._changed.get(uid, modseq + 1):
                self.note_flags(uid, flags, modseq)

    def tell_again(self, rows: Iterable[tuple[int, frozenset[str], int]]) -> None:
        """Have `notices` tell UID, flags and MODSEQ of messages though they may be no news."""
        self._apply_flags({uid: (flags, modseq) for uid, flags, modseq in rows}, is_news=True)

    def note_keywords(self, flags: Iterable[str]) -> None:
        """Note keywords that were just made; `notices` tells them before anything that uses them."""
        self._note_keywords(frozenset(flags))

    def _note_keywords(self, flags: frozenset[str]) -> None:
        fresh = flags - self.keywords
        if fresh:
            fresh = frozenset(flag for flag in fresh if not flag.startswith("\\"))
            self.keywords |= fresh

    # what the client is told

    def has_notices(self, *, expunge: bool) -> bool:
        """Whether there is something to tell."""
        return bool(
            (expunge and self._gone)
            or self._changed
            or self.told_exists != len(self.uids)
            or self._told_recent != len(self.recent)
            or self._told_keywords != self.keywords
        )

    def notices(self, *, expunge: bool) -> Notices:
        """
        Say what the client has to be told, and count it as told.

        Args:
            expunge: whether sequence numbers may change now; if not, expunged messages wait.
        """
        expunged: Sequence[int] = ()
        vanished: Sequence[int] = ()
        if expunge and self._gone:
            vanished = sorted(self._gone)
            expunged = self._remove_gone()
        exists = recent = keywords = None
        if self.told_exists != len(self.uids):
            exists = self.told_exists = len(self.uids)
        # RFC 3501 section 7.3.2: the one never without the other.
        if self.tells_recent and (self._told_recent != len(self.recent) or exists is not None):
            recent = self._told_recent = len(self.recent)
        if self._told_keywords != self.keywords:
            keywords = self._told_keywords = self.keywords
        flags = tuple(self._flag_notices()) if self._changed else ()
        return Notices(
            expunged=expunged,
            vanished=vanished[: len(expunged)],  # the last of them may have come after what the client knows
            exists=exists,
            recent=recent,
            keywords=keywords,
            flags=flags,
        )

    def forget_flags(self) -> None:
        """Take changed flags as told."""
        self._changed.clear()

    def keyword_notice(self) -> frozenset[str] | None:
        """Give all keywords when there are some that the client was not told, and count them as told."""
        if self._told_keywords == self.keywords:
            return None
        self._told_keywords = self.keywords
        return self.keywords

    def _flag_notices(self) -> Iterator[tuple[int, int, frozenset[str], int]]:
        changed = sorted(self._changed)
        modseqs = [self._changed[uid] for uid in changed]
        self._changed.clear()
        numbers = self.sequence_numbers(changed)
        return zip(numbers, changed, self.flags_at(numbers), modseqs, strict=True)

    def _remove_gone(self) -> Sequence[int]:
        positions = sorted(self.index(uid) for uid in self._gone)
        gone = self._gone
        self.flags = [flags for uid, flags in zip(self.uids, self.flags, strict=True) if uid not in gone]
        self.uids = array("I", [uid for uid in self.uids if uid not in gone])
        self.recent = self.recent - gone or _NONE
        self._gone = _NONE
        # What arrived and went before the client heard of it is not told.
        known = bisect_left(positions, self.told_exists)
        self.told_exists -= known
        return [position + 1 - removed for removed, position in enumerate(positions[:known])]
