"""``mailsuite stalls``."""

from typing import Any, cast

import click

from mailsuite.cli.control import NotRunningError, ask_server
from mailsuite.cli.session import Session, json_option, pass_session, print_json, print_rows, say

COLUMNS = ("count", "seconds", "longest_seconds", "place")


@click.command("stalls")
@json_option
@pass_session
def command(session: Session, *, as_json: bool) -> None:
    """Show which functions held the running server up, the worst first; --json shows the last ones with their stack."""
    try:
        told = cast("dict[str, Any]", ask_server(session, "stalls"))
    except NotRunningError as error:
        raise click.ClickException("no server runs on this folder") from error
    if as_json:
        print_json(told)
        return
    if not told["watching"]:
        say("the watchdog is off: server.stall_seconds is 0, or the reactor is not one that it can watch")
    rows = [
        {**row, "seconds": _short(row["seconds"]), "longest_seconds": _short(row["longest_seconds"])}
        for row in told["places"]
    ]
    print_rows(rows, as_json=False, columns=COLUMNS)
    say(f"{told['count']} in all, the longest {_short(told['longest_seconds'])} s")


def _short(seconds: float) -> str:
    return f"{seconds:.3f}"
