"""Time limits: one that is moved often and expires seldom, and how long content may still take."""

from collections.abc import Callable

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailsuite.smtp.settings import SMTPSettings


@attrs.define
class Deadline:
    """
    Calls `expired` when nobody moved the deadline in time.

    Moving it later costs a comparison: the timer that runs finds out, when it fires, that it has to run on.
    """

    clock: IReactorTime
    expired: Callable[[], None]
    _at: float = attrs.field(default=0, init=False)
    _timer: IDelayedCall | None = attrs.field(default=None, init=False)

    def set(self, seconds: float) -> None:
        """Expire this many seconds from now."""
        now = self.clock.seconds()
        self._at = now + seconds
        if self._timer is None:
            self._timer = self.clock.callLater(seconds, self._fire)
        elif self._timer.getTime() > self._at:
            self._timer.reset(seconds)

    def clear(self) -> None:
        """Never expire."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _fire(self) -> None:
        self._timer = None
        left = self._at - self.clock.seconds()
        if left > 0:
            self._timer = self.clock.callLater(left, self._fire)
        else:
            self.expired()


@attrs.define
class ContentPace:
    """
    How fast the content of one message comes in, and so how long it is waited for.

    Args:
        received_octets: counted by whoever receives them.
    """

    settings: SMTPSettings
    clock: IReactorTime
    received_octets: int = attrs.field(default=0, init=False)
    _began: float = attrs.field(default=0, init=False)
    _paused: float = attrs.field(default=0, init=False)

    def begin(self) -> None:
        """The peer may send now."""
        self.received_octets = 0
        self._began = self.clock.seconds()

    def pause(self) -> None:
        """We take nothing for a while."""
        self._paused = self.clock.seconds()

    def go_on(self) -> None:
        """We take octets again; the peer is not to blame for the time between."""
        self._began += self.clock.seconds() - self._paused

    def seconds_left(self) -> float:
        """Say how long to wait for the next octets before the peer is too slow."""
        settings = self.settings
        if not self.received_octets:
            return settings.data_start_seconds
        slowest = max(settings.data_grace_seconds, self.received_octets / settings.data_min_octets_per_second)
        last = self._began + min(settings.data_total_seconds, slowest)
        return max(0, min(settings.data_idle_seconds, last - self.clock.seconds()))
