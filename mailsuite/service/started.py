"""A service whose start takes a while, and whose parts end in the opposite order of their beginning."""

import abc
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mailsuite.observe import EventLog


class StartedService(Service, abc.ABC):
    """
    Starts by `begin`, and stops by what `begin` put into `stops`.

    Attributes:
        stops: what each part is and what ends it, which may be awaited; the last one is called first.
        on_reload: called when other values are asked for, before they are read.
        told: its start and end are events of their own; those of a worker are told by its parent.
    """

    told = True

    def __init__(self) -> None:
        self.stops: list[tuple[str, Callable[[], Any]]] = []
        self.on_reload: Callable[[], None] = _nothing
        self._log = EventLog(Logger("mailsuite.service"))
        self._starting: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._outcome: Any = None

    @abc.abstractmethod
    async def begin(self) -> None:
        """Start all parts."""

    def standard_streams_closed(self) -> None:
        """Nobody hears what this process says on its standard streams any more."""

    @abc.abstractmethod
    def ended(self) -> None:
        """All parts have stopped."""

    def startService(self) -> None:
        """Start; `when_ready` tells the outcome."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self._outcome = None
        self._starting = Deferred.fromCoroutine(self.begin())
        _ = self._starting.addBoth(self._started)

    def _started(self, result: Any) -> None:
        self._starting = None
        self._outcome = (result,)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(result)

    def when_ready(self) -> "Deferred[None]":
        """
        Wait for the start.

        Returns:
            Fires when every listener accepts connections; fails with the reason why that will not happen.
        """
        waiting: Deferred[None] = Deferred()
        if self._outcome is not None:
            waiting.callback(self._outcome[0])
        else:
            self._waiting.append(waiting)
        return waiting

    def stopService(self) -> "Deferred[None]":
        """
        Stop.

        Returns:
            Fires when sessions have ended, everything that was accepted is where it belongs, and threads are gone.
        """
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self.told:
            self._log.emit("service.stop.begun")
        if self._starting is not None:
            self._starting.cancel()
        while self.stops:
            what, stop = self.stops.pop()
            try:
                await _settled(stop())
            except Exception:  # noqa: BLE001 - one part that fails to stop must not keep the others from it
                self._log.failure("background.work.failed", what=f"stopping {what}")
        self.ended()
        if self.told:
            self._log.emit("service.stop.completed")


def _nothing() -> None:
    """Nobody wants to know."""


async def _settled(result: Any) -> None:
    """Wait for a result that may be an awaitable."""
    if hasattr(result, "__await__"):
        await result
