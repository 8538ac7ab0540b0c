"""Answers that print themselves: rows in columns, or one fact a line."""

from collections.abc import Iterator, Mapping, Sequence
from typing import overload

from mailsuite.observe.cell import cell

GAP = "  "


class Table(Sequence[Mapping[str, object]]):
    """
    Rows with the same keys.

    Args:
        hidden: keys that are not printed.
    """

    def __init__(self, rows: Sequence[Mapping[str, object]], hidden: frozenset[str] = frozenset()) -> None:
        self._rows = rows
        self._hidden = hidden

    @overload
    def __getitem__(self, index: int) -> Mapping[str, object]: ...

    @overload
    def __getitem__(self, index: slice) -> "Table": ...

    def __getitem__(self, index: int | slice) -> "Mapping[str, object] | Table":
        if isinstance(index, slice):
            return Table(self._rows[index], self._hidden)
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        if not self._rows:
            return "none"
        names = [name for name in self._rows[0] if name not in self._hidden]
        lines = [[name.replace("_", " ") for name in names]]
        lines += [[cell(row.get(name)) for name in names] for row in self._rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            GAP.join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )


class Facts(Mapping[str, object]):
    """The properties of one thing."""

    def __init__(self, facts: Mapping[str, object]) -> None:
        self._facts = facts

    def __getitem__(self, name: str) -> object:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def __repr__(self) -> str:
        width = max(map(len, self._facts), default=0)
        return "\n".join(f"{name.replace('_', ' '):<{width}}{GAP}{cell(value)}" for name, value in self._facts.items())
