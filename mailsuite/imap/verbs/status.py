"""STATUS."""

from collections.abc import Sequence

from mailsuite.imap import commands, responses
from mailsuite.imap.commands import StatusItem
from mailsuite.imap.session import Reply, Session
from mailsuite.interfaces import MailboxStatus


async def status(session: Session, command: commands.Status) -> Reply:
    """STATUS (RFC 3501 section 6.3.10)."""
    counts = await session.avatar.status(command.mailbox)
    session.connection.write(responses.status_line(command.mailbox, count(session, command.items, counts)))
    return Reply("STATUS completed")


def count(session: Session, items: Sequence[StatusItem], counts: MailboxStatus) -> dict[StatusItem, int]:
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
    }
    return {item: known[item] for item in items}
