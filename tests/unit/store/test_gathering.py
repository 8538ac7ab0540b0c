"""How long a lane waits for more deliveries before it takes what is there."""

from collections import deque

import pytest
from twisted.logger import Logger

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import LocalDelivery
from mailsuite.observe import EventLog
from mailsuite.store.delivery import BUSY_SECONDS, GATHER_SECONDS, GATHER_TIMES_MAX, DeliveryLane


class Bench:
    """A lane whose jobs run when the test says so, of a store that takes nothing; and a clock that pauses move."""

    def __init__(self):
        self.lane = self
        self.jobs = deque()
        self.now = 100.0
        self.pauses = []
        self.batches = []
        self.meanwhile = lambda: None
        self.delivery = DeliveryLane(
            self, lambda _: None, EventLog(Logger("test")), pause=self.pause, clock=lambda: self.now
        )

    def post(self, job):
        self.jobs.append(job)

    def backlog(self):
        return len(self.jobs)

    def using(self, account_id, email):
        raise MailError(Kind.UNAVAILABLE, "no store here")

    def pause(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds
        self.meanwhile()

    def put(self, count):
        messages = [
            LocalDelivery(
                delivery_id=number,
                account_id=1,
                email="a@example.test",
                quota_octets=0,
                mailbox="INBOX",
                content=b"",
                received=0,
                link=False,
            )
            for number in range(count)
        ]
        self.delivery.put(messages, self.report)

    def report(self, outcomes):
        self.batches.append(len(outcomes))

    def run(self):
        """Do what waits; give the pauses that were made."""
        self.pauses.clear()
        while self.jobs:
            self.jobs.popleft()()
        return len(self.pauses)


@pytest.fixture
def bench():
    return Bench()


def test_what_comes_alone_never_waits(bench):
    for _ in range(3):
        bench.put(1)
        assert bench.run() == 0
    assert bench.batches == [1, 1, 1]


@pytest.mark.parametrize(("before", "times"), [(2, 1), (5, 4), (100, GATHER_TIMES_MAX)])
def test_after_several_the_next_ones_are_waited_for(bench, before, times):
    bench.put(before)
    assert bench.run() == 0
    bench.put(1)
    bench.meanwhile = lambda: bench.put(1)
    assert bench.run() == times
    assert set(bench.pauses) == {GATHER_SECONDS}
    assert bench.batches == [before, 1 + times]


def test_a_batch_long_ago_says_nothing(bench):
    bench.put(9)
    bench.run()
    bench.now += BUSY_SECONDS + 0.001
    bench.put(1)
    assert bench.run() == 0


def test_nobody_waits_while_somebody_wants_something_else_of_the_lane(bench):
    bench.put(9)
    bench.run()
    bench.put(1)
    bench.meanwhile = lambda: bench.post(lambda: None)
    assert bench.run() == 1
    bench.put(1)
    bench.post(lambda: None)
    assert bench.run() == 0
