"""``mailsuite mailbox``: asks the running server; without one, works on the folder itself."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import click

from mailsuite.cli.completion import complete_account
from mailsuite.cli.control import NotRunningError, ask_server
from mailsuite.cli.progress import working
from mailsuite.cli.session import Session, json_option, pass_session, print_json, print_rows, say

if TYPE_CHECKING:
    from mailsuite.directory.records import AccountInfo
    from mailsuite.interfaces import Account


@click.group("mailbox")
def command() -> None:
    """The mailboxes of an account."""


@command.command("list")
@click.argument("address", shell_complete=complete_account)
@json_option
@pass_session
def list_(session: Session, address: str, *, as_json: bool) -> None:
    """List an account's mailboxes."""
    from mailsuite.service.commands import mailbox_rows

    rows = _run(session, "mailbox.list", address, mailbox_rows)
    print_rows(cast("Any", rows), as_json=as_json)


@command.command("reindex")
@click.argument("address", shell_complete=complete_account)
@pass_session
def reindex(session: Session, address: str) -> None:
    """Build an account's index anew from the Maildir, with the same UIDs; what only the old one knows is kept."""
    with working(f"indexing {address}"):
        count = _run(session, "mailbox.reindex", address, lambda store, account: store.reindex(account))
    say(f"{count} messages of {address} are indexed")


@command.command("verify")
@click.argument("address", shell_complete=complete_account)
@json_option
@pass_session
def verify(session: Session, address: str, *, as_json: bool) -> None:
    """Compare an account's index with its Maildir; exit status 1 if something does not fit."""
    with working(f"comparing {address}"):
        found = _run(session, "mailbox.verify", address, lambda store, account: store.verify(account))
    findings = cast("list[str]", found)
    if as_json:
        print_json(findings)
    for finding in findings if not as_json else ():
        click.echo(finding)
    if findings:
        raise click.exceptions.Exit(1)
    say(f"the mailboxes of {address} are in order")


def _run(session: Session, name: str, address: str, job: "Callable[[Any, Account], Awaitable[object]]") -> object:
    """Let the running server do it, or do it here while no server can start."""
    info = session.accounts().info(address)
    account = as_account(info)
    return ask_or_do(session, name, {"address": info.email}, lambda store: job(store, account))


def ask_or_do(
    session: Session, name: str, request: Mapping[str, object], job: Callable[[Any], Awaitable[object]]
) -> object:
    """Let the running server do it, or do it with a store of our own while no server can start."""
    try:
        return ask_server(session, name, **request)
    except NotRunningError:
        return _run_here(session, job)


def as_account(info: "AccountInfo") -> "Account":
    """Write what the directory knows as the store wants it."""
    from mailsuite.interfaces import Account

    return Account(
        account_id=info.account_id,
        email=info.email,
        enabled=info.enabled,
        admin=info.admin,
        quota_octets=info.quota_octets,
    )


def _run_here(session: Session, job: Callable[[Any], Awaitable[object]]) -> object:
    from twisted.internet.defer import Deferred

    from mailsuite.durable import Disk, InlineLane
    from mailsuite.service.lock import RunLock
    from mailsuite.store import open_store

    lock = RunLock(session.config.run_folder)
    lock.acquire()
    try:
        reactor: Any = _NobodyListens()
        store = open_store(
            session.config.storage, disk=Disk(), reactor=reactor, lane=lambda name, _reactor: InlineLane(name)
        )
        store.start()
        try:
            results: list[object] = []
            errors: list[Any] = []
            _ = Deferred.fromCoroutine(_await(job(store))).addCallbacks(results.append, errors.append)
        finally:
            store.stop()
        if errors:
            errors[0].raiseException()
        return results[0]
    finally:
        lock.release()


class _NobodyListens:
    """The part of a reactor that a store with inline lanes needs: what is to be told, nobody wants to hear."""

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:
        """Forget it."""


async def _await(work: Awaitable[object]) -> object:
    return await work
