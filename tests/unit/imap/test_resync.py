"""Which of the UIDs that a client asks for are gone, and up to where it knows that itself."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.imap.resync import ROWS_PER_TURN, known_until, missing_ranges
from mailsuite.imap.sequence import SequenceSet, merge_runs


@pytest.mark.parametrize(
    ("uids", "asked", "missing"),
    [
        ([], [], []),
        ([], [(1, 9)], [(1, 9)]),
        ([1, 2, 3], [(1, 3)], []),
        ([2, 4], [(1, 5)], [(1, 1), (3, 3), (5, 5)]),
        ([2, 4], [(2, 2), (4, 6)], [(5, 6)]),
        ([10], [(1, 3), (5, 7)], [(1, 3), (5, 7)]),
    ],
)
def test_missing_uids(uids, asked, missing):
    assert [pair for turn in missing_ranges(array("I", uids), asked) for pair in turn] == missing


SETS = st.sets(st.integers(1, 60))


@settings(deadline=None)
@given(SETS, SETS)
def test_missing_uids_are_those_asked_for_and_not_there(uids, asked):
    turns = missing_ranges(sorted(uids), list(merge_runs(sorted(asked))))
    found = [uid for turn in turns for first, last in turn for uid in range(first, last + 1)]
    assert found == sorted(asked - uids)


def test_no_turn_is_long():
    uids = range(2, 400_000, 2)
    turns = list(missing_ranges(uids, [(1, 400_000)]))
    assert max(map(len, turns)) <= ROWS_PER_TURN
    assert sum(map(len, turns)) == 200_000
    single = [(uid, uid) for uid in range(1, 40_000, 2)]
    turns = list(missing_ranges(uids, single))
    assert max(map(len, turns)) <= ROWS_PER_TURN
    assert len(turns) <= 21


def sets(numbers, uids):
    return SequenceSet.parse(numbers), SequenceSet.parse(uids)


@pytest.mark.parametrize(
    ("numbers", "known", "until"),
    [
        (b"1:4", b"10,20,30,40", 40),
        (b"4", b"41", 0),
        (b"2,4", b"20,41", 20),
        (b"9", b"40", 0),
        (b"1,2,9", b"5,20,90", 20),
        (b"1:4294967295", b"1:4294967295", 0),
    ],
)
def test_whoever_counts_right_up_to_a_message_knows_what_went_before(numbers, known, until):
    assert known_until(array("I", [10, 20, 30, 40]), *sets(numbers, known)) == until


@settings(deadline=None)
@given(st.sets(st.integers(1, 40), min_size=1), st.data())
def test_the_highest_pair_that_fits_is_found(uids, data):
    uids = sorted(uids)
    count = data.draw(st.integers(1, 12))
    numbers = sorted(data.draw(st.sets(st.integers(1, 15), min_size=count, max_size=count)))
    known = sorted(data.draw(st.sets(st.integers(1, 40), min_size=count, max_size=count)))
    fitting = [
        uid for number, uid in zip(numbers, known, strict=True) if number <= len(uids) and uids[number - 1] == uid
    ]
    assert known_until(array("I", uids), SequenceSet.of(numbers), SequenceSet.of(known)) == max(fitting, default=0)
