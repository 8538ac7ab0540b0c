"""The factory: what an embedder or a listener makes once, and what all its connections share."""

import random
import secrets
from collections.abc import Callable
from typing import cast

from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.logger import Logger

from mailsuite.connections import ConnectionTable
from mailsuite.envelope import Peer
from mailsuite.observe import EventLog
from mailsuite.observe.sessions import OpenSession
from mailsuite.peers import network_of, plain_ip
from mailsuite.pop3.grammar import encode_error
from mailsuite.pop3.server import ENDED_BY_OPERATOR, LOGIN_ENDED, SHUTTING_DOWN, POP3Server
from mailsuite.pop3.session import Reply, Session
from mailsuite.pop3.settings import POP3Settings

TOO_MANY = Reply(encode_error("too many connections; try again later", "SYS/TEMP"))


class Turned(Protocol):
    """Tells a client that it is turned away, and why."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def connectionMade(self) -> None:
        """Say it and close."""
        assert self.transport is not None
        self.transport.write(self._reply.octets)
        self.transport.loseConnection()


class POP3Factory(ServerFactory):
    """
    Serves POP3.

    Args:
        portal: asked for `IMailAccount`, then for Twisted's ``IMailboxPOP3``.
        context_factory: for STLS, for example ``twisted.internet.ssl.CertificateOptions``. Implicit TLS is a matter of
            the endpoint and is recognised by itself.
        reactor: the clock of all limits; the global reactor when left out.
        log: bound with ids for each connection.
        jitter: 0 to 1; added in seconds to the delay of a failed login.
    """

    noisy = False

    def __init__(
        self,
        portal: Portal,
        *,
        settings: POP3Settings = POP3Settings(),  # noqa: B008 - frozen
        context_factory: object = None,
        reactor: IReactorTime | None = None,
        log: EventLog | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor as installed

            reactor = cast("IReactorTime", installed)
        self.portal = portal
        self.settings = settings
        self.context_factory = context_factory
        self.clock = reactor
        self.log = log or EventLog(Logger(namespace=__name__))
        self.jitter = jitter
        self.connections = ConnectionTable(settings.connection_limits, reactor.seconds)
        self._live: set[POP3Server] = set()
        self._drained: list[Deferred[None]] = []
        self._draining = False

    def count(self) -> int:
        """Count the open connections."""
        return len(self._live)

    def reconfigure(self, settings: POP3Settings) -> None:
        """Give new connections other settings; those that are open keep theirs."""
        self.settings = settings
        self.connections.limits = settings.connection_limits

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Make the protocol for one client, or one that turns it away."""
        ip = plain_ip(getattr(addr, "host", None))
        network = network_of(ip)
        if self._draining:
            return Turned(SHUTTING_DOWN)
        if not self.connections.admit(network):
            self.log.emit("pop3.connection.refused", peer=ip or "unix")
            return Turned(TOO_MANY)
        name = secrets.token_hex(6)
        joined: list[str] = []

        def join(account: str) -> bool:
            if not self.connections.join_account(account):
                return False
            joined.append(account)
            return True

        def ended(server: POP3Server) -> None:
            self.connections.leave(network)
            for account in joined:
                self.connections.leave_account(account)
            self._live.discard(server)
            self._tell_drained()

        session = Session(
            portal=self.portal,
            settings=self.settings,
            clock=self.clock,
            log=self.log.bind(session=name, peer=ip or "unix"),
            peer=Peer(session=name, ip=ip, port=getattr(addr, "port", 0) or 0),
            jitter=self.jitter,
            join=join,
        )
        server = POP3Server(session, context_factory=self.context_factory, ended=ended)
        server.factory = self  # type: ignore[assignment]  # Twisted declares it by its default, None
        self._live.add(server)
        return server

    def drain(self) -> "Deferred[None]":
        """
        Take no more connections and end those that are there, each after the command it is working on.

        Returns:
            Fires when the last connection has ended; who cannot wait that long closes the rest with `abort`.
        """
        self._draining = True
        waiting: Deferred[None] = Deferred()
        self._drained.append(waiting)
        for server in list(self._live):
            server.drain()
        self._tell_drained()
        return waiting

    def end_account(self, email: str) -> None:
        """End the connections of one account, each after the command it is working on."""
        for server in list(self._live):
            if server.session.peer.account == email:
                server.drain(LOGIN_ENDED)

    def sessions(self) -> list[OpenSession]:
        """Describe the connections that are open."""
        return [server.describe() for server in self._live]

    def end_session(self, session: str) -> bool:
        """End one connection after the command it is working on; False when there is none of this id."""
        found = [server for server in self._live if server.session.peer.session == session]
        for server in found:
            server.drain(ENDED_BY_OPERATOR)
        return bool(found)

    def abort(self) -> None:
        """Close every connection now."""
        for server in list(self._live):
            server.transport.abortConnection()

    def _tell_drained(self) -> None:
        if self._draining and not self._live:
            drained, self._drained = self._drained, []
            for waiting in drained:
                waiting.callback(None)
