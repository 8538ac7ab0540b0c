"""
The commands of other mail servers, so that scripts and fingers that know them go on working.

``create_user`` and ``mail-user`` stand here; ``mailserver`` has the verbs of ``mailsuite`` and is the same program.
"""

import click

from mailsuite.cli import domain, user
from mailsuite.cli.main import Program
from mailsuite.cli.session import Session, pass_session

SETTINGS = {"help_option_names": ["-h", "--help"]}
CONFIG_HELP = "Configuration; default $MAILSUITE_CONFIG, then /etc."


@click.group("create_user", cls=Program, context_settings=SETTINGS)
@click.option("-c", "--config", "path", metavar="FILE", help=CONFIG_HELP)
@click.pass_context
def create_user(context: click.Context, path: str | None) -> None:
    """Domains and accounts."""
    context.obj = Session(path)


for _name, _command in {
    "domain": domain.command,
    "add": user.add,
    "list": user.list_,
    "passwd": user.passwd,
    "info": user.info,
    "delete": user.remove,
}.items():
    create_user.add_command(_command, _name)


@click.group("mail-user", cls=Program, context_settings=SETTINGS)
@click.option("-c", "--config", "path", metavar="FILE", help=CONFIG_HELP)
@click.pass_context
def mail_user(context: click.Context, path: str | None) -> None:
    """Accounts."""
    context.obj = Session(path)


@mail_user.command("add")
@click.argument("address")
@click.argument("password")
@pass_session
def add(_session: Session, address: str, password: str) -> None:
    """Add an account; other users of the machine can see the password while the command runs."""
    click.get_current_context().invoke(user.add, address=address, password=password)


for _name, _command in {"list": user.list_, "delete": user.remove, "exists": user.exists}.items():
    mail_user.add_command(_command, _name)
