"""Where the services listen: well-known ports, endpoint strings, TLS from the first octet where the service asks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import attrs
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from mailsuite.config import PORTS, Config
from mailsuite.config.model import MANHOLE
from mailsuite.config.tls import ReloadingTLS
from mailsuite.observe import EventLog, background
from mailsuite.peers import TrustedPeers
from mailsuite.service.descriptors import DescriptorReserve, GuardedFactory, rest_when_exhausted
from mailsuite.service.passing import Arrivals
from mailsuite.service.prompt import make_prompt
from mailsuite.service.proxy import ProxyFactory
from mailsuite.service.seat import Seat
from mailsuite.service.sockets import Bound, bind_port, explain, explain_endpoint

TLS_CHECK_SECONDS = 2.0
DRAIN_SECONDS = 30.0  # G9: what is under way may end


class Drainable(Protocol):
    """What our factories have in common beside being factories."""

    context_factory: object

    def count(self) -> int:
        """Count the open connections."""

    def reconfigure(self, settings: Any) -> None:
        """Give new connections other settings."""

    def end_account(self, email: str) -> None:
        """Say goodbye to who is logged in to an account."""

    def drain(self) -> Deferred[None]:
        """Take no more, say goodbye, fire when everybody is gone."""

    def abort(self) -> None:
        """Close every connection now."""


@attrs.define
class Listeners:
    """
    The ports of one process.

    `bind` first, while the process may still have rights that it gives up later; `open` when everything behind the
    ports works; `close` before anything behind them ends.

    Args:
        services: keys of ``[listen]`` that this process serves.
        reactor: with `adoptStreamPort` and a clock.
        seat: of a worker, whose parent has the ports and hands over what it accepted.
    """

    config: Config
    services: Sequence[str]
    tls: ReloadingTLS
    reactor: Any
    seat: Seat | None = None
    _log: EventLog = attrs.field(factory=lambda: EventLog(Logger("mailsuite.service.listeners")), init=False)
    _bound: dict[str, list[Bound]] = attrs.field(factory=dict, init=False)
    _ports: list[IListeningPort] = attrs.field(factory=list, init=False)
    _factories: dict[str, Any] = attrs.field(factory=dict, init=False)
    _former_names: dict[str, tuple[str, ...]] = attrs.field(factory=dict, init=False)
    _delayed: list[str] = attrs.field(factory=list, init=False)
    _call: Any = attrs.field(default=None, init=False)
    _passed: dict[str, IProtocolFactory] = attrs.field(factory=dict, init=False)
    _arrivals: Arrivals | None = attrs.field(default=None, init=False)
    _over: list[int] = attrs.field(factory=list, init=False)
    _reserve: DescriptorReserve = attrs.field(
        default=attrs.Factory(lambda self: DescriptorReserve.of(self.config.storage), takes_self=True), init=False
    )

    def bind(self) -> None:
        """
        Take the ports; nothing is accepted yet. A second call does nothing.

        Raises:
            MailError: a port cannot be had; says which, and what to do.
        """
        if self._bound or self.seat is not None:
            return
        try:
            for service in self.services:
                if not isinstance(self.config.listen.get(service), tuple):
                    port = self.config.port(service)
                    self._bound[service] = bind_port(service, self.config.addresses(service), port)
        except BaseException:
            self.unbind()
            raise

    async def open(self, make_factory: Callable[[str], Any]) -> None:
        """
        Accept connections.

        Args:
            make_factory: called once for each service.

        Raises:
            MailError: a port cannot be had.
        """
        self.bind()
        available = self.tls.available
        for service in self.services:
            factory = make_factory(service)
            self._factories[service] = factory
            if available:
                factory.context_factory = self.tls
            elif self.seat is not None:
                pass  # the parent lets nobody in before there is a certificate
            elif PORTS[service].tls:
                self._delayed.append(service)
                self._log.emit("service.listener.delayed", service=service, file=self.config.tls.certificate)
                continue
            await self._listen(service)
        if self.seat is not None:
            self._arrivals = Arrivals(self.seat.channel, self.reactor, self._passed, self._tell_over)
            self._arrivals.start()
        if not available:
            self._call = self.reactor.callLater(TLS_CHECK_SECONDS, self.look_for_certificate)

    def look_for_certificate(self) -> None:
        """Begin services that wait for a certificate, if it is there now."""
        if self._call is None:
            return
        if self._call.active():
            self._call.cancel()
        self._call = None
        self.tls.look_again(self.config.tls)
        if not self.tls.available:
            self._call = self.reactor.callLater(TLS_CHECK_SECONDS, self.look_for_certificate)
            return
        for factory in self._factories.values():
            factory.context_factory = self.tls
        delayed, self._delayed = self._delayed, []
        for service in delayed:
            _ = background(self._listen(service), self._log, f"listening for {service}")

    async def _listen(self, service: str) -> None:
        factory: IProtocolFactory = self._factories[service]
        if PORTS[service].tls:
            factory = TLSMemoryBIOFactory(self.tls, isClient=False, wrappedFactory=factory, clock=self.reactor)
        factory = self._guard(service, factory)
        if self.seat is not None:
            self._passed[service] = factory
            return
        strings = self.config.listen.get(service)
        if isinstance(strings, tuple):
            for text in strings:
                self._ports.append(await self._listen_endpoint(service, text, factory))
                self._log.emit("service.listener.opened", service=service, address=text)
            return
        for bound in self._bound.pop(service, []):
            try:
                bound.socket.listen(self.config.server.backlog)
            except OSError as error:
                raise explain(error, service, bound.address, bound.port) from error
            port = make_prompt(self.reactor.adoptStreamPort(bound.socket.fileno(), bound.socket.family, factory))
            bound.socket.close()
            rest_when_exhausted(port, self.reactor)
            self._ports.append(port)
            self._log.emit("service.listener.opened", service=service, address=str(bound))

    def _guard(self, service: str, factory: IProtocolFactory) -> IProtocolFactory:
        """Put what is before TLS and protocol in its place: the headers of proxies, and the end of descriptors."""
        server = self.config.server
        peers = TrustedPeers.parse(server.proxy_peers)
        wanted = service in server.proxy_services if server.proxy_services else service != MANHOLE
        if peers and wanted:
            factory = ProxyFactory(factory, peers, self.reactor)
        return GuardedFactory(factory, self._reserve, self.reactor)

    async def _listen_endpoint(self, service: str, text: str, factory: IProtocolFactory) -> IListeningPort:
        try:
            port: IListeningPort = await serverFromString(self.reactor, text).listen(factory)
        except Exception as error:  # whatever the endpoint's parser or the system says
            raise explain_endpoint(error, service, text) from error
        rest_when_exhausted(port, self.reactor)
        return make_prompt(port)

    def _tell_over(self, number: int) -> None:
        """A connection that the parent handed over has ended: say so, together with others of this turn."""
        self._over.append(number)
        if len(self._over) == 1:
            self.reactor.callLater(0, self._say_over)

    def _say_over(self) -> None:
        assert self.seat is not None
        over, self._over = self._over, []
        self.seat.link.tell("over", numbers=over)

    def reload(self, config: Config, settings_of: Callable[[str], Any]) -> None:
        """Let new connections have other settings; those that are open keep theirs."""
        self.config = config
        for service, factory in self._factories.items():
            factory.reconfigure(settings_of(service))

    def end_account(self, email: str) -> None:
        """End the sessions of an account, each after what is under way."""
        for name in (email, *self._former_names.pop(email, ())):
            for factory in self._factories.values():
                factory.end_account(name)

    def counts(self) -> Mapping[str, int]:
        """Count the open connections of each service."""
        return {service: factory.count() for service, factory in self._factories.items()}

    def rename_account(self, email: str, new_email: str) -> None:
        """Remember under which name sessions began that go on."""
        names = [*self._former_names.get(new_email, ()), email, *self._former_names.pop(email, ())]
        self._former_names[new_email] = tuple(dict.fromkeys(names))

    def abort(self) -> None:
        """Close every connection now."""
        for factory in self._factories.values():
            factory.abort()

    def sessions(self) -> list[dict[str, object]]:
        """Describe every open connection, the oldest first."""
        now = self.reactor.seconds()
        found = [(each, service) for service, factory in self._factories.items() for each in factory.sessions()]
        return [each.row(service, now) for each, service in sorted(found, key=lambda item: item[0].began)]

    def end_session(self, session: str) -> bool:
        """End one connection after what is under way; False when there is none of this id."""
        return any(factory.end_session(session) for factory in self._factories.values())

    async def close(self) -> None:
        """Accept no more, let what is under way finish for some seconds, then close the rest."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self.unbind()
        if self.seat is not None and self._arrivals is not None:
            self._arrivals.close()
            self.seat.link.tell("leaving")
        ports, self._ports = self._ports, []
        await gatherResults([maybeDeferred(port.stopListening) for port in ports], consumeErrors=True)
        factories, self._factories = list(self._factories.values()), {}
        await gatherResults([self._drain(factory) for factory in factories], consumeErrors=True)

    def _drain(self, factory: Drainable) -> Deferred[None]:
        call = self.reactor.callLater(DRAIN_SECONDS, factory.abort)

        def drained(_result: object) -> None:
            if call.active():
                call.cancel()

        return factory.drain().addBoth(drained)

    def unbind(self) -> None:
        """Give ports back on which nothing is accepted yet."""
        for bound in self._bound.values():
            for one in bound:
                one.socket.close()
        self._bound.clear()

    def addresses(self) -> Mapping[str, str]:
        """Say where each service is to be reached, for messages."""
        return describe_addresses(self.config, self.services)


def describe_addresses(config: Config, services: Sequence[str]) -> Mapping[str, str]:
    """Say where each service is to be reached, for messages."""
    found = {}
    for service in services:
        strings = config.listen.get(service)
        if isinstance(strings, tuple):
            found[service] = ", ".join(strings)
        else:
            host = (config.addresses(service) or ("all addresses",))[0]
            found[service] = f"{host} port {config.port(service)}"
    return found
