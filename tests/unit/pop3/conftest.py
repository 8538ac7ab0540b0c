"""A POP3 server over a `StringTransport`, an account in memory, a clock that stands still."""

import attrs
import pytest
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport, ITLSTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Column, IMailAccount, IMailbox, MailboxStatus, Snapshot, StoreMode
from mailsuite.pop3 import POP3Factory, POP3Settings


@implementer(IMailbox)
@attrs.define(eq=False)
class FakeMailbox:
    account: object
    name: str
    read_only: bool
    mailbox_id: int = 1
    closed: bool = False

    async def snapshot(self):
        await self.account.turn("snapshot")
        uids = sorted(self.account.messages)
        return Snapshot(
            uidvalidity=self.account.uidvalidity,
            uidnext=max(uids, default=0) + 1,
            highest_modseq=1,
            uids=uids,
            flags=[frozenset()] * len(uids),
            keywords=frozenset(),
            recent=frozenset(),
        )

    async def fetch(self, uids, columns):
        assert columns == (Column.SIZE,)
        await self.account.turn("fetch")
        return [(uid, len(self.account.messages[uid])) for uid in uids if uid in self.account.messages]

    async def read(self, uid, offset, length):
        await self.account.turn("read")
        if uid not in self.account.messages:
            raise MailError(Kind.EXPUNGED)
        return self.account.messages[uid][offset : offset + length]

    async def read_many(self, uids, limit_octets):
        await self.account.turn("read_many")
        found, octets = [], 0
        for uid in uids:
            if uid in self.account.messages:
                octets += len(self.account.messages[uid])
                if found and octets > limit_octets:
                    break
                found.append((uid, self.account.messages[uid]))
        return found

    async def store_flags(self, uids, mode, flags, unchanged_since):
        assert not self.read_only
        assert mode is StoreMode.ADD
        await self.account.turn("store_flags")
        self.account.flagged.update(dict.fromkeys(uids, flags))
        return [], []

    async def expunge(self, uids):
        assert not self.read_only
        await self.account.turn("expunge")
        gone = [uid for uid in uids if "\\Deleted" in self.account.flagged.get(uid, ())]
        for uid in gone:
            self.account.messages.pop(uid, None)
        return gone

    def close(self):
        self.closed = True


@implementer(IMailAccount)
class FakeAccount:
    account_id = 1
    email = "alice@example.test"
    remembers = True
    keywords_max = 100

    def __init__(self, messages):
        self.messages = dict(enumerate(messages, 101))
        self.uidvalidity = 7
        self.flagged = {}
        self.calls = []
        self.failing = {}
        self.gate = None  # a list collects what waits
        self.logouts = 0
        self.mailboxes = []

    async def turn(self, name):
        self.calls.append(name)
        if name in self.failing:
            raise self.failing[name]
        if self.gate is not None:
            waiting = Deferred()
            self.gate.append(waiting)
            await waiting

    def open_gate(self):
        waiting, self.gate = self.gate, None
        for deferred in waiting:
            deferred.callback(None)

    async def open_mailbox(self, name, *, read_only):
        await self.turn("open_mailbox")
        assert name == "INBOX"
        mailbox = FakeMailbox(self, name, read_only)
        self.mailboxes.append(mailbox)
        return mailbox

    async def status(self, name):
        await self.turn("status")
        return MailboxStatus(
            messages=len(self.messages),
            recent=0,
            unseen=0,
            deleted=0,
            uidnext=1,
            uidvalidity=self.uidvalidity,
            highest_modseq=1,
            size_octets=0,
        )

    def logout(self):
        self.logouts += 1


@implementer(IRealm)
@attrs.define(slots=False)
class Realm:
    """Gives the same avatar to everybody, by the interface it is for."""

    interface: object
    avatar: object
    logout: object
    asked: list = attrs.field(factory=list)

    def requestAvatar(self, avatarId, mind, *interfaces):
        self.asked.append((avatarId, mind, interfaces))
        return self.interface, self.avatar, self.logout


class Transport(StringTransport):
    """A transport that can start TLS and knows how it was closed."""

    tls_context = None
    no_delay = False

    def __init__(self, *, encrypted):
        super().__init__(peerAddress=IPv4Address("TCP", "192.0.2.7", 5555))
        directlyProvides(self, ISSLTransport if encrypted else ITLSTransport)

    def setTcpNoDelay(self, enabled):
        self.no_delay = enabled

    def startTLS(self, context):
        self.tls_context = context


class Talk:
    """One conversation, from the client's side."""

    def __init__(self, factory, *, encrypted):
        self.transport = Transport(encrypted=encrypted)
        self.factory = factory
        self.protocol = factory.buildProtocol(self.transport.getPeer())
        self.protocol.makeConnection(self.transport)

    def read(self):
        octets = self.transport.value()
        self.transport.clear()
        return octets

    def say(self, *lines):
        """Send lines in one segment; give what the server answered so far."""
        self.protocol.dataReceived(b"".join(line + b"\r\n" for line in lines))
        return self.read()

    @property
    def closed(self):
        return self.transport.disconnecting or self.transport.disconnected

    def lose(self):
        self.protocol.connectionLost(Failure(ConnectionError()))


MESSAGES = (
    b"Subject: one\r\n\r\nfirst\r\n",
    b"Subject: two\r\n\r\n.dot\r\n..dots\r\nno end",
    b"Subject: three\r\n\r\nline 1\r\nline 2\r\nline 3\r\n",
)


@pytest.fixture
def account():
    return FakeAccount(MESSAGES)


@pytest.fixture
def realm(account):
    return Realm(IMailAccount, account, account.logout)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make_factory(realm, clock):
    def make(**settings):
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        checker.addUser(b"alice", b"se cret")
        context = settings.pop("context", "a context factory")
        return POP3Factory(
            Portal(realm, [checker]),
            settings=POP3Settings(**settings),
            context_factory=context,
            reactor=clock,
            jitter=lambda: 0,
        )

    return make


@pytest.fixture
def connect(make_factory):
    talks = []

    def make(*, encrypted=True, factory=None, **settings):
        talk = Talk(factory or make_factory(**settings), encrypted=encrypted)
        talks.append(talk)
        return talk

    yield make
    for talk in talks:
        talk.lose()


@pytest.fixture
def client(connect):
    """A client that has logged in."""
    talk = connect()
    talk.say(b"USER alice")
    assert talk.say(b"PASS se cret").startswith(b"+OK 3 messages")
    return talk
