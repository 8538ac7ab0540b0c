"""What joins parts that do not know each other: the change bus."""

from collections.abc import Callable

import attrs
from zope.interface import Attribute, Interface

ANY_MAILBOX = -1


@attrs.frozen
class MailboxChange:
    """
    A mailbox is now at this MODSEQ; who wants to know what changed asks the mailbox.

    Args:
        mailbox_id: 0 when the set of mailboxes changed and not a mailbox; ANY_MAILBOX when notices were lost, so that
            whatever a listener knows may be old.
    """

    account_id: int
    mailbox_id: int
    modseq: int


class ISubscription(Interface):
    """Somebody listens to a mailbox."""

    def cancel() -> None:
        """Stop listening; may be called twice."""


class IChangeBus(Interface):
    """
    Carries notices at most once. After a gap each listener hears of ANY_MAILBOX, and asks for everything since its own
    MODSEQ.
    """

    is_alone = Attribute("bool: it tells of every commit to the mailboxes before the answer to whoever made it")

    def publish(change: MailboxChange) -> None:
        """Tell everybody. Call it in the reactor thread, after the commit."""

    def subscribe(account_id: int, callback: Callable[[MailboxChange], None]) -> ISubscription:
        """Call `callback` in the reactor thread for each change in this account."""
