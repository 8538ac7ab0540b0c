"""Names of captured mail, and what a sweep asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account, Expired, LocalDelivery
from mailsuite.mta import CaptureSettings, CaptureSweeper
from mailsuite.mta.capture import capture_mailbox, captured_name
from mailsuite.store import MemoryStore, StorageSettings
from mailsuite.store.maildir import check_name

ACCOUNT = Account(account_id=7, email="capture@temp.test", quota_octets=1000, receive_only=True)
DAY = 86_400


@pytest.mark.parametrize(
    ("name", "mailbox"),
    [
        ("user", "user"),
        ("John.Doe+Tag", "john.doe+tag"),
        ("inbox", "INBOX"),
        ("a/b", "a=2F=b"),
        ("a=2f=b", "a=3D=2f=3D=b"),
        ("100%", "100=25="),
        ("*", "=2A="),
        ("..", "=2E==2E="),
        ("josé", "josé"),
    ],
)
def test_each_name_has_a_mailbox(name, mailbox):
    assert capture_mailbox(name) == mailbox
    assert check_name(mailbox) == mailbox
    assert captured_name(mailbox) == name.casefold()


@given(st.text(st.characters(codec="ascii"), min_size=1, max_size=30))
def test_no_two_names_share_a_mailbox_and_each_can_be_made(name):
    mailbox = capture_mailbox(name)
    assert captured_name(mailbox) == name.casefold()
    assert check_name(mailbox) == mailbox


class World:
    def __init__(self):
        self.clock = Clock()
        self.clock.advance(1_800_000_000)
        self.store = MemoryStore(StorageSettings(), clock=self.clock.seconds)
        self.captures = [(ACCOUNT, DAY)]
        self.number = 0

    def sweeper(self, upkeep=None, **settings):
        return CaptureSweeper(
            lambda: succeed(self.captures), upkeep or self.store, CaptureSettings(**settings), self.clock
        )

    def deliver(self, name, content=b"Subject: x\r\n\r\nbody\r\n"):
        self.number += 1
        outcomes = []
        delivery = LocalDelivery(
            delivery_id=f"d-{self.number}",
            account_id=ACCOUNT.account_id,
            email=ACCOUNT.email,
            quota_octets=ACCOUNT.quota_octets,
            mailbox=capture_mailbox(name),
            make_mailbox=True,
            content=content,
            link=False,
            received=int(self.clock.seconds()),
        )
        self.store.deliver([delivery], outcomes.extend)
        assert outcomes[0].error is None

    def names(self):
        mail = self.store.mail(ACCOUNT.account_id)
        return {name: len(box.messages) for name, box in mail.boxes.items() if not box.special_use}


@pytest.fixture
def world():
    return World()


@pytest.fixture
def failures():
    """Names of events with a traceback."""
    seen = []

    def observe(event):
        if "log_failure" in event:
            seen.append(event["event"])

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def test_what_is_old_goes_and_names_go_with_it(world):
    sweeper = world.sweeper()
    sweeper.start()
    world.deliver("one")
    world.clock.advance(DAY / 2)
    world.deliver("one")
    world.deliver("two")
    world.clock.pump([60] * int(DAY / 2 / 60))
    assert world.names() == {"INBOX": 0, "one": 2, "two": 1}
    world.clock.pump([60, 60])
    assert world.names() == {"INBOX": 0, "one": 1, "two": 1}
    world.clock.pump([60] * int(DAY / 2 / 60))
    assert world.names() == {"INBOX": 0}
    sweeper.stop()
    assert world.clock.getDelayedCalls() == []


def test_another_time_acts_at_once(world):
    sweeper = world.sweeper(sweep_seconds=10)
    sweeper.start()
    world.deliver("one")
    world.captures = [(ACCOUNT, 60)]
    world.clock.pump([10] * 6)
    assert world.names() == {"INBOX": 0, "one": 1}
    world.clock.pump([10])
    assert world.names() == {"INBOX": 0}
    sweeper.stop()


def test_a_domain_that_captures_no_more_keeps_what_it_has(world):
    sweeper = world.sweeper()
    sweeper.start()
    world.deliver("one")
    world.captures = []
    world.clock.advance(10 * DAY)
    assert world.names() == {"INBOX": 0, "one": 1}
    sweeper.stop()


def test_the_oldest_go_before_the_quota_is_reached(world):
    for name in ("a", "b", "c"):
        world.deliver(name, b"x" * 300)
        world.clock.advance(1)
    world.sweeper().start()
    assert world.names() == {"INBOX": 0, "b": 1, "c": 1}


def test_a_name_has_so_many_messages_and_a_domain_so_many_names(world):
    for name in ("a", "b", "b", "b", "c"):
        world.deliver(name, b"x")
        world.clock.advance(1)
    world.sweeper(messages_per_name_max=2, names_max=2).start()
    assert world.names() == {"INBOX": 0, "b": 2, "c": 1}


class FailingUpkeep:
    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def usage(self, account):
        raise AssertionError(account)

    async def expire(self, account, expiry):
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else Expired(0, 0)
        if isinstance(answer, Exception):
            raise answer
        return await answer if isinstance(answer, Deferred) else answer


def test_a_store_that_fails_is_asked_again_by_the_next_sweep(world):
    upkeep = FailingUpkeep(MailError(Kind.UNAVAILABLE), Expired(2, 1), Expired(0, 0))
    sweeper = world.sweeper(upkeep)
    sweeper.start()
    assert upkeep.asked == 1
    world.clock.advance(60)
    assert upkeep.asked == 3
    sweeper.stop()


def test_a_bug_does_not_end_the_sweeps(world, failures):
    upkeep = FailingUpkeep(ZeroDivisionError())
    sweeper = world.sweeper(upkeep)
    sweeper.start()
    assert failures == ["capture.sweep.failed"]
    world.clock.advance(60)
    assert upkeep.asked == 2
    sweeper.stop()


def test_stopping_waits_for_the_batch_under_way_and_begins_no_other(world):
    batch = Deferred()
    upkeep = FailingUpkeep(batch, Expired(1, 0))
    sweeper = world.sweeper(upkeep)
    sweeper.start()
    ended = []
    sweeper.stop().addCallback(ended.append)
    assert ended == []
    batch.callback(Expired(1, 0))
    assert ended == [None]
    assert upkeep.asked == 1
