"""Work that nobody awaits: started at once, its failure logged, its end told."""

import gc
import weakref

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from mailsuite.observe import EventLog, background


@pytest.fixture
def told():
    return []


@pytest.fixture
def log(told):
    return EventLog(Logger(namespace="test", observer=told.append))


def ends(work):
    """Whether a Deferred has fired, which it must with None."""
    results = []
    work.addBoth(results.append)
    assert results in ([], [None])
    return bool(results)


async def follow(steps, *waits):
    for wait in waits:
        try:
            steps.append(await wait)
        except ValueError as error:
            steps.append(str(error))
    return "nobody wants this"


def test_what_waits_for_nothing_is_done_at_once(log, told):
    steps = []
    assert ends(background(follow(steps), log, "work"))
    done = Deferred()
    done.callback(1)
    assert ends(background(follow(steps, done), log, "work"))
    assert steps == [1]
    assert told == []


def test_it_goes_on_whenever_what_it_waits_for_fires(log, told):
    steps, waits = [], [Deferred(), Deferred(), Deferred()]
    work = background(follow(steps, *waits), log, "work")
    waits[0].callback("one")
    waits[1].errback(ValueError("two"))
    assert steps == ["one", "two"]
    assert not work.called
    waits[2].callback("three")
    assert ends(work)
    assert steps == ["one", "two", "three"]
    assert told == []


@pytest.mark.parametrize("moment", ["at once", "later"])
def test_a_failure_is_logged_and_ends_it(log, told, moment):
    wait = Deferred()

    async def fail():
        if moment == "later":
            await wait
        raise KeyError("lost")

    work = background(fail(), log, "losing")
    if moment == "later":
        assert told == []
        wait.callback(None)
    assert ends(work)
    (event,) = told
    assert (event["event"], event["what"]) == ("background.work.failed", "losing")
    assert "lost" in event["log_failure"].getErrorMessage()
    assert "in fail" in event["log_failure"].getTraceback()


def test_a_deferred_is_work_as_well(log, told):
    first, second = Deferred(), Deferred()
    works = [background(each, log, "work") for each in (first, second)]
    first.callback("anything")
    second.errback(ValueError("no"))
    assert all(map(ends, works))
    assert [event["event"] for event in told] == ["background.work.failed"]


def test_cancelling_cancels_what_it_waits_for(log, told):
    cancelled, seen = [], []
    wait = Deferred(cancelled.append)

    async def wait_for_it():
        try:
            await wait
        except CancelledError:
            seen.append("cancelled")

    work = background(wait_for_it(), log, "work")
    work.cancel()
    assert ends(work)
    assert (cancelled, seen, told) == ([wait], ["cancelled"], [])


def test_what_nobody_will_ever_wake_goes_without_a_word(log, told):
    class Held:
        pass

    closed = []

    async def wait_for_ever(held, wait):
        try:
            await wait
        finally:
            closed.append(held)

    held = Held()
    held.work = background(wait_for_ever(held, Deferred()), log, "work")
    gone = weakref.ref(held)
    del held
    gc.collect()
    assert len(closed) == 1
    closed.clear()
    gc.collect()
    assert gone() is None
    assert told == []
