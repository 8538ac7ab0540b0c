"""
Set annotations while the disk fails, or the machine stops, at the n-th call, for every n.

Afterwards all of the change is there or nothing, also when the index is lost as well; what was acknowledged is there.
"""

import errno

import pytest
from store_at_once import go, opened

from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account, AnnotationLimits, Depth, SpecialUse
from mailsuite.testing.faults import Crash, FaultyDisk

ALICE = Account(account_id=1, email="alice@example.com")
LIMITS = AnnotationLimits(per_mailbox=10, per_account=20)
CALLS_MAX = 100
OLD = {"/private/a": b"old", "/private/b": b"old"}
NEW = {"/private/a": b"new", "/shared/c": b"\0\xff"}
CHANGE = {"/private/a": b"new", "/private/b": None, "/shared/c": b"\0\xff"}


def annotate(store, name, values):
    go(store.account(ALICE).annotate(name, values, LIMITS))


def refusal(store, name, values):
    try:
        annotate(store, name, values)
    except MailError as error:
        return error.kind
    return None


def look(store, name):
    found = dict(go(store.account(ALICE).annotations(name, ["/private", "/shared"], Depth.ALL)))
    use = found.pop("/private/specialuse", None)
    if name:
        entries = {entry.name: entry.special_use for entry in go(store.account(ALICE).list_mailboxes())}
        assert entries[name] == ({SpecialUse(use.decode())} if use else frozenset())
    return found, use


def prepare(root, disk, name):
    store = opened(root, disk)
    annotate(store, name, OLD)
    look(store, name)
    return store


CASES = {
    "Trash": ({**CHANGE, "/private/specialuse": b"\\Junk"}, (OLD, b"\\Trash"), (NEW, b"\\Junk")),
    "INBOX": (CHANGE, (OLD, None), (NEW, None)),
    "": (CHANGE, (OLD, None), (NEW, None)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_crash_at_any_call_leaves_all_or_nothing(tmp_path, name):
    change, before, after = CASES[name]
    for number in range(1, CALLS_MAX):
        root = tmp_path / str(number)
        root.mkdir()
        disk = FaultyDisk()
        store = prepare(root, disk, name)
        disk.reset()
        disk.crash_at = number
        try:
            annotate(store, name, change)
            acknowledged = True
        except Crash:
            acknowledged = False
        crashed, disk.crashed = disk.crashed, True
        store = opened(root, Disk())
        found = look(store, name)
        assert found == after or (found == before and not acknowledged), f"call {number}: {disk.trace[-1]}"
        store.stop()
        for path in (root / "mail").rglob("index.db*"):
            path.unlink()
        store = opened(root, Disk())
        assert look(store, name) == found, f"call {number}: {disk.trace[-1]}"
        store.stop()
        if not crashed:
            break
    assert not crashed
    assert number > 3


@pytest.mark.parametrize("name", CASES)
def test_what_was_acknowledged_outlives_the_index_whatever_call_a_crash_followed(tmp_path, name):
    change, _, after = CASES[name]
    disk = FaultyDisk()
    store = prepare(tmp_path, disk, name)
    annotate(store, name, change)
    disk.crashed = True
    for path in (tmp_path / "mail").rglob("index.db*"):
        path.unlink()
    store = opened(tmp_path, Disk())
    assert look(store, name) == after
    store.stop()


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "lasting"])
@pytest.mark.parametrize("name", CASES)
def test_a_failure_at_any_call_is_unavailable_and_leaves_all_or_nothing(tmp_path, name, lasting):
    change, before, after = CASES[name]
    for number in range(1, CALLS_MAX):
        root = tmp_path / str(number)
        root.mkdir()
        disk = FaultyDisk()
        store = prepare(root, disk, name)
        disk.reset()
        disk.error = errno.ENOSPC
        disk.lasting = lasting
        disk.fail_at = number
        kind = refusal(store, name, change)
        assert kind in {None, Kind.UNAVAILABLE}
        wanted = after if kind is None else before
        broken = disk.count >= number
        disk.heal()
        assert look(store, name) == wanted, f"call {number}: {disk.trace[number - 1]}"
        store.stop()
        store = opened(root, Disk())
        assert look(store, name) == wanted
        store.stop()
        for path in (root / "mail").rglob("index.db*"):
            path.unlink()
        store = opened(root, Disk())
        assert look(store, name) == wanted, f"call {number}: {disk.trace[number - 1]}"
        store.stop()
        if not broken:
            break
    assert not broken
