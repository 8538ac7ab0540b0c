"""Several accounts on one store, with scripted IMAP clients."""

import itertools
import re

from store_at_once import ReactorAtOnce
from store_at_once import go as result_of
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from zope.interface import implementer

from mailsuite.durable import Disk, InlineLane
from mailsuite.imap import IMAPFactory, IMAPSettings
from mailsuite.interfaces import (
    Account,
    AppendMessage,
    IAccountNumbers,
    IAccounts,
    ILoginNames,
    IMailAccount,
    RightsMode,
    parse_rights,
)
from mailsuite.sharing import SharingAccount, SharingSettings
from mailsuite.store import ChangeBus, MemoryStore, StorageSettings, open_store

NAMES = {1: "alice", 2: "bob", 3: "carol"}
DOMAIN = "example.test"


@implementer(IAccounts, IAccountNumbers, ILoginNames)
class People:
    """A directory in memory."""

    def __init__(self):
        self.accounts = {}
        for number, name in NAMES.items():
            self.add(number, f"{name}@{DOMAIN}")

    def add(self, number, email, **values):
        self.accounts[number] = Account(account_id=number, email=email, **values)
        return self.accounts[number]

    async def find(self, email):
        found = [account for account in self.accounts.values() if account.email == email.lower()]
        return found[0] if found else None

    async def find_login(self, name):
        return await self.find(name if "@" in name else f"{name}@{DOMAIN}")

    async def find_id(self, account_id):
        return self.accounts.get(account_id)

    async def resolve(self, address):
        raise NotImplementedError

    async def may_send_as(self, email, sender):
        raise NotImplementedError

    async def list_accounts(self):
        return list(self.accounts.values())


class Client:
    """Speaks to one server; what comes back is kept as octets."""

    def __init__(self, factory):
        self.clock = factory.clock
        self.transport = StringTransportWithDisconnection()
        self.server = factory.buildProtocol(None)
        self.transport.protocol = self.server
        self.server.makeConnection(self.transport)
        self._tags = itertools.count(1)
        self.received()

    def settle(self):
        for _ in range(50):
            self.clock.advance(0)

    def send(self, octets):
        self.server.dataReceived(octets)
        self.settle()
        return self.received()

    def received(self):
        octets = self.transport.value()
        self.transport.clear()
        return octets

    def run(self, command):
        """Run one command and give the untagged lines and the tagged one, without its tag."""
        tag = b"t%d" % next(self._tags)
        lines = self.send(tag + b" " + command + b"\r\n").split(b"\r\n")
        if not self.transport.connected:
            return lines, b"gone"
        assert lines[-1] == b"", lines
        assert lines[-2].startswith(tag + b" "), lines
        return lines[:-2], lines[-2][len(tag) + 1 :]

    def ok(self, command):
        """Run one command that succeeds and give the untagged lines."""
        lines, status = self.run(command)
        assert status.startswith(b"OK"), (command, lines, status)
        return lines

    def refused(self, command):
        """Run one command that is refused and give the tagged answer."""
        lines, status = self.run(command)
        assert status.startswith((b"NO", b"BAD")), (command, lines, status)
        assert not [line for line in lines if not line.startswith((b"* OK", b"* FLAGS"))], lines
        return status

    def append(self, mailbox, content, flags=b"()"):
        return self.run(b"APPEND %b %b {%d+}\r\n%b" % (mailbox, flags, len(content), content))[1]

    def names(self, pattern=b"*"):
        return [re.search(rb'"/" (.*)', line)[1].strip(b'"') for line in self.ok(b'LIST "" ' + pattern)]

    @property
    def connected(self):
        return self.transport.connected


@implementer(IRealm)
class Realm:
    def __init__(self, house):
        self.house = house

    def requestAvatar(self, avatarId, mind, *interfaces):
        account = self.house.account(avatarId.decode())
        return IMailAccount, account, account.logout


class House:
    """
    Three accounts in one store.

    Args:
        kind: ``memory`` or ``maildir``.
    """

    def __init__(self, kind, root, disk=None, **settings):
        self.kind = kind
        self.root = root
        self.people = People()
        self.bus = ChangeBus()
        self.storage = StorageSettings(**{"maildir_root": f"{root}/mail", "create_special": ("Trash",), **settings})
        self.sharing = SharingSettings()
        self.clock = Clock()
        self.now = 1_800_000_000.0
        self.clients = []
        self.store = None
        self.open(disk)
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        for name in (*NAMES.values(), "dave"):
            checker.addUser(name.encode(), b"secret")
        self.factory = IMAPFactory(
            Portal(Realm(self), [checker]), settings=IMAPSettings(allow_cleartext=True), reactor=self.clock
        )

    def open(self, disk=None):
        if self.kind == "memory":
            self.store = self.store or MemoryStore(self.storage, bus=self.bus, clock=lambda: self.now)
        else:
            self.store = open_store(
                self.storage,
                disk=disk or Disk(),
                reactor=ReactorAtOnce(),
                bus=self.bus,
                lane=InlineLane,
                clock=lambda: self.now,
            )
        self.store.start()

    def reopen(self):
        self.store.stop()
        self.open()

    def number(self, name):
        return next(number for number, account in self.people.accounts.items() if account.email == f"{name}@{DOMAIN}")

    def account(self, name):
        account = self.people.accounts[self.number(name)]
        return SharingAccount(account, self.store, self.people, self.people, self.sharing)

    def connect(self, name):
        client = Client(self.factory)
        self.clients.append(client)
        client.ok(b"LOGIN %b secret" % name.encode())
        return client

    def grant(self, owner, mailbox, guest, rights):
        """Give exactly these rights."""
        identifier = guest if guest == "anyone" else f"{guest}@{DOMAIN}"
        result_of(self.account(owner).change_rights(mailbox, identifier, RightsMode.REPLACE, parse_rights(rights)))

    def put(self, owner, mailbox, content, flags=()):
        """Store a message and give its UID."""
        message = AppendMessage(content=content, flags=frozenset(flags))
        return result_of(self.store.account(self.people.accounts[self.number(owner)]).append(mailbox, [message])).uids[
            0
        ]

    def state(self, owner, mailbox="INBOX"):
        """Give UID and flags of the messages of a mailbox, as its owner has them."""
        account = self.store.account(self.people.accounts[self.number(owner)])
        snapshot = result_of(result_of(account.open_mailbox(mailbox, read_only=True)).snapshot())
        return dict(zip(snapshot.uids, map(set, snapshot.flags), strict=True))

    def contents(self, owner, mailbox="INBOX"):
        account = self.store.account(self.people.accounts[self.number(owner)])
        box = result_of(account.open_mailbox(mailbox, read_only=True))
        return [octets for _, octets in result_of(box.read_many(result_of(box.snapshot()).uids, 10**9))]

    def mailboxes(self, owner):
        account = self.store.account(self.people.accounts[self.number(owner)])
        return [entry.name for entry in result_of(account.list_mailboxes())]

    def close(self):
        for client in self.clients:
            if client.transport.connected:
                client.transport.loseConnection()
        self.store.stop()
