"""
The queue's SQL, in named functions that run inside a transaction of their caller.

The states are written as numbers, so that SQLite finds the indexes that hold only recipients in one of them.
"""

import itertools
import sqlite3
from collections.abc import Iterable, Sequence

from mailsuite.mta.queue_store import (
    NOW,
    Change,
    Counts,
    DomainCount,
    Late,
    Notice,
    Pending,
    Quota,
    Record,
    State,
)
from mailsuite.mta.statements import bounded_text

DOMAINS_MAX = 1000
"""Domains that are looked at in one transaction."""
ROWS_MAX = 1000
"""Recipients of one domain that are leased in one transaction; further ones of a message follow in another attempt."""

AFTER_HERE = " "
"""Comes after `HERE` and before every domain."""

REMOVED = "removed by the operator"

_PENDING = "SELECT message, n, address, domain, state, born, next, tries, status, host, tried, notice FROM recipient"


def forget_leases(connection: sqlite3.Connection) -> None:
    """Give back what a process that is gone had leased."""
    connection.execute("UPDATE recipient SET lease = 0 WHERE lease <> 0")


# leases


def due_domains(connection: sqlite3.Connection, after: str) -> list[tuple[str, int]]:
    """
    Give domains for which something waits, in order, each with the time of what is due first; at most `DOMAINS_MAX`.

    The index is asked for one domain after the other, whatever the number of their recipients.

    Args:
        after: the domain before the first one; empty for the beginning.
    """
    first = ">" if after else ">="
    query = f"""
        WITH RECURSIVE waiting (domain) AS (
            SELECT (SELECT min(domain) FROM recipient WHERE state = 0 AND domain {first} ?)
            UNION ALL
            SELECT (SELECT min(domain) FROM recipient WHERE state = 0 AND domain > waiting.domain)
            FROM waiting WHERE waiting.domain IS NOT NULL LIMIT ?
        )
        SELECT domain, (SELECT min(next) FROM recipient WHERE state = 0 AND domain = waiting.domain)
        FROM waiting WHERE domain IS NOT NULL
    """  # noqa: S608 - our own names
    return connection.execute(query, (after, DOMAINS_MAX)).fetchall()


def lease_due(
    connection: sqlite3.Connection, now: int, until: int, quota: Quota, after: str
) -> tuple[list[Pending], str | None]:
    """Take what `quota` allows, and say how far the search came; see `mailsuite.mta.queue_store.IQueueStore`."""
    domains = due_domains(connection, after)
    taken: list[Pending] = []
    for domain, earliest in domains:
        if earliest > now:
            continue
        room = quota.room(domain, urgent=earliest == NOW)
        if room > 0:
            # While a destination is paused, only what the operator asked for may go.
            before = now if quota.room(domain, urgent=False) > 0 else NOW
            pendings = _take(connection, domain, before, now, until, room)
            quota.take(domain, len({pending.message_id for pending in pendings}))
            taken.extend(pendings)
        if quota.is_exhausted():
            return taken, domain or AFTER_HERE
    return taken, (domains[-1][0] or AFTER_HERE) if len(domains) == DOMAINS_MAX else None


def lease_fresh(
    connection: sqlite3.Connection, now: int, until: int, quota: Quota, after: int
) -> tuple[list[Pending], int]:
    """Take what `quota` allows of messages that came after `after`, and give the last message there is."""
    (last,) = connection.execute("SELECT COALESCE(max(message), 0) FROM recipient").fetchone()
    taken: list[Pending] = []
    if last > after:
        rows = connection.execute(
            f"{_PENDING} WHERE message > ? AND state = 0 AND next <= ? AND lease <= ? ORDER BY message, n LIMIT ?",
            (after, now, now, ROWS_MAX),
        )
        for _, group in itertools.groupby(
            map(_pending, rows), key=lambda pending: (pending.message_id, pending.domain)
        ):
            pendings = list(group)
            domain = pendings[0].domain
            if quota.room(domain, urgent=False) > 0:
                quota.take(domain, 1)
                taken.extend(pendings)
            if quota.is_exhausted():
                break
        rows.close()
        _lease(connection, taken, until)
    return taken, max(last, after)


def _take(
    connection: sqlite3.Connection, domain: str, before: int, now: int, until: int, messages: int
) -> list[Pending]:
    rows = connection.execute(
        f"{_PENDING} WHERE state = 0 AND domain = ? AND next <= ? AND lease <= ? ORDER BY next, message, n LIMIT ?",
        (domain, before, now, ROWS_MAX),
    )
    wanted: set[int] = set()
    taken = []
    for row in rows:
        if row[0] not in wanted:
            if len(wanted) == messages:
                break
            wanted.add(row[0])
        taken.append(_pending(row))
    rows.close()
    _lease(connection, taken, until)
    return taken


def lease_late(connection: sqlite3.Connection, now: int, until: int, late: Late, limit: int) -> list[Pending]:
    """Take recipients that are too old, the oldest first."""
    due_before = "next > 0 AND next <= ?"
    query = f"""
        {_PENDING} WHERE state = 0 AND notice = 0 AND lease <= ? AND born <= ? AND born > ?
        UNION {_PENDING} WHERE state = 0 AND notice = 1 AND lease <= ? AND born <= ? AND {due_before}
        UNION {_PENDING} WHERE state = 0 AND notice = 0 AND lease <= ? AND born <= ? AND {due_before}
        UNION {_PENDING} WHERE state = 0 AND notice = 2 AND lease <= ? AND born <= ? AND {due_before}
        ORDER BY born, message, n LIMIT ?
    """
    rows = connection.execute(
        query,
        (
            *(now, late.warn, late.expire),
            *(now, late.expire, late.idle),
            *(now, late.expire, late.idle),
            *(now, late.expire_null, late.idle),
            limit,
        ),
    )
    taken = [_pending(row) for row in rows]
    _lease(connection, taken, until)
    return taken


def _lease(connection: sqlite3.Connection, pendings: Iterable[Pending], until: int) -> None:
    connection.executemany(
        "UPDATE recipient SET lease = ? WHERE message = ? AND n = ?",
        [(until, pending.message_id, pending.n) for pending in pendings],
    )


def give_back(connection: sqlite3.Connection, pendings: Iterable[Pending]) -> None:
    """End leases without an attempt."""
    _lease(connection, pendings, 0)


def waiting_places(connection: sqlite3.Connection, message_id: int, places: Sequence[int]) -> frozenset[int]:
    """Say which of some recipients of a message still wait."""
    rows = connection.execute("SELECT n FROM recipient WHERE message = ? AND state = 0", (message_id,))
    return frozenset(places) & {n for (n,) in rows}


# results


def record(connection: sqlite3.Connection, records: Iterable[Record]) -> None:
    """Remember how attempts ended; what was held meanwhile stays held, what was removed stays removed."""
    for result in records:
        counted = result.tried is not None
        connection.execute(
            "UPDATE recipient SET state = CASE WHEN ? THEN 2 ELSE state END, next = COALESCE(?, next), lease = 0, "
            "status = ?, tries = tries + ?, host = COALESCE(?, host), tried = COALESCE(?, tried), "
            "notice = COALESCE(?, notice) WHERE message = ? AND n = ? AND state <> 2",
            (
                result.finished,
                result.next,
                bounded_text(result.status),
                int(counted),
                bounded_text(result.host) if counted else None,
                result.tried,
                result.notice,
                result.message_id,
                result.n,
            ),
        )


# what an operator sees and does


class Condition:
    """
    Which recipients are meant, as SQL.

    Args:
        message_id: 0 for those of any message.
    """

    def __init__(self, *, message_id: int = 0, domain: str = "", sender: str = "", state: State | None = None) -> None:
        terms = ["state <> 2"]
        values: list[object] = []
        if message_id:
            terms.append("message = ?")
            values.append(message_id)
        if domain:
            # Rows for our own mailboxes have no domain but that of their address.
            terms.append("(domain = ? OR (domain = '' AND lower(substr(address, ?)) = ?))")
            values.extend((domain, -len(domain) - 1, f"@{domain}"))
        if sender:
            terms.append("sender = ? COLLATE NOCASE")
            values.append("" if sender == "<>" else sender)
        if state is not None:
            terms.append("state = ?")
            values.append(int(state))
        self.sql = " AND ".join(terms)
        self.values = tuple(values)


def select_messages(connection: sqlite3.Connection, condition: Condition, after: int, limit: int) -> list[int]:
    """Give messages with such recipients, in order of their ids."""
    rows = connection.execute(
        f"SELECT DISTINCT message FROM recipient WHERE {condition.sql} AND message > ? ORDER BY message LIMIT ?",  # noqa: S608 - our own names
        (*condition.values, after, limit),
    )
    return [message_id for (message_id,) in rows]


def select_recipients(connection: sqlite3.Connection, condition: Condition, message_id: int) -> list[Pending]:
    """Give such recipients of one message in order."""
    rows = connection.execute(
        f"{_PENDING} WHERE {condition.sql} AND message = ? ORDER BY n", (*condition.values, message_id)
    )
    return [_pending(row) for row in rows]


def count(connection: sqlite3.Connection, condition: Condition) -> Counts:
    """Count messages and recipients."""
    query = f"SELECT COUNT(DISTINCT message), COUNT(*) FROM recipient WHERE {condition.sql}"  # noqa: S608 - our own names
    messages, recipients = connection.execute(query, condition.values).fetchone()
    return Counts(messages=messages, recipients=recipients)


def count_domains(connection: sqlite3.Connection) -> list[DomainCount]:
    """Count by domain, the longest queue first."""
    rows = connection.execute(
        "SELECT domain, sum(state = 0), sum(state = 1), min(born), COALESCE(min(CASE state WHEN 0 THEN next END), 0), "
        "max(status) FROM recipient WHERE state <> 2 GROUP BY domain ORDER BY count(*) DESC, domain"
    )
    return [
        DomainCount(domain=domain, waiting=waiting, held=held, oldest=oldest, next_attempt=next_try, status=status)
        for domain, waiting, held, oldest, next_try, status in rows
    ]


def change(connection: sqlite3.Connection, change_: Change, condition: Condition, now: int, limit: int) -> int:
    """
    Do something to at most so many recipients; give their number. Asked again, it goes on with others.

    Args:
        condition: one that names a message asks for urgency when it is to be tried again.
    """
    named = "message = ?" in condition.sql
    values: tuple[object, ...] = ()
    match change_:
        case Change.RETRY if named:
            assignment, more = f"next = {NOW}", f"state = 0 AND next <> {NOW}"
        case Change.RETRY:
            assignment, more = f"next = {now:d}", f"state = 0 AND next > {now:d} AND born <= {now:d}"
        case Change.HOLD:
            assignment, more = "state = 1", "state = 0"
        case Change.RELEASE:
            assignment, more = f"state = 0, next = max({now:d}, born)", "state = 1"
        case Change.REMOVE:
            assignment, more, values = "state = 2, lease = 0, status = ?", "state <> 2", (REMOVED,)
    changed = connection.execute(
        f"UPDATE recipient SET {assignment} WHERE (message, n) IN "  # noqa: S608 - our own names
        f"(SELECT message, n FROM recipient WHERE {condition.sql} AND {more} LIMIT ?)",
        (*values, *condition.values, limit),
    )
    return changed.rowcount


def _pending(row: tuple[int, int, str, str, int, int, int, int, str, str, int, int]) -> Pending:
    message_id, n, address, domain, state, born, next_try, tries, status, host, tried, notice = row
    return Pending(
        message_id, n, address, domain, State(state), born, next_try, tries, status, host, tried, Notice(notice)
    )
