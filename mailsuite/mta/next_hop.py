"""
The next hop of a message (RFC 5598 section 4.3.2): which hosts take a domain's mail, and how TLS is to be with each.

Values and protocols only; `mailsuite.mta.mx` finds hosts in the DNS, `mailsuite.mta.tls_policy` decides about TLS, and
`mailsuite.mta.relay` goes there.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from mailsuite.smtp.outcome import Outcome
from mailsuite.smtp.settings import TLSPolicy

if TYPE_CHECKING:
    from twisted.internet.interfaces import IOpenSSLClientConnectionCreator


class UnreachableError(Exception):
    """
    No host can be asked.

    Args:
        outcome: for every recipient; DEFERRED or FAILED.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@attrs.frozen(kw_only=True)
class Host:
    """
    A host that takes mail.

    Args:
        name: as its MX record says, in the form of `mailsuite.address.normalize_domain`; or an address literal.
        addresses: IPv4 and IPv6 addresses in the order in which to try them; none when the host cannot be tried now.
        secure: DNSSEC vouches for everything that led here (RFC 7672 section 2.2); False when nobody validates.
        bases: names whose TLSA records tell its certificate, the best first (RFC 7672 section 2.2.3); none where
            DNSSEC vouches for none.
        expanded_domain: where the aliases of the domain lead to that mail is for; empty when DNSSEC does not vouch for
            that.
    """

    name: str
    addresses: tuple[str, ...]
    secure: bool = False
    bases: tuple[str, ...] = ()
    expanded_domain: str = ""


class FindHosts(Protocol):
    """Finds the hosts of a domain."""

    async def __call__(self, domain: str) -> Sequence[Host]:
        """
        Give the hosts in the order in which to try them; those of equal preference are shuffled anew each time.

        One of them at least has an address. Others may have none: those could take the message at another time.

        Raises:
            UnreachableError: there is no such domain, it takes no mail, or the DNS does not answer.
        """
        ...


@attrs.frozen(kw_only=True)
class HostTLS:
    """
    How TLS is to be with one host.

    Args:
        tls: OPPORTUNISTIC goes on without where it fails; REQUIRE does not.
        creator: verifies the certificate; None takes any.
        identity: what `creator` verifies, so that attempts may share connections; empty shares them only among those
            that have the very same creator.
        refused: why this host may not be used at all; the next one is tried.
    """

    tls: TLSPolicy
    creator: "IOpenSSLClientConnectionCreator | None" = attrs.field(default=None, eq=False)
    identity: str = ""
    refused: Outcome | None = None


class DomainTLS(Protocol):
    """What a domain's owner wants of TLS, found once for an attempt."""

    async def host(self, host: Host) -> HostTLS:
        """Say how TLS is to be with one of its hosts."""
        ...

    def tell(self, host: Host, failure: str) -> None:
        """
        Note how it went, for reports to the domain's owner.

        Args:
            failure: a result type of RFC 8460 section 4.3, such as ``starttls-not-supported``; empty for success.
        """
        ...


class DecideTLS(Protocol):
    """Finds what owners of domains want of TLS."""

    async def __call__(self, domain: str, *, require: bool) -> DomainTLS:
        """
        Find the policies of a domain (RFC 8461, RFC 7672).

        Args:
            require: the message asks for it (RFC 8689).
        """
        ...
