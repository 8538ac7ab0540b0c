"""
Connections through a proxy: those that are listed say whose connection they pass on, and everybody else is not asked.

What comes from a listed address must begin with a PROXY header; from then on the transport names the announced client
as its peer, so that limits, logs and trace fields know nothing of the proxy. What comes from elsewhere is served as
ever, and a header there is a syntax error like any other.
"""

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.logger import Logger

from mailsuite.errors import ProtocolError
from mailsuite.observe import EventLog
from mailsuite.peers import UNIX_PEERS, TrustedPeers
from mailsuite.service.proxy_header import Announced, parse_header

HEADER_SECONDS = 5.0


class HeaderProtocol(Protocol):
    """Waits for the header of one connection, then puts the real protocol in its place."""

    def __init__(self, factory: "ProxyFactory", proxy: IAddress) -> None:
        self._factory = factory
        self._proxy = proxy
        self._data = b""
        self._deadline = factory.clock.callLater(HEADER_SECONDS, self._refuse, "no PROXY header in time")

    def connectionMade(self) -> None:
        """Be there to be closed when the listener is."""
        self._factory.waiting.add(self)

    def dataReceived(self, data: bytes) -> None:
        """Take octets until the header is whole."""
        self._data += data
        try:
            header = parse_header(self._data)
        except ProtocolError as error:
            self._refuse(error.detail)
            return
        if header is not None:
            self._leave()
            self._hand_over(header.announced, self._data[header.octets :])

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ARG002 - Twisted's signature
        """Forget it."""
        self._leave()

    def abort(self) -> None:
        """Close now."""
        self._leave()
        transport: Any = self.transport
        transport.abortConnection()

    def _leave(self) -> None:
        self._factory.waiting.discard(self)
        if self._deadline.active():
            self._deadline.cancel()

    def _refuse(self, reason: str) -> None:
        self._factory.log.emit("service.proxy.refused", peer=shown_peer(self._proxy), reason=reason)
        self.abort()

    def _hand_over(self, announced: Announced | None, rest: bytes) -> None:
        transport: Any = self.transport
        if transport.protocol is not self:
            self._refuse("the endpoint is not a plain one")
            return
        if announced is not None:
            source, destination = addresses(announced)
            # As Twisted does at STARTTLS: the transport of this one connection answers differently from now on.
            transport.getPeer = lambda: source
            transport.getHost = lambda: destination
        protocol: IProtocol | None = self._factory.wrapped.buildProtocol(transport.getPeer())
        if protocol is None:
            self.abort()
            return
        transport.protocol = protocol
        protocol.makeConnection(transport)
        if rest:
            transport.protocol.dataReceived(rest)


class ProxyFactory(ServerFactory):
    """
    Stands before the factory of a service and before its TLS.

    Args:
        wrapped: serves who is behind the proxy, and everybody who does not come through one.
        peers: whose headers are believed.
        clock: of the deadline for a header.
    """

    noisy = False

    def __init__(self, wrapped: IProtocolFactory, peers: TrustedPeers, clock: Any) -> None:
        self.wrapped = wrapped
        self.clock = clock
        self.log = EventLog(Logger("mailsuite.service.proxy"))
        self.waiting: set[HeaderProtocol] = set()
        self._peers = peers

    def doStart(self) -> None:
        """A port is opened."""
        super().doStart()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self.wrapped.doStart()

    def doStop(self) -> None:
        """A port is closed."""
        super().doStop()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self.wrapped.doStop()

    def stopFactory(self) -> None:
        """The last port is closed: nobody waits for a header any more."""
        for protocol in list(self.waiting):
            protocol.abort()

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Make what waits for a header, or what the service has for everybody else."""
        if addr is not None and self._peers.include(str(getattr(addr, "host", ""))):
            return HeaderProtocol(self, addr)
        protocol: Any = self.wrapped.buildProtocol(addr)  # type: ignore[arg-type]  # None in tests, as everywhere
        made: Protocol | None = protocol
        return made


def addresses(announced: Announced) -> tuple[IAddress, IAddress]:
    """Write what a header announces as Twisted's addresses: source, destination."""
    return (
        _address(announced.source, announced.source_port),
        _address(announced.destination, announced.destination_port),
    )


def _address(host: str, port: int | None) -> IAddress:
    if port is None:
        return UNIXAddress(host.encode("ascii", "replace") or None)
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)


def shown_peer(address: IAddress | None) -> str:
    """Write a peer for the log."""
    return str(getattr(address, "host", UNIX_PEERS))
