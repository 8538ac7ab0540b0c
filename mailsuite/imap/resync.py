"""What a client that slept has missed (RFC 7162), found a turn of the reactor at a time."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import cast

from mailsuite.imap import responses
from mailsuite.imap.sequence import SequenceSet, merge_runs
from mailsuite.imap.session import Session
from mailsuite.imap.tokens import MODSEQ_MAX
from mailsuite.imap.view import SelectedView
from mailsuite.interfaces import Column, History

ROWS_PER_TURN = 1000

FlagRow = tuple[int, frozenset[str], int]
"""UID, flags and MODSEQ."""


async def highest_modseq(session: Session, uids: Sequence[int]) -> int:
    """Find the highest MODSEQ of some messages (RFC 7162 section 3.1.6); 0 when there is none of them."""
    highest = 0
    for start in range(0, len(uids), ROWS_PER_TURN):
        rows = await session.mailbox.mailbox.fetch(uids[start : start + ROWS_PER_TURN], (Column.MODSEQ,))
        highest = max([highest, *(cast("int", row[1]) for row in rows)])
        await session.connection.sleep(0)
    return highest


async def write_vanished(
    session: Session, history: History, asked: Sequence[tuple[int, int]], known_until: int = 0
) -> None:
    """
    Write which of the UIDs asked for are gone (RFC 7162 section 3.2.6).

    Those that the client counts as there are told in their turn, by VANISHED without EARLIER.

    Args:
        asked: ascending ranges below UIDNEXT.
        known_until: the client knows what is gone up to this UID.
    """
    view = session.mailbox.view
    wanted = [(max(first, known_until + 1), last) for first, last in asked if last > known_until]
    turns = _expunged(view, wanted, history.expunged) if history.complete else missing_ranges(view.uids, wanted)
    for ranges in turns:
        if ranges:
            session.connection.write(responses.vanished_line(ranges, earlier=True))
            await session.connection.drained()
        await session.connection.sleep(0)


def _expunged(
    view: SelectedView, asked: Sequence[tuple[int, int]], expunged: Sequence[int]
) -> Iterator[list[tuple[int, int]]]:
    """Give those of the expunged UIDs that were asked for, some at a time."""
    starts = [first for first, _ in asked]
    for start in range(0, len(expunged), ROWS_PER_TURN):
        found = []
        for uid in expunged[start : start + ROWS_PER_TURN]:
            part = bisect_right(starts, uid) - 1
            if part >= 0 and uid <= asked[part][1] and view.index(uid) < 0:
                found.append(uid)
        yield list(merge_runs(found))


def missing_ranges(uids: Sequence[int], asked: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """
    Give the UIDs among those asked for that no message has, some at a time.

    Args:
        uids: of all messages, ascending.
        asked: ascending ranges.
    """
    found: list[tuple[int, int]] = []
    seen = 0
    for first, last in asked:
        begin = first
        at, end = bisect_left(uids, first), bisect_right(uids, last)
        seen += 1
        for start in range(at, end, ROWS_PER_TURN):
            part = uids[start : min(start + ROWS_PER_TURN, end)]
            for uid in part:
                if uid > begin:
                    found.append((begin, uid - 1))
                begin = uid + 1
            seen += len(part)
            if seen >= ROWS_PER_TURN:
                yield found
                found, seen = [], 0
        if begin <= last:
            found.append((begin, last))
        if seen >= ROWS_PER_TURN:
            yield found
            found, seen = [], 0
    yield found


def known_until(uids: Sequence[int], numbers: SequenceSet, known: SequenceSet) -> int:
    """
    Find the highest UID whose sequence number the client knows rightly; 0 when there is none.

    Whoever counts right up to a message knows of all that went before it (RFC 7162 section 3.2.5.2).

    Args:
        uids: of all messages, ascending.
        numbers: that the client remembers.
        known: their UIDs, in the same order; as many.
    """
    best = 0
    ranges = iter(known.ranges)
    uid = uid_last = 0
    for first, last in numbers.ranges:
        number = first
        while number <= min(last, len(uids)):
            if uid > uid_last or not uid:
                uid, uid_last = next(ranges)
            count = min(last - number, uid_last - uid) + 1
            # UIDs grow by one or more while the client's grow by one: behind the last that fits, none fits again.
            window = range(min(count, len(uids) - number + 1))
            base, start = number - 1, uid
            fitting = bisect_right(window, 0, key=lambda step: uids[base + step] - start - step)
            if fitting and uids[base + fitting - 1] == start + fitting - 1:
                best = start + fitting - 1
            number += count
            uid += count
    return best


def changed_rows(
    view: SelectedView, named: Sequence[range], history: History, until: int = MODSEQ_MAX
) -> Iterator[list[FlagRow]]:
    """
    Give what changed of the messages that a client named, some at a time.

    Args:
        named: ascending ranges of positions in the view.
        until: what has a higher MODSEQ is left out.
    """
    starts = [part.start for part in named]
    for start in range(0, len(history.flags), ROWS_PER_TURN):
        found = []
        for row in history.flags[start : start + ROWS_PER_TURN]:
            position = view.index(row[0])
            part = bisect_right(starts, position) - 1
            if row[2] <= until and position >= 0 and part >= 0 and position < named[part].stop:
                found.append(row)
        yield found
