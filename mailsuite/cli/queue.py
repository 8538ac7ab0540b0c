"""``mailsuite queue``: works on the spool directly, and lets a running server look at it."""

import contextlib
import datetime as dt
import getpass
import itertools
import json
import os
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from mailsuite.cli.control import NotRunningError, ask_server
from mailsuite.cli.session import (
    Session,
    json_option,
    pass_session,
    print_facts,
    print_json,
    print_rows,
    say,
    timestamp,
)
from mailsuite.errors import Kind, MailError

if TYPE_CHECKING:
    from mailsuite.mta.operations import QueueFile
    from mailsuite.mta.queue_store import Change, QueueEntry, QueueRecipient, Selection

SPOOL_FOLDER = "spool"
LIMIT_MESSAGES = 100
PAGE_ROWS = 200
STATES = ("waiting", "held")
MAILBOXES = "(mailboxes here)"


@click.group("queue")
def command() -> None:
    """Mail that waits for delivery."""


@contextlib.contextmanager
def _open(session: Session) -> "Iterator[QueueFile]":
    from twisted.logger import globalLogPublisher

    from mailsuite.durable import Disk
    from mailsuite.mta.operations import QueueFile
    from mailsuite.trace import Recorder

    by = f"{_who()} on the command line"
    session.act_as_server()
    config = session.config
    with contextlib.ExitStack() as stack:
        queue = stack.enter_context(QueueFile(os.path.join(config.server.data_dir, SPOOL_FOLDER), by=by))
        if config.trace.days:
            recorder = stack.enter_context(Recorder(config.trace_folder, config.trace, Disk()))
            globalLogPublisher.addObserver(recorder)
            stack.callback(globalLogPublisher.removeObserver, recorder)
        yield queue


def _who() -> str:
    """Name who asks, as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return f"user {os.getuid()}"


def _poke(session: Session, **arguments: object) -> None:
    """Let a running server look at its queue at once; one that cannot now looks by itself, soon."""
    with contextlib.suppress(NotRunningError, MailError):
        ask_server(session, "queue.poke", **arguments)


def _select(
    queue_id: str | None = None, domain: str | None = None, sender: str | None = None, state: str | None = None
) -> "Selection":
    from mailsuite.address import normalize_domain
    from mailsuite.mta.queue_store import STATE_NAMES, Selection

    states = {name: each for each, name in STATE_NAMES.items()}
    return Selection(
        queue_id=queue_id or "",
        domain=normalize_domain(domain) if domain else "",
        sender=sender or "",
        state=states[state] if state else None,
    )


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--sender", metavar="ADDRESS", help="Only from this reverse-path; <> is the null one."),
        click.option("--domain", metavar="DOMAIN", help="Only for recipients there."),
    ):
        function = option(function)
    return function


class _Reasons:
    """
    Says why recipients wait that were not tried: their destination is left alone.

    A running server is asked when the first of them comes up, and not again.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pauses: dict[str, Mapping[str, str]] | None = None

    def status(self, recipient: "QueueRecipient") -> str:
        """Give the status of a recipient, or what stands for it."""
        if recipient.status:
            return recipient.status
        if self._pauses is None:
            self._pauses = _pauses(self._session)
        key = _key(self._session, recipient.address.rpartition("@")[2]) if self._pauses else ""
        pause = self._pauses.get(key)
        return f"{key} is left alone until {pause['until']}: {pause['reason']}" if pause else ""


def _facts(entry: "QueueEntry", reasons: _Reasons) -> dict[str, object]:
    return {
        "queue_id": entry.queue_id,
        "sender": entry.sender,
        "received": timestamp(entry.received),
        "size_octets": entry.size_octets,
        "recipients": [
            {
                "address": recipient.address,
                "state": recipient.state,
                "next_attempt": timestamp(recipient.next_attempt),
                "tries": recipient.tries,
                "status": reasons.status(recipient),
                "host": recipient.host,
                "last_attempt": timestamp(recipient.last_attempt),
            }
            for recipient in entry.recipients
        ],
    }


def _rows(entries: Iterable["QueueEntry"], reasons: _Reasons) -> Iterator[dict[str, object]]:
    for entry in entries:
        for recipient in entry.recipients:
            yield {
                "queue_id": entry.queue_id,
                "received": timestamp(entry.received),
                "size_octets": entry.size_octets,
                "sender": entry.sender or "<>",
                "recipient": recipient.address,
                "state": recipient.state,
                "tries": recipient.tries,
                "status": reasons.status(recipient),
            }


@command.command("list")
@_filters
@click.option("--state", type=click.Choice(STATES), help="Only what is in this state.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=LIMIT_MESSAGES,
    show_default=True,
    help="At most so many messages; 0 shows all.",
)
@click.option(
    "--by-destination", is_flag=True, help="Count by domain instead, and say which are left alone for a while."
)
@json_option
@pass_session
def list_(
    session: Session,
    *,
    domain: str | None,
    sender: str | None,
    state: str | None,
    limit: int,
    by_destination: bool,
    as_json: bool,
) -> None:
    """List what waits, oldest first."""
    if by_destination:
        print_rows(_destinations(session), as_json=as_json)
        return
    selection = _select(domain=domain, sender=sender, state=state)
    with contextlib.ExitStack() as stack:
        try:
            queue = stack.enter_context(_open(session))
        except MailError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise
            print_rows([], as_json=as_json)  # no server has run yet
            return
        entries = queue.list(selection)
        shown = _Counted(itertools.islice(entries, limit) if limit else entries)
        reasons = _Reasons(session)
        if as_json:
            _print_array(_facts(entry, reasons) for entry in shown)
        else:
            _print_pages(_rows(shown, reasons))
        if limit and shown.count == limit:
            total = queue.count(selection).messages
            if total > limit:
                say(f"{limit} of {total} messages; --limit 0 shows all")


class _Counted:
    """Counts what passes through."""

    def __init__(self, entries: Iterable["QueueEntry"]) -> None:
        self._entries = entries
        self.count = 0

    def __iter__(self) -> Iterator["QueueEntry"]:
        for entry in self._entries:
            self.count += 1
            yield entry


def _print_array(values: Iterable[Mapping[str, object]]) -> None:
    """Print a JSON array whose elements are made while it is written."""
    values = iter(values)
    first = next(values, None)
    if first is None:
        print_json([])
        return
    click.echo("[")
    click.echo(_element(first), nl=False)
    for value in values:
        click.echo(",")
        click.echo(_element(value), nl=False)
    click.echo("\n]")


def _element(value: Mapping[str, object]) -> str:
    return textwrap.indent(json.dumps(value, indent=2), "  ")


def _print_pages(rows: Iterator[dict[str, object]]) -> None:
    while page := list(itertools.islice(rows, PAGE_ROWS)):
        print_rows(page, as_json=False)


def _destinations(session: Session) -> list[dict[str, object]]:
    try:
        with _open(session) as queue:
            counts = queue.count_domains()
    except MailError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
        counts = ()
    pauses = _pauses(session)
    return [
        {
            "domain": each.domain or MAILBOXES,
            "waiting": each.waiting,
            "held": each.held,
            "oldest": timestamp(each.oldest),
            "next_attempt": timestamp(each.next_attempt),
            "left_alone_until": pauses.get(_key(session, each.domain), {}).get("until"),
            "status": each.status,
        }
        for each in counts
    ]


def _key(session: Session, domain: str) -> str:
    from mailsuite.mta.relay import find_destination

    return find_destination(session.config.routes, domain).key if domain else ""


def _pauses(session: Session) -> dict[str, Mapping[str, str]]:
    try:
        pauses = ask_server(session, "queue.pauses")
    except (NotRunningError, MailError):
        return {}  # only a server that runs leaves somebody alone
    assert isinstance(pauses, list)
    return {pause["destination"]: pause for pause in pauses}


@command.command("show")
@click.argument("queue_id")
@json_option
@pass_session
def show(session: Session, queue_id: str, *, as_json: bool) -> None:
    """Show one message; times are local ones."""
    with _open(session) as queue:
        entry = queue.show(queue_id)
    reasons = _Reasons(session)
    if as_json:
        print_facts(_facts(entry, reasons), as_json=True)
        return
    print_facts(
        {
            "queue_id": entry.queue_id,
            "sender": entry.sender or "<>",
            "received": _local_time(entry.received),
            "size_octets": entry.size_octets,
        },
        as_json=False,
    )
    print_rows(
        [
            {
                "address": recipient.address,
                "state": recipient.state,
                "tries": recipient.tries,
                "last_attempt": _local_time(recipient.last_attempt) if recipient.last_attempt else "never",
                "next_attempt": _local_time(recipient.next_attempt) if recipient.next_attempt else "now",
                "host": recipient.host,
                "status": reasons.status(recipient),
            }
            for recipient in entry.recipients
        ],
        as_json=False,
    )


def _local_time(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone().isoformat(" ", timespec="seconds")


def _changing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take one message or many."""
    for option in (
        click.option("--all", "everything", is_flag=True, help="Everything in the queue."),
        _filters,
        click.argument("queue_id", required=False),
    ):
        function = option(function)
    return pass_session(function)


def _change(
    session: Session,
    change: "Change",
    done: str,
    *,
    queue_id: str | None,
    domain: str | None,
    sender: str | None,
    everything: bool,
) -> int:
    if sum((queue_id is not None, bool(domain or sender), everything)) != 1:
        raise click.UsageError("name a message, or a --domain or --sender, or --all")
    selection = _select(queue_id, domain, sender)
    with _open(session) as queue:
        count = queue.change(change, selection, time.time())
    say(f"{queue_id} {done}" if queue_id else f"{count} recipients: {done}")
    return count


@command.command("retry")
@_changing
def retry(session: Session, *, queue_id: str | None, domain: str | None, sender: str | None, everything: bool) -> None:
    """Try one message now, or many; destinations that were left alone are tried as well."""
    from mailsuite.mta.queue_store import Change

    names = {"queue_id": queue_id, "domain": domain, "sender": sender}
    _ = _change(session, Change.RETRY, "is tried now" if queue_id else "due now", **names, everything=everything)
    _poke(session, **({} if queue_id else {"open": [_select(domain=domain).domain] if domain else []}))


@command.command("hold")
@_changing
def hold(session: Session, *, queue_id: str | None, domain: str | None, sender: str | None, everything: bool) -> None:
    """Let one message wait until it is released, or many."""
    from mailsuite.mta.queue_store import Change

    names = {"queue_id": queue_id, "domain": domain, "sender": sender}
    _ = _change(session, Change.HOLD, "is held" if queue_id else "held", **names, everything=everything)


@command.command("release")
@_changing
def release(
    session: Session, *, queue_id: str | None, domain: str | None, sender: str | None, everything: bool
) -> None:
    """Let one message go on that was held, or many."""
    from mailsuite.mta.queue_store import Change

    names = {"queue_id": queue_id, "domain": domain, "sender": sender}
    _ = _change(session, Change.RELEASE, "is released" if queue_id else "released", **names, everything=everything)
    _poke(session)


@command.command("remove")
@_changing
def remove(session: Session, *, queue_id: str | None, domain: str | None, sender: str | None, everything: bool) -> None:
    """Give up one message, or many; nobody is told."""
    from mailsuite.mta.queue_store import Change

    names = {"queue_id": queue_id, "domain": domain, "sender": sender}
    _ = _change(session, Change.REMOVE, "is removed" if queue_id else "removed", **names, everything=everything)


@command.command("flush")
@pass_session
def flush(session: Session) -> None:
    """Try everything now that is not held."""
    from mailsuite.mta.queue_store import Change, Selection, State

    with _open(session) as queue:
        queue.change(Change.RETRY, Selection(), time.time())
        count = queue.count(Selection(state=State.WAITING)).recipients
    _poke(session, open=[])
    say(f"{count} recipients are tried now")
