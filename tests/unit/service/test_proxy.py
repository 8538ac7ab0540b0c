"""Who must send a PROXY header, what it changes, and what becomes of those who send none."""

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher

from mailsuite.peers import TrustedPeers
from mailsuite.service.proxy import HEADER_SECONDS, HeaderProtocol, ProxyFactory

PROXY = IPv4Address("TCP", "192.0.2.10", 1000)
CLIENT = IPv4Address("TCP", "198.51.100.7", 4711)
LINE = b"PROXY TCP4 198.51.100.7 203.0.113.25 4711 25\r\n"
PEERS = TrustedPeers.parse(["192.0.2.10", "2001:db8:1::/48", "unix"])


class Service(Protocol):
    """Keeps what it hears and from whom."""

    def __init__(self, address):
        self.address = address
        self.heard = b""

    def connectionMade(self):
        self.peer, self.host = self.transport.getPeer(), self.transport.getHost()

    def dataReceived(self, data):
        self.heard += data


class ServiceFactory(Factory):
    noisy = False

    def __init__(self):
        self.made = []
        self.closed = False

    def buildProtocol(self, addr):
        if self.closed:
            return None
        self.made.append(Service(addr))
        return self.made[-1]


class Connection:
    """One connection from somewhere, as a port makes it."""

    def __init__(self, address):
        self.clock = Clock()
        self.service = ServiceFactory()
        self.factory = ProxyFactory(self.service, PEERS, self.clock)
        self.factory.doStart()
        self.transport = StringTransport(peerAddress=address)
        self.transport.protocol = self.factory.buildProtocol(address)
        self.transport.protocol.makeConnection(self.transport)

    def feed(self, data):
        self.transport.protocol.dataReceived(data)

    @property
    def aborted(self):
        return self.transport.disconnected


@pytest.fixture
def events():
    found = []
    globalLogPublisher.addObserver(found.append)
    yield found
    globalLogPublisher.removeObserver(found.append)


def test_who_is_not_listed_gets_the_protocol_of_the_service_itself():
    connection = Connection(IPv4Address("TCP", "192.0.2.11", 1))
    assert connection.transport.protocol is connection.service.made[0]
    connection.feed(LINE)
    assert connection.service.made[0].heard == LINE
    assert connection.service.made[0].peer.host == "192.0.2.11"


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_after_the_header_the_service_has_the_connection_and_sees_the_client(size):
    connection = Connection(PROXY)
    octets = LINE + b"EHLO x\r\n"
    for start in range(0, len(octets), size):
        connection.feed(octets[start : start + size])
    (service,) = connection.service.made
    assert connection.transport.protocol is service
    assert service.transport is connection.transport
    assert service.address == service.peer == CLIENT
    assert service.host == IPv4Address("TCP", "203.0.113.25", 25)
    assert service.heard == b"EHLO x\r\n"
    assert connection.clock.getDelayedCalls() == []


def test_nothing_is_said_before_the_header_is_whole():
    connection = Connection(PROXY)
    connection.feed(LINE[:-1])
    assert connection.service.made == []
    connection.feed(LINE[-1:])
    assert len(connection.service.made) == 1


def test_addresses_are_shown_as_what_they_are():
    for line, expected in (
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 25\r\n", IPv6Address("TCP", "2001:db8::1", 1)),
        (b"PROXY TCP6 ::ffff:198.51.100.7 ::ffff:203.0.113.25 4711 25\r\n", CLIENT),
        (b"PROXY UNKNOWN\r\n", PROXY),
    ):
        connection = Connection(PROXY)
        connection.feed(line)
        assert connection.service.made[0].peer == expected


def test_a_second_header_is_for_the_service():
    connection = Connection(PROXY)
    connection.feed(LINE + LINE)
    assert connection.service.made[0].heard == LINE
    assert connection.service.made[0].transport.getPeer() == CLIENT


@pytest.mark.parametrize("octets", [b"EHLO x\r\n", b"\x16\x03\x01", b"PROXY TCP4 x\r\n"])
def test_a_listed_peer_without_a_header_is_closed_at_once_and_that_is_logged(octets, events):
    connection = Connection(PROXY)
    connection.feed(octets)
    assert connection.aborted
    assert connection.service.made == []
    assert connection.clock.getDelayedCalls() == []
    (event,) = [event for event in events if event.get("event") == "service.proxy.refused"]
    assert event["peer"] == "192.0.2.10"


def test_a_listed_peer_that_says_nothing_is_closed_in_time():
    connection = Connection(PROXY)
    connection.feed(LINE[:10])
    connection.clock.advance(HEADER_SECONDS - 0.1)
    assert not connection.aborted
    connection.clock.advance(0.2)
    assert connection.aborted


def test_a_listed_peer_that_goes_leaves_nothing_behind():
    connection = Connection(PROXY)
    connection.transport.protocol.connectionLost(None)
    assert connection.clock.getDelayedCalls() == []
    assert connection.factory.waiting == set()


def test_when_the_port_is_closed_nobody_waits_for_a_header():
    connection = Connection(PROXY)
    connection.factory.doStop()
    assert connection.aborted
    assert connection.clock.getDelayedCalls() == []


def test_a_service_that_takes_nobody_closes_the_connection():
    connection = Connection(PROXY)
    connection.service.closed = True
    connection.feed(LINE)
    assert connection.aborted


def test_behind_something_that_is_no_plain_transport_nothing_is_believed():
    connection = Connection(PROXY)
    inner = connection.transport.protocol
    connection.transport.protocol = object()
    inner.dataReceived(LINE)
    assert connection.aborted
    assert connection.service.made == []


def test_only_the_header_protocol_stands_between():
    assert isinstance(Connection(PROXY).transport.protocol, HeaderProtocol)
