"""
Watch the turns of a reactor: how often one took too long, how long, and in which function.

The reactor notes when it begins to wait for the system and when it goes on, which tells the length of each turn; the
time it waits does not count. A thread looks now and then, and when a turn takes too long it writes down what the
reactor's thread is doing. What is counted is time as a client sees it: work, waiting for a disk, the search for
garbage, and moments in which the machine ran something else.
"""

import os
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import attrs
from twisted.logger import Logger

from mailsuite.observe.log import EventLog

STALL_SECONDS = 0.05
LOG_SECONDS = 0.2  # from here on a stall is worth a line
HUNG_SECONDS = 5.0  # from here on one that has not ended is
SAY_SECONDS = 10.0  # at most one line in this time
RECENT_MAX = 50
PLACES_MAX = 200
STACK_MAX = 40
UNSEEN = "unseen"  # over before the thread could look
_OURS = "mailsuite" + os.sep


@attrs.frozen
class Stall:
    """
    One turn that took too long.

    Args:
        when: its beginning, in seconds since the epoch.
        place: the innermost function of ours, or of anybody when none was.
        stack: ``file:line function``, outermost first; without local variables.
    """

    when: float
    seconds: float
    place: str
    stack: Sequence[str]


@attrs.define
class Place:
    """What was counted for one function."""

    count: int = 0
    seconds: float = 0.0
    longest_seconds: float = 0.0


class WatchedPoller:
    """
    Stands in for the reactor's poller and takes the time around its wait.

    Args:
        poller: ``select.epoll`` or ``select.poll``.
        slow: told the beginning and the end of each turn that took longer than `stall_seconds`.
        seconds: a clock that never goes back.
    """

    __slots__ = (
        "_poll",
        "_seconds",
        "_slow",
        "_stall_seconds",
        "close",
        "modify",
        "poller",
        "register",
        "since",
        "unregister",
    )

    def __init__(
        self, poller: Any, stall_seconds: float, slow: Callable[[float, float], None], seconds: Callable[[], float]
    ) -> None:
        self.poller = poller
        self.register, self.modify, self.unregister = poller.register, poller.modify, poller.unregister
        self.close = getattr(poller, "close", None)
        self.since = 0.0  # when the turn began; 0 while the reactor waits
        self._poll = poller.poll
        self._stall_seconds = stall_seconds
        self._slow = slow
        self._seconds = seconds

    def poll(self, *arguments: Any) -> Any:
        """Wait as the reactor asks."""
        since = self.since
        if since:
            now = self._seconds()
            if now - since > self._stall_seconds:
                self._slow(since, now)
        self.since = 0.0
        ready = self._poll(*arguments)
        self.since = self._seconds()
        return ready


class Watchdog:
    """
    Watches one reactor from `start` to `stop`.

    Args:
        reactor: one that polls, as Twisted's epoll and poll reactors do; any other is left alone.
        stall_seconds: how long a turn may take; 0 watches nothing.
        hung_seconds: from when on one that goes on is logged.
    """

    def __init__(
        self, reactor: Any, stall_seconds: float = STALL_SECONDS, *, hung_seconds: float = HUNG_SECONDS
    ) -> None:
        self.count = 0
        self.seconds = 0.0
        self.longest_seconds = 0.0
        self._reactor = reactor
        self._stall_seconds = stall_seconds
        self._hung_seconds = hung_seconds
        self._recent: deque[Stall] = deque(maxlen=RECENT_MAX)
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._watched: WatchedPoller | None = None
        self._seen: tuple[float, Sequence[str]] = (0.0, ())  # beginning of a turn, and what it did
        self._silent_until = 0.0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = EventLog(Logger("mailsuite.observe.watchdog"))

    def start(self) -> None:
        """Begin; called in the reactor's thread."""
        poller: Any = getattr(self._reactor, "_poller", None)
        if self._watched is not None or not self._stall_seconds or not hasattr(poller, "poll"):
            return
        self._watched = WatchedPoller(poller, self._stall_seconds, self._note, time.perf_counter)
        self._reactor._poller = self._watched  # noqa: SLF001 - Twisted has no other place between wait and work
        self._stopped.clear()
        self._thread = threading.Thread(
            target=self._look, args=(self._watched, threading.get_ident()), name="watchdog", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End; the thread is gone when this returns."""
        watched, self._watched = self._watched, None
        if watched is None:
            return
        current: Any = getattr(self._reactor, "_poller", None)
        if current is watched:  # nobody else has put something in its place
            self._reactor._poller = watched.poller  # noqa: SLF001 - as above
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def is_watching(self) -> bool:
        """Whether turns are counted."""
        return self._watched is not None

    def stalls(self) -> Sequence[Stall]:
        """Give the last ones, the newest last."""
        return tuple(self._recent)

    def places(self) -> dict[str, Place]:
        """Give what was counted for each function, the longest in all first."""
        return dict(sorted(self._places.items(), key=lambda item: item[1].seconds, reverse=True))

    def _note(self, since: float, now: float) -> None:
        """Count a turn that is over; called in the reactor's thread."""
        seconds = now - since
        seen, stack = self._seen
        stack = stack if seen == since else ()
        stall = Stall(time.time() - seconds, seconds, place_of(stack), stack)
        self.count += 1
        self.seconds += seconds
        self.longest_seconds = max(self.longest_seconds, seconds)
        self._recent.append(stall)
        place = self._places.get(stall.place)
        if place is None:
            place = self._places[stall.place] = Place()
            if len(self._places) > PLACES_MAX:
                self._places.popitem(last=False)
        place.count += 1
        place.seconds += seconds
        place.longest_seconds = max(place.longest_seconds, seconds)
        if seconds >= LOG_SECONDS and now >= self._silent_until:
            self._silent_until = now + SAY_SECONDS
            self._log.emit(
                "reactor.turn.stalled",
                seconds=round(seconds, 3),
                place=stall.place,
                stack=list(stack),
                count=self.count,
            )

    def _look(self, watched: WatchedPoller, thread: int) -> None:
        """Look at the reactor's thread now and then; runs in the watchdog's own."""
        pause = self._stall_seconds / 2
        told = 0.0
        while not self._stopped.wait(pause):
            since = watched.since
            if not since:
                continue
            lasted = time.perf_counter() - since
            if lasted > self._stall_seconds and self._seen[0] != since:
                stack = stack_of(sys._current_frames().get(thread))  # noqa: SLF001 - the documented way
                if watched.since == since:
                    self._seen = (since, stack)
            if lasted > self._hung_seconds and told != since and self._seen[0] == since:
                told = since
                stack = self._seen[1]
                self._log.emit("reactor.turn.hung", seconds=round(lasted, 3), place=place_of(stack), stack=list(stack))


def stack_of(frame: FrameType | None) -> Sequence[str]:
    """Write the functions under way, outermost first, from where the reactor called the first."""
    lines: list[str] = []
    while frame is not None and len(lines) < STACK_MAX:
        code = frame.f_code
        if code.co_name in {"doPoll", "runUntilCurrent"} and "twisted" in code.co_filename:
            break
        lines.append(f"{relative(code.co_filename)}:{frame.f_lineno} {code.co_qualname}")
        frame = frame.f_back
    return tuple(reversed(lines))


def relative(path: str) -> str:
    """Shorten a file's name to that from its package on."""
    roots = [root for root in sys.path if root and path.startswith(root.rstrip(os.sep) + os.sep)]
    return os.path.relpath(path, max(roots, key=len)) if roots else path


def place_of(stack: Sequence[str]) -> str:
    """Name the innermost function of ours, or of anybody when none is; without its line, so that it can be counted."""
    if not stack:
        return UNSEEN
    line = next((line for line in reversed(stack) if line.startswith(_OURS)), stack[-1])
    place, _, function = line.partition(" ")
    return f"{place.rpartition(':')[0]} {function}"
