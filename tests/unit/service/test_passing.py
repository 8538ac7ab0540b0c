"""Descriptors over real sockets; the reactor is a list of readers that the test asks to read."""

import errno
import os
import socket

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from mailsuite.service.passing import Acceptor, Arrival, Arrivals, hand_over


class Readers:
    """The part of a reactor that watches descriptors, and calls later."""

    def __init__(self):
        self.readers = []
        self.writers = []
        self.later = []

    def addReader(self, reader):
        if reader not in self.readers:
            self.readers.append(reader)

    def removeReader(self, reader):
        if reader in self.readers:
            self.readers.remove(reader)

    def addWriter(self, writer):
        self.writers.append(writer)

    def removeWriter(self, writer):
        pass

    def callLater(self, seconds, call, *arguments):
        self.later.append(call)
        return self

    def cancel(self):
        self.later.clear()


class Greeter(Protocol):
    def connectionMade(self):
        self.factory.made.append(self)
        self.transport.write(b"hello")

    def dataReceived(self, data):
        self.factory.heard.append(data)


@pytest.fixture
def world():
    return World()


class World:
    def __init__(self):
        self.reactor = Readers()
        self.factory = Factory.forProtocol(Greeter)
        self.factory.made, self.factory.heard = [], []
        self.ended = []
        parent, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for channel in (parent, worker):
            channel.setblocking(False)
        self.channel = parent
        self.arrivals = Arrivals(worker, self.reactor, {"imap": self.factory}, self.ended.append)
        self.arrivals.start()

    def close(self):
        self.arrivals.close()
        self.channel.close()


def connected(family=socket.AF_INET):
    with socket.socket(family) as listening:
        listening.bind(("127.0.0.1", 0) if family == socket.AF_INET else ("::1", 0))
        listening.listen()
        client = socket.create_connection(listening.getsockname()[:2], 10)
        return client, listening.accept()[0]


def end(world):
    for protocol in world.factory.made:
        protocol.transport.connectionLost(Failure(ConnectionDone()))
    world.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_a_connection_arrives_and_its_end_is_told(world, family):
    try:
        client, accepted = connected(family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with client, accepted:
        assert hand_over(world.channel, Arrival(17, "imap"), accepted.fileno())
        accepted.close()
        world.arrivals.doRead()
        (protocol,) = world.factory.made
        assert client.recv(10) == b"hello"
        assert protocol.transport.getPeer().host == client.getsockname()[0]
        assert protocol.transport.getPeer().port == client.getsockname()[1]
        assert protocol.transport.getHost().port == client.getpeername()[1]
        client.sendall(b"to you")
        protocol.transport.doRead()
        assert world.factory.heard == [b"to you"]
        assert world.ended == []
        assert repr(protocol.transport)
        protocol.transport.connectionLost(Failure(ConnectionDone()))
        assert world.ended == [17]
    world.close()


def test_a_unix_socket_arrives_as_well(world):
    client, accepted = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with client, accepted:
        hand_over(world.channel, Arrival(1, "imap"), accepted.fileno())
        accepted.close()
        world.arrivals.doRead()
        world.factory.made[0].transport.doWrite()
        assert client.recv(10) == b"hello"
    end(world)
    assert world.ended == [1]


def test_what_nobody_serves_and_what_is_over_already_is_closed(world):
    client, accepted = connected()
    with client:
        hand_over(world.channel, Arrival(1, "pop3"), accepted.fileno())
        accepted.close()
        world.arrivals.doRead()
        assert client.recv(10) == b""
    with socket.socket() as never_connected:
        hand_over(world.channel, Arrival(2, "imap"), never_connected.fileno())
    world.arrivals.doRead()
    assert world.ended == [1, 2]
    assert world.factory.made == []
    world.close()


def test_a_worker_that_does_not_read_is_not_asked_for_ever(world):
    client, accepted = connected()
    with client, accepted:
        taken = 0
        while hand_over(world.channel, Arrival(taken, "imap"), accepted.fileno()):
            taken += 1
            assert taken < 100_000
        assert taken > 10
    world.arrivals.close()
    client, accepted = connected()
    with client, accepted, pytest.raises(OSError, match=r".*"):
        hand_over(world.channel, Arrival(0, "imap"), accepted.fileno())
    world.close()


def test_the_acceptor_takes_what_waits_and_pauses():
    reactor, placed = Readers(), []
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    acceptor = Acceptor("imap", listening, reactor, lambda service, accepted: placed.append((service, accepted)))
    acceptor.start()
    assert reactor.readers == [acceptor]
    clients = [socket.create_connection(listening.getsockname(), 10) for _ in range(3)]
    acceptor.doRead()
    assert [service for service, _ in placed] == ["imap"] * 3
    acceptor.pause()
    assert reactor.readers == []
    acceptor.start()
    acceptor.close()
    acceptor.close()
    assert listening.fileno() == -1
    for each in [*clients, *(accepted for _, accepted in placed)]:
        each.close()


class Exhausted:
    """A listening socket in a process that has no descriptor left but the reserve."""

    def __init__(self, listening):
        self.listening = listening
        self.refusals = 1

    def accept(self):
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return self.listening.accept()

    def fileno(self):
        return self.listening.fileno()

    def close(self):
        self.listening.close()


def test_without_descriptors_one_connection_is_closed_and_the_others_wait():
    reactor, placed = Readers(), []
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    acceptor = Acceptor("imap", Exhausted(listening), reactor, lambda _, accepted: placed.append(accepted))
    acceptor.start()
    first, second = (socket.create_connection(listening.getsockname(), 10) for _ in range(2))
    with first, second:
        acceptor.doRead()
        assert first.recv(10) == b""
        assert reactor.readers == []
        (go_on,) = reactor.later
        go_on()
        assert reactor.readers == [acceptor]
        acceptor.doRead()
        assert len(placed) == 1
        assert placed[0].getpeername() == second.getsockname()
        placed[0].close()
    acceptor.close()


def test_a_reserve_that_somebody_else_took_is_no_end(monkeypatch):
    reactor = Readers()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    acceptor = Acceptor("imap", Exhausted(listening), reactor, lambda _, accepted: accepted.close())
    acceptor.start()

    def refuse(*_arguments, **_keywords):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with socket.create_connection(listening.getsockname(), 10) as client:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            acceptor.doRead()
        assert client.recv(10) == b""
    reactor.later.pop()()
    assert reactor.readers == [acceptor]
    with socket.create_connection(listening.getsockname(), 10) as client:
        acceptor.doRead()
        assert client.recv(10) == b""
    acceptor.close()
    assert reactor.readers == []


def test_who_is_told_to_pause_does_not_go_on_by_itself():
    reactor = Readers()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    acceptor = Acceptor("imap", Exhausted(listening), reactor, lambda _, accepted: accepted.close())
    acceptor.start()
    acceptor.doRead()
    assert len(reactor.later) == 1
    acceptor.pause()
    assert (reactor.later, reactor.readers) == ([], [])
    acceptor.start()
    assert reactor.readers == [acceptor]
    acceptor.close()


class Refusing(Protocol):
    def connectionMade(self):
        raise ZeroDivisionError


class Faulty(Protocol):
    def connectionLost(self, reason):
        raise ZeroDivisionError


def fail_to_build(_address):
    raise ZeroDivisionError


@pytest.mark.parametrize("build", [fail_to_build, lambda _address: Refusing()])
def test_the_fault_of_one_connection_keeps_no_other_from_coming(world, build):
    build_well, world.factory.buildProtocol = world.factory.buildProtocol, build
    first, accepted = connected()
    with first, accepted:
        hand_over(world.channel, Arrival(1, "imap"), accepted.fileno())
        accepted.close()
        world.arrivals.doRead()
        assert first.recv(10) == b""
    assert world.ended == [1]
    assert world.reactor.readers == [world.arrivals]
    world.factory.buildProtocol = build_well
    second, accepted = connected()
    with second, accepted:
        hand_over(world.channel, Arrival(2, "imap"), accepted.fileno())
        accepted.close()
        world.arrivals.doRead()
        assert second.recv(10) == b"hello"
    end(world)
    assert world.ended == [1, 2]


def test_a_connection_whose_protocol_fails_at_its_end_is_told_as_well(world):
    made = []
    world.factory.buildProtocol = lambda _address: made.append(Faulty()) or made[-1]
    client, accepted = connected()
    with client, accepted:
        hand_over(world.channel, Arrival(3, "imap"), accepted.fileno())
        accepted.close()
        world.arrivals.doRead()
        with pytest.raises(ZeroDivisionError):
            made[0].transport.connectionLost(Failure(ConnectionDone()))
    assert world.ended == [3]
    world.close()
