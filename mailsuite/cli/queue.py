"""``mailsuite queue``: works on the spool directly, and lets a running server look at it."""

import contextlib
import getpass
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mailsuite.cli.control import NotRunningError, ask_server
from mailsuite.cli.session import Session, json_option, pass_session, print_facts, print_rows, say, timestamp
from mailsuite.errors import Kind, MailError

if TYPE_CHECKING:
    from mailsuite.mta.operations import QueueEntry, QueueFile

SPOOL_FOLDER = "spool"


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


def _poke(session: Session) -> None:
    """Let a running server look at its queue at once."""
    with contextlib.suppress(NotRunningError):
        ask_server(session, "queue.poke")


def _facts(entry: "QueueEntry") -> dict[str, object]:
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
                "status": recipient.status,
            }
            for recipient in entry.recipients
        ],
    }


@command.command("list")
@json_option
@pass_session
def list_(session: Session, *, as_json: bool) -> None:
    """List what waits, oldest first."""
    try:
        with _open(session) as queue:
            entries = queue.list()
    except MailError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
        entries = []  # no server has run yet
    if as_json:
        print_rows([_facts(entry) for entry in entries], as_json=True)
        return
    print_rows(
        [
            {
                "queue_id": entry.queue_id,
                "received": timestamp(entry.received),
                "size_octets": entry.size_octets,
                "sender": entry.sender or "<>",
                "recipient": recipient.address,
                "state": recipient.state,
                "tries": recipient.tries,
                "status": recipient.status,
            }
            for entry in entries
            for recipient in entry.recipients
        ],
        as_json=False,
    )


@command.command("show")
@click.argument("queue_id")
@json_option
@pass_session
def show(session: Session, queue_id: str, *, as_json: bool) -> None:
    """Show one message."""
    with _open(session) as queue:
        facts = _facts(queue.show(queue_id))
    if as_json:
        print_facts(facts, as_json=True)
        return
    recipients = facts.pop("recipients")
    print_facts(facts, as_json=False)
    assert isinstance(recipients, list)
    print_rows(recipients, as_json=False)


@command.command("retry")
@click.argument("queue_id")
@pass_session
def retry(session: Session, queue_id: str) -> None:
    """Try one message now."""
    with _open(session) as queue:
        queue.retry(queue_id, time.time())
    _poke(session)
    say(f"{queue_id} is tried now")


@command.command("hold")
@click.argument("queue_id")
@pass_session
def hold(session: Session, queue_id: str) -> None:
    """Let one message wait until it is released."""
    with _open(session) as queue:
        queue.hold(queue_id)
    say(f"{queue_id} is held")


@command.command("release")
@click.argument("queue_id")
@pass_session
def release(session: Session, queue_id: str) -> None:
    """Let one message go on."""
    with _open(session) as queue:
        queue.release(queue_id)
    _poke(session)
    say(f"{queue_id} is released")


@command.command("remove")
@click.argument("queue_id")
@pass_session
def remove(session: Session, queue_id: str) -> None:
    """Give up one message; nobody is told."""
    with _open(session) as queue:
        queue.remove(queue_id)
    say(f"{queue_id} is removed")


@command.command("flush")
@pass_session
def flush(session: Session) -> None:
    """Try everything now that is not held."""
    with _open(session) as queue:
        count = queue.flush(time.time())
    _poke(session)
    say(f"{count} recipients are tried now")
