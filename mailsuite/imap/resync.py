"""What a client that slept has missed (RFC 7162), found a turn of the reactor at a time."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import cast

from mailsuite.imap.session import Session
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


def changed_rows(view: SelectedView, named: Sequence[range], history: History) -> Iterator[list[FlagRow]]:
    """
    Give what changed of the messages that a client named, some at a time.

    Args:
        named: ascending ranges of positions in the view.
    """
    starts = [part.start for part in named]
    for start in range(0, len(history.flags), ROWS_PER_TURN):
        found = []
        for row in history.flags[start : start + ROWS_PER_TURN]:
            position = view.index(row[0])
            part = bisect_right(starts, position) - 1
            if position >= 0 and part >= 0 and position < named[part].stop:
                found.append(row)
        yield found
