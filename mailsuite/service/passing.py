"""
Accepted connections on their way from the parent, which holds the ports, to the worker that serves them.

The parent accepts and hands the descriptor over at once, with the name of the service and a number; the worker tells
the number back when the connection has ended. So the parent knows how many connections each worker has, and from whom.
It keeps the worker's end of the channel open as well: what the worker had not taken when it ended goes to another one.
"""

import contextlib
import errno
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
from twisted.internet import address, unix
from twisted.internet.interfaces import IAddress, IProtocolFactory, IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from mailsuite.observe import EventLog
from mailsuite.service.prompt import PromptServer

MESSAGE_MAX_OCTETS = 256
ACCEPTS_PER_TURN = 64
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
FULL_PAUSE_SECONDS = 0.1


@attrs.frozen
class Arrival:
    """
    A connection that was accepted.

    Args:
        number: of the connection; the parent gives no number twice.
    """

    number: int
    service: str


def hand_over(channel: socket.socket, arrival: Arrival, descriptor: int) -> bool:
    """
    Give a descriptor to the worker at the other end; the caller closes its own.

    Returns:
        False when the worker has too many waiting.

    Raises:
        OSError: the worker is gone.
    """
    message = json.dumps([arrival.number, arrival.service]).encode("ascii")
    try:
        socket.send_fds(channel, [message], [descriptor])
    except BlockingIOError:
        return False
    return True


def take_back(far: socket.socket) -> Iterator[tuple[Arrival, socket.socket]]:
    """
    Take what was handed over and never came out at the other end.

    Args:
        far: that end, not blocking; nobody else reads from it any more.
    """
    while (received := _receive(far)) is not None:
        arrival, accepted = received
        if accepted is not None:
            yield arrival, accepted


def _receive(far: socket.socket) -> tuple[Arrival, socket.socket | None] | None:
    """
    Take one connection from a channel that does not block; None when no more waits.

    Raises:
        EOFError: the parent is gone.
    """
    try:
        message, descriptors, _, _ = socket.recv_fds(far, MESSAGE_MAX_OCTETS, 1)
    except (BlockingIOError, InterruptedError):
        return None
    if not message:
        raise EOFError
    number, service = json.loads(message)
    # Without a descriptor: we have too many, and the system closed it.
    return Arrival(number, service), socket.socket(fileno=descriptors[0]) if descriptors else None


@implementer(IReadDescriptor)
class Acceptor:
    """
    Accepts the connections of one listening socket, in the parent.

    Args:
        listening: not blocking; closed at the end.
        place: takes an accepted socket, and closes it.
    """

    def __init__(
        self, service: str, listening: socket.socket, reactor: Any, place: Callable[[str, socket.socket], None]
    ) -> None:
        self._service = service
        self._listening = listening
        self._reactor = reactor
        self._place = place
        self._call: Any = None
        self._log = EventLog(Logger("mailsuite.service.passing"))
        # Given up when the process has no descriptors left: with it, the connection that waits can be closed.
        self._reserve = _take_descriptor()

    def logPrefix(self) -> str:
        """Name it in Twisted's messages."""
        return f"acceptor of {self._service}"

    def fileno(self) -> int:
        """Give the descriptor to watch."""
        return self._listening.fileno()

    def start(self) -> None:
        """Accept from now on."""
        if self._call is None:
            self._reactor.addReader(self)

    def pause(self) -> None:
        """Let connections wait where the system keeps them."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._reactor.removeReader(self)

    def doRead(self) -> None:
        """Accept what waits."""
        for _ in range(ACCEPTS_PER_TURN):
            try:
                accepted, _peer = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in _FULL:
                    self._turn_away()
                    return
                if error.errno == errno.EPERM:  # a packet filter refused it
                    continue
                raise
            self._place(self._service, accepted)

    def _turn_away(self) -> None:
        """Close one connection with the reserve, and let the others wait for a moment."""
        self._log.emit("service.descriptors.exhausted", service=self._service)
        self._give_reserve_up()
        with contextlib.suppress(OSError):
            self._listening.accept()[0].close()
        self._reserve = _take_descriptor()
        self.pause()
        self._call = self._reactor.callLater(FULL_PAUSE_SECONDS, self._go_on)

    def _give_reserve_up(self) -> None:
        descriptor, self._reserve = self._reserve, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _go_on(self) -> None:
        self._call = None
        self.start()

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ARG002 - Twisted's signature
        """Stop, as the reactor asks at its end."""
        self.close()

    def close(self) -> None:
        """Accept no more; may be called twice."""
        if self._listening.fileno() >= 0:
            self.pause()
            self._listening.close()
        self._give_reserve_up()


def _take_descriptor() -> int:
    """Take a descriptor to give up later; -1 where somebody else was quicker."""
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


@implementer(IReadDescriptor)
class Arrivals:
    """
    Takes what the parent hands over, in the worker.

    Args:
        channel: our end.
        factories: by service; one that is missing closes the connection.
        ended: called with the number of a connection that is over.
    """

    def __init__(
        self,
        channel: socket.socket,
        reactor: Any,
        factories: Mapping[str, IProtocolFactory],
        ended: Callable[[int], None],
    ) -> None:
        self._channel = channel
        self._reactor = reactor
        self._factories = factories
        self._ended = ended
        self._log = EventLog(Logger("mailsuite.service.passing"))

    def logPrefix(self) -> str:
        """Name it in Twisted's messages."""
        return "arrivals"

    def fileno(self) -> int:
        """Give the descriptor to watch."""
        return self._channel.fileno()

    def start(self) -> None:
        """Take connections from now on."""
        self._reactor.addReader(self)

    def doRead(self) -> None:
        """Take what waits."""
        for _ in range(ACCEPTS_PER_TURN):
            try:
                received = _receive(self._channel)
            except EOFError:
                self.close()  # the link says so too
                return
            if received is None:
                return
            arrival, accepted = received
            if accepted is not None:
                self._begin(arrival, accepted)
            else:
                self._ended(arrival.number)

    def _begin(self, arrival: Arrival, accepted: socket.socket) -> None:
        factory = self._factories.get(arrival.service)
        begun = False
        try:
            if factory is not None:
                begun = begin_connection(accepted, factory, self._reactor, lambda: self._ended(arrival.number))
        except Exception:  # noqa: BLE001 - the fault of one connection must not keep all others from coming
            self._log.failure("background.work.failed", what=f"beginning a connection to {arrival.service}")
        if not begun:
            accepted.close()
            self._ended(arrival.number)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ARG002 - Twisted's signature
        """Stop, as the reactor asks at its end."""
        self.close()

    def close(self) -> None:
        """Take no more; may be called twice."""
        if self._channel.fileno() >= 0:
            self._reactor.removeReader(self)
            self._channel.close()


class _PassedServer(PromptServer):
    """The transport of a connection that another process accepted."""

    ended: Callable[[], None]

    def connectionLost(self, reason: Any) -> None:
        """Let the parent know."""
        try:
            super().connectionLost(reason)
        finally:
            self.ended()


class _PassedUnixServer(unix.Server):
    """The same for a unix socket."""

    ended: Callable[[], None]

    def connectionLost(self, reason: Any) -> None:
        """Let the parent know."""
        try:
            super().connectionLost(reason)
        finally:
            self.ended()


def begin_connection(
    accepted: socket.socket, factory: IProtocolFactory, reactor: Any, ended: Callable[[], None]
) -> bool:
    """
    Let a factory serve a connection that was accepted elsewhere.

    Args:
        ended: called when it is over.

    Returns:
        False when it is over already, or the factory does not want it; the caller closes it.
    """
    accepted.setblocking(False)  # noqa: FBT003 - the socket module's signature
    try:
        peer: Any = accepted.getpeername()
    except OSError:
        return False
    is_unix = accepted.family == socket.AF_UNIX
    protocol = factory.buildProtocol(_address(accepted.family, peer))
    if protocol is None:
        return False
    kind: Any = _PassedUnixServer if is_unix else _PassedServer
    transport = kind(accepted, protocol, peer, None, 0, reactor)
    transport.repstr = f"<{type(protocol).__name__} of {peer or 'a unix socket'}>"
    transport.ended = ended
    try:
        protocol.makeConnection(transport)
    except BaseException:
        transport.stopReading()  # its descriptor is closed, and its number will be another connection's
        raise
    return True


def _address(family: int, peer: Any) -> IAddress:
    if family == socket.AF_UNIX:
        return address.UNIXAddress(peer or None)
    if family == socket.AF_INET6:
        return address.IPv6Address("TCP", *peer)
    return address.IPv4Address("TCP", *peer)
