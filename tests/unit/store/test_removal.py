"""Files of messages that are gone are removed some at a time, and what is left is found again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mailsuite.durable import Disk, InlineLane
from mailsuite.interfaces import StoreMode
from mailsuite.store import work as work_module

MESSAGE = b"Subject: gone soon\r\n\r\nbody\r\n"
COUNT = 200


class CountingDisk(Disk):
    def __init__(self):
        self.calls = []

    def before(self, operation, path):
        self.calls.append((operation, path))


class HeldLane(InlineLane):
    """Keeps what is posted until a test lets it go on."""

    def __init__(self):
        super().__init__()
        self.held = []

    def post(self, job, *arguments):
        self.held.append((job, arguments))

    def go_on(self):
        job, arguments = self.held.pop(0)
        job(*arguments)


@pytest.fixture
def held(bench, monkeypatch):
    """Each piece is one batch, and the lane does the next one when it is told to."""
    monkeypatch.setattr(work_module, "REMOVAL_SECONDS", -1.0)
    bench.append(*[MESSAGE] * COUNT, flags=["\\Deleted"])
    bench.append(b"stays")
    lane = HeldLane()
    bench.store._accounts[0].lane = lane
    return lane


def files(bench):
    return len(list((bench.inbox / "cur").iterdir()))


def test_others_have_their_turn_between_pieces(bench, held):
    bench.go(bench.box().expunge(None))
    assert files(bench) == COUNT + 1 - work_module.REMOVAL_BATCH
    assert [content for content, _ in bench.mail().values()] == [b"stays"]
    assert bench.append(b"another").uids == [COUNT + 2]
    assert len(held.held) == 1
    pieces = 0
    while held.held:
        before = files(bench)
        held.go_on()
        pieces += 1
        assert 0 < before - files(bench) <= work_module.REMOVAL_BATCH
        assert len(bench.mail()) == 2
    assert files(bench) == 2
    assert pieces == COUNT // work_module.REMOVAL_BATCH
    assert bench.go(bench.store.verify(bench.account)) == []


def test_what_is_not_removed_yet_is_no_new_message_and_no_fault(bench, held):
    bench.go(bench.box().expunge(None))
    bench.index.lock.set_look(bench.box().mailbox_id, None)
    assert len(bench.mail()) == 1
    assert bench.go(bench.store.verify(bench.account)) == []


@pytest.mark.parametrize("end", ["kill", "stop", "reindex"])
def test_what_is_left_is_removed_later(bench, held, end):
    bench.go(bench.box().expunge(None))
    if end == "kill":
        bench.kill()
    elif end == "stop":
        bench.reopen()
    else:
        assert bench.go(bench.store.reindex(bench.account)) == 1
    assert [content for content, _ in bench.mail().values()] == [b"stays"]
    while getattr(bench.store._accounts[0].lane, "held", ()):
        bench.store._accounts[0].lane.go_on()
    assert files(bench) == 1


def test_a_mailbox_is_renamed_without_what_is_gone(bench, held):
    bench.go(bench.session().create("Work", frozenset()))
    bench.append(*[MESSAGE] * COUNT, name="Work", flags=["\\Deleted"])
    bench.go(bench.box("Work").expunge(None))
    bench.go(bench.session().rename("Work", "Done"))
    assert bench.mail("Done") == {}
    assert list((bench.home / ".Done/cur").iterdir()) == []


def test_an_account_moves_without_what_is_gone(bench, held):
    bench.go(bench.box().expunge(None))
    bench.go(bench.store.begin_rename(bench.account, "other@example.com"))
    assert files(bench) == 1


def test_removing_makes_nobody_list_the_folder(make_bench):
    bench = make_bench()
    bench.append(*[MESSAGE] * 150)
    box = bench.box()
    bench.go(box.snapshot())
    bench.disk = disk = CountingDisk()
    bench.reopen()
    box = bench.box()
    modseq = bench.go(box.snapshot()).highest_modseq
    bench.go(box.store_flags([1, 2, 3], StoreMode.ADD, frozenset({"\\Deleted"}), None))
    disk.calls.clear()
    bench.go(box.expunge([1, 2]))
    bench.go(box.move_to([4], "Trash"))
    assert list(bench.go(box.changes(modseq)).expunged) == [1, 2, 4]
    assert [path for operation, path in disk.calls if operation == "listdir" and "Trash" not in path] == []


CHILD = """
import sys
sys.path[:0] = {folders!r}
from pathlib import Path
from conftest import Bench
from mailsuite.durable import Disk
from mailsuite.store import work
assert work.REMOVAL_SECONDS > 0
work.REMOVAL_SECONDS = -1.0
class Telling(Disk):
    count = 0
    def before(self, operation, path):
        if operation == "unlink" and "/cur/" in path:
            Telling.count += 1
            if Telling.count == {number}:
                print("there", flush=True)
                sys.stdin.read()
bench = Bench.__new__(Bench)
bench.disk = Telling()
Bench.__init__.__globals__["Disk"] = lambda: bench.disk
bench.__init__(Path({root!r}))
bench.go(bench.box().expunge(None))
"""


@pytest.mark.parametrize("number", [1, 40, COUNT])
def test_killed_at_any_piece_nothing_comes_back(bench, number):
    bench.append(*[MESSAGE] * COUNT, flags=["\\Deleted"])
    bench.append(b"stays")
    bench.store.stop()
    here = Path(__file__).parent
    script = CHILD.format(folders=[str(here), str(here.parents[1])], root=str(bench.root.parent), number=number)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(os.environ)
    ) as child:
        assert child.stdout.readline() == b"there\n"
        child.send_signal(signal.SIGKILL)
    assert files(bench) == COUNT + 2 - number
    bench.open()
    assert [content for content, _ in bench.mail().values()] == [b"stays"]
    assert files(bench) == 1
    assert bench.go(bench.store.verify(bench.account)) == []


def below(path):
    return [each for each in path.rglob("*") if each.is_file()]


def discarded(bench):
    return list(bench.home.glob("..deleted-*"))


def test_a_large_mailbox_that_is_deleted_goes_some_files_at_a_time(bench, held):
    bench.go(bench.session().create("Old", frozenset()))
    bench.append(*[MESSAGE] * COUNT, name="Old")
    bench.go(bench.session().delete("Old"))
    (folder,) = discarded(bench)
    assert len(below(folder)) >= COUNT - work_module.REMOVAL_BATCH
    bench.go(bench.session().create("Old", frozenset()))  # while the files of the one before are there
    bench.append(b"new", name="Old")
    pieces = 0
    while held.held:
        before = len(below(folder))
        held.go_on()
        pieces += 1
        assert before - len(below(folder)) <= work_module.REMOVAL_BATCH
    assert pieces >= COUNT // work_module.REMOVAL_BATCH
    assert discarded(bench) == []
    assert [content for content, _ in bench.mail("Old").values()] == [b"new"]
    assert bench.index.connection.execute("SELECT COUNT(*) FROM pending").fetchone() == (0,)
    assert bench.go(bench.store.verify(bench.account)) == []


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_what_is_left_of_a_deleted_mailbox_is_removed_later_and_a_new_one_of_its_name_stays(bench, held, end):
    bench.go(bench.session().create("Old", frozenset()))
    bench.append(*[MESSAGE] * COUNT, name="Old")
    bench.go(bench.session().delete("Old"))
    bench.go(bench.session().create("Old", frozenset()))
    bench.append(b"new", name="Old")
    assert len(discarded(bench)) == 1
    if end == "kill":
        bench.kill()
    else:
        bench.reopen()
    bench.go(bench.session().create("another", frozenset()))
    while getattr(bench.store._accounts[0].lane, "held", ()):
        bench.store._accounts[0].lane.go_on()
    assert discarded(bench) == []
    assert [content for content, _ in bench.mail("Old").values()] == [b"new"]
    assert bench.index.connection.execute("SELECT COUNT(*) FROM pending").fetchone() == (0,)


def test_a_folder_that_cannot_be_removed_is_tried_again(bench, held):
    bench.go(bench.session().create("Old", frozenset()))
    (bench.home / ".Old/cur/odd").mkdir()
    bench.go(bench.session().delete("Old"))
    while held.held:
        held.go_on()
    (folder,) = discarded(bench)
    (folder / "cur/odd").rmdir()
    bench.go(bench.session().create("another", frozenset()))
    while held.held:
        held.go_on()
    assert discarded(bench) == []
