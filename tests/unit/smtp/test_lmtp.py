"""LMTP: a reply for each recipient. RFC 2033."""

import pytest

from mailsuite.errors import Kind, MailError
from mailsuite.smtp import LMTPFactory, SMTPSettings

MAIL = b"MAIL FROM:<a@a.example>"


def rcpt(name):
    return b"RCPT TO:<%s@b.example>" % name


@pytest.fixture
def lmtp(talk):
    class LMTPTalk(talk):
        factory_class = LMTPFactory

    def make(receiver=None, **settings):
        connection = LMTPTalk(receiver, **settings)
        connection.read()
        return connection

    return make


@pytest.fixture
def ready(lmtp):
    """A connection with two recipients, and one that was refused between them."""

    def make(receiver=None, **settings):
        connection = lmtp(receiver, **settings)
        connection.say(b"LHLO client.example")
        assert connection.codes(MAIL, rcpt(b"b"), rcpt(b"unknown"), rcpt(b"c")) == [250, 250, 550, 250]
        return connection

    return make


def test_lhlo_takes_the_place_of_ehlo(lmtp):
    connection = lmtp()
    assert connection.say(b"EHLO client.example") == b"500 this is LMTP, say LHLO\r\n"
    assert connection.say(b"HELO client.example").startswith(b"500 ")
    assert connection.codes(MAIL) == [503]
    assert connection.say(b"LHLO") == b"501 say your host name\r\n"
    announced = connection.say(b"LHLO client.example").splitlines()
    assert announced[0] == b"250-mx.example"
    assert {b"250-PIPELINING", b"250-ENHANCEDSTATUSCODES", b"250-8BITMIME", b"250-CHUNKING"} < set(announced)
    assert connection.codes(MAIL) == [250]
    assert connection.receiver.begun[0].peer.lmtp


def test_smtp_knows_no_lhlo(talk):
    connection = talk()
    connection.read()
    assert connection.codes(b"LHLO client.example") == [500]


def test_the_greeting_and_help_say_what_it_is(lmtp, talk):
    connection = lmtp()
    assert connection.server.greeting() == b"mx.example LMTP"
    assert b"LHLO" in connection.say(b"HELP")


def test_each_recipient_has_its_reply(ready):
    connection = ready()
    assert connection.codes(b"DATA") == [354]
    assert connection.say(b"x", b".") == b"250 2.0.0 queued as q1\r\n" * 2
    assert connection.receiver.committed[0].recipients == ["b@b.example", "c@b.example"]
    assert connection.codes(b"NOOP") == [250]


def test_the_same_recipient_twice_has_two(lmtp):
    connection = lmtp()
    connection.say(b"LHLO client.example")
    assert connection.codes(MAIL, rcpt(b"b"), rcpt(b"b"), b"DATA") == [250, 250, 250, 354]
    assert connection.codes(b"x", b".", b"NOOP") == [250, 250, 250]


def test_no_recipient_no_content(lmtp):
    connection = lmtp()
    connection.say(b"LHLO client.example")
    assert connection.codes(MAIL, rcpt(b"unknown"), b"DATA") == [250, 550, 503]


@pytest.mark.parametrize(
    ("place", "error", "code"),
    [
        ("commit", MailError(Kind.UNAVAILABLE), 451),
        ("commit", MailError(Kind.DENIED), 550),
        ("write", MailError(Kind.TOO_LARGE), 552),
        ("write", ValueError("ours"), 451),
    ],
)
def test_a_failure_is_told_for_each(ready, codes_of, receiver, place, error, code):
    receiver.answers[place] = [error]
    connection = ready(receiver)
    connection.say(b"DATA")
    assert codes_of(connection.say(b"x", b".", b"NOOP")) == [code, code, 250]


def test_a_fault_of_ours_is_told_for_each_and_ends_the_connection(ready, receiver):
    receiver.answers["commit"] = [ValueError("ours")]
    connection = ready(receiver)
    connection.say(b"DATA")
    assert connection.codes(b"x", b".", b"NOOP") == [451, 451, 421]
    assert connection.events.names[-1] == "smtp.session.failed"


def test_bad_content_is_refused_for_each(ready):
    connection = ready()
    connection.say(b"DATA")
    assert connection.codes(b"a\nb", b".") == [550, 550]


def test_only_the_last_chunk_is_answered_for_each(ready, codes_of):
    connection = ready()
    assert codes_of(connection.feed(b"BDAT 1\r\na")) == [250]
    assert codes_of(connection.feed(b"BDAT 1 LAST\r\nb")) == [250, 250]
    assert connection.receiver.committed[0].content == b"ab"


def test_a_refused_message_in_chunks_is_answered_for_each_at_its_end(ready, codes_of, receiver):
    receiver.answers["write"] = [MailError(Kind.DENIED)]
    connection = ready(receiver)
    stream = b"BDAT 1\r\naBDAT 1\r\nbBDAT 1 LAST\r\ncBDAT 1 LAST\r\ndNOOP\r\n"
    assert codes_of(connection.feed(stream)) == [550, 550, 550, 550, 503, 250]


def test_the_last_chunk_without_a_recipient_has_no_reply(lmtp, codes_of):
    # RFC 2033 section 4.3: as many as there are recipients
    connection = lmtp()
    connection.say(b"LHLO client.example")
    lines = MAIL + b"\r\n" + rcpt(b"unknown") + b"\r\n"
    assert codes_of(connection.feed(lines + b"BDAT 1 LAST\r\na" + MAIL + b"\r\n")) == [250, 550, 250]
    assert codes_of(connection.feed(b"BDAT 0 LAST\r\n")) == []
    assert codes_of(connection.feed(lines + b"BDAT 1\r\naBDAT 1 LAST\r\nbNOOP\r\n")) == [250, 550, 503, 250]
    assert connection.receiver.committed == []
    assert connection.server.session.errors == 1


def test_chunks_outside_a_transaction_have_one_reply(lmtp, codes_of):
    connection = lmtp()
    connection.say(b"LHLO client.example")
    assert codes_of(connection.feed(b"BDAT 1\r\naBDAT 1 LAST\r\nbNOOP\r\n")) == [503, 503, 250]


def test_tls_and_delays_are_for_strangers_only(lmtp):
    connection = lmtp(require_tls=True, greet_delay_seconds=5)
    connection.say(b"LHLO client.example")
    assert connection.codes(MAIL) == [250]
    connection.factory.reconfigure(SMTPSettings(require_tls=True, recipients_max=1))
    assert not connection.factory.settings.require_tls
    assert connection.factory.settings.recipients_max == 1
    assert connection.factory.settings.banner == "LMTP"
