"""What happened to names of mailboxes, found by comparing what there was with what there is (RFC 5465 section 5.4)."""

from collections.abc import Callable, Collection, Iterator, Mapping

import attrs

from mailsuite.imap.names import SEPARATOR
from mailsuite.imap.tree import parents
from mailsuite.interfaces import MailboxEntry

Entries = Mapping[int, MailboxEntry]
"""Mailboxes by their ids; names that are only those of parents are not among them."""


@attrs.frozen
class NameEvent:
    """
    A name of which the client is to be told.

    Args:
        former: what it was renamed from; empty when it was not.
    """

    name: str
    former: str = ""


def changed_names(before: Entries, now: Entries, is_told: Callable[[str], bool]) -> Iterator[NameEvent]:
    """
    Give the names that were affected and are to be told, each once.

    What was renamed comes first, from the lowest level up: whoever follows does not lose what was moved out before.

    Args:
        is_told: whether the client wants to hear of a name.
    """
    renamed = {
        entry.name: before[mailbox_id].name
        for mailbox_id, entry in now.items()
        if mailbox_id in before and before[mailbox_id].name != entry.name
    }
    told = dict(_renamed(renamed, before, now, is_told)) if renamed else {}
    lowest_first = sorted(told.items(), key=lambda pair: -pair[1].count(SEPARATOR))
    yield from (NameEvent(name, former) for name, former in lowest_first)
    names = {entry.name for entry in now.values()}
    affected = {
        entry.name
        for mailbox_id, entry in now.items()
        if mailbox_id not in before or _is_other(before[mailbox_id], entry)
    }
    affected |= {
        entry.name for mailbox_id, entry in before.items() if mailbox_id not in now and entry.name not in names
    }
    affected |= {parent for name in affected for parent in list(parents(name))[:1]}
    yield from (NameEvent(name) for name in sorted(affected) if name not in told and is_told(name))


def _is_other(before: MailboxEntry, now: MailboxEntry) -> bool:
    """Whether it can be selected now and could not before, or the other way round."""
    return before.name == now.name and before.selectable != now.selectable


def _renamed(
    renamed: Mapping[str, str], before: Entries, now: Entries, is_told: Callable[[str], bool]
) -> Iterator[tuple[str, str]]:
    """Give new and old names, without what was renamed along with a mailbox above it that is told of."""
    names = _Names(renamed, before.values(), now.values())
    for name, former in renamed.items():
        told = [pair for pair in ((name, former), *names.above(name, former)) if any(map(is_told, pair))]
        if told:
            yield told[-1]


class _Names:
    """All names before and now, those of mere parents as well."""

    def __init__(
        self, renamed: Mapping[str, str], before: Collection[MailboxEntry], now: Collection[MailboxEntry]
    ) -> None:
        self._renamed = renamed
        self._before = _with_parents(before)
        self._now = _with_parents(now)
        self._mailboxes = {entry.name for entry in now}

    def above(self, name: str, former: str) -> Iterator[tuple[str, str]]:
        """Give the names above that were renamed alike, the nearest first."""
        while SEPARATOR in name and SEPARATOR in former:
            name, _, leaf = name.rpartition(SEPARATOR)
            former, _, former_leaf = former.rpartition(SEPARATOR)
            if leaf != former_leaf or not (self._renamed.get(name) == former or self._is_mere(name, former)):
                return
            yield name, former

    def _is_mere(self, name: str, former: str) -> bool:
        """
        Whether a name that is only a parent's was renamed.

        Were it not so, there would be a mailbox of the new name now: RENAME makes the levels above.
        """
        return former not in self._now and name not in self._before and name not in self._mailboxes


def _with_parents(entries: Collection[MailboxEntry]) -> set[str]:
    return {name for entry in entries for name in (entry.name, *parents(entry.name))}
