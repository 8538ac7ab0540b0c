"""Service extensions: what is announced when, and what their parameters become."""

import pytest
from twisted.internet.task import Clock

from mailsuite.address import Address
from mailsuite.envelope import Body
from mailsuite.smtp import SMTPSettings, SubmissionFactory, replies
from mailsuite.smtp.grammar import BadCommandError, parse_mail, parse_rcpt, parse_vrfy
from mailsuite.smtp.parameters import Holding

MAIL = b"MAIL FROM:<a@a.example>"
RCPT = b"RCPT TO:<b@b.example>"
DAY_SECONDS = 86_400
NOW = 1_800_000_000  # 2027-01-15T08:00:00Z


def announced(connection):
    return [line[4:] for line in connection.say(b"EHLO client.example").splitlines()[1:]]


# DSN: RFC 3461


def test_what_a_sender_wants_to_know_is_kept(talk):
    connection = talk().hello()
    assert connection.codes(MAIL + b" RET=hdrs ENVID=QQ314159+2B1") == [250]
    assert connection.codes(RCPT + b" NOTIFY=success,Delay ORCPT=rfc822;Bob+2Bx@b.example") == [250]
    assert connection.codes(b"RCPT TO:<c@b.example> NOTIFY=NEVER", b"RCPT TO:<d@b.example>") == [250, 250]
    (transaction,) = connection.receiver.begun
    assert (transaction.sender.ret, transaction.sender.envelope_id) == ("HDRS", "QQ314159+1")
    assert transaction.parameters == [("SUCCESS,DELAY", "rfc822;Bob+x@b.example"), ("NEVER", ""), ("", "")]


@pytest.mark.parametrize(
    ("parameters", "reply"),
    [
        (b"NOTIFY", replies.SYNTAX),
        (b"NOTIFY=", replies.SYNTAX),
        (b"NOTIFY=,", replies.SYNTAX),
        (b"NOTIFY=ALWAYS", replies.SYNTAX),
        (b"NOTIFY=NEVER,SUCCESS", replies.SYNTAX),
        (b"NOTIFY=SUCCESS,NEVER", replies.SYNTAX),
        (b"NOTIFY=NEVER,NEVER", replies.SYNTAX),
        (b"NOTIFY=SUCCESS,", replies.SYNTAX),
        (b"NOTIFY=\xff", replies.SYNTAX),
        (b"NOTIFY=NEVER NOTIFY=NEVER", replies.SYNTAX),
        (b"ORCPT", replies.SYNTAX),
        (b"ORCPT=bob@b.example", replies.SYNTAX),
        (b"ORCPT=rfc822;bob+0D+0A@b.example", replies.SYNTAX),
        (b"ORCPT=rfc822;" + b"x" * 500, replies.SYNTAX),
        (b"RET=FULL", replies.UNKNOWN_PARAMETER),
    ],
)
def test_bad_rcpt_parameters(parameters, reply):
    with pytest.raises(BadCommandError) as caught:
        parse_rcpt(b"TO:<b@b.example> " + parameters, smtputf8=True)
    assert caught.value.reply is reply


@pytest.mark.parametrize("notify", ["NEVER", "SUCCESS", "FAILURE,DELAY", "DELAY,FAILURE,SUCCESS", "SUCCESS,SUCCESS"])
def test_conditions_of_notify(notify):
    assert parse_rcpt(b"TO:<b@b.example> NOTIFY=" + notify.encode(), smtputf8=False).notify == notify


def test_the_longest_envelope_id():
    assert parse_mail(b"FROM:<> ENVID=" + b"e" * 100).envelope_id == "e" * 100


def test_no_parameters_of_rcpt_after_helo(talk):
    connection = talk()
    connection.say(b"HELO client.example")
    connection.read()
    assert connection.codes(MAIL, RCPT + b" NOTIFY=NEVER", RCPT) == [250, 555, 250]


# SMTPUTF8: RFC 6531


def test_addresses_in_utf8_are_compared_as_a_labels(talk):
    connection = talk().hello()
    sender = "MAIL FROM:<jürgen@bücher.example> SMTPUTF8".encode()
    assert connection.codes(sender, "RCPT TO:<δοκιμή@Παράδειγμα.example>".encode()) == [250, 250]
    (transaction,) = connection.receiver.begun
    assert transaction.sender.path == Address("jürgen", "xn--bcher-kva.example")
    assert transaction.recipients == ["δοκιμή@xn--hxajbheg2az3al.example"]


def test_an_address_in_utf8_without_the_parameter_is_refused_for_what_it_is_of(talk):
    connection = talk().hello()
    assert connection.say("MAIL FROM:<jürgen@a.example>".encode()).startswith(b"550 5.6.7 ")
    assert connection.codes(MAIL) == [250]
    assert connection.say("RCPT TO:<jörg@b.example>".encode()).startswith(b"553 5.6.7 ")


@pytest.mark.parametrize(
    ("argument", "address", "utf8"),
    [
        ("b@b.example", "b@b.example", False),
        ("<b@b.example>", "b@b.example", False),
        ("<b@b.example> SMTPUTF8", "b@b.example", True),
        ("jörg@bücher.example  smtputf8", "jörg@xn--bcher-kva.example", True),
    ],
)
def test_vrfy_may_ask_for_utf8(argument, address, utf8):
    recipient, wanted = parse_vrfy(argument.encode())
    assert (str(recipient.path), wanted) == (address, utf8)


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("jörg@b.example", replies.ANSWER_NEEDS_SMTPUTF8),
        ("SMTPUTF8", replies.BAD_RECIPIENT),
        ("b@b.example NOTIFY=NEVER", replies.BAD_RECIPIENT),
        ("<b@b.example> NOTIFY=NEVER", replies.UNKNOWN_PARAMETER),
        ("<b@b.example> SMTPUTF8 SMTPUTF8", replies.UNKNOWN_PARAMETER),
    ],
)
def test_bad_vrfy(argument, reply):
    with pytest.raises(BadCommandError) as caught:
        parse_vrfy(argument.encode())
    assert caught.value.reply is reply


def test_vrfy_answers_in_utf8_only_who_asks_for_it(talk):
    connection = talk(vrfy=True).hello()
    answer = connection.say("VRFY jörg@b.example SMTPUTF8".encode())
    assert answer == "250 2.0.0 <jörg@b.example>\r\n".encode()
    assert connection.say("VRFY jörg@b.example".encode()).startswith(b"550 5.6.8 ")
    assert connection.say(b"VRFY b@b.example") == b"250 2.0.0 <b@b.example>\r\n"
    assert connection.codes(b"VRFY <unknown@b.example>") == [550]


def test_vrfy_tells_nothing_by_default_and_expn_is_off(talk):
    connection = talk().hello()
    assert connection.codes(b"VRFY <unknown@b.example>", b"VRFY b@b.example SMTPUTF8", b"EXPN list") == [252, 252, 502]
    assert connection.receiver.begun == []


def test_help_names_the_commands(talk):
    connection = talk().hello()
    answer = connection.say(b"HELP")
    assert b"BDAT" in answer
    assert answer.startswith(b"214-")


# REQUIRETLS: RFC 8689


def test_requiretls_is_for_inside_tls(talk):
    connection = talk(context_factory=object()).hello()
    assert b"REQUIRETLS" not in announced(connection)
    assert connection.say(MAIL + b" REQUIRETLS").startswith(b"530 5.7.10 ")
    connection.start_tls()
    assert b"REQUIRETLS" in announced(connection)
    assert connection.codes(MAIL + b" REQUIRETLS") == [250]
    assert connection.receiver.begun[0].sender.require_tls


# LIMITS: RFC 9422


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({}, b"LIMITS MAILMAX=100 RCPTMAX=1000"),
        ({"recipients_max": 7, "messages_per_connection_max": 3}, b"LIMITS MAILMAX=3 RCPTMAX=7"),
        ({"rates": False, "recipients_max": 12_345_678}, b"LIMITS RCPTMAX=999999"),
    ],
)
def test_limits_are_those_in_force(talk, settings, line):
    assert line in announced(talk(**settings))


# FUTURERELEASE: RFC 4865


@pytest.fixture
def holding():
    return Holding(lambda: NOW + 0.5, 30 * DAY_SECONDS)


def test_the_longest_time_is_announced(holding):
    assert holding.announce() == "FUTURERELEASE 2592000 2027-02-14T08:00:00Z"


@pytest.mark.parametrize(
    ("parameter", "release"),
    [
        (b"HOLDFOR=1", NOW + 2),
        (b"HOLDFOR=3600", NOW + 3601),
        (b"holdfor=2592000", NOW + 30 * DAY_SECONDS + 1),
        (b"HOLDUNTIL=2027-01-15T09:00:00Z", NOW + 3600),
        (b"HOLDUNTIL=2027-01-15t09:00:00.25z", NOW + 3601),
        (b"HOLDUNTIL=2027-01-15T10:00:00+01:00", NOW + 3600),
        (b"HOLDUNTIL=2027-02-14T08:00:00-00:00", NOW + 30 * DAY_SECONDS),
    ],
)
def test_when_a_message_may_leave(holding, parameter, release):
    sender = parse_mail(b"FROM:<a@a.example> " + parameter, holding=holding)
    kind, _, value = parameter.decode().partition("=")
    assert (sender.release, sender.hold) == (release, f"{kind[4:].lower()};{value}")


@pytest.mark.parametrize(
    ("parameters", "reply"),
    [
        (b"HOLDFOR", replies.SYNTAX),
        (b"HOLDFOR=-1", replies.SYNTAX),
        (b"HOLDFOR=1h", replies.SYNTAX),
        (b"HOLDFOR=0", replies.SYNTAX),
        (b"HOLDFOR=007", replies.SYNTAX),
        (b"HOLDFOR=1000000000", replies.SYNTAX),
        (b"HOLDFOR=2592001", replies.HOLD_OUT_OF_RANGE),
        (b"HOLDFOR=999999999", replies.HOLD_OUT_OF_RANGE),
        (b"HOLDUNTIL", replies.SYNTAX),
        (b"HOLDUNTIL=2027-01-15", replies.SYNTAX),
        (b"HOLDUNTIL=2027-01-15T09:00Z", replies.SYNTAX),
        (b"HOLDUNTIL=2027-01-15T09:00:00", replies.SYNTAX),
        (b"HOLDUNTIL=2027-02-30T09:00:00Z", replies.SYNTAX),
        (b"HOLDUNTIL=2027-01-15T09:00:60Z", replies.SYNTAX),
        (b"HOLDUNTIL=0001-01-01T00:00:00+23:59", replies.HOLD_OUT_OF_RANGE),
        (b"HOLDUNTIL=9999-12-31T23:59:59-23:59", replies.HOLD_OUT_OF_RANGE),
        (b"HOLDUNTIL=2027-01-15T07:59:59Z", replies.HOLD_OUT_OF_RANGE),
        (b"HOLDUNTIL=2027-02-14T08:00:01Z", replies.HOLD_OUT_OF_RANGE),
        (b"HOLDFOR=1 HOLDFOR=1", replies.SYNTAX),
        (b"HOLDFOR=1 HOLDUNTIL=2027-01-15T09:00:00Z", replies.SYNTAX),
    ],
)
def test_bad_times(holding, parameters, reply):
    with pytest.raises(BadCommandError) as caught:
        parse_mail(b"FROM:<a@a.example> " + parameters, holding=holding)
    assert caught.value.reply is reply


def test_only_submission_holds_messages(talk, portal):
    stranger = talk().hello()
    assert not any(line.startswith(b"FUTURERELEASE") for line in announced(stranger))
    assert stranger.codes(MAIL + b" HOLDFOR=60") == [555]

    clock = Clock()
    clock.advance(NOW)
    settings = SMTPSettings(allow_cleartext=True, future_release_seconds=60)
    factory = SubmissionFactory(portal, settings=settings, reactor=clock, jitter=lambda: 0)
    connection = talk(factory=factory).hello()
    assert b"FUTURERELEASE 60 2027-01-15T08:01:00Z" in announced(connection)
    assert connection.codes(b"AUTH PLAIN AGFsaWNlQGIuZXhhbXBsZQBzZWNyZXQ=") == [235]
    assert connection.codes(MAIL + b" HOLDFOR=60") == [250]
    (transaction,) = portal.realm.avatar.begun
    assert transaction.sender.release == NOW + 60


def test_where_nothing_is_held_the_parameter_is_unknown(talk, portal):
    settings = SMTPSettings(allow_cleartext=True, future_release_seconds=0)
    factory = SubmissionFactory(portal, settings=settings, reactor=Clock(), jitter=lambda: 0)
    connection = talk(factory=factory).hello()
    assert connection.codes(b"AUTH PLAIN AGFsaWNlQGIuZXhhbXBsZQBzZWNyZXQ=") == [235]
    assert connection.codes(MAIL + b" HOLDFOR=60") == [555]


# XCLIENT

XCLIENT = b"XCLIENT NAME=spike.example ADDR=198.51.100.7 PORT=4711 PROTO=ESMTP DESTADDR=192.0.2.9 DESTPORT=25"


def test_xclient_is_for_listed_peers(talk):
    connection = talk(xclient_peers=("192.0.2.2", "2001:db8::/32")).hello()
    assert not any(line.startswith(b"XCLIENT") for line in announced(connection))
    assert connection.codes(XCLIENT) == [500]
    assert connection.codes(MAIL) == [250]
    assert connection.receiver.begun[0].peer.ip == "192.0.2.1"


def test_a_proxy_speaks_for_somebody_who_has_said_nothing(talk):
    connection = talk(xclient_peers=("192.0.2.0/24",)).hello()
    assert announced(connection)[-1] == b"XCLIENT NAME ADDR PORT PROTO HELO DESTADDR DESTPORT"
    assert connection.codes(MAIL, b"RSET") == [250, 250]
    assert connection.say(XCLIENT) == b"220 mx.example ESMTP\r\n"
    assert connection.codes(MAIL) == [503]
    connection.hello()
    assert connection.codes(MAIL) == [250]
    peer = connection.receiver.begun[1].peer
    assert (peer.ip, peer.port, peer.local_port, peer.helo) == ("198.51.100.7", 4711, 25, "client.example")


def test_a_client_cannot_speak_for_another_behind_the_proxy(talk):
    connection = talk(xclient_peers=("192.0.2.1",)).hello()
    assert connection.codes(XCLIENT) == [220]
    assert not any(line.startswith(b"XCLIENT") for line in announced(connection))
    assert connection.codes(b"XCLIENT ADDR=203.0.113.1") == [500]


def test_what_the_client_called_itself_may_be_passed_on(talk):
    connection = talk(xclient_peers=("192.0.2.1",)).hello()
    assert connection.codes(b"XCLIENT ADDR=IPV6:2001:db8::7 HELO=far.example PROTO=ESMTP NAME=[TEMPUNAVAIL]") == [220]
    assert connection.codes(MAIL + b" SIZE=1") == [250]
    peer = connection.receiver.begun[0].peer
    assert (peer.ip, peer.helo, peer.esmtp) == ("2001:db8::7", "far.example", True)


@pytest.mark.parametrize(("address", "ip"), [(b"[UNAVAILABLE]", "192.0.2.1"), (b"::ffff:198.51.100.9", "198.51.100.9")])
def test_addresses_of_xclient(talk, address, ip):
    connection = talk(xclient_peers=("192.0.2.1",)).hello()
    assert connection.codes(b"XCLIENT ADDR=" + address) == [220]
    assert connection.server.session.peer.ip == ip


@pytest.mark.parametrize(
    "argument",
    [
        b"",
        b"ADDR",
        b"ADDR=",
        b"ADDR=far.example",
        b"ADDR=198.51.100.7 ADDR=198.51.100.8",
        b"LOGIN=alice@b.example",
        b"REVERSE_NAME=x",
        b"PORT=65536",
        b"PORT=-1",
        b"PORT=x",
        b"PROTO=LMTP",
        b"HELO=a+20b",
        b"NAME=a+0Db",
        b"DESTADDR=x",
        b"DESTPORT=+2B1",
    ],
)
def test_bad_xclient(talk, argument):
    connection = talk(xclient_peers=("192.0.2.1",)).hello()
    assert connection.codes(b"XCLIENT " + argument) == [501]
    assert connection.codes(MAIL) == [250]


def test_xclient_is_refused_within_a_transaction_and_after_a_login(talk, portal):
    connection = talk(xclient_peers=("192.0.2.1",), portal=portal, allow_cleartext=True).hello()
    assert connection.codes(MAIL, XCLIENT) == [250, 503]
    assert connection.codes(b"RSET", b"AUTH PLAIN AGFsaWNlQGIuZXhhbXBsZQBzZWNyZXQ=", XCLIENT) == [250, 235, 503]


def test_nothing_may_follow_xclient_unasked(talk):
    connection = talk(xclient_peers=("192.0.2.1",)).hello()
    assert connection.codes(XCLIENT, MAIL) == [554]
    assert connection.closed


def test_the_limits_are_those_of_whom_a_proxy_speaks_for(talk):
    first = talk(xclient_peers=("192.0.2.1",), connections_per_network_max=1)
    second = talk(factory=first.factory)
    third = talk(factory=first.factory)
    for connection in (first, second, third):
        assert connection.hello().codes(b"NOOP") == [250]
    assert first.codes(b"XCLIENT ADDR=198.51.100.7") == [220]
    assert second.codes(b"XCLIENT ADDR=198.51.100.8") == [220]
    assert third.codes(b"XCLIENT ADDR=198.51.100.7") == [421]
    assert third.closed
    first.lose()
    third.lose()
    fourth = talk(factory=first.factory).hello()
    assert fourth.codes(b"XCLIENT ADDR=198.51.100.7") == [220]
    for connection in (second, fourth):
        connection.lose()
    assert first.factory.connections.total == 0
    assert not first.factory.connections._networks


def test_who_may_say_xclient_may_change(talk):
    connection = talk()
    connection.factory.reconfigure(SMTPSettings(xclient_peers=("192.0.2.1", "unix")))
    assert not any(line.startswith(b"XCLIENT") for line in announced(connection))
    assert announced(talk(factory=connection.factory))[-1].startswith(b"XCLIENT")


def test_bodies():
    bodies = [parse_mail(b"FROM:<> BODY=" + body).body for body in (b"7bit", b"8BITMIME", b"binaryMIME")]
    assert bodies == [Body.SEVEN_BIT, Body.EIGHT_BIT_MIME, Body.BINARY_MIME]
