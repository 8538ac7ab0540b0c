"""AUTH: RFC 4954."""

import base64

import pytest
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from mailsuite.errors import Kind, MailError

GOOD = base64.b64encode(b"\0alice@b.example\0secret")
BAD = base64.b64encode(b"\0alice@b.example\0wrong")
MAIL = b"MAIL FROM:<a@a.example>"


@pytest.fixture
def login(talk, portal, receiver):
    def connect(**settings):
        connection = talk(receiver, portal=portal, **{"allow_cleartext": True, **settings})
        return connection.hello()

    return connect


def b64(octets):
    return base64.b64encode(octets)


def test_plain_with_initial_response(login, receiver):
    connection = login(require_auth=True)
    assert connection.codes(MAIL) == [530]
    assert connection.say(b"AUTH PLAIN " + GOOD) == b"235 2.7.0 authentication succeeded\r\n"
    assert connection.codes(MAIL) == [250]
    assert receiver.begun[0].peer.account == "alice@b.example"
    assert "smtp.login.succeeded" in connection.events.names


def test_plain_as_a_dialogue(login):
    connection = login()
    assert connection.say(b"auth plain") == b"334 \r\n"
    assert connection.codes(GOOD) == [235]


def test_login_as_a_dialogue(login):
    connection = login()
    assert connection.say(b"AUTH LOGIN") == b"334 " + b64(b"Username:") + b"\r\n"
    assert connection.say(b64(b"alice@b.example")) == b"334 " + b64(b"Password:") + b"\r\n"
    assert connection.codes(b64(b"secret")) == [235]


def test_login_with_initial_response(login):
    connection = login()
    assert connection.codes(b"AUTH LOGIN " + b64(b"alice@b.example"), b64(b"secret")) == [334, 235]


@pytest.mark.parametrize(
    ("line", "start"),
    [
        (b"*", b"501 5.7.0"),
        (b"!!!!", b"501 5.5.2"),
        (b"abc", b"501 5.5.2"),
        (b64(b"no fields"), b"501 5.5.2"),
        (b"QUIT", b"501 5.5.2"),
        (b"A" * 12_292, b"500 5.5.6"),
    ],
)
def test_a_spoiled_dialogue_ends_and_commands_go_on(login, line, start):
    connection = login()
    connection.say(b"AUTH PLAIN")
    assert connection.say(line).startswith(start)
    assert connection.codes(b"NOOP") == [250]


@pytest.mark.parametrize(
    ("argument", "code"), [(b"PLAIN !!!", 501), (b"CRAM-MD5", 504), (b"X-NONE", 504), (b"", 504), (b"\xff", 504)]
)
def test_bad_commands(login, argument, code):
    assert login().codes(b"AUTH " + argument) == [code]


def test_acting_for_another_is_a_failed_login(login):
    connection = login()
    connection.say(b"AUTH PLAIN " + b64(b"bob@b.example\0alice@b.example\0secret"))
    connection.clock.advance(2)
    assert connection.read().startswith(b"535 5.7.8")


def test_a_long_initial_response_is_read(login):
    connection = login()
    connection.say(b"AUTH PLAIN " + b64(b"\0" + b"a" * 6000 + b"\0x"))
    connection.clock.advance(2)
    assert connection.codes() == [535]


def test_a_failed_login_is_answered_late_and_the_third_ends_the_connection(login):
    connection = login()
    for code in (535, 535, 421):
        assert connection.codes(b"AUTH PLAIN " + BAD) == []
        connection.clock.advance(1.9)
        assert connection.codes() == []
        connection.clock.advance(0.2)
        assert connection.codes() == [code]
    assert connection.closed
    assert connection.events.names.count("smtp.login.refused") == 3


def test_an_unknown_name_and_a_wrong_password_look_the_same(login):
    answers = []
    for name in (b"alice@b.example", b"nobody@b.example"):
        connection = login()
        connection.say(b"AUTH PLAIN " + b64(b"\0" + name + b"\0wrong"))
        connection.clock.advance(2)
        answers.append(connection.read())
    assert answers[0] == answers[1] == b"535 5.7.8 authentication failed\r\n"


def test_passwords_are_in_no_event(login):
    connection = login()
    connection.say(b"AUTH PLAIN " + BAD)
    connection.clock.advance(2)
    connection.say(b"AUTH PLAIN " + GOOD)
    assert "secret" not in repr(connection.events.fields)
    assert "wrong" not in repr(connection.events.fields)


def test_commands_behind_a_login_wait_for_it(talk, receiver, make_realm):
    class SlowChecker:
        credentialInterfaces = InMemoryUsernamePasswordDatabaseDontUse.credentialInterfaces

        def __init__(self):
            self.waiting = Deferred()

        def requestAvatarId(self, _credentials):
            return self.waiting

    checker = SlowChecker()
    portal = Portal(make_realm(receiver))
    for interface in InMemoryUsernamePasswordDatabaseDontUse().credentialInterfaces:
        portal.checkers[interface] = checker
    connection = talk(receiver, portal=portal, allow_cleartext=True).hello()
    assert connection.say(b"AUTH PLAIN " + GOOD, MAIL) == b""
    checker.waiting.callback(b"alice")
    assert connection.codes() == [235, 250]
    assert receiver.begun[0].peer.account == "alice@b.example"


def test_not_twice_and_not_within_a_transaction(login):
    connection = login()
    connection.say(MAIL)
    assert connection.codes(b"AUTH PLAIN " + GOOD) == [503]
    assert connection.codes(b"RSET", b"AUTH PLAIN " + GOOD, b"AUTH PLAIN " + GOOD) == [250, 235, 503]
    assert b"AUTH" not in connection.say(b"EHLO client.example")


def test_not_after_helo(talk, portal):
    connection = talk(portal=portal, allow_cleartext=True)
    connection.read()
    assert connection.codes(b"HELO a") == [250]
    assert connection.codes(b"AUTH PLAIN " + GOOD) == [503]


def test_neither_offered_nor_taken_in_the_clear(talk, portal):
    connection = talk(portal=portal, context_factory=object())
    connection.read()
    assert b"AUTH" not in connection.say(b"EHLO a")
    assert connection.say(b"AUTH PLAIN " + GOOD).startswith(b"538 5.7.11")
    connection.say(b"STARTTLS")
    connection.server.handshakeCompleted()
    assert b"250 AUTH PLAIN LOGIN\r\n" in connection.say(b"EHLO a")
    assert connection.codes(b"AUTH PLAIN " + GOOD) == [235]


def test_tls_first_where_tls_is_demanded(talk, portal):
    connection = talk(portal=portal, context_factory=object(), require_tls=True).hello()
    assert connection.say(b"AUTH PLAIN " + GOOD).startswith(b"530 5.7.0")


@implementer(IRealm)
class AwayRealm:
    def requestAvatar(self, *_):
        return fail(MailError(Kind.UNAVAILABLE))


def test_a_directory_that_is_away_is_a_temporary_failure(talk):
    checker = InMemoryUsernamePasswordDatabaseDontUse()
    checker.addUser(b"alice@b.example", b"secret")
    connection = talk(portal=Portal(AwayRealm(), [checker]), allow_cleartext=True).hello()
    assert connection.say(b"AUTH PLAIN " + GOOD).startswith(b"454 4.7.0")


def test_the_avatar_is_left_when_the_connection_ends(talk, receiver, make_realm):
    checker = InMemoryUsernamePasswordDatabaseDontUse()
    checker.addUser(b"alice@b.example", b"secret")
    realm = make_realm(receiver)
    connection = talk(receiver, portal=Portal(realm, [checker]), allow_cleartext=True).hello()
    connection.say(b"AUTH PLAIN " + GOOD)
    assert realm.logouts == 0
    connection.lose()
    assert realm.logouts == 1


def test_connections_of_one_account_are_limited(login):
    first = login(connections_per_account_max=1)
    assert first.codes(b"AUTH PLAIN " + GOOD) == [235]
    second = type(first)(first.receiver, factory=first.factory).hello()
    assert second.codes(b"AUTH PLAIN " + GOOD) == [421]
    first.lose()
    third = type(first)(first.receiver, factory=first.factory).hello()
    assert third.codes(b"AUTH PLAIN " + GOOD) == [235]


def test_an_account_may_send_content_early_but_never_has_it_run_as_commands(login, receiver):
    connection = login()
    connection.say(b"AUTH PLAIN " + GOOD)
    assert connection.codes(MAIL, b"RCPT TO:<b@b.example>", b"DATA", b"x", b".") == [250, 250, 354, 250]
    assert connection.codes(MAIL, b"DATA", b"RCPT TO:<b@b.example>", b".") == [250, 554]
    assert connection.closed
    assert receiver.begun[1].recipients == []
