"""What all accounts of a store share, and one change of an account's index; `AccountIndex.writing` carries it out."""

import os
import sqlite3
from collections.abc import Callable, Collection

import attrs

from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.observe import EventLog
from mailsuite.store import file_statements, statements
from mailsuite.store.settings import StorageSettings
from mailsuite.store.statements import MailboxRow
from mailsuite.store.work import Removal


@attrs.frozen(kw_only=True)
class Place:
    """
    What every account of a store shares.

    Args:
        clock: seconds since the epoch.
        boot: this run of the kernel.
        clean_boots: gives earlier runs at whose end everything was synced.
        enter: called before an account is opened to be written; raises OSError where nothing can be.
    """

    settings: StorageSettings
    disk: Disk
    clock: Callable[[], float]
    boot: str
    clean_boots: Callable[[], Collection[str]]
    enter: Callable[[], None]
    log: EventLog

    def make_tree(self, path: str) -> None:
        """Make a folder and those above it; `AccountIndex.sync_tree` makes them durable when a promise needs them."""
        parent = os.path.dirname(path)
        if not os.path.isdir(parent):
            self.make_tree(parent)
        self.disk.mkdir(path)


@attrs.define
class Transaction:
    """One change of the index, and what follows its commit."""

    connection: sqlite3.Connection
    durable: bool
    rows: dict[int, MailboxRow] = attrs.field(factory=dict)
    staged: list[tuple[MailboxRow, str, str]] = attrs.field(factory=list)
    work: list[tuple[int, str, str]] = attrs.field(factory=list)
    removals: list[Removal] = attrs.field(factory=list)
    made: list[str] = attrs.field(factory=list)
    tree_changed: bool = False

    def row(self, mailbox_id: int) -> MailboxRow:
        """
        Load a mailbox, to be changed; it is saved at the end.

        Raises:
            MailError: NOT_FOUND.
        """
        row = self.rows.get(mailbox_id)
        if row is None:
            row = statements.mailbox_by_id(self.connection, mailbox_id)
            if row is None or not row.selectable:
                raise MailError(Kind.NOT_FOUND, "the mailbox is gone")
            self.rows[mailbox_id] = row
        return row

    def changing(self, mailbox_id: int) -> MailboxRow:
        """Load a mailbox and give it the next MODSEQ, once."""
        known = mailbox_id in self.rows
        row = self.row(mailbox_id)
        if not known:
            row.modseq += 1
        return row

    def promise(self, source: str, target: str = "") -> None:
        """Rename a folder or file after the commit, or remove a file when there is no target."""
        self.work.append((file_statements.add_pending(self.connection, source, target), source, target))

    def promise_removal(self, path: str, mailbox_id: int) -> None:
        """Remove the file of a message after the commit, when the lane has time."""
        self.removals.append(Removal(file_statements.add_pending(self.connection, path, ""), path, mailbox_id))
