"""SEARCH and UID SEARCH."""

from mailsuite.imap import finding_commands, responses
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.verbs.finding import answer, matching


async def search(session: Session, command: finding_commands.Search) -> Reply:
    """SEARCH (RFC 3501 section 6.4.4), also extended (RFC 4731 section 3.1) and saved (RFC 5182 section 2.1)."""
    return await answer(
        session,
        command,
        lambda turns, progress: matching(session, command.key, turns, progress),
        responses.search_line,
    )
