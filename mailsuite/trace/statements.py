"""Everything that is said to the databases of the trace."""

import enum
import json
import sqlite3
from collections.abc import Collection, Iterable

import attrs


class Kind(enum.Enum):
    """By what a message is found, beside its queue id."""

    MESSAGE_ID = "m"
    REPORT = "q"
    RECIPIENT = "r"
    SENDER = "s"


@attrs.define  # a frozen one takes three times as long to make
class Entry:
    """
    One event of one message.

    Args:
        queue_id: in capitals.
        time: seconds since the epoch.
        name: of the event.
        fields: JSON.
        names: by which the message may be asked for.
    """

    queue_id: str
    time: float
    name: str
    fields: str
    names: Collection[tuple[Kind, str]] = ()


def add_entries(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Add events; call it in a transaction."""
    rows = []
    names = []
    for entry in entries:
        rows.append((entry.queue_id, entry.time, entry.name, entry.fields))
        names.extend([(kind.value, name, entry.queue_id, entry.time) for kind, name in entry.names])
    connection.executemany("INSERT INTO event (queue_id, time, name, fields) VALUES (?, ?, ?, ?)", rows)
    connection.executemany(
        "INSERT INTO name (kind, name, queue_id, time) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (kind, name, queue_id) DO UPDATE SET time = excluded.time",
        names,
    )


def find_events(connection: sqlite3.Connection, queue_ids: Collection[str]) -> list[Entry]:
    """Give the events of some messages, as they were written."""
    rows = connection.execute(
        "SELECT queue_id, time, name, fields FROM event WHERE queue_id IN (SELECT value FROM json_each(?)) ORDER BY id",
        (json.dumps(sorted(queue_ids)),),
    )
    return [Entry(*row) for row in rows]


def find_named(connection: sqlite3.Connection, kind: Kind, name: str, since: float) -> dict[str, float]:
    """Give the messages that something is true of, and when it was said last."""
    found = connection.execute(
        "SELECT queue_id, time FROM name WHERE kind = ? AND name = ? AND time >= ?", (kind.value, name, since)
    )
    return dict(found.fetchall())


def find_recent(connection: sqlite3.Connection, since: float, limit: int) -> dict[str, float]:
    """Give the messages to which something happened last, and when; the newest first."""
    found = connection.execute(
        "SELECT queue_id, MAX(time) AS last FROM event WHERE time >= ? GROUP BY queue_id ORDER BY last DESC LIMIT ?",
        (since, limit),
    )
    return dict(found.fetchall())
