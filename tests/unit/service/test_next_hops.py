"""Everything together: a server for the DNS in a child process, the configuration, the real reactor."""

import sys
from pathlib import Path

import pytest
import pytest_twisted

from mailsuite.config import parse_config
from mailsuite.durable import Disk
from mailsuite.mta.next_hop import Host, UnreachableError
from mailsuite.service.next_hops import NextHops, listening_addresses
from mailsuite.smtp.settings import TLSPolicy

sys.path.insert(0, str(Path(__file__).parents[2]))
from certificates import issue
from dns_server import DNSServer

ZONE = """
$TTL 1
far.test.      IN SOA ns.far.test. root.far.test. 1 1 1 1 1
far.test.      IN MX 20 mx2.far.test.
far.test.      IN MX 10 mx1.far.test.
mx1.far.test.  IN A 127.0.0.1
mx2.far.test.  IN A 127.0.0.2
null.test.     IN MX 0 .
own.test.      IN MX 10 mx.own.test.
signed.test.   IN MX 10 mx.signed.test.
mx.signed.test. IN A 127.0.0.3
_25._tcp.mx.signed.test. IN TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000
_mta-sts.far.test. IN TXT "v=STSv1; id=1"
mta-sts.far.test. IN A 127.0.0.1
"""


def config(folder, dns="", queue="", server=""):
    import tomllib

    text = f'[server]\nhostname = "MX.own.test"\n{server}[dns]\n{dns}[queue]\n{queue}'
    return parse_config(tomllib.loads(text), str(folder / "mailsuite.toml"), {})


@pytest.fixture
def dns(tmp_path):
    with DNSServer(tmp_path / "zone", ZONE, "--secure", "signed.test", "--servfail", "broken.test") as server:
        yield server


@pytest.fixture
def make(tmp_path, dns):
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    made = []

    def begin(**options):
        options.setdefault("server", "port_offset = 2000\n")  # the hosts of the zone are on loopback
        options.setdefault("dns", f'nameservers = ["{dns.nameserver}"]\n')
        (tmp_path / "data").mkdir(exist_ok=True)
        hops = NextHops(config(tmp_path, **options), reactor, Disk())
        hops.start()
        made.append(hops)
        return hops

    yield begin
    for hops in made:
        pytest_twisted.blockon(Deferred.fromCoroutine(hops.stop()))


@pytest_twisted.ensureDeferred
async def test_hosts_are_found_and_need_no_tls(make):
    hops = make()
    assert await hops.find_hosts("far.test") == [
        Host(name="mx1.far.test", addresses=("127.0.0.1",)),
        Host(name="mx2.far.test", addresses=("127.0.0.2",)),
    ]
    decided = await (await hops.decide_tls("null.test", require=False)).host(Host(name="x.test", addresses=("::1",)))
    assert decided.tls is TLSPolicy.OPPORTUNISTIC


@pytest.mark.parametrize(
    ("domain", "enhanced"),
    [("null.test", "5.1.10"), ("own.test", "5.4.6"), ("none.test", "5.1.2"), ("broken.test", "4.4.3")],
)
@pytest_twisted.ensureDeferred
async def test_what_takes_no_mail_is_told(make, domain, enhanced):
    with pytest.raises(UnreachableError) as caught:
        await make().find_hosts(domain)
    assert caught.value.outcome.enhanced == enhanced


@pytest_twisted.ensureDeferred
async def test_dane_is_obeyed_when_it_is_wanted(make, dns):
    hops = make(dns=f'nameservers = ["{dns.nameserver}"]\ndnssec = true\n')
    (host,) = await hops.find_hosts("signed.test")
    assert host.secure
    decided = await (await hops.decide_tls("signed.test", require=True)).host(host)
    assert decided.tls is TLSPolicy.REQUIRE
    assert decided.creator is not None


@pytest_twisted.ensureDeferred
async def test_what_failed_is_counted_for_reports(make):
    hops = make()
    policy = await hops.decide_tls("far.test", require=False)
    policy.tell(Host(name="mx1.far.test", addresses=("127.0.0.1",)), "")
    found = await hops.reports.results(hops.reports.today())
    assert [(result.policy_type, result.host, result.result, count) for result, count in found] == [
        ("no-policy-found", "mx1.far.test", "", 1),
        ("sts", "", "sts-policy-fetch-error", 1),
    ]
    again = make(queue="sts = false\n")
    assert (
        await (await again.decide_tls("far.test", require=False)).host(Host(name="a.test", addresses=("::1",)))
    ).creator is None


def test_an_authority_of_our_own_must_be_there(tmp_path):
    from twisted.internet import reactor

    (tmp_path / "ca.pem").write_bytes(issue("root-of-hops", ca=True).pem)
    NextHops(config(tmp_path, queue='ca_file = "ca.pem"\n'), reactor, Disk())
    with pytest.raises(ValueError, match=r"none\.pem"):
        NextHops(config(tmp_path, queue='ca_file = "none.pem"\n'), reactor, Disk())


@pytest.mark.parametrize(
    ("options", "addresses"),
    [
        ({}, ["127.0.0.1", "::1"]),
        ({"server": 'listen_address = "192.0.2.1"\n'}, ["192.0.2.1"]),
        ({"server": "port_offset = 2000\n"}, []),
        ({"server": "port_offset = 2000\n", "queue": "smtp_port = 2025\n"}, ["127.0.0.1", "::1"]),
        ({"queue": 'smtp_port = 25\n[listen]\nsmtp = ["tcp:25"]\n'}, []),
        ({"queue": "smtp_port = 25\n[listen]\nsmtp = []\n"}, []),
    ],
)
def test_a_server_knows_where_it_listens(tmp_path, options, addresses):
    assert list(listening_addresses(config(tmp_path, **options))) == addresses
