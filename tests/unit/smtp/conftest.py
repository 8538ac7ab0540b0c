"""A receiver in memory, and a connection without a socket."""

import attrs
import pytest
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ITLSTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IBinaryMailReceiver, IMailReceiver, IMailTransaction, Receipt
from mailsuite.smtp import SMTPFactory, SMTPSettings


@implementer(IMailTransaction)
@attrs.define(eq=False)
class MemoryTransaction:
    """Keeps what it is given; `answers` maps a method's name to what it returns or raises."""

    receiver: object
    peer: object
    sender: object
    recipients: list = attrs.field(factory=list)
    parameters: list = attrs.field(factory=list)
    chunks: list = attrs.field(factory=list)
    state: str = "open"
    queue_id: str = "q1"

    @property
    def content(self):
        return b"".join(self.chunks)

    def add_recipient(self, recipient):
        if recipient.path.local_part.startswith("unknown"):
            raise MailError(Kind.NOT_FOUND)
        self.recipients.append(str(recipient.path))
        self.parameters.append((recipient.notify, recipient.original))
        return self.receiver.answer("add_recipient")

    def begin_data(self):
        self.receiver.answer("begin_data")

    def write(self, chunk):
        self.chunks.append(chunk)
        return self.receiver.answer("write")

    async def commit(self):
        assert self.state == "open"
        self.state = "committed"
        waiting = self.receiver.answer("commit")
        if waiting is not None:
            await waiting
        self.receiver.committed.append(self)
        return Receipt("q1")

    def abort(self):
        assert self.state == "open"
        self.state = "aborted"
        self.receiver.aborted.append(self)


@implementer(IMailReceiver)
@attrs.define(eq=False)
class MemoryReceiver:
    """What tests receive with."""

    answers: dict = attrs.field(factory=dict)
    begun: list = attrs.field(factory=list)
    committed: list = attrs.field(factory=list)
    aborted: list = attrs.field(factory=list)

    def answer(self, name):
        """Return, or raise, what the test wants of this method, one after another."""
        answer = self.answers.get(name)
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def begin(self, peer, sender):
        waiting = self.answer("begin")
        if waiting is not None:
            await waiting
        transaction = MemoryTransaction(self, peer, sender)
        self.begun.append(transaction)
        return transaction


@implementer(IBinaryMailReceiver)
class BinaryReceiver(MemoryReceiver):
    """One that takes content which is no text."""


@implementer(ITLSTransport)
class TLSCapableTransport(StringTransport):
    """A transport that notes that TLS was asked for."""

    tls_context = None
    no_delay = False

    def setTcpNoDelay(self, enabled):
        self.no_delay = enabled

    def startTLS(self, context):
        self.tls_context = context

    def getHandle(self):
        return self

    def get_protocol_version_name(self):
        return "TLSv1.3"

    def get_cipher_name(self):
        return "TLS_TEST"


class Events:
    """An event log that keeps the names."""

    def __init__(self):
        self.names = []
        self.fields = []

    def bind(self, **_ids):
        return self

    def emit(self, event, **fields):
        self.names.append(event)
        self.fields.append(fields)

    def failure(self, event, failure=None, **fields):
        self.names.append(event)
        self.fields.append(fields)


@implementer(IRealm)
@attrs.define(eq=False)
class OneAvatarRealm:
    avatar: object
    logouts: int = 0

    def requestAvatar(self, _avatar_id, _mind, *interfaces):
        def logout():
            self.logouts += 1

        wanted = next(interface for interface in interfaces if interface.providedBy(self.avatar))
        return wanted, self.avatar, logout


class Talk:
    """One connection to a factory on a clock."""

    factory_class = SMTPFactory

    def __init__(self, receiver=None, *, factory=None, peer="192.0.2.1", transport=None, **settings):
        self.receiver = receiver or MemoryReceiver()
        extra = {name: settings.pop(name) for name in ("portal", "context_factory", "hostname") if name in settings}
        if factory is None:
            self.clock = Clock()
            self.events = Events()
            factory = self.factory_class(
                self.receiver,
                hostname=extra.pop("hostname", b"mx.example"),
                settings=SMTPSettings(**settings),
                reactor=self.clock,
                log=self.events,
                jitter=lambda: 0,
                **extra,
            )
        self.factory = factory
        self.clock = factory.clock
        self.events = factory.log
        self.address = IPv4Address("TCP", peer, 54321)
        self.server = factory.buildProtocol(self.address)
        self.transport = transport or TLSCapableTransport(peerAddress=self.address)
        self.server.makeConnection(self.transport)

    def read(self):
        """Everything written since the last time."""
        octets = self.transport.value()
        self.transport.clear()
        return octets

    def say(self, *lines):
        """Send lines in one piece, return what is answered."""
        return self.feed(b"".join(line + b"\r\n" for line in lines))

    def feed(self, octets):
        self.server.dataReceived(octets)
        return self.read()

    def codes(self, *lines):
        """Send lines in one piece, return the codes of the answers."""
        return reply_codes(self.say(*lines))

    def hello(self):
        self.read()
        self.say(b"EHLO client.example")
        return self

    def start_tls(self):
        """Go on inside TLS, where nothing has been said."""
        assert self.codes(b"STARTTLS") == [220]
        self.server.handshakeCompleted()
        return self.hello()

    def begin(self):
        """Up to the 354."""
        self.hello()
        assert self.codes(b"MAIL FROM:<a@a.example>", b"RCPT TO:<b@b.example>", b"DATA") == [250, 250, 354]
        return self

    @property
    def closed(self):
        return self.transport.disconnecting

    def lose(self):
        self.server.connectionLost(Failure(Exception("gone")))


def reply_codes(octets):
    """The code of each reply's last line."""
    return [int(line[:3]) for line in octets.splitlines() if line[3:4] == b" "]


@pytest.fixture
def receiver():
    return MemoryReceiver()


@pytest.fixture
def binary_receiver():
    return BinaryReceiver()


@pytest.fixture
def talk():
    return Talk


@pytest.fixture
def codes_of():
    return reply_codes


@pytest.fixture
def make_realm():
    return OneAvatarRealm


@pytest.fixture
def portal(receiver):
    checker = InMemoryUsernamePasswordDatabaseDontUse()
    checker.addUser(b"alice@b.example", b"secret")
    return Portal(OneAvatarRealm(receiver), [checker])
