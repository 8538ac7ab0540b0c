"""UNAUTHENTICATE: the way back to a stranger."""

import zlib

import pytest

from mailsuite.imap.session import State
from mailsuite.imap.wire import CommandAssembler


@pytest.fixture
def client(suite, mail):
    suite.account.put("INBOX", mail())
    return suite.connect().login()


LOGIN = b"LOGIN alice@example.test secret"


def test_a_client_that_logs_out_is_a_stranger_and_may_log_in_again(suite, client):
    assert b"UNAUTHENTICATE" in client.ok(b"CAPABILITY")[0].split()
    client.select()
    client.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    lines, status = client.run(b"UNAUTHENTICATE")
    assert (lines, status) == ([], b"OK logged out; somebody else may log in")
    session = client.server.session
    assert (session.state, session.account, session.selected) == (State.NOT_AUTHENTICATED, None, None)
    assert suite.account.logouts == 1
    assert len(suite.account.boxes["INBOX"].messages) == 1, "nothing is expunged"
    capabilities = client.ok(b"CAPABILITY")[0].split()
    assert b"AUTH=PLAIN" in capabilities
    assert b"UNAUTHENTICATE" not in capabilities
    assert client.run(b"SELECT INBOX")[1].startswith(b"BAD ")
    client.ok(LOGIN)
    assert b"* 1 EXISTS" in client.ok(b"SELECT INBOX")
    client.transport.loseConnection()
    assert suite.account.logouts == 2


def test_what_was_switched_on_and_saved_is_forgotten(client):
    client.ok(b"ENABLE QRESYNC UTF8=ACCEPT IMAP4rev2")
    client.select()
    client.ok(b"SEARCH RETURN (SAVE) ALL")
    client.ok(b"UNAUTHENTICATE")
    client.ok(LOGIN)
    lines = client.ok(b"SELECT INBOX")
    assert any(line.endswith(b"RECENT") for line in lines), "IMAP4rev2 tells no RECENT"
    assert client.ok(b"SEARCH $") == [b"* SEARCH"]
    assert client.ok(b"STORE 1 +FLAGS (a)")[-1].endswith(b"FETCH (FLAGS (a))"), "no UID and no MODSEQ"
    assert client.run(b"SELECT INBOX (QRESYNC (7 1))")[1].startswith(b"BAD ")
    assert client.run(b"CREATE \xc3\xbc")[1].startswith((b"BAD", b"NO"))


def test_the_limits_from_before_the_login_hold_again(suite, client):
    client.ok(b"UNAUTHENTICATE")
    assert client.send(b"a LOGIN {5000}\r\n").startswith(b"a BAD ")
    client.clock.advance(59)
    assert client.connected
    client.send(b"b NOOP\r\n")  # does not give more time
    client.clock.advance(2)
    assert client.received().startswith(b"* BYE ")
    assert not client.connected


def test_after_a_login_there_is_time_again(client):
    client.ok(b"UNAUTHENTICATE")
    client.ok(LOGIN)
    client.clock.advance(600)
    client.ok(b"NOOP")


def test_the_connection_counts_for_nobody(make_suite):
    suite = make_suite(connections_per_account=2)
    first, second = (suite.connect().login() for _ in range(2))
    assert not (third := suite.connect()).send(b"a " + LOGIN + b"\r\n").rpartition(b"a OK")[1]
    assert not third.connected
    first.ok(b"UNAUTHENTICATE")
    assert first.server.account_email == ""
    suite.connect().login()
    assert b"BYE" in first.send(b"a " + LOGIN + b"\r\n")
    second.transport.loseConnection()
    suite.connect().login()


def test_bad_commands_are_counted_anew(make_suite):
    client = make_suite(bad_commands_before_login=3, bad_commands_after_login=20).connect().login()
    for _ in range(10):
        assert client.run(b"FOO")[1].startswith(b"BAD ")
    client.ok(b"UNAUTHENTICATE")
    for _ in range(2):
        assert client.run(b"FOO")[1].startswith(b"BAD ")
    assert b"BYE" in client.send(b"a FOO\r\n")


def test_who_logs_out_and_in_need_not_wait_in_between(suite, client):
    answer = client.send(b"a SELECT INBOX\r\nb UNAUTHENTICATE\r\nc " + LOGIN + b"\r\nd SELECT INBOX\r\n")
    assert [line[:4] for line in answer.split(b"\r\n") if line[1:2] == b" " and line[:1] != b"*"] == [
        b"a OK",
        b"b OK",
        b"c OK",
        b"d OK",
    ]
    assert suite.account.logouts == 1


@pytest.mark.parametrize("length", [1, 7, 1000])
def test_it_is_the_same_however_the_octets_come(client, length):
    octets = b"a unauthenticate\r\nb NOOP\r\n"
    answer = b"".join(client.send(octets[at : at + length]) for at in range(0, len(octets), length))
    assert answer == b"a OK logged out; somebody else may log in\r\nb OK NOOP completed\r\n"


@pytest.mark.parametrize("command", [b"UNAUTHENTICATE x", b"UNAUTHENTICATE ", b"UID UNAUTHENTICATE"])
def test_what_cannot_be_read_is_bad(client, command):
    assert client.run(command)[1].startswith(b"BAD ")
    client.ok(b"STATUS INBOX (MESSAGES)")


def test_a_stranger_cannot_log_out(suite):
    client = suite.connect()
    client.received()
    assert client.run(b"UNAUTHENTICATE")[1].startswith(b"BAD ")


def test_an_operator_can_switch_it_off(make_suite):
    client = make_suite(capabilities_off=("UNAUTHENTICATE",)).connect().login()
    assert b"UNAUTHENTICATE" not in client.ok(b"CAPABILITY")[0]
    assert client.run(b"UNAUTHENTICATE")[1].startswith(b"BAD ")
    client.ok(b"STATUS INBOX (MESSAGES)")


class Compressed:
    """A client that compresses what it says."""

    def __init__(self, client):
        self.client = client
        self.deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        self.inflate = zlib.decompressobj(-15)
        assert client.send(b"c COMPRESS DEFLATE\r\n") == b"c OK DEFLATE active\r\n"

    def write(self, octets, flush=zlib.Z_SYNC_FLUSH):
        return self.deflate.compress(octets) + self.deflate.flush(flush)


OUT = b"a OK logged out; somebody else may log in\r\n"


@pytest.mark.parametrize("flush", [zlib.Z_SYNC_FLUSH, zlib.Z_FINISH])
@pytest.mark.parametrize("length", [1, 5, 1000])
@pytest.mark.parametrize("waits", [False, True])
def test_compression_ends_with_the_answer(client, flush, length, waits):
    """RFC 8437 section 4.1."""
    far = Compressed(client)
    octets = far.write(b"a UNAUTHENTICATE\r\n", flush)
    plain = b"b NOOP\r\n"
    if waits:
        assert far.inflate.decompress(client.send(octets)) == OUT
        assert client.send(plain) == b"b OK NOOP completed\r\n"
    else:
        octets += plain
        answer = b"".join(client.send(octets[at : at + length]) for at in range(0, len(octets), length))
        compressed, _, said = answer.partition(b"b OK")
        assert far.inflate.decompress(compressed) == OUT
        assert said == b" NOOP completed\r\n"
    client.ok(LOGIN)
    assert any(b"COMPRESS=DEFLATE" in line for line in client.ok(b"CAPABILITY"))


def test_what_is_plain_waits_for_the_commands_before_it(suite, client):
    far = Compressed(client)
    gate = suite.gate()
    client.send(far.write(b"s SELECT INBOX\r\n"))
    client.send(far.write(b"a UNAUTHENTICATE\r\n"))
    client.send(b"b NOOP\r\n")
    client.send(b"c NOOP\r\n")
    gate.callback(None)
    client.settle()
    compressed, _, said = client.received().partition(b"b OK")
    assert far.inflate.decompress(compressed).endswith(OUT)
    assert said == b" NOOP completed\r\nc OK NOOP completed\r\n"


def test_the_word_in_a_message_ends_nothing(suite, client):
    far = Compressed(client)
    content = b"Subject: UNAUTHENTICATE\r\n\r\nUNAUTHENTICATE\r\n"
    answer = client.send(
        far.write(b"a APPEND INBOX {%d+}\r\n" % len(content)) + far.write(content) + far.write(b"\r\nb NOOP\r\n")
    )
    assert b"b OK NOOP completed\r\n" in far.inflate.decompress(answer)
    assert suite.account.boxes["INBOX"].messages[2].content == content


def test_who_flushes_in_another_way_is_not_waited_for_long(client):
    far = Compressed(client)
    assert client.send(far.write(b"a UNAUTHENTICATE\r\n", zlib.Z_PARTIAL_FLUSH)) == b""
    client.clock.advance(1)
    assert far.inflate.decompress(client.received()) == OUT
    assert client.send(b"b NOOP\r\n") == b"b OK NOOP completed\r\n"


def test_who_hangs_up_meanwhile_leaves_no_clock_running(client):
    far = Compressed(client)
    client.send(far.write(b"a UNAUTHENTICATE\r\n", zlib.Z_PARTIAL_FLUSH))
    client.transport.loseConnection()
    assert client.clock.getDelayedCalls() == []


def test_few_octets_that_stand_for_many_do_not_fill_the_memory(client, monkeypatch):
    far = Compressed(client)
    most = 0
    feed = CommandAssembler.feed

    def watch(assembler, octets):
        nonlocal most
        feed(assembler, octets)
        most = max(most, assembler.buffered_octets)

    monkeypatch.setattr(CommandAssembler, "feed", watch)
    client.send(far.write(b"a UNAUTHENTICATE\r\n" + b" " * 50_000_000))
    assert most < 300_000
    client.transport.loseConnection()


def test_what_was_to_be_told_is_told_nobody(suite, client, mail):
    client.ok(b"NOTIFY SET (PERSONAL (MessageNew MessageExpunge))")
    client.ok(b"UNAUTHENTICATE")
    suite.account.deliver("INBOX", mail())
    client.clock.advance(40)
    assert client.received() == b""
    assert client.server.session.watching is None
