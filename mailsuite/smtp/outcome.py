"""
What a sending client is given and what it tells: the content to read, and one outcome for each recipient.

`mailsuite.smtp.client.send` is the function between the two.
"""

import enum
from typing import Protocol

import attrs


class OutcomeState(enum.Enum):
    """What became of one recipient."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"


@attrs.frozen
class Outcome:
    """
    What became of one recipient in one attempt.

    Args:
        state: DELIVERED after a 2yz, DEFERRED after a 4yz or when the connection failed, FAILED after a 5yz.
        code: the far side's reply code; 0 when it gave none.
        enhanced: its enhanced code, or the one that fits what happened (RFC 3463).
        text: its words, one line, printable; never to be trusted.
        host: the host that said so, or that was last tried; empty when there was none.
        dsn: the far side took over the duty to notify (RFC 3461 section 5.2.2).
    """

    state: OutcomeState
    code: int = 0
    enhanced: str = ""
    text: str = ""
    host: str = ""
    dsn: bool = False


class Content(Protocol):
    """The octets of a message, read once from the first to the last."""

    @property
    def size(self) -> int:
        """How many octets there are; announced by SIZE."""

    async def read(self) -> bytes:
        """
        Give the next octets, of any cut; ``b""`` is the end.

        Raises:
            MailError: UNAVAILABLE; the attempt is given up and deferred.
        """
        ...
