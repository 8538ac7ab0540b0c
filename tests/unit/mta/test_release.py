"""Mail that its sender wants to leave later (RFC 4865)."""

import attrs
import pytest

from mailsuite.mta import Change, Selection
from mailsuite.smtp.outcome import Outcome, OutcomeState

from .conftest import pending_of

HOUR = 3600
LATER = Outcome(OutcomeState.DEFERRED, 451, "4.2.0", "later")


@pytest.fixture
def put(world):
    def put(spool, *names, after=HOUR, sender="alice@example.test"):
        message = world.message(spool, *names, sender=sender)
        release = int(world.reactor.seconds()) + after
        spool.put(attrs.evolve(message, sender=attrs.evolve(message.sender, release=release)))
        return release

    return put


def pass_time(world, seconds, step=60):
    for _ in range(int(seconds // step)):
        world.reactor.advance(step)


def test_it_waits_for_its_time_here_and_elsewhere(world, far, start, put, outcome):
    spool = world.spool()
    service = start(spool)
    release = put(spool, "bob", "far@remote.test")
    for _ in range(3):
        spool.sweep()
    pass_time(world, HOUR - 60)
    assert not far.got
    assert not world.store.calls
    (entry,) = outcome(service.list())
    assert {(recipient.next_attempt, recipient.status) for recipient in entry.recipients} == {
        (release, "its sender wants it to leave then")
    }
    pass_time(world, 120)
    spool.sweep()
    assert far.recipients() == [["far@remote.test"]]
    assert len(world.store.of("bob@example.test")) == 1
    assert far.got[0][1].sender.release == 0, "the next hop need not wait again"
    assert outcome(spool.run(pending_of)) == []


def test_it_waits_through_a_restart(world, far, start, put):
    spool = world.spool()
    put(spool, "bob")
    world.kill(spool)
    spool = world.spool()
    start(spool)
    for _ in range(3):
        spool.sweep()
    assert not world.store.calls
    pass_time(world, HOUR + 60)
    spool.sweep()
    assert len(world.store.of("bob@example.test")) == 1


def test_a_time_that_has_passed_changes_nothing(world, put, outcome):
    spool = world.spool()
    put(spool, "bob", after=-5)
    assert len(world.store.of("bob@example.test")) == 1
    assert outcome(spool.run(pending_of)) == []


def test_its_age_counts_from_its_release(world, far, start, put, outcome):
    far.answers["far@remote.test"] = LATER
    spool = world.spool()
    start(spool)
    put(spool, "far@remote.test", after=6 * 86400)
    pass_time(world, 6 * 86400 + 2 * HOUR, step=600)
    assert len(far.got) > 1
    assert not world.store.of("alice@example.test"), "it is two hours late"
    pass_time(world, 3 * HOUR, step=600)
    assert len(world.store.of("alice@example.test")) == 1
    pass_time(world, 4 * 86400, step=600)
    assert len(outcome(spool.run(pending_of))) == 1
    pass_time(world, 86400, step=600)
    assert outcome(spool.run(pending_of)) == []
    assert len(world.store.of("alice@example.test")) == 2


def test_a_flush_leaves_it_and_the_operators_word_for_one_does_not(world, far, start, put, outcome):
    spool = world.spool()
    service = start(spool)
    put(spool, "far@remote.test")
    assert outcome(service.change(Change.RETRY, Selection())) == 0
    assert not far.got
    outcome(service.change(Change.HOLD, Selection()))
    outcome(service.change(Change.RELEASE, Selection()))
    assert not far.got
    outcome(service.change(Change.RETRY, Selection(queue_id=spool.queue_id(1))))
    assert len(far.got) == 1
