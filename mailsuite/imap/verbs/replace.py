"""REPLACE and UID REPLACE: a new message comes and an old one goes, in one step."""

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.imap import commands, responses
from mailsuite.imap.session import Reply, Session
from mailsuite.interfaces import AppendMessage, Column, Right

NO_MESSAGE = Reply("there is no such message", status=responses.NO, code=responses.NONEXISTENT)
GONE = Reply("the message is expunged", status=responses.NO, code=responses.EXPUNGEISSUED)
READ_ONLY = Reply("the mailbox is read-only", status=responses.NO, code=responses.READ_ONLY)


@attrs.frozen
class Replaced:
    """The message that is to go."""

    uid: int
    size_octets: int


async def find_replaced(session: Session, command: commands.Replace) -> Replaced | Reply:
    r"""
    Find the message that is to go, before the octets of the new one come; otherwise say why that cannot be.

    In a mailbox of somebody else that takes the rights that ``\Deleted`` and EXPUNGE would take, since it is an APPEND
    and then those (RFC 8508 section 3.4, RFC 4314 section 4).

    Raises:
        MailError: DENIED; NOT_FOUND when the mailbox is gone, or may no longer be read.
    """
    selected = session.mailbox
    await selected.meet_rights()
    if selected.read_only:
        return READ_ONLY
    if not selected.rights.issuperset((Right.DELETE_MESSAGES, Right.EXPUNGE)):
        raise MailError(Kind.DENIED, "you have not the right to remove messages from this mailbox")
    uids = selected.view.resolve(command.message, uid=command.uid)
    if len(uids) != 1:
        return NO_MESSAGE
    rows = await selected.mailbox.fetch(uids, (Column.SIZE,))
    if not rows:
        return GONE
    (row,) = rows
    return Replaced(uids[0], row[1])  # type: ignore[arg-type]  # a size


async def replace(session: Session, replaced: Replaced, name: str, message: AppendMessage) -> Reply:
    """
    REPLACE (RFC 8508 section 3.4), when the new message is here.

    Raises:
        MailError: neither has the new message come nor has the old one gone.
    """
    selected = session.mailbox
    appended, changes = await selected.changing(selected.mailbox.replace(replaced.uid, name, message))
    if appended.uids:
        # RFC 8508 section 4.3: before the EXPUNGE, so that the client knows what has come in its place.
        code = responses.append_uid_code(appended.uidvalidity, appended.uids)
        session.connection.write(responses.untagged(responses.OK, "the replacement is stored", code))
    if session.watching is not None:
        session.watching.own_messages(name, appended.uids)
    selected.view.expunge([replaced.uid])
    selected.view.apply(changes)
    return Reply("REPLACE completed")
