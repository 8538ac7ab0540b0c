"""
FETCH responses from columns of the index: the items are compiled once, then a message costs one interpolation.

Pure. RFC 3501 section 7.4.2.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

import attrs

from mailsuite.imap import responses
from mailsuite.imap.fetch_grammar import FetchAttribute, FetchItems
from mailsuite.imap.sections import is_cached, needs_content
from mailsuite.imap.view import RECENT_FLAG
from mailsuite.interfaces import Column

Row = tuple[object, ...]

_COLUMNS = {
    FetchAttribute.FLAGS: Column.FLAGS,
    FetchAttribute.INTERNALDATE: Column.INTERNAL_DATE,
    FetchAttribute.RFC822_SIZE: Column.SIZE,
    FetchAttribute.ENVELOPE: Column.ENVELOPE,
    FetchAttribute.BODY: Column.BODY,
    FetchAttribute.BODYSTRUCTURE: Column.BODYSTRUCTURE,
}
_NUMBERS = frozenset((FetchAttribute.UID, FetchAttribute.RFC822_SIZE))

flag_octets = functools.lru_cache(maxsize=4096)(responses.flag_list)
"""Flags as they are sent; sets of flags are few, and the index hands out the same objects."""

_ENCODERS: dict[FetchAttribute, Callable[..., bytes]] = {
    FetchAttribute.FLAGS: flag_octets,
    FetchAttribute.INTERNALDATE: responses.internal_date,
}


@attrs.frozen
class Plan:
    """
    What a FETCH needs and how its answers look.

    Args:
        columns: to be asked of the index; a row has the UID before them.
        opening: of an answer up to its last attribute, to be interpolated with the sequence number and `values`.
        sources: of each attribute: the place in the row, and how the value is written.
        sections_follow: the answer goes on after the attributes.
    """

    columns: tuple[Column, ...]
    opening: bytes
    sources: tuple[tuple[int, Callable[..., bytes] | None], ...]
    flags_at: int
    size_at: int
    header_at: int
    from_view: bool

    def openings(self, numbers: Iterable[int], rows: Sequence[Row], recent: AbstractSet[int]) -> Iterator[bytes]:
        r"""
        Write the answers up to the last attribute, without an end.

        Args:
            numbers: sequence numbers of the rows.
            recent: UIDs that are shown with ``\Recent``.
        """
        return map(self.opening.__mod__, self._values(numbers, rows, recent))

    def lines(self, numbers: Iterable[int], rows: Sequence[Row], recent: AbstractSet[int]) -> Iterator[bytes]:
        """Write whole answers of attributes alone."""
        return map((self.opening + b")\r\n").__mod__, self._values(numbers, rows, recent))

    def _values(
        self, numbers: Iterable[int], rows: Sequence[Row], recent: AbstractSet[int]
    ) -> Iterator[tuple[object, ...]]:
        columns: list[Iterable[object]] = list(zip(*rows, strict=True))
        if not columns:
            return iter(())
        if self.flags_at and recent and not recent.isdisjoint(columns[0]):
            columns[self.flags_at] = [
                flags | {RECENT_FLAG} if uid in recent else flags  # type: ignore[operator]  # a frozenset
                for uid, flags in zip(columns[0], columns[self.flags_at], strict=True)
            ]
        values = (columns[at] if encode is None else map(encode, columns[at]) for at, encode in self.sources)
        return zip(numbers, *values)  # noqa: B905 - the fast path: rows and numbers are of one length


row_uid: Callable[[Row], int] = operator.itemgetter(0)
"""Takes the UID, which is the first in each row."""


@functools.lru_cache(maxsize=256)
def plan_for(items: FetchItems) -> Plan:
    """Compile items; a client asks for the same ones all day."""
    columns = [_COLUMNS[attribute] for attribute in items.attributes if attribute in _COLUMNS]
    if any(needs_content(section) for section in items.sections) and Column.SIZE not in columns:
        columns.append(Column.SIZE)
    if any(is_cached(section) for section in items.sections):
        columns.append(Column.HEADER)
    sources = []
    words = []
    for attribute in items.attributes:
        at = columns.index(_COLUMNS[attribute]) + 1 if attribute in _COLUMNS else 0
        sources.append((at, _ENCODERS.get(attribute)))
        words.append(attribute.value + (b" %d" if attribute in _NUMBERS else b" %b"))
    return Plan(
        columns=tuple(columns),
        opening=b"* %d FETCH (" + b" ".join(words),
        sources=tuple(sources),
        flags_at=_place(columns, Column.FLAGS),
        size_at=_place(columns, Column.SIZE),
        header_at=_place(columns, Column.HEADER),
        from_view=not items.sections and set(items.attributes) <= {FetchAttribute.UID, FetchAttribute.FLAGS},
    )


def _place(columns: Sequence[Column], column: Column) -> int:
    """Give the place of a column in a row; 0, where the UID is, when it was not asked for."""
    return columns.index(column) + 1 if column in columns else 0
