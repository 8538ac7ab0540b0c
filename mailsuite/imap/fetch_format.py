"""
FETCH responses from columns of the index: the items are compiled once, then a message costs one interpolation.

Pure. RFC 3501 section 7.4.2.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from mailsuite.imap import responses
from mailsuite.imap.fetch_grammar import BodySection, FetchAttribute, FetchItems
from mailsuite.imap.sections import is_cached, needs_content
from mailsuite.interfaces import Column

Row = tuple[object, ...]

FLAGS_AT = -1  # where the flags stand: after the columns

_COLUMNS = {
    FetchAttribute.INTERNALDATE: Column.INTERNAL_DATE,
    FetchAttribute.RFC822_SIZE: Column.SIZE,
    FetchAttribute.ENVELOPE: Column.ENVELOPE,
    FetchAttribute.BODY: Column.BODY,
    FetchAttribute.BODYSTRUCTURE: Column.BODYSTRUCTURE,
    FetchAttribute.MODSEQ: Column.MODSEQ,
    FetchAttribute.SAVEDATE: Column.SAVED,
    FetchAttribute.EMAILID: Column.EMAIL_ID,
    FetchAttribute.THREADID: Column.THREAD_ID,
}
_FORMS = {
    FetchAttribute.UID: b"UID %d",
    FetchAttribute.RFC822_SIZE: b"RFC822.SIZE %d",
    FetchAttribute.EMAILID: b"EMAILID (%b)",
    FetchAttribute.THREADID: b"THREADID (%b)",
    FetchAttribute.MODSEQ: b"MODSEQ (%d)",  # RFC 7162 section 7, "fetch-mod-resp"
    FetchAttribute.LAZY_PREVIEW: b"PREVIEW %b",
}

flag_octets = functools.lru_cache(maxsize=4096)(responses.flag_list)
"""Flags as they are sent; sets of flags are few, and the index hands out the same objects."""

_ENCODERS: dict[FetchAttribute, Callable[..., bytes]] = {
    FetchAttribute.FLAGS: flag_octets,
    FetchAttribute.INTERNALDATE: responses.internal_date,
    FetchAttribute.SAVEDATE: responses.internal_date,
    FetchAttribute.PREVIEW: responses.nstring,
    FetchAttribute.LAZY_PREVIEW: responses.nstring,
}


_PREVIEWS = frozenset((FetchAttribute.PREVIEW, FetchAttribute.LAZY_PREVIEW))


@attrs.frozen
class Plan:
    """
    What a FETCH needs and how its answers look.

    Args:
        columns: to be asked of the index; a row has the UID before them. Flags are among them only beside the MODSEQ,
            to which they must fit; otherwise the view has them.
        opening: of an answer up to its last attribute or section, to be interpolated with the sequence number and
            `values`.
        sources: of each attribute: the place in the row, and how the value is written.
        tells_flags: they are among the attributes.
        size_at: place of the size in a row; 0 when it is not needed.
        header_at: place of the cached header fields in a row; 0 when they are not needed.
        reads: messages themselves must be read.
        sections: those that are in the opening, all of cached fields; none when messages must be read.
        flags_at: place of the flags in a row; 0 when they are not there.
        modseq_at: place of the MODSEQ in a row; 0 when it is not there.
        from_view: the index is not needed at all.
        from_history: nothing is needed but what tells of changes.
        preview_at: place of the preview in a row, behind the columns; 0 when it is not needed.
        makes_previews: also those that are not known yet.
    """

    columns: tuple[Column, ...]
    opening: bytes
    sources: tuple[tuple[int, Callable[..., bytes] | None], ...]
    tells_flags: bool
    size_at: int
    header_at: int
    reads: bool
    sections: tuple[BodySection, ...]
    flags_at: int
    modseq_at: int
    from_view: bool
    from_history: bool
    preview_at: int
    makes_previews: bool

    def answers(
        self,
        numbers: Iterable[int],
        rows: Sequence[Row],
        flags: Iterable[frozenset[str]],
        picked: Iterable[Sequence[bytes]] = (),
        *,
        end: bytes = b")\r\n",
    ) -> Iterator[bytes]:
        r"""
        Write the answers.

        Args:
            numbers: sequence numbers of the rows, or their UIDs.
            flags: of each row, with ``\Recent`` where it is due.
            picked: for each of `sections`, the octets of all rows.
            end: what follows the last attribute, or the last section if none is to be read; empty where more does.
        """
        return map((self.opening + end).__mod__, self._values(numbers, rows, flags, picked))

    def _values(
        self,
        numbers: Iterable[int],
        rows: Sequence[Row],
        flags: Iterable[frozenset[str]],
        picked: Iterable[Sequence[bytes]],
    ) -> Iterator[tuple[object, ...]]:
        columns: list[Iterable[object]] = [*zip(*rows, strict=True), flags]
        values = [columns[at] if encode is None else map(encode, columns[at]) for at, encode in self.sources]
        for octets in picked:
            values += (map(len, octets), octets)
        return zip(numbers, *values)  # noqa: B905 - the fast path: rows and numbers are of one length


row_uid: Callable[[Row], int] = operator.itemgetter(0)
"""Takes the UID, which is the first in each row."""


@functools.lru_cache(maxsize=256)
def plan_for(items: FetchItems, kind: bytes = responses.FETCH) -> Plan:
    """
    Compile items; a client asks for the same ones all day.

    Args:
        kind: FETCH, which takes sequence numbers, or UIDFETCH, which takes UIDs (RFC 9586 section 3.3).
    """
    columns = [_COLUMNS[attribute] for attribute in items.attributes if attribute in _COLUMNS]
    reads = any(needs_content(section) for section in items.sections)
    if reads and Column.SIZE not in columns:
        columns.append(Column.SIZE)
    if any(is_cached(section) for section in items.sections):
        columns.append(Column.HEADER)
    asked = set(items.attributes)
    if asked >= {FetchAttribute.FLAGS, FetchAttribute.MODSEQ}:
        columns.append(Column.FLAGS)
    sources = []
    words = []
    for attribute in items.attributes:
        at = columns.index(_COLUMNS[attribute]) + 1 if attribute in _COLUMNS else 0
        if attribute is FetchAttribute.FLAGS:
            at = FLAGS_AT
        elif attribute in _PREVIEWS:
            at = len(columns) + 1
        sources.append((at, _ENCODERS.get(attribute)))
        words.append(_FORMS.get(attribute, attribute.value + b" %b"))
    sections = () if reads else tuple(items.sections)
    words += [section.label.replace(b"%", b"%%") + b" {%d}\r\n%b" for section in sections]
    return Plan(
        columns=tuple(columns),
        opening=b"* %d " + kind + b" (" + b" ".join(words),
        sources=tuple(sources),
        tells_flags=FetchAttribute.FLAGS in items.attributes,
        size_at=_place(columns, Column.SIZE),
        header_at=_place(columns, Column.HEADER),
        reads=reads,
        sections=sections,
        flags_at=_place(columns, Column.FLAGS),
        modseq_at=_place(columns, Column.MODSEQ),
        from_view=not items.sections and asked <= {FetchAttribute.UID, FetchAttribute.FLAGS},
        from_history=not items.sections and asked <= {FetchAttribute.UID, FetchAttribute.FLAGS, FetchAttribute.MODSEQ},
        preview_at=len(columns) + 1 if asked & _PREVIEWS else 0,
        makes_previews=FetchAttribute.PREVIEW in asked,
    )


def _place(columns: Sequence[Column], column: Column) -> int:
    """Give the place of a column in a row; 0, where the UID is, when it was not asked for."""
    return columns.index(column) + 1 if column in columns else 0
