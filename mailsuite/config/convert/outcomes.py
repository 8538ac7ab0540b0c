"""What can become of a key of another server."""

from collections.abc import Callable, Iterator, Mapping

import attrs

from mailsuite.config.convert.entries import Entry


@attrs.frozen
class Setting:
    """A key of ours gets a value."""

    key: str
    value: object


@attrs.frozen
class Listen:
    """
    A service listens somewhere.

    Args:
        host: an address; empty is what `server.listen_address` says.
    """

    service: str
    port: int
    host: str = ""


@attrs.frozen
class Remark:
    """No key of ours says it: one sentence on why, or on what to do instead; it never shows a value."""

    text: str


@attrs.frozen
class Command:
    """What to run once the new configuration is in place, word by word."""

    words: tuple[str, ...]


Outcome = Setting | Listen | Remark | Command


@attrs.frozen(kw_only=True)
class Given:
    """
    A key and all that matters for its meaning.

    Args:
        entries: every key of the file.
        folder: put before relative file names; empty leaves them as they are.
        development: unsafe settings are taken over as they are.
    """

    entry: Entry
    entries: Mapping[str, Entry]
    folder: str = ""
    development: bool = False

    def beside(self, name: str) -> object:
        """Give the value of another key of the same table; None when it is not there."""
        table, dot, _ = self.entry.key.rpartition(".")
        found = self.entries.get(f"{table}{dot}{name}")
        return None if found is None else found.value


Turn = Callable[[Given], Iterator[Outcome]]
"""
Says what becomes of a key.

Raises:
    ValueError: the value makes no sense; says what was expected, without the value.
"""
