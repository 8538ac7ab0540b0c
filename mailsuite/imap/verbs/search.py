"""SEARCH and UID SEARCH."""

from mailsuite.imap import commands, responses
from mailsuite.imap.evaluate import Evaluation
from mailsuite.imap.resync import highest_modseq
from mailsuite.imap.search_grammar import ModSeq, mentions
from mailsuite.imap.session import Reply, Session


async def search(session: Session, command: commands.Search) -> Reply:
    """SEARCH (RFC 3501 section 6.4.4)."""
    selected = session.mailbox
    view = selected.view
    tells_modseq = mentions(command.key, ModSeq)
    if tells_modseq:
        session.use_modseq(command.tag)
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
    found = await evaluation.matching(command.key, candidates)
    if found is None:
        return Reply("the search takes too long", status=responses.NO, code=responses.LIMIT)
    uids = view.uids
    numbers = [uids[position] for position in found] if command.uid else [position + 1 for position in found]
    highest = await highest_modseq(session, [uids[position] for position in found]) if tells_modseq else 0
    session.connection.write(responses.search_line(numbers, highest))
    # RFC 5530 section 3: what somebody else expunged meanwhile is not among the answers.
    await selected.synchronise()
    return Reply("SEARCH completed", code=responses.EXPUNGEISSUED if view.has_gone else b"")
