"""How many connections are let in."""

import pytest

from mailsuite import connections
from mailsuite.connections import ConnectionLimits, ConnectionTable

NET, OTHER = "192.0.2.1", "192.0.2.2"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def seconds(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def table(clock, **limits):
    known = {"total": 100, "per_network": 100, "per_account": 100, **limits}
    return ConnectionTable(ConnectionLimits(**known), clock.seconds)


def test_connections_in_all(clock):
    made = table(clock, total=2)
    assert [made.admit(NET), made.admit(OTHER), made.admit("")] == [True, True, False]
    made.leave(NET)
    assert made.admit("")
    assert made.total == 2


def test_connections_of_one_network_but_not_those_without_one(clock):
    made = table(clock, per_network=1)
    assert [made.admit(NET), made.admit(NET), made.admit(OTHER)] == [True, False, True]
    assert [made.admit(""), made.admit("")] == [True, True]
    made.leave(NET)
    assert made.admit(NET)


def test_new_connections_in_a_minute(clock):
    made = table(clock, per_minute=2)
    for _ in range(2):
        assert made.admit(NET)
        made.leave(NET)
    assert not made.admit(NET)
    assert made.admit(OTHER)
    clock.now += connections.MINUTE_SECONDS
    assert made.admit(NET)


def test_a_connection_counts_for_whom_it_speaks(clock):
    made = table(clock, per_network=1)
    assert [made.admit(""), made.admit("")] == [True, True]
    assert made.move("", NET)
    assert not made.move("", NET)
    made.leave("")
    made.leave(NET)
    assert made.total == 0
    assert made.admit(NET)


def test_connections_of_one_account(clock):
    made = table(clock, per_account=1)
    assert [made.join_account("a"), made.join_account("a"), made.join_account("b")] == [True, False, True]
    made.leave_account("a")
    assert made.join_account("a")


def test_without_limits_everybody_is_counted_and_let_in(clock):
    made = ConnectionTable(None, clock.seconds)
    assert all(made.admit(NET) and made.join_account("a") for _ in range(1000))
    made.limits = ConnectionLimits(total=2000, per_network=1000, per_account=1000)
    assert not made.admit(NET)
    assert not made.join_account("a")


def test_what_is_remembered_is_bounded(clock, monkeypatch):
    monkeypatch.setattr(connections, "NETWORKS_TRACKED_MAX", 3)
    made = table(clock, per_minute=1)
    for number in range(10):
        assert made.admit(f"192.0.2.{number}")
    assert len(made._recent) == 3
