"""``mailsuite dkim``: the keys that mail of a domain is signed with, one file for each."""

import datetime as dt
import os
from collections.abc import Callable
from typing import Any

import click

from mailsuite.cli.session import Session, json_option, pass_session, print_rows, say, timestamp
from mailsuite.config.publish import (
    SELECTOR,
    DNSRecord,
    choose_selector,
    current_selector,
    dkim_key_path,
    dkim_record,
    dkim_selectors,
    ensure_dkim_key,
    is_selector,
)
from mailsuite.directory.domains import Domains
from mailsuite.durable import Disk


@click.group("dkim")
def command() -> None:
    """The keys that mail of a domain is signed with."""


def _domain_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--domain", required=True, help="One of our domains.")(function)


def _selector_option(function: Callable[..., Any]) -> Callable[..., Any]:
    def check(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None and not is_selector(value):
            raise click.BadParameter("a selector is made of lower-case letters, digits and inner hyphens")
        return value

    return click.option("--selector", callback=check, help="The name of the key in the DNS.")(function)


@command.command("generate")
@_domain_option
@_selector_option
@json_option
@pass_session
def generate(session: Session, domain: str, selector: str | None, *, as_json: bool) -> None:
    """Make the key of a domain, if it has none, and print the record to publish; one that is there is kept."""
    name, data, disk = _find(session, domain)
    selectors = dkim_selectors(data, name)
    selector = selector or (current_selector(data, name, disk) if selectors else SELECTOR)
    pem = ensure_dkim_key(data, name, disk, selector)
    if not selectors and selector != SELECTOR:
        choose_selector(data, name, selector, disk)
    path = dkim_key_path(data, name, selector)
    say(f"{path} {'is there already' if selector in selectors else 'made'}")
    print_records([dkim_record(name, selector, pem)], as_json=as_json)


@command.command("rotate")
@_domain_option
@_selector_option
@json_option
@pass_session
def rotate(session: Session, domain: str, selector: str | None, *, as_json: bool) -> None:
    """Make another key and print the records of both; the old one is used until 'dkim use' says otherwise."""
    name, data, disk = _find(session, domain)
    known = dkim_selectors(data, name)
    selector = selector or _fresh_selector()
    if selector in known:
        raise click.ClickException(f"the selector {selector} is taken: give another one with --selector")
    old = current_selector(data, name, disk)
    records = [dkim_record(name, selector, ensure_dkim_key(data, name, disk, selector))]
    if old in known:
        records.append(dkim_record(name, old, ensure_dkim_key(data, name, disk, old)))
    say(f"publish the first; once the world sees it: mailsuite dkim use --domain {name} --selector {selector}")
    print_records(records, as_json=as_json)


@command.command("use")
@_domain_option
@_selector_option
@pass_session
def use(session: Session, domain: str, selector: str | None) -> None:
    """Sign with another key of the domain; keep the record of the old one for a week."""
    name, data, disk = _find(session, domain)
    known = dkim_selectors(data, name)
    if selector is None or selector not in known:
        raise click.ClickException(f"give one of these with --selector: {', '.join(known) or 'there is no key yet'}")
    choose_selector(data, name, selector, disk)
    say(f"{name} signs with {selector}")


@command.command("dns")
@_domain_option
@_selector_option
@json_option
@pass_session
def dns(session: Session, domain: str, selector: str | None, *, as_json: bool) -> None:
    """Print the record to publish: of the key in use, or of the one named."""
    name, data, disk = _find(session, domain)
    selector = selector or current_selector(data, name, disk)
    if selector not in dkim_selectors(data, name):
        raise click.ClickException(f"there is no such key: make it with: mailsuite dkim generate --domain {name}")
    pem = disk.read_file(dkim_key_path(data, name, selector))
    print_records([dkim_record(name, selector, pem)], as_json=as_json)


@command.command("list")
@click.option("--domain", help="Only those of one domain.")
@json_option
@pass_session
def list_(session: Session, domain: str | None, *, as_json: bool) -> None:
    """List the keys."""
    domains = Domains(session.database())
    names = [domains.info(domain).name] if domain else [info.name for info in domains.list()]
    data, disk = session.config.server.data_dir, Disk()
    rows: list[dict[str, object]] = []
    for name in names:
        current = current_selector(data, name, disk)
        for selector in dkim_selectors(data, name):
            path = dkim_key_path(data, name, selector)
            made = timestamp(os.stat(path).st_mtime)
            rows.append(
                {"domain": name, "selector": selector, "in_use": selector == current, "made": made, "path": path}
            )
    print_rows(rows, as_json=as_json)


def print_records(records: list[DNSRecord], *, as_json: bool) -> None:
    """Print records: as JSON, or as a zone file has them."""
    if as_json:
        print_rows([{"name": item.name, "type": item.type, "data": item.data} for item in records], as_json=True)
        return
    for item in records:
        click.echo(str(item))


def _find(session: Session, domain: str) -> tuple[str, str, Disk]:
    """Give the domain in its one form, the data folder, and the door to it."""
    name = Domains(session.database()).info(domain).name
    return name, session.config.server.data_dir, Disk()


def _fresh_selector() -> str:
    """Name a key after the moment."""
    return f"{SELECTOR}-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}"
