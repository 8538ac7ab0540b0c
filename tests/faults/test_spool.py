"""
Accept one message while the disk fails, or the machine stops, at the n-th call, for every n.

What was acknowledged is delivered exactly once after the spool is opened again; what failed was answered UNAVAILABLE
and is not half there.
"""

import contextlib
import errno
import os
import sqlite3

import pytest
from store_at_once import ReactorAtOnce
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.durable import Disk, InlineGroup, InlineLane
from mailsuite.envelope import Peer, Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    Account,
    Body,
    IAccounts,
    IDeliveryStore,
    LocalOutcome,
    Receipt,
    Resolution,
    ResolutionKind,
)
from mailsuite.mta import Receiver, ReceiveSettings, Spool, SpoolSettings
from mailsuite.testing.faults import Crash, FaultyDisk

SMALL = b"Subject: small\r\n\r\nbody\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"x" * 700_000 + b"\r\n"


@implementer(IDeliveryStore)
class StoreInMemory:
    """Survives the crash of what is tested, as a disk does."""

    def __init__(self):
        self.mail = {}

    def deliver(self, deliveries, report):
        outcomes = []
        for delivery in deliveries:
            content = delivery.content
            if isinstance(content, Body):
                content = Disk().read_file(content.path)
            self.mail.setdefault(delivery.delivery_id, (delivery.email, content))
            outcomes.append(LocalOutcome(delivery.delivery_id, 1, 1))
        report(outcomes)

    def sync(self):
        pass

    def backlog(self):
        return 0


@implementer(IAccounts)
class Accounts:
    def resolve(self, address):
        account = Account(account_id=1 + (address.local_part == "bob"), email=address.key)
        return succeed(Resolution(kind=ResolutionKind.LOCAL, accounts=((account, ""),)))

    def may_send_as(self, email, sender):
        return succeed(True)

    def find(self, email):
        return succeed(None)

    def list_accounts(self):
        return succeed([])


def open_spool(folder, disk, store):
    spool = Spool(
        folder,
        disk=disk,
        store=store,
        reactor=ReactorAtOnce(),
        settings=SpoolSettings(stop_seconds=0),
        group_thread=InlineGroup,
        file_lane=InlineLane(),
        sweeper_thread=False,
    )
    spool.start()
    return spool


async def accept(spool, content):
    receiver = Receiver(spool, Accounts(), ReceiveSettings(hostname="mx.example.test", free_floor_octets=0), Clock())
    transaction = await receiver.begin(Peer(session="s"), Sender(path=Address("s", "far.test")))
    for name in ("alice", "bob"):
        await transaction.add_recipient(Recipient(path=Address(name, "example.test")))
    transaction.begin_data()
    for start in range(0, len(content), 100_000):
        with contextlib.suppress(MailError):  # a server reads on to the end and then asks
            transaction.write(content[start : start + 100_000])
    return await transaction.commit()


def attempt(folder, disk, store, content):
    """Give the answer to the message, or what kept the spool from opening; and the spool, if it could be opened."""
    try:
        spool = open_spool(folder, disk, store)
    except (OSError, Crash) as error:
        return error, None
    results = []
    with contextlib.suppress(Crash):
        Deferred.fromCoroutine(accept(spool, content)).addBoth(results.append)
        spool.sweep()
        spool.sweep()
    answer = results[0] if results else Crash()
    return answer if isinstance(answer, Receipt | Crash) else answer.value, spool


def close(spool):
    if spool is not None:
        spool._writer.close()


def reopen_and_look(folder, store):
    spool = open_spool(folder, Disk(), store)
    while spool.sweep():
        pass
    spool.stop()
    with contextlib.closing(sqlite3.connect(os.path.join(folder, "spool.db"))) as connection:
        assert connection.execute("SELECT count(*) FROM message").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM recipient").fetchone() == (0,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert os.listdir(os.path.join(folder, "body")) == []
    return sorted(email for email, _ in store.mail.values())


def calls_of(tmp_path, content):
    disk = FaultyDisk()
    answer, spool = attempt(str(tmp_path / "count"), disk, StoreInMemory(), content)
    close(spool)
    assert isinstance(answer, Receipt)
    return disk.count


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["row", "file"])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_fails_at_every_call(tmp_path, content, error, lasting):
    calls = calls_of(tmp_path, content)
    answers = set()
    for number in range(1, calls + 1):
        folder = str(tmp_path / f"{number}")
        store = StoreInMemory()
        disk = FaultyDisk(fail_at=number, error=error, lasting=lasting)
        answer, spool = attempt(folder, disk, store, content)
        answers.add(type(answer))
        if isinstance(answer, Receipt):
            expected = ["alice@example.test", "bob@example.test"]
        else:
            expected = []
            assert isinstance(answer, OSError) or answer.kind is Kind.UNAVAILABLE, (number, disk.trace[-1])
            assert not store.mail
        disk.heal()
        close(spool)
        assert reopen_and_look(folder, store) == expected, (number, disk.trace)
        assert all(stored.endswith(content) for _, stored in store.mail.values())
    assert len(answers) >= 3, "some calls broke the start, some the reception, and some came after the answer"


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["row", "file"])
def test_crashes_at_every_call(tmp_path, content):
    calls = calls_of(tmp_path, content)
    acknowledged = 0
    for number in range(1, calls + 1):
        folder = str(tmp_path / f"{number}")
        store = StoreInMemory()
        disk = FaultyDisk(crash_at=number)
        answer, spool = attempt(folder, disk, store, content)
        assert disk.crashed
        close(spool)
        delivered = reopen_and_look(folder, store)
        if isinstance(answer, Receipt):
            acknowledged += 1
            assert delivered == ["alice@example.test", "bob@example.test"], number
        else:
            assert delivered == [], number
        assert all(stored.endswith(content) for _, stored in store.mail.values())
    assert 0 < acknowledged < calls


def test_the_octets_are_on_disk_before_the_row_and_the_row_before_the_answer(tmp_path):
    disk = FaultyDisk()
    spool = open_spool(str(tmp_path), disk, StoreInMemory())
    disk.reset()
    results = []
    Deferred.fromCoroutine(accept(spool, LARGE)).addBoth(results.append)
    operations = [(call.operation, os.path.basename(call.path)) for call in disk.trace]
    assert (
        operations.index(("fsync", "1"))
        < operations.index(("fsync", "body"))
        < operations.index(("commit", "spool.db"))
    )
    assert isinstance(results[0], Receipt)
    spool.stop()


def test_a_disk_that_is_full_inside_sqlite_refuses_and_recovers(tmp_path):
    store = StoreInMemory()
    spool = open_spool(str(tmp_path), Disk(), store)
    spool._writer._database.connection.execute("PRAGMA max_page_count=12")
    answers = []
    content = b"Subject: x\r\n\r\n" + b"y" * 30_000 + b"\r\n"
    for _ in range(3):
        Deferred.fromCoroutine(accept(spool, content)).addBoth(answers.append)
    assert answers[0].value.kind is Kind.UNAVAILABLE
    spool.sweep()
    Deferred.fromCoroutine(accept(spool, content)).addBoth(answers.append)
    assert isinstance(answers[-1], Receipt), "the limit belonged to the connection that was given up"
    spool.stop()
    assert len(store.mail) == 2
