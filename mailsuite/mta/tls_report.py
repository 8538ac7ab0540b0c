"""How TLS to other hosts went, counted for reports to their domains. RFC 8460 section 4."""

from collections import Counter
from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from mailsuite.durable import InlineLane, Lane
from mailsuite.errors import MailError
from mailsuite.mta.tls_store import TLSResult, TLSStore
from mailsuite.observe import EventLog, background

FLUSH_SECONDS = 5.0
PENDING_MAX = 10_000
DAY_SECONDS = 86400


class TLSReports:
    """
    Counts results in memory and writes them together, some seconds later.

    Args:
        lane: the one thread in which `store` is used.
    """

    def __init__(self, store: TLSStore, lane: Lane | InlineLane, clock: IReactorTime) -> None:
        self._store = store
        self._lane = lane
        self._clock = clock
        self._pending: Counter[TLSResult] = Counter()
        self._day = 0
        self._timer: IDelayedCall | None = None
        self._flushing: Deferred[None] | None = None
        self._log = EventLog(Logger("mailsuite.mta.tls_report"))

    def record(self, result: TLSResult) -> None:
        """Count one session."""
        day = self.today()
        if day != self._day:
            self._write()
            self._day = day
        if result in self._pending or len(self._pending) < PENDING_MAX:
            self._pending[result] += 1
        if self._timer is None:
            self._timer = self._clock.callLater(FLUSH_SECONDS, self._write)

    def today(self) -> int:
        """Say which day it is, counted from the epoch in UTC, as reports are about (RFC 8460 section 4.1)."""
        return int(self._clock.seconds() // DAY_SECONDS)

    async def results(self, day: int) -> Sequence[tuple[TLSResult, int]]:
        """
        Give what was counted on a day, and how often; the last seven are kept.

        Raises:
            MailError: UNAVAILABLE.
        """
        await self.flush()
        return await self._lane.run(self._store.results, day)

    async def flush(self) -> None:
        """Write what was counted so far."""
        self._write()
        if self._flushing is not None:
            await self._flushing

    def _write(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        counts, self._pending = self._pending, Counter()
        if counts:
            self._flushing = background(self._put(self._day, counts), self._log, "counting results of TLS")

    async def _put(self, day: int, counts: Counter[TLSResult]) -> None:
        try:
            await self._lane.run(self._store.add_results, day, counts)
        except MailError as error:
            self._log.emit("tls.results.lost", count=counts.total(), reason=error.detail)
