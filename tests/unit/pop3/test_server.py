"""Sessions as a client sees them."""

import base64
import io

import pytest
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.mail.interfaces import IMailboxPOP3
from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IMailAccount
from mailsuite.pop3.session import ALLOWED
from mailsuite.pop3.verbs import CODES, VERBS

PLAIN = base64.b64encode(b"\0alice\0se cret")
WRONG = base64.b64encode(b"\0alice\0wrong")


def capabilities(talk):
    talk.read()
    lines = talk.say(b"CAPA").split(b"\r\n")
    assert lines[0].startswith(b"+OK")
    assert lines[-2:] == [b".", b""]
    return set(lines[1:-2])


def test_tables_are_complete():
    assert set(VERBS) == set(ALLOWED)
    assert set(CODES) == set(Kind)


# the seed of all


def test_a_whole_session(connect, account):
    talk = connect()
    assert talk.read() == b"+OK mailsuite POP3 ready\r\n"
    assert talk.say(b"USER alice") == b"+OK send PASS\r\n"
    assert talk.say(b"PASS se cret") == b"+OK 3 messages (101 octets)\r\n"
    assert talk.say(b"STAT") == b"+OK 3 101\r\n"
    assert talk.say(b"LIST") == b"+OK 3 messages\r\n1 23\r\n2 36\r\n3 42\r\n.\r\n"
    assert talk.say(b"LIST 2") == b"+OK 2 36\r\n"
    assert talk.say(b"UIDL") == b"+OK 3 messages\r\n1 7.101\r\n2 7.102\r\n3 7.103\r\n.\r\n"
    assert talk.say(b"UIDL 3") == b"+OK 3 7.103\r\n"
    assert talk.say(b"RETR 1") == b"+OK 23 octets\r\nSubject: one\r\n\r\nfirst\r\n.\r\n"
    assert talk.say(b"RETR 2") == b"+OK 36 octets\r\nSubject: two\r\n\r\n..dot\r\n...dots\r\nno end\r\n.\r\n"
    assert talk.say(b"TOP 3 1") == b"+OK top of message follows\r\nSubject: three\r\n\r\nline 1\r\n.\r\n"
    assert talk.say(b"TOP 3 0") == b"+OK top of message follows\r\nSubject: three\r\n\r\n.\r\n"
    assert talk.say(b"DELE 2") == b"+OK message 2 marked\r\n"
    assert talk.say(b"STAT") == b"+OK 2 65\r\n"
    assert talk.say(b"LIST") == b"+OK 2 messages\r\n1 23\r\n3 42\r\n.\r\n"
    assert talk.say(b"NOOP") == b"+OK\r\n"
    assert set(account.messages) == {101, 102, 103}
    assert talk.say(b"QUIT") == b"+OK goodbye\r\n"
    assert set(account.messages) == {101, 103}
    assert talk.closed
    assert account.logouts == 1
    assert all(mailbox.closed for mailbox in account.mailboxes)


SCRIPT = [b"user alice", b"Pass se cret", b"stat", b"retr 1", b"dele 1", b"retr 1", b"list", b"noop", b"quit"]
ANSWERS = (
    b"+OK mailsuite POP3 ready\r\n+OK send PASS\r\n+OK 3 messages (101 octets)\r\n+OK 3 101\r\n"
    b"+OK 23 octets\r\nSubject: one\r\n\r\nfirst\r\n.\r\n+OK message 1 marked\r\n"
    b"-ERR the message is marked as deleted\r\n"
    b"+OK 2 messages\r\n2 36\r\n3 42\r\n.\r\n+OK\r\n+OK goodbye\r\n"
)


def test_pipelined_commands_are_answered_in_order(connect):
    talk = connect()
    talk.protocol.dataReceived(b"".join(line + b"\r\n" for line in SCRIPT) + b"trailing")
    assert talk.read() == ANSWERS


def test_a_session_may_come_one_octet_at_a_time(connect):
    talk = connect()
    for octet in b"".join(line + b"\r\n" for line in SCRIPT):
        talk.protocol.dataReceived(bytes([octet]))
    assert talk.read() == ANSWERS


def test_one_command_at_a_time_while_the_store_takes_its_time(connect, account):
    talk = connect()
    account.gate = []
    talk.protocol.dataReceived(b"".join(line + b"\r\n" for line in SCRIPT))
    assert talk.read() == b"+OK mailsuite POP3 ready\r\n+OK send PASS\r\n"
    answers = b""
    while not talk.closed:
        assert len(account.gate) == 1
        waiting, account.gate = account.gate, []
        waiting[0].callback(None)
        answers += talk.read()
    assert ANSWERS.endswith(answers)
    assert set(account.messages) == {102, 103}


# capabilities and states


def test_capabilities_before_tls_promise_no_password(connect):
    found = capabilities(connect(encrypted=False))
    assert found == {
        b"TOP",
        b"UIDL",
        b"RESP-CODES",
        b"AUTH-RESP-CODE",
        b"PIPELINING",
        b"EXPIRE NEVER",
        b"IMPLEMENTATION mailsuite",
        b"STLS",
    }


def test_capabilities_within_tls_and_after_login(connect, client):
    found = capabilities(connect())
    assert {b"USER", b"SASL PLAIN"} <= found
    assert b"STLS" not in found
    assert not {b"USER", b"SASL PLAIN", b"STLS"} & capabilities(client)


def test_capabilities_with_cleartext_allowed(connect):
    assert {b"USER", b"SASL PLAIN", b"STLS"} <= capabilities(connect(encrypted=False, allow_cleartext=True))


def test_stls_is_offered_only_with_a_context(connect):
    talk = connect(encrypted=False, context=None)
    assert b"STLS" not in capabilities(talk)
    assert talk.say(b"STLS").startswith(b"-ERR")


@pytest.mark.parametrize("verb", [verb for verb, states in ALLOWED.items() if len(states) == 1])
def test_each_command_has_its_state(connect, client, verb):
    stranger = connect()
    stranger.read()
    for talk in (stranger, client):
        refused = talk.protocol.session.state not in ALLOWED[verb]
        answer = talk.say(verb + b" 1" if verb in {b"RETR", b"DELE", b"USER"} else verb)
        if refused:
            assert answer in {b"-ERR log in first\r\n", b"-ERR you are logged in already\r\n"}
        else:
            assert b"logged in already" not in answer
            assert b"log in first" not in answer


@pytest.mark.parametrize(
    "line", [b"", b"APOP a b", b"XTND", b"RETR", b"RETR 0", b"RETR x", b"STAT 1", b"TOP 1", b"a\nQUIT"]
)
def test_bad_commands_are_refused_and_the_session_goes_on(client, line):
    assert client.say(line).startswith(b"-ERR ")
    assert client.say(b"STAT") == b"+OK 3 101\r\n"


def test_message_numbers_out_of_range_are_refused(client):
    for verb in (b"RETR 4", b"DELE 4", b"LIST 4", b"UIDL 4", b"TOP 4 1", b"LIST 9999999999"):
        assert client.say(verb) == b"-ERR there is no such message\r\n"


def test_too_many_bad_commands_end_the_session(connect):
    talk = connect(bad_commands_max=3)
    talk.read()
    assert talk.say(b"X", b"Y").count(b"-ERR") == 2
    assert not talk.closed
    assert talk.say(b"Z", b"CAPA").count(b"\r\n") == 1
    assert talk.closed


def test_lines_have_a_limit_and_auth_a_wider_one(connect):
    talk = connect()
    talk.read()
    assert talk.say(b"USER " + b"x" * 251) == b"-ERR the line is too long\r\n"
    assert talk.say(b"USER " + b"x" * 250) == b"+OK send PASS\r\n"
    assert talk.say(b"AUTH PLAIN " + base64.b64encode(b"\0a\0" + b"x" * 9000)) == b""  # a wrong password: it waits
    talk2 = connect()
    talk2.read()
    assert talk2.say(b"AUTH PLAIN " + b"A" * 13_000) == b"-ERR the line is too long\r\n"
    assert talk2.say(b"NOOP") == b"-ERR log in first\r\n"


def test_a_line_without_end_closes_the_connection(connect):
    talk = connect()
    talk.read()
    talk.protocol.dataReceived(b"x" * 20_000)
    assert talk.read() == b"-ERR the line is too long\r\n"
    assert talk.closed


# logging in


def test_passwords_need_tls(connect, realm):
    talk = connect(encrypted=False)
    talk.read()
    for line in (b"USER alice", b"PASS se cret", b"AUTH PLAIN " + PLAIN):
        assert talk.say(line).startswith(b"-ERR [AUTH] passwords are taken inside TLS only")
    assert talk.say(b"AUTH") == b"+OK mechanisms follow\r\n.\r\n"
    assert realm.asked == []


def test_allow_cleartext_takes_them(connect):
    talk = connect(encrypted=False, allow_cleartext=True)
    talk.read()
    assert talk.say(b"USER alice", b"PASS se cret").endswith(b"+OK 3 messages (101 octets)\r\n")


def test_the_portal_is_asked_for_our_interface_first_and_twisteds_second(client, realm):
    ((avatar_id, mind, interfaces),) = realm.asked
    assert avatar_id == b"alice"
    assert mind.ip == "192.0.2.7"
    assert interfaces == (IMailAccount, IMailboxPOP3)


def test_pass_needs_user_just_before(connect):
    talk = connect()
    talk.read()
    assert talk.say(b"PASS se cret") == b"-ERR send USER first\r\n"
    talk.say(b"USER alice", b"CAPA")
    assert talk.say(b"PASS se cret") == b"-ERR send USER first\r\n"


def test_auth_plain_with_and_without_initial_response(connect):
    talk = connect()
    talk.read()
    assert talk.say(b"AUTH") == b"+OK mechanisms follow\r\nPLAIN\r\n.\r\n"
    assert talk.say(b"AUTH plain " + PLAIN) == b"+OK 3 messages (101 octets)\r\n"
    other = connect()
    other.read()
    assert other.say(b"AUTH PLAIN") == b"+ \r\n"
    assert other.say(PLAIN) == b"+OK 3 messages (101 octets)\r\n"


def test_auth_that_goes_wrong_leaves_the_session_usable(connect):
    talk = connect()
    talk.read()
    talk.say(b"AUTH PLAIN")
    assert talk.say(b"*") == b"-ERR authentication cancelled\r\n"
    talk.say(b"AUTH PLAIN")
    assert talk.say(b"!!!") == b"-ERR the response is not base64\r\n"
    assert talk.say(b"AUTH PLAIN =").startswith(b"-ERR ")
    assert talk.say(b"AUTH CRAM-MD5") == b"-ERR that mechanism is not offered\r\n"
    assert talk.say(b"AUTH PLAIN " + PLAIN) == b"+OK 3 messages (101 octets)\r\n"


def test_a_failed_login_is_answered_late_and_what_was_pipelined_waits(connect, clock):
    talk = connect()
    talk.read()
    assert talk.say(b"USER alice", b"PASS wrong", b"CAPA") == b"+OK send PASS\r\n"
    clock.advance(1.9)
    assert talk.read() == b""
    clock.advance(0.2)
    assert talk.read().startswith(b"-ERR [AUTH] name or password is wrong\r\n+OK capabilities")


def test_three_failures_close_the_connection(connect, clock):
    talk = connect()
    talk.read()
    for attempt in (b"AUTH PLAIN " + WRONG, b"AUTH PLAIN " + WRONG, b"AUTH PLAIN " + WRONG):
        assert not talk.closed
        talk.say(attempt)
        clock.advance(2)
        assert talk.read() == b"-ERR [AUTH] name or password is wrong\r\n"
    assert talk.closed


def test_who_hangs_up_during_the_delay_is_forgotten(connect, clock):
    talk = connect()
    talk.say(b"AUTH PLAIN " + WRONG)
    talk.lose()
    clock.advance(5)
    assert talk.read() == b""


def test_who_hangs_up_during_the_login_is_logged_out(connect, realm, account):
    waiting = Deferred()
    realm.requestAvatar = lambda *_: waiting
    talk = connect()
    talk.say(b"AUTH PLAIN " + PLAIN)
    talk.lose()
    waiting.callback((IMailAccount, account, account.logout))
    assert account.logouts == 1
    assert account.mailboxes == []


def test_who_hangs_up_while_the_mailbox_opens_leaves_nothing_open(connect, account):
    account.gate = []
    talk = connect()
    talk.say(b"AUTH PLAIN " + PLAIN)
    talk.lose()
    while account.gate:
        waiting, account.gate = account.gate, []
        waiting[0].callback(None)
    assert account.logouts == 1
    assert all(mailbox.closed for mailbox in account.mailboxes)


@pytest.mark.parametrize(
    ("error", "code"),
    [(MailError(Kind.UNAVAILABLE), b"[SYS/TEMP]"), (MailError(Kind.CONFLICT, "in use elsewhere"), b"[IN-USE]")],
)
def test_a_mailbox_that_cannot_be_opened_says_why_and_the_client_may_try_again(connect, account, error, code):
    account.failing["snapshot"] = error
    talk = connect()
    talk.read()
    assert talk.say(b"AUTH PLAIN " + PLAIN).startswith(b"-ERR " + code)
    assert account.logouts == 1
    assert all(mailbox.closed for mailbox in account.mailboxes)
    account.failing.clear()
    assert talk.say(b"AUTH PLAIN " + PLAIN) == b"+OK 3 messages (101 octets)\r\n"


def test_a_fault_of_ours_is_temporary_generic_and_closes(connect, account, caplog):
    account.failing["snapshot"] = RuntimeError("/secret/path")
    talk = connect()
    talk.read()
    assert talk.say(b"AUTH PLAIN " + PLAIN) == b"-ERR [SYS/TEMP] something went wrong here; try again later\r\n"
    assert talk.closed


def test_one_account_has_a_limited_number_of_connections(connect, make_factory):
    factory = make_factory(connections_per_account_max=1)
    first, second = connect(factory=factory), connect(factory=factory)
    second.read()
    first.say(b"AUTH PLAIN " + PLAIN)
    assert second.say(b"AUTH PLAIN " + PLAIN).startswith(b"-ERR [IN-USE] ")
    assert second.closed
    first.lose()
    third = connect(factory=factory)
    third.read()
    assert third.say(b"AUTH PLAIN " + PLAIN).startswith(b"+OK")


def test_a_fault_before_the_first_octet_of_a_message_is_an_error(client, account):
    account.failing["read_many"] = RuntimeError("/secret/path")
    assert client.say(b"RETR 1", b"STAT") == b"-ERR [SYS/TEMP] something went wrong here; try again later\r\n"
    assert client.closed


def test_a_message_cut_short_in_the_store_never_looks_whole(connect, account):
    account.messages[101] = b"Subject: big\r\n\r\n" + b"x" * 500_000
    talk = connect()
    talk.say(b"AUTH PLAIN " + PLAIN)
    account.messages[101] = account.messages[101][:200_000]
    assert not talk.say(b"RETR 1").endswith(b".\r\n")
    assert talk.closed


# TLS


def test_stls_begins_tls_and_forgets_what_was_said(connect):
    talk = connect(encrypted=False, allow_cleartext=True)
    talk.read()
    talk.say(b"USER alice")
    assert talk.say(b"STLS") == b"+OK begin TLS\r\n"
    assert talk.transport.tls_context == "a context factory"
    assert talk.say(b"PASS se cret") == b"-ERR send USER first\r\n"
    assert talk.say(b"STLS") == b"-ERR TLS is on already\r\n"
    assert b"STLS" not in capabilities(talk)
    assert talk.say(b"AUTH PLAIN " + PLAIN).startswith(b"+OK 3")


@pytest.mark.parametrize("injected", [b"USER alice\r\n", b"x", b"\r\n"])
def test_octets_behind_stls_drop_the_connection(connect, injected):
    talk = connect(encrypted=False)
    talk.read()
    talk.protocol.dataReceived(b"STLS\r\n" + injected)
    assert talk.read() == b""
    assert talk.closed
    assert talk.transport.tls_context is None


def test_stls_after_login_is_refused(connect):
    talk = connect(encrypted=False, allow_cleartext=True)
    talk.say(b"AUTH PLAIN " + PLAIN)
    assert talk.say(b"STLS") == b"-ERR you are logged in already\r\n"


# nothing is lost


def test_marks_are_taken_back_by_rset(client, account):
    client.say(b"DELE 1", b"DELE 2")
    assert client.say(b"DELE 1") == b"-ERR the message is marked as deleted\r\n"
    assert client.say(b"RSET", b"STAT") == b"+OK\r\n+OK 3 101\r\n"
    client.say(b"QUIT")
    assert len(account.messages) == 3


def test_a_connection_that_breaks_removes_nothing(client, account):
    client.say(b"DELE 1", b"DELE 2")
    client.lose()
    assert len(account.messages) == 3
    assert account.flagged == {}
    assert account.logouts == 1


def test_quit_that_was_heard_is_finished_though_the_client_has_gone(client, account):
    client.say(b"DELE 1")
    account.gate = []
    client.say(b"QUIT")
    client.lose()
    assert account.logouts == 0
    while account.gate:
        waiting, account.gate = account.gate, []
        waiting[0].callback(None)
    assert set(account.messages) == {102, 103}
    assert account.logouts == 1
    assert all(mailbox.closed for mailbox in account.mailboxes)


def test_a_removal_that_fails_is_said(client, account):
    client.say(b"DELE 1")
    account.failing["expunge"] = MailError(Kind.UNAVAILABLE)
    assert client.say(b"QUIT") == b"-ERR [SYS/TEMP] some messages were not removed\r\n"
    assert client.closed
    assert len(account.messages) == 3


def test_a_mailbox_made_anew_loses_nothing_to_old_marks(client, account):
    client.say(b"DELE 1")
    account.uidvalidity = 8
    assert client.say(b"QUIT").startswith(b"-ERR ")
    assert len(account.messages) == 3
    assert account.flagged == {}


def test_nothing_is_opened_for_writing_without_marks(client, account):
    client.say(b"RETR 1", b"QUIT")
    assert [mailbox.read_only for mailbox in account.mailboxes] == [True]


def test_a_message_that_has_gone_is_an_error_and_numbers_stay(client, account):
    del account.messages[102]
    assert client.say(b"RETR 2") == b"-ERR the message has been removed\r\n"
    assert client.say(b"TOP 2 0") == b"-ERR the message has been removed\r\n"
    assert client.say(b"STAT") == b"+OK 3 101\r\n"
    assert client.say(b"RETR 3").startswith(b"+OK 42 octets\r\nSubject: three")
    client.say(b"DELE 2", b"DELE 3")
    assert client.say(b"QUIT") == b"+OK goodbye\r\n"
    assert set(account.messages) == {101}


def test_new_messages_are_not_seen_until_the_next_session(client, account):
    account.messages[104] = b"new\r\n"
    assert client.say(b"STAT") == b"+OK 3 101\r\n"


# speed and backpressure


def test_messages_in_a_row_are_read_ahead(connect, account):
    account.messages = {uid: b"Subject: %d\r\n\r\nbody\r\n" % uid for uid in range(1, 1001)}
    talk = connect()
    talk.say(b"AUTH PLAIN " + PLAIN)
    account.calls.clear()
    sent = talk.say(*(b"RETR %d" % number for number in range(1, 1001)))
    assert sent.count(b"+OK ") == 1000
    assert [b"Subject: %d\r\n" % uid in sent for uid in range(1, 1001)] == [True] * 1000
    assert len(account.calls) < 20


def test_one_message_is_not_read_ahead(client, account):
    account.calls.clear()
    client.say(b"RETR 2")
    client.protocol.session.maildrop._ahead.clear()
    assert client.protocol.session.maildrop._window == 1


def test_large_messages_come_in_pieces_and_wait_for_the_client(connect, account, clock):
    line = b"0123456789" * 100 + b"\r\n"
    account.messages[101] = b"Subject: big\r\n\r\n" + line * 2000
    talk = connect()
    talk.say(b"AUTH PLAIN " + PLAIN)
    account.calls.clear()

    class Full:
        """Lets one write through, then asks for a pause, as a transport does."""

        written = b""

        def write(self, octets):
            self.written += octets
            talk.protocol.pauseProducing()

    full = Full()
    talk.transport.write = full.write
    talk.protocol.dataReceived(b"RETR 1\r\nSTAT\r\n")
    assert len(full.written) < 200_000
    reads = 0
    while not full.written.endswith(b"+OK 3 2004094\r\n"):
        before = account.calls.count("read")
        clock.advance(30)
        talk.protocol.resumeProducing()
        reads += 1
        assert account.calls.count("read") - before <= 2
        assert reads < 100
    body = full.written.partition(b"\r\n")[2].removesuffix(b"+OK 3 2004094\r\n")
    assert body == account.messages[101] + b".\r\n"


def test_a_client_that_stops_reading_is_dropped(client, clock):
    client.protocol.pauseProducing()
    assert client.say(b"RETR 1", b"RETR 1") == b""
    clock.advance(61)
    assert client.closed


def test_a_store_that_fails_within_a_message_never_sends_its_end(connect, account):
    account.messages[101] = b"Subject: big\r\n\r\n" + b"x" * 500_000
    talk = connect()
    talk.say(b"AUTH PLAIN " + PLAIN)
    account.gate = []
    talk.say(b"RETR 1")
    waiting, account.gate = account.gate, []
    waiting[0].callback(None)
    account.failing["read"] = MailError(Kind.UNAVAILABLE)
    waiting, account.gate = account.gate, []
    waiting[0].errback(MailError(Kind.UNAVAILABLE))
    assert talk.closed
    assert not talk.read().endswith(b".\r\n")


def test_reading_pauses_when_a_client_floods_while_a_command_waits(client, account):
    account.gate = []
    client.say(b"RETR 1")
    for _ in range(10):
        client.protocol.dataReceived(b"NOOP\r\n" * 2000)
    assert client.transport.producerState == "paused"
    account.open_gate()
    assert client.transport.producerState == "producing"
    assert client.read().count(b"+OK\r\n") == 20_000


# time


def test_an_idle_session_is_closed_and_removes_nothing(client, account, clock):
    client.say(b"DELE 1")
    clock.advance(599)
    client.say(b"NOOP")
    clock.advance(599)
    assert not client.closed
    clock.advance(2)
    assert client.read() == b"-ERR nothing was said for too long\r\n"
    assert client.closed
    assert len(account.messages) == 3


def test_the_login_has_a_deadline_that_talking_does_not_move(connect, clock):
    talk = connect()
    for _ in range(5):
        clock.advance(11)
        talk.say(b"CAPA")
    assert not talk.closed
    clock.advance(6)
    assert talk.closed


def test_a_slow_store_is_not_the_clients_fault(client, account, clock):
    account.gate = []
    client.say(b"RETR 1")
    clock.advance(601)
    assert not client.closed
    account.open_gate()
    assert client.read().startswith(b"+OK 23 octets")


def test_no_timer_outlives_the_connection(connect, clock):
    talk = connect()
    talk.say(b"AUTH PLAIN " + PLAIN, b"QUIT")
    talk.lose()
    assert clock.getDelayedCalls() == []


# the factory


def test_drain_ends_idle_sessions_and_refuses_new_ones(connect, make_factory, account):
    factory = make_factory()
    talk, busy = connect(factory=factory), connect(factory=factory)
    busy.say(b"AUTH PLAIN " + PLAIN, b"DELE 2")
    account.gate = []
    busy.say(b"RETR 1", b"RETR 3")
    talk.read()
    drained = []
    factory.drain().addCallback(drained.append)
    assert talk.read() == b"-ERR [SYS/TEMP] the server is shutting down\r\n"
    assert talk.closed
    assert connect(factory=factory).read() == b"-ERR [SYS/TEMP] the server is shutting down\r\n"
    assert not busy.closed
    account.open_gate()
    assert busy.read().endswith(b"first\r\n.\r\n-ERR [SYS/TEMP] the server is shutting down\r\n")
    assert busy.closed
    assert len(account.messages) == 3
    assert drained == []
    talk.lose()
    busy.lose()
    assert drained == [None]


def test_connections_are_limited_in_all_and_by_network(connect, make_factory):
    for limit in ({"connections_max": 2}, {"connections_per_network_max": 2}):
        factory = make_factory(**limit)
        talks = [connect(factory=factory) for _ in range(3)]
        assert talks[2].read() == b"-ERR [SYS/TEMP] too many connections; try again later\r\n"
        assert talks[2].closed
        talks[0].lose()
        assert connect(factory=factory).read().startswith(b"+OK")
    free = make_factory(connections_max=1, rates=False)
    assert [connect(factory=free).read()[:3] for _ in range(3)] == [b"+OK"] * 3


def test_abort_ends_every_connection_now(connect, make_factory):
    factory = make_factory()
    talks = [connect(factory=factory) for _ in range(3)]
    factory.abort()
    assert all(talk.closed for talk in talks)


def test_an_embedder_need_not_name_the_reactor(make_factory):
    from twisted.internet import reactor

    from mailsuite.pop3 import POP3Factory

    assert POP3Factory(make_factory().portal).clock is reactor


def test_small_replies_are_not_delayed(connect):
    assert connect().transport.no_delay is True


# another program's realm


def test_a_message_that_their_mailbox_no_longer_has_is_an_error(connect, realm):
    theirs = TheirMailbox()
    realm.interface, realm.avatar = IMailboxPOP3, theirs
    talk = connect()
    talk.say(b"AUTH PLAIN " + PLAIN)

    def gone(i):
        raise ValueError(i)

    theirs.getMessage = gone
    assert talk.say(b"RETR 1") == b"-ERR the message has been removed\r\n"


@implementer(IMailboxPOP3)
class TheirMailbox:
    """As another Twisted program keeps mail: bare LF, answers now or later."""

    def __init__(self):
        self.messages = [b"Subject: a\n\n.one\n", b"Subject: b\r\n\r\ntwo"]
        self.deleted, self.synced, self.files = [], 0, []

    def listMessages(self, i=None):
        later = Deferred()
        later.callback([len(m) for m in self.messages] if i is None else len(self.messages[i]))
        return later

    def getMessage(self, i):
        self.files.append(io.BytesIO(self.messages[i]))
        return self.files[-1]

    def getUidl(self, i):
        return (b"id with space", "id-2")[i]

    def deleteMessage(self, i):
        self.deleted.append(i)

    def undeleteMessages(self):
        raise AssertionError

    def sync(self):
        self.synced += 1


def test_a_realm_with_twisteds_own_mailbox_works(connect, make_factory, realm):
    theirs, out = TheirMailbox(), []
    realm.interface, realm.avatar, realm.logout = IMailboxPOP3, theirs, lambda: out.append(1)
    talk = connect()
    talk.read()
    assert talk.say(b"AUTH PLAIN " + PLAIN) == b"+OK 2 messages (34 octets)\r\n"
    assert talk.say(b"UIDL") == b"+OK 2 messages\r\n1 id?with?space\r\n2 id-2\r\n.\r\n"
    assert talk.say(b"RETR 1") == b"+OK 17 octets\r\nSubject: a\r\n\r\n..one\r\n.\r\n"
    assert talk.say(b"RETR 2") == b"+OK 17 octets\r\nSubject: b\r\n\r\ntwo\r\n.\r\n"
    assert all(file.closed for file in theirs.files)
    talk.say(b"DELE 2")
    assert theirs.deleted == []
    assert talk.say(b"QUIT") == b"+OK goodbye\r\n"
    assert (theirs.deleted, theirs.synced, out) == ([1], 1, [1])


def test_a_realm_that_serves_neither_is_refused_as_a_failed_login(connect, realm, clock):
    from twisted.cred.error import LoginDenied

    def deny(*_):
        raise LoginDenied

    realm.requestAvatar = deny
    talk = connect()
    talk.read()
    talk.say(b"AUTH PLAIN " + PLAIN)
    clock.advance(2)
    assert talk.read().startswith(b"-ERR [AUTH]")


def test_a_portal_without_a_checker_for_passwords_refuses(connect, realm, make_factory, clock):
    factory = make_factory()
    factory.portal = Portal(realm, [])
    talk = connect(factory=factory)
    talk.read()
    talk.say(b"AUTH PLAIN " + PLAIN)
    clock.advance(2)
    assert talk.read().startswith(b"-ERR [AUTH]")
