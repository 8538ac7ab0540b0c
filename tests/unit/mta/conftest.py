"""A store in memory, a directory in memory, and spools that do everything at once in the test's own thread."""

from collections.abc import Callable

import attrs
import pytest
from store_at_once import ReactorAtOnce
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.durable import Disk, InlineGroup, InlineLane
from mailsuite.envelope import Sender
from mailsuite.errors import MailError
from mailsuite.interfaces import (
    Account,
    Body,
    IAccounts,
    IDeliveryStore,
    LocalDelivery,
    LocalOutcome,
    Resolution,
    ResolutionKind,
)
from mailsuite.mta import (
    QueueService,
    QueueSettings,
    ReceiveSettings,
    RouteSettings,
    Spool,
    SpoolMessage,
    SpoolSettings,
    Target,
    queue_statements,
)
from mailsuite.mta.relay import NO_ROUTE_OUTCOME
from mailsuite.mta.share import Share
from mailsuite.mta.spool_queue import SpoolQueue
from mailsuite.smtp.outcome import Outcome, OutcomeState

ROUTE = RouteSettings(domain="remote.test", host="relay.test", port=2525)
DELIVERED = Outcome(OutcomeState.DELIVERED, 250, "2.0.0", "ok")


@implementer(IDeliveryStore)
class StoreInMemory:
    """Delivers at once, unless told to fail or to wait; a delivery id is stored once."""

    def __init__(self):
        self.mail: dict[str, tuple[str, bytes]] = {}
        self.calls: list[LocalDelivery] = []
        self.errors: dict[str, Exception] = {}
        self.waiting: list[tuple[LocalDelivery, Callable]] | None = None
        self.sync_error: OSError | None = None
        self.syncs = 0
        self.queued = 0

    def deliver(self, deliveries, report):
        self.calls.extend(deliveries)
        if self.waiting is not None:
            self.waiting.extend((delivery, report) for delivery in deliveries)
            return
        report([self._deliver(delivery) for delivery in deliveries])

    def _deliver(self, delivery):
        error = self.errors.get(delivery.email)
        if error is not None:
            return LocalOutcome(delivery.delivery_id, 0, 0, error)
        content = delivery.content
        if isinstance(content, Body):
            content = Disk().read_file(content.path)
        self.mail.setdefault(delivery.delivery_id, (delivery.email, content))
        return LocalOutcome(delivery.delivery_id, 1, len(self.mail))

    def go_on(self):
        waiting, self.waiting = self.waiting, None
        for delivery, report in waiting:
            report([self._deliver(delivery)])

    def sync(self):
        if self.sync_error is not None:
            raise self.sync_error
        self.syncs += 1

    def backlog(self):
        return self.queued

    def of(self, email):
        return [content for owner, content in self.mail.values() if owner == email]


@implementer(IAccounts)
class AccountsInMemory:
    """Some accounts at example.test, and aliases."""

    def __init__(self):
        self.accounts = {
            name: Account(account_id=number, email=f"{name}@example.test")
            for number, name in enumerate(("alice", "bob", "carol"), 1)
        }
        self.aliases: dict[str, Resolution] = {}
        self.disabled: set[str] = set()
        self.error: MailError | None = None

    def resolve(self, address):
        if self.error is not None:
            return fail_with(self.error)
        if address.domain != "example.test":
            return succeed(Resolution(kind=ResolutionKind.REMOTE))
        if address.key in self.aliases:
            return succeed(self.aliases[address.key])
        plain, tag = address.detail()
        if plain.local_part in self.disabled:
            return succeed(Resolution(kind=ResolutionKind.DISABLED))
        account = self.accounts.get(plain.local_part)
        if account is None:
            return succeed(Resolution(kind=ResolutionKind.UNKNOWN))
        return succeed(Resolution(kind=ResolutionKind.LOCAL, accounts=((account, tag),)))

    def may_send_as(self, email, sender):
        return succeed(sender.detail()[0].key == email)

    def find(self, email):
        return succeed(self.accounts.get(email.partition("@")[0]))

    def list_accounts(self):
        return succeed(list(self.accounts.values()))


def pending_of(connection):
    """Give all recipients of a spool that are not finished."""
    everything = queue_statements.Condition()
    return [
        pending
        for message_id in queue_statements.select_messages(connection, everything, 0, -1)
        for pending in queue_statements.select_recipients(connection, everything, message_id)
    ]


def loaded(spool, message_id):
    """Read a message of the queue back."""
    return outcome_of(SpoolQueue(spool).load(message_id, [])).message


def fail_with(error):
    deferred = Deferred()
    deferred.errback(error)
    return deferred


def outcome_of(awaitable):
    """Run an awaitable that is ready: its result, or the exception it ended with."""
    results = []
    deferred = awaitable if isinstance(awaitable, Deferred) else Deferred.fromCoroutine(awaitable)
    deferred.addBoth(results.append)
    assert results, "not ready"
    result = results[0]
    return result.value if hasattr(result, "value") and hasattr(result, "trap") else result


@attrs.define
class World:
    """What a test of the mail side has around it."""

    folder: str
    store: StoreInMemory
    accounts: AccountsInMemory
    reactor: ReactorAtOnce
    spools: list[Spool]

    def spool(self, disk=None, share=Share.WHOLE, folder="", **settings):
        spool = Spool(
            folder or self.folder,
            disk=disk or Disk(),
            store=self.store,
            reactor=self.reactor,
            settings=SpoolSettings(stop_seconds=0, **settings),
            share=share,
            group_thread=InlineGroup,
            file_lane=InlineLane(),
            sweeper_thread=False,
            clock=self.reactor.seconds,
        )
        self.spools.append(spool)
        spool.start()
        return spool

    def message(self, spool, *names, content=b"Return-Path: <>\r\nSubject: x\r\n\r\nbody\r\n", sender="s@far.test"):
        return SpoolMessage(
            message_id=spool.take_id(),
            received=int(self.reactor.seconds()),
            sender=Sender(path=Address.parse(sender) if sender else None),
            targets=tuple(self.target(name) for name in names),
            content=content,
            trace_octets=17,
        )

    def target(self, name):
        address = Address.parse(name if "@" in name else f"{name}@example.test")
        if address.domain != "example.test":
            return Target(address=address)
        account = self.accounts.accounts[address.local_part]
        return Target(address=address, account_id=account.account_id, email=account.email)

    def kill(self, spool):
        """Forget a spool as the end of its process would; only its connection is closed, so that no warning comes."""
        spool._writer.close()
        self.spools.remove(spool)


@pytest.fixture
def world(tmp_path):
    reactor = ReactorAtOnce()
    reactor.advance(1_700_000_000)
    world = World(str(tmp_path / "spool"), StoreInMemory(), AccountsInMemory(), reactor, [])
    yield world
    for spool in world.spools:
        spool._writer.close()


@pytest.fixture
def settings():
    return ReceiveSettings(hostname="mx.example.test", free_floor_octets=0, message_max_octets=1_000_000)


@pytest.fixture
def outcome():
    """Give the result of an awaitable that is ready, or the exception it ended with."""
    return outcome_of


class Far:
    """The far side: answers each recipient as told, and keeps what it was given."""

    def __init__(self):
        self.answers = {}
        self.got = []
        self.pause = None
        self.error = None
        self.has_mx = False

    async def __call__(self, destination, envelope, open_content):
        content = open_content()
        host = self.host(destination)
        if host is None:
            return [NO_ROUTE_OUTCOME] * len(envelope.recipients)
        octets = b""
        while piece := await content.read():
            octets += piece
        assert len(octets) == content.size
        self.got.append((host, envelope, octets))
        if self.pause is not None:
            await self.pause
        if self.error is not None:
            raise self.error
        outcomes = [self.answers.get(str(recipient.path), DELIVERED) for recipient in envelope.recipients]
        return [attrs.evolve(outcome, host=host) for outcome in outcomes]

    def host(self, destination):
        if destination.route is not None:
            return destination.route.host
        return f"mx.{destination.domain}" if self.has_mx else None

    def recipients(self):
        return [[str(recipient.path) for recipient in envelope.recipients] for _, envelope, _ in self.got]


@pytest.fixture
def far():
    return Far()


@pytest.fixture
def start(world, far):
    services = []

    def start(spool, *, routes=(ROUTE,), restore=None, **settings):
        service = QueueService(
            spool if isinstance(spool, list) else [spool],
            world.accounts,
            QueueSettings(**settings),
            routes,
            world.reactor,
            restore=restore,
            hostname="mx.example.test",
            attempt=far,
            jitter=lambda: 0.0,
        )
        services.append(service)
        service.startService()
        return service

    yield start
    for service in services:
        if service.running:
            service.stopService()
