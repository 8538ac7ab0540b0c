"""What every reader makes of a file: keys with values, and where they stand."""

import attrs

DEPTH_MAX = 20


@attrs.frozen
class Entry:
    """
    One key of another server's file.

    Args:
        key: its path, such as ``server.smtp_port``, ``domains[0].name`` or ``DOMAIN``.
        value: as the format has it; of INI and ``.env`` always text.
        line: counted from 1; None where the format does not tell.
    """

    key: str
    value: object = attrs.field(repr=False)
    line: int | None = None


class BrokenFileError(Exception):
    """The file is not what it should be; the text says in one line what is wrong, and never shows a value."""


def at_line(line: int, reason: str) -> BrokenFileError:
    """Say where it is broken."""
    return BrokenFileError(f"line {line}: {reason}")
