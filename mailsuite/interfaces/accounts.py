"""Who is there: what the mail side asks of the directory, and what a plugin may put in its place."""

import enum
from collections.abc import Awaitable, Mapping, Sequence

import attrs
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.portal import IRealm
from zope.interface import Attribute, Interface

from mailsuite.address import Address


@attrs.frozen(kw_only=True)
class Account:
    """
    Somebody with mailboxes.

    Args:
        account_id: never reused, not even when an account is removed and made again.
        email: the account's own address, as `mailsuite.address.Address.key` writes it.
        quota_octets: 0 means without limit.
        receive_only: it never sends.
    """

    account_id: int
    email: str
    enabled: bool = True
    admin: bool = False
    quota_octets: int = 0
    receive_only: bool = False


class ResolutionKind(enum.Enum):
    """What an address leads to."""

    LOCAL = "local"
    REMOTE = "remote"
    RELAYED = "relayed"
    UNKNOWN = "unknown"
    DISABLED = "disabled"


@attrs.frozen(kw_only=True)
class Resolution:
    """
    Where mail for one address goes.

    Args:
        kind: LOCAL when everything in the four sequences is to be served; REMOTE when the domain is not ours;
            RELAYED when it is not ours and we take its mail from everybody, to pass it on; UNKNOWN when the domain is
            ours and the name is not; DISABLED when the only account is switched off.
        accounts: local targets after aliases, each with the tag of ``user+tag`` or an empty string.
        remote: targets of an alias that lie elsewhere.
        forwarded: targets of an account's forward that lie elsewhere, each with that account.
        captured: accounts that keep mail for every name in their domain, each with the name.
    """

    kind: ResolutionKind
    accounts: Sequence[tuple[Account, str]] = ()
    remote: Sequence[Address] = ()
    forwarded: Sequence[tuple[Account, Address]] = ()
    captured: Sequence[tuple[Account, str]] = ()


class IAccounts(Interface):
    """The directory, as reception and submission see it. Answers come from memory where they can."""

    def resolve(address: Address) -> Awaitable[Resolution]:
        """
        Follow domains, aliases and forwards (loop-guarded), and ``user+tag``.

        Raises:
            MailError: UNAVAILABLE.
        """

    def may_send_as(email: str, sender: Address) -> Awaitable[bool]:
        """Say whether the account may use this reverse-path: its own address, its tags, aliases leading to it."""

    def find(email: str) -> Awaitable[Account | None]:
        """Find an account by its own address."""

    def list_accounts() -> Awaitable[Sequence[Account]]:
        """List all accounts, in order of address."""


class IAccountNumbers(Interface):
    """The directory, for who knows an account by its id only."""

    def find_id(account_id: int) -> Awaitable[Account | None]:
        """
        Find an account by its id.

        Raises:
            MailError: UNAVAILABLE.
        """


class ILoginNames(Interface):
    """The directory, for who knows an account by what it logs in with; an addition to `IAccounts`."""

    def find_login(name: str) -> Awaitable[Account | None]:
        """
        Find the account that a login name means.

        Raises:
            MailError: UNAVAILABLE.
        """


class ICheckerPlugin(Interface):
    """Makes a credentials checker from the configuration; found through ``twisted.plugin`` or by name."""

    name = Attribute("what ``auth.checkers`` calls it")

    def make_checker(options: Mapping[str, object]) -> ICredentialsChecker:
        """Make the checker; `options` is the plugin's own table in the configuration."""


class IRealmPlugin(Interface):
    """Makes a realm from the configuration; found through ``twisted.plugin`` or by name."""

    name = Attribute("what ``auth.realm`` calls it")

    def make_realm(options: Mapping[str, object], default: IRealm) -> IRealm:
        """Make the realm; `default` is ours, to fall back to."""
