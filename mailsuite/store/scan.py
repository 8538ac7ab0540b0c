"""
Notice what other programs did to a folder: deliveries, flags, deletions; and finish what a crash left.

Cheap when nothing happened: two `stat` calls. A file without a row gets a new UID and is never dropped; a row without
a file is expunged.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Collection, Mapping

import attrs

from mailsuite.durable import Disk
from mailsuite.store import file_statements, maildir, statements
from mailsuite.store.content import name_with_flags, new_message, summarize_file
from mailsuite.store.file_statements import FileRow
from mailsuite.store.flags import SET_SHIFT, bits_of_letters, keyword_numbers
from mailsuite.store.index import AccountIndex
from mailsuite.store.lock import Look
from mailsuite.store.statements import UID_MASK, MailboxRow
from mailsuite.store.transaction import Transaction

TICK_NS = 100_000_000
"""A folder changed this recently may change again without its modification time telling."""
SMALL_MESSAGES = 100
"""A folder of so few is listed whenever something may have happened; a larger one not while the clock ticks."""
PAUSE_PER_COST = 10
"""Listing a folder that may have changed takes at most this part of the time."""
INDEX_BATCH = 1000
TEMPORARY_AGE_SECONDS = 36 * 3600

_Found = dict[str, tuple[str, str]]
"""Token to subfolder and file name."""


def notice(index: AccountIndex, mailbox_id: int) -> None:
    """Bring the index up to date with a mailbox's folder; where that fails, what is known can still be read."""
    row = statements.mailbox_by_id(index.connection, mailbox_id)
    if row is not None and row.selectable:
        notice_row(index, row)


def notice_row(index: AccountIndex, row: MailboxRow) -> None:
    """Do so for a mailbox as it is in the index."""
    if index.read_only:
        return
    try:
        _notice(index, row)
    except (OSError, sqlite3.OperationalError) as error:
        index.lock.set_look(row.mailbox_id, None)
        index.place.log.failure("store.notice.failed", error, account=index.account_id, mailbox=row.mailbox_id)


@attrs.frozen
class Noticed:
    """
    What came of a look at a folder.

    Args:
        foreign: another program had changed something.
        doubtful: another look is needed, later, to be sure that this was all.
        failed: the folder could not be looked at.
    """

    foreign: bool
    doubtful: bool
    failed: bool = False


def notice_names(index: AccountIndex, mailbox_id: int, names: Collection[tuple[str, str]] | None) -> Noticed:
    """
    Do so for some files, by subfolder and name, of which something was told; without a look where it was our doing.

    Args:
        names: None: of more than can be named, or nobody knows of which.

    Raises:
        MailError: NOT_FOUND when the mailbox is gone.
    """
    row = index.get_row(mailbox_id)
    if names is not None:
        if _are_known(index, row, names):
            return Noticed(foreign=False, doubtful=False)
        index.lock.set_look(mailbox_id, None)  # times may not tell of it
    notice(index, mailbox_id)
    look = index.lock.look(mailbox_id)
    foreign = index.get_row(mailbox_id).modseq != row.modseq
    return Noticed(foreign=foreign, doubtful=look is None or not look.sure, failed=look is None)


def _are_known(index: AccountIndex, row: MailboxRow, names: Collection[tuple[str, str]]) -> bool:
    """Whether those files are there that the index says are there, and no others."""
    folder = index.folder(row)
    tokens = {maildir.token_of(name) for _, name in names}
    if not all(map(_is_text, tokens)):
        return False  # see `list_names`
    known = set(file_statements.places_of(index.connection, row, tokens))
    return all((place in known) == os.path.lexists(f"{folder}/{place[0]}/{place[1]}") for place in names)


def _notice(index: AccountIndex, row: MailboxRow) -> None:
    folder = index.folder(row)
    look = index.lock.look(row.mailbox_id)
    try:
        stamp = index.stamp(folder)
    except FileNotFoundError:
        index.make_folder(row)  # somebody removed it: its messages are gone with it
        stamp = index.stamp(folder)
    now = time.monotonic()
    if look is not None and look.stamp == stamp and not _is_due(index, row, look, now):
        return
    recent = abs(time.time_ns() - max(stamp)) < TICK_NS
    try:
        _compare(index, row, folder)
    except FileNotFoundError:  # parts of it are missing, or go right now
        index.make_folder(row)
        _compare(index, row, folder)
    cost = time.monotonic() - now
    after = index.stamp(folder)
    seen = (-1, -1) if after != stamp else stamp
    index.lock.set_look(row.mailbox_id, Look(seen, now, cost, sure=not recent))


def _is_due(index: AccountIndex, row: MailboxRow, look: Look, now: float) -> bool:
    """Whether to list a folder whose modification times tell of nothing."""
    if now - look.listed >= index.settings.rescan_seconds:
        return True
    if look.sure:
        return False
    if row.messages <= SMALL_MESSAGES:
        return True
    settled = abs(time.time_ns() - max(look.stamp)) >= TICK_NS
    return settled and now - look.listed >= look.cost * PAUSE_PER_COST


def recover(index: AccountIndex) -> None:
    """Cross-check all folders after a crash, and remove old files from ``tmp``."""
    index.recovering = False
    for row in statements.mailboxes(index.connection):
        if row.selectable:
            _notice(index, index.get_row(row.mailbox_id))
            clean_temporary(index.disk, index.folder(row), index.place.clock())


def clean_temporary(disk: Disk, folder: str, now: float) -> None:
    """Remove what was forgotten in ``tmp`` a long time ago."""
    path = f"{folder}/{maildir.TMP}"
    for name in disk.listdir(path):
        try:
            if now - disk.stat(f"{path}/{name}").st_mtime > TEMPORARY_AGE_SECONDS:
                disk.remove(f"{path}/{name}")
        except OSError:
            continue


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name)


def list_names(disk: Disk, path: str) -> list[str]:
    r"""
    List the files of a folder; one whose name is not UTF-8, which no index can hold, is given another name.

    The octets that are not are written as ``\xff``.
    """
    names = disk.listdir(path)
    for place, name in enumerate(names):
        if not _is_text(name):
            names[place] = os.fsencode(name).decode("utf-8", "backslashreplace")
            if not os.path.lexists(f"{path}/{names[place]}"):
                disk.rename(f"{path}/{name}", f"{path}/{names[place]}")
    return names


def list_files(disk: Disk, folder: str) -> _Found:
    """List the message files of a folder; of two with the same unique part, the one in cur."""
    found: _Found = {}
    for subfolder in ("new", "cur"):
        for name in list_names(disk, f"{folder}/{subfolder}"):
            if not name.startswith("."):
                found[maildir.token_of(name)] = (subfolder, name)
    return found


def _compare(index: AccountIndex, row: MailboxRow, folder: str) -> None:
    doomed = index.work.retry()
    present = {subfolder: set(list_names(index.disk, f"{folder}/{subfolder}")) for subfolder in ("new", "cur")}
    renamed: list[tuple[FileRow, str, str]] = []
    unmatched: list[FileRow] = []
    for line in file_statements.files(index.connection, row):
        names = present[line[2]]
        if line[3] in names:
            names.remove(line[3])
        else:
            unmatched.append(line)
    found: _Found = {
        maildir.token_of(name): (subfolder, name)
        for subfolder, names in present.items()
        for name in names
        if not name.startswith(".")
    }
    missing: list[FileRow] = []
    for line in unmatched:
        place = found.pop(line[1], None)
        if place is None:
            missing.append(line)
        else:
            renamed.append((line, *place))
    if missing:
        missing = _look_again(index, folder, missing, renamed)
    if renamed or missing:
        _apply(index, row, renamed, missing)
    # A second name of a message that is there, as one moved from new to cur has for a moment, is no other message.
    new = [item for item in sorted(found.items()) if not file_statements.has_token(index.connection, row, item[0])]
    if doomed:
        new = [item for item in new if f"{folder}/{item[1][0]}/{item[1][1]}" not in doomed]
    for start in range(0, len(new), INDEX_BATCH):
        add_files(index, row, folder, new[start : start + INDEX_BATCH])


def _look_again(
    index: AccountIndex, folder: str, missing: list[FileRow], renamed: list[tuple[FileRow, str, str]]
) -> list[FileRow]:
    # A file is in tmp when we stopped right after a commit, and can slip through a listing while it is renamed.
    staged = set(index.disk.listdir(f"{folder}/{maildir.TMP}"))
    found = list_files(index.disk, folder)
    gone = []
    for line in missing:
        _, token, subfolder, name, _ = line
        if name in staged:
            index.disk.rename(f"{folder}/{maildir.TMP}/{name}", f"{folder}/{subfolder}/{name}")
        elif token in found:
            if found[token] != (subfolder, name):
                renamed.append((line, *found[token]))
        else:
            gone.append(line)
    return gone


def _apply(
    index: AccountIndex, row: MailboxRow, renamed: list[tuple[FileRow, str, str]], missing: list[FileRow]
) -> None:
    with index.writing() as transaction:
        row = transaction.row(row.mailbox_id)
        changed: list[tuple[int, int]] = []
        for (message_id, _, _, old, _), subfolder, name in renamed:
            flags = _merged_flags(index, transaction, row, message_id, old, name)
            if flags is not None:
                changed.append(flags)
            bits = flags_of_name(index, transaction, row, name)
            file_statements.set_file(transaction.connection, message_id, subfolder, name, bits)
        if changed or missing:
            row.modseq += 1
        if changed:
            statements.set_flags(transaction.connection, row, changed)
        if missing:
            uids = [line[0] & UID_MASK for line in missing]
            gone = [line[:4] for line in statements.whole_rows(transaction.connection, row, uids)]
            statements.remove_messages(transaction.connection, row, gone, forget=True)
            index.place.log.emit(
                "store.messages.vanished", account=index.account_id, mailbox=row.mailbox_id, count=len(gone)
            )


def _merged_flags(
    index: AccountIndex, transaction: Transaction, row: MailboxRow, message_id: int, old: str, name: str
) -> tuple[int, int] | None:
    before = flags_of_name(index, transaction, row, old)
    after = flags_of_name(index, transaction, row, name)
    if before == after:
        return None
    (current,) = transaction.connection.execute("SELECT flags FROM state WHERE id = ?", (message_id,)).fetchone()
    had, has = index.flags.sets[before], index.flags.sets[after]
    flags = index.flags.sets[current]
    merged = index.flags_number(transaction, row, (flags | (has - had)) - (had - has))
    if merged == current:
        return None
    row.count_flags(current, -1)
    row.count_flags(merged, 1)
    return message_id, merged


def flags_of_name(index: AccountIndex, transaction: Transaction, row: MailboxRow, name: str) -> int:
    """Read the flags that a file name tells."""
    letters = maildir.letters_of(name)
    bits = bits_of_letters(letters)
    numbers = keyword_numbers(letters)
    if numbers:
        known = dict(statements.keywords(transaction.connection, row.mailbox_id))
        keywords = frozenset(known[number] for number in numbers if number in known)
        if keywords:
            value = index.flags_number(transaction, row, keywords)
            bits |= value >> SET_SHIFT << SET_SHIFT
    return bits


def add_files(
    index: AccountIndex,
    row: MailboxRow,
    folder: str,
    files: list[tuple[str, tuple[str, str]]],
    known: Mapping[str, int] | None = None,
) -> int:
    """
    Index files that have no row; return how many.

    Args:
        known: UIDs by unique part, to be trusted as are those in file names; None gives new ones to all.
    """
    noted: list[str] = []
    added = []
    with index.writing() as transaction:
        row = transaction.row(row.mailbox_id)
        row.modseq += 1
        for token, (subfolder, name) in files:
            path = f"{folder}/{subfolder}/{name}"
            try:
                info = index.disk.stat(path)
                if not stat.S_ISREG(info.st_mode) or _is_torn(index, folder, path, name, info.st_size):
                    continue
                summary = summarize_file(index.disk, path)
            except FileNotFoundError:
                continue
            uid = 0 if known is None else known.get(token) or maildir.uid_of(name)
            if not uid or file_statements.is_used(transaction.connection, row.first_id | uid):
                uid = index.take_uid(row)
                if uid != maildir.uid_of(name):
                    noted.append(f"{uid} {token}\n")
            flags = flags_of_name(index, transaction, row, name)
            added.append(
                new_message(
                    summary,
                    uid=uid,
                    flags=flags,
                    token=token,
                    folder=subfolder,
                    file=name,
                    date=int(info.st_mtime),
                    saved=int(index.place.clock()),
                )
            )
        if noted:
            _note_uids(index.disk, folder, noted)
        statements.add_messages(transaction.connection, row, added)
    return len(added)


def _is_torn(index: AccountIndex, folder: str, path: str, name: str, size: int) -> bool:
    # A power loss can leave the name of a delivery and not its octets. The spool still has them; what is left here is
    # put aside, not removed.
    told = maildir.size_of(name)
    if not name.startswith(maildir.DELIVERED) or told < 0 or size >= told:
        return False
    index.disk.rename(path, f"{folder}/{maildir.TMP}/{name}")
    index.place.log.emit("store.file.torn", account=index.account_id, size=size, expected=told)
    return True


def read_uids(disk: Disk, folder: str) -> dict[str, int]:
    """Read the UIDs of files that other programs named; the last line about a file counts."""
    path = f"{folder}/{maildir.UIDS}"
    if not os.path.exists(path):
        return {}
    known = {}
    for line in os.fsdecode(disk.read_file(path)).split("\n"):
        number, _, token = line.partition(" ")
        if number.isascii() and number.isdigit() and token:
            known[token] = int(number)
    return known


def _note_uids(disk: Disk, folder: str, lines: list[str]) -> None:
    path = f"{folder}/{maildir.UIDS}"
    descriptor = disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        disk.write(descriptor, os.fsencode("".join(lines)), path)
    finally:
        disk.close(descriptor, path)


def mirror_flags(index: AccountIndex, mailbox_id: int, limit: int = 5000) -> None:
    """Write flags into file names, some at a time; never needed for what we promise, only for other programs."""
    row = statements.mailbox_by_id(index.connection, mailbox_id)
    if row is None or not row.selectable:
        return
    stale = file_statements.unmirrored(index.connection, row, limit)
    if not stale:
        return
    folder = index.folder(row)
    with index.own_change(mailbox_id, folder), index.writing() as transaction:
        for message_id, subfolder, name, flags in stale:
            target = name_with_flags(index, row, maildir.base_name(name), flags)
            try:
                if (subfolder, name) != ("cur", target):
                    index.disk.rename(f"{folder}/{subfolder}/{name}", f"{folder}/cur/{target}")
            except FileNotFoundError:
                continue  # renamed by another program: the next look finds it
            file_statements.set_file(transaction.connection, message_id, "cur", target, flags)
