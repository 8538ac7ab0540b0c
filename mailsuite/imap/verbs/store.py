"""STORE and UID STORE."""

from mailsuite.imap import commands, responses
from mailsuite.imap.session import Reply, Session
from mailsuite.interfaces import StoreMode

ROWS_PER_TURN = 1000


async def store(session: Session, command: commands.Store) -> Reply:
    """STORE: change flags durably, and tell the new ones unless that is not wanted (RFC 3501 section 6.4.6)."""
    selected = session.mailbox
    view = selected.view
    if selected.read_only:
        return Reply("the mailbox is read-only", status=b"NO", code=b"READ-ONLY")
    refused = refused_keywords(session, command.flags) if command.mode is not StoreMode.REMOVE else None
    if refused is not None:
        return refused
    uids = view.resolve(command.messages, uid=command.uid)
    if not uids:
        return Reply("no such messages; nothing stored")
    (rows, _), changes = await selected.changing(selected.mailbox.store_flags(uids, command.mode, command.flags, None))
    for start in range(0, len(rows), ROWS_PER_TURN):
        turn = rows[start : start + ROWS_PER_TURN]
        view.note_keywords(frozenset().union(*(flags for _, flags, _ in turn)))  # as they are written, others' as well
        lines = [selected.keyword_notice()]
        for uid, flags, _ in turn:
            number = view.note_flags(uid, flags)
            if number and not command.silent:
                shown = view.shown_flags(uid, flags)
                lines.append(responses.fetch_flags_line(number, shown, uid if command.uid else None))
        session.connection.write(b"".join(lines))
        if start + ROWS_PER_TURN < len(rows):
            await session.connection.drained()
            await session.connection.sleep(0)
    view.apply(changes)
    if len(rows) < len(uids) and not command.uid:
        # RFC 2180 sections 4.2.1 and 4.2.3: who asks for answers is told that some are missing.
        status = responses.OK if command.silent else responses.NO
        return Reply("some of the messages are expunged", status=status, code=responses.EXPUNGEISSUED)
    return Reply("STORE completed")


def refused_keywords(session: Session, flags: frozenset[str]) -> Reply | None:
    """Say why these flags cannot be stored: too many keywords in the mailbox."""
    fresh = [flag for flag in flags if not flag.startswith("\\")]
    known = session.selected.view.keywords if session.selected is not None else frozenset()
    if len(known.union(fresh)) > max(session.settings.keywords_max, len(known)):
        return Reply("the mailbox has too many keywords", status=b"NO", code=b"LIMIT")
    return None
