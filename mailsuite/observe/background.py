"""The one way to start work that nobody awaits."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailsuite.observe.log import EventLog

T = TypeVar("T")


def background(work: Coroutine[Deferred[Any], Any, T] | Deferred[T], log: EventLog, what: str) -> Deferred[None]:
    """
    Start `work` now; log its failure as ``background.work.failed`` instead of losing it.

    Args:
        what: names the work in the log.

    Returns:
        Fires with None when the work has ended, however it ended; cancelling it cancels the work.
    """
    running = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)

    def report(failure: Failure) -> None:
        log.failure("background.work.failed", failure, what=what)

    return running.addCallbacks(lambda _: None, report)
