"""``mailsuite check``."""

import os
import socket
from collections.abc import Iterator

import click

from mailsuite.cli.session import Session, json_option, pass_session, print_json, say
from mailsuite.config import Config, ConfigError, Fault
from mailsuite.config.schema import NO_PATHS
from mailsuite.config.settings import TLSSettings


@click.command("check")
@click.option("--dns", is_flag=True, help="Also what the world sees.")
@json_option
@pass_session
def command(session: Session, *, dns: bool, as_json: bool) -> None:
    """Find every fault in the configuration at once; exit status 1 if there is one."""
    if dns:
        raise click.ClickException("this version does not look into the DNS yet; run mailsuite check without --dns")
    try:
        config = session.config
        _look_around(config)
    except ConfigError as error:
        if as_json:
            print_json([{"key": fault.key, "detail": fault.detail, "source": fault.source} for fault in error.faults])
        else:
            for fault in error.faults:
                say(str(fault))
        raise click.exceptions.Exit(1) from error
    for key in config.inactive:
        say(f"{key} is set, but what it is for does not exist yet; it has no effect")
    for path in (config.tls.certificate, config.tls.private_key):
        if not os.path.exists(path):
            say(f"services with TLS wait for {path}")
    for text in _certificate_notes(config):
        say(f"certificate: {text}; see mailsuite cert check")
    if as_json:
        print_json([])
    else:
        say(f"{config.path} is in order")


def _look_around(config: Config) -> None:
    """
    Find what fits together and yet keeps the server from starting here and now.

    Raises:
        ConfigError: there is something.
    """
    faults = [
        *_check_addresses(config),
        *_check_database(config),
        *_check_certificate(config.tls),
        *_check_authorities(config.next_hop.ca_file),
        *_check_keys(config),
        *_check_log(config),
    ]
    if faults:
        raise ConfigError(faults)


def _check_database(config: Config) -> Iterator[Fault]:
    if not config.database.url.startswith("sqlite:///"):
        yield Fault("database.url", "only SQLite is there yet: write sqlite:///path", config.path)


def _check_addresses(config: Config) -> Iterator[Fault]:
    for address in config.server.addresses:
        try:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
                probe.bind((address, 0))
        except OSError:
            yield Fault("server.listen_address", f"{address} is no address of this machine", config.path)


def _check_certificate(settings: TLSSettings) -> Iterator[Fault]:
    """Look at certificate and key, if both are there."""
    from mailsuite.config.tls import explain_refusal, load_options

    if not all(os.path.exists(path) for path in (settings.certificate, settings.private_key)):
        return
    try:
        load_options(settings)
    except (OSError, ValueError) as error:
        yield Fault("tls.certificate", explain_refusal(error), settings.certificate)


def _check_authorities(path: str) -> Iterator[Fault]:
    """Look at the authorities that vouch for other hosts, beside the system's."""
    from mailsuite.mta.tls_verify import Authorities

    if path:
        try:
            Authorities(path)
        except ValueError as error:
            yield Fault("queue.ca_file", str(error), path)


def _certificate_notes(config: Config) -> list[str]:
    """Say what mail programs will not like about a certificate with which the server starts all the same."""
    import datetime as dt

    from mailsuite.config.certificate import check_certificate

    if not all(os.path.exists(path) for path in (config.tls.certificate, config.tls.private_key)):
        return []
    report = check_certificate(config.tls, [config.server.hostname], dt.datetime.now(dt.UTC))
    return [*report.faults, *report.warnings]


def _check_keys(config: Config) -> Iterator[Fault]:
    """Look who may come into the manhole."""
    from mailsuite.manhole.keys import load_keys

    configured = config.manhole.authorized_keys
    if isinstance(configured, str):
        try:
            load_keys(configured)
        except OSError as error:
            yield Fault("manhole.authorized_keys", f"cannot read {configured}: {error.strerror}", config.path)
        except ValueError as error:
            yield Fault("manhole.authorized_keys", str(error), config.path)


def _check_log(config: Config) -> Iterator[Fault]:
    """Look whether the log can be written, without making it: it must belong to the server."""
    output = config.log.output
    if output in NO_PATHS:
        return
    folder = os.path.dirname(output)
    if os.path.isdir(output) or not os.path.isdir(folder):
        yield Fault("log.output", f"cannot open {output}: {'a' if os.path.isdir(output) else 'no'} folder", config.path)
    elif not os.access(output if os.path.exists(output) else folder, os.W_OK):
        yield Fault("log.output", f"cannot open {output}: no right to write", config.path)
