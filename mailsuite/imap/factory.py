"""What all IMAP connections share, and how many there may be."""

import secrets

from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from mailsuite.connections import ConnectionTable
from mailsuite.imap.server import ENDED_BY_OPERATOR, IMAPServer
from mailsuite.imap.settings import IMAPSettings
from mailsuite.imap.wire import AFTER_LOGIN, BEFORE_LOGIN, WireLimits
from mailsuite.observe import EventLog
from mailsuite.observe.sessions import OpenSession
from mailsuite.peers import network_of

LOGIN_ENDED = "this login is no longer valid"


class IMAPFactory(Factory):
    """
    Makes IMAP servers.

    Args:
        portal: hands out `IMailAccount` or Twisted's ``IAccountIMAP`` for names and passwords.
        context_factory: for STARTTLS; None leaves it out.
        reactor: the clock; None takes the installed reactor.
    """

    protocol = IMAPServer
    noisy = False

    def __init__(
        self,
        portal: Portal,
        *,
        settings: IMAPSettings | None = None,
        context_factory: object = None,
        reactor: IReactorTime | None = None,
    ) -> None:
        self.portal = portal
        self._use(settings or IMAPSettings())
        self.context_factory = context_factory
        self.clock: IReactorTime = reactor or _installed_reactor()
        self.seconds = self.clock.seconds
        self.log = EventLog(Logger(namespace="mailsuite.imap"))
        self.connections: set[IMAPServer] = set()
        self._table = ConnectionTable(self.settings.connection_limits, self.clock.seconds)
        self._draining = False
        self._drained: list[Deferred[None]] = []
        self._deadline: IDelayedCall | None = None

    def count(self) -> int:
        """Count the open connections."""
        return len(self.connections)

    def reconfigure(self, settings: IMAPSettings) -> None:
        """Give new connections other settings; those that are open keep theirs."""
        self._use(settings)
        self._table.limits = settings.connection_limits

    def _use(self, settings: IMAPSettings) -> None:
        self.settings = settings
        self.limits_before_login = WireLimits(
            line_max_octets=settings.login_line_max_octets,
            literal_max_octets=settings.login_literal_max_octets,
            skip_max_octets=BEFORE_LOGIN.skip_max_octets,
        )
        self.limits_after_login = WireLimits(
            line_max_octets=settings.arguments_max_octets,
            literal_max_octets=settings.arguments_max_octets,
            skip_max_octets=max(AFTER_LOGIN.skip_max_octets, settings.literal_max_octets),
        )

    def buildProtocol(self, addr: IAddress | None) -> IMAPServer:
        """Make the server of one connection."""
        del addr
        server = IMAPServer(self, f"imap-{secrets.token_hex(4)}")
        server.factory = self
        return server

    # how many there may be

    def enter(self, server: IMAPServer, ip: str) -> bool:
        """Count a connection; False when its address has too many, or the server is shutting down."""
        if self._draining:
            return False
        if not self._table.admit(network_of(ip)):
            self.log.emit("imap.connection.refused", peer=ip or "unix")
            return False
        self.connections.add(server)
        return True

    def enter_account(self, email: str) -> bool:
        """Count a login; False when the account has too many connections."""
        if not self._table.join_account(email):
            self.log.emit("imap.account.refused", account=email)
            return False
        return True

    def leave_account(self, email: str) -> None:
        """Forget a login; the connection goes on."""
        self._table.leave_account(email)

    def leave(self, server: IMAPServer, ip: str, email: str) -> bool:
        """Forget a connection; False when it had not been let in."""
        if server not in self.connections:
            return False
        self.connections.discard(server)
        self._table.leave(network_of(ip))
        if email:
            self.leave_account(email)
        if self._draining and not self.connections:
            self._finish_draining()
        return True

    # the end

    def end_account(self, email: str) -> None:
        """Say farewell to the clients of one account: commands that run are finished."""
        for server in list(self.connections):
            if server.account_email == email:
                server.drain(LOGIN_ENDED)

    def sessions(self) -> list[OpenSession]:
        """Describe the connections that are open."""
        return [server.describe() for server in self.connections]

    def end_session(self, session: str) -> bool:
        """End one connection after the command that runs; False when there is none of this id."""
        found = [server for server in self.connections if server.session.session_id == session]
        for server in found:
            server.drain(ENDED_BY_OPERATOR)
        return bool(found)

    def drain(self) -> "Deferred[None]":
        """
        Say farewell to all clients: commands that run are finished.

        Returns:
            Fires when the last connection is closed; after `IMAPSettings.drain_seconds` the rest is cut off.
        """
        if not self._draining:
            self._draining = True
            self._deadline = self.clock.callLater(self.settings.drain_seconds, self.abort)
            for server in list(self.connections):
                server.drain()
        waiting: Deferred[None] = Deferred()
        self._drained.append(waiting)
        if not self.connections:
            self._finish_draining()
        return waiting

    def _finish_draining(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        waiting, self._drained = self._drained, []
        for each in waiting:
            each.callback(None)

    def abort(self) -> None:
        """Close every connection now."""
        for server in list(self.connections):
            server.transport.abortConnection()


def _installed_reactor() -> IReactorTime:
    from twisted.internet import reactor

    return IReactorTime(reactor)
