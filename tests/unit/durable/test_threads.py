"""Lanes and groups with real threads; nothing sleeps, everything waits for what it needs."""

import queue
import threading

import pytest

from mailsuite.durable import GroupThread, InlineGroup, InlineLane, Lane, LanePool
from mailsuite.durable.commit import GATHER_STEP_SECONDS, GATHER_VAIN_STEPS
from mailsuite.errors import Kind, MailError

WAIT_SECONDS = 10


class CollectingReactor:
    """Keeps what threads hand over until the test's own thread runs it."""

    def __init__(self):
        self.calls = queue.SimpleQueue()
        self.count = 0

    def callFromThread(self, callable_, *arguments, **keywords):
        self.calls.put((callable_, arguments, keywords))

    def turn(self):
        callable_, arguments, keywords = self.calls.get(timeout=WAIT_SECONDS)
        self.count += 1
        callable_(*arguments, **keywords)

    def until(self, condition):
        while not condition():
            self.turn()


@pytest.fixture
def reactor():
    return CollectingReactor()


class Gate:
    """Holds a thread up, and tells when it has arrived."""

    def __init__(self):
        self.arrived = threading.Event()
        self.opened = threading.Event()

    def __call__(self, *_):
        self.arrived.set()
        assert self.opened.wait(WAIT_SECONDS)


# groups


def test_what_came_while_the_thread_was_busy_is_one_group():
    gate = Gate()
    groups = []

    def work(group):
        groups.append(list(group))
        if len(groups) == 1:
            gate()

    thread = GroupThread("test", work, group_max=4)
    thread.start()
    thread.put(0)
    assert gate.arrived.wait(WAIT_SECONDS)
    for item in range(1, 8):
        thread.put(item)
    assert thread.backlog() == 7
    gate.opened.set()
    thread.stop()
    assert groups == [[0], [1, 2, 3, 4], [5, 6, 7]]


def test_one_alone_never_waits_and_who_expects_more_waits_for_it():
    groups, pauses = [], []
    coming = ["b", "c"]

    def pause(seconds):
        pauses.append(seconds)
        thread.put(coming.pop())

    thread = GroupThread("test", groups.append, expects=lambda: bool(coming), gather_seconds=1, pause=pause)
    thread.put("a")
    thread.start()
    thread.stop()
    assert groups == [["a", "c", "b"]]
    assert pauses == [GATHER_STEP_SECONDS] * 2
    alone = GroupThread("test", groups.append, expects=lambda: False, gather_seconds=1, pause=pause)
    alone.put("alone")
    alone.start()
    alone.stop()
    assert groups[1:] == [["alone"]]
    assert len(pauses) == 2


@pytest.mark.parametrize(("seconds", "steps"), [(1, GATHER_VAIN_STEPS), (2.5 * GATHER_STEP_SECONDS, 2)])
def test_what_is_slow_is_not_waited_for(seconds, steps):
    groups, pauses = [], []
    thread = GroupThread("test", groups.append, expects=lambda: True, gather_seconds=seconds, pause=pauses.append)
    thread.put("a")
    thread.start()
    thread.stop()
    assert groups == [["a"]]
    assert len(pauses) == steps


def test_start_and_stop_run_in_the_thread_around_the_groups():
    told = []

    def note(word):
        return lambda *_: told.append((word, threading.current_thread().name))

    thread = GroupThread("named", note("work"), start=note("start"), stop=note("stop"))
    thread.start()
    thread.put(1)
    thread.stop()
    assert told == [("start", "named"), ("work", "named"), ("stop", "named")]


def test_order_is_kept_under_load_from_many_threads():
    seen = []
    thread = GroupThread("test", seen.extend, group_max=16)
    thread.start()

    def feed(name):
        for number in range(500):
            thread.put((name, number))

    feeders = [threading.Thread(target=feed, args=(name,)) for name in range(4)]
    for feeder in feeders:
        feeder.start()
    for feeder in feeders:
        feeder.join()
    thread.stop()
    assert len(seen) == 2000
    for name in range(4):
        assert [number for owner, number in seen if owner == name] == list(range(500))


def test_a_group_that_raises_is_logged_and_the_thread_goes_on(capsys):
    seen = []

    def work(group):
        if group == ["bad"]:
            raise ValueError("unforeseen")
        seen.extend(group)

    gate = Gate()
    thread = GroupThread("test", lambda group: gate() if group == ["gate"] else work(group), group_max=1)
    thread.start()
    for item in ("gate", "bad", "good"):
        thread.put(item)
    gate.opened.set()
    thread.stop()
    assert seen == ["good"]


def test_stopping_a_group_that_never_started_is_fine():
    GroupThread("test", lambda group: None).stop()


def test_what_is_put_before_the_stop_is_done_and_stop_may_be_called_twice():
    seen = []
    thread = GroupThread("test", seen.extend)
    for item in range(1000):
        thread.put(item)
    thread.start()
    thread.stop()
    thread.stop()
    assert seen == list(range(1000))


def test_what_is_put_behind_the_stop_mark_is_not_forgotten():
    gate = Gate()
    seen = []

    def work(group):
        seen.extend(group)
        gate()

    thread = GroupThread("test", work, group_max=1)
    thread.start()
    thread.put("first")
    assert gate.arrived.wait(WAIT_SECONDS)
    stopper = threading.Thread(target=thread.stop)
    stopper.start()
    while not thread.backlog():
        pass
    thread.put("late")
    gate.opened.set()
    stopper.join(WAIT_SECONDS)
    assert seen == ["first", "late"]


def test_an_inline_group_works_at_once():
    told = []
    group = InlineGroup("test", told.append, start=lambda: told.append("start"), stop=lambda: told.append("stop"))
    group.start()
    group.put(1)
    group.put(2)
    assert group.backlog() == 0
    group.stop()
    assert told == ["start", [1], [2], "stop"]


# lanes


def test_jobs_run_in_order_in_the_lanes_thread_and_fire_in_the_reactors(reactor):
    lane = Lane("lane", reactor)
    lane.start()
    fired = []
    for number in range(20):
        lane.run(lambda n: (n, threading.current_thread().name), number).addCallback(fired.append)
    assert not fired
    reactor.until(lambda: len(fired) == 20)
    assert fired == [(number, "lane") for number in range(20)]
    lane.stop()


def test_results_that_end_close_together_cross_together(reactor):
    lane = Lane("lane", reactor)
    gate = Gate()
    fired = []
    for job in (gate, *[lambda n=n: n for n in range(50)]):
        lane.run(job).addCallback(fired.append)
    lane.start()
    gate.arrived.wait(WAIT_SECONDS)
    gate.opened.set()
    reactor.until(lambda: len(fired) == 51)
    assert reactor.count < 51
    lane.stop()


def test_a_job_that_raises_fails_its_deferred_and_nothing_else(reactor):
    lane = Lane("lane", reactor)
    lane.start()
    failures, fired = [], []

    def broken():
        raise MailError(Kind.NOT_FOUND, "gone")

    lane.run(broken).addErrback(failures.append)
    lane.run(lambda: 5).addCallback(fired.append)
    reactor.until(lambda: fired)
    assert failures[0].value.kind is Kind.NOT_FOUND
    lane.stop()


def test_above_its_limit_a_lane_refuses(reactor):
    lane = Lane("lane", reactor, limit=3)
    accepted = [lane.run(lambda: 1) for _ in range(3)]
    refused = []
    lane.run(lambda: 1).addErrback(refused.append)
    assert refused[0].value.kind is Kind.UNAVAILABLE
    assert lane.backlog() == 3
    lane.post(lambda: None)
    assert lane.backlog() == 4, "post has no limit"
    lane.start()
    reactor.until(lambda: all(deferred.called for deferred in accepted))
    lane.stop()


def test_a_cancelled_job_may_run_and_its_result_is_dropped(reactor):
    lane = Lane("lane", reactor)
    failures, ran = [], []
    deferred = lane.run(lambda: ran.append(1))
    deferred.addErrback(failures.append)
    deferred.cancel()
    lane.start()
    lane.stop()
    reactor.turn()
    assert ran == [1]
    assert len(failures) == 1


def test_stop_finishes_what_was_given_and_refuses_what_comes_later(reactor):
    lane = Lane("lane", reactor)
    fired, posted, refused = [], [], []
    for number in range(100):
        lane.run(lambda n: n, number).addCallback(fired.append)
    lane.post(posted.append, 1)
    lane.start()
    lane.stop()
    reactor.until(lambda: len(fired) == 100)
    assert posted == [1]
    lane.run(lambda: 1).addErrback(refused.append)
    assert refused[0].value.kind is Kind.UNAVAILABLE
    lane.stop()


def test_a_posted_job_that_raises_does_not_end_the_lane(reactor):
    lane = Lane("lane", reactor)
    lane.start()
    fired = []
    lane.post(lambda: 1 / 0)
    lane.run(lambda: 1).addCallback(fired.append)
    reactor.until(lambda: fired)
    lane.stop()


def test_an_inline_lane_does_its_jobs_at_once():
    lane = InlineLane()
    lane.start()
    fired, failures, posted = [], [], []
    lane.run(lambda a, b: a + b, 1, 2).addCallback(fired.append)
    lane.run(lambda: 1 / 0).addErrback(failures.append)
    lane.post(posted.append, 1)
    assert (fired, posted, lane.backlog()) == ([3], [1], 0)
    assert failures[0].check(ZeroDivisionError)
    lane.stop()


def test_the_same_key_is_always_the_same_lane(reactor):
    pool = LanePool([Lane(f"lane{number}", reactor) for number in range(3)])
    assert [pool.lane(key).name for key in (0, 1, 2, 3, 7)] == ["lane0", "lane1", "lane2", "lane0", "lane1"]


def test_a_job_without_key_goes_to_the_lane_with_the_fewest_waiting(reactor):
    pool = LanePool([Lane(f"lane{number}", reactor) for number in range(2)])
    fired = []
    pool.lane(0).post(lambda: None)
    pool.run(lambda: threading.current_thread().name).addCallback(fired.append)
    pool.start()
    reactor.until(lambda: fired)
    assert fired == ["lane1"]
    pool.stop()
