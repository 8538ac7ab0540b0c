"""``mailsuite alias``."""

import click

from mailsuite.cli.completion import complete_domain
from mailsuite.cli.session import Session, json_option, pass_session, print_rows, say


@click.group("alias")
def command() -> None:
    """Addresses that stand for others. Changes act in the running server at once."""


@command.command("add")
@click.argument("address")
@click.argument("targets", nargs=-1, required=True)
@pass_session
def add(session: Session, address: str, targets: tuple[str, ...]) -> None:
    """Let ADDRESS stand for TARGETS, beside those it stands for already."""
    info = session.aliases().add(address, targets)
    say(f"{info.source} stands for {', '.join(info.targets)}")


@command.command("list")
@click.option("--domain", shell_complete=complete_domain, help="Only those of one domain.")
@json_option
@pass_session
def list_(session: Session, domain: str | None, *, as_json: bool) -> None:
    """List aliases."""
    aliases = session.aliases().list(domain)
    print_rows([{"source": alias.source, "targets": list(alias.targets)} for alias in aliases], as_json=as_json)


@command.command("remove")
@click.argument("address")
@click.argument("targets", nargs=-1)
@pass_session
def remove(session: Session, address: str, targets: tuple[str, ...]) -> None:
    """Remove an alias, or only some of its TARGETS."""
    session.aliases().remove(address, targets)
    say(f"{', '.join(targets)} removed from {address}" if targets else f"{address} removed")
