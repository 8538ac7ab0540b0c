"""``mailsuite dns``: what the world must be told."""

import ipaddress
from collections.abc import Iterator, Sequence

import click

from mailsuite.cli.session import Session, json_option, pass_session, print_json
from mailsuite.config.publish import (
    DNSRecord,
    current_selector,
    dkim_key_path,
    dkim_selectors,
    dns_records,
)
from mailsuite.directory.domains import Domains
from mailsuite.durable import Disk


@click.group("dns")
def command() -> None:
    """What to publish in the DNS."""


@command.command("show")
@click.argument("domain")
@json_option
@pass_session
def show(session: Session, domain: str, *, as_json: bool) -> None:
    """Print all records of DOMAIN as a zone file has them; what only you know stands in comments."""
    config = session.config
    name = Domains(session.database()).info(domain).name
    disk, data = Disk(), config.server.data_dir
    selector = current_selector(data, name, disk)
    has_key = selector in dkim_selectors(data, name)
    pem = disk.read_file(dkim_key_path(data, name, selector)) if has_key else None
    hostname = config.server.hostname
    records = [*address_records(hostname, config.server.addresses), *dns_records(hostname, name, pem, selector)]
    notes = [] if has_key else [f"no signing key yet; make one with: mailsuite dkim generate --domain {name}"]
    if not any(record.type in {"A", "AAAA"} for record in records):
        notes.insert(0, f"{hostname}. IN A / AAAA: the addresses of this machine, and PTR records that lead back to it")
    if as_json:
        rows = [{"name": record.name, "type": record.type, "data": record.data} for record in records]
        print_json({"domain": name, "records": rows, "notes": notes})
        return
    for line in [*(f"; {note}" for note in notes), *map(str, records)]:
        click.echo(line)


def address_records(hostname: str, addresses: Sequence[str]) -> Iterator[DNSRecord]:
    """Give A, AAAA and PTR records of the public addresses that we were told to listen on."""
    for text in addresses:
        address = ipaddress.ip_address(text)
        if address.is_global:
            yield DNSRecord(hostname, "A" if address.version == 4 else "AAAA", str(address))  # noqa: PLR2004 - IPv4
            yield DNSRecord(address.reverse_pointer, "PTR", f"{hostname}.")
