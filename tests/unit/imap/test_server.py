"""The connection: order, limits, time, backpressure, farewell."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from mailsuite.errors import Kind, MailError


def test_the_greeting_names_the_capabilities(suite):
    client = suite.connect()
    assert client.received().startswith(b"* OK [CAPABILITY IMAP4rev1 ")


def test_small_answers_are_not_delayed(suite):
    client = suite.connect()
    assert client.transport.no_delay is True


def test_commands_of_one_segment_are_done_in_order(suite, mail):
    suite.account.put("INBOX", mail())
    client = suite.connect()
    client.received()
    answer = client.send(
        b"a LOGIN alice@example.test secret\r\nb SELECT INBOX\r\nc FETCH 1 UID\r\nd LOGOUT\r\ne NOOP\r\n"
    )
    tagged = [line[:4] for line in answer.split(b"\r\n") if line[1:2] == b" " and line[:1] != b"*"]
    assert tagged == [b"a OK", b"b OK", b"c OK", b"d OK"]
    assert not client.connected


def test_the_next_command_waits_until_the_last_has_answered(suite):
    client = suite.connect().login()
    gate = suite.gate()
    assert client.send(b"a SELECT INBOX\r\nb CAPABILITY\r\n") == b""
    gate.callback(None)
    answer = client.received()
    assert answer.index(b"a OK") < answer.index(b"* CAPABILITY") < answer.index(b"b OK")


@pytest.mark.parametrize("step", [1, 2, 7])
def test_octets_may_come_in_any_cut(suite, mail, step):
    suite.account.put("INBOX", mail())
    client = suite.connect()
    client.received()
    script = (
        b"a LOGIN {18+}\r\nalice@example.test {6+}\r\nsecret\r\nb SELECT INBOX\r\n"
        b"c APPEND INBOX (\\Seen) {4+}\r\n\r\nhi\r\nd UID SEARCH SEEN\r\n"
    )
    for at in range(0, len(script), step):
        client.server.dataReceived(script[at : at + step])
    client.settle()
    answer = client.received()
    for line in (b"a OK", b"b OK", b"c OK [APPENDUID 7 2]", b"* SEARCH 2\r\n", b"d OK"):
        assert line in answer


def test_a_synchronising_literal_is_invited(suite):
    client = suite.connect()
    client.received()
    assert client.send(b"a LOGIN {18}\r\n").startswith(b"+ ")
    assert client.send(b"alice@example.test {6}\r\n").startswith(b"+ ")
    assert client.send(b"secret\r\n").startswith(b"a OK")


# STARTTLS


def test_starttls_answers_and_then_encrypts(make_suite):
    context = object()
    client = make_suite(context_factory=context, allow_cleartext=False).connect()
    client.received()
    assert client.send(b"a STARTTLS\r\n").startswith(b"a OK")
    assert client.transport.tls_started is context
    assert client.send(b"b LOGIN alice@example.test secret\r\n").startswith(b"b OK")


def test_what_is_injected_behind_starttls_is_never_run(make_suite):
    suite = make_suite(context_factory=object())
    client = suite.connect()
    client.received()
    assert client.send(b"a STARTTLS\r\nb LOGIN alice@example.test secret\r\n") == b""
    assert not client.connected
    assert client.transport.tls_started is None
    assert suite.account.calls == []


def test_starttls_needs_a_certificate_and_no_tls(make_suite):
    client = make_suite().connect()
    client.received()
    assert client.run(b"STARTTLS")[1].startswith(b"BAD")


def test_a_password_in_the_clear_is_refused(make_suite):
    client = make_suite(allow_cleartext=False).connect()
    client.received()
    assert client.run(b"LOGIN alice@example.test secret")[1].startswith(b"NO [PRIVACYREQUIRED]")
    assert client.run(b"AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==")[1].startswith(b"NO [PRIVACYREQUIRED]")


# limits


def test_three_bad_commands_before_login_end_the_connection(suite):
    client = suite.connect()
    client.received()
    client.send(b"a NONSENSE\r\n")
    client.send(b"a NONSENSE\r\n")
    assert client.connected
    assert b"* BYE" in client.send(b"a NONSENSE\r\n")
    assert not client.connected


def test_after_login_twenty_bad_commands_are_borne(suite):
    client = suite.connect().login()
    for _ in range(19):
        assert b"BYE" not in client.send(b"a NONSENSE\r\n")
    assert b"* BYE" in client.send(b"a NONSENSE\r\n")
    assert not client.connected


def test_an_endless_line_ends_the_connection_before_login(suite):
    client = suite.connect()
    client.received()
    assert b"* BYE" in client.send(b"a" * 33000)
    assert not client.connected


@pytest.mark.parametrize("literal", [b"{5000}", b"{5000+}", b"{99999999999999999999999}"])
def test_a_literal_before_login_is_small(suite, literal):
    client = suite.connect()
    client.received()
    answer = client.send(b"a LOGIN " + literal + b"\r\n")
    assert b"+ " not in answer
    assert b"BAD" in answer or b"BYE" in answer


def test_many_small_literals_do_not_add_up(suite):
    client = suite.connect()
    client.received()
    answer = client.send(b"a LOGIN " + b" ".join([b"{1000+}\r\n" + b"x" * 1000] * 5) + b"\r\n")
    assert b"BAD" in answer or b"BYE" in answer


def test_connections_per_address_are_limited(make_suite):
    suite = make_suite(connections_per_address=2)

    def connect():
        client = suite.connect()
        return client, client.received()

    first, _ = connect()
    connect()
    third, greeting = connect()
    assert greeting.startswith(b"* BYE [LIMIT]")
    assert not third.connected
    first.transport.loseConnection()
    fourth, greeting = connect()
    assert greeting.startswith(b"* OK")
    assert fourth.connected


def test_connections_per_minute_are_limited(make_suite):
    suite = make_suite(connections_per_minute_max=2)

    def greeting():
        client = suite.connect()
        octets = client.received()
        if client.connected:
            client.transport.loseConnection()
        return octets[:5]

    assert [greeting() for _ in range(3)] == [b"* OK ", b"* OK ", b"* BYE"]
    suite.clock.advance(61)
    assert greeting() == b"* OK "


def test_connections_in_all_are_limited(make_suite):
    suite = make_suite(connections_max=1)
    suite.connect()
    assert suite.connect().received().startswith(b"* BYE [LIMIT]")


def test_without_rates_connections_are_not_limited(make_suite):
    suite = make_suite(connections_per_address=1, connections_per_account=1, rates=False)
    for _ in range(3):
        assert suite.connect().login().connected


def test_connections_per_account_are_limited(make_suite):
    suite = make_suite(connections_per_account=1)
    first = suite.connect().login()
    second = suite.connect()
    second.received()
    assert b"* BYE [LIMIT]" in second.send(b"a LOGIN alice@example.test secret\r\n")
    assert not second.connected
    assert suite.account.logouts == 1
    first.transport.loseConnection()
    assert suite.account.logouts == 2
    assert suite.connect().login().connected


# time


def test_login_must_come_within_a_minute_whatever_else_comes(suite):
    client = suite.connect()
    client.received()
    for _ in range(5):
        suite.clock.advance(11)
        client.send(b"a CAPABILITY\r\n")
    assert client.connected
    suite.clock.advance(6)
    assert client.received().startswith(b"* BYE")
    assert not client.connected


def test_a_silent_client_is_dismissed_after_half_an_hour(suite):
    client = suite.connect().login()
    suite.clock.advance(29 * 60)
    client.ok(b"NOOP")
    suite.clock.advance(29 * 60)
    assert client.connected
    suite.clock.advance(61)
    assert b"* BYE" in client.received()
    assert not client.connected


def test_a_failed_login_is_answered_late(suite):
    client = suite.connect()
    client.received()
    assert client.send(b"a LOGIN alice@example.test wrong\r\n") == b""
    suite.clock.advance(1.9)
    assert client.received() == b""
    suite.clock.advance(0.2)
    assert client.received().startswith(b"a NO [AUTHENTICATIONFAILED]")
    client.login()


def test_hanging_up_during_the_delay_leaves_nothing_behind(suite):
    client = suite.connect()
    client.send(b"a LOGIN alice@example.test wrong\r\n")
    client.transport.loseConnection()
    assert not suite.clock.getDelayedCalls()


# backpressure


def big_mailbox(suite, mail, count=3000):
    for number in range(count):
        suite.account.put("INBOX", mail(str(number)))


def test_a_full_transport_stops_fetch(suite, mail):
    big_mailbox(suite, mail)
    client = suite.connect().login().select()
    client.transport.producer.pauseProducing()
    first = client.send(b"a FETCH 1:* (UID ENVELOPE)\r\n")
    assert len(first) < 128 * 1024  # of the 3000, those of one write
    client.settle()
    assert client.received() == b""
    client.transport.producer.resumeProducing()
    client.settle()
    rest = client.received()
    assert first.count(b"* ") + rest.count(b"* ") == 3000
    assert b"a OK" in rest


def test_no_command_is_begun_while_output_is_paused(suite):
    client = suite.connect().login()
    client.transport.producer.pauseProducing()
    client.send(b"a CAPABILITY\r\nb SELECT INBOX\r\n")
    assert "open" not in suite.account.calls
    client.transport.producer.resumeProducing()
    client.settle()
    assert b"b OK" in client.received()


def test_a_client_that_takes_nothing_is_cut_off(suite, mail):
    big_mailbox(suite, mail, 500)
    client = suite.connect().login().select()
    client.transport.producer.pauseProducing()
    client.send(b"a FETCH 1:* ENVELOPE\r\n")
    suite.clock.advance(61)
    assert client.transport.aborted
    assert not suite.factory.connections


def test_reading_pauses_while_much_waits(suite):
    client = suite.connect().login()
    gate = suite.gate()
    client.send(b"a SELECT INBOX\r\n" + b"b CAPABILITY\r\n" * 20_000)
    assert client.transport.producerState == "paused"
    gate.callback(None)
    for _ in range(600):
        client.settle()
    assert client.received().count(b"b OK") == 20_000
    assert client.transport.producerState == "producing"


def test_many_commands_at_once_leave_turns_to_others(suite):
    client = suite.connect().login()
    client.server.dataReceived(b"a CAPABILITY\r\n" * 1000)
    assert client.transport.value().count(b"a OK") < 100
    for _ in range(20):
        client.settle()
    assert client.transport.value().count(b"a OK") == 1000


# failures


def test_a_fault_of_ours_is_logged_answered_and_ends_the_connection(suite, caplog):
    from twisted.logger import globalLogPublisher

    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        client = suite.connect().login()
        suite.account.failure = RuntimeError("/secret/path")
        answer = client.send(b"a SELECT INBOX\r\n")
    finally:
        globalLogPublisher.removeObserver(events.append)
    assert b"a NO [SERVERBUG]" in answer
    assert b"secret" not in answer
    assert b"* BYE" in answer
    assert not client.connected
    assert any(event.get("event") == "imap.command.failed" and event.get("log_failure") for event in events)


@pytest.mark.parametrize(
    ("kind", "code"),
    [(Kind.UNAVAILABLE, b"UNAVAILABLE"), (Kind.NOT_FOUND, b"NONEXISTENT"), (Kind.DENIED, b"NOPERM")],
)
def test_failures_of_the_store_are_said_in_imaps_words(suite, kind, code):
    client = suite.connect().login()
    suite.account.failure = MailError(kind, "so it is")
    assert client.run(b"SELECT INBOX")[1] == b"NO [%b] so it is" % code
    assert client.connected


def test_a_client_that_vanishes_does_not_stop_the_verb_or_leak(suite, mail):
    suite.account.put("INBOX", mail())
    client = suite.connect().login().select()
    gate = suite.gate()
    client.send(b"a STORE 1 +FLAGS (\\Seen)\r\n")
    client.transport.loseConnection()
    gate.callback(None)
    assert suite.account.boxes["INBOX"].messages[1].flags == {"\\Seen"}
    assert suite.account.changes.listeners == []
    assert suite.account.logouts == 1


def test_a_login_that_is_finished_after_the_client_has_gone_is_undone(suite):
    waiting = Deferred()
    client = suite.connect()
    portal_login = suite.factory.portal.login
    client.server.session.portal.login = lambda *arguments: waiting.addCallback(lambda _: portal_login(*arguments))
    client.send(b"a LOGIN alice@example.test secret\r\n")
    client.transport.loseConnection()
    waiting.callback(None)
    client.settle()
    assert suite.account.logouts == 1
    assert not suite.factory._table._accounts


# the end


def test_drain_says_farewell_and_waits_for_commands(suite, mail):
    idle = suite.connect().login()
    busy = suite.connect().login()
    idle.received()
    gate = suite.gate()
    busy.send(b"a SELECT INBOX\r\n")
    done = []
    suite.factory.drain().addCallback(done.append)
    assert idle.received().startswith(b"* BYE")
    assert not idle.connected
    assert busy.connected
    assert done == []
    late = suite.connect()
    assert late.received().startswith(b"* BYE")
    gate.callback(None)
    answer = busy.received()
    assert b"a OK" in answer
    assert b"* BYE" in answer
    assert not busy.connected
    assert done == [None]


def test_drain_cuts_off_what_does_not_end(suite):
    busy = suite.connect().login()
    suite.gate()
    busy.send(b"a SELECT INBOX\r\n")
    done = []
    suite.factory.drain().addCallback(done.append)
    suite.clock.advance(suite.factory.settings.drain_seconds)
    assert done == [None]
    assert busy.transport.aborted


def test_drain_without_connections_is_done_at_once(suite):
    done = []
    suite.factory.drain().addCallback(done.append)
    assert done == [None]


def test_a_plain_transport_serves_as_well(suite):
    server = suite.factory.buildProtocol(None)
    transport = StringTransport()
    server.makeConnection(transport)
    assert transport.value().startswith(b"* OK")
    server.connectionLost(Failure(ConnectionDone()))
