"""A spool that one process receives into while another works on its queue; and queues of several spools."""

import os

import pytest
from twisted.internet.defer import Deferred

from mailsuite.errors import Kind, MailError
from mailsuite.mta import Change, QueueFile, Selection
from mailsuite.mta.operations import spool_folders, worker_folder
from mailsuite.mta.share import Share
from mailsuite.mta.spool_queue import SpoolQueue
from mailsuite.smtp.outcome import Outcome, OutcomeState

FAILED = Outcome(OutcomeState.FAILED, 550, "5.1.1", "no such user")
DEFERRED = Outcome(OutcomeState.DEFERRED, 451, "4.2.0", "later")
FAR = "far@remote.test"


@pytest.fixture
def shared(world):
    return world.spool(share=Share.RECEPTION), world.spool(share=Share.QUEUE)


def messages(spool, outcome):
    return outcome(spool.run(lambda connection: [row[0] for row in connection.execute("SELECT id FROM message")]))


def settle(world, *spools):
    """Let everything be forgotten that nobody needs."""
    for _ in range(3):
        world.reactor.advance(10)
        for spool in spools:
            spool.forget_finished()
            spool.sweep()


def test_what_one_receives_the_other_relays(world, shared, far, start, outcome):
    reception, queue = shared
    service = start(queue)
    pokes = []
    reception.on_queued = lambda: pokes.append(1)
    reception.put(world.message(reception, FAR, "alice"))
    assert pokes == [1]
    service.poke()
    assert far.recipients() == [[FAR]]
    assert len(world.store.of("alice@example.test")) == 1
    settle(world, queue)
    assert messages(reception, outcome) == [1]  # to forget it is the other's work
    settle(world, reception)
    assert messages(reception, outcome) == []


def test_a_report_is_the_queues_own(world, shared, far, start, outcome):
    reception, queue = shared
    far.answers[FAR] = FAILED
    service = start(queue)
    reception.put(world.message(reception, FAR, sender="alice@example.test"))
    service.poke()
    (report,) = world.store.of("alice@example.test")
    assert b"no such user" in report
    assert messages(reception, outcome) == [1, 2]
    settle(world, reception)
    assert messages(reception, outcome) == [2]
    settle(world, queue)
    assert messages(reception, outcome) == []
    assert reception.take_id() == 3
    assert queue.take_id() == 4


def test_each_replays_what_is_its_own(world, shared, far, start, outcome):
    reception, queue = shared
    far.answers[FAR] = FAILED
    world.store.waiting = []
    service = start(queue)
    reception.put(world.message(reception, "bob"))
    reception.put(world.message(reception, FAR, sender="alice@example.test"))
    service.poke()
    assert messages(reception, outcome) == [1, 2, 3]
    assert len(world.store.waiting) == 2
    service.stopService()
    for spool in shared:
        world.kill(spool)
    world.store.waiting = None
    reception = world.spool(share=Share.RECEPTION)
    settle(world, reception)
    assert [len(world.store.of(f"{name}@example.test")) for name in ("alice", "bob")] == [0, 1]
    assert messages(reception, outcome) == [2]
    queue = world.spool(share=Share.QUEUE)
    settle(world, queue)
    assert [len(world.store.of(f"{name}@example.test")) for name in ("alice", "bob")] == [1, 1]
    assert messages(reception, outcome) == []


def test_a_process_that_has_it_all_replays_everything(world, shared, far, start, outcome):
    reception, queue = shared
    far.answers[FAR] = FAILED
    world.store.waiting = []
    service = start(queue)
    reception.put(world.message(reception, FAR, "bob", sender="alice@example.test"))
    service.poke()
    service.stopService()
    for spool in shared:
        world.kill(spool)
    world.store.waiting = None
    spool = world.spool()
    settle(world, spool)
    assert [len(world.store.of(f"{name}@example.test")) for name in ("alice", "bob")] == [1, 1]
    assert messages(spool, outcome) == []


@pytest.fixture
def lease(outcome):
    class Everything:
        def is_exhausted(self):
            return False

        def room(self, domain, *, urgent):
            return 10

        def take(self, domain, messages):
            pass

    return lambda spool, now: outcome(SpoolQueue(spool).lease_due(now, now + 900, Everything(), "")).pendings


def test_a_new_reception_leaves_attempts_of_the_queue_alone(world, shared, lease):
    reception, queue = shared
    reception.put(world.message(reception, FAR))
    now = int(world.reactor.seconds())
    assert len(lease(queue, now)) == 1
    body = queue.begin_body(queue.take_id())
    assert body is not None
    world.kill(reception)
    world.spool(share=Share.RECEPTION)
    leased = lease(queue, now)
    assert leased == []
    world.kill(queue)
    queue = world.spool(share=Share.QUEUE)
    assert len(lease(queue, now)) == 1


def test_what_a_mailbox_could_not_take_goes_to_the_queue(world, shared, far, start, outcome):
    reception, queue = shared
    service = start(queue, retry_first_seconds=300)
    world.store.errors["alice@example.test"] = MailError(Kind.UNAVAILABLE, "not now")
    reception.put(world.message(reception, "alice", "bob"))
    world.store.errors.clear()
    world.reactor.advance(400)
    service.poke()
    queue.sweep()
    assert len(world.store.of("alice@example.test")) == 1
    settle(world, reception)
    assert messages(reception, outcome) == []


def test_one_service_works_on_all_spools(world, far, start, outcome):
    first = world.spool()
    second = world.spool(folder=worker_folder(world.folder, 1))
    os.makedirs(os.path.join(world.folder, "worker-x"))
    assert spool_folders(world.folder) == [world.folder, f"{world.folder}/worker-1"]
    far.answers[FAR] = DEFERRED
    service = start([first, second])
    for number, spool in enumerate((second, first, second)):
        world.reactor.advance(number)
        spool.put(world.message(spool, FAR))
    entries = outcome(service.list())
    assert [entry.queue_id for entry in entries] == [second.queue_id(1), first.queue_id(1), second.queue_id(3)]
    with QueueFile(world.folder) as queue:
        assert list(queue.list()) == entries
        for entry in entries:
            assert queue.show(entry.queue_id) == outcome(service.show(entry.queue_id)) == entry
        queue.change(Change.HOLD, Selection(queue_id=entries[0].queue_id), world.reactor.seconds())
        with pytest.raises(MailError) as caught:
            queue.change(Change.HOLD, Selection(queue_id="ABCDEF-1"), world.reactor.seconds())
        assert caught.value.kind is Kind.NOT_FOUND
        assert queue.change(Change.RETRY, Selection(), world.reactor.seconds()) == 2
    assert outcome(service.show("ABCDEF-1")).kind is Kind.NOT_FOUND
    far.answers.clear()
    assert outcome(service.change(Change.RETRY, Selection())) == 0, "both are due already"
    assert len(outcome(service.list())) == 1
    outcome(service.change(Change.RELEASE, Selection(queue_id=entries[0].queue_id)))
    outcome(service.change(Change.RETRY, Selection(queue_id=entries[0].queue_id)))
    assert outcome(service.list()) == []
    assert len(far.got) == 6


def test_a_long_queue_of_one_spool_does_not_keep_the_others_waiting(world, far, start):
    first = world.spool()
    second = world.spool(folder=worker_folder(world.folder, 1))
    service = start([first, second], attempts_max=10)
    for _ in range(5):
        first.put(world.message(first, FAR))  # it answers, and may have many at a time from now on
    service.stopService()
    for _ in range(60):
        first.put(world.message(first, FAR))
    second.put(world.message(second, "other@remote.test"))
    far.pause = Deferred()
    far.got.clear()
    service.startService()
    assert ["other@remote.test"] in far.recipients()
    assert 5 <= len(far.got) <= 10
    far.pause.callback(None)
