import pytest
from twisted.internet.defer import Deferred, execute
from twisted.logger import Logger

from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.mta.destinations import Pause
from mailsuite.observe import EventLog
from mailsuite.observe.sessions import OpenSession
from mailsuite.service.commands import ServerCommands
from mailsuite.service.inspection import Inspection
from mailsuite.trace import Recorder, Trace, TraceSettings


class Listeners:
    def __init__(self):
        self.ended = []

    def sessions(self):
        session = OpenSession(session="s1", peer="::1", account="", tls=True, began=10.0, doing="EHLO")
        return [session.row("smtp", 12.9)]

    def end_session(self, session):
        self.ended.append(session)
        return session == "s1"


def asking(trace):
    table = Inspection(None, None, Listeners(), trace, execute).table()

    def now(command, **arguments):
        results = []
        Deferred.fromCoroutine(table[command](arguments)).addBoth(results.append)
        (result,) = results
        return result

    return now


@pytest.fixture
def ask(tmp_path):
    return asking(Trace(str(tmp_path), Disk()))


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


def test_what_was_logged_a_moment_ago_is_told(tmp_path):
    with Recorder(str(tmp_path), TraceSettings(), Disk()) as recorder:
        ask = asking(Trace(str(tmp_path), Disk(), recorder))
        log = EventLog(Logger("test", observer=recorder))
        log.emit("queue.message.held", queue_id="A-1", by="somebody")
        log.emit("smtp.message.abandoned", queue_id="A-2", peer="::1", sender="a@x.test", recipients=["b@y.test"])
        assert [row["event"] for row in ask("trace", id="a-1")] == ["queue.message.held"]
        assert [row["queue_id"] for row in ask("trace.search", recipient="B@Y.test", since=0)] == ["A-2"]
        assert kind_of(ask("trace.search", since="yesterday")) is Kind.INVALID


def test_where_no_trace_is_kept_that_is_said():
    ask = asking(None)
    for failure in (ask("trace", id="A-1"), ask("trace.search", recipient="b@y.test")):
        assert kind_of(failure) is Kind.UNAVAILABLE
        assert "trace.days" in str(failure.value)


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
    table = Inspection(None, Queue(), Listeners(), None, execute).table()
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
