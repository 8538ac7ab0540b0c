"""
What happens in one's own mailboxes and in those of others that are open, as one account hears of it.

A mailbox has its id from its owner's store, so ids of several accounts may be the same. Here those of others carry the
owner's id as well.
"""

from collections.abc import Callable

import attrs
from zope.interface import implementer

from mailsuite.interfaces import ANY_MAILBOX, IChangeBus, ISubscription, MailboxChange

OWNER_BITS = 32


def others_id(owner_id: int, mailbox_id: int) -> int:
    """Give the id under which the mailbox of another account is known."""
    return owner_id << OWNER_BITS | mailbox_id


def read_others_id(known_id: int) -> tuple[int, int]:
    """Give the owner and the mailbox that an id of `others_id` stands for; owner 0 for a mailbox of one's own."""
    return known_id >> OWNER_BITS, known_id & ((1 << OWNER_BITS) - 1)


@implementer(ISubscription)
@attrs.define(eq=False)
class Listening:
    """Somebody listens to an account and to what it has open of others."""

    callback: Callable[[MailboxChange], None]
    _own: ISubscription
    _bus: "SharingBus"

    def cancel(self) -> None:
        """Stop listening."""
        self._own.cancel()
        self._bus.leave(self)


@implementer(ISubscription)
@attrs.define(eq=False)
class Following:
    """A mailbox of another account is open."""

    _subscription: ISubscription
    _followed: "list[ISubscription]"

    def cancel(self) -> None:
        """Stop listening."""
        self._subscription.cancel()
        if self in self._followed:
            self._followed.remove(self)


@implementer(IChangeBus)
class SharingBus:
    """
    The change bus of one session.

    Args:
        bus: of the store.
        account_id: whose session this is.
    """

    __slots__ = ("_account_id", "_bus", "_followed", "_listeners")

    def __init__(self, bus: IChangeBus, account_id: int) -> None:
        self._bus = bus
        self._account_id = account_id
        self._listeners: list[Listening] = []
        self._followed: list[ISubscription] = []

    @property
    def is_alone(self) -> bool:
        """Whether it tells of every commit before its answer."""
        return bool(self._bus.is_alone)

    def publish(self, change: MailboxChange) -> None:
        """Tell everybody, in all sessions."""
        self._bus.publish(change)

    def subscribe(self, account_id: int, callback: Callable[[MailboxChange], None]) -> ISubscription:
        """Call `callback` for each change in this account, and in mailboxes of others that are open."""
        own = self._bus.subscribe(account_id, callback)
        if account_id != self._account_id:
            return own
        listening = Listening(callback, own, self)
        self._listeners.append(listening)
        return listening

    def leave(self, listening: Listening) -> None:
        """Forget a listener."""
        if listening in self._listeners:
            self._listeners.remove(listening)

    def follow(self, owner_id: int, mailbox_id: int) -> ISubscription:
        """Tell from now on what happens in a mailbox of another account."""

        def tell(change: MailboxChange) -> None:
            if change.mailbox_id in {ANY_MAILBOX, 0}:  # of the owner's names that changed, one may be this mailbox's
                told = ANY_MAILBOX
            elif change.mailbox_id == mailbox_id:
                told = others_id(owner_id, mailbox_id)
            else:
                return
            for listening in tuple(self._listeners):
                listening.callback(MailboxChange(self._account_id, told, change.modseq))

        following = Following(self._bus.subscribe(owner_id, tell), self._followed)
        self._followed.append(following)
        return following

    def close(self) -> None:
        """Stop all of it; the session is over."""
        for subscription in (*self._followed, *self._listeners):
            subscription.cancel()
