"""What the owner of a domain wants of TLS to its hosts: DANE before MTA-STS. RFC 7672, RFC 8461, RFC 8689."""

import attrs
from twisted.logger import Logger

from mailsuite.errors import MailError
from mailsuite.interfaces import IResolver
from mailsuite.mta.dane import TLSASet, find_tlsa
from mailsuite.mta.next_hop import Host, HostTLS
from mailsuite.mta.sts import Mode, STSPolicy
from mailsuite.mta.sts_policies import STSPolicies
from mailsuite.mta.tls_report import TLSReports
from mailsuite.mta.tls_store import TLSResult
from mailsuite.mta.tls_verify import VALIDATION_FAILURE, Authorities, AuthorityVerifier, DANEVerifier
from mailsuite.observe import EventLog
from mailsuite.smtp.outcome import Outcome, OutcomeState
from mailsuite.smtp.settings import TLSPolicy

DNSSEC_INVALID = "dnssec-invalid"  # RFC 8460 section 4.3.2.1

_ANY = HostTLS(tls=TLSPolicy.OPPORTUNISTIC)


@attrs.frozen(kw_only=True)
class TLSParts:
    """
    What decisions are made with.

    Args:
        sts: None obeys no MTA-STS policies.
    """

    resolver: IResolver
    authorities: Authorities
    reports: TLSReports
    sts: STSPolicies | None = None


class TLSPolicies:
    """Decides about TLS (see `mailsuite.mta.next_hop.DecideTLS`)."""

    def __init__(self, parts: TLSParts) -> None:
        self._parts = parts

    async def __call__(self, domain: str, *, require: bool) -> "DomainPolicy":
        """Find the policies of a domain."""
        policy, unknown = None, False
        if self._parts.sts is not None and not domain.startswith("["):
            try:
                policy = await self._parts.sts.find(domain)
            except MailError:
                unknown = True  # it may be one that forbids what we would do
        return DomainPolicy(self._parts, domain, policy, require=require, unknown=unknown)


class DomainPolicy:
    """
    What one domain wants, for one attempt (see `mailsuite.mta.next_hop.DomainTLS`).

    Args:
        policy: its MTA-STS policy in force.
        require: the message may only go where TLS is verified.
        unknown: whether there is a policy cannot be told now.
    """

    def __init__(
        self, parts: TLSParts, domain: str, policy: STSPolicy | None, *, require: bool, unknown: bool = False
    ) -> None:
        self._parts = parts
        self._domain = domain
        self._policy = policy if policy is not None and policy.mode is not Mode.NONE else None
        self._require = require
        self._unknown = unknown
        self._tlsa: dict[str, TLSASet] = {}
        self._verifiers: dict[str, AuthorityVerifier | DANEVerifier] = {}
        self._mismatched: set[str] = set()
        self._log = EventLog(Logger("mailsuite.mta.tls_policy"))

    async def host(self, host: Host) -> HostTLS:
        """
        Say how TLS is to be with a host.

        What is refused here is reported here: `tell` is for hosts that were tried.
        """
        if host.bases:
            try:
                tlsa = await find_tlsa(self._parts.resolver, host)
            except MailError:
                # RFC 7672 section 2.1.2: there may be records that somebody keeps from us
                self._record(host, DNSSEC_INVALID, "tlsa")
                return self._refuse(host, "4.7.5", "its TLSA records cannot be looked up")
            if tlsa is not None:
                self._tlsa[host.name] = tlsa
                if tlsa.usable:
                    # RFC 8461 section 2: MTA-STS never overrides DANE
                    names = self._reference_identifiers(host, tlsa.base)
                    text = " ".join(("dane", *names, *tlsa.text))
                    return self._verified(host, DANEVerifier(tlsa, names), text)
        if self._unknown:
            return self._refuse(host, "4.3.0", "whether its domain has an MTA-STS policy cannot be told")
        decided = self._by_policy(host)
        if decided.refused is None and decided.tls is TLSPolicy.OPPORTUNISTIC and host.name in self._tlsa:
            return attrs.evolve(decided, tls=TLSPolicy.REQUIRE)  # RFC 7672 section 2.2: records, but none is usable
        return decided

    def _reference_identifiers(self, host: Host, base: str) -> tuple[str, ...]:
        """Give the names that the certificate below a trust anchor may be for: RFC 7672 section 3.2.2."""
        names = dict.fromkeys((base, *host.bases, self._domain, host.expanded_domain))
        return tuple(name for name in names if name)

    def _by_policy(self, host: Host) -> HostTLS:
        """Decide by MTA-STS (RFC 8461 section 5), and by what the message wants."""
        allowed = self._policy is not None and self._policy.allows(host.name)
        if self._policy is not None and self._policy.mode is Mode.ENFORCE and not allowed:
            self._record(host, VALIDATION_FAILURE, "sts")
            return self._refuse(host, "4.7.5", "the MTA-STS policy of its domain does not name it")
        if self._require and not (allowed or host.secure):
            # RFC 8689 section 4.2.1: nobody vouches for the MX record
            return self._refuse(
                host, "5.7.10", "the message requires verified TLS, and nothing vouches for the host's name",
                state=OutcomeState.FAILED,
            )  # fmt: skip
        if self._policy is None and not self._require:
            return _ANY
        if self._require or (self._policy is not None and self._policy.mode is Mode.ENFORCE):
            return self._verified(host, AuthorityVerifier(self._parts.authorities, host.name), f"authority {host.name}")
        if not allowed:
            self._mismatched.add(host.name)
        observer = AuthorityVerifier(self._parts.authorities, host.name, observe=True)
        self._verifiers[host.name] = observer
        return HostTLS(tls=TLSPolicy.OPPORTUNISTIC, creator=observer, identity=f"observed {host.name}")

    def tell(self, host: Host, failure: str) -> None:
        """Note how it went with a host that was tried (RFC 8460 section 4.3)."""
        verifier = self._verifiers.get(host.name)
        found = verifier.failure if verifier is not None else ""
        if failure in {"", VALIDATION_FAILURE} and found:
            failure = found  # what the handshake failed for, or would have failed for
        elif not failure and host.name in self._mismatched:
            failure = VALIDATION_FAILURE
        kind = "no-policy-found" if self._policy is None else "sts"
        if host.name in self._tlsa:
            kind = "tlsa"
        self._record(host, failure, kind)

    def _verified(self, host: Host, verifier: AuthorityVerifier | DANEVerifier, identity: str) -> HostTLS:
        self._verifiers[host.name] = verifier
        return HostTLS(tls=TLSPolicy.REQUIRE, creator=verifier, identity=identity)

    def _refuse(
        self, host: Host, enhanced: str, reason: str, *, state: OutcomeState = OutcomeState.DEFERRED
    ) -> HostTLS:
        self._log.emit("tls.host.refused", host=host.name, domain=self._domain, reason=reason)
        outcome = Outcome(state, 0, enhanced, f"{host.name} is not used: {reason}", host.name)
        return HostTLS(tls=TLSPolicy.REQUIRE, refused=outcome)

    def _record(self, host: Host, failure: str, kind: str) -> None:
        lines: tuple[str, ...] = ()
        if kind == "tlsa" and host.name in self._tlsa:
            lines = self._tlsa[host.name].text
        elif kind == "sts" and self._policy is not None:
            lines = self._policy.text
        self._parts.reports.record(
            TLSResult(domain=self._domain, policy_type=kind, policy=lines, host=host.name, result=failure)
        )
