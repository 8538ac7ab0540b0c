"""
What is done with recipients in the queue that are due: an attempt at each, and a record of how it ended.

The record, and the report to the sender that follows from it, are one transaction; so a crash in between repeats the
attempt and never forgets it.
"""

import random
import sqlite3
import uuid
from collections.abc import Callable, MutableMapping, Sequence

import attrs
from twisted.internet.defer import CancelledError, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mailsuite.address import Address
from mailsuite.envelope import Body as BodyType
from mailsuite.envelope import Envelope, Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IAccounts
from mailsuite.message.header import header_extent
from mailsuite.message.received import return_path_field
from mailsuite.mta import statements
from mailsuite.mta.bounce import RETURNED_HEADER_MAX_OCTETS, Returned, make_report, wants_report
from mailsuite.mta.content import SpoolMessage, Target
from mailsuite.mta.forward import delivered_to_field
from mailsuite.mta.local import is_temporary
from mailsuite.mta.relay import Attempt, Destination, SpooledContent, find_destination
from mailsuite.mta.retry import RetryPlan
from mailsuite.mta.route import resolve_targets
from mailsuite.mta.settings import QueueSettings, RouteSettings
from mailsuite.mta.spool import Spool
from mailsuite.mta.statements import Pending
from mailsuite.observe import EventLog
from mailsuite.smtp.outcome import Outcome, OutcomeState

RECORD_AGAIN_SECONDS = 5.0

LOCALLY_DELIVERED = Outcome(OutcomeState.DELIVERED, 0, "2.0.0", "delivered")
BROKEN_OUTCOME = Outcome(OutcomeState.DEFERRED, 0, "4.3.0", "the attempt failed here, not there")
LOOPED_OUTCOME = Outcome(OutcomeState.FAILED, 0, "5.4.6", "mail forwarding loop")  # RFC 3463 section 3.5
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

    @property
    def returned(self) -> bool:
        return self.next_attempt is None and self.outcome.state is not OutcomeState.DELIVERED


class Attempts:
    """
    Attempts at the recipients of one spool.

    Args:
        routes: found by domain; may be exchanged while attempts are under way.
        attempt: hands a message to a host of a destination.
        slots: by `Destination.key`, shared by all spools: no destination is asked too much at once.
        jitter: 0 to 1.
        reported: called when a report was added to the spool.
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
        attempt: Attempt,
        slots: MutableMapping[str, DeferredSemaphore],
        reported: Callable[[], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.spool = spool
        self.routes = routes
        self._accounts = accounts
        self._settings = settings
        self._reactor = reactor
        self._hostname = hostname
        self._attempt = attempt
        self._slots = slots
        self._reported = reported
        self._jitter = jitter
        self._log = EventLog(Logger("mailsuite.mta.queue"))

    async def try_recipients(self, message_id: int, pendings: Sequence[Pending]) -> None:
        """Try recipients of one message that were leased, and record what came of it."""
        try:
            message = await self.spool.load(message_id)
        except MailError as error:
            if error.kind is not Kind.INVALID:
                return  # it is gone, or the lease lets another look at it later
            await self._record_unreadable(pendings)
            return
        local = [pending for pending in pendings if message.targets[pending.n].is_local]
        remote = [pending for pending in pendings if not message.targets[pending.n].is_local]
        for pending in local:
            await self._record(message, [await self._deliver_locally(message, pending)])
        by_destination: dict[tuple[Destination, Address | None, str], list[Pending]] = {}
        for pending in remote:
            target = message.targets[pending.n]
            if target.looped:
                await self._record(message, [self._result(message, pending, LOOPED_OUTCOME)])
                continue
            destination = find_destination(self.routes, target.address.domain)
            by_destination.setdefault((destination, target.sender, target.forwarder), []).append(pending)
        for (destination, _, _), group in by_destination.items():
            await self._record(message, await self._relay(message, group, destination))

    # attempts

    async def _deliver_locally(self, message: SpoolMessage, pending: Pending) -> _Result:
        try:
            current = await self._with_account(message, pending.n)
        except MailError as failure:
            error: Exception | None = failure
        else:
            error = (await self.spool.deliver_again(current, pending.n)).error
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

    async def _relay(self, message: SpoolMessage, group: Sequence[Pending], destination: Destination) -> list[_Result]:
        targets = [message.targets[pending.n] for pending in group]
        envelope = Envelope(
            sender=attrs.evolve(message.sender, size_octets=0, path=targets[0].sender or message.sender.path),
            recipients=tuple(
                Recipient(path=target.address, notify=target.notify, original=target.original) for target in targets
            ),
        )
        slots = self._slots.setdefault(destination.key, DeferredSemaphore(self._settings.destination_max))
        opened: list[SpooledContent] = []

        def open_content() -> SpooledContent:
            beginning = delivered_to_field(targets[0].forwarder)
            opened.append(SpooledContent(message, self.spool.disk, self.spool.lane, beginning))
            return opened[-1]

        await slots.acquire()
        try:
            outcomes = list(await self._attempt(destination, envelope, open_content))
            if len(outcomes) != len(group):
                raise ValueError(f"{len(outcomes)} outcomes for {len(group)} recipients")  # noqa: TRY301 - its own bug
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the top of an attempt: whatever it is, the mail is tried again
            self._log.failure("queue.attempt.broken", queue_id=self.spool.queue_id(message.message_id))
            outcomes = [BROKEN_OUTCOME] * len(group)
        finally:
            for content in opened:
                content.close()
            slots.release()
        return [self._result(message, pending, outcome) for pending, outcome in zip(group, outcomes, strict=True)]

    def _result(self, message: SpoolMessage, pending: Pending, outcome: Outcome) -> _Result:
        next_attempt = None
        if outcome.state is OutcomeState.DEFERRED:
            now = self._reactor.seconds()
            plan = plan_of(self._settings, reportable=message.sender.path is not None)
            next_attempt = plan.next_attempt(message.received, pending.tries + 1, now, self._jitter())
        return _Result(pending, message.targets[pending.n], outcome, next_attempt)

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
        self.spool.forget_finished()
        for result in results:
            self._tell(message, result)
        if report is not None:
            self._log.emit(
                "queue.report.queued",
                queue_id=self.spool.queue_id(message.message_id),
                report=self.spool.queue_id(report.message_id),
                sender=str(message.sender.path),
            )
            self._reported()

    async def _commit(self, results: Sequence[_Result], reports: Sequence[SpoolMessage]) -> None:
        """Record results, and go on trying to: forgetting a delivery would repeat it."""
        while True:
            try:
                await self.spool.run(lambda connection: _write_results(connection, results), messages=reports)
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

        await self.spool.run(record)

    def _tell(self, message: SpoolMessage, result: _Result) -> None:
        self._log.emit(
            "queue.recipient.failed"
            if result.returned
            else "queue.recipient.delivered"
            if result.next_attempt is None
            else "queue.recipient.deferred",
            queue_id=self.spool.queue_id(message.message_id),
            recipient=result.pending.address,
            host=result.outcome.host,
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
            self._log.emit("queue.report.dropped", queue_id=self.spool.queue_id(message.message_id), sender=str(sender))
            return None
        now = self._reactor.seconds()
        content = make_report(
            hostname=self._hostname,
            sender=sender,
            returned=[
                Returned(item.target, item.outcome, item.outcome.host, item.outcome.state is OutcomeState.DEFERRED)
                for item in wanted
            ],
            header=await self._header(message),
            received=message.received,
            now=now,
            envelope_id=message.sender.envelope_id,
            message_id=uuid.uuid4().hex,
        )
        return SpoolMessage(
            message_id=self.spool.take_id(),
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
        content = SpooledContent(message, self.spool.disk, self.spool.lane)
        try:
            beginning = await content.read()
        except MailError:
            return b""  # the report is worth more than what it would quote
        finally:
            content.close()
        fields_end, _ = header_extent(beginning, 0, min(len(beginning), RETURNED_HEADER_MAX_OCTETS))
        return beginning[:fields_end]


def _write_results(connection: sqlite3.Connection, results: Sequence[_Result]) -> None:
    for result in results:
        pending = result.pending
        words = " ".join(part for part in (result.outcome.enhanced, result.outcome.text) if part)
        if result.next_attempt is None:
            statements.finish(connection, pending.message_id, pending.n, words)
        else:
            statements.defer(connection, pending.message_id, pending.n, int(result.next_attempt), words)
