"""
Carry over, from an index that is being built anew, what the Maildir does not tell.

That is: flags and keywords that no file name holds, MODSEQs, dates, subscriptions, and the tombstones by which a
message that was delivered and expunged is not delivered again. The old index lies beside the new one until
that one is whole.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable

import attrs

from mailsuite.durable import Database, Disk, is_damage, migrate
from mailsuite.errors import Kind, MailError
from mailsuite.store import statements
from mailsuite.store.index import AccountIndex, UnfinishedIndexError
from mailsuite.store.lock import AccountLock
from mailsuite.store.maildir import Home
from mailsuite.store.scan import notice
from mailsuite.store.statements import MailboxRow
from mailsuite.store.transaction import Place, Transaction

ENDINGS = ("", "-wal", "-shm")


def check_integrity(database: Database) -> bool:
    """Whether SQLite finds its file in order."""
    try:
        return bool(database.connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False


def previous_path(home: Home) -> str:
    """Name the old index while a new one is built."""
    return f"{home.index}.previous"


def lay_aside(
    account_id: int, home: Home, place: Place, told: Callable[[int, int, int], None], lock: AccountLock
) -> bool:
    """
    Bring an index up to date with its folders and lay it beside, so that a new one can be built from both.

    Returns:
        Whether it was intact; a damaged one stays where it is.

    Raises:
        UnfinishedIndexError: there is nothing in it.
        MailError: UNAVAILABLE while another program has the index open.
        OSError, sqlite3.Error: it is as it was.
    """
    try:
        index = AccountIndex(account_id, home, place, told, lock)
        try:
            intact = check_integrity(index.database)
            if intact:
                index.work.finish()
                _bring_up_to_date(index)
                index.close()
        finally:
            index.database.close()
    except UnfinishedIndexError:
        raise
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return False
    if intact:
        if os.path.exists(f"{home.index}-wal"):
            raise MailError(Kind.UNAVAILABLE, "another program has the index open; end it first")
        for ending in ENDINGS[1:]:
            place.disk.remove(previous_path(home) + ending)
        place.disk.rename(home.index, previous_path(home))
    return intact


def put_back(home: Home, disk: Disk) -> None:
    """Let the old index be the account's again, if there is one: no new one could be built."""
    if os.path.exists(previous_path(home)):
        for ending in reversed(ENDINGS):
            disk.remove(home.index + ending)
        for ending in reversed(ENDINGS):
            if os.path.exists(previous_path(home) + ending):
                disk.rename(previous_path(home) + ending, home.index + ending)


def _bring_up_to_date(index: AccountIndex) -> None:
    for row in statements.mailboxes(index.connection):
        if row.selectable and os.path.isdir(f"{index.folder(row)}/cur"):
            notice(index, row.mailbox_id)


def forget_previous(home: Home, place: Place) -> None:
    """Remove the old index, if there is one; the new one is whole and on disk."""
    if os.path.exists(previous_path(home)):
        with contextlib.suppress(OSError):  # tried again when the account is next opened
            for ending in reversed(ENDINGS):
                place.disk.remove(previous_path(home) + ending)


@attrs.frozen
class Previous:
    """An old index, attached to the connection of the new one."""

    connection: sqlite3.Connection
    rows: dict[int, MailboxRow]

    def find(self, name: str, mailbox_id: int, uidvalidity: int) -> MailboxRow | None:
        """Find what the old index says of a folder: by the folder's own file, or by name when that is lost."""
        if mailbox_id:
            row = self.rows.get(mailbox_id)
            return row if row is not None and row.uidvalidity == uidvalidity else None
        return next((row for row in self.rows.values() if row.name == name), None)

    def last_mailbox(self) -> int:
        """Give the highest id that a mailbox ever had."""
        row = self.connection.execute("SELECT seq FROM previous.sqlite_sequence WHERE name = 'mailbox'").fetchone()
        return int(row[0]) if row else 0

    def last_uidvalidity(self) -> int:
        """Give the highest UIDVALIDITY that a mailbox ever had."""
        row = self.connection.execute("SELECT uidvalidity FROM previous.account").fetchone()
        return int(row[0]) if row else 0

    def last_annotation(self) -> int:
        """Give the number of the last change of an annotation."""
        row = self.connection.execute("SELECT seq FROM previous.sqlite_sequence WHERE name = 'annotation'").fetchone()
        return int(row[0]) if row else 0

    def uids(self, row: MailboxRow) -> dict[str, int]:
        """Give the UIDs of a mailbox by the unique parts of file names."""
        found = self.connection.execute(
            "SELECT token, id & 4294967295 FROM previous.file WHERE id BETWEEN ? AND ?", (row.first_id, row.last_id)
        )
        return dict(found.fetchall())

    def carry_account(self) -> None:
        """Take over what belongs to no mailbox, or to one that is gone."""
        self.connection.execute("INSERT INTO keyword_set (id, names) SELECT id, names FROM previous.keyword_set")
        self.connection.execute("INSERT INTO mark (mailbox, at, modseq) SELECT mailbox, at, modseq FROM previous.mark")
        self.connection.execute(
            "INSERT INTO forgotten (mailbox, modseq) SELECT mailbox, modseq FROM previous.forgotten"
        )
        self.connection.execute("INSERT INTO subscription (name) SELECT name FROM previous.subscription")
        self.connection.execute(
            "INSERT INTO expunged (id, mailbox, modseq, token) SELECT id, mailbox, modseq, token FROM previous.expunged"
        )

    def carry_names(self) -> None:
        """Take over names that only stand above others."""
        self.connection.execute(
            "INSERT OR IGNORE INTO mailbox (name, uidvalidity, uidnext, ceiling, modseq, recent, selectable)"
            " SELECT name, uidvalidity, uidnext, ceiling, modseq, recent, 0 FROM previous.mailbox WHERE selectable = 0"
        )

    def carry_mailbox(self, row: MailboxRow, old: MailboxRow) -> None:
        """Take over what was known of a mailbox, before its messages are indexed."""
        row.uidnext = old.uidnext
        row.recent = old.recent
        row.modseq = old.modseq
        row.special = old.special
        self.connection.execute(
            "INSERT OR REPLACE INTO keyword (mailbox, number, name)"
            " SELECT ?, number, name FROM previous.keyword WHERE mailbox = ?",
            (row.mailbox_id, old.mailbox_id),
        )

    def carry_messages(self, transaction: Transaction, mailbox_id: int, old: MailboxRow) -> None:
        """Take over what was known of messages that are there, and remember those that are not."""
        connection = self.connection
        row = transaction.row(mailbox_id)
        span = (row.first_id, row.last_id)
        connection.execute(
            "UPDATE message SET date = o.date, saved = o.saved, email_id = o.email_id"
            " FROM previous.message o, previous.file p, file f WHERE message.id BETWEEN ? AND ?"
            " AND o.id = message.id AND p.id = message.id AND f.id = message.id AND p.token = f.token",
            span,
        )
        # A name that is not the one we knew was changed just now: it tells the newer flags.
        connection.execute(
            "UPDATE state SET flags = o.flags, modseq = o.modseq, added = o.added"
            " FROM previous.state o, previous.file p, file f WHERE state.id BETWEEN ? AND ?"
            " AND o.id = state.id AND p.id = state.id AND f.id = state.id AND p.token = f.token AND p.name = f.name",
            span,
        )
        connection.execute(
            "UPDATE file SET bits = o.bits FROM previous.file o"
            " WHERE file.id BETWEEN ? AND ? AND o.id = file.id AND o.token = file.token AND o.name = file.name",
            span,
        )
        gone = connection.execute(
            "INSERT OR IGNORE INTO expunged (id, mailbox, modseq, token) SELECT id, mailbox, ?, '' FROM previous.state"
            " WHERE id BETWEEN ? AND ? AND id NOT IN (SELECT id FROM state WHERE id BETWEEN ? AND ?)",
            (row.modseq + 1, *span, *span),
        ).rowcount
        highest, unseen, deleted = connection.execute(
            "SELECT COALESCE(MAX(modseq), 0), COALESCE(SUM(flags & 8 = 0), 0), COALESCE(SUM(flags & 4 <> 0), 0)"
            " FROM state WHERE id BETWEEN ? AND ?",
            span,
        ).fetchone()
        row.modseq = row.modseq + 1 if gone else max(old.modseq, highest)
        row.unseen, row.deleted = unseen, deleted


def attach(index: AccountIndex) -> Previous | None:
    """Open the old index beside the new one, if there is one."""
    path = previous_path(index.home)
    if not os.path.exists(path):
        return None
    connection = index.connection
    old = Database(path, index.disk)
    try:
        migrate(old, "mailsuite.store")
    finally:
        old.close()
    connection.execute("ATTACH DATABASE ? AS previous", (path,))
    found = connection.execute(
        "SELECT id, name, uidvalidity, uidnext, ceiling, modseq, recent, messages, unseen, deleted, octets, selectable,"
        " special FROM previous.mailbox WHERE selectable = 1"
    )
    return Previous(connection, {row[0]: MailboxRow(*row) for row in found})


def detach(index: AccountIndex) -> None:
    """Close the old index."""
    index.connection.execute("DETACH DATABASE previous")
