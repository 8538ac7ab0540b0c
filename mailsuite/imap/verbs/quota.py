"""GETQUOTA and GETQUOTAROOT: an account is one quota root, and all of its mailboxes belong to it."""

from mailsuite.errors import Kind, MailError
from mailsuite.imap import commands, responses
from mailsuite.imap.session import Reply, Session
from mailsuite.interfaces import IRightsAccount

ROOT = b""
STORAGE_OCTETS = 1024
"""The unit of STORAGE (RFC 9208 section 5.1)."""


async def get_quota(session: Session, command: commands.GetQuota) -> Reply:
    """GETQUOTA (RFC 9208 section 4.1.1)."""
    if command.root != ROOT:
        raise MailError(Kind.NOT_FOUND, "no such quota root")
    await _write_quota(session)
    return Reply("GETQUOTA completed")


async def get_quota_root(session: Session, command: commands.GetQuotaRoot) -> Reply:
    """GETQUOTAROOT (RFC 9208 section 4.1.2)."""
    account = session.avatar
    if IRightsAccount.providedBy(account) and await IRightsAccount(account).is_others(command.mailbox):
        # How much its owner has is nobody else's business: no root of quota is one that this account can ask about.
        await IRightsAccount(account).rights(command.mailbox)  # it must be there
        session.connection.write(responses.quota_root_line(session.shown(command.mailbox)))
        return Reply("GETQUOTAROOT completed")
    await account.status(command.mailbox)  # it must be there
    session.connection.write(responses.quota_root_line(session.shown(command.mailbox), ROOT))
    await _write_quota(session)
    return Reply("GETQUOTAROOT completed")


async def _write_quota(session: Session) -> None:
    """Tell the resources that have a limit."""
    known = await session.avatar.quota()
    resources = []
    octets, octets_max = known.get("STORAGE", (0, 0))
    if octets_max:
        # Rounded so that what is used never looks like less than it is, and the limit never like more.
        resources.append((b"STORAGE", -(-octets // STORAGE_OCTETS), octets_max // STORAGE_OCTETS))
    messages, messages_max = known.get("MESSAGES", (0, 0))
    if messages_max:
        resources.append((b"MESSAGE", messages, messages_max))
    session.connection.write(responses.quota_line(ROOT, resources))
