"""``mailsuite stop``."""

import time

import click

from mailsuite.cli.control import NotRunningError, ask_server
from mailsuite.cli.session import Session, pass_session, say

STOP_SECONDS = 60.0
POLL_SECONDS = 0.05


@click.command("stop")
@pass_session
def command(session: Session) -> None:
    """Stop the running server, and wait until it has stopped."""
    from mailsuite.errors import MailError
    from mailsuite.service.lock import RunLock

    try:
        ask_server(session, "stop")
    except NotRunningError as error:
        raise click.ClickException("no server runs on this folder") from error
    lock = RunLock(session.run_folder)
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            lock.acquire()
        except MailError:
            if time.monotonic() > deadline:
                raise click.ClickException("the server has not stopped yet") from None
            time.sleep(POLL_SECONDS)
        else:
            lock.release()
            say("the server has stopped")
            return
