"""
How destinations behave, and what they may therefore be given: none that does not answer keeps others waiting.

A destination that nobody knows yet gets one attempt. Each success lets it have more at a time. One that cannot be
reached is paused, longer each time, and then probed by a single attempt. Of all attempts, only a part may be for
destinations that failed the last time, a larger one for those that have not answered yet, and a still larger one when
their mail has just come. An attempt that waits long for a first answer no longer takes anybody's place, nor do those of
a destination where none has begun or ended for long.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from mailsuite.mta.queue_store import HERE
from mailsuite.mta.retry import JITTER_SHARE
from mailsuite.mta.settings import QueueSettings

SEQUENCE_MESSAGES = 4
"""Messages that one sequence of attempts hands over, one after the other, so that a connection serves several."""
PATIENCE = 3
"""Failures in a row after which a destination is paused that has answered before; another one at the first."""
FAILING_SHARE = 0.25
UNPROVEN_SHARE = 0.5
FRESH_SHARE = 0.75
SLOW_SECONDS = 3.0
STALLED_SECONDS = 30.0
SLOW_FACTOR = 3
"""
Attempts that wait so long, where nobody has answered yet, or where somebody has and none of them has ended since,
are not counted, but for this multiple of all others.
"""
STANDINGS_MAX = 10_000
"""Destinations of which more is known than what is under way; the rest are met anew."""


@attrs.frozen(kw_only=True)
class Pause:
    """
    A destination that is left alone.

    Args:
        until: seconds since the epoch; then one attempt is made.
        words: why.
    """

    destination: str
    failures: int
    until: float
    words: str


@attrs.frozen
class _Standing:
    """What is known of a destination; a change makes a new one, so that other threads may look at an old one."""

    width: int = 1
    under_way: int = 0
    proven: bool = False
    failures: int = 0
    pauses: int = 0
    until: float = 0.0
    words: str = ""
    began: float = 0.0

    @property
    def messages(self) -> int:
        """How many messages a sequence may have."""
        return SEQUENCE_MESSAGES if self.proven else 1


UNKNOWN = _Standing()


class Destinations:
    """
    Everything known of destinations, each under its `mailsuite.mta.relay.Destination.key`. Used in the reactor.

    Args:
        clock: seconds since the epoch.
        jitter: 0 to 1.
    """

    def __init__(self, settings: QueueSettings, clock: Callable[[], float], jitter: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._standings: dict[str, _Standing] = {}
        self._busy: set[str] = set()

    def sequence_messages(self, key: str) -> int:
        """Say how many messages one sequence of attempts may have."""
        return self._standings.get(key, UNKNOWN).messages

    def begin(self, key: str) -> None:
        """A sequence of attempts begins."""
        self._change(key, under_way=self._standings.get(key, UNKNOWN).under_way + 1, began=self._clock())
        self._busy.add(key)

    def end(self, key: str) -> None:
        """It has ended."""
        under_way = self._standings.get(key, UNKNOWN).under_way - 1
        self._change(key, under_way=under_way)
        if not under_way:
            self._busy.discard(key)
        if len(self._standings) > STANDINGS_MAX:
            self._forget()

    def reached(self, key: str) -> bool:
        """Somebody answered there; say whether it had been paused before."""
        standing = self._standings.get(key, UNKNOWN)
        width = min(standing.width * 2, self._settings.destination_max)
        self._change(key, proven=True, failures=0, pauses=0, until=0.0, words="", width=width)
        return standing.until > 0

    def missed(self, key: str, words: str, *, grows: bool = True) -> Pause | None:
        """
        Nobody answered there; give the pause that begins now.

        Args:
            grows: the next one is longer; False where the trouble may be ours, and end at any moment.
        """
        standing = self._standings.get(key, UNKNOWN)
        now = self._clock()
        if key == HERE or standing.until > now:
            return None  # others were under way when the pause began
        failures = standing.failures + 1
        if standing.proven and failures < PATIENCE:
            self._change(key, failures=failures, words=words)
            return None
        until = now + self._pause_seconds(standing.pauses)
        self._change(
            key, proven=False, width=1, failures=failures, pauses=standing.pauses + grows, until=until, words=words
        )
        return self._pause(key)

    def _pause_seconds(self, before: int) -> float:
        seconds, most = self._settings.pause_first_seconds, self._settings.pause_max_seconds
        for _ in range(before):
            seconds *= 2
            if seconds >= most:
                break
        return min(seconds, most) * (1 + JITTER_SHARE * self._jitter())

    def is_paused(self, key: str) -> bool:
        """Whether it is left alone now."""
        standing = self._standings.get(key)
        return standing is not None and standing.until > self._clock()

    def open(self, keys: Iterable[str] | None = None) -> None:
        """End pauses; of all when nothing is named."""
        now = self._clock()
        for key in list(self._standings) if keys is None else keys:
            if self._standings.get(key, UNKNOWN).until > now:
                self._change(key, until=now)

    def pauses(self) -> Sequence[Pause]:
        """List the destinations that are left alone now, the worst first."""
        now = self._clock()
        found = [self._pause(key) for key, standing in self._standings.items() if standing.until > now]
        return sorted(found, key=lambda pause: (-pause.failures, pause.destination))

    def quota(
        self, key_of: Callable[[str], str], *, parts: int = 1, fresh: bool = False, first: bool = False
    ) -> "DestinationQuota":
        """
        Say what may begin now.

        Args:
            key_of: gives the destination of a domain; any thread may call it.
            parts: in how many the free attempts are to be divided.
            fresh: for mail that has just come.
            first: no destination gets more than one sequence.
        """
        most, now = self._settings.attempts_max, self._clock()
        proven, young, slow, failing = 0, 0, 0, 0
        for key in self._busy:
            standing = self._standings[key]
            if key != HERE and standing.began < now - (STALLED_SECONDS if standing.proven else SLOW_SECONDS):
                slow += standing.under_way
            elif key == HERE or standing.proven:
                proven += standing.under_way
            else:
                young += standing.under_way
                failing += standing.under_way if standing.until else 0
        free = -(-(most - proven - young - max(0, slow - most * SLOW_FACTOR)) // parts)
        unproven = max(1, int(most * (FRESH_SHARE if fresh else UNPROVEN_SHARE))) - young
        if slow >= most * SLOW_FACTOR:
            unproven = 0
        return DestinationQuota(
            key_of=key_of,
            now=now,
            destination_max=self._settings.destination_max,
            first=first,
            free=free,
            free_unproven=min(free, unproven),
            free_failing=min(free, max(1, int(most * FAILING_SHARE)) - failing),
            standings=dict(self._standings),
        )

    def _pause(self, key: str) -> Pause:
        standing = self._standings[key]
        return Pause(destination=key, failures=standing.failures, until=standing.until, words=standing.words)

    def _change(self, key: str, **changes: Any) -> None:
        self._standings[key] = attrs.evolve(self._standings.get(key, UNKNOWN), **changes)

    def _forget(self) -> None:
        # Those go first that nobody would miss: what never failed, then what was paused longest ago.
        idle = [key for key in self._standings if key not in self._busy]
        idle.sort(key=lambda key: self._standings[key].until)
        for key in idle[: len(self._standings) - STANDINGS_MAX // 2]:
            del self._standings[key]


@attrs.define(kw_only=True)
class DestinationQuota:
    """A `mailsuite.mta.queue_store.Quota`: what `Destinations` knew when somebody asked."""

    _key_of: Callable[[str], str]
    _now: float
    _destination_max: int
    _first: bool
    _free: int
    _free_unproven: int
    _free_failing: int
    _standings: dict[str, _Standing]

    def is_exhausted(self) -> bool:
        """Nothing more may be leased for any domain."""
        return self._free <= 0

    def room(self, domain: str, *, urgent: bool) -> int:
        """Say how many messages for a domain may be leased."""
        key = HERE if domain == HERE else self._key_of(domain)
        standing = self._standings.get(key, UNKNOWN)
        if standing.until > self._now:
            return 1 if urgent and self._free > 0 and not standing.under_way else 0
        width, free = standing.width, self._free
        if key == HERE:
            width = self._destination_max
        elif not standing.proven:
            free = min(free, self._free_unproven, self._free_failing if standing.until else free)
        sequences = max(0, min(width - standing.under_way, 1 if self._first else free, free))
        return sequences * standing.messages

    def take(self, domain: str, messages: int) -> None:
        """So many were leased."""
        key = HERE if domain == HERE else self._key_of(domain)
        standing = self._standings.get(key, UNKNOWN)
        begun = -(-messages // standing.messages)
        self._standings[key] = attrs.evolve(standing, under_way=standing.under_way + begun)
        self._free -= begun
        if key != HERE and not standing.proven:
            self._free_unproven -= begun
            if standing.until:
                self._free_failing -= begun
