"""What the configuration says about accounts and logins."""

from collections.abc import Mapping, Sequence

import attrs

CACHE_SECONDS = 300.0
HASHING_THREADS = 2


@attrs.frozen(kw_only=True)
class DatabaseSettings:
    """
    Where domains, accounts and aliases are kept.

    Args:
        url: ``sqlite:///path``.
        auto_migrate: bring an older database to this version at start; otherwise the start is refused.
    """

    url: str = "sqlite:///data/mailsuite.db"
    auto_migrate: bool = True


@attrs.frozen(kw_only=True)
class AuthSettings:
    """
    How clients log in.

    Args:
        allow_cleartext: take passwords outside TLS as well.
        mechanisms: SASL mechanisms that are offered, in this order.
        checkers: asked in this order: ``directory``, the name of a plugin, or ``module:object``.
        realm: ``mail``, the name of a plugin, or ``module:object``.
        options: a table for each plugin, by its name.
        cache_seconds: how long a verified login is remembered; 0 turns that off.
        hashing_threads: how many passwords are checked at the same time.
    """

    allow_cleartext: bool = False
    mechanisms: Sequence[str] = ("PLAIN", "LOGIN")
    checkers: Sequence[str] = ("directory",)
    realm: str = "mail"
    options: Mapping[str, Mapping[str, object]] = attrs.field(factory=dict)
    cache_seconds: float = CACHE_SECONDS
    hashing_threads: int = HASHING_THREADS


@attrs.frozen(kw_only=True)
class ThrottleSettings:
    """
    How much accounts may send; 0 is without limit.

    What exceeds a limit is held until the limit lets it go, and its sender is told.

    Args:
        rates: False takes all of these limits away.
        messages_per_sender_minute: messages from one sender address a minute.
        messages_per_account_hour: messages of one account an hour.
        messages_per_account_day: messages of one account a day.
        recipients_per_account_day: recipients of all messages of one account a day.
        null_senders_per_account_hour: messages of one account with an empty sender address an hour; mail programs
            send receipts so. More are refused.
        hold_max_seconds: a message that would be held for longer is refused for now.
    """

    rates: bool = True
    messages_per_sender_minute: int = attrs.field(default=50, validator=attrs.validators.ge(0))
    messages_per_account_hour: int = attrs.field(default=1000, validator=attrs.validators.ge(0))
    messages_per_account_day: int = attrs.field(default=10_000, validator=attrs.validators.ge(0))
    recipients_per_account_day: int = attrs.field(default=20_000, validator=attrs.validators.ge(0))
    null_senders_per_account_hour: int = attrs.field(default=100, validator=attrs.validators.ge(0))
    hold_max_seconds: float = attrs.field(default=36_000.0, validator=attrs.validators.ge(0))
