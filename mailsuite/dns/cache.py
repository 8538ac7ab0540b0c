"""What the DNS said lately."""

from collections import OrderedDict
from typing import Any

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces.dns import Answer, NoRecordsError

OCTETS_MAX = 32 * 2**20
"""Whoever has mail sent to domains of theirs decides how large answers are."""
ENTRY_OCTETS = 500
RECORD_OCTETS = 150
"""What an entry and a record take beside their text."""


@attrs.frozen(kw_only=True)
class Found:
    """
    How a lookup ended.

    Args:
        name: where aliases led.
        failure: it has no answer yet, and why; empty when it has.
        ttl: how many seconds it holds.
    """

    name: str
    records: tuple[Any, ...] = ()
    exists: bool = False
    secure: bool = False
    failure: str = ""
    ttl: float = 0

    def answer(self) -> Answer[Any]:
        """
        Give it to one who asked.

        Raises:
            NoRecordsError: there are no such records.
            MailError: UNAVAILABLE.
        """
        if self.failure:
            raise MailError(Kind.UNAVAILABLE, self.failure)
        if not self.records:
            raise NoRecordsError(self.name, exists=self.exists, secure=self.secure)
        return Answer(name=self.name, records=self.records, secure=self.secure)

    @property
    def weight_octets(self) -> int:
        """About how much memory it takes."""
        return ENTRY_OCTETS + sum(map(_weight, self.records))


def _weight(record: object) -> int:
    fields = (record,) if isinstance(record, str | bytes) else attrs.astuple(record)  # type: ignore[arg-type]
    return RECORD_OCTETS + sum(len(field) for field in fields if isinstance(field, str | bytes))


class Cache:
    """
    Remembers how lookups ended, each for its time; what was not asked for the longest goes first.

    Args:
        limit: most lookups that are remembered.
        octets_max: about how much memory they take together.
    """

    def __init__(self, limit: int, octets_max: int = OCTETS_MAX) -> None:
        self._limit = limit
        self._octets_max = octets_max
        self._octets = 0
        self._entries: OrderedDict[tuple[str, str], tuple[float, Found]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: tuple[str, str], now: float) -> Found | None:
        """Find what still holds."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, found = entry
        if not now < expires <= now + found.ttl:  # the latter: the clock was put back
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return found

    def put(self, key: tuple[str, str], found: Found, now: float) -> None:
        """Remember; what holds for no time is forgotten at once."""
        self._drop(key)
        if found.ttl > 0:
            self._entries[key] = (now + found.ttl, found)
            self._octets += found.weight_octets
            while len(self._entries) > self._limit or self._octets > self._octets_max:
                self._drop(next(iter(self._entries)))

    def _drop(self, key: tuple[str, str]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._octets -= entry[1].weight_octets
