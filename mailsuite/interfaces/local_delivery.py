"""The way of delivered mail into mailboxes."""

from collections.abc import Callable, Sequence

import attrs
from zope.interface import Interface

from mailsuite.interfaces.storage import Body


@attrs.frozen(kw_only=True)
class LocalDelivery:
    """
    One message for one account, on its way from the spool into a mailbox.

    Args:
        delivery_id: unique for ever: spool, message and recipient; delivering it twice stores it once.
        mailbox: ``INBOX``, or another name that is used if it exists.
        content: the octets (shared between recipients), or the spool's file, which may be linked.
        link: the file may become the stored message as it is, by a hard link.
        received: seconds since the epoch.
        make_mailbox: make the mailbox when it is not there; otherwise the message goes into INBOX.
    """

    delivery_id: str
    account_id: int
    email: str
    quota_octets: int
    mailbox: str
    content: bytes | Body
    link: bool
    received: int
    flags: frozenset[str] = frozenset()
    make_mailbox: bool = False


@attrs.frozen
class LocalOutcome:
    """
    How one local delivery ended.

    Args:
        error: None when it is in the mailbox; OVER_QUOTA and UNAVAILABLE are tried again.
        mailbox: its name; empty when the store does not say.
    """

    delivery_id: str
    mailbox_id: int
    uid: int
    error: Exception | None = None
    mailbox: str = ""


class IDeliveryStore(Interface):
    """The way in for accepted mail. Called from any thread."""

    def deliver(deliveries: Sequence[LocalDelivery], report: Callable[[Sequence[LocalOutcome]], None]) -> None:
        """
        Put messages into mailboxes soon; returns at once.

        Args:
            report: called on a store thread, perhaps several times, until each delivery has its outcome. What it
                reports is committed but not yet synced: keep the spool's copy until `sync` returned.
        """

    def sync() -> None:
        """
        Make everything reported so far survive a power loss. Blocks; call it from a thread of your own.

        Raises:
            OSError: it may not be durable; keep the spool's copy.
        """

    def backlog() -> int:
        """How many deliveries wait."""
