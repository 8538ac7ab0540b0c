from email import message_from_bytes

import pytest

from mailsuite.envelope import Peer
from mailsuite.message.header import parse_fields, unfold
from mailsuite.message.msgid import make_message_id
from mailsuite.message.received import count_received, received_field, return_path_field, with_protocol


def write(peer, recipient="alice@example.test", queue_id="4XyZ1"):
    return received_field(
        peer=peer, hostname="mx.example.test", queue_id=queue_id, recipient=recipient, when=784111777.9
    )


def test_the_received_field_says_who_how_when_and_for_whom():
    peer = Peer(session="s", ip="192.0.2.7", helo="mail.example.net", esmtp=True, tls="TLSv1.3 TLS_AES_256_GCM_SHA384")
    assert write(peer) == (
        b"Received: from mail.example.net ([192.0.2.7])\r\n"
        b"\tby mx.example.test with ESMTPS\r\n"
        b"\t(TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
        b"\tid 4XyZ1\r\n"
        b"\tfor <alice@example.test>;\r\n"
        b"\tSun, 06 Nov 1994 08:49:37 +0000\r\n"
    )


def test_an_ipv6_address_is_a_literal_and_a_silent_peer_is_unknown():
    assert write(Peer(session="s", ip="2001:db8::1")).startswith(b"Received: from unknown ([IPv6:2001:db8::1])\r\n")


def test_who_came_by_a_unix_socket_has_no_address():
    assert write(Peer(session="s", helo="local")).startswith(b"Received: from local (unix)\r\n")


@pytest.mark.parametrize(
    ("peer", "flags", "name"),
    [
        (Peer(session=""), {}, "SMTP"),
        (Peer(session="", esmtp=True), {}, "ESMTP"),
        (Peer(session="", esmtp=True, tls="x"), {}, "ESMTPS"),
        (Peer(session="", esmtp=True, account="a@b"), {}, "ESMTPA"),
        (Peer(session="", esmtp=True, tls="x", account="a@b"), {}, "ESMTPSA"),
        (Peer(session="", esmtp=True, tls="x"), {"smtputf8": True}, "UTF8SMTPS"),
        (Peer(session="", tls="x", account="a"), {"lmtp": True}, "LMTPSA"),
        (Peer(session=""), {"lmtp": True, "smtputf8": True}, "UTF8LMTP"),
    ],
)
def test_the_protocol_has_its_registered_name(peer, flags, name):
    assert with_protocol(peer, **flags) == name


@pytest.mark.parametrize(
    "hostile",
    [
        "x\r\nEvil: 1",
        "x\nEvil: 1",
        "x\rEvil",
        "a) (b",
        "x; Thu",
        "x\0",
        "b\xfccher",
        "x\u2028Evil: 1",
        "\\",
        '"',
        "(" * 9,
    ],
)
def test_nothing_a_peer_sends_breaks_out_of_the_received_field(hostile):
    field = write(Peer(session="s", ip=hostile, helo=hostile, tls=hostile), recipient=hostile, queue_id=hostile)
    assert field.isascii()
    assert field.count(b"(") == field.count(b")")
    assert field.count(b";") == 1
    assert b"\0" not in field
    assert b"<" not in field
    assert [name for name, _ in parse_fields(field)] == [b"received"]
    assert len(message_from_bytes(field + b"\r\n").items()) == 1


def test_a_long_greeting_is_cut():
    assert len(write(Peer(session="s", helo="x" * 100_000, tls="y" * 100_000, ip="z" * 100_000))) < 1200


@pytest.mark.parametrize("recipient", [None, "", "a b@example.test", "a@b>\r\nEvil: 1", "ü@example.test", "x" * 300])
def test_a_recipient_that_cannot_be_written_is_left_out(recipient):
    assert b"\tfor " not in write(Peer(session="s"), recipient=recipient)


def test_the_return_path_holds_one_path():
    assert return_path_field("") == b"Return-Path: <>\r\n"
    assert return_path_field("bob@example.net") == b"Return-Path: <bob@example.net>\r\n"
    assert return_path_field("b\xfc@example.net") == "Return-Path: <b\xfc@example.net>\r\n".encode()
    assert return_path_field("x>\r\nEvil: 1\0") == b"Return-Path: <xEvil: 1>\r\n"
    assert return_path_field("\udcff").count(b"\r\n") == 1


def test_hops_are_counted_in_the_header_only():
    header = b"RECEIVED: a\r\n b\r\nX-Received: c\r\nReceived : d\r\nreceived: e\r\n"
    assert count_received(header) == 3
    assert count_received(header + b"\r\nReceived: body\r\n") == 3
    assert count_received(b"") == 0


def test_a_message_id_is_unique_and_well_formed():
    made = make_message_id("example.test", 784111777.5, bytes(range(8)))
    assert made == "<19941106084937.0001020304050607@example.test>"
    assert make_message_id("a>\r\nb..", 0, b"\1" * 8) == "<19700101000000.0101010101010101@ab>"
    assert unfold(b"Message-ID: " + make_message_id("", 0, b"").encode()).endswith(b"@localhost>")
