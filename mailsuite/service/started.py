"""A service whose start takes a while, and whose parts end in the opposite order of their beginning."""

import abc
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mailsuite.errors import Kind, MailError
from mailsuite.observe import EventLog
from mailsuite.service.control import Command


class StartedService(Service, abc.ABC):
    """
    Takes what needs rights by `take`, starts by `begin`, and stops by what `begin` put into `stops`.

    Attributes:
        commands: what operators can ask it, by name; filled by `begin`.
        stops: what each part is and what ends it, which may be awaited; the last one is called first.
        on_reload: called when other values are asked for, before they are read.
        told: its start and end are events of their own; those of a worker are told by its parent.
    """

    told = True

    def __init__(self) -> None:
        self.commands: dict[str, Command] = {}
        self.stops: list[tuple[str, Callable[[], Any]]] = []
        self.on_reload: Callable[[], None] = _nothing
        self._log = EventLog(Logger("mailsuite.service"))
        self._starting: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._outcome: Any = None
        self._taken = False

    @abc.abstractmethod
    def take(self) -> None:
        """
        Take the locks and the ports, and whatever else may need rights that the process gives up later.

        Raises:
            MailError: another server has them; nothing is taken then.
            OSError: the run folder cannot be used.
        """

    @abc.abstractmethod
    def give_back(self) -> None:
        """Give back what `take` took: all parts have stopped."""

    @abc.abstractmethod
    async def begin(self) -> None:
        """Start all parts."""

    def standard_streams_closed(self) -> None:
        """Nobody hears what this process says on its standard streams any more."""

    async def ask(self, command: str, **arguments: object) -> object:
        """
        Do what the control socket's command of this name does.

        Raises:
            MailError: NOT_FOUND when there is none; what the command raises.
        """
        found = self.commands.get(command)
        if found is None:
            raise MailError(Kind.NOT_FOUND, "the server does not know this command")
        return await found(arguments)

    def privilegedStartService(self) -> None:
        """Take what needs rights; raises what `take` raises."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self.ensure_taken()

    def ensure_taken(self) -> None:
        """Take what needs rights, unless that was done before; raises what `take` raises."""
        if not self._taken:
            self.take()
            self._taken = True

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
        self.give_back()
        self._taken = False
        if self.told:
            self._log.emit("service.stop.completed")


def _nothing() -> None:
    """Nobody wants to know."""


async def _settled(result: Any) -> None:
    """Wait for a result that may be an awaitable."""
    if hasattr(result, "__await__"):
        await result
