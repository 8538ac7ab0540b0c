"""A store whose lanes work at once, so that every call of the disk happens before the call of the test returns."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mailsuite.durable import InlineLane
from mailsuite.store import StorageSettings, open_store


class ReactorAtOnce(Clock):
    """A clock whose threads hand over at once."""

    def callFromThread(self, callable_, *arguments, **keywords):
        callable_(*arguments, **keywords)


def go(awaitable):
    """Give the result of what is done by now, or raise its failure."""
    results = []

    async def work():
        return await awaitable

    Deferred.fromCoroutine(work()).addBoth(results.append)
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def opened(folder, disk):
    store = open_store(
        StorageSettings(maildir_root=str(folder / "mail"), lanes=1, create_special=("Trash",)),
        disk=disk,
        reactor=ReactorAtOnce(),
        lane=InlineLane,
        clock=lambda: 1_800_000_000.0,
    )
    store.start()
    return store
