"""A plain value as text for people, on one line."""

from collections.abc import Iterable, Mapping

from mailsuite.observe.escape import escape


def cell(value: object) -> str:
    """Write a value as a cell of a table; what a peer sent cannot change the terminal."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case str():
            text = value
        case Mapping():
            text = ", ".join(f"{name} {cell(item)}" for name, item in value.items())
        case Iterable():
            text = ", ".join(cell(item) for item in value)
        case _:
            text = str(value)
    return escape(text)
