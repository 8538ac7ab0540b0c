"""Nobody holds a connection for ever, by doing nothing or by doing it slowly."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from zope.interface import alsoProvides

from mailsuite.smtp.deadline import Deadline

MAIL = b"MAIL FROM:<a@a.example>"


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        ([], 30),
        ([b"EHLO a"], 60),
        ([b"EHLO a", MAIL], 300),
        ([b"EHLO a", MAIL, b"RCPT TO:<b@b.example>", b"DATA"], 120),
        ([b"EHLO a", MAIL, b"RCPT TO:<b@b.example>", b"DATA", b"x", b"."], 300),
    ],
)
def test_each_state_has_its_time(talk, lines, seconds):
    connection = talk()
    for line in lines:
        connection.say(line)
    connection.read()
    connection.clock.advance(seconds - 1)
    assert not connection.closed
    connection.clock.advance(2)
    assert connection.read().startswith(b"421 4.4.2")
    assert connection.closed


def test_octets_that_trickle_in_do_not_extend_the_time_for_a_command(talk):
    connection = talk().hello()
    for _ in range(59):
        connection.clock.advance(1)
        connection.feed(b"x")
    connection.clock.advance(2)
    assert connection.closed


def test_commands_extend_the_time(talk):
    connection = talk().hello()
    for _ in range(10):
        connection.clock.advance(50)
        assert connection.codes(b"NOOP") == [250]


def test_slow_content_is_cut_off_after_a_minute_of_grace(talk):
    connection = talk().begin()
    for _ in range(59):
        connection.clock.advance(1)
        connection.feed(b"x" * 100)
    assert not connection.closed
    for _ in range(3):
        connection.clock.advance(1)
        if not connection.closed:
            connection.feed(b"x" * 100)
    assert connection.closed
    assert connection.read().startswith(b"421 4.4.2")


def test_steady_content_may_take_long_but_not_for_ever(talk):
    connection = talk().begin()
    for _ in range(359):
        connection.clock.advance(10)
        connection.feed(b"x" * 10_000)
        assert not connection.closed
    connection.clock.advance(10)
    assert connection.closed


def test_steady_chunks_may_take_as_long_as_other_content(talk):
    connection = talk().hello()
    assert connection.codes(MAIL, b"RCPT TO:<b@b.example>") == [250, 250]
    for _ in range(359):
        connection.feed(b"BDAT 10000\r\n" + b"x" * 10_000)
        connection.clock.advance(10)
        assert not connection.closed
    connection.clock.advance(10)
    assert connection.closed


def test_a_pause_in_content_is_limited(talk):
    connection = talk().begin()
    connection.feed(b"x" * 1_000_000)
    connection.clock.advance(179)
    assert not connection.closed
    connection.clock.advance(2)
    assert connection.closed


def test_time_that_we_take_is_not_the_peers(talk, receiver):
    waiting = Deferred()
    receiver.answers["commit"] = waiting
    connection = talk(receiver).begin()
    connection.say(b"x", b".")
    connection.clock.advance(10_000)
    assert not connection.closed
    waiting.callback(None)
    assert connection.codes() == [250]


def test_time_that_a_write_takes_is_not_the_peers(talk, receiver):
    waiting = Deferred()
    receiver.answers["write"] = [waiting]
    connection = talk(receiver).begin()
    connection.feed(b"x" * 10)
    connection.clock.advance(100)
    waiting.callback(None)
    connection.clock.advance(30)
    assert not connection.closed
    connection.clock.advance(40)
    assert connection.closed


def test_the_time_of_a_tls_handshake_is_limited(talk):
    connection = talk(context_factory=object()).hello()
    connection.say(b"STARTTLS")
    connection.clock.advance(16)
    assert connection.transport.disconnected


def test_the_time_of_an_implicit_tls_handshake_is_limited(talk):
    transport = type(talk().transport)()
    alsoProvides(transport, ISSLTransport)
    connection = talk(transport=transport, context_factory=object())
    assert connection.server.session.encrypted
    connection.server.pauseProducing()  # TLS takes no octets before the handshake is done
    connection.clock.advance(16)
    assert connection.transport.disconnected


def test_nothing_runs_on_after_the_connection(talk):
    connection = talk().begin()
    connection.lose()
    assert connection.clock.getDelayedCalls() == []


def test_a_deadline_may_be_moved_both_ways():
    clock, expired = Clock(), []
    deadline = Deadline(clock, lambda: expired.append(clock.seconds()))
    deadline.set(10)
    clock.advance(9)
    deadline.set(10)
    clock.advance(9)
    assert expired == []
    deadline.set(0.5)
    clock.advance(0.5)
    assert expired == [18.5]
    deadline.set(1)
    deadline.clear()
    clock.advance(5)
    assert expired == [18.5]
