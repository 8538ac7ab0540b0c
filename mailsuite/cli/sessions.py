"""``mailsuite sessions``: the open connections of the running server."""

from typing import Any, cast

import click

from mailsuite.cli.control import NotRunningError, ask_server
from mailsuite.cli.session import Session, json_option, pass_session, print_rows, say


@click.group("sessions", invoke_without_command=True)
@json_option
@pass_session
@click.pass_context
def command(context: click.Context, session: Session, *, as_json: bool) -> None:
    """List the open connections, the oldest first."""
    if context.invoked_subcommand is None:
        print_rows(cast("list[dict[str, Any]]", ask_running(session, "sessions")), as_json=as_json)


@command.command("end")
@click.option("--id", "session_id", metavar="ID", required=True, help="As the list shows it.")
@pass_session
def end(session: Session, session_id: str) -> None:
    """End one connection after what is under way."""
    ask_running(session, "session.end", id=session_id)
    say(f"{session_id} ends")


def ask_running(session: Session, name: str, **arguments: object) -> object:
    """
    Ask the server, which must run.

    Raises:
        ClickException: it does not.
    """
    try:
        return ask_server(session, name, **arguments)
    except NotRunningError as error:
        raise click.ClickException("no server runs on this folder") from error
