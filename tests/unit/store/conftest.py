"""A store on a temporary folder whose lanes do everything at once."""

import pytest
from store_at_once import ReactorAtOnce, go

from mailsuite.durable import Disk, InlineLane
from mailsuite.interfaces import Account, AppendMessage, LocalDelivery
from mailsuite.store import Layout, StorageSettings, open_store


class Bench:
    def __init__(self, root, layout=Layout.DOMAIN, disk=None, **settings):
        self.root = root / "mail"
        self.settings = StorageSettings(maildir_root=str(self.root), layout=layout, lanes=1, **settings)
        self.account = Account(account_id=1, email="alice@example.com")
        self.now = 1_800_000_000.0
        self.disk = disk or Disk()
        self.open()

    @property
    def home(self):
        names = {Layout.DOMAIN: "example.com/alice", Layout.USERID: "user_1", Layout.ADDRESS: "alice@example.com"}
        return self.root / names[self.settings.layout]

    @property
    def inbox(self):
        return self.home / "INBOX" if self.settings.layout is Layout.USERID else self.home

    @property
    def index(self):
        with self.store._accounts[0].using(1, self.account.email) as index:
            return index

    def open(self, boot=None):
        self.store = open_store(
            self.settings, disk=self.disk, reactor=ReactorAtOnce(), lane=InlineLane, clock=lambda: self.now
        )
        if boot is not None:
            self.store._boot = boot
        self.store.start()

    def reopen(self):
        self.store.stop()
        self.open()

    def kill(self, boot=None):
        for index in self.store._accounts[0]._open.values():
            index.database.connection.close()
            index.lock.close()
        self.open(boot)

    def go(self, awaitable):
        return go(awaitable)

    def session(self):
        return self.store.account(self.account)

    def box(self, name="INBOX", *, read_only=False):
        return self.go(self.session().open_mailbox(name, read_only=read_only))

    def append(self, *contents, name="INBOX", flags=()):
        messages = [AppendMessage(content=each, flags=frozenset(flags)) for each in contents]
        return self.go(self.session().append(name, messages))

    def deliver(self, content, number, mailbox="INBOX"):
        outcomes = []
        delivery = LocalDelivery(
            delivery_id=f"spool-{number}-0",
            account_id=1,
            email="alice@example.com",
            quota_octets=0,
            mailbox=mailbox,
            content=content,
            link=False,
            received=1_700_000_000,
        )
        self.store.deliver([delivery], outcomes.extend)
        return outcomes[0]

    def mail(self, name="INBOX"):
        box = self.box(name, read_only=True)
        snapshot = self.go(box.snapshot())
        found = dict(self.go(box.read_many(snapshot.uids, 10**9)))
        return {uid: (found[uid], set(flags)) for uid, flags in zip(snapshot.uids, snapshot.flags, strict=True)}


@pytest.fixture
def make_bench(tmp_path):
    made = []

    def make(**settings):
        made.append(Bench(tmp_path, **settings))
        return made[-1]

    yield make
    for bench in made:
        bench.store.stop()


@pytest.fixture
def bench(make_bench):
    return make_bench()
