"""A small account in memory and a scripted client, for the tests of sessions, verbs and server."""

import attrs
import pytest
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITCPTransport, ITLSTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from zope.interface import implementer

from mailsuite.durable import Disk, InlineLane
from mailsuite.errors import Kind, MailError
from mailsuite.imap import IMAPFactory, IMAPSettings
from mailsuite.interfaces import (
    Account,
    AnnotationChange,
    AnnotationChanges,
    Appended,
    Body,
    Changes,
    Column,
    Created,
    History,
    IAnnotatedAccount,
    IMailAccount,
    IMailbox,
    MailboxChange,
    MailboxEntry,
    MailboxStatus,
    Snapshot,
    StoreMode,
    TooManyAnnotationsError,
    TooManyKeywordsError,
    is_asked,
)
from mailsuite.message.mime import parse_parts
from mailsuite.message.preview import make_preview
from mailsuite.message.references import thread_id
from mailsuite.message.summary import summarize
from mailsuite.store import MemoryStore, StorageSettings, open_store

NONE = frozenset()


@attrs.define
class Message:
    uid: int
    content: bytes
    flags: frozenset = NONE
    date: int = 0
    modseq: int = 1
    saved: int = 0
    email_id: bytes = b"M0"


@attrs.define
class Box:
    name: str
    mailbox_id: int
    messages: dict = attrs.Factory(dict)
    uidnext: int = 1
    modseq: int = 1
    expunged: list = attrs.Factory(list)
    keywords: set = attrs.Factory(set)
    recent: set = attrs.Factory(set)
    special_use: frozenset = NONE
    forgotten: int = 0


class Bus:
    def __init__(self):
        self.listeners = []

    def publish(self, change):
        for callback in list(self.listeners):
            callback(change)

    def subscribe(self, account_id, callback):
        self.listeners.append(callback)
        bus = self

        class Subscription:
            def cancel(self):
                if callback in bus.listeners:
                    bus.listeners.remove(callback)

        return Subscription()


@implementer(IAnnotatedAccount)
class FakeAccount:
    account_id = 1
    email = "alice@example.test"
    remembers = True
    keywords_max = 100

    def __init__(self):
        self.changes = Bus()
        self.boxes = {}
        self.subscribed = {"INBOX"}
        self.calls = []
        self.gate = None  # a Deferred that the next operation waits for
        self.failure = None  # what the next operation raises
        self.failures = {}  # what the next operation of a name raises
        self.limit = 0
        self.messages_max = 0
        self.files = []
        self.previews = {}
        self.logouts = 0
        self.annotation_changes = []  # mailbox, entry and value of each
        self._ids = 0
        self.add_box("INBOX")

    def add_box(self, name, special_use=NONE):
        self._ids += 1
        self.boxes[name] = Box(name, self._ids, special_use=special_use)
        return self.boxes[name]

    def put(self, name, content, flags=NONE, date=0):
        box = self.boxes[name]
        uid = box.uidnext
        box.uidnext += 1
        box.modseq += 1
        box.messages[uid] = Message(uid, content, frozenset(flags), date, box.modseq)
        box.keywords |= {flag for flag in flags if not flag.startswith("\\")}
        box.recent.add(uid)
        return uid

    def deliver(self, name, content, flags=NONE, date=0):
        uid = self.put(name, content, flags, date)
        self.tell(self.boxes[name])
        return uid

    def tell(self, box):
        self.changes.publish(MailboxChange(self.account_id, box.mailbox_id, box.modseq))

    async def pass_gate(self, call):
        self.calls.append(call)
        failure, self.failure = self.failures.pop(call, self.failure), None
        gate, self.gate = self.gate, None
        if gate is not None:
            await gate
        if failure is not None:
            raise failure

    def box(self, name):
        if name not in self.boxes:
            raise MailError(Kind.NOT_FOUND, "no such mailbox")
        return self.boxes[name]

    async def list_mailboxes(self):
        names = set(self.boxes) | self.subscribed
        return [
            MailboxEntry(
                name=name,
                mailbox_id=self.boxes[name].mailbox_id if name in self.boxes else 0,
                selectable=name in self.boxes,
                subscribed=name in self.subscribed,
                special_use=self.boxes[name].special_use if name in self.boxes else NONE,
            )
            for name in sorted(names)
        ]

    async def open_mailbox(self, name, *, read_only):
        await self.pass_gate("open")
        return FakeMailbox(self, self.box(name), name, read_only)

    async def status(self, name):
        box = self.box(name)
        return MailboxStatus(
            messages=len(box.messages),
            recent=len(box.recent),
            unseen=sum("\\Seen" not in message.flags for message in box.messages.values()),
            deleted=sum("\\Deleted" in message.flags for message in box.messages.values()),
            uidnext=box.uidnext,
            uidvalidity=7,
            highest_modseq=box.modseq,
            size_octets=sum(len(message.content) for message in box.messages.values()),
            deleted_octets=sum(len(each.content) for each in box.messages.values() if "\\Deleted" in each.flags),
            mailbox_id=box.mailbox_id,
        )

    async def create(self, name, special_use):
        if name in self.boxes:
            raise MailError(Kind.EXISTS, "it exists")
        return Created(mailbox_id=self.add_box(name, special_use).mailbox_id, uidvalidity=7)

    async def delete(self, name):
        if name == "INBOX":
            raise MailError(Kind.DENIED, "INBOX stays")
        self.box(name)
        del self.boxes[name]

    async def rename(self, old, new):
        if new in self.boxes:
            raise MailError(Kind.EXISTS, "it exists")
        moved = self.boxes[new] = self.boxes.pop(self.box(old).name)
        moved.name = new
        if old == "INBOX":
            self.add_box("INBOX")

    async def subscribe(self, name, subscribed):
        (self.subscribed.add if subscribed else self.subscribed.discard)(name)

    async def append(self, name, messages):
        await self.pass_gate("append")
        box = self.box(name)
        uids = [
            self.put(
                name,
                message.content if isinstance(message.content, bytes) else self.files[int(message.content.path)].octets,
                message.flags,
                message.internal_date or 0,
            )
            for message in messages
        ]
        self.tell(box)
        return Appended(uidvalidity=7, uids=uids)

    async def begin_body(self, size_octets, replaced_octets=None):
        await self.pass_gate("begin_body")
        file = FakeFile(len(self.files), size_octets)
        self.files.append(file)
        return file

    def annotated_values(self, name):
        if name:
            self.box(name)
        found = {}
        for box, entry, value in self.annotation_changes:
            if box == name:
                found[entry.lower()] = entry, value
        return {entry: value for entry, value in found.values() if value is not None}

    async def annotations(self, name, entries, depth):
        await self.pass_gate("annotations")
        return {entry: value for entry, value in self.annotated_values(name).items() if is_asked(entry, entries, depth)}

    async def annotate(self, name, values, limits):
        await self.pass_gate("annotate")
        if len(self.annotated_values(name)) + len(values) > limits.per_mailbox:
            raise TooManyAnnotationsError
        first = len(self.annotation_changes) + 1
        self.annotation_changes += [(name, entry, value) for entry, value in values.items()]
        self.changes.publish(MailboxChange(self.account_id, 0, 0))
        return range(first, len(self.annotation_changes) + 1)

    async def annotated(self, since):
        await self.pass_gate("annotated")
        last = len(self.annotation_changes)
        changes = [
            AnnotationChange(number=number, mailbox=name, entry=entry)
            for number, (name, entry, _) in enumerate(self.annotation_changes, 1)
            if number > (last if since is None else since)
        ]
        return AnnotationChanges(number=last, changes=changes)

    async def quota(self):
        used = sum(len(message.content) for box in self.boxes.values() for message in box.messages.values())
        messages = sum(len(box.messages) for box in self.boxes.values())
        return {"STORAGE": (used, self.limit), "MESSAGES": (messages, self.messages_max)}

    def logout(self):
        self.logouts += 1


class FakeFile:
    def __init__(self, number, announced):
        self.number = number
        self.announced = announced
        self.octets = b""
        self.aborted = False

    async def write(self, chunk):
        self.octets += chunk

    async def finish(self):
        return Body(str(self.number), len(self.octets))

    def abort(self):
        self.aborted = True


@implementer(IMailbox)
class FakeMailbox:
    def __init__(self, account, box, name, read_only):
        self.account = account
        self.box = box
        self.mailbox_id = box.mailbox_id
        self.name = name
        self.read_only = read_only
        self.closed = False
        self.recent = set(box.recent)
        if not read_only:
            box.recent.clear()

    async def snapshot(self):
        await self.account.pass_gate("snapshot")
        messages = self.box.messages
        return Snapshot(
            uidvalidity=7,
            uidnext=self.box.uidnext,
            highest_modseq=self.box.modseq,
            uids=sorted(messages),
            flags=[messages[uid].flags for uid in sorted(messages)],
            keywords=frozenset(self.box.keywords),
            recent=frozenset(self.recent),
        )

    async def changes(self, since_modseq):
        await self.account.pass_gate("changes")
        if self.box.name not in self.account.boxes:
            raise MailError(Kind.NOT_FOUND, "the mailbox is gone")
        changed = [m for uid, m in sorted(self.box.messages.items()) if m.modseq > since_modseq]
        fresh = frozenset(self.box.recent)
        if not self.read_only:
            self.box.recent.clear()
        return Changes(
            modseq=self.box.modseq,
            expunged=sorted(uid for uid, modseq in self.box.expunged if modseq > since_modseq),
            flags=[(m.uid, m.flags, m.modseq) for m in changed],
            added=[m.uid for m in changed],
            recent=fresh,
            keywords=frozenset(self.box.keywords),
        )

    async def history(self, since_modseq):
        await self.account.pass_gate("history")
        messages = sorted(self.box.messages.items())
        return History(
            modseq=self.box.modseq,
            flags=[(uid, m.flags, m.modseq) for uid, m in messages if m.modseq > since_modseq],
            expunged=sorted(uid for uid, modseq in self.box.expunged if modseq > since_modseq),
            complete=since_modseq >= self.box.forgotten,
        )

    async def fetch(self, uids, columns, header_octets=None):
        await self.account.pass_gate("fetch")
        rows = []
        octets = 0
        for uid in uids:
            message = self.box.messages.get(uid)
            if message is not None:
                octets += len(self.column(message, Column.HEADER))
                if header_octets is not None and rows and octets > header_octets:
                    break
                rows.append((uid, *(self.column(message, column) for column in columns)))
        return rows

    def column(self, message, column):
        if column is Column.FLAGS:
            return message.flags
        if column is Column.INTERNAL_DATE:
            return message.date
        if column in {Column.MODSEQ, Column.SAVED, Column.EMAIL_ID}:
            return getattr(message, column.value)
        if column is Column.SIZE:
            return len(message.content)
        summary = summarize(message.content)
        if column is Column.THREAD_ID:
            return thread_id(summary.header, message.email_id)
        return getattr(summary, column.value)

    def message(self, uid):
        if uid not in self.box.messages:
            raise MailError(Kind.EXPUNGED, "it is gone")
        return self.box.messages[uid]

    async def read(self, uid, offset, length):
        await self.account.pass_gate("read")
        return self.message(uid).content[offset : offset + length]

    async def read_many(self, uids, limit_octets):
        await self.account.pass_gate("read_many")
        found, total = [], 0
        for uid in uids:
            if uid in self.box.messages:
                content = self.box.messages[uid].content
                total += len(content)
                if found and total > limit_octets:
                    break
                found.append((uid, content))
        return found

    async def parts(self, uid):
        return parse_parts(self.message(uid).content)

    async def previews(self, uids, *, make):
        await self.account.pass_gate("make previews" if make else "previews")
        known = self.account.previews
        for uid in uids if make else ():
            known[self.mailbox_id, uid] = make_preview(self.message(uid).content).encode()
        return {uid: known[self.mailbox_id, uid] for uid in uids if (self.mailbox_id, uid) in known}

    def writable(self):
        if self.read_only:
            raise MailError(Kind.DENIED, "read-only")

    async def store_flags(self, uids, mode, flags, unchanged_since):
        await self.account.pass_gate("store_flags")
        self.writable()
        keywords = self.box.keywords | {flag for flag in flags if not flag.startswith("\\")}
        if len(keywords) > self.account.keywords_max:
            raise TooManyKeywordsError
        self.box.modseq += 1
        rows, late = [], []
        for uid in uids:
            if uid not in self.box.messages:
                continue
            message = self.box.messages[uid]
            if unchanged_since is not None and message.modseq > unchanged_since:
                late.append(uid)
                continue
            new = {
                StoreMode.REPLACE: flags,
                StoreMode.ADD: message.flags | flags,
                StoreMode.REMOVE: message.flags - flags,
            }[mode]
            message.flags = new
            message.modseq = self.box.modseq
            rows.append((uid, new, message.modseq))
        self.box.keywords |= {flag for flag in flags if not flag.startswith("\\")}
        self.account.tell(self.box)
        return rows, late

    def remove(self, uids):
        self.box.modseq += 1
        for uid in uids:
            del self.box.messages[uid]
            self.box.expunged.append((uid, self.box.modseq))
        self.account.tell(self.box)

    async def expunge(self, uids):
        await self.account.pass_gate("expunge")
        self.writable()
        gone = [
            uid
            for uid, message in sorted(self.box.messages.items())
            if "\\Deleted" in message.flags and (uids is None or uid in uids)
        ]
        self.remove(gone)
        return gone

    async def copy_to(self, uids, name):
        await self.account.pass_gate("copy_to")
        target = self.account.box(name)
        sources = [uid for uid in uids if uid in self.box.messages]
        copies = [self.box.messages[uid] for uid in sources]
        made = [self.account.put(name, message.content, message.flags, message.date) for message in copies]
        self.account.tell(target)
        return Appended(uidvalidity=7, uids=made, source_uids=sources)

    async def move_to(self, uids, name):
        self.writable()
        appended = await self.copy_to(uids, name)
        self.remove(appended.source_uids)
        return appended

    async def replace(self, uid, name, message):
        await self.account.pass_gate("replace")
        self.writable()
        self.message(uid)
        appended = await self.account.append(name, [message])
        self.remove([uid])
        return appended

    async def search_text(self, uids, test):
        await self.account.pass_gate("search_text")
        found = []
        for uid in uids:
            if uid not in self.box.messages:
                continue
            content = self.message(uid).content
            if test(lambda offset, length, octets=content: octets[offset : offset + length], len(content)):
                found.append(uid)
        return found

    def close(self):
        self.closed = True


@implementer(ITLSTransport, ITCPTransport)
class Transport(StringTransportWithDisconnection):
    """A transport that can be told to be full, and that notes TLS and aborts."""

    def __init__(self):
        super().__init__()
        self.tls_started = None
        self.aborted = False
        self.no_delay = None

    def startTLS(self, context_factory, normal=True):
        self.tls_started = context_factory

    def setTcpNoDelay(self, enabled):
        self.no_delay = enabled

    def abortConnection(self):
        self.aborted = True
        self.loseConnection()


@implementer(IRealm)
class FakeRealm:
    def __init__(self, account):
        self.account = account

    def requestAvatar(self, avatarId, mind, *interfaces):
        assert interfaces[0] is IMailAccount
        return IMailAccount, self.account, self.account.logout


class Client:
    """Speaks to one server; what comes back is kept as octets."""

    def __init__(self, factory):
        self.transport = Transport()
        self.server = factory.buildProtocol(None)
        self.transport.protocol = self.server
        self.server.makeConnection(self.transport)
        self.clock = factory.clock
        self._tags = 0

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
        self._tags += 1
        tag = b"t%d" % self._tags
        answer = self.send(tag + b" " + command + b"\r\n")
        lines = answer.split(b"\r\n")
        assert lines[-1] == b"", answer
        assert lines[-2].startswith(tag + b" "), answer
        return lines[:-2], lines[-2][len(tag) + 1 :]

    def ok(self, command):
        """Run one command that succeeds and give the untagged lines."""
        lines, status = self.run(command)
        assert status.startswith(b"OK"), (lines, status)
        return lines

    def login(self):
        self.received()
        self.ok(b"LOGIN alice@example.test secret")
        return self

    def select(self, name=b"INBOX"):
        self.ok(b"SELECT " + name)
        return self

    @property
    def connected(self):
        return self.transport.connected


@attrs.define
class Suite:
    account: FakeAccount
    clock: Clock
    factory: IMAPFactory
    clients: list = attrs.Factory(list)

    def connect(self):
        client = Client(self.factory)
        self.clients.append(client)
        return client

    def gate(self):
        """Make the next operation of the store wait for this Deferred."""
        self.account.gate = Deferred()
        return self.account.gate


@pytest.fixture
def make_suite():
    suites = []

    def make(context_factory=None, **settings):
        account = FakeAccount()
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        checker.addUser(b"alice@example.test", b"secret")
        clock = Clock()
        factory = IMAPFactory(
            Portal(FakeRealm(account), [checker]),
            settings=IMAPSettings(**{"allow_cleartext": True, **settings}),
            context_factory=context_factory,
            reactor=clock,
        )
        suites.append(Suite(account, clock, factory))
        return suites[-1]

    yield make
    for suite in suites:
        for client in suite.clients:
            if client.transport.connected:
                client.transport.loseConnection()
        assert not suite.factory.connections
        assert not suite.clock.getDelayedCalls(), suite.clock.getDelayedCalls()


@pytest.fixture
def suite(make_suite):
    return make_suite()


@pytest.fixture
def mail():
    """Make messages."""

    def make(subject="hello", body="text\r\n", extra=""):
        return (
            f"From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: {subject}\r\n"
            f"Date: Tue, 17 Nov 2026 10:00:00 +0000\r\n{extra}\r\n{body}"
        ).encode()

    return make


class InlineReactor(Clock):
    """Does at once what threads hand over."""

    def callFromThread(self, call, *arguments):
        call(*arguments)


@implementer(IRealm)
class StoreRealm:
    def __init__(self, store):
        self.store = store

    def requestAvatar(self, avatarId, mind, *interfaces):
        account = self.store.account(Account(account_id=1, email="alice@example.test"))
        return IMailAccount, account, account.logout


@pytest.fixture
def make_server(tmp_path, suite):
    """Start servers, each on a store of its own; give that, and what connects scripted clients to it."""
    stores = []

    def make(kind):
        storage = StorageSettings(maildir_root=str(tmp_path / f"mail{len(stores)}"))
        if kind == "memory":
            store = MemoryStore(storage, clock=Clock().seconds)
        else:
            store = open_store(storage, disk=Disk(), reactor=InlineReactor(), lane=InlineLane)
        store.start()
        stores.append(store)
        checker = InMemoryUsernamePasswordDatabaseDontUse()
        checker.addUser(b"alice@example.test", b"secret")
        suite.clock = Clock()
        suite.factory = IMAPFactory(
            Portal(StoreRealm(store), [checker]), settings=IMAPSettings(allow_cleartext=True), reactor=suite.clock
        )
        return store, lambda: suite.connect().login()

    yield make
    for client in suite.clients:
        if client.transport.connected:
            client.transport.loseConnection()
    for store in stores:
        store.stop()
