"""``create_user``: accounts and domains, in the words of another server's tool."""

import click

from mailsuite.cli import domain, user
from mailsuite.cli.failures import OneLineGroup
from mailsuite.cli.foreign import begin
from mailsuite.cli.session import config_option


@click.group("create_user", cls=OneLineGroup, context_settings={"help_option_names": ["-h", "--help"]})
@config_option
@click.pass_context
def command(context: click.Context) -> None:
    """Accounts and domains, named as create_user does; the same as mailsuite user and mailsuite domain."""
    begin(context)


@command.group("domain")
def domain_group() -> None:
    """Domains whose mail is ours."""


domain_group.add_command(domain.add)
domain_group.add_command(domain.list_)
command.add_command(user.add)
command.add_command(user.list_)
command.add_command(user.passwd)
command.add_command(user.info)
command.add_command(user.remove, "delete")
