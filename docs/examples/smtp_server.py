"""Mail comes in over SMTP and goes to an ``IMessageDelivery`` that was written for Twisted's own server."""

import sys

from twisted.internet import defer, endpoints, task
from twisted.mail.interfaces import IMessageDelivery, IMessageSMTP
from twisted.mail.smtp import SMTPBadRcpt
from zope.interface import implementer

from mailsuite.smtp import SMTPFactory, receiver_from_delivery


@implementer(IMessageSMTP)
class Printed:
    """Prints a message once it is whole."""

    def __init__(self):
        self.lines = []
        self.lineReceived = self.lines.append
        self.connectionLost = self.lines.clear

    def eomReceived(self):
        print(b"\n".join(self.lines).decode("utf-8", "replace"), flush=True)
        return defer.succeed(None)


@implementer(IMessageDelivery)
class Tickets:
    """Takes mail for tickets@example.test, from anybody."""

    def validateFrom(self, helo, origin):
        return origin

    def validateTo(self, user):
        if (user.dest.local, user.dest.domain) != (b"tickets", b"example.test"):
            raise SMTPBadRcpt(user)
        return Printed

    def receivedHeader(self, helo, origin, recipients):
        return b"Received: from %b by tickets" % helo[0]


async def main(reactor, endpoint):
    factory = SMTPFactory(receiver_from_delivery(Tickets()), hostname=b"tickets.example.test")
    port = await endpoints.serverFromString(reactor, endpoint).listen(factory)
    print("listening on port", port.getHost().port, flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
