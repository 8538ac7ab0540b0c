"""``mailsuite completion``, and what the shell is offered where an address or a domain belongs."""

import contextlib
import sqlite3
from urllib.parse import quote

import click

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_MAILSUITE_COMPLETE"
OFFERS_MAX = 200
WAIT_SECONDS = 0.5
SQLITE = "sqlite:///"


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that lets SHELL complete commands, options, accounts and domains."""
    from click.shell_completion import get_completion_class

    from mailsuite.cli.main import main

    completion = get_completion_class(shell)
    assert completion is not None
    click.echo(completion(main, {}, "mailsuite", VARIABLE).source())


def complete_account(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer the accounts whose address begins so."""
    return _offer(context, "SELECT email FROM users WHERE substr(email, 1, length(?1)) = ?1 ORDER BY 1", incomplete)


def complete_domain(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer our domains whose name begins so."""
    return _offer(context, "SELECT name FROM domains WHERE substr(name, 1, length(?1)) = ?1 ORDER BY 1", incomplete)


def _offer(context: click.Context, statement: str, incomplete: str) -> list[str]:
    """Ask the database as it lies there, without the directory's own, slower way; offer nothing if that fails."""
    from mailsuite.config import ConfigError, load_config

    path = getattr(context.find_root().obj or context.obj, "path", None) or context.find_root().params.get("path")
    try:
        url = load_config(path).database.url
    except ConfigError:
        return []
    if not url.startswith(SQLITE):
        return []
    try:
        address = f"file:{quote(url.removeprefix(SQLITE))}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, timeout=WAIT_SECONDS, uri=True)) as database:
            return [name for (name,) in database.execute(f"{statement} LIMIT {OFFERS_MAX}", (incomplete.lower(),))]
    except sqlite3.Error:
        return []
