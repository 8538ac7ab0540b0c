"""
Annotations of the mailboxes of an account, and of the account itself. All of it runs in the lane of the account.

The index decides. Each change is committed first and then written into the mailbox's own folder, so that annotations
survive the loss of an index, and go where the folder goes; which folders are still to be written stands in the index.
"""

import base64
import binascii
import contextlib
import os
import re
import sqlite3
from collections.abc import Mapping, Sequence

from mailsuite.durable import Synchronous
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    SPECIAL_USE_ENTRY,
    AnnotationChange,
    AnnotationChanges,
    AnnotationLimits,
    Depth,
    SpecialUse,
    TooManyAnnotationsError,
    is_asked,
    is_private,
    parse_special_use,
    special_use_value,
)
from mailsuite.store import annotation_statements, maildir, statements
from mailsuite.store.index import AccountIndex
from mailsuite.store.maildir import INBOX
from mailsuite.store.statements import MailboxRow
from mailsuite.store.transaction import Transaction

ACCOUNT = 0
"""In place of the id of a mailbox: the account itself."""
EVERYBODY = 0
"""In place of the id of a reader: a shared entry."""
REMOVED_KEPT = 1000
"""So many removals are kept for sessions to hear of."""

_LINE_WORDS = 3
_READER = re.compile(r"[0-9]{1,18}")
_ENTRY = re.compile(r"/[ -~]+")


def _find(index: AccountIndex, name: str) -> MailboxRow | None:
    """Find a mailbox; None is the account itself. Raises MailError NOT_FOUND."""
    return index.find_row(name) if name else None


def _id_of(row: MailboxRow | None) -> int:
    return ACCOUNT if row is None else row.mailbox_id


def _special_uses(row: MailboxRow) -> frozenset[SpecialUse]:
    return frozenset(SpecialUse(name) for name in row.special.split())


# looking


def read(index: AccountIndex, name: str, reader: int, entries: Sequence[str], depth: Depth) -> dict[str, bytes]:
    """
    Give the entries that are asked for and have a value.

    Args:
        reader: the account whose private entries these are; the special use is the owner's.

    Raises:
        MailError: NOT_FOUND.
    """
    row = _find(index, name)
    rows = index.connection.execute(
        "SELECT change, entry FROM annotation WHERE mailbox = ? AND reader IN (?, ?) AND value IS NOT NULL",
        (_id_of(row), EVERYBODY, reader),
    ).fetchall()
    found: dict[str, bytes] = {}
    for change_number, entry in rows:
        if is_asked(entry, entries, depth):
            (found[entry],) = index.connection.execute(
                "SELECT value FROM annotation WHERE change = ?", (change_number,)
            ).fetchone()
    if row is not None and reader == index.account_id and is_asked(SPECIAL_USE_ENTRY, entries, depth):
        value = special_use_value(_special_uses(row))
        if value is not None:
            found[SPECIAL_USE_ENTRY] = value
    return found


def changed(index: AccountIndex, reader: int, since: int | None) -> AnnotationChanges:
    """Say which annotations were changed that a reader sees; None asks only for the number."""
    last = annotation_statements.last_annotation(index.connection)
    if since is None or last <= since:
        return AnnotationChanges(number=last)
    rows = index.connection.execute(
        "SELECT annotation.change, COALESCE(mailbox.name, ''), annotation.entry FROM annotation"
        " LEFT JOIN mailbox ON mailbox.id = annotation.mailbox"
        " WHERE annotation.change > ? AND annotation.reader IN (?, ?)"
        " AND (annotation.mailbox = ? OR mailbox.id IS NOT NULL) ORDER BY annotation.change",
        (since, EVERYBODY, reader, ACCOUNT),
    )
    return AnnotationChanges(
        number=last,
        changes=[AnnotationChange(number=number, mailbox=name, entry=entry) for number, name, entry in rows],
    )


# changing


def change(
    index: AccountIndex,
    name: str,
    reader: int,
    values: Mapping[str, bytes | None],
    limits: AnnotationLimits,
    limit_octets: int,
) -> list[int]:
    """
    Set and remove entries, all or none, durably; give the numbers of the changes.

    What is so already is no change. What changes of a mailbox takes its next MODSEQ (RFC 7162 section 3.2).

    Args:
        reader: the account whose private entries these are.
        limit_octets: the quota of the account; 0 is none.

    Raises:
        MailError: NOT_FOUND; INVALID; OVER_QUOTA; DENIED.
    """
    row = _find(index, name)
    mailbox_id = _id_of(row)
    known = {
        (owner, entry.lower()): (entry, size)
        for owner, entry, size in index.connection.execute(
            "SELECT reader, entry, size FROM annotation WHERE mailbox = ? AND reader IN (?, ?) AND value IS NOT NULL",
            (mailbox_id, EVERYBODY, reader),
        )
    }
    uses: frozenset[SpecialUse] | None = None
    new: dict[tuple[int, str], tuple[str, bytes | None]] = {}
    for entry, value in values.items():
        if entry.lower() == SPECIAL_USE_ENTRY:
            uses = _check_special_use(index, row, reader, value)
            continue
        owner = reader if is_private(entry) else EVERYBODY
        if value is None:
            changes = (owner, entry.lower()) in known
        else:
            seems_same = known.get((owner, entry.lower())) == (entry, len(value))
            changes = not seems_same or not annotation_statements.has_annotation(
                index.connection, mailbox_id, owner, entry, value
            )
        if changes:
            new[owner, entry.lower()] = entry, value
    _check_room(index, known, new, limits, limit_octets)
    if row is not None and uses == _special_uses(row):
        uses = None
    if not new and uses is None:
        return []
    with index.writing(durable=True) as transaction:
        connection = transaction.connection
        if row is not None:
            transaction.changing(mailbox_id)
        numbers = [
            annotation_statements.set_annotation(connection, mailbox_id, owner, entry, value)
            for (owner, _), (entry, value) in new.items()
        ]
        if uses is not None:
            transaction.row(mailbox_id).special = (special_use_value(uses) or b"").decode("ascii")
            numbers.append(note_special_use(transaction, index, mailbox_id))
        annotation_statements.forget_removed_annotations(connection, REMOVED_KEPT)
        _mark_unwritten(transaction, mailbox_id)
        transaction.tree_changed = True
    write_all(index)
    return numbers


def note_special_use(transaction: Transaction, index: AccountIndex, mailbox_id: int) -> int:
    """Note for other sessions that a mailbox is for something else now (RFC 5464 section 4.4); give the number."""
    return annotation_statements.set_annotation(
        transaction.connection, mailbox_id, index.account_id, SPECIAL_USE_ENTRY, None
    )


def _check_special_use(
    index: AccountIndex, row: MailboxRow | None, reader: int, value: bytes | None
) -> frozenset[SpecialUse]:
    if reader != index.account_id:
        raise MailError(Kind.DENIED, "the purposes of mailboxes are their owner's choice")
    if row is None or row.name == INBOX:
        raise MailError(Kind.INVALID, "that cannot have a special use")
    return parse_special_use(value, _special_uses(row))


def _check_room(
    index: AccountIndex,
    known: Mapping[tuple[int, str], tuple[str, int]],
    new: Mapping[tuple[int, str], tuple[str, bytes | None]],
    limits: AnnotationLimits,
    limit_octets: int,
) -> None:
    added = sum((value is not None) - (key in known) for key, (_, value) in new.items())
    if added > 0:
        in_all = annotation_statements.count_annotations(index.connection)
        if len(known) + added > limits.per_mailbox or in_all + added > limits.per_account:
            raise TooManyAnnotationsError
    growth = sum(len(value or b"") - known.get(key, ("", 0))[1] for key, (_, value) in new.items())
    if growth > 0:
        index.check_quota(limit_octets, growth, 0)


def _mark_unwritten(transaction: Transaction, mailbox_id: int) -> None:
    transaction.connection.execute("INSERT OR IGNORE INTO annotation_unwritten (mailbox) VALUES (?)", (mailbox_id,))


# what each folder keeps


def _path(index: AccountIndex, row: MailboxRow | None) -> str:
    if row is None:
        return f"{index.home.path}/{maildir.ACCOUNT_ANNOTATIONS}"
    return f"{index.folder(row)}/{maildir.ANNOTATIONS}"


def write_all(index: AccountIndex) -> None:
    """Write what is still to be written."""
    for (mailbox_id,) in index.connection.execute("SELECT mailbox FROM annotation_unwritten").fetchall():
        row = statements.mailbox_by_id(index.connection, mailbox_id)
        try:
            if mailbox_id == ACCOUNT or (row is not None and row.selectable):
                _write(index, row)
            _note_written(index, mailbox_id)
        except (OSError, sqlite3.Error) as error:  # tried again with the next change, or when it is next opened
            index.place.log.failure("store.annotations.deferred", error, account=index.account_id)


def _note_written(index: AccountIndex, mailbox_id: int) -> None:
    index.database.set_synchronous(Synchronous.NORMAL)
    with index.database.writing() as connection:
        connection.execute("DELETE FROM annotation_unwritten WHERE mailbox = ?", (mailbox_id,))


def _write(index: AccountIndex, row: MailboxRow | None) -> None:
    """Write the annotations of a mailbox, and its special use, durably."""
    path = _path(index, row)
    lines = [
        _line(EVERYBODY if reader == index.account_id else reader, entry, value)
        for reader, entry, value in index.connection.execute(
            "SELECT reader, entry, value FROM annotation WHERE mailbox = ? AND value IS NOT NULL ORDER BY change",
            (_id_of(row),),
        )
    ]
    if lines:
        index.disk.replace_file(path, b"".join(lines))
    elif os.path.exists(path):
        index.disk.remove(path)
        index.disk.sync_folder(os.path.dirname(path))
    if row is not None:
        state = f"{index.folder(row)}/{maildir.STATE}"
        special = f"special {row.special}".rstrip().encode("ascii")
        if not os.path.exists(state) or special not in index.disk.read_file(state).splitlines():
            index.disk.replace_file(state, index.state_text(row))


def _line(reader: int, entry: str, value: bytes) -> bytes:
    """Write an annotation; of the private ones only those of others name their reader, since an id may change."""
    return b"%d %b %b\n" % (reader, base64.b64encode(value), entry.encode("ascii", "replace"))


def restore(transaction: Transaction, index: AccountIndex, row: MailboxRow | None) -> None:
    """Take annotations from where they are written, into an index that has none of them."""
    path = _path(index, row)
    if not os.path.exists(path):
        return
    for line in index.disk.read_file(path).decode("ascii", "replace").split("\n"):
        words = line.split(" ", _LINE_WORDS - 1)
        if len(words) != _LINE_WORDS or not _READER.fullmatch(words[0]) or not _ENTRY.fullmatch(words[2]):
            continue  # what cannot be read is lost
        reader, entry = int(words[0]), words[2]
        if is_private(entry) and reader == EVERYBODY:
            reader = index.account_id
        with contextlib.suppress(ValueError):
            value = binascii.a2b_base64(words[1], strict_mode=bool(words[1]))
            annotation_statements.set_annotation(transaction.connection, _id_of(row), reader, entry, value)


def carry(transaction: Transaction, index: AccountIndex, row: MailboxRow | None, old_id: int) -> None:
    """Take annotations from the index that is replaced, which knows better than the folder."""
    mailbox_id = _id_of(row)
    cursor = transaction.connection.execute(
        "INSERT INTO annotation (change, mailbox, reader, entry, value, size)"
        " SELECT change, ?, reader, entry, value, size FROM previous.annotation WHERE mailbox = ?",
        (mailbox_id, old_id),
    )
    if cursor.rowcount or os.path.exists(_path(index, row)):
        _mark_unwritten(transaction, mailbox_id)
