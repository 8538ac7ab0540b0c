"""SELECT, EXAMINE, CLOSE and UNSELECT."""

from collections.abc import Sequence

from mailsuite.errors import Kind, MailError
from mailsuite.imap import commands, responses
from mailsuite.imap.fetch_format import plan_for
from mailsuite.imap.fetch_grammar import FetchAttribute, FetchItems
from mailsuite.imap.resync import known_until, write_vanished
from mailsuite.imap.selected import Selected
from mailsuite.imap.sequence import SequenceSet
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.tokens import NUMBER_MAX
from mailsuite.imap.tree import attributes_among
from mailsuite.imap.verbs.fetch import write_changed
from mailsuite.interfaces import History

ALL_UIDS = SequenceSet(((1, NUMBER_MAX),))
RESYNC_ITEMS = FetchItems((FetchAttribute.UID, FetchAttribute.FLAGS, FetchAttribute.MODSEQ))


async def select(session: Session, command: commands.Select) -> Reply:
    """SELECT (RFC 3501 section 6.3.1)."""
    return await _open(session, command, read_only=False)


async def examine(session: Session, command: commands.Examine) -> Reply:
    """EXAMINE (RFC 3501 section 6.3.2)."""
    return await _open(session, command, read_only=True)


async def _open(session: Session, command: commands.Select | commands.Examine, *, read_only: bool) -> Reply:
    resync = command.resync
    if resync is not None:
        session.need_qresync(command.tag)
    leave(session)  # also when what follows fails
    account = session.avatar
    if command.condstore and account.remembers:
        session.use_modseq(command.tag)
    mailbox = await account.open_mailbox(command.mailbox, read_only=read_only)
    selected = Selected(account, mailbox, session.enabled)
    history: History | None = None
    attributes: Sequence[str] = ()
    try:
        await selected.look()
        if resync is not None and resync.uidvalidity == selected.view.uidvalidity:
            history = await mailbox.history(resync.modseq)
        if session.is_rev2:
            attributes = attributes_among(await account.list_mailboxes(), command.mailbox)
    except BaseException:
        selected.close()
        raise
    session.select(selected)
    _describe(session, selected, command, attributes)
    if resync is not None and history is not None:
        await _tell_missed(session, resync, history)
    if selected.read_only:
        return Reply("EXAMINE completed" if read_only else "SELECT completed", code=b"READ-ONLY")
    return Reply("SELECT completed", code=b"READ-WRITE")


def leave(session: Session) -> None:
    """Leave the selected mailbox, if there is one, for another one (RFC 9051 section 7.1, CLOSED)."""
    if session.selected is not None:
        session.unselect()
        session.connection.write(responses.untagged(responses.OK, "the previous mailbox is closed", responses.CLOSED))


def _describe(
    session: Session,
    selected: Selected,
    command: commands.Select | commands.Examine,
    attributes: Sequence[str],
) -> None:
    """
    Write what a client is told of a mailbox that it selects.

    Args:
        attributes: what LIST tells of it to who knows IMAP4rev2.
    """
    write = session.connection.write
    view = selected.view
    write(selected.flag_lines(view.keywords))
    write(responses.exists_line(len(view)))
    if not session.is_rev2:
        write(responses.recent_line(len(view.recent)))
        unseen = 0 if selected.uid_only else view.first_unseen()
        if unseen:
            write(responses.untagged(responses.OK, "first unseen message", b"UNSEEN %d" % unseen))
    write(responses.untagged(responses.OK, "UIDs are valid", b"UIDVALIDITY %d" % view.uidvalidity))
    write(responses.untagged(responses.OK, "next UID", b"UIDNEXT %d" % view.uidnext))
    if session.avatar.remembers:
        write(responses.highest_modseq_line(view.modseq))
        code = responses.mailbox_id_code(view.uidvalidity, selected.mailbox.mailbox_id)
        write(responses.untagged(responses.OK, "permanent id", code))
    elif command.condstore:
        write(responses.untagged(responses.OK, "MODSEQs are not kept", responses.NOMODSEQ))
    if session.is_rev2:  # RFC 9051 section 6.3.2
        old_name = session.shown(command.old_name) if command.old_name else b""
        write(responses.list_line(attributes, session.shown(command.mailbox), old_name=old_name))


async def _tell_missed(session: Session, resync: commands.Resync, history: History) -> None:
    """
    Write what went and what changed since the client was here (RFC 7162 section 3.2.5).

    What changed after the view was made is told in its turn: whoever sees a MODSEQ takes it that everything up to it
    was told, also what went, and of that the view does not know yet (RFC 7162 section 3.2).
    """
    view = session.mailbox.view
    known = resync.known_uids or ALL_UIDS
    until = known_until(view.uids, *resync.known_pairs) if resync.known_pairs is not None else 0
    await write_vanished(session, history, known.resolve(view.uidnext - 1), until)
    plan = plan_for(RESYNC_ITEMS, session.mailbox.fetch_kind)
    await write_changed(session, plan, view.positions(known, uid=True), history, view.modseq)


async def close(session: Session, command: commands.Close) -> Reply:
    r"""
    CLOSE: expunge what is ``\Deleted`` without telling, unless read-only (RFC 3501 section 6.4.2).

    No HIGHESTMODSEQ is told: the client has not heard what went (RFC 7162 section 3.2.8).
    """
    del command
    selected = session.mailbox
    expunged: Sequence[int] = ()
    try:
        if not selected.read_only:
            expunged = await selected.mailbox.expunge(None)
    except MailError as error:
        if error.kind is not Kind.DENIED:  # RFC 4314 section 4: who may not expunge closes all the same
            raise
    finally:
        session.unselect()
        if session.watching is not None:
            session.watching.own_removal(selected.mailbox.mailbox_id, len(expunged))
    return Reply("CLOSE completed")


async def unselect(session: Session, command: commands.Unselect) -> Reply:
    """UNSELECT: leave the mailbox as it is (RFC 3691 section 2)."""
    del command
    session.unselect()
    return Reply("UNSELECT completed")
