"""
Build an account's index from its Maildir, with the same UIDs, and from the old index where that could be read.

UIDs stand in our own file names and, for files of other programs, in ``mailbox.uids``; UIDVALIDITY and a bound that no
UID ever reached in ``mailbox.state``. Where that file is missing as well as the old index, the mailbox gets a new,
higher UIDVALIDITY.
"""

import os
import sqlite3
import time
from collections.abc import Callable

from mailsuite.durable import Disk
from mailsuite.store import annotation_statements, annotations, file_statements, maildir, rights, statements
from mailsuite.store.carry import ENDINGS, Previous, attach, check_integrity, detach, lay_aside, put_back
from mailsuite.store.flags import FlagSets
from mailsuite.store.index import REBUILDING, SPECIAL_NAMES, AccountIndex, UnfinishedIndexError
from mailsuite.store.lock import AccountLock
from mailsuite.store.maildir import Home
from mailsuite.store.scan import INDEX_BATCH, add_files, clean_temporary, list_files, notice, read_uids
from mailsuite.store.statements import MailboxRow
from mailsuite.store.transaction import Place, Transaction

_FAR = 1 << 62

Progress = Callable[[str, int], None]
"""Told the name of a mailbox and how many messages of it were indexed."""


def is_needed(home: Home) -> bool:
    """Whether there is a Maildir whose index was thrown away."""
    return not os.path.exists(home.index) and os.path.exists(f"{home.folder(maildir.INBOX)}/cur")


def keep_damaged(home: Home, place: Place) -> None:
    """Put a damaged index aside."""
    number = 1
    while os.path.exists(f"{home.index}.damaged-{number}"):
        number += 1
    for ending in ENDINGS:
        if os.path.exists(home.index + ending):
            place.disk.rename(home.index + ending, f"{home.index}.damaged-{number}{ending}")
    place.log.emit("store.index.damaged", path=home.path, number=number)


def throw_away(home: Home, disk: Disk) -> None:
    """Remove an index that was not built to its end."""
    for ending in ENDINGS:
        disk.remove(home.index + ending)


def replace_damaged(
    account_id: int, home: Home, place: Place, told: Callable[[int, int, int], None], lock: AccountLock
) -> AccountIndex:
    """Put a damaged index aside and build a new one; nobody else has it open."""
    keep_damaged(home, place)
    return rebuild(account_id, home, place, told, lock)


def rebuild(
    account_id: int,
    home: Home,
    place: Place,
    told: Callable[[int, int, int], None],
    lock: AccountLock,
    progress: Progress | None = None,
) -> AccountIndex:
    """Build the index anew; there is none now."""
    began = time.monotonic()
    # On the way MODSEQs are higher than at the end: a session that heard of those would miss what comes later.
    index = AccountIndex(account_id, home, place, _tell_nobody, lock, fresh=False)
    try:
        previous = attach(index)
        total = _fill(index, previous, progress)
        if previous is not None:
            detach(index)
            place.disk.sync_folder(home.path)
        rights.note_shares(index)
        rights.write_all(index)
        annotations.write_all(index)
    except BaseException:
        index.database.close()
        throw_away(home, place.disk)
        raise
    index.tell_from_now_on(told)
    place.log.emit("store.index.rebuilt", account=account_id, messages=total, seconds=time.monotonic() - began)
    return index


def replace(
    account_id: int,
    home: Home,
    place: Place,
    told: Callable[[int, int, int], None],
    lock: AccountLock,
    progress: Progress | None = None,
) -> AccountIndex:
    """Build the index of an account that nobody has open anew, from its Maildir and the old index."""
    try:
        if os.path.exists(home.index) and not lay_aside(account_id, home, place, told, lock):
            keep_damaged(home, place)
    except UnfinishedIndexError:
        throw_away(home, place.disk)
    try:
        return rebuild(account_id, home, place, told, lock, progress)
    except (OSError, sqlite3.Error):
        put_back(home, place.disk)
        raise


def _tell_nobody(_account_id: int, _mailbox_id: int, _modseq: int) -> None:
    """Keep it for ourselves."""


def _fill(index: AccountIndex, previous: Previous | None, progress: Progress | None) -> int:
    states = {name: _read_state(index, name) for name in _find_mailboxes(index)}
    _begin(index, previous, states)
    used: set[int] = set()
    total = sum(_fill_mailbox(index, previous, name, states[name], used, progress) for name in states)
    with index.writing(durable=previous is not None) as transaction:
        if previous is not None:
            previous.carry_names()
        missing = [maildir.INBOX]
        if previous is None and not any(states.values()):
            missing.extend(index.settings.create_special)  # another program's Maildir, seen for the first time
        for name in missing:
            if name not in states:
                index.make_mailbox(transaction, name, SPECIAL_NAMES.get(name, ""))
                statements.subscribe(transaction.connection, name, subscribed=name != maildir.INBOX)
        transaction.connection.execute("UPDATE account SET clean = 0")
    return total


def _begin(index: AccountIndex, previous: Previous | None, states: dict[str, dict[str, int]]) -> None:
    highest = max([state.get("uidvalidity", 0) for state in states.values()], default=0)
    ids = max([state.get("mailbox", 0) for state in states.values()], default=0)
    if previous is not None:
        highest = max(highest, previous.last_uidvalidity())
        ids = max(ids, previous.last_mailbox())
    with index.writing() as transaction:
        statements.save_account(
            transaction.connection, index.place.boot, REBUILDING, max(highest, int(index.place.clock()) - 1)
        )
        # New mailboxes must not get the id of one that is still to come.
        transaction.connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('mailbox', ?)", (ids,))
        # Microseconds grow faster than anybody annotates.
        last = previous.last_annotation() if previous else int(index.place.clock() * 1_000_000) % _FAR
        annotation_statements.begin_annotations(transaction.connection, last)
        if previous is not None:
            previous.carry_account()
            annotations.carry(transaction, index, None, annotations.ACCOUNT)
        else:
            annotations.restore(transaction, index, None)
    index.flags = FlagSets(statements.keyword_sets(index.connection))


def _fill_mailbox(
    index: AccountIndex,
    previous: Previous | None,
    name: str,
    state: dict[str, int],
    used: set[int],
    progress: Progress | None,
) -> int:
    old = previous.find(name, state.get("mailbox", 0), state.get("uidvalidity", 0)) if previous else None
    if old is not None and previous is not None and old.mailbox_id not in used:
        row = _restore_mailbox(index, name, _told_state(old), used, previous, old)
    else:
        old = None
        row = _restore_mailbox(index, name, state, used)
    used.add(row.mailbox_id)
    folder = index.folder(row)
    files = sorted(list_files(index.disk, folder).items(), key=lambda item: _order(index, row, item[1]))
    known: dict[str, int] | None = None
    if state or old:
        known = read_uids(index.disk, folder)
        if previous is not None and old is not None:
            known.update(previous.uids(old))
    if known is not None and not _fit_uids(index, row, known, [file for _, (_, file) in files]):
        known = old = None
        with index.writing() as transaction:
            _renew(index, transaction, transaction.row(row.mailbox_id))
    count = 0
    for start in range(0, len(files), INDEX_BATCH):
        count += add_files(index, row, folder, files[start : start + INDEX_BATCH], known)
        if progress is not None:
            progress(name, count)
    if previous is not None and old is not None:
        with index.writing() as transaction:
            previous.carry_messages(transaction, row.mailbox_id, old)
    notice(index, row.mailbox_id)
    clean_temporary(index.disk, folder, index.place.clock())
    return count


def _order(index: AccountIndex, row: MailboxRow, place: tuple[str, str]) -> tuple[float, str]:
    path = f"{index.folder(row)}/{place[0]}/{place[1]}"
    try:
        return index.disk.stat(path).st_mtime, place[1]
    except FileNotFoundError:
        return 0.0, place[1]


def _find_mailboxes(index: AccountIndex) -> list[str]:
    names = [maildir.INBOX] if os.path.isdir(f"{index.home.folder(maildir.INBOX)}/cur") else []
    for entry in sorted(index.disk.listdir(index.home.path)):
        name = index.home.mailbox_name(entry)
        path = f"{index.home.path}/{entry}"
        if name is not None and name not in names and not os.path.islink(path) and os.path.isdir(f"{path}/cur"):
            names.append(name)
    return names


def _read_state(index: AccountIndex, name: str) -> dict[str, int]:
    state: dict[str, int] = {}
    for key, value in _state_lines(index, name):
        if key in {"uidvalidity", "ceiling", "mailbox"} and value.isascii() and value.isdigit():
            state[key] = int(value)
    return state if len(state) == 3 and all(state.values()) else {}  # noqa: PLR2004 - all of the three


def _state_lines(index: AccountIndex, name: str) -> list[tuple[str, str]]:
    path = f"{index.home.folder(name)}/{maildir.STATE}"
    if not os.path.exists(path):
        return []
    lines = index.disk.read_file(path).decode("ascii", "replace").splitlines()
    return [(key, value) for key, _, value in (line.partition(" ") for line in lines)]


def _told_state(old: MailboxRow) -> dict[str, int]:
    return {"uidvalidity": old.uidvalidity, "ceiling": old.ceiling, "mailbox": old.mailbox_id}


def _restore_mailbox(
    index: AccountIndex,
    name: str,
    state: dict[str, int],
    used: set[int],
    previous: Previous | None = None,
    old: MailboxRow | None = None,
) -> MailboxRow:
    with index.writing() as transaction:
        if not state:
            special = SPECIAL_NAMES.get(name, "")
            row = index.make_mailbox(transaction, name, special)
            annotations.restore(transaction, index, row)
        else:
            special = dict(_state_lines(index, name)).get("special", "")
            mailbox_id = statements.add_mailbox(
                transaction.connection, name, state["uidvalidity"], state["ceiling"], 1, special
            )
            if state["mailbox"] not in used:
                transaction.connection.execute("UPDATE mailbox SET id = ? WHERE id = ?", (state["mailbox"], mailbox_id))
                mailbox_id = state["mailbox"]
            for key, value in _state_lines(index, name):
                number, _, keyword = value.partition(" ")
                if key == "keyword" and number.isdigit() and keyword:
                    statements.add_keyword(transaction.connection, mailbox_id, int(number), keyword)
            row = transaction.row(mailbox_id)
            # Nothing at or above the bound was ever given, so from there on all is new.
            row.uidnext = row.ceiling
            row.recent = row.uidnext
            if previous is not None and old is not None:
                previous.carry_mailbox(row, old)
                rights.carry(transaction, row.mailbox_id, old.mailbox_id)
                annotations.carry(transaction, index, row, old.mailbox_id)
                index.make_folder(row)
                index.reserve(row, 0)
                return row
            index.make_folder(row)
            index.reserve(row, 0)
            rights.restore(transaction, index, row)
            annotations.restore(transaction, index, row)
        # Microseconds grow faster than any mailbox changes.
        row.modseq = max(row.modseq, int(index.place.clock() * 1_000_000) % _FAR)
        statements.forget_expunged(transaction.connection, row.mailbox_id, row.modseq)
        statements.subscribe(transaction.connection, name, subscribed=True)
    return row


def _fit_uids(index: AccountIndex, row: MailboxRow, known: dict[str, int], files: list[str]) -> bool:
    """Begin behind all UIDs; False when they contradict each other."""
    uids = [uid for file in files if (uid := known.get(maildir.token_of(file)) or maildir.uid_of(file))]
    if len(set(uids)) != len(uids) or any(uid >= row.ceiling for uid in uids):
        return False
    if max(uids, default=0) >= row.uidnext:
        with index.writing() as transaction:
            transaction.row(row.mailbox_id).uidnext = max(uids) + 1
    return True


def _renew(index: AccountIndex, transaction: Transaction, row: MailboxRow) -> None:
    account = statements.load_account(transaction.connection)
    row.uidvalidity = max((account[2] if account else 0) + 1, int(index.place.clock()))
    row.uidnext = 1
    row.recent = 1
    transaction.connection.execute("UPDATE account SET uidvalidity = ?", (row.uidvalidity,))
    index.reserve(row, 0)


def verify(index: AccountIndex) -> list[str]:
    """Compare index and Maildir without changing either; say what does not fit, in sentences."""
    findings = [] if check_integrity(index.database) else ["the index is damaged"]
    pending = file_statements.pending(index.connection)
    doomed = {source for _, source, _ in pending} if index.read_only else index.work.retry()
    for row in statements.mailboxes(index.connection):
        if not row.selectable:
            continue
        found = list_files(index.disk, index.folder(row))
        lines = file_statements.files(index.connection, row)
        for message_id, token, _, _, _ in lines:
            uid = message_id & statements.UID_MASK
            place = found.pop(token, None)
            if place is None:
                findings.append(f"{row.name}: message {uid} has no file")
                continue
            size = index.disk.stat(f"{index.folder(row)}/{place[0]}/{place[1]}").st_size
            if size != file_statements.size_of(index.connection, message_id):
                findings.append(f"{row.name}: the file of message {uid} has {size} octets")
        findings.extend(
            f"{row.name}: {name} is not in the index"
            for subfolder, name in found.values()
            if f"{index.folder(row)}/{subfolder}/{name}" not in doomed
        )
        states = statements.states(index.connection, row)
        if len(states) != row.messages or len(lines) != row.messages:
            findings.append(f"{row.name}: {row.messages} messages were counted, {len(states)} are there")
    return findings
