"""Turns that take too long are counted with their stack, in a real reactor in a child process."""

import json
import subprocess
import sys
import threading

import pytest

from mailsuite.observe.watchdog import UNSEEN, Watchdog, WatchedPoller, place_of, relative, stack_of

CHILD = """
import json, sys, threading, time
from twisted.internet import epollreactor
from twisted.internet.epollreactor import EPollReactor
from twisted.logger import globalLogPublisher
from mailsuite.observe.watchdog import Watchdog

reactor = EPollReactor()
events = []
globalLogPublisher.addObserver(events.append)
watchdog = Watchdog(reactor, {stall_seconds}, hung_seconds={hung_seconds})
before = threading.active_count()
poller = reactor._poller

def hold_up():
    time.sleep({hold_seconds})

def outer():
    hold_up()

def compute():
    end = time.perf_counter() + {hold_seconds}
    while time.perf_counter() < end:
        sum(range(1000))

def begin():
    watchdog.start()
    watchdog.start()
    reactor.callLater({idle_seconds}, {work})
    reactor.callLater({idle_seconds} * 2 + {hold_seconds}, reactor.stop)

reactor.callWhenRunning(begin)
reactor.run()
watchdog.stop()
watchdog.stop()
print(json.dumps({{
    "stalls": [[stall.seconds, stall.place, list(stall.stack)] for stall in watchdog.stalls()],
    "places": {{name: place.count for name, place in watchdog.places().items()}},
    "count": watchdog.count,
    "longest": watchdog.longest_seconds,
    "threads": threading.active_count() - before,
    "restored": reactor._poller is poller,
    "events": [[event["event"], event["place"]] for event in events if "event" in event],
}}))
"""


def watch(tmp_path, *, work="outer", hold_seconds=0.12, idle_seconds=0.3, stall_seconds=0.05, hung_seconds=60):
    path = tmp_path / "child.py"
    path.write_text(
        CHILD.format(
            work=work,
            hold_seconds=hold_seconds,
            idle_seconds=idle_seconds,
            stall_seconds=stall_seconds,
            hung_seconds=hung_seconds,
        )
    )
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def of(told, function):
    """Those of a function; the machine may hold up others, as it does everybody."""
    return [stall for stall in told["stalls"] if any(line.endswith(f" {function}") for line in stall[2])]


def test_a_callback_that_holds_the_reactor_up_is_counted_once_with_its_stack(tmp_path):
    told = watch(tmp_path)
    ((seconds, place, stack),) = of(told, "hold_up")
    assert 0.12 <= seconds < 5
    assert place.endswith("child.py hold_up")
    assert [line.rpartition(" ")[2] for line in stack] == ["outer", "hold_up"]
    assert told["places"][place] == 1
    assert told["longest"] >= seconds
    assert told["count"] == len(told["stalls"])


def test_work_is_seen_as_waiting_is(tmp_path):
    (stall,) = of(watch(tmp_path, work="compute"), "compute")
    assert stall[0] >= 0.12


def test_waiting_for_the_system_is_not_counted(tmp_path):
    told = watch(tmp_path, hold_seconds=0.0, idle_seconds=1.0, stall_seconds=0.25)
    assert [stall for stall in told["stalls"] if stall[0] > 0.9] == []
    assert of(told, "hold_up") == []


def test_it_can_be_switched_off(tmp_path):
    told = watch(tmp_path, stall_seconds=0)
    assert told["count"] == 0
    assert told["restored"]


def test_nothing_of_it_is_left_behind(tmp_path):
    told = watch(tmp_path)
    assert told["threads"] == 0
    assert told["restored"]


@pytest.mark.parametrize(("hold_seconds", "logged"), [(0.12, 0), (0.5, 1)])
def test_only_long_ones_are_logged(tmp_path, hold_seconds, logged):
    events = [event for event in watch(tmp_path, hold_seconds=hold_seconds)["events"] if "hold_up" in event[1]]
    assert [name for name, _ in events] == ["reactor.turn.stalled"] * logged


def test_one_that_does_not_end_is_logged_meanwhile(tmp_path):
    events = watch(tmp_path, hold_seconds=1.0, hung_seconds=0.2)["events"]
    assert [name for name, place in events if "hold_up" in place] == ["reactor.turn.hung", "reactor.turn.stalled"]


class Poller:
    """Takes as long as it is told, on a clock of the test's."""

    def __init__(self):
        self.now = 100.0
        self.register = self.modify = self.unregister = None

    def seconds(self):
        return self.now

    def poll(self, timeout, most):
        self.now += timeout
        return [most]


def test_the_time_between_two_waits_is_the_turn():
    poller, slow = Poller(), []
    watched = WatchedPoller(poller, 0.05, lambda since, now: slow.append(now - since), poller.seconds)
    for waited, worked in ((10.0, 0.04), (0.0, 0.06), (3.0, 1.0), (1.0, 0.0)):
        assert watched.poll(waited, 7) == [7]
        poller.now += worked
    watched.poll(0.0, 1)
    assert slow == pytest.approx([0.06, 1.0])


def test_a_reactor_that_does_not_poll_is_left_alone():
    watchdog = Watchdog(object())
    before = threading.active_count()
    watchdog.start()
    assert not watchdog.is_watching
    assert threading.active_count() == before
    watchdog.stop()


def test_places_are_functions_of_ours_where_there_is_one():
    assert place_of(["mailsuite/imap/search.py:12 run", "re/__init__.py:9 match"]) == "mailsuite/imap/search.py run"
    assert place_of(["a.py:1 f", "b.py:22 g"]) == "b.py g"
    assert place_of([]) == UNSEEN


def test_stacks_name_files_from_their_package_on():
    stack = stack_of(sys._getframe())
    assert stack[-1].endswith(" test_stacks_name_files_from_their_package_on")
    import mailsuite.observe.watchdog as module

    assert relative(module.__file__) == "mailsuite/observe/watchdog.py"
    assert relative("/nowhere/x.py") == "/nowhere/x.py"
