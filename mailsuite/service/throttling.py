"""One limiter for all processes: the parent of workers counts, and they ask it."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import TimeoutError as WaitedTooLongError
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Claim, Grant, IThrottle
from mailsuite.service.control import Command
from mailsuite.service.link import Link

TAKE = "throttle.take"
ANSWER_SECONDS = 10.0
"""The parent does nothing that takes long."""


@implementer(IThrottle)
class ParentThrottle:
    """
    Asks the parent of this process.

    Args:
        link: to the parent.
        clock: for how long.
    """

    def __init__(self, link: Link, clock: IReactorTime) -> None:
        self._link = link
        self._clock = clock

    async def take(self, claims: Sequence[Claim]) -> Grant:
        """
        Count all claims, or none.

        Raises:
            MailError: UNAVAILABLE.
        """
        asked = self._link.ask(TAKE, claims=[attrs.astuple(claim) for claim in claims])
        try:
            answer: Any = await asked.addTimeout(ANSWER_SECONDS, self._clock)
        except WaitedTooLongError as error:
            raise MailError(Kind.UNAVAILABLE, "a process of the server did not answer; try again") from error
        return Grant(*answer)


def throttle_commands(throttle: IThrottle) -> Mapping[str, Command]:
    """Let workers ask for it."""

    async def take(request: Mapping[str, Any]) -> object:
        return attrs.astuple(await throttle.take([Claim(*claim) for claim in request["claims"]]))

    return {TAKE: take}
