"""
What is done with recipients in the queue that are due: an attempt at each, and a record of how it ended.

The record, and the report to the sender that follows from it, are one transaction; so a crash in between repeats the
attempt and never forgets it.
"""

import contextlib
import math
import random
from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mailsuite.address import Address
from mailsuite.envelope import Envelope, Recipient
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IAccounts
from mailsuite.message.dsn import Action, is_status
from mailsuite.mta.content import SpoolMessage, Target
from mailsuite.mta.forward import delivered_to_field
from mailsuite.mta.local import is_temporary
from mailsuite.mta.queue_store import IQueueStore, Notice, Pending, Record
from mailsuite.mta.relay import BROKEN_OUTCOME, Attempt, Destination, SpooledContent, find_destination
from mailsuite.mta.reports import News, Reports, Restore
from mailsuite.mta.retry import RetryPlan
from mailsuite.mta.settings import QueueSettings, RouteSettings
from mailsuite.mta.spool import Spool
from mailsuite.observe import EventLog
from mailsuite.smtp.outcome import Outcome, OutcomeState

RECORD_AGAIN_SECONDS = 5.0

LOCALLY_DELIVERED = Outcome(OutcomeState.DELIVERED, 0, "2.0.0", "delivered")
EXPANDED = Outcome(OutcomeState.DELIVERED, 0, "2.0.0", "goes on to several addresses")
LOOPED_OUTCOME = Outcome(OutcomeState.FAILED, 0, "5.4.6", "mail forwarding loop")
"""What others say as well; RFC 3463 section 3.5 meant it for failures that pass, and has none for this."""
NOT_TRIED = "nobody could be asked yet"
UNREADABLE = "the message in the spool cannot be read"
LOCAL_STATUS = {Kind.OVER_QUOTA: "2.2", Kind.NOT_FOUND: "1.1", Kind.TOO_LARGE: "3.4", Kind.DENIED: "7.1"}

CLOSING = 421  # RFC 5321 section 4.2.3: service not available, closing transmission channel


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
class Answer:
    """
    What attempts say of a destination.

    Args:
        reached: somebody answered there, or nobody did; None when nothing is known of that.
        words: what was heard, or not.
        is_ours: it is the DNS that did not answer, which may be our own trouble.
    """

    reached: bool | None
    words: str = ""
    is_ours: bool = False


NOT_ASKED = Answer(None)
DNS_FAILED = "4.4.3"  # RFC 3463 section 3.5: directory server failure


def answer_of(outcomes: Sequence[Outcome]) -> Answer:
    """Say what outcomes for some recipients tell of where they go."""
    if all(_is_missed(outcome) for outcome in outcomes):
        ours = all(not outcome.code and outcome.enhanced == DNS_FAILED for outcome in outcomes)
        return Answer(False, outcomes[0].text, is_ours=ours)  # noqa: FBT003 - a value, not a switch
    if any(outcome.code or outcome.state is OutcomeState.DELIVERED for outcome in outcomes):
        return Answer(True)  # noqa: FBT003 - likewise
    return NOT_ASKED


def _is_missed(outcome: Outcome) -> bool:
    if outcome.state is not OutcomeState.DEFERRED:
        return False
    if outcome.code:
        return outcome.code == CLOSING or outcome.enhanced.startswith("4.4.")  # RFC 3463 section 3.5: network
    return not outcome.enhanced.startswith("4.3.")  # RFC 3463 section 3.4: our own system


@attrs.frozen(kw_only=True)
class _Result:
    """
    What is to be recorded for one recipient.

    Args:
        next_attempt: None finishes it.
        attempted: it was tried; otherwise it counts for nothing.
        action: what its sender may be told.
        notice: what the sender knows then; None changes nothing.
    """

    pending: Pending
    target: Target
    outcome: Outcome
    next_attempt: float | None
    attempted: bool = True
    action: Action | None = None
    notice: Notice | None = None
    until: float = 0.0

    @property
    def returned(self) -> bool:
        return self.next_attempt is None and self.outcome.state is not OutcomeState.DELIVERED


class Attempts:
    """
    Attempts at the recipients of one spool.

    Args:
        store: the spool's queue.
        routes: found by domain; may be exchanged while attempts are under way.
        attempt: hands a message to a host of a destination.
        jitter: 0 to 1.
        reported: called when a report was added to the spool.

    Attributes:
        stopping: nothing new is begun; set by the queue.
    """

    def __init__(
        self,
        spool: Spool,
        store: IQueueStore,
        accounts: IAccounts,
        settings: QueueSettings,
        routes: Sequence[RouteSettings],
        reactor: IReactorTime,
        *,
        hostname: str,
        attempt: Attempt,
        reported: Callable[[], None],
        restore: Restore | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.spool = spool
        self.store = store
        self.routes = routes
        self.stopping = False
        self._accounts = accounts
        self._settings = settings
        self._reactor = reactor
        self._attempt = attempt
        self._reported = reported
        self._jitter = jitter
        self._reports = Reports(spool, accounts, settings, reactor, hostname=hostname, restore=restore)
        self._log = EventLog(Logger("mailsuite.mta.queue"))

    async def try_recipients(self, message_id: int, pendings: Sequence[Pending]) -> Answer:
        """Try recipients of one message that were leased, record what came of it, and say what was heard."""
        message, pendings = await self._load(message_id, pendings)
        if message is None:
            return NOT_ASKED
        by_destination: dict[tuple[Destination, Address | None, str], list[Pending]] = {}
        for pending in pendings:
            target = message.targets[pending.n]
            if pending.notice is Notice.DUE:
                await self._record(message, [self._delivered_before(message, pending)])
            elif target.is_notice:
                await self._record(message, [self._result(message, pending, EXPANDED)])
            elif target.is_local:
                await self._record(message, [await self._deliver_locally(message, pending)])
            elif target.looped:
                await self._record(message, [self._result(message, pending, LOOPED_OUTCOME)])
            else:
                destination = find_destination(self.routes, target.address.domain)
                by_destination.setdefault((destination, target.sender, target.forwarder), []).append(pending)
        answer = NOT_ASKED
        for (destination, _, _), group in by_destination.items():
            if self.stopping:
                break
            outcomes = await self._relay(message, group, destination)
            answer = answer_of(outcomes)
            jitter = self._jitter()  # one for all: they stay together
            await self._record(
                message,
                [
                    self._result(message, pending, outcome, jitter)
                    for pending, outcome in zip(group, outcomes, strict=True)
                ],
            )
        return answer

    async def end_waiting(self, message_id: int, pendings: Sequence[Pending]) -> None:
        """Tell the sender of recipients that nobody could try for too long, and give up what is too old."""
        message, pendings = await self._load(message_id, pendings)
        if message is None:
            return
        results = []
        for pending in pendings:
            target = message.targets[pending.n]
            outcome = _last_outcome(pending, OutcomeState.DEFERRED)
            end = self._end(message, pending)
            result = _Result(
                pending=pending,
                target=target,
                outcome=outcome,
                next_attempt=None,
                attempted=False,
                action=Action.FAILED,
            )
            if self._reactor.seconds() < end:
                result = attrs.evolve(
                    result, next_attempt=pending.next, action=Action.DELAYED, notice=Notice.DELAY, until=end
                )
            results.append(result)
        await self._record(message, results)

    async def _load(
        self, message_id: int, pendings: Sequence[Pending]
    ) -> tuple[SpoolMessage | None, Sequence[Pending]]:
        try:
            loaded = await self.store.load(message_id, [pending.n for pending in pendings])
        except MailError as error:
            if error.kind is Kind.INVALID:
                await self._record_unreadable(pendings)
            return None, ()  # it is gone, or the lease lets another look at it later
        waiting = [pending for pending in pendings if pending.n in loaded.places]
        if len(waiting) < len(pendings):  # an operator was faster; what is held is due when it is released
            with contextlib.suppress(MailError):  # the lease ends by itself
                await self.store.give_back([pending for pending in pendings if pending.n not in loaded.places])
        return loaded.message, waiting

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
        return self._result(message, pending, Outcome(state, 0, enhanced, text), self._jitter())

    async def _with_account(self, message: SpoolMessage, n: int) -> SpoolMessage:
        """
        Look the account up again: since the message came its quota may have grown, it may have another address, or it
        may be gone, and somebody else may have the address.
        """
        target = message.targets[n]
        account = await self._accounts.find(target.email)
        if account is None or account.account_id != target.account_id:
            everybody = await self._accounts.list_accounts()
            account = next((each for each in everybody if each.account_id == target.account_id), account)
        if account is None:
            raise MailError(Kind.NOT_FOUND, "no such mailbox")
        targets = list(message.targets)
        targets[n] = attrs.evolve(
            target, account_id=account.account_id, email=account.email, quota_octets=account.quota_octets
        )
        return attrs.evolve(message, targets=tuple(targets))

    async def _relay(
        self, message: SpoolMessage, group: Sequence[Pending], destination: Destination
    ) -> Sequence[Outcome]:
        targets = [message.targets[pending.n] for pending in group]
        envelope = Envelope(
            sender=attrs.evolve(
                message.sender, size_octets=0, release=0, path=targets[0].sender or message.sender.path
            ),
            recipients=tuple(
                Recipient(path=target.address, notify=target.notify, original=target.original) for target in targets
            ),
        )
        opened: list[SpooledContent] = []

        def close_all() -> None:
            while opened:
                opened.pop().close()

        def open_content() -> SpooledContent:
            close_all()  # one is read at a time; a host could have it opened as often as there are recipients
            beginning = delivered_to_field(targets[0].forwarder)
            opened.append(SpooledContent(message, self.spool.disk, self.spool.lane, beginning))
            return opened[-1]

        try:
            outcomes = list(await self._attempt(destination, envelope, open_content))
            if len(outcomes) != len(group):
                raise ValueError(f"{len(outcomes)} outcomes for {len(group)} recipients")  # noqa: TRY301 - its own bug
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - the top of an attempt: whatever it is, the mail is tried again
            self._log.failure("queue.attempt.broken", queue_id=self.spool.queue_id(message.message_id))
            return [BROKEN_OUTCOME] * len(group)
        finally:
            close_all()
        return outcomes

    # results

    def _result(self, message: SpoolMessage, pending: Pending, outcome: Outcome, jitter: float = 0.0) -> _Result:
        target = message.targets[pending.n]
        result = _Result(pending=pending, target=target, outcome=outcome, next_attempt=None)
        match outcome.state:
            case OutcomeState.FAILED:
                return attrs.evolve(result, action=Action.FAILED)
            case OutcomeState.DELIVERED:
                return attrs.evolve(result, action=_success(target, outcome))
        now = self._reactor.seconds()
        plan = plan_of(self._settings, reportable=message.sender.path is not None)
        again = plan.next_attempt(pending.born, pending.tries + 1, now, jitter)
        if again is None:
            return attrs.evolve(result, action=Action.FAILED)
        result = attrs.evolve(result, next_attempt=again, until=self._end(message, pending))
        warn = self._settings.warn_seconds
        if not warn or now < pending.born + warn or pending.notice is not Notice.NONE:
            return result
        return attrs.evolve(result, action=Action.DELAYED, notice=Notice.DELAY)

    def _end(self, message: SpoolMessage, pending: Pending) -> float:
        return pending.born + plan_of(self._settings, reportable=message.sender.path is not None).lifetime_seconds

    def _delivered_before(self, message: SpoolMessage, pending: Pending) -> _Result:
        outcome = _last_outcome(pending, OutcomeState.DELIVERED)
        return attrs.evolve(self._result(message, pending, outcome), attempted=False)

    # records

    async def _record(self, message: SpoolMessage, results: Sequence[_Result]) -> None:
        news = [News(one.target, one.action, one.outcome, one.until) for one in results if one.action is not None]
        reports: Sequence[SpoolMessage] = ()
        try:
            if news:
                reports = await self._reports.write(message, news)
        except Exception as error:  # noqa: BLE001 - whatever it is: what was delivered must not be sent again
            # As when the directory cannot say where reports go: all but what was done waits for a better moment.
            if not isinstance(error, MailError | CancelledError):
                self._log.failure("queue.report.broken", queue_id=self.spool.queue_id(message.message_id))
            results = [self._without_report(message, result) for result in results]
        await self._commit(results, reports)
        for result in results:
            self._tell(message, result)
        for report in reports:
            self._log.emit(
                "queue.report.queued",
                queue_id=self.spool.queue_id(message.message_id),
                report=self.spool.queue_id(report.message_id),
                sender=str(message.sender.path),
            )
        if reports:
            self._reported()

    def _without_report(self, message: SpoolMessage, result: _Result) -> _Result:
        if result.action is None:
            return result
        if result.action is Action.DELAYED:
            return attrs.evolve(result, notice=None)  # the next attempt tells
        now = self._reactor.seconds()
        later = now + self._settings.retry_first_seconds
        if result.returned:
            return attrs.evolve(result, next_attempt=later)
        if now > self._end(message, result.pending) or not result.target.asked_for("SUCCESS"):
            return result
        return attrs.evolve(result, next_attempt=later, notice=Notice.DUE)

    async def _commit(self, results: Sequence[_Result], reports: Sequence[SpoolMessage]) -> None:
        """Record results, and go on trying to: forgetting a delivery would repeat it."""
        now = int(self._reactor.seconds())
        records = [
            Record(
                message_id=result.pending.message_id,
                n=result.pending.n,
                status=_words(result),
                finished=result.next_attempt is None,
                next=None if result.next_attempt is None else math.ceil(result.next_attempt),
                host=result.outcome.host,
                tried=now if result.attempted else None,
                notice=result.notice,
            )
            for result in results
        ]
        while True:
            try:
                await self.store.record(records, reports)
            except MailError:
                await deferLater(self._reactor, RECORD_AGAIN_SECONDS)
            else:
                return

    async def _record_unreadable(self, pendings: Sequence[Pending]) -> None:
        now = self._reactor.seconds()
        for pending in pendings:
            self._log.emit(
                "spool.message.unreadable", message=pending.message_id, reason="its envelope is not as we write it"
            )
        records = [
            Record(
                message_id=pending.message_id,
                n=pending.n,
                status=UNREADABLE,
                next=int(now + self._settings.retry_max_seconds),
                tried=int(now),
                notice=Notice.NOBODY,  # nobody knows who sent it
            )
            for pending in pendings
        ]
        await self.store.record(records, ())

    def _tell(self, message: SpoolMessage, result: _Result) -> None:
        if not result.attempted and not result.returned:
            return
        self._log.emit(
            "queue.recipient.failed"
            if result.returned
            else "queue.recipient.delivered"
            if result.outcome.state is OutcomeState.DELIVERED
            else "queue.recipient.deferred",
            queue_id=self.spool.queue_id(message.message_id),
            recipient=result.pending.address,
            host=result.outcome.host,
            code=result.outcome.code,
            text=result.outcome.text,
            tries=result.pending.tries + result.attempted,
        )


def _success(target: Target, outcome: Outcome) -> Action | None:
    """Say what may be told of a success: nothing where the next hop tells it itself (RFC 3461 section 5.2.2)."""
    if target.is_notice:
        return Action.EXPANDED
    if target.is_local:
        return Action.DELIVERED
    return None if outcome.dsn else Action.RELAYED


def _last_outcome(pending: Pending, state: OutcomeState) -> Outcome:
    """Say how the last attempt ended, as far as that was written down."""
    enhanced, _, text = pending.status.partition(" ")
    if not is_status(enhanced):
        enhanced, text = "", pending.status
    return Outcome(state, 0, enhanced, text or NOT_TRIED, pending.host)


def _words(result: _Result) -> str:
    if not result.attempted:
        return result.pending.status
    return " ".join(part for part in (result.outcome.enhanced, result.outcome.text) if part)
