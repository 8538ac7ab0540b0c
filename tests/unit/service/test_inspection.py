import pytest
from twisted.internet.defer import Deferred

from mailsuite.errors import Kind, MailError
from mailsuite.observe.recent import RecentEvents
from mailsuite.observe.sessions import OpenSession
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
