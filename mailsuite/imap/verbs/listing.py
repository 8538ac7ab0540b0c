"""LIST and LSUB."""

from collections.abc import Iterable, Iterator, Sequence

from mailsuite.errors import MailError
from mailsuite.imap import commands, responses
from mailsuite.imap.commands import ListReturn, ListSelection
from mailsuite.imap.names import INBOX, SEPARATOR, ListPattern
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.verbs.acl import rights_account, write_my_rights
from mailsuite.imap.verbs.status import count, note_items
from mailsuite.interfaces import MailboxEntry


async def list_(session: Session, command: commands.List) -> Reply:
    """LIST in both forms (RFC 3501 section 6.3.8, RFC 5258, RFC 5819)."""
    if not command.extended and command.patterns == ("",):
        session.connection.write(responses.list_line(["\\Noselect"], b'""'))
        return Reply("LIST completed")
    note_items(session, command.tag, command.status)
    if ListReturn.MYRIGHTS in command.returns:
        rights_account(session, command.tag)  # who has none did not announce it
    entries = list(with_parents(await session.avatar.list_mailboxes()))
    patterns = [ListPattern(command.reference + pattern) for pattern in command.patterns if pattern]
    matching = [entry for entry in entries if any(pattern.matches(entry.name) for pattern in patterns)]
    tree = Tree(entries, matching)
    for entry in matching:
        line = list_line(session.shown(entry.name), entry, tree, command)
        if line:
            session.connection.write(line)
            if ListReturn.MYRIGHTS in command.returns and entry.selectable:
                await write_my_rights(session, entry.name)
            if command.status and entry.selectable:
                await _write_status(session, entry.name, command.status)
    return Reply("LIST completed")


async def _write_status(session: Session, name: str, items: Sequence[commands.StatusItem]) -> None:
    try:
        counts = await session.avatar.status(name)
    except MailError:
        return  # RFC 5819 section 2: no STATUS for a mailbox that cannot be counted
    session.connection.write(responses.status_line(session.shown(name), count(session, items, counts)))
    await session.connection.drained()


async def lsub(session: Session, command: commands.Lsub) -> Reply:
    r"""LSUB: subscribed names, and with ``%`` the levels above them (RFC 3501 section 6.3.9)."""
    pattern = ListPattern(command.reference + command.pattern)
    entries = await session.avatar.list_mailboxes()
    subscribed = {entry.name: entry for entry in entries if entry.subscribed}
    shown: dict[str, list[str]] = {}
    for name, entry in subscribed.items():
        if pattern.matches(name):
            shown[name] = [] if entry.selectable else ["\\Noselect"]
        elif command.pattern.endswith("%"):
            parent = next((above for above in parents(name) if pattern.matches(above)), None)
            if parent is not None and parent not in subscribed:
                shown.setdefault(parent, ["\\Noselect"])
    for name in sorted(shown, key=sort_key):
        session.connection.write(responses.list_line(shown[name], session.shown(name), command=b"LSUB"))
    return Reply("LSUB completed")


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
    Which names have mailboxes below them, and which have subscriptions below them.

    Args:
        entries: all names.
        matching: those that the patterns of the command match.
    """

    def __init__(self, entries: Sequence[MailboxEntry], matching: Iterable[MailboxEntry]) -> None:
        shown = {entry.name for entry in matching}
        subscribed = [entry.name for entry in entries if entry.subscribed]
        self.with_children = frozenset(parent for entry in entries if _exists(entry) for parent in parents(entry.name))
        self.with_subscribed = frozenset(parent for name in subscribed for parent in parents(name))
        self.with_hidden_subscribed = frozenset(
            parent for name in subscribed if name not in shown for parent in parents(name)
        )


def _exists(entry: MailboxEntry) -> bool:
    return entry.selectable or entry.mailbox_id != 0


def list_line(name: bytes, entry: MailboxEntry, tree: Tree, command: commands.List) -> bytes:
    """Write the answer for one entry, with its name as it is shown; empty when the client did not ask for it."""
    has_children = entry.name in tree.with_children
    exists = _exists(entry) or has_children
    child_info: list[str] = []
    if ListSelection.SUBSCRIBED in command.selection:
        below = ListSelection.RECURSIVEMATCH in command.selection and entry.name in tree.with_subscribed
        if below:
            child_info.append("SUBSCRIBED")
        # RFC 5258 section 3.5: not for what is below and shown itself.
        if not entry.subscribed and not (below and entry.name in tree.with_hidden_subscribed):
            return b""
    elif not exists:
        return b""
    if ListSelection.SPECIAL_USE in command.selection and not entry.special_use:
        return b""
    attributes = []
    if not entry.selectable:
        # RFC 5258 section 3: \NonExistent says more than \Noselect, to those who know it.
        attributes.append("\\NonExistent" if command.extended and not _exists(entry) else "\\Noselect")
    if entry.subscribed and (ListReturn.SUBSCRIBED in command.returns or ListSelection.SUBSCRIBED in command.selection):
        attributes.append("\\Subscribed")
    attributes.append("\\HasChildren" if has_children else "\\HasNoChildren")
    attributes += sorted(use.value for use in entry.special_use)
    return responses.list_line(attributes, name, child_info=child_info)
