"""What we rely on in Twisted's TCP transports: an upgrade that moves a seam fails here."""

import inspect
import socket

from twisted.internet import _newtls, abstract, tcp
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock


def _server(ours):
    transport = tcp.Server(ours, Protocol(), ("peer", 1), None, 0, MemoryReactorClock())
    transport.repstr = "test"
    return transport


def test_a_port_makes_its_transports_by_an_attribute_that_may_be_replaced():
    assert tcp.Port.transport is tcp.Server
    assert "self.transport(" in inspect.getsource(tcp.Port.doRead)
    made = []

    class Other(tcp.Server):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    reactor = MemoryReactorClock()
    port = tcp.Port(0, Factory.forProtocol(Protocol), interface="127.0.0.1", reactor=reactor)
    port.transport = Other
    port.startListening()
    with socket.create_connection(("127.0.0.1", port.getHost().port)):
        port.doRead()
        assert len(made) == 1
        made[0].abortConnection()
        port.stopListening()
        reactor.advance(0)


def test_what_waits_to_be_sent_lies_in_two_buffers_that_are_empty_together():
    ours, peer = socket.socketpair()
    with peer:
        transport = _server(ours)
        assert (transport._tempDataBuffer, transport.dataBuffer) == ([], b"")
        transport.write(b"x" * 10_000_000)
        assert transport._tempDataBuffer
        transport.doWrite()
        assert transport.dataBuffer
        while transport in transport.reactor.getWriters():
            peer.recv(1 << 20)
            transport.doWrite()
        assert (transport._tempDataBuffer, transport.dataBuffer) == ([], b"")
        transport.abortConnection()
        transport.reactor.advance(0)


def test_a_transport_tells_its_state_by_these_names():
    ours, peer = socket.socketpair()
    with peer:
        transport = _server(ours)
        names = ("connected", "disconnecting", "_writeDisconnecting", "_aborting", "TLS", "producer")
        assert [getattr(transport, name) for name in names] == [1, 0, False, False, False, None]
        transport.loseWriteConnection()
        assert transport._writeDisconnecting
        transport.abortConnection()
        assert transport._aborting
        transport.reactor.advance(0)


def test_tls_that_begins_later_writes_its_octets_past_the_connections_own_write():
    source = inspect.getsource(_newtls.ConnectionMixin.startTLS)
    assert "FileDescriptor)" in source
    assert _newtls.FileDescriptor is abstract.FileDescriptor


def test_a_connection_asks_its_transport_for_the_protocol_each_time():
    ours, peer = socket.socketpair()
    heard = []

    class Second(Protocol):
        def dataReceived(self, data):
            heard.append(data)

        def connectionLost(self, reason):
            heard.append(reason)

    with peer:
        transport = _server(ours)
        transport.protocol = Second()
        peer.sendall(b"x")
        transport.doRead()
        transport.abortConnection()
        transport.reactor.advance(0)
    assert heard[0] == b"x"
    assert len(heard) == 2


def test_a_port_closes_whom_its_factory_makes_no_protocol_for():
    factory = Factory()
    factory.buildProtocol = lambda _address: None
    port = tcp.Port(0, factory, interface="127.0.0.1", reactor=MemoryReactorClock())
    port.startListening()
    with socket.create_connection(("127.0.0.1", port.getHost().port)) as client:
        port.doRead()
        assert client.recv(1) == b""
        port.stopListening()
        port.reactor.advance(0)


def test_a_port_keeps_a_descriptor_for_when_there_is_none_and_tells_whether_it_has_it():
    assert tcp._reservedFD.available() in {True, False}
    assert "_reservedFD" in inspect.getsource(tcp.Port.doRead)
    tcp._reservedFD.reserve()
    assert tcp._reservedFD.available()
    with tcp._reservedFD:
        assert not tcp._reservedFD.available()
    assert tcp._reservedFD.available()


def test_reactors_that_poll_wait_in_one_attribute_that_may_be_replaced():
    reactor = EPollReactor()
    real = reactor._poller

    class Counted:
        waits = 0
        register, modify, unregister = real.register, real.modify, real.unregister

        def poll(self, timeout, most):
            self.waits += 1
            return real.poll(timeout, most)

    counted = reactor._poller = Counted()
    turns = []
    reactor.callLater(0, turns.append, 1)
    reactor.callLater(0.01, reactor.stop)
    reactor.run(installSignalHandlers=False)
    assert turns == [1]
    assert counted.waits >= 1
