"""Watched folders, without a reactor: a test reads what waits."""

import os
import shutil
from pathlib import Path

import pytest

from mailsuite.durable import ENTRIES, ITSELF, FolderListener, FolderNotices

QUEUE_MAX = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))


class Readers:
    def __init__(self):
        self.readers = []

    def addReader(self, reader):
        self.readers.append(reader)

    def removeReader(self, reader):
        self.readers.remove(reader)


class Told:
    def __init__(self):
        self.entries, self.ends, self.losses = [], [], 0
        self.reactor = Readers()
        listener = FolderListener(
            entry=lambda number, name: self.entries.append((number, name)),
            ended=lambda number: self.ends.append(number),
            lost=self.lose,
        )
        self.notices = FolderNotices(self.reactor, listener)

    def lose(self):
        self.losses += 1

    def read(self):
        for _ in range(1000):
            self.notices.doRead()
        entries, self.entries = self.entries, []
        ends, self.ends = self.ends, []
        return entries, ends


@pytest.fixture
def told():
    made = Told()
    yield made
    made.notices.close()


def test_entries_that_come_and_go_and_are_renamed_are_told_of(told, tmp_path):
    number = told.notices.watch(str(tmp_path), ENTRIES)
    (tmp_path / "one").write_bytes(b"x")
    (tmp_path / "one").rename(tmp_path / "one:2,S")
    os.link(tmp_path / "one:2,S", tmp_path / "second")
    (tmp_path / "second").unlink()
    os.rename(os.fsencode(tmp_path) + b"/one:2,S", os.fsencode(tmp_path) + b"/\xff")
    names = ["one", "one", "one:2,S", "second", "second", "one:2,S", "\udcff"]
    assert told.read() == ([(number, name) for name in names], [])


def test_a_folder_that_is_watched_for_its_own_end_tells_of_nothing_else(told, tmp_path):
    box = tmp_path / "box"
    box.mkdir()
    number = told.notices.watch(str(box), ITSELF)
    (box / "one").write_bytes(b"x")
    assert told.read() == ([], [])
    box.rename(tmp_path / "other")
    assert told.read() == ([], [number])


def test_the_end_of_one_folder_is_not_the_end_of_another(told, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    numbers = [told.notices.watch(str(path), ENTRIES) for path in (first, second)]
    shutil.rmtree(first)
    _, ends = told.read()
    assert set(ends) == {numbers[0]}
    (second / "x").write_bytes(b"")
    assert told.read() == ([(numbers[1], "x")], [])


def test_a_folder_has_one_number_and_another_one_at_its_path_another(told, tmp_path):
    box = tmp_path / "box"
    box.mkdir()
    number = told.notices.watch(str(box), ENTRIES)
    box.rename(tmp_path / "moved")
    assert told.notices.watch(str(tmp_path / "moved"), ENTRIES) == number
    box.mkdir()
    assert told.notices.watch(str(box), ENTRIES) != number


def test_what_is_ignored_tells_nothing_more(told, tmp_path):
    number = told.notices.watch(str(tmp_path), ENTRIES)
    told.notices.ignore(number)
    told.notices.ignore(number)
    (tmp_path / "x").write_bytes(b"")
    assert told.read() == ([], [number])


def test_notices_that_the_system_dropped_are_missed(told, tmp_path):
    told.notices.watch(str(tmp_path), ENTRIES)
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    Path(one).write_bytes(b"")
    for _ in range(QUEUE_MAX // 4 + 1):
        os.rename(one, two)
        os.rename(two, one)
    told.read()
    assert told.losses == 1


def test_a_folder_that_is_not_there_cannot_be_watched(told, tmp_path):
    with pytest.raises(FileNotFoundError):
        told.notices.watch(str(tmp_path / "none"), ENTRIES)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        told.notices.watch(str(tmp_path / "file"), ENTRIES)


def test_it_is_closed_once_and_for_all(told):
    (reader,) = told.reactor.readers
    assert reader is told.notices
    descriptor = told.notices.fileno()
    told.notices.close()
    told.notices.connectionLost(None)
    assert told.reactor.readers == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_where_the_system_has_no_inotify_there_is_an_error(monkeypatch):
    monkeypatch.setattr("mailsuite.durable.inotify._INIT", None)
    with pytest.raises(OSError, match="not implemented"):
        Told()
