"""What the index and the files tell of the messages of a mailbox. All of it runs in the lane of the account."""

import contextlib
import functools
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence

from mailsuite.durable import Synchronous
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    Changes,
    Column,
    History,
    PartOffsets,
    Snapshot,
)
from mailsuite.message.mime import parse_parts
from mailsuite.message.preview import PREVIEW_READ_MAX_OCTETS, make_preview
from mailsuite.store import file_statements, statements
from mailsuite.store.content import (
    mapped,
    open_message,
)
from mailsuite.store.index import AccountIndex
from mailsuite.store.scan import notice
from mailsuite.store.statements import UID_MASK, Line, MailboxRow, Take

_COLUMNS = {
    Column.UID: "",
    Column.FLAGS: "s.flags",
    Column.MODSEQ: "s.modseq",
    Column.INTERNAL_DATE: "m.date",
    Column.SIZE: "m.size",
    Column.ENVELOPE: "m.envelope",
    Column.BODY: "m.body",
    Column.BODYSTRUCTURE: "m.structure",
    Column.HEADER: "h.octets",
    Column.EMAIL_ID: "m.email_id",
    Column.THREAD_ID: "thread_id(h.octets, m.email_id)",
    Column.SAVED: "m.saved",
}
_ALIAS = re.compile(r"\b([shm])\.")
_TABLES = {"s": "state s", "m": "message m", "h": "header h"}


def snapshot(index: AccountIndex, mailbox_id: int, *, read_only: bool) -> Snapshot:
    """Look at everything once."""
    notice(index, mailbox_id)
    row = index.get_row(mailbox_id)
    states = statements.states(index.connection, row)
    sets = index.flags.sets
    uids = [uid for uid, _ in states]
    recent = frozenset(uid for uid in reversed_from(uids, row.recent))
    _take_recent(index, row, read_only=read_only)
    return Snapshot(
        uidvalidity=row.uidvalidity,
        uidnext=row.uidnext,
        highest_modseq=row.modseq,
        uids=uids,
        flags=[sets[flags] for _, flags in states],
        keywords=_keywords(index, mailbox_id),
        recent=recent,
    )


def reversed_from(uids: Sequence[int], first: int) -> list[int]:
    """List the ascending UIDs from `first` on, without looking at the others."""
    found = []
    for uid in reversed(uids):
        if uid < first:
            break
        found.append(uid)
    return found


def changes(index: AccountIndex, mailbox_id: int, since: int, *, read_only: bool) -> Changes:
    """Say what happened after a MODSEQ."""
    notice(index, mailbox_id)
    row = index.get_row(mailbox_id)
    if row.modseq <= since:
        return Changes(modseq=row.modseq, expunged=(), flags=(), added=(), recent=frozenset())
    changed = statements.changed_since(index.connection, mailbox_id, since)
    sets = index.flags.sets
    added = [uid for uid, _, _, came in changed if came > since]
    recent = frozenset(uid for uid in added if uid >= row.recent)
    _take_recent(index, row, read_only=read_only)
    return Changes(
        modseq=row.modseq,
        expunged=statements.expunged_since(index.connection, mailbox_id, since),
        flags=[(uid, sets[flags], modseq) for uid, flags, modseq, _ in changed],
        added=added,
        recent=recent,
        keywords=_keywords(index, mailbox_id),
    )


def history(index: AccountIndex, mailbox_id: int, since: int) -> History:
    """Say what happened after a MODSEQ that may be old (RFC 7162 section 3.2.6)."""
    row = index.get_row(mailbox_id)
    connection = index.connection
    sets = index.flags.sets
    return History(
        modseq=row.modseq,
        flags=[
            (uid, sets[flags], modseq)
            for uid, flags, modseq, _ in statements.changed_since(connection, mailbox_id, since)
        ],
        expunged=statements.expunged_since(connection, mailbox_id, since),
        complete=since >= statements.forgotten(connection, mailbox_id),
    )


def _keywords(index: AccountIndex, mailbox_id: int) -> frozenset[str]:
    return frozenset(name for _, name in statements.keywords(index.connection, mailbox_id))


def _take_recent(index: AccountIndex, row: MailboxRow, *, read_only: bool) -> None:
    if not read_only and row.recent < row.uidnext:
        # Not worth a MODSEQ, a notice, or waiting for the disk; nor is a full disk a reason not to read.
        index.database.set_synchronous(Synchronous.NORMAL)
        with contextlib.suppress(sqlite3.OperationalError):
            index.connection.execute("UPDATE mailbox SET recent = uidnext WHERE id = ?", (row.mailbox_id,))


def fetch(
    index: AccountIndex,
    mailbox_id: int,
    uids: Sequence[int],
    columns: Sequence[Column],
    header_octets: int | None = None,
) -> list[tuple[object, ...]]:
    """Give columns of messages, each row beginning with its UID; of so many octets of HEADER at most."""
    row = index.get_row(mailbox_id)
    wanted = [column for column in columns if column is not Column.UID]
    names = [_COLUMNS[column] for column in wanted]
    # Each table has a row for each message; the fewer are read, the better.
    first, *others = sorted(set(_ALIAS.findall(" ".join(names))) or {"s"})
    tables = _TABLES[first] + "".join([f" JOIN {_TABLES[other]} ON {other}.id = {first}.id" for other in others])
    selected = ", ".join([f"{first}.id & {UID_MASK}", *names])
    statement = f"SELECT {selected} FROM {tables} WHERE {first}.id {{where}} ORDER BY {first}.id"  # noqa: S608 - our own names
    take: Take = list
    if header_octets is not None and Column.HEADER in wanted:
        take = functools.partial(_while_they_fit, wanted.index(Column.HEADER) + 1, header_octets)
    found: list[tuple[object, ...]] = list(statements.select_among(index.connection, statement, row, uids, take))
    if Column.FLAGS not in wanted or not found:
        return found
    place = wanted.index(Column.FLAGS) + 1
    sets = index.flags.sets
    turned = list(zip(*found, strict=True))
    turned[place] = tuple(map(sets.__getitem__, turned[place]))
    return list(zip(*turned, strict=True))


def _while_they_fit(place: int, limit_octets: int, lines: Iterable[Line]) -> list[Line]:
    """Take lines while what stands in one place fits into a limit, but at least one."""
    found: list[Line] = []
    total = 0
    for line in lines:
        total += len(line[place])
        if total > limit_octets and found:
            break
        found.append(line)
    return found


# octets


def expunged() -> MailError:
    """Say that a message is not there any more."""
    return MailError(Kind.EXPUNGED, "the message is gone")


def _open(index: AccountIndex, row: MailboxRow, uid: int) -> tuple[int, str] | None:
    found = file_statements.files_of(index.connection, row, [uid])
    return open_message(index, row, *found[0][1:]) if found else None


def read(index: AccountIndex, mailbox_id: int, uid: int, offset: int, length: int) -> bytes:
    """Read octets of a message."""
    opened = _open(index, index.get_row(mailbox_id), uid)
    if opened is None:
        raise expunged()
    descriptor, path = opened
    try:
        return index.disk.pread(descriptor, length, offset, path)
    finally:
        index.disk.close(descriptor, path)


def read_many(index: AccountIndex, mailbox_id: int, uids: Sequence[int], limit_octets: int) -> list[tuple[int, bytes]]:
    """Read whole messages while they fit, but at least one."""
    row = index.get_row(mailbox_id)
    total = 0
    found: list[tuple[int, bytes]] = []
    for message_id, folder, name in file_statements.files_of(index.connection, row, uids):
        opened = open_message(index, row, folder, name)
        if opened is None:
            continue
        descriptor, path = opened
        try:
            size = os.fstat(descriptor).st_size
            if found and total + size > limit_octets:
                break
            found.append((message_id & UID_MASK, index.disk.pread(descriptor, size, 0, path)))
        finally:
            index.disk.close(descriptor, path)
        total += size
    return found


def parts(index: AccountIndex, mailbox_id: int, uid: int) -> PartOffsets:
    """Find the MIME parts of a message."""
    opened = _open(index, index.get_row(mailbox_id), uid)
    if opened is None:
        raise expunged()
    descriptor, path = opened
    index.disk.close(descriptor, path)
    with mapped(index.disk, path) as content:
        return parse_parts(content)


def search_text(
    index: AccountIndex,
    mailbox_id: int,
    uids: Sequence[int],
    test: Callable[[Callable[[int, int], bytes], int], bool],
    seconds: float,
) -> tuple[list[int], int]:
    """
    Run a test over the octets of messages, of at least one, while there is time.

    Args:
        uids: ascending, at least one.

    Returns:
        UIDs that passed, and the last UID that was looked at.
    """
    row = index.get_row(mailbox_id)
    passed: list[int] = []
    disk = index.disk
    ends = time.monotonic() + seconds
    for message_id, folder, name in file_statements.files_of(index.connection, row, uids):
        opened = open_message(index, row, folder, name)
        if opened is None:
            continue
        descriptor, path = opened

        def reader(offset: int, length: int, descriptor: int = descriptor, path: str = path) -> bytes:
            return disk.pread(descriptor, length, offset, path)

        try:
            if test(reader, os.fstat(descriptor).st_size):
                passed.append(message_id & UID_MASK)
        finally:
            disk.close(descriptor, path)
        if time.monotonic() > ends:
            return passed, message_id & UID_MASK
    return passed, uids[-1]


def previews(
    index: AccountIndex, mailbox_id: int, uids: Sequence[int], seconds: float, *, make: bool
) -> tuple[dict[int, bytes], int]:
    """
    Give what messages begin with; make and keep what is not known, of at least one message, while there is time.

    Args:
        uids: ascending, at least one.

    Returns:
        Previews by UID, and the last UID that was looked at.
    """
    row = index.get_row(mailbox_id)
    found = {message_id & UID_MASK: text for message_id, text in statements.previews(index.connection, row, uids)}
    missing = [uid for uid in uids if uid not in found] if make else []
    made: list[tuple[int, bytes]] = []
    last = uids[-1]
    ends = time.monotonic() + seconds
    for message_id, folder, name in file_statements.files_of(index.connection, row, missing):
        opened = open_message(index, row, folder, name)
        if opened is None:
            continue
        descriptor, path = opened
        try:
            content = index.disk.pread(descriptor, PREVIEW_READ_MAX_OCTETS, 0, path)
        finally:
            index.disk.close(descriptor, path)
        text = make_preview(content).encode("utf-8")
        made.append((message_id, text))
        found[message_id & UID_MASK] = text
        if time.monotonic() > ends:
            last = message_id & UID_MASK
            break
    if made:
        _keep_previews(index, made)
    return found, last


def _keep_previews(index: AccountIndex, made: Sequence[tuple[int, bytes]]) -> None:
    # Not worth a MODSEQ, a notice, or waiting for the disk; nor is a full disk a reason not to answer.
    with contextlib.suppress(OSError, sqlite3.Error):
        index.database.set_synchronous(Synchronous.NORMAL)
        with index.database.writing() as connection:
            statements.save_previews(connection, made)
