"""What connections share: limits and the end of service."""

from twisted.internet.defer import Deferred

from mailsuite.errors import Kind, MailError

MAIL = b"MAIL FROM:<a@a.example>"


def more(connection, peer="192.0.2.1"):
    return type(connection)(connection.receiver, factory=connection.factory, peer=peer)


def test_connections_of_one_network_are_limited(talk):
    first = talk(connections_per_network_max=2)
    second = more(first)
    third = more(first)
    assert third.read() == b"421 too many connections from you, try again later\r\n"
    assert third.closed
    assert more(first, "192.0.2.2").read().startswith(b"220 ")
    second.lose()
    assert more(first).read().startswith(b"220 ")
    assert "smtp.connection.refused" in first.events.names


def test_connections_in_all_are_limited(talk):
    first = talk(connections_max=2)
    more(first, "192.0.2.2")
    assert more(first, "192.0.2.3").read().startswith(b"421 ")


def test_connections_in_a_minute_are_limited(talk):
    first = talk(connections_per_minute_max=3)
    first.lose()
    for _ in range(2):
        more(first).lose()
    assert more(first).read().startswith(b"421 ")
    first.clock.advance(61)
    assert more(first).read().startswith(b"220 ")


def test_no_connection_is_limited_without_rates(talk):
    first = talk(connections_per_network_max=1, connections_max=1, connections_per_minute_max=1, rates=False)
    assert all(more(first).read().startswith(b"220 ") for _ in range(5))


def test_turned_away_connections_are_not_counted(talk):
    first = talk(connections_per_network_max=1)
    for _ in range(5):
        more(first)
    assert first.factory.connections.total == 1
    first.lose()
    assert first.factory.connections.total == 0


def test_drain_ends_idle_sessions_and_lets_messages_finish(talk, receiver):
    idle = talk(receiver)
    idle.hello()
    busy = more(idle).begin()
    committing = more(idle).begin()
    waiting = Deferred()
    receiver.answers["commit"] = [waiting]
    committing.say(b"x", b".")
    drained = []
    idle.factory.drain().addCallback(drained.append)
    assert idle.read().startswith(b"421 4.3.2")
    assert idle.closed
    assert more(idle).read() == b"421 shutting down, try again soon\r\n"
    assert not busy.closed
    assert busy.codes(b"x", b".") == [250, 421]
    assert busy.closed
    waiting.callback(None)
    assert committing.codes() == [250, 421]
    for connection in (idle, busy, committing):
        assert drained == []
        connection.lose()
    assert drained == [None]
    assert len(receiver.committed) == 2


def test_drain_ends_a_session_whose_message_was_refused_or_whose_command_failed(talk, receiver):
    refused = talk(receiver).begin()
    waiting = Deferred()
    receiver.answers["add_recipient"] = [waiting]
    failing = more(refused)
    failing.hello()
    assert failing.codes(b"MAIL FROM:<a@a.example>", b"RCPT TO:<b@b.example>") == [250]
    refused.feed(b"bare\nnewline\r\n")
    refused.factory.drain()
    assert not refused.closed
    assert not failing.closed
    assert refused.codes(b".") == [550, 421]
    assert refused.closed
    waiting.errback(MailError(Kind.NOT_FOUND))
    assert failing.codes() == [550]
    assert failing.codes(b"RSET") == [250, 421]
    assert failing.closed


def test_drain_without_connections_is_done_at_once(talk):
    connection = talk()
    connection.lose()
    drained = []
    connection.factory.drain().addCallback(drained.append)
    connection.factory.drain().addCallback(drained.append)
    assert drained == [None, None]


def test_abort_closes_everything(talk):
    first = talk()
    second = more(first)
    first.factory.abort()
    assert first.transport.disconnected
    assert second.transport.disconnected
