"""Work that a store begins now and whose result is wanted later."""

from collections.abc import Awaitable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


async def _await(work: Awaitable[T]) -> T:
    return await work


class Ahead(Generic[T]):
    """
    Something that was begun and is awaited once, or given up.

    Args:
        work: a coroutine, which runs at once up to its first wait, or a Deferred.
    """

    def __init__(self, work: Awaitable[T]) -> None:
        self._work: Deferred[T] = work if isinstance(work, Deferred) else Deferred.fromCoroutine(_await(work))
        self._abandoned: Deferred[T | None] | None = None

    async def result(self) -> T:
        """Wait for it."""
        return await self._work

    def abandon(self) -> None:
        """Let it end unheard; its failure would be a second one."""
        self._abandoned = self._work.addErrback(lambda _: None)
