"""What we rely on in Twisted's TCP transports: an upgrade that moves a seam fails here."""

import inspect
import socket

from twisted.internet import _newtls, abstract, tcp
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
