"""
Copies from one account to another.

Everything is durable at the target before anything is removed at the source, and all of it comes there or nothing: a
process that ends in between leaves messages in both places, and never in none. Large messages go through files.
"""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    Appended,
    AppendMessage,
    Body,
    Column,
    IBodyFile,
    IMailAccount,
    IMailbox,
    IRemovingMailbox,
)

SMALL_OCTETS = 64 * 1024
MEMORY_MAX_OCTETS = 16 * 2**20  # of one command together; what is more goes through files
CHUNK_OCTETS = 256 * 1024
ROWS = 500

Row = tuple[int, frozenset[str], int, int, bytes]


class Transfer:
    """
    One copy.

    Args:
        source: where the messages are.
        target: the account that gets them.
        begin_body: opens files of the target for large ones.
    """

    def __init__(
        self, source: IMailbox, target: IMailAccount, begin_body: Callable[[int], Awaitable[IBodyFile]]
    ) -> None:
        self._source = source
        self._target = target
        self._begin_body = begin_body
        self._files: list[IBodyFile] = []
        self._memory_octets = 0

    async def run(self, uids: Sequence[int], name: str, *, move: bool) -> Appended:
        """
        Copy messages to a mailbox of the target, and remove them where they were when they are to be moved.

        Raises:
            MailError: nothing was copied, or it was and nothing was removed.
        """
        try:
            messages, found = await self._read(uids)
            if not messages:
                return Appended(uidvalidity=0, uids=())
            appended = await self._target.append(name, messages)
            self._files.clear()  # they are the store's now
        finally:
            for file in self._files:
                file.abort()
        if move:
            await IRemovingMailbox(self._source).remove(found)
        return Appended(uidvalidity=appended.uidvalidity, uids=appended.uids, source_uids=found)

    async def _read(self, uids: Sequence[int]) -> tuple[list[AppendMessage], list[int]]:
        """Take the messages that are there, in order of UID."""
        columns = (Column.FLAGS, Column.INTERNAL_DATE, Column.SIZE, Column.EMAIL_ID)
        messages: list[AppendMessage] = []
        found: list[int] = []
        for start in range(0, len(uids), ROWS):
            rows = cast("Sequence[Row]", await self._source.fetch(uids[start : start + ROWS], columns))
            small = await self._read_small(rows)
            for uid, flags, date, size, email_id in rows:
                content: bytes | Body | None = small.get(uid)
                if content is None:
                    with contextlib.suppress(_Gone):
                        content = await self._read_to_file(uid, size)
                if content is not None:
                    found.append(uid)
                    messages.append(AppendMessage(content=content, flags=flags, internal_date=date, email_id=email_id))
        return messages, found

    async def _read_small(self, rows: Sequence[Row]) -> dict[int, bytes]:
        waiting: list[int] = []
        for uid, _, _, size, _ in rows:
            if size <= SMALL_OCTETS and self._memory_octets + size <= MEMORY_MAX_OCTETS:
                self._memory_octets += size
                waiting.append(uid)
        contents: dict[int, bytes] = {}
        while waiting:
            read = await self._source.read_many(waiting, CHUNK_OCTETS)
            if not read:
                break
            contents.update(read)
            waiting = [uid for uid in waiting if uid > read[-1][0]]
        return contents

    async def _read_to_file(self, uid: int, size: int) -> Body:
        file = await self._begin_body(size)
        self._files.append(file)
        offset = 0
        while offset < size:
            try:
                piece = await self._source.read(uid, offset, min(CHUNK_OCTETS, size - offset))
            except MailError as error:
                if error.kind is not Kind.EXPUNGED:
                    raise
                self._files.remove(file)
                file.abort()
                raise _Gone from error
            if not piece:
                break
            await file.write(piece)
            offset += len(piece)
        return await file.finish()


class _Gone(Exception):  # noqa: N818 - nobody's error: somebody else expunged it
    """The message was expunged while it was read."""
