"""Tombstones are forgotten when they are old and many, and no sooner."""

import pytest

from mailsuite.interfaces import StoreMode
from mailsuite.store import prune as pruning

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
DAY = 86_400


@pytest.fixture
def tombstones(bench, monkeypatch):
    monkeypatch.setattr(pruning, "KEPT", 2)
    for number in range(6):
        bench.deliver(MESSAGE, number)
        box = bench.box()
        bench.go(box.store_flags([number + 1], StoreMode.ADD, frozenset({"\\Deleted"}), None))
        bench.go(box.expunge(None))

    def count():
        index = bench.index
        return index.connection.execute("SELECT COUNT(*) FROM expunged").fetchone()[0]

    return count


def test_old_ones_go_and_the_newest_stay(bench, tombstones):
    bench.reopen()
    bench.now += 13 * DAY
    bench.reopen()
    assert tombstones() == 6
    assert bench.deliver(MESSAGE, 0).uid == 1
    bench.now += 2 * DAY
    bench.reopen()
    assert tombstones() == 2
    assert bench.deliver(MESSAGE, 5).uid == 6
    assert bench.mail() == {}


def test_age_counts_from_when_they_were_seen_and_outlives_a_reindex(bench, tombstones):
    bench.now += 100 * DAY
    bench.reopen()
    assert tombstones() == 6
    bench.go(bench.store.reindex(bench.account))
    bench.now += 15 * DAY
    bench.reopen()
    assert tombstones() == 2


def test_few_at_a_time(bench, tombstones, monkeypatch):
    monkeypatch.setattr(pruning, "BATCH", 3)
    bench.reopen()
    assert tombstones() == 6
    bench.now += 15 * DAY
    bench.reopen()
    assert tombstones() == 3
    bench.now += DAY
    bench.reopen()
    assert tombstones() == 2


def test_a_history_that_begins_before_what_was_forgotten_is_not_complete(bench, tombstones):
    begins = [bench.go(bench.box().history(0)).modseq - 3 * number for number in range(6)]  # after each expunge
    bench.reopen()
    assert all(bench.go(bench.box().history(since)).complete for since in (0, *begins))
    bench.now += 15 * DAY
    bench.reopen()
    assert tombstones() == 2
    complete = [bench.go(bench.box().history(since)).complete for since in begins]
    assert complete == [True, True, True, False, False, False]
    assert bench.go(bench.box().history(begins[2])).expunged == [5, 6]
    bench.go(bench.store.reindex(bench.account))
    assert [bench.go(bench.box().history(since)).complete for since in begins] == complete


def test_an_index_of_the_version_before_may_have_forgotten_whatever_came_before_its_first_tombstone(bench, tombstones):
    connection = bench.index.connection
    first = connection.execute("SELECT MIN(modseq) FROM expunged").fetchone()[0]
    for statement in (
        "DELETE FROM expunged WHERE id & 4294967295 = 1",
        "DROP TABLE forgotten",
        "DROP TABLE acl",
        "DROP TABLE acl_unwritten",
        "DROP TABLE preview",
        "DROP TABLE annotation",
        "DROP TABLE annotation_unwritten",
        "PRAGMA user_version=2",
    ):
        connection.execute(statement)
    bench.reopen()
    assert not bench.go(bench.box().history(first)).complete
    assert bench.go(bench.box().history(first)).expunged == [2, 3, 4, 5, 6]
    assert bench.go(bench.box().history(first + 3 - 1)).complete
    assert bench.go(bench.session().status("Sent")).highest_modseq == 1
    assert bench.go(bench.box("Sent").history(1)).complete
