"""
Work on the queue while the disk fails, or the machine stops, at the n-th call, for every n.

Once a message was acknowledged, every recipient has it, and its sender the reports, whatever happens. Without a crash
nothing is sent or reported twice.
"""

import contextlib
import errno

import attrs
import pytest
from store_at_once import ReactorAtOnce
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.durable import Disk, InlineGroup, InlineLane
from mailsuite.envelope import Sender
from mailsuite.errors import Kind
from mailsuite.interfaces import Account, IAccounts, IDeliveryStore, LocalOutcome, Receipt, Resolution, ResolutionKind
from mailsuite.mta import QueueService, QueueSettings, Spool, SpoolMessage, SpoolSettings, Target
from mailsuite.smtp.outcome import Outcome, OutcomeState
from mailsuite.testing.faults import Crash, FaultyDisk

START = 1_700_000_000
CONTENT = b"Return-Path: <>\r\nSubject: x\r\n\r\nbody\r\n"
ACCOUNTS = {
    "alice": Account(account_id=1, email="alice@here.test"),
    "bob": Account(account_id=2, email="bob@here.test"),
}


@implementer(IDeliveryStore)
class StoreInMemory:
    """Survives the crash of what is tested, as a disk does."""

    def __init__(self):
        self.mail = {}

    def deliver(self, deliveries, report):
        for delivery in deliveries:
            self.mail.setdefault(delivery.delivery_id, (delivery.email, delivery.content))
        report([LocalOutcome(delivery.delivery_id, 1, 1) for delivery in deliveries])

    def sync(self):
        pass

    def backlog(self):
        return 0

    def actions(self):
        """Give what alice was told, in order of the alphabet."""
        told = [content for email, content in self.mail.values() if email == "alice@here.test"]
        return sorted(
            line.decode().removeprefix("Action: ")
            for content in told
            for line in content.split(b"\r\n")
            if line.startswith(b"Action: ")
        )


@implementer(IAccounts)
class Accounts:
    def resolve(self, address):
        if address.domain != "here.test":
            return succeed(Resolution(kind=ResolutionKind.REMOTE))
        return succeed(Resolution(kind=ResolutionKind.LOCAL, accounts=((ACCOUNTS[address.local_part], ""),)))

    def may_send_as(self, email, sender):
        return succeed(True)

    def find(self, email):
        return succeed(ACCOUNTS[email.partition("@")[0]])

    def list_accounts(self):
        return succeed(list(ACCOUNTS.values()))


class Far:
    """Takes mail for one recipient at the second attempt, refuses the other."""

    def __init__(self):
        self.taken = 0
        self.tries = 0

    async def __call__(self, destination, envelope, open_content):
        outcomes = []
        for recipient in envelope.recipients:
            if recipient.path.local_part == "bad":
                outcomes.append(Outcome(OutcomeState.FAILED, 550, "5.1.1", "no"))
                continue
            self.tries += 1
            if self.tries == 1:
                outcomes.append(Outcome(OutcomeState.DEFERRED, 451, "4.2.0", "later"))
            else:
                self.taken += 1
                outcomes.append(Outcome(OutcomeState.DELIVERED, 250, "2.0.0", "ok"))
        return outcomes


@attrs.define
class Run:
    """A spool and its queue, for as long as they live."""

    folder: str
    store: StoreInMemory
    far: Far
    reactor: ReactorAtOnce = attrs.field(factory=ReactorAtOnce)
    spool: Spool | None = None

    def open(self, disk):
        self.reactor.advance(START)
        spool = Spool(
            self.folder,
            disk=disk,
            store=self.store,
            reactor=self.reactor,
            settings=SpoolSettings(stop_seconds=0),
            group_thread=InlineGroup,
            file_lane=InlineLane(),
            sweeper_thread=False,
            clock=self.reactor.seconds,
        )
        spool.start()
        self.spool = spool
        service = QueueService(
            [self.spool],
            Accounts(),
            QueueSettings(),
            (),
            self.reactor,
            hostname="mx.here.test",
            attempt=self.far,
            jitter=lambda: 0.0,
        )
        service.startService()
        return service

    def put(self):
        message = SpoolMessage(
            message_id=self.spool.take_id(),
            received=START,
            sender=Sender(path=Address("alice", "here.test")),
            targets=(
                Target(address=Address("good", "far.test"), notify="SUCCESS,FAILURE"),
                Target(address=Address("bad", "far.test")),
                Target(address=Address("bob", "here.test"), account_id=2, email="bob@here.test", notify="SUCCESS"),
            ),
            content=CONTENT,
            trace_octets=17,
        )
        answers = []
        self.spool.put(message).addBoth(answers.append)
        return answers

    def pass_time(self):
        for _ in range(40):
            self.spool.sweep()
            self.reactor.advance(60)

    def close(self):
        if self.spool is not None:
            self.spool._writer.close()


def run(folder, disk):
    """Give the answer to a message, and what became of it after a new start with a disk that works."""
    store, far = StoreInMemory(), Far()
    first = Run(folder, store, far)
    answers = []
    try:
        first.open(disk)
        answers = first.put()
        first.pass_time()
    except (OSError, Crash):
        pass
    first.close()
    again = Run(folder, store, far)
    service = again.open(Disk())
    again.pass_time()
    with contextlib.closing(again):
        left = []
        again.spool.run(lambda c: c.execute("SELECT count(*) FROM message").fetchone()[0]).addCallback(left.append)
        service.stopService()
    return answers, store, far, left[0]


def calls_of(tmp_path):
    disk = FaultyDisk()
    answers, store, far, left = run(str(tmp_path / "count"), disk)
    assert isinstance(answers[0], Receipt)
    assert store.actions() == ["delivered", "failed", "relayed"]
    assert (far.taken, left) == (1, 0)
    return disk.count


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_fails_once_at_every_call(tmp_path, error):
    acknowledged = 0
    for number in range(1, calls_of(tmp_path) + 1):
        disk = FaultyDisk(fail_at=number, error=error)
        answers, store, far, left = run(str(tmp_path / f"{number}"), disk)
        if answers and isinstance(answers[0], Receipt):
            acknowledged += 1
            assert store.actions() == ["delivered", "failed", "relayed"], (number, disk.trace[-1])
            assert far.taken == 1, (number, disk.trace)
            assert sorted(email for email, content in store.mail.values() if content == CONTENT) == ["bob@here.test"]
        else:
            assert not answers or answers[0].value.kind is Kind.UNAVAILABLE
            assert not store.mail
            assert far.tries == 0
        assert left == 0
    assert acknowledged > 5


def test_crashes_at_every_call(tmp_path):
    acknowledged = 0
    for number in range(1, calls_of(tmp_path) + 1):
        disk = FaultyDisk(crash_at=number)
        answers, store, far, left = run(str(tmp_path / f"{number}"), disk)
        assert disk.crashed
        assert left == 0
        if answers and isinstance(answers[0], Receipt):
            acknowledged += 1
            assert store.actions() == ["delivered", "failed", "relayed"], number
            assert far.taken in {1, 2}, "who crashes before the record has to ask again"
            assert sorted(email for email, content in store.mail.values() if content == CONTENT) == ["bob@here.test"]
    assert acknowledged > 5


def test_a_disk_that_fails_for_a_while_sends_nothing_twice(tmp_path):
    store, far = StoreInMemory(), Far()
    disk = FaultyDisk(operations={"commit"})
    first = Run(str(tmp_path / "spool"), store, far)
    service = first.open(disk)
    pause = Deferred()
    attempt = far.__call__

    async def paused(*arguments):
        outcomes = await attempt(*arguments)
        await pause
        return outcomes

    for queue in service._queues:
        queue._attempt = paused
    first.put()
    disk.reset()
    disk.fail_at, disk.lasting = 1, True
    pause.callback(None)
    first.pass_time()
    assert far.tries == 1
    disk.heal()
    first.pass_time()
    assert (far.tries, far.taken) == (2, 1)
    assert store.actions() == ["delivered", "failed", "relayed"]
    first.close()
