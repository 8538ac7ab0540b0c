"""SelectedView: sequence numbers, what is told, and when."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.imap.sequence import SequenceSet
from mailsuite.imap.view import RECENT_FLAG, Notices, SelectedView
from mailsuite.interfaces import Changes, Snapshot

SEEN = frozenset(("\\Seen",))
FLAGGED = frozenset(("\\Flagged",))
NONE = frozenset()


def make_view(uids=(10, 20, 30, 40), flags=None, recent=(), keywords=()):
    return SelectedView(
        Snapshot(
            uidvalidity=7,
            uidnext=(max(uids) if uids else 0) + 1,
            highest_modseq=100,
            uids=uids,
            flags=flags or [NONE] * len(uids),
            keywords=frozenset(keywords),
            recent=frozenset(recent),
        )
    )


def changes(modseq=101, expunged=(), flags=(), added=(), recent=(), keywords=()):
    return Changes(
        modseq=modseq,
        expunged=expunged,
        flags=[(uid, each, modseq) for uid, each in flags],
        added=added,
        recent=frozenset(recent),
        keywords=frozenset(keywords),
    )


TABLE = {
    "nothing": (changes(), Notices()),
    "expunge first": (changes(expunged=[10]), Notices(expunged=[1])),
    "expunge last": (changes(expunged=[40]), Notices(expunged=[4])),
    "expunge numbers shift": (changes(expunged=[10, 20, 40]), Notices(expunged=[1, 1, 2])),
    "expunge unknown": (changes(expunged=[11, 99]), Notices()),
    "added": (changes(added=[50, 60]), Notices(exists=6, recent=0)),
    "added recent": (changes(added=[50], recent=[50]), Notices(exists=5, recent=1)),
    "added with flags are not told as changed": (
        changes(added=[50], flags=[(50, SEEN)]),
        Notices(exists=5, recent=0),
    ),
    "added twice": (changes(added=[40, 50]), Notices(exists=5, recent=0)),
    "expunge and add": (changes(expunged=[20], added=[50]), Notices(expunged=[2], exists=4, recent=0)),
    "flags": (changes(flags=[(20, SEEN)]), Notices(flags=((2, 20, SEEN, 101),))),
    "flags as they were": (changes(flags=[(20, NONE)]), Notices()),
    "flags of an expunged message": (changes(expunged=[20], flags=[(20, SEEN)]), Notices(expunged=[2])),
    "flags after an expunge": (
        changes(expunged=[10], flags=[(20, SEEN)]),
        Notices(expunged=[1], flags=((1, 20, SEEN, 101),)),
    ),
    "keywords": (changes(keywords=["$Forwarded"]), Notices(keywords=frozenset(["$Forwarded"]))),
}


@pytest.mark.parametrize("name", TABLE)
def test_changes_are_told_once(name):
    change, expected = TABLE[name]
    view = make_view()
    view.apply(change)
    assert view.has_notices(expunge=True) == (expected != Notices())
    told = view.notices(expunge=True)
    assert (list(told.expunged), told.exists, told.recent, told.keywords, tuple(told.flags)) == (
        list(expected.expunged),
        expected.exists,
        expected.recent,
        expected.keywords,
        tuple(expected.flags),
    )
    assert view.notices(expunge=True) == Notices()
    assert not view.has_notices(expunge=True)


def test_the_same_changes_applied_again_are_silent():
    view = make_view()
    for _ in range(2):
        view.apply(changes(expunged=[10], added=[50], flags=[(20, SEEN)], keywords=["x"]))
    view.notices(expunge=True)
    view.apply(changes(expunged=[10], added=[50], flags=[(20, SEEN)], keywords=["x"]))
    assert not view.has_notices(expunge=True)


def test_expunge_is_held_back_and_numbers_stay():
    view = make_view()
    view.apply(changes(expunged=[10], added=[50]))
    told = view.notices(expunge=False)
    assert told.expunged == ()
    assert told.exists == 5  # the client still counts the expunged one
    assert view.sequence_number(50) == 5
    assert view.is_gone(10)
    assert not view.has_notices(expunge=False)
    assert view.has_notices(expunge=True)
    assert list(view.notices(expunge=True).expunged) == [1]
    assert view.sequence_number(50) == 4
    assert not view.is_gone(10)


def test_arrival_and_expunge_of_the_same_message_are_told_consistently():
    view = make_view()
    view.apply(changes(added=[50]))
    view.apply(changes(expunged=[50]))
    told = view.notices(expunge=True)
    # It was never announced: neither an EXPUNGE of number 5 before "5 EXISTS", nor a wrong count.
    count = 4
    for number in told.expunged:
        assert 1 <= number <= count
        count -= 1
    if told.exists is not None:
        count = told.exists
    assert count == len(view) == 4


def test_recent_is_shown_with_flags_and_leaves_with_the_message():
    view = make_view(recent=[40])
    view.apply(changes(flags=[(40, SEEN)]))
    assert view.notices(expunge=True).flags == ((4, 40, SEEN | {RECENT_FLAG}, 101),)
    assert view.flags_of(40) == SEEN | {RECENT_FLAG}
    view.expunge([40])
    assert view.notices(expunge=True).recent == 0


def test_flags_noted_by_a_store_are_not_told_again():
    view = make_view()
    assert view.note_flags(20, SEEN) == 2
    view.apply(changes(flags=[(20, SEEN)]))
    assert not view.has_notices(expunge=True)
    view.apply(changes(flags=[(20, FLAGGED)]))
    assert view.notices(expunge=True).flags == ((2, 20, FLAGGED, 101),)
    assert view.note_flags(21, SEEN) == 0


def test_a_modseq_is_told_where_the_flags_came_back_to_what_they_were():
    view = make_view()
    view.tells_modseqs = True
    view.note_flags(20, SEEN, 101)
    view.apply(changes(modseq=102, flags=[(30, NONE)]))
    assert view.notices(expunge=True).flags == ((3, 30, NONE, 102),)
    view.note_flags(20, SEEN, 103)
    view.apply(changes(modseq=103, flags=[(20, SEEN)]))
    assert not view.has_notices(expunge=True)
    view.note_flags(20, SEEN, 104)
    view.apply(changes(modseq=105, flags=[(20, SEEN)]))
    view.apply(changes(modseq=106, flags=[(20, SEEN)]))
    assert view.notices(expunge=True).flags == ((2, 20, SEEN, 106),)


def test_a_new_keyword_is_told_before_its_use():
    view = make_view(keywords=["a"])
    view.note_flags(20, frozenset(("\\Seen", "b")))
    assert view.keyword_notice() == {"a", "b"}
    assert view.keyword_notice() is None
    assert not view.has_notices(expunge=True)


def test_numbers_of_many_uids():
    view = make_view()
    assert list(view.sequence_numbers([20, 30])) == [2, 3]
    assert list(view.sequence_numbers([10, 40])) == [1, 4]
    assert list(view.sequence_numbers([])) == []
    assert list(view.resolve(SequenceSet.parse(b"11:30"), uid=True)) == [20, 30]
    assert list(view.resolve(SequenceSet.parse(b"1,3:9"), uid=False)) == [10, 30, 40]
    assert list(view.resolve(SequenceSet.parse(b"*"), uid=True)) == [40]
    assert view.sequence_number(25) == 0


def test_messages_are_only_named_once_they_are_told():
    view = make_view()
    view.apply(changes(added=[50]))
    for text, uid in ((b"1:*", False), (b"5", False), (b"50", True), (b"*", True)):
        assert 50 not in view.resolve(SequenceSet.parse(text), uid=uid)
    assert view.goes_beyond(SequenceSet.parse(b"5"))
    view.notices(expunge=False)
    assert list(view.resolve(SequenceSet.parse(b"5"), uid=False)) == [50]
    assert not view.goes_beyond(SequenceSet.parse(b"5"))


@pytest.mark.parametrize(
    ("text", "of_four", "of_none"),
    [
        (b"4", False, True),
        (b"5", True, True),
        (b"1:5", True, True),
        (b"5:1", True, True),
        (b"2,9", True, True),
        (b"*", False, True),
        (b"4:*", False, True),
        (b"*:5", True, True),
        (b"1:*", False, False),
        (b"*:1", False, False),
        (b"2:*", False, True),
        (b"1:*,2", False, True),
        (b"*,5", True, True),
        (b"$", False, False),
    ],
)
def test_numbers_that_no_message_has(text, of_four, of_none):
    """RFC 9051 section 9, "seq-number"."""
    view = make_view()
    assert view.goes_beyond(SequenceSet.parse(text)) is of_four
    view.apply(changes(expunged=[10, 20, 30, 40]))
    assert view.goes_beyond(SequenceSet.parse(text)) is of_four, "the client counts them until it is told"
    view.notices(expunge=True)
    assert view.goes_beyond(SequenceSet.parse(text)) is of_none


def test_first_unseen():
    assert make_view(flags=[SEEN, NONE, SEEN, NONE]).first_unseen() == 2
    assert make_view(flags=[SEEN] * 4).first_unseen() == 0
    assert make_view(uids=()).first_unseen() == 0


STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.integers(0, 12), max_size=4), st.booleans()),
    max_size=12,
)


@given(STEPS)
@settings(deadline=None, max_examples=150)
def test_a_client_that_believes_everything_it_is_told_knows_the_mailbox(steps):
    """Play a client that counts as RFC 3501 says, against any order of changes and moments of telling."""
    mailbox = [1, 2, 3]
    nextuid = 4
    view = make_view(uids=tuple(mailbox))
    client = [1, 2, 3]
    for modseq, (arrivals, doomed, may_expunge) in enumerate(steps, 101):
        gone = sorted(uid for uid in set(doomed) if uid in mailbox)
        added = list(range(nextuid, nextuid + arrivals))
        nextuid += arrivals
        mailbox = [uid for uid in mailbox if uid not in gone] + added
        view.apply(changes(modseq=modseq, expunged=gone, added=added))
        told = view.notices(expunge=may_expunge)
        for number in told.expunged:
            assert may_expunge
            assert 1 <= number <= len(client)
            del client[number - 1]
        if told.exists is not None:
            assert told.exists >= len(client)  # EXISTS never shrinks (RFC 3501 section 7.3.1)
            client += list(view.uids)[len(client) : told.exists]
        assert client == list(view.uids)
        assert all(view.sequence_number(uid) == number for number, uid in enumerate(client, 1))
    view.notices(expunge=True)
    assert list(view.uids) == mailbox


def test_the_told_modseq_stays_behind_what_is_held_back():
    view = make_view()
    view.apply(changes(expunged=[20, 40], added=[50]))
    view.apply(changes(expunged=[50]))
    assert list(view.notices(expunge=True).vanished) == [20, 40]  # nobody was told of 50
    view = make_view()
    view.apply(changes(modseq=105, flags=[(20, SEEN)]))
    assert view.told_modseq == 105
    view.apply(changes(modseq=107, expunged=[10]))
    view.apply(changes(modseq=109, expunged=[20], flags=[(30, SEEN)]))
    view.notices(expunge=False)
    assert view.told_modseq == 105
    view.notices(expunge=True)
    assert view.told_modseq == 109
    view.apply(changes(modseq=111, expunged=[99]))
    assert view.told_modseq == 111
