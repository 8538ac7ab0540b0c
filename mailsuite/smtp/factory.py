"""Factories: what an embedder or a listener makes once, and what all their connections share."""

import random
import secrets
from collections import Counter, deque
from collections.abc import Callable
from typing import cast

import attrs
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.logger import Logger

from mailsuite.envelope import Peer
from mailsuite.interfaces import IMailReceiver
from mailsuite.observe import EventLog
from mailsuite.observe.sessions import OpenSession
from mailsuite.peers import TrustedPeers, network_of, plain_ip
from mailsuite.smtp import replies
from mailsuite.smtp.replies import Reply
from mailsuite.smtp.server import SMTPServer
from mailsuite.smtp.session import Session
from mailsuite.smtp.settings import SMTPSettings

RATE_WINDOW_SECONDS = 60
NETWORKS_TRACKED_MAX = 100_000


@attrs.define
class ConnectionTable:
    """
    Who is connected, and how often lately.

    Unix sockets have no address and are not limited by it.
    """

    settings: SMTPSettings
    clock: IReactorTime
    total: int = attrs.field(default=0, init=False)
    _networks: Counter[str] = attrs.field(factory=Counter, init=False)
    _accounts: Counter[str] = attrs.field(factory=Counter, init=False)
    _recent: dict[str, deque[float]] = attrs.field(factory=dict, init=False)

    def admit(self, network: str) -> bool:
        """Count a new connection; False, and not counted, when it is one too many."""
        settings = self.settings
        if settings.rates and (self.total >= settings.connections_max or self._is_one_too_many(network)):
            return False
        self.total += 1
        self._networks[network] += 1
        return True

    def _is_one_too_many(self, network: str) -> bool:
        return bool(network) and (
            self._networks[network] >= self.settings.connections_per_network_max or self._too_often(network)
        )

    def move(self, network: str, other: str) -> bool:
        """Count a connection for another network; False, and nothing changed, when that has too many."""
        if self.settings.rates and self._is_one_too_many(other):
            return False
        _lower(self._networks, network)
        self._networks[other] += 1
        return True

    def leave(self, network: str) -> None:
        """A counted connection has ended."""
        self.total -= 1
        _lower(self._networks, network)

    def join_account(self, account: str) -> bool:
        """Count a login; False, and not counted, when the account has too many connections."""
        if self.settings.rates and self._accounts[account] >= self.settings.connections_per_account_max:
            return False
        self._accounts[account] += 1
        return True

    def leave_account(self, account: str) -> None:
        """A counted login has ended."""
        _lower(self._accounts, account)

    def _too_often(self, network: str) -> bool:
        now = self.clock.seconds()
        if network not in self._recent and len(self._recent) >= NETWORKS_TRACKED_MAX:
            self._recent.pop(next(iter(self._recent)))
        times = self._recent.setdefault(network, deque())
        while times and times[0] <= now - RATE_WINDOW_SECONDS:
            times.popleft()
        if len(times) >= self.settings.connections_per_minute_max:
            return True
        times.append(now)
        return False


def _lower(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]


class Turned(Protocol):
    """Tells a peer in the place of the greeting that it is turned away, and why (RFC 5321 section 3.8)."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def connectionMade(self) -> None:
        """Say it and close."""
        assert self.transport is not None
        self.transport.write(self._reply.plain().encoded)
        self.transport.loseConnection()


class SMTPFactory(ServerFactory):
    """
    Serves SMTP.

    Args:
        receiver: takes mail from strangers; None when everybody has to log in. For an ``IMessageDelivery`` see
            `mailsuite.smtp.bridge.receiver_from_delivery`.
        portal: for AUTH; asked for `IMailReceiver`, then for Twisted's ``IMessageDeliveryFactory`` and
            ``IMessageDelivery``. None: AUTH is not offered.
        context_factory: for STARTTLS, for example ``twisted.internet.ssl.CertificateOptions``. Implicit TLS is a
            matter of the endpoint and is recognised by itself.
        reactor: the clock of all limits; the global reactor when left out.
        log: bound with ids for each connection.
        jitter: 0 to 1; added in seconds to the delay of a failed login.
    """

    noisy = False
    protocol_class: type[SMTPServer] = SMTPServer

    def __init__(
        self,
        receiver: IMailReceiver | None,
        *,
        hostname: bytes = b"localhost",
        portal: Portal | None = None,
        settings: SMTPSettings = SMTPSettings(),  # noqa: B008 - frozen
        context_factory: object = None,
        reactor: IReactorTime | None = None,
        log: EventLog | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = cast("IReactorTime", installed)
        self.receiver = receiver
        self.hostname = hostname
        self.portal = portal
        self.settings = settings
        self.context_factory = context_factory
        self.clock = reactor
        self.log = log or EventLog(Logger())
        self.jitter = jitter
        self.connections = ConnectionTable(settings, reactor)
        self._xclient_peers = TrustedPeers.parse(settings.xclient_peers)
        self._live: set[SMTPServer] = set()
        self._drained: Deferred[None] | None = None

    def count(self) -> int:
        """Count the open connections."""
        return len(self._live)

    def reconfigure(self, settings: SMTPSettings) -> None:
        """Give new connections other settings; those that are open keep theirs."""
        self.settings = self.connections.settings = settings
        self._xclient_peers = TrustedPeers.parse(settings.xclient_peers)

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Make the protocol for one peer, or one that turns it away."""
        ip = plain_ip(getattr(addr, "host", None))
        xclient = self._xclient_peers.include(ip)
        network = "" if xclient else network_of(ip)  # until a proxy says for whom it speaks, no limit is for it
        if self._drained is not None:
            return Turned(replies.SHUTTING_DOWN)
        if not self.connections.admit(network):
            self.log.emit("smtp.connection.refused", peer=ip or "unix")
            return Turned(replies.TOO_MANY_CONNECTIONS)
        name = secrets.token_hex(6)
        joined: list[str] = []

        def join(account: str) -> bool:
            account = account.casefold()
            if not self.connections.join_account(account):
                return False
            joined.append(account)
            return True

        def moved(ip: str) -> bool:
            nonlocal network
            other = network_of(ip)
            if not self.connections.move(network, other):
                return False
            network = other
            return True

        def ended(server: SMTPServer) -> None:
            self.connections.leave(network)
            for account in joined:
                self.connections.leave_account(account)
            self._live.discard(server)
            if self._drained is not None and not self._live and not self._drained.called:
                self._drained.callback(None)

        session = Session(
            hostname=self.hostname.decode("ascii", "replace"),
            settings=self.settings,
            strangers=self.receiver,
            portal=self.portal,
            clock=self.clock,
            jitter=self.jitter,
            log=self.log.bind(session=name, peer=ip or "unix"),
            peer=Peer(session=name, ip=ip, port=getattr(addr, "port", 0) or 0),
            join=join,
            moved=moved,
            xclient=xclient,
        )
        server = self.protocol_class(session, context_factory=self.context_factory, ended=ended)
        server.factory = self
        self._live.add(server)
        return server

    def drain(self) -> Deferred[None]:
        """
        Take no more connections, say 421 to idle ones, let messages that are under way finish.

        Returns:
            Fires when the last connection has ended; who cannot wait that long closes the rest with `abort`.
        """
        if self._drained is None:
            self._drained = Deferred()
            for server in list(self._live):
                server.drain()
            if not self._live and not self._drained.called:
                self._drained.callback(None)
        waiting: Deferred[None] = Deferred()
        self._drained = self._drained.addCallback(waiting.callback)
        return waiting

    def end_account(self, email: str) -> None:
        """End the connections of one account, each after the message that is under way."""
        for server in list(self._live):
            if server.session.peer.account == email:
                server.drain(replies.LOGIN_ENDED)

    def sessions(self) -> list[OpenSession]:
        """Describe the connections that are open."""
        return [server.describe() for server in self._live]

    def end_session(self, session: str) -> bool:
        """End one connection after the message that is under way; False when there is none of this id."""
        found = [server for server in self._live if server.session.peer.session == session]
        for server in found:
            server.drain(replies.ENDED_BY_OPERATOR)
        return bool(found)

    def abort(self) -> None:
        """Close every connection now."""
        for server in list(self._live):
            server.transport.abortConnection()


class SubmissionFactory(SMTPFactory):
    """Serves message submission (RFC 6409): as `SMTPFactory`, and nobody sends without having logged in."""

    def __init__(
        self,
        portal: Portal,
        *,
        hostname: bytes = b"localhost",
        settings: SMTPSettings = SMTPSettings(),  # noqa: B008 - frozen
        context_factory: object = None,
        reactor: IReactorTime | None = None,
        log: EventLog | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(
            None,
            hostname=hostname,
            portal=portal,
            settings=attrs.evolve(settings, require_auth=True),
            context_factory=context_factory,
            reactor=reactor,
            log=log,
            jitter=jitter,
        )

    def reconfigure(self, settings: SMTPSettings) -> None:
        """Give new connections other settings; those that are open keep theirs."""
        super().reconfigure(attrs.evolve(settings, require_auth=True))
