"""``mail-user``: accounts, in the words of another server's tool."""

import click

from mailsuite.address import Address
from mailsuite.cli import user
from mailsuite.cli.failures import OneLineGroup
from mailsuite.cli.foreign import begin
from mailsuite.cli.session import Session, config_option, pass_session, say
from mailsuite.directory.domains import Domains
from mailsuite.errors import Kind, MailError


@click.group("mail-user", cls=OneLineGroup, context_settings={"help_option_names": ["-h", "--help"]})
@config_option
@click.pass_context
def command(context: click.Context) -> None:
    """Accounts, named as mail-user does; the same as mailsuite user."""
    begin(context)


@command.command("add")
@click.argument("email")
@click.argument("password")
@pass_session
@click.pass_context
def add(context: click.Context, session: Session, email: str, password: str) -> None:
    """Add an account, and its domain if that is not ours yet: there is no other command here to do it."""
    domain = Address.parse(email).domain
    try:
        Domains(session.database()).add(domain)
        say(f"{domain} added")
    except MailError as error:
        if error.kind is not Kind.EXISTS:
            raise
    context.invoke(user.add, address=email, password=password)


command.add_command(user.list_)
command.add_command(user.remove, "delete")
command.add_command(user.exists)
