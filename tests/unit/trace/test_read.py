"""What is told of a message."""

import pytest
from twisted.logger import Logger

from mailsuite.trace import in_order
from mailsuite.trace.words import LATER, STATES, WORDS, words_of

from .conftest import DAY


def test_a_message_is_told_in_order_even_when_delivery_was_faster_than_the_log(bench):
    bench.deliver("A-1")
    bench.accept("A-1")
    bench.accept("A-2")
    assert bench.events("A-1") == ["spool.message.accepted", "spool.delivery.completed"]
    assert bench.events("a-2 ") == ["spool.message.accepted"]


def test_what_was_refused_before_the_message_was_accepted_stands_before_it(bench):
    bench.log.emit(
        "smtp.rcpt.refused", queue_id="A-1", sender="far@elsewhere.test", recipient="no@example.test", code=550, text=""
    )
    bench.accept("A-1")
    bench.deliver("A-1")
    assert bench.events("A-1") == ["smtp.rcpt.refused", "spool.message.accepted", "spool.delivery.completed"]


def test_a_row_tells_when_who_and_what(bench):
    bench.accept("A-1", "<m@elsewhere.test>")
    (row,) = bench.trace.story("A-1")
    assert row == {
        "time": "2026-11-30T12:00:01.000+00:00",
        "event": "spool.message.accepted",
        "queue_id": "A-1",
        "peer": "192.0.2.7",
        "text": "A-1 from far@elsewhere.test to alice@example.test, 100 octets; came from 192.0.2.7 (mx.elsewhere.test)"
        " to port 25 without TLS; goes to alice@example.test/INBOX",
        "fields": {
            "session": "s1",
            "sender": "far@elsewhere.test",
            "recipients": ["alice@example.test"],
            "size": 100,
            "message_id": "<m@elsewhere.test>",
            "helo": "mx.elsewhere.test",
            "port": 25,
            "tls": "",
            "targets": ["alice@example.test/INBOX"],
        },
    }


def test_a_message_id_leads_to_every_message_that_carries_it(bench):
    bench.accept("A-1", "<m@elsewhere.test>")
    bench.accept("A-2", "<m@elsewhere.test>")
    bench.accept("A-3")
    bench.deliver("A-2")
    for name in ("<m@elsewhere.test>", "m@elsewhere.test"):
        assert [row["queue_id"] for row in bench.trace.story(name)] == ["A-1", "A-2", "A-2"]


def test_what_is_not_known_gives_nothing(bench):
    assert bench.events("A-9") == []
    bench.accept("A-1")
    assert bench.events("A-9") == []
    assert bench.events("") == []
    assert bench.events("%' OR 1=1 --") == []


def test_events_of_no_message_and_of_other_programs_are_passed_over(bench):
    bench.log.emit("service.start.completed")
    bench.log.emit("smtp.message.abandoned", queue_id="", peer="::1", sender="<>", recipients=[])
    Logger("twisted", observer=bench.recorder).info("{queue_id}", queue_id="A-1")
    assert bench.events("A-1") == []
    assert bench.events("") == []


def test_a_story_goes_on_over_days(bench):
    bench.accept("A-1", "<m@x>")
    bench.attempt("A-1", "deferred", code=451, text="4.0.0 later")
    bench.recorder.flush()
    bench.now += 3 * DAY
    bench.attempt("A-1", "delivered")
    assert len(bench.trace.story("A-1")) == 3
    assert bench.events("m@x") == ["spool.message.accepted", "queue.recipient.deferred", "queue.recipient.delivered"]
    assert bench.files() == ["2026-11-30.db", "2026-12-03.db"]


def test_a_report_belongs_to_the_story_from_both_ends(bench):
    bench.accept("A-1")
    bench.attempt("A-1", "failed", code=550, text="5.1.1 nobody")
    bench.log.emit("queue.report.queued", queue_id="A-1", sender="far@elsewhere.test", report="A-2")
    bench.recorder.flush()
    bench.now += DAY
    bench.deliver("A-2", "far@elsewhere.test")
    whole = ["spool.message.accepted", "queue.recipient.failed", "queue.report.queued", "spool.delivery.completed"]
    assert bench.events("A-1") == whole
    assert bench.events("A-2") == whole


def test_the_remote_words_are_told(bench):
    bench.attempt("A-1", "deferred", code=451, text="4.7.1 greylisted", tries=2)
    bench.attempt("A-1", "delivered", host="", code=0, text="delivered", tries=3)
    assert [row["text"] for row in bench.trace.story("A-1")] == [
        "A-1 for away@elsewhere.test deferred, attempt 2; mx.elsewhere.test said: 451 4.7.1 greylisted",
        "A-1 for away@elsewhere.test delivered, attempt 3; delivered",
    ]


def test_an_authenticated_sender_over_tls_is_told(bench):
    bench.accept("A-1", account="bob@example.test", tls="TLSv1.3 X", port=587)
    (row,) = bench.trace.story("A-1")
    assert "(mx.elsewhere.test) to port 587 as bob@example.test with TLSv1.3 X;" in row["text"]


def test_an_event_of_another_version_is_told_as_well_as_can_be():
    assert (
        words_of("some.thing.new", {"queue_id": "A-1", "what": "x", "peer": ""}) == "some.thing.new queue_id=A-1 what=x"
    )
    assert words_of("spool.message.accepted", {"queue_id": "A-1"}) == "spool.message.accepted queue_id=A-1"


def test_words_and_states_are_of_events_that_there_are():
    from mailsuite.observe import EVENTS

    assert set(WORDS) | set(STATES) <= set(EVENTS)
    assert all(any(name.startswith(beginning) for name in EVENTS) for beginning in LATER)


def test_rows_of_several_processes_are_put_in_order():
    rows = [
        {"queue_id": queue_id, "time": time, "event": event}
        for queue_id, time, event in (
            ("B", "2", "spool.message.accepted"),
            ("A", "4", "queue.recipient.delivered"),
            ("A", "1", "spool.delivery.completed"),
            ("A", "3", "spool.message.accepted"),
        )
    ]
    assert [(row["queue_id"], row["time"]) for row in in_order(rows)] == [
        ("A", "3"),
        ("A", "1"),
        ("A", "4"),
        ("B", "2"),
    ]


# searching


@pytest.fixture
def filled(bench):
    bench.accept("A-1")
    bench.deliver("A-1")
    bench.now += 3600
    bench.accept("A-2", sender="<>", recipients=["alice@example.test", "Carol@example.test"])
    bench.deliver("A-2")
    bench.attempt("A-2", "deferred", recipient="carol@far.test", code=451)
    bench.now += DAY
    bench.log.emit(
        "smtp.rcpt.refused", queue_id="A-3", sender="x@y.test", recipient="no@example.test", code=550, text="5.1.1 no"
    )
    return bench


def found(rows):
    return [(row["queue_id"], row["state"]) for row in rows]


def test_messages_are_found_by_recipient_the_newest_first(filled):
    assert found(filled.search(recipient="ALICE@example.test ")) == [
        ("A-2", "delivered, deferred"),
        ("A-1", "delivered"),
    ]
    assert found(filled.search(recipient="carol@example.test")) == [("A-2", "delivered, deferred")]
    assert found(filled.search(recipient="carol@far.test")) == [("A-2", "delivered, deferred")]
    assert filled.search(recipient="dave@example.test") == []


def test_messages_are_found_by_sender(filled):
    assert found(filled.search(sender="<>")) == [("A-2", "delivered, deferred")]
    assert found(filled.search(sender="far@elsewhere.test", recipient="alice@example.test")) == [("A-1", "delivered")]
    assert filled.search(sender="far@elsewhere.test", recipient="carol@example.test") == []


def test_messages_are_found_by_time(filled):
    assert found(filled.search(since=filled.now - 60)) == [("A-3", "refused")]
    assert [row["queue_id"] for row in filled.search(since=filled.now - DAY - 60)] == ["A-3", "A-2"]
    assert [row["queue_id"] for row in filled.search()] == ["A-3", "A-2", "A-1"]
    assert filled.search(recipient="alice@example.test", since=filled.now - 60) == []


def test_a_row_of_the_list_tells_what_became_of_the_message(filled):
    (row,) = filled.search(sender="x@y.test")
    assert row == {
        "time": "2026-12-01T13:00:06.000+00:00",
        "queue_id": "A-3",
        "sender": "x@y.test",
        "recipients": ["no@example.test"],
        "state": "refused",
        "text": "recipient no@example.test refused: 550 5.1.1 no",
    }


def test_what_an_operator_did_is_the_state(bench):
    bench.accept("A-1", recipients=["away@elsewhere.test"])
    for event, state in (("held", "held"), ("released", "waiting"), ("removed", "removed")):
        bench.log.emit(f"queue.message.{event}", queue_id="A-1", by="root on the command line")
        assert found(bench.search(sender="far@elsewhere.test")) == [("A-1", state)]
    assert bench.trace.story("A-1")[-1]["text"] == "A-1 removed from the queue by root on the command line"
