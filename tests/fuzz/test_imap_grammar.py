"""Octets of any kind into IMAP's assembler and grammars: bounded memory, bounded work, and only refusals come out."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.errors import ProtocolError
from mailsuite.imap.append_grammar import Announced, brings_message, parse_append, parse_append_rest
from mailsuite.imap.parser import parse_command
from mailsuite.imap.sequence import SequenceSet
from mailsuite.imap.tokens import BadCommandError
from mailsuite.imap.wire import (
    AFTER_LOGIN,
    BEFORE_LOGIN,
    BeginMessageLiteral,
    CommandAssembler,
    CommandReceived,
    InputRefused,
)

FRAGMENTS = [
    b"a ", b"tag1 ", b"NOOP", b"LOGIN ", b"APPEND ", b"UID ", b"FETCH ", b"STORE ", b"SEARCH ", b"COPY ", b"LIST ",
    b"STATUS ", b"ID ", b"CREATE ", b"1:*", b"3,5:1 ", b"(", b")", b" ", b'"', b"\\", b'"a\\"b" ', b"{3}\r\n",
    b"{3+}\r\n", b"~{2+}\r\n", b"{70000+}\r\n", b"{99999999999999999999}\r\n", b"{-1}\r\n", b"\r\n", b"\n", b"\r",
    b"\0", b"\xff", b"BODY.PEEK[", b"HEADER.FIELDS (", b"]", b"<0.5>", b"+FLAGS ", b"(\\Seen)", b"OR ", b"NOT ",
    b"CHARSET UTF-8 ", b"SINCE 1-Jan-2020", b"&AOk-", b"&", b"RETURN (", b"(USE (\\Sent))", b"\\Recent", b"NIL",
    b"REPLACE 1 ", b"CATENATE (", b"TEXT ", b"URL ", b"UTF8 (", b"/x/;UID=1 ",
    b"MIN ", b"ALL ", b"SAVE ", b"$", b"GETMETADATA ", b"SETMETADATA ",
    b"(/private/a ", b"/shared/b", b"(DEPTH 1) ", b"MAXSIZE 5", b"METADATA (",
    b"SORT ", b"(REVERSE DATE) ", b"THREAD ", b"REFERENCES ",
]  # fmt: skip

streams = st.one_of(
    st.binary(max_size=200), st.lists(st.sampled_from(FRAGMENTS), max_size=60).map(lambda parts: b"".join(parts))
)


def check_refusal(error):
    assert error.detail.isascii()
    assert error.detail.isprintable()
    assert error.status in {b"BAD", b"NO"}
    assert error.tag is None or len(error.tag) <= 64


def consume(assembler, *, accept):
    """Act as the server does, and give the events."""
    tag = b""
    after = Announced.NOTHING
    events = []
    while (event := assembler.next_event()) is not None:
        events.append(event)
        try:
            if isinstance(event, CommandReceived):
                (parse_append if brings_message(event.pieces[0]) else parse_command)(event.pieces)
            elif isinstance(event, BeginMessageLiteral):
                if event.further:
                    stretch = parse_append_rest(event.head, tag, after)
                else:
                    command, stretch = parse_append(event.head)
                    tag = command.tag
                after = stretch.announced
                if accept:
                    assembler.accept_message()
                elif not assembler.refuse_message():
                    break
        except BadCommandError as error:
            check_refusal(error)
            if isinstance(event, BeginMessageLiteral) and not assembler.refuse_message():
                break
    return events


@settings(deadline=None, max_examples=400)
@given(streams, st.booleans(), st.sampled_from([BEFORE_LOGIN, AFTER_LOGIN]))
def test_any_stream_gives_commands_or_refusals(data, accept, limits):
    assembler = CommandAssembler(limits)
    for start in range(0, len(data), 37):
        assembler.feed(data[start : start + 37])
        consume(assembler, accept=accept)


@settings(deadline=None, max_examples=100)
@given(streams)
def test_after_any_stream_that_is_not_closed_the_next_command_is_understood(data):
    assembler = CommandAssembler(AFTER_LOGIN)
    assembler.feed(data.replace(b"{70000+}", b"{7+}") + b"\r\n" * 4)
    events = consume(assembler, accept=True)
    if any(isinstance(event, InputRefused) and event.close for event in events):
        return
    assembler.feed(b"x" * 5 + b"\r\n" * 2 + b"end NOOP\r\n")
    assert CommandReceived((b"end NOOP",)) in consume(assembler, accept=True)


@settings(deadline=None, max_examples=300)
@given(st.text("0123456789:,*", max_size=40).map(str.encode))
def test_any_set_is_read_or_refused(text):
    try:
        found = SequenceSet.parse(text)
    except ProtocolError:
        return
    assert all(1 <= first <= last for first, last in found.ranges)
    assert all(low[1] + 1 < high[0] for low, high in zip(found.ranges, found.ranges[1:], strict=False))


FLOODS = {
    "parentheses": b"a SEARCH " + b"(" * 60_000,
    "fetch parentheses": b"a FETCH 1 " + b"(" * 60_000,
    "not": b"a SEARCH " + b"NOT " * 16_000 + b"ALL",
    "or": b"a SEARCH " + b"OR ALL " * 9_000 + b"ALL",
    "left or": b"a SEARCH " + b"OR " * 13_000 + b"ALL " * 6_000,
    "keys": b"a SEARCH " + b"ALL " * 16_000,
    "not or": b"a SEARCH " + b"NOT OR ALL " * 5_900 + b"ALL",
    "ranges": b"a FETCH " + b"1,3," * 16_000 + b"1 FLAGS",
    "wide ranges": b"a FETCH " + b"1:4294967295," * 4_900 + b"1 FLAGS",
    "items": b"a FETCH 1 (" + b"UID " * 16_000 + b"UID)",
    "fields": b"a FETCH 1 BODY[HEADER.FIELDS (" + b"a " * 32_000 + b"a)]",
    "part": b"a FETCH 1 BODY[" + b"1." * 32_000 + b"1]",
    "digits": b"a FETCH " + b"1" * 65_000 + b" FLAGS",
    "flags": b"a STORE 1 FLAGS (" + b"x " * 32_000 + b"x)",
    "escapes": b'a LOGIN "' + b"\\\\" * 32_000 + b'" x',
    "unended escapes": b'a LOGIN "' + b'\\"' * 32_000,
    "quotes": b"a ID (" + b'"" ' * 21_000 + b'"")',
    "wildcards": b'a LIST "" "' + b"*%" * 32_000 + b'"',
    "shifts": b"a SELECT " + b"&AOk-x" * 10_000,
    "status": b"a STATUS x (" + b"UNSEEN " * 9_000 + b"UNSEEN)",
    "literals": b"a LOGIN " + b"{0+}\r\n " * 8_000,
    "sets in search": b"a SEARCH " + b"1,2,3,4,5,6,7,8 " * 4_000,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FLOODS))
def test_a_flood_costs_work_in_proportion_to_its_length(name):
    """Counted in executed lines and calls of Python, not in time; a quadratic reader would need billions."""
    data = FLOODS[name] + b"\r\n"
    steps = 0

    def count(_frame, _event, _argument):
        nonlocal steps
        steps += 1
        return count

    assembler = CommandAssembler(AFTER_LOGIN)
    assembler.feed(data)
    tracing = sys.gettrace()
    sys.settrace(count)
    try:
        consume(assembler, accept=True)
    finally:
        sys.settrace(tracing)
    assert steps <= 40 * len(data)


def test_a_command_that_comes_one_octet_at_a_time_is_searched_once():
    looked_at = 0

    class Watched(bytearray):
        def find(self, octets, start=0):
            nonlocal looked_at
            looked_at += len(self) - start
            return super().find(octets, start)

    assembler = CommandAssembler(AFTER_LOGIN)
    assembler._buffer = Watched()
    for _ in range(60_000):
        assembler.feed(b"x")
        assert assembler.next_event() is None
    assert looked_at == 60_000


def test_a_large_literal_that_comes_one_octet_at_a_time_is_not_copied_again_and_again():
    copied = 0
    take = CommandAssembler._take

    class Watched(CommandAssembler):
        __slots__ = ()

        def _take(self, count):
            nonlocal copied
            copied += count
            return take(self, count)

    watched = Watched(AFTER_LOGIN)
    watched.feed(b"a LOGIN {60000+}\r\n")
    for _ in range(60_000):
        watched.feed(b"x")
        watched.next_event()
    assert copied <= 60_000 + 100
