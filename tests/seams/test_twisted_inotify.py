"""Why folders are watched without Twisted's INotify: when one of these fails, it may have become good enough."""

import os
from pathlib import Path

import pytest
from twisted.internet import inotify
from twisted.internet.testing import MemoryReactorClock
from twisted.python.filepath import FilePath

QUEUE_MAX = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))


@pytest.fixture
def reactor():
    return MemoryReactorClock()


@pytest.fixture
def notices(reactor):
    made = inotify.INotify(reactor)
    made.startReading()
    yield made
    if made in reactor.readers:
        made.loseConnection()
        reactor.advance(0)


def watch(notices, path, told):
    return notices.watch(FilePath(str(path)), callbacks=[lambda _, entry, mask: told.append((entry.basename(), mask))])


def test_the_end_of_one_folder_ends_everything(notices, reactor, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    for path in (first, second):
        watch(notices, path, [])
    first.rmdir()
    notices.doRead()
    reactor.advance(0)
    assert not reactor.readers


def test_dropped_notices_are_not_told_of(notices, tmp_path):
    told = []
    watch(notices, tmp_path, told)
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"")
    for _ in range(QUEUE_MAX // 4 + 1):
        os.rename(one, two)
        os.rename(two, one)
    for _ in range(1000):
        notices.doRead()
    assert not any(mask & inotify.IN_Q_OVERFLOW for _, mask in told)


def test_another_folder_at_the_same_path_is_taken_for_the_first(notices, tmp_path):
    box = tmp_path / "box"
    box.mkdir()
    told = []
    number = watch(notices, box, told)
    box.rename(tmp_path / "moved")
    box.mkdir()
    assert watch(notices, box, told) == number
    (box / "x").write_bytes(b"")
    notices.doRead()
    assert b"x" not in [name for name, _ in told]


def test_why_a_folder_cannot_be_watched_is_not_told(notices, tmp_path):
    with pytest.raises(inotify.INotifyError) as caught:
        watch(notices, tmp_path / "none", [])
    assert not isinstance(caught.value, OSError)
