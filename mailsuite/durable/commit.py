"""
Natural group commit: one thread takes whatever came while it was busy and finishes it together.

Under light load a group is one item and never waits. Under heavy load groups grow by themselves, and who asks for it
gathers a moment longer: companions of the last group are likely on their way.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.logger import Logger

from mailsuite.observe import EventLog

Item = TypeVar("Item")


class GroupThread(Generic[Item]):
    """
    A thread that works on groups.

    Args:
        name: of the thread.
        work: called in the thread with one group, in order of arrival. It must not raise: nobody would answer for the
            group. If it does, that is logged, and the thread goes on.
        group_max: most items in a group.
        gather_seconds: how long to wait for more after a group of several items; one alone is never made to wait.
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
        gather_seconds: float = 0.0,
        pause: Callable[[float], None] = time.sleep,
        start: Callable[[], None] | None = None,
        stop: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._work = work
        self._group_max = group_max
        self._gather_seconds = gather_seconds
        self._pause = pause
        self._last_size = 0
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
        if self._gather_seconds and self._last_size > 1 and item is not None:
            self._pause(self._gather_seconds)
        while item is not None:
            group.append(item)
            if len(group) == self._group_max:
                break
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
        self._last_size = len(group)
        if group:
            try:
                self._work(group)
            except Exception:  # noqa: BLE001 - the top of the thread: without it, nothing would ever be worked on
                self._log.failure("durable.group.failed", thread=self.name, items=len(group))
        return item is not None


class InlineGroup(Generic[Item]):
    """A `GroupThread` without a thread: each item is a group, worked on at once. For tests and one-shot commands."""

    def __init__(
        self,
        name: str,
        work: Callable[[list[Item]], None],
        *,
        group_max: int = 256,
        gather_seconds: float = 0.0,
        start: Callable[[], None] | None = None,
        stop: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.group_max = group_max
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
