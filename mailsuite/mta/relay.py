"""One attempt to hand a message to another host."""

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.ssl import optionsForClientTLS
from twisted.logger import Logger

from mailsuite.durable import Disk, InlineLane, Lane
from mailsuite.envelope import Envelope
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Body
from mailsuite.mta.content import SpoolMessage
from mailsuite.mta.hops import Hop, Hops, client_settings, find_domain_hops, find_route_hops, make_endpoint
from mailsuite.mta.next_hop import DecideTLS, FindHosts, UnreachableError
from mailsuite.mta.pool import ConnectionPool
from mailsuite.mta.route import NO_ROUTE, find_route
from mailsuite.mta.settings import RelaySettings, RouteSettings, SourceSettings
from mailsuite.mta.source import Source, Sources
from mailsuite.observe import EventLog
from mailsuite.smtp.client import NOT_REACHED, send_over
from mailsuite.smtp.connection import Connection, without_chunking
from mailsuite.smtp.envelope_commands import requires_tls
from mailsuite.smtp.opening import NotOpenedError, open_connection
from mailsuite.smtp.outcome import Content, Outcome, OutcomeState
from mailsuite.smtp.outgoing import Conversions
from mailsuite.smtp.results import Results

PIECE_OCTETS = 256 * 1024
VERIFIERS_REMEMBERED = 256

NO_ROUTE_OUTCOME = Outcome(OutcomeState.DEFERRED, 0, "4.4.4", NO_ROUTE)  # RFC 3463 section 3.5: unable to route
TOO_LONG = Outcome(OutcomeState.DEFERRED, 0, "4.4.2", "the attempt took too long")
STOPPED = Outcome(OutcomeState.DEFERRED, 0, "4.3.2", "this server stopped before it was their turn")
BROKEN_OUTCOME = Outcome(OutcomeState.DEFERRED, 0, "4.3.0", "the attempt failed here, not there")


@attrs.frozen(kw_only=True)
class Destination:
    """
    Where mail for one domain goes.

    Args:
        domain: of the recipients, in the form of `mailsuite.address.normalize_domain`; may be an address literal; or
            what a route is for.
        route: what an operator set for it; None asks the DNS.
    """

    domain: str
    route: RouteSettings | None = None

    @property
    def key(self) -> str:
        """What limits and pauses are counted by: the hosts of a route are the same for all its domains."""
        return self.domain if self.route is None else f"{self.route.host}:{self.route.port}"


def find_destination(routes: Sequence[RouteSettings], domain: str) -> Destination:
    """Say where mail for a domain goes; domains with the same route go there together."""
    route = find_route(routes, domain)
    return Destination(domain=domain if route is None else route.domain, route=route)


class Attempt(Protocol):
    """Hands a message to a host of a destination."""

    async def __call__(
        self, destination: Destination, envelope: Envelope, open_content: Callable[[], Content]
    ) -> Sequence[Outcome]:
        """
        Give an outcome for each recipient, in their order.

        Args:
            open_content: gives the octets from their beginning, each time anew; those that it gave before may be
                closed then.
        """
        ...


class RelayAgent:
    """
    Sends over the network (RFC 5598 section 4.3.2).

    The addresses of the hosts are tried in turn (RFC 5321 section 5.1) for the recipients of whom the host before took
    nothing and said nothing final. A recipient for whom a host may have the message is never tried elsewhere.

    Args:
        reactor: one that connects, keeps time and has threads.
        hostname: what we call ourselves where the settings say nothing else.
        sources: what mail of some senders' domains leaves from.
        find_hosts: finds the hosts of a domain that has no route; without it such mail waits.
        decide_tls: finds what the owners of domains want of TLS; without it TLS is opportunistic.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        hostname: str,
        *,
        settings: RelaySettings | None = None,
        sources: Sequence[SourceSettings] = (),
        find_hosts: FindHosts | None = None,
        decide_tls: DecideTLS | None = None,
    ) -> None:
        self._reactor = reactor
        self._hostname = hostname
        self._settings = settings or RelaySettings()
        self._sources = Sources(hostname, self._settings, sources)
        self._find_hosts = find_hosts
        self._decide_tls = decide_tls
        self._conversions = Conversions(reactor)
        self._log = EventLog(Logger("mailsuite.mta.relay"))
        # Contexts of TLS take milliseconds to make; there are as many as routes.
        self._verify = functools.lru_cache(maxsize=VERIFIERS_REMEMBERED)(optionsForClientTLS)
        self._pool = ConnectionPool(
            reactor,
            idle_max=self._settings.idle_connections_max,
            idle_seconds=self._settings.idle_connection_seconds,
            life_seconds=self._settings.connection_life_seconds,
        )

    def set_sources(self, sources: Sequence[SourceSettings]) -> None:
        """Use other sources from now on; attempts under way end as they began."""
        self._sources = Sources(self._hostname, self._settings, sources)

    async def close(self) -> None:
        """End the connections that wait for a message; call it when no attempt is under way."""
        await self._pool.close()

    async def __call__(
        self, destination: Destination, envelope: Envelope, open_content: Callable[[], Content]
    ) -> Sequence[Outcome]:
        """
        Give an outcome for each recipient, in their order.

        What a host has taken is told whatever happens afterwards, for it must not be sent again.
        """
        results = Results(len(envelope.recipients))
        trying = Deferred.fromCoroutine(self._try(destination, envelope, open_content, results))
        try:
            await trying.addTimeout(self._settings.attempt_seconds, self._reactor)
        except UnreachableError as error:
            results.settle(results.unsent, error.outcome)
        except defer.TimeoutError:
            results.settle(results.unsent, TOO_LONG)
        except defer.CancelledError:
            if not results.any_known:
                raise
            results.settle(results.unsent, STOPPED)
        except Exception:  # whatever it is, it says nothing of those who have an outcome
            if not results.any_known:
                raise
            self._log.failure("relay.attempt.broken", domain=destination.domain)
            results.settle(results.unsent, BROKEN_OUTCOME)
        return results.finish(NOT_REACHED)

    async def _try(
        self, destination: Destination, envelope: Envelope, open_content: Callable[[], Content], results: Results
    ) -> None:
        source = self._sources.find(envelope.sender)
        hops = await self._hops(destination, envelope, source)
        hosts = [host for host in hops.hosts if host.addresses]
        left = self._settings.addresses_max
        for further, host in zip(reversed(range(len(hosts))), hosts, strict=True):
            hop = await hops.hop(host)
            if hop.refused is not None:
                results.settle(results.unsent, hop.refused, elsewhere=True)
            addresses = host.addresses if hop.refused is None else ()
            for address in addresses[: max(1, left - further)]:  # one is left for each host that follows
                left -= 1
                connections = _HostConnections(self._pool, self._reactor, hop, address, source)
                await send_over(connections, envelope, open_content, results, self._conversions)
                results.name_host(host.name)
                if not results.reopen():
                    return
            results.name_host(host.name)
            if not results.reopen():
                return
            if left <= 0 and further:
                results.keep_hoping()
                return
        if len(hosts) < len(hops.hosts):
            results.keep_hoping()

    async def _hops(self, destination: Destination, envelope: Envelope, source: Source) -> Hops:
        route, settings = destination.route, self._settings
        # RFC 8689 section 8.4: as if there were neither DANE nor MTA-STS; TLS is used where it can be, as everywhere.
        decide_tls = None if envelope.sender.tls_optional else self._decide_tls
        if route is not None:
            client = client_settings(route, source.helo_name, settings, verify=self._verify)
            return await find_route_hops(self._reactor, route, decide_tls, client)
        if self._find_hosts is None:
            raise UnreachableError(NO_ROUTE_OUTCOME)
        return await find_domain_hops(
            destination.domain,
            self._find_hosts,
            decide_tls,
            settings,
            source,
            require_tls=requires_tls(envelope.sender),
        )


class _HostConnections:
    """Connections to one address of a host, kept in the pool between messages."""

    def __init__(self, pool: ConnectionPool, reactor: IReactorTime, hop: Hop, address: str, source: Source) -> None:
        self._pool = pool
        self._reactor = reactor
        self._hop = hop
        self._address = address
        self._source = source
        settings = hop.settings
        # The creator lives as long as a connection that was made with it, so its id names it.
        tls = (settings.host, settings.tls, hop.tls_identity or id(settings.tls_creator))
        self._key = (address, hop.port, source, tls, settings.username, settings.password)
        self._chunking = True
        self._log = EventLog(Logger("mailsuite.mta.relay"))

    async def take(self, *, chunking: bool) -> Connection:
        """Give one that waits, or a new one."""
        self._chunking = chunking
        waiting = self._pool.take(self._key) if chunking else None
        return waiting or await self._open()

    async def _open(self) -> Connection:
        settings = self._hop.settings
        endpoint = make_endpoint(
            self._reactor,
            self._address,
            self._hop.port,
            bind_address=self._source.bind_address(self._address),
            seconds=settings.connect_seconds,
        )
        settings = settings if self._chunking else without_chunking(settings)
        try:
            connection = await open_connection(endpoint, settings, reactor=self._reactor)
        except NotOpenedError as error:
            if error.tls_failure:
                self._hop.tell(error.tls_failure)
            outcome = error.outcome
            self._log.emit(
                "relay.host.failed",
                host=self._hop.host.name,
                address=self._address,
                port=self._hop.port,
                code=outcome.code,
                text=outcome.text,
            )
            raise
        if connection.encrypted or connection.tls_failure:
            self._hop.tell(connection.tls_failure)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep it for the next message, if it can carry one."""
        if self._chunking:
            self._pool.give(self._key, connection)
        else:
            connection.leave()


class SpooledContent:
    """
    The octets of a message in the spool as they go to another host: without our Return-Path field.

    `close` ends it.

    Args:
        beginning: fields that go first.
    """

    def __init__(self, message: SpoolMessage, disk: Disk, lane: Lane | InlineLane, beginning: bytes = b"") -> None:
        self._content = message.content
        self._beginning = beginning
        self._disk = disk
        self._lane = lane
        self._offset = message.trace_octets
        self._end = message.size_octets
        self._descriptor: int | None = None
        self.size = len(beginning) + message.size_octets - message.trace_octets

    async def read(self) -> bytes:
        """Give the next octets; ``b""`` at the end."""
        if self._beginning:
            piece, self._beginning = self._beginning, b""
            return piece
        length = min(PIECE_OCTETS, self._end - self._offset)
        if length <= 0:
            return b""
        if isinstance(self._content, bytes):
            piece = self._content[self._offset : self._offset + length]
        else:
            try:
                piece = await self._lane.run(self._read, self._content.path, length, self._offset)
            except OSError as error:
                raise MailError(Kind.UNAVAILABLE, "the message cannot be read at the moment") from error
            if not piece:
                raise MailError(Kind.UNAVAILABLE, "the message in the spool is shorter than it was")
        self._offset += len(piece)
        return piece

    def close(self) -> None:
        """Nobody reads any more."""
        if isinstance(self._content, Body):
            self._lane.post(self._close, self._content.path)

    def _read(self, path: str, length: int, offset: int) -> bytes:
        if self._descriptor is None:
            self._descriptor = self._disk.open(path, os.O_RDONLY)
        return self._disk.pread(self._descriptor, length, offset, path)

    def _close(self, path: str) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # it was only read
                self._disk.close(descriptor, path)
