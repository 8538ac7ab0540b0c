"""Pages of results."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.imap.paging import Page, take_page
from mailsuite.imap.tokens import BadCommandError, Tokens


def page(text):
    tokens = Tokens((b" " + text,))
    found = take_page(tokens)
    tokens.end()
    return found


@pytest.mark.parametrize(
    ("text", "results"),
    [
        (b"1:3", "abc"),
        (b"3:1", "abc"),
        (b"2:2", "b"),
        (b"4:9", "de"),
        (b"6:9", ""),
        (b"-1:-2", "de"),
        (b"-2:-1", "de"),
        (b"-5:-5", "a"),
        (b"-4:-9", "ab"),
        (b"-6:-9", ""),
        (b"1:4294967295", "abcde"),
        (b"-1:-4294967295", "abcde"),
    ],
)
def test_a_page_is_counted_from_either_end(text, results):
    assert page(text).text == text
    assert page(text).of("abcde") == results
    assert page(text).of("") == ""


@pytest.mark.parametrize(
    "text",
    [b"", b"1", b"1:", b":1", b"0:1", b"1:0", b"-0:-1", b"1:-1", b"-1:1", b"1:*", b"*:1", b"01:2", b"1:4294967296",
     b"1:99999999999", b"-1", b"--1:-2", b"1:2:3", b"1,2", b"$", b"a:b"],
)  # fmt: skip
def test_what_is_no_range_is_refused(text):
    with pytest.raises(BadCommandError):
        page(text)


def test_a_page_needs_a_space_before_it():
    with pytest.raises(BadCommandError):
        take_page(Tokens((b"1:2",)))


PAGES = st.builds(
    lambda numbers, from_end: Page(b"", min(numbers), max(numbers), from_end),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.booleans(),
)


@given(PAGES, st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=6))
def test_a_page_of_ranges_is_the_page_of_what_is_in_them(wanted, gaps):
    ranges, start = [], 0
    for gap, length in gaps:
        ranges.append(range(start + gap, start + gap + length))
        start += gap + length
    numbers = [number for part in ranges for number in part]
    assert [number for part in wanted.of_ranges(ranges) for number in part] == list(wanted.of(numbers))
    assert all(wanted.of_ranges(ranges))
