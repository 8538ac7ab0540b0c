"""
Messages in the order that a client wants: what each is compared by, and the order itself.

RFC 5256 sections 2.2 and 3, RFC 5957 section 3. Pure; work over many messages is a generator that can rest wherever it
yields.
"""

import re
from collections.abc import Generator, Sequence

from mailsuite.imap.sort_grammar import SortCriterion, SortKey
from mailsuite.imap.subjects import TEXT_MAX_CHARACTERS, read_subject
from mailsuite.interfaces import Column
from mailsuite.message.addresses import MailboxField, parse_addresses
from mailsuite.message.collation import casemap
from mailsuite.message.dates import parse_date
from mailsuite.message.header import Field, all_values, first_value

ADDRESSES_MAX_OCTETS = 4096  # of a field; only its first address counts
DATE_MAX_OCTETS = 256
RUN_MESSAGES = 2048

Value = int | str

_DAY = re.compile(rb"\b([0-9]{1,2})[ -]([A-Za-z]{3})[A-Za-z]*+[ -]([0-9]{4})\b")
_ADDRESS_FIELDS = {
    SortKey.CC: b"cc",
    SortKey.DISPLAYFROM: b"from",
    SortKey.DISPLAYTO: b"to",
    SortKey.FROM: b"from",
    SortKey.TO: b"to",
}
_DISPLAYED = frozenset((SortKey.DISPLAYFROM, SortKey.DISPLAYTO))


def columns_for(criteria: Sequence[SortCriterion]) -> tuple[Column, ...]:
    """Say what must be read of each message."""
    keys = {criterion.key for criterion in criteria}
    columns = []
    if keys & {SortKey.ARRIVAL, SortKey.DATE}:
        columns.append(Column.INTERNAL_DATE)
    if SortKey.SIZE in keys:
        columns.append(Column.SIZE)
    if keys - {SortKey.ARRIVAL, SortKey.SIZE}:
        columns.append(Column.HEADER)
    return tuple(columns)


def header_value(key: SortKey, fields: Sequence[Field], internal_date: int) -> Value:
    """
    Give what a message is compared by, when that is in its header.

    Args:
        key: neither ARRIVAL nor SIZE.
        internal_date: in seconds since the epoch; only for DATE.
    """
    if key is SortKey.DATE:
        return sent_date(fields, internal_date)
    if key is SortKey.SUBJECT:
        return read_subject(first_value(fields, b"subject")).base
    entry = _first_address(fields, _ADDRESS_FIELDS[key])
    if entry is None:
        return ""
    text = (entry.mailbox or b"").decode("utf-8", "replace")
    if key in _DISPLAYED:
        text = entry.display_name or entry.address or text
    return casemap(text[:TEXT_MAX_CHARACTERS])[:TEXT_MAX_CHARACTERS]


def sent_date(fields: Sequence[Field], internal_date: int) -> int:
    """
    Give the moment of the Date field in seconds since the epoch; where there is none, that of arrival.

    A time that is none is 00:00:00, and a zone that is none is UTC (RFC 5256 section 2.2).
    """
    value = first_value(fields, b"date")
    if not value:
        return internal_date
    date = parse_date(value)
    if date is None:
        day = _DAY.search(value[:DATE_MAX_OCTETS])
        date = parse_date(b"%b %b %b 00:00:00 +0000" % day.groups()) if day is not None else None
    return internal_date if date is None else date[0]


def _first_address(fields: Sequence[Field], name: bytes) -> MailboxField | None:
    """Find the first entry of the list that ENVELOPE would show; several fields with recipients are one list."""
    values = all_values(fields, name)
    for value in values[:1] if name == b"from" else values:
        entries = parse_addresses(value[:ADDRESSES_MAX_OCTETS])
        if entries:
            return entries[0]
    return None


def ordered(columns: Sequence[tuple[Sequence[Value], bool]], count: int) -> Generator[None, None, list[int]]:
    """
    Put indexes in order: by the first column, then by the second, and at last as they are.

    Args:
        columns: a value for each index, and whether the largest comes first, which turns no equal ones round.
        count: how many indexes there are, from 0.

    Yields:
        After each piece of work.
    """
    order = list(range(count))
    for values, reverse in reversed(columns):
        order = yield from _sorted(order, values, reverse=reverse)
    return order


def _sorted(numbers: list[int], values: Sequence[Value], *, reverse: bool) -> Generator[None, None, list[int]]:
    """Sort short runs, and then neighbours together, which costs one look at each, for both are in order."""
    runs: list[list[int]] = []
    for start in range(0, len(numbers), RUN_MESSAGES):
        runs.append(sorted(numbers[start : start + RUN_MESSAGES], key=values.__getitem__, reverse=reverse))
        yield
    while len(runs) > 1:
        merged: list[list[int]] = []
        for at in range(0, len(runs), 2):
            both = [number for run in runs[at : at + 2] for number in run]
            both.sort(key=values.__getitem__, reverse=reverse)
            merged.append(both)
            yield
        runs = merged
    return runs[0] if runs else []
