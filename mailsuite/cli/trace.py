"""``mailsuite trace``: what happened to a message, also while no server runs."""

import re
import time
from typing import TYPE_CHECKING, Any, cast

import click

from mailsuite.cli.control import NotRunningError, ask_server
from mailsuite.cli.session import Session, json_option, pass_session, print_rows, say
from mailsuite.errors import Kind, MailError

if TYPE_CHECKING:
    from mailsuite.trace import Trace

COLUMNS = ("time", "event", "peer", "text")
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

Rows = list[dict[str, Any]]


class Age(click.ParamType[float]):
    """A length of time, such as ``90m``, ``2h`` or ``7d``; its value is in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        match = re.fullmatch(r"(\d{1,6})([smhdw])", str(value))
        if match is None:
            self.fail(f"{value!r} is no length of time such as 30m, 2h or 7d", param, ctx)
        return int(match[1]) * UNIT_SECONDS[match[2]]


@click.command("trace")
@click.argument("name", metavar="[ID]", required=False)
@click.option("--recipient", metavar="ADDRESS", default="", help="List messages to this address.")
@click.option("--sender", metavar="ADDRESS", default="", help="List messages of this sender; <> is the null one.")
@click.option("--since", metavar="AGE", type=Age(), help="List messages of the last 30m, 2h, 7d.")
@json_option
@pass_session
def command(
    session: Session, name: str | None, recipient: str, sender: str, since: float | None, *, as_json: bool
) -> None:
    """
    Tell in order what happened to a message; ID is its queue id or its Message-ID.

    Without ID, list messages: each with its sender, its recipients, and what became of it.
    """
    wanted = bool(recipient or sender or since is not None)
    if (name is None) != wanted:
        raise click.UsageError("give either an ID, or --recipient, --sender or --since")
    if name is not None:
        print_rows(_story(session, name), as_json=as_json, columns=COLUMNS)
    else:
        begin = 0.0 if since is None else time.time() - since
        print_rows(_search(session, recipient, sender, begin), as_json=as_json)


def _story(session: Session, name: str) -> Rows:
    try:
        return cast("Rows", ask_server(session, "trace", id=name))
    except NotRunningError:
        trace = _open(session)
    rows = trace.story(name)
    _warn(trace)
    if not rows:
        raise MailError(Kind.NOT_FOUND, f"nothing is known of {name}")
    return rows


def _search(session: Session, recipient: str, sender: str, since: float) -> Rows:
    try:
        return cast("Rows", ask_server(session, "trace.search", recipient=recipient, sender=sender, since=since))
    except NotRunningError:
        from mailsuite.trace import Search

        trace = _open(session)
    rows = trace.search(Search(recipient=recipient, sender=sender, since=since))
    _warn(trace)
    return rows


def _open(session: Session) -> "Trace":
    from mailsuite.durable import Disk
    from mailsuite.trace import Trace

    session.act_as_server()
    return Trace(session.config.trace_folder, Disk())


def _warn(trace: "Trace") -> None:
    for name, reason in trace.unreadable.items():
        say(f"{name} cannot be read and was left out: {reason}")
