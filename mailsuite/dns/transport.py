"""One query to one resolver, over UDP or TCP, on the reactor."""

import ipaddress
import struct
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import CannotListenError, ConnectError, ConnectingCancelledError
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.python.failure import Failure

from mailsuite.dns.settings import Nameserver
from mailsuite.dns.wire import ANSWER_MAX_OCTETS

T = TypeVar("T")

FORGERIES_MAX = 10
"""Datagrams from the resolver's address that answer nothing; after so many, TCP is safer."""
_LENGTH = struct.Struct("!H")  # RFC 1035 section 4.2.2


class ExchangeError(Exception):
    """No usable answer came; the words are for the log."""


class ForgedError(ExchangeError):
    """Somebody sends answers to other questions, perhaps in the hope that one fits (RFC 5452 section 9.2)."""


Accept = Callable[[bytes], T | None]
"""Takes octets apart; None when they answer something else."""


class Exchange(Protocol):
    """Asks one resolver."""

    async def udp(self, server: Nameserver, wire: bytes, accept: Accept[T], seconds: float) -> T:
        """
        Ask in a datagram.

        Raises:
            ExchangeError: nothing came of it.
        """
        ...

    async def tcp(self, server: Nameserver, wire: bytes, accept: Accept[T], seconds: float) -> T:
        """
        Ask over a connection.

        Raises:
            ExchangeError: nothing came of it.
        """
        ...


class NetworkExchange:
    """
    Asks over the network.

    A new socket each time: the kernel chooses its port at random, takes datagrams from that resolver alone, and tells
    at once when nobody listens there (RFC 5452 section 9.2).

    Args:
        reactor: one with UDP, TCP and time.
    """

    def __init__(self, reactor: Any) -> None:  # Any: three interfaces at once, of which mypy knows no intersection
        self._reactor = reactor

    async def udp(self, server: Nameserver, wire: bytes, accept: Accept[T], seconds: float) -> T:
        """Ask in a datagram."""
        protocol = _Datagrams(server, wire, accept)
        try:
            port = self._reactor.listenUDP(0, protocol, interface=_any_address(server.host), maxPacketSize=0xFFFF)
        except (CannotListenError, OSError) as error:
            raise ExchangeError(f"no socket: {error}") from error
        try:
            return await protocol.answer.addTimeout(seconds, self._reactor)
        except defer.TimeoutError:
            raise ExchangeError("no answer in time") from None
        finally:
            port.stopListening()

    async def tcp(self, server: Nameserver, wire: bytes, accept: Accept[T], seconds: float) -> T:
        """Ask over a connection of its own."""
        kind = TCP6ClientEndpoint if ":" in server.host else TCP4ClientEndpoint
        endpoint = kind(self._reactor, server.host, server.port, timeout=seconds)
        factory = Factory.forProtocol(lambda: _Stream(wire, accept))
        factory.noisy = False
        deadline = self._reactor.seconds() + seconds
        try:
            stream: Any = await endpoint.connect(factory).addTimeout(seconds, self._reactor)
        except (ConnectError, ConnectingCancelledError, defer.TimeoutError, OSError) as error:
            raise ExchangeError(f"cannot connect: {type(error).__name__}") from error
        try:
            left = max(0, deadline - self._reactor.seconds())
            answer: T = await stream.answer.addTimeout(left, self._reactor)
        except defer.TimeoutError:
            raise ExchangeError("no answer in time") from None
        else:
            return answer
        finally:
            stream.transport.abortConnection()


def _any_address(host: str) -> str:
    return "::" if ipaddress.ip_address(host).version == 6 else ""  # noqa: PLR2004 - IPv6


class _Datagrams(DatagramProtocol):
    """Sends one datagram and waits for the one that answers it."""

    transport: Any  # a connected one: what it writes needs no address

    def __init__(self, server: Nameserver, wire: bytes, accept: Accept[Any]) -> None:
        self._server = server
        self._wire = wire
        self._accept = accept
        self._forgeries = 0
        self.answer: Deferred[Any] = Deferred()

    def startProtocol(self) -> None:
        """Ask."""
        try:
            self.transport.connect(self._server.host, self._server.port)
            self.transport.write(self._wire)
        except OSError as error:
            self._fail(ExchangeError(f"cannot send: {error.strerror}"))

    def datagramReceived(self, datagram: bytes, _: object) -> None:
        """Look whether this is the answer."""
        if self.answer.called:
            return
        found = self._accept(datagram)
        if found is not None:
            self.answer.callback(found)
            return
        self._forgeries += 1
        if self._forgeries >= FORGERIES_MAX:
            self._fail(ForgedError("answers to other questions"))

    def connectionRefused(self) -> None:
        """Nobody listens there."""
        self._fail(ExchangeError("nobody listens there"))

    def stopProtocol(self) -> None:
        """The socket is closed: by us, or by the epoll reactor when it hears that nobody listens."""
        self._fail(ExchangeError("nobody listens there"))

    def _fail(self, error: ExchangeError) -> None:
        if not self.answer.called:
            self.answer.errback(error)


class _Stream(StreamProtocol):
    """Sends one message over a connection and waits for one."""

    transport: Any

    def __init__(self, wire: bytes, accept: Accept[Any]) -> None:
        self._wire = wire
        self._accept = accept
        self._buffer = b""
        self.answer: Deferred[Any] = Deferred()

    def connectionMade(self) -> None:
        """Ask."""
        self.transport.write(_LENGTH.pack(len(self._wire)) + self._wire)

    def dataReceived(self, data: bytes) -> None:
        """Gather the answer."""
        if self.answer.called:
            return
        self._buffer += data
        if len(self._buffer) < _LENGTH.size:
            return
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > ANSWER_MAX_OCTETS:
            self.answer.errback(ExchangeError("the answer is too long"))
        elif len(self._buffer) >= _LENGTH.size + length:
            found = self._accept(self._buffer[_LENGTH.size : _LENGTH.size + length])
            if found is None:
                self.answer.errback(ForgedError("the answer is none"))
            else:
                self.answer.callback(found)

    def connectionLost(self, _: Failure | None = None) -> None:
        """There will be no answer."""
        if not self.answer.called:
            self.answer.errback(ExchangeError("the connection ended"))
