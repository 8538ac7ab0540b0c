import errno

import pytest

from mailsuite.testing.faults import Call, Crash, FaultyDisk


def calls(disk, number, operation="write", path="/a/b"):
    raised = []
    for index in range(1, number + 1):
        try:
            disk.before(operation, path)
        except OSError as error:
            raised.append((index, error.errno))
    return raised


def test_without_orders_nothing_breaks_and_everything_is_noted():
    disk = FaultyDisk()
    assert calls(disk, 3) == []
    assert disk.trace == [Call("write", "/a/b")] * 3
    assert disk.count == 3


def test_the_nth_call_fails_once():
    assert calls(FaultyDisk(fail_at=2, error=errno.ENOSPC), 4) == [(2, errno.ENOSPC)]


def test_a_lasting_failure_goes_on_until_it_is_healed():
    disk = FaultyDisk(fail_at=2, lasting=True)
    assert [index for index, _ in calls(disk, 4)] == [2, 3, 4]
    disk.heal()
    assert calls(disk, 2) == []


def test_only_the_chosen_calls_count():
    disk = FaultyDisk(fail_at=1, operations={"fsync"}, path_part="spool")
    assert calls(disk, 2) == []
    assert calls(disk, 1, "fsync", "/mail/x") == []
    assert calls(disk, 1, "fsync", "/spool/x") == [(1, errno.EIO)]


def test_after_a_crash_nothing_reaches_the_disk():
    disk = FaultyDisk(crash_at=2, operations={"write"})
    disk.before("write", "a")
    with pytest.raises(Crash):
        disk.before("write", "b")
    assert disk.crashed
    with pytest.raises(Crash):
        disk.before("stat", "c")
    assert [call.path for call in disk.trace] == ["a", "b"]


def test_a_crash_is_not_caught_as_an_exception():
    assert not issubclass(Crash, Exception)
