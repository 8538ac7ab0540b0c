"""Sequence sets: what they name, and that their cost follows what was written."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.imap.sequence import RANGES_MAX, SequenceSet, encode_set, joined
from mailsuite.imap.tokens import BadCommandError


@pytest.mark.parametrize(
    ("text", "ranges", "tail"),
    [
        (b"1", ((1, 1),), None),
        (b"1:3", ((1, 3),), None),
        (b"3:1", ((1, 3),), None),
        (b"1,2,3,7", ((1, 3), (7, 7)), None),
        (b"5:9,1:6,20", ((1, 9), (20, 20)), None),
        (b"7,7,7", ((7, 7),), None),
        (b"*", (), 4294967296),
        (b"*:*", (), 4294967296),
        (b"5:*", (), 5),
        (b"*:5,2,9:*", ((2, 2),), 5),
        (b"4294967295", ((4294967295, 4294967295),), None),
    ],
)
def test_a_set_is_kept_as_few_ranges(text, ranges, tail):
    assert SequenceSet.parse(text) == SequenceSet(ranges, tail)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"$", SequenceSet((), saved=True)),
        (b"1,$", SequenceSet(((1, 1),), saved=True)),
        (b"7:5,2:*,$", SequenceSet(((5, 7),), 2, saved=True)),
    ],
)
def test_what_was_saved_stands_at_the_end(text, expected):
    """RFC 9051 section 9, "sequence-set" and "seq-last-command"."""
    assert SequenceSet.parse(text) == expected
    assert expected.has_numbers is (text != b"$")


@pytest.mark.parametrize(
    "text",
    [b"$,1", b"$,$", b"1$", b"1:$", b"$:1", b",$", b"1,,$", b"1,$,", b"*$", b"",
     b"0", b"0:3", b"1:", b":1", b"1,,2", b",", b"1:2:3", b"-1", b"+1", b"1.5", b"a", b"1 2", b"4294967296",
     b"1" * 5000, b"**", b"1*", "\u0661".encode()],
)  # fmt: skip
def test_what_is_no_set_is_refused(text):
    with pytest.raises(BadCommandError):
        SequenceSet.parse(text)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5))))
def test_positions_are_joined_without_overlap(parts):
    ranges = [range(start, start + length) for start, length in parts]
    found = joined(ranges)
    assert [position for part in found for position in part] == sorted({each for part in ranges for each in part})
    assert all(before.stop < after.start for before, after in itertools.pairwise(found))


def test_a_set_of_very_many_ranges_is_refused():
    assert len(SequenceSet.parse(b",".join(b"%d" % n for n in range(1, 2 * RANGES_MAX, 2))).ranges) == RANGES_MAX
    with pytest.raises(BadCommandError) as refused:
        SequenceSet.parse(b"1," * RANGES_MAX + b"1")
    assert (refused.value.status, refused.value.code) == (b"NO", b"LIMIT")


def test_a_star_is_the_largest_number_even_when_it_comes_first():
    assert SequenceSet.parse(b"559:*").resolve(23) == ((23, 23),)
    assert SequenceSet.parse(b"*").resolve(23) == ((23, 23),)
    assert SequenceSet.parse(b"20:*,3").resolve(23) == ((3, 3), (20, 23))


def test_an_empty_mailbox_has_nothing_to_name():
    everything = SequenceSet.parse(b"1:*,5")
    assert everything.resolve(0) == ()
    assert everything.message_ranges(0) == []
    assert everything.uid_ranges([]) == []


def test_the_largest_number_written_can_be_checked_against_the_mailbox():
    assert SequenceSet.parse(b"1:7,3").largest == 7
    assert SequenceSet.parse(b"1:7,*").largest == 7
    assert SequenceSet.parse(b"1:7,12:*").largest == 12
    assert SequenceSet.parse(b"*").largest == 0


numbers = st.integers(1, 40)
ends = st.one_of(numbers, st.just("*"))
items = st.lists(st.one_of(ends.map(lambda n: (n,)), st.tuples(ends, ends)), min_size=1, max_size=8)


def written(parts):
    return ",".join(":".join(map(str, part)) for part in parts).encode()


def named(parts, largest):
    found = set()
    for part in parts:
        low, high = (largest if n == "*" else n for n in (part[0], part[-1]))
        found |= set(range(min(low, high), max(low, high) + 1))
    return found


@settings(deadline=None, max_examples=200)
@given(items, st.sets(numbers))
def test_a_set_names_the_same_uids_as_counting_one_by_one(parts, present):
    uids = sorted(present)
    expected = [i for i, uid in enumerate(uids) if uid in named(parts, uids[-1])] if uids else []
    ranges = SequenceSet.parse(written(parts)).uid_ranges(uids)
    assert [i for found in ranges for i in found] == expected
    assert all(ranges)


@settings(deadline=None, max_examples=200)
@given(items, st.integers(0, 45))
def test_a_set_names_the_same_messages_as_counting_one_by_one(parts, count):
    expected = [n - 1 for n in range(1, count + 1) if n in named(parts, count)] if count else []
    assert [i for found in SequenceSet.parse(written(parts)).message_ranges(count) for i in found] == expected


def test_a_large_mailbox_costs_no_more_than_the_ranges_written():
    class Uids:
        looks = 0

        def __len__(self):
            return 4_000_000_000

        def __getitem__(self, index):
            Uids.looks += 1
            return (index + 1) if index >= 0 else len(self)

    found = SequenceSet.parse(b",".join(b"%d" % n for n in range(1, 4001, 2))).uid_ranges(Uids())
    assert len(found) == 2000
    assert Uids.looks <= 2000 * 2 * 33


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([1], b"1"), ([1, 2, 3], b"1:3"), ([1, 2, 5, 6, 9], b"1:2,5:6,9"), ([5, 1, 2, 1], b"5,1:2,1")],
)
def test_numbers_are_written_as_a_compact_set_in_their_order(numbers, text):
    assert encode_set(numbers) == text


@settings(deadline=None, max_examples=100)
@given(st.sets(st.integers(1, 200), min_size=1))
def test_a_written_set_reads_back(present):
    assert SequenceSet.parse(encode_set(sorted(present))) == SequenceSet.of(present)
