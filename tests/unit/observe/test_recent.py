from twisted.logger import Logger

from mailsuite.observe import EventLog
from mailsuite.observe.recent import RecentEvents


class Bench:
    def __init__(self, events_max=100):
        self.recent = RecentEvents(events_max)
        self.now = 1_000_000.0
        self.log = EventLog(Logger("test", observer=self.take))

    def take(self, event):
        self.now += 1
        event["log_time"] = self.now
        self.recent(event)

    def accept(self, queue_id, message_id=""):
        self.log.bind(session="s1", peer="192.0.2.7").emit(
            "spool.message.accepted",
            queue_id=queue_id,
            sender="far@elsewhere.test",
            recipients=["alice@example.test"],
            size=100,
            message_id=message_id,
        )

    def deliver(self, queue_id):
        self.log.emit(
            "spool.delivery.completed", queue_id=queue_id, recipient="alice@example.test", account="a@example.test"
        )

    def events(self, name):
        return [row["event"] for row in self.recent.trace(name)]


def test_a_message_is_told_in_order_even_when_delivery_was_faster_than_the_log():
    bench = Bench()
    bench.deliver("A-1")
    bench.accept("A-1")
    bench.accept("A-2")
    assert bench.events("A-1") == ["spool.message.accepted", "spool.delivery.completed"]
    assert bench.events("a-2 ") == ["spool.message.accepted"]


def test_a_row_tells_when_who_and_what():
    bench = Bench()
    bench.accept("A-1", "<m@elsewhere.test>")
    (row,) = bench.recent.trace("A-1")
    assert row == {
        "time": "1970-01-12T13:46:41.000+00:00",
        "event": "spool.message.accepted",
        "queue_id": "A-1",
        "peer": "192.0.2.7",
        "text": "A-1 from far@elsewhere.test to ['alice@example.test'], 100 octets",
        "fields": {
            "session": "s1",
            "sender": "far@elsewhere.test",
            "recipients": ["alice@example.test"],
            "size": 100,
            "message_id": "<m@elsewhere.test>",
        },
    }


def test_a_message_id_leads_to_every_message_that_carries_it():
    bench = Bench()
    bench.accept("A-1", "<m@elsewhere.test>")
    bench.accept("A-2", "<m@elsewhere.test>")
    bench.accept("A-3")
    bench.deliver("A-2")
    for name in ("<m@elsewhere.test>", "m@elsewhere.test"):
        assert [row["queue_id"] for row in bench.recent.trace(name)] == ["A-1", "A-2", "A-2"]


def test_what_is_not_known_gives_nothing():
    bench = Bench()
    bench.accept("A-1")
    assert bench.events("A-9") == []
    assert bench.events("") == []


def test_the_oldest_is_forgotten():
    bench = Bench(events_max=2)
    for number in range(3):
        bench.accept(f"A-{number}")
    assert [bool(bench.events(f"A-{number}")) for number in range(3)] == [False, True, True]


def test_events_of_no_message_and_of_other_programs_are_passed_over():
    bench = Bench()
    bench.log.emit("service.start.completed")
    Logger("twisted", observer=bench.recent).info("{queue_id}", queue_id="A-1")
    assert bench.events("A-1") == []
