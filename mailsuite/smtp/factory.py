"""Factories: what an embedder or a listener makes once, and what all their connections share."""

import random
import secrets
from collections.abc import Callable
from typing import cast

import attrs
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.logger import Logger

from mailsuite.connections import ConnectionTable
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
        self.connections = ConnectionTable(settings.connection_limits, reactor.seconds)
        self._xclient_peers = TrustedPeers.parse(settings.xclient_peers)
        self._live: set[SMTPServer] = set()
        self._drained: Deferred[None] | None = None

    def count(self) -> int:
        """Count the open connections."""
        return len(self._live)

    def reconfigure(self, settings: SMTPSettings) -> None:
        """Give new connections other settings; those that are open keep theirs."""
        self.settings = settings
        self.connections.limits = settings.connection_limits
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
