"""
File descriptors: connections get what is left when mail and queue have theirs.

Without that, clients could take every descriptor of the process, and nothing that was accepted could be stored or
delivered. The system hands out the lowest free number, so the number it would hand out next says how many are taken,
whoever took them. When there is none at all, Twisted accepts with a descriptor that it keeps for that, and closes.
"""

import errno
import math
import os
import resource
from typing import Any

import attrs
from twisted.internet import tcp
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.logger import Logger

from mailsuite.observe import EventLog
from mailsuite.service.proxy import shown_peer
from mailsuite.store.settings import StorageSettings

PER_ACCOUNT = 4  # of an open index: SQLite's database, log and shared memory, and the lock
OTHERS = 200  # the spool, deliveries under way, logs, threads, other hosts we deliver to
STORE_SHARE = 4  # indexes have at most this part of all, when the limit is low
SAY_SECONDS = 10.0
REST_SECONDS = 1.0


def file_limit() -> int:
    """Tell how many descriptors the process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 20


def fit_storage(settings: StorageSettings, limit: int) -> StorageSettings:
    """Hold fewer indexes open where the limit is low."""
    most = max(settings.lanes, limit // STORE_SHARE // PER_ACCOUNT)
    return attrs.evolve(settings, open_accounts_max=min(settings.open_accounts_max, most))


def _next_descriptor() -> float:
    """Tell which number the system would hand out next; infinite when there is none left."""
    try:
        probe = os.dup(0)
    except OSError as error:
        return math.inf if error.errno in {errno.EMFILE, errno.ENFILE} else 0
    os.close(probe)
    return probe


def rest_when_exhausted(port: IListeningPort, clock: Any) -> None:
    """
    Let a port pause when Twisted's last descriptor is gone as well, as it is when somebody else was quicker.

    Twisted would try again and again to accept who waits, with all the time of the processor.
    """
    if not isinstance(port, tcp.Port):
        return
    accept, last = port.doRead, tcp._reservedFD  # noqa: SLF001 - Twisted tells nobody that it has lost it

    def accept_or_rest() -> None:
        accept()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        if not last.available():
            port.stopReading()
            clock.callLater(REST_SECONDS, resume)

    def resume() -> None:
        if _next_descriptor() < math.inf:
            last.reserve()
        if port.connected and not port.disconnecting:
            port.startReading()

    port.doRead = accept_or_rest  # type: ignore[method-assign]  # the reactor asks the port each time


@attrs.frozen
class DescriptorReserve:
    """
    What connections must leave.

    Args:
        limit: of the process.
        ceiling: the first number that is no more for connections.
    """

    limit: int
    ceiling: int

    @classmethod
    def of(cls, settings: StorageSettings) -> "DescriptorReserve":
        """Compute it for the limit in force: all that the store and others may need, but at most half."""
        limit = file_limit()
        wanted = fit_storage(settings, limit).open_accounts_max * PER_ACCOUNT + OTHERS
        return cls(limit, limit - min(wanted, limit // 2))

    def is_touched(self) -> bool:
        """Whether the next descriptor would be one of the reserve."""
        return _next_descriptor() >= self.ceiling


class GuardedFactory(ServerFactory):
    """
    Turns connections away, by closing them at once, while only the reserve is left.

    Args:
        wrapped: serves the others.
        clock: the event is logged at most once in `SAY_SECONDS`.
    """

    noisy = False

    def __init__(self, wrapped: IProtocolFactory, reserve: DescriptorReserve, clock: Any) -> None:
        self.wrapped = wrapped
        self._reserve = reserve
        self._clock = clock
        self._log = EventLog(Logger("mailsuite.service.descriptors"))
        self._count = 0
        self._silent_until = 0.0

    def doStart(self) -> None:
        """A port is opened."""
        super().doStart()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self.wrapped.doStart()

    def doStop(self) -> None:
        """A port is closed."""
        super().doStop()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self.wrapped.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Make a protocol; None closes the connection."""
        if self._reserve.is_touched():
            self._say(addr)
            return None
        protocol: Any = self.wrapped.buildProtocol(addr)  # type: ignore[arg-type]  # None in tests, as everywhere
        made: Protocol | None = protocol
        return made

    def _say(self, addr: IAddress | None) -> None:
        self._count += 1
        now = self._clock.seconds()
        if now < self._silent_until:
            return
        self._silent_until = now + SAY_SECONDS
        self._log.emit(
            "service.connection.refused", peer=shown_peer(addr), limit=self._reserve.limit, count=self._count
        )
        self._count = 0
