"""SEARCH and UID SEARCH."""

from collections.abc import Sequence

from mailsuite.imap import commands, responses
from mailsuite.imap.commands import SearchReturn
from mailsuite.imap.evaluate import Evaluation, Positions
from mailsuite.imap.search_grammar import SearchKey
from mailsuite.imap.session import Reply, Session

TOO_LONG = Reply("the search takes too long", status=responses.NO, code=responses.LIMIT)
_ENDS = frozenset((SearchReturn.MIN, SearchReturn.MAX))
_SAVE_ALONE = frozenset((SearchReturn.SAVE,))
_WHOLE = frozenset((SearchReturn.ALL, SearchReturn.COUNT))


async def search(session: Session, command: commands.Search) -> Reply:
    """SEARCH (RFC 3501 section 6.4.4), also extended (RFC 4731 section 3.1) and saved (RFC 5182 section 2.1)."""
    selected = session.mailbox
    view = selected.view
    saves = command.returns is not None and SearchReturn.SAVE in command.returns
    saved: Sequence[int] = ()
    try:
        found = await matching(session, command.key)
        # RFC 5530 section 3: what somebody else expunged meanwhile is not among the answers.
        await selected.synchronise()
        saved = kept(command.returns, found or ())
    finally:
        if saves:  # a search that fails empties it
            view.save(view.uids[position] for position in saved)
    if found is None:
        return TOO_LONG
    uids = view.uids
    numbers = [uids[position] for position in found] if command.uid else [position + 1 for position in found]
    if command.returns is None:
        session.connection.write(responses.search_line(numbers))
    elif command.returns != _SAVE_ALONE:
        session.connection.write(responses.esearch_line(command.tag, command.returns, numbers, uid=command.uid))
    return Reply("SEARCH completed", code=responses.EXPUNGEISSUED if view.has_gone else b"")


async def matching(session: Session, key: SearchKey) -> Positions | None:
    """Find the messages that a client knows of, that are there, and that match; None when that takes too long."""
    selected = session.mailbox
    view = selected.view
    evaluation = Evaluation(
        selected.mailbox,
        view,
        seconds=session.seconds,
        deadline=session.seconds() + session.settings.search_seconds,
        pause=lambda: session.connection.sleep(0),
    )
    candidates = list(range(view.told_exists))
    if view.has_gone:
        candidates = [position for position in candidates if not view.is_gone(view.uids[position])]
    return await evaluation.matching(key, candidates)


def kept(returns: frozenset[SearchReturn] | None, found: Sequence[int]) -> Sequence[int]:
    """Say what is saved: with MIN or MAX alone only those, otherwise everything (RFC 5182 section 2.4)."""
    if returns is None or not returns & _ENDS or returns & _WHOLE:
        return found
    ends = [found[0]] if found and SearchReturn.MIN in returns else []
    return [*ends, found[-1]] if found and SearchReturn.MAX in returns else ends
