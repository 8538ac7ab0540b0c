"""``mailsuite``: the command line. Each group of commands is imported when it is used."""

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

import mailsuite
from mailsuite.cli.failures import OneLineGroup
from mailsuite.cli.session import Session

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("init", "Make a new server in a folder."),
    "demo": ("demo", "Run a complete server with sample accounts."),
    "serve": ("serve", "Run the server."),
    "status": ("status", "Show the running server."),
    "reload": ("reload", "Let the running server read its configuration again."),
    "stalls": ("stalls", "Show what held the running server up."),
    "stop": ("stop", "Stop the running server."),
    "check": ("check", "Find every fault in the configuration."),
    "config": ("config", "Look at the configuration, or make one from that of another server."),
    "migrate": ("migrate", "Bring every database to this version."),
    "domain": ("domain", "Domains whose mail is ours."),
    "user": ("user", "Accounts."),
    "alias": ("alias", "Addresses that stand for others."),
    "queue": ("queue", "Mail that waits for delivery."),
    "mailbox": ("mailbox", "The mailboxes of an account."),
    "rights": ("rights", "Who may use the mailboxes of an account."),
    "sessions": ("sessions", "Open connections."),
    "trace": ("trace", "What happened to a message."),
    "cert": ("cert", "The certificate."),
    "storage": ("storage", "The folders of all accounts."),
    "dkim": ("dkim", "The keys that mail is signed with."),
    "dns": ("dns", "What to publish in the DNS."),
    "completion": ("completion", "Let the shell complete commands."),
}
"""Name, module below ``mailsuite.cli``, help. The order is that of ``--help``."""

FOREIGN: Mapping[str, str] = {"create_user": "create_user", "mailserver": "mailserver", "mail-user": "mail_user"}
"""Commands of other servers, which are programs of their own as well, and their modules; ``--help`` leaves them out."""


class Commands(OneLineGroup):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        """Import a command."""
        name = COMMANDS[cmd_name][0] if cmd_name in COMMANDS else FOREIGN.get(cmd_name)
        if name is None:
            return None
        module = importlib.import_module(f"mailsuite.cli.{name}")
        command: click.Command = module.command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[Any]]:
        """Offer the commands without importing them, and the options."""
        named = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - likewise
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(mailsuite.__version__, prog_name="mailsuite")
@click.option("-c", "--config", "path", metavar="FILE", help="Configuration; default $MAILSUITE_CONFIG, then /etc.")
@click.pass_context
def main(context: click.Context, path: str | None) -> None:
    """Mail server suite: SMTP, IMAP and POP3 with a durable spool and Maildir storage."""
    context.obj = Session(path)


if __name__ == "__main__":
    main()
