"""LOGIN, AUTHENTICATE, ID, ENABLE, NAMESPACE, LOGOUT."""

import base64

import pytest
from twisted.cred.portal import Portal

from mailsuite.errors import Kind, MailError


def b64(text):
    return base64.b64encode(text)


PLAIN = b64(b"\0alice@example.test\0secret")


@pytest.fixture
def client(suite):
    client = suite.connect()
    client.received()
    return client


def test_plain_with_an_initial_response(client):
    _, status = client.run(b"AUTHENTICATE PLAIN " + PLAIN)
    assert status.startswith(b"OK [CAPABILITY IMAP4rev1 ")


def test_plain_without_an_initial_response(client):
    assert client.send(b"a AUTHENTICATE PLAIN\r\n") == b"+ \r\n"
    assert client.send(PLAIN + b"\r\n").startswith(b"a OK [CAPABILITY ")


def test_login_mechanism(client):
    assert client.send(b"a authenticate login\r\n") == b"+ " + b64(b"Username:") + b"\r\n"
    assert client.send(b64(b"alice@example.test") + b"\r\n") == b"+ " + b64(b"Password:") + b"\r\n"
    assert client.send(b64(b"secret") + b"\r\n").startswith(b"a OK")


def test_responses_pipelined_behind_authenticate_are_responses(client):
    answer = client.send(b"a AUTHENTICATE PLAIN\r\n" + PLAIN + b"\r\nb NOOP\r\n")
    assert answer.startswith(b"+ \r\na OK")
    assert b"b OK" in answer


@pytest.mark.parametrize("line", [b"*", b"!!!", b"YWJj", b"=", b"AAAA\0"])
def test_what_is_no_response_ends_the_exchange_not_the_session(client, line):
    client.send(b"a AUTHENTICATE PLAIN\r\n")
    assert client.send(line + b"\r\n").startswith(b"a BAD")
    client.login()


def test_an_endless_response_ends_the_connection(client):
    client.send(b"a AUTHENTICATE PLAIN\r\n")
    assert b"* BYE" in client.send(b"A" * 20_000)
    assert not client.connected


def test_an_unknown_mechanism_is_refused(client):
    assert client.run(b"AUTHENTICATE X-NONE")[1].startswith(b"NO")


def test_acting_for_another_is_refused(suite, client):
    client.send(b"a AUTHENTICATE PLAIN " + b64(b"bob\0alice@example.test\0secret") + b"\r\n")
    suite.clock.advance(2)
    assert client.received().startswith(b"a NO [AUTHORIZATIONFAILED]")


def test_a_wrong_password_says_the_same_as_an_unknown_name(suite, client):
    answers = []
    for command in (b"LOGIN alice@example.test wrong", b"LOGIN nobody@example.test wrong"):
        client.send(b"a " + command + b"\r\n")
        suite.clock.advance(2)
        answers.append(client.received())
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"a NO [AUTHENTICATIONFAILED]")


def test_a_directory_that_is_down_is_no_wrong_password(suite, client):
    class Down:
        credentialInterfaces = ()

    async def login(*arguments):
        raise MailError(Kind.UNAVAILABLE, "try again later")

    client.server.session.portal = Portal(None)
    client.server.session.portal.login = login
    assert client.run(b"LOGIN alice@example.test secret")[1] == b"NO [UNAVAILABLE] try again later"


def test_a_portal_without_a_checker_for_passwords_refuses(suite, client):
    client.server.session.portal = Portal(None)
    client.send(b"a LOGIN alice@example.test secret\r\n")
    suite.clock.advance(2)
    assert client.received().startswith(b"a NO [AUTHENTICATIONFAILED]")


def test_no_password_reaches_the_log(suite):
    from twisted.logger import globalLogPublisher

    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        client = suite.connect()
        client.send(b"a LOGIN alice@example.test wr0ng-pass\r\n")
        suite.clock.advance(2)
        client.send(b"b LOGIN alice@example.test secret\r\n")
    finally:
        globalLogPublisher.removeObserver(events.append)
    names = [event.get("event") for event in events]
    assert "imap.login.refused" in names
    assert "imap.login.succeeded" in names
    assert "wr0ng-pass" not in repr(events)
    assert "secret" not in repr([{k: v for k, v in event.items() if k != "log_source"} for event in events])


def test_id_tells_who_we_are(client):
    (line,) = client.ok(b'ID ("name" "test" "version" NIL)')
    assert line.startswith(b'* ID ("name" "mailsuite" "version" ')
    client.ok(b"ID NIL")


def test_the_largest_id_there_may_be_is_heard_before_the_login(client):
    """RFC 2971 section 3.3: thirty pairs, names of 30 octets and values of 1024."""
    fields = b" ".join(b'"' + b"%02d" % number * 15 + b'" "' + b"x" * 1024 + b'"' for number in range(30))
    assert client.ok(b"ID (" + fields + b")")[0].startswith(b"* ID (")


def test_enable_says_what_was_enabled_and_passes_over_the_rest(client):
    client.login()
    assert client.ok(b"ENABLE X-NOTHING IDLE") == [b"* ENABLED"]
    assert client.ok(b"ENABLE X-NOTHING CONDSTORE condstore") == [b"* ENABLED CONDSTORE"]
    assert client.ok(b"ENABLE QRESYNC") == [b"* ENABLED QRESYNC"]
    assert client.ok(b"ENABLE QRESYNC CONDSTORE") == [b"* ENABLED QRESYNC CONDSTORE"]


def test_namespace(client):
    client.login()
    assert client.ok(b"NAMESPACE") == [b'* NAMESPACE (("" "/")) NIL NIL']


def test_logout_says_bye_first(client):
    assert client.send(b"a LOGOUT\r\n").startswith(b"* BYE")
    assert not client.connected


def test_logout_gives_mailbox_and_account_back(suite):
    client = suite.connect().login().select()
    client.send(b"a LOGOUT\r\n")
    assert suite.account.logouts == 1
    assert suite.account.changes.listeners == []
