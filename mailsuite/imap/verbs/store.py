"""STORE and UID STORE."""

from collections.abc import Iterator, Sequence

from mailsuite.imap import commands, responses
from mailsuite.imap.selected import Selected
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.view import SelectedView
from mailsuite.interfaces import StoreMode

ROWS_PER_TURN = 1000


async def store(session: Session, command: commands.Store) -> Reply:
    """
    STORE: change flags durably, and tell the new ones unless that is not wanted (RFC 3501 section 6.4.6).

    With UNCHANGEDSINCE only where nobody else was faster (RFC 7162 section 3.1.3).
    """
    selected = session.mailbox
    view = selected.view
    if command.unchanged_since is not None:
        session.use_modseq(command.tag)
    if selected.read_only:
        return Reply("the mailbox is read-only", status=b"NO", code=b"READ-ONLY")
    refused = refused_keywords(session, command.flags) if command.mode is not StoreMode.REMOVE else None
    if refused is not None:
        return refused
    uids = view.resolve(command.messages, uid=command.uid)
    if not uids:
        return Reply("no such messages; nothing stored")
    (rows, late), changes = await selected.changing(
        selected.mailbox.store_flags(uids, command.mode, command.flags, command.unchanged_since)
    )
    for start in range(0, len(rows), ROWS_PER_TURN):
        turn = rows[start : start + ROWS_PER_TURN]
        view.note_keywords(frozenset().union(*(flags for _, flags, _ in turn)))  # as they are written, others' as well
        session.connection.write(b"".join([selected.keyword_notice(), *_lines(selected, command, turn)]))
        if start + ROWS_PER_TURN < len(rows):
            await session.connection.drained()
            await session.connection.sleep(0)
    view.apply(changes)
    modified = b""
    if late:
        modified = responses.modified_code(late if command.uid else view.sequence_numbers(late))
    if len(rows) + len(late) < len(uids) and not command.uid:
        # RFC 2180 sections 4.2.1 and 4.2.3: who asks for answers is told that some are missing.
        status = responses.OK if command.silent else responses.NO
        return Reply("some of the messages are expunged", status=status, code=modified or responses.EXPUNGEISSUED)
    return Reply("some of the messages changed meanwhile" if late else "STORE completed", code=modified)


def _lines(
    selected: Selected, command: commands.Store, rows: Sequence[tuple[int, frozenset[str], int]]
) -> Iterator[bytes]:
    """Note the new flags in the view, and write what the client is to be told of them."""
    view = selected.view
    shows_modseq = selected.shows_modseq
    for uid, flags, modseq in rows:
        # A client that wants silence must still hear what others changed at the same time (RFC 3501 section 6.4.6).
        expected = command.silent and _is_expected(view, uid, flags, command)
        number = view.note_flags(uid, flags)
        if number and not expected:
            shown_uid = uid if command.uid or shows_modseq else None
            shown = view.shown_flags(uid, flags)
            yield responses.fetch_flags_line(number, shown, shown_uid, modseq if shows_modseq else None)
        elif number and shows_modseq:
            yield responses.fetch_modseq_line(number, uid, modseq)


def _is_expected(view: SelectedView, uid: int, flags: frozenset[str], command: commands.Store) -> bool:
    """Whether a client that knows the flags of the view can tell by itself which they are now."""
    position = view.index(uid)
    if position < 0:
        return True
    chosen = frozenset(map(str.lower, command.flags))
    known = frozenset(map(str.lower, view.flags[position]))
    if command.mode is StoreMode.ADD:
        chosen = known | chosen
    elif command.mode is StoreMode.REMOVE:
        chosen = known - chosen
    return chosen == frozenset(map(str.lower, flags))


def refused_keywords(session: Session, flags: frozenset[str]) -> Reply | None:
    """Say why these flags cannot be stored: too many keywords in the mailbox."""
    fresh = [flag for flag in flags if not flag.startswith("\\")]
    known = session.selected.view.keywords if session.selected is not None else frozenset()
    if len(known.union(fresh)) > max(session.settings.keywords_max, len(known)):
        return Reply("the mailbox has too many keywords", status=b"NO", code=b"LIMIT")
    return None
