"""
What an operator can see of the queue and do to it.

The functions run in a transaction of their caller: the spool's writer in the server, or `QueueFile` in another
process, which the server notices when it looks at its queue the next time.
"""

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import attrs
from twisted.logger import Logger

from mailsuite.durable import Database, Disk, migrate
from mailsuite.errors import Kind, MailError
from mailsuite.mta import statements
from mailsuite.mta.replay import decode_row
from mailsuite.mta.spool import DATABASE_NAME, format_queue_id, is_of_spool, parse_queue_id
from mailsuite.mta.statements import Pending, State
from mailsuite.mta.writer import open_database
from mailsuite.observe import EventLog

REMOVED = "removed by the operator"
AN_OPERATOR = "an operator"
WORKER_FOLDER = "worker-"

T = TypeVar("T")
STATE_NAMES = {State.WAITING: "waiting", State.HELD: "held", State.FINISHED: "finished"}


@attrs.frozen
class QueueRecipient:
    """
    A recipient that is not finished.

    Args:
        state: ``waiting`` or ``held``.
        next_attempt: seconds since the epoch.
        status: how the last attempt ended.
    """

    address: str
    state: str
    next_attempt: int
    tries: int
    status: str


@attrs.frozen(kw_only=True)
class QueueEntry:
    """
    A message with recipients that are not finished.

    Args:
        sender: empty for the null reverse-path.
        received: seconds since the epoch.
    """

    queue_id: str
    sender: str
    received: int
    size_octets: int
    recipients: tuple[QueueRecipient, ...]


def list_queue(connection: sqlite3.Connection) -> list[QueueEntry]:
    """Give all messages that wait, in order of arrival."""
    spool = statements.spool_uuid(connection)
    recipients: dict[int, list[Pending]] = {}
    for pending in statements.pending(connection):
        recipients.setdefault(pending.message_id, []).append(pending)
    return [_entry(connection, spool, message_id, rows) for message_id, rows in recipients.items()]


def show_message(connection: sqlite3.Connection, queue_id: str) -> QueueEntry:
    """
    Give one message that waits.

    Raises:
        MailError: NOT_FOUND.
    """
    message_id = _find(connection, queue_id)
    spool = statements.spool_uuid(connection)
    return _entry(connection, spool, message_id, statements.pending(connection, message_id))


def retry_message(connection: sqlite3.Connection, queue_id: str, now: float) -> None:
    """
    Let a message be tried now.

    Raises:
        MailError: NOT_FOUND; CONFLICT when it is held.
    """
    if not statements.make_due(connection, _find(connection, queue_id), int(now)):
        raise MailError(Kind.CONFLICT, "the message is held: release it first")


def hold_message(connection: sqlite3.Connection, queue_id: str) -> None:
    """
    Let a message wait until it is released.

    Raises:
        MailError: NOT_FOUND.
    """
    statements.change_state(connection, _find(connection, queue_id), State.WAITING, State.HELD)


def release_message(connection: sqlite3.Connection, queue_id: str) -> None:
    """
    Let a message go on that was held.

    Raises:
        MailError: NOT_FOUND.
    """
    statements.change_state(connection, _find(connection, queue_id), State.HELD, State.WAITING)


def remove_message(connection: sqlite3.Connection, queue_id: str) -> None:
    """
    Give up all recipients that wait; nobody is told.

    Raises:
        MailError: NOT_FOUND.
    """
    message_id = _find(connection, queue_id)
    for pending in statements.pending(connection, message_id):
        statements.finish(connection, message_id, pending.n, REMOVED)


def flush_queue(connection: sqlite3.Connection, now: float) -> int:
    """Let everything that waits be tried now; give the number of recipients."""
    return statements.make_due(connection, None, int(now))


def _find(connection: sqlite3.Connection, queue_id: str) -> int:
    message_id = parse_queue_id(statements.spool_uuid(connection), queue_id)
    if not statements.pending(connection, message_id):
        raise MailError(Kind.NOT_FOUND, "there is no such message in the queue")
    return message_id


def _entry(connection: sqlite3.Connection, spool: uuid.UUID, message_id: int, rows: list[Pending]) -> QueueEntry:
    row = statements.find_envelope(connection, message_id)
    sender, received, size = "", 0, 0
    if row is not None:
        received = row.received
        with contextlib.suppress(MailError):  # it cannot be read; it can still be seen and removed
            message = decode_row(row, "")
            sender = "" if message.sender.path is None else str(message.sender.path)
            size = message.size_octets - message.trace_octets
    return QueueEntry(
        queue_id=format_queue_id(spool, message_id),
        sender=sender,
        received=received,
        size_octets=size,
        recipients=tuple(
            QueueRecipient(pending.address, STATE_NAMES[pending.state], pending.next, pending.tries, pending.status)
            for pending in rows
        ),
    )


def spool_folders(folder: str) -> list[str]:
    """
    List the folders of spools, the first one's and those of worker processes below it.

    Args:
        folder: of the first spool.
    """
    workers = []
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            number = name.removeprefix(WORKER_FOLDER)
            if number != name and number.isascii() and number.isdigit():
                workers.append(int(number))
    return [folder, *(worker_folder(folder, number) for number in sorted(workers))]


def worker_folder(folder: str, number: int) -> str:
    """Name the folder of a worker's spool; the first worker, 0, has the spool that a single process has."""
    return os.path.join(folder, f"{WORKER_FOLDER}{number}") if number else folder


class QueueFile:
    """
    The queues of all spools of a server, seen from another process; used in a ``with`` block. Methods block shortly.

    Args:
        folder: of the first spool; those of workers lie below it.
        by: who asks, for the log.

    Raises:
        MailError: NOT_FOUND when there is no spool in the folder; CONFLICT when it is not of this version.
    """

    def __init__(self, folder: str, disk: Disk | None = None, *, by: str = AN_OPERATOR) -> None:
        self._by = by
        self._log = EventLog(Logger("mailsuite.mta.operations"))
        paths = [os.path.join(each, DATABASE_NAME) for each in spool_folders(folder)]
        paths = [path for path in paths if os.path.exists(path)]
        if not paths:
            raise MailError(Kind.NOT_FOUND, "there is no queue yet")
        self._databases: list[Database] = []
        try:
            for path in paths:
                database = open_database(path, disk or Disk())
                self._databases.append(database)
                migrate(database, "mailsuite.mta")
        except sqlite3.Error as error:
            self._close()
            raise MailError(Kind.CONFLICT, f"the queue cannot be used: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for database in self._databases:
            database.close()

    @contextlib.contextmanager
    def _writing(self, database: Database) -> Iterator[sqlite3.Connection]:
        try:
            with database.writing() as connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise MailError(Kind.UNAVAILABLE, "the queue cannot be reached") from error

    def _in_spool(self, queue_id: str, work: Callable[[sqlite3.Connection], T]) -> T:
        for database in self._databases:
            with self._writing(database) as connection:
                if is_of_spool(statements.spool_uuid(connection), queue_id):
                    return work(connection)
        raise MailError(Kind.NOT_FOUND, "there is no such message in the queue")

    def list(self) -> list[QueueEntry]:
        """Give all messages that wait, oldest first."""
        entries: list[QueueEntry] = []
        for database in self._databases:
            with self._writing(database) as connection:
                entries.extend(list_queue(connection))
        return sorted(entries, key=lambda entry: entry.received)

    def show(self, queue_id: str) -> QueueEntry:
        """Give one message."""
        return self._in_spool(queue_id, lambda connection: show_message(connection, queue_id))

    def retry(self, queue_id: str, now: float) -> None:
        """Let one message be tried now."""
        self._in_spool(queue_id, lambda connection: retry_message(connection, queue_id, now))
        self._log.emit("queue.message.retried", queue_id=queue_id, by=self._by)

    def hold(self, queue_id: str) -> None:
        """Let one message wait until it is released."""
        self._in_spool(queue_id, lambda connection: hold_message(connection, queue_id))
        self._log.emit("queue.message.held", queue_id=queue_id, by=self._by)

    def release(self, queue_id: str) -> None:
        """Let one message go on."""
        self._in_spool(queue_id, lambda connection: release_message(connection, queue_id))
        self._log.emit("queue.message.released", queue_id=queue_id, by=self._by)

    def remove(self, queue_id: str) -> None:
        """Give up one message."""
        self._in_spool(queue_id, lambda connection: remove_message(connection, queue_id))
        self._log.emit("queue.message.removed", queue_id=queue_id, by=self._by)

    def flush(self, now: float) -> int:
        """Let everything be tried now."""
        count = 0
        for database in self._databases:
            with self._writing(database) as connection:
                count += flush_queue(connection, now)
        return count
