import struct

import pytest
from twisted.internet import error
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from mailsuite.dns.settings import Nameserver
from mailsuite.dns.transport import FORGERIES_MAX, ExchangeError, ForgedError, NetworkExchange

SERVER = Nameserver(host="192.0.2.53", port=5353)
SERVER6 = Nameserver(host="2001:db8::53")


class Port:
    """A datagram socket that goes nowhere."""

    def __init__(self, number, protocol, interface):
        self.asked_for = number, interface
        self.protocol = protocol
        self.peer = None
        self.sent = []
        self.open = True
        protocol.makeConnection(self)

    def connect(self, host, port):
        self.peer = host, port

    def write(self, octets, address=None):
        self.sent.append(octets)

    def stopListening(self):
        self.open = False
        return succeed(None)


class Reactor(MemoryReactorClock):
    def __init__(self):
        super().__init__()
        self.ports = []
        self.refuse = False

    def listenUDP(self, port, protocol, interface="", maxPacketSize=8192):
        if self.refuse:
            raise error.CannotListenError(interface, port, OSError(24, "too many"))
        self.ports.append(Port(port, protocol, interface))
        return self.ports[-1]


def accept(octets):
    return octets if octets.startswith(b"yes") else None


def ask(reactor, how="udp", server=SERVER):
    exchange = NetworkExchange(reactor)
    return Deferred.fromCoroutine(getattr(exchange, how)(server, b"query", accept, 3.0))


@pytest.mark.parametrize(("server", "interface"), [(SERVER, ""), (SERVER6, "::")])
def test_each_query_has_a_socket_of_its_own_that_hears_one_resolver(result, server, interface):
    reactor = Reactor()
    asked = [ask(reactor, server=server) for _ in range(2)]
    assert [port.asked_for for port in reactor.ports] == [(0, interface)] * 2
    assert [port.peer for port in reactor.ports] == [(server.host, server.port)] * 2
    for deferred, port in zip(asked, reactor.ports, strict=True):
        assert port.sent == [b"query"]
        port.protocol.datagramReceived(b"yes", None)
        assert result(deferred) == b"yes"
        assert not port.open
        port.protocol.datagramReceived(b"yes again", None)
    assert not reactor.getDelayedCalls()


def test_a_wrong_answer_is_passed_over(result):
    reactor = Reactor()
    asked = ask(reactor)
    for _ in range(FORGERIES_MAX - 1):
        reactor.ports[0].protocol.datagramReceived(b"no", None)
    reactor.ports[0].protocol.datagramReceived(b"yes", None)
    assert result(asked) == b"yes"


def test_many_wrong_answers_are_an_attack(result):
    reactor = Reactor()
    asked = ask(reactor)
    for _ in range(FORGERIES_MAX):
        reactor.ports[0].protocol.datagramReceived(b"no", None)
    assert isinstance(result(asked), ForgedError)
    assert not reactor.ports[0].open


def test_silence_has_an_end(result):
    reactor = Reactor()
    asked = ask(reactor)
    reactor.advance(2.9)
    assert reactor.ports[0].open
    reactor.advance(0.1)
    assert isinstance(result(asked), ExchangeError)
    assert not reactor.ports[0].open


@pytest.mark.parametrize("call", ["connectionRefused", "doStop"])
def test_nobody_there_is_known_at_once(result, call):
    reactor = Reactor()
    asked = ask(reactor)
    getattr(reactor.ports[0].protocol, call)()
    assert isinstance(result(asked), ExchangeError)
    assert not reactor.getDelayedCalls()


def test_without_a_socket_there_is_no_answer(result):
    reactor = Reactor()
    reactor.refuse = True
    assert isinstance(result(ask(reactor)), ExchangeError)


def test_an_address_without_a_way_to_it_is_no_answer(result):
    reactor = Reactor()

    def unreachable(host, port):
        raise OSError(101, "Network is unreachable")

    original = Port.connect
    try:
        Port.connect = lambda self, host, port: unreachable(host, port)
        assert isinstance(result(ask(reactor)), ExchangeError)
    finally:
        Port.connect = original
    assert not reactor.ports[0].open


def connect(reactor):
    host, port, factory, *_ = reactor.tcpClients.pop()
    protocol = factory.buildProtocol(None)
    transport = StringTransport()
    transport.abortConnection = transport.loseConnection
    protocol.makeConnection(transport)
    return (host, port), protocol, transport


@pytest.mark.parametrize("cut", [None, 1])
@pytest.mark.parametrize("trailing", [b"", b"more"])
@pytest.mark.parametrize("server", [SERVER, SERVER6])
def test_over_tcp_lengths_come_first(result, cut, trailing, server):
    reactor = Reactor()
    asked = ask(reactor, "tcp", server)
    address, protocol, transport = connect(reactor)
    assert address == (server.host, server.port)
    assert transport.value() == struct.pack("!H", 5) + b"query"
    octets = struct.pack("!H", 7) + b"yes yes" + trailing
    for start in range(0, len(octets), cut or len(octets)):
        protocol.dataReceived(octets[start : start + (cut or len(octets))])
    assert result(asked) == b"yes yes"
    assert transport.disconnecting
    assert not reactor.getDelayedCalls()


@pytest.mark.parametrize("octets", [struct.pack("!H", 2) + b"no", struct.pack("!H", 65535), struct.pack("!H", 0)])
def test_what_is_no_answer_over_tcp_ends_it(result, octets):
    reactor = Reactor()
    asked = ask(reactor, "tcp")
    _, protocol, transport = connect(reactor)
    protocol.dataReceived(octets)
    assert isinstance(result(asked), ExchangeError)
    assert transport.disconnecting


def test_a_connection_that_ends_has_no_answer(result):
    reactor = Reactor()
    asked = ask(reactor, "tcp")
    _, protocol, _ = connect(reactor)
    protocol.connectionLost(None)
    assert isinstance(result(asked), ExchangeError)


def test_a_connection_that_is_refused_or_takes_too_long_has_no_answer(result):
    reactor = Reactor()
    asked = ask(reactor, "tcp")
    _, _, factory, *_ = reactor.tcpClients.pop()
    factory.clientConnectionFailed(None, Failure(error.ConnectionRefusedError()))
    assert isinstance(result(asked), ExchangeError)
    slow = ask(reactor, "tcp")
    reactor.advance(3)
    assert isinstance(result(slow), ExchangeError)


def test_connecting_and_answering_share_one_time(result):
    reactor = Reactor()
    asked = ask(reactor, "tcp")
    reactor.advance(2)
    connect(reactor)
    reactor.advance(0.9)
    assert result(asked) is None
    reactor.advance(0.1)
    assert isinstance(result(asked), ExchangeError)
