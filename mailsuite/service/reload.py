"""Other values of a configuration while the server runs: which act at once, and which need a new start."""

import os
from collections.abc import Sequence
from typing import Any

import attrs
from twisted.logger import Logger

from mailsuite.config import Config, ConfigError, load_config, parse_config
from mailsuite.directory.settings import ThrottleSettings
from mailsuite.errors import Kind, MailError
from mailsuite.observe import EventLog
from mailsuite.service.seat import SHARED_LIMITS, Seat

RELOADED = (
    "smtp",
    "receive",
    "capture",
    "submission",
    "submitting",
    "throttle",
    "imap",
    "pop3",
    "routes",
    "sources",
    "tls",
)
"""Attributes of `Config` whose new values act at once."""
RELOADED_TABLES = frozenset(
    {"smtp", "capture", "submission", "imap", "imap_quirk", "pop3", "sharing", "route", "source", "tls"}
)
RELOADED_KEYS = frozenset(
    {"auth.allow_cleartext", "auth.mechanisms", *(f"limits.{name}" for name in attrs.fields_dict(ThrottleSettings))}
)
"""Keys of other tables that end up in those attributes."""


@attrs.frozen
class Reloaded:
    """
    What came of reading the configuration again.

    Args:
        config: what is in force from now on.
        changed: keys whose new values act at once.
        waiting: keys whose new values need a new start.
    """

    config: Config
    changed: Sequence[str]
    waiting: Sequence[str]


def reload_config(old: Config) -> Reloaded:
    """
    Read the configuration again. Blocks for as long as one small file takes.

    Raises:
        MailError: INVALID, when it cannot be used; the old one stays in force.
    """
    try:
        return merge(old, load_config(old.path, {**os.environ, **old.given.environment}))
    except ConfigError as error:
        raise MailError(Kind.INVALID, f"the old configuration stays in force: {error}") from error


def tell_reloaded(reloaded: Reloaded) -> None:
    """Log it."""
    log = EventLog(Logger("mailsuite.service.reload"))
    log.emit("config.file.reloaded", changed=list(reloaded.changed), waiting=list(reloaded.waiting))


def reload_facts(reloaded: Reloaded, certificate_fault: str, *, certificate_changed: bool) -> dict[str, object]:
    """
    Say what came of it, for who asked.

    Raises:
        MailError: INVALID, when the certificate that is there now cannot be used.
    """
    certificate = reloaded.config.tls.certificate
    if certificate_fault:
        raise MailError(Kind.INVALID, f"certificate {certificate}: {certificate_fault}; the former one stays")
    return {
        "certificate": certificate,
        "certificate_changed": certificate_changed,
        "changed": list(reloaded.changed),
        "waiting": list(reloaded.waiting),
    }


def give(config: Config) -> dict[str, object]:
    """Write what a configuration was read from, for another process."""
    return {"table": config.given.table, "environment": dict(config.given.environment)}


def read_given(given: Any, path: str) -> Config:
    """Make the same configuration of it."""
    return parse_config(given["table"], path, {**os.environ, **given["environment"]})


def merge(old: Config, new: Config) -> Reloaded:
    """Take over what can act without a new start."""
    before, after = ({item.key: item.value for item in config.effective} for config in (old, new))
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    if old.routes != new.routes and not any(key.startswith("route[") for key in keys):
        keys.append("route")  # a password, which is not shown
    changed = [key for key in keys if acts_at_once(key)]
    config = attrs.evolve(old, given=new.given, **{name: getattr(new, name) for name in RELOADED})
    effective = [item for item in new.effective if acts_at_once(item.key)]
    kept = [item for item in old.effective if not acts_at_once(item.key)]
    config = attrs.evolve(config, effective=(*kept, *effective))
    return Reloaded(config, changed, [key for key in keys if key not in changed])


def acts_at_once(key: str) -> bool:
    """Whether another value of this key needs no new start."""
    return key.partition(".")[0].partition("[")[0] in RELOADED_TABLES or key in RELOADED_KEYS


def settings_of(service: str, config: Config, seat: Seat | None) -> Any:
    """Give the settings of a service; limits on connections are for all workers together."""
    settings: Any = {
        "smtp": config.smtp,
        "lmtp": config.smtp,
        "submission": config.submission,
        "submissions": config.submission,
        "imap": config.imap,
        "imaps": config.imap,
        "pop3": config.pop3,
        "pop3s": config.pop3,
    }[service]
    if seat is None:
        return settings
    fields = attrs.fields_dict(type(settings))
    # The parent spreads connections by the address that it sees; who comes through a proxy has another one.
    shared = SHARED_LIMITS[:1] if config.server.proxy_peers else SHARED_LIMITS
    shares = {name: seat.share_of(getattr(settings, name)) for name in shared if name in fields}
    return attrs.evolve(settings, **shares)
