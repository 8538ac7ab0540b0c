from random import Random

import pytest

from mailsuite.errors import Kind, MailError
from mailsuite.mta.mx import ADDRESSES_MAX, HOSTS_MAX, MXHosts
from mailsuite.mta.next_hop import Host, UnreachableError
from mailsuite.mta.settings import NextHopSettings
from mailsuite.smtp.outcome import OutcomeState
from mailsuite.testing import MemoryResolver

HOSTS = {f"mx{n}.test": {"A": [f"192.0.2.{n}"]} for n in range(1, 6)}


class Keep(Random):
    """Shuffles nothing."""

    def shuffle(self, x):
        """Leave it as it is."""


def finder(records, *, failing=(), secure=(), names=("mx.own.test",), addresses=(), random=None, **settings):
    resolver = MemoryResolver({**HOSTS, **records}, failing=failing, secure=secure)
    return MXHosts(
        resolver, NextHopSettings(**settings), own_names=names, own_addresses=addresses, random=random or Keep()
    )


@pytest.fixture
def find(outcome):
    def call(records, domain="d.test", **options):
        return outcome(finder(records, **options)(domain))

    return call


def mx(*hosts):
    return {"d.test": {"MX": [f"{preference} {host}." for preference, host in hosts]}}


def names(hosts):
    assert not isinstance(hosts, Exception), hosts.outcome
    return [host.name for host in hosts]


def refused(found, state, enhanced):
    assert isinstance(found, UnreachableError), found
    assert (found.outcome.state, found.outcome.enhanced, found.outcome.code) == (state, enhanced, 0)
    assert found.outcome.text
    return True


def failed(found, enhanced):
    return refused(found, OutcomeState.FAILED, enhanced)


def deferred(found):
    return refused(found, OutcomeState.DEFERRED, "4.4.3")


def test_hosts_come_by_preference(find):
    hosts = find(mx((30, "mx1.test"), (10, "mx2.test"), (20, "mx3.test")))
    assert hosts == [
        Host(name="mx2.test", addresses=("192.0.2.2",)),
        Host(name="mx3.test", addresses=("192.0.2.3",)),
        Host(name="mx1.test", addresses=("192.0.2.1",)),
    ]


def test_equals_are_shuffled_anew_each_time(outcome):
    records = mx((10, "mx1.test"), (10, "mx2.test"), (10, "mx3.test"), (20, "mx4.test"))
    find_hosts = finder(records, random=Random(7))
    orders = {tuple(names(outcome(find_hosts("d.test")))) for _ in range(100)}
    assert len(orders) == 6
    assert {order[3] for order in orders} == {"mx4.test"}


def test_without_mx_the_domain_is_its_own_host(find):
    assert find({"d.test": {"A": ["192.0.2.9"], "AAAA": ["2001:db8::9"]}}) == [
        Host(name="d.test", addresses=("2001:db8::9", "192.0.2.9"))
    ]


def test_an_alias_of_a_domain_is_followed(find):
    assert names(find({"d.test": {"CNAME": ["e.test."]}, "e.test": {"MX": ["10 mx1.test."]}})) == ["mx1.test"]
    assert find({"d.test": {"CNAME": ["mx1.test."]}}) == [Host(name="mx1.test", addresses=("192.0.2.1",))]


def test_an_mx_that_is_an_alias_is_tolerated(find):
    assert find({**mx((10, "alias.test")), "alias.test": {"CNAME": ["mx1.test."]}}) == [
        Host(name="alias.test", addresses=("192.0.2.1",))
    ]


def test_a_domain_that_does_not_exist_fails(find):
    assert failed(find({}), "5.1.2")


def test_a_domain_with_nothing_to_connect_to_fails(find):
    assert failed(find({"d.test": {"TXT": ["x"]}}), "5.4.4")
    assert failed(find(mx((10, "nowhere.test"), (20, "gone.test"))), "5.4.4")


def test_what_cannot_be_a_domain_fails(find):
    assert failed(find({}, "d..test"), "5.1.2")


def test_a_null_mx_says_that_a_domain_takes_no_mail(find):
    found = find({"d.test": {"MX": ["0 ."], "A": ["192.0.2.1"]}})
    assert failed(found, "5.1.10")
    assert "takes no mail" in found.outcome.text


def test_a_null_mx_beside_others_is_none(find):
    assert names(find({"d.test": {"MX": ["0 .", "10 mx1.test."]}})) == ["mx1.test"]


def test_no_answer_is_temporary(find):
    assert deferred(find({}, failing={"d.test"}))
    assert deferred(find(mx((10, "mx1.test")), failing={"mx1.test"}))
    assert deferred(find({"d.test": {"CNAME": ["e.test."]}}, failing={"e.test"}))


def test_what_resolves_is_used_when_the_rest_does_not(find):
    found = find(mx((10, "mx1.test"), (20, "mx2.test")), failing={"mx1.test"})
    assert found == [Host(name="mx1.test", addresses=()), Host(name="mx2.test", addresses=("192.0.2.2",))]
    assert deferred(find(mx((10, "mx1.test"), (20, "nowhere.test")), failing={"mx1.test"}))


@pytest.mark.parametrize(
    ("ip", "addresses"),
    [
        ("both", ("2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3")),
        ("ipv4", ("192.0.2.1", "192.0.2.2", "192.0.2.3")),
        ("ipv6", ("2001:db8::1", "2001:db8::2")),
    ],
)
def test_families_take_turns(find, ip, addresses):
    records = {
        "mx.d.test": {"A": ["192.0.2.1", "192.0.2.2", "192.0.2.3"], "AAAA": ["2001:db8::1", "2001:db8::2"]},
        **mx((10, "mx.d.test")),
    }
    assert find(records, ip=ip)[0].addresses == addresses


def test_a_host_of_the_other_family_alone_has_no_address(find):
    assert failed(find(mx((10, "mx1.test")), ip="ipv6"), "5.4.4")


@pytest.mark.parametrize(
    ("literal", "address"),
    [
        ("[192.0.2.1]", "192.0.2.1"),
        ("[ipv6:2001:db8::1]", "2001:db8::1"),
        ("[ipv6:2001:db8:0::1]", "2001:db8::1"),
        ("[127.0.0.1]", "127.0.0.1"),
    ],
)
def test_an_address_literal_is_its_own_host(find, literal, address):
    assert find({}, literal) == [Host(name=literal, addresses=(address,))]


@pytest.mark.parametrize(
    "literal", ["[]", "[x]", "[192.0.2]", "[2001:db8::1]", "[ipv6:192.0.2.1]", "[ipv6:]", "[[::1]]"]
)
def test_what_is_no_address_literal_fails(find, literal):
    assert failed(find({}, literal), "5.1.2")


def test_a_literal_of_a_family_that_is_not_used_fails(find):
    assert failed(find({}, "[192.0.2.1]", ip="ipv6"), "5.4.4")


@pytest.mark.parametrize(
    "literal", ["[0.0.0.0]", "[ipv6:::]", "[192.0.2.77]", "[ipv6:::ffff:192.0.2.77]", "[ipv6:2001:db8::77]"]
)
def test_a_literal_that_leads_here_is_a_loop(find, literal):
    assert failed(find({}, literal, own_addresses=("192.0.2.77", "2001:db8::77")), "5.4.6")


def test_an_own_mx_leaves_those_that_are_better(find):
    records = mx((10, "mx1.test"), (20, "mx.own.test"), (20, "mx2.test"), (30, "mx3.test"))
    assert names(find({**records, "mx.own.test": {"A": ["192.0.2.50"]}})) == ["mx1.test"]
    assert names(find(records)) == ["mx1.test"]


@pytest.mark.parametrize(
    "options",
    [
        {"names": ("mx1.test",)},
        {"own_names": ("MX1.test.",)},
        {"addresses": ("192.0.2.1",)},
        {"own_addresses": ("::ffff:192.0.2.1",)},
    ],
)
def test_the_best_mx_being_ours_is_a_loop(find, options):
    assert failed(find(mx((10, "mx1.test"), (20, "mx2.test")), **options), "5.4.6")
    assert failed(find({"d.test": {"CNAME": ["mx1.test."]}}, **options), "5.4.6")


def test_a_better_mx_that_cannot_be_told_now_is_waited_for_and_no_loop(find):
    assert deferred(find(mx((10, "mx1.test"), (20, "mx.own.test")), failing={"mx1.test"}))
    assert failed(find(mx((10, "nowhere.test"), (20, "mx.own.test"))), "5.4.4")


def test_addresses_that_mean_this_machine_are_left_out(find):
    records = {"odd.test": {"A": ["0.0.0.0", "192.0.2.8"], "AAAA": ["::", "::ffff:0.0.0.0"]}, **mx((10, "odd.test"))}
    assert find(records)[0].addresses == ("192.0.2.8",)
    assert failed(find({"odd.test": {"A": ["0.0.0.0"]}, **mx((10, "odd.test"))}), "5.4.4")


def test_many_hosts_and_addresses_are_cut(find):
    records = mx(*((n, f"h{n}.test") for n in range(60)))
    many = {f"h{n}.test": {"A": [f"10.0.{n}.{m}" for m in range(9)]} for n in range(60)}
    hosts = find({**records, **many})
    assert names(hosts) == [f"h{n}.test" for n in range(60)]
    assert [len(host.addresses) for host in hosts] == [9] * 4 + [4] + [0] * 55
    assert sum(len(host.addresses) for host in hosts) == ADDRESSES_MAX
    few = {f"h{n}.test": {"A": [f"10.0.{n}.1"]} for n in range(60)}
    hosts = find({**records, **few})
    assert names(hosts) == [f"h{n}.test" for n in range(60)]
    assert [len(host.addresses) for host in hosts] == [1] * HOSTS_MAX + [0] * 40
    assert deferred(find(records))  # the rest were not asked about


def test_a_name_that_no_host_has_is_no_host(find):
    assert names(find({"d.test": {"MX": [r"5 a\032b.test.", "10 mx1.test."]}})) == ["mx1.test"]


def test_a_name_that_is_too_long_for_the_dns_is_no_host(find):
    name = ".".join(["x" * 63] * 3 + ["y" * 61])
    assert names(find({"d.test": {"MX": ["5 mx1.test."], "CNAME": []}})) == ["mx1.test"]
    assert failed(find({}, f"{name}.z"), "5.1.2")


def test_security_needs_the_whole_way(find):
    records = {**mx((10, "mx1.test")), "e.test": {"A": ["192.0.2.9"]}}
    assert find(records, secure={"d.test", "mx1.test"})[0].secure
    assert not find(records, secure={"d.test"})[0].secure
    assert not find(records, secure={"mx1.test"})[0].secure
    assert find(records, "e.test", secure={"e.test"})[0].secure
    assert not find(records, "e.test")[0].secure
    half = {
        "half.test": {"A": ["192.0.2.7"], "CNAME": []},
        **mx((10, "alias.test")),
        "alias.test": {"CNAME": ["mx1.test."]},
    }
    assert not find(half, secure={"d.test", "alias.test"})[0].secure


ALIAS = {**mx((10, "alias.test")), "alias.test": {"CNAME": ["mx1.test."]}}


@pytest.mark.parametrize(
    ("secure", "bases"),
    [
        ({"d.test", "alias.test", "mx1.test"}, ("mx1.test", "alias.test")),
        ({"d.test", "alias.test"}, ("alias.test",)),
        ({"d.test", "mx1.test"}, ()),
        ({"d.test"}, ()),
        ({"alias.test", "mx1.test"}, ()),
    ],
)
def test_a_host_that_is_an_alias_may_have_tlsa_records_under_either_name(find, secure, bases):
    assert find(ALIAS, secure=secure)[0].bases == bases


def test_a_host_of_one_family_has_its_tlsa_records_at_the_end_of_its_aliases(find):
    six = {**ALIAS, "mx1.test": {"AAAA": ["2001:db8::1"]}}
    assert find(six, secure={"test"})[0].bases == ("mx1.test", "alias.test")
    assert find(mx((10, "mx1.test")), secure={"test"})[0].bases == ("mx1.test",)
    assert find(mx((10, "mx1.test")), secure={"d.test"})[0].bases == ()


def test_a_domain_that_is_an_alias_and_its_own_host_may_have_tlsa_records_under_either_name(find):
    records = {"d.test": {"CNAME": ["e.test."]}, "e.test": {"A": ["192.0.2.9"]}}
    (host,) = find(records, secure={"test"})
    assert (host.name, host.bases, host.expanded_domain) == ("e.test", ("e.test", "d.test"), "e.test")
    (host,) = find(records, secure={"d.test"})
    assert (host.bases, host.expanded_domain) == ((), "")
    (host,) = find({"d.test": {"A": ["192.0.2.9"]}}, secure={"test"})
    assert (host.bases, host.expanded_domain) == (("d.test",), "d.test")


def test_where_the_aliases_of_a_domain_lead_is_told_when_it_is_secure(find):
    records = {"d.test": {"CNAME": ["e.test."]}, "e.test": {"MX": ["10 mx1.test."]}}
    assert find(records, secure={"test"})[0].expanded_domain == "e.test"
    assert find(records, secure={"d.test", "mx1.test"})[0].expanded_domain == ""


class NoAliases(MemoryResolver):
    """Knows addresses, and does not answer when it is asked for aliases or IPv4."""

    async def resolve(self, name, rdtype):
        """Answer, or not."""
        if rdtype.name in {"CNAME", "A"}:
            raise MailError(Kind.UNAVAILABLE)
        return await super().resolve(name, rdtype)


def test_a_host_whose_alias_cannot_be_looked_up_waits(outcome):
    records = {**ALIAS, "mx1.test": {"AAAA": ["2001:db8::1"]}}

    def find(secure):
        resolver = NoAliases(records, secure=secure)
        find_hosts = MXHosts(resolver, NextHopSettings(), own_names=(), own_addresses=(), random=Keep())
        return outcome(find_hosts("d.test"))

    assert deferred(find({"d.test", "alias.test"}))
    assert find({"test"})[0].bases == ("mx1.test", "alias.test")  # an A record that fails does not hide its end
    assert find(())[0].bases == ()
