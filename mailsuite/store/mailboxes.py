"""What can be done with the names of mailboxes. All of it runs in the lane of the account."""

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Created, MailboxEntry, MailboxStatus, SpecialUse, ensure_possible_uses
from mailsuite.store import annotations, maildir, rights, statements
from mailsuite.store.index import AccountIndex
from mailsuite.store.maildir import INBOX
from mailsuite.store.messages import transfer_lines
from mailsuite.store.scan import TICK_NS, notice, notice_row
from mailsuite.store.statements import MailboxRow
from mailsuite.store.transaction import Transaction

FOLDERS_BATCH = 100
"""So many folders of another program are taken in together."""
_NO_USE: frozenset[SpecialUse] = frozenset()


def special_uses(text: str) -> frozenset[SpecialUse]:
    """Read the attributes of a row."""
    return frozenset(SpecialUse(name) for name in text.split())


def special_text(uses: Iterable[SpecialUse]) -> str:
    """Write attributes for a row."""
    return " ".join(sorted(use.value for use in uses))


def list_mailboxes(index: AccountIndex) -> list[MailboxEntry]:
    """List all names, also mere parents and subscriptions, in order."""
    look_at_folders(index)
    subscribed = statements.subscriptions(index.connection)
    entries = {
        name: MailboxEntry(
            name=name,
            mailbox_id=mailbox_id if selectable else 0,
            selectable=bool(selectable),
            subscribed=name in subscribed,
            special_use=special_uses(special) if special else _NO_USE,
        )
        for name, mailbox_id, selectable, special in statements.named(index.connection)
    }
    for name in [*entries, *subscribed]:
        for mere in [*maildir.parent_names(name), name]:
            if mere not in entries:
                entries[mere] = MailboxEntry(name=mere, mailbox_id=0, selectable=False, subscribed=mere in subscribed)
    return [entries[name] for name in sorted(entries, key=lambda name: (name != INBOX, name))]


def look_at_folders(index: AccountIndex) -> None:
    """Take in folders that another program made; where that fails, what is known can still be read."""
    try:
        notice_folders(index)
    except (OSError, sqlite3.OperationalError) as error:
        index.place.log.failure("store.folders.failed", error, account=index.account_id)


def notice_folders(index: AccountIndex) -> None:
    """
    Take in folders that another program made, before names are given.

    Raises:
        OSError, sqlite3.Error: that failed, and a folder may have a name that seems to be free.
    """
    if index.read_only:
        return
    doomed = index.work.retry()  # a folder that is still to be removed is no new one
    stamp = index.disk.stat(index.home.path).st_mtime_ns
    if stamp == index.home_stamp:
        return
    known = statements.selectable_names(index.connection)
    new = []
    for entry in sorted(index.disk.listdir(index.home.path)):
        name = index.home.mailbox_name(entry)
        if name is None or name in known:
            continue
        path = f"{index.home.path}/{entry}"
        if path not in doomed and not os.path.islink(path) and os.path.isdir(f"{path}/cur"):
            new.append(name)
    for start in range(0, len(new), FOLDERS_BATCH):
        with index.writing() as transaction:
            for name in new[start : start + FOLDERS_BATCH]:
                _drop_mere_name(transaction, name)
                annotations.restore(transaction, index, index.make_mailbox(transaction, name))
    after = index.disk.stat(index.home.path).st_mtime_ns
    index.home_stamp = after if after == stamp and not doomed and abs(time.time_ns() - stamp) > TICK_NS else 0


def statuses(index: AccountIndex, names: Sequence[str]) -> list[MailboxStatus | None]:
    """Count several; None for those that cannot be counted."""
    changes = index.connection.total_changes
    rows = statements.mailboxes_by_name(index.connection, names)
    found: list[MailboxStatus | None] = []
    for name in names:
        if index.connection.total_changes != changes:
            rows.clear()
        try:
            row = rows.get(name)
            found.append(_count(index, row if row is not None and row.selectable else index.find_row(name)))
        except MailError:
            found.append(None)
    return found


def status(index: AccountIndex, name: str) -> MailboxStatus:
    """Count without opening."""
    return _count(index, index.find_row(name))


def _count(index: AccountIndex, row: MailboxRow) -> MailboxStatus:
    changes = index.connection.total_changes
    notice_row(index, row)
    if index.connection.total_changes != changes:
        row = index.get_row(row.mailbox_id)
    recent = 0
    if row.recent < row.uidnext:
        (recent,) = index.connection.execute(
            "SELECT COUNT(*) FROM state WHERE id BETWEEN ? AND ?", (row.first_id | row.recent, row.last_id)
        ).fetchone()
    return MailboxStatus(
        messages=row.messages,
        recent=recent,
        unseen=row.unseen,
        deleted=row.deleted,
        uidnext=row.uidnext,
        uidvalidity=row.uidvalidity,
        highest_modseq=row.modseq,
        size_octets=row.octets,
        deleted_octets=statements.deleted_octets(index.connection, row) if row.deleted else 0,
        mailbox_id=row.mailbox_id,
    )


def create(index: AccountIndex, name: str, uses: frozenset[SpecialUse]) -> Created:
    """Make a mailbox, and the levels above it."""
    ensure_possible_uses(uses)
    name = maildir.check_name(name)
    notice_folders(index)
    existing = statements.mailbox_by_name(index.connection, name)
    if existing is not None and existing.selectable:
        raise MailError(Kind.EXISTS, "there is a mailbox of that name")
    names = [*_absent_parents(index, name), name]
    _check_room(index, len(names))
    with index.writing(durable=True) as transaction:
        made = _make(index, transaction, names, uses)
        changes = (annotations.note_special_use(transaction, index, made.mailbox_id),) if uses else ()
        index.sync_tree()
    rights.write_all(index)
    return Created(mailbox_id=made.mailbox_id, uidvalidity=made.uidvalidity, changes=changes)


def _absent_parents(index: AccountIndex, name: str) -> list[str]:
    """List the levels above a name that are not there."""
    return [
        parent for parent in maildir.parent_names(name) if statements.mailbox_by_name(index.connection, parent) is None
    ]


def _check_room(index: AccountIndex, count: int) -> None:
    """Check that so many mailboxes more may be made."""
    if statements.count_mailboxes(index.connection) + count > index.settings.mailboxes_max:
        raise MailError(Kind.OVER_QUOTA, "there are too many mailboxes")


def _make(
    index: AccountIndex, transaction: Transaction, names: Sequence[str], uses: frozenset[SpecialUse] = frozenset()
) -> MailboxRow:
    """Make mailboxes, each with the rights of the one above (RFC 4314 section 4); give the last, which has the uses."""
    made = []
    for name in names:
        _drop_mere_name(transaction, name)
        made.append(index.make_mailbox(transaction, name, special_text(uses) if name == names[-1] else ""))
    rights.inherit(transaction, index, made)
    return made[-1]


def _drop_mere_name(transaction: Transaction, name: str) -> None:
    transaction.connection.execute("DELETE FROM mailbox WHERE name = ? AND selectable = 0", (name,))


def delete(index: AccountIndex, name: str) -> None:
    """Remove a mailbox and its messages."""
    name = maildir.find_name(name)
    if name == INBOX:
        raise MailError(Kind.DENIED, "INBOX cannot be deleted")
    row = statements.mailbox_by_name(index.connection, name)
    below = bool(statements.mailboxes_below(index.connection, name))
    if row is None or not row.selectable:
        if below:
            raise MailError(Kind.CONFLICT, "the name has mailboxes below it")
        if row is None:
            raise MailError(Kind.NOT_FOUND, "there is no such mailbox")
    with index.writing(durable=True) as transaction:
        drop(transaction, index, row, keep_name=below and bool(row.selectable))
        statements.drop_lonely_names(transaction.connection)
    index.lock.set_look(row.mailbox_id, None)


def drop(transaction: Transaction, index: AccountIndex, row: MailboxRow, *, keep_name: bool = False) -> None:
    """Remove a mailbox and its messages, and its folder once that is committed."""
    row.modseq += 1
    transaction.rows.pop(row.mailbox_id, None)  # there is nothing left to save
    statements.remove_mailbox(transaction.connection, row, keep_name=keep_name)
    if row.selectable:
        transaction.promise(index.folder(row), index.home.discarded(row.mailbox_id))
    transaction.tree_changed = True


def rename(index: AccountIndex, old: str, new: str) -> None:
    """Rename a mailbox and those below it; of INBOX, move the messages."""
    old = maildir.find_name(old)
    new = maildir.check_name(new)
    notice_folders(index)
    taken = statements.selectable_names(index.connection)
    row = statements.mailbox_by_name(index.connection, old)
    moving = [*([] if row is None else [row]), *statements.mailboxes_below(index.connection, old)]
    if not moving:
        raise MailError(Kind.NOT_FOUND, "there is no such mailbox")
    if new in taken or new == old:
        raise MailError(Kind.EXISTS, "there is a mailbox of that name")
    if new.startswith(f"{old}/") and old != INBOX:
        raise MailError(Kind.INVALID, "a mailbox cannot be moved below itself")
    if old == INBOX:
        _rename_inbox(index, new)
        return
    index.work.finish()  # what is still to be removed would have other paths
    names = {row.name: maildir.check_name(new + row.name[len(old) :]) for row in moving}
    if any(name in taken for name in names.values()):
        raise MailError(Kind.EXISTS, "there is a mailbox of that name")
    absent = _absent_parents(index, new)
    _check_room(index, len(absent))
    with index.writing(durable=True) as transaction:
        if absent:
            _make(index, transaction, absent)
        for row in moving:
            _drop_mere_name(transaction, names[row.name])
            if row.selectable:
                transaction.promise(index.home.folder(row.name), index.home.folder(names[row.name]))
            transaction.connection.execute(
                "UPDATE mailbox SET name = ? WHERE id = ?", (names[row.name], row.mailbox_id)
            )
        statements.drop_lonely_names(transaction.connection)
        index.sync_tree()
        transaction.tree_changed = True
    rights.write_all(index)


def _rename_inbox(index: AccountIndex, new: str) -> None:
    """Make a mailbox, with the rights of the one above as by CREATE (RFC 4314 section 4), and move the messages."""
    notice(index, index.find_row(INBOX).mailbox_id)
    names = [*_absent_parents(index, new), new]
    _check_room(index, len(names))
    with index.writing(durable=True) as transaction:
        made = _make(index, transaction, names)
        inbox = transaction.changing(index.find_row(INBOX).mailbox_id)
        uids = [uid for uid, _ in statements.states(transaction.connection, inbox)]
        lines = statements.whole_rows(transaction.connection, inbox, uids)
        transfer_lines(index, transaction, inbox, made, lines, move=True)
        index.sync_tree()
    rights.write_all(index)


def subscribe(index: AccountIndex, name: str, *, subscribed: bool) -> None:
    """Note or forget a subscription."""
    name = maildir.check_name(name)
    with index.writing(durable=True) as transaction:
        statements.subscribe(transaction.connection, name, subscribed=subscribed)
        transaction.tree_changed = True


def quota(index: AccountIndex, limit_octets: int) -> dict[str, tuple[int, int]]:
    """Tell use and limit."""
    octets, messages = statements.totals(index.connection)
    return {"STORAGE": (octets, limit_octets), "MESSAGES": (messages, index.settings.messages_max)}
