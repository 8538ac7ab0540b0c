"""NOTIFY: what the client is told of from now on."""

from mailsuite.imap import notify_commands, responses
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.watching import WatchedTooMuchError, Watching

OVERFLOW = Reply("too many mailboxes", status=responses.NO, code=responses.NOTIFICATIONOVERFLOW)


async def notify(session: Session, command: notify_commands.Notify) -> Reply:
    """NOTIFY (RFC 5465 section 3.1); what has happened until now is told first, as by NOOP."""
    if command.groups and session.selected is not None:
        selected = session.selected
        await selected.synchronise(always=True)
        session.connection.write(selected.notices(expunge=True))
    watching = Watching(session, command.groups)
    try:
        await watching.begin(status=command.status)
    except WatchedTooMuchError:
        watching.close()
        return OVERFLOW
    except BaseException:
        watching.close()
        raise
    session.watch(watching)
    return Reply("NOTIFY completed")
