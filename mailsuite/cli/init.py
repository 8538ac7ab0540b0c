"""``mailsuite init``."""

import os

import click

from mailsuite.address import Address, normalize_domain
from mailsuite.cli.session import say
from mailsuite.errors import MailError


@click.command("init")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--hostname", required=True, help="Name of this machine, as its DNS says.")
@click.option("--domain", required=True, help="The first domain whose mail is ours.")
@click.option("--port-offset", type=click.IntRange(0, 65000), default=0, help="Added to every well-known port.")
@click.option("--listen", metavar="ADDR", default="", help="Listen on this address only.")
@click.option("--self-signed", is_flag=True, help="Make a self-signed certificate.")
@click.option("--admin", metavar="ADDRESS", help="Make an administrator; the password is printed once.")
@click.option(
    "--profile",
    type=click.Choice(("production", "dev")),
    default="production",
    help="dev: unprivileged ports on loopback, self-signed, passwords in the clear.",
)
def command(
    folder: str,
    hostname: str,
    domain: str,
    port_offset: int,
    listen: str,
    admin: str | None,
    profile: str,
    *,
    self_signed: bool,
) -> None:
    """Make a new server in DIR: configuration, folders, databases, keys."""
    from mailsuite.cli.create import Plan, create_server
    from mailsuite.cli.profiles import LOOPBACK, development_settings
    from mailsuite.config.publish import dns_records, ensure_dkim_key, zone_text
    from mailsuite.directory import DirectoryDatabase
    from mailsuite.directory.accounts import Accounts
    from mailsuite.directory.passwords import new_password
    from mailsuite.durable import Disk

    disk = Disk()
    hostname, domain = _name("--hostname", hostname), _name("--domain", domain)
    if admin is not None and Address.parse(admin).domain != domain:
        raise click.ClickException(f"--admin: {admin} is not in the domain {domain}; nothing was made")
    development = profile == "dev"
    self_signed = self_signed or development
    plan = Plan(
        folder=os.path.abspath(folder),
        hostname=hostname,
        domain=domain,
        port_offset=port_offset,
        listen=listen or (LOOPBACK if development else ""),
        self_signed=self_signed,
        extra=development_settings() if development else "",
    )
    config = create_server(plan, disk)
    click.echo(f"made {plan.path}")
    if admin is not None:
        password = new_password()
        info = Accounts(DirectoryDatabase(config.database.url, disk)).add(admin, password=password, admin=True)
        click.echo(f"administrator {info.email}, password {password} (shown only now)")
    name = config.server.hostname
    records = dns_records(name, domain, ensure_dkim_key(config.server.data_dir, domain, disk))
    click.echo("publish in the DNS:")
    click.echo(zone_text(name, records))
    if not self_signed:
        say(f"services with TLS wait for {config.tls.certificate}")
    click.echo(f"start it with: mailsuite -c {plan.path} serve")


def _name(option: str, text: str) -> str:
    """Give a name the form that DNS has it in."""
    try:
        return normalize_domain(text)
    except MailError as error:
        raise click.ClickException(f"{option}: {text!r} is not a domain name") from error
