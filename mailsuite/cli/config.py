"""``mailsuite config``."""

import json

import click

from mailsuite.cli.convert import convert
from mailsuite.cli.session import Session, json_option, pass_session, print_rows


@click.group("config")
def command() -> None:
    """Look at the configuration, or make one from that of another server."""


command.add_command(convert)


@command.command("show")
@json_option
@pass_session
def show(session: Session, *, as_json: bool) -> None:
    """Show every value in force, and whether the file, the environment or the default says so."""
    rows: list[dict[str, object]] = [
        {
            "key": item.key,
            "value": item.value if as_json else json.dumps(item.value, ensure_ascii=False),
            "origin": item.origin.value,
        }
        for item in session.config.effective
    ]
    print_rows(rows, as_json=as_json)
