"""Deliveries that were written for Twisted's own server."""

import attrs
import pytest
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, fail, succeed
from twisted.mail.interfaces import IMessageDelivery, IMessageDeliveryFactory, IMessageSMTP
from twisted.mail.smtp import SMTPBadRcpt, SMTPBadSender, SMTPServerError
from zope.interface import implementer

from mailsuite.smtp import receiver_from_delivery

MAIL = b"MAIL FROM:<a@a.example>"
RCPT = b"RCPT TO:<b@b.example>"


@implementer(IMessageSMTP)
@attrs.define(eq=False)
class Message:
    answer: object = None
    lines: list = attrs.field(factory=list)
    ended: str = ""

    def lineReceived(self, line):
        if isinstance(self.answer, SMTPServerError) and line == b"refuse me":
            raise self.answer
        self.lines.append(line)

    def eomReceived(self):
        self.ended = "eom"
        return self.answer if isinstance(self.answer, Deferred) else succeed(None)

    def connectionLost(self):
        self.ended = "lost"


@implementer(IMessageDelivery)
@attrs.define(eq=False)
class Delivery:
    messages: list = attrs.field(factory=list)
    seen: list = attrs.field(factory=list)
    answer: object = None
    header: bytes = b"Received: by test"

    def receivedHeader(self, helo, origin, recipients):
        self.seen.append((helo, bytes(origin), [bytes(user) for user in recipients]))
        return self.header

    def validateFrom(self, helo, origin):
        self.seen.append((helo, bytes(origin)))
        if bytes(origin) == b"bad@a.example":
            raise SMTPBadSender(origin)
        return succeed(origin)

    def validateTo(self, user):
        if user.dest.local == b"bad":
            raise SMTPBadRcpt(user)
        if user.dest.local == b"later":
            return fail(SMTPServerError(450, "come back"))

        def make():
            self.messages.append(Message(self.answer))
            return self.messages[-1]

        return make


@pytest.fixture
def delivery():
    return Delivery()


@pytest.fixture
def connection(talk, delivery):
    return talk(receiver_from_delivery(delivery, hostname="mx.example")).hello()


def test_each_recipient_gets_the_lines(connection, delivery):
    assert connection.codes(MAIL, RCPT, b"RCPT TO:<c@b.example>", b"DATA") == [250, 250, 250, 354]
    assert connection.codes(b"Subject: x", b"", b"..dot", b".") == [250]
    for message in delivery.messages:
        assert message.lines == [b"Received: by test", b"Subject: x", b"", b".dot"]
        assert message.ended == "eom"
    assert delivery.seen == [
        ((b"client.example", b"192.0.2.1"), b"a@a.example"),
        ((b"client.example", b"192.0.2.1"), b"a@a.example", [b"b@b.example"]),
        ((b"client.example", b"192.0.2.1"), b"a@a.example", [b"c@b.example"]),
    ]


def test_lines_are_whole_however_the_content_is_cut(connection, delivery):
    connection.say(MAIL, RCPT, b"DATA")
    for octet in b"Subject: x\r\n\r\nbody\r\n.\r\n":
        connection.server.dataReceived(bytes((octet,)))
    assert delivery.messages[0].lines[1:] == [b"Subject: x", b"", b"body"]


def test_a_body_without_header_is_kept_apart_from_ours(connection, delivery):
    connection.say(MAIL, RCPT, b"DATA")
    connection.say(b"just text", b".")
    assert delivery.messages[0].lines == [b"Received: by test", b"", b"just text"]


def test_the_null_reverse_path(connection, delivery):
    assert connection.codes(b"MAIL FROM:<>") == [250]
    assert delivery.seen[0][1] == b""


def test_refusals_keep_their_codes(connection):
    assert connection.codes(b"MAIL FROM:<bad@a.example>") == [550]
    assert connection.codes(MAIL, b"RCPT TO:<bad@b.example>", b"RCPT TO:<later@b.example>") == [250, 550, 450]


def test_a_refusal_at_the_end_keeps_its_code(connection, delivery):
    delivery.answer = fail(SMTPServerError(451, "later"))
    connection.say(MAIL, RCPT, b"DATA")
    assert connection.say(b"x", b".") == b"451 4.0.0 later\r\n"


def test_a_bug_at_the_end_is_temporary(connection, delivery):
    delivery.answer = fail(ZeroDivisionError())
    connection.say(MAIL, RCPT, b"DATA")
    assert connection.codes(b"x", b".") == [451]


def test_a_line_may_be_refused(connection, delivery):
    delivery.answer = SMTPServerError(554, "no spam")
    connection.say(MAIL, RCPT, b"DATA")
    assert connection.say(b"a: b", b"refuse me", b"", b"rest", b".") == b"554 5.0.0 no spam\r\n"
    assert delivery.messages[0].ended == "lost"


def test_a_lost_connection_is_told(connection, delivery):
    connection.say(MAIL, RCPT, b"DATA")
    connection.lose()
    assert delivery.messages[0].ended == "lost"


def test_a_factory_makes_one_delivery_for_each_message(talk):
    made = []

    @implementer(IMessageDeliveryFactory)
    class Factory:
        def getMessageDelivery(self):
            made.append(Delivery())
            return made[-1]

    connection = talk(receiver_from_delivery(Factory())).hello()
    for _ in range(2):
        connection.say(MAIL, RCPT, b"DATA")
        assert connection.codes(b"x", b".") == [250]
    assert [len(delivery.messages) for delivery in made] == [1, 1]


def test_a_realm_for_twisteds_server_serves_ours(talk, delivery, make_realm):
    checker = InMemoryUsernamePasswordDatabaseDontUse()
    checker.addUser(b"alice", b"secret")
    portal = Portal(make_realm(delivery), [checker])
    connection = talk(portal=portal, allow_cleartext=True, require_auth=True).hello()
    assert connection.codes(b"AUTH PLAIN AGFsaWNlAHNlY3JldA==", MAIL, RCPT) == [235, 250, 250]
    assert connection.codes(b"DATA") == [354]
    assert connection.codes(b"x", b".") == [250]
    assert delivery.messages[0].ended == "eom"


def test_anything_else_is_no_delivery():
    with pytest.raises(TypeError):
        receiver_from_delivery(object())
