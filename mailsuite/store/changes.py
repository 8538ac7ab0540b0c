"""The change bus of one process, and the gathering of notices on their way to it."""

import threading
from collections.abc import Callable

import attrs
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from zope.interface import implementer

from mailsuite.interfaces import ANY_MAILBOX, IChangeBus, ISubscription, MailboxChange
from mailsuite.observe import EventLog


@implementer(ISubscription)
@attrs.define(eq=False)
class Subscription:
    """One listener."""

    callback: Callable[[MailboxChange], None]
    _account_id: int
    _accounts: "dict[int, list[Subscription]] | None"

    def cancel(self) -> None:
        """Stop listening; may be called twice."""
        accounts, self._accounts = self._accounts, None
        if accounts is not None:
            listeners = accounts[self._account_id]
            listeners.remove(self)
            if not listeners:
                del accounts[self._account_id]


@implementer(IChangeBus)
class ChangeBus:
    """Carries notices within the process; used in the reactor thread only."""

    is_alone = True

    def __init__(self) -> None:
        self._accounts: dict[int, list[Subscription]] = {}
        self._log = EventLog(Logger("mailsuite.store.changes"))

    def publish(self, change: MailboxChange) -> None:
        """Tell everybody who listens to the account; a listener that fails harms no other."""
        self._tell(change)

    def _tell(self, change: MailboxChange) -> None:
        for subscription in tuple(self._accounts.get(change.account_id, ())):
            try:
                subscription.callback(change)
            except Exception as error:  # noqa: BLE001 - it is the listener's bug, and the others must hear
                self._log.failure("store.listener.failed", error, account=change.account_id)

    def resynchronise(self) -> None:
        """Notices were lost: let everybody look at what changed meanwhile."""
        for account_id in tuple(self._accounts):
            self._tell(MailboxChange(account_id, ANY_MAILBOX, 0))

    def subscribe(self, account_id: int, callback: Callable[[MailboxChange], None]) -> ISubscription:
        """Call `callback` for each change in this account."""
        subscription = Subscription(callback, account_id, self._accounts)
        self._accounts.setdefault(account_id, []).append(subscription)
        return subscription


class Publisher:
    """Takes notices from any thread and publishes them in the reactor, those of one mailbox as one."""

    def __init__(self, bus: IChangeBus, reactor: IReactorFromThreads) -> None:
        self._bus = bus
        self._reactor = reactor
        self._lock = threading.Lock()
        self._waiting: dict[tuple[int, int], int] = {}

    def tell(self, account_id: int, mailbox_id: int, modseq: int) -> None:
        """Publish soon."""
        with self._lock:
            first = not self._waiting
            key = account_id, mailbox_id
            self._waiting[key] = max(modseq, self._waiting.get(key, 0))
        if first:
            self._reactor.callFromThread(self._publish)

    def _publish(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for (account_id, mailbox_id), modseq in waiting.items():
            self._bus.publish(MailboxChange(account_id, mailbox_id, modseq))
