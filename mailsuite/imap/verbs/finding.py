"""What SEARCH, SORT and THREAD have in common: messages that match, and answers that a client has chosen."""

from collections.abc import Awaitable, Callable, Sequence

from mailsuite.imap import finding_commands, responses
from mailsuite.imap.evaluate import Evaluation, Positions, stored_keys
from mailsuite.imap.finding_commands import SearchReturn
from mailsuite.imap.paging import Page
from mailsuite.imap.progress import Progress, telling
from mailsuite.imap.resync import highest_modseq
from mailsuite.imap.search_keys import ModSeq, SearchKey, mentions, needs_store
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.turns import OverdueError, Turns

TOO_LONG = Reply("the search takes too long", status=responses.NO, code=responses.LIMIT)
_ENDS = frozenset((SearchReturn.MIN, SearchReturn.MAX))
_SAVE_ALONE = frozenset((SearchReturn.SAVE,))
_ALL = frozenset((SearchReturn.ALL,))
_WHOLE = frozenset((SearchReturn.ALL, SearchReturn.COUNT))


def turns_of(session: Session) -> Turns:
    """Begin the time that a search may take."""
    seconds = session.seconds
    return Turns(seconds, seconds() + session.settings.search_seconds, lambda: session.connection.sleep(0))


async def matching(session: Session, key: SearchKey, turns: Turns, progress: Progress) -> Positions:
    """
    Find the messages that a client knows of, that are there, and that match.

    Args:
        progress: this is a phase of it.

    Raises:
        OverdueError: that takes too long.
    """
    selected = session.mailbox
    view = selected.view
    evaluation = Evaluation(
        selected.mailbox,
        view,
        seconds=turns.seconds,
        deadline=turns.deadline,
        pause=turns.pause,
        looked=progress.add,
    )
    candidates = list(range(view.told_exists))
    if view.has_gone:
        candidates = [position for position in candidates if not view.is_gone(view.uids[position])]
    progress.begin(len(candidates), stored_keys(key))
    found = await evaluation.matching(key, candidates)
    if found is None:
        raise OverdueError
    return found


async def answer(
    session: Session,
    command: finding_commands.Search | finding_commands.Sort,
    find: Callable[[Turns, Progress], Awaitable[Positions]],
    line: Callable[[Sequence[int], int], bytes],
    *,
    phases: int = 1,
) -> Reply:
    """
    Find messages, tell of them what the client wants to know, and save them if it wants that.

    Args:
        find: gives positions in the view, in the order of the answer; may raise OverdueError.
        line: writes the answer when nothing was chosen (RFC 3501 section 7.2.5); given the highest MODSEQ, or 0 when
            the client did not search for one (RFC 7162 section 3.1.6).
        phases: of the progress.

    Raises:
        BadCommandError: it searches for a MODSEQ, and the account keeps none.
    """
    tells_modseq = mentions(command.key, ModSeq)
    if tells_modseq:
        session.use_modseq(command.tag)
    selected = session.mailbox
    view = selected.view
    returns = command.returns
    if returns is None and session.is_rev2 and isinstance(command, finding_commands.Search):
        returns = _ALL  # RFC 9051 section 6.4.4: there is no other answer
    saved: Sequence[int] = ()
    try:
        turns = turns_of(session)
        progress = Progress(phases)
        with telling(session, command.tag, progress):
            await selected.synchronise()  # flags come from the view
            found = await find(turns, progress)
            await turns.look()
        told = [view.uids[position] for position in kept(returns, found, command.page)] if tells_modseq else ()
        highest = await highest_modseq(session, told)
        # RFC 5530 section 3: what somebody else expunged meanwhile is not among the answers. Who has read the store may
        # have missed it before its notice came.
        await selected.synchronise(always=isinstance(command, finding_commands.Sort) or needs_store(command.key))
        if view.has_gone:
            found = [position for position in found if not view.is_gone(view.uids[position])]
        saved = kept(returns, found, command.page)
    except OverdueError:
        return TOO_LONG
    finally:
        if returns is not None and SearchReturn.SAVE in returns:  # a search that fails empties it
            view.save(view.uids[position] for position in saved)
    numbers = [view.uids[position] for position in found] if command.uid else [position + 1 for position in found]
    if returns is None:
        session.connection.write(line(numbers, highest))
    elif returns != _SAVE_ALONE or command.page is not None:
        session.connection.write(
            responses.esearch_line(command.tag, returns, numbers, uid=command.uid, modseq=highest, page=command.page)
        )
    return Reply(f"{command.name} completed", code=responses.EXPUNGEISSUED if view.has_gone else b"")


def kept(returns: frozenset[SearchReturn] | None, found: Sequence[int], page: Page | None = None) -> Sequence[int]:
    """
    Say what is saved, and whose MODSEQ is told: with MIN, MAX or PARTIAL alone only those, otherwise everything.

    RFC 5182 section 2.4, RFC 4731 section 3.2, RFC 9394 section 3.2.
    """
    if returns is None or returns & _WHOLE or (page is None and not returns & _ENDS):
        return found
    ends = [found[0]] if found and SearchReturn.MIN in returns else []
    if found and SearchReturn.MAX in returns:
        ends.append(found[-1])
    return ends if page is None else list(dict.fromkeys((*ends, *page.of(found))))
