"""Remove what is old from an account that keeps mail for some time only. All of it runs in the lane of the account."""

import heapq
from collections.abc import Iterable, Mapping, Sequence

from mailsuite.interfaces import Expired, Expiry, Usage
from mailsuite.store import statements
from mailsuite.store.index import AccountIndex
from mailsuite.store.mailboxes import drop
from mailsuite.store.maildir import INBOX
from mailsuite.store.messages import remove_lines
from mailsuite.store.scan import notice
from mailsuite.store.statements import MailboxRow

Doomed = Mapping[int, Sequence[int]]
"""UIDs by mailbox."""


def usage(index: AccountIndex) -> Usage:
    """Count what the account has."""
    octets, messages = statements.totals(index.connection)
    return Usage(octets, messages, sum(bool(row.selectable) for row in statements.mailboxes(index.connection)))


def expire(index: AccountIndex, expiry: Expiry) -> Expired:
    """Remove one batch of messages, and mailboxes without any, in one durable transaction."""
    rows = [row for row in statements.mailboxes(index.connection) if row.selectable]
    doomed = _too_old(index, rows, expiry) or _too_big(index, rows, expiry) or _too_many(index, rows, expiry)
    gone = sum(map(len, doomed.values()))
    empty = [row.mailbox_id for row in _named(rows) if row.messages == len(doomed.get(row.mailbox_id, ()))]
    for mailbox_id in empty[: expiry.batch]:
        notice(index, mailbox_id)  # perhaps another program put something there
    if not gone and not empty:
        return Expired(0, 0)
    removed = []
    with index.writing(durable=True) as transaction:
        connection = transaction.connection
        for mailbox_id, uids in doomed.items():
            row = transaction.changing(mailbox_id)
            remove_lines(index, transaction, row, statements.whole_rows(connection, row, uids))
        for mailbox_id in empty[: expiry.batch]:
            row = transaction.row(mailbox_id)
            if not row.messages:
                drop(transaction, index, row)
                removed.append(mailbox_id)
    for mailbox_id in removed:
        index.lock.set_look(mailbox_id, None)
    return Expired(gone, len(removed))


def _named(rows: Iterable[MailboxRow]) -> list[MailboxRow]:
    """Leave out what every account has."""
    return [row for row in rows if row.name != INBOX and not row.special]


def _oldest(index: AccountIndex, row: MailboxRow, limit: int) -> list[tuple[int, int, int]]:
    """Give UID, moment of arrival and size of the oldest messages: UIDs ascend as messages arrive."""
    return index.connection.execute(
        "SELECT id & 4294967295, saved, size FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
        (row.first_id, row.last_id, limit),
    ).fetchall()


def _too_old(index: AccountIndex, rows: Sequence[MailboxRow], expiry: Expiry) -> Doomed:
    doomed: dict[int, list[int]] = {}
    left = expiry.batch
    for row in rows:
        surplus = row.messages - expiry.messages_per_mailbox_max
        for place, (uid, saved, _) in enumerate(_oldest(index, row, left)):
            if place >= surplus and saved >= expiry.before:
                break
            doomed.setdefault(row.mailbox_id, []).append(uid)
            left -= 1
        if not left:
            break
    return doomed


def _too_big(index: AccountIndex, rows: Sequence[MailboxRow], expiry: Expiry) -> Doomed:
    surplus = sum(row.octets for row in rows) - expiry.octets_max
    if not expiry.octets_max or surplus <= 0:
        return {}
    # A share of each mailbox is enough for one batch; what is older elsewhere has its turn in the next one.
    limit = max(1, expiry.batch // 10)
    heads = [[(saved, row.mailbox_id, uid, size) for uid, saved, size in _oldest(index, row, limit)] for row in rows]
    doomed: dict[int, list[int]] = {}
    for place, (_, mailbox_id, uid, size) in enumerate(heapq.merge(*heads)):
        if surplus <= 0 or place >= limit:
            break
        doomed.setdefault(mailbox_id, []).append(uid)
        surplus -= size
    return doomed


def _too_many(index: AccountIndex, rows: Sequence[MailboxRow], expiry: Expiry) -> Doomed:
    named = [row for row in _named(rows) if row.messages]
    surplus = len(named) - expiry.mailboxes_max
    if surplus <= 0:
        return {}
    newest = {row.mailbox_id: _newest(index, row) for row in named}
    left = expiry.batch
    doomed: dict[int, list[int]] = {}
    for row in sorted(named, key=lambda row: newest[row.mailbox_id])[:surplus]:
        uids = [uid for uid, _, _ in _oldest(index, row, left)]
        doomed[row.mailbox_id] = uids
        left -= len(uids)
        if not left:
            break
    return doomed


def _newest(index: AccountIndex, row: MailboxRow) -> int:
    found = index.connection.execute(
        "SELECT saved FROM message WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1", (row.first_id, row.last_id)
    ).fetchone()
    return int(found[0]) if found else 0
