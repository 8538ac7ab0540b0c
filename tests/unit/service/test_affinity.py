"""Threads are kept on one processor, and those set free run on all."""

import os
import threading

import pytest

from mailsuite.service.affinity import choose, processors, run_on

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not place threads")


def in_thread(work):
    """Threads of the test runner keep their processors."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_a_thread_and_those_it_starts_stay_where_they_were_put():
    everywhere = processors()

    def work():
        assert run_on(choose(everywhere, 1))
        return processors(), in_thread(processors), in_thread(lambda: run_on(everywhere) and processors())

    pinned, child, freed = in_thread(work)
    assert pinned == child == [everywhere[1 % len(everywhere)]]
    assert freed == everywhere
    assert processors() == everywhere


def test_processes_spread_over_what_they_may_use():
    assert [choose([2, 5, 7], process_id) for process_id in (0, 1, 2, 3)] == [[2], [5], [7], [2]]
    assert choose([], 4) == ()


def test_where_nothing_is_allowed_nothing_changes():
    before = processors()
    assert not run_on(())
    assert processors() == before


def test_a_processor_that_is_not_there_is_not_an_error():
    assert in_thread(lambda: run_on([100_000])) is False
