"""Folders that another program removed, whole or in part: they are made again, and nothing goes on failing."""

import shutil

import pytest

MESSAGE = b"Subject: here\r\n\r\nbody\r\n"


@pytest.fixture
def work(bench):
    bench.go(bench.session().create("Work", frozenset()))
    bench.append(MESSAGE, MESSAGE, name="Work")
    assert len(bench.mail("Work")) == 2
    return bench.home / ".Work"


def subfolders(folder):
    return {each.name for each in folder.iterdir() if each.is_dir()}


@pytest.mark.parametrize("lost", [("tmp",), ("new",), ("tmp", "new")])
def test_messages_that_went_with_parts_of_a_folder_are_noticed(bench, work, lost):
    for name in lost:
        shutil.rmtree(work / name)
    next((work / "cur").iterdir()).unlink()
    assert len(bench.mail("Work")) == 1
    assert subfolders(work) == {"tmp", "new", "cur"}


@pytest.mark.parametrize("lost", ["tmp", "new", "cur", ""])
@pytest.mark.parametrize("how", ["append", "several", "deliver"])
def test_mail_comes_into_a_folder_of_which_something_is_missing(bench, work, lost, how):
    shutil.rmtree(work / lost)
    if how == "deliver":
        assert bench.deliver(b"Subject: new\r\n\r\n", 1, "Work").error is None
    else:
        bench.append(*[b"Subject: new\r\n\r\n"] * (2 if how == "several" else 1), name="Work")
    subjects = [content for content, _ in bench.mail("Work").values()]
    assert b"Subject: new\r\n\r\n" in subjects
    assert (MESSAGE in subjects) is (lost in {"tmp", "new"})
    assert subfolders(work) == {"tmp", "new", "cur"}
    assert bench.go(bench.store.verify(bench.account)) == []


@pytest.mark.parametrize("lost", ["tmp", ""])
@pytest.mark.parametrize("move", [True, False])
def test_messages_come_into_it_from_elsewhere(bench, work, lost, move):
    bench.append(b"Subject: one\r\n\r\n", b"Subject: two\r\n\r\n")
    shutil.rmtree(work / lost)
    box = bench.box()
    done = bench.go(box.move_to([1, 2], "Work") if move else box.copy_to([1, 2], "Work"))
    assert list(done.source_uids) == [1, 2]
    contents = [content for content, _ in bench.mail("Work").values()]
    assert contents[-2:] == [b"Subject: one\r\n\r\n", b"Subject: two\r\n\r\n"]
    assert len(bench.mail()) == (0 if move else 2)
    assert bench.go(bench.store.verify(bench.account)) == []
