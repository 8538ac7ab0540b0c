"""
SSH for the manhole: conch's transport with what is modern.

RFC 4251 to RFC 4254; RFC 8308 and RFC 8332 (RSA with SHA-2), RFC 8709 (Ed25519), RFC 8731 (Curve25519).
"""

import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from twisted.conch.avatar import ConchUser
from twisted.conch.interfaces import IConchUser, ISession
from twisted.conch.ssh.common import NS, getNS
from twisted.conch.ssh.connection import (
    MSG_CHANNEL_OPEN_FAILURE,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    SSHConnection,
)
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.session import SSHSession
from twisted.conch.ssh.transport import DISCONNECT_BY_APPLICATION, SSHServerTransport
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from mailsuite.manhole.console import Console
from mailsuite.manhole.keys import SIGNATURES
from mailsuite.manhole.login import KeyChecker, KeyLogin
from mailsuite.manhole.ops import Ask, Ops
from mailsuite.manhole.session import ConsoleSession
from mailsuite.manhole.settings import ManholeSettings
from mailsuite.observe import EventLog
from mailsuite.peers import plain_ip

SESSION = b"session"
CHANNELS_MAX = 10  # of one connection
_OLD = re.compile(rb"sha1$|^diffie-hellman-group-exchange")
KEY_EXCHANGES = [name for name in SSHServerTransport.supportedKeyExchanges if not _OLD.search(name)]
CIPHERS = [name for name in SSHServerTransport.supportedCiphers if re.fullmatch(rb"aes\d+-ctr", name)]
MACS = [name for name in SSHServerTransport.supportedMACs if b"sha2" in name]
COMPRESSIONS = [b"none"]


class Turned(Protocol):
    """Closes at once."""

    def connectionMade(self) -> None:
        """Close."""
        assert self.transport is not None
        self.transport.loseConnection()


class Channels(SSHConnection):
    """Opens sessions and no other channels."""

    transport: Any

    def ssh_CHANNEL_OPEN(self, packet: bytes) -> None:
        """Open a session; conch would write a traceback of what is refused."""
        kind, rest = getNS(packet)
        if kind == SESSION and len(self.channels) < CHANNELS_MAX:
            super().ssh_CHANNEL_OPEN(packet)  # type: ignore[no-untyped-call]  # Twisted's is not annotated
            return
        reason = struct.pack(">L", OPEN_ADMINISTRATIVELY_PROHIBITED)
        self.transport.sendPacket(MSG_CHANNEL_OPEN_FAILURE, rest[:4] + reason + NS(b"only sessions, a few") + NS(b""))


SERVICES: dict[bytes, type[SSHService]] = {b"ssh-userauth": KeyLogin, b"ssh-connection": Channels}


class ManholeTransport(SSHServerTransport):
    """One connection."""

    ourVersionString = b"SSH-2.0-mailsuite"
    supportedKeyExchanges = KEY_EXCHANGES
    supportedCiphers = CIPHERS
    supportedMACs = MACS
    supportedCompressions = COMPRESSIONS

    factory: Any
    transport: Any
    ip = ""
    log: EventLog
    _deadline: IDelayedCall | None = None
    _trusted = False

    def connectionMade(self) -> None:
        """Begin; who does not log in soon is cut off."""
        self.ip = plain_ip(getattr(self.transport.getPeer(), "host", None))
        self.log = self.factory.log.bind(peer=self.ip)
        self._deadline = self.factory.clock.callLater(self.factory.settings.login_seconds, self._expired)
        super().connectionMade()  # type: ignore[no-untyped-call]  # Twisted's is not annotated

    def dataReceived(self, data: bytes) -> None:
        """Take octets; conch stumbles over what is not as it should be."""
        if self._trusted and self._deadline is not None:
            self._deadline.reset(self.factory.settings.idle_seconds)
        try:
            super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        except Exception as error:  # noqa: BLE001 - a stranger's octets are no fault of ours
            if self._trusted:
                self.log.failure("manhole.session.failed")
            else:
                self.log.emit("manhole.peer.refused", reason=type(error).__name__)
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Forget it."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        super().connectionLost(reason)
        self.factory.leave(self)

    def accepted(self) -> None:
        """Somebody has logged in."""
        self._trusted = True
        if self._deadline is not None:
            self._deadline.reset(self.factory.settings.idle_seconds)

    def _expired(self) -> None:
        self.transport.abortConnection()

    def sendExtInfo(self, extensions: object) -> None:  # noqa: ARG002 - conch would list the host key's signatures
        """Say which signatures of users are taken (RFC 8308 section 3.1)."""
        names = ",".join(name for kinds in SIGNATURES.values() for name in kinds)
        super().sendExtInfo([(b"server-sig-algs", names.encode("ascii"))])  # type: ignore[no-untyped-call]  # likewise

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        """The client says that it leaves; `ManholeUser.logout` tells of it."""

    def farewell(self) -> None:
        """End the connection."""
        self.sendDisconnect(DISCONNECT_BY_APPLICATION, b"the server is shutting down")  # type: ignore[no-untyped-call]  # likewise


class ManholeUser(ConchUser):
    """
    Who has come in: may open sessions, and nothing else.

    Args:
        who: comment and fingerprint of the key.
    """

    peer = ""

    def __init__(self, who: str, factory: "ManholeFactory") -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self.who = who
        self._factory = factory
        self.channelLookup[SESSION] = SSHSession

    def __conform__(self, interface: type[Interface]) -> ConsoleSession | None:
        if interface is not ISession:
            return None
        factory = self._factory
        log = factory.log.bind(peer=self.peer)

        def make_console(write: Callable[[str], object]) -> Console:
            return Console({"ops": Ops(factory.ask), **factory.names}, write=write, log=log, who=self.who)

        return ConsoleSession(make_console, log, factory.clock)

    def gotGlobalRequest(self, requestType: bytes, data: bytes) -> int:  # noqa: ARG002 - conch's signature
        """Refuse forwarding and whatever else there may be."""
        return 0

    def logout(self) -> None:
        """The connection has ended."""
        self._factory.log.emit("manhole.session.ended", who=self.who, peer=self.peer)


@implementer(IRealm)
class ManholeRealm:
    """Gives who holds a key a `ManholeUser`."""

    def __init__(self, factory: "ManholeFactory") -> None:
        self._factory = factory

    def requestAvatar(self, avatarId: Any, mind: object, *interfaces: object) -> Any:
        """Make the avatar."""
        del mind
        if IConchUser not in interfaces:
            raise NotImplementedError("only IConchUser is there")
        user = ManholeUser(avatarId.decode("utf-8"), self._factory)
        return IConchUser, user, user.logout


class ManholeFactory(SSHFactory):
    """
    Serves the manhole.

    Args:
        ask: the one way to the server.
        names: what else the typist finds; frozen values.
        host_key: file with the server's key, see `ensure_host_key`.
        reactor: the clock of all limits.

    Raises:
        OSError: the host key cannot be read.
    """

    protocol = ManholeTransport
    noisy = False
    primes = None
    services = SERVICES

    def __init__(
        self,
        ask: Ask,
        names: Mapping[str, object],
        *,
        settings: ManholeSettings,
        host_key: str,
        reactor: IReactorTime,
        log: EventLog | None = None,
    ) -> None:
        self.ask = ask
        self.names = names
        self.settings = settings
        self.clock = reactor
        self.log = log or EventLog(Logger(namespace="mailsuite.manhole"))
        self.context_factory: object = None  # what a listener gives every factory
        checker = KeyChecker(settings.authorized_keys, self.log)
        checker.load()  # what is wrong with them is told at the start, not first to who cannot get in
        self.portal = Portal(ManholeRealm(self), [checker])
        key = Key.fromFile(host_key)
        kind = key.sshType()
        self.privateKeys = {kind: key}
        self.publicKeys = {kind: key.public()}
        self._live: set[ManholeTransport] = set()
        self._drained: list[Deferred[None]] = []
        self._draining = False

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make the protocol for one connection, or one that closes at once."""
        if self._draining or len(self._live) >= self.settings.connections_max:
            self.log.emit("manhole.connection.refused", peer=str(getattr(addr, "host", "") or ""))
            return Turned()
        transport: Any = super().buildProtocol(addr)
        self._live.add(transport)
        return transport

    def leave(self, transport: ManholeTransport) -> None:
        """A connection has ended."""
        self._live.discard(transport)
        self._tell_drained()

    def drain(self) -> Deferred[None]:
        """
        Take no more connections and end those that are there.

        Returns:
            Fires when the last one has ended; who cannot wait that long closes the rest with `abort`.
        """
        self._draining = True
        waiting: Deferred[None] = Deferred()
        self._drained.append(waiting)
        for transport in list(self._live):
            transport.farewell()
        self._tell_drained()
        return waiting

    def abort(self) -> None:
        """Close every connection now."""
        for transport in list(self._live):
            transport.transport.abortConnection()

    def end_account(self, email: str) -> None:
        """Nobody is logged in to an account here."""

    def _tell_drained(self) -> None:
        if self._draining and not self._live:
            drained, self._drained = self._drained, []
            for waiting in drained:
                waiting.callback(None)
