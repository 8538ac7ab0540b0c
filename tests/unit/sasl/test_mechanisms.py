"""PLAIN and LOGIN on the server's side."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.cred.credentials import IUsernamePassword

from mailsuite.errors import ProtocolError
from mailsuite.sasl import (
    MECHANISMS,
    AuthorizationRefusedError,
    Challenge,
    Done,
    Exchange,
    ExchangeCancelledError,
    PasswordLogin,
    ResponseTooLongError,
    decode_response,
    encode_challenge,
    find_mechanism,
)


def plain(**options):
    return MECHANISMS["PLAIN"](**options)


def login(**options):
    return MECHANISMS["LOGIN"](**options)


def test_plain_takes_everything_from_the_initial_response():
    step = plain(protocol="smtp", ip="192.0.2.1").start(b"\0alice@example.test\0s e c r e t")
    assert step == Done(
        PasswordLogin(username=b"alice@example.test", password=b"s e c r e t", protocol="smtp", ip="192.0.2.1")
    )


def test_plain_without_initial_response_asks_with_an_empty_challenge():
    mechanism = plain()
    assert mechanism.start(None) == Challenge(b"")
    assert mechanism.next(b"\0a\0b") == Done(PasswordLogin(username=b"a", password=b"b"))


def test_plain_takes_utf_8():
    name, password = "jürgen@example.test".encode(), "pässwörd €".encode()
    step = plain().start(b"\0" + name + b"\0" + password)
    assert isinstance(step, Done)
    assert (step.credentials.username, step.credentials.password) == (name, password)


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\0",
        b"\0\0",
        b"alice\0secret",
        b"\0alice\0",
        b"\0\0secret",
        b"\0alice\0secret\0",
        b"\0alice\0sec\0ret",
        b"\0al\xffice\0secret",
        b"\0alice\0sec\xc3",
        b"\xff\0alice\0secret",
        b"\0a\xed\xa0\x80\0secret",
    ],
)
def test_plain_refuses_what_rfc_4616_does_not_allow(response):
    with pytest.raises(ProtocolError):
        plain().start(response)


def test_an_authorization_identity_equal_to_the_name_is_kept():
    step = plain().start(b"alice\0alice\0secret")
    assert isinstance(step, Done)
    assert step.credentials.authorization_id == b"alice"


def test_acting_for_somebody_else_needs_permission():
    with pytest.raises(AuthorizationRefusedError):
        plain().start(b"bob\0alice\0secret")
    step = plain(may_act_for_others=True).start(b"bob\0alice\0secret")
    assert isinstance(step, Done)
    assert step.credentials.authorization_id == b"bob"


def test_login_asks_for_name_and_password():
    mechanism = login(protocol="imap")
    assert mechanism.start(None) == Challenge(b"Username:")
    assert mechanism.next(b"alice") == Challenge(b"Password:")
    assert mechanism.next(b"secret") == Done(PasswordLogin(username=b"alice", password=b"secret", protocol="imap"))


def test_login_takes_the_name_as_initial_response():
    mechanism = login()
    assert mechanism.start(b"alice") == Challenge(b"Password:")
    assert mechanism.next(b"secret") == Done(PasswordLogin(username=b"alice", password=b"secret"))


@pytest.mark.parametrize(
    ("name", "password"), [(b"", b"x"), (b"x", b""), (b"a\0b", b"x"), (b"a", b"x\0"), (b"\xff", b"x"), (b"a", b"\xfe")]
)
def test_login_refuses_empty_nul_and_what_is_not_utf_8(name, password):
    def log_in():
        mechanism = login()
        mechanism.start(None)
        mechanism.next(name)
        mechanism.next(password)

    with pytest.raises(ProtocolError):
        log_in()


@pytest.mark.parametrize("name", ["PLAIN", "LOGIN"])
def test_a_response_over_the_limit_is_refused(name):
    mechanism = MECHANISMS[name]()
    mechanism.start(None)
    with pytest.raises(ResponseTooLongError):
        mechanism.next(b"\0a\0" + b"x" * 12_288)


def test_credentials_work_with_any_checker_and_hide_the_password():
    credentials = PasswordLogin(username=b"alice", password=b"geheim")
    assert IUsernamePassword.providedBy(credentials)
    assert credentials.checkPassword(b"geheim")
    assert not credentials.checkPassword(b"geheimer")
    assert "geheim" not in repr(credentials)
    assert "geheim" not in repr(Done(credentials))


def test_a_half_done_login_shows_no_name_in_its_repr():
    mechanism = login()
    mechanism.start(b"alice")
    assert "alice" not in repr(mechanism)


@pytest.mark.parametrize("name", [b"PLAIN", b"plain", b"Plain"])
def test_mechanism_names_are_compared_in_any_case(name):
    assert isinstance(find_mechanism(name, ("PLAIN", "LOGIN")), MECHANISMS["PLAIN"])


@pytest.mark.parametrize("name", [b"LOGIN", b"CRAM-MD5", b"", b"\xff", b"PLAIN ", b"SCRAM-SHA-1"])
def test_what_is_not_allowed_or_not_known_is_not_found(name):
    assert find_mechanism(name, ("PLAIN", "SCRAM-SHA-1")) is None


def test_an_exchange_goes_over_base64_lines():
    exchange = Exchange(login())
    first = exchange.start(None)
    assert isinstance(first, Challenge)
    assert encode_challenge(first) == b"VXNlcm5hbWU6"
    second = exchange.next(base64.b64encode(b"alice"))
    assert isinstance(second, Challenge)
    assert encode_challenge(second) == b"UGFzc3dvcmQ6"
    assert exchange.next(base64.b64encode(b"secret")) == Done(PasswordLogin(username=b"alice", password=b"secret"))


def test_an_initial_response_of_one_equals_sign_is_an_empty_one():
    with pytest.raises(ProtocolError, match="three fields"):
        Exchange(plain()).start(b"=")


def test_an_empty_line_is_an_empty_response():
    exchange = Exchange(plain())
    assert exchange.start(None) == Challenge(b"")
    with pytest.raises(ProtocolError, match="three fields"):
        exchange.next(b"")


def test_a_star_cancels():
    exchange = Exchange(plain())
    exchange.start(None)
    with pytest.raises(ExchangeCancelledError):
        exchange.next(b"*")


@pytest.mark.parametrize(
    "line",
    [b"A", b"AAA", b"AA=", b"AAAA=", b"AA==AA==", b"AA AA", b"AAAA\r", b"@@@@", b"====", b" AAAA", b"AAAA ", b"AA-_"],
)
def test_what_is_not_base64_is_refused(line):
    with pytest.raises(ProtocolError, match="base64"):
        decode_response(line)


def test_a_line_over_the_limit_is_refused_before_it_is_decoded():
    with pytest.raises(ResponseTooLongError):
        decode_response(b"A" * 12_292)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_octets_survive_base64(octets):
    assert decode_response(encode_challenge(Challenge(octets))) == octets


text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=40)


@settings(max_examples=50, deadline=None)
@given(text, text)
def test_any_name_and_password_pass_plain(name, password):
    step = plain().start(b"\0" + name.encode() + b"\0" + password.encode())
    assert step == Done(PasswordLogin(username=name.encode(), password=password.encode()))
