"""Long work of one command: in turns with what others want, and not for ever."""

from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

TURN_SECONDS = 0.02  # of work, then others have their turn
PIECE_TURN_SECONDS = 0.005  # the same, where the next piece of work may be a large one

T = TypeVar("T")


class OverdueError(Exception):
    """The command has used up its time."""


class Turns:
    """
    The time that one command has.

    Args:
        seconds: the clock, which counts from the epoch.
        deadline: when to give up, by that clock.
        pause: lets others have their turn.
    """

    def __init__(self, seconds: Callable[[], float], deadline: float, pause: Callable[[], Awaitable[None]]) -> None:
        self.seconds = seconds
        self.deadline = deadline
        self.pause = pause
        self._began = seconds()

    async def rest(self) -> None:
        """
        End this turn.

        Raises:
            OverdueError: the time is used up.
        """
        if self.seconds() > self.deadline:
            raise OverdueError
        await self.pause()
        self._began = self.seconds()

    async def look(self) -> None:
        """
        End this turn if it has been long enough.

        Raises:
            OverdueError: the time is used up.
        """
        if self.seconds() > self._began + TURN_SECONDS:
            await self.rest()

    async def run(self, work: Generator[None, None, T]) -> T:
        """
        Do work that knows nothing of clocks and can rest wherever it yields, and rest at its end.

        Raises:
            OverdueError: the time is used up.
        """
        while True:
            try:
                next(work)
            except StopIteration as end:
                result: T = end.value
                await self.rest()
                return result
            if self.seconds() > self._began + PIECE_TURN_SECONDS:
                await self.rest()
