"""``mailsuite domain``."""

from typing import TYPE_CHECKING

import click

from mailsuite.cli.completion import complete_domain
from mailsuite.cli.session import Session, json_option, pass_session, print_facts, print_rows, say, timestamp

if TYPE_CHECKING:
    from mailsuite.directory.records import DomainInfo


@click.group("domain")
def command() -> None:
    """Domains whose mail is ours. Changes act in the running server at once."""


def _facts(info: "DomainInfo") -> dict[str, object]:
    return {
        "name": info.name,
        "accounts": info.accounts,
        "aliases": info.aliases,
        "alias_of": info.alias_of,
        "catch_all": info.catch_all,
        "postmaster": info.postmaster,
        "created": timestamp(info.created),
    }


@command.command("add")
@click.argument("domain")
@pass_session
def add(session: Session, domain: str) -> None:
    """Add a domain."""
    info = session.domains().add(domain)
    say(f"{info.name} added")


@command.command("list")
@json_option
@pass_session
def list_(session: Session, *, as_json: bool) -> None:
    """List all domains."""
    rows = [_facts(info) for info in session.domains().list()]
    print_rows(rows, as_json=as_json, columns=["name", "accounts", "aliases", "alias_of", "catch_all"])


@command.command("info")
@click.argument("domain", shell_complete=complete_domain)
@json_option
@pass_session
def info(session: Session, domain: str, *, as_json: bool) -> None:
    """Show one domain."""
    print_facts(_facts(session.domains().info(domain)), as_json=as_json)


@command.command("set")
@click.argument("domain", shell_complete=complete_domain)
@click.option("--catch-all", metavar="ADDRESS", help="Who gets mail for unknown names; empty: it is refused.")
@click.option("--postmaster", metavar="ADDRESS", help="Who gets mail for postmaster and abuse.")
@click.option("--alias-of", metavar="DOMAIN", help="The domain that this one stands for; empty: none.")
@pass_session
def set_(session: Session, domain: str, catch_all: str | None, postmaster: str | None, alias_of: str | None) -> None:
    """Change a domain."""
    if catch_all is None and postmaster is None and alias_of is None:
        raise click.UsageError("give at least one of --catch-all, --postmaster and --alias-of")
    info = session.domains().set(domain, catch_all=catch_all, postmaster=postmaster, alias_of=alias_of)
    say(f"{info.name} changed")


@command.command("remove")
@click.argument("domain", shell_complete=complete_domain)
@pass_session
def remove(session: Session, domain: str) -> None:
    """Remove a domain that has no accounts."""
    session.domains().remove(domain)
    say(f"{domain} removed")
