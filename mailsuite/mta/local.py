"""
Local delivery: from the spool into the store, and what is known of it until it has survived.

Called from the writer's thread, the store's threads and the sweeper's; one lock guards what they share.
"""

import threading
from collections.abc import Callable, Collection, Sequence

import attrs
from twisted.internet.defer import Deferred

from mailsuite.address import Address
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Body, IDeliveryStore, LocalDelivery, LocalOutcome
from mailsuite.mta.content import SpoolMessage

TEMPORARY = frozenset({Kind.OVER_QUOTA, Kind.UNAVAILABLE, Kind.CONFLICT})


def is_temporary(error: Exception) -> bool:
    """Whether a delivery that failed so is tried again; what nobody foresaw is our fault, and never returns mail."""
    return not isinstance(error, MailError) or error.kind in TEMPORARY


@attrs.frozen(kw_only=True)
class FailedDelivery:
    """A local target whose first delivery failed."""

    message_id: int
    n: int
    address: str
    sender: Address | None
    received: int
    error: Exception


@attrs.frozen
class Confirmation:
    """A later delivery that succeeded; who waits is told when it has been synced."""

    deferred: Deferred[LocalOutcome]
    outcome: LocalOutcome


@attrs.define(kw_only=True)
class Settled:
    """What the next sync makes durable."""

    message_ids: list[int] = attrs.Factory(list)
    confirmations: list[Confirmation] = attrs.Factory(list)

    def __bool__(self) -> bool:
        return bool(self.message_ids or self.confirmations)


@attrs.frozen(kw_only=True)
class _Waiting:
    message_id: int
    n: int
    address: str
    email: str
    sender: Address | None
    received: int
    deferred: Deferred[LocalOutcome] | None


class LocalAgent:
    """
    Delivers to our own mailboxes (an MDA in the words of RFC 5598 section 4.3.3).

    Args:
        name: of the spool, in every delivery id.
        defer: told of first deliveries that failed, in a store thread; it calls `recorded` when that is durable.
        fire: runs a callable in the reactor.
        tell: told of each delivery in a store thread: message, address as the sender wrote it, account, mailbox.
    """

    def __init__(
        self,
        name: str,
        store: IDeliveryStore,
        *,
        defer: Callable[[Sequence[FailedDelivery]], None],
        fire: Callable[..., object],
        tell: Callable[[int, str, str, str], object] = lambda *_: None,
    ) -> None:
        self._name = name
        self._store = store
        self._defer = defer
        self._fire = fire
        self._tell = tell
        self._lock = threading.Lock()
        self._waiting: dict[str, _Waiting] = {}
        self._open: dict[int, int] = {}
        self._settled = Settled()
        self._reported: Callable[[Sequence[LocalOutcome]], None] = self._report  # one object: stores group by it

    def delivery_id(self, message_id: int, n: int) -> str:
        """Name the delivery of one message to one target, for ever."""
        return f"{self._name}-{message_id:x}-{n:x}"

    def deliver(self, messages: Sequence[SpoolMessage], skip: Collection[tuple[int, int]] = ()) -> None:
        """
        Hand every local target of committed messages that is delivered at once to the store.

        Args:
            skip: message and place of targets that the queue takes care of.
        """
        deliveries: list[LocalDelivery] = []
        with self._lock:
            for message in messages:
                places = [
                    n for n in range(len(message.targets)) if message.at_once(n) and (message.message_id, n) not in skip
                ]
                if places:
                    self._open[message.message_id] = len(places)
                    deliveries.extend(self._expect(message, n, None) for n in places)
        if deliveries:
            self._hand_over(deliveries)

    def deliver_again(self, message: SpoolMessage, n: int) -> Deferred[LocalOutcome]:
        """
        Deliver to one target once more; fires in the reactor when that failed, or succeeded and was synced.

        Args:
            message: as it was accepted, but for what is known better now of the target's account.
        """
        deferred: Deferred[LocalOutcome] = Deferred()
        with self._lock:
            delivery = self._expect(message, n, deferred)
        self._hand_over([delivery])
        return deferred

    def _expect(self, message: SpoolMessage, n: int, deferred: Deferred[LocalOutcome] | None) -> LocalDelivery:
        target = message.targets[n]
        delivery_id = self.delivery_id(message.message_id, n)
        self._waiting[delivery_id] = _Waiting(
            message_id=message.message_id,
            n=n,
            address=str(target.address),
            email=target.email,
            sender=message.sender.path,
            received=message.received,
            deferred=deferred,
        )
        return LocalDelivery(
            delivery_id=delivery_id,
            account_id=target.account_id,
            email=target.email,
            quota_octets=target.quota_octets,
            mailbox=target.mailbox,
            content=message.content,
            link=isinstance(message.content, Body),
            received=message.received,
            make_mailbox=target.make_mailbox,
        )

    def _hand_over(self, deliveries: Sequence[LocalDelivery]) -> None:
        try:
            self._store.deliver(deliveries, self._reported)
        except Exception as error:  # noqa: BLE001 - a store that breaks its contract defers mail and loses none
            self._report([LocalOutcome(delivery.delivery_id, 0, 0, error) for delivery in deliveries])

    def _report(self, outcomes: Sequence[LocalOutcome]) -> None:
        failed: list[FailedDelivery] = []
        refused: list[tuple[Deferred[LocalOutcome], LocalOutcome]] = []
        delivered: list[tuple[_Waiting, str]] = []
        with self._lock:
            for outcome in outcomes:
                waiting = self._waiting.pop(outcome.delivery_id, None)
                if waiting is None:
                    continue  # reported twice
                if waiting.deferred is not None:
                    if outcome.error is None:
                        self._settled.confirmations.append(Confirmation(waiting.deferred, outcome))
                    else:
                        refused.append((waiting.deferred, outcome))
                elif outcome.error is None:
                    self._close(waiting.message_id)
                    delivered.append((waiting, outcome.mailbox))
                else:
                    failed.append(
                        FailedDelivery(
                            message_id=waiting.message_id,
                            n=waiting.n,
                            address=waiting.address,
                            sender=waiting.sender,
                            received=waiting.received,
                            error=outcome.error,
                        )
                    )
        for done, mailbox in delivered:
            self._tell(done.message_id, done.address, done.email, mailbox)
        for deferred, outcome in refused:
            self._fire(_callback, deferred, outcome)
        if failed:
            self._defer(failed)

    def _close(self, message_id: int) -> None:
        left = self._open[message_id] - 1
        if left:
            self._open[message_id] = left
        else:
            del self._open[message_id]
            self._settled.message_ids.append(message_id)

    def recorded(self, failed: Sequence[FailedDelivery]) -> None:
        """The queue has these now: the message waits for it, no longer for us."""
        with self._lock:
            for delivery in failed:
                self._close(delivery.message_id)

    def settle(self, message_ids: Sequence[int]) -> None:
        """Let the next sweep look at messages whose queued recipients are finished, unless deliveries are under way."""
        with self._lock:
            self._settled.message_ids.extend(number for number in message_ids if number not in self._open)

    def take_settled(self) -> Settled:
        """Give what was reported since the last call; call it before `IDeliveryStore.sync`."""
        with self._lock:
            settled, self._settled = self._settled, Settled()
        return settled

    def give_back(self, settled: Settled) -> None:
        """It could not be synced, or not be recorded: the next sweep has it again."""
        with self._lock:
            self._settled.message_ids.extend(settled.message_ids)
            self._settled.confirmations.extend(settled.confirmations)

    def confirm(self, confirmations: Sequence[Confirmation]) -> None:
        """Tell who waits for deliveries that are synced now."""
        for confirmation in confirmations:
            self._fire(_callback, confirmation.deferred, confirmation.outcome)

    def under_way(self) -> int:
        """How many deliveries have no outcome yet."""
        return len(self._waiting)


def _callback(deferred: Deferred[LocalOutcome], outcome: LocalOutcome) -> None:
    if not deferred.called:
        deferred.callback(outcome)
