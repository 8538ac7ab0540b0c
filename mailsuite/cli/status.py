"""``mailsuite status``."""

from typing import Any, cast

import click

from mailsuite.cli.control import NotRunningError, ask_server
from mailsuite.cli.session import Session, json_option, pass_session, print_facts, print_rows


@click.command("status")
@json_option
@pass_session
def command(session: Session, *, as_json: bool) -> None:
    """Show the running server; exit status 1 if there is none."""
    try:
        facts = cast("dict[str, Any]", ask_server(session, "status"))
    except NotRunningError as error:
        raise click.ClickException("no server runs on this folder") from error
    if as_json:
        print_facts(facts, as_json=True)
        return
    workers = facts.pop("workers", ())
    print_facts(facts, as_json=False)
    if workers:
        click.echo()
        print_rows(workers, as_json=False)
