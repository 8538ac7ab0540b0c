"""EXPUNGE and UID EXPUNGE."""

from mailsuite.imap import commands
from mailsuite.imap.capabilities import QRESYNC
from mailsuite.imap.session import Reply, Session


async def expunge(session: Session, command: commands.Expunge) -> Reply:
    """EXPUNGE (RFC 3501 section 6.4.3) and UID EXPUNGE (RFC 4315 section 2.1)."""
    selected = session.mailbox
    if selected.read_only:
        return Reply("the mailbox is read-only", status=b"NO", code=b"READ-ONLY")
    uids = None if command.uids is None else selected.view.resolve(command.uids, uid=True)
    if uids is None or uids:
        expunged, changes = await selected.changing(selected.mailbox.expunge(uids))
        selected.modseq_due = bool(expunged) and QRESYNC in selected.enabled  # RFC 7162 sections 3.2.7 and 3.2.9
        selected.view.expunge(expunged)
        selected.view.apply(changes)
    return Reply("EXPUNGE completed")
