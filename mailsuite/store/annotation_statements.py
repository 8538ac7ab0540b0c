"""The SQL of annotations, like `statements`."""

from mailsuite.store.statements import Connection


def set_annotation(connection: Connection, mailbox_id: int, reader: int, entry: str, value: bytes | None) -> int:
    """Set an annotation, or note that it is removed; return the number of the change."""
    cursor = connection.execute(
        "INSERT OR REPLACE INTO annotation (mailbox, reader, entry, value, size) VALUES (?, ?, ?, ?, ?)",
        (mailbox_id, reader, entry, value, len(value or b"")),
    )
    return cursor.lastrowid or 0


def has_annotation(connection: Connection, mailbox_id: int, reader: int, entry: str, value: bytes) -> bool:
    """Whether an annotation has this value."""
    found = connection.execute(
        "SELECT 1 FROM annotation WHERE mailbox = ? AND reader = ? AND entry = ? AND value = ?",
        (mailbox_id, reader, entry, value),
    )
    return found.fetchone() is not None


def last_annotation(connection: Connection) -> int:
    """Give the number of the last change of an annotation."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'annotation'").fetchone()
    return int(row[0]) if row else 0


def begin_annotations(connection: Connection, last: int) -> None:
    """Let the changes of annotations in an empty index have higher numbers."""
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('annotation', ?)", (last,))


def count_annotations(connection: Connection) -> int:
    """Count the annotations of the account."""
    return int(connection.execute("SELECT COUNT(*) FROM annotation WHERE value IS NOT NULL").fetchone()[0])


def forget_removed_annotations(connection: Connection, kept: int) -> None:
    """Forget removals, but for the last ones."""
    connection.execute(
        "DELETE FROM annotation WHERE value IS NULL AND change <="
        " (SELECT change FROM annotation WHERE value IS NULL ORDER BY change DESC LIMIT 1 OFFSET ?)",
        (kept,),
    )
