"""``mailsuite user import``."""

import os
import sys
from typing import TYPE_CHECKING

import click

from mailsuite.cli.progress import progress
from mailsuite.cli.session import Session, json_option, pass_session, print_json, say

if TYPE_CHECKING:
    from mailsuite.directory.bulk import Checked
    from mailsuite.directory.rosters import LineFault, Roster

STANDARD_INPUT = "-"


@click.command("import")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--domain", default="", help="Of users whose line does not tell it.")
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@click.option("--skip-bad", is_flag=True, help="Import the others when lines are wrong.")
@click.option("--keep-ids", is_flag=True, help="Keep the numbers of accounts, on which folders user_N depend.")
@json_option
@pass_session
def import_(
    session: Session, file: str, domain: str, *, dry_run: bool, skip_bad: bool, keep_ids: bool, as_json: bool
) -> None:
    """
    Add the users of FILE: all of them, or none when a line is wrong.

    FILE is CSV with a header (email, or username and domain; password or password_hash; quota, admin, enabled,
    aliases, id), a passwd file of Dovecot or htpasswd, or an SQLite database with a table of users. Accounts that
    exist are left as they are, so the same file can be imported again.
    """
    from mailsuite.directory.bulk import BulkImport

    roster = _read(file, domain)
    job = BulkImport(session.database(), keep_ids=keep_ids)
    checked = job.check(roster.entries)
    faults = sorted([*roster.faults, *checked.faults], key=lambda fault: fault.line)
    stopped = bool(faults) and not skip_bad
    if not as_json:
        _tell(roster, checked, faults)
    new = [] if stopped else checked.new
    if new and not dry_run:
        with progress("passwords hashed", len(new)) as told:
            job.add(new, told)
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "added": [address.key for _, address in new],
                "present": [entry.email for entry in checked.present],
                "faults": [{"line": fault.line, "detail": fault.detail} for fault in faults],
            }
        )
    else:
        _sum_up(checked, len(new), faults, stopped=stopped, dry_run=dry_run)
    if faults and (stopped or dry_run):
        raise click.exceptions.Exit(1)


def _read(file: str, domain: str) -> "Roster":
    from mailsuite.directory.rosters import ROSTER_MAX_OCTETS, SQLITE_MAGIC, read_roster

    if file == STANDARD_INPUT:
        data = sys.stdin.buffer.read(ROSTER_MAX_OCTETS + 1)
    else:
        with open(file, "rb") as stream:
            data = stream.read(len(SQLITE_MAGIC))
            data += b"" if data == SQLITE_MAGIC else stream.read(ROSTER_MAX_OCTETS)
    if len(data) > ROSTER_MAX_OCTETS:
        raise click.ClickException(f"{file} is longer than {ROSTER_MAX_OCTETS} octets: cut it into pieces")
    return read_roster(data, os.path.abspath(file), domain)


def _tell(roster: "Roster", checked: "Checked", faults: "list[LineFault]") -> None:
    from mailsuite.directory.passwords import weakness

    for fault in faults:
        say(str(fault))
    if roster.unused:
        say(f"columns that mean nothing here: {', '.join(roster.unused)}")
    weak = [entry.line for entry, address in checked.new if entry.password and weakness(entry.password, address.key)]
    if weak:
        say(f"warning: {len(weak)} passwords are easily guessed, the first in line {weak[0]}")


def _sum_up(checked: "Checked", added: int, faults: "list[LineFault]", *, stopped: bool, dry_run: bool) -> None:
    if stopped:
        say(f"nothing was imported: {len(faults)} lines are wrong; repair them, or leave them out with --skip-bad")
        return
    say(f"{added} accounts {'would be added' if dry_run else 'added'}, {len(checked.present)} are there already")
    silent = [entry for entry, _ in checked.new if not entry.password and not entry.password_hash]
    if silent:
        say(f"{len(silent)} of them have no password: nobody can log in there until 'user passwd' sets one")
