"""
Which messages match a search: cheap tests first, each one only on what the ones before have left.

Messages are positions in the view; the view only grows at its end while a search runs, so positions stay valid.
"""

import functools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from mailsuite.imap.rows import HEADER_CHUNK_OCTETS, Row, count_read
from mailsuite.imap.search_keys import (
    Age,
    All,
    And,
    BodyContains,
    EmailId,
    HasFlag,
    HeaderContains,
    InternalDate,
    ModSeq,
    Not,
    Numbered,
    Or,
    Relation,
    SavedDate,
    SearchKey,
    SentDate,
    Size,
    TextContains,
    ThreadId,
    leaves,
)
from mailsuite.imap.turns import TURN_SECONDS, OverdueError
from mailsuite.imap.view import RECENT_FLAG, SelectedView
from mailsuite.interfaces import CACHED_FIELDS, Column, IMailbox
from mailsuite.message.collation import casemap
from mailsuite.message.dates import parse_date
from mailsuite.message.header import find_empty_line, first_value, parse_fields
from mailsuite.message.text import ReadContent, contains, header_contains

CHUNK_MESSAGES = 500
TEXT_CHUNK_MESSAGES = 32
HEADER_MAX_OCTETS = 1 << 20
DAY_SECONDS = 86400
EPOCH_ORDINAL = 719163  # of 1970-01-01, as `datetime.date.toordinal` counts

Positions = list[int]
Read = Callable[[int, int], bytes]
StoredKey = (
    InternalDate
    | Age
    | Size
    | ModSeq
    | SavedDate
    | EmailId
    | ThreadId
    | SentDate
    | HeaderContains
    | BodyContains
    | TextContains
)


class Evaluation:
    """
    One search in one mailbox.

    Args:
        seconds: the clock, which counts from the epoch.
        deadline: when to give up, by that clock.
        pause: lets others have their turn.
        looked: told how many messages were just looked at for one key.
    """

    def __init__(
        self,
        mailbox: IMailbox,
        view: SelectedView,
        *,
        seconds: Callable[[], float],
        deadline: float,
        pause: Callable[[], Awaitable[None]],
        looked: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._looked = looked
        self._mailbox = mailbox
        self._view = view
        self._seconds = seconds
        self._deadline = deadline
        self._pause = pause
        self._now = seconds()

    async def matching(self, key: SearchKey, candidates: Positions) -> Positions | None:
        """Give those of the candidates, ascending, that match; None when it took too long."""
        try:
            return await self._match(key, candidates)
        except OverdueError:
            return None

    async def _match(self, key: SearchKey, candidates: Positions) -> Positions:
        if not candidates:
            return []
        match key:
            case All():
                return candidates
            case Numbered():
                return self._numbered(key, candidates)
            case HasFlag():
                return self._flagged(key.flag, candidates, has=True)
            case Not(HasFlag(flag)):
                return self._flagged(flag, candidates, has=False)
            case Not():
                excluded = set(await self._match(key.key, candidates))
                return [position for position in candidates if position not in excluded]
            case And():
                for each in key.keys:
                    candidates = await self._match(each, candidates)
                return candidates
            case Or():
                return await self._any(key.keys, candidates)
            case _:
                return await self._match_stored(key, candidates)

    async def _match_stored(self, key: StoredKey, candidates: Positions) -> Positions:
        """Test what the view does not know."""
        match key:
            case InternalDate() | SavedDate():
                on_day = _date_test(key.relation, key.day.toordinal() - EPOCH_ORDINAL)
                column = Column.SAVED if isinstance(key, SavedDate) else Column.INTERNAL_DATE
                return await self._by_column(column, lambda value: on_day(value // DAY_SECONDS), candidates)
            case Age():
                return await self._by_column(Column.INTERNAL_DATE, _age_test(key, self._now), candidates)
            case Size():
                return await self._by_column(Column.SIZE, _size_test(key), candidates)
            case EmailId():
                return await self._by_column(Column.EMAIL_ID, lambda value: value == key.email_id, candidates)
            case ThreadId():
                return await self._by_column(Column.THREAD_ID, lambda value: value == key.thread_id, candidates)
            case ModSeq():
                return await self._by_column(Column.MODSEQ, lambda value: value >= key.modseq, candidates)
            case SentDate():
                on_day = _date_test(key.relation, key.day.toordinal() - EPOCH_ORDINAL)
                return await self._by_header(functools.partial(_sent_on, on_day), candidates)
            case HeaderContains():
                return await self._with_field(key, candidates)
            case BodyContains() | TextContains():
                headers = isinstance(key, TextContains)
                return await self._by_text(functools.partial(_contains, key.text, headers), candidates)

    async def _any(self, keys: Sequence[SearchKey], candidates: Positions) -> Positions:
        found: set[int] = set()
        rest = candidates
        for each in keys:
            found.update(await self._match(each, rest))
            rest = [position for position in rest if position not in found]
        return [position for position in candidates if position in found]

    def _numbered(self, key: Numbered, candidates: Positions) -> Positions:
        wanted = bytearray(len(self._view.uids))
        for part in self._view.positions(key.messages, uid=key.uid):
            wanted[part.start : part.stop] = b"\1" * len(part)
        return [position for position in candidates if wanted[position]]

    def _flagged(self, flag: str, candidates: Positions, *, has: bool) -> Positions:
        view = self._view
        if flag == RECENT_FLAG:
            uids, recent = view.uids, view.recent
            return [position for position in candidates if (uids[position] in recent) is has]
        flags = view.flags
        if not flag.startswith("\\"):
            # Keywords are compared in any case (RFC 3501 section 9 note 2 with RFC 5788).
            names = {keyword for keyword in view.keywords if keyword.lower() == flag.lower()} | {flag}
            return [position for position in candidates if names.isdisjoint(flags[position]) is not has]
        if has:
            return [position for position in candidates if flag in flags[position]]
        return [position for position in candidates if flag not in flags[position]]

    def _chunks(self, candidates: Positions, length: int) -> Iterator[Positions]:
        for start in range(0, len(candidates), length):
            if self._seconds() > self._deadline:
                raise OverdueError
            chunk = candidates[start : start + length]
            yield chunk
            self._looked(len(chunk))

    async def _by_column(self, column: Column, test: Callable[[Any], bool], candidates: Positions) -> Positions:
        uids = self._view.uids
        found: Positions = []
        for chunk in self._chunks(candidates, CHUNK_MESSAGES):
            rows = await self._mailbox.fetch([uids[position] for position in chunk], (column,))
            passed = {row[0] for row in rows if test(row[1])}
            found += [position for position in chunk if uids[position] in passed]
            await self._pause()
        return found

    async def _by_header(self, test: Callable[[bytes], bool], candidates: Positions) -> Positions:
        """Test cached header fields: whoever sends mail decides how long they are, and so how long a test takes."""
        uids = [self._view.uids[position] for position in candidates]
        found: Positions = []
        start = 0
        while start < len(uids):
            if self._seconds() > self._deadline:
                raise OverdueError
            chunk = uids[start : start + CHUNK_MESSAGES]
            rows: Sequence[Row] = await self._mailbox.fetch(chunk, (Column.HEADER,), HEADER_CHUNK_OCTETS)
            passed: set[int] = set()
            turn_ends = self._seconds() + TURN_SECONDS
            for uid, header in rows:
                if test(header):
                    passed.add(uid)
                if self._seconds() > turn_ends:
                    if self._seconds() > self._deadline:
                        raise OverdueError
                    await self._pause()
                    turn_ends = self._seconds() + TURN_SECONDS
            done = count_read(chunk, rows)
            found += [candidates[at] for at in range(start, start + done) if uids[at] in passed]
            start += done
            self._looked(done)
            await self._pause()
        return found

    async def _with_field(self, key: HeaderContains, candidates: Positions) -> Positions:
        if key.field in CACHED_FIELDS:
            return await self._by_header(field_test(key.field, key.text), candidates)
        return await self._by_text(functools.partial(_field_contains, key.field, key.text), candidates)

    async def _by_text(self, test: Callable[[Read, int], bool], candidates: Positions) -> Positions:
        uids = self._view.uids
        found: Positions = []
        for chunk in self._chunks(candidates, TEXT_CHUNK_MESSAGES):
            passed = set(await self._mailbox.search_text([uids[position] for position in chunk], test))
            found += [position for position in chunk if uids[position] in passed]
            await self._pause()
        return found


def stored_keys(key: SearchKey) -> int:
    """Count the keys that the view alone cannot answer; messages are looked at once for each, at most."""
    return sum(isinstance(leaf, StoredKey) for leaf in leaves(key))


def field_test(field: bytes, text: str) -> Callable[[bytes], bool]:
    """Make the test of a header field; most messages are ruled out without reading their fields one by one."""
    octets = casemap(text).lower().encode("utf-8", "surrogateescape")
    if not octets.isascii() or not octets.isalnum():
        return lambda header: header_contains(header, field, text)

    def test(header: bytes) -> bool:
        if header.isascii() and b"=?" not in header and octets not in header.lower():
            return False
        return header_contains(header, field, text)

    return test


def _date_test(relation: Relation, day: int) -> Callable[[int], bool]:
    if relation is Relation.BEFORE:
        return lambda value: value < day
    if relation is Relation.ON:
        return lambda value: value == day
    return lambda value: value >= day


def _age_test(key: Age, now: float) -> Callable[[int], bool]:
    limit = int(now) - key.seconds  # to the second (RFC 5032 section 2)
    if key.older:
        return lambda value: value <= limit
    return lambda value: value >= limit


def _size_test(key: Size) -> Callable[[int], bool]:
    limit = key.octets
    if key.larger:
        return lambda value: value > limit
    return lambda value: value < limit


def _sent_on(test: Callable[[int], bool], header: bytes) -> bool:
    value = first_value(parse_fields(header), b"date")
    date = parse_date(value) if value is not None else None
    if date is None:
        return False
    # The day as the sender wrote it, whatever the zone (RFC 3501 section 6.4.4).
    seconds, offset_minutes = date
    return test((seconds + offset_minutes * 60) // DAY_SECONDS)


def _contains(text: str, headers: bool, read: Read, size: int) -> bool:  # noqa: FBT001 - bound by functools.partial
    return contains(read, size, text, headers=headers)


def _field_contains(field: bytes, text: str, read: Read, size: int) -> bool:
    content = ReadContent(read, size)
    end = find_empty_line(content, 0, min(size, HEADER_MAX_OCTETS))
    return header_contains(content[0 : min(size, HEADER_MAX_OCTETS) if end < 0 else end + 1], field, text)
