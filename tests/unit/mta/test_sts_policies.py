import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailsuite.durable import Disk, InlineLane
from mailsuite.errors import Kind, MailError
from mailsuite.mta.sts import Mode, STSPolicy, encode_policy
from mailsuite.mta.sts_fetch import FetchError
from mailsuite.mta.sts_policies import FAILED_SECONDS, REFRESH_SECONDS, STSPolicies
from mailsuite.mta.tls_store import TLSStore
from mailsuite.testing import FaultyDisk, MemoryResolver
from mailsuite.testing.zone import ZoneData

NOW = 1_800_000_000.0
AGE = 10 * 86400


def body(mx="mx.d.test", mode=Mode.ENFORCE, age=AGE):
    return encode_policy(STSPolicy(mode=mode, max_age_seconds=age, mx=(mx,)))


class Bench:
    def __init__(self, path, disk=None):
        self.clock = Clock()
        self.clock.advance(NOW)
        self.resolver = MemoryResolver({})
        self.answer = body()
        self.fetched = []
        self.failed = []
        self.store = TLSStore(path, disk or Disk())
        self.announce("1")
        self.begin()

    def begin(self):
        """Be a new process."""
        self.policies = STSPolicies(
            self.resolver, self.fetch, self.store, InlineLane(), self.clock,
            failed=lambda domain, result: self.failed.append((domain, result)),
        )  # fmt: skip

    async def fetch(self, domain):
        self.fetched.append(domain)
        if isinstance(self.answer, Deferred):
            return await self.answer
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def announce(self, policy_id):
        records = {"_mta-sts.d.test": {"TXT": [f'"v=STSv1; id={policy_id};"']}} if policy_id else {}
        self.resolver.zones = ZoneData.from_records(records)

    def find(self):
        return Deferred.fromCoroutine(self.policies.find("d.test"))


@pytest.fixture
def bench(tmp_path):
    bench = Bench(str(tmp_path / "tls.db"))
    yield bench
    bench.store.close()


def hosts(outcome, bench):
    found = outcome(bench.find())
    return None if found is None else found.mx


def test_a_policy_that_is_announced_is_fetched_once(bench, outcome):
    for _ in range(3):
        found = outcome(bench.find())
        assert (found.mode, found.mx, found.max_age_seconds) == (Mode.ENFORCE, ("mx.d.test",), AGE)
    assert bench.fetched == ["d.test"]
    assert bench.failed == []


def test_without_a_record_there_is_no_policy(bench, outcome):
    bench.announce("")
    assert outcome(bench.find()) is None
    bench.resolver.failing.add("_mta-sts.d.test")
    assert outcome(bench.find()) is None
    assert bench.fetched == []


def test_a_known_policy_holds_until_it_expires_whatever_the_dns_says(bench, outcome):
    assert hosts(outcome, bench)
    bench.announce("")
    assert hosts(outcome, bench) == ("mx.d.test",)
    bench.resolver.failing.add("_mta-sts.d.test")
    bench.begin()
    bench.answer = FetchError("sts-policy-fetch-error", "x")
    bench.clock.advance(AGE - 1)
    assert hosts(outcome, bench) == ("mx.d.test",)
    bench.clock.advance(1)
    assert hosts(outcome, bench) is None
    assert bench.fetched == ["d.test"] * 2


def test_another_id_means_another_policy(bench, outcome):
    assert hosts(outcome, bench)
    bench.announce("2")
    bench.answer = body("other.test")
    assert hosts(outcome, bench) == ("other.test",)
    assert bench.fetched == ["d.test"] * 2


def test_the_known_policy_stays_when_another_cannot_be_fetched(bench, outcome):
    assert hosts(outcome, bench)
    bench.announce("2")
    bench.answer = FetchError("sts-webpki-invalid", "the certificate")
    for _ in range(3):
        assert hosts(outcome, bench) == ("mx.d.test",)
    assert bench.failed == [("d.test", "sts-webpki-invalid")]
    bench.clock.advance(FAILED_SECONDS)
    bench.answer = body("other.test")
    assert hosts(outcome, bench) == ("other.test",)


@pytest.mark.parametrize("answer", [FetchError("sts-policy-fetch-error", "x"), b"no policy"])
def test_what_failed_is_not_tried_again_for_minutes(bench, outcome, answer):
    bench.answer = answer
    assert outcome(bench.find()) is None
    bench.clock.advance(FAILED_SECONDS - 1)
    assert outcome(bench.find()) is None
    assert len(bench.fetched) == 1
    bench.clock.advance(1)
    assert outcome(bench.find()) is None
    assert len(bench.fetched) == 2
    assert {result for _, result in bench.failed} <= {"sts-policy-fetch-error", "sts-policy-invalid"}


def test_a_policy_is_fetched_again_after_a_day_while_mail_goes_on(bench, outcome):
    assert hosts(outcome, bench)
    bench.clock.advance(REFRESH_SECONDS + 1)
    bench.answer = Deferred()
    assert hosts(outcome, bench) == hosts(outcome, bench) == ("mx.d.test",)
    assert len(bench.fetched) == 2
    bench.answer.callback(body("mx2.d.test"))
    assert hosts(outcome, bench) == ("mx2.d.test",)
    bench.clock.advance(AGE - 1)
    bench.announce("")
    assert hosts(outcome, bench) == ("mx2.d.test",)


@pytest.mark.parametrize("lost", ["gone", "silent"])
def test_a_policy_is_fetched_again_after_a_day_though_its_record_is_gone(bench, outcome, lost):
    assert hosts(outcome, bench)
    bench.announce("")
    if lost == "silent":
        bench.resolver.failing.add("_mta-sts.d.test")
    bench.clock.advance(REFRESH_SECONDS)
    assert hosts(outcome, bench) == ("mx.d.test",)
    assert len(bench.fetched) == 1
    bench.clock.advance(1)
    bench.answer = body("mx2.d.test")
    assert outcome(bench.find()) is not None
    assert hosts(outcome, bench) == ("mx2.d.test",)
    assert len(bench.fetched) == 2
    bench.clock.advance(AGE - 1)
    bench.answer = FetchError("sts-policy-fetch-error", "x")
    for _ in range(3):
        assert hosts(outcome, bench) == ("mx2.d.test",)
    assert len(bench.fetched) == 3
    bench.clock.advance(FAILED_SECONDS)
    assert outcome(bench.find()) is None  # it has expired
    assert len(bench.fetched) == 3


def test_another_id_is_fetched_at_once_whatever_failed_before(bench, outcome):
    bench.answer = FetchError("sts-policy-fetch-error", "x")
    for policy_id in ("1", "2", "1", "2"):
        bench.announce(policy_id)
        assert outcome(bench.find()) is None
    assert len(bench.fetched) == 2
    bench.announce("3")
    bench.answer = body()
    assert hosts(outcome, bench) == ("mx.d.test",)


def test_who_wants_the_same_policy_waits_for_the_same(bench, outcome):
    bench.answer = answer = Deferred()
    asked = [bench.find() for _ in range(3)]
    asked[1].addErrback(lambda failure: None)
    asked[1].cancel()
    assert bench.fetched == ["d.test"]
    answer.callback(body())
    assert outcome(asked[0]).mx == outcome(asked[2]).mx == ("mx.d.test",)


def test_the_first_who_waits_may_go_away(bench, outcome):
    bench.answer = answer = Deferred()
    first, second = bench.find(), bench.find()
    first.addErrback(lambda failure: None)
    first.cancel()
    answer.callback(body())
    assert outcome(second).mx == ("mx.d.test",)
    assert bench.fetched == ["d.test"]


def test_a_policy_of_none_is_a_policy(bench, outcome):
    bench.answer = b"version: STSv1\nmode: none\nmax_age: 3600\n"
    assert outcome(bench.find()).mode is Mode.NONE


def test_a_policy_without_an_age_is_used_once(bench, outcome):
    bench.answer = body(age=0)
    assert outcome(bench.find()).mx == ("mx.d.test",)
    bench.announce("")
    assert outcome(bench.find()) is None


def test_a_store_that_fails_is_temporary(tmp_path, outcome):
    bench = Bench(str(tmp_path / "tls.db"), FaultyDisk(fail_at=1, lasting=True))
    error = outcome(bench.find())
    assert isinstance(error, MailError)
    assert error.kind is Kind.UNAVAILABLE
    assert bench.fetched == []


def test_a_policy_that_cannot_be_kept_stops_all_who_wait_for_it(bench, outcome, monkeypatch):
    bench.answer = answer = Deferred()
    asked = [bench.find() for _ in range(3)]

    def full(domain, policy):
        raise MailError(Kind.UNAVAILABLE, "no room")

    monkeypatch.setattr(bench.store, "put_policy", full)
    answer.callback(body())
    assert [outcome(each).kind for each in asked] == [Kind.UNAVAILABLE] * 3
