"""``mailsuite storage``: works on the folders of all accounts, while no server runs."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import click

from mailsuite.cli.mailbox import as_account, result_of, store_at_rest
from mailsuite.cli.progress import progress
from mailsuite.cli.session import Session, json_option, pass_session, print_json, say
from mailsuite.directory.accounts import Accounts
from mailsuite.interfaces import Account

if TYPE_CHECKING:
    from mailsuite.store.convert import Plan
    from mailsuite.store.settings import Layout

LAYOUTS = ("domain", "userid", "address")


@click.group("storage")
def command() -> None:
    """The folders of all accounts."""


@command.command("convert")
@click.option("--to", "wanted", required=True, type=click.Choice(LAYOUTS), help="The layout that the mail shall have.")
@click.option("--dry-run", is_flag=True, help="Print what would be moved, move nothing.")
@json_option
@pass_session
def convert(session: Session, wanted: str, *, dry_run: bool, as_json: bool) -> None:
    """
    Bring the folders of all accounts into another layout; flags, UIDs and indexes stay.

    What was cut off goes on when the command is given again. With the layout that the mail has already, accounts are
    looked for whose folder another program named, such as john.doe.
    """
    from mailsuite.durable import Disk
    from mailsuite.service.lock import RunLock
    from mailsuite.store.convert import take_steps
    from mailsuite.store.marker import JOURNAL, read_journal

    accounts = [as_account(info) for info in Accounts(session.database()).list()]
    root, disk = session.config.storage.maildir_root, Disk()
    lock = RunLock(session.run_folder)
    lock.acquire()
    try:
        if not os.path.exists(f"{root}/{JOURNAL}"):
            plan = _prepare(session, root, accounts, wanted, dry_run=dry_run)
            _print(root, plan, dry_run=dry_run, as_json=as_json)
            if dry_run or not plan.steps:
                _tell_end(session, plan.wanted, done=not dry_run)
                return
        layout, steps = read_journal(disk, root)
        if layout.value != wanted:
            raise click.ClickException(f"a conversion was cut off: end it first with --to {layout.value}")
        with progress("steps taken", len(steps)) as told:
            take_steps(disk, root, told)
    finally:
        lock.release()
    _tell_end(session, layout, done=True)


def _prepare(session: Session, root: str, accounts: Sequence[Account], wanted: str, *, dry_run: bool) -> "Plan":
    """Look at everything, bring open ends to an end, and write the journal."""
    from mailsuite.durable import Disk
    from mailsuite.store.convert import make_plan, settle, settle_moves, write_journal
    from mailsuite.store.maildir import home_of
    from mailsuite.store.marker import read_layout
    from mailsuite.store.settings import Layout

    disk, settings = Disk(), session.config.storage
    disk.make_folders(root)
    current = read_layout(disk, root) or settings.layout
    if not dry_run:
        settle_moves(disk, root, current, accounts)
        with store_at_rest(attrs.evolve(settings, layout=current)) as store:
            for account in accounts:
                if os.path.exists(home_of(root, current, account.account_id, account.email).index):
                    result_of(store.run(account, settle))
    plan = make_plan(disk, root, accounts, current, Layout(wanted))
    if plan.conflicts:
        for sentence in plan.conflicts:
            say(sentence)
        raise click.ClickException("nothing was moved: move away what is in the way")
    if plan.steps and not dry_run:
        write_journal(disk, root, plan)
    return plan


def _print(root: str, plan: "Plan", *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        moves = [{"email": move.account.email, "from": move.source, "to": move.target} for move in plan.accounts]
        print_json(
            {
                "root": root,
                "from": plan.current.value,
                "to": plan.wanted.value,
                "dry_run": dry_run,
                "accounts": moves,
                "unclaimed": list(plan.unclaimed),
            }
        )
        return
    for move in plan.accounts:
        click.echo(f"{move.source} -> {move.target}")
    for path in plan.unclaimed:
        say(f"{path} belongs to no account and stays where it is")


def _tell_end(session: Session, layout: "Layout", *, done: bool) -> None:
    config = session.config
    if not done:
        say("nothing was moved")
        return
    say(f"the mail lies in layout {layout.value}")
    if config.storage.layout is not layout:
        say(f'write layout = "{layout.value}" below [storage] in {config.path}: the server does not start before that')
