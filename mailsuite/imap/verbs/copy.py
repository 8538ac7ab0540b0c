"""COPY and MOVE."""

from collections.abc import Sequence

from mailsuite.errors import Kind, MailError
from mailsuite.imap import commands, responses
from mailsuite.imap.progress import telling
from mailsuite.imap.session import Reply, Session
from mailsuite.interfaces import Appended, IRightsAccount

NO_MAILBOX = Reply("no such mailbox; create it first", status=b"NO", code=b"TRYCREATE")  # RFC 3501 section 7.1


def copied_code(appended: Appended) -> bytes:
    """Write COPYUID (RFC 4315 section 3); empty when nothing was copied."""
    if not appended.uids or len(appended.uids) != len(appended.source_uids):
        return b""
    return responses.copy_uid_code(appended.uidvalidity, appended.source_uids, appended.uids)


def completed(verb: str, uids: Sequence[int], appended: Appended) -> str:
    """
    Say that a copy is done, and whether it is of all messages that were named (RFC 9051 section 6.4.7).

    Args:
        uids: of the messages that the client named; somebody else may have expunged some of them.
    """
    if len(appended.source_uids) == len(uids):
        return f"{verb} completed"
    return f"{verb} completed; {'some' if appended.source_uids else 'all'} of the messages are expunged"


async def ensure_mailbox(session: Session, name: str) -> None:
    """
    Check that messages can be put into a mailbox.

    Raises:
        MailError: NOT_FOUND when there is no such mailbox; DENIED.
    """
    account = session.avatar
    if IRightsAccount.providedBy(account) and await IRightsAccount(account).is_others(name):
        await IRightsAccount(account).check_append(name, 0, 0)
    else:
        await account.status(name)


async def copy(session: Session, command: commands.Copy) -> Reply:
    """COPY and UID COPY (RFC 3501 section 6.4.7)."""
    refused = session.refuse_beyond(command.messages, uid=command.uid)
    if refused is not None:
        return refused
    selected = session.mailbox
    uids = selected.view.resolve(command.messages, uid=command.uid)
    try:
        if not uids:
            await ensure_mailbox(session, command.mailbox)
            return Reply("no such messages; nothing copied")
        with telling(session, command.tag):
            appended = await selected.mailbox.copy_to(uids, command.mailbox)
    except MailError as error:
        if error.kind is Kind.NOT_FOUND:
            return NO_MAILBOX
        raise
    if session.watching is not None:
        session.watching.own_messages(command.mailbox, appended.uids)
    return Reply(completed("COPY", uids, appended), code=copied_code(appended))


async def move(session: Session, command: commands.Move) -> Reply:
    """MOVE and UID MOVE (RFC 6851 section 3)."""
    refused = session.refuse_beyond(command.messages, uid=command.uid)
    if refused is not None:
        return refused
    selected = session.mailbox
    if selected.read_only:
        return Reply("the mailbox is read-only", status=b"NO", code=b"READ-ONLY")
    uids = selected.view.resolve(command.messages, uid=command.uid)
    try:
        if not uids:
            await ensure_mailbox(session, command.mailbox)
            return Reply("no such messages; nothing moved")
        with telling(session, command.tag):
            appended, changes = await selected.changing(selected.mailbox.move_to(uids, command.mailbox))
    except MailError as error:
        if error.kind is Kind.NOT_FOUND:
            return NO_MAILBOX
        raise
    if session.watching is not None:
        session.watching.own_messages(command.mailbox, appended.uids)
    code = copied_code(appended)
    if code:
        # RFC 6851 section 4.3: before the EXPUNGEs, so that the client knows where each one went.
        session.connection.write(responses.untagged(responses.OK, "moved", code))
        selected.modseq_due = True  # RFC 6851 section 4.4
    selected.view.expunge(appended.source_uids)
    selected.view.apply(changes)
    return Reply(completed("MOVE", uids, appended))
