"""One attempt to hand a message to another host."""

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IReactorTime
from twisted.internet.ssl import optionsForClientTLS

from mailsuite.durable import Disk, InlineLane, Lane
from mailsuite.envelope import Envelope
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Body
from mailsuite.mta.content import SpoolMessage
from mailsuite.mta.route import NO_ROUTE, find_route
from mailsuite.mta.settings import RouteSettings
from mailsuite.smtp.client import send
from mailsuite.smtp.outcome import Content, Outcome, OutcomeState
from mailsuite.smtp.settings import ClientSettings, TLSPolicy

PIECE_OCTETS = 256 * 1024


NO_ROUTE_OUTCOME = Outcome(OutcomeState.DEFERRED, 0, "4.4.4", NO_ROUTE)  # RFC 3463 section 3.5: unable to route


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
            open_content: gives the octets from their beginning, once more for each host; whoever asked for it closes
                all of them afterwards.
        """
        ...


class RelayAgent:
    """
    Sends over the network (RFC 5598 section 4.3.2).

    Args:
        reactor: one that connects and keeps time.
        hostname: what we call ourselves.
    """

    def __init__(self, reactor: IReactorTime, hostname: str) -> None:
        self._reactor = reactor
        self._hostname = hostname

    async def __call__(
        self, destination: Destination, envelope: Envelope, open_content: Callable[[], Content]
    ) -> Sequence[Outcome]:
        """Give an outcome for each recipient, in their order."""
        route = destination.route
        if route is None:
            return [NO_ROUTE_OUTCOME] * len(envelope.recipients)
        endpoint = HostnameEndpoint(self._reactor, route.host, route.port)
        settings = client_settings(route, self._hostname)
        outcomes = await send(endpoint, envelope, open_content(), settings, reactor=self._reactor)
        return [attrs.evolve(outcome, host=route.host) for outcome in outcomes]


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


def client_settings(route: RouteSettings, hostname: str) -> ClientSettings:
    """Say how a route is to be spoken to; ``tls = "none"`` with a user name is a decision to log in without TLS."""
    return ClientSettings(
        hostname=hostname.encode("ascii", "replace"),
        tls=route.tls,
        tls_creator=optionsForClientTLS(route.host) if route.tls is TLSPolicy.REQUIRE else None,
        username=route.username.encode("utf-8"),
        password=route.password.encode("utf-8"),
        allow_cleartext=route.tls is TLSPolicy.NONE,
    )
