"""``mailsuite``: the command line. Each group of commands is imported when it is used."""

import importlib
import signal
from collections.abc import Mapping

import click

import mailsuite
from mailsuite.cli.daemon import fall_silent
from mailsuite.cli.session import Session, one_line

READER_GONE_STATUS = 128 + signal.SIGPIPE  # as the shell says it of programs that the signal ends

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("init", "Make a new server in a folder."),
    "demo": ("demo", "Run a complete server with sample accounts."),
    "serve": ("serve", "Run the server."),
    "status": ("status", "Show the running server."),
    "stop": ("stop", "Stop the running server."),
    "check": ("check", "Find every fault in the configuration."),
    "config": ("config", "Look at the configuration."),
    "migrate": ("migrate", "Bring every database to this version."),
    "domain": ("domain", "Domains whose mail is ours."),
    "user": ("user", "Accounts."),
    "alias": ("alias", "Addresses that stand for others."),
    "queue": ("queue", "Mail that waits for delivery."),
    "mailbox": ("mailbox", "The mailboxes of an account."),
    "sessions": ("sessions", "Open connections."),
    "trace": ("trace", "What happened to a recent message."),
}
"""Name, module below ``mailsuite.cli``, help. The order is that of ``--help``."""


class Commands(click.Group):
    """The group of all commands; a failure that we know becomes one line and exit status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"mailsuite.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - likewise
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

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


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(mailsuite.__version__, prog_name="mailsuite")
@click.option("-c", "--config", "path", metavar="FILE", help="Configuration; default $MAILSUITE_CONFIG, then /etc.")
@click.pass_context
def main(context: click.Context, path: str | None) -> None:
    """Mail server suite: SMTP, IMAP and POP3 with a durable spool and Maildir storage."""
    context.obj = Session(path)


if __name__ == "__main__":
    main()
