"""LIST and LSUB."""

import contextlib
from collections.abc import Mapping, Sequence

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.imap import commands, responses
from mailsuite.imap.commands import ListReturn, ListSelection
from mailsuite.imap.names import ListPattern
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.tree import Tree, attributes_of, is_there, parents, sort_key, with_parents
from mailsuite.imap.verbs.acl import rights_account, write_my_rights
from mailsuite.imap.verbs.metadata import annotated_account, tell
from mailsuite.imap.verbs.status import count, note_items
from mailsuite.interfaces import IAnnotatedAccount, ICountsMailboxes, MailboxEntry, MailboxStatus

PIECE = 100
"""So many names are answered for, then others have their turn."""


async def list_(session: Session, command: commands.List) -> Reply:
    """LIST in both forms (RFC 3501 section 6.3.8, RFC 5258, RFC 5819, RFC 9590)."""
    if not command.extended and command.patterns == ("",):
        session.connection.write(responses.list_line(["\\Noselect"], b'""'))
        return Reply("LIST completed")
    note_items(session, command.tag, command.status)
    if ListReturn.MYRIGHTS in command.returns:
        rights_account(session, command.tag)  # who has none did not announce it
    annotated = annotated_account(session, command.tag) if command.metadata is not None else None
    longest = 0
    entries = list(with_parents(await session.avatar.list_mailboxes()))
    patterns = [ListPattern(command.reference + pattern) for pattern in command.patterns if pattern]
    matching = [entry for entry in entries if any(pattern.matches(entry.name) for pattern in patterns)]
    tree = Tree(entries, matching, command.selection)
    matching = [entry for entry in matching if tree.shows(entry)]
    for start in range(0, len(matching), PIECE):
        if start:
            await session.connection.drained()
            await session.connection.sleep(0)  # others have their turn
        longest = max(longest, await _list_piece(session, command, annotated, tree, matching[start : start + PIECE]))
    return Reply("LIST completed", code=responses.long_entries_code(longest) if longest else b"")


async def _list_piece(
    session: Session,
    command: commands.List,
    annotated: IAnnotatedAccount | None,
    tree: Tree,
    entries: Sequence[MailboxEntry],
) -> int:
    """Write the answers for some names; give the size of the longest annotation that was too long to be shown."""
    counted: Mapping[str, MailboxStatus | None] = {}
    if command.status:
        wanted = [entry.name for entry in entries if entry.selectable and tree.selects(entry)]
        counted, unselectable = await _count(session, wanted)
        entries = [attrs.evolve(each, selectable=False) if each.name in unselectable else each for each in entries]
    longest = 0
    for entry in entries:
        session.connection.write(list_line(session.shown(entry.name), entry, tree, command))
        if not tree.selects(entry):
            continue  # it is there for its CHILDINFO only: RFC 5819 section 3, RFC 8440 section 4
        if ListReturn.MYRIGHTS in command.returns and is_there(entry):
            await write_my_rights(session, entry.name)
        counts = counted.get(entry.name)
        if counts is not None:
            session.connection.write(
                responses.status_line(session.shown(entry.name), count(session, command.status, counts))
            )
        if command.metadata is not None and annotated is not None and entry.selectable:
            with contextlib.suppress(MailError):  # RFC 9590 section 3: LIST succeeds without them
                longest = max(longest, await tell(session, annotated, entry.name, command.metadata) or 0)
    return longest


async def _count(session: Session, names: Sequence[str]) -> tuple[Mapping[str, MailboxStatus | None], set[str]]:
    r"""
    Count mailboxes, all in one trip to the store where it can do that.

    Returns:
        What was counted, and the names that turned out to be ``\Noselect`` for this account, which the line of LIST
        must say; where the count fails for another reason only the STATUS is missing (RFC 5819 section 2).
    """
    counted: dict[str, MailboxStatus | None] = dict.fromkeys(names)
    many = ICountsMailboxes(session.avatar, None) if names else None
    if many is not None:
        counted.update(zip(names, await many.statuses(names), strict=True))
    unselectable = set()
    for name in [name for name, counts in counted.items() if counts is None]:
        try:
            counted[name] = await session.avatar.status(name)
        except MailError as error:
            if error.kind in {Kind.NOT_FOUND, Kind.DENIED}:
                unselectable.add(name)
    return counted, unselectable


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
    for number, name in enumerate(sorted(shown, key=sort_key), 1):
        session.connection.write(responses.list_line(shown[name], session.shown(name), command=b"LSUB"))
        if number % PIECE == 0:
            await session.connection.drained()
            await session.connection.sleep(0)
    return Reply("LSUB completed")


def list_line(name: bytes, entry: MailboxEntry, tree: Tree, command: commands.List) -> bytes:
    """Write the answer for one entry that is shown, with its name as that is."""
    # CHILDINFO names base options only, and SUBSCRIBED is the one that there is (RFC 5258 section 6).
    child_info = ["SUBSCRIBED"] if entry.name in tree.with_selected else []
    subscribed = ListReturn.SUBSCRIBED in command.returns or ListSelection.SUBSCRIBED in command.selection
    attributes = attributes_of(entry, tree, extended=command.extended, subscribed=subscribed)
    return responses.list_line(attributes, name, child_info=child_info)
