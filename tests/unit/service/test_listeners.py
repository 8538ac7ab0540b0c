import datetime as dt
import tomllib

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ServerFactory
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory

from mailsuite.config import parse_config
from mailsuite.config.tls import ReloadingTLS, write_self_signed
from mailsuite.durable import Disk
from mailsuite.errors import MailError
from mailsuite.service.listeners import DRAIN_SECONDS, TLS_CHECK_SECONDS, Listeners
from mailsuite.service.proxy import ProxyFactory

ENDPOINTS = (
    '[listen]\nsmtp = ["tcp:25"]\nimap = ["tcp:143:interface=127.0.0.1", "tcp:144"]\nimaps = ["tcp:993"]\npop3 = []\n'
)


class Factory(ServerFactory):
    def __init__(self):
        self.context_factory = None
        self.drained = Deferred()
        self.aborted = False

    def drain(self):
        return self.drained

    def abort(self):
        self.aborted = True
        self.drained.callback(None)


class Fixture:
    def __init__(self, folder, text, services):
        self.reactor = MemoryReactorClock()
        self.config = parse_config(tomllib.loads(text), str(folder / "mailsuite.toml"), {})
        self.factories = {}
        tls = ReloadingTLS(self.config.tls, self.reactor)
        self.listeners = Listeners(self.config, services, tls, self.reactor)

    def make(self, service):
        self.factories[service] = Factory()
        return self.factories[service]

    def open(self):
        results = []
        Deferred.fromCoroutine(self.listeners.open(self.make)).addBoth(results.append)
        (result,) = results
        return result

    def close(self):
        results = []
        Deferred.fromCoroutine(self.listeners.close()).addBoth(results.append)
        return results

    def ports(self):
        return [server[0] for server in self.reactor.tcpServers]

    def write_certificate(self):
        write_self_signed(self.config.tls, "mx.example", Disk(), dt.datetime.now(dt.UTC))


@pytest.fixture
def endpoints(tmp_path):
    return Fixture(tmp_path, ENDPOINTS, ["smtp", "imap", "imaps", "pop3"])


def test_endpoint_strings_take_the_place_of_the_port(endpoints):
    endpoints.write_certificate()
    assert endpoints.open() is None
    assert endpoints.ports() == [25, 143, 144, 993]


def test_the_service_decides_about_tls(endpoints):
    endpoints.write_certificate()
    endpoints.open()
    wrapped = {server[0]: isinstance(server[1].wrapped, TLSMemoryBIOFactory) for server in endpoints.reactor.tcpServers}
    assert wrapped == {25: False, 143: False, 144: False, 993: True}


@pytest.mark.parametrize(
    ("settings", "proxied"),
    [
        ("", set()),
        ('[server]\nproxy_peers = ["192.0.2.1"]\n', {25, 143, 144, 993}),
        ('[server]\nproxy_peers = ["192.0.2.1"]\nproxy_services = ["imaps", "smtp"]\n', {25, 993}),
        ('[server]\nproxy_services = ["imaps"]\n', set()),
    ],
)
def test_headers_of_proxies_are_read_before_tls_where_the_configuration_says_so(tmp_path, settings, proxied):
    fixture = Fixture(tmp_path, settings + ENDPOINTS, ["smtp", "imap", "imaps", "pop3"])
    fixture.write_certificate()
    fixture.open()
    before = {server[0]: server[1].wrapped for server in fixture.reactor.tcpServers}
    assert {port for port, factory in before.items() if isinstance(factory, ProxyFactory)} == proxied
    assert isinstance(getattr(before[993], "wrapped", before[993]), TLSMemoryBIOFactory)


def test_services_with_tls_wait_for_the_certificate_and_starttls_is_not_offered_before(endpoints):
    endpoints.open()
    assert endpoints.ports() == [25, 143, 144]
    assert endpoints.factories["imap"].context_factory is None
    endpoints.write_certificate()
    endpoints.reactor.advance(TLS_CHECK_SECONDS)
    assert endpoints.ports() == [25, 143, 144, 993]
    assert endpoints.factories["imap"].context_factory is not None


def test_an_endpoint_that_cannot_be_had_is_named(tmp_path):
    fixture = Fixture(tmp_path, '[listen]\nimap = ["systemd:domain=INET:nonsense=143"]\n', ["imap"])
    failure = fixture.open()
    assert failure.check(MailError)
    assert "listen.imap" in str(failure.value)
    assert "nonsense" in str(failure.value)


def test_closing_waits_for_sessions(endpoints):
    endpoints.open()
    results = endpoints.close()
    assert results == []
    for factory in endpoints.factories.values():
        factory.drained.callback(None)
    assert len(results) == 1
    assert endpoints.reactor.getDelayedCalls() == []


def test_closing_does_not_wait_for_ever(endpoints):
    endpoints.open()
    results = endpoints.close()
    endpoints.reactor.advance(DRAIN_SECONDS)
    assert len(results) == 1
    assert all(factory.aborted for factory in endpoints.factories.values())
