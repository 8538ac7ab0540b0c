"""STORE and UID STORE."""

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from mailsuite.errors import MailError
from mailsuite.imap import commands, responses
from mailsuite.imap.resync import FlagRow
from mailsuite.imap.selected import Selected
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.view import SelectedView
from mailsuite.interfaces import Changes, Column, StoreMode

ROWS_PER_TURN = 1000
_REFUSED_TOLD_MAX = 1000


async def store(session: Session, command: commands.Store) -> Reply:
    """
    STORE: change flags durably, and tell the new ones unless that is not wanted (RFC 3501 section 6.4.6).

    With UNCHANGEDSINCE only where nobody else was faster (RFC 7162 section 3.1.3). Messages that another session
    expunged, of which this one may not be told now, are to their end what this session makes of them: the client gets
    the answer it expects, with EXPUNGEISSUED (RFC 2180 section 4.2, RFC 5530 section 3).
    """
    refused = session.refuse_beyond(command.messages, uid=command.uid)
    if refused is not None:
        return refused
    selected = session.mailbox
    view = selected.view
    if command.unchanged_since is not None:
        session.use_modseq(command.tag)
    if selected.read_only:
        return Reply("the mailbox is read-only", status=b"NO", code=b"READ-ONLY")
    uids = view.resolve(command.messages, uid=command.uid)
    if not uids:
        return Reply("no such messages; nothing stored")
    rows, late, changes = await _store(selected, command, uids)
    missing = len(rows) + len(late) < len(uids) and not command.uid
    if missing and command.unchanged_since is None:
        rows = sorted(
            [*rows, *_rows_of_the_gone(view, command, uids, rows, changes.modseq)], key=operator.itemgetter(0)
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
        view.tell_again(await _states(selected, late[:_REFUSED_TOLD_MAX]))
        modified = responses.modified_code(late if command.uid else view.sequence_numbers(late))
    if missing:
        # Whoever made a condition cannot be told that it held (RFC 7162 section 3.1.3).
        status = responses.OK if command.silent or command.unchanged_since is None else responses.NO
        return Reply("some of the messages are expunged", status=status, code=modified or responses.EXPUNGEISSUED)
    return Reply("some of the messages changed meanwhile" if late else "STORE completed", code=modified)


async def _store(
    selected: Selected, command: commands.Store, uids: Sequence[int]
) -> tuple[Sequence[FlagRow], Sequence[int], Changes]:
    """
    Store; give what became of the messages, the UIDs of those left alone, and what changed in the mailbox.

    A message has but one MODSEQ. So that nobody is refused because of a flag that is none of its business, those left
    alone are tried again where just other flags changed (RFC 7162 section 3.1.12); only for a client that knows all
    that it was told, for the view stands for what it knows.
    """
    view = selected.view
    mailbox = selected.mailbox
    since = command.unchanged_since
    is_current = since is not None and since >= view.told_modseq
    (rows, late), changes = await selected.changing(mailbox.store_flags(uids, command.mode, command.flags, since))
    if not late or not is_current or command.mode is StoreMode.REPLACE:
        return rows, late, changes
    chosen = _folded(command.flags)
    now = {uid: _folded(flags) & chosen for uid, flags, _ in changes.flags}
    again = [uid for uid in late if uid in now and now[uid] == _folded(view.flags_of(uid)) & chosen]
    if again:
        (more, _), changes = await selected.changing(
            mailbox.store_flags(again, command.mode, command.flags, changes.modseq)
        )
        done = {uid for uid, _, _ in more}
        rows = sorted([*rows, *more], key=operator.itemgetter(0))
        late = [uid for uid in late if uid not in done]
    return rows, late, changes


async def _states(selected: Selected, uids: Sequence[int]) -> Sequence[FlagRow]:
    """
    Give what refused messages are like now, so that the client need not ask why (RFC 7162 section 3.1.3).

    Without it the answer is whole as well: a failure here must not be taken for one of the STORE.
    """
    try:
        return cast("Sequence[FlagRow]", await selected.mailbox.fetch(uids, (Column.FLAGS, Column.MODSEQ)))
    except MailError:
        return ()


def _folded(flags: Iterable[str]) -> frozenset[str]:
    return frozenset(map(str.lower, flags))


def _lines(selected: Selected, command: commands.Store, rows: Sequence[FlagRow]) -> Iterator[bytes]:
    """Note the new flags in the view, and write what the client is to be told of them."""
    view = selected.view
    shows_uid = command.uid or selected.shows_uid
    shows_modseq, kind = selected.shows_modseq, selected.fetch_kind
    for uid, flags, modseq in rows:
        # A client that wants silence must still hear what others changed at the same time (RFC 3501 section 6.4.6).
        expected = command.silent and _is_expected(view, uid, flags, command)
        number = view.note_flags(uid, flags, modseq)
        if number and not expected:
            shown_uid = uid if shows_uid else None
            shown = view.shown_flags(uid, flags)
            addressed = uid if selected.uid_only else number
            yield responses.fetch_flags_line(addressed, shown, shown_uid, modseq if shows_modseq else None, kind=kind)
        elif number and shows_modseq:
            yield responses.fetch_modseq_line(uid if selected.uid_only else number, uid, modseq, kind=kind)


def _rows_of_the_gone(
    view: SelectedView, command: commands.Store, uids: Iterable[int], stored: Iterable[FlagRow], modseq: int
) -> Iterator[FlagRow]:
    """Give what this session made of messages that the mailbox does not have any more."""
    found = {uid for uid, _, _ in stored}
    spelled = {keyword.lower(): keyword for keyword in view.keywords}
    for uid in uids:
        if uid not in found:
            flags = _result(view.flags[view.index(uid)], command)
            yield uid, frozenset(spelled.get(flag.lower(), flag) for flag in flags), modseq


def _result(known: frozenset[str], command: commands.Store) -> frozenset[str]:
    """Give the flags after a STORE, the known ones as they were spelled."""
    chosen = _folded(command.flags)
    if command.mode is StoreMode.REMOVE:
        return frozenset(flag for flag in known if flag.lower() not in chosen)
    kept = known if command.mode is StoreMode.ADD else frozenset(flag for flag in known if flag.lower() in chosen)
    return kept | {flag for flag in command.flags if flag.lower() not in _folded(kept)}


def _is_expected(view: SelectedView, uid: int, flags: frozenset[str], command: commands.Store) -> bool:
    """Whether a client that knows the flags of the view can tell by itself which they are now."""
    position = view.index(uid)
    if position < 0:
        return True
    return _folded(_result(view.flags[position], command)) == _folded(flags)
