"""Limits that several parts of the suite ask for: how often somebody may do something."""

from collections.abc import Awaitable, Sequence

import attrs
from zope.interface import Interface


@attrs.frozen
class Claim:
    """
    What somebody wants to do now.

    Args:
        rule: name of the limit; one that nobody has set allows everything.
        key: who: an account, an address.
        amount: how often.
    """

    rule: str
    key: str
    amount: int = 1


@attrs.frozen
class Grant:
    """
    Whether it may be done, and when.

    Args:
        allowed: it was counted; otherwise nothing was.
        wait_seconds: do it after so long; where it is not allowed, ask again after so long.
        rule: name of the limit that makes one wait; empty when nobody waits.
        limit: how often that allows.
    """

    allowed: bool
    wait_seconds: float = 0.0
    rule: str = ""
    limit: int = 0


class IThrottle(Interface):
    """Counts what is done, for all processes of the server together."""

    def take(claims: Sequence[Claim]) -> Awaitable[Grant]:
        """
        Count all of some claims, or none.

        Raises:
            MailError: UNAVAILABLE.
        """
