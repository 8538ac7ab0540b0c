"""What was worked out once is not worked out again, and never told of other messages."""

from mailsuite.imap.remembered import LINE_MAX_OCTETS, MESSAGES_MAX, ORDERS_MAX, Remembered
from mailsuite.imap.sort_grammar import SortCriterion, SortKey

BY_DATE = (SortCriterion(SortKey.DATE, reverse=True),)
BY_SIZE = (SortCriterion(SortKey.SIZE, reverse=False),)
BY_ARRIVAL = (SortCriterion(SortKey.ARRIVAL, reverse=False),)


def test_an_order_is_known_for_some_of_its_messages_and_not_for_others():
    remembered = Remembered()
    assert remembered.order(BY_DATE, [1]) is None
    remembered.note_order(BY_DATE, [5, 1, 9])
    assert remembered.order(BY_DATE, [1, 5, 9]) == [5, 1, 9]
    assert remembered.order(BY_DATE, [1, 9]) == [1, 9]
    assert remembered.order(BY_DATE, []) == []
    assert remembered.order(BY_DATE, [1, 10]) is None
    assert remembered.order(BY_SIZE, [1, 9]) is None


def test_few_orders_are_kept_and_none_that_is_long():
    remembered = Remembered()
    for criteria in (BY_DATE, BY_SIZE, BY_ARRIVAL):
        remembered.note_order(criteria, [1])
    assert remembered.order(BY_DATE, [1]) is None
    assert [remembered.order(criteria, [1]) for criteria in (BY_SIZE, BY_ARRIVAL)] == [[1]] * ORDERS_MAX
    remembered.note_order(BY_SIZE, range(1, MESSAGES_MAX + 2))
    assert remembered.order(BY_SIZE, [1]) is None


def test_an_answer_is_given_for_the_same_messages_with_the_same_numbers_alone():
    remembered = Remembered()
    remembered.note_threads(1, [4, 5], [1, 2], b"* THREAD (1 2)\r\n")
    assert remembered.threads(1, [4, 5], [1, 2]) == b"* THREAD (1 2)\r\n"
    assert remembered.threads(2, [4, 5], [1, 2]) == b""
    assert remembered.threads(1, [4, 6], [1, 2]) == b""
    assert remembered.threads(1, [4, 5], [2, 3]) == b""
    assert remembered.threads(1, [4, 5], [4, 5]) == b""
    remembered.note_threads(1, [4, 5], [1, 2], b"x" * (LINE_MAX_OCTETS + 1))
    assert remembered.threads(1, [4, 5], [1, 2]) == b"* THREAD (1 2)\r\n"
