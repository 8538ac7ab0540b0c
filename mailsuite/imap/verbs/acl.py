"""SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314)."""

from mailsuite.errors import Kind, MailError
from mailsuite.imap import acl_commands, responses
from mailsuite.imap.acl_grammar import grantable_groups, shown_rights
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.tokens import BadCommandError
from mailsuite.interfaces import NO_RIGHTS, IRightsAccount, RightsMode


def rights_account(session: Session, tag: bytes) -> IRightsAccount:
    """
    Give the account, which knows rights.

    Raises:
        BadCommandError: it knows none, and ACL was not announced.
    """
    if not IRightsAccount.providedBy(session.avatar):
        raise BadCommandError("mailboxes of this account cannot be shared", tag=tag)
    return IRightsAccount(session.avatar)


async def set_acl(session: Session, command: acl_commands.SetACL) -> Reply:
    """SETACL (RFC 4314 section 3.1)."""
    account = rights_account(session, command.tag)
    await account.change_rights(command.mailbox, command.identifier, command.mode, command.rights)
    return Reply("SETACL completed")


async def delete_acl(session: Session, command: acl_commands.DeleteACL) -> Reply:
    """DELETEACL (RFC 4314 section 3.2)."""
    account = rights_account(session, command.tag)
    await account.change_rights(command.mailbox, command.identifier, RightsMode.REPLACE, NO_RIGHTS)
    return Reply("DELETEACL completed")


async def get_acl(session: Session, command: acl_commands.GetACL) -> Reply:
    """GETACL (RFC 4314 section 3.3)."""
    known = await rights_account(session, command.tag).entries(command.mailbox)
    shown = [(identifier.encode("utf-8"), shown_rights(rights)) for identifier, rights in known.items()]
    session.connection.write(responses.acl_line(session.shown(command.mailbox), shown))
    return Reply("GETACL completed")


async def list_rights(session: Session, command: acl_commands.ListRights) -> Reply:
    """LISTRIGHTS (RFC 4314 section 3.4)."""
    grantable = await rights_account(session, command.tag).grantable(command.mailbox, command.identifier)
    groups = grantable_groups(grantable)
    session.connection.write(responses.list_rights_line(session.shown(command.mailbox), command.written, groups))
    return Reply("LISTRIGHTS completed")


async def my_rights(session: Session, command: acl_commands.MyRights) -> Reply:
    """MYRIGHTS (RFC 4314 section 3.5)."""
    rights = await rights_account(session, command.tag).rights(command.mailbox)
    session.connection.write(responses.my_rights_line(session.shown(command.mailbox), shown_rights(rights)))
    return Reply("MYRIGHTS completed")


async def write_my_rights(session: Session, name: str) -> None:
    """Tell of a mailbox in a list what may be done with it, if that may be told (RFC 8440 section 3)."""
    try:
        rights = await IRightsAccount(session.avatar).rights(name)
    except MailError as error:
        if error.kind not in {Kind.NOT_FOUND, Kind.DENIED}:
            raise
    else:
        session.connection.write(responses.my_rights_line(session.shown(name), shown_rights(rights)))
