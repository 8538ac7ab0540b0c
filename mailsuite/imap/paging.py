"""
Pages of what was found: ``PARTIAL 1:100`` from its beginning, ``PARTIAL -1:-100`` from its end.

RFC 9394 sections 3.1 and 4. Pure.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

import attrs

from mailsuite.imap.tokens import NUMBER_MAX, BadCommandError, Tokens

T = TypeVar("T")

_RANGE = re.compile(rb"(-?)([1-9][0-9]{0,9}):(-?)([1-9][0-9]{0,9})(?![0-9])")


@attrs.frozen
class Page:
    """
    Which of the results are wanted.

    Args:
        text: as the client wrote it, which the answer repeats.
        first: counted from 1.
        last: not less than `first`.
        from_end: 1 is the last result.
    """

    text: bytes
    first: int
    last: int
    from_end: bool = False

    def bounds(self, count: int) -> tuple[int, int]:
        """Give beginning and end of the page among so many results, counted from 0."""
        if self.from_end:
            return max(0, count - self.last), max(0, count - self.first + 1)
        return min(self.first - 1, count), min(self.last, count)

    def of(self, results: Sequence[T]) -> Sequence[T]:
        """Give the results of this page, in their order; those that do not exist are left out."""
        start, end = self.bounds(len(results))
        return results[start:end]

    def of_ranges(self, ranges: Sequence[range]) -> Iterator[range]:
        """Give what this page has of ascending ranges."""
        start, end = self.bounds(sum(map(len, ranges)))
        for part in ranges:
            within = part[max(0, start) : max(0, end)]
            if within:
                yield within
            start -= len(part)
            end -= len(part)


def take_page(tokens: Tokens) -> Page:
    """
    Take a space and a range.

    Raises:
        BadCommandError: it is none, or begins at one end and ends at the other.
    """
    tokens.space()
    text = tokens.take(_RANGE, "a range of results")
    found = _RANGE.fullmatch(text)
    if found is None:  # it has just matched
        raise BadCommandError("expected a range of results")
    first_sign, first, last_sign, last = found.groups()
    if first_sign != last_sign:
        raise BadCommandError("a range is counted from one end")
    numbers = sorted((int(first), int(last)))
    if numbers[1] > NUMBER_MAX:
        raise BadCommandError("a range of results is out of range")
    return Page(text, numbers[0], numbers[1], bool(first_sign))
