"""A message as it goes to one host: read, looked at, and converted where the host would not take it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorThreads, IReactorTime
from twisted.internet.threads import deferToThreadPool

from mailsuite.envelope import Body, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.message.survey import Survey, is_internationalized
from mailsuite.smtp.offered import Offered
from mailsuite.smtp.outcome import Content

if TYPE_CHECKING:
    from twisted.python.threadpool import ThreadPool

LARGE_OCTETS = 32 * 1024
"""Messages over this size are converted in a thread, and only so many at the same time."""

LARGE_MAX = 4


class Conversions:
    """
    Converts messages for hosts that take less.

    What was converted lies in memory until it was sent: at most `LARGE_MAX` times the largest message that is
    accepted, and half as much again, beside messages up to `LARGE_OCTETS`.

    Args:
        reactor: the clock; with threads, large messages are converted in one.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor: Any = reactor
        self._room = DeferredSemaphore(LARGE_MAX)

    async def enter(self, size_octets: int, seconds: float) -> bool:
        """
        Wait until there is room for a message of this size.

        Returns:
            Whether `leave` is to be called when the message is in memory no more.

        Raises:
            MailError: UNAVAILABLE, when it took too long.
        """
        if size_octets <= LARGE_OCTETS:
            return False
        try:
            await self._room.acquire().addTimeout(seconds, self._reactor)
        except defer.TimeoutError:
            raise MailError(Kind.UNAVAILABLE, "too many messages are being converted") from None
        return True

    def leave(self) -> None:
        """Make room."""
        self._room.release()

    async def convert(self, content: bytes, *, seven_bit: bool, binary: bool) -> bytes:
        """
        Convert a message.

        Raises:
            NotConvertibleError: it would break.
        """
        from mailsuite.message.convert import convert

        def job() -> bytes:
            return convert(content, seven_bit=seven_bit, binary=binary)

        if len(content) <= LARGE_OCTETS or not IReactorThreads.providedBy(self._reactor):
            return job()
        pool: ThreadPool = self._reactor.getThreadPool()
        return await deferToThreadPool(self._reactor, pool, job)


class _InMemory:
    """Octets that are there."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._start = 0
        self.size = len(octets)

    async def read(self) -> bytes:
        """Give the next octets."""
        start = self._start
        self._start += LARGE_OCTETS
        return self._octets[start : start + LARGE_OCTETS]


class Outgoing:
    """
    Made by `prepare`; `close` ends it.

    Args:
        first: the first octets.
        size_octets: of all.
        body: what MAIL says of them.

    Attributes:
        internationalized: header fields may hold UTF-8.
    """

    def __init__(self, first: bytes, size_octets: int, body: Body, open_content: Callable[[], Content]) -> None:
        self.internationalized = False
        self.first = first
        self.size_octets = size_octets
        self.body = body
        self._open_content = open_content
        self._close: Callable[[], None] | None = None

    @property
    def whole(self) -> bool:
        """Whether the first octets are all."""
        return len(self.first) >= self.size_octets

    def content(self) -> Content:
        """Give the octets, from the first."""
        return _InMemory(self.first) if self.whole else self._open_content()

    def keep_room(self, close: Callable[[], None]) -> None:
        """Call this when the message is in memory no more."""
        self._close = close

    def close(self) -> None:
        """Nobody sends it any more."""
        closing, self._close = self._close, None
        if closing is not None:
            closing()


async def prepare(
    open_content: Callable[[], Content],
    sender: Sender,
    offered: Offered,
    conversions: Conversions,
    *,
    wait_seconds: float,
) -> Outgoing:
    """
    Find out what a message needs of a host, and change it if the host does not have that; header fields stay.

    Raises:
        NotConvertibleError: it cannot be changed without breaking it.
        MailError: UNAVAILABLE, it cannot be read now.
    """
    content = open_content()
    first = await content.read()
    survey = Survey()
    survey.feed(first)
    if len(first) < content.size:
        while octets := await content.read():
            survey.feed(octets)
    outgoing = await _fit(open_content, first, content.size, survey, sender, offered, conversions, wait_seconds)
    outgoing.internationalized = is_internationalized(first, eight_bit=survey.eight_bit)
    return outgoing


async def _fit(
    open_content: Callable[[], Content],
    first: bytes,
    size_octets: int,
    survey: Survey,
    sender: Sender,
    offered: Offered,
    conversions: Conversions,
    wait_seconds: float,
) -> Outgoing:
    binary = sender.body is Body.BINARY_MIME
    if binary and offered.chunking and offered.binary_mime:
        return Outgoing(first, size_octets, Body.BINARY_MIME, open_content)
    seven_bit = not offered.eight_bit_mime
    if binary or survey.long_lines or (seven_bit and survey.eight_bit):
        return await _convert(open_content, conversions, seven_bit=seven_bit, binary=binary, wait_seconds=wait_seconds)
    eight_bit = survey.eight_bit or sender.body is Body.EIGHT_BIT_MIME
    body = Body.EIGHT_BIT_MIME if eight_bit and not seven_bit else Body.SEVEN_BIT
    return Outgoing(first, size_octets, body, open_content)


async def _convert(
    open_content: Callable[[], Content], conversions: Conversions, *, seven_bit: bool, binary: bool, wait_seconds: float
) -> Outgoing:
    content = open_content()
    has_room = await conversions.enter(content.size, wait_seconds)
    try:
        pieces = []
        while octets := await content.read():
            pieces.append(octets)
        converted = await conversions.convert(b"".join(pieces), seven_bit=seven_bit, binary=binary)
    except BaseException:
        if has_room:
            conversions.leave()
        raise
    body = Body.SEVEN_BIT if seven_bit or converted.isascii() else Body.EIGHT_BIT_MIME
    outgoing = Outgoing(converted, len(converted), body, open_content)
    if has_room:
        outgoing.keep_room(conversions.leave)
    return outgoing
