"""Octets to events."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.smtp.framing import (
    BareNewline,
    CommandLine,
    ContentChunk,
    ContentEncoder,
    EndOfChunk,
    EndOfData,
    Framer,
    LineTooLong,
)


def cut(octets, size):
    return [octets[start : start + size] for start in range(0, len(octets), size)]


def command_events(pieces, limit=100):
    framer = Framer(limit)
    events = []
    for piece in pieces:
        framer.feed(piece)
        while (event := framer.next_event()) is not None:
            events.append(event)
    return events


def data_events(pieces):
    """What a framer makes of content: (octets, end mark or None, what was left over)."""
    framer = Framer()
    framer.begin_data()
    content, end, after = b"", None, []
    for piece in pieces:
        framer.feed(piece)
        while (event := framer.next_event()) is not None:
            match event:
                case ContentChunk():
                    assert event.octets
                    assert end is None
                    content += event.octets
                case EndOfData():
                    end = event
                case _:
                    after.append(event)
    return content, end, after


def reference(octets):
    """The plain meaning of RFC 5321 section 4.1.1.4 on the whole input."""
    whole = b"\r\n" + octets
    mark = whole.find(b"\r\n.\r\n")
    if mark < 0:
        return None
    raw = whole[: mark + 2]
    bare = b"\r" in raw.replace(b"\r\n", b"") or b"\n" in raw.replace(b"\r\n", b"")
    return raw.replace(b"\r\n.", b"\r\n")[2:], bare, whole[mark + 5 :]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_commands_end_with_crlf_however_they_are_cut(size):
    stream = b"EHLO a\r\nNOOP\r\n\r\nQUIT\r\n"
    assert command_events(cut(stream, size)) == [
        CommandLine(b"EHLO a"),
        CommandLine(b"NOOP"),
        CommandLine(b""),
        CommandLine(b"QUIT"),
    ]


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_bare_lf_is_told_and_is_no_command(size):
    assert command_events(cut(b"NOOP\nQUIT\r\n", size)) == [BareNewline(), CommandLine(b"QUIT")]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_line_over_the_limit_is_told_once_and_the_next_is_read(size):
    stream = b"x" * 100 + b"\r\n" + b"y" * 101 + b"\r\nNOOP\r\n"
    assert command_events(cut(stream, size)) == [
        CommandLine(b"x" * 100),
        LineTooLong(runaway=False),
        CommandLine(b"NOOP"),
    ]


def test_endless_line_is_never_kept():
    framer = Framer(100)
    events = []
    for _ in range(100):
        framer.feed(b"x" * 1000)
        events.append(framer.next_event())
        assert framer.buffered <= 101
    assert LineTooLong(runaway=True) in events
    assert events.index(LineTooLong(runaway=True)) == 65


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 1000])
@pytest.mark.parametrize(
    ("stream", "content"),
    [
        (b".\r\n", b""),
        (b"\r\n.\r\n", b"\r\n"),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b".a\r\n..b\r\n...\r\n.\r\n", b"a\r\n.b\r\n..\r\n"),
        (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n"),
        (b"a.\r\n.\r\n", b"a.\r\n"),
        (b"x" * 50_000 + b"\r\n.\r\n", b"x" * 50_000 + b"\r\n"),
    ],
)
def test_content_is_unstuffed_and_ends_at_the_mark(stream, content, size):
    assert data_events([*cut(stream, size), b"QUIT\r\n"]) == (
        content,
        EndOfData(bare_newline=False, nul=False),
        [CommandLine(b"QUIT")],
    )


SMUGGLING = [
    before + dot + after
    for before, dot, after in itertools.product(
        [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\n\n", b"\r\n\x00", b""],
        [b".", b"..", b". ", b".\x00"],
        [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r", b"\x00\r\n"],
    )
]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("mark", SMUGGLING)
def test_only_crlf_dot_crlf_ends_content(mark, size):
    stream = b"line" + mark + b"MAIL FROM:<evil@a.example>\r\n.\r\nNOOP\r\n"
    content, bare, rest = reference(stream)
    got, end, after = data_events(cut(stream, size))
    assert got == content
    assert end is not None
    assert end.bare_newline == bare
    assert [event.line for event in after if isinstance(event, CommandLine)] == [
        line for line in rest.split(b"\r\n")[:-1] if b"\n" not in line
    ]
    if b"\r\n.\r\n" not in mark:
        assert b"MAIL FROM:<evil@a.example>" in got


def test_nul_in_content_is_told():
    assert data_events([b"a\x00b\r\n.\r\n"])[1] == EndOfData(bare_newline=False, nul=True)


def test_flags_belong_to_one_message():
    framer = Framer()
    for stream, bare in ((b"a\nb\r\n.\r\n", True), (b"a\r\n.\r\n", False)):
        framer.begin_data()
        framer.feed(stream)
        ends = [event for event in iter(framer.next_event, None) if isinstance(event, EndOfData)]
        assert [end.bare_newline for end in ends] == [bare]


ALPHABET = st.text(alphabet="\r\n.a\x00", max_size=60).map(str.encode)


@settings(deadline=None, max_examples=300)
@given(stream=ALPHABET, cuts=st.lists(st.integers(1, 7), max_size=60))
def test_any_cut_gives_the_same_content(stream, cuts):
    stream += b"\r\n.\r\n"
    pieces, rest = [], stream
    for size in cuts:
        pieces.append(rest[:size])
        rest = rest[size:]
    pieces.append(rest)
    content, end, _ = data_events(pieces)
    expected, bare, _ = reference(stream)
    assert (content, end.bare_newline) == (expected, bare)


def encode(pieces):
    encoder = ContentEncoder()
    return b"".join(encoder.encode(piece) for piece in pieces) + encoder.finish()


@settings(deadline=None, max_examples=300)
@given(lines=st.lists(st.text(alphabet=".a\x00", max_size=5).map(str.encode), max_size=8), size=st.integers(1, 9))
def test_what_is_stuffed_unstuffs_to_itself(lines, size):
    content = b"".join(line + b"\r\n" for line in lines)
    got, end, after = data_events([encode(cut(content, size))])
    assert (got, end.bare_newline, after) == (content, False, [])


@settings(deadline=None, max_examples=300)
@given(content=ALPHABET, size=st.integers(1, 9))
def test_nothing_we_send_holds_a_bare_newline_or_an_early_end(content, size):
    wire = encode(cut(content, size))
    got, end, after = data_events([wire])
    assert (end.bare_newline, after) == (False, [])
    assert wire.endswith(b"\r\n.\r\n") or wire == b".\r\n"
    normal = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    normal += b"" if normal.endswith(b"\n") or not normal else b"\n"
    assert got == normal.replace(b"\n", b"\r\n")


def chunk_events(chunks, size):
    """What a framer makes of chunks fed in pieces of this size: content, and the end of each."""
    framer = Framer()
    content, ends = b"", []
    for number, chunk in enumerate(chunks):
        framer.begin_chunk(len(chunk), first=number == 0, last=number == len(chunks) - 1)
        for piece in cut(chunk, size):
            framer.feed(piece)
            while (event := framer.next_event()) is not None:
                if isinstance(event, ContentChunk):
                    assert event.octets
                    content += event.octets
                else:
                    ends.append(event)
        if not chunk:
            ends.append(framer.next_event())
        assert len(ends) == number + 1
        assert not framer.in_data
    return content, ends


@settings(deadline=None, max_examples=300)
@given(
    chunks=st.lists(st.text(alphabet="\r\n.a\x00", max_size=8).map(str.encode), min_size=1, max_size=8),
    size=st.integers(1, 9),
)
def test_chunks_are_kept_octet_for_octet_and_judged_as_one_message(chunks, size):
    content, ends = chunk_events(chunks, size)
    whole = b"".join(chunks)
    assert content == whole
    bare = bool(whole.replace(b"\r\n", b"").strip(b".a\0"))
    assert ends[-1] == EndOfChunk(bare_newline=bare, nul=b"\0" in whole)


def test_commands_follow_a_chunk_at_once():
    framer = Framer()
    framer.begin_chunk(3, first=True, last=True)
    framer.feed(b"a\r\nNOOP\r\n")
    assert [framer.next_event() for _ in range(4)] == [
        ContentChunk(b"a\r\n"),
        EndOfChunk(bare_newline=False, nul=False),
        CommandLine(b"NOOP"),
        None,
    ]


def test_a_line_end_may_be_divided_among_chunks():
    assert chunk_events([b"a\r", b"\nb", b"\r", b"", b"\n"], 9)[1][-1] == EndOfChunk(bare_newline=False, nul=False)
    assert chunk_events([b"a\r", b"b"], 9)[1][-1].bare_newline
    assert chunk_events([b"a\r"], 9)[1][-1].bare_newline
    assert not chunk_events([b"a\r", b"\n"], 9)[1][0].bare_newline
