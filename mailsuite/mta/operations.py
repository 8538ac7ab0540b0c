"""
What an operator can see of the queue and do to it.

The functions run in a transaction of their caller: the spool's writer in the server, or `QueueFile` in another
process, which the server notices when it looks at its queue the next time.
"""

import contextlib
import functools
import heapq
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

import attrs
from twisted.logger import Logger

from mailsuite.durable import Database, Disk, migrate
from mailsuite.errors import Kind, MailError
from mailsuite.mta import queue_statements, statements
from mailsuite.mta.queue_statements import Condition
from mailsuite.mta.queue_store import (
    HERE,
    STATE_NAMES,
    Change,
    Counts,
    DomainCount,
    Loaded,
    Pending,
    QueueEntry,
    QueueRecipient,
    Selection,
    State,
)
from mailsuite.mta.replay import decode_row
from mailsuite.mta.spool import DATABASE_NAME, format_queue_id, is_of_spool, parse_queue_id
from mailsuite.mta.writer import open_database
from mailsuite.observe import EventLog

WORKER_FOLDER = "worker-"
PAGE_MESSAGES = 500
CHANGE_MAX = 2000

NOT_QUEUED = "there is no such message in the queue"
AN_OPERATOR = "an operator"
CHANGED_STATES = {Change.RETRY: State.WAITING, Change.HOLD: State.WAITING, Change.RELEASE: State.HELD}
"""What a change touches; a removal touches everything."""

T = TypeVar("T")


def load(connection: sqlite3.Connection, message_id: int, places: Sequence[int], bodies: str) -> Loaded:
    """
    Read a message back, and say which recipients still wait.

    Raises:
        MailError: NOT_FOUND, INVALID.
    """
    row = statements.find_message(connection, message_id)
    if row is None:
        raise MailError(Kind.NOT_FOUND, NOT_QUEUED)
    return Loaded(decode_row(row, bodies), queue_statements.waiting_places(connection, message_id, places))


def list_entries(
    connection: sqlite3.Connection, selection: Selection, after: str = "", limit: int = PAGE_MESSAGES
) -> list[QueueEntry]:
    """
    Give messages that wait, in order of arrival.

    Raises:
        MailError: NOT_FOUND.
    """
    spool = statements.spool_uuid(connection)
    condition = find(connection, selection)
    last = parse_queue_id(spool, after) if after else 0
    return [
        _entry(connection, spool, message_id, queue_statements.select_recipients(connection, condition, message_id))
        for message_id in queue_statements.select_messages(connection, condition, last, limit)
    ]


def find(connection: sqlite3.Connection, selection: Selection) -> Condition:
    """
    Say which recipients are meant.

    Raises:
        MailError: NOT_FOUND, when a message is named that does not wait.
    """
    message_id = 0
    if selection.queue_id:
        message_id = parse_queue_id(statements.spool_uuid(connection), selection.queue_id)
        if not queue_statements.select_recipients(connection, Condition(), message_id):
            raise MailError(Kind.NOT_FOUND, NOT_QUEUED)
    return Condition(message_id=message_id, domain=selection.domain, sender=selection.sender, state=selection.state)


def begin_change(connection: sqlite3.Connection, change: Change, selection: Selection) -> Condition:
    """
    Say which recipients are meant, before they are changed.

    Raises:
        MailError: NOT_FOUND; CONFLICT.
    """
    condition = find(connection, selection)
    if change is Change.RETRY and selection.queue_id:
        waiting = Selection(queue_id=selection.queue_id, state=State.WAITING)
        if not count(connection, waiting).recipients:
            raise MailError(Kind.CONFLICT, "the message is held: release it first")
    return condition


def _changing(connection: sqlite3.Connection, change: Change, selection: Selection) -> list[str]:
    """Name the messages that a change will touch."""
    state = CHANGED_STATES.get(change, selection.state)
    if selection.state not in {None, state}:
        return []
    spool = statements.spool_uuid(connection)
    touched = find(connection, attrs.evolve(selection, state=state))
    return [format_queue_id(spool, message) for message in queue_statements.select_messages(connection, touched, 0, -1)]


def tell_changed(log: EventLog, change: Change, queue_id: str, by: str) -> None:
    """Log what was done to one message, and who did it."""
    match change:
        case Change.RETRY:
            log.emit("queue.message.retried", queue_id=queue_id, by=by)
        case Change.HOLD:
            log.emit("queue.message.held", queue_id=queue_id, by=by)
        case Change.RELEASE:
            log.emit("queue.message.released", queue_id=queue_id, by=by)
        case Change.REMOVE:
            log.emit("queue.message.removed", queue_id=queue_id, by=by)


def count(connection: sqlite3.Connection, selection: Selection) -> Counts:
    """Count what waits or is held."""
    return queue_statements.count(connection, find(connection, selection))


def _entry(connection: sqlite3.Connection, spool: uuid.UUID, message_id: int, rows: Sequence[Pending]) -> QueueEntry:
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
            QueueRecipient(
                pending.address,
                STATE_NAMES[pending.state],
                pending.next,
                pending.tries,
                pending.status,
                pending.host,
                pending.tried,
            )
            for pending in rows
        ),
    )


def merge_entries(entries: Iterable[Iterable[QueueEntry]]) -> Iterator[QueueEntry]:
    """Put messages of several queues, each in order of arrival, into one order."""
    return heapq.merge(*entries, key=lambda entry: entry.received)


def merge_domains(counts: Iterable[DomainCount]) -> list[DomainCount]:
    """Add up what waits in several queues."""
    merged: dict[str, DomainCount] = {}
    for each in counts:
        other = merged.get(each.domain)
        if other is None:
            merged[each.domain] = each
            continue
        due = [one.next_attempt for one in (each, other) if one.waiting]
        merged[each.domain] = DomainCount(
            domain=each.domain,
            waiting=each.waiting + other.waiting,
            held=each.held + other.held,
            oldest=min(each.oldest, other.oldest),
            next_attempt=min(due, default=0),
            status=each.status or other.status,
        )
    return sorted(merged.values(), key=lambda one: (-one.waiting - one.held, one.domain != HERE, one.domain))


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

    No transaction is long: the server goes on meanwhile.

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
                with database.writing() as connection:
                    _ = statements.spool_uuid(connection)
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

    def _in(self, database: Database, work: Callable[[sqlite3.Connection], T], *, write: bool = False) -> T:
        try:
            with database.writing() if write else database.reading() as connection:
                return work(connection)
        except (sqlite3.Error, OSError) as error:
            raise MailError(Kind.UNAVAILABLE, "the queue cannot be reached") from error

    def _meant(self, selection: Selection) -> Sequence[Database]:
        if not selection.queue_id:
            return self._databases
        for database in self._databases:
            if is_of_spool(self._in(database, statements.spool_uuid), selection.queue_id):
                return [database]
        raise MailError(Kind.NOT_FOUND, NOT_QUEUED)

    def list(self, selection: Selection | None = None) -> Iterator[QueueEntry]:
        """Give messages that wait, oldest first; read while they are asked for."""
        meant = selection or Selection()
        return merge_entries(self._pages(database, meant) for database in self._meant(meant))

    def _pages(self, database: Database, selection: Selection) -> Iterator[QueueEntry]:
        after = ""
        some = PAGE_MESSAGES // 10  # who asks for few gets them sooner
        while True:
            page = self._in(database, functools.partial(list_entries, selection=selection, after=after, limit=some))
            yield from page
            if len(page) < some:
                return
            after = page[-1].queue_id
            some = PAGE_MESSAGES

    def show(self, queue_id: str) -> QueueEntry:
        """
        Give one message.

        Raises:
            MailError: NOT_FOUND.
        """
        for entry in self.list(Selection(queue_id=queue_id)):
            return entry
        raise MailError(Kind.NOT_FOUND, NOT_QUEUED)

    def count(self, selection: Selection | None = None) -> Counts:
        """Count what waits or is held."""
        meant = selection or Selection()
        counts = [self._in(database, lambda connection: count(connection, meant)) for database in self._meant(meant)]
        return Counts(
            messages=sum(each.messages for each in counts), recipients=sum(each.recipients for each in counts)
        )

    def count_domains(self) -> Sequence[DomainCount]:
        """Count by domain, the longest queue first."""
        return merge_domains(
            each for database in self._databases for each in self._in(database, queue_statements.count_domains)
        )

    def change(self, change: Change, selection: Selection, now: float) -> int:
        """
        Do something to recipients; give the number of those changed.

        Raises:
            MailError: NOT_FOUND; CONFLICT when a message is held and was to be tried.
        """
        changed = 0
        meant: list[str] = []
        for database in self._meant(selection):
            condition = self._in(database, lambda connection: begin_change(connection, change, selection))
            meant.extend(self._in(database, functools.partial(_changing, change=change, selection=selection)))
            some = CHANGE_MAX
            while some == CHANGE_MAX:
                some = self._in(
                    database,
                    functools.partial(
                        queue_statements.change, change_=change, condition=condition, now=int(now), limit=CHANGE_MAX
                    ),
                    write=True,
                )
                changed += some
        for queue_id in meant:
            tell_changed(self._log, change, queue_id, self._by)
        return changed
