"""Command lines to values."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.address import Address
from mailsuite.envelope import Body
from mailsuite.errors import Kind, MailError
from mailsuite.smtp import replies
from mailsuite.smtp.grammar import (
    BadCommandError,
    decode_orcpt,
    decode_xtext,
    encode_orcpt,
    encode_path,
    encode_xtext,
    parse_hostname,
    parse_mail,
    parse_rcpt,
    split_command,
)


def refusal(call, *args, **kwargs):
    with pytest.raises(BadCommandError) as caught:
        call(*args, **kwargs)
    return caught.value.reply


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"NOOP", (b"NOOP", b"")),
        (b"noop  ", (b"NOOP", b"")),
        (b"mail FROM:<a@b>", (b"MAIL", b"FROM:<a@b>")),
        (b"MAIL  FROM:<a@b> ", (b"MAIL", b"FROM:<a@b>")),
        (b"", (b"", b"")),
    ],
)
def test_verb_is_divided_from_the_rest(line, expected):
    assert split_command(line) == expected


@pytest.mark.parametrize("octet", [b"\x00", b"\r", b"\x07", b"\x1b", b"\x7f", b"\t"])
def test_control_characters_are_refused(octet):
    assert refusal(split_command, b"RCPT TO:<a" + octet + b"@b.example>") is replies.BAD_LINE


@pytest.mark.parametrize(
    ("path", "address"),
    [
        (b"<a@b.example>", Address("a", "b.example")),
        (b"<A.b+tag@B.Example>", Address("A.b+tag", "b.example")),
        (b'<"a b"@b.example>', Address("a b", "b.example")),
        (b'<"a>b"@b.example>', Address("a>b", "b.example")),
        (b'<"a\\"b@c"@b.example>', Address('a"b@c', "b.example")),
        (b"<@relay.example,@other.example:a@b.example>", Address("a", "b.example")),
        (b"<a@[192.0.2.1]>", Address("a", "[192.0.2.1]")),
        (b"<a@[IPv6:2001:db8::1]>", Address("a", "[ipv6:2001:db8::1]")),
        (b"<a%b@c.example>", Address("a%b", "c.example")),
        (b"<" + b"l" * 64 + b"@b.example>", Address("l" * 64, "b.example")),
    ],
)
def test_paths(path, address):
    assert parse_rcpt(b"TO:" + path, smtputf8=False).path == address
    assert parse_rcpt(b"to: " + path, smtputf8=False).path == address
    assert parse_mail(b"FROM:" + path).path == address


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"a@b.example",
        b"<a@b.example",
        b"a@b.example>",
        b"<<a@b.example>>",
        b"<a>",
        b"<@b.example>",
        b"<a@>",
        b"<a@b.example.>",
        b"<a@b..example>",
        b"<.a@b.example>",
        b"<a.@b.example>",
        b"<a..b@b.example>",
        b"<a b@b.example>",
        b"<a@b@c.example>",
        b'<"a@b.example>',
        b'<""@b.example>',
        b'<"a"b@b.example>',
        b"<a@-b.example>",
        b"<a@[300.0.0.1]>",
        b"<a@[IPv6:zz]>",
        b"<a@[tag:x]>",
        b"<@relay.example:>",
        b"<@relay.example a@b.example>",
        b"<a@b.example>x",
        b"<" + b"l" * 65 + b"@b.example>",
        b"<a@" + b"d" * 64 + b".example>",
        b"<a@" + b"d.e" * 90 + b">",
    ],
)
def test_bad_paths(path):
    assert refusal(parse_rcpt, b"TO:" + path, smtputf8=False).code == 501
    assert refusal(parse_mail, b"FROM:" + path).code == 501


@pytest.mark.parametrize("argument", [b"", b"FROM", b"FROM<a@b>", b"TO:<a@b>", b":<a@b>"])
def test_mail_without_from(argument):
    assert refusal(parse_mail, argument) is replies.BAD_SENDER


def test_null_reverse_path_is_for_mail_alone():
    assert parse_mail(b"FROM:<>").path is None
    assert refusal(parse_rcpt, b"TO:<>", smtputf8=False) is replies.BAD_RECIPIENT


@pytest.mark.parametrize("name", [b"<Postmaster>", b"<postmaster>"])
def test_postmaster_needs_no_domain(name):
    assert parse_rcpt(b"TO:" + name, smtputf8=False).path == Address("postmaster", "")


def test_utf8_address_needs_the_parameter():
    path = "<jürgen@bücher.example>".encode()
    assert refusal(parse_mail, b"FROM:" + path) is replies.SENDER_NEEDS_SMTPUTF8
    assert refusal(parse_rcpt, b"TO:" + path, smtputf8=False) is replies.NEEDS_SMTPUTF8
    sender = parse_mail(b"FROM:" + path + b" SMTPUTF8")
    assert sender.path == Address("jürgen", "xn--bcher-kva.example")
    assert sender.smtputf8
    assert parse_rcpt(b"TO:" + path, smtputf8=True).path == sender.path


def test_utf8_address_must_be_utf8():
    assert refusal(parse_rcpt, b"TO:<\xff\xfe@b.example>", smtputf8=True) is replies.BAD_RECIPIENT


def test_mail_parameters():
    sender = parse_mail(b"FROM:<a@b.example>  SIZE=1000 body=8bitmime AUTH=e+3Dmc2@example.com")
    assert (sender.size_octets, sender.body, sender.auth) == (1000, Body.EIGHT_BIT_MIME, "e=mc2@example.com")


@pytest.mark.parametrize(
    ("parameters", "reply"),
    [
        (b"SIZE", replies.SYNTAX),
        (b"SIZE=", replies.SYNTAX),
        (b"SIZE=-1", replies.SYNTAX),
        (b"SIZE=1x", replies.SYNTAX),
        (b"SIZE=" + b"9" * 21, replies.SYNTAX),
        (b"SIZE=1 SIZE=1", replies.SYNTAX),
        (b"SIZE=1 size=1", replies.SYNTAX),
        (b"=1", replies.SYNTAX),
        (b"BODY=BINARY", replies.SYNTAX),
        (b"BODY", replies.SYNTAX),
        (b"SMTPUTF8=1", replies.SYNTAX),
        (b"AUTH=a b", replies.UNKNOWN_PARAMETER),
        (b"AUTH=a+zz", replies.SYNTAX),
        (b"AUTH=a+0D+0Ab", replies.SYNTAX),
        (b"AUTH=" + b"a" * 501, replies.SYNTAX),
        (b"XUNKNOWN=1", replies.UNKNOWN_PARAMETER),
        (b"RET=SOME", replies.SYNTAX),
        (b"RET", replies.SYNTAX),
        (b"ENVID", replies.SYNTAX),
        (b"ENVID=a=b", replies.SYNTAX),
        (b"ENVID=+C3+A9", replies.SYNTAX),
        (b"ENVID=" + b"e" * 101, replies.SYNTAX),
        (b"REQUIRETLS=yes", replies.SYNTAX),
        (b"HOLDFOR=60", replies.UNKNOWN_PARAMETER),
        (b"HOLDUNTIL=2030-01-01T00:00:00Z", replies.UNKNOWN_PARAMETER),
    ],
)
def test_bad_mail_parameters(parameters, reply):
    assert refusal(parse_mail, b"FROM:<a@b.example> " + parameters) is reply


def test_no_parameters_after_helo():
    assert refusal(parse_mail, b"FROM:<a@b.example> SIZE=1", esmtp=False) is replies.UNKNOWN_PARAMETER


def test_rcpt_has_no_parameters():
    assert refusal(parse_rcpt, b"TO:<a@b.example> X=1", smtputf8=False) is replies.UNKNOWN_PARAMETER


@pytest.mark.parametrize("name", [b"client.example", b"[192.0.2.1]", b"[IPv6:::1]", b"under_score", b"localhost"])
def test_host_names(name):
    assert parse_hostname(name) == name.decode()


@pytest.mark.parametrize("name", [b"", b"two words", b"a" * 256, b"<script>"])
def test_bad_host_names(name):
    assert refusal(parse_hostname, name) is replies.BAD_HOSTNAME


TEXT = st.text(
    alphabet=st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")) | st.sampled_from("+= \\{}x;"), max_size=20
)


def test_escapes_of_xtext_are_undone():
    assert decode_xtext(b"a+2Bb+3Dc") == "a+b=c"


@pytest.mark.parametrize("value", [b"a=b", b"a+2b", b"a+2", b"a+", b"+0D", b"a b", b"\xc3\xa9", b"+C3", b"+C2+85"])
def test_what_is_no_xtext_is_refused(value):
    assert refusal(decode_xtext, value) is replies.SYNTAX


@given(text=TEXT)
def test_what_we_write_as_xtext_we_read_back(text):
    encoded = encode_xtext(text)
    assert encoded.isascii()
    assert not set(encoded) & set(b"= \r\n")
    assert decode_xtext(encoded) == text


@pytest.mark.parametrize(
    ("value", "original"),
    [
        (b"rfc822;bob@b.example", "rfc822;bob@b.example"),
        (b"RFC822;bob+2Bnews@b.example", "RFC822;bob+news@b.example"),
        (b"x400;/S=a", None),
        (b"x400;/S+3Da", "x400;/S=a"),
        (b"utf-8;j\\x{F6}rg@b\\x{4F8B}.example", "utf-8;j\u00f6rg@b\u4f8b.example"),
        (b"utf-8;a\\x{2B}b@b.example", "utf-8;a+b@b.example"),
        (b"UTF-8;a+2Bb@b.example", "UTF-8;a+b@b.example"),
        (b"utf-8;j\\x{D800}@b.example", None),
        (b"utf-8;j\\x{110000}@b.example", None),
        (b"utf-8;j\\x{FFFFFF}@b.example", None),
        (b"utf-8;j\\x{0D}@b.example", None),
        (b"utf-8;j\\x{f6}@b.example", None),
        (b"utf-8;j\\xF6@b.example", None),
        (b"utf-8;a\\", None),
        (b"utf-8;", None),
        (b"rfc822;", None),
        (b"rfc822", None),
        (b";bob@b.example", None),
        (b"rfc 822;bob@b.example", None),
        (b"rfc822;bob+0Ax", None),
        (b"rfc822;" + b"x" * 493, "rfc822;" + "x" * 493),
        (b"rfc822;" + b"x" * 494, None),
    ],
)
def test_original_recipients(value, original):
    if original is None:
        assert refusal(decode_orcpt, value, smtputf8=False) is replies.SYNTAX
    else:
        assert decode_orcpt(value, smtputf8=False) == original


def test_an_original_recipient_in_utf8_needs_smtputf8():
    value = "utf-8;j\u00f6rg@b.example".encode()
    assert refusal(decode_orcpt, value, smtputf8=False) is replies.NEEDS_SMTPUTF8
    assert decode_orcpt(value, smtputf8=True) == value.decode()
    assert refusal(decode_orcpt, b"utf-8;\xff", smtputf8=True) is replies.SYNTAX


@given(text=TEXT.filter(bool), kind=st.sampled_from(["rfc822", "utf-8", "UTF-8", "x400"]), smtputf8=st.booleans())
def test_what_we_write_as_an_original_recipient_we_read_back(text, kind, smtputf8):
    encoded = encode_orcpt(f"{kind};{text}", smtputf8=smtputf8)
    assert smtputf8 or encoded.isascii()
    assert not set(encoded) & set(b"= \r\n")
    assert decode_orcpt(encoded, smtputf8=smtputf8) == f"{kind};{text}"


@pytest.mark.parametrize("original", ["", "rfc822", "rfc822;", ";a", "r c;a", "rfc822;" + "x" * 500])
def test_what_is_no_original_recipient_is_not_written(original):
    with pytest.raises(MailError) as caught:
        encode_orcpt(original)
    assert caught.value.kind is Kind.INVALID


LOCAL = st.text(alphabet='abc.+ "\\@>', min_size=1, max_size=12)


@settings(deadline=None, max_examples=200)
@given(local=LOCAL)
def test_what_we_write_as_a_path_we_read_back(local):
    address = Address(local, "b.example")
    assert parse_rcpt(b"TO:" + encode_path(address), smtputf8=False).path == address


@settings(deadline=None, max_examples=200)
@given(argument=st.binary(max_size=80))
def test_any_octets_give_a_value_or_a_reply(argument):
    for call in (lambda: parse_mail(b"FROM:" + argument), lambda: parse_rcpt(b"TO:" + argument, smtputf8=True)):
        with contextlib.suppress(BadCommandError):
            assert call().path != ""
