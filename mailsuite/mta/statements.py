"""
The spool's SQL, in named functions that run inside a transaction of their caller.

Nothing here opens, commits or waits. The schema is in ``schema/``.
"""

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence

import attrs

from mailsuite.address import Address
from mailsuite.mta.content import SpoolMessage, encode_envelope
from mailsuite.mta.queue_store import HERE, Notice
from mailsuite.mta.share import ID_STEP

STATUS_MAX_CHARACTERS = 1000
WAITS_FOR_RELEASE = "its sender wants it to leave then"


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


_MESSAGE = "SELECT id, received, envelope, file, body FROM message"


def spool_uuid(connection: sqlite3.Connection) -> uuid.UUID:
    """Give the spool's name, made when it is asked for the first time."""
    row = connection.execute("SELECT uuid FROM spool").fetchone()
    if row is None:
        name = uuid.uuid4()
        connection.execute("INSERT INTO spool (id, uuid) VALUES (1, ?)", (name.bytes,))
        return name
    return uuid.UUID(bytes=row[0])


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
    """Add messages, each with a row for every target that is not delivered at once."""
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
    recipients = [row for message in messages for row in _recipient_rows(message)]
    if recipients:
        connection.executemany(
            "INSERT INTO recipient (message, n, address, domain, sender, state, born, next, status, notice) "
            "VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
            recipients,
        )


def _recipient_rows(message: SpoolMessage) -> Iterator[tuple[object, ...]]:
    path = message.sender.path
    for n, target in enumerate(message.targets):
        if not message.at_once(n):
            yield (
                message.message_id,
                n,
                bounded_text(str(target.address)),
                target.address.domain if target.is_remote else HERE,
                sender_text(path),
                message.born,
                message.born,
                WAITS_FOR_RELEASE if message.waits else "",
                Notice.NOBODY if path is None else Notice.NONE,
            )


def sender_text(path: Address | None) -> str:
    """Write a reverse-path as the queue keeps it."""
    return "" if path is None else bounded_text(str(path))


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
            "SELECT 1 FROM recipient WHERE recipient.message = message.id AND state <> 2) RETURNING file",
            (first, last, first & 1),
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
    query = (
        "SELECT DISTINCT message FROM recipient AS done WHERE state = 2 AND (? IS NULL OR message & 1 = ?) "
        "AND NOT EXISTS (SELECT 1 FROM recipient WHERE recipient.message = done.message AND state <> 2)"
    )
    return [message_id for (message_id,) in connection.execute(query, (parity, parity))]


def recipient_places(connection: sqlite3.Connection, message_ids: Sequence[int]) -> set[tuple[int, int]]:
    """Give message and place of targets that were not delivered at once, in whatever state they are."""
    if not message_ids:
        return set()
    query = "SELECT message, n FROM recipient WHERE message BETWEEN ? AND ?"
    return set(connection.execute(query, (min(message_ids), max(message_ids))).fetchall())


def defer_local(
    connection: sqlite3.Connection,
    message_id: int,
    n: int,
    address: str,
    *,
    sender: Address | None,
    next_try: int,
    now: int,
    status: str,
) -> None:
    """Note a local target whose first delivery failed."""
    connection.execute(
        "INSERT OR IGNORE INTO recipient "
        "(message, n, address, domain, sender, state, born, next, tries, status, tried, notice) "
        "SELECT id, ?, ?, ?, ?, 0, received, ?, 1, ?, ?, ? FROM message WHERE id = ?",
        (
            n,
            bounded_text(address),
            HERE,
            sender_text(sender),
            next_try,
            bounded_text(status),
            now,
            Notice.NOBODY if sender is None else Notice.NONE,
            message_id,
        ),
    )


def bounded_text(value: str) -> str:
    """Cut a text that a peer may have written, so that a database takes it."""
    # SQLite refuses lone surrogates; a peer must not be able to make a whole group of messages fail with one.
    return value[:STATUS_MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")


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
