"""The spool with its real threads, and a reactor that is the test itself."""

import os
import queue

import pytest

from mailsuite.durable import Disk, GroupThread
from mailsuite.mta import Spool, SpoolSettings

WAIT_SECONDS = 20


class CollectingReactor:
    def __init__(self):
        self.calls = queue.SimpleQueue()

    def callFromThread(self, callable_, *arguments, **keywords):
        self.calls.put((callable_, arguments, keywords))

    def until(self, condition):
        while not condition():
            callable_, arguments, keywords = self.calls.get(timeout=WAIT_SECONDS)
            callable_(*arguments, **keywords)


@pytest.fixture
def reactor():
    return CollectingReactor()


@pytest.fixture
def start(world, reactor):
    spools = []

    def start():
        spool = Spool(
            world.folder,
            disk=Disk(),
            store=world.store,
            reactor=reactor,
            settings=SpoolSettings(busy_sweep_seconds=0.01, idle_sweep_seconds=0.01, inline_max_octets=1000),
        )
        spool.start()
        spools.append(spool)
        return spool

    yield start
    for spool in spools:
        spool.stop()


def test_a_thousand_messages_are_answered_delivered_and_forgotten(world, reactor, start):
    spool = start()
    receipts = []
    for number in range(1000):
        spool.put(world.message(spool, ("alice", "bob")[number % 2])).addCallback(receipts.append)
    reactor.until(lambda: len(receipts) == 1000)
    assert len(set(receipts)) == 1000
    spool.stop()
    assert len(world.store.mail) == 1000
    again = start()
    found = []
    again.run(lambda c: c.execute("SELECT count(*) FROM message").fetchone()).addCallback(found.append)
    reactor.until(lambda: found)
    assert found == [(0,)]


def test_messages_that_arrive_together_share_commits_and_calls_into_the_reactor(world, reactor, start):
    commits = []

    class CountingDisk(Disk):
        def before(self, operation, path):
            if operation == "commit":
                commits.append(path)

    spool = Spool(world.folder, disk=CountingDisk(), store=world.store, reactor=reactor, sweeper_thread=False)
    spool.start()
    spool._group.stop()
    group = GroupThread("late", spool._writer.work)
    spool._writer._database = None
    spool._group = group
    receipts = []
    for _ in range(200):
        spool.put(world.message(spool, "alice")).addCallback(receipts.append)
    commits.clear()
    while not reactor.calls.empty():
        reactor.calls.get()
    group.start()
    group.stop()
    assert len(commits) == 1
    assert reactor.calls.qsize() == 1
    reactor.until(lambda: len(receipts) == 200)
    spool._writer.close()


def test_a_large_body_goes_through_the_file_lane(world, reactor, start):
    spool = start()
    body = spool.begin_body(spool.take_id())
    from twisted.internet.defer import Deferred

    paused = body.write(b"x" * 2_000_000)
    went_on = []
    paused.addCallback(went_on.append)
    reactor.until(lambda: went_on)
    finished = []
    Deferred.fromCoroutine(body.finish()).addCallback(finished.append)
    reactor.until(lambda: finished)
    assert os.stat(finished[0].path).st_size == 2_000_000
    body.abort()


def test_a_later_local_delivery_is_confirmed_when_it_was_synced(world, reactor, start):
    spool = start()
    outcomes = []
    spool.deliver_again(world.message(spool, "alice"), 0).addCallback(outcomes.append)
    reactor.until(lambda: outcomes)
    assert outcomes[0].error is None
    assert world.store.syncs >= 1


@pytest.mark.parametrize("method", ["sync", "backlog"])
def test_the_sweeper_survives_what_nobody_foresaw(world, reactor, start, method):
    spool = start()
    receipts = []
    spool.put(world.message(spool, "alice")).addCallback(receipts.append)
    reactor.until(lambda: receipts)
    spool.stop()
    world.store.mail.clear()
    plain = getattr(world.store, method)
    broken = []

    def fails_once():
        if not broken:
            broken.append(True)
            raise ZeroDivisionError
        return plain()

    setattr(world.store, method, fails_once)
    again = start()
    again.put(world.message(again, "bob")).addCallback(receipts.append)
    reactor.until(lambda: broken and len(receipts) == 2)
    found = []

    def look():
        again.run(lambda c: c.execute("SELECT count(*) FROM message").fetchone()).addCallback(found.append)

    look()
    while (0,) not in found:
        answers = len(found)
        reactor.until(lambda answers=answers: len(found) > answers)
        look()
    assert len(world.store.of("bob@example.test")) == 1
