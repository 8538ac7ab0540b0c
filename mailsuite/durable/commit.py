"""
Natural group commit: one thread takes whatever came while it was busy and finishes it together.

Under light load a group is one item and never waits. Under heavy load groups grow by themselves, and who can tell that
more is on its way gathers a moment longer.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.logger import Logger

from mailsuite.observe import EventLog

GATHER_STEP_SECONDS = 0.0003
GATHER_VAIN_STEPS = 4
"""After so many steps in which nothing came, what is on its way is slow, and not worth waiting for."""

Item = TypeVar("Item")


class GroupThread(Generic[Item]):
    """
    A thread that works on groups.

    Args:
        name: of the thread.
        work: called in the thread with one group, in order of arrival. It must not raise: nobody would answer for the
            group. If it does, that is logged, and the thread goes on.
        group_max: most items in a group.
        expects: whether more is on its way, which is worth waiting for.
        gather_seconds: how long to wait for it at most; what is alone is never made to wait.
        pause: waits; a test hands in its own.
        start: called once in the thread before anything else, for what belongs to the thread.
        stop: called once in the thread after the last group.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[list[Item]], None],
        *,
        group_max: int = 256,
        expects: Callable[[], bool] | None = None,
        gather_seconds: float = 0.0,
        pause: Callable[[float], None] = time.sleep,
        start: Callable[[], None] | None = None,
        stop: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._work = work
        self._group_max = group_max
        self._expects = expects
        self._gather_seconds = gather_seconds
        self._pause = pause
        self._start = start
        self._stop = stop
        self._log = EventLog(Logger("mailsuite.durable.commit"))
        self._queue: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, item: Item) -> None:
        """Add an item, from any thread."""
        self._queue.put(item)

    def stop(self) -> None:
        """Finish what was put so far, and wait for the thread to end. Blocks. What is put later is never worked on."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def backlog(self) -> int:
        """About how many items wait."""
        return self._queue.qsize()

    def _run(self) -> None:
        if self._start is not None:
            self._start()
        try:
            while self._run_group(self._queue.get()):
                pass
            while not self._queue.empty():  # put while `stop` was called
                self._run_group(self._queue.get())
        finally:
            if self._stop is not None:
                self._stop()

    def _run_group(self, item: Item | None) -> bool:
        group: list[Item] = []
        if item is not None and self._expects is not None:
            self._gather(self._expects)
        while item is not None:
            group.append(item)
            if len(group) == self._group_max:
                break
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
        if group:
            try:
                self._work(group)
            except Exception:  # noqa: BLE001 - the top of the thread: without it, nothing would ever be worked on
                self._log.failure("durable.group.failed", thread=self.name, items=len(group))
        return item is not None

    def _gather(self, expects: Callable[[], bool]) -> None:
        steps = int(self._gather_seconds / GATHER_STEP_SECONDS)
        vain = 0
        while steps > 0 and vain < GATHER_VAIN_STEPS and expects():
            size = self._queue.qsize()
            self._pause(GATHER_STEP_SECONDS)
            vain = 0 if self._queue.qsize() > size else vain + 1
            steps -= 1


class InlineGroup(Generic[Item]):
    """A `GroupThread` without a thread: each item is a group, worked on at once. For tests and one-shot commands."""

    def __init__(
        self,
        name: str,
        work: Callable[[list[Item]], None],
        *,
        group_max: int = 256,
        expects: Callable[[], bool] | None = None,
        gather_seconds: float = 0.0,
        start: Callable[[], None] | None = None,
        stop: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.group_max = group_max
        self.expects = expects
        self.gather_seconds = gather_seconds
        self._work = work
        self._start = start
        self._stop = stop

    def start(self) -> None:
        """Run what belongs before the first group."""
        if self._start is not None:
            self._start()

    def put(self, item: Item) -> None:
        """Work on the item now."""
        self._work([item])

    def stop(self) -> None:
        """Run what belongs after the last group."""
        if self._stop is not None:
            self._stop()

    def backlog(self) -> int:
        """Nothing ever waits."""
        return 0
