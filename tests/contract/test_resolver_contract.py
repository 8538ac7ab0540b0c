"""The resolver in memory and the real one, which asks a server over the network, give the same answers."""

import sys
from pathlib import Path

import pytest
import pytest_twisted

from mailsuite.dns import DNSSettings, make_resolver, reverse_name
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    AAAA,
    CNAME,
    MX,
    PTR,
    SOA,
    TLSA,
    TXT,
    A,
    Answer,
    IResolver,
    MXRecord,
    NoRecordsError,
    SOARecord,
    TLSARecord,
)
from mailsuite.testing import MemoryResolver

sys.path.insert(0, str(Path(__file__).parents[1]))
from dns_server import DNSServer

ZONE = (
    """
$TTL 60
example.test.       IN SOA   ns.example.test. hostmaster.example.test. 7 3600 600 86400 5
example.test.       IN MX    20 MX2.example.test.
example.test.       IN MX    10 mx1.example.test.
example.test.       IN TXT   "v=spf1 mx " "-all"
null.test.          IN MX    0 .
mx1.example.test.   IN A     192.0.2.1
mx1.example.test.   IN A     192.0.2.2
mx1.example.test.   IN AAAA  2001:db8::1
alias.test.         IN CNAME second.test.
second.test.        IN CNAME mx1.example.test.
dangling.test.      IN CNAME nowhere.test.
loop.test.          IN CNAME loop.test.
long0.test.         IN CNAME long1.test.
a.deep.below.test.  IN A     192.0.2.9
1.2.0.192.in-addr.arpa. IN PTR mx1.example.test.
_25._tcp.mx1.example.test. IN TLSA 3 1 1 """
    + "ab" * 32
    + """
broken.test.        IN A     192.0.2.3
ghost.test.         IN CNAME broken.test.
cut.test.           IN A     192.0.2.4
signed.test.        IN A     192.0.2.5
half.signed.test.   IN CNAME mx1.example.test.
full.signed.test.   IN CNAME signed.test.
"""
    + "".join(f'many.test. IN TXT "{number} {"x" * 200}"\n' for number in range(40))
    + "".join(f"long{number}.test. IN CNAME long{number + 1}.test.\n" for number in range(1, 12))
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dns")
    faults = ["--servfail", "broken.test", "--truncate", "cut.test", "--unchased", "second.test"]
    faults += ["--unchased", "alias.test", "--servfail", "ghost.test", "--secure", "signed.test"]
    with DNSServer(folder / "zone", ZONE, *faults) as server:
        yield server


@pytest.fixture(params=["memory", "network"])
def resolver(request):
    if request.param == "memory":
        return MemoryResolver(ZONE, failing={"broken.test"}, secure={"signed.test"})
    from twisted.internet import reactor

    server = request.getfixturevalue("server")
    return make_resolver(DNSSettings(nameservers=(server.nameserver,), dnssec=True), reactor)


def test_it_is_a_resolver(resolver):
    assert IResolver.providedBy(resolver)


@pytest.mark.parametrize(
    ("name", "rdtype", "owner", "records"),
    [
        ("example.test", MX, "example.test", {MXRecord(10, "mx1.example.test"), MXRecord(20, "mx2.example.test")}),
        ("Example.TEST.", MX, "example.test", {MXRecord(10, "mx1.example.test"), MXRecord(20, "mx2.example.test")}),
        ("null.test", MX, "null.test", {MXRecord(0, ".")}),
        ("mx1.example.test", A, "mx1.example.test", {"192.0.2.1", "192.0.2.2"}),
        ("mx1.example.test", AAAA, "mx1.example.test", {"2001:db8::1"}),
        ("example.test", TXT, "example.test", {b"v=spf1 mx -all"}),
        ("example.test", SOA, "example.test", {SOARecord("ns.example.test", "hostmaster.example.test", 7)}),
        (reverse_name("192.0.2.1"), PTR, "1.2.0.192.in-addr.arpa", {"mx1.example.test"}),
        ("_25._tcp.mx1.example.test", TLSA, "_25._tcp.mx1.example.test", {TLSARecord(3, 1, 1, b"\xab" * 32)}),
        ("alias.test", A, "mx1.example.test", {"192.0.2.1", "192.0.2.2"}),
        ("alias.test", CNAME, "alias.test", {"second.test"}),
        ("cut.test", A, "cut.test", {"192.0.2.4"}),
        ("many.test", TXT, "many.test", {f"{number} {'x' * 200}".encode() for number in range(40)}),
    ],
)
@pytest_twisted.ensureDeferred
async def test_records_are_found(resolver, name, rdtype, owner, records):
    answer = await resolver.resolve(name, rdtype)
    assert set(answer.records) == records
    assert len(answer.records) == len(records)
    assert answer.name == owner
    assert not answer.secure


@pytest.mark.parametrize(
    ("name", "rdtype", "exists", "owner"),
    [
        ("nowhere.test", A, False, "nowhere.test"),
        ("x.example.test", A, False, "x.example.test"),
        ("example.test", A, True, "example.test"),
        ("below.test", A, True, "below.test"),
        ("deep.below.test", MX, True, "deep.below.test"),
        ("alias.test", MX, True, "mx1.example.test"),
        ("dangling.test", A, False, "nowhere.test"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_that_there_are_none_is_told_from_that_there_is_no_such_name(resolver, name, rdtype, exists, owner):
    with pytest.raises(NoRecordsError) as caught:
        await resolver.resolve(name, rdtype)
    assert (caught.value.exists, caught.value.name, caught.value.secure) == (exists, owner, False)
    assert caught.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize("name", ["broken.test", "ghost.test", "loop.test", "long0.test"])
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_found_out_is_temporary(resolver, name):
    with pytest.raises(MailError) as caught:
        await resolver.resolve(name, A)
    assert caught.value.kind is Kind.UNAVAILABLE


@pytest.mark.parametrize("name", ["a..test", "x" * 64 + ".test", "é.test"])
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_a_name_is_invalid(resolver, name):
    with pytest.raises(MailError) as caught:
        await resolver.resolve(name, A)
    assert caught.value.kind is Kind.INVALID


@pytest.mark.parametrize(
    ("name", "secure"), [("signed.test", True), ("full.signed.test", True), ("half.signed.test", False)]
)
@pytest_twisted.ensureDeferred
async def test_validation_covers_the_whole_way(resolver, name, secure):
    assert (await resolver.resolve(name, A)).secure is secure


@pytest_twisted.ensureDeferred
async def test_that_there_is_nothing_can_be_validated_as_well(resolver):
    with pytest.raises(NoRecordsError) as caught:
        await resolver.resolve("no.signed.test", A)
    assert caught.value.secure


@pytest_twisted.ensureDeferred
async def test_an_answer_is_a_value(resolver):
    assert await resolver.resolve("null.test", MX) == Answer(name="null.test", records=(MXRecord(0, "."),))
