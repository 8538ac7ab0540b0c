"""The index can be thrown away, break, or lose what power took: UIDs stay true or UIDVALIDITY grows."""

import glob
import os

import pytest

from mailsuite.interfaces import Column, StoreMode

MESSAGES = [b"Subject: %d\r\n\r\nbody\r\n" % number for number in range(4)]


def fill(bench):
    bench.append(*MESSAGES[:2], flags=["\\Seen"])
    bench.deliver(MESSAGES[2], 1)
    (bench.inbox / "new" / "170.theirs.host").write_bytes(MESSAGES[3])
    bench.mail()
    box = bench.box()
    bench.go(box.store_flags([1], StoreMode.ADD, frozenset({"\\Deleted"}), None))
    bench.go(box.expunge(None))
    bench.go(box.store_flags([2], StoreMode.ADD, frozenset({"$Work"}), None))
    bench.go(box.copy_to([2], "Sent"))
    box.close()
    bench.go(bench.session().create("a.b/c", frozenset()))
    return state(bench)


def state(bench):
    names = [entry.name for entry in bench.go(bench.session().list_mailboxes()) if entry.selectable]
    return {
        name: (
            bench.go(bench.session().status(name)).uidvalidity,
            bench.box(name, read_only=True).mailbox_id,
            bench.mail(name),
        )
        for name in names
    }


@pytest.mark.parametrize("how", ["asked", "removed"])
def test_the_index_is_rebuilt_with_the_same_uids_flags_and_ids(bench, how):
    before = fill(bench)
    assert sorted(before["INBOX"][2]) == [2, 3, 4]
    modseq = bench.go(bench.session().status("INBOX")).highest_modseq
    if how == "asked":
        told = []
        assert bench.go(bench.store.reindex(bench.account, lambda name, count: told.append((name, count)))) == 4
        assert ("INBOX", 3) in told
    else:
        bench.store.stop()
        for path in glob.glob(f"{bench.home}/index.db*"):
            os.unlink(path)
        bench.open()
    assert state(bench) == before
    status = bench.go(bench.session().status("INBOX"))
    assert status.uidnext > 4
    assert status.highest_modseq >= modseq
    assert bench.append(MESSAGES[0]).uids[0] == status.uidnext
    assert bench.go(bench.store.verify(bench.account)) == []
    assert {entry.name: entry.special_use for entry in bench.go(bench.session().list_mailboxes())}["Sent"]


def test_without_its_own_file_a_mailbox_gets_a_higher_uidvalidity(bench):
    before = fill(bench)
    (bench.inbox / "mailbox.state").unlink()
    bench.store.stop()
    (bench.home / "index.db").unlink()
    bench.open()
    after = state(bench)
    assert after["INBOX"][0] > max(validity for validity, _, _ in before.values())
    assert sorted(content for content, _ in after["INBOX"][2].values()) == sorted(MESSAGES[1:])
    assert after["Sent"] == before["Sent"]


def test_a_damaged_index_is_kept_aside_and_rebuilt(bench):
    before = fill(bench)
    bench.store.stop()
    (bench.home / "index.db").write_bytes(b"this is no database " * 500)
    bench.open()
    assert state(bench) == before
    assert (bench.home / "index.db.damaged-1").read_bytes().startswith(b"this is no database")


def test_a_rebuild_that_was_cut_off_begins_again(bench):
    before = fill(bench)
    index = bench.index
    with index.writing() as transaction:
        transaction.connection.execute("UPDATE account SET clean = 2")
        transaction.connection.execute("DELETE FROM mailbox WHERE name = 'Sent'")
    bench.kill()
    assert state(bench) == before


def test_uids_go_on_after_a_kill(bench):
    before = fill(bench)
    bench.kill()
    assert state(bench) == before
    assert bench.append(MESSAGES[0]).uids == [5]


def test_uids_jump_after_a_power_loss(bench):
    before = fill(bench)
    modseq = bench.go(bench.session().status("INBOX")).highest_modseq
    bench.kill(boot="another run")
    assert {name: line[2] for name, line in state(bench).items()} == {name: line[2] for name, line in before.items()}
    status = bench.go(bench.session().status("INBOX"))
    assert status.uidnext >= 4096
    assert status.highest_modseq > modseq + 1000
    bench.kill(boot="another run")
    assert bench.go(bench.session().status("INBOX")).uidnext == status.uidnext


def test_uids_do_not_jump_after_an_orderly_stop(bench):
    fill(bench)
    bench.store.stop()
    bench.open(boot="another run")
    assert bench.go(bench.session().status("INBOX")).uidnext == 5


def test_uids_beyond_the_reserve_are_reserved_first(bench):
    bench.append(MESSAGES[0])
    index = bench.index
    index.connection.execute("UPDATE mailbox SET uidnext = ceiling WHERE name = 'INBOX'")
    uid = bench.append(MESSAGES[1]).uids[0]
    lines = (bench.inbox / "mailbox.state").read_text().splitlines()
    (ceiling,) = [int(line.split()[1]) for line in lines if line.startswith("ceiling")]
    assert uid < ceiling


def test_an_unfinished_move_to_its_place_is_finished(bench):
    bench.append(MESSAGES[0])
    (file,) = os.listdir(bench.inbox / "cur")
    os.rename(bench.inbox / "cur" / file, bench.inbox / "tmp" / file)
    box = bench.box()
    assert bench.go(box.read(1, 0, 100)) == MESSAGES[0]
    assert os.listdir(bench.inbox / "cur") == [file]


def test_old_files_in_tmp_are_removed_after_a_crash(bench):
    fill(bench)
    old, young = bench.inbox / "tmp" / "old", bench.inbox / "tmp" / "young"
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (bench.now - 37 * 3600,) * 2)
    os.utime(young, (bench.now - 35 * 3600,) * 2)
    bench.kill()
    bench.mail()
    assert os.listdir(bench.inbox / "tmp") == ["young"]


def test_verify_names_what_does_not_fit(bench):
    bench.append(*MESSAGES[:2])
    first, second = sorted((bench.inbox / "cur").iterdir(), key=lambda path: path.name.partition("U=")[2])
    first.unlink()
    second.write_bytes(b"short")
    (bench.inbox / "new" / "1.new.host").write_bytes(b"x")
    assert bench.go(bench.store.verify(bench.account)) == [
        "INBOX: message 1 has no file",
        "INBOX: the file of message 2 has 5 octets",
        "INBOX: 1.new.host is not in the index",
    ]


def test_accounts_that_are_closed_for_others_open_again(make_bench):
    bench = make_bench(open_accounts_max=1)
    bench.append(MESSAGES[0], flags=["$Work"])
    for number in range(2, 5):
        bench.account = type(bench.account)(account_id=number, email=f"user{number}@example.com")
        bench.append(MESSAGES[1])
    bench.account = type(bench.account)(account_id=1, email="alice@example.com")
    assert len(bench.store._accounts[0]._open) == 1
    assert bench.mail() == {1: (MESSAGES[0], {"$Work"})}
    assert bench.go(bench.box().fetch([1], [Column.SIZE])) == [(1, len(MESSAGES[0]))]


def test_remove_account_leaves_nothing(bench):
    fill(bench)
    bench.go(bench.store.remove_account(bench.account))
    assert not bench.home.exists()
    assert bench.mail() == {}


def test_who_listens_hears_of_what_comes_after_a_rebuild(bench):
    bench.append(MESSAGES[0])
    box = bench.box()
    known = bench.go(box.snapshot()).highest_modseq
    heard = []
    bench.store.bus.subscribe(1, heard.append)
    bench.go(bench.store.reindex(bench.account))
    newest = max((change.modseq for change in heard if change.mailbox_id == box.mailbox_id), default=known)
    assert newest == bench.go(box.snapshot()).highest_modseq
    bench.append(MESSAGES[0])
    assert len(bench.go(box.changes(max(known, newest))).added) == 1


def test_without_the_old_index_nobody_knows_what_was_expunged_before(bench):
    fill(bench)
    modseq = bench.go(bench.session().status("INBOX")).highest_modseq
    bench.store.stop()
    (bench.home / "index.db").unlink()
    bench.open()
    box = bench.box()
    history = bench.go(box.history(modseq))
    assert not history.complete
    assert [uid for uid, _, _ in history.flags] == [2, 3, 4]
    assert bench.go(box.history(history.modseq)).complete
