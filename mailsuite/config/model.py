"""The configuration as one frozen value that remembers where everything in it came from."""

import enum
import os
from collections.abc import Iterator, Mapping, Sequence

import attrs

from mailsuite.config.ports import PORTS
from mailsuite.config.secrets import MASK, Secret
from mailsuite.config.settings import (
    LimitSettings,
    LogSettings,
    MessageAuthSettings,
    RedisSettings,
    ServerSettings,
    SpamSettings,
    TLSSettings,
)
from mailsuite.directory.settings import AuthSettings, DatabaseSettings, ThrottleSettings
from mailsuite.dns.settings import DNSSettings
from mailsuite.imap.settings import IMAPSettings
from mailsuite.manhole.settings import ManholeSettings
from mailsuite.mta.settings import (
    CaptureSettings,
    NextHopSettings,
    QueueSettings,
    ReceiveSettings,
    RelaySettings,
    RouteSettings,
    SourceSettings,
    SpoolSettings,
    SubmissionSettings,
)
from mailsuite.pop3.settings import POP3Settings
from mailsuite.sharing.settings import SharingSettings
from mailsuite.smtp.settings import SMTPSettings
from mailsuite.store.settings import StorageSettings
from mailsuite.trace.settings import TraceSettings

RUN_FOLDER = "run"
TRACE_FOLDER = "trace"
MANHOLE = "manhole"


class Origin(enum.Enum):
    """Who said it."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"


@attrs.frozen
class Effective:
    """
    One key as it is in force.

    Args:
        value: text, number, truth value, list; secrets are masked.
    """

    key: str
    value: object
    origin: Origin


@attrs.frozen
class Given:
    """
    What a configuration was read from: enough for another process to read the same.

    Args:
        table: the file, as TOML has it.
        environment: our own variables.
    """

    table: Mapping[str, object]
    environment: Mapping[str, str]


@attrs.frozen(kw_only=True)
class Config:
    """
    Everything that was configured.

    Args:
        path: the file, absolute.
        listen: what replaces the well-known port of a service: another number, or endpoint strings.
        effective: every key, its value and its origin, in the order of the file.
        inactive: keys that were set and whose feature does not exist yet.
        given: what all of this was read from.
    """

    path: str
    server: ServerSettings
    tls: TLSSettings
    database: DatabaseSettings
    storage: StorageSettings
    redis: RedisSettings
    auth: AuthSettings
    dns: DNSSettings
    queue: QueueSettings
    relay: RelaySettings
    next_hop: NextHopSettings
    routes: Sequence[RouteSettings]
    sources: Sequence[SourceSettings]
    spool: SpoolSettings
    capture: CaptureSettings
    limits: LimitSettings
    throttle: ThrottleSettings
    smtp: SMTPSettings
    receive: ReceiveSettings
    submission: SMTPSettings
    submitting: SubmissionSettings
    msgauth: MessageAuthSettings
    spam: SpamSettings
    imap: IMAPSettings
    pop3: POP3Settings
    sharing: SharingSettings
    manhole: ManholeSettings
    log: LogSettings
    trace: TraceSettings
    listen: Mapping[str, int | tuple[str, ...]]
    effective: Sequence[Effective] = attrs.field(repr=False)
    inactive: Sequence[str] = ()
    given: Given = attrs.field(factory=lambda: Given({}, {}), repr=False, eq=False)

    @property
    def run_folder(self) -> str:
        """Where locks and sockets lie: beside the file."""
        return os.path.join(os.path.dirname(self.path), RUN_FOLDER)

    @property
    def trace_folder(self) -> str:
        """Where what happened to messages is kept."""
        return os.path.join(self.server.data_dir, TRACE_FOLDER)

    def services(self) -> Iterator[str]:
        """Name the services that are to listen and that this version has."""
        for name, port in PORTS.items():
            listen = self.listen.get(name)
            if name == MANHOLE and not self.manhole.authorized_keys:
                continue
            if port.present and (port.enabled if listen is None else listen != ()):
                yield name

    def addresses(self, service: str) -> Sequence[str]:
        """Say on which addresses a service listens that has no endpoint strings; none means all."""
        return (self.manhole.address,) if service == MANHOLE else self.server.addresses

    def port(self, service: str) -> int:
        """Compute the port of a service that does not listen on endpoint strings."""
        listen = self.listen.get(service)
        number = listen if isinstance(listen, int) else PORTS[service].number
        return number + self.server.port_offset


def shown(value: object, *, secret: bool) -> object:
    """Give a value the form in which it may be shown."""
    if isinstance(value, Secret):
        return _without_password(value.value)
    if isinstance(value, str) and "://" in value and not secret:
        return _without_password(value)
    if secret:
        return MASK if value else ""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, tuple | frozenset):
        return [shown(item, secret=False) for item in value]
    return value


def _without_password(url: str) -> str:
    """Mask a secret, but of a URL only the password: where the database is, is no secret."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return MASK if url else ""
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    name, colon, _ = user.partition(":")
    visible = f"{name}{colon}{MASK if colon else ''}{at}{host}"
    return f"{scheme}://{visible}{slash}{path.partition('?')[0]}"
