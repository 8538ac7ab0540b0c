"""The ports of a parent process: bound before it gives up its rights, accepted from when workers can serve."""

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger

from mailsuite.config import PORTS, Config
from mailsuite.config.tls import ReloadingTLS
from mailsuite.errors import Kind, MailError
from mailsuite.observe import EventLog, background
from mailsuite.service.listeners import TLS_CHECK_SECONDS, describe_addresses
from mailsuite.service.passing import Acceptor
from mailsuite.service.sockets import Bound, bind_port, explain, explain_endpoint

MORE_THAN_A_PORT = "does more than open a port, which server.workers leave no room for; the service brings its own TLS"


@attrs.define
class Ports:
    """
    All ports of the suite, in the process that accepts and serves nobody.

    Args:
        services: keys of ``[listen]``.
        place: takes an accepted socket and the service that it is for.
        admit: awaited before services with TLS begin, when their certificate has come.
    """

    config: Config
    services: Sequence[str]
    tls: ReloadingTLS
    reactor: Any
    place: Callable[[str, socket.socket], None]
    admit: Callable[[], Any]
    _log: EventLog = attrs.field(factory=lambda: EventLog(Logger("mailsuite.service.listeners")), init=False)
    _bound: dict[str, list[Bound]] = attrs.field(factory=dict, init=False)
    _endpoints: list[Any] = attrs.field(factory=list, init=False)
    _acceptors: list[Acceptor] = attrs.field(factory=list, init=False)
    _delayed: list[str] = attrs.field(factory=list, init=False)
    _call: Any = attrs.field(default=None, init=False)
    _paused: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    def bind(self) -> None:
        """
        Take the well-known ports; nothing is accepted yet. A second call does nothing.

        Raises:
            MailError: a port cannot be had; says which, and what to do.
        """
        if self._bound:
            return
        try:
            for service in self.services:
                if not isinstance(self.config.listen.get(service), tuple):
                    port = self.config.port(service)
                    self._bound[service] = bind_port(service, self.config.server.addresses, port)
        except BaseException:
            self.unbind()
            raise

    def unbind(self) -> None:
        """Give ports back on which nothing is accepted yet."""
        for bound in self._bound.values():
            for one in bound:
                one.socket.close()
        self._bound.clear()

    async def open(self) -> None:
        """
        Accept connections.

        Raises:
            MailError: a port cannot be had.
        """
        self.bind()
        available = self.tls.available
        for service in self.services:
            if available or not PORTS[service].tls:
                await self._listen(service)
            else:
                self._delayed.append(service)
                self._log.emit("service.listener.delayed", service=service, file=self.config.tls.certificate)
        if not available:
            self._call = self.reactor.callLater(TLS_CHECK_SECONDS, self._look_for_certificate)

    def _look_for_certificate(self) -> None:
        self._call = None
        if not self.tls.available:
            self._call = self.reactor.callLater(TLS_CHECK_SECONDS, self._look_for_certificate)
            return
        _ = background(self._listen_delayed(), self._log, "listening with TLS")

    async def _listen_delayed(self) -> None:
        await self.admit()
        if self._closed:
            return
        delayed, self._delayed = self._delayed, []
        for service in delayed:
            _ = background(self._listen(service), self._log, f"listening for {service}")

    async def _listen(self, service: str) -> None:
        strings = self.config.listen.get(service)
        if isinstance(strings, tuple):
            for text in strings:
                self._accept(service, await self._open_endpoint(service, text), text)
            return
        for bound in self._bound.pop(service, []):
            try:
                bound.socket.listen(self.config.server.backlog)
            except OSError as error:
                raise explain(error, service, bound.address, bound.port) from error
            self._accept(service, bound.socket, str(bound))

    async def _open_endpoint(self, service: str, text: str) -> socket.socket:
        """Let Twisted open the port that a string describes, and accept there ourselves."""
        try:
            factory = ServerFactory()
            port: Any = await serverFromString(self.reactor, text).listen(factory)
        except Exception as error:  # whatever the endpoint's parser or the system says
            raise explain_endpoint(error, service, text) from error
        self._endpoints.append(port)
        if getattr(port, "factory", None) is not factory:
            raise MailError(Kind.INVALID, f"listen.{service}: {text!r} {MORE_THAN_A_PORT}")
        port.stopReading()
        listening: socket.socket = port.socket.dup()
        listening.setblocking(False)  # noqa: FBT003 - the socket module's signature
        return listening

    def _accept(self, service: str, listening: socket.socket, address: str) -> None:
        acceptor = Acceptor(service, listening, self.reactor, self.place)
        self._acceptors.append(acceptor)
        if not self._paused:
            acceptor.start()
        self._log.emit("service.listener.opened", service=service, address=address)

    def pause(self) -> None:
        """Let connections wait where the system keeps them: nobody can serve them now."""
        self._paused = True
        for acceptor in self._acceptors:
            acceptor.pause()

    def resume(self) -> None:
        """Accept again."""
        if self._paused:
            self._paused = False
            for acceptor in self._acceptors:
                acceptor.start()

    async def close(self) -> None:
        """Accept no more."""
        self._closed = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self.unbind()
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            acceptor.close()
        endpoints, self._endpoints = self._endpoints, []
        for port in endpoints:
            await maybeDeferred(port.stopListening)

    def addresses(self) -> Mapping[str, str]:
        """Say where each service is to be reached, for messages."""
        return describe_addresses(self.config, self.services)
