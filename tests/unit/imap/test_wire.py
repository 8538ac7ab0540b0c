"""The command assembler: lines, literals, messages of APPEND, and what must be refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.imap.wire import (
    AFTER_LOGIN,
    BEFORE_LOGIN,
    BeginMessageLiteral,
    CommandAssembler,
    CommandReceived,
    ContinuationNeeded,
    EndAppend,
    EndMessageLiteral,
    Fault,
    InputRefused,
    MessageChunk,
    RawLine,
    WireLimits,
)

CONTINUE = ContinuationNeeded()


def drain(assembler, *, accept=True):
    """Take all events; neighbouring chunks become one, so that the cutting of the input does not show."""
    events = []
    while (event := assembler.next_event()) is not None:
        if isinstance(event, BeginMessageLiteral):
            if accept:
                assembler.accept_message()
            else:
                events.extend((event, assembler.refuse_message()))
                continue
        if isinstance(event, MessageChunk) and events and isinstance(events[-1], MessageChunk):
            events[-1] = MessageChunk(events[-1].octets + event.octets)
        else:
            events.append(event)
    return events


def joined(events):
    out = []
    for event in events:
        if isinstance(event, MessageChunk) and out and isinstance(out[-1], MessageChunk):
            out[-1] = MessageChunk(out[-1].octets + event.octets)
        else:
            out.append(event)
    return out


def run(data, *, limits=AFTER_LOGIN, chunks=None, accept=True):
    assembler = CommandAssembler(limits)
    events = []
    if chunks is None:
        chunks = [data]
    for chunk in chunks:
        assembler.feed(chunk)
        events += drain(assembler, accept=accept)
    return joined(events)


def octet_by_octet(data):
    return [data[i : i + 1] for i in range(len(data))]


COMMANDS = [
    (b"a NOOP\r\n", [CommandReceived((b"a NOOP",))]),
    (b"\r\n", [CommandReceived((b"",))]),
    (b"a NOOP\r\nb LOGOUT\r\n", [CommandReceived((b"a NOOP",)), CommandReceived((b"b LOGOUT",))]),
    (
        b"a LOGIN {3}\r\nbob {6}\r\nsecret\r\n",
        [CONTINUE, CONTINUE, CommandReceived((b"a LOGIN {3}", b"bob", b" {6}", b"secret", b""))],
    ),
    (b"a LOGIN {3+}\r\nbob {6+}\r\nsecret\r\n", [CommandReceived((b"a LOGIN {3+}", b"bob", b" {6+}", b"secret", b""))]),
    (b"a LOGIN {0+}\r\n {2+}\r\n\r\n\r\n", [CommandReceived((b"a LOGIN {0+}", b"", b" {2+}", b"\r\n", b""))]),
    (b"a X ~{2+}\r\n\0\0\r\n", [CommandReceived((b"a X ~{2+}", b"\0\0", b""))]),
    (b"a SELECT {-5}\r\n", [CommandReceived((b"a SELECT {-5}",))]),
    (b"a SELECT {}\r\n", [CommandReceived((b"a SELECT {}",))]),
    (b"a SELECT x}\r\n", [CommandReceived((b"a SELECT x}",))]),
    (b'a SELECT "{5}"\r\n', [CommandReceived((b'a SELECT "{5}"',))]),
    (
        b"a APPEND x {5}\r\nhello\r\n",
        [
            BeginMessageLiteral((b"a APPEND x {5}",), 5, synchronising=True),
            MessageChunk(b"hello"),
            EndMessageLiteral(),
            EndAppend(),
        ],
    ),
    (
        b"a append {1+}\r\nx (\\Seen) {7+}\r\nb NOOP\r\r\nc NOOP\r\n",
        [
            BeginMessageLiteral((b"a append {1+}", b"x", b" (\\Seen) {7+}"), 7, synchronising=False),
            MessageChunk(b"b NOOP\r"),
            EndMessageLiteral(),
            EndAppend(),
            CommandReceived((b"c NOOP",)),
        ],
    ),
    (
        b"a APPEND x {2+}\r\nhi {3+}\r\nyou\r\n",
        [
            BeginMessageLiteral((b"a APPEND x {2+}",), 2, synchronising=False),
            MessageChunk(b"hi"),
            EndMessageLiteral(),
            BeginMessageLiteral((b" {3+}",), 3, synchronising=False, further=True),
            MessageChunk(b"you"),
            EndMessageLiteral(),
            EndAppend(),
        ],
    ),
    (
        b"a APPEND x {0+}\r\n junk\r\n",
        [BeginMessageLiteral((b"a APPEND x {0+}",), 0, synchronising=False), EndMessageLiteral(), EndAppend(b" junk")],
    ),
    (
        b"a APPEND x {3+}\r\na\0b\r\n",
        [
            BeginMessageLiteral((b"a APPEND x {3+}",), 3, synchronising=False),
            MessageChunk(b"a\0b"),
            EndMessageLiteral(nul=True),
            EndAppend(),
        ],
    ),
    (
        b"a APPEND x ~{3+}\r\na\0b\r\n",
        [
            BeginMessageLiteral((b"a APPEND x ~{3+}",), 3, synchronising=False, binary=True),
            MessageChunk(b"a\0b"),
            EndMessageLiteral(),
            EndAppend(),
        ],
    ),
    (b'a APPEND x "no literal"\r\n', [CommandReceived((b'a APPEND x "no literal"',))]),
    (
        b"a REPLACE 4 x {2+}\r\nhi\r\n",
        [
            BeginMessageLiteral((b"a REPLACE 4 x {2+}",), 2, synchronising=False),
            MessageChunk(b"hi"),
            EndMessageLiteral(),
            EndAppend(),
        ],
    ),
    (
        b"a uid replace * {1+}\r\nx () ~{2}\r\n\0\0\r\n",
        [
            BeginMessageLiteral((b"a uid replace * {1+}", b"x", b" () ~{2}"), 2, synchronising=True, binary=True),
            MessageChunk(b"\0\0"),
            EndMessageLiteral(),
            EndAppend(),
        ],
    ),
    # A command that begins like APPEND or REPLACE and is another.
    (b"a UID APPEND x {1+}\r\nx\r\n", [CommandReceived((b"a UID APPEND x {1+}", b"x", b""))]),
    (b"a REPLACE $ x {1+}\r\nx\r\n", [CommandReceived((b"a REPLACE $ x {1+}", b"x", b""))]),
    (b"a APPENDED {1+}\r\nx\r\n", [CommandReceived((b"a APPENDED {1+}", b"x", b""))]),
    # Refusals, each followed by a command that must still be understood.
    (
        b"a NO\0OP\r\nb NOOP\r\n",
        [InputRefused(Fault.NUL, b"a"), CommandReceived((b"b NOOP",))],
    ),
    (
        b"a NOOP\nb NOOP\r\n",
        [InputRefused(Fault.BARE_NEWLINE, b"a"), CommandReceived((b"b NOOP",))],
    ),
    (
        b"a NO\rOP\r\nb NOOP\r\n",
        [InputRefused(Fault.BARE_NEWLINE, b"a"), CommandReceived((b"b NOOP",))],
    ),
    (
        b"a LOGIN {3+}\r\nb\0b secret\r\nb NOOP\r\n",
        [InputRefused(Fault.NUL, b"a"), CommandReceived((b"b NOOP",))],
    ),
    (
        b"a LOGIN {3+}\r\nb\0b {8+}\r\nx NOOP\r\n\r\nb NOOP\r\n",
        [InputRefused(Fault.NUL, b"a"), CommandReceived((b"b NOOP",))],
    ),
    (
        b"a \0 {8+}\r\nx NOOP\r\n\r\nb NOOP\r\n",
        [InputRefused(Fault.NUL, b"a"), CommandReceived((b"b NOOP",))],
    ),
    (b"a \0 {8}\r\nb NOOP\r\n", [InputRefused(Fault.NUL, b"a"), CommandReceived((b"b NOOP",))]),
    (b"a LOGIN {8+}\nx NOOP\r\n", [InputRefused(Fault.BARE_NEWLINE, b"a", close=True)]),
    (
        b"a X {65537}\r\nb NOOP\r\n",
        [InputRefused(Fault.LITERAL_TOO_LARGE, b"a", command="X"), CommandReceived((b"b NOOP",))],
    ),
    (
        b"a X {65537+}\r\n" + b"x NOOP\r\n".ljust(65537) + b"\r\nb NOOP\r\n",
        [InputRefused(Fault.LITERAL_TOO_LARGE, b"a", command="X"), CommandReceived((b"b NOOP",))],
    ),
    (b"a X {99999999999999999999999999}\r\nb NOOP\r\n",
     [InputRefused(Fault.LITERAL_TOO_LARGE, b"a", command="X"), CommandReceived((b"b NOOP",))]),
    (b"a X {99999999999999+}\r\nb NOOP\r\n", [InputRefused(Fault.LITERAL_TOO_LARGE, b"a", close=True, command="X")]),
    (b"a X {" + b"9" * 6000 + b"+}\r\nb NOOP\r\n",
     [InputRefused(Fault.LITERAL_TOO_LARGE, b"a", close=True, command="X")]),
    (
        b"a " + b"x" * 70000 + b"\r\nb NOOP\r\n",
        [InputRefused(Fault.LINE_TOO_LONG, b"a"), CommandReceived((b"b NOOP",))],
    ),
    (
        b"a " + b"x" * 70000 + b"{8+}\r\nx NOOP\r\n\r\nb NOOP\r\n",
        [InputRefused(Fault.LINE_TOO_LONG, b"a"), CommandReceived((b"b NOOP",))],
    ),
    (
        b"a " + b"x" * 70000 + b"{" + b"0" * 100 + b"8+}\r\nx NOOP\r\n",
        [InputRefused(Fault.LINE_TOO_LONG, b"a"), InputRefused(Fault.LINE_TOO_LONG, close=True)],
    ),
    (b"t" * 65 + b" {70000}\r\n", [InputRefused(Fault.LITERAL_TOO_LARGE, None)]),
]  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), COMMANDS, ids=range(len(COMMANDS)))
def test_a_client_s_octets_give_these_events(data, expected):
    assert run(data) == expected


@pytest.mark.parametrize(("data", "expected"), COMMANDS, ids=range(len(COMMANDS)))
def test_the_events_are_the_same_octet_by_octet(data, expected):
    assert run(data, chunks=octet_by_octet(data)) == expected


@pytest.mark.parametrize(("data", "expected"), COMMANDS, ids=range(len(COMMANDS)))
def test_what_follows_a_command_is_the_next_command(data, expected):
    closed = isinstance(expected[-1], InputRefused) and expected[-1].close
    assert run(data + b"zz CHECK\r\n") == [*expected, *([] if closed else [CommandReceived((b"zz CHECK",))])]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([data for data, _ in COMMANDS]), st.data())
def test_any_cutting_gives_the_same_events(data, choose):
    cuts = sorted(choose.draw(st.sets(st.integers(0, len(data)), max_size=12)))
    chunks = [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert run(data, chunks=chunks) == run(data)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.sampled_from(
            [b"a ", b"APPEND ", b"x ", b"{3}", b"{3+}", b"~{2+}", b"\r\n", b"\n", b"\r", b"\0", b"}", b"abc"]
        ),
        max_size=40,
    ),
    st.data(),
)
def test_any_cutting_of_hostile_input_gives_the_same_events(parts, choose):
    data = b"".join(parts)
    limits = WireLimits(
        line_max_octets=20, literal_max_octets=5, skip_max_octets=choose.draw(st.sampled_from([0, 4, 40]))
    )
    accept = choose.draw(st.booleans())
    cuts = sorted(choose.draw(st.sets(st.integers(0, len(data)), max_size=12)))
    chunks = [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    whole = run(data, limits=limits, accept=accept)
    assert run(data, limits=limits, accept=accept, chunks=chunks) == whole
    assert run(data, limits=limits, accept=accept, chunks=octet_by_octet(data)) == whole


def test_a_continuation_is_asked_for_before_the_literal_arrives():
    assert run(b"a LOGIN {3}\r\n") == [CONTINUE]


def test_before_login_literals_together_are_limited_to_four_kilobytes():
    data = b"a LOGIN {2000+}\r\n" + b"x" * 2000 + b" {2097}\r\n"
    assert run(data, limits=BEFORE_LOGIN) == [InputRefused(Fault.LITERAL_TOO_LARGE, b"a", command="LOGIN")]
    assert run(data.replace(b"2097", b"2096"), limits=BEFORE_LOGIN) == [CONTINUE]


def test_before_login_a_large_literal_that_is_already_coming_closes_the_connection():
    assert run(b"a LOGIN {4097+}\r\n", limits=BEFORE_LOGIN) == [
        InputRefused(Fault.LITERAL_TOO_LARGE, b"a", close=True, command="LOGIN")
    ]


def test_before_login_a_long_line_closes_the_connection_and_nothing_after_it_runs():
    assert run(b"a " + b"x" * 33000 + b"\r\nb NOOP\r\n", limits=BEFORE_LOGIN) == [
        InputRefused(Fault.LINE_TOO_LONG, b"a", close=True)
    ]


def test_a_line_of_exactly_the_limit_passes():
    line = b"a " + b"x" * (32768 - 2)
    assert run(line + b"\r\n", limits=BEFORE_LOGIN) == [CommandReceived((line,))]
    assert run(line + b"x\r\n", limits=BEFORE_LOGIN) == [InputRefused(Fault.LINE_TOO_LONG, b"a", close=True)]


def test_an_endless_line_is_not_kept_in_memory():
    assembler = CommandAssembler(AFTER_LOGIN)
    refused = []
    for _ in range(1000):
        assembler.feed(b"x" * 1000)
        refused += drain(assembler)
        assert assembler.buffered_octets <= 70_000
    assert refused == [InputRefused(Fault.LINE_TOO_LONG)]


def test_an_endless_line_closes_the_connection_at_last():
    limits = WireLimits(line_max_octets=100, literal_max_octets=0, skip_max_octets=1000)
    assert run(b"x" * 2000, limits=limits) == [
        InputRefused(Fault.LINE_TOO_LONG),
        InputRefused(Fault.LINE_TOO_LONG, close=True),
    ]


def test_lines_of_one_command_are_limited_together():
    data = b"a X " + b"{0+}\r\n" * 20_000
    events = run(data)
    assert events[0] == InputRefused(Fault.LINE_TOO_LONG, b"a")


def test_a_message_is_given_as_it_arrives():
    assembler = CommandAssembler(AFTER_LOGIN)
    assembler.feed(b"a APPEND x {1000000}\r\n")
    assert assembler.next_event() == BeginMessageLiteral((b"a APPEND x {1000000}",), 1_000_000, synchronising=True)
    assert assembler.next_event() is None
    assembler.accept_message()
    for _ in range(10):
        assembler.feed(b"x" * 1000)
        assert assembler.next_event() == MessageChunk(b"x" * 1000)
        assert assembler.next_event() is None
        assert assembler.buffered_octets == 0


def test_a_refused_message_that_waits_for_the_invitation_is_not_read():
    events = run(b"a APPEND x {500}\r\nb NOOP\r\n", accept=False)
    assert events[1:] == [True, CommandReceived((b"b NOOP",))]


def test_a_refused_message_that_is_already_coming_is_skipped_with_its_whole_command():
    events = run(b"a APPEND x {8+}\r\nx NOOP\r\n (\\Seen) {8+}\r\ny NOOP\r\n\r\nb NOOP\r\n", accept=False)
    assert events[1:] == [True, CommandReceived((b"b NOOP",))]


def test_a_refused_message_that_is_too_large_to_skip_ends_the_connection():
    events = run(b"a APPEND x {99999999999+}\r\nb NOOP\r\n", accept=False)
    assert events[1:] == [False]


def test_a_message_can_be_refused_while_it_arrives():
    assembler = CommandAssembler(AFTER_LOGIN)
    assembler.feed(b"a APPEND x {10}\r\n")
    assembler.next_event()
    assembler.accept_message()
    assembler.feed(b"01234")
    assert assembler.next_event() == MessageChunk(b"01234")
    assert assembler.refuse_message()
    assembler.feed(b"56789\r\nb NOOP\r\n")
    assert drain(assembler) == [CommandReceived((b"b NOOP",))]


def test_starttls_drops_what_came_in_the_clear():
    assembler = CommandAssembler(BEFORE_LOGIN)
    assembler.feed(b"a STARTTLS\r\nb LOGIN x y\r\n")
    assert assembler.next_event() == CommandReceived((b"a STARTTLS",))
    assert assembler.discard() == 13
    assert assembler.next_event() is None
    assembler.feed(b"c NOOP\r\n")
    assert assembler.next_event() == CommandReceived((b"c NOOP",))


@pytest.mark.parametrize("chunks", [lambda data: [data], octet_by_octet])
def test_a_line_outside_commands_is_given_as_it_is(chunks):
    assembler = CommandAssembler(BEFORE_LOGIN)
    assembler.expect_line(100)
    events = []
    for chunk in chunks(b"AGJvYgBzZWNyZXQ={3}\r\nb NOOP\r\n"):
        assembler.feed(chunk)
        events += drain(assembler)
    assert events == [RawLine(b"AGJvYgBzZWNyZXQ={3}"), CommandReceived((b"b NOOP",))]


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        (b"DONE\n", InputRefused(Fault.BARE_NEWLINE)),
        (b"DO\rNE\r\n", InputRefused(Fault.BARE_NEWLINE)),
        (b"DO\0NE\r\n", InputRefused(Fault.NUL)),
        (b"x" * 11 + b"\r\n", InputRefused(Fault.LINE_TOO_LONG, close=True)),
        (b"x" * 12, InputRefused(Fault.LINE_TOO_LONG, close=True)),
    ],
)
def test_a_bad_line_outside_commands_is_refused(line, refusal):
    assembler = CommandAssembler(BEFORE_LOGIN)
    assembler.expect_line(10)
    assembler.feed(line)
    assert drain(assembler) == [refusal]


def test_new_limits_hold_for_the_next_command():
    assembler = CommandAssembler(BEFORE_LOGIN)
    assembler.feed(b"a LOGIN x y\r\nb X {5000}\r\n")
    assembler.next_event()
    assembler.limits = AFTER_LOGIN
    assert assembler.next_event() == CONTINUE
