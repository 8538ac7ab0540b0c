"""
What others may do with the mailboxes of an account. All of it runs in the lane of the account.

The index decides. Each change is committed first and then written into the mailbox's own folder, so that rights survive
the loss of an index, and go where the folder goes; which folders are still to be written stands in the index as well.

Who has rights on anything of whom is a hint beside the accounts: an empty file for each pair. It is made before a
right is granted and removed after the last one is taken away, so what is missing there has no rights.
"""

import contextlib
import functools
import os
import sqlite3
from collections.abc import Mapping, Sequence

from mailsuite.durable import Disk, Synchronous
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    ALL_RIGHTS,
    ANYONE,
    NO_RIGHTS,
    RIGHTS_ENTRIES_MAX,
    Right,
    Rights,
    RightsMode,
    combine_rights,
    parse_rights,
    rights_text,
)
from mailsuite.store import maildir, statements
from mailsuite.store.index import AccountIndex
from mailsuite.store.statements import MailboxRow
from mailsuite.store.transaction import Transaction

SHARES = "..shares"
LINE_WORDS = 3

read_rights = functools.lru_cache(maxsize=1024)(parse_rights)


def not_allowed() -> MailError:
    """Say that the right to do something is missing, to somebody who may know of the mailbox."""
    return MailError(Kind.DENIED, "you have not the right to do that with this mailbox")


def not_there() -> MailError:
    """Say that there is no such mailbox, or that nobody who may not know of it is told that there is one."""
    return MailError(Kind.NOT_FOUND, "there is no such mailbox")


# looking


def rights_for(index: AccountIndex, mailbox_id: int, guest_id: int) -> Rights:
    """Say what an account may do with a mailbox; the owner, everything."""
    if guest_id == index.account_id:
        return ALL_RIGHTS
    rows = index.connection.execute(
        "SELECT rights FROM acl WHERE mailbox = ? AND account IN (?, ?)", (mailbox_id, guest_id, ANYONE)
    )
    return NO_RIGHTS.union(*(read_rights(text) for (text,) in rows))


def all_rights_for(index: AccountIndex, guest_id: int) -> Mapping[int, Rights]:
    """Say what an account may do, by the id of a mailbox; nothing with those that are missing."""
    found: dict[int, Rights] = {}
    rows = index.connection.execute("SELECT mailbox, rights FROM acl WHERE account IN (?, ?)", (guest_id, ANYONE))
    for mailbox_id, text in rows:
        found[mailbox_id] = found.get(mailbox_id, NO_RIGHTS) | read_rights(text)
    return found


def entries(index: AccountIndex, mailbox_id: int) -> dict[int, Rights]:
    """Give who has rights on a mailbox, besides the owner."""
    rows = index.connection.execute("SELECT account, rights FROM acl WHERE mailbox = ? ORDER BY account", (mailbox_id,))
    return {account: read_rights(text) for account, text in rows}


def find(index: AccountIndex, name: str, guest_id: int, right: Right) -> tuple[MailboxRow, Rights]:
    """
    Find a mailbox for somebody who needs a right; give it and all rights.

    Raises:
        MailError: NOT_FOUND, also when the guest may not know that it is there (RFC 4314 section 6); DENIED.
    """
    row = index.find_row(name)
    rights = rights_for(index, row.mailbox_id, guest_id)
    if right not in rights:
        raise not_allowed() if Right.LOOKUP in rights else not_there()
    return row, rights


def nearest(index: AccountIndex, name: str) -> MailboxRow | None:
    """Find the nearest mailbox above a name (RFC 4314 section 4, CREATE)."""
    for parent in reversed(maildir.parent_names(name)):
        row = statements.mailbox_by_name(index.connection, parent)
        if row is not None and row.selectable:
            return row
    return None


# changing


def change(
    index: AccountIndex, row: MailboxRow, account_id: int, mode: RightsMode, rights: Rights
) -> tuple[Rights, bool]:
    """
    Change what an account may do with a mailbox, durably; give its rights, and whether they were others before.

    The mailbox gets a new MODSEQ, so that every session that has it open looks, and learns what it may do now.

    Raises:
        MailError: INVALID for the owner; OVER_QUOTA for too many entries.
    """
    if account_id == index.account_id:
        raise MailError(Kind.INVALID, "the owner of a mailbox has all rights, always")
    known = entries(index, row.mailbox_id)
    old = known.get(account_id, NO_RIGHTS)
    new = combine_rights(old, mode, rights)
    if new == old:
        return new, False
    if new and account_id not in known and len(known) >= RIGHTS_ENTRIES_MAX:
        raise MailError(Kind.OVER_QUOTA, "too many have rights on the mailbox")
    if new:
        note_share(index, account_id)
    with index.writing(durable=True) as transaction:
        transaction.changing(row.mailbox_id)
        _save(transaction, row.mailbox_id, {**known, account_id: new})
    write(index, row)
    if not new:
        _forget_share(index, account_id)
    return new, True


def _save(transaction: Transaction, mailbox_id: int, known: Mapping[int, Rights]) -> None:
    connection = transaction.connection
    connection.execute("DELETE FROM acl WHERE mailbox = ?", (mailbox_id,))
    connection.executemany(
        "INSERT INTO acl (mailbox, account, rights) VALUES (?, ?, ?)",
        [(mailbox_id, account, rights_text(rights)) for account, rights in known.items() if rights],
    )
    connection.execute("INSERT OR IGNORE INTO acl_unwritten (mailbox) VALUES (?)", (mailbox_id,))


def inherit(transaction: Transaction, index: AccountIndex, made: Sequence[MailboxRow]) -> None:
    """Give mailboxes that were just made, the highest first, the rights of those above (RFC 4314 section 4)."""
    for row in made:
        parent = nearest(index, row.name)
        known = entries(index, parent.mailbox_id) if parent is not None else {}
        if known:
            _save(transaction, row.mailbox_id, known)


# what each folder keeps


def write(index: AccountIndex, row: MailboxRow) -> None:
    """Write the rights on a mailbox into its folder, durably."""
    known = entries(index, row.mailbox_id).items()
    lines = [_owner_line(row), *(f"right {account} {rights_text(rights)}\n" for account, rights in known)]
    index.disk.replace_file(f"{index.folder(row)}/{maildir.RIGHTS}", "".join(lines).encode("ascii"))
    with contextlib.suppress(OSError, sqlite3.Error):  # else it is written once more
        index.database.set_synchronous(Synchronous.NORMAL)
        index.connection.execute("DELETE FROM acl_unwritten WHERE mailbox = ?", (row.mailbox_id,))


def _owner_line(row: MailboxRow) -> str:
    """Name the mailbox whose rights these are: a copy of its folder is another one."""
    return f"mailbox {row.mailbox_id} {row.uidvalidity}\n"


def write_all(index: AccountIndex) -> None:
    """Write what is still to be written."""
    waiting = index.connection.execute("SELECT mailbox FROM acl_unwritten").fetchall()
    for (mailbox_id,) in waiting:
        row = statements.mailbox_by_id(index.connection, mailbox_id)
        if row is not None and row.selectable:
            try:
                write(index, row)
            except OSError as error:  # the index decides; tried again when the account is next opened
                index.place.log.failure("store.rights.deferred", error, account=index.account_id)


def restore(transaction: Transaction, index: AccountIndex, row: MailboxRow) -> None:
    """Take the rights on a mailbox from its folder, for an index that is built anew."""
    path = f"{index.folder(row)}/{maildir.RIGHTS}"
    if not os.path.exists(path):
        return
    known: dict[int, Rights] = {}
    first, *lines = index.disk.read_file(path).decode("ascii", "replace").splitlines(keepends=True) or [""]
    for line in lines if first == _owner_line(row) else ():
        words = line.split()
        if len(words) == LINE_WORDS and words[0] == "right" and words[1].isascii() and words[1].isdigit():
            with contextlib.suppress(ValueError):  # what cannot be read grants nothing
                known[int(words[1])] = parse_rights(words[2])
    _save(transaction, row.mailbox_id, known)


def carry(transaction: Transaction, mailbox_id: int, old_id: int) -> None:
    """Take the rights on a mailbox from the index that is replaced, which knows better than the folder."""
    transaction.connection.execute(
        "INSERT INTO acl (mailbox, account, rights) SELECT ?, account, rights FROM previous.acl WHERE mailbox = ?",
        (mailbox_id, old_id),
    )
    transaction.connection.execute("INSERT OR IGNORE INTO acl_unwritten (mailbox) VALUES (?)", (mailbox_id,))


# who has something from whom


def note_share(index: AccountIndex, account_id: int) -> None:
    """Note durably that an account may have rights on something of this one."""
    folder = f"{index.settings.maildir_root}/{SHARES}/{account_id}"
    path = f"{folder}/{index.account_id}"
    if not os.path.exists(path):
        index.disk.make_folders(folder)
        index.disk.write_file(path, [], sync=False)
        index.disk.sync_folder(folder)


def note_shares(index: AccountIndex) -> None:
    """Note all that have rights on something of this account."""
    for (account_id,) in index.connection.execute("SELECT DISTINCT account FROM acl").fetchall():
        note_share(index, account_id)


def _forget_share(index: AccountIndex, account_id: int) -> None:
    left = index.connection.execute("SELECT 1 FROM acl WHERE account = ? LIMIT 1", (account_id,)).fetchone()
    if left is None:
        with contextlib.suppress(OSError):  # it is a hint, and may be too long
            index.disk.remove(f"{index.settings.maildir_root}/{SHARES}/{account_id}/{index.account_id}")


def sharers(disk: Disk, root: str, guest_id: int) -> list[int]:
    """List the accounts that may have granted something to an account, or to anyone."""
    found: set[int] = set()
    for account_id in (guest_id, ANYONE):
        with contextlib.suppress(FileNotFoundError):
            found.update(int(name) for name in disk.listdir(f"{root}/{SHARES}/{account_id}") if name.isdigit())
    return sorted(found - {guest_id})
