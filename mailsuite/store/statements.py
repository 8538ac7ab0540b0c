"""
The SQL of an account's index: plain statements in named functions that run in the caller's transaction.

The id of a message is ``mailbox << 32 | uid``.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from mailsuite.store.flags import DELETED, SEEN

UID_BITS = 32
UID_MASK = (1 << UID_BITS) - 1
_DENSE = 4

Connection = sqlite3.Connection
Line = tuple[Any, ...]
Take = Callable[[Iterable[Line]], list[Line]]


@attrs.define
class MailboxRow:
    """A row of the table of mailboxes, changed in a transaction and saved at its end."""

    mailbox_id: int
    name: str
    uidvalidity: int
    uidnext: int
    ceiling: int
    modseq: int
    recent: int
    messages: int
    unseen: int
    deleted: int
    octets: int
    selectable: int
    special: str

    @property
    def first_id(self) -> int:
        """The lowest id that a message of this mailbox may have."""
        return self.mailbox_id << UID_BITS

    @property
    def last_id(self) -> int:
        """The highest one."""
        return self.first_id | UID_MASK

    def count(self, flags: int, size: int, sign: int) -> None:
        """Count a message in (1) or out (-1)."""
        self.messages += sign
        self.octets += sign * size
        self.count_flags(flags, sign)

    def count_flags(self, flags: int, sign: int) -> None:
        """Count a message's flags in (1) or out (-1)."""
        if not flags & SEEN:
            self.unseen += sign
        if flags & DELETED:
            self.deleted += sign


@attrs.frozen(kw_only=True)
class NewMessage:
    """Everything about a message that is being added."""

    uid: int
    flags: int
    token: str
    folder: str
    file: str
    bits: int
    date: int
    saved: int
    size: int
    email_id: bytes
    envelope: bytes
    body: bytes
    structure: bytes
    header: bytes


# the account


def load_account(connection: Connection) -> tuple[str, int, int] | None:
    """Give the boot id, whether it was closed, and the last UIDVALIDITY."""
    row: tuple[str, int, int] | None = connection.execute("SELECT boot, clean, uidvalidity FROM account").fetchone()
    return row


def save_account(connection: Connection, boot: str, clean: int, uidvalidity: int) -> None:
    """Write the account's one row."""
    connection.execute("INSERT OR REPLACE INTO account VALUES (1, ?, ?, ?)", (boot, clean, uidvalidity))


def keyword_sets(connection: Connection) -> list[tuple[int, str]]:
    """List the sets of keywords."""
    return connection.execute("SELECT id, names FROM keyword_set").fetchall()


def newest(connection: Connection) -> tuple[int, int]:
    """Give the highest numbers that a set of keywords and a mailbox have; each new one has a higher one."""
    pair: tuple[int, int] = connection.execute(
        "SELECT COALESCE((SELECT MAX(id) FROM keyword_set), 0),"
        " COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'mailbox'), 0)"
    ).fetchone()
    return pair


def add_keyword_set(connection: Connection, names: str) -> int:
    """Add a set of keywords, if it is new; return its number."""
    connection.execute("INSERT OR IGNORE INTO keyword_set (names) VALUES (?)", (names,))
    number: int = connection.execute("SELECT id FROM keyword_set WHERE names = ?", (names,)).fetchone()[0]
    return number


def keywords(connection: Connection, mailbox_id: int) -> list[tuple[int, str]]:
    """List a mailbox's keywords with their numbers."""
    return connection.execute("SELECT number, name FROM keyword WHERE mailbox = ?", (mailbox_id,)).fetchall()


def add_keyword(connection: Connection, mailbox_id: int, number: int, name: str) -> None:
    """Add a keyword to a mailbox."""
    connection.execute("INSERT OR REPLACE INTO keyword VALUES (?, ?, ?)", (mailbox_id, number, name))


# mailboxes

_MAILBOX = (
    "SELECT id, name, uidvalidity, uidnext, ceiling, modseq, recent, messages, unseen, deleted, octets, selectable,"
    " special FROM mailbox"
)
_IS_NAMED = " WHERE name IN (SELECT value FROM json_each(?))"


def mailbox_by_name(connection: Connection, name: str) -> MailboxRow | None:
    """Find a mailbox by its name."""
    row = connection.execute(f"{_MAILBOX} WHERE name = ?", (name,)).fetchone()
    return MailboxRow(*row) if row else None


def mailboxes_by_name(connection: Connection, names: Sequence[str]) -> dict[str, MailboxRow]:
    """Find several mailboxes by their names."""
    return {row[1]: MailboxRow(*row) for row in connection.execute(_MAILBOX + _IS_NAMED, (json.dumps(list(names)),))}


def mailbox_by_id(connection: Connection, mailbox_id: int) -> MailboxRow | None:
    """Find a mailbox by its id."""
    row = connection.execute(f"{_MAILBOX} WHERE id = ?", (mailbox_id,)).fetchone()
    return MailboxRow(*row) if row else None


def mailboxes(connection: Connection) -> list[MailboxRow]:
    """List all mailboxes in order of their names."""
    return [MailboxRow(*row) for row in connection.execute(f"{_MAILBOX} ORDER BY name")]


def selectable_names(connection: Connection) -> set[str]:
    """List the names of the mailboxes that can be selected."""
    return {name for (name,) in connection.execute("SELECT name FROM mailbox WHERE selectable")}


def named(connection: Connection) -> list[tuple[str, int, int, str]]:
    """List name, id, whether it can be selected, and attributes of all mailboxes."""
    return connection.execute("SELECT name, id, selectable, special FROM mailbox").fetchall()


def count_mailboxes(connection: Connection) -> int:
    """Count all names."""
    return int(connection.execute("SELECT COUNT(*) FROM mailbox").fetchone()[0])


def mailboxes_below(connection: Connection, name: str) -> list[MailboxRow]:
    """List the mailboxes below a name, in order of their names."""
    # "0" is what follows the separator, "/".
    return [
        MailboxRow(*row)
        for row in connection.execute(f"{_MAILBOX} WHERE name > ? AND name < ? ORDER BY name", (f"{name}/", f"{name}0"))
    ]


def drop_lonely_names(connection: Connection) -> None:
    """Forget names that were kept for the sake of mailboxes below them, where there are none."""
    connection.execute(
        "DELETE FROM mailbox WHERE NOT selectable AND NOT EXISTS (SELECT 1 FROM mailbox AS below"
        " WHERE below.name > mailbox.name || '/' AND below.name < mailbox.name || '0')"
    )


def add_mailbox(connection: Connection, name: str, uidvalidity: int, ceiling: int, modseq: int, special: str) -> int:
    """Add an empty mailbox; return its id."""
    cursor = connection.execute(
        "INSERT INTO mailbox (name, uidvalidity, uidnext, ceiling, modseq, recent, special)"
        " VALUES (?, ?, 1, ?, ?, 1, ?)",
        (name, uidvalidity, ceiling, modseq, special),
    )
    return cursor.lastrowid or 0


def save_mailbox(connection: Connection, row: MailboxRow) -> None:
    """Write a row back."""
    values = attrs.astuple(row)
    connection.execute(
        "UPDATE mailbox SET name = ?, uidvalidity = ?, uidnext = ?, ceiling = ?, modseq = ?, recent = ?, messages = ?,"
        " unseen = ?, deleted = ?, octets = ?, selectable = ?, special = ? WHERE id = ?",
        (*values[1:], values[0]),
    )


def remove_mailbox(connection: Connection, row: MailboxRow, *, keep_name: bool) -> None:
    """Remove a mailbox with its messages; remember the deliveries that were in it."""
    span = (row.first_id, row.last_id)
    connection.execute("DELETE FROM expunged WHERE mailbox = ? AND token = ''", (row.mailbox_id,))
    connection.execute(
        "INSERT OR REPLACE INTO expunged SELECT id, ?, ?, token FROM file"
        " WHERE id BETWEEN ? AND ? AND token GLOB 'D.*'",
        (row.mailbox_id, row.modseq, *span),
    )
    for table in ("state", "file", "message", "header", "preview"):
        connection.execute(f"DELETE FROM {table} WHERE id BETWEEN ? AND ?", span)  # noqa: S608 - our own names
    connection.execute("DELETE FROM keyword WHERE mailbox = ?", (row.mailbox_id,))
    connection.execute("DELETE FROM forgotten WHERE mailbox = ?", (row.mailbox_id,))
    connection.execute("DELETE FROM acl WHERE mailbox = ?", (row.mailbox_id,))
    connection.execute("DELETE FROM acl_unwritten WHERE mailbox = ?", (row.mailbox_id,))
    connection.execute("DELETE FROM annotation WHERE mailbox = ?", (row.mailbox_id,))
    connection.execute("DELETE FROM annotation_unwritten WHERE mailbox = ?", (row.mailbox_id,))
    connection.execute("DELETE FROM mailbox WHERE id = ?", (row.mailbox_id,))
    if keep_name:
        connection.execute(
            "INSERT INTO mailbox (name, uidvalidity, uidnext, ceiling, modseq, recent, selectable)"
            " VALUES (?, 0, 1, 1, 1, 1, 0)",
            (row.name,),
        )


def subscriptions(connection: Connection) -> set[str]:
    """List the names that are subscribed."""
    return {name for (name,) in connection.execute("SELECT name FROM subscription")}


def subscribe(connection: Connection, name: str, *, subscribed: bool) -> None:
    """Note or forget a subscription."""
    if subscribed:
        connection.execute("INSERT OR IGNORE INTO subscription VALUES (?)", (name,))
    else:
        connection.execute("DELETE FROM subscription WHERE name = ?", (name,))


def totals(connection: Connection) -> tuple[int, int]:
    """Sum octets, those of annotations among them, and messages of the account."""
    row = connection.execute(
        "SELECT COALESCE(SUM(octets), 0) + (SELECT COALESCE(SUM(size), 0) FROM annotation),"
        " COALESCE(SUM(messages), 0) FROM mailbox"
    ).fetchone()
    return int(row[0]), int(row[1])


# messages


def add_messages(connection: Connection, row: MailboxRow, messages: Sequence[NewMessage]) -> None:
    """Add messages with the row's MODSEQ, and count them."""
    first = row.first_id
    connection.executemany(
        "INSERT INTO state VALUES (?, ?, ?, ?, ?)",
        [(first | new.uid, row.mailbox_id, row.modseq, row.modseq, new.flags) for new in messages],
    )
    connection.executemany(
        "INSERT INTO file VALUES (?, ?, ?, ?, ?)",
        [(first | new.uid, new.token, new.folder, new.file, new.bits) for new in messages],
    )
    connection.executemany(
        "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (first | new.uid, new.date, new.size, new.envelope, new.structure, new.body, new.email_id, new.saved)
            for new in messages
        ],
    )
    connection.executemany("INSERT INTO header VALUES (?, ?)", [(first | new.uid, new.header) for new in messages])
    for new in messages:
        row.count(new.flags, new.size, 1)


def copy_message(connection: Connection, source_id: int, target_id: int, saved: int) -> None:
    """Copy what never changes to another id."""
    connection.execute(
        "INSERT INTO message SELECT ?, date, size, envelope, structure, body, email_id, ? FROM message WHERE id = ?",
        (target_id, saved, source_id),
    )
    connection.execute("INSERT INTO header SELECT ?, octets FROM header WHERE id = ?", (target_id, source_id))
    connection.execute("INSERT INTO preview SELECT ?, text FROM preview WHERE id = ?", (target_id, source_id))


def add_copy(connection: Connection, row: MailboxRow, uid: int, flags: int, place: tuple[str, str, str, int]) -> None:
    """Add what changes of a copied message."""
    message_id = row.first_id | uid
    connection.execute(
        "INSERT INTO state VALUES (?, ?, ?, ?, ?)", (message_id, row.mailbox_id, row.modseq, row.modseq, flags)
    )
    connection.execute("INSERT INTO file VALUES (?, ?, ?, ?, ?)", (message_id, *place))


def remove_messages(
    connection: Connection, row: MailboxRow, gone: Sequence[tuple[int, str, int, int]], *, forget: bool
) -> None:
    """
    Remove messages and leave tombstones with the row's MODSEQ.

    Args:
        gone: id, token, flags and size of each.
        forget: the token may come again.
    """
    ids = [(message_id,) for message_id, _, _, _ in gone]
    for table in ("state", "file", "message", "header", "preview"):
        connection.executemany(f"DELETE FROM {table} WHERE id = ?", ids)  # noqa: S608 - our own names
    connection.executemany(
        "INSERT OR REPLACE INTO expunged VALUES (?, ?, ?, ?)",
        [(message_id, row.mailbox_id, row.modseq, "" if forget else token) for message_id, token, _, _ in gone],
    )
    for _, _, flags, size in gone:
        row.count(flags, size, -1)


def previews(connection: Connection, row: MailboxRow, uids: Sequence[int]) -> list[tuple[int, bytes]]:
    """List ids and previews of messages that have one."""
    found: list[tuple[int, bytes]] = select_among(
        connection, "SELECT id, text FROM preview WHERE id {where} ORDER BY id", row, uids
    )
    return found


def save_previews(connection: Connection, made: Iterable[tuple[int, bytes]]) -> None:
    """Keep previews of messages that are still there."""
    connection.executemany(
        "INSERT OR REPLACE INTO preview SELECT id, ?2 FROM message WHERE id = ?1",
        made,
    )


def set_flags(connection: Connection, row: MailboxRow, changed: Iterable[tuple[int, int]]) -> None:
    """Give messages (id, flags) new flags with the row's MODSEQ."""
    connection.executemany(
        "UPDATE state SET flags = ?, modseq = ? WHERE id = ?",
        [(flags, row.modseq, message_id) for message_id, flags in changed],
    )


def select_among(
    connection: Connection, statement: str, row: MailboxRow, uids: Sequence[int], take: Take = list
) -> list[Line]:
    """
    Run a statement for some UIDs of a mailbox, in order of UID.

    Args:
        statement: selects ids first, and says ``{where}`` where they are limited.
        uids: ascending, or in any order; those that do not exist give no row.
        take: as many of the lines as are wanted.
    """
    if not uids:
        return []
    low, high = min(uids), max(uids)
    first = row.first_id
    if low < 1 or high > UID_MASK:
        uids = [uid for uid in uids if 1 <= uid <= UID_MASK]
        return select_among(connection, statement, row, uids, take)
    if high - low < _DENSE * len(uids):
        wanted = set(uids)
        lines = connection.execute(statement.format(where="BETWEEN ? AND ?"), (first | low, first | high))
        if len(wanted) == high - low + 1:
            return take(lines)
        return take(line for line in lines if line[0] & UID_MASK in wanted)
    wanted_ids = json.dumps([first | uid for uid in uids])
    return take(connection.execute(statement.format(where="IN (SELECT value FROM json_each(?))"), (wanted_ids,)))


def states(connection: Connection, row: MailboxRow) -> list[tuple[int, int]]:
    """List UID and flags of all messages."""
    return connection.execute(
        "SELECT id & 4294967295, flags FROM state WHERE id BETWEEN ? AND ? ORDER BY id", (row.first_id, row.last_id)
    ).fetchall()


def states_of(connection: Connection, row: MailboxRow, uids: Sequence[int]) -> list[tuple[int, ...]]:
    """List id, flags and MODSEQ of some messages."""
    return select_among(connection, "SELECT id, flags, modseq FROM state WHERE id {where} ORDER BY id", row, uids)


def changed_since(connection: Connection, mailbox_id: int, modseq: int) -> list[tuple[int, int, int, int]]:
    """List UID, flags, MODSEQ and MODSEQ of arrival of what changed."""
    found = connection.execute(
        "SELECT id & 4294967295, flags, modseq, added FROM state WHERE mailbox = ? AND modseq > ?",
        (mailbox_id, modseq),
    ).fetchall()
    found.sort()
    return found


def expunged_since(connection: Connection, mailbox_id: int, modseq: int) -> list[int]:
    """List UIDs of what went."""
    return sorted(
        uid
        for (uid,) in connection.execute(
            "SELECT id & 4294967295 FROM expunged WHERE mailbox = ? AND modseq > ?", (mailbox_id, modseq)
        )
    )


def forget_expunged(connection: Connection, mailbox_id: int, modseq: int) -> None:
    """Note that tombstones up to a MODSEQ may be missing."""
    connection.execute(
        "INSERT INTO forgotten VALUES (?, ?)"
        " ON CONFLICT (mailbox) DO UPDATE SET modseq = MAX(forgotten.modseq, excluded.modseq)",
        (mailbox_id, modseq),
    )


def forgotten(connection: Connection, mailbox_id: int) -> int:
    """Give the MODSEQ up to which tombstones may be missing; 0 when none is."""
    row = connection.execute("SELECT modseq FROM forgotten WHERE mailbox = ?", (mailbox_id,)).fetchone()
    return int(row[0]) if row else 0


_WHOLE = (
    "SELECT s.id, f.token, s.flags, m.size, f.folder, f.name, f.bits FROM state s JOIN file f ON f.id = s.id"
    " JOIN message m ON m.id = s.id WHERE s.id {where} ORDER BY s.id"
)


def whole_rows(
    connection: Connection, row: MailboxRow, uids: Sequence[int]
) -> list[tuple[int, str, int, int, str, str, int]]:
    """List id, token, flags, size, folder, file name and flags in the name of some messages."""
    found: list[tuple[int, str, int, int, str, str, int]] = select_among(connection, _WHOLE, row, uids)
    return found


def deleted_uids(connection: Connection, row: MailboxRow) -> list[int]:
    r"""List UIDs of messages that carry ``\Deleted``."""
    return [
        uid
        for (uid,) in connection.execute(
            "SELECT id & 4294967295 FROM state WHERE id BETWEEN ? AND ? AND flags & 4 ORDER BY id",
            (row.first_id, row.last_id),
        )
    ]


def deleted_octets(connection: Connection, row: MailboxRow) -> int:
    r"""Add up the sizes of messages that carry ``\Deleted``."""
    (octets,) = connection.execute(
        "SELECT TOTAL(message.size) FROM state JOIN message ON message.id = state.id"
        " WHERE state.id BETWEEN ? AND ? AND state.flags & 4",
        (row.first_id, row.last_id),
    ).fetchone()
    return int(octets)
