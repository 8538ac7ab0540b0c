"""Sending: what is said, and what each recipient's outcome is."""

import pytest
from twisted.internet import defer
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.envelope import Body, Envelope, Recipient, Sender
from mailsuite.errors import Kind, MailError, ProtocolError
from mailsuite.smtp import ClientSettings, OutcomeState, TLSPolicy, send
from mailsuite.smtp.dialogue import ReplyReader
from mailsuite.smtp.grammar import encode_path

DELIVERED, DEFERRED, FAILED = OutcomeState.DELIVERED, OutcomeState.DEFERRED, OutcomeState.FAILED
PLAIN = b"250-mx.example\r\n250 8BITMIME\r\n"
PIPELINING = b"250-mx.example\r\n250-PIPELINING\r\n250 SIZE 1000\r\n"
OK = b"250 2.1.0 ok\r\n"


class Pieces:
    """Content in pieces; each time it is opened a new one of these, unless there is one for each time."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.size = sum(len(piece) for piece in pieces if isinstance(piece, bytes))

    async def read(self):
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece


@implementer(IStreamClientEndpoint)
class Endpoint:
    """Connects to a transport in memory, as often as it is asked."""

    def __init__(self, make_transport, failure=None):
        self.make_transport = make_transport
        self.failure = failure
        self.protocols = []

    def connect(self, factory):
        if self.failure is not None:
            return defer.fail(self.failure)
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(self.make_transport())
        self.protocols.append(protocol)
        return defer.succeed(protocol)


class Sending:
    """One call of `send`, and the far side's mouth and ears."""

    def __init__(self, make_transport, *recipients, content=None, sender=None, failure=None, **settings):
        self.clock = Clock()
        self.endpoint = Endpoint(make_transport, failure)
        paths = recipients or ("b@b.example",)
        envelope = Envelope(
            sender=sender or Sender(path=Address("a", "a.example")),
            recipients=tuple(Recipient(path=Address.parse(path)) for path in paths),
        )
        settings = ClientSettings(hostname=b"client.example", **settings)
        open_content = content or (lambda: Pieces(b"Subject: x\r\n\r\n.dot\r\n"))
        self.results = []
        self.running = defer.Deferred.fromCoroutine(
            send(self.endpoint, envelope, open_content, settings, reactor=self.clock)
        )
        self.running.addBoth(self.results.append)

    @property
    def transport(self):
        return self.endpoint.protocols[-1].transport

    def hear(self, octets):
        """Let the far side say something; return what is said in answer."""
        self.endpoint.protocols[-1].dataReceived(octets)
        said = self.transport.value()
        self.transport.clear()
        return said

    def lose(self):
        self.endpoint.protocols[-1].connectionLost(Failure(ConnectionDone()))

    @property
    def states(self):
        (outcomes,) = self.results
        return [outcome.state for outcome in outcomes]

    @property
    def outcome(self):
        (outcomes,) = self.results
        return outcomes[0]


@pytest.fixture
def sending(talk):
    transport_class = type(talk().transport)

    def start(*recipients, **options):
        return Sending(transport_class, *recipients, **options)

    return start


def test_a_plain_conversation(sending):
    conversation = sending()
    assert conversation.hear(b"220 mx.example ESMTP\r\n") == b"EHLO client.example\r\n"
    assert conversation.hear(PLAIN) == b"MAIL FROM:<a@a.example>\r\n"
    assert conversation.hear(OK) == b"RCPT TO:<b@b.example>\r\n"
    assert conversation.hear(OK) == b"DATA\r\n"
    assert conversation.hear(b"354 go\r\n") == b"Subject: x\r\n\r\n..dot\r\n.\r\n"
    assert conversation.results == []
    assert conversation.hear(b"250 2.0.0 queued as 7\r\n") == b"QUIT\r\n"
    assert conversation.states == [DELIVERED]
    assert (conversation.outcome.code, conversation.outcome.enhanced, conversation.outcome.text) == (
        250,
        "2.0.0",
        "queued as 7",
    )
    conversation.hear(b"221 bye\r\n")
    assert conversation.transport.disconnecting


def test_replies_may_come_in_any_cut(sending):
    conversation = sending()
    said = b""
    for octet in b"220 hi\r\n" + PLAIN + OK + OK + b"354 go\r\n" + b"250-a\r\n250 b\r\n":
        said += conversation.hear(bytes((octet,)))
    assert said.endswith(b".\r\nQUIT\r\n")
    assert conversation.outcome.text == "a b"


def test_commands_are_pipelined_where_the_host_allows_it(sending):
    conversation = sending("b@b.example", "c@b.example")
    conversation.hear(b"220 hi\r\n")
    assert (
        conversation.hear(PIPELINING)
        == b"MAIL FROM:<a@a.example> SIZE=20\r\nRCPT TO:<b@b.example>\r\nRCPT TO:<c@b.example>\r\nDATA\r\n"
    )
    assert conversation.hear(OK + OK + OK) == b""
    assert conversation.hear(b"354 go\r\n").endswith(b"\r\n.\r\n")


def test_many_recipients_go_in_groups(sending):
    conversation = sending(*[f"r{number}@b.example" for number in range(250)])
    conversation.hear(b"220 hi\r\n")
    groups = [conversation.hear(PIPELINING), conversation.hear(OK * 101), conversation.hear(OK * 100)]
    assert [group.count(b"RCPT") for group in groups] == [100, 100, 50]
    assert groups[-1].endswith(b"DATA\r\n")
    assert conversation.hear(OK * 50 + b"354 go\r\n").endswith(b"\r\n.\r\n")


def test_each_recipient_has_its_own_outcome(sending):
    conversation = sending("b@b.example", "c@b.example", "d@b.example", "e@b.example")
    conversation.hear(b"220 hi\r\n")
    conversation.hear(PIPELINING)
    conversation.hear(OK + OK + b"550 5.1.1 no such user\r\n" + b"450 busy\r\n" + b"452 4.2.2 full\r\n")
    conversation.hear(b"354 go\r\n")
    conversation.hear(b"250 ok\r\n")
    assert conversation.states == [DELIVERED, FAILED, DEFERRED, DEFERRED]
    assert conversation.results[0][1].enhanced == "5.1.1"


def test_no_content_is_sent_when_nobody_is_accepted(sending):
    conversation = sending()
    conversation.hear(b"220 hi\r\n")
    conversation.hear(PIPELINING)
    assert conversation.hear(OK + b"550 no\r\n" + b"554 no recipients\r\n") == b"QUIT\r\n"
    assert conversation.states == [FAILED]


def test_a_host_that_wants_content_for_nobody_gets_none(sending):
    conversation = sending()
    conversation.hear(b"220 hi\r\n")
    conversation.hear(PIPELINING)
    assert conversation.hear(OK + b"550 no\r\n" + b"354 go\r\n") == b".\r\n"
    assert conversation.hear(b"250 ok\r\n") == b"QUIT\r\n"
    assert conversation.states == [FAILED]


@pytest.mark.parametrize(("reply", "state"), [(b"550 5.7.1 no\r\n", FAILED), (b"451 4.3.0 later\r\n", DEFERRED)])
@pytest.mark.parametrize("moment", ["MAIL", "DATA", "end"])
def test_a_refusal_is_for_all_that_are_left(sending, moment, reply, state):
    conversation = sending("b@b.example", "c@b.example")
    conversation.hear(b"220 hi\r\n")
    conversation.hear(PIPELINING)
    if moment == "MAIL":
        conversation.hear(reply + b"503 no\r\n" * 3)
    else:
        conversation.hear(OK + OK + b"550 5.1.1 unknown\r\n")
        conversation.hear(reply if moment == "DATA" else b"354 go\r\n")
    if moment == "end":
        conversation.hear(reply)
    assert conversation.states == [state, FAILED if moment != "MAIL" else state]


def test_helo_where_ehlo_is_unknown(sending):
    conversation = sending()
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(b"502 what\r\n") == b"HELO client.example\r\n"
    assert conversation.hear(b"250 hello\r\n") == b"MAIL FROM:<a@a.example>\r\n"


@pytest.mark.parametrize("greeting", [b"554 no service\r\n", b"421 busy\r\n"])
def test_a_host_that_does_not_serve_us_now_may_later(sending, greeting):
    conversation = sending()
    conversation.hear(greeting)
    assert conversation.states == [DEFERRED]
    assert conversation.outcome.code == int(greeting[:3])


def test_421_ends_the_attempt_for_who_has_no_outcome(sending):
    conversation = sending("b@b.example", "c@b.example")
    conversation.hear(b"220 hi\r\n")
    conversation.hear(PIPELINING)
    conversation.hear(OK + b"550 no\r\n" + b"421 closing\r\n")
    assert conversation.states == [FAILED, DEFERRED]


def test_a_refused_connection_is_deferred(sending):
    conversation = sending(failure=ConnectError())
    assert conversation.states == [DEFERRED]
    assert conversation.outcome.enhanced == "4.4.1"


def test_a_lost_connection_is_deferred(sending):
    conversation = sending()
    conversation.hear(b"220 hi\r\n")
    conversation.lose()
    assert (conversation.states, conversation.outcome.enhanced) == ([DEFERRED], "4.4.2")


def test_what_happens_after_the_final_reply_changes_nothing(sending):
    conversation = sending()
    for octets in (b"220 hi\r\n", PLAIN, OK, OK, b"354 go\r\n", b"250 ok\r\n"):
        conversation.hear(octets)
    conversation.hear(b"garbage\r\n")
    conversation.lose()
    assert conversation.states == [DELIVERED]
    assert conversation.clock.getDelayedCalls() == []


def test_quit_is_not_waited_for_long(sending):
    conversation = sending()
    for octets in (b"220 hi\r\n", PLAIN, OK, OK, b"354 go\r\n", b"250 ok\r\n"):
        conversation.hear(octets)
    conversation.clock.advance(6)
    assert conversation.transport.disconnected


@pytest.mark.parametrize(
    ("heard", "seconds"),
    [
        ([], 300),
        ([b"220 hi\r\n"], 300),
        ([b"220 hi\r\n", PLAIN], 300),
        ([b"220 hi\r\n", PLAIN, OK], 300),
        ([b"220 hi\r\n", PLAIN, OK, OK], 120),
        ([b"220 hi\r\n", PLAIN, OK, OK, b"354 go\r\n"], 600),
    ],
)
def test_every_wait_has_its_end(sending, heard, seconds):
    conversation = sending()
    for octets in heard:
        conversation.hear(octets)
    conversation.clock.advance(seconds - 1)
    assert conversation.results == []
    conversation.clock.advance(2)
    assert (conversation.states, conversation.outcome.enhanced) == ([DEFERRED], "4.4.2")
    assert conversation.transport.disconnected


def test_content_waits_for_a_slow_host(sending):
    opened = []

    def open_content():
        opened.append(Pieces(b"a\r\n", b"b\r\n"))
        return opened[-1]

    conversation = sending(content=open_content)
    for octets in (b"220 hi\r\n", PLAIN, OK, OK):
        conversation.hear(octets)
    protocol = conversation.endpoint.protocols[0]
    protocol.pauseProducing()
    assert conversation.hear(b"354 go\r\n") == b"a\r\n"
    assert opened[-1].pieces == [b"b\r\n"]
    protocol.resumeProducing()
    assert conversation.hear(b"") == b"b\r\n.\r\n"


def test_a_host_that_reads_nothing_is_given_up(sending):
    conversation = sending()
    for octets in (b"220 hi\r\n", PLAIN, OK, OK):
        conversation.hear(octets)
    conversation.endpoint.protocols[0].pauseProducing()
    conversation.hear(b"354 go\r\n")
    conversation.clock.advance(181)
    assert conversation.states == [DEFERRED]


def test_half_a_message_is_never_ended(sending):
    contents = [Pieces(b"half", b"rest"), Pieces(b"half", MailError(Kind.UNAVAILABLE))]
    conversation = sending(content=lambda: contents.pop(0))
    for octets in (b"220 hi\r\n", PLAIN, OK, OK):
        conversation.hear(octets)
    assert conversation.hear(b"354 go\r\n") == b"half"
    assert (conversation.states, conversation.outcome.enhanced) == ([DEFERRED], "4.3.0")
    assert conversation.transport.disconnected


def test_cancelling_closes_the_connection(sending):
    conversation = sending()
    conversation.hear(b"220 hi\r\n")
    conversation.running.cancel()
    assert conversation.transport.disconnected
    assert conversation.results[0].check(defer.CancelledError)


@pytest.mark.parametrize("nonsense", [b"hello\r\n", b"250-a\r\n550 b\r\n", b"99 x\r\n", b"250-" + b"x" * 5000])
def test_what_is_no_smtp_server_is_deferred(sending, nonsense):
    conversation = sending()
    conversation.hear(nonsense)
    assert conversation.states == [DEFERRED]
    assert conversation.transport.disconnected


def test_endless_replies_are_refused():
    with pytest.raises(ProtocolError):
        ReplyReader().feed(b"250-x\r\n" * 200)


def test_a_hosts_words_are_made_printable(sending):
    conversation = sending()
    conversation.hear(b"554 5.7.1 \x1b[31mred\x00 \xff\r\n")
    assert conversation.outcome.text.isprintable()
    assert conversation.outcome.text.isascii()


# TLS


TLS = b"250-mx.example\r\n250 STARTTLS\r\n"


def test_opportunistic_tls_is_used_where_offered(sending):
    conversation = sending()
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(TLS) == b"STARTTLS\r\n"
    conversation.hear(b"220 go\r\n")
    assert conversation.transport.tls_context is not None
    conversation.endpoint.protocols[0].handshakeCompleted()
    assert conversation.hear(b"") == b"EHLO client.example\r\n"
    assert conversation.hear(PLAIN).startswith(b"MAIL ")


def test_octets_in_the_clear_behind_the_220_are_an_attack(sending):
    conversation = sending(tls=TLSPolicy.REQUIRE)
    conversation.hear(b"220 hi\r\n")
    conversation.hear(TLS)
    conversation.hear(b"220 go\r\n250 injected\r\n")
    assert conversation.transport.tls_context is None
    assert conversation.transport.disconnected
    assert (conversation.states, conversation.outcome.enhanced) == ([DEFERRED], "4.7.5")


def test_a_failed_handshake_falls_back_to_a_new_connection_in_the_clear(sending):
    conversation = sending()
    for octets in (b"220 hi\r\n", TLS, b"220 go\r\n"):
        conversation.hear(octets)
    conversation.lose()
    assert len(conversation.endpoint.protocols) == 2
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(TLS).startswith(b"MAIL ")


def test_a_failed_handshake_defers_where_tls_is_required(sending):
    conversation = sending(tls=TLSPolicy.REQUIRE)
    for octets in (b"220 hi\r\n", TLS, b"220 go\r\n"):
        conversation.hear(octets)
    conversation.lose()
    assert len(conversation.endpoint.protocols) == 1
    assert (conversation.states, conversation.outcome.enhanced) == ([DEFERRED], "4.7.5")


@pytest.mark.parametrize("replies", [[PLAIN], [TLS, b"454 not now\r\n"]])
def test_required_tls_that_is_not_there_defers(sending, replies):
    conversation = sending(tls=TLSPolicy.REQUIRE)
    conversation.hear(b"220 hi\r\n")
    for octets in replies:
        conversation.hear(octets)
    assert conversation.states == [DEFERRED]


def test_opportunistic_tls_that_is_refused_goes_on_in_the_clear(sending):
    conversation = sending()
    conversation.hear(b"220 hi\r\n")
    conversation.hear(TLS)
    assert conversation.hear(b"454 not now\r\n").startswith(b"MAIL ")


def test_no_tls_where_the_policy_says_so(sending):
    conversation = sending(tls=TLSPolicy.NONE)
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(TLS).startswith(b"MAIL ")


# AUTH


def test_plain_login(sending):
    conversation = sending(username=b"u", password=b"p", allow_cleartext=True)
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(b"250-x\r\n250 AUTH LOGIN PLAIN\r\n") == b"AUTH PLAIN AHUAcA==\r\n"
    assert conversation.hear(b"235 ok\r\n") == b"MAIL FROM:<a@a.example> AUTH=<>\r\n"


def test_who_logged_in_here_is_not_told_there(sending):
    sender = Sender(path=Address("a", "a.example"), auth="secret@a.example")
    conversation = sending(sender=sender)
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(b"250-x\r\n250 AUTH PLAIN\r\n") == b"MAIL FROM:<a@a.example>\r\n"
    conversation = sending(sender=sender, username=b"u", password=b"p", allow_cleartext=True)
    conversation.hear(b"220 hi\r\n")
    conversation.hear(b"250-x\r\n250 AUTH=PLAIN\r\n")
    assert conversation.hear(b"235 ok\r\n") == b"MAIL FROM:<a@a.example>\r\n"  # as of old, without the parameter


def test_login_login(sending):
    conversation = sending(username=b"u", password=b"p", allow_cleartext=True)
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(b"250-x\r\n250 AUTH LOGIN\r\n") == b"AUTH LOGIN\r\n"
    assert conversation.hear(b"334 VXNlcm5hbWU6\r\n") == b"dQ==\r\n"
    assert conversation.hear(b"334 UGFzc3dvcmQ6\r\n") == b"cA==\r\n"
    assert conversation.hear(b"235 ok\r\n") == b"MAIL FROM:<a@a.example> AUTH=<>\r\n"


def test_no_password_goes_out_in_the_clear(sending):
    conversation = sending(username=b"u", password=b"p")
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(b"250-x\r\n250 AUTH LOGIN PLAIN\r\n") == b"QUIT\r\n"
    assert conversation.states == [DEFERRED]


def test_a_refused_login_defers(sending):
    conversation = sending(username=b"u", password=b"p", allow_cleartext=True)
    conversation.hear(b"220 hi\r\n")
    conversation.hear(b"250-x\r\n250 AUTH PLAIN\r\n")
    conversation.hear(b"535 5.7.8 no\r\n")
    assert conversation.states == [DEFERRED]


# What the host can


def test_8bit_is_told_to_who_knows_it(sending):
    sender = Sender(path=Address("a", "a.example"), body=Body.EIGHT_BIT_MIME)
    conversation = sending(sender=sender)
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(PLAIN) == b"MAIL FROM:<a@a.example> BODY=8BITMIME\r\n"


def test_the_null_reverse_path(sending):
    conversation = sending(sender=Sender(path=None))
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(PLAIN) == b"MAIL FROM:<>\r\n"


def test_smtputf8_where_known(sending):
    conversation = sending("jürgen@b.example")
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(b"250-x\r\n250 SMTPUTF8\r\n") == b"MAIL FROM:<a@a.example> SMTPUTF8\r\n"
    assert conversation.hear(OK) == "RCPT TO:<jürgen@b.example>\r\n".encode()


def test_utf8_recipient_fails_alone_where_smtputf8_is_unknown(sending):
    conversation = sending("jürgen@b.example", "b@b.example")
    for octets in (b"220 hi\r\n", PLAIN, OK, OK, b"354 go\r\n", b"250 ok\r\n"):
        conversation.hear(octets)
    assert conversation.states == [FAILED, DELIVERED]
    assert conversation.outcome.enhanced == "5.6.7"


def test_internationalized_mail_fails_where_smtputf8_is_unknown(sending):
    conversation = sending(sender=Sender(path=Address("ä", "a.example")))
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(PLAIN) == b"QUIT\r\n"
    assert (conversation.states, conversation.outcome.enhanced) == ([FAILED], "5.6.7")


EIGHT_BIT = b"250-x\r\n250 8BITMIME\r\n"


@pytest.mark.parametrize("hello", [PLAIN, EIGHT_BIT])
def test_mail_whose_header_is_internationalized_has_a_status_of_its_own(sending, hello):
    conversation = sending(
        "b@b.example",
        "jürgen@b.example",
        sender=Sender(path=Address("a", "a.example"), smtputf8=True),
        content=lambda: Pieces("Subject: für dich\r\n\r\nhallo\r\n".encode()),
    )
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(hello) == b"QUIT\r\n"
    assert conversation.states == [FAILED, FAILED]
    assert [outcome.enhanced for outcome in conversation.results[0]] == ["5.6.9", "5.6.7"]


@pytest.mark.parametrize("content", [b"Subject: x\r\n\r\nx\r\n", "Subject: x\r\n\r\ngrün\r\n".encode()])
def test_a_sender_that_said_smtputf8_without_need_is_served_by_any_host(sending, content):
    conversation = sending(
        sender=Sender(path=Address("a", "a.example"), smtputf8=True), content=lambda: Pieces(content)
    )
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(EIGHT_BIT).startswith(b"MAIL FROM:<a@a.example>")
    assert b"SMTPUTF8" not in conversation.hear(OK)
    for octets in (OK, b"354 go\r\n", OK):
        conversation.hear(octets)
    assert conversation.states == [DELIVERED]


@pytest.mark.parametrize("text", ["a\r\nRCPT TO:<x", "a\nb", "a\x00", "\udcff"])
def test_no_address_can_carry_a_second_command(sending, text):
    with pytest.raises(MailError):
        encode_path(Address(text, "b.example"))
    conversation = sending(sender=Sender(path=Address(text, "a.example"), smtputf8=True))
    conversation.hear(b"220 hi\r\n")
    assert conversation.hear(b"250-x\r\n250 SMTPUTF8\r\n") == b"QUIT\r\n"
    assert conversation.states == [FAILED]
