"""SELECT, EXAMINE, CLOSE and UNSELECT."""

from mailsuite.imap import commands, responses
from mailsuite.imap.selected import Selected
from mailsuite.imap.session import Reply, Session


async def select(session: Session, command: commands.Select) -> Reply:
    """SELECT (RFC 3501 section 6.3.1)."""
    return await _open(session, command, read_only=False)


async def examine(session: Session, command: commands.Examine) -> Reply:
    """EXAMINE (RFC 3501 section 6.3.2)."""
    return await _open(session, command, read_only=True)


async def _open(session: Session, command: commands.Select | commands.Examine, *, read_only: bool) -> Reply:
    write = session.connection.write
    if session.selected is not None:
        session.unselect()  # also when what follows fails
        write(responses.untagged(responses.OK, "the previous mailbox is closed", responses.CLOSED))
    account = session.avatar
    if command.condstore and account.remembers:
        session.use_modseq(command.tag)
    mailbox = await account.open_mailbox(command.mailbox, read_only=read_only)
    selected = Selected(account, mailbox, session.enabled)
    try:
        await selected.look()
    except BaseException:
        selected.close()
        raise
    session.select(selected)
    view = selected.view
    write(selected.flag_lines(view.keywords))
    write(responses.exists_line(len(view)))
    write(responses.recent_line(len(view.recent)))
    unseen = view.first_unseen()
    if unseen:
        write(responses.untagged(responses.OK, "first unseen message", b"UNSEEN %d" % unseen))
    write(responses.untagged(responses.OK, "UIDs are valid", b"UIDVALIDITY %d" % view.uidvalidity))
    write(responses.untagged(responses.OK, "next UID", b"UIDNEXT %d" % view.uidnext))
    if account.remembers:
        write(responses.highest_modseq_line(view.modseq))
        code = responses.mailbox_id_code(view.uidvalidity, mailbox.mailbox_id)
        write(responses.untagged(responses.OK, "permanent id", code))
    elif command.condstore:
        write(responses.untagged(responses.OK, "MODSEQs are not kept", responses.NOMODSEQ))
    if selected.read_only:
        return Reply("EXAMINE completed" if read_only else "SELECT completed", code=b"READ-ONLY")
    return Reply("SELECT completed", code=b"READ-WRITE")


async def close(session: Session, command: commands.Close) -> Reply:
    r"""CLOSE: expunge what is ``\Deleted`` without telling, unless read-only (RFC 3501 section 6.4.2)."""
    del command
    selected = session.mailbox
    try:
        if not selected.read_only:
            await selected.mailbox.expunge(None)
    finally:
        session.unselect()
    return Reply("CLOSE completed")


async def unselect(session: Session, command: commands.Unselect) -> Reply:
    """UNSELECT: leave the mailbox as it is (RFC 3691 section 2)."""
    del command
    session.unselect()
    return Reply("UNSELECT completed")
