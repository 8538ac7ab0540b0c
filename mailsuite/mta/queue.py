"""
The queue: tries again what could not be delivered at once, until it is delivered or returned to its sender.

Rows are leased before an attempt and answered after it, in one transaction with whatever follows from the outcome.
What is leased becomes sequences: some messages for one destination, one after the other, so that one connection serves
them. `mailsuite.mta.destinations` says how many there may be, and of whom.
"""

import contextlib
import functools
import itertools
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IAccounts
from mailsuite.mta.attempt import Answer, Attempts, plan_of
from mailsuite.mta.destinations import Destinations, Pause
from mailsuite.mta.operations import AN_OPERATOR, NOT_QUEUED, merge_domains, merge_entries, tell_changed
from mailsuite.mta.queue_store import HERE, NOW, Change, Counts, DomainCount, Late, Pending, QueueEntry, Selection
from mailsuite.mta.relay import Attempt, RelayAgent, find_destination
from mailsuite.mta.reports import Restore
from mailsuite.mta.settings import QueueSettings, RouteSettings
from mailsuite.mta.spool import Spool, is_of_spool
from mailsuite.mta.spool_queue import SpoolQueue
from mailsuite.observe import EventLog, background

LEASE_SECONDS = 900
LATE_EVERY_SECONDS = 60.0
LATE_MESSAGES_MAX = 200
IDLE_SECONDS = 900
"""What is too old and was due so long without an attempt gets none."""
NEVER = -1
KEYS_MAX = 10_000

ALL = Selection()

_Place = tuple[Attempts, int, int]
"""The queue, the message and the place in its envelope of a recipient that is being tried."""


@attrs.frozen(eq=False)
class _Job:
    """Recipients of one message for one destination."""

    queue: Attempts
    message_id: int
    pendings: Sequence[Pending]

    @property
    def urgent(self) -> bool:
        return any(pending.next == NOW for pending in self.pendings)

    def places(self) -> set[_Place]:
        return {(self.queue, pending.message_id, pending.n) for pending in self.pendings}


class QueueService(Service):
    """
    Works on the queues of some spools.

    Args:
        spools: at least one, all started.
        reactor: one that connects and keeps time.
        hostname: what we call ourselves, and the domain of reports.
        attempt: hands a message to the host of a route; None does it over the network.
        restore: says where reports to reverse-paths of ours go; see `mailsuite.mta.reports.Reports`.
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
        restore: Restore | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self.destinations = Destinations(settings, reactor.seconds, jitter)
        self._queues = [
            Attempts(
                spool,
                SpoolQueue(spool),
                accounts,
                settings,
                routes,
                reactor,
                hostname=hostname,
                attempt=attempt or RelayAgent(reactor, hostname),
                reported=self.poke,
                restore=restore,
                jitter=jitter,
            )
            for spool in spools
        ]
        self._key_of = _keys(routes)
        self._log = EventLog(Logger("mailsuite.mta.queue"))
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor
        self._looking = False
        self._again = False
        self._first = 0
        self._after: dict[Attempts, str] = {}
        self._last: dict[Attempts, int] = {}
        self._late_again = 0.0
        self._began = 0.0
        self._places: set[_Place] = set()
        self._attempts: set[Deferred[None]] = set()

    def set_routes(self, routes: Sequence[RouteSettings]) -> None:
        """Use other routes from now on; attempts under way end as they began."""
        for queue in self._queues:
            queue.routes = routes
        self._key_of = _keys(routes)
        self.destinations.open()

    def startService(self) -> None:
        """Begin to look at the queue."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        for queue in self._queues:
            queue.stopping = False
            queue.spool.on_queued = self.poke
            queue.spool.retry = plan_of(self._settings)
        self._began = self._reactor.seconds()
        self._late_again = self._began + LATE_EVERY_SECONDS
        _ = self._loop.start(self._settings.poll_seconds)

    def stopService(self) -> Deferred[None]:
        """Begin nothing new; fires when all attempts under way have ended, or were given up after a while."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        if self._loop.running:
            self._loop.stop()
        for queue in self._queues:
            queue.stopping = True
        ending = DeferredList(list(self._attempts))
        # Again and again: what was cancelled while it recorded something may wait for a disk that fails.
        giving_up = LoopingCall(self._cancel_attempts)
        giving_up.clock = self._reactor
        _ = giving_up.start(self._settings.stop_seconds, now=False)

        def ended(_: object) -> None:
            giving_up.stop()

        return ending.addCallback(ended)

    def _cancel_attempts(self) -> None:
        for running in list(self._attempts):
            running.cancel()

    def poke(self) -> None:
        """Look at the queue now."""
        if self.running:
            self._look()

    def open_destinations(self, domains: Iterable[str] | None = None) -> None:
        """End the pauses of these domains' destinations, or of all, and look at the queue."""
        self.destinations.open(None if domains is None else [self._key_of(domain) for domain in domains])
        self.poke()

    # what is due

    def _look(self) -> None:
        self._again = True
        if not self._looking:
            self._looking = True
            _ = background(self._begin_all(), self._log, "looking at the queue").addCallback(self._end_look)

    def _end_look(self, _: None) -> None:
        self._looking = False

    async def _begin_all(self) -> None:
        while self._again and self.running:
            self._again = False
            await self._begin_due()

    async def _begin_due(self) -> None:
        if self._reactor.seconds() >= self._late_again:
            self._late_again = self._reactor.seconds() + LATE_EVERY_SECONDS
            await self._begin_late()
        # Each has an equal part of what is free; what one leaves is the others'. Another one begins each time.
        queues = self._queues[self._first :] + self._queues[: self._first]
        self._first = (self._first + 1) % len(queues)
        for number, queue in enumerate(queues):
            if not queue.spool.failing:
                with contextlib.suppress(MailError):  # the others must not wait for it; the next look asks again
                    await self._begin_fresh(queue, len(queues) - number)
                    if await self._go_round(queue, len(queues) - number, first=True):
                        _ = await self._go_round(queue, len(queues) - number, first=False)

    async def _begin_fresh(self, queue: Attempts, parts: int) -> None:
        """Begin with what has just come, before what has failed or waited already."""
        after = self._last.get(queue, queue.spool.last_id)
        quota = self.destinations.quota(self._key_of, parts=parts, fresh=True)
        now = int(self._reactor.seconds())
        fresh = await queue.store.lease_fresh(now, now + LEASE_SECONDS, quota, after)
        self._last[queue] = fresh.last
        self._begin(queue, fresh.pendings)

    async def _go_round(self, queue: Attempts, parts: int, *, first: bool) -> bool:
        """
        Give each domain of a queue its turn, beginning after the last one that had it; say whether any had.

        Args:
            first: each gets something, before any gets more.
        """
        start = after = self._after.get(queue, "")
        wrapped = not start
        any_leased = False
        while self.running:
            quota = self.destinations.quota(self._key_of, parts=parts, first=first)
            if quota.is_exhausted():
                break  # the end of an attempt brings the next look
            now = int(self._reactor.seconds())
            leased = await queue.store.lease_due(now, now + LEASE_SECONDS, quota, after)
            if leased.pendings:
                any_leased = True
                self._after[queue] = leased.pendings[-1].domain
                self._begin(queue, leased.pendings)
            after = leased.after or ""
            if leased.after is None:
                if wrapped:
                    break
                wrapped = True
            elif quota.is_exhausted() or (wrapped and start and after >= start):
                break
        return any_leased

    def _begin(self, queue: Attempts, pendings: Iterable[Pending]) -> None:
        grouped: dict[str, dict[int, list[Pending]]] = {}
        for pending in self._ours(queue, pendings):
            key = HERE if pending.domain == HERE else self._key_of(pending.domain)
            grouped.setdefault(key, {}).setdefault(pending.message_id, []).append(pending)
        for key, messages in grouped.items():
            jobs = [_Job(queue, message_id, group) for message_id, group in messages.items()]
            for sequence in _batches(jobs, self.destinations.sequence_messages(key)):
                self._begin_sequence(key, sequence)

    def _ours(self, queue: Attempts, pendings: Iterable[Pending]) -> Sequence[Pending]:
        """
        Leave out what belongs to a sequence that has not ended, and give it back: the next look may find it free.

        That is due again already when its pause is shorter than the rest of its sequence.
        """
        ours: list[Pending] = []
        theirs: list[Pending] = []
        for pending in pendings:
            taken = (queue, pending.message_id, pending.n) in self._places
            (theirs if taken else ours).append(pending)
        if theirs:
            _ = background(_end_leases(queue, theirs), self._log, "giving back what is under way")
        return ours

    def _begin_sequence(self, key: str, jobs: Sequence[_Job]) -> None:
        self.destinations.begin(key)
        self._start(jobs, self._work(key, jobs), "attempts of the queue", lambda: self.destinations.end(key))

    def _start(
        self, jobs: Sequence[_Job], work: Coroutine[Any, Any, None], what: str, finish: Callable[[], None]
    ) -> None:
        """Begin to work on jobs, which nobody else begins meanwhile; `finish` is called in the end."""
        places: set[_Place] = set().union(*(job.places() for job in jobs))
        self._places |= places
        running = background(work, self._log, what)
        self._attempts.add(running)

        def ended(_: None) -> None:
            self._places -= places
            self._attempts.discard(running)
            finish()
            self.poke()

        _ = running.addCallback(ended)

    async def _work(self, key: str, jobs: Sequence[_Job]) -> None:
        with contextlib.suppress(CancelledError):  # we stop; the next start takes the lease back
            for number, job in enumerate(jobs):
                if not self.running or ((number or not job.urgent) and self.destinations.is_paused(key)):
                    await self._give_back(jobs[number:])
                    return
                self._note(key, await job.queue.try_recipients(job.message_id, job.pendings))

    async def _give_back(self, jobs: Sequence[_Job]) -> None:
        await _end_leases(jobs[0].queue, [pending for job in jobs for pending in job.pendings])

    def _note(self, key: str, answer: Answer) -> None:
        if answer.reached is True:
            if self.destinations.reached(key):
                self._log.emit("queue.destination.resumed", destination=key)
        elif answer.reached is False:
            pause = self.destinations.missed(key, answer.words, grows=not answer.is_ours)
            if pause is not None:
                self._log.emit(
                    "queue.destination.paused",
                    destination=key,
                    failures=pause.failures,
                    seconds=int(pause.until - self._reactor.seconds()),
                    text=pause.words,
                )

    # what is late

    async def _begin_late(self) -> None:
        now = int(self._reactor.seconds())
        settings = self._settings
        late = Late(
            warn=now - int(settings.warn_seconds) if settings.warn_seconds else NEVER,
            expire=now - int(settings.lifetime_seconds),
            expire_null=now - int(settings.bounce_lifetime_seconds),
            # Nothing is idle that could not be tried because no server ran.
            idle=now - IDLE_SECONDS if now - self._began >= IDLE_SECONDS else NEVER,
        )
        for queue in self._queues:
            if queue.spool.failing:
                continue
            with contextlib.suppress(MailError):  # in a minute again
                pendings = await queue.store.lease_late(now, now + LEASE_SECONDS, late, LATE_MESSAGES_MAX)
                if len(pendings) == LATE_MESSAGES_MAX:
                    self._late_again = 0.0
                    self._again = True
                grouped: dict[int, list[Pending]] = {}
                for pending in self._ours(queue, pendings):
                    grouped.setdefault(pending.message_id, []).append(pending)
                jobs = [_Job(queue, message_id, group) for message_id, group in grouped.items()]
                if jobs and self.running:
                    self._start(jobs, _end_waiting(jobs), "mail that waits too long", lambda: None)

    # operations

    async def list(self, selection: Selection = ALL, limit: int = 1000) -> Sequence[QueueEntry]:
        """Give messages that wait, oldest first."""
        pages = [await queue.store.list_entries(selection, "", limit) for queue in self._meant(selection)]
        return [*itertools.islice(merge_entries(pages), limit)]

    async def count(self, selection: Selection = ALL) -> Counts:
        """Count what waits or is held."""
        counts = [await queue.store.count(selection) for queue in self._meant(selection)]
        return Counts(
            messages=sum(each.messages for each in counts), recipients=sum(each.recipients for each in counts)
        )

    async def count_domains(self) -> Sequence[DomainCount]:
        """Count by domain, the longest queue first."""
        return merge_domains([each for queue in self._queues for each in await queue.store.count_domains()])

    async def show(self, queue_id: str) -> QueueEntry:
        """Give one message that waits."""
        for entry in await self.list(Selection(queue_id=queue_id)):
            return entry
        raise MailError(Kind.NOT_FOUND, NOT_QUEUED)

    async def change(self, change: Change, selection: Selection, *, by: str = AN_OPERATOR) -> int:
        """Do something to recipients; give the number of those changed. `by` is who asks."""
        now = int(self._reactor.seconds())
        changed = 0
        for queue in self._meant(selection):
            changed += await queue.store.change(change, selection, now)
        if selection.queue_id:
            tell_changed(self._log, change, selection.queue_id.strip().upper(), by)
        if change is Change.RETRY and not selection.queue_id:
            self.open_destinations([selection.domain] if selection.domain else None)
        else:
            self.poke()
        return changed

    def pauses(self) -> Sequence[Pause]:
        """List the destinations that are left alone now, the worst first."""
        return self.destinations.pauses()

    def _meant(self, selection: Selection) -> Sequence[Attempts]:
        if not selection.queue_id:
            return self._queues
        for queue in self._queues:
            if is_of_spool(queue.spool.uuid, selection.queue_id):
                return [queue]
        raise MailError(Kind.NOT_FOUND, NOT_QUEUED)


async def _end_leases(queue: Attempts, pendings: Sequence[Pending]) -> None:
    with contextlib.suppress(MailError):  # the lease ends by itself
        await queue.store.give_back(pendings)


async def _end_waiting(jobs: Sequence[_Job]) -> None:
    with contextlib.suppress(CancelledError):  # we stop; the next start takes the lease back
        for job in jobs:
            await job.queue.end_waiting(job.message_id, job.pendings)


def _keys(routes: Sequence[RouteSettings]) -> Callable[[str], str]:
    """Make the function that gives the destination of a domain."""

    @functools.lru_cache(maxsize=KEYS_MAX)
    def key_of(domain: str) -> str:
        return find_destination(routes, domain).key

    return key_of


def _batches(jobs: Sequence[_Job], size: int) -> Iterable[Sequence[_Job]]:
    return (jobs[start : start + size] for start in range(0, len(jobs), size))
