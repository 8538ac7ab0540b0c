"""
Change a mailbox while the disk fails, or the machine stops, at the n-th call, for every n.

After the store is opened again a change is there whole or not at all, what was acknowledged is there, nothing is there
twice, and no UID means two messages.
"""

import errno

import pytest
from store_at_once import go, opened

from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account, AppendMessage, Body, LocalDelivery, StoreMode
from mailsuite.testing.faults import Crash, FaultyDisk

OLD = [b"Subject: old %d\r\n\r\nbody\r\n" % number for number in range(3)]
NEW = [b"Subject: new %d\r\n\r\nother body\r\n" % number for number in range(2)]
ALICE = Account(account_id=1, email="alice@example.com")
CALLS_MAX = 400


def contents(store, name="INBOX"):
    box = go(store.account(ALICE).open_mailbox(name, read_only=True))
    uids = go(box.snapshot()).uids
    assert len(set(uids)) == len(uids)
    return sorted(content for _, content in go(box.read_many(uids, 10**9)))


def append(store):
    go(store.account(ALICE).append("INBOX", [AppendMessage(content=each) for each in NEW]))


def append_file(store):
    async def work():
        account = store.account(ALICE)
        body = await account.begin_body(100)
        await body.write(NEW[0])
        await account.append("INBOX", [AppendMessage(content=await body.finish()), AppendMessage(content=NEW[1])])

    go(work())


def copy(store):
    box = go(store.account(ALICE).open_mailbox("INBOX", read_only=False))
    go(box.copy_to([1, 2], "Trash"))


def move(store):
    box = go(store.account(ALICE).open_mailbox("INBOX", read_only=False))
    go(box.move_to([1, 2], "Trash"))


def replace(store):
    box = go(store.account(ALICE).open_mailbox("INBOX", read_only=False))
    go(box.replace(1, "INBOX", AppendMessage(content=NEW[0])))


def replace_elsewhere(store):
    async def work():
        account = store.account(ALICE)
        body = await account.begin_body(100)
        await body.write(NEW[0])
        box = await account.open_mailbox("INBOX", read_only=False)
        await box.replace(1, "Trash", AppendMessage(content=await body.finish()))

    go(work())


def expunge(store):
    box = go(store.account(ALICE).open_mailbox("INBOX", read_only=False))
    go(box.expunge(None))


def rename(store):
    go(store.account(ALICE).rename("Trash", "a/b"))


def rename_inbox(store):
    go(store.account(ALICE).rename("INBOX", "old mail"))


def delete(store):
    go(store.account(ALICE).delete("Trash"))


def deliver(store):
    outcomes = []
    store.deliver([delivery(number) for number in range(2)], outcomes.extend)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error


def delivery(number):
    return LocalDelivery(
        delivery_id=f"spool-{number}-0",
        account_id=1,
        email=ALICE.email,
        quota_octets=0,
        mailbox="INBOX",
        content=NEW[number],
        link=False,
        received=1_700_000_000,
    )


def refusal(change, store):
    try:
        change(store)
    except MailError as error:
        return error.kind
    return None


def everything(store):
    names = [entry.name for entry in go(store.account(ALICE).list_mailboxes()) if entry.selectable]
    return {name: contents(store, name) for name in names}


def same(found, wanted):
    """Compare; an empty folder that a crash left, or that could not be removed again, harms nobody."""
    return wanted.items() <= found.items() and not any(found[name] for name in found.keys() - wanted.keys())


START = {"INBOX": sorted(OLD), "Trash": []}
CHANGES = {
    append: {"INBOX": sorted(OLD + NEW), "Trash": []},
    append_file: {"INBOX": sorted(OLD + NEW), "Trash": []},
    deliver: {"INBOX": sorted(OLD + NEW), "Trash": []},
    copy: {"INBOX": sorted(OLD), "Trash": sorted(OLD[:2])},
    move: {"INBOX": sorted(OLD[2:]), "Trash": sorted(OLD[:2])},
    replace: {"INBOX": sorted(OLD[1:] + NEW[:1]), "Trash": []},
    replace_elsewhere: {"INBOX": sorted(OLD[1:]), "Trash": NEW[:1]},
    expunge: {"INBOX": sorted(OLD[2:]), "Trash": []},
    rename: {"INBOX": sorted(OLD), "a": [], "a/b": []},
    rename_inbox: {"INBOX": [], "Trash": [], "old mail": sorted(OLD)},
    delete: {"INBOX": sorted(OLD)},
}


def prepare(tmp_path, disk):
    store = opened(tmp_path, disk)
    go(store.account(ALICE).append("INBOX", [AppendMessage(content=each) for each in OLD]))
    box = go(store.account(ALICE).open_mailbox("INBOX", read_only=False))
    go(box.store_flags([1, 2], StoreMode.ADD, frozenset({"\\Deleted"}), None))
    contents(store)
    return store


def check_order(store):
    assert [line for line in go(store.verify(ALICE)) if "not in the index" not in line] == []
    assert go(store.verify(ALICE)) == []
    last = go(store.account(ALICE).append("INBOX", [AppendMessage(content=b"x")])).uids[0]
    box = go(store.account(ALICE).open_mailbox("INBOX", read_only=True))
    assert max(go(box.snapshot()).uids) == last


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_crash_at_any_call_leaves_all_or_nothing(tmp_path, change):
    done = False
    for number in range(1, CALLS_MAX):
        root = tmp_path / str(number)
        root.mkdir()
        disk = FaultyDisk()
        store = prepare(root, disk)
        disk.reset()
        disk.crash_at = number
        try:
            change(store)
            acknowledged = True
        except Crash:
            acknowledged = False
        crashed, disk.crashed = disk.crashed, True
        store = opened(root, Disk())
        found = everything(store)
        whole, nothing = same(found, CHANGES[change]), same(found, START)
        assert whole or (nothing and not acknowledged), f"call {number}: {disk.trace[-1]}"
        if change is deliver:
            change(store)
            assert everything(store) == CHANGES[change]
        check_order(store)
        store.stop()
        if not crashed:
            done = True
            break
    assert done
    assert number > 3


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_failure_at_any_call_is_unavailable_and_leaves_all_or_nothing(tmp_path, change, lasting):
    done = False
    for number in range(1, CALLS_MAX):
        root = tmp_path / str(number)
        root.mkdir()
        disk = FaultyDisk()
        store = prepare(root, disk)
        disk.reset()
        disk.error = errno.ENOSPC
        disk.lasting = lasting
        disk.fail_at = number
        kind = refusal(change, store)
        assert kind in {None, Kind.UNAVAILABLE}
        acknowledged = kind is None
        broken = disk.count >= number
        disk.heal()
        wanted = CHANGES[change] if acknowledged else START
        assert same(everything(store), wanted), f"call {number}: {disk.trace[number - 1]}"
        store.stop()
        store = opened(root, Disk())
        assert same(everything(store), wanted), f"call {number}: {disk.trace[number - 1]}"
        if change is deliver:
            change(store)
            assert everything(store) == CHANGES[change]
        check_order(store)
        store.stop()
        if not broken:
            done = True
            break
    assert done


def test_a_failing_account_fails_only_its_own_deliveries(tmp_path):
    disk = FaultyDisk()
    store = opened(tmp_path, disk)
    outcomes = []
    others = [
        LocalDelivery(
            delivery_id=f"other-{number}",
            account_id=number,
            email=f"user{number}@example.com",
            quota_octets=0,
            mailbox="INBOX",
            content=NEW[0],
            link=False,
            received=1,
        )
        for number in range(2, 5)
    ]
    disk.path_part, disk.fail_at, disk.lasting = "user3", 1, True
    store.deliver(others, outcomes.extend)
    assert [(outcome.delivery_id, outcome.error is None) for outcome in outcomes] == [
        ("other-2", True),
        ("other-3", False),
        ("other-4", True),
    ]
    disk.heal()
    outcomes.clear()
    store.deliver(others, outcomes.extend)
    assert all(outcome.error is None for outcome in outcomes)
    store.stop()


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_delivery_whose_file_a_power_loss_took_is_written_again(tmp_path, damage):
    store = opened(tmp_path, Disk())
    deliver(store)
    (path,) = (tmp_path / "mail").glob("example.com/alice/new/D.spool-0-0,*")
    path.unlink() if damage == "missing" else path.write_bytes(b"")
    deliver(store)
    assert contents(store) == sorted(NEW)
    store.stop()


def test_a_torn_delivery_without_a_row_is_put_aside_and_delivered_again(tmp_path):
    store = opened(tmp_path, Disk())
    contents(store)
    folder = tmp_path / "mail/example.com/alice"
    (folder / "new" / f"D.spool-0-0,S={len(NEW[0])},U=1").write_bytes(b"")
    assert contents(store) == []
    deliver(store)
    assert contents(store) == sorted(NEW)
    store.stop()


def test_sync_goes_on_without_syncfs(tmp_path):
    disk = FaultyDisk(operations=["syncfs"], fail_at=1, error=errno.ENOSYS, lasting=True)
    store = opened(tmp_path, disk)
    deliver(store)
    disk.trace.clear()
    store.sync()
    synced = {call.path for call in disk.trace if call.operation == "fsync"}
    assert {path.rpartition("/")[2].partition(",")[0] for path in synced} >= {"D.spool-0-0", "D.spool-1-0", "index.db"}
    store.stop()


def test_a_failing_sync_is_told(tmp_path):
    disk = FaultyDisk(operations=["syncfs"], fail_at=1, lasting=True)
    store = opened(tmp_path, disk)
    with pytest.raises(OSError, match="Input/output"):
        store.sync()
    disk.heal()
    store.stop()


def test_the_octets_of_an_append_are_synced_before_the_index_commits(tmp_path):
    disk = FaultyDisk()
    store = prepare(tmp_path, disk)
    disk.reset()
    append(store)
    calls = [(call.operation, call.path.rpartition("/")[2][:2]) for call in disk.trace]
    commit = calls.index(("commit", "in"))
    assert calls[:commit].count(("fsync", "R.")) == 2
    assert ("fsync", "tm") in calls[:commit]
    store.stop()


def test_a_body_file_that_was_never_appended_is_no_message(tmp_path):
    store = opened(tmp_path, Disk())
    body = go(store.account(ALICE).begin_body(10))
    go(body.write(b"half"))
    assert isinstance(go(body.finish()), Body)
    store.stop()
    store = opened(tmp_path, Disk())
    assert contents(store) == []
    store.stop()


def test_a_full_disk_does_not_stop_reading(tmp_path):
    disk = FaultyDisk(operations=["write", "commit", "link", "rename"], error=errno.ENOSPC, lasting=True)
    store = prepare(tmp_path, disk)
    store.stop()
    store = opened(tmp_path, disk)
    disk.fail_at = 1
    (tmp_path / "mail/example.com/alice/new/1.theirs.host").write_bytes(b"not indexed yet")
    box = go(store.account(ALICE).open_mailbox("INBOX", read_only=False))
    assert list(go(box.snapshot()).uids) == [1, 2, 3]
    assert sorted(content for _, content in go(box.read_many([1, 2, 3], 10**6))) == sorted(OLD)
    assert go(box.previews([1], make=True)) == {1: b"body"}
    assert go(box.previews([1], make=False)) == {}
    assert go(store.account(ALICE).status("INBOX")).messages == 3
    disk.heal()
    assert go(store.account(ALICE).status("INBOX")).messages == 4
    store.stop()
