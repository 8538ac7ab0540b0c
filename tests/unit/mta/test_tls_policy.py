import attrs
import pytest

from mailsuite.errors import Kind, MailError
from mailsuite.mta.next_hop import Host
from mailsuite.mta.sts import Mode, STSPolicy
from mailsuite.mta.tls_policy import TLSParts, TLSPolicies
from mailsuite.mta.tls_verify import Authorities, AuthorityVerifier, DANEVerifier
from mailsuite.smtp.outcome import OutcomeState
from mailsuite.smtp.settings import TLSPolicy
from mailsuite.testing import MemoryResolver

MX = Host(name="mx.d.test", addresses=("192.0.2.1",))
SECURE = Host(
    name="mx.d.test", addresses=("192.0.2.1",), secure=True, bases=("mx.d.test",), expanded_domain="real.d.test"
)
LITERAL = Host(name="[192.0.2.1]", addresses=("192.0.2.1",))
GOOD = "3 1 1 " + "ab" * 32
USELESS = "1 1 1 " + "ab" * 32


class Policies:
    def __init__(self, policy):
        self.policy = policy

    async def find(self, domain):
        if isinstance(self.policy, Exception):
            raise self.policy
        return self.policy


class Reports:
    def __init__(self):
        self.recorded = []

    def record(self, result):
        self.recorded.append(result)


@pytest.fixture(scope="module")
def authorities():
    return Authorities()


class Bench:
    def __init__(self, authorities, outcome):
        self.reports = Reports()
        self.outcome = outcome
        self.authorities = authorities

    def decide(self, policy=None, tlsa=(), *, require=False, domain="d.test", failing=()):
        records = {"mx.d.test": {"A": ["192.0.2.1"]}, "_25._tcp.mx.d.test": {"TLSA": list(tlsa)}}
        resolver = MemoryResolver(records, secure={"d.test"}, failing=failing)
        parts = TLSParts(
            resolver=resolver,
            authorities=self.authorities,
            reports=self.reports,
            sts=Policies(policy),
        )
        return self.outcome(TLSPolicies(parts)(domain, require=require))

    def host(self, host=MX, **options):
        decided = self.decide(**options)
        self.domain = decided
        return self.outcome(decided.host(host))

    @property
    def told(self):
        return [(result.policy_type, result.result) for result in self.reports.recorded]


@pytest.fixture
def bench(authorities, outcome):
    return Bench(authorities, outcome)


def sts(mode=Mode.ENFORCE, mx=("mx.d.test",)):
    return STSPolicy(mode=mode, max_age_seconds=1, mx=tuple(mx), text=("version: STSv1",))


def refused(found, enhanced, state=OutcomeState.DEFERRED):
    assert found.refused is not None
    assert (found.refused.state, found.refused.enhanced, found.refused.host) == (state, enhanced, "mx.d.test")
    assert found.refused.text
    return True


def usable(found):
    assert found.refused is None
    return found.tls, type(found.creator)


ANY = (TLSPolicy.OPPORTUNISTIC, type(None))
VERIFIED = (TLSPolicy.REQUIRE, AuthorityVerifier)
DANE = (TLSPolicy.REQUIRE, DANEVerifier)
OBSERVED = (TLSPolicy.OPPORTUNISTIC, AuthorityVerifier)


@pytest.mark.parametrize("policy", [None, sts(Mode.NONE, ())])
@pytest.mark.parametrize("host", [MX, SECURE, LITERAL])
def test_without_policies_tls_is_by_chance(bench, policy, host):
    assert usable(bench.host(host, policy=policy)) == ANY
    bench.domain.tell(host, "starttls-not-supported")
    bench.domain.tell(host, "")
    assert bench.told == [("no-policy-found", "starttls-not-supported"), ("no-policy-found", "")]


def test_a_policy_is_enforced_on_the_hosts_that_it_names(bench):
    assert usable(bench.host(policy=sts())) == VERIFIED
    bench.domain.tell(MX, "")
    assert bench.told == [("sts", "")]
    assert bench.reports.recorded[0].policy == ("version: STSv1",)


def test_a_host_that_an_enforced_policy_does_not_name_is_not_used(bench):
    assert refused(bench.host(policy=sts(mx=["other.test"])), "4.7.5")
    assert bench.told == [("sts", "validation-failure")]


def test_a_policy_in_testing_only_tells(bench):
    found = bench.host(policy=sts(Mode.TESTING))
    assert usable(found) == OBSERVED
    bench.domain.tell(MX, "")
    found.creator.failure = "certificate-expired"
    bench.domain.tell(MX, "")
    bench.domain.tell(MX, "starttls-not-supported")
    assert bench.told == [("sts", ""), ("sts", "certificate-expired"), ("sts", "starttls-not-supported")]


def test_a_host_that_a_policy_in_testing_does_not_name_is_used_and_told_about(bench):
    assert usable(bench.host(policy=sts(Mode.TESTING, ["other.test"]))) == OBSERVED
    bench.domain.tell(MX, "")
    assert bench.told == [("sts", "validation-failure")]


def test_why_a_handshake_failed_is_told(bench):
    found = bench.host(policy=sts())
    found.creator.failure = "certificate-not-trusted"
    bench.domain.tell(MX, "validation-failure")
    assert bench.told == [("sts", "certificate-not-trusted")]


def test_dane_comes_before_sts(bench):
    assert usable(bench.host(SECURE, policy=sts(mx=["other.test"]), tlsa=[GOOD])) == DANE
    bench.domain.tell(SECURE, "validation-failure")
    assert bench.told == [("tlsa", "validation-failure")]
    assert bench.reports.recorded[0].policy == (GOOD,)


def test_a_trust_anchors_certificate_is_for_the_base_the_domain_or_where_that_leads(bench):
    anchor = "2 0 1 " + "ab" * 32
    found = bench.host(attrs.evolve(SECURE, bases=("real.mx.test", "mx.d.test")), tlsa=[anchor])
    assert found.identity.split()[1:5] == ["mx.d.test", "real.mx.test", "d.test", "real.d.test"]
    found = bench.host(attrs.evolve(SECURE, name="insecure.test", expanded_domain=""), tlsa=[anchor])
    assert found.identity.split()[1:4] == ["mx.d.test", "d.test", "2"]


def test_dane_needs_a_host_that_was_found_securely(bench):
    assert usable(bench.host(MX, tlsa=[GOOD])) == ANY
    assert usable(bench.host(MX, tlsa=[GOOD], policy=sts())) == VERIFIED


def test_records_of_which_none_is_usable_make_tls_a_must(bench):
    assert usable(bench.host(SECURE, tlsa=[USELESS])) == (TLSPolicy.REQUIRE, type(None))
    assert usable(bench.host(SECURE, tlsa=[USELESS], policy=sts())) == VERIFIED
    assert usable(bench.host(SECURE, tlsa=[USELESS], policy=sts(Mode.TESTING))) == (
        TLSPolicy.REQUIRE,
        AuthorityVerifier,
    )
    assert refused(bench.host(SECURE, tlsa=[USELESS], policy=sts(mx=["other.test"])), "4.7.5")


def test_a_host_whose_records_cannot_be_looked_up_is_not_used(bench):
    assert refused(bench.host(SECURE, tlsa=[GOOD], failing={"_25._tcp.mx.d.test"}), "4.7.5")
    assert bench.told == [("tlsa", "dnssec-invalid")]


def test_a_policy_that_cannot_be_told_stops_what_is_not_dane(bench):
    unknown = MailError(Kind.UNAVAILABLE)
    assert refused(bench.host(policy=unknown), "4.3.0")
    assert usable(bench.host(SECURE, policy=unknown, tlsa=[GOOD])) == DANE


@pytest.mark.parametrize(
    ("host", "policy", "tlsa", "expected"),
    [
        (SECURE, None, [GOOD], DANE),
        (SECURE, None, [], VERIFIED),
        (SECURE, None, [USELESS], VERIFIED),
        (MX, sts(), [], VERIFIED),
        (MX, sts(Mode.TESTING), [], VERIFIED),
        (SECURE, sts(Mode.TESTING, ["other.test"]), [], VERIFIED),
    ],
)
def test_a_message_that_requires_tls_gets_it_verified(bench, host, policy, tlsa, expected):
    assert usable(bench.host(host, policy=policy, tlsa=tlsa, require=True)) == expected


@pytest.mark.parametrize("policy", [None, sts(Mode.NONE, ()), sts(Mode.TESTING, ["other.test"])])
def test_a_message_that_requires_tls_does_not_go_where_nothing_vouches_for_the_host(bench, policy):
    assert refused(bench.host(policy=policy, require=True), "5.7.10", OutcomeState.FAILED)


def test_an_address_has_no_policies(bench):
    unknown = MailError(Kind.UNAVAILABLE)
    assert usable(bench.host(LITERAL, policy=unknown, domain="[192.0.2.1]")) == ANY
    found = bench.host(LITERAL, domain="[192.0.2.1]", require=True)
    assert (found.refused.state, found.refused.enhanced) == (OutcomeState.FAILED, "5.7.10")
