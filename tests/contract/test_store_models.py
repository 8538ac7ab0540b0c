"""Whatever clients and deliveries do, in whatever order, the store on disk shows what the one in memory shows."""

import shutil
import tempfile

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from store_at_once import ReactorAtOnce
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailsuite.durable import Disk, InlineLane
from mailsuite.errors import MailError
from mailsuite.interfaces import Account, AnnotationLimits, AppendMessage, Created, Depth, LocalDelivery, StoreMode
from mailsuite.store import MemoryStore, StorageSettings, open_store

ACCOUNT = Account(account_id=1, email="alice@example.com")
NAMES = st.sampled_from(["INBOX", "Trash", "a", "a/b", "a/b/c", "b.c", "inbox/x", "ü"])
FLAGS = st.frozensets(st.sampled_from(["\\Seen", "\\Deleted", "\\Flagged", "work", "WORK", "$home"]), max_size=3)
ENTRIES = st.sampled_from(["/private/a", "/PRIVATE/a", "/private/a/b", "/shared/a", "/private/specialuse"])
VALUES = st.none() | st.sampled_from([b"", b"x", b"\\Junk", b"\\trash \\Sent"])
LIMITS = AnnotationLimits(per_mailbox=2, per_account=4)
UIDS = st.lists(st.integers(1, 12), max_size=4, unique=True)
CONTENT = st.sampled_from([b"Subject: x\r\n\r\nshort\r\n", b"To: a@b\r\n\r\n" + b"long line " * 20 + b"\r\n", b""])


def outcome(call):
    results = []

    async def work():
        return await call

    Deferred.fromCoroutine(work()).addBoth(results.append)
    if isinstance(results[0], Failure):
        results[0].trap(MailError)
        return results[0].value.kind
    return results[0]


class Stores(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = tempfile.mkdtemp()
        self.settings = StorageSettings(maildir_root=f"{self.root}/mail", lanes=1, create_special=("Trash",))
        self.memory = MemoryStore(self.settings, clock=lambda: 1_800_000_000.0)
        self.number = 0
        self.delivery = None
        self.open()

    def open(self):
        self.disk = open_store(
            self.settings, disk=Disk(), reactor=ReactorAtOnce(), lane=InlineLane, clock=lambda: 1_800_000_000.0
        )
        self.disk.start()

    def teardown(self):
        self.disk.stop()
        shutil.rmtree(self.root)

    def both(self, call):
        return [outcome(call(store)) for store in (self.memory, self.disk)]

    def same(self, call):
        first, second = self.both(call)
        assert first == second

    def on(self, name, call):
        async def work(store):
            box = await store.account(ACCOUNT).open_mailbox(name, read_only=False)
            return await call(box)

        return self.both(work)

    @rule(name=NAMES)
    def create(self, name):
        first, second = self.both(lambda store: store.account(ACCOUNT).create(name, frozenset()))
        assert first == second or (isinstance(first, Created) and isinstance(second, Created))

    @rule(name=NAMES)
    def delete(self, name):
        self.same(lambda store: store.account(ACCOUNT).delete(name))

    @rule(old=NAMES, new=NAMES)
    def rename(self, old, new):
        self.same(lambda store: store.account(ACCOUNT).rename(old, new))

    @rule(name=NAMES, subscribed=st.booleans())
    def subscribe(self, name, subscribed):
        self.same(lambda store: store.account(ACCOUNT).subscribe(name, subscribed))

    @rule(name=NAMES | st.just(""), values=st.dictionaries(ENTRIES, VALUES, min_size=1, max_size=3))
    def annotate(self, name, values):
        values = dict({entry.lower(): (entry, value) for entry, value in values.items()}.values())
        first, second = self.both(lambda store: store.account(ACCOUNT).annotate(name, values, LIMITS))
        assert first == second or len(first) == len(second)

    @rule(name=NAMES, contents=st.lists(CONTENT, min_size=1, max_size=3), flags=FLAGS)
    def append(self, name, contents, flags):
        messages = [AppendMessage(content=content, flags=flags) for content in contents]
        first, second = self.both(lambda store: store.account(ACCOUNT).append(name, messages))
        assert getattr(first, "uids", first) == getattr(second, "uids", second)

    @rule(name=NAMES, content=CONTENT, flags=FLAGS)
    def deliver(self, name, content, flags):
        self.number += 1
        self.delivery = LocalDelivery(
            delivery_id=f"spool-{self.number}-0",
            account_id=1,
            email=ACCOUNT.email,
            quota_octets=0,
            mailbox=name,
            content=content,
            link=False,
            received=7,
            flags=flags,
        )
        self.deliver_again()

    @rule()
    def deliver_again(self):
        if self.delivery is not None:
            for store in (self.memory, self.disk):
                store.deliver([self.delivery], lambda outcomes: None)

    @rule(name=NAMES, uids=UIDS, mode=st.sampled_from(StoreMode), flags=FLAGS, since=st.none() | st.integers(1, 6))
    def store_flags(self, name, uids, mode, flags, since):
        first, second = self.on(name, lambda box: box.store_flags(uids, mode, flags, since))
        assert first == second or [list(part) for part in first] == [list(part) for part in second]

    @rule(name=NAMES, uids=st.none() | UIDS)
    def expunge(self, name, uids):
        first, second = self.on(name, lambda box: box.expunge(uids))
        assert first == second

    @rule(name=NAMES, uids=UIDS, goal=NAMES, move=st.booleans())
    def transfer(self, name, uids, goal, move):
        first, second = self.on(name, lambda box: (box.move_to if move else box.copy_to)(uids, goal))
        assert getattr(first, "uids", first) == getattr(second, "uids", second)

    @rule(name=NAMES, uid=st.integers(1, 12), goal=NAMES, content=CONTENT, flags=FLAGS)
    def replace(self, name, uid, goal, content, flags):
        message = AppendMessage(content=content, flags=flags)
        first, second = self.on(name, lambda box: box.replace(uid, goal, message))
        assert getattr(first, "uids", first) == getattr(second, "uids", second)

    @rule(name=NAMES, uids=UIDS, make=st.booleans())
    def previews(self, name, uids, make):
        first, second = self.on(name, lambda box: box.previews(uids, make=make))
        assert first == second

    @rule()
    def reopen(self):
        self.disk.stop()
        self.open()

    @rule()
    def close_mailboxes(self):
        for entry in outcome(self.disk.account(ACCOUNT).list_mailboxes()):
            if entry.selectable:
                self.disk.mirror(ACCOUNT, entry.mailbox_id)

    @invariant()
    def both_show_the_same(self):
        assert self.picture(self.disk) == self.picture(self.memory)
        assert outcome(self.disk.verify(ACCOUNT)) == []

    def picture(self, store):
        async def work():
            account = store.account(ACCOUNT)
            shown = []
            for entry in await account.list_mailboxes():
                line = [entry.name, entry.selectable, entry.subscribed, entry.special_use]
                if entry.selectable:
                    status = await account.status(entry.name)
                    box = await account.open_mailbox(entry.name, read_only=True)
                    snapshot = await box.snapshot()
                    changes = await box.changes(0)
                    line += [
                        (status.messages, status.recent, status.unseen, status.deleted, status.uidnext),
                        (status.highest_modseq, status.size_octets),
                        (list(snapshot.uids), list(snapshot.flags), snapshot.keywords, snapshot.recent),
                        [tuple(change) for change in changes.flags],
                        [list(changes.added), list(changes.expunged)],
                        list(await box.read_many(snapshot.uids, 10**9)),
                        await account.annotations(entry.name, ["/private", "/shared"], Depth.ALL),
                    ]
                shown.append(line)
            changes = [(change.mailbox, change.entry) for change in (await account.annotated(0)).changes]
            return shown, changes, await account.annotations("", ["/private"], Depth.ALL), await account.quota()

        return outcome(work())


TestStores = Stores.TestCase
TestStores.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
