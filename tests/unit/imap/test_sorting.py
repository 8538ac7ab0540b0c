"""What messages are compared by, and the order that comes of it."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.imap.sort_grammar import SortCriterion, SortKey, parse_sort_criteria
from mailsuite.imap.sorting import RUN_MESSAGES, columns_for, header_value, ordered
from mailsuite.imap.tokens import BadCommandError, Tokens
from mailsuite.interfaces import Column
from mailsuite.message.header import parse_fields


def value(key, header):
    return header_value(key, parse_fields(header), 77)


def run(work):
    """Give the result, and how often the work could have rested."""
    rests = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, rests
        rests += 1


@pytest.mark.parametrize(
    ("key", "header", "expected"),
    [
        (SortKey.FROM, b"From: Zed <bob@example.test>\r\n", "BOB"),
        (SortKey.FROM, b"From: bob@example.test, alice@example.test\r\n", "BOB"),
        (SortKey.FROM, b"From:\r\n", ""),
        (SortKey.FROM, b"Subject: x\r\n", ""),
        (SortKey.FROM, b"From: bob@x.test\r\nFrom: alice@x.test\r\n", "BOB"),
        (SortKey.FROM, b'From: "a b"@x.test\r\n', "A B"),
        (SortKey.TO, b"To: friends: bob@x.test, carol@x.test;\r\n", "FRIENDS"),
        (SortKey.TO, b"To:\r\nTo: carol@x.test\r\n", "CAROL"),
        (SortKey.CC, b"To: bob@x.test\r\nCc: Carol <carol@x.test>\r\n", "CAROL"),
        (SortKey.DISPLAYFROM, b"From: Zed <bob@x.test>\r\n", "ZED"),
        (SortKey.DISPLAYFROM, b"From: =?utf-8?q?=C3=BCber?= <bob@x.test>\r\n", "U\u0308BER"),
        (SortKey.DISPLAYFROM, b"From: bob@X.test\r\n", "BOB@X.TEST"),
        (SortKey.DISPLAYFROM, b'From: "" <bob@x.test>\r\n', "BOB@X.TEST"),
        (SortKey.DISPLAYFROM, b"From: bob\r\n", "BOB"),
        (SortKey.DISPLAYTO, b"To: friends: bob@x.test;\r\n", "FRIENDS"),
        (SortKey.DISPLAYTO, b"Cc: x@x.test\r\n", ""),
        (SortKey.SUBJECT, b"Subject: Re: [list] Hello\r\n", "HELLO"),
        (SortKey.SUBJECT, b"From: x\r\n", ""),
        (SortKey.DATE, b"Date: Thu, 1 Jan 1970 02:00:00 +0200\r\n", 0),
        (SortKey.DATE, b"Date: Thu, 1 Jan 1970 02:00:00 nowhere\r\n", 7200),
        (SortKey.DATE, b"Date: Fri, 2 Jan 1970 25:61 +0200\r\n", 86400),
        (SortKey.DATE, b"Date: 2 January 1970\r\n", 86400),
        (SortKey.DATE, b"Date: yesterday\r\n", 77),
        (SortKey.DATE, b"Date: 32 Jan 1970\r\n", 77),
        (SortKey.DATE, b"Subject: x\r\n", 77),
    ],
)
def test_what_a_message_is_compared_by(key, header, expected):
    """RFC 5256 section 3, RFC 5957 section 3."""
    assert value(key, header) == expected


def test_an_address_or_a_name_without_end_is_cut():
    assert len(value(SortKey.FROM, b"From: " + b"x" * 90_000 + b"@x.test\r\n")) == 256
    assert len(value(SortKey.DISPLAYFROM, b"From: " + b"\xef\xb7\xba" * 30_000 + b" <a@x.test>\r\n")) == 256
    assert value(SortKey.TO, b"To: " + b"bob@x.test, " * 8000 + b"\r\n") == "BOB"


def test_only_what_is_needed_is_read():
    def columns(*keys):
        return set(columns_for([SortCriterion(key) for key in keys]))

    assert columns(SortKey.ARRIVAL) == {Column.INTERNAL_DATE}
    assert columns(SortKey.SIZE) == {Column.SIZE}
    assert columns(SortKey.DATE) == {Column.INTERNAL_DATE, Column.HEADER}
    assert columns(SortKey.SUBJECT, SortKey.SIZE) == {Column.SIZE, Column.HEADER}


values = st.lists(st.integers(0, 4), max_size=60)


@settings(deadline=None, max_examples=200)
@given(values.flatmap(lambda one: st.tuples(st.just(one), st.lists(st.sampled_from("abc"), min_size=len(one),
       max_size=len(one)), st.booleans(), st.booleans())))  # fmt: skip
def test_equal_ones_stay_in_the_order_of_the_mailbox(case):
    """RFC 5256 section 3: the number is the last criterion, and nothing turns it round."""
    numbers, letters, numbers_reverse, letters_reverse = case
    order, _ = run(ordered([(numbers, numbers_reverse), (letters, letters_reverse)], len(numbers)))

    def compared(index):
        number = -numbers[index] if numbers_reverse else numbers[index]
        letter = -ord(letters[index]) if letters_reverse else ord(letters[index])
        return number, letter, index

    assert order == sorted(range(len(numbers)), key=compared)


@pytest.mark.parametrize("reverse", [False, True])
def test_many_messages_are_sorted_in_pieces(reverse):
    count = 5 * RUN_MESSAGES + 3
    chance = random.Random(7)
    numbers = [chance.randrange(1000) for _ in range(count)]
    order, rests = run(ordered([(numbers, reverse)], count))
    assert order == sorted(range(count), key=lambda index: (-numbers[index] if reverse else numbers[index], index))
    assert rests == 6 + 3 + 2 + 1  # runs, and then pairs of them


def parse(text):
    tokens = Tokens((text,))
    criteria = parse_sort_criteria(tokens)
    tokens.end()
    return criteria


@pytest.mark.parametrize(("key", "reverse"), list(itertools.product(SortKey, [False, True])))
def test_every_key_in_both_directions(key, reverse):
    text = (b"REVERSE " if reverse else b"") + key.value
    assert parse(b"(" + text + b")") == (SortCriterion(key, reverse),)
    assert parse(b"(" + text.lower() + b")") == (SortCriterion(key, reverse),)


def test_keys_are_in_order_and_a_second_time_decides_nothing():
    assert parse(b"(SUBJECT REVERSE DATE SUBJECT REVERSE SUBJECT DATE)") == (
        SortCriterion(SortKey.SUBJECT),
        SortCriterion(SortKey.DATE, reverse=True),
    )


@pytest.mark.parametrize(
    "text",
    [b"", b"()", b"(", b"DATE", b"(DATE", b"(DATE )", b"( DATE)", b"(REVERSE)", b"(REVERSE REVERSE DATE)", b"(NOPE)",
     b"(DATE,SIZE)", b"(REVERSE  DATE)", b"(" + b"DATE " * 1000 + b"DATE)"],
)  # fmt: skip
def test_what_are_no_criteria(text):
    with pytest.raises(BadCommandError) as refused:
        parse(text)
    assert refused.value.status == b"BAD"
