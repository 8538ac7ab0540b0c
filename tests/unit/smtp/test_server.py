"""What a client sees: commands, their order, content, backpressure."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed

from mailsuite.envelope import Body
from mailsuite.errors import Kind, MailError
from mailsuite.smtp import Refused, Reply, SubmissionFactory

MAIL = b"MAIL FROM:<a@a.example>"
RCPT = b"RCPT TO:<b@b.example>"


def test_greeting_names_the_host(talk):
    assert talk().read() == b"220 mx.example ESMTP\r\n"


def test_ehlo_announces_what_is_there(talk):
    connection = talk(message_max_octets=1000)
    connection.read()
    assert connection.say(b"EHLO client.example") == (
        b"250-mx.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
        b"250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250-CHUNKING\r\n250 LIMITS MAILMAX=100 RCPTMAX=1000\r\n"
    )


def test_a_message_is_handed_over_with_its_envelope(talk):
    connection = talk()
    connection.hello()
    assert connection.say(MAIL + b" SIZE=20 BODY=8BITMIME") == b"250 2.1.0 sender ok\r\n"
    assert connection.say(RCPT) == b"250 2.1.5 recipient ok\r\n"
    assert connection.codes(b"DATA") == [354]
    assert connection.say(b"Subject: x", b"", b"..dot", b".") == b"250 2.0.0 queued as q1\r\n"
    (transaction,) = connection.receiver.committed
    assert transaction.content == b"Subject: x\r\n\r\n.dot\r\n"
    assert transaction.recipients == ["b@b.example"]
    assert transaction.sender.body is Body.EIGHT_BIT_MIME
    assert transaction.sender.size_octets == 20
    assert (transaction.peer.ip, transaction.peer.port, transaction.peer.local_port) == ("192.0.2.1", 54321, 12345)
    assert (transaction.peer.helo, transaction.peer.esmtp) == ("client.example", True)


def test_one_octet_at_a_time_gives_the_same(talk):
    connection = talk()
    connection.hello()
    answers = b""
    for octet in b"\r\n".join((MAIL, RCPT, b"DATA", b"a", b"..b", b".", b"QUIT", b"")):
        answers += connection.feed(bytes((octet,)))
    assert [line[:3] for line in answers.splitlines()] == [b"250", b"250", b"354", b"250", b"221"]
    assert connection.receiver.committed[0].content == b"a\r\n.b\r\n"


def test_the_end_of_content_and_the_next_commands_may_come_together(talk):
    connection = talk().begin()
    assert connection.codes(b"x", b".", MAIL, RCPT, b"QUIT") == [250, 250, 250, 221]
    assert connection.closed


def test_pipelined_commands_wait_for_each_other(talk, receiver):
    waiting = Deferred()
    receiver.answers["begin"] = waiting
    connection = talk(receiver)
    connection.hello()
    assert connection.say(MAIL, RCPT, b"NOOP") == b""
    waiting.callback(None)
    assert [line[4:9] for line in connection.read().splitlines()] == [b"2.1.0", b"2.1.5", b"2.0.0"]


def test_what_arrives_while_a_command_waits_stays_in_order(talk, receiver):
    waiting = Deferred()
    receiver.answers["add_recipient"] = [waiting]
    connection = talk(receiver)
    connection.hello()
    connection.say(MAIL, RCPT)
    assert connection.say(b"RCPT TO:<c@b.example>", b"DATA") == b""
    waiting.callback(None)
    assert connection.codes() == [250, 250, 354]
    assert receiver.begun[0].recipients == ["b@b.example", "c@b.example"]


def test_replies_of_one_read_are_one_write(talk):
    connection = talk()
    connection.hello()
    writes = []
    connection.transport.write = writes.append
    connection.server.dataReceived(MAIL + b"\r\n" + RCPT + b"\r\nNOOP\r\n")
    assert len(writes) == 1


def test_nothing_is_asked_of_the_reactor_when_nobody_waits(talk, receiver):
    receiver.answers["begin"] = succeed(None)
    receiver.answers["commit"] = succeed(None)
    connection = talk(receiver).begin()
    assert connection.codes(b"x", b".") == [250]


def test_commit_is_waited_for(talk, receiver):
    waiting = Deferred()
    receiver.answers["commit"] = waiting
    connection = talk(receiver).begin()
    assert connection.say(b"x", b".", b"NOOP") == b""
    waiting.callback(None)
    assert connection.codes() == [250, 250]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([MAIL], 503),
        ([b"EHLO a", RCPT], 503),
        ([b"EHLO a", b"DATA"], 503),
        ([b"EHLO a", MAIL, b"DATA"], 503),
        ([b"EHLO a", MAIL, MAIL], 503),
        ([b"EHLO a", MAIL, RCPT, b"DATA now"], 501),
        ([b"EHLO a", MAIL, b"RSET now"], 501),
        ([b"EHLO"], 501),
        ([b"HELO"], 501),
        ([b"EHLO a", b"MAIL FROM:a@a.example"], 501),
        ([b"EHLO a", MAIL, b"RCPT TO:b"], 501),
        ([b"EHLO a", MAIL + b" XX=1"], 555),
        ([b"HELO a", MAIL + b" SIZE=1"], 555),
        ([b"EHLO a", MAIL, RCPT + b" XX=1"], 555),
        ([b"EHLO a", "MAIL FROM:<ä@a.example>".encode()], 550),
        ([b"EHLO a", MAIL, "RCPT TO:<ä@a.example>".encode()], 553),
        ([b"EHLO a", MAIL + b" SIZE=99999999999"], 552),
        ([b"FROB"], 500),
        ([b""], 500),
        ([b"RCPT\x00"], 500),
        ([b"AUTH PLAIN"], 503),
        ([b"EHLO a", b"AUTH PLAIN"], 502),
        ([b"STARTTLS"], 502),
        ([b"EXPN list"], 502),
        ([b"VRFY"], 501),
    ],
)
def test_what_is_refused(talk, lines, code):
    connection = talk()
    connection.read()
    for line in lines[:-1]:
        assert connection.codes(line) == [250]
    assert connection.codes(lines[-1]) == [code]
    assert not connection.closed


@pytest.mark.parametrize("hello", [b"HELO", b"EHLO", b"ehlo"])
def test_no_answer_to_a_hello_has_an_enhanced_code(talk, hello):
    # RFC 2034 section 4
    connection = talk(errors_max=4)
    connection.read()
    assert connection.say(hello) == b"501 say your host name\r\n"
    assert connection.say(hello + b"X a").startswith(b"500 5.5.1 ")
    assert connection.say(hello) == b"501 say your host name\r\n"
    assert connection.say(b"NOOP") == b"250 2.0.0 ok\r\n"
    assert connection.say(hello) == b"421 too many errors, closing\r\n"


def test_who_says_hello_to_a_server_that_stops_reads_no_enhanced_code(talk):
    connection = talk(greet_delay_seconds=2)
    connection.server.drain()
    assert connection.read() == b"421 shutting down, try again soon\r\n"

    connection = talk().hello()
    connection.say(MAIL)
    connection.server.drain()
    reply = b"250 mx.example\r\n421 4.3.2 shutting down, try again soon\r\n"
    assert connection.say(b"HELO a") == reply, "what follows the answer is none to HELO"


def test_who_does_not_wait_for_the_answer_to_ehlo_reads_no_enhanced_code(talk):
    connection = talk()
    connection.read()
    assert connection.say(b"EHLO a", b"NOOP") == b"554 you did not wait for the reply\r\n"


def test_a_line_of_authentication_is_no_hello(talk, portal):
    connection = talk(portal=portal, allow_cleartext=True).hello()
    assert connection.codes(b"AUTH PLAIN") == [334]
    assert connection.say(b"EHLO").startswith(b"501 5.")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"NOOP", 250),
        (b"noop anything", 250),
        (b"RSET", 250),
        (b"HELP", 214),
        (b"HELP MAIL", 214),
        (b"VRFY b", 252),
        (b"HELO again", 250),
        (b"ehlo again", 250),
        (b"QUIT", 221),
    ],
)
def test_what_is_answered_at_any_time(talk, line, code):
    connection = talk()
    connection.read()
    assert connection.codes(line) == [code]


def test_smtputf8_addresses_are_taken_with_the_parameter(talk):
    connection = talk()
    connection.hello()
    path = "<jürgen@a.example>".encode()
    assert connection.codes(b"MAIL FROM:" + path + b" SMTPUTF8", b"RCPT TO:" + path) == [250, 250]
    assert connection.receiver.begun[0].recipients == ["jürgen@a.example"]


@pytest.mark.parametrize("line", [b"RSET", b"EHLO again", b"HELO again"])
def test_rset_and_hello_forget_the_transaction(talk, line):
    connection = talk()
    connection.hello()
    connection.say(MAIL, RCPT)
    assert connection.codes(line) == [250]
    assert [transaction.state for transaction in connection.receiver.begun] == ["aborted"]
    assert connection.codes(MAIL) == [250]


def test_vrfy_answers_when_switched_on(talk):
    connection = talk(vrfy=True)
    connection.hello()
    assert connection.say(b"VRFY b@b.example") == b"250 2.0.0 <b@b.example>\r\n"
    assert connection.codes(b"VRFY unknown@b.example") == [550]
    assert [transaction.state for transaction in connection.receiver.begun] == ["aborted", "aborted"]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Kind.NOT_FOUND, b"550 5.1.1"),
        (Kind.DENIED, b"550 5.7.1"),
        (Kind.OVER_QUOTA, b"452 4.2.2"),
        (Kind.UNAVAILABLE, b"451 4.3.0"),
        (Kind.TOO_LARGE, b"552 5.3.4"),
    ],
)
def test_failures_of_the_receiver_become_replies_everywhere(talk, receiver, kind, code):
    connection = talk(receiver)
    connection.hello()
    receiver.answers["begin"] = MailError(kind)
    assert connection.say(MAIL).startswith(code)
    receiver.answers = {"add_recipient": MailError(kind)}
    assert [line[:9] for line in connection.say(MAIL, RCPT).splitlines()] == [b"250 2.1.0", code]
    receiver.answers = {}
    connection.say(RCPT, b"DATA")
    receiver.answers["commit"] = MailError(kind)
    assert connection.say(b"x", b".").startswith(code)
    assert connection.codes(MAIL) == [250]


def test_a_policy_may_answer_with_its_own_reply(talk, receiver):
    receiver.answers["add_recipient"] = Refused(Reply(450, "4.7.1", ("come back later",)))
    connection = talk(receiver)
    connection.hello()
    assert connection.say(MAIL, RCPT).endswith(b"450 4.7.1 come back later\r\n")


@pytest.mark.parametrize("moment", ["begin", "add_recipient", "begin_data", "write", "commit"])
def test_our_bug_is_a_temporary_failure_and_is_logged(talk, receiver, moment):
    connection = talk(receiver)
    connection.hello()
    receiver.answers[moment] = ZeroDivisionError("bug")
    codes = connection.codes(MAIL) + connection.codes(RCPT) + connection.codes(b"DATA")
    if codes[-1] == 354:
        codes += connection.codes(b"x", b".")
    assert 451 in codes
    assert all(code < 500 for code in codes if code not in {503})
    assert "smtp.session.failed" in connection.events.names
    assert receiver.committed == []


def test_a_failing_late_commit_is_temporary_too(talk, receiver):
    waiting = Deferred()
    receiver.answers["commit"] = waiting
    connection = talk(receiver).begin()
    connection.say(b"x", b".")
    waiting.errback(ZeroDivisionError("bug"))
    assert connection.read() == b"451 4.3.0 temporary trouble here, try again later\r\n"


def test_after_our_bug_the_connection_ends(talk, receiver):
    connection = talk(receiver)
    connection.hello()
    receiver.answers["begin"] = ZeroDivisionError("bug")
    connection.say(MAIL)
    assert connection.codes(b"NOOP") == [421]
    assert connection.closed


def test_content_over_the_limit_is_read_to_its_end_and_not_stored(talk):
    connection = talk(message_max_octets=1000).begin()
    for _ in range(100):
        assert connection.say(b"x" * 98) == b""
    assert connection.codes(b".", b"NOOP") == [552, 250]
    (transaction,) = connection.receiver.aborted
    assert len(transaction.content) <= 1000


def test_a_failed_write_is_answered_at_the_end(talk, receiver):
    receiver.answers["write"] = [MailError(Kind.UNAVAILABLE)]
    connection = talk(receiver).begin()
    assert connection.say(b"x") == b""
    assert connection.codes(b"y", b".", b"NOOP") == [451, 250]
    assert receiver.aborted[0].content == b"x"


def test_a_write_that_waits_stops_the_reading(talk, receiver):
    waiting = Deferred()
    receiver.answers["write"] = [waiting]
    connection = talk(receiver).begin()
    connection.say(b"x" * 10)
    connection.feed(b"y" * 70_000)
    assert connection.transport.producerState == "paused"
    assert len(receiver.begun[0].chunks) == 1
    waiting.callback(None)
    assert connection.transport.producerState == "producing"
    assert connection.codes(b"", b".") == [250]
    assert len(receiver.committed[0].content) == 12 + 70_000 + 2


def test_commands_wait_while_the_peer_does_not_read(talk):
    connection = talk(junk_commands_max=100_000)
    connection.hello()
    connection.server.pauseProducing()
    assert connection.say(b"NOOP", b"NOOP") == b""
    connection.feed(b"NOOP\r\n" * 20_000)
    assert connection.transport.producerState == "paused"
    connection.server.resumeProducing()
    assert connection.transport.producerState == "producing"


def test_who_never_reads_is_disconnected(talk):
    connection = talk()
    connection.server.pauseProducing()
    connection.clock.advance(59)
    assert not connection.transport.disconnected
    connection.clock.advance(2)
    assert connection.transport.disconnected


def test_a_lost_connection_aborts_the_transaction(talk):
    connection = talk().begin()
    connection.say(b"half a message")
    connection.lose()
    assert connection.receiver.begun[0].state == "aborted"


def test_a_connection_lost_during_commit_aborts_nothing(talk, receiver):
    waiting = Deferred()
    receiver.answers["commit"] = waiting
    connection = talk(receiver).begin()
    connection.say(b"x", b".")
    connection.lose()
    waiting.callback(None)
    assert [transaction.state for transaction in receiver.begun] == ["committed"]


@pytest.mark.parametrize("moment", ["begin", "add_recipient"])
def test_a_connection_lost_while_a_verb_waits_aborts_when_it_is_done(talk, receiver, moment):
    waiting = Deferred()
    receiver.answers[moment] = waiting
    connection = talk(receiver)
    connection.hello()
    connection.say(MAIL, RCPT)
    connection.lose()
    waiting.callback(None)
    assert [transaction.state for transaction in receiver.begun] == ["aborted"]


def test_a_connection_lost_while_a_write_waits_aborts_when_it_is_done(talk, receiver):
    waiting = Deferred()
    receiver.answers["write"] = [waiting]
    connection = talk(receiver).begin()
    connection.say(b"x")
    connection.lose()
    assert receiver.begun[0].state == "open"
    waiting.callback(None)
    assert receiver.begun[0].state == "aborted"


def test_too_many_recipients_are_told_for_each(talk):
    connection = talk(recipients_max=2)
    connection.hello()
    connection.say(MAIL)
    assert connection.codes(*[b"RCPT TO:<r%d@b.example>" % number for number in range(3)]) == [250, 250, 452]


def test_messages_per_connection(talk):
    connection = talk(messages_per_connection_max=1).begin()
    connection.say(b"x", b".")
    assert connection.codes(MAIL) == [421]
    assert connection.closed


def test_messages_per_connection_are_not_limited_without_rates(talk):
    connection = talk(messages_per_connection_max=1, rates=False).begin()
    connection.say(b"x", b".")
    assert connection.codes(MAIL) == [250]


def test_small_replies_do_not_wait_for_acknowledgements(talk):
    assert talk().transport.no_delay is True


def test_a_peer_without_account_needs_one_where_nobody_takes_strangers(talk, portal):
    connection = talk(factory=SubmissionFactory(portal, reactor=talk().clock))
    connection.hello()
    assert connection.say(MAIL) == b"530 5.7.0 authentication required\r\n"


def test_tls_may_be_demanded_before_mail(talk):
    connection = talk(require_tls=True, context_factory=object())
    connection.hello()
    assert connection.say(MAIL) == b"530 5.7.0 say STARTTLS first\r\n"


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 9), max_size=80))
def test_replies_do_not_depend_on_how_octets_are_cut(talk, cuts):
    connection = talk()
    connection.hello()
    answers = b""
    for group in (
        MAIL + b"\r\n" + RCPT + b"\r\nRCPT TO:<unknown@b.example>\r\nFROB\r\nDATA\r\n",
        b"..a\r\n\r\n.b\r\n.\r\nNOOP\r\nMAIL FROM:<>\r\nRSET\r\nQUIT\r\n",
    ):
        rest = group
        for size in [*cuts, len(group)]:
            connection.server.dataReceived(rest[:size])
            rest = rest[size:]
        answers += connection.read()
    assert [line[:3] for line in answers.splitlines()] == [
        b"%d" % code for code in (250, 250, 550, 500, 354, 250, 250, 250, 250, 221)
    ]
    assert connection.receiver.committed[0].content == b".a\r\n\r\nb\r\n"


def test_a_write_that_fails_late_is_answered_at_the_end(talk, receiver):
    waiting = Deferred()
    receiver.answers["write"] = [waiting]
    connection = talk(receiver).begin()
    connection.say(b"x")
    waiting.errback(MailError(Kind.UNAVAILABLE))
    assert connection.codes(b"y", b".") == [451]
    assert receiver.begun[0].state == "aborted"


def test_a_write_may_be_a_coroutine(talk, receiver):
    waiting = Deferred()

    async def write():
        await waiting

    receiver.answers["write"] = [write()]
    connection = talk(receiver).begin()
    assert connection.say(b"x", b".") == b""
    waiting.callback(None)
    assert connection.codes() == [250]


def test_a_verb_may_wait_more_than_once_and_catch_what_fails(talk, receiver):
    waits = [Deferred(), Deferred()]

    async def add_recipient():
        try:
            await waits[0]
        except ValueError:
            await waits[1]

    receiver.answers["add_recipient"] = [add_recipient()]
    connection = talk(receiver)
    connection.hello()
    connection.say(MAIL, RCPT)
    waits[0].errback(ValueError())
    assert connection.read() == b""
    waits[1].callback(None)
    assert connection.codes() == [250]


def test_a_refusal_that_comes_late_is_a_reply(talk, receiver):
    waiting = Deferred()
    receiver.answers["add_recipient"] = [waiting]
    connection = talk(receiver)
    connection.hello()
    connection.say(MAIL, RCPT)
    waiting.errback(MailError(Kind.NOT_FOUND))
    assert connection.read().startswith(b"550 5.1.1")


def test_a_connection_lost_before_a_slowed_reply_is_over(talk):
    connection = talk(error_delay_after=0)
    connection.hello()
    connection.say(MAIL)
    assert connection.codes(b"FROB") == []
    connection.lose()
    connection.clock.advance(1)
    assert connection.read() == b""
    assert connection.receiver.begun[0].state == "aborted"


def test_an_address_that_the_receiver_finds_invalid_is_an_address_fault(talk, receiver):
    connection = talk(receiver)
    connection.hello()
    receiver.answers["begin"] = MailError(Kind.INVALID)
    assert connection.say(MAIL).startswith(b"553 5.1.7")
    receiver.answers = {"add_recipient": MailError(Kind.INVALID)}
    connection.say(MAIL)
    assert connection.say(RCPT).startswith(b"553 5.1.3")
