"""
Code that was written for ``twisted.mail.smtp`` takes mail from our server unchanged.

``IMessageDelivery`` and ``IMessageDeliveryFactory`` become an `IMailReceiver`; ``IMessage`` objects get the content
line by line, as Twisted's own server would give it.
"""

from collections.abc import Callable
from typing import Any, Protocol, cast

import attrs
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.mail.interfaces import IMessageDelivery, IMessageDeliveryFactory
from twisted.mail.smtp import Address as TwistedAddress
from twisted.mail.smtp import SMTPBadRcpt, SMTPBadSender, SMTPServerError, User
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.envelope import Peer, Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IMailReceiver, IMailTransaction, Receipt
from mailsuite.smtp.replies import Refused, Reply, clean


class TwistedMessage(Protocol):
    """What ``IMessageSMTP`` demands."""

    def lineReceived(self, line: bytes) -> object:
        """Take a line without its end."""

    def eomReceived(self) -> Deferred[object]:
        """Take the end of the message."""

    def connectionLost(self) -> object:
        """Forget the message."""


def receiver_from_avatar(avatar: object, hostname: str) -> IMailReceiver:
    """
    Take whatever of the three interfaces a realm handed out for SMTP as a receiver.

    Raises:
        TypeError: it is none of them.
    """
    if IMailReceiver.providedBy(avatar):
        return avatar
    return receiver_from_delivery(avatar, hostname=hostname)


def receiver_from_delivery(delivery: object, *, hostname: str = "localhost") -> IMailReceiver:
    """
    Make a receiver from an ``IMessageDelivery`` or an ``IMessageDeliveryFactory``.

    Args:
        hostname: what addresses without a domain are completed with, as in Twisted's server.

    Raises:
        TypeError: it is neither.
    """
    if IMessageDeliveryFactory.providedBy(delivery):
        return cast("IMailReceiver", DeliveryReceiver(delivery.getMessageDelivery, hostname))
    if IMessageDelivery.providedBy(delivery):
        return cast("IMailReceiver", DeliveryReceiver(lambda: delivery, hostname))
    raise TypeError(f"{type(delivery).__name__} provides neither IMessageDelivery nor IMessageDeliveryFactory")


def _refused(error: SMTPServerError) -> Refused:
    code = error.code if 400 <= error.code < 600 else 451  # noqa: PLR2004 - RFC 5321 section 4.2.1
    text = error.resp.decode("utf-8", "replace") if isinstance(error.resp, bytes) else str(error.resp)
    permanent = code >= 500  # noqa: PLR2004 - likewise
    if isinstance(error, SMTPBadRcpt):
        enhanced = "5.1.1" if permanent else "4.2.0"
    elif isinstance(error, SMTPBadSender):
        enhanced = "5.1.0" if permanent else "4.1.0"
    else:
        enhanced = "5.0.0" if permanent else "4.0.0"
    return Refused(Reply(code, enhanced, tuple(text.splitlines()) or ("refused",)))


async def _call(function: Callable[..., Any], *args: object) -> Any:
    try:
        return await maybeDeferred(function, *args)
    except SMTPServerError as error:
        raise _refused(error) from error


def _twisted_address(address: Address | None, hostname: str) -> TwistedAddress:
    return TwistedAddress(b"" if address is None else str(address).encode(), hostname.encode())


@attrs.frozen
class _Connection:
    """What stands where ``User.protocol`` expects a protocol: it is asked for its host."""

    host: bytes


@implementer(IMailReceiver)
@attrs.frozen
class DeliveryReceiver:
    """
    An `IMailReceiver` over Twisted's delivery objects.

    Args:
        make: gives the ``IMessageDelivery`` for one message.
    """

    make: Callable[[], Any]
    hostname: str

    async def begin(self, peer: Peer, sender: Sender) -> IMailTransaction:
        """Ask ``validateFrom``."""
        delivery = self.make()
        helo = (peer.helo.encode("ascii", "replace"), peer.ip.encode("ascii"))
        origin = await _call(delivery.validateFrom, helo, _twisted_address(sender.path, self.hostname))
        return cast("IMailTransaction", DeliveryTransaction(delivery, helo, origin, self.hostname))


@implementer(IMailTransaction)
@attrs.define
class DeliveryTransaction:
    """One message on its way to ``IMessage`` objects."""

    _delivery: Any
    _helo: tuple[bytes, bytes]
    _origin: Any
    _hostname: str
    _makers: list[tuple[User, Callable[[], TwistedMessage]]] = attrs.field(factory=list, init=False)
    _messages: list[TwistedMessage] = attrs.field(factory=list, init=False)
    _rest: bytes = attrs.field(default=b"", init=False)  # of a line that has not ended
    _in_content: bool = attrs.field(default=False, init=False)  # a line came
    queue_id: str = attrs.field(default="", init=False)

    async def add_recipient(self, recipient: Recipient) -> None:
        """Ask ``validateTo``."""
        destination = _twisted_address(recipient.path, self._hostname)
        user = User(destination, self._helo, _Connection(self._hostname.encode()), self._origin)
        self._makers.append((user, await _call(self._delivery.validateTo, user)))

    def begin_data(self) -> None:
        """Make the message objects and give each its Received field."""
        try:
            for user, make in self._makers:
                message = make()
                self._messages.append(message)
                header = self._delivery.receivedHeader(self._helo, self._origin, [user])
                if header:
                    message.lineReceived(header)
        except SMTPServerError as error:
            raise _refused(error) from error

    def write(self, chunk: bytes) -> None:
        """Cut into lines."""
        *lines, self._rest = (self._rest + chunk).split(b"\r\n")
        try:
            for line in lines:
                self._give_line(line)
        except SMTPServerError as error:
            raise _refused(error) from error

    def _give_line(self, line: bytes) -> None:
        if not self._in_content:
            self._in_content = True
            if line and b":" not in line:  # a body without a header: keep it out of the Received field
                for message in self._messages:
                    message.lineReceived(b"")
        for message in self._messages:
            message.lineReceived(line)

    async def commit(self) -> Receipt:
        """Tell each object that the message has ended; wait for all."""
        if self._rest:
            self.write(b"\r\n")
        messages, self._messages = self._messages, []
        results = await DeferredList([maybeDeferred(message.eomReceived) for message in messages], consumeErrors=True)
        failures = [result for _, result in results if isinstance(result, Failure)]
        if failures:
            raise self._verdict(failures)
        return Receipt(clean(self._hostname))

    @staticmethod
    def _verdict(failures: list[Failure]) -> Exception:
        """Permanent only when every failure said so; a doubt is temporary, since mail is held."""
        refusals = [_refused(failure.value) for failure in failures if isinstance(failure.value, SMTPServerError)]
        if len(refusals) < len(failures):
            unknown = next(failure for failure in failures if not isinstance(failure.value, SMTPServerError))
            return unknown.value if isinstance(unknown.value, Exception) else MailError(Kind.UNAVAILABLE)
        temporary = [refusal for refusal in refusals if not refusal.reply.is_permanent]
        return (temporary or refusals)[0]

    def abort(self) -> None:
        """Tell each object that the message is not coming."""
        messages, self._messages = self._messages, []
        for message in messages:
            message.connectionLost()
