"""The SQL of where messages lie, and of what was promised to be done to files, like `statements`."""

import json
from collections.abc import Iterable, Sequence

from mailsuite.store.statements import Connection, MailboxRow, select_among

FileRow = tuple[int, str, str, str, int]
"""Id, token, folder, name, flags in the name."""


def files(connection: Connection, row: MailboxRow) -> list[FileRow]:
    """List the files of a mailbox."""
    return connection.execute(
        "SELECT id, token, folder, name, bits FROM file WHERE id BETWEEN ? AND ?", (row.first_id, row.last_id)
    ).fetchall()


def files_of(connection: Connection, row: MailboxRow, uids: Sequence[int]) -> list[tuple[int, str, str]]:
    """List id, folder and name of the files of some messages."""
    found: list[tuple[int, str, str]] = select_among(
        connection, "SELECT id, folder, name FROM file WHERE id {where} ORDER BY id", row, uids
    )
    return found


def known_tokens(connection: Connection, tokens: Sequence[str]) -> set[str]:
    """Tell which of these unique parts of file names a message has, or had before it was expunged."""
    found = connection.execute(
        "WITH wanted AS (SELECT value AS token FROM json_each(?))"
        " SELECT token FROM wanted WHERE EXISTS (SELECT 1 FROM file WHERE file.token = wanted.token)"
        " OR EXISTS (SELECT 1 FROM expunged WHERE expunged.token = wanted.token AND expunged.token <> '')",
        (json.dumps(tokens),),
    )
    return {token for (token,) in found}


def find_token(connection: Connection, token: str) -> tuple[int, str, str] | None:
    """Find a live message by the unique part of its file name: id, folder, name."""
    row: tuple[int, str, str] | None = connection.execute(
        "SELECT id, folder, name FROM file WHERE token = ?", (token,)
    ).fetchone()
    return row


def places_of(connection: Connection, row: MailboxRow, tokens: Iterable[str]) -> list[tuple[str, str]]:
    """List folder and name of a mailbox's files by these unique parts."""
    return connection.execute(
        "SELECT folder, name FROM file WHERE token IN (SELECT value FROM json_each(?)) AND +id BETWEEN ? AND ?",
        (json.dumps(list(tokens)), row.first_id, row.last_id),
    ).fetchall()


def has_token(connection: Connection, row: MailboxRow, token: str) -> bool:
    """Whether a mailbox has a message with this unique part."""
    found = connection.execute(
        "SELECT 1 FROM file WHERE token = ? AND id BETWEEN ? AND ?", (token, row.first_id, row.last_id)
    ).fetchone()
    return found is not None


def is_expunged(connection: Connection, token: str) -> tuple[int, int] | None:
    """Find the tombstone of a token: mailbox and UID."""
    row: tuple[int, int] | None = connection.execute(
        "SELECT mailbox, id & 4294967295 FROM expunged WHERE token = ? AND token <> ''", (token,)
    ).fetchone()
    return row


def is_used(connection: Connection, message_id: int) -> bool:
    """Whether a message has or had this id."""
    found = connection.execute(
        "SELECT 1 FROM state WHERE id = ?1 UNION ALL SELECT 1 FROM expunged WHERE id = ?1", (message_id,)
    ).fetchone()
    return found is not None


def set_file(connection: Connection, message_id: int, folder: str, name: str, bits: int) -> None:
    """Note where a message lies now."""
    connection.execute("UPDATE file SET folder = ?, name = ?, bits = ? WHERE id = ?", (folder, name, bits, message_id))


def size_of(connection: Connection, message_id: int) -> int:
    """Give the size of a message."""
    return int(connection.execute("SELECT size FROM message WHERE id = ?", (message_id,)).fetchone()[0])


def unmirrored(connection: Connection, row: MailboxRow, limit: int) -> list[tuple[int, str, str, int]]:
    """List id, folder, file name and flags of messages whose name does not tell their flags."""
    return connection.execute(
        "SELECT s.id, f.folder, f.name, s.flags FROM state s JOIN file f ON f.id = s.id"
        " WHERE s.id BETWEEN ? AND ? AND s.flags <> f.bits LIMIT ?",
        (row.first_id, row.last_id, limit),
    ).fetchall()


# promises


def add_pending(connection: Connection, source: str, target: str) -> int:
    """Promise to rename a folder or file, or to remove a file when there is no target."""
    cursor = connection.execute("INSERT INTO pending (source, target) VALUES (?, ?)", (source, target))
    return cursor.lastrowid or 0


def pending(connection: Connection) -> list[tuple[int, str, str]]:
    """List what was promised."""
    return connection.execute("SELECT id, source, target FROM pending ORDER BY id").fetchall()


def forget_pending(connection: Connection, ids: Iterable[int]) -> None:
    """It is done."""
    connection.executemany("DELETE FROM pending WHERE id = ?", [(number,) for number in ids])


def note_discarded(connection: Connection, ids: Iterable[int]) -> None:
    """The folders have their new names, and it remains to remove them."""
    connection.executemany("UPDATE pending SET source = target WHERE id = ?", [(number,) for number in ids])
