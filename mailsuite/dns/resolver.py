"""Asks resolvers, follows aliases, remembers answers."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
from twisted.internet import defer
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from mailsuite.dns.cache import Cache, Found
from mailsuite.dns.response import Response
from mailsuite.dns.settings import DNSSettings, Nameserver, parse_nameserver
from mailsuite.dns.system import SystemNameservers
from mailsuite.dns.transport import Exchange, ExchangeError, ForgedError, NetworkExchange
from mailsuite.dns.wire import (
    ALIASES_MAX,
    TTL_MAX_SECONDS,
    BadResponseError,
    NoEDNSError,
    Reading,
    make_query,
    parse_response,
    read_response,
)
from mailsuite.interfaces.dns import Answer, IResolver, RecordType
from mailsuite.observe import EventLog, background

T = TypeVar("T")

FAILURE_SECONDS = 5.0  # RFC 2308 section 7: at most five minutes
ROUNDS_MAX = 3
"""How often a resolver that is silent is asked the same."""
NO_TIME = "no time was left"


class _GaveUpError(Exception):
    """No resolver helps; the words are for the log."""


@attrs.define
class _Lookup:
    """A lookup under way, and who waits for it."""

    waiting: list[Deferred[Found]]
    running: Deferred[None] | None = None


@implementer(IResolver)
class Resolver:
    """
    Looks names up.

    Who asks for what is being looked up already waits for that. A lookup ends in `lookup_seconds`, whatever happens.

    Args:
        servers: gives at least one; the one that answered last is asked first.
        clock: of timeouts and of what is remembered.
        exchange: asks one of them.
    """

    def __init__(
        self,
        servers: Callable[[], Sequence[Nameserver]],
        settings: DNSSettings,
        clock: IReactorTime,
        exchange: Exchange,
    ) -> None:
        self._servers = servers
        self._settings = settings
        self._clock = clock
        self._exchange = exchange
        self._cache = Cache(settings.cache_max)
        self._under_way: dict[tuple[str, str], _Lookup] = {}
        self._turns = DeferredSemaphore(max(1, settings.lookups_max))
        self._first = 0
        self._log = EventLog(Logger("mailsuite.dns.resolver"))

    async def resolve(self, name: str, rdtype: RecordType[T]) -> Answer[T]:
        """Ask for records; aliases are followed (see `IResolver.resolve`)."""
        key = (name.lower().removesuffix(".") or ".", rdtype.name)
        found = self._cache.get(key, self._clock.seconds())
        if found is None:
            make_query(*key, dnssec=False)  # a name that cannot be asked for raises here
            waiting: Deferred[Found] = Deferred()
            lookup = self._under_way.get(key)
            if lookup is not None:
                lookup.waiting.append(waiting)
            elif len(self._under_way) >= self._settings.lookups_max + self._settings.waiting_max:
                return Found(name=key[0], failure="too many DNS lookups at a time").answer()
            else:
                lookup = self._under_way[key] = _Lookup([waiting])
                lookup.running = background(self._run(key), self._log, "a DNS lookup")
            found = await waiting
        return found.answer()

    async def _run(self, key: tuple[str, str]) -> None:
        """Look up, remember, tell all who wait; one who went away does not end it."""
        found = Found(name=key[0], failure="the DNS lookup failed")
        try:
            found = await self._look_up(key)
        finally:
            self._cache.put(key, found, self._clock.seconds())
            for waiting in self._under_way.pop(key).waiting:
                if not waiting.called:
                    waiting.callback(found)

    async def _look_up(self, key: tuple[str, str]) -> Found:
        name, rdtype = key
        deadline = self._clock.seconds() + self._settings.lookup_seconds
        try:
            await self._turns.acquire().addTimeout(self._settings.lookup_seconds, self._clock)
        except defer.TimeoutError:
            return Found(name=name, failure="too many DNS lookups at a time")
        try:
            return await self._follow(name, rdtype, deadline)
        except _GaveUpError as error:
            self._log.emit("dns.lookup.failed", name=name, type=rdtype, reason=str(error))
            return Found(name=name, failure=f"the DNS does not answer for {name}", ttl=FAILURE_SECONDS)
        finally:
            self._turns.release()

    async def _follow(self, name: str, rdtype: str, deadline: float) -> Found:
        """Ask, and ask again where an alias leads out of the answer (RFC 1034 section 3.6.2)."""
        aliases, secure, ttl = 0, True, TTL_MAX_SECONDS
        while True:
            reading = await self._ask(name, rdtype, deadline)
            name, aliases = reading.name, aliases + reading.aliases
            secure, ttl = secure and reading.secure, min(ttl, reading.ttl)
            if reading.complete:
                return Found(name=name, records=reading.records, exists=reading.exists, secure=secure, ttl=ttl)
            if aliases > ALIASES_MAX:
                raise _GaveUpError("too many aliases")

    async def _ask(self, name: str, rdtype: str, deadline: float) -> Reading:
        """Ask one resolver after the other."""
        reason = NO_TIME
        servers = self._servers()
        useless: set[Nameserver] = set()
        for number in range(ROUNDS_MAX * len(servers)):
            place = (self._first + number) % len(servers)
            server = servers[place]
            if self._clock.seconds() >= deadline or len(useless) == len(set(servers)):
                break
            if server in useless:
                continue
            try:
                reading = await self._ask_server(server, name, rdtype, deadline)
            except BadResponseError as error:
                useless.add(server)
                reason = f"{server.host}: {error}"
            except ExchangeError as error:
                reason = f"{server.host}: {error}"
            else:
                self._first = place
                return reading
        raise _GaveUpError(reason)

    async def _ask_server(self, server: Nameserver, name: str, rdtype: str, deadline: float) -> Reading:
        try:
            return await self._ask_once(server, name, rdtype, deadline, edns=True)
        except NoEDNSError:
            return await self._ask_once(server, name, rdtype, deadline, edns=False)

    async def _ask_once(self, server: Nameserver, name: str, rdtype: str, deadline: float, *, edns: bool) -> Reading:
        dnssec = self._settings.dnssec and server.trusted
        query = make_query(name, rdtype, dnssec=dnssec, edns=edns)

        def accept(wire: bytes) -> Response | None:
            return parse_response(query, wire)

        try:
            response = await self._exchange.udp(server, query.wire, accept, self._seconds(deadline))
        except ForgedError:
            response = None
        if response is None or response.truncated:
            response = await self._exchange.tcp(server, query.wire, accept, self._seconds(deadline))
            if response.truncated:
                raise BadResponseError("a truncated answer over TCP")
        reading = read_response(query, response)
        return reading if dnssec else _without_trust(reading)

    def _seconds(self, deadline: float) -> float:
        """Say how long to wait for one answer."""
        left = deadline - self._clock.seconds()
        if left <= 0:
            raise ExchangeError(NO_TIME)
        return min(self._settings.query_seconds, left)


def _without_trust(reading: Reading) -> Reading:
    return attrs.evolve(reading, secure=False)


def make_resolver(settings: DNSSettings, reactor: Any) -> Resolver:
    """
    Make a resolver that asks over the network. Reads the system's configuration if need be.

    Raises:
        ValueError: `settings.nameservers` names something else.
    """
    named = [parse_nameserver(text) for text in settings.nameservers]
    servers = (lambda: named) if named else SystemNameservers(reactor)
    return Resolver(servers, settings, reactor, NetworkExchange(reactor))
