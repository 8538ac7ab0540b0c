"""The queue as it is kept in the spool's database, by the spool's writer."""

import functools
from collections.abc import Sequence

from zope.interface import implementer

from mailsuite.mta import operations, queue_statements
from mailsuite.mta.content import SpoolMessage
from mailsuite.mta.queue_store import (
    Change,
    Counts,
    DomainCount,
    Fresh,
    IQueueStore,
    Late,
    Leased,
    Loaded,
    Pending,
    QueueEntry,
    Quota,
    Record,
    Selection,
)
from mailsuite.mta.spool import Spool

CHANGE_MAX = 2000
"""Recipients that are changed in one transaction: mail that comes in waits for each."""


@implementer(IQueueStore)
class SpoolQueue:
    """The queue of one spool, which is started."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    async def lease_due(self, now: int, until: int, quota: Quota, after: str) -> Leased:
        """Take recipients that are due."""
        pendings, last = await self._spool.run(
            lambda connection: queue_statements.lease_due(connection, now, until, quota, after)
        )
        return Leased(pendings=pendings, after=last)

    async def lease_fresh(self, now: int, until: int, quota: Quota, after: int) -> Fresh:
        """Take recipients of messages that have just come."""
        return Fresh(
            *await self._spool.run(
                lambda connection: queue_statements.lease_fresh(connection, now, until, quota, after)
            )
        )

    async def lease_late(self, now: int, until: int, late: Late, limit: int) -> Sequence[Pending]:
        """Take recipients that are too old."""
        return await self._spool.run(
            lambda connection: queue_statements.lease_late(connection, now, until, late, limit)
        )

    async def load(self, message_id: int, places: Sequence[int]) -> Loaded:
        """Read a message back; a large body stays in its file."""
        bodies = self._spool.bodies
        return await self._spool.run(lambda connection: operations.load(connection, message_id, places, bodies))

    async def record(self, records: Sequence[Record], reports: Sequence[SpoolMessage]) -> None:
        """Remember results and add reports."""
        await self._spool.run(lambda connection: queue_statements.record(connection, records), messages=reports)
        if any(result.finished for result in records):
            self._spool.forget_finished()

    async def give_back(self, pendings: Sequence[Pending]) -> None:
        """End leases without an attempt."""
        await self._spool.run(lambda connection: queue_statements.give_back(connection, pendings))

    async def list_entries(self, selection: Selection, after: str, limit: int) -> Sequence[QueueEntry]:
        """Give messages in order of arrival."""
        return await self._spool.run(lambda connection: operations.list_entries(connection, selection, after, limit))

    async def change(self, change: Change, selection: Selection, now: int) -> int:
        """Do something to recipients, some at a time."""
        begin = functools.partial(operations.begin_change, change=change, selection=selection)
        condition = await self._spool.run(begin)
        changed = 0
        while True:
            some = await self._spool.run(
                lambda connection: queue_statements.change(connection, change, condition, now, CHANGE_MAX)
            )
            changed += some
            if some < CHANGE_MAX:
                break
        if change is Change.REMOVE and changed:
            self._spool.forget_finished()
        return changed

    async def count(self, selection: Selection) -> Counts:
        """Count what waits or is held."""
        return await self._spool.run(lambda connection: operations.count(connection, selection))

    async def count_domains(self) -> Sequence[DomainCount]:
        """Count by domain."""
        return await self._spool.run(queue_statements.count_domains)
