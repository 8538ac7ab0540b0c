"""Stores to be tested, each behind the same few calls."""

import itertools
import queue

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailsuite.durable import Disk, InlineLane, Lane
from mailsuite.interfaces import Account, AppendMessage, LocalDelivery
from mailsuite.store import ChangeBus, Layout, MemoryStore, StorageSettings, open_store

NOW = 1_800_000_000.0


class QueueReactor:
    """A reactor that does nothing but run what threads ask for, when it is told to."""

    def __init__(self):
        self.calls = queue.SimpleQueue()

    def callFromThread(self, call, *arguments, **keywords):
        self.calls.put(lambda: call(*arguments, **keywords))

    def run_until(self, done):
        while not done():
            self.calls.get(timeout=30)()
        while not self.calls.empty():
            self.calls.get()()


class Bench:
    """One store and its clock."""

    def __init__(self, kind, root):
        self.kind = kind
        self.root = root
        self.now = NOW
        self.reactor = QueueReactor()
        self.bus = ChangeBus()
        self.settings = StorageSettings(
            maildir_root=str(root / "mail"),
            layout=Layout(kind.split("-")[1]) if kind != "memory" else Layout.DOMAIN,
            keywords_max=20,
            message_max_octets=100_000,
            mailboxes_max=30,
        )
        self._deliveries = itertools.count(1)
        self.store = None
        self.open()

    def open(self, disk=None):
        if self.kind == "memory":
            self.store = self.store or MemoryStore(self.settings, bus=self.bus, clock=self.clock)
        else:
            self.store = open_store(
                self.settings,
                disk=disk or Disk(),
                reactor=self.reactor,
                bus=self.bus,
                lane=Lane if self.kind.endswith("threads") else InlineLane,
                clock=self.clock,
            )
        self.store.start()

    def reopen(self):
        self.store.stop()
        self.open()

    def clock(self):
        return self.now

    def go(self, awaitable):
        results = []
        deferred = awaitable if isinstance(awaitable, Deferred) else Deferred.fromCoroutine(awaitable)
        deferred.addBoth(results.append)
        self.reactor.run_until(lambda: results)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    def account(self, number=1, quota=0):
        return self.store.account(Account(account_id=number, email=f"user{number}@example.com", quota_octets=quota))

    def mailbox(self, name="INBOX", *, read_only=False, number=1, quota=0):
        return self.go(self.account(number, quota).open_mailbox(name, read_only=read_only))

    def append(self, *contents, name="INBOX", flags=(), number=1, date=None):
        messages = [AppendMessage(content=each, flags=frozenset(flags), internal_date=date) for each in contents]
        return self.go(self.account(number).append(name, messages))

    def delivery(self, content, *, number=1, **fields):
        defaults = {
            "delivery_id": f"spool-{next(self._deliveries)}-0",
            "quota_octets": 0,
            "mailbox": "INBOX",
            "link": False,
            "received": 1_700_000_000,
        }
        email = f"user{number}@example.com"
        return LocalDelivery(account_id=number, email=email, content=content, **(defaults | fields))

    def deliver(self, *deliveries):
        outcomes = []
        self.store.deliver(deliveries, outcomes.extend)
        if self.kind.endswith("threads"):
            self.go(self.account(deliveries[-1].account_id).status("INBOX"))
            while len(outcomes) < len(deliveries):
                pass
        self.reactor.run_until(lambda: True)
        return {outcome.delivery_id: outcome for outcome in outcomes}

    def contents(self, name="INBOX", number=1):
        box = self.mailbox(name, read_only=True, number=number)
        uids = self.go(box.snapshot()).uids
        return [content for _, content in self.go(box.read_many(uids, 10**9))]


KINDS = ("memory", "sqlite-domain", "sqlite-userid", "sqlite-address", "sqlite-domain-threads")


@pytest.fixture(params=KINDS)
def bench(request, tmp_path):
    made = Bench(request.param, tmp_path)
    yield made
    made.store.stop()
