"""Connections between messages: how many are kept, for how long, and what ends them."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailsuite.mta.pool import ConnectionPool


class Kept:
    """A connection that says what is done to it."""

    def __init__(self, clock, reusable=True):
        self.opened = clock.seconds()
        self.reusable = reusable
        self.disturbed = None
        self.end = ""

    def watch(self, disturbed):
        self.disturbed = disturbed

    def leave(self):
        self.end = "left"

    def abort(self):
        self.end = "aborted"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pool(clock):
    return ConnectionPool(clock, idle_max=2, idle_seconds=2, life_seconds=10)


def test_the_last_that_came_is_the_first_to_go(pool, clock):
    first, second = Kept(clock), Kept(clock)
    pool.give("a", first)
    pool.give("a", second)
    assert pool.take("b") is None
    assert [pool.take("a"), pool.take("a"), pool.take("a")] == [second, first, None]
    assert (first.end, second.end, len(pool)) == ("", "", 0)
    assert first.disturbed is None
    assert clock.getDelayedCalls() == []


def test_a_connection_is_kept_for_a_moment(pool, clock):
    connection = Kept(clock)
    pool.give("a", connection)
    clock.advance(1.9)
    assert connection.end == ""
    clock.advance(0.2)
    assert connection.end == "left"
    assert pool.take("a") is None


def test_whoever_waited_longest_makes_room(pool, clock):
    connections = [Kept(clock) for _ in range(3)]
    for key, connection in zip("aba", connections, strict=True):
        pool.give(key, connection)
    assert [connection.end for connection in connections] == ["left", "", ""]
    assert len(pool) == 2


def test_one_that_is_disturbed_is_ended(pool, clock):
    connection = Kept(clock)
    pool.give("a", connection)
    connection.disturbed()
    assert connection.end == "aborted"
    assert pool.take("a") is None
    assert clock.getDelayedCalls() == []


def test_what_cannot_go_on_is_not_kept(pool, clock):
    old, spent, dead = Kept(clock), Kept(clock, reusable=False), Kept(clock)
    pool.give("a", spent)
    pool.give("a", dead)
    dead.reusable = False
    assert pool.take("a") is None
    clock.advance(10)
    pool.give("a", old)
    assert (old.end, spent.end, dead.end, len(pool)) == ("left", "left", "aborted", 0)


def test_none_are_kept_where_none_may_be(clock):
    pool = ConnectionPool(clock, idle_max=0, idle_seconds=2, life_seconds=10)
    connection = Kept(clock)
    pool.give("a", connection)
    assert connection.end == "left"


def test_the_end_waits_for_all_to_say_goodbye(pool, clock):
    connections = [Kept(clock), Kept(clock)]
    for connection in connections:
        pool.give("a", connection)
    closed = []
    Deferred.fromCoroutine(pool.close()).addBoth(closed.append)
    assert [connection.end for connection in connections] == ["left", "left"]
    connections[1].disturbed()
    assert closed == []
    connections[0].disturbed()
    assert closed == [None]
    late = Kept(clock)
    pool.give("a", late)
    assert late.end == "left"
