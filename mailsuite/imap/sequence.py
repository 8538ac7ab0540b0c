"""
Sets of message numbers or UIDs: ``1:3,7,9:*`` (RFC 3501 section 9, "sequence-set").

A set is kept as few ascending ranges and resolved by bisecting, so that its cost follows what the client wrote and
never the size of the mailbox.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

import attrs

from mailsuite.imap.tokens import NUMBER_MAX, BadCommandError

RANGES_MAX = 10_000
_DIGITS_MAX = 10
_STAR = NUMBER_MAX + 1


def _number(text: bytes) -> int:
    if text == b"*":
        return _STAR
    if not text.isdigit() or len(text) > _DIGITS_MAX:
        raise BadCommandError("bad number in a message set")
    number = int(text)
    if not 1 <= number <= NUMBER_MAX:
        raise BadCommandError("a number in a message set is out of range")
    return number


def _merged(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    ranges.sort()
    merged: list[tuple[int, int]] = []
    low, high = 0, -1
    for first, last in ranges:
        if first <= high + 1 and merged:
            if last > high:
                high = last
                merged[-1] = (low, high)
        else:
            low, high = first, last
            merged.append((low, high))
    return tuple(merged)


@attrs.frozen
class SequenceSet:
    """
    Numbers that a client named.

    Args:
        ranges: first and last, ascending, neither touching nor overlapping; without those that reach to ``*``.
        tail: everything from here to the largest number, and the largest number itself even if it is smaller; None
            when the client wrote no ``*``.
        saved: the client wrote ``$``, alone or at the end (RFC 9051 section 9, "sequence-set"): what the last search
            saved (RFC 5182 section 2.1); it has no numbers here.
    """

    ranges: tuple[tuple[int, int], ...]
    tail: int | None = None
    saved: bool = False

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """
        Read a set as it is written in a command.

        Raises:
            BadCommandError: it is no set, or one of more than `RANGES_MAX` ranges.
        """
        if text.isdigit():
            number = _number(text)
            return cls(((number, number),))
        if text == b"$":
            return cls((), saved=True)
        saved = text.endswith(b",$")
        if saved:
            text = text[:-2]
        if text.count(b",") >= RANGES_MAX:
            raise BadCommandError("too many ranges in a message set", status=b"NO", code=b"LIMIT")
        ranges: list[tuple[int, int]] = []
        tail: int | None = None
        for item in text.split(b","):
            before, colon, after = item.partition(b":")
            first = _number(before)
            last = _number(after) if colon else first
            if first > last:
                first, last = last, first
            if last == _STAR:
                tail = first if tail is None else min(tail, first)
            else:
                ranges.append((first, last))
        return cls(_merged(ranges) if len(ranges) > 1 else tuple(ranges), tail, saved)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Self:
        """Make a set of numbers in any order."""
        return cls(_merged([(number, number) for number in numbers]))

    @property
    def has_numbers(self) -> bool:
        """Whether the client wrote numbers or ``*``."""
        return bool(self.ranges) or self.tail is not None

    @property
    def count(self) -> int:
        """How many numbers the ranges hold."""
        return sum(last - first + 1 for first, last in self.ranges)

    @property
    def largest(self) -> int:
        """The largest number that the client wrote as a number; 0 when it wrote only ``*``."""
        named = self.ranges[-1][1] if self.ranges else 0
        return named if self.tail is None or self.tail == _STAR else max(named, self.tail)

    def resolve(self, largest: int) -> tuple[tuple[int, int], ...]:
        """
        Give the ranges with ``*`` replaced, first and last, ascending, cut at the largest number.

        Args:
            largest: the largest number in use; 0 in an empty mailbox, which has no messages to name.
        """
        if largest <= 0:
            return ()
        if self.tail is None:
            if not self.ranges or self.ranges[-1][1] <= largest:
                return self.ranges
            ranges = list(self.ranges)
        else:
            ranges = [*self.ranges, (min(self.tail, largest), largest)]
        return _merged([(first, min(last, largest)) for first, last in ranges if first <= largest])

    def message_ranges(self, count: int) -> list[range]:
        """
        Find messages by sequence number.

        Args:
            count: how many messages there are; numbers beyond are passed over.

        Returns:
            Ascending ranges of indexes into an array of the messages: sequence number less one.
        """
        return [range(first - 1, last) for first, last in self.resolve(count)]

    def uid_ranges(self, uids: Sequence[int]) -> list[range]:
        """
        Find messages by UID.

        Args:
            uids: of all messages, ascending.

        Returns:
            Ascending, non-empty ranges of indexes into `uids`.
        """
        found: list[range] = []
        start = 0
        for first, last in self.resolve(uids[-1] if uids else 0):
            start = bisect_left(uids, first, start)
            end = bisect_right(uids, last, start)
            if start < end:
                found.append(range(start, end))
                start = end
        return found


def joined(ranges: Iterable[range]) -> list[range]:
    """Give the same positions as ascending ranges that do not touch; none of those given is empty."""
    return [range(first, last + 1) for first, last in _merged([(part.start, part.stop - 1) for part in ranges])]


def _runs(numbers: Iterable[int]) -> Iterator[bytes]:
    first = last = -1
    for number in numbers:
        if number == last + 1 and first >= 0:
            last = number
            continue
        if first >= 0:
            yield b"%d" % first if first == last else b"%d:%d" % (first, last)
        first = last = number
    if first >= 0:
        yield b"%d" % first if first == last else b"%d:%d" % (first, last)


def merge_runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Give ascending numbers as ranges that do not touch."""
    first = last = 0
    for number in numbers:
        if number != last + 1 or not first:
            if first:
                yield first, last
            first = number
        last = number
    if first:
        yield first, last


def encode_ranges(ranges: Iterable[tuple[int, int]]) -> bytes:
    """Write ranges as a set; at least one, for an empty set cannot be written."""
    return b",".join(b"%d" % first if first == last else b"%d:%d" % (first, last) for first, last in ranges)


def encode_set(numbers: Iterable[int]) -> bytes:
    """
    Write numbers as a compact set in the order given, as COPYUID needs it (RFC 4315 section 3).

    Args:
        numbers: positive; at least one, for an empty set cannot be written.
    """
    return b",".join(_runs(numbers))
