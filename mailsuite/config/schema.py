"""Which tables and keys there are: the settings classes of all packages, composed."""

from collections.abc import Mapping, Sequence

import attrs

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
    SpoolSettings,
    SubmissionSettings,
)
from mailsuite.pop3.settings import POP3Settings
from mailsuite.sharing.settings import SharingSettings
from mailsuite.smtp.settings import SMTPSettings
from mailsuite.store.settings import StorageSettings
from mailsuite.trace.settings import TraceSettings


@attrs.frozen
class Part:
    """
    One settings class and the table that fills it.

    Args:
        attribute: of `Config`.
        table: in the file; several classes may share one.
        settings: the frozen class.
        taken: fields that are no keys of this table, and the key path from which each takes its value.
        fixed: fields that are no keys because the service decides their value.
        present: False when the feature does not exist yet: the keys are checked and have no effect.
    """

    attribute: str
    table: str
    settings: type[attrs.AttrsInstance]
    taken: Mapping[str, str] = attrs.field(factory=dict)
    fixed: Mapping[str, object] = attrs.field(factory=dict)
    present: bool = True


LOGIN_AND_RATES = {"allow_cleartext": "auth.allow_cleartext", "rates": "limits.rates"}
MECHANISMS = {"mechanisms": "auth.mechanisms"}

PARTS: Sequence[Part] = (
    Part("server", "server", ServerSettings),
    Part("tls", "tls", TLSSettings),
    Part("database", "database", DatabaseSettings),
    Part("storage", "storage", StorageSettings),
    Part("redis", "redis", RedisSettings, present=False),
    Part("auth", "auth", AuthSettings),
    Part("dns", "dns", DNSSettings),
    Part("queue", "queue", QueueSettings),
    Part("relay", "queue", RelaySettings),
    Part("next_hop", "queue", NextHopSettings),
    Part("spool", "spool", SpoolSettings),
    Part("capture", "capture", CaptureSettings),
    Part("limits", "limits", LimitSettings),
    Part("throttle", "limits", ThrottleSettings, {"rates": "limits.rates"}),
    Part("msgauth", "msgauth", MessageAuthSettings, present=False),
    Part("spam", "spam", SpamSettings, present=False),
    Part(
        "smtp", "smtp", SMTPSettings, LOGIN_AND_RATES | MECHANISMS, {"require_auth": False, "future_release_seconds": 0}
    ),
    Part("receive", "smtp", ReceiveSettings, {"hostname": "server.hostname"}),
    Part(
        "submission",
        "submission",
        SMTPSettings,
        LOGIN_AND_RATES | MECHANISMS | {"message_max_octets": "smtp.message_max_octets"},
        {"require_auth": True},
    ),
    Part("submitting", "submission", SubmissionSettings),
    Part("imap", "imap", IMAPSettings, LOGIN_AND_RATES | MECHANISMS | {"quirks": "imap_quirk"}),
    Part("pop3", "pop3", POP3Settings, LOGIN_AND_RATES | MECHANISMS),
    Part("sharing", "sharing", SharingSettings),
    Part("manhole", "manhole", ManholeSettings),
    Part("log", "log", LogSettings),
    Part("trace", "trace", TraceSettings),
)

EMPTY_TABLES = frozenset({"web", "dav", "metrics"})
"""Tables of services that do not exist yet and have no keys."""

ABSENT_VALUES = frozenset({("storage.backend", "s3")})
"""Values whose feature does not exist yet; the default is in force instead."""

PATH_KEYS = frozenset(
    {
        "server.data_dir",
        "tls.certificate",
        "tls.private_key",
        "storage.maildir_root",
        "manhole.authorized_keys",
        "manhole.host_key",
        "queue.ca_file",
        "log.output",
    }
)
"""Keys that hold a file name; relative ones begin at the file's folder."""

NO_PATHS = frozenset({"", "stderr", "stdout"})
"""What such a key may hold that is no file name."""

ListenValue = int | tuple[str, ...]
"""What a key of ``[listen]`` holds: another port, or endpoint strings; an empty list turns the service off."""
