"""What the directory tells about its entries."""

import attrs

from mailsuite.interfaces import Account


@attrs.frozen(kw_only=True)
class DomainInfo:
    """
    One of our domains.

    Args:
        alias_of: the domain whose addresses its own stand for; empty for a domain of its own.
        catch_all: who gets mail for unknown names; empty: it is refused.
        postmaster: who gets mail for ``postmaster`` and ``abuse``; empty: an administrator.
        created: seconds since the epoch.
        backup_mx: mail for it is passed on to its other hosts.
        capture_seconds: how long mail for any name in it is kept; 0: it is a domain like others.
    """

    domain_id: int
    name: str
    alias_of: str
    catch_all: str
    postmaster: str
    created: int
    accounts: int
    aliases: int
    backup_mx: bool = False
    capture_seconds: int = 0


@attrs.frozen(kw_only=True)
class AccountInfo:
    """
    One account, without its secrets.

    Args:
        username: the local part as it was given.
        has_password: somebody can log in with a password.
        created: seconds since the epoch.
        forward_to: where its mail is passed on to.
        keep_copy: what is passed on is kept as well.
    """

    account_id: int
    email: str
    username: str
    enabled: bool
    admin: bool
    quota_octets: int
    has_password: bool
    created: int
    forward_to: tuple[str, ...] = ()
    keep_copy: bool = True


@attrs.frozen(kw_only=True)
class AliasInfo:
    """An address that stands for others."""

    source: str
    targets: tuple[str, ...]


@attrs.frozen(kw_only=True)
class LoginRecord:
    """
    What checking a password needs.

    Args:
        password_hash: of the account's own password; empty when it has none.
        has_scram_keys: both kinds are stored for this password.
    """

    account: Account
    password_hash: str = attrs.field(repr=False)
    has_scram_keys: bool
