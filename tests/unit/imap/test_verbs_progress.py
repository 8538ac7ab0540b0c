"""INPROGRESS: what a client hears while its command takes long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.imap.progress import Progress


@pytest.fixture
def suite(make_suite):
    return make_suite(search_seconds=100)


@pytest.fixture
def client(suite, mail):
    suite.account.add_box("other")
    for number in range(100):
        suite.account.put("INBOX", mail(f"number {number % 10}"))
    return suite.connect().login().select()


def begin(suite, client, command):
    """Give a command that then waits for the store; give what is to happen for it to go on."""
    gate = suite.gate()
    assert client.send(b"a " + command + b"\r\n") == b""
    return gate


def pass_time(client, seconds):
    client.clock.advance(seconds)
    return client.received()


@pytest.mark.parametrize("command", [b"COPY 1:* other", b"UID MOVE 1:* other"])
def test_a_long_transfer_says_every_few_seconds_that_it_is_at_work(suite, client, command):
    gate = begin(suite, client, command)
    assert pass_time(client, 3.9) == b""
    line = b'* OK [INPROGRESS ("a" NIL NIL)] still at work\r\n'
    assert pass_time(client, 0.1) == line
    assert pass_time(client, 3.9) == b""
    assert pass_time(client, 0.1) == line
    gate.callback(None)
    client.settle()
    assert b"a OK " in client.received()
    assert pass_time(client, 20) == b""


def test_a_long_search_says_how_far_it_is(suite, client):
    gate = begin(suite, client, b"SEARCH BODY text")
    for told in (0, 32, 64, 96):
        assert pass_time(client, 4) == b'* OK [INPROGRESS ("a" %d 100)] still at work\r\n' % told
        going, gate = gate, suite.gate() if told < 96 else None
        going.callback(None)
        client.settle()
    assert client.received().startswith(b"* SEARCH 1 2 3 ")
    assert pass_time(client, 20) == b""


def test_a_search_for_two_things_counts_each_message_once(suite, client):
    gate = begin(suite, client, b"SEARCH SMALLER 100000 BODY text")
    assert pass_time(client, 4) == b'* OK [INPROGRESS ("a" 0 100)] still at work\r\n'
    following = suite.gate()
    gate.callback(None)
    client.settle()
    assert pass_time(client, 4) == b'* OK [INPROGRESS ("a" 50 100)] still at work\r\n'
    following.callback(None)
    client.settle()
    assert client.received().startswith(b"* SEARCH 1 2 3 ")


@pytest.mark.parametrize("command", [b"SORT (SUBJECT) UTF-8 ALL", b"THREAD REFERENCES UTF-8 ALL"])
def test_sorting_goes_through_the_messages_twice(suite, client, command):
    gate = begin(suite, client, command)
    assert pass_time(client, 4) == b'* OK [INPROGRESS ("a" 100 200)] still at work\r\n'
    gate.callback(None)
    client.settle()
    assert b"a OK " in client.received()


def test_a_search_that_fails_says_nothing_more(suite, client):
    gate = begin(suite, client, b"SEARCH BODY text")
    assert b"INPROGRESS" in pass_time(client, 4)
    client.clock.advance(100)
    assert b"INPROGRESS" in client.received()
    gate.callback(None)
    client.settle()
    assert client.received() == b"a NO [LIMIT] the search takes too long\r\n"
    assert pass_time(client, 20) == b""


def test_who_does_not_keep_up_is_told_nothing(suite, client):
    gate = begin(suite, client, b"COPY 1:* other")
    client.server.pauseProducing()
    assert pass_time(client, 8) == b""
    client.server.resumeProducing()
    assert b"INPROGRESS" in pass_time(client, 4)
    gate.callback(None)
    client.settle()


def test_who_hangs_up_leaves_no_clock_running(suite, client):
    gate = begin(suite, client, b"COPY 1:* other")
    client.transport.loseConnection()
    assert not [call for call in client.clock.getDelayedCalls() if call.getTime() > client.clock.seconds()]
    gate.callback(None)


def test_quick_commands_say_nothing(client):
    for command in (b"SEARCH ALL", b"SORT (DATE) UTF-8 ALL", b"COPY 1 other", b"MOVE 2 other"):
        assert not [line for line in client.ok(command) if b"INPROGRESS" in line]
        assert pass_time(client, 20) == b""


def test_an_operator_can_switch_it_off(make_suite, mail):
    suite = make_suite(progress_seconds=0)
    suite.account.put("INBOX", mail())
    client = suite.connect().login().select()
    gate = begin(suite, client, b"COPY 1 INBOX")
    assert pass_time(client, 60) == b""
    gate.callback(None)
    client.settle()


@given(
    st.integers(0, 50),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3), st.lists(st.integers(0, 40), max_size=8)), max_size=3),
)
def test_what_is_told_only_grows_and_stays_below_the_goal(messages, phases):
    progress = Progress(len(phases) + 1)
    progress.begin(messages)
    told = [progress.counts()]
    for count, each, steps in phases:
        progress.begin(count, each)
        for step in steps:
            progress.add(step)
            told.append(progress.counts())
    known = [counts for counts in told if counts is not None]
    assert all(done < goal for done, goal in known)
    assert known == sorted(known)
