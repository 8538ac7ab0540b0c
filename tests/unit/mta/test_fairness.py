"""Many destinations, some of them dead: who is tried when, and what is told of those who wait."""

import pytest
from twisted.internet.defer import Deferred

from mailsuite.mta import Change, QueueFile, Selection, queue_statements, statements
from mailsuite.mta.operations import worker_folder
from mailsuite.smtp.outcome import Outcome, OutcomeState

from .conftest import DELIVERED, pending_of

MISSED = Outcome(OutcomeState.DEFERRED, 0, "4.4.1", "connection refused")
LATER = Outcome(OutcomeState.DEFERRED, 451, "4.2.0", "later")
DAY = 86400


class Net:
    """Dead domains do not answer, or keep who asks waiting; others take everything, but for some recipients."""

    def __init__(self):
        self.tried = []
        self.hang = False
        self.hanging = []
        self.dead = True
        self.answer = MISSED
        self.later = set()
        self.slow = set()

    async def __call__(self, destination, envelope, open_content):
        self.tried.append((destination.domain, [str(recipient.path) for recipient in envelope.recipients]))
        (recipient, *_) = [str(recipient.path) for recipient in envelope.recipients]
        if recipient in self.later:
            self.later.remove(recipient)
            return [LATER] * len(envelope.recipients)
        if recipient in self.slow:
            self.hanging.append(Deferred())
            await self.hanging[-1]
        if not (self.dead and destination.domain.startswith("dead")):
            return [DELIVERED] * len(envelope.recipients)
        if self.hang:
            self.hanging.append(Deferred())
            await self.hanging[-1]
        return [self.answer] * len(envelope.recipients)

    def domains(self):
        return [domain for domain, _ in self.tried]


@pytest.fixture
def far():
    return Net()


def fill(spool, world, count, domains, sender="s@far.test"):
    batch = [world.message(spool, f"u{n}@dead{n % domains}.test", sender=sender) for n in range(count)]
    spool.run(lambda connection: statements.insert_messages(connection, batch))


def storm(world, count, domains):
    """A spool in which so much lay when it was opened."""
    spool = world.spool()
    fill(spool, world, count, domains)
    world.kill(spool)
    return world.spool()


def pass_time(world, seconds, step=60):
    for _ in range(int(seconds // step)):
        world.reactor.advance(step)


def test_2000_messages_for_50_dead_domains_keep_no_other_waiting(world, far, start):
    spool = storm(world, 2000, 50)
    service = start(spool, routes=())
    assert len(far.tried) == 50, "one attempt for each"
    assert len(service.pauses()) == 50
    spool.put(world.message(spool, "somebody@live.test"))
    assert far.domains()[50:] == ["live.test"]
    pass_time(world, 3600, step=2)
    assert len(far.tried) < 50 * 8, "they are probed, less and less often"
    spool.put(world.message(spool, "another@live.test"))
    assert far.domains()[-1] == "live.test"


def test_dead_domains_that_keep_us_waiting_keep_no_other_waiting(world, far, start):
    spool = storm(world, 2000, 50)
    far.hang = True
    start(spool, routes=(), attempts_max=20)
    assert len(far.hanging) == 10
    spool.put(world.message(spool, "somebody@live.test"))
    assert far.domains()[-1] == "live.test"
    pass_time(world, 30, step=2)
    assert len(far.hanging) == 50
    assert len(set(far.domains())) == 51


def test_pauses_cost_no_tries(world, far, start, outcome):
    spool = world.spool()
    fill(spool, world, 20, 1)
    start(spool, routes=())
    pass_time(world, 1200, step=2)
    tries = [pending.tries for pending in outcome(spool.run(pending_of))]
    assert sum(tries) == len(far.tried) == 5
    assert sum(1 for number in tries if number) == 5, "another one each time"


def test_when_a_destination_answers_again_all_of_its_mail_goes(world, far, start, outcome):
    spool = world.spool()
    fill(spool, world, 100, 1)
    service = start(spool, routes=())
    pass_time(world, 600)
    far.dead = False
    far.tried.clear()
    pass_time(world, 1200)
    assert outcome(spool.run(pending_of)) == []
    assert len(far.tried) == 100
    assert service.pauses() == []


@pytest.mark.parametrize(
    ("answer", "paused"),
    [
        (LATER, False),
        (Outcome(OutcomeState.FAILED, 550, "5.1.1", "no"), False),
        (Outcome(OutcomeState.FAILED, 0, "5.1.2", "no such domain"), False),
        (Outcome(OutcomeState.DEFERRED, 0, "4.3.0", "our own fault"), False),
        (Outcome(OutcomeState.DEFERRED, 421, "4.3.2", "too busy"), True),
        (Outcome(OutcomeState.DEFERRED, 451, "4.4.1", "no answer behind"), True),
        (Outcome(OutcomeState.DEFERRED, 0, "4.7.5", "no TLS"), True),
        (MISSED, True),
    ],
)
def test_only_who_cannot_be_reached_is_paused(world, far, start, answer, paused):
    spool = world.spool()
    fill(spool, world, 10, 1)
    far.answer = answer
    service = start(spool, routes=())
    assert bool(service.pauses()) is paused
    assert far.domains().count("dead0.test") == (1 if paused else 10)


def test_everybody_has_a_turn_before_anybody_has_a_second_one(world, far, start):
    spool = world.spool()
    far.answer = DELIVERED
    start(spool, routes=(), attempts_max=4)
    for number in range(20):
        spool.put(world.message(spool, f"u@dead{number}.test"))
    far.hang = True
    far.tried.clear()
    fill(spool, world, 20 * 8, 20)
    world.reactor.advance(2)
    assert len(far.hanging) == 4
    for number in range(20 * 8):
        far.hanging[number].callback(None)
    domains = far.domains()
    last_first = max(domains.index(f"dead{number}.test") for number in range(20))
    sixth = min([n for n, domain in enumerate(domains) if domain == f"dead{number}.test"][5] for number in range(20))
    assert last_first < sixth, "one as it came, and then a turn of four"


def test_the_search_goes_on_where_it_ended(world, far, start, monkeypatch, outcome):
    monkeypatch.setattr(queue_statements, "DOMAINS_MAX", 7)
    spool = world.spool()
    far.dead = False
    fill(spool, world, 50, 50)
    fill(spool, world, 50, 25)
    start(spool, routes=(), attempts_max=3)
    assert outcome(spool.run(pending_of)) == []
    assert len(far.tried) == 100


def test_recipients_of_a_message_that_were_deferred_together_stay_together(world, far, start):
    spool = world.spool()
    start(spool, routes=())
    spool.put(world.message(spool, "a@dead.test", "b@dead.test"))
    pass_time(world, 400, step=2)
    assert far.tried == [("dead.test", ["a@dead.test", "b@dead.test"])] * 2


def test_messages_leased_behind_a_failure_are_given_back(world, far, start, outcome):
    spool = world.spool()
    far.dead = False
    start(spool, routes=())
    for _ in range(3):
        spool.put(world.message(spool, "a@dead.test"))
    far.dead = True
    batch = [world.message(spool, "a@dead.test") for _ in range(40)]
    spool.run(lambda connection: statements.insert_messages(connection, batch))
    far.tried.clear()
    world.reactor.advance(2)
    assert len(far.tried) < 15
    leases = outcome(spool.run(lambda c: c.execute("SELECT count(*) FROM recipient WHERE lease <> 0").fetchone()))
    assert leases == (0,)


# what the operator may do


def test_one_message_is_tried_through_a_pause(world, far, start, outcome):
    spool = world.spool()
    fill(spool, world, 10, 1)
    service = start(spool, routes=())
    (wanted,) = (pending for pending in outcome(spool.run(pending_of)) if pending.address == "u7@dead0.test")
    outcome(service.change(Change.RETRY, Selection(queue_id=spool.queue_id(wanted.message_id))))
    assert far.tried == [("dead0.test", ["u0@dead0.test"]), ("dead0.test", ["u7@dead0.test"])]
    pass_time(world, 30, step=2)
    assert len(far.tried) == 2


def test_a_flush_probes_each_destination_once(world, far, start, outcome):
    spool = world.spool()
    fill(spool, world, 30, 3)
    service = start(spool, routes=())
    outcome(service.change(Change.RETRY, Selection()))
    assert sorted(far.domains()[3:]) == [f"dead{n}.test" for n in range(3)]
    outcome(service.change(Change.RETRY, Selection(domain="dead1.test")))
    assert far.domains()[6:] == ["dead1.test"]


def test_other_routes_end_pauses(world, far, start):
    spool = world.spool()
    fill(spool, world, 5, 1)
    service = start(spool, routes=())
    assert len(service.pauses()) == 1
    service.set_routes(())
    assert service.pauses() == []


# what waits too long


def test_what_nobody_could_try_is_told_and_given_up_in_time(world, far, start, outcome):
    spool = world.spool()
    fill(spool, world, 30, 1, sender="alice@example.test")
    start(spool, routes=(), pause_first_seconds=DAY, pause_max_seconds=10 * DAY)
    pass_time(world, 4 * 3600 + 600)
    reports = world.store.of("alice@example.test")
    assert len(reports) == 30
    assert all(b"Action: delayed" in report for report in reports)
    pass_time(world, DAY, step=600)
    assert len(world.store.of("alice@example.test")) == 30, "once"
    pass_time(world, 4 * DAY, step=600)
    assert outcome(spool.run(pending_of)) == []
    reports = world.store.of("alice@example.test")[30:]
    assert len(reports) == 30
    assert all(b"Action: failed" in report and b"Status: 4.4.7" in report for report in reports)
    assert len(far.tried) < 5


def test_reports_that_cannot_be_delivered_are_dropped_after_a_day(world, far, start, outcome):
    spool = world.spool()
    fill(spool, world, 3, 1, sender="")
    start(spool, routes=(), pause_first_seconds=DAY * 3, pause_max_seconds=10 * DAY)
    pass_time(world, DAY + 3600, step=600)
    assert outcome(spool.run(pending_of)) == []
    assert not world.store.calls


def test_many_that_are_late_are_worked_on_in_portions(world, far, start, monkeypatch, outcome):
    monkeypatch.setattr("mailsuite.mta.queue.LATE_MESSAGES_MAX", 4)
    spool = world.spool()
    fill(spool, world, 15, 1, sender="alice@example.test")
    start(spool, routes=(), pause_first_seconds=DAY)
    world.reactor.advance(4 * 3600)
    assert len(world.store.of("alice@example.test")) == 15


def test_old_mail_that_was_held_is_tried_when_it_is_released(world, far, start, outcome):
    spool = world.spool()
    start(spool, routes=(), poll_seconds=100.0)
    far.dead = False
    fill(spool, world, 1, 1, sender="alice@example.test")
    with QueueFile(world.folder) as queue:
        queue.change(Change.HOLD, Selection(), world.reactor.seconds())
        pass_time(world, 6 * DAY, step=600)
        queue.change(Change.RELEASE, Selection(), world.reactor.seconds())
    assert far.tried == []
    world.reactor.advance(100)
    assert len(far.tried) == 1
    assert world.store.of("alice@example.test") == []


def test_old_mail_is_tried_when_the_server_was_away(world, far, start, outcome):
    spool = world.spool()
    fill(spool, world, 5, 5, sender="alice@example.test")
    world.reactor.advance(6 * DAY)
    far.hang, far.answer = True, DELIVERED
    start(spool, routes=(), attempts_max=1)
    pass_time(world, 120, step=10)
    assert len(far.tried) < 5
    assert world.store.of("alice@example.test") == []
    while far.hanging:
        far.hanging.pop().callback(None)
    assert len(far.tried) == 5
    assert world.store.of("alice@example.test") == []


# several queues


def test_a_dead_destination_is_dead_for_all_queues(world, far, start):
    spools = [world.spool(), world.spool(folder=worker_folder(world.folder, 1))]
    for spool in spools:
        fill(spool, world, 5, 1)
    start(spools, routes=())
    assert len(far.tried) == 1


def test_queues_take_turns_at_a_destination(world, far, start):
    spools = [world.spool(), world.spool(folder=worker_folder(world.folder, 1))]
    for number, spool in enumerate(spools):
        for _ in range(20):
            spool.put(world.message(spool, f"q{number}@live.test"))
    start(spools, routes=(), attempts_max=2)
    seen = [recipients[0][:2] for _, recipients in far.tried]
    assert set(seen[:12]) >= {"q0", "q1"}
    assert len(seen) == 40


def test_what_is_due_again_before_its_sequence_ends_is_tried_when_that_has_ended(world, far, start):
    spool = world.spool()
    start(spool, routes=(), retry_first_seconds=5.0, poll_seconds=2.0)
    spool.put(world.message(spool, "known@live.test"))
    far.later, far.slow = {"again@live.test"}, {"slow@live.test"}
    batch = [world.message(spool, f"{name}@live.test") for name in ("again", "slow")]
    spool.run(lambda connection: statements.insert_messages(connection, batch))
    pass_time(world, 20, step=2)
    assert [recipients for _, recipients in far.tried[1:]] == [["again@live.test"], ["slow@live.test"]]
    far.hanging[0].callback(None)
    pass_time(world, 4, step=2)
    assert [recipients for _, recipients in far.tried[3:]] == [["again@live.test"]]


def test_a_pause_shorter_than_a_second_is_a_second(world, far, start):
    spool = world.spool()
    start(spool, routes=(), retry_first_seconds=0.3)
    far.later = {"again@live.test"}
    spool.put(world.message(spool, "again@live.test"))
    pass_time(world, 0.5, step=0.1)
    assert len(far.tried) == 1
    pass_time(world, 3, step=0.5)
    assert len(far.tried) == 2
