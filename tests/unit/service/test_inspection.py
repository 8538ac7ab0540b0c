import pytest
from twisted.internet.defer import Deferred

from mailsuite.errors import Kind, MailError
from mailsuite.mta.destinations import Pause
from mailsuite.observe.recent import RecentEvents
from mailsuite.observe.sessions import OpenSession
from mailsuite.service.commands import ServerCommands
from mailsuite.service.inspection import Inspection


class Listeners:
    def __init__(self):
        self.ended = []

    def sessions(self):
        session = OpenSession(session="s1", peer="::1", account="", tls=True, began=10.0, doing="EHLO")
        return [session.row("smtp", 12.9)]

    def end_session(self, session):
        self.ended.append(session)
        return session == "s1"


@pytest.fixture
def ask():
    table = Inspection(None, None, Listeners(), RecentEvents()).table()

    def now(command, **arguments):
        results = []
        Deferred.fromCoroutine(table[command](arguments)).addBoth(results.append)
        (result,) = results
        return result

    return now


def kind_of(failure):
    assert failure.check(MailError)
    return failure.value.kind


def test_a_session_is_told_in_plain_values(ask):
    assert ask("sessions") == [
        {"id": "s1", "service": "smtp", "peer": "::1", "account": "", "tls": True, "seconds": 2, "doing": "EHLO"}
    ]


def test_a_session_ends_by_its_id(ask):
    assert ask("session.end", id="s1") == {"id": "s1"}
    assert kind_of(ask("session.end", id="s2")) is Kind.NOT_FOUND
    assert kind_of(ask("session.end")) is Kind.NOT_FOUND


def test_without_a_spool_nothing_waits(ask):
    assert ask("queue.list") == []


def test_what_is_not_known_is_said(ask):
    assert kind_of(ask("trace", id="X-1")) is Kind.NOT_FOUND


class Queue:
    """As much of a queue as is asked."""

    def __init__(self):
        self.calls = []

    def pauses(self):
        return [Pause(destination="far.test", failures=3, until=1_700_000_000.0, words="no answer")]

    def poke(self):
        self.calls.append("poke")

    def open_destinations(self, domains=None):
        self.calls.append(domains)


def test_destinations_that_are_left_alone_are_listed(ask):
    table = Inspection(None, Queue(), Listeners(), RecentEvents()).table()
    results = []
    Deferred.fromCoroutine(table["queue.pauses"]({})).addCallback(results.append)
    assert results == [
        [
            {
                "destination": "far.test",
                "until": "2023-11-14T22:13:20+00:00",
                "failures": 3,
                "reason": "no answer",
            }
        ]
    ]
    assert ask("queue.pauses") == []


def test_a_poke_may_end_pauses():
    queue = Queue()
    commands = ServerCommands(None, None, 0.0, None, None, queue, Listeners(), None)
    for request in ({}, {"open": []}, {"open": ["far.test"]}, {"open": "far.test"}):
        Deferred.fromCoroutine(commands.poke_queue(request))
    assert queue.calls == ["poke", None, ["far.test"], "poke"]
