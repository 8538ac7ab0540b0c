"""``mailserver``: the server, domains, accounts and signing keys, in the words of another server."""

import click

from mailsuite.cli import dkim, domain, migrate, serve, user
from mailsuite.cli.failures import OneLineGroup
from mailsuite.cli.foreign import begin
from mailsuite.cli.session import config_option


@click.group("mailserver", cls=OneLineGroup, context_settings={"help_option_names": ["-h", "--help"]})
@config_option
@click.pass_context
def command(context: click.Context) -> None:
    """The server and what it knows, named as mailserver does; the same as mailsuite."""
    begin(context)


@command.group("domain")
def domain_group() -> None:
    """Domains whose mail is ours."""


@command.group("user")
def user_group() -> None:
    """Accounts. Changes act in the running server at once."""


@command.group("dkim")
def dkim_group() -> None:
    """The keys that mail of a domain is signed with."""


command.add_command(serve.command)
command.add_command(migrate.command)
domain_group.add_command(domain.add)
domain_group.add_command(domain.list_)
user_group.add_command(user.add)
user_group.add_command(user.list_)
dkim_group.add_command(dkim.generate)
dkim_group.add_command(dkim.dns)
