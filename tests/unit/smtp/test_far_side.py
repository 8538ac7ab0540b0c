"""How hosts behave, and what each recipient's outcome is then; on connections that carry several messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import defer
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.envelope import Body, Envelope, Recipient, Sender
from mailsuite.smtp import ClientSettings, OutcomeState, TLSPolicy
from mailsuite.smtp.connection import Connection
from mailsuite.smtp.dialogue import REPLIES_MAX, handshake_error
from mailsuite.smtp.offered import parse_offered
from mailsuite.smtp.opening import NotOpenedError, open_connection
from mailsuite.smtp.outgoing import LARGE_MAX, LARGE_OCTETS, Conversions
from mailsuite.smtp.results import Results

DELIVERED, DEFERRED, FAILED = OutcomeState.DELIVERED, OutcomeState.DEFERRED, OutcomeState.FAILED
MESSAGE = b"Subject: x\r\n\r\nhello\r\n"
OK = b"250 2.1.0 ok\r\n"
LARGE = b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 20_000
LOST = object()
"""The connection ends."""

SILENT = object()
"""Nothing comes any more."""


class InMemory:
    def __init__(self, octets, piece=LARGE_OCTETS):
        self.size = len(octets)
        self.pieces = [octets[start : start + piece] for start in range(0, len(octets), piece)]

    async def read(self):
        return self.pieces.pop(0) if self.pieces else b""


@implementer(IStreamClientEndpoint)
class Endpoint:
    def __init__(self, make_transport):
        self.make_transport = make_transport

    def connect(self, factory):
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.make_transport())
        return defer.succeed(self.protocol)


class Far:
    """The far side of one connection, opened with these extensions."""

    def __init__(self, make_transport, *extensions, **settings):
        self.clock = Clock()
        self.endpoint = Endpoint(make_transport)
        settings = ClientSettings(hostname=b"client.example", **settings)
        self.opened = []
        opening = defer.Deferred.fromCoroutine(open_connection(self.endpoint, settings, reactor=self.clock))
        opening.addBoth(self.opened.append)
        self.hear(b"220 hi\r\n")
        self.hear("\r\n".join(["250-mx.example", *(f"250-{word}" for word in extensions), "250 HELP\r\n"]).encode())
        self.conversions = Conversions(self.clock)

    @property
    def connection(self) -> Connection:
        (connection,) = self.opened
        return connection

    @property
    def transport(self):
        return self.endpoint.protocol.transport

    def hear(self, octets):
        if octets is LOST:
            self.endpoint.protocol.connectionLost(Failure(ConnectionDone()))
        elif octets is SILENT:
            self.clock.advance(3600)
        else:
            self.endpoint.protocol.dataReceived(octets)
        said = self.transport.value()
        self.transport.clear()
        return said

    def send(self, *recipients, content=MESSAGE, piece=LARGE_OCTETS, notify="", original="", **sender):
        """Begin to send a message; what came of it is in `results` once `done`."""
        sender = Sender(path=Address("a", "a.example"), **sender)
        paths = recipients or ("b@b.example",)
        envelope = Envelope(
            sender=sender,
            recipients=tuple(Recipient(path=Address.parse(path), notify=notify, original=original) for path in paths),
        )
        self.results = Results(len(paths))
        self.done = []
        sending = self.connection.send(
            envelope, lambda: InMemory(content, piece), self.results, self.conversions, range(len(paths))
        )
        defer.Deferred.fromCoroutine(sending).addBoth(self.done.append)
        return self.hear(b"")

    @property
    def states(self):
        assert self.done == [None]
        return [outcome and outcome.state for outcome in self.results.outcomes]


@pytest.fixture
def far(talk):
    transport_class = type(talk().transport)

    def make(*extensions, **settings):
        return Far(transport_class, *extensions, **settings)

    return make


PIPELINED = ("PIPELINING", "8BITMIME")
CHUNKED = ("PIPELINING", "8BITMIME", "CHUNKING")
GO = b"354 go\r\n"
TAKEN = b"250 2.0.0 taken\r\n"

# The words of a host to two recipients; the states; the places of whom another host may be asked; can it go on?
BEHAVIOURS = {
    "takes it": ([OK * 3 + GO, TAKEN], [DELIVERED, DELIVERED], set(), True),
    "refuses the sender": ([b"550 no\r\n" + b"503 no\r\n" * 3], [FAILED, FAILED], set(), True),
    "defers the sender": ([b"450 no\r\n" + b"503 no\r\n" * 3], [DEFERRED, DEFERRED], {0, 1}, True),
    "refuses one": ([OK * 2 + b"550 no\r\n" + GO, TAKEN], [DELIVERED, FAILED], set(), True),
    "defers one": ([OK * 2 + b"450 no\r\n" + GO, TAKEN], [DELIVERED, DEFERRED], {1}, True),
    "refuses all": ([OK + b"550 no\r\n" * 2 + b"503 no\r\n"], [FAILED, FAILED], set(), True),
    "refuses all and wants content": ([OK + b"550 no\r\n" * 2 + GO, TAKEN], [FAILED, FAILED], set(), True),
    "refuses DATA": ([OK * 3 + b"554 no\r\n"], [FAILED, FAILED], set(), True),
    "defers DATA": ([OK * 3 + b"451 no\r\n"], [DEFERRED, DEFERRED], {0, 1}, True),
    "answers DATA with nonsense": ([OK * 4], [DEFERRED, DEFERRED], {0, 1}, False),
    "refuses the content": ([OK * 3 + GO, b"554 spam\r\n"], [FAILED, FAILED], set(), True),
    "defers the content": ([OK * 3 + GO, b"451 no\r\n"], [DEFERRED, DEFERRED], {0, 1}, True),
    "closes at once": ([LOST], [DEFERRED, DEFERRED], {0, 1}, False),
    "closes after MAIL": ([OK, LOST], [DEFERRED, DEFERRED], {0, 1}, False),
    "closes after one RCPT": ([OK + b"550 no\r\n", LOST], [FAILED, DEFERRED], {1}, False),
    "closes after 354": ([OK * 3 + GO, LOST], [DEFERRED, DEFERRED], set(), False),
    "is silent at MAIL": ([SILENT], [DEFERRED, DEFERRED], {0, 1}, False),
    "is silent at DATA": ([OK * 3, SILENT], [DEFERRED, DEFERRED], {0, 1}, False),
    "is silent after the end": ([OK * 3 + GO, SILENT], [DEFERRED, DEFERRED], set(), False),
    "closes with 421 at MAIL": ([b"421 bye\r\n"], [DEFERRED, DEFERRED], {0, 1}, False),
    "closes with 421 at RCPT": ([OK * 2 + b"421 bye\r\n"], [DEFERRED, DEFERRED], {0, 1}, False),
    "closes with 421 at DATA": ([OK * 3 + b"421 bye\r\n"], [DEFERRED, DEFERRED], {0, 1}, False),
    "closes with 421 after the end": ([OK * 3 + GO, b"421 bye\r\n"], [DEFERRED, DEFERRED], set(), False),
    "says too much after the end": ([OK * 3 + GO, TAKEN * 2], [DELIVERED, DELIVERED], set(), False),
    "says nonsense": ([b"hello\r\n"], [DEFERRED, DEFERRED], {0, 1}, False),
    "says more than anybody needs": ([b"250-" + b"x" * 5000], [DEFERRED, DEFERRED], {0, 1}, False),
    "never ends a reply": ([b"250-x\r\n" * 200], [DEFERRED, DEFERRED], {0, 1}, False),
}


@pytest.mark.parametrize(("words", "states", "elsewhere", "goes_on"), BEHAVIOURS.values(), ids=BEHAVIOURS)
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "octets"])
def test_each_behaviour_has_its_outcome(far, words, states, elsewhere, goes_on, cut):
    host = far(*PIPELINED)
    host.send("b@b.example", "c@b.example")
    for each in words:
        if cut and isinstance(each, bytes):
            for octet in each:
                host.hear(bytes((octet,)))
        else:
            host.hear(each)
    assert host.states == states
    assert host.results.elsewhere == elsewhere
    assert host.connection.reusable == goes_on
    host.connection.leave()
    assert host.hear(b"") == (b"QUIT\r\n" if goes_on or words[-1] == TAKEN * 2 else b"")
    host.hear(LOST)
    assert host.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("word", "state", "elsewhere"), [(TAKEN, DEFERRED, {0}), (b"552 no\r\n", FAILED, set()), (b"4", DEFERRED, {0})]
)
def test_an_answer_that_comes_before_the_content(far, word, state, elsewhere):
    host = far(*PIPELINED)
    host.send()
    assert host.hear(OK * 2 + GO + word) == b""
    assert host.states == [state]
    assert host.results.elsewhere == elsewhere
    assert not host.connection.reusable


@pytest.mark.parametrize(("word", "state"), [(b"552 no\r\n", FAILED), (TAKEN, DEFERRED)])
def test_an_answer_that_comes_amid_the_content_ends_it(far, word, state):
    host = far(*PIPELINED)
    host.send(content=LARGE, piece=100_000)
    host.hear(OK * 2)
    host.endpoint.protocol.pauseProducing()
    host.hear(GO)
    host.hear(word)
    host.endpoint.protocol.resumeProducing()
    assert not host.hear(b"").endswith(b"\r\n.\r\n")
    assert host.states == [state]
    assert not host.connection.reusable


def test_a_host_that_refuses_amid_the_content_and_closes_is_heard(far):
    host = far(*PIPELINED)
    host.send(content=LARGE, piece=100_000)
    host.hear(OK * 2)
    host.endpoint.protocol.pauseProducing()
    host.hear(GO)
    host.hear(b"552 5.3.4 no\r\n")
    host.hear(LOST)
    assert (host.states, host.results.outcomes[0].enhanced) == ([FAILED], "5.3.4")


class Wire(StringTransport):
    """Keeps all that was ever said."""

    said = b""

    def setTcpNoDelay(self, enabled):
        pass

    def write(self, data):
        self.said += data
        super().write(data)


WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                OK,
                b"354 go\r\n",
                b"354 go\r\n250 x\r\n",
                b"450 no\r\n",
                b"550 no\r\n",
                b"452 4.5.3 no\r\n",
                b"421 bye\r\n",
            ]
        ),
        st.sampled_from([b"250-x\r\n", b"2", b"250", b"\r\n", b"599 x\n", b"333 x\r\n"]),
        st.binary(max_size=8),
    ),
    max_size=12,
)


@given(
    WORDS, st.sampled_from([(), PIPELINED, CHUNKED, ("CHUNKING",), ("PIPELINING", "LIMITS RCPTMAX=1")]), st.booleans()
)
def test_whatever_a_host_says_each_recipient_has_an_outcome(words, extensions, closes):
    host = Far(Wire, *extensions)
    host.send("b@b.example", "c@b.example")
    for word in words:
        if not host.done:
            host.hear(word)
    if not host.done:
        host.hear(LOST if closes else SILENT)
    states = host.states
    if DELIVERED in states:
        said = host.transport.said
        assert b"\r\n.\r\n" in said or b" LAST\r\n" in said
        assert any(word.startswith(b"250") for word in words)
    if None in states:
        assert host.results.without_chunking or host.connection.messages > 1 or not host.connection.reusable


# one after another


def test_several_messages_go_over_one_connection(far):
    host = far(*PIPELINED)
    for _ in range(3):
        assert host.send().startswith(b"MAIL FROM:<a@a.example>\r\nRCPT ")
        host.hear(OK * 2 + GO)
        host.hear(TAKEN)
        assert host.states == [DELIVERED]
    assert host.connection.messages == 3


@pytest.mark.parametrize("extensions", [(), ("PIPELINING",)])
def test_what_was_left_open_is_reset_first(far, extensions):
    host = far(*extensions)
    host.send()
    host.hear(OK)
    host.hear(b"550 no\r\n" + b"503 no\r\n" * len(extensions))
    assert host.states == [FAILED]
    assert host.send().startswith(b"RSET\r\n")
    if not extensions:
        assert host.hear(OK).startswith(b"MAIL ")
        assert host.hear(OK).startswith(b"RCPT ")
        assert host.hear(OK) == b"DATA\r\n"
        host.hear(GO)
    else:
        host.hear(OK * 3 + GO)
    host.hear(TAKEN)
    assert host.states == [DELIVERED]


@pytest.mark.parametrize("reply", [b"500 what\r\n", LOST])
def test_a_host_that_does_not_reset_is_left(far, reply):
    host = far(*PIPELINED)
    host.send()
    host.hear(OK + b"550 no\r\n503 no\r\n")
    host.send()
    host.hear(reply)
    assert host.states == [None]  # a new connection is to be tried
    assert not host.connection.reusable


@pytest.mark.parametrize("reply", [b"421 idle for too long\r\n", LOST])
def test_a_connection_that_was_dead_before_says_nothing_of_the_recipients(far, reply):
    host = far(*PIPELINED)
    host.send()
    host.hear(OK * 2 + GO)
    host.hear(TAKEN)
    host.send()
    host.hear(reply)
    assert host.states == [None]
    assert not host.connection.reusable


@pytest.mark.parametrize("disturbance", [b"421 bye\r\n", b"2", TAKEN, LOST])
def test_whatever_happens_between_messages_is_told(far, disturbance):
    host = far(*PIPELINED)
    told = []
    host.connection.watch(lambda: told.append(host.connection.reusable))
    host.hear(disturbance)
    assert told == [False]


def test_a_connection_carries_so_many_messages_and_no_more(far):
    for host in (far(*PIPELINED, messages_max=1), far(*PIPELINED, "LIMITS MAILMAX=1")):
        host.send()
        host.hear(OK * 2 + GO)
        host.hear(TAKEN)
        assert not host.connection.reusable


# too many recipients


def test_recipients_for_whom_there_is_no_room_go_in_another_transaction(far):
    host = far(*PIPELINED)
    host.send("b@b.example", "c@b.example", "d@b.example")
    host.hear(OK * 2 + b"452 4.5.3 too many\r\n" + b"552 5.5.3 too many\r\n" + GO)
    said = host.hear(TAKEN)
    assert said == b"MAIL FROM:<a@a.example>\r\nRCPT TO:<c@b.example>\r\nRCPT TO:<d@b.example>\r\nDATA\r\n"
    host.hear(OK * 3 + GO)
    host.hear(TAKEN)
    assert host.states == [DELIVERED] * 3


def test_too_many_when_there_is_but_one_is_no_question_of_number(far):
    host = far(*PIPELINED)
    host.send("b@b.example", "c@b.example")
    host.hear(OK + b"452 too many\r\n" * 2 + b"503 no\r\n")
    assert host.states == [DEFERRED, DEFERRED]
    assert host.results.outcomes[0].code == 452
    assert host.results.elsewhere == {0, 1}


@pytest.mark.parametrize(
    ("limits", "groups"),
    [
        ("RCPTMAX=2", [[b"a@b.test", b"b@c.test"], [b"c@b.test"]]),
        ("rcptmax=1 X=y RCPTDOMAINMAX=2", [[b"a@b.test"], [b"b@c.test"], [b"c@b.test"]]),
        *(
            (f"RCPTMAX={malformed} MAILMAX={malformed}", [[b"a@b.test", b"b@c.test", b"c@b.test"]])
            for malformed in ("no", "0", "01", "-1", "+1", "1.", "\u0661")
        ),
    ],
)
def test_limits_that_a_host_announces_are_kept(far, limits, groups):
    host = far(*PIPELINED, f"LIMITS {limits}")
    said = host.send("a@b.test", "b@c.test", "c@b.test")
    for group in groups:
        assert said.count(b"RCPT") == len(group)
        assert all(b"RCPT TO:<" + path + b">" in said for path in group)
        host.hear(OK * (len(group) + 1) + GO)
        said = host.hear(TAKEN)
    assert host.states == [DELIVERED] * 3


def test_a_connection_is_for_so_many_domains_and_no_more(far):
    host = far(*PIPELINED, "LIMITS RCPTDOMAINMAX=2")
    for path in ("a@b.test", "a@c.test", "b@b.test"):
        assert f"RCPT TO:<{path}>".encode() in host.send(path)
        host.hear(OK * 2 + GO)
        host.hear(TAKEN)
        assert host.states == [DELIVERED]
    said = host.send("a@d.test", "b@c.test")
    assert b"RCPT TO:<b@c.test>\r\nDATA" in said
    assert b"d.test" not in said
    host.hear(OK * 2 + GO)
    assert host.hear(TAKEN) == b"QUIT\r\n"
    assert host.states == [None, DELIVERED]
    assert not host.connection.reusable


@pytest.mark.parametrize(("word", "limit"), [("999999", 999_999), ("1000000", 0), ("1", 1), ("00", 0), ("", 0)])
def test_limits_have_six_digits_at_most(word, limit):
    offered = parse_offered([f"LIMITS MAILMAX={word} RCPTMAX={word} RCPTDOMAINMAX={word}", "SIZE 00012345678"])
    assert (offered.messages_max, offered.recipients_max, offered.domains_max) == (limit,) * 3
    assert offered.size_octets == 12_345_678


# BDAT


def test_a_small_message_goes_out_with_its_envelope(far):
    host = far(*CHUNKED)
    said = host.send(content=b"a\nb\r\n.\r\n")
    assert said == b"MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nBDAT 9 LAST\r\na\r\nb\r\n.\r\n"
    host.hear(OK * 2 + TAKEN)
    assert host.states == [DELIVERED]
    assert host.connection.reusable


def test_without_pipelining_the_content_waits_for_the_envelope(far):
    host = far("CHUNKING")
    assert host.send().startswith(b"MAIL")
    assert host.hear(OK).startswith(b"RCPT")
    assert host.hear(OK) == b"BDAT %d LAST\r\n" % len(MESSAGE) + MESSAGE
    host.hear(TAKEN)
    assert host.states == [DELIVERED]


@pytest.mark.parametrize("extensions", [("CHUNKING",), CHUNKED])
def test_a_large_message_goes_in_chunks(far, extensions):
    host = far(*extensions)
    pipelined = len(extensions) > 1
    said = host.send(content=LARGE, piece=100_000)
    if pipelined:
        said = host.hear(OK * 2)
    else:
        host.hear(OK)
        said = host.hear(OK)
    for _ in range(2):
        said += host.hear(OK)
    host.hear(TAKEN)
    content = b""
    sizes = []
    while said:
        line, _, said = said.partition(b"\r\n")
        size = int(line.split()[1])
        sizes.append(line)
        content, said = content + said[:size], said[size:]
    assert content == LARGE
    assert [line.endswith(b" LAST") for line in sizes] == [False, False, True]
    assert host.states == [DELIVERED]


@pytest.mark.parametrize(("reply", "state"), [(b"552 too much\r\n", FAILED), (b"452 later\r\n", DEFERRED)])
def test_a_chunk_that_is_refused_ends_it(far, reply, state):
    host = far(*CHUNKED)
    host.send(content=LARGE, piece=100_000)
    host.hear(OK * 2)
    host.hear(OK + reply)
    assert host.states == [state]
    assert not host.connection.reusable


@pytest.mark.parametrize("extensions", [("CHUNKING",), CHUNKED])
def test_an_answer_to_the_last_chunk_before_it_was_sent_is_none(far, extensions):
    host = far(*extensions)
    host.send(content=LARGE, piece=200_000)
    if len(extensions) > 1:
        host.endpoint.protocol.pauseProducing()
        host.hear(OK * 2)
    else:
        host.hear(OK)
        host.endpoint.protocol.pauseProducing()
        host.hear(OK)
    host.hear(OK * 2)
    host.endpoint.protocol.resumeProducing()
    assert b"LAST" not in host.hear(b"")
    assert host.states == [DEFERRED]
    assert not host.connection.reusable


def test_a_host_that_never_stops_talking_is_left(far):
    host = far(*PIPELINED)
    host.send(content=LARGE, piece=100_000)
    host.hear(OK * 2)
    host.endpoint.protocol.pauseProducing()
    host.hear(GO)
    for _ in range(100):
        host.hear(b"250 ok\r\n" * 100)
    assert len(host.endpoint.protocol._replies) <= REPLIES_MAX
    assert host.transport.disconnected
    assert host.states == [DEFERRED]


CHUNKED_BEHAVIOURS = {
    "refuses the sender": ([b"550 no\r\n" + b"503 no\r\n" * 2], FAILED, set(), True),
    "refuses the recipient": ([OK + b"550 no\r\n" + b"503 no\r\n"], FAILED, set(), True),
    "takes it for nobody": ([OK + b"550 no\r\n" + TAKEN], FAILED, set(), False),
    "does not know BDAT and refuses": ([OK + b"550 no\r\n" + b"500 no\r\n"], FAILED, set(), False),
    "refuses the content": ([OK * 2 + b"554 no\r\n"], FAILED, set(), True),
    "defers the content": ([OK * 2 + b"450 no\r\n"], DEFERRED, {0}, True),
    "closes at once": ([LOST], DEFERRED, set(), False),
    "closes after the envelope": ([OK * 2, LOST], DEFERRED, set(), False),
    "closes with 421 at MAIL": ([b"421 no\r\n"], DEFERRED, {0}, False),
    "closes with 421 at the end": ([OK * 2 + b"421 no\r\n"], DEFERRED, set(), False),
    "does not know BDAT": ([OK * 2 + b"500 no\r\n"], None, set(), False),
}


@pytest.mark.parametrize(
    ("words", "state", "elsewhere", "goes_on"), CHUNKED_BEHAVIOURS.values(), ids=CHUNKED_BEHAVIOURS
)
def test_each_behaviour_at_bdat_has_its_outcome(far, words, state, elsewhere, goes_on):
    host = far(*CHUNKED)
    host.send()
    for each in words:
        host.hear(each)
    assert host.states == [state]
    assert host.results.elsewhere == elsewhere
    assert host.connection.reusable == goes_on
    assert host.results.without_chunking == (state is None)


def test_a_kept_connection_that_ends_behind_bdat_may_have_taken_the_message(far):
    host = far(*CHUNKED)
    host.send()
    host.hear(OK * 2 + TAKEN)
    host.send()
    host.hear(LOST)
    assert host.states == [DEFERRED]
    assert host.results.elsewhere == set()


# parameters


def test_what_a_sender_wants_of_reports_is_passed_on(far):
    host = far(*PIPELINED, "DSN")
    said = host.send(notify="SUCCESS,DELAY", original="rfc822;b+x@b.example", ret="HDRS", envelope_id="a+b =c")
    assert said.startswith(
        b"MAIL FROM:<a@a.example> RET=HDRS ENVID=a+2Bb+20+3Dc\r\n"
        b"RCPT TO:<b@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bx@b.example\r\n"
    )
    host.hear(OK * 2 + GO)
    host.hear(TAKEN)
    assert host.results.outcomes[0].dsn


def test_a_host_without_dsn_is_told_nothing_and_takes_over_nothing(far):
    host = far(*PIPELINED)
    said = host.send(notify="SUCCESS", original="rfc822;b@b.example", ret="FULL", envelope_id="x")
    assert said.startswith(b"MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\n")
    host.hear(OK * 2 + GO)
    host.hear(TAKEN)
    assert not host.results.outcomes[0].dsn


@pytest.mark.parametrize(
    ("notify", "original", "ret", "envid"),
    [("SUCCESS\r\nDATA", "no type", "ALL", "x" * 101), ("NEVER,SUCCESS", "rfc822;" + "x" * 600, "full", "\r\n" * 40)],
)
def test_parameters_that_are_none_are_left_out(far, notify, original, ret, envid):
    host = far(*PIPELINED, "DSN")
    said = host.send(notify=notify, original=original, ret=ret, envelope_id=envid)
    assert said == b"MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n"


def test_who_logged_in_here_is_told_to_nobody(far):
    assert b"AUTH" not in far(*PIPELINED, "AUTH PLAIN").send(auth="a@a.example")


def test_a_message_that_is_larger_than_a_host_takes_is_not_sent(far):
    host = far(*PIPELINED, f"SIZE {len(MESSAGE) - 1}")
    assert host.send() == b""
    (outcome,) = host.results.outcomes
    assert (host.states, outcome.code, outcome.enhanced) == ([FAILED], 552, "5.3.4")
    assert far(*PIPELINED, f"SIZE {len(MESSAGE)}").send().startswith(b"MAIL FROM:<a@a.example> SIZE=21\r\n")
    assert far(*PIPELINED, "SIZE 0").send().startswith(b"MAIL")


# conversion

EIGHT = (
    "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ngrün und so weiter\r\n".encode()
)


def test_8bit_mail_goes_as_it_is_to_who_takes_it(far):
    host = far(*PIPELINED)
    assert host.send(content=EIGHT, body=Body.SEVEN_BIT).startswith(b"MAIL FROM:<a@a.example> BODY=8BITMIME\r\n")
    assert host.hear(OK * 2 + GO) == EIGHT + b".\r\n"


def test_8bit_mail_is_converted_for_who_does_not(far):
    host = far("PIPELINING", "SIZE")
    said = host.send(content=EIGHT, body=Body.EIGHT_BIT_MIME)
    content = host.hear(OK * 2 + GO).removesuffix(b".\r\n")
    assert b"gr=C3=BCn und so weiter\r\n" in content
    assert said.startswith(b"MAIL FROM:<a@a.example> SIZE=%d\r\n" % len(content))


def test_mail_that_is_called_8bit_and_is_not_stays_as_it_is(far):
    host = far("PIPELINING")
    assert host.send(body=Body.EIGHT_BIT_MIME).startswith(b"MAIL FROM:<a@a.example>\r\n")
    assert host.hear(OK * 2 + GO) == MESSAGE + b".\r\n"


def test_signed_8bit_mail_is_returned(far):
    content = (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\ngr\xc3\xbcn\r\n--s--\r\n"
    )
    host = far("PIPELINING")
    assert host.send(content=content) == b""
    (outcome,) = host.results.outcomes
    assert (outcome.state, outcome.enhanced) == (FAILED, "5.6.3")
    assert host.connection.reusable


def test_long_lines_are_broken_up_for_everybody(far):
    host = far(*PIPELINED)
    host.send(content=b"Subject: x\r\n\r\n" + b"x" * 5000 + b"\r\n", piece=300)
    content = host.hear(OK * 2 + GO)
    assert max(map(len, content.split(b"\r\n"))) < 998
    assert b"Content-Transfer-Encoding: quoted-printable" in content


BINARY = b"MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\na\nb\0c\r.d"


def test_binary_mail_goes_as_it_is_to_who_takes_it(far):
    host = far(*CHUNKED, "BINARYMIME")
    said = host.send(content=BINARY, body=Body.BINARY_MIME)
    assert said.startswith(b"MAIL FROM:<a@a.example> BODY=BINARYMIME\r\n")
    assert said.endswith(b"BDAT %d LAST\r\n" % len(BINARY) + BINARY)


@pytest.mark.parametrize("extensions", [CHUNKED, ("PIPELINING", "BINARYMIME"), ("PIPELINING", "8BITMIME"), ()])
def test_binary_mail_is_converted_for_who_does_not(far, extensions):
    host = far(*extensions)
    said = host.send(content=BINARY, body=Body.BINARY_MIME)
    said += host.hear(OK)
    said += host.hear(OK)
    said += host.hear(GO)
    assert b"base64\r\n\r\nYQpiAGMNLmQ=\r\n" in said
    assert b"BINARYMIME" not in said


def test_only_so_many_large_messages_are_converted_at_a_time(far):
    large = b"Subject: x\r\n\r\n" + b"y" * LARGE_OCTETS
    hosts = [far(*PIPELINED) for _ in range(LARGE_MAX + 1)]
    for host in hosts:
        host.conversions = hosts[0].conversions
    assert [host.send(content=large) != b"" for host in hosts] == [True] * LARGE_MAX + [False]
    hosts[0].hear(b"550 no\r\n" + b"503 no\r\n" * 2)
    assert hosts[-1].hear(b"").startswith(b"MAIL")
    waiting = far(*PIPELINED)
    waiting.conversions = hosts[0].conversions
    assert waiting.send(content=large) == b""
    hosts[0].clock.advance(200)
    assert (waiting.states, waiting.results.outcomes[0].enhanced) == ([DEFERRED], "4.3.0")


# TLS


def test_mail_that_requires_tls_goes_only_where_that_is_promised(far):
    host = far(*PIPELINED, "REQUIRETLS")
    assert host.send(require_tls=True) == b""
    (outcome,) = host.results.outcomes
    assert (outcome.state, outcome.enhanced, host.results.elsewhere) == (FAILED, "5.7.10", {0})
    assert host.connection.reusable


@pytest.mark.parametrize("promised", [True, False])
def test_mail_that_requires_tls_over_verified_tls(far, promised):
    host = far("STARTTLS", tls=TLSPolicy.REQUIRE, tls_creator=object())
    host.hear(b"220 go\r\n")
    host.endpoint.protocol.handshakeCompleted()
    host.hear(b"250-x\r\n250-PIPELINING\r\n250 " + (b"REQUIRETLS\r\n" if promised else b"X\r\n"))
    said = host.send(require_tls=True)
    assert said.startswith(b"MAIL FROM:<a@a.example> REQUIRETLS\r\n" if promised else b"")
    assert bool(said) == promised
    if not promised:
        (outcome,) = host.results.outcomes
        assert (outcome.state, outcome.enhanced, host.results.elsewhere) == (FAILED, "5.7.30", {0})


def test_a_host_without_the_tls_that_is_required_has_a_status_for_now(far):
    (opened,) = far(tls=TLSPolicy.REQUIRE).opened
    assert (opened.value.outcome.enhanced, opened.value.lacks_tls) == ("4.7.0", True)  # 4.7.4 would be for good
    opened.cleanFailure()


@pytest.mark.parametrize(
    ("words", "failure"),
    [
        ([], "starttls-not-supported"),
        ([b"454 no\r\n"], "starttls-not-supported"),
        ([b"220 go\r\n", LOST], "validation-failure"),
        ([b"220 go\r\n250 injected\r\n"], "validation-failure"),
        ([b"220 go\r\n250"], "validation-failure"),
        ([b"220 go\r\n", SILENT], "validation-failure"),
    ],
)
def test_how_tls_failed_is_told(far, words, failure):
    host = far(*(["STARTTLS"] if words else []), tls=TLSPolicy.REQUIRE)
    for each in words:
        host.hear(each)
    (failed,) = host.opened
    error = failed.check(NotOpenedError) and failed.value
    assert (error.tls_failure, error.outcome.state) == (failure, DEFERRED)
    failed.cleanFailure()


def test_what_was_offered_in_the_clear_is_forgotten_after_tls(far):
    host = far("STARTTLS", "DSN", "PIPELINING")
    host.hear(b"220 go\r\n")
    host.endpoint.protocol.handshakeCompleted()
    host.hear(b"250 x\r\n")
    assert host.connection.encrypted
    assert host.connection.tls_failure == ""
    assert host.connection.offered == parse_offered([])


def test_reasons_of_failed_handshakes():
    from OpenSSL import SSL
    from service_identity import VerificationError

    def failed(words):
        return handshake_error(SSL.Error([("SSL routines", "", words)]))

    assert failed("certificate verify failed").result == "validation-failure"
    assert "not trusted" in str(failed("certificate verify failed"))
    assert failed("certificate has expired").result == "certificate-expired"
    assert failed("no protocols available").result == "validation-failure"
    assert "no protocols available" in str(failed("no protocols available"))
    assert handshake_error(SSL.Error()).result == "validation-failure"
    assert handshake_error(VerificationError(errors=[])).result == "certificate-host-mismatch"
    assert handshake_error(None).result == "validation-failure"


def test_extensions_are_read_whatever_their_case_and_order():
    offered = parse_offered(["size 1000", "auth PLAIN login", "AUTH=CRAM-MD5", "LIMITS MAILMAX=5", "X y", ""])
    assert (offered.size, offered.size_octets, offered.messages_max) == (True, 1000, 5)
    assert offered.mechanisms == {"PLAIN", "LOGIN", "CRAM-MD5"}
    assert parse_offered(["SIZE " + "9" * 30]).size_octets == 0
    assert parse_offered(["SIZE -1"]).size_octets == 0
