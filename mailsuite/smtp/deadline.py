"""A time limit that is moved often and expires seldom."""

from collections.abc import Callable

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime


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
