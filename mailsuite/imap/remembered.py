"""
What was worked out about the messages of a selected mailbox, for the next time that a client asks.

A message never changes but for its flags, so an order by what it holds is right for as long as its messages are there.
"""

from array import array
from collections.abc import Sequence

import attrs

from mailsuite.imap.sort_grammar import SortCriterion

ORDERS_MAX = 2
MESSAGES_MAX = 20_000
LINE_MAX_OCTETS = 128 * 1024

Criteria = tuple[SortCriterion, ...]


@attrs.frozen
class _Threads:
    """The answer to one THREAD."""

    algorithm: object
    uids: "array[int]"
    numbers: "array[int]"
    line: bytes


class Remembered:
    """Some orders and one answer, none of them large."""

    __slots__ = ("_orders", "_threads")

    def __init__(self) -> None:
        self._orders: dict[Criteria, array[int]] = {}
        self._threads: _Threads | None = None

    def order(self, criteria: Criteria, uids: Sequence[int]) -> Sequence[int] | None:
        """Give UIDs in an order; None when that of one of them is not known."""
        known = self._orders.get(criteria)
        if known is None:
            return None
        wanted = set(uids)
        found = [uid for uid in known if uid in wanted]
        return found if len(found) == len(wanted) else None

    def note_order(self, criteria: Criteria, uids: Sequence[int]) -> None:
        """Remember an order, in the place of the one that was noted first."""
        self._orders.pop(criteria, None)
        if len(uids) <= MESSAGES_MAX:
            self._orders[criteria] = array("I", uids)
        while len(self._orders) > ORDERS_MAX:
            del self._orders[next(iter(self._orders))]

    def threads(self, algorithm: object, uids: Sequence[int], numbers: Sequence[int]) -> bytes:
        """Give the answer about these messages, which have these numbers in it; empty when it is not known."""
        known = self._threads
        if known is None or known.algorithm is not algorithm:
            return b""
        same = known.uids == array("I", uids) and known.numbers == array("I", numbers)
        return known.line if same else b""

    def note_threads(self, algorithm: object, uids: Sequence[int], numbers: Sequence[int], line: bytes) -> None:
        """Remember an answer."""
        if len(line) <= LINE_MAX_OCTETS:
            self._threads = _Threads(algorithm, array("I", uids), array("I", numbers), line)
