"""Peers that mean harm, or were written as if they did."""

import itertools
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MAIL = b"MAIL FROM:<a@a.example>"
RCPT = b"RCPT TO:<b@b.example>"


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    "mark",
    [
        b"".join(parts)
        for parts in itertools.product((b"\r\n", b"\n", b"\r"), (b".",), (b"\r\n", b"\n", b"\r", b"\r\r\n"))
        if b"".join(parts) != b"\r\n.\r\n"
    ],
)
def test_a_smuggled_message_is_never_a_message(talk, mark, whole):
    connection = talk().begin()
    stream = b"first" + mark + MAIL + b"\r\n" + RCPT + b"\r\nDATA\r\nsecond\r\n.\r\n"
    for piece in [stream] if whole else [bytes((octet,)) for octet in stream]:
        connection.server.dataReceived(piece)
    assert connection.read() == b"550 5.5.2 the message holds a bare CR or LF\r\n"
    assert connection.receiver.committed == []
    assert len(connection.receiver.begun) == 1
    assert connection.codes(b"NOOP") == [250]


ENDS = [b"".join(parts) for size in (1, 2, 3, 4, 5) for parts in itertools.product((b"\r", b"\n", b"."), repeat=size)]


@pytest.mark.parametrize("before", [b"", b"x", b"\r\n"])
def test_only_one_mark_ends_data_among_all_combinations(talk, before):
    """Whatever surrounds it, content up to CRLF.CRLF is one message, and what stands behind it is commands."""
    for end in ENDS:
        connection = talk().begin()
        stream = before + end + b"y" + MAIL + b"\r\n.\r\n"
        whole = b"\r\n" + stream
        mark = whole.find(b"\r\n.\r\n")
        content = whole[2 : mark + 2]
        text = content.replace(b"\r\n", b"")
        clean = b"\r" not in text and b"\n" not in text
        connection.feed(stream)
        committed = [transaction.content for transaction in connection.receiver.committed]
        assert committed == ([(b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:]] if clean else []), end
        assert len(connection.receiver.begun) == 1, end


@pytest.mark.parametrize("whole", [True, False])
def test_no_combination_ends_a_chunk_early(talk, whole):
    """Content by BDAT ends by its number: line ends and dots in it mean nothing."""
    for end in ENDS:
        content = b"first" + end + MAIL + b"\r\n" + RCPT + b"\r\nDATA\r\nsecond\r\n.\r\nQUIT\r\n"
        connection = talk().hello()
        assert connection.codes(MAIL, RCPT) == [250, 250]
        stream = b"BDAT %d LAST\r\n%bNOOP\r\n" % (len(content), content)
        pieces = [stream] if whole else [stream[start : start + 1] for start in range(len(stream))]
        for piece in pieces:
            connection.server.dataReceived(piece)
        text = content.replace(b"\r\n", b"")
        clean = b"\r" not in text and b"\n" not in text
        codes = [line[:3] for line in connection.read().splitlines()]
        assert codes == [b"250" if clean else b"550", b"250"], end
        assert [each.content for each in connection.receiver.committed] == ([content] if clean else []), end
        assert len(connection.receiver.begun) == 1, end


def test_a_line_end_divided_among_chunks_hides_nothing(talk):
    for first, second, code in ((b"a\r", b"\nb", 250), (b"a\r", b"b\n", 550), (b"a", b"\nb", 550), (b"a\r", b"", 550)):
        connection = talk().hello()
        connection.say(MAIL, RCPT)
        stream = b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (len(first), first, len(second), second)
        assert connection.feed(stream).splitlines()[-1].startswith(b"%d " % code)


def test_a_chunk_that_is_longer_than_it_says_is_followed_by_commands_and_by_nothing_else(talk):
    connection = talk().hello()
    connection.say(MAIL, RCPT)
    answers = connection.feed(b"BDAT 5 LAST\r\nabcdefgh\r\nNOOP\r\n").splitlines()
    assert [line[:3] for line in answers] == [b"250", b"500", b"250"]
    assert connection.receiver.committed[0].content == b"abcde"


def test_a_chunk_that_is_shorter_than_it_says_is_waited_for(talk):
    connection = talk().hello()
    connection.say(MAIL, RCPT)
    assert connection.feed(b"BDAT 50 LAST\r\nabc\r\nQUIT\r\n") == b""
    assert not connection.closed
    connection.lose()
    assert connection.receiver.committed == []
    assert connection.receiver.begun[0].state == "aborted"


@pytest.mark.parametrize(
    "verb", [b"BDAT 6 LAST\r\nQUIT\r\n", b"NOOP\r\n", b"LHLO a\r\n", b"XCLIENT ADDR=192.0.2.9\r\n"]
)
def test_nothing_behind_starttls_is_run(talk, verb):
    connection = talk(context_factory=object(), xclient_peers=("192.0.2.1",)).hello()
    assert connection.feed(b"STARTTLS\r\n" + verb) == b""
    assert connection.closed
    assert connection.transport.tls_context is None


def test_tls_forgets_a_message_that_came_in_chunks(talk):
    connection = talk(context_factory=object()).hello()
    connection.say(MAIL, RCPT)
    assert connection.feed(b"BDAT 1\r\na").startswith(b"250 ")
    connection.start_tls()
    assert connection.feed(b"BDAT 1 LAST\r\nb").startswith(b"503 ")
    assert connection.receiver.begun[0].state == "aborted"


def test_nul_in_a_message_is_refused(talk):
    connection = talk().begin()
    assert connection.say(b"a\x00b", b".") == b"550 5.6.0 the message holds a NUL octet\r\n"
    assert connection.receiver.begun[0].state == "aborted"


def test_a_bare_lf_ends_no_command_and_twice_ends_the_connection(talk):
    connection = talk()
    connection.hello()
    assert connection.feed(b"NOOP\n").startswith(b"500 5.5.2")
    assert connection.codes(b"NOOP") == [250]
    assert connection.feed(b"NOOP\n").startswith(b"421 ")
    assert connection.closed


def test_a_bare_cr_ends_no_command(talk):
    connection = talk()
    connection.hello()
    assert connection.codes(b"NOOP\rQUIT") == [500]
    assert not connection.closed


def test_octets_behind_starttls_end_the_connection_unanswered(talk):
    connection = talk(context_factory=object())
    connection.hello()
    assert connection.say(b"STARTTLS", MAIL) == b""
    assert connection.closed
    assert connection.transport.tls_context is None
    assert connection.receiver.begun == []


def test_tls_forgets_what_came_in_the_clear(talk):
    context = object()
    connection = talk(context_factory=context)
    connection.hello()
    connection.say(MAIL, RCPT)
    assert connection.codes(b"STARTTLS") == [220]
    assert connection.transport.tls_context is context
    connection.server.handshakeCompleted()
    assert connection.receiver.begun[0].state == "aborted"
    assert connection.codes(MAIL) == [503]
    assert b"STARTTLS" not in connection.say(b"EHLO client.example")
    assert connection.codes(MAIL, RCPT, b"STARTTLS") == [250, 250, 503]
    assert connection.receiver.begun[1].peer.tls == "TLSv1.3 TLS_TEST"


def test_starttls_takes_no_parameters(talk):
    connection = talk(context_factory=object())
    connection.hello()
    assert connection.codes(b"STARTTLS now") == [501]


@pytest.mark.parametrize("verb", [b"EHLO a", b"HELO a"])
def test_a_stranger_waits_for_the_reply_to_hello(talk, verb):
    connection = talk()
    connection.read()
    assert connection.codes(verb, MAIL) == [554]
    assert connection.closed
    assert connection.receiver.begun == []


def test_a_stranger_waits_for_the_reply_to_data(talk):
    connection = talk()
    connection.hello()
    assert connection.codes(MAIL, RCPT, b"DATA", b"x", b".") == [250, 250, 554]
    assert connection.closed
    assert connection.receiver.begun[0].state == "open"
    connection.lose()
    assert connection.receiver.begun[0].state == "aborted"


def test_the_body_behind_a_refused_data_is_never_run_as_commands(talk):
    connection = talk()
    connection.hello()
    assert connection.codes(b"DATA", MAIL, RCPT) == [554]
    assert connection.receiver.begun == []


def test_who_talks_before_the_greeting_is_turned_away(talk):
    connection = talk(greet_delay_seconds=2)
    assert connection.read() == b""
    assert connection.say(b"EHLO a") == b"554 you did not wait for the reply\r\n"
    assert connection.closed
    connection.clock.advance(3)
    assert connection.read() == b""


def test_a_delayed_greeting_comes(talk):
    connection = talk(greet_delay_seconds=2)
    connection.clock.advance(2)
    assert connection.read().startswith(b"220 ")
    assert connection.codes(b"EHLO a") == [250]


def test_a_long_command_line_is_refused_and_the_third_ends_the_connection(talk):
    connection = talk()
    connection.hello()
    assert connection.codes(b"NOOP " + b"x" * 2043) == [250]
    assert connection.codes(b"NOOP " + b"x" * 2044) == [500]
    assert connection.codes(b"NOOP " + b"x" * 50_000) == [500]
    assert connection.codes(b"NOOP " + b"x" * 2044) == [421]
    assert connection.closed


def test_an_endless_command_line_is_not_kept(talk):
    connection = talk()
    connection.hello()
    for _ in range(70):
        answer = connection.feed(b"x" * 1000)
        assert connection.server._framer.buffered <= 12_289
        if answer:
            break
    assert answer.startswith(b"421 ")
    assert connection.closed


def test_a_long_line_of_content_is_content(talk):
    connection = talk().begin()
    line = b"x" * 100_000
    connection.feed(line)
    connection.feed(line)
    assert connection.codes(b"", b".") == [250]
    assert connection.receiver.committed[0].content == line + line + b"\r\n"


def test_errors_slow_a_session_down_and_then_end_it(talk):
    connection = talk()
    connection.hello()
    for _ in range(10):
        assert connection.codes(b"FROB") == [500]
    for _ in range(9):
        assert connection.codes(b"FROB") == []
        connection.clock.advance(1)
        assert connection.codes() == [500]
    assert connection.codes(b"FROB") == [421]
    assert connection.closed


def test_unknown_commands_before_hello_end_the_session_soon(talk):
    connection = talk()
    connection.read()
    assert connection.codes(*[b"GET / HTTP/1.1"] * 5) == [500, 500, 500, 500, 421]


def test_commands_that_bring_no_message_end_the_session(talk):
    connection = talk(junk_commands_max=10)
    connection.read()
    assert connection.codes(*[b"NOOP"] * 11) == [250] * 10 + [421]


def test_guessing_mailboxes_ends_the_session(talk):
    connection = talk(unknown_recipients_max=3)
    connection.hello()
    connection.say(MAIL)
    assert connection.codes(*[b"RCPT TO:<unknown@b.example>"] * 4) == [550, 550, 550, 421]
    assert connection.closed


@pytest.mark.parametrize("octet", [octet for octet in range(128) if octet != 10])
def test_control_characters_of_a_peer_never_reach_a_reply(talk, octet):
    connection = talk()
    connection.hello()
    answer = connection.say(b"FROB" + bytes((octet,)), b"MAIL FROM:<" + bytes((octet,)) + b"@a.example>")
    assert all(32 <= value < 127 for value in answer.replace(b"\r\n", b""))


def test_nul_in_a_chunk_is_refused(talk):
    connection = talk().hello()
    connection.say(MAIL, RCPT)
    assert connection.feed(b"BDAT 3 LAST\r\na\0b").startswith(b"550 5.6.0 ")
    assert connection.receiver.begun[0].state == "aborted"


VERBS = [
    b"BDAT 3",
    b"BDAT 9 LAST",
    b"BDAT",
    b"MAIL FROM:<a@a.example> BODY=BINARYMIME",
    b"EHLO a",
    b"MAIL FROM:<a@a.example>",
    b"RCPT TO:<b@b.example>",
    b"DATA",
    b".",
    b"AUTH PLAIN",
    b"*",
    b"QUIT",
]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(
        st.one_of(
            st.sampled_from([verb + b"\r\n" for verb in VERBS]),
            st.binary(max_size=30),
            st.sampled_from([b"\r", b"\n", b"\r\n"]),
        ),
        max_size=25,
    )
)
def test_no_octets_upset_the_server(talk, portal, pieces):
    connection = talk(portal=portal, allow_cleartext=True)
    connection.hello()
    for piece in pieces:
        connection.server.dataReceived(piece)
        connection.clock.advance(3)
    answer = connection.read()
    assert re.fullmatch(rb"(?:[2-5]\d\d[- ][\x20-\x7e]*\r\n)*", answer)
    assert "smtp.session.failed" not in connection.events.names
    connection.lose()
    connection.clock.pump([1] * 60)  # answers to errors may still be delayed
    states = [transaction.state for transaction in connection.receiver.begun]
    assert "open" not in states
