"""What can be wrong with a configuration, told all at once."""

import difflib
from collections.abc import Iterable, Sequence

import attrs


@attrs.frozen
class Fault:
    """
    One thing that is wrong.

    Args:
        key: its path, for example ``server.port_offset``; empty when the file as a whole is wrong.
        detail: what is wrong and what would be right, in one sentence.
        source: the file or the environment variable that says it.
    """

    key: str
    detail: str
    source: str = ""

    def __str__(self) -> str:
        text = f"{self.key}: {self.detail}" if self.key else self.detail
        return f"{text} ({self.source})" if self.source else text


class ConfigError(Exception):
    """
    The configuration cannot be used.

    Args:
        faults: everything that is wrong with it, not only the first thing.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults)
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


def nearest(name: str, known: Iterable[str]) -> str:
    """Ask back for the known name that looks most like this one; empty when none does."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""
