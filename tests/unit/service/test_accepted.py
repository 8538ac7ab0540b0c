"""Every connection that a port accepts sends small answers at once, whatever stands before its protocol."""

import datetime as dt
import socket

import pytest
from twisted.cred.portal import Portal
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.tcp import Port
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory

from mailsuite.config.tls import make_self_signed
from mailsuite.imap import IMAPFactory
from mailsuite.peers import TrustedPeers
from mailsuite.pop3 import POP3Factory
from mailsuite.service.descriptors import DescriptorReserve, GuardedFactory
from mailsuite.service.prompt import PromptServer, make_prompt
from mailsuite.service.proxy import ProxyFactory
from mailsuite.smtp import SMTPFactory, SubmissionFactory

LINE = b"PROXY TCP4 198.51.100.7 203.0.113.25 4711 25\r\n"
RESERVE = DescriptorReserve(1 << 20, 1 << 20)


def _options():
    certificate, key = make_self_signed("test", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    pair = PrivateCertificate.loadPEM(certificate + key)
    return CertificateOptions(privateKey=pair.privateKey.original, certificate=pair.original)


def _factory(name, reactor):
    portal = Portal(object(), [])
    match name:
        case "smtp":
            return SMTPFactory(None, portal=portal, reactor=reactor)
        case "submission":
            return SubmissionFactory(portal, reactor=reactor)
        case "imap":
            return IMAPFactory(portal, reactor=reactor)
    return POP3Factory(portal, reactor=reactor)


@pytest.mark.parametrize("name", ["smtp", "submission", "imap", "pop3"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
def test_the_socket_has_tcp_nodelay(name, tls, proxied, monkeypatch):
    made = []

    class Kept(PromptServer):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr("mailsuite.service.prompt.PromptServer", Kept)
    reactor = MemoryReactorClock()
    factory = _factory(name, reactor)
    if tls:
        factory = TLSMemoryBIOFactory(_options(), False, factory, clock=reactor)
    if proxied:
        factory = ProxyFactory(factory, TrustedPeers.parse(["127.0.0.1"]), reactor)
    port = make_prompt(Port(0, GuardedFactory(factory, RESERVE, reactor), interface="127.0.0.1", reactor=reactor))
    port.startListening()
    with socket.create_connection(("127.0.0.1", port.getHost().port)) as client:
        port.doRead()
        (transport,) = made
        if proxied:
            assert not transport.getTcpNoDelay()
            client.sendall(LINE)
            transport.doRead()
            assert transport.getPeer().host == "198.51.100.7"
        assert transport.getTcpNoDelay()
        if not tls:
            assert client.recv(100)[:1] in {b"2", b"*", b"+"}
        transport.abortConnection()
        port.stopListening()
        reactor.advance(0)
