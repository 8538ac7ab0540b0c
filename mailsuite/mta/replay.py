"""
After a start: what the spool still holds is delivered again, some at a time, beside new mail.

Whatever was delivered already is recognised by its delivery id.
"""

import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from mailsuite.errors import MailError
from mailsuite.interfaces import IDeliveryStore
from mailsuite.mta import statements
from mailsuite.mta.content import SpoolMessage, decode_message
from mailsuite.mta.local import LocalAgent
from mailsuite.mta.writer import Write, body_path
from mailsuite.observe import EventLog

CHUNK_MESSAGES = 100

_Chunk = tuple[list[statements.Row], set[tuple[int, int]]]


class Replay:
    """
    Replays all messages up to the highest id that was there at the start.

    Args:
        last_id: that id.
        parity: the lowest bit of the ids of messages that are ours; None for all.
        backlog_max: deliveries that may wait for the store before the next chunk is read.
        put: gives work to the writer, in whose thread a chunk is delivered.
    """

    def __init__(
        self,
        last_id: int,
        bodies: str,
        *,
        parity: int | None,
        agent: LocalAgent,
        store: IDeliveryStore,
        backlog_max: int,
        put: Callable[[Write], None],
        reactor: IReactorFromThreads,
        log: EventLog,
    ) -> None:
        self._last = last_id
        self._after = 0
        self._parity = parity
        self._bodies = bodies
        self._agent = agent
        self._store = store
        self._backlog_max = backlog_max
        self._put = put
        self._reactor = reactor
        self._log = log
        self._reading = False
        self._count = 0
        self.complete = last_id == 0

    def advance(self) -> bool:
        """Have the next chunk delivered, if the store keeps up; say whether there is more to do."""
        if self.complete:
            return False
        if not self._reading and self._store.backlog() <= self._backlog_max:
            self._reading = True
            self._put(Write(change=self._read, done=self._deliver))
        return True

    def _read(self, connection: sqlite3.Connection) -> _Chunk:
        rows = statements.messages_after(connection, self._after, self._last, CHUNK_MESSAGES, self._parity)
        return rows, statements.recipient_places(connection, [row.message_id for row in rows])

    def _deliver(self, result: Any) -> None:
        if isinstance(result, Failure):
            self._reading = False  # the commit failed; the next round tries again
            return
        chunk: _Chunk = result
        rows, places = chunk
        messages = [message for row in rows if (message := self._decode(row)) is not None]
        self._agent.deliver(messages, places)
        self._count += len(messages)
        if len(rows) < CHUNK_MESSAGES:
            self.complete = True
            if self._count:
                self._reactor.callFromThread(lambda: self._log.emit("spool.messages.replayed", count=self._count))
        else:
            self._after = rows[-1].message_id
        self._reading = False

    def _decode(self, row: statements.Row) -> SpoolMessage | None:
        try:
            return decode_row(row, self._bodies)
        except MailError as error:
            reason = str(error)
            self._reactor.callFromThread(
                lambda: self._log.emit("spool.message.unreadable", message=row.message_id, reason=reason)
            )
            return None


def decode_row(row: statements.Row, bodies: str) -> SpoolMessage:
    """
    Read a row back.

    Args:
        bodies: the folder of body files.

    Raises:
        MailError: INVALID.
    """
    content = body_path(bodies, row.message_id) if row.body is None else row.body
    return decode_message(row.message_id, row.received, row.envelope, content)
