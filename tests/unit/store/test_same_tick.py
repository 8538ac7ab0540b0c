"""What another program does in the same tick of the clock as we do is seen soon; large folders are rarely listed."""

import os
import time

import pytest

from mailsuite.testing.faults import FaultyDisk

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


class Time:
    """The clocks of the machine, which a test can put forward."""

    def __init__(self, monkeypatch):
        self.ahead = 0
        time_ns, monotonic = time.time_ns, time.monotonic
        monkeypatch.setattr(time, "time_ns", lambda: time_ns() + self.ahead * 10**9)
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + self.ahead)


def drop_unseen(bench, number):
    """Add a file so that the folder's times do not tell."""
    stamp = os.stat(bench.inbox / "new").st_mtime_ns
    (bench.inbox / "new" / f"{number}.theirs.host").write_bytes(MESSAGE)
    os.utime(bench.inbox / "new", ns=(stamp, stamp))


def listings(bench):
    return sum(call.operation == "listdir" and call.path.endswith("/new") for call in bench.disk.trace)


@pytest.mark.parametrize("count", [1, 150])
def test_it_is_seen_once_the_tick_has_passed(bench, monkeypatch, count):
    bench.append(*[MESSAGE] * count)
    box = bench.box()
    clock = Time(monkeypatch)
    modseq = bench.go(box.snapshot()).highest_modseq
    bench.deliver(MESSAGE, 1)
    drop_unseen(bench, 1)
    clock.ahead = 2
    assert list(bench.go(box.changes(modseq)).added) == [count + 1, count + 2]


def test_a_large_folder_is_listed_once_after_our_own_changes(make_bench, monkeypatch):
    bench = make_bench()
    bench.disk = FaultyDisk()
    bench.reopen()
    bench.append(*[MESSAGE] * 150)
    clock = Time(monkeypatch)
    box = bench.box()
    bench.go(box.snapshot())
    clock.ahead = 2
    bench.go(box.snapshot())
    before = listings(bench)
    clock.ahead = 0
    for number in range(20):
        bench.deliver(MESSAGE, number)
        bench.go(box.snapshot())
    assert listings(bench) == before
    clock.ahead = 10
    for _ in range(20):
        bench.go(box.snapshot())
    assert listings(bench) == before + 1
