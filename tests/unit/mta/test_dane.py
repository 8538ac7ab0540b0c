import hashlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import TLSARecord
from mailsuite.mta.dane import find_tlsa, matches, public_key, usable
from mailsuite.mta.next_hop import Host
from mailsuite.testing import MemoryResolver

DATA = "ab" * 32
HOST = Host(name="mx.test", addresses=("192.0.2.1",), secure=True, bases=("mx.test",))
RECORD = TLSARecord(3, 1, 1, b"\xab" * 32)


def find(outcome, records, *, secure=("test",), failing=(), bases=("mx.test",)):
    resolver = MemoryResolver(records, secure=secure, failing=failing)
    return outcome(find_tlsa(resolver, attrs.evolve(HOST, bases=bases)))


def test_records_are_found_below_the_host(outcome):
    found = find(outcome, {"_25._tcp.mx.test": {"TLSA": [f"3 1 1 {DATA}", "0 0 0 00"]}})
    assert (found.base, found.usable) == ("mx.test", (RECORD,))
    assert set(found.text) == {f"3 1 1 {DATA}", "0 0 0 00"}


def test_without_records_there_is_no_dane(outcome):
    assert find(outcome, {}) is None
    assert find(outcome, {"_25._tcp.mx.test": {"A": ["192.0.2.1"]}}) is None


def test_records_that_dnssec_does_not_vouch_for_are_none(outcome):
    assert find(outcome, {"_25._tcp.mx.test": {"TLSA": [f"3 1 1 {DATA}"]}}, secure=["mx.test.invalid"]) is None


def test_no_answer_is_no_permission(outcome):
    error = find(outcome, {"_25._tcp.mx.test": {"TLSA": [f"3 1 1 {DATA}"]}}, failing={"_25._tcp.mx.test"})
    assert isinstance(error, MailError)
    assert error.kind is Kind.UNAVAILABLE


def test_the_next_base_is_tried_where_there_are_no_secure_records(outcome):
    bases = ("real.test", "mx.test")
    at_both = {"_25._tcp.mx.test": {"TLSA": [f"3 0 1 {DATA}"]}, "_25._tcp.real.test": {"TLSA": [f"3 1 1 {DATA}"]}}
    assert find(outcome, at_both, bases=bases).base == "real.test"
    assert find(outcome, {"_25._tcp.mx.test": {"TLSA": [f"3 1 1 {DATA}"]}}, bases=bases).base == "mx.test"
    assert find(outcome, at_both, bases=bases, secure=["mx.test"]).base == "mx.test"
    assert isinstance(find(outcome, at_both, bases=bases, failing={"_25._tcp.real.test"}), MailError)
    assert find(outcome, at_both, bases=()) is None


@pytest.mark.parametrize("usage", range(6))
@pytest.mark.parametrize("selector", range(4))
@pytest.mark.parametrize("matching", range(5))
def test_only_what_smtp_allows_and_we_understand_is_usable(usage, selector, matching):
    record = TLSARecord(usage, selector, matching, b"x")
    assert bool(usable([record])) is (usage in {2, 3} and selector in {0, 1} and matching in {0, 1, 2})


def test_the_stronger_digest_of_the_same_counts():
    weak, strong = TLSARecord(3, 1, 1, b"1" * 32), TLSARecord(3, 1, 2, b"2" * 64)
    whole, other = TLSARecord(3, 1, 0, b"0"), TLSARecord(2, 1, 1, b"3" * 32)
    assert usable([weak, strong, whole, other]) == (strong, whole, other)
    assert usable([weak, other]) == (weak, other)


@given(st.binary(max_size=200))
def test_whatever_is_no_certificate_matches_nothing(octets):
    with pytest.raises(ValueError):
        public_key(octets[:12])
    assert not matches(TLSARecord(3, 1, 1, hashlib.sha256(b"").digest()), octets)
