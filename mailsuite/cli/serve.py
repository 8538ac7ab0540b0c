"""``mailsuite serve``."""

import os
from collections.abc import Callable
from typing import Any

import click

from mailsuite.cli.daemon import detach, fall_silent
from mailsuite.cli.session import Session, pass_session, say
from mailsuite.config import ConfigError


@click.command("serve")
@click.option("--pidfile", metavar="F", default="", help="Write the process id there; a stale file never blocks.")
@click.option("--daemon", is_flag=True, help="Go on in the background.")
@pass_session
def command(session: Session, pidfile: str, *, daemon: bool) -> None:
    """Run the server: checks the configuration, then is twistd mailsuite."""
    try:
        config = session.config
    except ConfigError as error:
        for fault in error.faults:
            say(str(fault))
        raise click.exceptions.Exit(1) from error
    if daemon:
        detach()
    run_twistd(config.path, pidfile=pidfile, after_ready=fall_silent if daemon else None)


def run_twistd(path: str, *, pidfile: str = "", after_ready: Callable[[], None] | None = None) -> None:
    """
    Run ``twistd mailsuite`` in this process; returns when the server has stopped.

    Args:
        after_ready: called when the line that says that it is ready has been printed.

    Raises:
        SystemExit: it could not start; the reason has been printed.
    """
    from twisted.scripts import twistd

    options: Any = twistd.ServerOptions()  # type: ignore[attr-defined, no-untyped-call]  # in nobody's __all__
    arguments = ["--nodaemon", "--pidfile=", "--rundir", os.getcwd(), "mailsuite", "--config", path]
    arguments += ["--pid-lock", os.path.abspath(pidfile)] if pidfile else []
    options.parseOptions(arguments)
    options.subOptions["after_ready"] = after_ready
    twistd.runApp(options)
