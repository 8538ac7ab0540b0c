"""Lines, commands, stuffing: whole, an octet at a time, with trailing data."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.errors import ProtocolError
from mailsuite.pop3.grammar import (
    Command,
    LineEnds,
    LineReader,
    LineTooLong,
    Stuffer,
    Top,
    encode_error,
    encode_lines,
    encode_ok,
    parse_command,
    parse_number,
    parse_top,
)

LINES = [
    (b"QUIT\r\n", [b"QUIT"]),
    (b"USER a\r\nPASS b c\r\n", [b"USER a", b"PASS b c"]),
    (b"\r\n\r\n", [b"", b""]),
    (b"A\nB\rC\r\nD", [b"A\nB\rC"]),
    (b"X" * 255 + b"\r\nQUIT\r\n", [b"X" * 255, b"QUIT"]),
    (b"X" * 256 + b"\r\nQUIT\r\n", [LineTooLong(), b"QUIT"]),
    (b"half", []),
]


def read_all(reader):
    lines = []
    while (line := reader.next_line(255)) is not None:
        lines.append(line)
    return lines


@pytest.mark.parametrize(("octets", "lines"), LINES)
def test_lines_are_cut_from_one_segment(octets, lines):
    reader = LineReader()
    reader.feed(octets)
    assert read_all(reader) == lines


@pytest.mark.parametrize(("octets", "lines"), LINES)
def test_lines_are_cut_one_octet_at_a_time(octets, lines):
    reader, found = LineReader(), []
    for octet in octets:
        reader.feed(bytes([octet]))
        found += read_all(reader)
    assert found == lines


@pytest.mark.parametrize(("octets", "lines"), LINES)
def test_what_follows_a_line_waits(octets, lines):
    reader = LineReader()
    reader.feed(octets + b"trailing")
    assert [line for line in read_all(reader) if b"trailing" not in (line if isinstance(line, bytes) else b"")] == lines
    assert reader.buffered >= len(b"trailing")
    reader.discard()
    assert reader.buffered == 0


def test_a_line_without_end_is_given_up():
    reader = LineReader()
    reader.feed(b"x" * 16_385)
    assert reader.next_line(255) == LineTooLong(runaway=True)
    assert reader.buffered == 0


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"quit", Command(b"QUIT")),
        (b"RETR 1", Command(b"RETR", b"1")),
        (b"PASS two  words ", Command(b"PASS", b"two  words ")),
        (b"USER j\xc3\xbcrgen", Command(b"USER", b"j\xc3\xbcrgen")),
        (b"NOOP ", Command(b"NOOP", b"")),
    ],
)
def test_commands_are_divided_at_the_first_space(line, command):
    assert parse_command(line) == command


@pytest.mark.parametrize(
    "line", [b"", b" QUIT", b"QU1T", b"QUIT\0", b"PASS a\nDELE 1", b"USER\ta", b"\xff", b"PASS a\x7f"]
)
def test_what_is_no_command_is_refused(line):
    with pytest.raises(ProtocolError):
        parse_command(line)


def test_a_password_is_not_shown():
    assert "secret" not in repr(parse_command(b"PASS secret"))


@pytest.mark.parametrize(("text", "number"), [(b"1", 1), (b"007", 7), (b"9999999999", 9_999_999_999), (b"12 ", 12)])
def test_message_numbers(text, number):
    assert parse_number(text) == number


@pytest.mark.parametrize("text", [b"", b"0", b"-1", b"+1", b"1.5", b"one", b"1 2", b"12345678901", b"\xb2", b"1_0"])
def test_what_is_no_message_number(text):
    with pytest.raises(ProtocolError):
        parse_number(text)


def test_top_has_two_numbers():
    assert parse_top(b"3 0") == (3, 0)
    for text in (b"", b"3", b"3 -1", b"0 1", b"1 2 3", b"a b"):
        with pytest.raises(ProtocolError):
            parse_top(text)


def test_replies_are_one_ascii_line_of_at_most_512_octets():
    assert encode_ok() == b"+OK\r\n"
    assert encode_ok("ready") == b"+OK ready\r\n"
    assert encode_error("no", "AUTH") == b"-ERR [AUTH] no\r\n"
    assert encode_error("a\r\nb\xfc\0") == b"-ERR a??b??\r\n"
    assert len(encode_error("x" * 1000)) == 512
    assert encode_lines("list", ["1 2", "3 4"]) == b"+OK list\r\n1 2\r\n3 4\r\n.\r\n"


MESSAGES = [
    (b"", b".\r\n"),
    (b"a\r\n", b"a\r\n.\r\n"),
    (b"a", b"a\r\n.\r\n"),
    (b".", b"..\r\n.\r\n"),
    (b".\r\n", b"..\r\n.\r\n"),
    (b"\r\n.\r\n", b"\r\n..\r\n.\r\n"),
    (b".a\r\n..b\r\nc.\r\n", b"..a\r\n...b\r\nc.\r\n.\r\n"),
    (b"a\n.b\r.c\r\n", b"a\n.b\r.c\r\n.\r\n"),
    (b"a\r", b"a\r\r\n.\r\n"),
    (b"a\r\n.\r\nRETR 2", b"a\r\n..\r\nRETR 2\r\n.\r\n"),
]


def stuff(pieces):
    stuffer = Stuffer()
    return b"".join([stuffer.feed(piece) for piece in pieces] + [stuffer.finish()])


@pytest.mark.parametrize(("message", "sent"), MESSAGES)
def test_messages_are_stuffed_whole_and_an_octet_at_a_time(message, sent):
    assert stuff([message]) == sent
    assert stuff([bytes([octet]) for octet in message]) == sent
    assert stuff([b"", message, b""]) == sent


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n."]), max_size=30), st.data())
def test_what_is_stuffed_is_what_a_client_reads(parts, data):
    message = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=4)))
    pieces = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
    sent = stuff(pieces)
    lines = sent.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    assert b"." not in lines[:-2]
    unstuffed = b"\r\n".join(line.removeprefix(b".") for line in lines[:-2])
    assert unstuffed in {message, message.removesuffix(b"\r\n")}


TOPS = [
    (b"A: b\r\n\r\n1\r\n2\r\n3\r\n", 0, b"A: b\r\n\r\n"),
    (b"A: b\r\n\r\n1\r\n2\r\n3\r\n", 2, b"A: b\r\n\r\n1\r\n2\r\n"),
    (b"A: b\r\n\r\n1\r\n2\r\n3\r\n", 9, b"A: b\r\n\r\n1\r\n2\r\n3\r\n"),
    (b"A: b\r\n\r\n\r\n\r\n3\r\n", 2, b"A: b\r\n\r\n\r\n\r\n"),
    (b"\r\n1\r\n2\r\n", 1, b"\r\n1\r\n"),
    (b"A: b\n\n1\n2\n", 1, b"A: b\n\n1\n"),
    (b"A: b\r\n c\r\nD: e", 5, b"A: b\r\n c\r\nD: e"),
    (b"A: b\r\n\r\nhalf", 1, b"A: b\r\n\r\nhalf"),
    (b"", 1, b""),
]


@pytest.mark.parametrize(("message", "lines", "top"), TOPS)
def test_top_cuts_whole_and_an_octet_at_a_time(message, lines, top):
    assert Top(lines).feed(message) == top
    cut, found = Top(lines), b""
    for octet in message:
        found += cut.feed(bytes([octet]))
    assert found == top


def test_line_ends_become_crlf_however_the_message_is_cut():
    message, sent = b"a\nb\r\nc\rd\n\n\r\r\ne\r", b"a\r\nb\r\nc\rd\r\n\r\n\r\r\ne\r"
    whole = LineEnds()
    assert whole.feed(message) + whole.finish() == sent
    ends = LineEnds()
    assert b"".join([ends.feed(bytes([octet])) for octet in message] + [ends.finish()]) == sent
