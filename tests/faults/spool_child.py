"""
A process that takes mail into a spool as fast as it can, until it is killed.

Each acknowledged message's token is written to standard output at once. Mail is delivered into a folder, one file for
each delivery id, by a thread of the store's own.
"""

import os
import sys

from twisted.internet.defer import succeed
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.durable import Disk, GroupThread
from mailsuite.envelope import Peer, Recipient, Sender
from mailsuite.interfaces import (
    Account,
    Body,
    IAccounts,
    IDeliveryStore,
    LocalOutcome,
    Resolution,
    ResolutionKind,
)
from mailsuite.mta import Receiver, ReceiveSettings, Spool, SpoolSettings

NAMES = ("alice", "bob", "carol")
SESSIONS = 10
LARGE_EVERY = 7
LARGE_OCTETS = 150_000


@implementer(IDeliveryStore)
class FolderStore:
    """A file for each delivery id; delivering it twice is noticed, as a real store notices it."""

    def __init__(self, folder):
        self.folder = folder
        self.disk = Disk()
        os.makedirs(folder, exist_ok=True)
        self.group = GroupThread("store", self._work)

    def start(self):
        self.group.start()

    def stop(self):
        self.group.stop()

    def deliver(self, deliveries, report):
        self.group.put((deliveries, report))

    def _work(self, group):
        for deliveries, report in group:
            report([self._deliver(delivery) for delivery in deliveries])

    def _deliver(self, delivery):
        path = os.path.join(self.folder, f"{delivery.delivery_id}.{delivery.email}")
        if not os.path.exists(path):
            content = delivery.content
            if isinstance(content, Body):
                os.link(content.path, f"{path}.tmp") if not os.path.exists(f"{path}.tmp") else None
            else:
                self.disk.write_file(f"{path}.tmp", [content], sync=False)
            os.rename(f"{path}.tmp", path)
        return LocalOutcome(delivery.delivery_id, 1, 1)

    def sync(self):
        self.disk.sync_file_system(self.folder)

    def backlog(self):
        return self.group.backlog()


@implementer(IAccounts)
class ThreeAccounts:
    def resolve(self, address):
        number = NAMES.index(address.local_part) + 1
        account = Account(account_id=number, email=address.key)
        return succeed(Resolution(kind=ResolutionKind.LOCAL, accounts=((account, ""),)))

    def may_send_as(self, email, sender):
        return succeed(True)

    def find(self, email):
        return succeed(None)

    def list_accounts(self):
        return succeed([])


async def send_one(receiver, token, *, large):
    transaction = await receiver.begin(Peer(session="s"), Sender(path=Address("s", "far.test")))
    for name in NAMES[:2]:
        await transaction.add_recipient(Recipient(path=Address(name, "example.test")))
    transaction.begin_data()
    content = f"Subject: {token}\r\n\r\n".encode() + b"x" * (LARGE_OCTETS if large else 500) + b"\r\n"
    for start in range(0, len(content), 40_000):
        waiting = transaction.write(content[start : start + 40_000])
        if waiting is not None:
            await waiting
    return await transaction.commit()


def main(folder, prefix):
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    store = FolderStore(os.path.join(folder, "mail"))
    store.start()
    spool = Spool(
        os.path.join(folder, "spool"),
        disk=Disk(),
        store=store,
        reactor=reactor,
        settings=SpoolSettings(busy_sweep_seconds=0.05),
    )
    spool.start()
    receiver = Receiver(
        spool, ThreeAccounts(), ReceiveSettings(hostname="mx.example.test", free_floor_octets=0), reactor
    )
    numbers = iter(range(10**9))

    async def session():
        while True:
            number = next(numbers)
            token = f"{prefix}-{number}"
            await send_one(receiver, token, large=number % LARGE_EVERY == 0)
            os.write(1, f"{token}\n".encode())

    def begin():
        for _ in range(SESSIONS):
            Deferred.fromCoroutine(session()).addErrback(lambda failure: os.write(2, failure.getTraceback().encode()))

    reactor.callWhenRunning(begin)
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
