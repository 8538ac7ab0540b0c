"""
The spool's writer: everything that finished while it was busy goes into one commit.

Runs in one thread, which alone uses the connection. A failed commit fails everything in its group and keeps nothing.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from mailsuite.durable import Database, Disk, Synchronous
from mailsuite.errors import Kind, MailError
from mailsuite.mta import statements
from mailsuite.mta.content import SpoolMessage
from mailsuite.observe import EventLog

CHECKPOINT_PAGES = 4000
SAVEPOINT = "one"


@attrs.define(eq=False, kw_only=True)
class Write:
    """
    One piece of work for a commit.

    Args:
        messages: are added.
        change: runs in the transaction; when it raises, neither its changes nor `messages` are kept.
        deferred: fires in the reactor with what `change` gave, or else with `result`.
        done: called in the writer's thread with the same, or with a Failure; it must not raise.
    """

    messages: Sequence[SpoolMessage] = ()
    change: Callable[[sqlite3.Connection], Any] | None = None
    result: Any = None
    deferred: Deferred[Any] | None = None
    done: Callable[[Any], None] | None = None


def open_database(path: str, disk: Disk) -> Database:
    """Open the spool's database as its promises need it."""
    return Database(path, disk, synchronous=Synchronous.FULL, checkpoint_pages=CHECKPOINT_PAGES)


class Writer:
    """
    Works on groups for a `mailsuite.durable.GroupThread`.

    Args:
        database: open and migrated; the writer closes it, and opens it again after a failure.
        bodies: the folder of body files, synced before a row that names one commits.
        deliver: takes the messages of a group that has been committed and answered.
    """

    def __init__(
        self,
        database: Database,
        bodies: str,
        *,
        disk: Disk,
        reactor: IReactorFromThreads,
        log: EventLog,
        deliver: Callable[[Sequence[SpoolMessage]], None],
    ) -> None:
        self._path = database.path
        self._database: Database | None = database
        self._bodies = bodies
        self._disk = disk
        self._reactor = reactor
        self._log = log
        self._deliver = deliver
        self._void: list[int] = []
        self.failing = False

    def work(self, group: list[Write]) -> None:
        """Commit a group, answer it with one call into the reactor, and deliver what it brought."""
        results = self._committed(group)
        answers = []
        kept: list[SpoolMessage] = []
        for write, result in zip(group, results, strict=True):
            if write.deferred is not None:
                answers.append((write.deferred, result))
            if write.messages and not isinstance(result, Failure):
                kept.extend(write.messages)
        if answers:
            self._reactor.callFromThread(_fire, answers)
        if kept:
            self._deliver(kept)
        for write, result in zip(group, results, strict=True):
            if write.done is not None:
                write.done(result)

    def close(self) -> None:
        """Close the connection."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _committed(self, group: list[Write]) -> list[Any]:
        try:
            results = self._commit(group)
        except Exception as error:  # noqa: BLE001 - whatever it is, all of the group must be answered
            self._give_up(group, error)
            refusal = Failure(MailError(Kind.UNAVAILABLE, "the message could not be stored; try again later"))
            return [refusal] * len(group)
        if self.failing:
            self.failing = False
            self._reactor.callFromThread(lambda: self._log.emit("spool.commit.recovered"))
        self._void.clear()
        return results

    def _commit(self, group: list[Write]) -> list[Any]:
        if any(not isinstance(message.content, bytes) for write in group for message in write.messages):
            self._disk.sync_folder(self._bodies)
        if self._database is None:
            self._database = open_database(self._path, self._disk)
        with self._database.writing() as connection:
            if self._void:
                statements.void_messages(connection, self._void)
            statements.insert_messages(
                connection, [message for write in group if write.change is None for message in write.messages]
            )
            return [_apply(connection, write) for write in group]

    def _give_up(self, group: list[Write], error: Exception) -> None:
        # After a failed sync nobody knows what is on disk: start from what a new connection finds there, and take
        # back with the next commit whatever of this group should have stayed after all.
        self._void.extend(message.message_id for write in group for message in write.messages)
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(sqlite3.Error):
                database.close()
        if not self.failing:
            self.failing = True
            failure = Failure(error)
            self._reactor.callFromThread(lambda: self._log.failure("spool.commit.failed", failure, writes=len(group)))


def _apply(connection: sqlite3.Connection, write: Write) -> Any:
    if write.change is None:
        return write.result
    connection.execute(f"SAVEPOINT {SAVEPOINT}")
    try:
        result = write.change(connection)
        statements.insert_messages(connection, write.messages)
    except (sqlite3.Error, OSError):
        raise
    except Exception:  # noqa: BLE001 - it belongs to who asked, and to nobody else of the group
        connection.execute(f"ROLLBACK TO {SAVEPOINT}")
        return Failure()
    finally:
        if connection.in_transaction:
            connection.execute(f"RELEASE {SAVEPOINT}")
    return result


def _fire(answers: Sequence[tuple[Deferred[Any], Any]]) -> None:
    for deferred, result in answers:
        if not deferred.called:  # else cancelled meanwhile
            deferred.callback(result)


def body_path(folder: str, message_id: int) -> str:
    """Say where the body file of a message lies."""
    return os.path.join(folder, statements.body_name(message_id))
