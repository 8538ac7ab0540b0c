"""
The sweeper: makes deliveries survive a power loss, then lets the spool forget them.

One sync covers everything delivered since the last one. Its thread also finishes what a crash left, looks whether a
disk that failed takes commits again.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from mailsuite.interfaces import IDeliveryStore
from mailsuite.mta import statements
from mailsuite.mta.local import LocalAgent, Settled
from mailsuite.mta.replay import Replay
from mailsuite.mta.settings import SpoolSettings
from mailsuite.mta.writer import Write, Writer
from mailsuite.observe import EventLog

REPLAY_PAUSE_SECONDS = 0.02
FINISHED_EVERY_SECONDS = 5.0


class Sweeper:
    """
    Sweeps now and then.

    Args:
        parity: the lowest bit of the ids of messages that are ours to forget; None for all.
        put: gives work to the writer.
        unlink: removes body files that nobody needs.
        prepare: called when a sweep begins.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        agent: LocalAgent,
        store: IDeliveryStore,
        writer: Writer,
        replay: Replay,
        parity: int | None,
        put: Callable[[Write], None],
        unlink: Callable[[Sequence[str]], None],
        prepare: Callable[[], None],
        reactor: IReactorFromThreads,
        settings: SpoolSettings,
        log: EventLog,
        clock: Callable[[], float],
    ) -> None:
        self._agent = agent
        self._store = store
        self._writer = writer
        self._replay = replay
        self._parity = parity
        self._put = put
        self._unlink = unlink
        self._prepare = prepare
        self._reactor = reactor
        self._settings = settings
        self._log = log
        self._clock = clock
        self._ending = threading.Event()
        self._looked = -FINISHED_EVERY_SECONDS
        self._thread = threading.Thread(target=self._run, name="spool-sweeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and sweep a last time. Blocks."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        self.sweep()

    def look_for_finished(self) -> None:
        """The queue has finished something: the next sweep is to find it."""
        self._looked = -FINISHED_EVERY_SECONDS

    def sweep(self) -> bool:
        """Do one round; say whether there was anything to do. Blocks while the disk syncs."""
        self._prepare()
        if self._writer.failing:
            self._put(Write(change=statements.probe))
        busy = self._replay.advance()
        self._find_finished()
        settled = self._agent.take_settled()
        if not settled:
            return busy
        try:
            self._store.sync()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is known to be synced
            self._agent.give_back(settled)
            failure = Failure(error)
            self._reactor.callFromThread(lambda: self._log.failure("spool.sync.failed", failure))
            return True
        self._agent.confirm(settled.confirmations)
        self._forget(settled.message_ids)
        return True

    def _forget(self, message_ids: Sequence[int]) -> None:
        if not message_ids:
            return

        def deleted(result: Any) -> None:
            if isinstance(result, Failure):
                self._agent.give_back(Settled(message_ids=list(message_ids)))
            elif result:
                self._unlink(result)

        self._put(Write(change=lambda connection: statements.delete_messages(connection, message_ids), done=deleted))

    def _find_finished(self) -> None:
        # Only after the replay: before, a message may have local targets that nobody has delivered yet.
        now = self._clock()
        if not self._replay.complete or now - self._looked < FINISHED_EVERY_SECONDS:
            return
        self._looked = now

        def found(result: Any) -> None:
            if not isinstance(result, Failure):
                self._agent.settle(result)

        self._put(Write(change=lambda connection: statements.finished_messages(connection, self._parity), done=found))

    def _tell_failed(self, failure: Failure) -> None:
        self._reactor.callFromThread(lambda: self._log.failure("spool.sweep.failed", failure))

    def _run(self) -> None:
        pause = 0.0
        while not self._ending.wait(pause):
            try:
                busy = self.sweep()
            except Exception as error:  # noqa: BLE001 - the thread must live: without it nothing is ever forgotten
                self._tell_failed(Failure(error))
                busy = False
            if not self._replay.complete:
                pause = REPLAY_PAUSE_SECONDS
            else:
                pause = self._settings.busy_sweep_seconds if busy else self._settings.idle_sweep_seconds
