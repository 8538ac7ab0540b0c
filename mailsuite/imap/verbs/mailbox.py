"""CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE."""

from collections.abc import Sequence

from mailsuite.errors import Kind, MailError
from mailsuite.imap import commands, responses
from mailsuite.imap.names import INBOX
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.tree import parents, with_parents
from mailsuite.imap.verbs.metadata import copy_annotations
from mailsuite.interfaces import IMailAccount, IRightsAccount, Right, SpecialUseError


async def create(session: Session, command: commands.Create) -> Reply:
    """CREATE (RFC 3501 section 6.3.3), with a special use if asked for (RFC 6154 section 3); RFC 8474 section 4.1."""
    account = session.avatar
    try:
        made = await account.create(command.mailbox, command.special_use)
    except SpecialUseError as error:
        return Reply(error.detail, status=responses.NO, code=responses.USEATTR)
    note_own(session, command.mailbox, *parents(command.mailbox))
    if session.annotation_watch is not None:
        session.annotation_watch.note_own(made.changes)
    code = responses.mailbox_id_code(made.uidvalidity, made.mailbox_id) if account.remembers else b""
    tell_other_form(session, command.mailbox, command.old_name)
    return Reply("CREATE completed", code=code)


def note_own(session: Session, *names: str) -> None:
    """The client knows what it does itself (RFC 5465 section 5)."""
    if session.watching is not None:
        session.watching.own(*names)


def tell_other_form(session: Session, name: str, old_name: str, attributes: Sequence[str] = ()) -> None:
    """Tell a client of IMAP4rev2 which form the name has that it wrote in another one (RFC 9051 section 6.3.9.7)."""
    if session.is_rev2 and old_name:
        line = responses.list_line(attributes, session.shown(name), old_name=session.shown(old_name))
        session.connection.write(line)


async def delete(session: Session, command: commands.Delete) -> Reply:
    """DELETE (RFC 3501 section 6.3.4); when it was the selected mailbox, under whatever name, none is selected now."""
    try:
        await session.avatar.delete(command.mailbox)
    except MailError as error:
        if error.kind is not Kind.CONFLICT:
            raise
        return Reply(error.detail, status=responses.NO, code=responses.HASCHILDREN)  # RFC 9051 section 6.3.5
    note_own(session, command.mailbox, *parents(command.mailbox))
    if session.selected is not None:
        try:
            await session.selected.synchronise(always=True)
        except MailError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            session.unselect()
    tell_other_form(session, command.mailbox, command.old_name, ["\\NonExistent"])
    return Reply("DELETE completed")


async def rename(session: Session, command: commands.Rename) -> Reply:
    """RENAME (RFC 3501 section 6.3.5)."""
    await session.avatar.rename(command.mailbox, command.new_name)
    note_own(session, command.mailbox, command.new_name, *parents(command.new_name))
    tell_other_form(session, command.new_name, command.old_name)
    if command.mailbox == INBOX:
        await copy_annotations(session, INBOX, command.new_name)  # it stays, and keeps its own (RFC 5464 section 3.2)
    return Reply("RENAME completed")


async def subscribe(session: Session, command: commands.Subscribe) -> Reply:
    """SUBSCRIBE (RFC 3501 section 6.3.6), of what is there: a subscription goes on when its mailbox goes."""
    await _ensure_there(session, command.mailbox)
    await session.avatar.subscribe(command.mailbox, True)  # noqa: FBT003 - the interface says so
    note_own(session, command.mailbox)
    return Reply("SUBSCRIBE completed")


async def _ensure_there(session: Session, name: str) -> None:
    """
    Check that there is a mailbox of this name, or mailboxes below it, for this account.

    Raises:
        MailError: NOT_FOUND.
    """
    account = session.avatar
    try:
        await _ensure_known(account, name)
    except MailError as error:
        if error.kind not in {Kind.NOT_FOUND, Kind.DENIED}:
            raise
        entries = with_parents(await account.list_mailboxes())
        if not any(entry.name == name for entry in entries):
            raise MailError(Kind.NOT_FOUND, "there is no such mailbox; create it first") from error


async def _ensure_known(account: IMailAccount, name: str) -> None:
    """
    Check that there is a mailbox of this name.

    That of another needs the right to look it up; to read it is neither needed nor enough (RFC 4314 section 4).

    Raises:
        MailError: NOT_FOUND.
    """
    if not IRightsAccount.providedBy(account) or not await IRightsAccount(account).is_others(name):
        await account.status(name)
    elif Right.LOOKUP not in await IRightsAccount(account).rights(name):
        raise MailError(Kind.NOT_FOUND)


async def unsubscribe(session: Session, command: commands.Unsubscribe) -> Reply:
    """UNSUBSCRIBE (RFC 3501 section 6.3.7)."""
    await session.avatar.subscribe(command.mailbox, False)  # noqa: FBT003 - the interface says so
    note_own(session, command.mailbox)
    return Reply("UNSUBSCRIBE completed")
