"""APPEND: where the octets go, and what is refused before they come."""

import pytest

from mailsuite.errors import Kind, MailError


@pytest.fixture
def client(suite):
    return suite.connect().login()


def test_append_says_which_uid_it_took(suite, client):
    assert client.send(b'a APPEND INBOX (\\Seen kw) "17-Jul-1996 02:44:25 -0700" {4}\r\n').startswith(b"+ ")
    answer = client.send(b"\r\nhi\r\n")
    assert answer.startswith(b"a OK [APPENDUID 7 1]")
    message = suite.account.boxes["INBOX"].messages[1]
    assert message.content == b"\r\nhi"
    assert message.flags == {"\\Seen", "kw"}
    assert message.date == 837596665


def test_a_selected_mailbox_is_told_at_once(suite, client):
    client.select()
    answer = client.send(b"a APPEND INBOX {4+}\r\n\r\nhi\r\n")
    assert answer.startswith(b"* 1 EXISTS\r\n")


def test_several_messages_are_one_append(suite, client):
    answer = client.send(b"a APPEND INBOX {4+}\r\n\r\nhi (\\Seen) {4+}\r\n\r\nho\r\n")
    assert answer.startswith(b"a OK [APPENDUID 7 1:2]")
    assert suite.account.calls.count("append") == 1
    assert suite.account.boxes["INBOX"].messages[2].flags == {"\\Seen"}


def test_a_large_message_goes_to_a_file_while_it_comes(suite, client):
    size = 200_000
    assert client.send(b"a APPEND INBOX {%d}\r\n" % size).startswith(b"+ ")
    (file,) = suite.account.files
    assert file.announced == size
    client.send(b"x" * 150_000)
    assert len(file.octets) == 150_000
    answer = client.send(b"x" * 50_000 + b"\r\n")
    assert answer.startswith(b"a OK")
    assert suite.account.boxes["INBOX"].messages[1].content == b"x" * size
    assert not file.aborted


def test_a_large_message_that_does_not_come_whole_leaves_nothing(suite, client):
    client.send(b"a APPEND INBOX {200000}\r\n")
    client.send(b"x" * 1000)
    client.transport.loseConnection()
    assert suite.account.files[0].aborted
    assert suite.account.boxes["INBOX"].messages == {}


def test_a_small_message_that_does_not_come_whole_leaves_nothing(suite, client):
    client.send(b"a APPEND INBOX {100+}\r\nhalf")
    client.transport.loseConnection()
    assert suite.account.boxes["INBOX"].messages == {}


def test_too_large_is_refused_before_it_is_sent(make_suite):
    client = make_suite(literal_max_octets=1000).connect().login()
    answer = client.send(b"a APPEND INBOX {1001}\r\n")
    assert answer.startswith(b"a NO [TOOBIG]")
    assert client.run(b"NOOP")[1].startswith(b"OK")


def test_too_large_that_comes_unasked_is_passed_over(make_suite):
    suite = make_suite(literal_max_octets=1000)
    client = suite.connect().login()
    assert client.send(b"a APPEND INBOX {3000+}\r\n").startswith(b"a NO [TOOBIG]")
    answer = client.send(b"b LOGOUT\r\n" * 300 + b"\r\nc NOOP\r\n")
    assert b"b OK" not in answer
    assert b"c OK" in answer
    assert suite.account.boxes["INBOX"].messages == {}


def test_absurd_sizes_are_refused(client):
    assert client.send(b"a APPEND INBOX {99999999999999}\r\n").startswith(b"a NO [TOOBIG]")
    assert client.send(b"b APPEND INBOX {-5}\r\n").startswith(b"b BAD")
    answer = client.send(b"c APPEND INBOX {99999999999999+}\r\n")
    assert b"c NO" in answer
    assert b"* BYE" in answer
    assert not client.connected


def test_quota_is_checked_before_the_octets_come(suite, client):
    suite.account.limit = 100
    assert client.send(b"a APPEND INBOX {101}\r\n").startswith(b"a NO [OVERQUOTA]")
    assert client.send(b"b APPEND INBOX {100}\r\n").startswith(b"+ ")
    assert client.send(b"x" * 100 + b"\r\n").startswith(b"b OK")


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_missing_mailbox_asks_for_create(client, size):
    answer = client.send(b"a APPEND nowhere {%d+}\r\n" % size + b"x" * size + b"\r\nb NOOP\r\n")
    assert answer.startswith(b"a NO [TRYCREATE]")
    assert b"b OK" in answer


def test_nul_is_refused_and_the_session_goes_on(suite, client):
    answer = client.send(b"a APPEND INBOX {4+}\r\n\0abc\r\nb NOOP\r\n")
    assert answer.startswith(b"a NO")
    assert b"b OK" in answer
    assert suite.account.boxes["INBOX"].messages == {}


def test_one_bad_message_of_several_refuses_all(suite, client):
    answer = client.send(b"a APPEND INBOX {4+}\r\ngood {4+}\r\n\0bad {4+}\r\ngood\r\nb NOOP\r\n")
    assert answer.startswith(b"a NO")
    assert b"b OK" in answer
    assert suite.account.boxes["INBOX"].messages == {}


@pytest.mark.parametrize(
    "command",
    [
        b"a APPEND INBOX {0}\r\n",
        b"a APPEND INBOX {0+}\r\n\r\n",
        b"a APPEND INBOX {4+}\r\ngood {0}\r\n",
        b"a APPEND INBOX {4+}\r\ngood {0+}\r\n\r\n",
        b"a APPEND INBOX {4+}\r\ngood {0+}\r\n {4+}\r\ngood\r\n",
        b"a APPEND INBOX {100000+}\r\n" + b"x" * 100_000 + b" {0+}\r\n\r\n",
    ],
)
def test_an_empty_message_cancels_all(suite, client, command):
    answer = client.send(command + b"b NOOP\r\n")
    assert answer.startswith(b"a NO an empty message")
    assert b"b OK" in answer
    assert suite.account.boxes["INBOX"].messages == {}
    assert all(file.aborted for file in suite.account.files)


def test_a_store_that_fails_is_told_and_keeps_nothing(suite, client):
    client.send(b"a APPEND INBOX {200000}\r\n")
    client.send(b"x" * 199_999)
    suite.account.failure = MailError(Kind.UNAVAILABLE, "no disk")
    assert client.send(b"x\r\n").startswith(b"a NO [UNAVAILABLE]")
    assert suite.account.files[0].aborted
    client.ok(b"NOOP")


@pytest.mark.parametrize(
    "line",
    [
        b"a APPEND INBOX\r\n",
        b"a APPEND INBOX nonsense {3}\r\n",
        b"a APPEND INBOX (\\*) {3}\r\n",
        b"a APPEND {3}\r\n",
    ],
)
def test_what_cannot_be_read_is_bad(client, line):
    answer = client.send(line)
    if answer.startswith(b"+ "):  # the literal was taken for the mailbox
        answer = client.send(b"abc\r\n")
    assert answer.startswith(b"a BAD")
    client.ok(b"NOOP")


def test_text_behind_the_message_is_bad_and_nothing_is_stored(suite, client):
    assert client.send(b"a APPEND INBOX {2+}\r\nhi nonsense\r\n").startswith(b"a BAD")
    assert suite.account.boxes["INBOX"].messages == {}


def test_append_before_login_is_refused_with_its_octets(suite):
    client = suite.connect()
    client.received()
    answer = client.send(b"a APPEND INBOX {10}\r\n")
    assert answer.startswith(b"a BAD")
    assert b"+ " not in answer
    client.login()


def test_the_octets_wait_for_a_slow_disk(suite, client):
    client.send(b"a APPEND INBOX {1000000}\r\n")
    (file,) = suite.account.files
    gates = []

    async def write(chunk):
        from twisted.internet.defer import Deferred

        gates.append(Deferred())
        await gates[-1]
        file.octets += chunk

    file.write = write
    client.send(b"x" * 300_000)
    client.send(b"x" * 300_000)
    assert client.transport.producerState == "paused"
    for gate in gates:
        gate.callback(None)
    assert client.transport.producerState == "producing"
    assert len(file.octets) == 600_000
