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
