"""
GETQUOTA, GETQUOTAROOT and SETQUOTA: an account is one quota root, and all of its mailboxes belong to it.

To its owner the root is ``""``. Those of others are there for administrators only (RFC 9208 section 8): for everybody
else one that exists is answered like one that does not.
"""

from collections.abc import Mapping

from mailsuite.errors import Kind, MailError
from mailsuite.imap import quota_commands, responses
from mailsuite.imap.session import Reply, Session
from mailsuite.interfaces import IQuotaAdministrator, IRightsAccount

ROOT = b""
STORAGE = b"STORAGE"
STORAGE_OCTETS = 1024
"""The unit of STORAGE (RFC 9208 section 5.1)."""
NAME_MAX_OCTETS = 64
"""So much of the name of a resource that a client made up is repeated to it."""
NOT_ADMINISTRATOR = Reply(
    "quotas are set by the administrators of this server", status=responses.NO, code=responses.NOPERM
)
NOTHING_STORED = Reply(
    "STORAGE cannot be limited to 0; an empty list removes the limit", status=responses.NO, code=responses.CANNOT
)


async def get_quota(session: Session, command: quota_commands.GetQuota) -> Reply:
    """GETQUOTA (RFC 9208 section 4.1.1)."""
    _write_quota(session, command.root, await _quota_of(session, command.root))
    return Reply("GETQUOTA completed")


async def get_quota_root(session: Session, command: quota_commands.GetQuotaRoot) -> Reply:
    """
    GETQUOTAROOT (RFC 9208 section 4.1.2): of one's own mailboxes also for those that are still to be made.

    Of a mailbox of another it must be there, for this account, or nothing is told.
    """
    account = session.avatar
    if IRightsAccount.providedBy(account) and await IRightsAccount(account).is_others(command.mailbox):
        await IRightsAccount(account).rights(command.mailbox)
        root = await _root_of_others(session, command.mailbox)
        if root is None:
            # How much its owner has is nobody else's business: no root is one that this account can ask about.
            session.connection.write(responses.quota_root_line(session.shown(command.mailbox)))
            return Reply("GETQUOTAROOT completed")
    else:
        root = ROOT
    known = await _quota_of(session, root)
    session.connection.write(responses.quota_root_line(session.shown(command.mailbox), root))
    _write_quota(session, root, known)
    return Reply("GETQUOTAROOT completed")


def _administrator(session: Session) -> IQuotaAdministrator | None:
    """Give the account, if it may see and set the quotas of others."""
    return IQuotaAdministrator(session.avatar, None)


async def _root_of_others(session: Session, mailbox: str) -> bytes | None:
    administrator = _administrator(session)
    root = None if administrator is None else await administrator.root_of(mailbox)
    return None if root is None else root.encode("utf-8")


async def set_quota(session: Session, command: quota_commands.SetQuota) -> Reply:
    """
    SETQUOTA (RFC 9208 section 4.1.3), for administrators.

    Limits that are not listed are discarded: without STORAGE in the list, its limit is gone. No other resource can be
    set, which is refused as a whole; the limit of MESSAGE is that of the server, the same for all, and stays.

    Raises:
        MailError: nothing was changed.
    """
    administrator = _administrator(session)
    if administrator is None:
        return NOT_ADMINISTRATOR
    limits = dict(command.limits)
    limit = limits.pop(STORAGE, None)
    if limits:
        name = next(iter(limits))[:NAME_MAX_OCTETS].decode("ascii")
        return Reply(f"a limit of {name} cannot be set", status=responses.NO, code=responses.CANNOT)
    if limit == 0:
        return NOTHING_STORED  # 0 is without limit in the directory, and would be the opposite of what was asked for
    known = await _quota_of(session, command.root)
    change = await administrator.set_quota(_text(command.root), (limit or 0) * STORAGE_OCTETS)
    session.log.emit(
        "imap.quota.changed",
        owner=change.account.email,
        before_octets=change.before_octets,
        limit_octets=change.account.quota_octets,
    )
    used, _ = known.get("STORAGE", (0, 0))
    _write_quota(session, command.root, {**known, "STORAGE": (used, change.account.quota_octets)})
    return Reply("SETQUOTA completed")


def _text(root: bytes) -> str:
    """Read the name of a root; raises MailError when it can be none."""
    try:
        return root.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _no_such_root() from error


async def _quota_of(session: Session, root: bytes) -> Mapping[str, tuple[int, int]]:
    """Tell use and limit of a root that this account may ask about; raises MailError."""
    if root == ROOT:
        return await session.avatar.quota()
    administrator = _administrator(session)
    if administrator is None:
        raise _no_such_root()
    return await administrator.quota_of(_text(root))


def _no_such_root() -> MailError:
    return MailError(Kind.NOT_FOUND, "no such quota root")


def _write_quota(session: Session, root: bytes, known: Mapping[str, tuple[int, int]]) -> None:
    """Tell the resources that have a limit."""
    resources = []
    octets, octets_max = known.get("STORAGE", (0, 0))
    if octets_max:
        # Rounded so that what is used never looks like less than it is, and the limit never like more.
        resources.append((STORAGE, -(-octets // STORAGE_OCTETS), octets_max // STORAGE_OCTETS))
    messages, messages_max = known.get("MESSAGES", (0, 0))
    if messages_max:
        resources.append((b"MESSAGE", messages, messages_max))
    session.connection.write(responses.quota_line(root, resources))
