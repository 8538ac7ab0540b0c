"""What we rely on in Twisted's SMTP classes: an upgrade that moves a seam fails here."""

import inspect

import pytest
from twisted.cred.error import LoginFailed, UnauthorizedLogin, UnhandledCredentials
from twisted.internet import _newtls, defer
from twisted.internet.interfaces import IHandshakeListener, IPushProducer, ISSLTransport, ITCPTransport, ITLSTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.mail import smtp
from twisted.mail.interfaces import IMessageDelivery, IMessageDeliveryFactory, IMessageSMTP
from twisted.protocols import basic, tls


def test_esmtp_takes_its_context_factory_and_keeps_what_we_read():
    server = smtp.ESMTP(contextFactory="context")
    assert server.ctx == "context"
    assert (server.portal, server.canStartTLS, server.startedTLS, server.authenticated) == (None, False, False, False)
    server.host = b"mx.example"
    assert server.host == b"mx.example"


def test_esmtp_does_nothing_before_connection_made():
    server = smtp.ESMTP()
    transport = StringTransport()
    server.connectionMade = lambda: None
    server.makeConnection(transport)
    assert transport.value() == b""


def test_everything_that_is_read_goes_through_data_received():
    assert issubclass(smtp.ESMTP, basic.LineOnlyReceiver)
    assert smtp.ESMTP.dataReceived is basic.LineOnlyReceiver.dataReceived


def test_tls_tells_a_handshake_listener():
    assert "handshakeCompleted" in IHandshakeListener.names()
    assert "IHandshakeListener" in inspect.getsource(tls.TLSMemoryBIOProtocol)


def test_starttls_keeps_the_producer_and_gives_the_transport_a_tls_handle():
    source = inspect.getsource(_newtls.startTLS)
    assert "unregisterProducer" in source
    assert "registerProducer(producer, streaming)" in source
    assert "transport.getHandle = tlsProtocol.getHandle" in source


def test_tls_is_told_by_interfaces():
    assert ITLSTransport.extends(ITCPTransport)
    assert ISSLTransport is not ITLSTransport
    assert {"pauseProducing", "resumeProducing", "stopProducing"} <= set(IPushProducer.names(all=True))


def test_an_unfired_deferred_yields_itself_and_a_fired_one_returns():
    """`SMTPServer` begins verbs by hand and gives them to a Deferred only when they yield one."""

    async def wait(deferred):
        return await deferred

    unfired = defer.Deferred()
    waiting = wait(unfired)
    assert waiting.send(None) is unfired
    waiting.close()
    with pytest.raises(StopIteration) as done:
        wait(defer.succeed(1)).send(None)
    assert done.value.value == 1


def test_add_timeout_raises_the_timeout_error_of_defer():
    clock, results = Clock(), []
    defer.Deferred().addTimeout(1, clock).addErrback(results.append)
    clock.advance(1)
    assert results[0].check(defer.TimeoutError)


def test_failed_logins_have_one_parent():
    assert issubclass(UnauthorizedLogin, LoginFailed)
    assert issubclass(UnhandledCredentials, LoginFailed)


def test_delivery_interfaces_are_what_the_bridge_calls():
    assert set(IMessageDelivery.names()) == {"receivedHeader", "validateFrom", "validateTo"}
    assert set(IMessageDeliveryFactory.names()) == {"getMessageDelivery"}
    assert set(IMessageSMTP.names()) == {"lineReceived", "eomReceived", "connectionLost"}


def test_addresses_and_users_are_made_as_the_bridge_makes_them():
    address = smtp.Address(b"a@a.example", b"mx.example")
    assert (address.local, address.domain, bytes(address)) == (b"a", b"a.example", b"a@a.example")
    assert bytes(smtp.Address(b"", b"mx.example")) == b""

    class Host:
        host = b"mx.example"

    user = smtp.User(address, (b"helo", b"192.0.2.1"), Host(), address)
    assert (bytes(user), bytes(user.orig), user.helo) == (b"a@a.example", b"a@a.example", (b"helo", b"192.0.2.1"))


def test_server_errors_carry_code_and_text():
    error = smtp.SMTPServerError(450, "later")
    assert (error.code, error.resp) in {(450, "later"), (450, b"later")}
