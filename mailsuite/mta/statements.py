"""
The spool's SQL, in named functions that run inside a transaction of their caller.

Nothing here opens, commits or waits. The schema is in ``schema/``.
"""

import enum
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence

import attrs

from mailsuite.mta.content import SpoolMessage, encode_envelope
from mailsuite.mta.share import ID_STEP

STATUS_MAX_CHARACTERS = 1000


class State(enum.IntEnum):
    """Where a recipient that was not delivered at once stands."""

    WAITING = 0
    HELD = 1
    FINISHED = 2


@attrs.frozen
class Row:
    """
    A message as it lies in the database.

    Args:
        file: its name below the folder of bodies; None when `body` holds the octets.
    """

    message_id: int
    received: int
    envelope: bytes
    file: str | None
    body: bytes | None


@attrs.frozen
class Pending:
    """A recipient that is not finished, as the queue sees it."""

    message_id: int
    n: int
    address: str
    state: State
    next: int
    tries: int
    status: str


_MESSAGE = "SELECT id, received, envelope, file, body FROM message"
_PENDING = "SELECT message, n, address, state, next, tries, status FROM recipient"


def spool_uuid(connection: sqlite3.Connection) -> uuid.UUID:
    """Give the spool's name, made when it is asked for the first time."""
    connection.execute("INSERT OR IGNORE INTO spool (id, uuid) VALUES (1, ?)", (uuid.uuid4().bytes,))
    (name,) = connection.execute("SELECT uuid FROM spool").fetchone()
    return uuid.UUID(bytes=name)


def probe(connection: sqlite3.Connection) -> None:
    """Write something, to find out whether a commit succeeds."""
    connection.execute("UPDATE spool SET probed = probed + 1")


def last_id(connection: sqlite3.Connection) -> int:
    """Give the highest id that was ever used."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'message'").fetchone()
    return row[0] if row else 0


def holds_messages(connection: sqlite3.Connection) -> bool:
    """Whether anything is in the spool."""
    return connection.execute("SELECT 1 FROM message LIMIT 1").fetchone() is not None


def insert_messages(connection: sqlite3.Connection, messages: Iterable[SpoolMessage]) -> None:
    """Add messages, each with a row for every remote target, which is due at once."""
    connection.executemany(
        "INSERT INTO message (id, received, envelope, file, body) VALUES (?, ?, ?, ?, ?)",
        [
            (
                message.message_id,
                message.received,
                encode_envelope(message),
                None if isinstance(message.content, bytes) else body_name(message.message_id),
                message.content if isinstance(message.content, bytes) else None,
            )
            for message in messages
        ],
    )
    recipients = [
        (message.message_id, n, _text(str(target.address)), State.WAITING, message.received)
        for message in messages
        for n, target in enumerate(message.targets)
        if not target.is_local
    ]
    if recipients:
        connection.executemany(
            "INSERT INTO recipient (message, n, address, state, next) VALUES (?, ?, ?, ?, ?)", recipients
        )


def body_name(message_id: int) -> str:
    """Name the file of a message's body."""
    return f"{message_id:x}"


def messages_after(
    connection: sqlite3.Connection, after: int, up_to: int, limit: int, parity: int | None = None
) -> list[Row]:
    """
    Give messages in order of id, for the replay.

    Args:
        parity: the lowest bit of the ids; None for all.
    """
    query = f"{_MESSAGE} WHERE id > ? AND id <= ? AND (? IS NULL OR id & 1 = ?) ORDER BY id LIMIT ?"
    return [Row(*row) for row in connection.execute(query, (after, up_to, parity, parity, limit))]


def find_message(connection: sqlite3.Connection, message_id: int) -> Row | None:
    """Give one message."""
    row = connection.execute(f"{_MESSAGE} WHERE id = ?", (message_id,)).fetchone()
    return Row(*row) if row else None


def find_envelope(connection: sqlite3.Connection, message_id: int) -> Row | None:
    """Give one message without its body."""
    query = "SELECT id, received, envelope, file, NULL FROM message WHERE id = ?"
    row = connection.execute(query, (message_id,)).fetchone()
    return Row(*row) if row else None


def body_files(connection: sqlite3.Connection) -> set[str]:
    """Names of all body files that messages need."""
    return {name for (name,) in connection.execute("SELECT file FROM message WHERE file IS NOT NULL")}


def delete_messages(connection: sqlite3.Connection, message_ids: Sequence[int]) -> list[str]:
    """
    Remove messages of which no recipient is unfinished; give the names of body files that nobody needs now.

    Ids that follow one another, as those that one process gives, are removed by one statement.
    """
    files: list[str] = []
    for first, last in _runs(message_ids):
        deleted = connection.execute(
            "DELETE FROM message WHERE id BETWEEN ? AND ? AND id & 1 = ? AND NOT EXISTS ("
            "SELECT 1 FROM recipient WHERE recipient.message = message.id AND state <> ?) RETURNING file",
            (first, last, first & 1, State.FINISHED),
        )
        files.extend(file for (file,) in deleted if file is not None)
    return files


def void_messages(connection: sqlite3.Connection, message_ids: Sequence[int]) -> None:
    """Remove what a failed commit may have left, whatever its state."""
    connection.executemany("DELETE FROM message WHERE id = ?", [(message_id,) for message_id in message_ids])


def finished_messages(connection: sqlite3.Connection, parity: int | None = None) -> list[int]:
    """
    Give messages whose every recipient row is finished.

    Args:
        parity: the lowest bit of their ids; None for all.
    """
    query = "SELECT message FROM recipient WHERE ? IS NULL OR message & 1 = ? GROUP BY message HAVING min(state) = ?"
    return [message_id for (message_id,) in connection.execute(query, (parity, parity, State.FINISHED))]


def recipient_places(connection: sqlite3.Connection, message_ids: Sequence[int]) -> set[tuple[int, int]]:
    """Give message and place of targets that were not delivered at once, in whatever state they are."""
    if not message_ids:
        return set()
    query = "SELECT message, n FROM recipient WHERE message BETWEEN ? AND ?"
    return set(connection.execute(query, (min(message_ids), max(message_ids))).fetchall())


def defer_local(
    connection: sqlite3.Connection, message_id: int, n: int, address: str, next_try: int, status: str
) -> None:
    """Note a local target whose first delivery failed."""
    connection.execute(
        "INSERT OR IGNORE INTO recipient (message, n, address, state, next, tries, status) "
        "SELECT id, ?, ?, ?, ?, 1, ? FROM message WHERE id = ?",
        (n, _text(address), State.WAITING, next_try, _text(status), message_id),
    )


def forget_leases(connection: sqlite3.Connection) -> None:
    """Give back what a process that is gone had leased."""
    connection.execute("UPDATE recipient SET lease = 0 WHERE lease <> 0")


def lease_due(connection: sqlite3.Connection, now: int, until: int, limit: int) -> list[Pending]:
    """Take recipients that are due, those due longest first, so that no other attempt begins before `until`."""
    due = connection.execute(
        f"{_PENDING} WHERE state = 0 AND next <= ? AND lease <= ? ORDER BY next LIMIT ?", (now, now, limit)
    ).fetchall()
    connection.executemany(
        "UPDATE recipient SET lease = ? WHERE message = ? AND n = ?", [(until, row[0], row[1]) for row in due]
    )
    return [_pending(row) for row in due]


def finish(connection: sqlite3.Connection, message_id: int, n: int, status: str) -> None:
    """Record that a recipient needs nothing more: delivered, or returned to the sender, or removed."""
    connection.execute(
        "UPDATE recipient SET state = ?, lease = 0, tries = tries + 1, status = ? WHERE message = ? AND n = ?",
        (State.FINISHED, _text(status), message_id, n),
    )


def defer(connection: sqlite3.Connection, message_id: int, n: int, next_try: int, status: str) -> None:
    """Record that a recipient is to be tried again; one held or removed meanwhile stays so."""
    connection.execute(
        "UPDATE recipient SET next = ?, lease = 0, tries = tries + 1, status = ? "
        "WHERE message = ? AND n = ? AND state <> ?",
        (next_try, _text(status), message_id, n, State.FINISHED),
    )


def release_lease(connection: sqlite3.Connection, message_id: int, n: int) -> None:
    """Record that an attempt was given up before it could end."""
    connection.execute("UPDATE recipient SET lease = 0 WHERE message = ? AND n = ?", (message_id, n))


def pending(connection: sqlite3.Connection, message_id: int | None = None) -> list[Pending]:
    """Give unfinished recipients in order, of one message or of all."""
    query = f"{_PENDING} WHERE state <> ?"
    if message_id is None:
        rows = connection.execute(f"{query} ORDER BY message, n", (State.FINISHED,))
    else:
        rows = connection.execute(f"{query} AND message = ? ORDER BY n", (State.FINISHED, message_id))
    return [_pending(row) for row in rows]


def count_pending(connection: sqlite3.Connection) -> int:
    """Count the messages that wait for the queue."""
    query = "SELECT COUNT(DISTINCT message) FROM recipient WHERE state <> ?"
    count: int = connection.execute(query, (State.FINISHED,)).fetchone()[0]
    return count


def change_state(connection: sqlite3.Connection, message_id: int | None, old: State, new: State) -> int:
    """Move recipients of one message, or of all, from one state to another; give their number."""
    changed = connection.execute(
        "UPDATE recipient SET state = ? WHERE state = ? AND (? IS NULL OR message = ?)",
        (new, old, message_id, message_id),
    )
    return changed.rowcount


def make_due(connection: sqlite3.Connection, message_id: int | None, now: int) -> int:
    """Let waiting recipients of one message, or of all, be tried now; give their number."""
    changed = connection.execute(
        "UPDATE recipient SET next = ? WHERE state = ? AND (? IS NULL OR message = ?)",
        (now, State.WAITING, message_id, message_id),
    )
    return changed.rowcount


def _text(value: str) -> str:
    # SQLite refuses lone surrogates; a peer must not be able to make a whole group of messages fail with one.
    return value[:STATUS_MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")


def _pending(row: tuple[int, int, str, int, int, int, str]) -> Pending:
    message_id, n, address, state, next_try, tries, status = row
    return Pending(message_id, n, address, State(state), next_try, tries, status)


def _runs(message_ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for message_id in sorted(set(message_ids)):
        if first is None or last is None:
            first = last = message_id
        elif message_id == last + ID_STEP:
            last = message_id
        else:
            yield first, last
            first = last = message_id
    if first is not None and last is not None:
        yield first, last
