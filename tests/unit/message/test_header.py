import pytest

from mailsuite.message.header import (
    FIELDS_MAX,
    HEADER_MAX_OCTETS,
    all_values,
    find_empty_line,
    first_value,
    header_extent,
    parse_fields,
    unfold,
)


@pytest.mark.parametrize(
    ("content", "extent"),
    [
        (b"A: 1\r\n\r\nbody", (6, 8)),
        (b"A: 1\n\nbody", (5, 6)),
        (b"A: 1\r\n\nbody", (6, 7)),
        (b"A: 1\n\r\nbody", (5, 7)),
        (b"\r\nbody", (0, 2)),
        (b"\nbody", (0, 1)),
        (b"\r\n", (0, 2)),
        (b"", (0, 0)),
        (b"A: 1\r\n", (6, 6)),
        (b"A: 1", (4, 4)),
        (b"A: 1\n\nb\r\n\r\n", (5, 6)),
        (b"A: 1\r\n\r\nb\n\n", (6, 8)),
        (b"A: 1\r\n \r\nB: 2\r\n\r\n", (15, 17)),
    ],
)
def test_the_header_ends_at_the_first_empty_line(content, extent):
    assert header_extent(content, 0, len(content)) == extent


@pytest.mark.parametrize("length", range(2040, 2056))
@pytest.mark.parametrize("empty_line", [b"\r\n\r\n", b"\n\n", b"\n\r\n"])
def test_an_empty_line_is_found_across_search_windows(length, empty_line):
    content = b"x" * length + empty_line + b"y" * 5000 + b"\n\n"
    assert find_empty_line(content, 0, len(content)) == content.index(b"\n")


def test_fields_keep_their_octets():
    block = b"Subject: one\r\n two\r\nX-Empty:\r\nFROM : a@b\n\tc\nlast: x"
    assert parse_fields(block) == [
        (b"subject", b"Subject: one\r\n two\r\n"),
        (b"x-empty", b"X-Empty:\r\n"),
        (b"from", b"FROM : a@b\n\tc\n"),
        (b"last", b"last: x"),
    ]


@pytest.mark.parametrize(
    "block",
    [
        b"no field here\r\nA: 1\r\n",
        b"From bob@example.net Sat Jan  1 00:00:00 2000\r\nA: 1\r\n",
        b" folded before anything\r\nA: 1\r\n",
        b": no name\r\nA: 1\r\n",
        b"\xff\xfe: not a name\r\nA: 1\r\n",
        b"A: 1\r\n\r",
    ],
)
def test_lines_that_are_no_fields_are_passed_over(block):
    assert parse_fields(block) == [(b"a", b"A: 1\r\n")]


def test_a_block_without_foreign_lines_is_the_sum_of_its_fields():
    block = b"A: 1\r\nB: 2\r\n 3\r\n \r\nC:\r\n"
    assert b"".join(raw for _, raw in parse_fields(block)) == block


@pytest.mark.parametrize("empty_line", [b"\r\n", b"\n"])
def test_fields_end_at_an_empty_line(empty_line):
    assert parse_fields(b"A: 1\r\n" + empty_line + b"B: 2\r\n") == [(b"a", b"A: 1\r\n")]
    assert parse_fields(empty_line + b"B: 2\r\n") == []
    assert parse_fields(b"A: 1\r\n" + empty_line) == [(b"a", b"A: 1\r\n")]


def test_only_so_many_fields_and_octets_are_looked_at():
    assert len(parse_fields(b"A: 1\r\n" * (FIELDS_MAX + 50))) == FIELDS_MAX
    fields = parse_fields(b"A: " + b"x" * HEADER_MAX_OCTETS + b"\r\nB: 2\r\n")
    assert [name for name, _ in fields] == [b"a"]


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"A: one\r\n two\r\n", b"one two"),
        (b"A: one\n\ttwo\n", b"one\ttwo"),
        (b"A:\r\n", b""),
        (b"A:\r\n x\r\n", b"x"),
        (b"A : b:c", b"b:c"),
    ],
)
def test_values_are_unfolded(raw, value):
    assert unfold(raw) == value


def test_first_and_all_values():
    fields = parse_fields(b"A: 1\r\nB: 2\r\na: 3\r\n")
    assert first_value(fields, b"a") == b"1"
    assert first_value(fields, b"c") is None
    assert all_values(fields, b"a") == [b"1", b"3"]
