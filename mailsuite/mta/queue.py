"""
The queue: tries again what could not be delivered at once, until it is delivered or returned to its sender.

Rows are leased before an attempt and answered after it, in one transaction with whatever follows from the outcome; so
a crash in between repeats the attempt and never forgets it.
"""

import contextlib
import random
import sqlite3
import uuid
from collections.abc import Callable, Sequence

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from mailsuite.envelope import Body as BodyType
from mailsuite.envelope import Envelope, Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IAccounts
from mailsuite.message.header import header_extent
from mailsuite.message.received import return_path_field
from mailsuite.mta import operations, statements
from mailsuite.mta.bounce import RETURNED_HEADER_MAX_OCTETS, Returned, make_report, wants_report
from mailsuite.mta.content import SpoolMessage, Target
from mailsuite.mta.local import is_temporary
from mailsuite.mta.operations import QueueEntry
from mailsuite.mta.relay import Attempt, RelayAgent, SpooledContent
from mailsuite.mta.retry import RetryPlan
from mailsuite.mta.route import NO_ROUTE, find_route, resolve_targets
from mailsuite.mta.settings import QueueSettings, RouteSettings
from mailsuite.mta.spool import Spool
from mailsuite.mta.statements import Pending
from mailsuite.observe import EventLog, background
from mailsuite.smtp.outcome import Outcome, OutcomeState

LEASE_SECONDS = 900
RECORD_AGAIN_SECONDS = 5.0

NO_ROUTE_OUTCOME = Outcome(OutcomeState.DEFERRED, 0, "4.4.4", NO_ROUTE)  # RFC 3463 section 3.5: unable to route
LOCALLY_DELIVERED = Outcome(OutcomeState.DELIVERED, 0, "2.0.0", "delivered")
BROKEN_OUTCOME = Outcome(OutcomeState.DEFERRED, 0, "4.3.0", "the attempt failed here, not there")
UNREADABLE = "the message in the spool cannot be read"
LOCAL_STATUS = {Kind.OVER_QUOTA: "2.2", Kind.NOT_FOUND: "1.1", Kind.TOO_LARGE: "3.4", Kind.DENIED: "7.1"}


def plan_of(settings: QueueSettings, *, reportable: bool = True) -> RetryPlan:
    """
    Say when mail is tried again.

    Args:
        reportable: there is a sender who can be told; other mail lives shorter.
    """
    return RetryPlan(
        first_seconds=settings.retry_first_seconds,
        factor=settings.retry_factor,
        max_seconds=settings.retry_max_seconds,
        lifetime_seconds=settings.lifetime_seconds if reportable else settings.bounce_lifetime_seconds,
    )


@attrs.frozen
class _Result:
    """What is to be recorded for one recipient; `next_attempt` None finishes it."""

    pending: Pending
    target: Target
    outcome: Outcome
    next_attempt: float | None
    host: str = ""

    @property
    def returned(self) -> bool:
        return self.next_attempt is None and self.outcome.state is not OutcomeState.DELIVERED


class QueueService(Service):
    """
    Works on the queue of one spool.

    Args:
        reactor: one that connects and keeps time.
        hostname: what we call ourselves, and the domain of reports.
        attempt: hands a message to the host of a route; None does it over the network.
        jitter: 0 to 1.
    """

    def __init__(
        self,
        spool: Spool,
        accounts: IAccounts,
        settings: QueueSettings,
        routes: Sequence[RouteSettings],
        reactor: IReactorTime,
        *,
        hostname: str,
        attempt: Attempt | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.routes = routes
        self._spool = spool
        self._accounts = accounts
        self._settings = settings
        self._reactor = reactor
        self._hostname = hostname
        self._attempt = attempt or RelayAgent(reactor, hostname)
        self._jitter = jitter
        self._log = EventLog(Logger("mailsuite.mta.queue"))
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor
        self._looking = False
        self._again = False
        self._places: set[tuple[int, int]] = set()
        self._attempts: set[Deferred[None]] = set()
        self._slots: dict[str, DeferredSemaphore] = {}

    def startService(self) -> None:
        """Begin to look at the queue."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self._spool.on_queued = self.poke
        self._spool.retry = plan_of(self._settings)
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
        room = self._settings.attempts_max - len(self._attempts)
        if room <= 0 or self._spool.failing:
            return
        now = int(self._reactor.seconds())
        leased = await self._spool.run(
            lambda connection: statements.lease_due(connection, now, now + LEASE_SECONDS, room)
        )
        by_message: dict[int, list[Pending]] = {}
        for pending in leased:
            if (pending.message_id, pending.n) not in self._places:
                by_message.setdefault(pending.message_id, []).append(pending)
        for message_id, pendings in by_message.items():
            self._begin(message_id, pendings)
        self._again = self._again or len(leased) >= room

    def _begin(self, message_id: int, pendings: Sequence[Pending]) -> None:
        places = {(pending.message_id, pending.n) for pending in pendings}
        self._places |= places
        running = background(self._work(message_id, pendings), self._log, "an attempt of the queue")
        self._attempts.add(running)

        def ended(_: None) -> None:
            self._places -= places
            self._attempts.discard(running)
            if self._again:
                self.poke()

        _ = running.addCallback(ended)

    async def _work(self, message_id: int, pendings: Sequence[Pending]) -> None:
        with contextlib.suppress(CancelledError):  # we stop; the next start takes the lease back
            await self._try_recipients(message_id, pendings)

    async def _try_recipients(self, message_id: int, pendings: Sequence[Pending]) -> None:
        try:
            message = await self._spool.load(message_id)
        except MailError as error:
            if error.kind is not Kind.INVALID:
                return  # it is gone, or the lease lets another look at it later
            await self._record_unreadable(pendings)
            return
        local = [pending for pending in pendings if message.targets[pending.n].is_local]
        remote = [pending for pending in pendings if not message.targets[pending.n].is_local]
        for pending in local:
            await self._record(message, [await self._deliver_locally(message, pending)])
        by_route: dict[RouteSettings | None, list[Pending]] = {}
        for pending in remote:
            route = find_route(self.routes, message.targets[pending.n].address.domain)
            by_route.setdefault(route, []).append(pending)
        for route, group in by_route.items():
            await self._record(message, await self._relay(message, group, route))

    # attempts

    async def _deliver_locally(self, message: SpoolMessage, pending: Pending) -> _Result:
        try:
            current = await self._with_account(message, pending.n)
        except MailError as failure:
            error: Exception | None = failure
        else:
            error = (await self._spool.deliver_again(current, pending.n)).error
        if error is None:
            return self._result(message, pending, LOCALLY_DELIVERED)
        kind = error.kind if isinstance(error, MailError) else Kind.UNAVAILABLE
        temporary = is_temporary(error)
        enhanced = f"{4 if temporary else 5}.{LOCAL_STATUS.get(kind, '2.0')}"
        text = str(error) if isinstance(error, MailError) else "temporary failure of the mailbox"
        state = OutcomeState.DEFERRED if temporary else OutcomeState.FAILED
        return self._result(message, pending, Outcome(state, 0, enhanced, text))

    async def _with_account(self, message: SpoolMessage, n: int) -> SpoolMessage:
        """Look the account up again: its quota may have grown since the message came, or it may be gone."""
        target = message.targets[n]
        account = await self._accounts.find(target.email)
        if account is None:
            raise MailError(Kind.NOT_FOUND, "no such mailbox")
        targets = list(message.targets)
        targets[n] = attrs.evolve(target, account_id=account.account_id, quota_octets=account.quota_octets)
        return attrs.evolve(message, targets=tuple(targets))

    async def _relay(
        self, message: SpoolMessage, group: Sequence[Pending], route: RouteSettings | None
    ) -> list[_Result]:
        if route is None:
            return [self._result(message, pending, NO_ROUTE_OUTCOME) for pending in group]
        targets = [message.targets[pending.n] for pending in group]
        envelope = Envelope(
            sender=attrs.evolve(message.sender, size_octets=0),
            recipients=tuple(
                Recipient(path=target.address, notify=target.notify, original=target.original) for target in targets
            ),
        )
        slots = self._slots.setdefault(route.domain, DeferredSemaphore(self._settings.destination_max))
        content = SpooledContent(message, self._spool.disk, self._spool.lane)
        await slots.acquire()
        try:
            outcomes = list(await self._attempt(route, envelope, content))
            if len(outcomes) != len(group):
                raise ValueError(f"{len(outcomes)} outcomes for {len(group)} recipients")  # noqa: TRY301 - its own bug
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the top of an attempt: whatever it is, the mail is tried again
            self._log.failure("queue.attempt.broken", queue_id=self._spool.queue_id(message.message_id))
            outcomes = [BROKEN_OUTCOME] * len(group)
        finally:
            content.close()
            slots.release()
        return [
            self._result(message, pending, outcome, route.host)
            for pending, outcome in zip(group, outcomes, strict=True)
        ]

    def _result(self, message: SpoolMessage, pending: Pending, outcome: Outcome, host: str = "") -> _Result:
        next_attempt = None
        if outcome.state is OutcomeState.DEFERRED:
            now = self._reactor.seconds()
            plan = plan_of(self._settings, reportable=message.sender.path is not None)
            next_attempt = plan.next_attempt(message.received, pending.tries + 1, now, self._jitter())
        return _Result(pending, message.targets[pending.n], outcome, next_attempt, host)

    # records

    async def _record(self, message: SpoolMessage, results: Sequence[_Result]) -> None:
        results = list(results)
        report = None
        returned = [result for result in results if result.returned]
        if returned:
            try:
                report = await self._make_report(message, returned)
            except MailError:
                # The directory cannot say where the report goes: everything but that waits for a better moment.
                later = self._reactor.seconds() + self._settings.retry_first_seconds
                results = [attrs.evolve(item, next_attempt=later) if item.returned else item for item in results]
        await self._commit(results, [] if report is None else [report])
        self._spool.forget_finished()
        for result in results:
            self._tell(message, result)
        if report is not None:
            self._log.emit(
                "queue.report.queued",
                queue_id=self._spool.queue_id(message.message_id),
                report=self._spool.queue_id(report.message_id),
                sender=str(message.sender.path),
            )
            self.poke()

    async def _commit(self, results: Sequence[_Result], reports: Sequence[SpoolMessage]) -> None:
        """Record results, and go on trying to: forgetting a delivery would repeat it."""
        while True:
            try:
                await self._spool.run(lambda connection: _write_results(connection, results), messages=reports)
            except MailError:
                await deferLater(self._reactor, RECORD_AGAIN_SECONDS)
            else:
                return

    async def _record_unreadable(self, pendings: Sequence[Pending]) -> None:
        later = self._reactor.seconds() + self._settings.retry_max_seconds
        for pending in pendings:
            self._log.emit(
                "spool.message.unreadable", message=pending.message_id, reason="its envelope is not as we write it"
            )

        def record(connection: sqlite3.Connection) -> None:
            for pending in pendings:
                statements.defer(connection, pending.message_id, pending.n, int(later), UNREADABLE)

        await self._spool.run(record)

    def _tell(self, message: SpoolMessage, result: _Result) -> None:
        self._log.emit(
            "queue.recipient.failed"
            if result.returned
            else "queue.recipient.delivered"
            if result.next_attempt is None
            else "queue.recipient.deferred",
            queue_id=self._spool.queue_id(message.message_id),
            recipient=result.pending.address,
            host=result.host,
            code=result.outcome.code,
            text=result.outcome.text,
            tries=result.pending.tries + 1,
        )

    # reports

    async def _make_report(self, message: SpoolMessage, results: Sequence[_Result]) -> SpoolMessage | None:
        sender = message.sender.path
        wanted = [result for result in results if wants_report(result.target)]
        if sender is None or not wanted:
            return None  # a report never answers a report (RFC 5321 section 4.5.5)
        try:
            targets = await resolve_targets(self._accounts, Recipient(path=sender), may_relay=True)
        except MailError as error:
            if is_temporary(error):
                raise
            self._log.emit(
                "queue.report.dropped", queue_id=self._spool.queue_id(message.message_id), sender=str(sender)
            )
            return None
        now = self._reactor.seconds()
        content = make_report(
            hostname=self._hostname,
            sender=sender,
            returned=[
                Returned(item.target, item.outcome, item.host, item.outcome.state is OutcomeState.DEFERRED)
                for item in wanted
            ],
            header=await self._header(message),
            received=message.received,
            now=now,
            envelope_id=message.sender.envelope_id,
            message_id=uuid.uuid4().hex,
        )
        return SpoolMessage(
            message_id=self._spool.take_id(),
            received=int(now),
            sender=Sender(
                path=None,
                body=BodyType.SEVEN_BIT if content.isascii() else BodyType.EIGHT_BIT_MIME,
                smtputf8=not sender.is_ascii,
            ),
            targets=tuple(targets),
            content=content,
            trace_octets=len(return_path_field("")),
        )

    async def _header(self, message: SpoolMessage) -> bytes:
        content = SpooledContent(message, self._spool.disk, self._spool.lane)
        try:
            beginning = await content.read()
        except MailError:
            return b""  # the report is worth more than what it would quote
        finally:
            content.close()
        fields_end, _ = header_extent(beginning, 0, min(len(beginning), RETURNED_HEADER_MAX_OCTETS))
        return beginning[:fields_end]

    # operations

    async def list(self) -> list[QueueEntry]:
        """Give all messages that wait."""
        return await self._spool.run(operations.list_queue)

    async def show(self, queue_id: str) -> QueueEntry:
        """Give one message that waits."""
        return await self._spool.run(lambda connection: operations.show_message(connection, queue_id))

    async def retry(self, queue_id: str) -> None:
        """Try one message now."""
        now = self._reactor.seconds()
        await self._spool.run(lambda connection: operations.retry_message(connection, queue_id, now))
        self.poke()

    async def hold(self, queue_id: str) -> None:
        """Let one message wait until it is released."""
        await self._spool.run(lambda connection: operations.hold_message(connection, queue_id))

    async def release(self, queue_id: str) -> None:
        """Let one message go on."""
        await self._spool.run(lambda connection: operations.release_message(connection, queue_id))
        self.poke()

    async def remove(self, queue_id: str) -> None:
        """Give up one message; nobody is told."""
        await self._spool.run(lambda connection: operations.remove_message(connection, queue_id))
        self._spool.forget_finished()

    async def flush(self) -> int:
        """Try everything now; give the number of recipients."""
        now = self._reactor.seconds()
        count = await self._spool.run(lambda connection: operations.flush_queue(connection, now))
        self.poke()
        return count


def _write_results(connection: sqlite3.Connection, results: Sequence[_Result]) -> None:
    for result in results:
        pending = result.pending
        words = " ".join(part for part in (result.outcome.enhanced, result.outcome.text) if part)
        if result.next_attempt is None:
            statements.finish(connection, pending.message_id, pending.n, words)
        else:
            statements.defer(connection, pending.message_id, pending.n, int(result.next_attempt), words)
