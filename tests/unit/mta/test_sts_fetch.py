"""The fetcher against a real HTTPS server on loopback, with an authority of its own."""

import sys
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions

from mailsuite.mta.settings import NextHopSettings
from mailsuite.mta.sts_fetch import (
    FETCH_ERROR,
    INVALID,
    POLICY_MAX_OCTETS,
    TRAFFIC_MAX_OCTETS,
    WEBPKI_INVALID,
    FetchError,
    PolicyFetcher,
    is_allowed,
)
from mailsuite.mta.tls_verify import Authorities
from mailsuite.testing import MemoryResolver

sys.path.insert(0, str(Path(__file__).parents[2]))
from certificates import issue

POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: mx.d.test\r\nmax_age: 86400\r\n"
HOST = "mta-sts.d.test"


def http(body=POLICY, status=b"200 OK", kind=b"text/plain", length=None, more=b""):
    head = b"HTTP/1.1 " + status + b"\r\n" + (b"Content-Type: " + kind + b"\r\n" if kind else b"") + more
    return head + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def chunked(body):
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[at : at + 9]), body[at : at + 9]) for at in range(0, len(body), 9))
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
        + pieces
        + b"0\r\n\r\n"
    )


class Answering(Protocol):
    def __init__(self, server):
        self.server = server
        self.got = b""

    def connectionMade(self):
        self.server.open.add(self)

    def dataReceived(self, data):
        self.got += data
        if self.got.endswith(b"\r\n\r\n"):
            self.server.requests.append(self.got)
            if self.server.octets is not None:
                self.transport.write(self.server.octets)
                if self.server.close:
                    self.transport.loseConnection()

    def connectionLost(self, reason=None):
        self.server.open.discard(self)
        if self.server.waiting is not None and not self.server.open:
            self.server.waiting.callback(None)
            self.server.waiting = None


class Web:
    """A server that answers every request with the same octets; None is silence."""

    def __init__(self, reactor, root):
        self.reactor = reactor
        self.root = root
        self.octets = http()
        self.close = False
        self.requests = []
        self.open = set()
        self.waiting = None
        self.port = None
        self.number = 0

    def listen(self, identity=None):
        identity = identity or issue("web", self.root, names=[HOST])
        from OpenSSL import crypto

        options = CertificateOptions(
            privateKey=crypto.PKey.from_cryptography_key(identity.key),
            certificate=crypto.X509.from_cryptography(identity.certificate),
        )
        factory = Factory.forProtocol(lambda: Answering(self))
        self.port = self.reactor.listenSSL(0, factory, options, interface="127.0.0.1")
        self.number = self.port.getHost().port
        return self

    async def stop(self):
        if self.port is not None:
            await self.port.stopListening()
        if self.open:
            self.waiting = Deferred()
            for one in list(self.open):
                one.transport.abortConnection()
            await self.waiting


@pytest.fixture
def web():
    from twisted.internet import reactor

    server = Web(reactor, issue("web-root", ca=True))
    yield server
    pytest_twisted.blockon(Deferred.fromCoroutine(server.stop()))


@pytest.fixture
def fetch(web, tmp_path):
    def make(addresses=("127.0.0.1",), networks=("127.0.0.0/8",), **settings):
        path = tmp_path / "ca.pem"
        path.write_bytes(web.root.pem)
        resolver = MemoryResolver(
            {HOST: {"A": list(addresses)}, "v6.test": {"A": ["192.0.2.1"]}}, failing={"mta-sts.broken.test"}
        )
        return PolicyFetcher(
            resolver,
            NextHopSettings(sts_port=web.number, sts_networks=networks, **settings),
            Authorities(str(path)),
            web.reactor,
        )

    return make


async def refused(awaitable, result, words=""):
    with pytest.raises(FetchError) as caught:
        await awaitable
    assert caught.value.result == result
    assert words in caught.value.detail
    return True


@pytest_twisted.ensureDeferred
async def test_a_policy_is_fetched(web, fetch):
    web.listen()
    assert await fetch()("d.test") == POLICY
    (request,) = web.requests
    assert request.startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\n")
    assert f"\r\nHost: {HOST}:{web.number}\r\n".encode().lower() in request.lower()


@pytest.mark.parametrize(
    "octets", [chunked(POLICY), http(kind=b"Text/Plain ; charset=utf-8"), http(more=b"X: y\r\n" * 50)]
)
@pytest_twisted.ensureDeferred
async def test_http_has_many_ways(web, fetch, octets):
    web.octets = octets
    web.listen()
    assert await fetch()("d.test") == POLICY


@pytest.mark.parametrize(
    ("octets", "result", "words"),
    [
        (http(status=b"404 Not Found"), FETCH_ERROR, "404"),
        (http(status=b"301 Moved", more=b"Location: https://127.0.0.1/\r\n"), FETCH_ERROR, "301"),
        (http(status=b"204 No Content", body=b""), FETCH_ERROR, "204"),
        (http(kind=b"text/html"), INVALID, "text/plain"),
        (http(kind=b""), INVALID, "text/plain"),
        (http(body=b"version: STSv1\r\n"), INVALID, "mode"),
        (http(body=b"x" * (POLICY_MAX_OCTETS + 1)), INVALID, "too long"),
        (http(body=b"x" * 2 * TRAFFIC_MAX_OCTETS), "", ""),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * TRAFFIC_MAX_OCTETS, FETCH_ERROR, ""),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * TRAFFIC_MAX_OCTETS, FETCH_ERROR, ""),
        (b"220 mx.test ESMTP\r\n", FETCH_ERROR, ""),
        (b"\xff" * 100, FETCH_ERROR, ""),
    ],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_what_is_no_policy_is_refused(web, fetch, octets, result, words):
    web.octets = octets
    web.close = octets.startswith((b"220", b"\xff"))
    web.listen()
    with pytest.raises(FetchError) as caught:
        await fetch()("d.test")
    assert caught.value.result in ({result} if result else {INVALID, FETCH_ERROR})
    assert words in caught.value.detail


@pytest.mark.parametrize("octets", [http(length=len(POLICY) + 1), chunked(POLICY)[:-5], http()[:50], b""])
@pytest_twisted.ensureDeferred
async def test_what_ends_early_is_no_policy(web, fetch, octets):
    web.octets, web.close = octets, True
    web.listen()
    assert await refused(fetch()("d.test"), FETCH_ERROR)


@pytest.mark.parametrize("octets", [None, http()[:60], http(length=len(POLICY) + 1)])
@pytest_twisted.ensureDeferred
async def test_it_does_not_wait_for_ever(web, fetch, octets, monkeypatch):
    monkeypatch.setattr("mailsuite.mta.sts_fetch.FETCH_SECONDS", 0.3)
    web.octets = octets
    web.listen()
    assert await refused(fetch()("d.test"), FETCH_ERROR, "takes too long")


@pytest_twisted.ensureDeferred
async def test_the_certificate_must_be_good(web, fetch):
    other = issue("other-host", web.root, names=["d.test"])
    web.listen(other)
    assert await refused(fetch()("d.test"), WEBPKI_INVALID, "certificate-host-mismatch")
    assert web.requests == []


@pytest_twisted.ensureDeferred
async def test_the_authority_must_be_known(web, fetch):
    web.listen(issue("self-signed-web", names=[HOST]))
    assert await refused(fetch()("d.test"), WEBPKI_INVALID, "certificate-not-trusted")
    assert web.requests == []


@pytest.mark.parametrize(
    ("addresses", "networks"),
    [(["127.0.0.1"], []), (["10.1.2.3", "169.254.1.1"], ["127.0.0.0/8"]), (["127.0.0.1"], ["10.0.0.0/8"])],
)
@pytest_twisted.ensureDeferred
async def test_a_stranger_does_not_choose_a_host_of_ours(web, fetch, addresses, networks):
    web.listen()
    assert await refused(fetch(addresses, networks)("d.test"), FETCH_ERROR, "no public address")
    assert web.requests == []


@pytest_twisted.ensureDeferred
async def test_only_allowed_addresses_of_several_are_connected_to(web, fetch):
    web.listen()
    assert await fetch(["10.255.255.1", "127.0.0.1"])("d.test") == POLICY


@pytest_twisted.ensureDeferred
async def test_the_next_address_is_tried_when_nobody_listens(web, fetch):
    web.listen()
    assert await fetch(["127.0.0.2", "127.0.0.3", "127.0.0.1"])("d.test") == POLICY
    assert len(web.requests) == 1


@pytest.mark.parametrize(
    ("domain", "words"), [("none.test", "no address"), ("broken.test", "DNS"), ("x" * 250, "domain name")]
)
@pytest_twisted.ensureDeferred
async def test_without_an_address_there_is_no_policy(web, fetch, domain, words):
    assert await refused(fetch()(domain), FETCH_ERROR, words)


@pytest_twisted.ensureDeferred
async def test_where_nobody_listens_there_is_no_policy(web, fetch):
    web.listen()
    fetcher = fetch()
    await web.port.stopListening()
    web.port = None
    assert await refused(fetcher("d.test"), FETCH_ERROR, "nobody listens")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::8.8.8.8", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.168.0.1", False),
        ("192.0.0.1", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::127.0.0.1", False),
        ("::10.0.0.1", False),
        ("64:ff9b::127.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b:1::1", False),
        ("2002:7f00:1::1", False),
        ("2002:808:808::1", False),
        ("192.0.0.9", False),
        ("192.88.99.1", False),
        ("::ffff:192.0.0.9", False),
        ("2001:3::1", False),
        ("2001:4860:4860::8888", True),
        ("3fff::1", False),
        ("2002:a00:1::1", False),
        ("2001:0:5ef5:79fd::1", False),
        ("2001:db8::1", False),
        ("fc00::1", False),
        ("fd12::1", False),
        ("fe80::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("ff0e::1", False),
        ("100::1", False),
    ],
)
def test_only_public_addresses_are_connected_to(address, allowed):
    assert is_allowed(address) is allowed
