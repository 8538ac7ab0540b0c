"""STATUS."""

from collections.abc import Sequence

from mailsuite.imap import commands, responses
from mailsuite.imap.commands import StatusItem
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.tokens import BadCommandError
from mailsuite.interfaces import MailboxStatus


async def status(session: Session, command: commands.Status) -> Reply:
    """STATUS (RFC 3501 section 6.3.10)."""
    note_items(session, command.tag, command.items)
    counts = await session.avatar.status(command.mailbox)
    session.connection.write(
        responses.status_line(session.shown(command.mailbox), count(session, command.items, counts))
    )
    return Reply("STATUS completed")


def note_items(session: Session, tag: bytes, items: Sequence[StatusItem]) -> None:
    """
    Take note of a client that asks for MODSEQs (RFC 7162 section 3.1).

    Raises:
        BadCommandError: it asks for ids, and the account has none.
    """
    if StatusItem.MAILBOXID in items and not session.avatar.remembers:
        raise BadCommandError("mailboxes of this account have no permanent ids", tag=tag)
    if StatusItem.HIGHESTMODSEQ in items and session.avatar.remembers:
        session.use_modseq(tag)


def count(session: Session, items: Sequence[StatusItem], counts: MailboxStatus) -> dict[StatusItem, bytes]:
    """Pick what the client asked for, in its order."""
    known = {
        StatusItem.MESSAGES: counts.messages,
        StatusItem.RECENT: counts.recent,
        StatusItem.UIDNEXT: counts.uidnext,
        StatusItem.UIDVALIDITY: counts.uidvalidity,
        StatusItem.UNSEEN: counts.unseen,
        StatusItem.DELETED: counts.deleted,
        StatusItem.SIZE: counts.size_octets,
        StatusItem.DELETED_STORAGE: counts.deleted_octets,
        StatusItem.APPENDLIMIT: session.settings.literal_max_octets,
        StatusItem.HIGHESTMODSEQ: counts.highest_modseq,
    }
    shown = {item: b"%d" % value for item, value in known.items()}
    shown[StatusItem.MAILBOXID] = responses.mailbox_id(counts.uidvalidity, counts.mailbox_id)
    return {item: shown[item] for item in items}
