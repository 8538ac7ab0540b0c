"""``mailsuite reload``."""

from typing import Any, cast

import click

from mailsuite.cli.control import NotRunningError, ask_server
from mailsuite.cli.session import Session, json_option, pass_session, print_json, say


@click.command("reload")
@json_option
@pass_session
def command(session: Session, *, as_json: bool) -> None:
    """Let the running server read its configuration and certificate again; say what acts at once and what does not."""
    try:
        answer = cast("dict[str, list[str]]", ask_server(session, "reload"))
    except NotRunningError as error:
        raise click.ClickException("no server runs on this folder") from error
    if as_json:
        print_json(cast("Any", answer))
        return
    if answer["changed"]:
        say(f"in force now: {', '.join(answer['changed'])}")
    if answer["waiting"]:
        say(f"in force after a new start: {', '.join(answer['waiting'])}")
    if not answer["changed"] and not answer["waiting"]:
        say("no key has changed; certificates were looked at")
