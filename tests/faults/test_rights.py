"""
Change rights, and move mail between accounts, while the disk fails or the machine stops, at the n-th call, for every n.

Rights are the old or the new ones afterwards, the new ones when that was acknowledged, and the same when the index is
lost then. A message is never in no place.
"""

import errno
import glob
import os

import pytest
from shared_mail import House, result_of

from mailsuite.errors import MailError
from mailsuite.interfaces import rights_text
from mailsuite.testing.faults import Crash, FaultyDisk

CALLS_MAX = 400
MAIL = b"Subject: small\r\n\r\nbody\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789\r\n" * 6_000
FAULTS = {
    "crash": lambda number: FaultyDisk(crash_at=number),
    "fails once": lambda number: FaultyDisk(fail_at=number, error=errno.EIO),
    "full from then on": lambda number: FaultyDisk(fail_at=number, error=errno.ENOSPC, lasting=True),
}


def rights(house, name):
    try:
        return rights_text(result_of(house.store.guest(house.people.accounts[1], 2).rights(name)))
    except MailError:
        return ""


def grant(house):
    house.grant("alice", "Projects", "bob", "lrs")


def extend(house):
    house.grant("alice", "Projects", "bob", "lrsa")


def revoke(house):
    house.grant("alice", "Projects", "bob", "")


def inherit(house):
    result_of(house.store.account(house.people.accounts[1]).create("Projects/below", frozenset()))


WORK = {
    grant: ("", "Projects", ("", "lrs")),
    extend: ("lrs", "Projects", ("lrs", "lrsa")),
    revoke: ("lrs", "Projects", ("lrs", "")),
    inherit: ("lrk", "Projects/below", ("", "lrk")),
}


def prepared(root, before):
    house = House("maildir", root, lanes=1)
    result_of(house.store.account(house.people.accounts[1]).create("Projects", frozenset()))
    if before:
        house.grant("alice", "Projects", "bob", before)
    house.store.stop()
    return house


def give_up(house):
    """Forget every object, as the end of the process does."""
    for accounts in house.store._accounts:
        for index in accounts._open.values():
            index.database.connection.close()
            index.lock.close()


def interrupted(house, disk, work):
    """Do it on a disk that fails; say whether it was acknowledged."""
    try:
        house.open(disk)
        work(house)
    except Crash:
        acknowledged = False
    except (MailError, OSError):
        acknowledged = False
    else:
        acknowledged = True
    disk.heal()
    if disk.crashed:
        give_up(house)
    else:
        house.store.stop()
    return acknowledged


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_rights_are_the_old_or_the_new_ones(tmp_path, work, fault):
    before, name, allowed = WORK[work]
    seen = set()
    for number in range(1, CALLS_MAX):
        root = tmp_path / str(number)
        house = prepared(root, before)
        disk = FAULTS[fault](number)
        acknowledged = interrupted(house, disk, work)
        house.open()
        found = rights(house, name)
        assert found in allowed
        assert found == allowed[1] or not acknowledged
        seen.add(found)
        if found:
            assert result_of(house.store.sharers(2)) == [1]
        house.store.stop()
        for path in glob.glob(f"{root}/mail/example.test/alice/index.db*"):
            os.unlink(path)
        house.open()
        assert rights(house, name) == found
        house.store.stop()
        if acknowledged and disk.count < number:
            break
    else:
        raise AssertionError("it never ended")
    assert seen == set(allowed)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("outward", [True, False], ids=["out", "in"])
def test_a_message_that_goes_to_another_account_is_never_in_no_place(tmp_path, fault, outward):
    for number in range(1, CALLS_MAX):
        house = House("maildir", tmp_path / str(number), lanes=1)
        house.grant("alice", "INBOX", "bob", "lriswte")
        source, target = ("alice", "bob") if outward else ("bob", "alice")
        for content in (MAIL, LARGE):
            house.put(source, "INBOX", content)
        house.store.stop()

        def move(house, outward=outward):
            names = ("Users/alice@example.test/INBOX", "INBOX")
            here, there = names if outward else names[::-1]
            box = result_of(house.account("bob").open_mailbox(here, read_only=False))
            result_of(box.move_to([1, 2], there))

        disk = FAULTS[fault](number)
        acknowledged = interrupted(house, disk, move)
        house.open()
        left, arrived = house.contents(source), house.contents(target)
        assert left in ([], [MAIL, LARGE])
        assert arrived in ([], [MAIL, LARGE])
        assert left or arrived
        if acknowledged:
            assert (left, arrived) == ([], [MAIL, LARGE])
        house.store.stop()
        if acknowledged and disk.count < number:
            break
    else:
        raise AssertionError("it never ended")
