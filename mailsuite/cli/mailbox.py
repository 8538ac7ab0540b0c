"""``mailsuite mailbox``: asks the running server; without one, works on the folder itself."""

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import click

from mailsuite.cli.control import NotRunningError, ask_server
from mailsuite.cli.session import Session, json_option, pass_session, print_json, print_rows, say
from mailsuite.directory.accounts import Accounts
from mailsuite.directory.records import AccountInfo
from mailsuite.interfaces import Account

if TYPE_CHECKING:
    from mailsuite.store import MailStore, StorageSettings


@click.group("mailbox")
def command() -> None:
    """The mailboxes of an account."""


@command.command("list")
@click.argument("address")
@json_option
@pass_session
def list_(session: Session, address: str, *, as_json: bool) -> None:
    """List an account's mailboxes."""
    from mailsuite.service.commands import mailbox_rows

    rows = _run(session, "mailbox.list", address, mailbox_rows)
    print_rows(cast("Any", rows), as_json=as_json)


@command.command("reindex")
@click.argument("address")
@pass_session
def reindex(session: Session, address: str) -> None:
    """Build an account's index anew from the Maildir, with the same UIDs; what only the old one knows is kept."""
    count = _run(session, "mailbox.reindex", address, lambda store, account: store.reindex(account))
    say(f"{count} messages of {address} are indexed")


@command.command("verify")
@click.argument("address")
@json_option
@pass_session
def verify(session: Session, address: str, *, as_json: bool) -> None:
    """Compare an account's index with its Maildir; exit status 1 if something does not fit."""
    findings = cast("list[str]", _run(session, "mailbox.verify", address, lambda store, account: store.verify(account)))
    if as_json:
        print_json(findings)
    for finding in findings if not as_json else ():
        click.echo(finding)
    if findings:
        raise click.exceptions.Exit(1)
    say(f"the mailboxes of {address} are in order")


def _run(session: Session, name: str, address: str, job: Callable[[Any, Account], Awaitable[object]]) -> object:
    """Let the running server do it, or do it here while no server can start."""
    info = Accounts(session.database()).info(address)
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


def as_account(info: AccountInfo) -> Account:
    """Write what the directory knows as the store wants it."""
    return Account(
        account_id=info.account_id,
        email=info.email,
        enabled=info.enabled,
        admin=info.admin,
        quota_octets=info.quota_octets,
    )


def _run_here(session: Session, job: Callable[[Any], Awaitable[object]]) -> object:
    from mailsuite.service.lock import RunLock

    lock = RunLock(session.config.run_folder)
    lock.acquire()
    try:
        with store_at_rest(session.config.storage) as store:
            return result_of(job(store))
    finally:
        lock.release()


@contextlib.contextmanager
def store_at_rest(settings: "StorageSettings") -> "Iterator[MailStore]":
    """Open a store that does everything at once; whoever does that makes sure that no server runs."""
    from mailsuite.durable import Disk, InlineLane
    from mailsuite.store import open_store

    reactor: Any = _NobodyListens()
    store = open_store(settings, disk=Disk(), reactor=reactor, lane=lambda name, _reactor: InlineLane(name))
    store.start()
    try:
        yield store
    finally:
        store.stop()


def result_of(work: Awaitable[object]) -> object:
    """Give the result of what a store at rest does, which is there at once; or raise."""
    from twisted.internet.defer import Deferred

    results: list[object] = []
    errors: list[Any] = []
    _ = Deferred.fromCoroutine(_await(work)).addCallbacks(results.append, errors.append)
    if errors:
        errors[0].raiseException()
    return results[0]


class _NobodyListens:
    """The part of a reactor that a store with inline lanes needs: what is to be told, nobody wants to hear."""

    def callFromThread(self, call: Callable[..., object], *arguments: object) -> None:
        """Forget it."""


async def _await(work: Awaitable[object]) -> object:
    return await work
