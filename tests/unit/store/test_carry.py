"""`reindex` of an account whose index can be read loses nothing that only the index knew."""

import os
import sqlite3

import pytest

from mailsuite.durable import Disk
from mailsuite.interfaces import Column, StoreMode
from mailsuite.testing.faults import Crash, FaultyDisk

MESSAGES = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(4)]
TABLES = ("mailbox", "subscription", "keyword", "state", "file", "message", "header", "expunged")


def fill(bench):
    bench.append(*MESSAGES[:3], flags=["\\Seen"])
    bench.deliver(MESSAGES[3], 1)
    bench.deliver(MESSAGES[3], 2)
    (bench.inbox / "new" / "170.theirs.host").write_bytes(MESSAGES[3])
    bench.mail()
    box = bench.box()
    many = frozenset(f"$keyword-{number}" for number in range(40))
    bench.go(box.store_flags([2], StoreMode.ADD, many | {"\\Flagged"}, None))
    bench.go(box.store_flags([1, 4], StoreMode.ADD, frozenset({"\\Deleted"}), None))
    bench.go(box.expunge(None))
    bench.go(bench.session().subscribe("Junk", subscribed=False))
    bench.go(bench.session().subscribe("not/there", subscribed=True))
    bench.go(bench.session().create("above/below", frozenset()))
    bench.go(bench.session().delete("above"))
    bench.now += 1000
    bench.go(box.copy_to([2], "Sent"))
    bench.append(MESSAGES[0], name="Junk")
    bench.go(bench.session().delete("Junk"))


def dump(bench):
    connection = sqlite3.connect(bench.home / "index.db")
    tables = {table: sorted(connection.execute(f"SELECT * FROM {table}")) for table in TABLES}
    connection.close()
    mailboxes = tables["mailbox"]
    tables["mailbox"] = [[*row[1:4], *row[5:]] for row in mailboxes]  # the id of a mere name and the bound may change
    return tables


def test_everything_is_as_before(bench):
    fill(bench)
    bench.now += 10_000
    before = dump(bench)
    assert bench.go(bench.store.reindex(bench.account)) == 5
    assert dump(bench) == before
    assert not [name for name in os.listdir(bench.home) if "previous" in name or "damaged" in name]
    assert bench.append(MESSAGES[0]).uids == [7]
    assert bench.go(bench.store.verify(bench.account)) == []


def test_what_was_expunged_is_not_delivered_again(bench):
    fill(bench)
    assert bench.mail().keys() == {2, 3, 5, 6}
    bench.go(bench.store.reindex(bench.account))
    assert bench.deliver(MESSAGES[3], 1).uid == 4
    assert bench.mail().keys() == {2, 3, 5, 6}


def test_the_recent_mark_stays_with_what_nobody_saw(bench):
    bench.deliver(MESSAGES[0], 1)
    bench.go(bench.box().snapshot())
    bench.deliver(MESSAGES[1], 2)
    bench.go(bench.store.reindex(bench.account))
    assert bench.go(bench.box().snapshot()).recent == {2}


def test_other_programs_changes_since_are_taken_in(bench):
    bench.append(*MESSAGES[:3], flags=["$Work"])
    box = bench.box()
    modseq = bench.go(box.snapshot()).highest_modseq
    first, second, _ = sorted((bench.inbox / "cur").iterdir(), key=lambda path: path.name.partition("U=")[2])
    first.unlink()
    second.rename(f"{second}S")
    (bench.inbox / "cur" / "9.theirs.host:2,F").write_bytes(MESSAGES[3])
    bench.go(bench.store.reindex(bench.account))
    changes = bench.go(box.changes(modseq))
    assert list(changes.expunged) == [1]
    assert {uid: flags for uid, flags, _ in changes.flags} == {2: {"$Work", "\\Seen"}, 4: {"\\Flagged"}}


def test_a_row_that_is_lost_comes_from_the_maildir(bench):
    fill(bench)
    before = bench.mail()
    index = bench.index
    for table in ("state", "message", "header"):
        index.connection.execute(f"DELETE FROM {table} WHERE id & 4294967295 IN (3, 6)")
    bench.go(bench.store.reindex(bench.account))
    assert bench.mail() == before
    assert bench.go(bench.box().fetch([3], [Column.SIZE])) == [(3, len(MESSAGES[2]))]


def test_an_expunged_message_that_comes_back_is_a_new_one(bench):
    bench.append(MESSAGES[0], flags=["\\Deleted"])
    (file,) = (bench.inbox / "cur").iterdir()
    bench.go(bench.box().expunge(None))
    file.write_bytes(MESSAGES[0])
    bench.go(bench.store.reindex(bench.account))
    assert bench.mail().keys() == {2}
    bench.go(bench.store.reindex(bench.account))
    bench.store.stop()
    (bench.home / "index.db").unlink()
    bench.open()
    assert bench.mail().keys() == {2}


def test_an_index_that_does_not_add_up_is_put_aside(bench):
    fill(bench)
    bench.store.stop()
    with (bench.home / "index.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    bench.open()
    assert bench.go(bench.store.reindex(bench.account)) == 5
    assert (bench.home / "index.db.damaged-1").exists()
    assert bench.mail().keys() == {2, 3, 5, 6}


def test_old_files_in_tmp_go_with_a_reindex(bench):
    fill(bench)
    old, torn, young = (bench.inbox / "tmp" / name for name in ("old", "torn", "young"))
    for path in (old, torn, young):
        path.write_bytes(b"" if path is torn else b"x")
        os.utime(path, (bench.now - (35 if path is young else 37) * 3600,) * 2)
    bench.go(bench.store.reindex(bench.account))
    assert os.listdir(bench.inbox / "tmp") == ["young"]


@pytest.mark.parametrize("stop", ["crash", "failure"])
def test_a_reindex_that_is_cut_off_anywhere_loses_nothing(bench, stop):
    fill(bench)
    before = dump(bench)
    number = 0
    while True:
        number += 1
        bench.disk = disk = FaultyDisk()
        bench.reopen()
        bench.mail()
        last = disk.count + number
        disk.crash_at, disk.fail_at = (last, 0) if stop == "crash" else (0, last)
        try:
            bench.go(bench.store.reindex(bench.account))
        except Crash:
            pass
        except Exception as error:
            assert "cannot be reached" in str(error)  # noqa: PT017 - any failure may be told, none may be a bug
        bench.disk = Disk()
        if disk.count < last:
            disk.crash_at = disk.fail_at = 0
            break
        if stop == "crash":
            bench.kill()
        else:
            bench.reopen()
        assert bench.mail().keys() == {2, 3, 5, 6}, number
        after = dump(bench)
        assert after["expunged"] == before["expunged"], number
        assert after["subscription"] == before["subscription"], number
        assert after["state"] == before["state"], number
    assert number > 20
