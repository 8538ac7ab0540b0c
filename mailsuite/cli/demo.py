"""``mailsuite demo``."""

import functools
import os
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mailsuite.cli.samples import Sample, make_samples, send_samples

if TYPE_CHECKING:
    from mailsuite.config import Config

DOMAIN = "example.test"
PORT_OFFSET = 2000
ACCOUNTS = {"alice": "alice-demo", "bob": "bob-demo", "carol": "carol-demo", "admin": "admin-demo"}
ADMIN = "admin"
SETTINGS = """
[auth]
allow_cleartext = true

[queue]
mx = false  # a demo sends nothing to the world

[log]
output = "log/mailsuite.log"
"""
SAMPLE_SECONDS = 10.0
POLL_SECONDS = 0.02


@click.command("demo")
@click.option("--dir", "folder", metavar="DIR", help="Where to make it; default: a new temporary folder.")
@click.option("--port-offset", type=click.IntRange(0, 65000), help=f"Added to every port; default {PORT_OFFSET}.")
@click.option("--no-sample-mail", is_flag=True, help="Begin with empty mailboxes.")
def command(folder: str | None, port_offset: int | None, *, no_sample_mail: bool) -> None:
    """Run a complete server for domain example.test on loopback, until Ctrl-C. Mail is kept in DIR."""
    where = os.path.abspath(folder) if folder is not None else tempfile.mkdtemp(prefix="mailsuite-demo-")
    fresh, config = open_demo(where, port_offset)
    samples = make_samples(DOMAIN) if fresh and not no_sample_mail else ()
    run(config, samples)


def open_demo(folder: str, port_offset: int | None) -> "tuple[bool, Config]":
    """
    Make the demo server in a folder, or find the one that is there.

    Returns:
        Whether it is new, and its configuration.
    """
    from mailsuite.cli.create import FILE_NAME, Plan, create_server
    from mailsuite.config import load_config
    from mailsuite.directory import DirectoryDatabase
    from mailsuite.directory.accounts import Accounts
    from mailsuite.durable import Disk

    disk = Disk()
    path = os.path.join(folder, FILE_NAME)
    fresh = not os.path.lexists(path)
    if fresh:
        plan = Plan(
            folder=folder,
            hostname="localhost",
            domain=DOMAIN,
            port_offset=PORT_OFFSET if port_offset is None else port_offset,
            listen="127.0.0.1",
            self_signed=True,
            extra=SETTINGS,
        )
        create_server(plan, disk)
    environment = dict(os.environ)
    if port_offset is not None:
        environment["MAILSUITE_SERVER__PORT_OFFSET"] = str(port_offset)
    config = load_config(path, environment)
    database = DirectoryDatabase(config.database.url, disk)
    database.ensure_current(auto_migrate=True)
    accounts = Accounts(database)
    for name, password in ACCOUNTS.items():
        address = f"{name}@{DOMAIN}"
        if fresh and accounts.find(address) is None:
            accounts.add(address, password=password, admin=name == ADMIN)
    database.close()
    return fresh, config


def run(config: "Config", samples: Sequence[Sample]) -> None:
    """Run the server until it is told to stop."""
    from twisted.internet import reactor

    from mailsuite.service.application import Application, run_application
    from mailsuite.service.suite import make_suite

    suite = make_suite(config, reactor)
    welcome = functools.partial(_welcome, config, suite, samples)
    run_application(Application(config, suite, reactor, before_ready=welcome), reactor)


async def _welcome(config: "Config", suite: Any, samples: Sequence[Sample]) -> None:
    if samples:
        await _deliver(config, suite, samples)
    click.echo(welcome_text(config, suite))


async def _deliver(config: "Config", suite: Any, samples: Sequence[Sample]) -> None:
    """Send the samples through our own submission port, and wait until they are where they belong."""
    from twisted.internet import reactor
    from twisted.internet.task import deferLater
    from twisted.internet.threads import deferToThread

    if "submission" not in config.services() or isinstance(config.listen.get("submission"), tuple):
        return
    address = (config.server.addresses[0] if config.server.addresses else "127.0.0.1", config.port("submission"))
    await deferToThread(send_samples, address, samples, ACCOUNTS)
    deadline = reactor.seconds() + SAMPLE_SECONDS
    wanted = {name: sum(name in sample.recipients for sample in samples) for name in ACCOUNTS}
    for name, count in wanted.items():
        while count and await _message_count(suite, f"{name}@{DOMAIN}") < count:
            if reactor.seconds() > deadline:
                return
            await deferLater(reactor, POLL_SECONDS)


async def _message_count(suite: Any, email: str) -> int:
    rows = await suite.ask("mailbox.list", address=email)
    return next((int(row["messages"]) for row in rows if row["name"] == "INBOX"), 0)


def welcome_text(config: "Config", suite: Any) -> str:
    """Say what runs where, and how to try it."""
    user = f"alice@{DOMAIN}:{ACCOUNTS['alice']}"
    host = config.server.addresses[0] if config.server.addresses else "127.0.0.1"
    lines = [f"mailsuite demo in {os.path.dirname(config.path)}", "", "services:"]
    lines += [f"  {service:<12} {where}" for service, where in suite.listeners.addresses().items()]
    lines += ["", "accounts:"]
    lines += [f"  {f'{name}@{DOMAIN}':<20} {password}" for name, password in ACCOUNTS.items()]
    lines += [
        "",
        "try it:",
        f"  curl -k -u {user} 'imaps://{host}:{config.port('imaps')}/INBOX;MAILINDEX=1'",
        f"  curl -k -u {user} 'pop3s://{host}:{config.port('pop3s')}/'",
        (
            f"  printf 'Subject: hello\\r\\n\\r\\nHello Bob\\r\\n' | curl -k --ssl-reqd -u {user}"
            f" --mail-from alice@{DOMAIN} --mail-rcpt bob@{DOMAIN} -T - smtp://{host}:{config.port('submission')}"
        ),
        "",
    ]
    return "\n".join(lines)
