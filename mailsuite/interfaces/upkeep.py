"""How much accounts have, and what grows too old in them."""

from collections.abc import Awaitable

import attrs
from zope.interface import Interface

from mailsuite.interfaces.accounts import Account


@attrs.frozen
class Usage:
    """
    How much an account has.

    Args:
        mailboxes: that can be selected, INBOX among them.
    """

    octets: int
    messages: int
    mailboxes: int


@attrs.frozen(kw_only=True)
class Expiry:
    """
    What is to be removed from an account, the oldest first.

    Args:
        before: messages that were delivered before, in seconds since the epoch.
        messages_per_mailbox_max: what is more in a mailbox.
        octets_max: what is more in the account; 0 is no limit.
        mailboxes_max: beyond so many, those whose newest message is oldest go whole.
        batch: most messages to remove at a time.
    """

    before: int
    messages_per_mailbox_max: int
    octets_max: int
    mailboxes_max: int
    batch: int = 200


@attrs.frozen
class Expired:
    """How much was removed."""

    messages: int
    mailboxes: int


class IAccountUpkeep(Interface):
    """What the mail side asks of the store about whole accounts."""

    def usage(account: Account) -> Awaitable[Usage]:
        """Say how much an account has, without looking at its folders."""

    def expire(account: Account, expiry: Expiry) -> Awaitable[Expired]:
        """
        Remove one batch of messages durably, and mailboxes without messages but for INBOX and those for a purpose.

        Call it until nothing is removed. A mailbox into which something is delivered meanwhile stays.
        """
