"""Resolvers that ask a script instead of the network."""

import dns.message
import dns.rrset
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailsuite.dns.resolver import Resolver
from mailsuite.dns.settings import DNSSettings, Nameserver
from mailsuite.dns.transport import ExchangeError

FIRST = Nameserver(host="192.0.2.53")
SECOND = Nameserver(host="192.0.2.54")


class Script:
    """
    Answers as told; what it is not told about stays open until its time is over.

    `answers` maps (host, "udp" or "tcp") to a function of the query that gives octets, None for silence, or an
    exception.
    """

    def __init__(self, clock):
        self.clock = clock
        self.answers = {}
        self.asked = []
        self.open = []

    def udp(self, server, wire, accept, seconds):
        return self._ask(server, "udp", wire, accept, seconds)

    def tcp(self, server, wire, accept, seconds):
        return self._ask(server, "tcp", wire, accept, seconds)

    async def _ask(self, server, how, wire, accept, seconds):
        query = dns.message.from_wire(wire)
        self.asked.append((server.host, how, query))
        answer = self.answers.get((server.host, how))
        octets = None if answer is None else answer(query)
        if isinstance(octets, Exception):
            raise octets
        if octets is None:
            waiting = Deferred()
            self.open.append((waiting, accept, query))
            try:
                return await waiting.addTimeout(seconds, self.clock)
            except Exception:
                raise ExchangeError("no answer in time") from None
        found = accept(octets)
        if found is None:
            raise ExchangeError("no answer to that")
        return found

    def questions(self):
        return [f"{host} {how} {query.question[0]}" for host, how, query in self.asked]


def response(query, *answers, authority=(), rcode=0, flags=0):
    made = dns.message.make_response(query)
    made.set_rcode(rcode)
    made.flags |= flags
    for section, records in ((made.answer, answers), (made.authority, authority)):
        for name, ttl, rdtype, *data in records:
            section.append(dns.rrset.from_text(name, ttl, "IN", rdtype, *data))
    return made.to_wire(max_size=65535)


def result_of(deferred):
    """Give the result, the exception it ended with, or None while it waits; may be asked again."""
    results = []

    def keep(found):
        results.append(found)
        return found

    deferred.addBoth(keep)
    if not results:
        return None
    found = results[0]
    if hasattr(found, "trap"):
        deferred.addErrback(lambda failure: failure.value)
        return found.value
    return found


class Bench:
    respond = staticmethod(response)

    def __init__(self):
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.script = Script(self.clock)
        self.servers = [FIRST]
        self.settings = {}
        self._resolver = None

    @property
    def resolver(self):
        if self._resolver is None:
            self._resolver = Resolver(lambda: self.servers, DNSSettings(**self.settings), self.clock, self.script)
        return self._resolver

    def ask(self, name, rdtype):
        return Deferred.fromCoroutine(self.resolver.resolve(name, rdtype))

    def answer(self, *answers, host=FIRST.host, how="udp", **options):
        self.script.answers[host, how] = lambda query: response(query, *answers, **options)


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def result():
    return result_of
