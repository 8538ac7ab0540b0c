"""
Worker threads for what blocks: a lane is one thread that does its jobs in order, a pool is some lanes.

Results of jobs that end close together cross to the reactor together.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailsuite.errors import Kind, MailError
from mailsuite.observe import EventLog

T = TypeVar("T")

RESULT_DELAY_SECONDS = 0.002
LANE_LIMIT = 10_000

_Job = tuple[Deferred[Any] | None, Callable[[], Any]]
_Result = tuple[Deferred[Any], Any]


class Lane:
    """
    One thread, jobs in order.

    Args:
        reactor: where results fire.
        limit: most jobs that may wait; above it `run` fails with UNAVAILABLE.
        prepare: called once in the thread before anything else.
    """

    def __init__(
        self,
        name: str,
        reactor: IReactorFromThreads,
        *,
        limit: int = LANE_LIMIT,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        self.name = name
        self._reactor = reactor
        self._limit = limit
        self._prepare = prepare
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._results: list[_Result] = []
        self._stopped = False
        self._log = EventLog(Logger("mailsuite.durable.pools"))
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def run(self, job: Callable[..., T], *arguments: Any) -> "Deferred[T]":
        """Do a job in the thread and give its result in the reactor; call it in the reactor."""
        deferred: Deferred[T] = Deferred()
        if self._stopped:
            deferred.errback(MailError(Kind.UNAVAILABLE, "the server is shutting down; try again later"))
        elif self._queue.qsize() >= self._limit:
            deferred.errback(MailError(Kind.UNAVAILABLE, "the server is too busy; try again later"))
        else:
            self._queue.put((deferred, lambda: job(*arguments)))
        return deferred

    def post(self, job: Callable[..., None], *arguments: Any) -> None:
        """Do a job in the thread; it must not raise. From any thread, without limit."""
        self._queue.put((None, lambda: job(*arguments)))

    def backlog(self) -> int:
        """About how many jobs wait."""
        return self._queue.qsize()

    def stop(self) -> None:
        """Finish what was given so far, and wait for the thread to end. Blocks. What is given later fails."""
        self._stopped = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        if self._prepare is not None:
            self._prepare()
        flushed = time.monotonic()
        while (item := self._queue.get()) is not None:
            deferred, job = item
            try:
                result: Any = job()
            except BaseException:  # noqa: BLE001 - whatever it is, it belongs to who waits for the job
                result = Failure()
            if deferred is not None:
                self._results.append((deferred, result))
            elif isinstance(result, Failure):
                self._log.failure("durable.job.failed", result, thread=self.name)
            if self._results and (self._queue.empty() or time.monotonic() - flushed > RESULT_DELAY_SECONDS):
                self._flush()
                flushed = time.monotonic()
        if self._results:
            self._flush()

    def _flush(self) -> None:
        results, self._results = self._results, []
        self._reactor.callFromThread(_fire, results)


def _fire(results: Sequence[_Result]) -> None:
    for deferred, result in results:
        if deferred.called:
            continue  # cancelled while the job ran
        deferred.callback(result)  # a Failure fires the errbacks


class InlineLane:
    """A `Lane` without a thread: jobs are done at once. For tests and one-shot commands."""

    def __init__(self, name: str = "inline", reactor: object = None, *, limit: int = LANE_LIMIT) -> None:
        self.name = name
        self.reactor = reactor
        self.limit = limit
        self._posted: deque[Callable[[], None]] = deque()
        self._busy = False

    def start(self) -> None:
        """Nothing to start."""

    def run(self, job: Callable[..., T], *arguments: Any) -> "Deferred[T]":
        """Do a job now."""
        return execute(job, *arguments)

    def post(self, job: Callable[..., None], *arguments: Any) -> None:
        """Do a job now, or when the one that posts it has ended."""
        self._posted.append(lambda: job(*arguments))
        if self._busy:
            return
        self._busy = True
        try:
            while self._posted:
                self._posted.popleft()()
        finally:
            self._busy = False

    def backlog(self) -> int:
        """Nothing ever waits."""
        return 0

    def stop(self) -> None:
        """Nothing to stop."""


class LanePool:
    """
    Some lanes; what has the same key is done in order, by the same thread.

    Args:
        lanes: at least one; made by the service.
    """

    def __init__(self, lanes: Sequence[Lane | InlineLane]) -> None:
        self.lanes = lanes

    def start(self) -> None:
        """Start all threads."""
        for lane in self.lanes:
            lane.start()

    def lane(self, key: int) -> Lane | InlineLane:
        """Find the lane of a key."""
        return self.lanes[key % len(self.lanes)]

    def run(self, job: Callable[..., T], *arguments: Any) -> "Deferred[T]":
        """Do a job that belongs to no key, in the lane with the fewest waiting."""
        shortest = min(self.lanes, key=lambda lane: lane.backlog())
        return shortest.run(job, *arguments)

    def stop(self) -> None:
        """Stop all threads. Blocks."""
        for lane in self.lanes:
            lane.stop()
