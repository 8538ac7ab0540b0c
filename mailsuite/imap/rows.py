"""Columns of many messages, read in chunks, the next chunk asked for while this one is looked at."""

from collections.abc import Callable, Sequence
from typing import Any

from mailsuite.imap.ahead import Ahead
from mailsuite.imap.progress import Progress
from mailsuite.imap.turns import Turns
from mailsuite.interfaces import Column, IMailbox

CHUNK_MESSAGES = 1000
HEADER_CHUNK_MESSAGES = 64  # the header fields that the index keeps of one message may be a mebibyte

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
    length = HEADER_CHUNK_MESSAGES if Column.HEADER in columns else CHUNK_MESSAGES
    progress.begin(len(uids))
    following: Ahead[Sequence[Row]] | None = None
    try:
        for start in range(0, len(uids), length):
            asked, following = following or Ahead(mailbox.fetch(uids[start : start + length], columns)), None
            rows = await asked.result()
            if start + length < len(uids):
                following = Ahead(mailbox.fetch(uids[start + length : start + 2 * length], columns))
            for row in rows:
                take(row)
                await turns.look()
            progress.add(length)
            await turns.rest()
    finally:
        if following is not None:
            following.abandon()
