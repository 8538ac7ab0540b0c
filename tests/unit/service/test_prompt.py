"""The transport on real sockets, with the reactor's turns taken by hand."""

import datetime as dt
import socket
import ssl

import pytest
from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer, IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.config.tls import make_self_signed
from mailsuite.service.prompt import PromptServer, make_prompt

BIG = bytes(range(256)) * 20_000


class Recorder(Protocol):
    """Keeps what it hears."""

    def __init__(self):
        self.heard = b""
        self.lost = []

    def dataReceived(self, data):
        self.heard += data

    def connectionLost(self, reason):
        self.lost.append(reason)


@implementer(IPushProducer, IPullProducer)
class Producer:
    """Keeps what it is told; `supply` is written at each `resumeProducing`."""

    def __init__(self, transport, supply=()):
        self.transport = transport
        self.told = []
        self.supply = list(supply)

    def pauseProducing(self):
        self.told.append("pause")

    def resumeProducing(self):
        self.told.append("resume")
        if self.supply:
            self.transport.write(self.supply.pop(0))
        elif self.told.count("pause") == 0:
            self.transport.unregisterProducer()

    def stopProducing(self):
        self.told.append("stop")


class Connection:
    """One transport of ours, its protocol, and the socket at the other end."""

    def __init__(self, protocol):
        self.reactor = MemoryReactorClock()
        ours, self.peer = socket.socketpair()
        self.peer.setblocking(False)
        self.protocol = protocol
        self.transport = PromptServer(ours, protocol, ("peer", 1), None, 0, self.reactor)
        self.transport.repstr = "test"
        protocol.makeConnection(self.transport)

    def received(self):
        """Read all that is there."""
        data = b""
        while True:
            try:
                piece = self.peer.recv(1 << 20)
            except BlockingIOError:
                return data
            if not piece:
                return data
            data += piece

    def turn(self):
        """Let the reactor write once, and report what the transport tells it."""
        if self.transport in self.reactor.getWriters():
            why = self.transport.doWrite()
            if why is not None:
                self.transport.connectionLost(Failure(why))
        self.reactor.advance(0)

    def everything(self):
        """Read and write by turns until nothing is left."""
        data = self.received()
        while self.transport in self.reactor.getWriters():
            self.turn()
            data += self.received()
        return data

    def close(self):
        """Close both ends."""
        self.peer.close()
        self.transport.abortConnection()
        self.reactor.advance(0)


@pytest.fixture
def connection():
    made = Connection(Recorder())
    yield made
    made.close()


def test_a_small_write_is_sent_before_the_reactor_turns(connection):
    connection.transport.write(b"250 OK\r\n")
    assert connection.received() == b"250 OK\r\n"
    assert connection.reactor.getWriters() == []


def test_octets_keep_their_order_whatever_the_system_takes_at_once(connection):
    connection.transport.write(b"first")
    connection.transport.write(BIG)
    connection.transport.write(b"last")
    assert connection.everything() == b"first" + BIG + b"last"


def test_a_push_producer_is_paused_when_octets_wait_and_resumed_when_they_are_gone(connection):
    producer = Producer(connection.transport)
    connection.transport.registerProducer(producer, streaming=True)
    connection.transport.write(b"small")
    assert producer.told == []
    connection.transport.write(BIG)
    assert producer.told == ["pause"]
    assert connection.everything() == b"small" + BIG
    assert producer.told == ["pause", "resume"]


def test_a_pull_producer_is_asked_by_the_reactor_and_never_within_its_own_write(connection):
    producer = Producer(connection.transport, supply=[b"one", b"two"])
    connection.transport.registerProducer(producer, streaming=False)
    assert (producer.told, connection.received()) == (["resume"], b"")
    connection.turn()
    assert (producer.told, connection.received()) == (["resume", "resume"], b"one")
    assert connection.everything() == b"two"


def test_a_connection_is_closed_after_all_that_was_written_before(connection):
    connection.transport.write(BIG)
    connection.transport.loseConnection()
    assert connection.everything() == BIG
    assert connection.peer.recv(1) == b""
    assert len(connection.protocol.lost) == 1


def test_a_connection_without_waiting_octets_is_closed_in_the_next_turn(connection):
    connection.transport.write(b"bye")
    connection.transport.loseConnection()
    assert connection.protocol.lost == []
    connection.turn()
    assert len(connection.protocol.lost) == 1
    assert connection.received() == b"bye"


def test_after_a_half_close_the_peer_is_still_heard():
    @implementer(IHalfCloseableProtocol)
    class HalfCloseable(Recorder):
        def readConnectionLost(self):
            self.transport.loseConnection()

        def writeConnectionLost(self):
            self.heard += b"half "

    connection = Connection(HalfCloseable())
    connection.transport.write(b"done")
    connection.transport.loseWriteConnection()
    connection.transport.write(b" too late")
    connection.turn()
    assert connection.received() in {b"done", b"done too late"}
    assert connection.peer.recv(1) == b""
    connection.peer.send(b"and you?")
    connection.transport.doRead()
    assert connection.protocol.heard == b"half and you?"
    connection.close()


def test_a_lost_connection_is_reported_by_the_reactor_and_not_within_write(connection):
    connection.peer.close()
    connection.transport.write(b"anybody?")
    connection.transport.write(b"hello?")
    assert connection.protocol.lost == []
    connection.turn()
    assert len(connection.protocol.lost) == 1


def test_nothing_is_sent_once_the_connection_is_aborted(connection):
    connection.transport.abortConnection()
    connection.transport.write(b"too late")
    assert connection.received() == b""
    connection.reactor.advance(0)
    assert len(connection.protocol.lost) == 1


def _client():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return context.wrap_bio(incoming, outgoing), incoming, outgoing


def _options():
    certificate, key = make_self_signed("test", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    pair = PrivateCertificate.loadPEM(certificate + key)
    return CertificateOptions(privateKey=pair.privateKey.original, certificate=pair.original)


def _shake_hands(connection, client, incoming, outgoing):
    for _ in range(10):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            _pass_on(connection, outgoing)
            incoming.write(connection.received())
        else:
            return _pass_on(connection, outgoing)
    raise AssertionError("no end of the handshake")


def _pass_on(connection, outgoing):
    octets = outgoing.read()
    if octets:
        connection.peer.sendall(octets)
        connection.transport.doRead()
    connection.turn()


def test_tls_from_the_first_octet_runs_over_it():
    recorder = Recorder()
    clock = Clock()
    factory = TLSMemoryBIOFactory(_options(), False, Factory.forProtocol(lambda: recorder), clock=clock)
    connection = Connection(factory.buildProtocol(None))
    client, incoming, outgoing = _client()
    _shake_hands(connection, client, incoming, outgoing)
    recorder.transport.write(b"* OK\r\n")
    clock.advance(0)
    incoming.write(connection.received())
    assert client.read() == b"* OK\r\n"
    assert connection.reactor.getWriters() == []
    connection.close()


def test_tls_that_begins_later_runs_over_it(connection):
    connection.transport.write(b"220 go\r\n")
    connection.transport.startTLS(_options())
    assert connection.received() == b"220 go\r\n"
    client, incoming, outgoing = _client()
    _shake_hands(connection, client, incoming, outgoing)
    client.write(b"EHLO inside\r\n")
    _pass_on(connection, outgoing)
    assert connection.protocol.heard == b"EHLO inside\r\n"
    connection.transport.write(b"250 inside\r\n")
    assert b"250 inside" not in connection.everything()


def test_only_plain_tcp_ports_get_this_transport():
    reactor = MemoryReactorClock()
    assert make_prompt(Port(0, Factory(), reactor=reactor)).transport is PromptServer
    other = object()
    assert make_prompt(other) is other
