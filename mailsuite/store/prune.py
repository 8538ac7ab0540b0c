"""
Forget old tombstones.

A token is needed until the spool no longer delivers that message, a UID until clients have heard of it. Tombstones bear
no date: once a day it is noted up to which MODSEQ they reach.
"""

from mailsuite.store import statements
from mailsuite.store.index import AccountIndex

DAY_SECONDS = 86_400
AGE_DAYS = 14
"""Longer than anything stays in the spool."""
KEPT = 10_000
"""Tombstones that each mailbox keeps, however old."""
BATCH = 20_000


def prune(index: AccountIndex) -> int:
    """Once a day, remove some of the tombstones that are old enough; return how many."""
    connection = index.connection
    today = int(index.place.clock()) // DAY_SECONDS * DAY_SECONDS
    if connection.execute("SELECT 1 FROM mark WHERE at >= ?", (today,)).fetchone():
        return 0
    if not connection.execute("SELECT 1 FROM expunged").fetchone():
        return 0
    old = today - AGE_DAYS * DAY_SECONDS
    left = BATCH
    with index.writing() as transaction:
        connection = transaction.connection
        connection.execute(
            "INSERT OR REPLACE INTO mark (mailbox, at, modseq)"
            " SELECT mailbox, ?, MAX(modseq) FROM expunged GROUP BY mailbox",
            (today,),
        )
        bounds = connection.execute(
            "SELECT mailbox, MAX(modseq) FROM mark WHERE at <= ? GROUP BY mailbox", (old,)
        ).fetchall()
        for mailbox, modseq in bounds:
            removed = connection.execute(
                "DELETE FROM expunged WHERE id IN (SELECT id FROM expunged WHERE mailbox = ?1 AND modseq <= ?2"
                " AND modseq <= (SELECT modseq FROM expunged WHERE mailbox = ?1 ORDER BY modseq DESC LIMIT 1 OFFSET ?3)"
                " LIMIT ?4) RETURNING modseq",
                (mailbox, modseq, KEPT, left),
            ).fetchall()
            if removed:
                left -= len(removed)
                statements.forget_expunged(connection, mailbox, max(removed)[0])
        connection.execute("DELETE FROM mark WHERE at < (SELECT MAX(at) FROM mark WHERE at <= ?)", (old,))
    return BATCH - left
