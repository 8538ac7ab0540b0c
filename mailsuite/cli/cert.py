"""``mailsuite cert``."""

import contextlib
import datetime as dt
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mailsuite.cli.session import Session, json_option, pass_session, print_facts, print_json, say

if TYPE_CHECKING:
    from mailsuite.config.settings import TLSSettings

DAYS = 3650
CERTIFICATE_NAME, KEY_NAME = "cert.pem", "key.pem"


@click.group("cert")
def command() -> None:
    """The certificate of the server. A changed one is used without a restart."""


@command.command("show")
@json_option
@pass_session
def show(session: Session, *, as_json: bool) -> None:
    """Show the certificate and its chain."""
    from mailsuite.config.certificate import describe_chain, read_chain

    path = session.config.tls.certificate
    with _refusing():
        facts: dict[str, object] = {"file": path, **describe_chain(read_chain(path), _now())}
    if not as_json:
        chain = facts["chain"]
        assert isinstance(chain, list)
        facts["chain"] = [above["subject"] for above in chain]
    print_facts(facts, as_json=as_json)


@command.command("check")
@click.option("--ca", metavar="FILE", help="PEM file of the authorities to trust; default: those of the system.")
@click.option("--name", "names", metavar="HOST", multiple=True, help="A further name under which we are reached.")
@json_option
@pass_session
def check(session: Session, ca: str | None, names: tuple[str, ...], *, as_json: bool) -> None:
    """Find what mail programs will not like: key, chain, names, days left; exit status 1 if there is something."""
    from mailsuite.config.certificate import check_certificate

    config = session.config
    wanted = list(dict.fromkeys([config.server.hostname, *names]))
    with _refusing():
        report = check_certificate(config.tls, wanted, _now(), authorities=ca or "")
    if as_json:
        facts = {"file": config.tls.certificate, "days_left": report.days_left, "self_signed": report.self_signed}
        print_json({**facts, "faults": report.faults, "warnings": report.warnings})
    for text in () if as_json else [*report.faults, *(f"warning: {text}" for text in report.warnings)]:
        say(text)
    if report.faults:
        raise click.exceptions.Exit(1)
    kind = "self-signed and otherwise in order" if report.self_signed else "in order"
    say(f"{config.tls.certificate} is {kind}, for {report.days_left} days")


@command.command("self-signed")
@click.option("--hostname", help="Name of the server; default: server.hostname.")
@click.option("--days", type=click.IntRange(1, 36500), default=DAYS, help=f"How long it is valid; default {DAYS}.")
@click.option("--dir", "folder", metavar="DIR", help=f"Write {CERTIFICATE_NAME} and {KEY_NAME} there instead.")
@click.option("--force", is_flag=True, help="Replace a certificate that is there.")
@pass_session
def self_signed(session: Session, hostname: str | None, days: int, folder: str | None, *, force: bool) -> None:
    """Make a certificate that vouches for itself, and its key, where [tls] names them."""
    from mailsuite.config.tls import write_self_signed
    from mailsuite.durable import Disk

    if folder is not None and hostname is None:
        raise click.UsageError("--dir needs --hostname")
    settings = _in_folder(folder) if folder is not None else session.config.tls
    name = _normalize(hostname) if hostname is not None else session.config.server.hostname
    if folder is None:
        session.act_as_server()
    there = [path for path in (settings.certificate, settings.private_key) if os.path.lexists(path)]
    if there and not force:
        raise click.ClickException(f"{there[0]} is there already; --force replaces it")
    write_self_signed(settings, name, Disk(), _now(), days)
    say(f"made {settings.certificate} and {settings.private_key} for {name}")


def _in_folder(folder: str) -> "TLSSettings":
    from mailsuite.config.settings import TLSSettings

    where = os.path.abspath(folder)
    return TLSSettings(certificate=os.path.join(where, CERTIFICATE_NAME), private_key=os.path.join(where, KEY_NAME))


def _normalize(hostname: str) -> str:
    from mailsuite.address import normalize_domain
    from mailsuite.errors import MailError

    try:
        return normalize_domain(hostname)
    except MailError as error:
        raise click.ClickException(f"--hostname: {hostname!r} is not a domain name") from error


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Say in one line what is wrong with a file."""
    try:
        yield
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
