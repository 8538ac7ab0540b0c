"""What the DNS said lately."""

from collections import OrderedDict
from typing import Any

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces.dns import Answer, NoRecordsError


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


class Cache:
    """
    Remembers how lookups ended, each for its time; what was not asked for the longest goes first.

    Args:
        limit: most lookups that are remembered.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
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
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return found

    def put(self, key: tuple[str, str], found: Found, now: float) -> None:
        """Remember; what holds for no time is forgotten at once."""
        self._entries.pop(key, None)
        if found.ttl > 0 and self._limit > 0:
            self._entries[key] = (now + found.ttl, found)
            if len(self._entries) > self._limit:
                self._entries.popitem(last=False)
