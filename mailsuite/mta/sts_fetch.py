"""
Fetch the MTA-STS policy of a domain over HTTPS. RFC 8461 section 3.3.

Whoever can have mail sent to a domain of theirs decides where we connect to: only public addresses, one port, no
redirects, little octets, little time.
"""

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.errors import MailError, ProtocolError
from mailsuite.interfaces import AAAA, A, IResolver, NoRecordsError
from mailsuite.mta.settings import NextHopSettings
from mailsuite.mta.sts import parse_policy
from mailsuite.mta.tls_verify import Authorities, AuthorityVerifier

if TYPE_CHECKING:
    from twisted.web.iweb import IResponse

HOST_LABEL = "mta-sts"
PATH = "/.well-known/mta-sts.txt"
HTTPS_PORT = 443
FETCH_SECONDS = 10.0
CONNECT_SECONDS = 4.0
ADDRESSES_MAX = 4
POLICY_MAX_OCTETS = 64 * 1024
TRAFFIC_MAX_OCTETS = 96 * 1024
"""Of the policy and whatever HTTP puts around it."""

TOO_LONG = "it takes too long"

FETCH_ERROR = "sts-policy-fetch-error"  # these three: RFC 8460 section 4.3.2.2
INVALID = "sts-policy-invalid"
WEBPKI_INVALID = "sts-webpki-invalid"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class FetchError(Exception):
    """
    There is no policy to be had now.

    Args:
        result: a result type of RFC 8460 section 4.3.2.2.
        detail: for the log.
    """

    def __init__(self, result: str, detail: str) -> None:
        super().__init__(result, detail)
        self.result = result
        self.detail = detail


class PolicyFetcher:
    """
    Fetches policies.

    Args:
        reactor: one that connects and keeps time.
    """

    def __init__(self, resolver: IResolver, settings: NextHopSettings, authorities: Authorities, reactor: Any) -> None:
        self._resolver = resolver
        self._authorities = authorities
        self._reactor = reactor
        self._port = settings.sts_port
        self._networks = tuple(map(ipaddress.ip_network, settings.sts_networks))
        self._types = {"both": (AAAA, A), "ipv6": (AAAA,), "ipv4": (A,)}[settings.ip]

    async def __call__(self, domain: str) -> bytes:
        """
        Give the octets of the policy, which are well-formed.

        Raises:
            FetchError: there is none, for whatever reason.
        """
        host = f"{HOST_LABEL}.{domain}"
        verifier = AuthorityVerifier(self._authorities, host)
        connection = _BoundedEndpoint(verifier, self._port, self._reactor)
        end = self._reactor.seconds() + FETCH_SECONDS
        fetching = Deferred.fromCoroutine(self._fetch(host, connection))
        try:
            octets = await fetching.addTimeout(FETCH_SECONDS, self._reactor)
        except defer.TimeoutError:
            raise FetchError(FETCH_ERROR, TOO_LONG) from None
        except FetchError as error:
            if self._reactor.seconds() >= end:
                raise FetchError(FETCH_ERROR, TOO_LONG) from error
            if verifier.failure:
                raise FetchError(WEBPKI_INVALID, f"the certificate of {host}: {verifier.failure}") from error
            raise
        finally:
            connection.abort()
        try:
            parse_policy(octets)
        except ProtocolError as error:
            raise FetchError(INVALID, error.detail) from error
        return octets

    async def _fetch(self, host: str, connection: "_BoundedEndpoint") -> bytes:
        from twisted.web.client import Agent, HTTPConnectionPool, ResponseFailed
        from twisted.web.http_headers import Headers

        connection.addresses = await self._addresses(host)
        agent = Agent.usingEndpointFactory(
            self._reactor, _OneEndpoint(connection), HTTPConnectionPool(self._reactor, persistent=False)
        )
        url = f"https://{host}:{self._port}{PATH}".encode("ascii")
        headers = Headers({b"User-Agent": [b"mailsuite"], b"Accept": [b"text/plain"]})
        try:
            response: IResponse = await agent.request(b"GET", url, headers)
            _check_head(response)
            body = _Body()
            response.deliverBody(body)
            return await body.done
        except (FetchError, defer.CancelledError):
            raise
        except ResponseFailed as error:
            raise FetchError(FETCH_ERROR, "the connection ended early") from error
        except Exception as error:  # what a foreign server makes of HTTP raises many things
            raise FetchError(FETCH_ERROR, f"{type(error).__name__}") from error

    async def _addresses(self, host: str) -> Sequence[str]:
        """Resolve once; what is found is checked, and is what is connected to."""
        found: list[str] = []
        for rdtype in self._types:
            try:
                answer = await self._resolver.resolve(host, rdtype)
            except NoRecordsError:
                continue
            except MailError as error:
                raise FetchError(FETCH_ERROR, error.detail) from error
            found.extend(answer.records)
        allowed = [address for address in found if is_allowed(address, self._networks)]
        if found and not allowed:
            raise FetchError(FETCH_ERROR, f"{host} has no public address")
        if not found:
            raise FetchError(FETCH_ERROR, f"{host} has no address")
        return allowed[:ADDRESSES_MAX]


def is_allowed(text: str, networks: Sequence[Network] = ()) -> bool:
    """
    Say whether to connect to an address that a stranger chose: a public one, or one in these networks.

    An address of IPv6 that is but the form of one of IPv4 (RFC 4291 section 2.5.5.2, RFC 6052) counts as that.
    """
    address = ipaddress.ip_address(text)
    if any(address in network for network in networks):
        return True
    inner = _inner(address)
    if any(inner in network for network in _LOCAL):
        return False
    return inner.is_global and not inner.is_multicast and not inner.is_reserved


_LOCAL = (
    # Versions of Python differ about most of these.
    ipaddress.IPv4Network("192.0.0.0/24"),  # RFC 6890: found in one's own network
    ipaddress.IPv4Network("192.88.99.0/24"),  # RFC 7526: relays of 6to4 that are no more
    ipaddress.IPv6Network("2001::/23"),  # RFC 6890: tunnels and the like
    ipaddress.IPv6Network("2002::/16"),  # RFC 7526: 6to4
    ipaddress.IPv6Network("3fff::/20"),  # RFC 9637: documentation
    ipaddress.IPv6Network("fec0::/10"),  # RFC 3879
    ipaddress.IPv6Network("64:ff9b:1::/48"),  # RFC 8215
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1


def _inner(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Give the address that this one is but another form of, or itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _check_head(response: "IResponse") -> None:
    """Want the policy itself, as text (RFC 8461 section 3.3): redirects are not followed."""
    if response.code != 200:  # noqa: PLR2004 - RFC 9110 section 15.3.1
        raise FetchError(FETCH_ERROR, f"the answer is HTTP {response.code}")
    types = response.headers.getRawHeaders(b"content-type", [])
    kind = types[0].partition(b";")[0].strip().lower() if types else b""
    if kind != b"text/plain":
        raise FetchError(INVALID, "it is not text/plain")  # RFC 8461 section 3.2


class _Body(Protocol):
    """Gathers the policy."""

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred()
        self._octets = b""

    def dataReceived(self, data: bytes) -> None:
        """Take some more, up to a limit."""
        self._octets += data
        if len(self._octets) > POLICY_MAX_OCTETS and not self.done.called:
            self.done.errback(FetchError(INVALID, "it is too long"))

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Give it, if it is whole: its length was told, or chunks had an end."""
        from twisted.web.client import ResponseDone

        if self.done.called:
            return
        if reason is not None and reason.check(ResponseDone):
            self.done.callback(self._octets)
        else:
            self.done.errback(FetchError(FETCH_ERROR, "it ends too early"))


class _Counted(ProtocolWrapper):
    """Cuts off who sends too much, whatever it is."""

    def __init__(self, factory: Any, wrapped: Protocol) -> None:
        super().__init__(factory, wrapped)
        self._left = TRAFFIC_MAX_OCTETS

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.abortConnection()
        else:
            super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted's is not annotated


class _CountingFactory(WrappingFactory):
    protocol = _Counted
    noisy = False


@implementer(IStreamClientEndpoint)
class _BoundedEndpoint:
    """
    Connects to one address after the other, with TLS.

    Attributes:
        addresses: where to.
    """

    def __init__(self, creator: IOpenSSLClientConnectionCreator, port: int, reactor: Any) -> None:
        self._creator = creator
        self._port = port
        self._reactor = reactor
        self._wrapper: ProtocolWrapper | None = None
        self.addresses: Sequence[str] = ()

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        for address in self.addresses:
            kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            endpoint = kind(self._reactor, address, self._port, timeout=CONNECT_SECONDS)
            try:
                counting = _CountingFactory(factory)  # type: ignore[no-untyped-call]  # Twisted's is not annotated
                wrapper = await wrapClientTLS(self._creator, endpoint).connect(counting)
            except (ConnectError, ConnectingCancelledError, OSError):
                continue
            assert isinstance(wrapper, ProtocolWrapper)
            self._wrapper = wrapper
            return wrapper.wrappedProtocol
        raise FetchError(FETCH_ERROR, "nobody listens there")

    def abort(self) -> None:
        """Close whatever is open."""
        if self._wrapper is not None:
            self._wrapper.abortConnection()


class _OneEndpoint:
    """Hands an `Agent` the endpoint that was made for it."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, _: object) -> IStreamClientEndpoint:
        """Give it, whatever the URL."""
        return self._endpoint
