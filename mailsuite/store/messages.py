"""What is done to the messages of a mailbox. All of it runs in the lane of the account."""

from collections.abc import Sequence

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    ALL_RIGHTS,
    FLAG_RIGHTS,
    Appended,
    AppendMessage,
    Body,
    Rights,
    StoreMode,
    allowed_flags,
    right_of_flag,
)
from mailsuite.message.summary import Summary, summarize
from mailsuite.store import maildir, statements
from mailsuite.store.content import (
    ensure_tmp,
    find_file,
    link_file,
    name_with_flags,
    pieces_of,
    stage_message,
    summarize_file,
)
from mailsuite.store.flags import check_flags
from mailsuite.store.index import AccountIndex, stored_token
from mailsuite.store.reading import expunged
from mailsuite.store.statements import UID_MASK, MailboxRow
from mailsuite.store.transaction import Transaction

FlagRow = tuple[int, frozenset[str], int]
WholeRow = tuple[int, str, int, int, str, str, int]


def store_flags(
    index: AccountIndex,
    mailbox_id: int,
    uids: Sequence[int],
    mode: StoreMode,
    flags: frozenset[str],
    unchanged_since: int | None,
    rights: Rights = ALL_RIGHTS,
) -> tuple[list[FlagRow], list[int]]:
    """
    Change flags in one durable transaction; without one when nothing changes.

    Args:
        flags: with other rights than all, only those that may be changed.
        rights: what they do not cover stays as it is, also in a message whose flags are replaced.
    """
    row = index.get_row(mailbox_id)
    spelled = {name.lower(): name for _, name in statements.keywords(index.connection, mailbox_id)}
    flags = frozenset(spelled.get(flag.lower(), flag) for flag in check_flags(flags))
    before = statements.states_of(index.connection, row, uids)
    if unchanged_since is not None:
        late = [message_id & UID_MASK for message_id, _, modseq in before if modseq > unchanged_since]
        before = [line for line in before if line[2] <= unchanged_since]
    else:
        late = []
    sets = index.flags.sets
    if not before or all(_combine(sets[value], mode, flags, rights) == sets[value] for _, value, _ in before):
        return [(message_id & UID_MASK, sets[value], modseq) for message_id, value, modseq in before], late
    with index.writing(durable=True) as transaction:
        row = transaction.changing(mailbox_id)
        if mode is not StoreMode.REMOVE:
            names = index.ensure_keywords(transaction, row, frozenset(flag for flag in flags if flag[0] != "\\"))
            flags = names | {flag for flag in flags if flag[0] == "\\"}
        became: dict[int, int] = {}
        changed = []
        result = []
        for message_id, value, modseq in before:
            number = became.get(value)
            if number is None:
                number = index.flags_number(transaction, row, _combine(index.flags.sets[value], mode, flags, rights))
                became[value] = number
            if number != value:
                changed.append((message_id, number))
                row.count_flags(value, -1)
                row.count_flags(number, 1)
            result.append((message_id & UID_MASK, index.flags.sets[number], row.modseq if number != value else modseq))
        statements.set_flags(transaction.connection, row, changed)
    return result, late


def _combine(old: frozenset[str], mode: StoreMode, flags: frozenset[str], rights: Rights) -> frozenset[str]:
    if mode is StoreMode.REPLACE and not rights >= FLAG_RIGHTS:
        return flags.union([flag for flag in old if right_of_flag(flag) not in rights])
    if mode is StoreMode.ADD:
        return old | flags
    if mode is StoreMode.REMOVE:
        lower = {flag.lower() for flag in flags}
        return frozenset(flag for flag in old if flag.lower() not in lower)
    return flags


def expunge(index: AccountIndex, mailbox_id: int, uids: Sequence[int] | None) -> list[int]:
    r"""Remove messages that carry ``\Deleted`` in one durable transaction."""
    row = index.get_row(mailbox_id)
    doomed = statements.deleted_uids(index.connection, row)
    if uids is not None:
        asked = set(uids)
        doomed = [uid for uid in doomed if uid in asked]
    if doomed:
        with index.writing(durable=True) as transaction:
            row = transaction.changing(mailbox_id)
            remove_lines(index, transaction, row, statements.whole_rows(transaction.connection, row, doomed))
    return doomed


def remove(index: AccountIndex, mailbox_id: int, uids: Sequence[int]) -> list[int]:
    """Remove messages that have gone to another account, in one durable transaction; give their UIDs."""
    row = index.get_row(mailbox_id)
    lines = statements.whole_rows(index.connection, row, uids)
    if lines:
        with index.writing(durable=True) as transaction:
            remove_lines(index, transaction, transaction.changing(mailbox_id), lines)
    return [line[0] & UID_MASK for line in lines]


def remove_lines(index: AccountIndex, transaction: Transaction, row: MailboxRow, lines: Sequence[WholeRow]) -> None:
    """Remove messages, and their files once that is committed."""
    folder = index.folder(row)
    for _, _, _, _, subfolder, name, _ in lines:
        transaction.promise_removal(f"{folder}/{subfolder}/{name}", row.mailbox_id)
    statements.remove_messages(transaction.connection, row, [line[:4] for line in lines], forget=False)


def append(index: AccountIndex, name: str, messages: Sequence[AppendMessage], quota_octets: int) -> Appended:
    """Store messages durably, all or none."""
    found = index.find_row(name)
    sizes = [_size(index, message) for message in messages]
    index.check_quota(quota_octets, sum(sizes), len(sizes))
    summaries = [_summary(index, message) for message in messages]
    with index.writing(durable=True) as transaction:
        row = transaction.changing(found.mailbox_id)
        uids = _add(index, transaction, row, messages, summaries)
    return Appended(uidvalidity=row.uidvalidity, uids=uids)


def _size(index: AccountIndex, message: AppendMessage) -> int:
    content = message.content
    size = content.size_octets if isinstance(content, Body) else len(content)
    limit = index.settings.message_max_octets
    if limit and size > limit:
        raise MailError(Kind.TOO_LARGE, "the message is too long")
    return size


def _summary(index: AccountIndex, message: AppendMessage) -> Summary:
    """Look at a message before the transaction begins; its flags are looked at as well."""
    check_flags(message.flags)
    content = message.content
    return summarize(content) if isinstance(content, bytes) else summarize_file(index.disk, content.path)


def _add(
    index: AccountIndex,
    transaction: Transaction,
    row: MailboxRow,
    messages: Sequence[AppendMessage],
    summaries: Sequence[Summary],
) -> list[int]:
    """Stage messages and add them to the index; give their UIDs."""
    now = int(index.place.clock())
    alone = len(messages) == 1
    added = [
        stage_message(
            index,
            transaction,
            row,
            message.content,
            summary,
            token=stored_token(index.place.clock()),
            flags=index.flags_number(transaction, row, check_flags(message.flags)),
            date=now if message.internal_date is None else message.internal_date,
            link=True,
            sync=alone,
            original_id=message.email_id,
        )
        for message, summary in zip(messages, summaries, strict=True)
    ]
    if not alone:
        folder = f"{index.folder(row)}/{maildir.TMP}"
        index.disk.sync_files([f"{folder}/{new.file}" for new in added])
    statements.add_messages(transaction.connection, row, added)
    for message in messages:
        if isinstance(message.content, Body):
            transaction.promise(message.content.path)
    return [new.uid for new in added]


def check_growth(index: AccountIndex, quota_octets: int, old: int, new: int) -> None:
    """Check whether there is room for a message in place of another one; what becomes smaller always fits."""
    if new > old:
        index.check_quota(quota_octets, new - old, 0)


def replace(
    index: AccountIndex, mailbox_id: int, uid: int, name: str, message: AppendMessage, quota_octets: int
) -> Appended:
    """Store a message and remove another one, in one durable transaction."""
    source = index.get_row(mailbox_id)
    found = index.find_row(name)
    lines = statements.whole_rows(index.connection, source, [uid])
    if not lines:
        raise expunged()
    check_growth(index, quota_octets, lines[0][3], _size(index, message))
    summary = _summary(index, message)
    with index.writing(durable=True) as transaction:
        source = transaction.changing(mailbox_id)
        target = transaction.changing(found.mailbox_id)
        uids = _add(index, transaction, target, [message], [summary])
        remove_lines(index, transaction, source, lines)
    return Appended(uidvalidity=target.uidvalidity, uids=uids)


def copy(
    index: AccountIndex,
    mailbox_id: int,
    uids: Sequence[int],
    name: str,
    quota_octets: int,
    rights: Rights = ALL_RIGHTS,
) -> Appended:
    """Copy messages, all or nothing, with the flags that `rights` cover; their octets are shared."""
    return _transfer(index, mailbox_id, uids, name, quota_octets, rights, move=False)


def move(index: AccountIndex, mailbox_id: int, uids: Sequence[int], name: str, rights: Rights = ALL_RIGHTS) -> Appended:
    """Move messages in one transaction, with the flags that `rights` cover."""
    return _transfer(index, mailbox_id, uids, name, 0, rights, move=True)


def _transfer(
    index: AccountIndex,
    mailbox_id: int,
    uids: Sequence[int],
    name: str,
    quota_octets: int,
    rights: Rights,
    *,
    move: bool,
) -> Appended:
    target = index.find_row(name)
    source = index.get_row(mailbox_id)
    lines = statements.whole_rows(index.connection, source, uids)
    if not lines:
        return Appended(uidvalidity=target.uidvalidity, uids=())
    if not move:
        index.check_quota(quota_octets, sum(line[3] for line in lines), len(lines))
    with index.writing(durable=True) as transaction:
        source = transaction.changing(mailbox_id) if move else transaction.row(mailbox_id)
        target = transaction.changing(target.mailbox_id)
        if not move and target is source:
            source.modseq += 1  # `row` found it loaded, so `changing` gave it no new MODSEQ
        given = transfer_lines(index, transaction, source, target, lines, move=move, rights=rights)
    return Appended(
        uidvalidity=target.uidvalidity,
        uids=[uid for _, uid in given],
        source_uids=[uid for uid, _ in given],
    )


def transfer_lines(
    index: AccountIndex,
    transaction: Transaction,
    source: MailboxRow,
    target: MailboxRow,
    lines: Sequence[WholeRow],
    *,
    move: bool,
    rights: Rights = ALL_RIGHTS,
) -> list[tuple[int, int]]:
    """Link the files of messages into another mailbox, with the flags that `rights` cover; give old and new UIDs."""
    connection = transaction.connection
    ensure_tmp(index, transaction, target)  # else each message would seem to be gone
    now = int(index.place.clock())
    given = []
    moved = []
    for line in lines:
        message_id, token, flags, size, folder, name, _ = line
        if not rights >= FLAG_RIGHTS:
            flags = index.flags_number(transaction, target, allowed_flags(index.flags.sets[flags], rights))
        new_token = token if move else stored_token(index.place.clock())
        if keywords := index.flags.keywords(flags):
            index.ensure_keywords(transaction, target, keywords)
        uid = target.uidnext
        file = name_with_flags(index, target, maildir.file_name(new_token, size, uid), flags)
        path = _link_into_tmp(index, source, folder, name, f"{index.folder(target)}/{maildir.TMP}/{file}")
        if path is None:
            continue  # gone; the next look at the folder expunges it
        transaction.staged.append((target, file, "cur"))
        index.take_uid(target)
        target_id = target.first_id | uid
        statements.copy_message(connection, message_id, target_id, now)
        given.append((message_id & UID_MASK, uid, target_id, flags, (new_token, "cur", file, flags), size))
        moved.append((line, path))
    if move:
        for _, path in moved:
            transaction.promise_removal(path, source.mailbox_id)
        statements.remove_messages(connection, source, [line[:4] for line, _ in moved], forget=True)
    for _, uid, _, flags, place, size in given:
        statements.add_copy(connection, target, uid, flags, place)
        target.count(flags, size, 1)
    return [(old, uid) for old, uid, *_ in given]


def _link_into_tmp(index: AccountIndex, row: MailboxRow, folder: str, name: str, staged: str) -> str | None:
    """Give a message's file a second name, or copy it where that cannot be; return its path, None when it is gone."""
    path = f"{index.folder(row)}/{folder}/{name}"
    try:
        if not link_file(index.disk, path, staged):
            index.disk.write_file(staged, pieces_of(index.disk, path), sync=True)
    except FileNotFoundError:
        found = find_file(index, row, folder, name)
        if found is None:
            return None
        index.disk.link(found, staged)
        return found
    return path
