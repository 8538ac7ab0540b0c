"""How a protocol server hands over a message: begin, add recipients, write octets, commit."""

from collections.abc import Awaitable

import attrs
from zope.interface import Attribute, Interface

from mailsuite.envelope import Peer, Recipient, Sender


@attrs.frozen
class Receipt:
    """
    Proof that a message is durable.

    Args:
        queue_id: names the message in logs, traces and ``mailsuite queue``.
        note: words for the sender about what becomes of it; empty when there is nothing to say.
    """

    queue_id: str
    note: str = ""


class IMailTransaction(Interface):
    """
    One message on its way in. Exactly one of `commit` and `abort` ends it.

    Methods may return their value directly or an awaitable of it where marked; a caller checks, so that the common
    case costs no trip through the reactor.
    """

    queue_id: str = Attribute("names the message in logs and traces from its beginning; empty when it has no name yet")

    def add_recipient(recipient: Recipient) -> Awaitable[None] | None:
        """
        Accept one recipient.

        Raises:
            MailError: NOT_FOUND (no such account), DENIED (we do not relay for this peer), OVER_QUOTA, UNAVAILABLE.
        """

    def begin_data() -> None:
        """All recipients are known; octets follow."""

    def write(chunk: bytes) -> Awaitable[None] | None:
        """
        Take the next octets of the content: CRLF line ends, dots already unstuffed, any cut.

        An awaitable means: send no more until it fires (backpressure).

        Raises:
            MailError: UNAVAILABLE when the disk fails. The caller goes on reading to the end and then answers.
        """

    def commit() -> Awaitable[Receipt]:
        """
        Make the message durable. When this returns, it survives kill -9 and power loss.

        Raises:
            MailError: nothing was kept; UNAVAILABLE is answered 4xx.
        """

    def abort() -> None:
        """Forget everything; never fails."""


class IMailReceiver(Interface):
    """Takes mail: what a portal hands out for SMTP AUTH, and what a server uses for strangers."""

    def begin(peer: Peer, sender: Sender) -> Awaitable[IMailTransaction]:
        """
        Begin a transaction.

        Raises:
            MailError: DENIED when this peer may not use this reverse-path, TOO_LARGE for the declared size,
                UNAVAILABLE when there is no room for a message.
        """


class IBinaryMailReceiver(IMailReceiver):
    """
    A receiver that takes content which is no text: BODY=BINARYMIME (RFC 3030 section 3).

    Only where the sender said so may chunks of content hold NUL and line ends other than CRLF.
    """
