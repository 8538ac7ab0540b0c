"""IDLE: told as it happens."""

import pytest


@pytest.fixture
def client(suite, mail):
    for number in range(2):
        suite.account.put("INBOX", mail(str(number)))
    client = suite.connect().login().select()
    assert client.send(b"i IDLE\r\n").startswith(b"+ ")
    return client


def test_an_arrival_is_pushed(suite, mail, client):
    suite.account.deliver("INBOX", mail())
    assert client.received().startswith(b"* 3 EXISTS\r\n")
    assert client.send(b"DONE\r\n") == b"i OK IDLE completed\r\n"


def test_flags_and_expunges_of_others_are_pushed(suite, client):
    other = suite.connect().login().select()
    other.ok(b"STORE 1 +FLAGS (\\Deleted)")
    assert client.received() == b"* 1 FETCH (FLAGS (\\Deleted \\Recent))\r\n"
    other.ok(b"EXPUNGE")
    assert client.received().startswith(b"* 1 EXPUNGE\r\n")


def test_changes_of_other_mailboxes_are_not(suite, mail, client):
    suite.account.add_box("other")
    suite.account.deliver("other", mail())
    assert client.received() == b""


def test_what_comes_while_a_push_is_prepared_is_pushed_too(suite, mail, client):
    gate = suite.gate()
    suite.account.deliver("INBOX", mail())
    suite.account.deliver("INBOX", mail())
    assert client.received() == b""
    gate.callback(None)
    client.settle()
    assert b"* 4 EXISTS\r\n" in client.received()


def test_done_during_a_push_tells_it_once(suite, mail, client):
    gate = suite.gate()
    suite.account.deliver("INBOX", mail())
    answer = client.send(b"DONE\r\n")
    gate.callback(None)
    client.settle()
    answer += client.received()
    assert answer.count(b"* 3 EXISTS\r\n") == 1
    assert b"i OK" in answer
    assert client.ok(b"NOOP") == []


def test_nothing_is_pushed_after_done(suite, mail, client):
    client.send(b"DONE\r\n")
    suite.account.deliver("INBOX", mail())
    assert client.received() == b""
    assert b"* 3 EXISTS" in client.ok(b"NOOP")


@pytest.mark.parametrize("line", [b"done", b"DoNe"])
def test_done_in_any_case(client, line):
    assert client.send(line + b"\r\n").startswith(b"i OK")


def test_anything_else_is_bad_and_ends_idle(client):
    assert client.send(b"x NOOP\r\n").startswith(b"i BAD")
    client.ok(b"NOOP")


def test_done_and_the_next_command_in_one_segment(client):
    answer = client.send(b"DONE\r\nb NOOP\r\n")
    assert answer.index(b"i OK") < answer.index(b"b OK")


def test_idle_done_in_one_segment(suite):
    client = suite.connect().login().select()
    answer = client.send(b"i IDLE\r\nDONE\r\n")
    assert b"i OK" in answer


def test_idle_without_a_mailbox(suite):
    client = suite.connect().login()
    assert client.send(b"i IDLE\r\n").startswith(b"+ ")
    suite.clock.advance(300)
    assert client.connected
    assert b"i OK" in client.send(b"DONE\r\n")


def test_the_line_is_kept_warm_and_the_folder_looked_at(suite, mail, client):
    suite.account.put("INBOX", mail())  # by another program: no notice
    received = b""
    for _ in range(13):
        suite.clock.advance(10)
        received += client.received()
    assert b"* 3 EXISTS\r\n" in received
    assert b"* OK " in received


def test_a_full_transport_gets_no_pushes_but_one_when_it_is_empty(suite, mail, client):
    client.transport.producer.pauseProducing()
    suite.account.deliver("INBOX", mail())
    suite.account.deliver("INBOX", mail())
    assert client.received() == b""
    client.transport.producer.resumeProducing()
    client.settle()
    assert client.received().startswith(b"* 4 EXISTS\r\n")


def test_idle_ends_with_the_idle_time(suite, client):
    suite.clock.pump([60] * 31)
    assert b"* BYE" in client.received()
    assert not client.connected


def test_a_client_that_vanishes_while_idle_leaves_nothing(suite, client):
    client.transport.loseConnection()
    assert suite.account.changes.listeners == []
    assert suite.clock.getDelayedCalls() == []


def test_a_mailbox_that_is_deleted_under_an_idling_client(suite, mail):
    box = suite.account.add_box("doomed")
    client = suite.connect().login().select(b"doomed")
    client.send(b"i IDLE\r\n")
    del suite.account.boxes["doomed"]
    box.modseq += 1
    suite.account.tell(box)
    assert b"* BYE" in client.received()
    assert not client.connected


def test_a_push_that_fails_is_tried_again_later(suite, mail, client):
    from mailsuite.errors import Kind, MailError

    suite.account.failure = MailError(Kind.UNAVAILABLE, "busy")
    suite.account.deliver("INBOX", mail())
    assert client.connected
    suite.clock.advance(60)
    client.settle()
    assert b"* 3 EXISTS\r\n" in client.received()


def test_what_came_between_the_last_answer_and_idle_is_told_at_once(suite, mail):
    client = suite.connect().login().select()
    suite.account.deliver("INBOX", mail())
    answer = client.send(b"i IDLE\r\n")
    assert answer.startswith(b"+ ")
    assert b"* 1 EXISTS\r\n" in answer


def test_what_a_search_could_not_tell_is_told_as_idle_begins(suite, mail):
    for _ in range(2):
        suite.account.put("INBOX", mail(), {"\\Deleted"})
    client, other = suite.connect().login().select(), suite.connect().login().select()
    other.ok(b"EXPUNGE")
    assert client.ok(b"SEARCH 1:2") == [b"* SEARCH"]
    assert b"* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n" in client.send(b"i IDLE\r\n")


def test_a_search_knows_what_another_client_has_done(suite, mail):
    suite.account.put("INBOX", mail())
    client, other = suite.connect().login().select(), suite.connect().login().select()
    other.ok(b"STORE 1 +FLAGS (\\Flagged)")
    assert client.ok(b"SEARCH FLAGGED")[0] == b"* SEARCH 1"


@pytest.mark.parametrize("octets", [b"DONE\r\n", b"DONE\r\nj IDLE\r\n", b"DONE\r\nj NOOP\r\n"])
def test_a_transport_may_deliver_as_soon_as_reading_goes_on(suite, mail, octets):
    suite.account.put("INBOX", mail())
    client = suite.connect().login().select()
    resume = client.transport.resumeProducing

    def deliver():
        client.transport.resumeProducing = resume
        client.server.dataReceived(octets)

    client.transport.resumeProducing = deliver
    client.server._reading_paused = True
    answer = client.send(b"i IDLE\r\n")
    assert answer.startswith(b"+ idling\r\ni OK IDLE completed\r\n")
    idles = octets.endswith(b"IDLE\r\n")
    assert client.server.pushing is idles
    looks = [call for call in suite.clock.getDelayedCalls() if call.func.__name__ == "_look_again"]
    assert len(looks) == idles
