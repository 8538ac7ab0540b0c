"""What the service manager is told, on real datagram sockets."""

import contextlib
import os
import socket
import time

import pytest
from twisted.internet.task import Clock

from mailsuite.service.systemd import ServiceManager, Watchdog


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A socket that listens as systemd does, and its address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(10)
        if request.param == "path":
            address = str(tmp_path / "notify")
            listening.bind(address)
        else:
            address = f"@mailsuite-test-{os.getpid()}"
            listening.bind("\0" + address[1:])
        yield listening, address


def _received(listening):
    return listening.recv(4096).decode().split("\n")


def _nothing_more(listening):
    listening.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        raise AssertionError(listening.recv(4096))
    return True


def test_each_step_of_a_life_is_told(manager):
    listening, address = manager
    server = ServiceManager(address, Watchdog(), Clock())
    server.status("replays\nthe spool")
    assert _received(listening) == ["STATUS=replays the spool"]
    server.ready("serves smtp")
    assert _received(listening) == ["READY=1", "STATUS=serves smtp"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    server.reloading()
    first, second = _received(listening)
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) < before + 60_000_000
    server.ready("serves imap")
    assert _received(listening)[0] == "READY=1"
    server.stopping("finishes")
    assert _received(listening) == ["STOPPING=1", "STATUS=finishes"]
    assert _nothing_more(listening)


def test_the_watchdog_hears_from_the_reactor_twice_in_its_time(manager):
    listening, address = manager
    clock = Clock()
    server = ServiceManager(address, Watchdog(20.0), clock)
    server.ready("a")
    assert [_received(listening)[0] for _ in range(2)] == ["READY=1", "WATCHDOG=1"]
    server.ready("again")
    assert _received(listening)[0] == "READY=1"
    clock.advance(9)
    clock.advance(1)
    assert _received(listening) == ["WATCHDOG=1"]
    clock.advance(10)
    assert _received(listening) == ["WATCHDOG=1"]
    assert _nothing_more(listening)


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_the_watchdog_counts_for_the_process_that_it_names(environment, seconds):
    assert Watchdog.from_environment(environment, 7).seconds == seconds


def test_the_environment_names_the_socket_and_is_not_passed_on(manager):
    listening, address = manager
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1", "HOME": "/"}
    server = ServiceManager.from_environment(environment, Clock())
    assert environment == {"HOME": "/"}
    server.status("x")
    assert _received(listening) == ["STATUS=x"]


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@nobody-listens-here", "/" + "x" * 200])
def test_without_a_manager_nothing_happens(address):
    clock = Clock()
    server = ServiceManager(address, Watchdog(), clock)
    server.ready("a")
    server.reloading()
    server.stopping("b")
    assert clock.getDelayedCalls() == []


def test_a_manager_that_reads_nothing_does_not_hold_us_up(manager):
    _, address = manager
    server = ServiceManager(address, Watchdog(), Clock())
    for _ in range(2000):
        server.status("x" * 400)
