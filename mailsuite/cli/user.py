"""``mailsuite user``."""

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from mailsuite.cli.completion import complete_account, complete_domain
from mailsuite.cli.control import NotRunningError, ask_server
from mailsuite.cli.mailbox import as_account, ask_or_do
from mailsuite.cli.session import Session, json_option, pass_session, print_facts, print_rows, say, timestamp
from mailsuite.cli.user_import import import_
from mailsuite.errors import MailError

if TYPE_CHECKING:
    from mailsuite.directory.records import AccountInfo


@click.group("user")
def command() -> None:
    """Accounts. Changes act in the running server at once."""


def _facts(info: "AccountInfo") -> dict[str, object]:
    return {
        "email": info.email,
        "account_id": info.account_id,
        "enabled": info.enabled,
        "admin": info.admin,
        "quota_octets": info.quota_octets,
        "has_password": info.has_password,
        "forward_to": list(info.forward_to),
        "keep_copy": info.keep_copy,
        "created": timestamp(info.created),
    }


def _password(email: str, given: str | None, *, from_stdin: bool) -> str:
    """Take the password from where it was put; ask for it on a terminal."""
    from mailsuite.directory.passwords import weakness

    if given is not None and from_stdin:
        raise click.UsageError("give one of --password and --password-stdin")
    if from_stdin:
        given = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    elif given is None:
        if not sys.stdin.isatty():
            raise click.UsageError("give --password-stdin or --password where there is no terminal to ask on")
        given = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    reason = weakness(given, email)
    if reason is not None:
        say(f"warning: {reason}")
    return given


@command.command("add")
@click.argument("address")
@click.option("--password", help="In the clear; other users of the machine can see it while the command runs.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@click.option("--password-hash", metavar="HASH", help="A hash made elsewhere: argon2id, bcrypt, sha512-crypt, ...")
@click.option("--admin", is_flag=True, help="An administrator.")
@click.option("--quota", metavar="SIZE", default="0", help="Limit of the mail, such as 500M; 0 is none.")
@pass_session
def add(
    session: Session,
    address: str,
    password: str | None,
    password_hash: str | None,
    quota: str,
    *,
    password_stdin: bool,
    admin: bool,
) -> None:
    """Add an account."""
    if password_hash is not None and (password is not None or password_stdin):
        raise click.UsageError("give a password or a hash, not both")
    quota_octets = _size(quota)
    accounts = session.accounts()
    if password_hash is None:
        password = _password(address, password, from_stdin=password_stdin)
    info = accounts.add(address, password=password, password_hash=password_hash, admin=admin, quota_octets=quota_octets)
    say(f"{info.email} added")


@command.command("list")
@click.option("--domain", shell_complete=complete_domain, help="Only those of one domain.")
@json_option
@pass_session
def list_(session: Session, domain: str | None, *, as_json: bool) -> None:
    """List accounts."""
    rows = [_facts(info) for info in session.accounts().list(domain)]
    print_rows(rows, as_json=as_json, columns=["email", "enabled", "admin", "quota_octets"])


@command.command("info")
@click.argument("address", shell_complete=complete_account)
@json_option
@pass_session
def info(session: Session, address: str, *, as_json: bool) -> None:
    """Show one account."""
    print_facts(_facts(session.accounts().info(address)), as_json=as_json)


@command.command("exists")
@click.argument("address", shell_complete=complete_account)
@pass_session
def exists(session: Session, address: str) -> None:
    """Say by the exit status whether there is such an account."""
    found = session.accounts().find(address)
    if found is None:
        raise click.ClickException(f"there is no account {address}")
    click.echo(found.email)


@command.command("passwd")
@click.argument("address", shell_complete=complete_account)
@click.option("--password", help="In the clear; other users of the machine can see it while the command runs.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@click.option("--password-hash", metavar="HASH", help="A hash made elsewhere.")
@pass_session
def passwd(
    session: Session, address: str, password: str | None, password_hash: str | None, *, password_stdin: bool
) -> None:
    """Set a password; who is logged in has to log in again."""
    if password_hash is not None and (password is not None or password_stdin):
        raise click.UsageError("give a password or a hash, not both")
    accounts = session.accounts()
    accounts.info(address)
    if password_hash is not None:
        info = accounts.set_password_hash(address, password_hash)
    else:
        info = accounts.set_password(address, _password(address, password, from_stdin=password_stdin))
    _end_sessions(session, info.email)
    say(f"the password of {info.email} is changed")


@command.command("rename")
@click.argument("address", shell_complete=complete_account)
@click.argument("new_address")
@pass_session
def rename(session: Session, address: str, new_address: str) -> None:
    """Give an account another address; its mail and everything that leads to it stay."""
    accounts = session.accounts()
    before = accounts.info(address)
    key = accounts.check_rename(address, new_address)
    account = as_account(before)
    ask_or_do(
        session,
        "account.rename",
        {"address": before.email, "new_address": key},
        lambda store: store.begin_rename(account, key),
    )
    info = _with_folder(session, before.account_id, lambda: accounts.rename(address, new_address))[0]
    say(f"{address} is now {info.email}")


@command.command("disable")
@click.argument("address", shell_complete=complete_account)
@pass_session
def disable(session: Session, address: str) -> None:
    """Switch an account off: no login, no delivery; its mail stays."""
    email = session.accounts().set_enabled(address, enabled=False).email
    _end_sessions(session, email)
    say(f"{email} is off")


@command.command("enable")
@click.argument("address", shell_complete=complete_account)
@pass_session
def enable(session: Session, address: str) -> None:
    """Switch an account on again."""
    say(f"{session.accounts().set_enabled(address, enabled=True).email} is on")


@command.command("remove")
@click.argument("address", shell_complete=complete_account)
@pass_session
def remove(session: Session, address: str) -> None:
    """Remove an account; its mail is kept aside, in the folder that is printed."""
    accounts = session.accounts()
    before = accounts.info(address)
    account = as_account(before)
    ask_or_do(session, "account.remove", {"address": before.email}, lambda store: store.begin_removal(account))
    _, folder = _with_folder(session, before.account_id, lambda: accounts.remove(address))
    _end_sessions(session, before.email)
    say(f"{before.email} removed; " + ("its mail is kept in this folder:" if folder else "it had no mail"))
    if folder:
        click.echo(folder)


def _end_sessions(session: Session, email: str) -> None:
    """Let the running server, if there is one, say farewell to who is logged in."""
    with contextlib.suppress(NotRunningError):
        ask_server(session, "account.end", address=email)


def _with_folder(session: Session, account_id: int, change: Callable[[], "AccountInfo"]) -> "tuple[AccountInfo, str]":
    """Change the directory, and let the folder that was prepared follow; or forget that it was."""
    request = {"account_id": account_id}
    try:
        info = change()
    except BaseException:
        ask_or_do(session, "account.cancel", request, lambda store: store.cancel_move(account_id))
        raise
    return info, str(ask_or_do(session, "account.finish", request, lambda store: store.finish_move(account_id)) or "")


@command.command("quota")
@click.argument("address", shell_complete=complete_account)
@click.argument("size")
@pass_session
def quota(session: Session, address: str, size: str) -> None:
    """Limit an account's mail to SIZE, such as 500M or 2G; 0 is without limit."""
    info = session.accounts().set_quota(address, _size(size))
    say(f"the quota of {info.email} is {info.quota_octets} octets" if info.quota_octets else f"{info.email}: no limit")


@command.command("forward")
@click.argument("address", shell_complete=complete_account)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--keep/--no-keep", default=None, help="Whether the mailbox gets a copy; it does unless told otherwise.")
@click.option("--off", is_flag=True, help="Pass nothing on any more.")
@pass_session
def forward(session: Session, address: str, targets: tuple[str, ...], *, keep: bool | None, off: bool) -> None:
    """Pass mail for ADDRESS on to the TARGETS, instead of those named earlier."""
    if off and (targets or keep is not None):
        raise click.UsageError("--off goes alone")
    if not off and not targets and keep is None:
        raise click.UsageError("give TARGETS, or --off, or --keep or --no-keep")
    accounts = session.accounts()
    before = accounts.info(address)
    if not off and not targets:
        if not before.forward_to:
            raise click.ClickException(f"{before.email} passes nothing on")
        targets = before.forward_to
    if keep is None:
        keep = before.keep_copy
    info = accounts.set_forward(address, targets, keep_copy=keep)
    if not info.forward_to:
        say(f"mail for {info.email} stays here")
        return
    kept = "and kept as well" if info.keep_copy else "and not kept"
    say(f"mail for {info.email} is passed on to {', '.join(info.forward_to)}, {kept}")


def _size(text: str) -> int:
    """Read a size; one that is none is a mistake in the command."""
    from mailsuite.directory.sizes import parse_size

    try:
        return parse_size(text)
    except MailError as error:
        raise click.UsageError(error.detail) from error


command.add_command(import_)
