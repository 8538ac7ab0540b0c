"""What every command needs: the configuration, the directory, and one way to print."""

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from mailsuite.errors import MailError

if TYPE_CHECKING:
    from mailsuite.config import Config
    from mailsuite.directory import DirectoryDatabase
    from mailsuite.directory.accounts import Accounts
    from mailsuite.directory.aliases import Aliases
    from mailsuite.directory.domains import Domains


class Session:
    """
    One run of the command line.

    Args:
        path: of the configuration, as given by ``--config``; None means not given.
    """

    def __init__(self, path: str | None = None) -> None:
        self.path = path
        self._config: Config | None = None

    @property
    def config(self) -> "Config":
        """The configuration, read when it is first asked for."""
        if self._config is None:
            from mailsuite.config import load_config

            self._config = load_config(self.path)
        return self._config

    @property
    def run_folder(self) -> str:
        """Where a running server is found, also while its file cannot be used."""
        from mailsuite.config.load import locate_config
        from mailsuite.config.model import RUN_FOLDER

        path = locate_config(self.path)
        if not os.path.exists(path):
            return self.config.run_folder  # which says that there is none
        return os.path.join(os.path.dirname(path), RUN_FOLDER)

    def act_as_server(self) -> None:
        """
        Become ``server.user`` where root asks, before any file is touched: the server must be able to use it.

        Raises:
            MailError: the caller may not become that user.
        """
        if self.config.server.user or self.config.server.group:
            from mailsuite.service.identity import become, find_identity

            become(find_identity(self.config.server))

    def database(self) -> "DirectoryDatabase":
        """
        Open the directory's database.

        Raises:
            MailError: it cannot be used, or is older than this version and ``database.auto_migrate`` is off.
        """
        from mailsuite.directory import DirectoryDatabase

        self.act_as_server()
        database = DirectoryDatabase(self.config.database.url)
        database.ensure_current(auto_migrate=self.config.database.auto_migrate)
        return database

    # Imported when they are used: completing a word in the shell must not wait for a database library.

    def accounts(self) -> "Accounts":
        """Open the directory's accounts."""
        from mailsuite.directory.accounts import Accounts

        return Accounts(self.database())

    def aliases(self) -> "Aliases":
        """Open the directory's aliases."""
        from mailsuite.directory.aliases import Aliases

        return Aliases(self.database())

    def domains(self) -> "Domains":
        """Open the directory's domains."""
        from mailsuite.directory.domains import Domains

        return Domains(self.database())


def one_line(error: Exception) -> str | None:
    """Say a failure that is not our bug in one line; None for a bug."""
    from mailsuite.config.faults import ConfigError

    if isinstance(error, ConfigError):
        more = len(error.faults) - 1
        return f"{error.faults[0]}{f'; and {more} more: run mailsuite check' if more else ''}"
    if isinstance(error, MailError):
        return error.detail
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}"
    if isinstance(error, sqlite3.Error):
        return f"the database cannot be used: {error}"
    return None


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let ``--config`` stand behind the command as well."""

    def remember(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            context.ensure_object(Session).path = value

    option = click.option(
        "-c", "--config", metavar="FILE", expose_value=False, is_eager=True, callback=remember, help="Configuration."
    )
    return option(function)


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")(function)


def pass_session(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the command its `Session` as the first argument, and ``--config``."""
    return config_option(click.pass_obj(function))


def say(text: str) -> None:
    """Print a message; standard output belongs to results."""
    click.echo(text, err=True)


def print_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=not _can_print_all()))


def _can_print_all() -> bool:
    encoding = getattr(sys.stdout, "encoding", None) or ""
    return encoding.lower().replace("-", "") == "utf8"


def print_rows(rows: Sequence[Mapping[str, object]], *, as_json: bool, columns: Sequence[str] = ()) -> None:
    """
    Print a list: a JSON array, or a table on a terminal and tab-separated columns elsewhere.

    Args:
        columns: which keys a table shows; none means all of the first row.
    """
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        return
    from mailsuite.observe.cell import cell

    shown = columns or list(rows[0])
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(cell(row[name]) for name in shown))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in shown:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(cell(row[name]).replace("[", r"\[") for name in shown))
    Console().print(table)


def print_facts(facts: Mapping[str, object], *, as_json: bool) -> None:
    """Print one thing: a JSON object, or a line for each of its properties."""
    if as_json:
        print_json(dict(facts))
        return
    from mailsuite.observe.cell import cell

    width = max(len(name) for name in facts)
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' '):<{width}}  {cell(value)}")


def timestamp(seconds: float | None) -> str | None:
    """Write a moment as ISO 8601 in UTC."""
    import datetime as dt

    return None if not seconds else dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")
