"""``mailsuite mailbox``: asks the running server; without one, works on the folder itself."""

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import click

from mailsuite.cli.completion import complete_account
from mailsuite.cli.control import NotRunningError, ask_server
from mailsuite.cli.progress import counted, working
from mailsuite.cli.session import Session, json_option, pass_session, print_json, print_rows, say

if TYPE_CHECKING:
    from mailsuite.directory.records import AccountInfo
    from mailsuite.interfaces import Account
    from mailsuite.store import MailStore, StorageSettings
    from mailsuite.store.maildir import Home


@click.group("mailbox")
def command() -> None:
    """The mailboxes of an account."""


@command.command("list")
@click.argument("address", shell_complete=complete_account)
@json_option
@pass_session
def list_(session: Session, address: str, *, as_json: bool) -> None:
    """List an account's mailboxes."""
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


@command.command("export")
@click.argument("address", shell_complete=complete_account)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--format", "form", type=click.Choice(["maildir", "mbox", "eml"]), default="maildir", show_default=True)
@click.option("--mailbox", default="", metavar="NAME", help="Only this one.")
@pass_session
def export(session: Session, address: str, folder: str, form: str, mailbox: str) -> None:
    """Write an account's mail into DIR; what is there already stays. The server may run."""
    from mailsuite.durable import Disk
    from mailsuite.store.exchange import Format, read_account, write_outside

    home, disk = _home(session, address), Disk()
    written = write_outside(read_account(home, disk, mailbox), os.path.abspath(folder), Format(form), disk)
    results = list(counted(written, f"exporting {address}"))
    say(f"{sum(results)} messages of {address} exported, {len(results) - sum(results)} were there already")


@command.command("import")
@click.argument("address", shell_complete=complete_account)
@click.argument("source", type=click.Path(exists=True))
@click.option("--mailbox", default="", metavar="NAME", help="Where it goes; default: INBOX, folders by their names.")
@pass_session
def import_(session: Session, address: str, source: str, mailbox: str) -> None:
    """Take in SOURCE: a Maildir, an mbox, a folder of .eml files. Each message once; the server may run."""
    from mailsuite.durable import Disk
    from mailsuite.store.exchange import Importer, read_source

    importer = Importer(_home(session, address), Disk())
    try:
        results = [importer.add(letter) for letter in counted(read_source(source, mailbox), f"importing to {address}")]
    finally:
        importer.finish()
    _run(session, "mailbox.list", address, mailbox_rows)  # notices what came
    say(f"{sum(results)} messages imported to {address}, {len(results) - sum(results)} were there already")


def _home(session: Session, address: str) -> "Home":
    """Find where an account's mail lies, which is made if it has none yet."""
    from mailsuite.store.maildir import home_of

    info = session.accounts().info(address)
    _run(session, "mailbox.list", address, mailbox_rows)
    settings = session.config.storage
    return home_of(settings.maildir_root, settings.layout, info.account_id, info.email)


def mailbox_rows(store: Any, account: "Account") -> Awaitable[object]:
    """List an account's mailboxes with a store of our own."""
    from mailsuite.service.commands import mailbox_rows as rows

    return rows(store, account)


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
    from mailsuite.service.lock import RunLock

    lock = RunLock(session.run_folder)
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
