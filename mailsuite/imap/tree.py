"""The names of an account's mailboxes as a tree: parents, order, and what LIST tells of each."""

from collections.abc import Iterable, Iterator, Sequence

from mailsuite.imap.commands import ListSelection
from mailsuite.imap.names import INBOX, SEPARATOR
from mailsuite.interfaces import MailboxEntry


def parents(name: str) -> Iterator[str]:
    """Give the names of the levels above, the nearest first."""
    while SEPARATOR in name:
        name = name.rpartition(SEPARATOR)[0]
        yield name


def sort_key(name: str) -> tuple[bool, str]:
    """Put INBOX first."""
    return name != INBOX, name


def with_parents(entries: Iterable[MailboxEntry]) -> list[MailboxEntry]:
    """Add names that exist only because there are mailboxes below them, and bring all in order."""
    by_name = {entry.name: entry for entry in entries}
    for name in list(by_name):
        for parent in parents(name):
            if parent in by_name:
                break
            by_name[parent] = MailboxEntry(name=parent, mailbox_id=0, selectable=False)
    return sorted(by_name.values(), key=lambda entry: sort_key(entry.name))


class Tree:
    """
    Which names have mailboxes below them, which a LIST selects, and which have such below them.

    Args:
        entries: all names.
        matching: those that the patterns of the command match.
        selection: its selection options.
    """

    def __init__(
        self,
        entries: Sequence[MailboxEntry],
        matching: Iterable[MailboxEntry],
        selection: frozenset[ListSelection] = frozenset(),
    ) -> None:
        self._subscribed = ListSelection.SUBSCRIBED in selection
        self._special = ListSelection.SPECIAL_USE in selection
        self.with_children = frozenset(parent for entry in entries if is_there(entry) for parent in parents(entry.name))
        self.with_selected: frozenset[str] = frozenset()
        self._with_hidden_selected: frozenset[str] = frozenset()
        if ListSelection.RECURSIVEMATCH in selection:
            shown = {entry.name for entry in matching}
            selected = [entry.name for entry in entries if self.selects(entry)]
            self.with_selected = frozenset(parent for name in selected for parent in parents(name))
            self._with_hidden_selected = frozenset(
                parent for name in selected if name not in shown for parent in parents(name)
            )

    def selects(self, entry: MailboxEntry) -> bool:
        """Say whether a name satisfies every selection option (RFC 5258 section 3)."""
        if self._special and not entry.special_use:
            return False
        if self._subscribed:
            return entry.subscribed
        return is_there(entry) or entry.name in self.with_children

    def shows(self, entry: MailboxEntry) -> bool:
        """Say whether a matching name is listed, if only for what is below it and not shown (RFC 5258 section 3.5)."""
        return self.selects(entry) or entry.name in self._with_hidden_selected


def is_there(entry: MailboxEntry) -> bool:
    """Whether it is more than a name that is a parent's or a subscription's."""
    return entry.selectable or entry.mailbox_id != 0


def attributes_among(entries: Iterable[MailboxEntry], name: str) -> list[str]:
    """List what LIST tells of one name, of which only those below it need be looked at."""
    below = name + SEPARATOR
    family = [entry for entry in entries if entry.name == name or entry.name.startswith(below)]
    tree = Tree(family, ())
    return [
        attribute
        for entry in family
        if entry.name == name
        for attribute in attributes_of(entry, tree, extended=True, subscribed=False)
    ]


def attributes_of(entry: MailboxEntry, tree: Tree, *, extended: bool, subscribed: bool) -> list[str]:
    r"""
    List what is told of a name.

    Args:
        extended: the client knows ``\NonExistent``, which says more than ``\Noselect`` (RFC 5258 section 3).
        subscribed: it wants to know of subscriptions.
    """
    attributes = []
    if not entry.selectable:
        attributes.append("\\NonExistent" if extended and not is_there(entry) else "\\Noselect")
    if entry.subscribed and subscribed:
        attributes.append("\\Subscribed")
    attributes.append("\\HasChildren" if entry.name in tree.with_children else "\\HasNoChildren")
    return attributes + sorted(use.value for use in entry.special_use)
