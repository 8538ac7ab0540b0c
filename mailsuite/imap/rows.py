"""Columns of many messages, read in chunks, the next chunk asked for while this one is looked at."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from mailsuite.imap.ahead import Ahead
from mailsuite.imap.progress import Progress
from mailsuite.imap.turns import Turns
from mailsuite.interfaces import Column, IMailbox

CHUNK_MESSAGES = 1000
HEADER_CHUNK_OCTETS = 512 * 1024  # those that the index keeps of one message may be a mebibyte

Row = Sequence[Any]


async def read_rows(
    mailbox: IMailbox,
    uids: Sequence[int],
    columns: Sequence[Column],
    turns: Turns,
    take: Callable[[Row], None],
    progress: Progress,
) -> None:
    """
    Hand over the columns of each message that is still there.

    Args:
        uids: ascending.
        take: is given the UID and the columns, in order of the UIDs.
        progress: this is a phase of it.

    Raises:
        OverdueError: the time is used up.
    """
    header_octets = HEADER_CHUNK_OCTETS if Column.HEADER in columns else None

    def ask(start: int) -> Ahead[Sequence[Row]]:
        return Ahead(mailbox.fetch(uids[start : start + CHUNK_MESSAGES], columns, header_octets))

    progress.begin(len(uids))
    following: Ahead[Sequence[Row]] | None = None
    start = 0
    try:
        while start < len(uids):
            asked, following = following or ask(start), None
            rows = await asked.result()
            done = count_read(uids[start : start + CHUNK_MESSAGES], rows)
            start += done
            if start < len(uids):
                following = ask(start)
            for row in rows:
                take(row)
                await turns.look()
            progress.add(done)
            await turns.rest()
    finally:
        if following is not None:
            following.abandon()


def count_read(uids: Sequence[int], rows: Sequence[Row]) -> int:
    """Say of how many messages the store has given what there is: up to the last row, or of all when there is none."""
    return bisect_right(uids, rows[-1][0]) if rows else len(uids)
