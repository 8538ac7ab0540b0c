"""100,000 messages for 1,000 dead domains: memory, how long ``queue list`` takes, how soon a live domain is served."""

import argparse
import functools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.durable import Disk
from mailsuite.envelope import Sender
from mailsuite.interfaces import IAccounts, IDeliveryStore, Resolution, ResolutionKind
from mailsuite.mta import QueueService, QueueSettings, Spool, SpoolMessage, Target, statements
from mailsuite.smtp.outcome import Outcome, OutcomeState

BATCH = 5000
LIVE_EVERY_SECONDS = 0.5
BODY = b"Return-Path: <s@example.test>\r\nSubject: x\r\n\r\n" + b"some words of a message\r\n" * 40
TRACE = BODY.index(b"Subject")
DEAD = Outcome(OutcomeState.DEFERRED, 0, "4.4.1", "no answer")
OK = Outcome(OutcomeState.DELIVERED, 250, "2.0.0", "ok")


@implementer(IDeliveryStore)
class NoStore:
    def deliver(self, deliveries, report):
        raise NotImplementedError

    def sync(self):
        pass

    def backlog(self):
        return 0


@implementer(IAccounts)
class NoAccounts:
    async def resolve(self, address):
        return Resolution(kind=ResolutionKind.REMOTE)

    async def may_send_as(self, email, sender):
        return True

    async def find(self, email):
        return None

    async def list_accounts(self):
        return []


class Far:
    """Dead domains keep a connection waiting, or refuse it; the live one takes mail."""

    def __init__(self, hang_seconds):
        self.hang_seconds = hang_seconds
        self.dead = 0
        self.most = 0
        self.now = 0
        self.arrived = {}

    async def __call__(self, destination, envelope, open_content):
        content = open_content()
        while await content.read():
            pass
        if destination.domain.startswith("dead"):
            self.dead += 1
            self.now += 1
            self.most = max(self.most, self.now)
            await deferLater(reactor, self.hang_seconds)
            self.now -= 1
            return [DEAD] * len(envelope.recipients)
        for recipient in envelope.recipients:
            self.arrived[recipient.path.local_part] = time.monotonic()
        return [OK] * len(envelope.recipients)


def message(spool, address):
    return SpoolMessage(
        message_id=spool.take_id(),
        received=int(time.time()),
        sender=Sender(path=Address("s", "example.test")),
        targets=(Target(address=address),),
        content=BODY,
        trace_octets=TRACE,
    )


def rss():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def fill(spool, messages, domains):
    made = 0
    while made < messages:
        batch = [
            message(spool, Address(f"u{number}", f"dead{number % domains}.test"))
            for number in range(made, min(made + BATCH, messages))
        ]
        await spool.run(functools.partial(statements.insert_messages, messages=batch))
        made += len(batch)


async def measure(arguments, folder):
    spool = Spool(os.path.join(folder, "data", "spool"), disk=Disk(), store=NoStore(), reactor=reactor)
    spool.start()
    started = time.monotonic()
    await fill(spool, arguments.messages, arguments.domains)
    print(f"filled in {time.monotonic() - started:.1f} s, RSS {rss():.0f} MB")
    far = Far(arguments.hang)
    settings = QueueSettings()
    queue = QueueService([spool], NoAccounts(), settings, (), reactor, hostname="mx.example.test", attempt=far)
    queue.startService()
    await deferLater(reactor, 1.0)
    sent = {}
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        name = f"live{len(sent)}"
        sent[name] = time.monotonic()
        await spool.put(message(spool, Address(name, "live.test")))
        await deferLater(reactor, LIVE_EVERY_SECONDS)
    await deferLater(reactor, 1.0)
    waits = [far.arrived[name] - begun for name, begun in sent.items() if name in far.arrived]
    print(
        f"live domain: {len(waits)} of {len(sent)} arrived; first after {waits[0]:.3f} s, then median "
        f"{statistics.median(waits[1:]) * 1000:.1f} ms, longest {max(waits[1:]) * 1000:.0f} ms"
    )
    print(f"attempts at dead domains: {far.dead}, at most {far.most} at a time; paused: {len(queue.pauses())}")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"RSS {rss():.0f} MB, highest {usage.ru_maxrss / 1024:.0f} MB, processor {usage.ru_utime:.1f} s")
    lists(folder)
    queue.stopService()
    spool.stop()


def lists(folder):
    config = os.path.join(folder, "mailsuite.toml")
    for words in (["list"], ["list", "--json"], ["list", "--domain", "dead7.test"], ["list", "--by-destination"]):
        command = [sys.executable, "-m", "mailsuite.cli.main", "-c", config, "queue", *words]
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        took = time.monotonic() - started
        print(f"queue {' '.join(words)}: {took:.2f} s, {len(done.stdout.splitlines())} lines; {done.stderr.strip()}")


def run(arguments, folder):
    measuring = Deferred.fromCoroutine(measure(arguments, folder))
    measuring.addErrback(lambda failure: print(failure.getTraceback())).addBoth(lambda _: reactor.stop())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--domains", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--hang", type=float, default=10.0, help="how long a dead domain keeps an attempt waiting")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "mailsuite.toml"), "w", encoding="utf-8") as file:
            file.write('[server]\nhostname = "mx.example.test"\n')
        reactor.callWhenRunning(run, arguments, folder)
        reactor.run()


if __name__ == "__main__":
    main()
