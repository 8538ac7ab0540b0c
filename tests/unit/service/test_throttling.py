import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from mailsuite.directory import Rule, Throttle
from mailsuite.errors import Kind
from mailsuite.interfaces import Claim, Grant
from mailsuite.service.link import Link
from mailsuite.service.throttling import ANSWER_SECONDS, ParentThrottle, throttle_commands

HOUR = Rule(limit=2, period_seconds=3600, patience_seconds=1800)


class Pair:
    """A parent with a limiter, and workers that ask it."""

    def __init__(self, count):
        self.clock = Clock()
        self.clock.advance(1000)
        throttle = Throttle({"hour": HOUR}, self.clock.seconds)
        self.workers, self.links = [], []
        for _ in range(count):
            near, far = Link({}, {}), Link(dict(throttle_commands(throttle)), {})
            for link in (near, far):
                link.makeConnection(StringTransport())
            self.links.append((near, far))
            self.workers.append(ParentThrottle(near, self.clock))

    def ask(self, number, *claims):
        results = []
        Deferred.fromCoroutine(self.workers[number].take(claims)).addBoth(results.append)
        return results

    def carry(self, number):
        near, far = self.links[number]
        for source, target in ((near, far), (far, near)):
            octets = source.transport.value()
            source.transport.clear()
            target.dataReceived(octets)

    def take(self, number, *claims):
        results = self.ask(number, *claims)
        self.carry(number)
        return results[0]


@pytest.fixture
def pair():
    return Pair(2)


def test_workers_count_together(pair):
    assert [pair.take(n % 2, Claim("hour", "alice")) for n in range(4)] == [
        Grant(allowed=True),
        Grant(allowed=True),
        Grant(allowed=True, wait_seconds=1800.0, rule="hour", limit=2),
        Grant(allowed=False, wait_seconds=1800.0, rule="hour", limit=2),
    ]
    assert pair.take(0, Claim("hour", "bob", 2), Claim("other", "bob")) == Grant(allowed=True)


def test_a_parent_that_does_not_answer_or_is_gone_is_a_temporary_failure(pair):
    results = pair.ask(0, Claim("hour", "alice"))
    pair.clock.advance(ANSWER_SECONDS)
    assert results[0].value.kind is Kind.UNAVAILABLE
    results = pair.ask(1, Claim("hour", "alice"))
    pair.links[1][0].connectionLost(Failure(ConnectionDone()))
    assert results[0].value.kind is Kind.UNAVAILABLE
