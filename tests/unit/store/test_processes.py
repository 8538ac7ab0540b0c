"""Several processes on one store. Locks belong to open files, so two stores in one process stand for two processes."""

import threading

import pytest

from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import StoreMode
from mailsuite.store import maildir
from mailsuite.store.lock import AccountLock
from mailsuite.testing.faults import FaultyDisk

from .conftest import Bench

MESSAGE = b"Subject: mine\r\n\r\nbody\r\n"
NEW = "alice.new@other.example"


@pytest.fixture
def pair(tmp_path):
    one, other = Bench(tmp_path), Bench(tmp_path)
    one.store.on_let_go = other.store.let_go
    other.store.on_let_go = one.store.let_go
    yield one, other
    one.store.stop()
    other.store.stop()


def test_each_sees_what_the_other_did(pair):
    one, other = pair
    box, beside = one.box(), other.box()
    assert one.append(MESSAGE, flags=["$Work"]).uids == [1]
    assert other.append(MESSAGE, flags=["$Play"]).uids == [2]
    assert one.mail() == other.mail() == {1: (MESSAGE, {"$Work"}), 2: (MESSAGE, {"$Play"})}
    one.go(box.store_flags([1, 2], StoreMode.ADD, frozenset({"$New", "\\Deleted"}), None))
    other.go(beside.store_flags([2], StoreMode.REMOVE, frozenset({"\\Deleted"}), None))
    assert other.go(beside.expunge(None)) == [1]
    assert one.mail() == other.mail() == {2: (MESSAGE, {"$Play", "$New"})}
    assert one.go(box.changes(0)).expunged == [1]
    assert one.go(one.store.verify(one.account)) == []


def test_no_change_is_lost_when_both_change_one_message(pair):
    one, other = pair
    one.append(MESSAGE)
    failures = []

    def work(bench, letter):
        try:
            box = bench.box()
            for number in range(40):
                bench.go(box.store_flags([1], StoreMode.ADD, frozenset({f"${letter}{number}"}), None))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=each) for each in ((one, "a"), (other, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    wanted = {f"${letter}{number}" for letter in "ab" for number in range(40)}
    assert one.mail() == other.mail() == {1: (MESSAGE, wanted)}


def test_what_one_expunged_the_other_does_not_take_for_new_mail(pair):
    one, other = pair
    for _ in range(3):
        one.append(MESSAGE, flags=["\\Deleted"])
    assert len(other.mail()) == 3
    broken = FaultyDisk(operations={"unlink"}, path_part="/cur/", fail_at=1, lasting=True)
    one.store.disk = one.disk = broken
    one.index.disk = broken
    assert one.go(one.box().expunge(None)) == [1, 2, 3]
    assert len(list((one.inbox / "cur").iterdir())) == 3
    assert other.mail() == {}
    assert list((one.inbox / "cur").iterdir()) == []


def test_a_mailbox_that_is_made_again_is_not_the_one_that_the_other_deleted(pair):
    one, other = pair
    for first, second in (pair, reversed(pair)):
        first.go(first.session().create("work", frozenset()))
        first.append(MESSAGE, name="work")
        assert other.mail("work").keys() == one.mail("work").keys() == {1}
        first.go(first.session().delete("work"))
        second.go(second.session().create("work", frozenset()))
        second.append(MESSAGE, name="work")
        first.append(MESSAGE)  # what is done is forgotten with the next change
        for bench in pair:
            bench.kill()
        assert one.mail("work").keys() == other.mail("work").keys() == {1}
        one.go(one.session().delete("work"))


def test_a_large_folder_is_not_listed_for_what_the_other_did(pair):
    one, other = pair
    one.append(*[MESSAGE] * 150)
    watched = FaultyDisk()
    box = other.box()
    other.go(box.snapshot())
    other.index.disk = watched
    for number in range(5):
        one.deliver(MESSAGE, number)
        assert len(other.go(box.changes(0)).added) == 151 + number
    listed = [call.path for call in watched.trace if call.operation == "listdir"]
    assert len(listed) <= 2, listed


def test_an_index_is_built_anew_while_the_other_has_it_open(pair):
    one, other = pair
    one.append(MESSAGE, MESSAGE)
    box = other.box()
    assert len(other.mail()) == 2
    assert one.go(one.store.reindex(one.account)) == 2
    other.go(box.store_flags([1], StoreMode.ADD, frozenset({"\\Seen"}), None))
    assert one.mail() == other.mail() == {1: (MESSAGE, {"\\Seen"}), 2: (MESSAGE, set())}


def test_a_damaged_index_is_exchanged_when_the_other_has_let_go(pair):
    one, other = pair
    one.append(MESSAGE, MESSAGE)
    assert len(other.mail()) == 2
    one.store._accounts[0].damaged(1)
    assert not (one.home / "index.db.damaged-1").exists()
    assert one.mail().keys() == {1, 2}
    one.store._accounts[0].damaged(1)
    assert (one.home / "index.db.damaged-1").exists()
    assert one.mail().keys() == other.mail().keys() == {1, 2}


def test_without_a_word_to_the_other_nothing_is_exchanged(pair, monkeypatch):
    one, other = pair
    one.append(MESSAGE)
    assert len(other.mail()) == 1
    one.store.on_let_go = lambda account_id: None
    monkeypatch.setattr("mailsuite.store.accounts.ALONE_SECONDS", 0.05)
    with pytest.raises(MailError) as caught:
        one.go(one.store.reindex(one.account))
    assert caught.value.kind is Kind.UNAVAILABLE
    assert "another process" in caught.value.detail
    assert one.mail().keys() == other.mail().keys() == {1}


def test_an_account_moves_while_the_other_has_it_open(pair):
    one, other = pair
    one.append(MESSAGE)
    box = other.box()
    one.go(one.store.begin_rename(one.account, NEW))
    assert other.mail().keys() == {1}
    one.go(one.store.finish_move(1))
    other.go(box.store_flags([1], StoreMode.ADD, frozenset({"\\Seen"}), None))
    assert other.deliver(MESSAGE, 1).error is None
    assert one.mail() == other.mail()
    assert one.mail().keys() == {1, 2}
    assert not one.home.exists()


def test_the_last_one_to_leave_notes_that_all_is_well(pair):
    one, other = pair
    one.append(MESSAGE)
    other.append(MESSAGE)
    one.reopen()
    one.store.stop()
    assert other.index.connection.execute("SELECT clean FROM account").fetchone() == (0,)
    other.reopen()
    assert other.index.connection.execute("SELECT clean FROM account").fetchone() == (1,)
    assert not other.index.recovering


def test_who_comes_to_a_living_process_recovers_nothing(pair, monkeypatch):
    one, other = pair
    one.append(MESSAGE)
    recovered = []
    monkeypatch.setattr("mailsuite.store.accounts.recover", recovered.append)
    assert other.mail().keys() == {1}
    assert recovered == []
    for bench in pair:
        bench.kill()
    assert other.mail().keys() == one.mail().keys() == {1}
    assert len(recovered) == 1


def test_waiting_for_a_turn_ends(tmp_path):
    one, other = (AccountLock(f"{tmp_path}/{maildir.LOCK}", Disk()) for _ in range(2))
    one.acquire()
    with pytest.raises(MailError) as caught:
        other.acquire(seconds=0.02)
    assert caught.value.kind is Kind.UNAVAILABLE
    waiting = threading.Thread(target=other.acquire)
    waiting.start()
    one.release()
    waiting.join(5)
    assert not waiting.is_alive()
    one.close()
    other.close()


def test_a_removal_that_failed_at_first_does_not_take_a_new_mailbox_of_that_name(make_bench):
    bench = make_bench()
    bench.go(bench.session().create("work", frozenset()))
    bench.append(MESSAGE, name="work")
    broken = FaultyDisk(operations={"rename"}, path_part="..deleted", fail_at=1, lasting=True)
    bench.index.disk = broken
    bench.go(bench.session().delete("work"))
    with pytest.raises(MailError) as caught:
        bench.go(bench.session().create("work", frozenset()))
    assert caught.value.kind is Kind.UNAVAILABLE
    broken.heal()
    bench.go(bench.session().create("work", frozenset()))
    bench.append(MESSAGE, name="work")
    bench.kill()
    assert bench.mail("work").keys() == {1}


@pytest.mark.parametrize("again", ["create", "another program"])
def test_what_one_removed_and_another_program_made_again_stays(pair, again):
    one, other = pair
    one.go(one.session().create("work", frozenset()))
    one.append(MESSAGE, name="work")
    assert other.mail("work").keys() == {1}
    one.go(one.session().delete("work"))
    if again == "create":
        other.go(other.session().create("work", frozenset()))
        other.append(MESSAGE, name="work")
    else:
        for folder in ("tmp", "new", "cur"):
            (one.inbox / ".work" / folder).mkdir(parents=True)
        (one.inbox / ".work" / "new" / "1700000000.x.host").write_bytes(MESSAGE)
    other.append(MESSAGE)
    one.append(MESSAGE)
    other.reopen()
    for bench in pair:
        bench.go(bench.session().list_mailboxes())
        assert bench.mail("work").keys() == {1}


def test_an_account_that_is_being_moved_is_not_opened_empty_at_its_old_place(pair, monkeypatch):
    one, other = pair
    one.append(MESSAGE)
    other.mail()
    one.go(one.store.begin_rename(one.account, NEW))
    errors = []
    write = type(one.store._moves)._write

    def beside(moves, move):
        if move.done and not errors:
            outcome = other.deliver(MESSAGE, 7)
            errors.append(outcome.error)
        write(moves, move)

    monkeypatch.setattr(type(one.store._moves), "_write", beside)
    one.go(one.store.finish_move(1))
    assert errors[0].kind is Kind.UNAVAILABLE
    assert not one.home.exists()
    assert other.deliver(MESSAGE, 7).error is None
    assert one.mail().keys() == other.mail().keys() == {1, 2}


def test_an_index_that_cannot_be_put_aside_takes_nobody_else_along(pair, monkeypatch):
    one, other = pair
    one.append(MESSAGE)
    other.mail()
    monkeypatch.setattr("mailsuite.store.lock.TURN_SECONDS", 0.01)
    held = AccountLock(str(one.home / maildir.LOCK), Disk())
    held.acquire()
    monkeypatch.setattr(AccountLock, "acquire", _refuse)
    one.store._accounts[0].damaged(1)
    monkeypatch.undo()
    held.close()
    assert one.mail().keys() == other.mail().keys() == {1}


def _refuse(_lock, seconds=0.0):
    raise MailError(Kind.UNAVAILABLE, "another process works on the mailboxes; try again later")
