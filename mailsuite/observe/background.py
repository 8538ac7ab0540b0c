"""The one way to start work that nobody awaits."""

import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from mailsuite.observe.log import EventLog

T = TypeVar("T")


def background(work: Coroutine[Deferred[Any], Any, T] | Deferred[T], log: EventLog, what: str) -> Deferred[None]:
    """
    Start `work` now; log its failure as ``background.work.failed`` instead of losing it.

    Work that waits for nothing, as most commands of a client, costs no Deferred of its own.

    Args:
        what: names the work in the log.

    Returns:
        Fires with None when the work has ended, however it ended; cancelling it cancels the work.
    """

    def report(failure: Failure) -> None:
        log.failure("background.work.failed", failure, what=what)

    if isinstance(work, Deferred):
        return work.addCallbacks(_forget, report)
    try:
        waits_for = work.send(None)
    except StopIteration:
        return succeed(None)
    except Exception:  # noqa: BLE001 - whatever it is, nobody else hears of it
        report(Failure())
        return succeed(None)
    return Deferred.fromCoroutine(_go_on(work, waits_for)).addCallbacks(_forget, report)


def _forget(result: object) -> None:
    del result


@types.coroutine
def _go_on(work: Coroutine[Deferred[Any], Any, T], waits_for: Deferred[Any]) -> Generator[Deferred[Any], Any, T]:
    """Go on with a coroutine that has begun, and now waits for something."""
    while True:
        try:
            try:
                result = yield waits_for
            except GeneratorExit:  # nobody will ever fire it
                work.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's
                waits_for = work.throw(error)
            else:
                waits_for = work.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
