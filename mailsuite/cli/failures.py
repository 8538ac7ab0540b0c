"""Known failures become one line and exit status 1."""

import signal

import click

from mailsuite.cli.daemon import fall_silent
from mailsuite.cli.session import one_line

READER_GONE_STATUS = 128 + signal.SIGPIPE  # as the shell says it of programs that the signal ends


class OneLineGroup(click.Group):
    """A group of commands; a failure that we know becomes one line and exit status 1."""

    def invoke(self, ctx: click.Context) -> object:
        """Run, and say known failures in one line."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except BrokenPipeError as error:
            # Who reads has seen enough. What is still held back must not fail at the end once more.
            fall_silent()
            raise click.exceptions.Exit(READER_GONE_STATUS) from error
        except Exception as error:
            text = one_line(error)
            if text is None:
                raise
            raise click.ClickException(text) from error
