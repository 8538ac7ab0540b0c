"""BDAT: content by its number of octets. RFC 3030."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from mailsuite.envelope import Body
from mailsuite.errors import Kind, MailError

MAIL = b"MAIL FROM:<a@a.example>"
RCPT = b"RCPT TO:<b@b.example>"
MESSAGE = b"Subject: x\r\n\r\n.\r\n..b\r\n"


def bdat(octets, *, last=False):
    return b"BDAT %d%s\r\n%s" % (len(octets), b" LAST" if last else b"", octets)


@pytest.fixture
def ready(talk):
    """A connection with a transaction and a recipient."""

    def make(receiver=None, mail=MAIL, **settings):
        connection = talk(receiver, **settings).hello()
        assert connection.codes(mail, RCPT) == [250, 250]
        return connection

    return make


def test_chunks_make_a_message(ready):
    connection = ready()
    assert connection.feed(bdat(MESSAGE[:10])) == b"250 2.0.0 10 octets taken\r\n"
    assert connection.feed(bdat(MESSAGE[10:], last=True)) == b"250 2.0.0 queued as q1\r\n"
    assert connection.receiver.committed[0].content == MESSAGE
    assert connection.codes(MAIL, RCPT) == [250, 250]


def test_everything_may_be_pipelined(talk, codes_of):
    connection = talk().hello()
    stream = MAIL + b"\r\n" + RCPT + b"\r\n" + bdat(MESSAGE[:7]) + bdat(MESSAGE[7:]) + bdat(b"", last=True)
    assert codes_of(connection.feed(stream + stream + b"QUIT\r\n")) == [250] * 10 + [221]
    assert [transaction.content for transaction in connection.receiver.committed] == [MESSAGE, MESSAGE]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 9), max_size=12),
    cuts=st.lists(st.integers(1, 30), max_size=20),
)
def test_any_cut_gives_the_same_message(ready, codes_of, sizes, cuts):
    connection = ready()
    stream, rest = b"", MESSAGE
    for size in sizes:
        stream += bdat(rest[:size])
        rest = rest[size:]
    stream += bdat(rest, last=True) + b"NOOP\r\n"
    answers = b""
    for size in cuts:
        answers += connection.feed(stream[:size])
        stream = stream[size:]
    answers += connection.feed(stream)
    assert codes_of(answers) == [250] * (len(sizes) + 2)
    assert connection.receiver.committed[0].content == MESSAGE


@pytest.mark.parametrize("keyword", [b"bdat 3 last\r\nabc", b"Bdat 3 Last\r\nabc", b"BDAT 0003 LAST\r\nabc"])
def test_letters_and_zeros_do_not_matter(ready, keyword):
    connection = ready()
    assert connection.feed(keyword).startswith(b"250 ")
    assert connection.receiver.committed[0].content == b"abc"


def test_an_empty_message_is_one(ready):
    connection = ready()
    assert connection.codes(b"BDAT 0 LAST") == [250]
    assert connection.receiver.committed[0].content == b""


def test_data_and_recipients_do_not_mix_with_chunks(ready):
    connection = ready()
    assert connection.feed(bdat(b"a")).startswith(b"250 ")
    assert connection.codes(b"DATA") == [503]
    assert connection.codes(RCPT) == [503]
    assert connection.codes(MAIL) == [503]
    assert connection.feed(bdat(b"b", last=True)).startswith(b"250 ")
    assert connection.receiver.committed[0].content == b"ab"


@pytest.mark.parametrize("reset", [b"RSET", b"EHLO again.example"])
def test_a_reset_forgets_the_chunks(ready, reset):
    connection = ready()
    connection.feed(bdat(b"a"))
    assert connection.codes(reset) == [250]
    assert connection.receiver.begun[0].state == "aborted"
    assert connection.feed(bdat(b"b", last=True)).startswith(b"503 5.5.1 say MAIL first")
    connection.say(MAIL, RCPT)
    assert connection.codes(b"DATA") == [354]
    assert connection.codes(b"c", b".") == [250]
    assert connection.receiver.committed[0].content == b"c\r\n"


def test_a_chunk_behind_the_last_one_is_out_of_order(ready):
    connection = ready()
    stream = bdat(MESSAGE, last=True) + bdat(b"QUIT\r\n") + b"NOOP\r\n"
    assert [line[:3] for line in connection.feed(stream).splitlines()] == [b"250", b"503", b"250"]
    assert not connection.closed


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        ([], b"503"),
        ([b"EHLO a"], b"503"),
        ([b"EHLO a", MAIL], b"503"),
        ([b"EHLO a", MAIL, b"RCPT TO:<unknown@b.example>"], b"503"),
    ],
)
def test_octets_of_a_refused_chunk_are_no_commands(talk, commands, code):
    connection = talk()
    for command in commands:
        connection.say(command)
    connection.read()
    stream = bdat(b"QUIT\r\n") + bdat(b"RSET\r\n\r\n.\r\n", last=True) + b"NOOP\r\n"
    for piece in (stream[:3], stream[3:15], stream[15:]):
        connection.server.dataReceived(piece)
    answers = connection.read().splitlines()
    assert [line[:3] for line in answers] == [code, code, b"250"]
    assert not connection.closed


@pytest.mark.parametrize(
    "line",
    [
        b"BDAT",
        b"BDAT ",
        b"BDAT LAST",
        b"BDAT -1",
        b"BDAT -1 LAST",
        b"BDAT +1",
        b"BDAT 1x",
        b"BDAT 0x10",
        b"BDAT 1.5",
        b"BDAT 1e3",
        b"BDAT 1 FIRST",
        b"BDAT 1 LAST LAST",
        b"BDAT 1  LAST",
        b"BDAT 1LAST",
        b"BDAT 1,LAST",
        "BDAT \u0661".encode(),
        b"BDAT " + b"9" * 21,
        b"BDAT " + b"0" * 20 + b"5",
        b"BDAT" + b" " * 3000 + b"5",
    ],
)
def test_a_size_that_nobody_knows_ends_the_connection(ready, line):
    connection = ready()
    assert connection.say(line, b"QUIT", b"NOOP").startswith(b"501 5.5.4 ")
    assert connection.closed
    assert connection.codes(b"NOOP") == []
    connection.lose()
    assert connection.receiver.begun[0].state == "aborted"


@pytest.mark.parametrize("size", [2**63, 2**64 - 1, 10_001])
def test_a_size_that_nobody_can_send_ends_the_connection_unread(ready, size):
    connection = ready(message_max_octets=1000)
    assert connection.say(b"BDAT %d LAST" % size).startswith(b"552 5.3.4 ")
    assert connection.closed


def test_a_message_over_the_limit_is_read_to_its_end_and_refused(ready, codes_of):
    connection = ready(message_max_octets=1000)
    stream = bdat(b"a" * 600) + bdat(b"b" * 600) + bdat(b"c" * 600) + bdat(b"d", last=True)
    assert codes_of(connection.feed(stream)) == [250, 552, 552, 552]
    assert connection.receiver.begun[0].state == "aborted"
    assert connection.receiver.begun[0].content == b"a" * 600
    assert codes_of(connection.feed(bdat(b"e", last=True))) == [503]
    assert connection.codes(MAIL, RCPT) == [250, 250]
    assert codes_of(connection.feed(bdat(b"f" * 1000, last=True))) == [250]


def test_a_chunk_over_the_limit_is_answered_when_it_has_come(ready):
    connection = ready(message_max_octets=1000)
    assert connection.feed(b"BDAT 5000 LAST\r\n" + b"a" * 4999) == b""
    assert connection.receiver.begun[0].state == "aborted"
    assert connection.feed(b"a").startswith(b"552 ")


@pytest.mark.parametrize(
    ("place", "error", "code"),
    [
        ("begin_data", MailError(Kind.DENIED), 550),
        ("write", MailError(Kind.UNAVAILABLE), 451),
        ("write", ValueError("ours"), 451),
        ("begin_data", ValueError("ours"), 451),
    ],
)
def test_a_receiver_that_refuses_is_obeyed_for_every_chunk(ready, codes_of, receiver, place, error, code):
    receiver.answers[place] = [error]
    connection = ready(receiver)
    stream = bdat(b"a" * 50) + bdat(b"QUIT\r\n") + bdat(b"c", last=True) + b"NOOP\r\n"
    assert codes_of(connection.feed(stream)) == [code, code, code, 250]
    assert receiver.begun[0].state == "aborted"
    assert connection.codes(b"RSET", MAIL, RCPT) == [250, 250, 250]
    assert codes_of(connection.feed(bdat(b"d", last=True))) == [250]


def test_a_new_sender_ends_the_refusal(ready, codes_of, receiver):
    receiver.answers["write"] = [MailError(Kind.DENIED)]
    connection = ready(receiver)
    assert codes_of(connection.feed(bdat(b"a"))) == [550]
    assert connection.codes(MAIL, RCPT) == [250, 250]
    assert codes_of(connection.feed(bdat(b"b", last=True))) == [250]


def test_what_the_commit_says_is_the_answer_to_the_last_chunk(ready, codes_of, receiver):
    receiver.answers["commit"] = MailError(Kind.UNAVAILABLE)
    connection = ready(receiver)
    assert codes_of(connection.feed(bdat(b"a") + bdat(b"b", last=True))) == [250, 451]


def test_a_slow_receiver_stops_the_reading_and_commands_wait(ready, codes_of, receiver):
    waiting = Deferred()
    receiver.answers["write"] = [waiting]
    connection = ready(receiver)
    assert connection.feed(bdat(b"a" * 2000)) == b""
    assert connection.feed(bdat(b"b" * 70_000, last=True) + b"NOOP\r\n") == b""
    assert connection.transport.producerState == "paused"
    waiting.callback(None)
    assert codes_of(connection.read()) == [250, 250, 250]
    assert connection.transport.producerState == "producing"
    assert receiver.committed[0].content == b"a" * 2000 + b"b" * 70_000


def test_a_lost_connection_forgets_the_chunks(ready):
    connection = ready()
    connection.feed(bdat(b"a" * 10) + b"BDAT 50\r\nabc")
    connection.lose()
    assert connection.receiver.begun[0].state == "aborted"


def test_a_chunk_that_does_not_come_is_waited_for_like_data(ready):
    connection = ready()
    connection.say(b"BDAT 100")
    connection.clock.advance(119)
    assert not connection.closed
    connection.clock.advance(2)
    assert connection.read().startswith(b"421 4.4.2 waited")
    assert connection.closed


def test_a_message_may_not_trickle_in_chunk_by_chunk(ready):
    connection = ready()
    for _ in range(3):
        connection.feed(bdat(b"a" * 1024))
        connection.clock.advance(25)
    assert connection.closed
    assert connection.read().endswith(b"421 4.4.2 too slow, closing\r\n")


def test_many_small_chunks_end_the_session(ready, codes_of):
    connection = ready(junk_commands_max=10)
    assert codes_of(connection.feed(bdat(b"a") * 20))[-1] == 421
    assert connection.closed


def test_a_restart_waits_for_the_end_of_a_message_in_chunks(ready):
    connection = ready()
    connection.feed(bdat(b"a"))
    connection.server.drain()
    assert not connection.closed
    assert connection.feed(bdat(b"b", last=True)).endswith(b"421 4.3.2 shutting down, try again soon\r\n")
    assert len(connection.receiver.committed) == 1


# Content that is no text.

BINARY = MAIL + b" BODY=BINARYMIME"


def test_binarymime_is_announced_where_the_receiver_takes_it(talk, receiver, binary_receiver):
    assert b"BINARYMIME" not in talk(receiver).say(b"EHLO a")
    assert b"BINARYMIME" not in talk(binary_receiver, binarymime=False).say(b"EHLO a")
    assert b"BINARYMIME" in talk(binary_receiver).say(b"EHLO a")


@pytest.mark.parametrize("takes", [True, False])
def test_binarymime_is_refused_where_it_is_not_announced(talk, receiver, binary_receiver, takes):
    connection = talk(binary_receiver if takes else receiver, binarymime=not takes).hello()
    assert connection.say(BINARY).startswith(b"554 5.6.1 ")


def test_binarymime_goes_by_bdat_only_and_keeps_every_octet(ready, binary_receiver):
    connection = ready(binary_receiver, BINARY)
    assert connection.say(b"DATA").startswith(b"503 5.5.1 BINARYMIME needs BDAT")
    content = b"Subject: x\r\n\r\n" + bytes(range(256)) + b"\r"
    assert connection.feed(bdat(content, last=True)).startswith(b"250 ")
    assert binary_receiver.committed[0].content == content
    assert binary_receiver.committed[0].sender.body is Body.BINARY_MIME
