"""APPEND and REPLACE: what stands around the octets of messages."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.imap import commands
from mailsuite.imap.append_grammar import (
    Announced,
    MessageEnd,
    Stretch,
    Url,
    brings_message,
    parse_append,
    parse_append_rest,
)
from mailsuite.imap.commands import AppendPart
from mailsuite.imap.sequence import SequenceSet
from mailsuite.imap.tokens import BadCommandError
from mailsuite.imap.wire import BeginMessageLiteral, CommandAssembler, CommandReceived, EndAppend

END = MessageEnd()


def refusal(pieces, *, after=None):
    with pytest.raises(BadCommandError) as refused:
        parse_append(pieces) if after is None else parse_append_rest(pieces, b"a", after)
    assert refused.value.tag == b"a"
    return refused.value


@pytest.mark.parametrize(
    ("head", "mailbox", "flags", "date"),
    [
        ((b"a APPEND x {5}",), "x", frozenset(), None),
        ((b"a APPEND x (\\Recent) {5}",), "x", frozenset(), None),
        ((b"a append inbox (\\Foo \\Seen \\recent $x) {5+}",), "INBOX", frozenset({"\\Seen", "$x"}), None),
        ((b"a append inbox (\\Seen $x) {5+}",), "INBOX", frozenset({"\\Seen", "$x"}), None),
        ((b"a APPEND {3}", b"x y", b' () "17-Jul-1996 02:44:25 -0700" ~{5}'), "x y", frozenset(), 837596665),
        ((b'a APPEND "x" " 1-Jan-1970 00:00:00 +0000" {5}',), "x", frozenset(), 0),
        ((b'a APPEND "x" "31-Dec-2016 23:59:60 +0000" {5}',), "x", frozenset(), 1483228799),
        ((b'a APPEND "x" "01-Jan-0001 00:00:00 +1400" {5}',), "x", frozenset(), -62135596800 - 14 * 3600),
    ],
)
def test_what_is_said_of_a_message_to_append(head, mailbox, flags, date):
    stretch = Stretch((AppendPart(flags, date),), Announced.MESSAGE)
    assert parse_append(head) == (commands.Append(b"a", mailbox), stretch)


@pytest.mark.parametrize(
    "head",
    [
        (b"a APPEND {5}",),
        (b"a APPEND x{5}",),
        (b"a APPEND x  {5}",),
        (b"a APPEND x (\\Seen {5}",),
        (b"a APPEND x (\\*) {5}",),
        (b'a APPEND x "yesterday" {5}',),
        (b'a APPEND x "32-Jan-2020 00:00:00 +0000" {5}',),
        (b'a APPEND x "01-Jan-2020 24:00:00 +0000" {5}',),
        (b'a APPEND x "01-Jan-2020 00:00:00 +2400" {5}',),
        (b'a APPEND x "01-Jan-2020 00:00:00 +0060" {5}',),
        (b'a APPEND x "01-Foo-2020 00:00:00 +0000" {5}',),
        (b'a APPEND "x {5}',),
    ],
)
def test_a_bad_head_of_append_is_refused_under_its_tag(head):
    with pytest.raises(BadCommandError) as refused:
        parse_append(head)
    assert refused.value.tag == b"a"


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        (b"31-Feb-2020 00:00:00 +0000", b"NO"),
        (b"01-Jan-2020 24:00:00 +0000", b"NO"),
        (b"01-Jan-2020 00:00:00 +2400", b"NO"),
        (b"01-Foo-2020 00:00:00 +0000", b"BAD"),
        (b"01-Jan-2020", b"BAD"),
    ],
)
def test_a_date_that_does_not_exist_is_no_error_of_syntax(moment, status):
    with pytest.raises(BadCommandError) as refused:
        parse_append((b'a APPEND x "%b" {5}' % moment,))
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("head", "message", "mailbox", "flags", "uid"),
    [
        ((b"a REPLACE 4 Drafts (\\Seen \\Draft) {312}",), "4", "Drafts", {"\\Seen", "\\Draft"}, False),
        ((b"a uid replace 2000 inbox {3+}",), "2000", "INBOX", set(), True),
        ((b"a REPLACE * {3}", b"x y", b" ~{5}"), "*", "x y", set(), False),
    ],
)
def test_what_is_said_of_a_message_that_comes_in_place_of_another_one(head, message, mailbox, flags, uid):
    stretch = Stretch((AppendPart(frozenset(flags)),), Announced.MESSAGE)
    numbers = SequenceSet.parse(message.encode())
    assert parse_append(head) == (commands.Replace(b"a", numbers, mailbox, uid), stretch)


@pytest.mark.parametrize(
    "head",
    [
        (b"a REPLACE 1:2 x {5}",),
        (b"a REPLACE 1,2 x {5}",),
        (b"a REPLACE $ x {5}",),
        (b"a REPLACE 0 x {5}",),
        (b"a REPLACE 4294967296 x {5}",),
        (b"a REPLACE x {5}",),
        (b"a REPLACE 1 {5}",),
        (b"a REPLACE 1  x {5}",),
        (b"a UID  REPLACE 1 x {5}",),
        (b"a UID APPEND x {5}",),
    ],
)
def test_a_bad_head_of_replace_is_refused_under_its_tag(head):
    with pytest.raises(BadCommandError) as refused:
        parse_append(head)
    assert (refused.value.tag, refused.value.status) == (b"a", b"BAD")


def test_a_further_message_of_an_append_has_its_own_flags_and_date():
    expected = Stretch((AppendPart(frozenset({"\\Seen"})),), Announced.MESSAGE)
    assert parse_append_rest((b" (\\Seen) {5}",), b"a", Announced.MESSAGE) == expected
    assert refusal((b"junk {5}",), after=Announced.MESSAGE).status == b"BAD"


CATENATED = [
    ((b'a APPEND x CATENATE (URL "/y/;UID=1")',), (AppendPart(), Url(b"/y/;UID=1"), END), Announced.NOTHING),
    (
        (b'a append x (\\Seen) "17-Jul-1996 02:44:25 -0700" catenate (url /y/;UID=1 url ;UID=2)',),
        (AppendPart(frozenset({"\\Seen"}), 837596665), Url(b"/y/;UID=1"), Url(b";UID=2"), END),
        Announced.NOTHING,
    ),
    ((b"a APPEND x CATENATE (TEXT {42}",), (AppendPart(),), Announced.TEXT),
    ((b"a APPEND x CATENATE (TEXT ~{42+}",), (AppendPart(),), Announced.TEXT),
    ((b"a APPEND {1+}", b"x", b" CATENATE (URL a TEXT {42+}"), (AppendPart(), Url(b"a")), Announced.TEXT),
    ((b"a APPEND x CATENATE (URL a UTF8 (~{42}",), (AppendPart(), Url(b"a")), Announced.UTF8_TEXT),
    ((b"a APPEND x () utf8 (~{42}",), (AppendPart(),), Announced.UTF8_MESSAGE),
    ((b"a APPEND x CATENATE (URL {9}",), (AppendPart(),), Announced.URL),
    (
        (b"a APPEND x CATENATE (URL a) () CATENATE (URL b URL c TEXT {1}",),
        (AppendPart(), Url(b"a"), END, AppendPart(), Url(b"b"), Url(b"c")),
        Announced.TEXT,
    ),
    ((b"a APPEND x CATENATE (URL a) {1}",), (AppendPart(), Url(b"a"), END, AppendPart()), Announced.MESSAGE),
    ((b"a UID REPLACE 3 x CATENATE (URL a)",), (AppendPart(), Url(b"a"), END), Announced.NOTHING),
]


@pytest.mark.parametrize(("pieces", "steps", "announced"), CATENATED)
def test_a_message_may_be_put_together_of_parts(pieces, steps, announced):
    assert parse_append(pieces)[1] == Stretch(steps, announced)


@pytest.mark.parametrize(
    ("rest", "after", "steps", "announced"),
    [
        (b"", Announced.MESSAGE, (), Announced.NOTHING),
        (b")", Announced.TEXT, (END,), Announced.NOTHING),
        (b")", Announced.UTF8_MESSAGE, (), Announced.NOTHING),
        (b") {3}", Announced.UTF8_MESSAGE, (AppendPart(),), Announced.MESSAGE),
        (b"))", Announced.UTF8_TEXT, (END,), Announced.NOTHING),
        (b") URL a TEXT {3}", Announced.UTF8_TEXT, (Url(b"a"),), Announced.TEXT),
        (b" UTF8 (~{3}", Announced.URL, (), Announced.UTF8_TEXT),
        (b" URL a)", Announced.TEXT, (Url(b"a"), END), Announced.NOTHING),
        (b" URL a TEXT {3}", Announced.TEXT, (Url(b"a"),), Announced.TEXT),
        (b") {3}", Announced.TEXT, (END, AppendPart()), Announced.MESSAGE),
        (b") CATENATE (URL {3+}", Announced.TEXT, (END, AppendPart()), Announced.URL),
        (b" CATENATE (URL a)", Announced.MESSAGE, (AppendPart(), Url(b"a"), END), Announced.NOTHING),
    ],
)
def test_more_follows_a_literal(rest, after, steps, announced):
    assert parse_append_rest((rest,), b"a", after) == Stretch(steps, announced)


@pytest.mark.parametrize(
    "line",
    [
        b"a APPEND",
        b"a APPEND x",
        b'a APPEND x "message"',
        b"a REPLACE 1 x",
        b"a UID REPLACE 1 x",
        b"a REPLACE",
        b"a UID REPLACE",
        b"a APPEND x CATENATE",
        b"a APPEND x CATENATE ",
        b"a APPEND x CATENATE ()",
        b"a APPEND x CATENATE (",
        b"a APPEND x CATENATE (URL)",
        b"a APPEND x CATENATE (URL a",
        b"a APPEND x CATENATE (URL a )",
        b"a APPEND x CATENATE (URL a) ",
        b"a APPEND x CATENATE (URL a)x",
        b"a APPEND x CATENATE (URL a)(URL b)",
        b"a APPEND x CATENATE ( URL a)",
        b"a APPEND x CATENATE(URL a)",
        b"a APPEND x CATENATE (TEXT a)",
        b"a APPEND x CATENATE (TEXT {3})",
        b"a APPEND x CATENATE (URL a {3}",
        b"a APPEND x CATENATE (FOO a)",
        b"a APPEND x CATENATED (URL a)",
        b"a APPEND x UTF8 ~{3}",
        b"a APPEND x UTF8 (TEXT ~{3}",
        b"a APPEND x UTF8(~{3}",
        b"a APPEND x CATENATE (UTF8 ~{3}",
        b"a APPEND x CATENATE (URL a) junk",
        b"a APPEND x CATENATE (URL a) ()",
    ],
)
def test_what_cannot_be_read_is_bad(line):
    assert brings_message(line)
    assert refusal((line,)).status == b"BAD"


@pytest.mark.parametrize(
    ("rest", "after"),
    [
        (b" ", Announced.MESSAGE),
        (b")", Announced.MESSAGE),
        (b" junk", Announced.MESSAGE),
        (b"", Announced.TEXT),
        (b"URL a)", Announced.TEXT),
        (b" )", Announced.URL),
        (b"))", Announced.URL),
        (b"", Announced.UTF8_MESSAGE),
        (b"))", Announced.UTF8_MESSAGE),
        (b")", Announced.UTF8_TEXT),
        (b" URL a)", Announced.UTF8_TEXT),
    ],
)
def test_what_follows_a_literal_and_cannot_be_read_is_bad(rest, after):
    assert refusal((rest,), after=after).status == b"BAD"


def test_parts_are_limited():
    line = b"a APPEND x CATENATE (" + b" ".join([b"URL a"] * 1001) + b")"
    error = refusal((line,))
    assert (error.status, error.code) == (b"NO", b"LIMIT")


@pytest.mark.parametrize(
    "line",
    [
        b"a APPENDX x",
        b"a UID APPEND x",
        b"( APPEND x",
        b"a+ APPEND x",
        b"APPEND x",
        b"t" * 65 + b" APPEND x",
        b"a NOOP",
    ],
)
def test_other_commands_bring_no_message(line):
    assert not brings_message(line)


WHOLE = (
    b'a APPEND x (\\Seen) CATENATE (URL "/y/;UID=1" TEXT {2}\r\n\r\n URL {9+}\r\n/y/;UID=2 TEXT ~{1+}\r\n\0)'
    b' () {3+}\r\nabc CATENATE (URL ";UID=3")\r\nb NOOP\r\n'
)


def stretches(data, length):
    """Read a command as its octets arrive."""
    assembler = CommandAssembler()
    assembler.limits = assembler.limits.__class__(65536, 65536, 65536)
    found = []
    after = Announced.NOTHING
    for start in range(0, len(data), length):
        assembler.feed(data[start : start + length])
        while (event := assembler.next_event()) is not None:
            if isinstance(event, BeginMessageLiteral):
                stretch = parse_append_rest(event.head, b"a", after) if found else parse_append(event.head)[1]
                after = stretch.announced
                found.append(stretch)
                assembler.accept_message()
            elif isinstance(event, EndAppend):
                found.append(parse_append_rest((event.rest,), b"a", after))
            elif isinstance(event, CommandReceived):
                found.append(event)
    return found


@pytest.mark.parametrize("length", [1, 2, 7, len(WHOLE)])
def test_a_command_is_the_same_however_it_is_cut(length):
    assert stretches(WHOLE, length) == [
        Stretch((AppendPart(frozenset({"\\Seen"})), Url(b"/y/;UID=1")), Announced.TEXT),
        Stretch((), Announced.URL),
        Stretch((), Announced.TEXT),
        Stretch((END, AppendPart()), Announced.MESSAGE),
        Stretch((AppendPart(), Url(b";UID=3"), END)),
        CommandReceived((b"b NOOP",)),
    ]


@given(st.binary(max_size=60))
def test_no_octets_are_an_error_of_ours(octets):
    for pieces in ((b"a APPEND x " + octets,), (b"a APPEND x CATENATE (" + octets,)):
        with contextlib.suppress(BadCommandError):
            command, stretch = parse_append(pieces)
            assert (command.tag, stretch.announced in Announced) == (b"a", True)
