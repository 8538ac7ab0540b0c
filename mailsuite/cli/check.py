"""``mailsuite check``."""

import os

import click

from mailsuite.cli.session import Session, json_option, pass_session, print_json, say
from mailsuite.config import ConfigError, Fault
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
        _check_certificate(config.tls)
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
    if as_json:
        print_json([])
    else:
        say(f"{config.path} is in order")


def _check_certificate(settings: TLSSettings) -> None:
    """
    Look at certificate and key, if both are there.

    Raises:
        ConfigError: they cannot be used.
    """
    from mailsuite.config.tls import explain_refusal, load_options

    if not all(os.path.exists(path) for path in (settings.certificate, settings.private_key)):
        return
    try:
        load_options(settings)
    except (OSError, ValueError) as error:
        raise ConfigError([Fault("tls.certificate", explain_refusal(error), settings.certificate)]) from error
