"""``mailsuite rights``: who may use the mailboxes of an account; asks the running server, or works on the folder."""

from typing import TYPE_CHECKING, cast

import click

from mailsuite.cli.completion import complete_account
from mailsuite.cli.session import Session, json_option, pass_session, print_rows, say
from mailsuite.errors import Kind, MailError

if TYPE_CHECKING:
    from mailsuite.directory.accounts import Accounts

ANYONE = "anyone"


@click.group("rights")
def command() -> None:
    """Who may use the mailboxes of an account, beside its owner."""


@command.command("list")
@click.argument("address", shell_complete=complete_account)
@json_option
@pass_session
def list_(session: Session, address: str, *, as_json: bool) -> None:
    """List who has which rights on the mailboxes of an account."""
    from mailsuite.cli.mailbox import as_account, ask_or_do
    from mailsuite.service.sharing import right_rows

    accounts = session.accounts()
    info = accounts.info(address)
    found = ask_or_do(
        session, "rights.list", {"address": info.email}, lambda store: right_rows(store, as_account(info))
    )
    names = {account.account_id: account.email for account in accounts.list()} | {0: ANYONE}
    rows = [
        {"mailbox": row["mailbox"], "identifier": names[row["account_id"]], "rights": row["rights"]}
        for row in cast("list[dict[str, int]]", found)
        if row["account_id"] in names  # an account that was removed has no rights any more
    ]
    print_rows(rows, as_json=as_json)


@command.command("set")
@click.argument("address", shell_complete=complete_account)
@click.argument("mailbox")
@click.argument("identifier", shell_complete=complete_account)
@click.argument("rights")
@pass_session
def set_(session: Session, address: str, mailbox: str, identifier: str, rights: str) -> None:
    """
    Let IDENTIFIER use MAILBOX of an account, with exactly these RIGHTS.

    IDENTIFIER is an address, or "anyone" for all accounts. RIGHTS are letters: l see the name, r read, s mark as seen,
    w change other flags, i put messages in, k make mailboxes below, x delete the mailbox, t mark as deleted, e remove
    messages, a change rights.
    """
    now = _set(session, address, mailbox, identifier, rights)
    say(f"{identifier} has the rights {now} on {mailbox} of {address}" if now else f"{identifier} has no rights")


@command.command("remove")
@click.argument("address", shell_complete=complete_account)
@click.argument("mailbox")
@click.argument("identifier", shell_complete=complete_account)
@pass_session
def remove(session: Session, address: str, mailbox: str, identifier: str) -> None:
    """Take all rights on MAILBOX of an account from IDENTIFIER; its open sessions lose it at once."""
    _set(session, address, mailbox, identifier, "")
    say(f"{identifier} has no rights on {mailbox} of {address}")


def _set(session: Session, address: str, mailbox: str, identifier: str, rights: str) -> str:
    from mailsuite.cli.mailbox import as_account, ask_or_do
    from mailsuite.service.sharing import set_rights

    accounts = session.accounts()
    info = accounts.info(address)
    guest_id = _identify(session, accounts, identifier, rights)
    request = {"address": info.email, "mailbox": mailbox, "account_id": guest_id, "rights": rights}
    return str(
        ask_or_do(
            session,
            "rights.set",
            request,
            lambda store: set_rights(store, as_account(info), mailbox, guest_id, rights),
        )
    )


def _identify(session: Session, accounts: "Accounts", identifier: str, rights: str) -> int:
    if identifier.lower() != ANYONE:
        return accounts.info(identifier).account_id
    if rights and not session.config.sharing.anyone:
        raise MailError(Kind.DENIED, "sharing.anyone is off: rights for anyone cannot be granted")
    return 0
