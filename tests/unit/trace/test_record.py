"""What is kept, for how long, and what happens when the disk does not take it."""

import contextlib
import errno
import sqlite3
import threading
import time

import pytest

from mailsuite.durable import Disk
from mailsuite.testing import Crash, FaultyDisk
from mailsuite.trace import Recorder, Search, Trace, TraceSettings
from mailsuite.trace.files import PART_MIN_OCTETS

from .conftest import DAY, MIDNIGHT


def test_what_is_written_is_there_for_others(bench):
    bench.accept("A-1")
    assert bench.recorder.flush() == ()
    other = Trace(str(bench.folder), Disk())
    assert [row["event"] for row in other.story("A-1")] == ["spool.message.accepted"]
    assert (bench.folder / "2026-11-30.db").stat().st_mode & 0o777 == 0o600
    assert bench.folder.stat().st_mode & 0o777 == 0o700


def test_several_processes_write_into_one_file(bench):
    other = bench.another()
    for number in range(3):
        bench.accept("A-1")
        bench.recorder.flush()
        bench.log.emit("queue.message.held", queue_id="A-1", by=f"{number}")
        bench.recorder, mine = other, bench.recorder
        bench.deliver("A-1")
        bench.recorder.flush()
        bench.recorder = mine
    assert len(bench.trace.story("A-1")) == 9
    assert bench.files() == ["2026-11-30.db"]
    other.stop()


def test_midnight_begins_another_file(bench):
    bench.now = MIDNIGHT - 1.5
    bench.accept("A-1")
    bench.recorder.flush()
    bench.accept("A-2")
    bench.recorder.flush()
    assert bench.files() == ["2026-11-30.db", "2026-12-01.db"]
    assert bench.events("A-1")
    assert bench.events("A-2")


def test_days_that_are_too_old_go(make_bench):
    bench = make_bench(TraceSettings(days=2))
    for number in range(5):
        bench.accept(f"A-{number}")
        bench.recorder.flush()
        bench.now += DAY
    assert bench.files() == ["2026-12-02.db", "2026-12-03.db", "2026-12-04.db"]
    assert [bool(bench.events(f"A-{number}")) for number in range(5)] == [False, False, True, True, True]
    bench.now += DAY
    bench.recorder.sweep()
    assert bench.files() == ["2026-12-04.db"]


def test_a_log_whose_database_is_gone_goes_too(make_bench):
    bench = make_bench(TraceSettings(days=2))
    bench.folder.mkdir(parents=True)
    (bench.folder / "2026-01-01.db-wal").write_bytes(b"x")
    (bench.folder / "README").write_bytes(b"not ours")
    bench.accept("A-1")
    bench.recorder.flush()
    assert {path.name for path in bench.folder.iterdir()} - {"2026-11-30.db-wal", "2026-11-30.db-shm"} == {
        "2026-11-30.db",
        "README",
    }


def test_a_day_may_have_several_files_and_the_oldest_go_beyond_the_limit(make_bench):
    bench = make_bench(TraceSettings(max_octets=3 * PART_MIN_OCTETS))
    for number in range(6):
        bench.accept(f"A-{number}")
        bench.recorder.flush()
        bench.grow(PART_MIN_OCTETS)
    assert bench.files() == ["2026-11-30.3.db", "2026-11-30.4.db", "2026-11-30.5.db"]
    assert [bool(bench.events(f"A-{number}")) for number in range(6)] == [False] * 3 + [True] * 3


def test_who_finds_the_file_full_goes_where_the_others_went(make_bench):
    bench = make_bench(TraceSettings(max_octets=PART_MIN_OCTETS * 8))
    other = bench.another()
    for recorder in (bench.recorder, other):
        bench.recorder, mine = recorder, bench.recorder
        bench.accept("A-1")
        bench.recorder.flush()
        bench.recorder = mine
    bench.grow(PART_MIN_OCTETS)
    for recorder in (bench.recorder, other):
        bench.recorder, mine = recorder, bench.recorder
        bench.accept("A-1")
        bench.recorder.flush()
        bench.recorder = mine
    assert bench.files() == ["2026-11-30.1.db", "2026-11-30.db"]
    assert len(bench.trace.story("A-1")) == 4
    other.stop()


def test_a_file_that_somebody_removed_is_made_again(bench):
    bench.accept("A-1")
    bench.recorder.flush()
    for path in bench.folder.iterdir():
        path.unlink()
    bench.accept("A-2")
    bench.recorder.flush()
    assert not bench.events("A-1")
    assert Trace(str(bench.folder), Disk()).story("A-2")


# a disk that fails


def test_at_any_fault_of_the_disk_events_wait_and_are_written_later(make_bench):
    n = 0
    while True:
        n += 1
        disk = FaultyDisk(fail_at=n, error=errno.ENOSPC, lasting=True)
        bench = make_bench(disk=disk)
        bench.accept("A-1", "<m@x>")
        bench.recorder.flush()
        if disk.count < n:
            break
        disk.heal()
        disk.fail_at = 0
        assert bench.events("m@x") == ["spool.message.accepted"]
        assert bench.recorder.flush() == ()
        assert bench.names() in ([], ["trace.write.failed", "trace.write.recovered"])
    assert n > 5


def test_while_the_disk_is_full_what_waits_is_told_from_memory(make_bench):
    disk = FaultyDisk(fail_at=1, error=errno.ENOSPC, lasting=True, operations={"commit", "mkdir"})
    bench = make_bench(disk=disk)
    bench.accept("A-1", "<m@x>")
    bench.deliver("A-1")
    assert bench.events("m@x") == ["spool.message.accepted", "spool.delivery.completed"]
    assert [row["queue_id"] for row in bench.search(recipient="alice@example.test")] == ["A-1"]
    assert bench.names() == ["trace.write.failed"]
    assert "No space left" in bench.told[0]["reason"]


def test_what_comes_beyond_the_limit_meanwhile_is_counted(make_bench):
    disk = FaultyDisk(fail_at=1, error=errno.ENOSPC, lasting=True, operations={"commit", "mkdir"})
    bench = make_bench(disk=disk, waiting_max=3)
    for number in range(5):
        bench.accept(f"A-{number}")
    assert len(bench.recorder.flush()) == 3
    bench.accept("A-5")
    bench.recorder.flush()
    disk.heal()
    disk.fail_at = 0
    bench.recorder.flush()
    assert [bool(bench.events(f"A-{number}")) for number in range(6)] == [True] * 3 + [False] * 3
    assert bench.names() == ["trace.write.failed", "trace.write.recovered"]
    assert bench.told[1]["dropped"] == 3
    assert bench.recorder.dropped == 3


def test_what_was_flushed_survives_a_crash_at_any_later_call(make_bench):
    n = 0
    while True:
        n += 1
        disk = FaultyDisk()
        bench = make_bench(disk=disk)
        bench.accept("A-1")
        bench.recorder.flush()
        disk.crash_at = disk.count + n
        bench.now += DAY
        bench.accept("A-2")
        try:
            bench.recorder.flush()
        except Crash:
            pass
        else:
            break
        disk.crashed, disk.crash_at = False, 0
        told = Trace(str(bench.folder), Disk())
        assert [row["event"] for row in told.story("A-1")] == ["spool.message.accepted"]
        assert told.unreadable == {}
        after = bench.another()
        bench.recorder = after
        bench.deliver("A-1")
        after.stop()
        assert len(told.story("A-1")) == 2
    assert n > 5


# files that cannot be used


def test_a_damaged_file_is_left_and_another_one_begun(bench):
    bench.accept("A-1")
    bench.recorder.stop()
    bench.ruin("2026-11-30.db")
    bench.recorder = after = bench.another()
    bench.trace = Trace(str(bench.folder), Disk(), after)
    bench.accept("A-2")
    assert bench.events("A-2") == ["spool.message.accepted"]
    assert bench.events("A-1") == []
    assert set(bench.trace.unreadable) == {"2026-11-30.db"}
    assert bench.files() == ["2026-11-30.1.db", "2026-11-30.db"]
    assert bench.names() == ["trace.file.damaged"]
    third = bench.another()
    bench.recorder = third
    bench.deliver("A-2")
    third.stop()
    assert bench.files() == ["2026-11-30.1.db", "2026-11-30.db"]
    assert len(bench.trace.story("A-2")) == 2


def test_a_file_of_a_later_version_is_left_alone(bench):
    bench.accept("A-1")
    bench.recorder.stop()
    with contextlib.closing(sqlite3.connect(bench.folder / "2026-11-30.db")) as connection:
        connection.execute("PRAGMA user_version=99")
    bench.recorder = after = bench.another()
    bench.accept("A-2")
    after.stop()
    assert bench.files() == ["2026-11-30.1.db", "2026-11-30.db"]
    assert [row["queue_id"] for row in Trace(str(bench.folder), Disk()).story("A-2")] == ["A-2"]


def test_a_folder_that_cannot_be_made_stops_nothing(make_bench):
    bench = make_bench()
    bench.folder.parent.mkdir()
    bench.folder.write_bytes(b"a file")
    bench.accept("A-1")
    assert bench.events("A-1") == ["spool.message.accepted"]
    assert bench.names() == ["trace.write.failed"]
    bench.folder.unlink()
    assert bench.recorder.flush() == ()


# the thread


@pytest.fixture
def running(tmp_path):
    recorder = Recorder(str(tmp_path), TraceSettings(), Disk())
    recorder.start()
    yield recorder
    recorder.stop()


def event(queue_id):
    return {
        "event": "queue.message.held",
        "queue_id": queue_id,
        "by": "x",
        "log_time": time.time(),
    }


def test_the_thread_writes_what_comes(running, tmp_path):
    running(event("A-1"))
    told = Trace(str(tmp_path), Disk())
    deadline = time.monotonic() + 30
    while not told.story("A-1"):
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def test_the_end_of_the_thread_writes_what_came(tmp_path):
    recorder = Recorder(str(tmp_path), TraceSettings(), Disk())
    recorder.start()
    for number in range(100):
        recorder(event(f"A-{number}"))
    recorder.stop()
    assert len(Trace(str(tmp_path), Disk()).search(Search())) == 100


def test_events_of_many_threads_are_all_kept(running, tmp_path):
    def emit(thread):
        for number in range(200):
            running(event(f"{thread}-{number}"))

    threads = [threading.Thread(target=emit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running.flush()
    told = Trace(str(tmp_path), Disk())
    assert all(told.story(f"{thread}-{number}") for thread in range(4) for number in (0, 100, 199))
