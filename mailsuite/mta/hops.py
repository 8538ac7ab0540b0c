"""
The hosts that are asked to take a message, and how each is to be spoken to.

Those of a route are what its operator wrote; all others are found in the DNS.
"""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IOpenSSLClientConnectionCreator,
    IReactorTime,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.ssl import optionsForClientTLS
from zope.interface import implementer

from mailsuite.address import normalize_domain
from mailsuite.errors import MailError
from mailsuite.mta.next_hop import DecideTLS, DomainTLS, FindHosts, Host, HostTLS, UnreachableError
from mailsuite.mta.settings import RelaySettings, RouteSettings
from mailsuite.mta.source import Source
from mailsuite.smtp.outcome import Outcome, OutcomeState
from mailsuite.smtp.settings import ClientSettings, TLSPolicy

NO_ADDRESS = Outcome(OutcomeState.DEFERRED, 0, "4.4.3", "the host of the route has no address at the moment")
USUAL_TLS = HostTLS(tls=TLSPolicy.OPPORTUNISTIC)


@attrs.frozen(kw_only=True)
class Hop:
    """
    One host to ask.

    Args:
        settings: how it is spoken to.
        tls_identity: what its certificate is checked for; see `HostTLS.identity`.
        refused: why it may not be asked at all.
        tell: called with how TLS went: a result type of RFC 8460 section 4.3, empty for success.
    """

    host: Host
    port: int
    settings: ClientSettings
    tls_identity: str = ""
    refused: Outcome | None = None
    tell: Callable[[str], None] = attrs.field(default=lambda _failure: None, eq=False)


class Hops(Protocol):
    """The hosts for one message."""

    hosts: Sequence[Host]

    async def hop(self, host: Host) -> Hop:
        """Say how one of them is to be spoken to."""
        ...


class RouteHops:
    """
    The host of a route.

    Args:
        settings: as `client_settings` made them.
        tls: what the host's owner wants; None leaves it at what the route's operator wants.
    """

    def __init__(self, host: Host, port: int, settings: ClientSettings, tls: DomainTLS | None = None) -> None:
        self.hosts: Sequence[Host] = (host,)
        self._port = port
        self._settings = settings
        self._tls = tls

    async def hop(self, host: Host) -> Hop:
        """Say how it is to be spoken to."""
        hop = Hop(host=host, port=self._port, settings=self._settings)
        if self._tls is None:
            return hop
        host_tls = await self._tls.host(host)
        hop = attrs.evolve(hop, refused=host_tls.refused, tell=_teller(self._tls, host))
        if self._settings.tls is TLSPolicy.REQUIRE:
            return hop  # the operator has said how the certificate is verified
        settings = attrs.evolve(self._settings, tls=host_tls.tls, tls_creator=host_tls.creator)
        return attrs.evolve(hop, settings=settings, tls_identity=host_tls.identity)


class DomainHops:
    """
    The hosts of a domain.

    Args:
        tls: what its owner wants; None leaves it at what is usual.
    """

    def __init__(self, hosts: Sequence[Host], tls: DomainTLS | None, settings: RelaySettings, source: Source) -> None:
        self.hosts = hosts
        self._tls = tls
        self._settings = settings
        self._source = source

    async def hop(self, host: Host) -> Hop:
        """Say how one of them is to be spoken to."""
        domain_tls = self._tls
        host_tls = USUAL_TLS if domain_tls is None else await domain_tls.host(host)
        settings = attrs.evolve(
            usual_settings(self._settings, self._source.helo_name),
            host=server_name(host.name),
            tls=host_tls.tls,
            tls_creator=host_tls.creator,
        )
        hop = Hop(
            host=host,
            port=self._settings.smtp_port,
            settings=settings,
            tls_identity=host_tls.identity,
            refused=host_tls.refused,
        )
        if domain_tls is None:
            return hop
        return attrs.evolve(hop, tell=_teller(domain_tls, host))


def _teller(tls: DomainTLS, host: Host) -> Callable[[str], None]:
    return lambda failure: tls.tell(host, failure)


async def find_domain_hops(
    domain: str,
    find_hosts: FindHosts,
    decide_tls: DecideTLS | None,
    settings: RelaySettings,
    source: Source,
    *,
    require_tls: bool,
) -> DomainHops:
    """
    Find the hosts of a domain and what its owner wants of TLS.

    Raises:
        UnreachableError: no host can be asked.
    """
    hosts = await find_hosts(domain)
    tls = None if decide_tls is None else await decide_tls(domain, require=require_tls)
    return DomainHops(hosts, tls, settings, source)


def usual_settings(settings: RelaySettings, helo_name: str) -> ClientSettings:
    """Say how a host is spoken to of which nothing is known."""
    return ClientSettings(
        hostname=helo_name.encode("ascii", "replace"),
        chunking=settings.chunking,
        messages_max=settings.messages_per_connection_max,
        connect_seconds=settings.connect_seconds,
    )


def client_settings(
    route: RouteSettings,
    hostname: str,
    settings: RelaySettings | None = None,
    *,
    verify: "Callable[[str], IOpenSSLClientConnectionCreator]" = optionsForClientTLS,
) -> ClientSettings:
    """
    Say how a route is to be spoken to; ``tls = "none"`` with a user name is a decision to log in without TLS.

    Args:
        verify: makes what checks the certificate of a host of this name.
    """
    return attrs.evolve(
        usual_settings(settings or RelaySettings(), hostname),
        host=server_name(route.host),
        tls=route.tls,
        tls_creator=verify(route.host) if route.tls is TLSPolicy.REQUIRE else None,
        username=route.username.encode("utf-8"),
        password=route.password.encode("utf-8"),
        allow_cleartext=route.tls is TLSPolicy.NONE,
    )


def server_name(host: str) -> bytes:
    """Give what is told when TLS begins (RFC 6066 section 3): a name, and nothing where there is none."""
    return b"" if host.startswith("[") or _is_address(host) or not host.isascii() else host.encode("ascii")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def make_endpoint(
    reactor: Any, address: str, port: int, *, bind_address: tuple[str, int] | None, seconds: float
) -> IStreamClientEndpoint:
    """Make what connects to one address."""
    kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
    return kind(reactor, address, port, timeout=seconds, bindAddress=bind_address)


async def find_route_hops(
    reactor: Any, route: RouteSettings, decide_tls: DecideTLS | None, settings: ClientSettings
) -> RouteHops:
    """
    Find the host of a route and what its owner wants of TLS.

    The name of the host is the policy domain (RFC 8461 section 3.4); an address has no policies, nor has a name that
    is but one label. ``tls = "none"`` is an operator's word that it goes without.

    Args:
        settings: as `client_settings` made them.

    Raises:
        UnreachableError: it has no address at the moment.
    """
    host = await find_route_host(reactor, route.host, settings.connect_seconds)
    domain = "" if _is_address(route.host) else _domain(route.host)
    if decide_tls is None or settings.tls is TLSPolicy.NONE or "." not in domain:
        return RouteHops(host, route.port, settings)
    tls = await decide_tls(domain, require=False)  # where REQUIRETLS asks for more, the connection is what tells
    return RouteHops(attrs.evolve(host, name=domain), route.port, settings, tls)


def _domain(name: str) -> str:
    try:
        return normalize_domain(name.removesuffix("."))
    except MailError:
        return ""


async def find_route_host(reactor: Any, name: str, seconds: float) -> Host:
    """
    Find the addresses of a route's host: by the system, whose files may know names that no DNS has.

    Raises:
        UnreachableError: there is none at the moment.
    """
    if _is_address(name):
        return Host(name=name, addresses=(name,))
    addresses: tuple[str, ...]
    try:
        addresses = await _resolve(reactor, name, seconds)
    except (defer.TimeoutError, OSError, UnicodeError) as error:
        raise UnreachableError(NO_ADDRESS) from error
    if not addresses:
        raise UnreachableError(NO_ADDRESS)
    return Host(name=name, addresses=addresses)


async def _resolve(reactor: Any, name: str, seconds: float) -> tuple[str, ...]:
    receiver = _Addresses()
    reactor.nameResolver.resolveHostName(receiver, name)
    clock: IReactorTime = reactor
    return await receiver.complete.addTimeout(seconds, clock)


@implementer(IResolutionReceiver)
class _Addresses:
    """Collects addresses, in the system's order of preference (RFC 6724)."""

    def __init__(self) -> None:
        self.complete: Deferred[tuple[str, ...]] = Deferred()
        self._found: dict[str, None] = {}

    def resolutionBegan(self, _resolution: IHostResolution) -> None:
        """The search began."""

    def addressResolved(self, address: IAddress) -> None:
        """One was found."""
        host = getattr(address, "host", "")
        if host:
            self._found[host] = None

    def resolutionComplete(self) -> None:
        """There are no more."""
        if not self.complete.called:
            self.complete.callback(tuple(self._found))
