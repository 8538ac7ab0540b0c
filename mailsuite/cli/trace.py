"""``mailsuite trace``: what happened to one message."""

from typing import Any, cast

import click

from mailsuite.cli.session import Session, json_option, pass_session, print_rows
from mailsuite.cli.sessions import ask_running

COLUMNS = ("time", "event", "peer", "text")


@click.command("trace")
@click.argument("name", metavar="ID")
@json_option
@pass_session
def command(session: Session, name: str, *, as_json: bool) -> None:
    """Tell in order what happened to a recent message; ID is its queue id or its Message-ID."""
    rows = cast("list[dict[str, Any]]", ask_running(session, "trace", id=name))
    print_rows(rows, as_json=as_json, columns=COLUMNS)
