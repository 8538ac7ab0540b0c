"""``mailsuite domain``."""

from typing import TYPE_CHECKING

import click

from mailsuite.cli.completion import complete_domain
from mailsuite.cli.session import Session, json_option, pass_session, print_facts, print_rows, say, timestamp
from mailsuite.errors import MailError

if TYPE_CHECKING:
    from mailsuite.directory.domains import Domains
    from mailsuite.directory.records import DomainInfo


ON_OFF = click.Choice(["on", "off"])


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
        "backup_mx": info.backup_mx,
        "capture_seconds": info.capture_seconds,
        "created": timestamp(info.created),
    }


@command.command("add")
@click.argument("domain")
@click.option("--backup-mx", is_flag=True, help="Only take its mail when its other hosts do not, and pass it on.")
@pass_session
def add(session: Session, domain: str, *, backup_mx: bool) -> None:
    """Add a domain."""
    info = session.domains().add(domain, backup_mx=backup_mx)
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
@click.option("--backup-mx", type=ON_OFF, help="Only take its mail when its other hosts do not, and pass it on.")
@click.option("--capture", type=ON_OFF, help="Keep mail for every name, for some time, and never pass it on.")
@click.option("--capture-retention", metavar="TIME", help="How long that is kept: 30m, 24h, 7d; without it 24h.")
@pass_session
def set_(
    session: Session,
    domain: str,
    catch_all: str | None,
    postmaster: str | None,
    alias_of: str | None,
    backup_mx: str | None,
    capture: str | None,
    capture_retention: str | None,
) -> None:
    """Change a domain."""
    addresses = {"catch_all": catch_all, "postmaster": postmaster, "alias_of": alias_of}
    kinds = [group for group in (capture or capture_retention, backup_mx) if group is not None]
    if any(value is not None for value in addresses.values()):
        kinds.append("addresses")
    if not kinds:
        raise click.UsageError("give something to change; 'mailsuite domain set --help' shows what there is")
    if len(kinds) > 1:
        raise click.UsageError("give addresses, --backup-mx or --capture, one at a time")
    domains = session.domains()
    if backup_mx is not None:
        info = domains.set_backup_mx(domain, backup_mx=backup_mx == "on")
    elif capture is not None or capture_retention is not None:
        info = _set_capture(domains, domain, capture, capture_retention)
    else:
        info = domains.set(domain, catch_all=catch_all, postmaster=postmaster, alias_of=alias_of)
    say(f"{info.name} changed")


def _set_capture(domains: "Domains", domain: str, capture: str | None, retention: str | None) -> "DomainInfo":
    from mailsuite.directory.domains import CAPTURE_NAME, CAPTURE_SECONDS
    from mailsuite.directory.sizes import parse_duration

    if capture == "off":
        if retention is not None:
            raise click.UsageError("--capture-retention goes with --capture on")
        return domains.set_capture(domain, 0)
    before = domains.info(domain).capture_seconds
    if capture is None and not before:
        raise click.UsageError("--capture-retention goes with --capture on")
    try:
        seconds = before or CAPTURE_SECONDS if retention is None else parse_duration(retention)
    except MailError as error:
        raise click.UsageError(error.detail) from error
    if not seconds:
        raise click.UsageError("captured mail is kept for a second at least; --capture off ends it")
    info = domains.set_capture(domain, seconds)
    if not before:
        account = f"{CAPTURE_NAME}@{info.name}"
        say(f"mail is kept in {account}; to read it, set a password: mailsuite user passwd {account}")
    return info


@command.command("remove")
@click.argument("domain", shell_complete=complete_domain)
@pass_session
def remove(session: Session, domain: str) -> None:
    """Remove a domain that has no accounts."""
    session.domains().remove(domain)
    say(f"{domain} removed")
