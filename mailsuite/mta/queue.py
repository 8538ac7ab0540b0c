"""
The queue: tries again what could not be delivered at once, until it is delivered or returned to its sender.

Rows are leased before an attempt and answered after it, in one transaction with whatever follows from the outcome.
"""

import contextlib
import random
from collections.abc import Callable, Sequence

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IAccounts
from mailsuite.mta import operations, statements
from mailsuite.mta.attempt import Attempts, plan_of
from mailsuite.mta.operations import QueueEntry
from mailsuite.mta.relay import Attempt, RelayAgent
from mailsuite.mta.settings import QueueSettings, RouteSettings
from mailsuite.mta.spool import Spool, is_of_spool
from mailsuite.mta.statements import Pending
from mailsuite.observe import EventLog, background

LEASE_SECONDS = 900

_Place = tuple[Attempts, int, int]
"""The queue, the message and the place in its envelope of a recipient that is being tried."""


class QueueService(Service):
    """
    Works on the queues of some spools.

    Args:
        spools: at least one, all started.
        reactor: one that connects and keeps time.
        hostname: what we call ourselves, and the domain of reports.
        attempt: hands a message to the host of a route; None does it over the network.
        jitter: 0 to 1.
    """

    def __init__(
        self,
        spools: Sequence[Spool],
        accounts: IAccounts,
        settings: QueueSettings,
        routes: Sequence[RouteSettings],
        reactor: IReactorTime,
        *,
        hostname: str,
        attempt: Attempt | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        slots: dict[str, DeferredSemaphore] = {}
        self._queues = [
            Attempts(
                spool,
                accounts,
                settings,
                routes,
                reactor,
                hostname=hostname,
                attempt=attempt or RelayAgent(reactor, hostname),
                slots=slots,
                reported=self.poke,
                jitter=jitter,
            )
            for spool in spools
        ]
        self._log = EventLog(Logger("mailsuite.mta.queue"))
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor
        self._looking = False
        self._again = False
        self._places: set[_Place] = set()
        self._attempts: set[Deferred[None]] = set()

    def set_routes(self, routes: Sequence[RouteSettings]) -> None:
        """Use other routes from now on; attempts under way end as they began."""
        for queue in self._queues:
            queue.routes = routes

    def startService(self) -> None:
        """Begin to look at the queue."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        for queue in self._queues:
            queue.spool.on_queued = self.poke
            queue.spool.retry = plan_of(self._settings)
        _ = self._loop.start(self._settings.poll_seconds)

    def stopService(self) -> Deferred[None]:
        """Begin nothing new; fires when all attempts under way have ended, or were given up after a while."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        if self._loop.running:
            self._loop.stop()
        ending = DeferredList(list(self._attempts))
        giving_up = self._reactor.callLater(self._settings.stop_seconds, self._cancel_attempts)

        def ended(_: object) -> None:
            if giving_up.active():
                giving_up.cancel()

        return ending.addCallback(ended)

    def _cancel_attempts(self) -> None:
        for running in list(self._attempts):
            running.cancel()

    def poke(self) -> None:
        """Look at the queue now."""
        if self.running:
            self._look()

    def _look(self) -> None:
        if self._looking:
            self._again = True
            return
        self._looking = True
        looked = background(self._begin_due(), self._log, "looking at the queue")
        _ = looked.addCallback(self._end_look)

    def _end_look(self, _: None) -> None:
        self._looking = False
        if self._again:
            self._again = False
            self.poke()

    async def _begin_due(self) -> None:
        for number, queue in enumerate(self._queues):
            free = self._settings.attempts_max - len(self._attempts)
            room = -(-free // (len(self._queues) - number))  # an equal part; what one leaves is the others'
            if room > 0 and not queue.spool.failing:
                with contextlib.suppress(MailError):  # the others must not wait for it; the next look asks again
                    await self._begin_some(queue, room)

    async def _begin_some(self, queue: Attempts, room: int) -> None:
        now = int(self._reactor.seconds())
        leased = await queue.spool.run(
            lambda connection: statements.lease_due(connection, now, now + LEASE_SECONDS, room)
        )
        by_message: dict[int, list[Pending]] = {}
        for pending in leased:
            if (queue, pending.message_id, pending.n) not in self._places:
                by_message.setdefault(pending.message_id, []).append(pending)
        for message_id, pendings in by_message.items():
            self._begin(queue, message_id, pendings)
        self._again = self._again or len(leased) >= room

    def _begin(self, queue: Attempts, message_id: int, pendings: Sequence[Pending]) -> None:
        places = {(queue, pending.message_id, pending.n) for pending in pendings}
        self._places |= places
        running = background(_work(queue, message_id, pendings), self._log, "an attempt of the queue")
        self._attempts.add(running)

        def ended(_: None) -> None:
            self._places -= places
            self._attempts.discard(running)
            if self._again:
                self.poke()

        _ = running.addCallback(ended)

    # operations

    async def list(self) -> list[QueueEntry]:
        """Give all messages that wait, oldest first."""
        entries = [entry for queue in self._queues for entry in await queue.spool.run(operations.list_queue)]
        return sorted(entries, key=lambda entry: entry.received)

    async def count(self) -> int:
        """Count the messages that wait."""
        counts = [await queue.spool.run(statements.count_pending) for queue in self._queues]
        return sum(counts)

    async def show(self, queue_id: str) -> QueueEntry:
        """Give one message that waits."""
        return await self._find(queue_id).run(lambda connection: operations.show_message(connection, queue_id))

    async def retry(self, queue_id: str, *, by: str = operations.AN_OPERATOR) -> None:
        """Try one message now; `by` is who asks."""
        now = self._reactor.seconds()
        await self._find(queue_id).run(lambda connection: operations.retry_message(connection, queue_id, now))
        self._log.emit("queue.message.retried", queue_id=queue_id, by=by)
        self.poke()

    async def hold(self, queue_id: str, *, by: str = operations.AN_OPERATOR) -> None:
        """Let one message wait until it is released."""
        await self._find(queue_id).run(lambda connection: operations.hold_message(connection, queue_id))
        self._log.emit("queue.message.held", queue_id=queue_id, by=by)

    async def release(self, queue_id: str, *, by: str = operations.AN_OPERATOR) -> None:
        """Let one message go on."""
        await self._find(queue_id).run(lambda connection: operations.release_message(connection, queue_id))
        self._log.emit("queue.message.released", queue_id=queue_id, by=by)
        self.poke()

    async def remove(self, queue_id: str, *, by: str = operations.AN_OPERATOR) -> None:
        """Give up one message; nobody is told."""
        spool = self._find(queue_id)
        await spool.run(lambda connection: operations.remove_message(connection, queue_id))
        self._log.emit("queue.message.removed", queue_id=queue_id, by=by)
        spool.forget_finished()

    async def flush(self) -> int:
        """Try everything now; give the number of recipients."""
        now = self._reactor.seconds()
        count = 0
        for queue in self._queues:
            count += await queue.spool.run(lambda connection: operations.flush_queue(connection, now))
        self.poke()
        return count

    def _find(self, queue_id: str) -> Spool:
        for queue in self._queues:
            if is_of_spool(queue.spool.uuid, queue_id):
                return queue.spool
        raise MailError(Kind.NOT_FOUND, "there is no such message in the queue")


async def _work(queue: Attempts, message_id: int, pendings: Sequence[Pending]) -> None:
    with contextlib.suppress(CancelledError):  # we stop; the next start takes the lease back
        await queue.try_recipients(message_id, pendings)
