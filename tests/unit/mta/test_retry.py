import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.mta.retry import RetryPlan

PLAN = RetryPlan()
DAY_SECONDS = 86400


@pytest.mark.parametrize(
    ("attempts", "minutes"), [(1, 5), (2, 7.5), (3, 11.25), (4, 16.875), (10, 192.216796875), (11, 240), (10**9, 240)]
)
def test_pauses_grow_by_half_from_five_minutes_to_four_hours(attempts, minutes):
    assert PLAN.delay_seconds(attempts) == minutes * 60


def test_mail_is_given_up_after_five_days():
    assert PLAN.next_attempt(0, 40, 5 * DAY_SECONDS, 0) is None
    assert PLAN.next_attempt(0, 40, 5 * DAY_SECONDS - 1, 0) == 5 * DAY_SECONDS


def test_jitter_spreads():
    assert PLAN.next_attempt(0, 1, 0, 0) < PLAN.next_attempt(0, 1, 0, 1) <= 330


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(0, 10**9))
def test_a_message_has_a_bounded_number_of_attempts_and_one_near_its_end(jitter, created):
    now, attempts = float(created), 0
    while True:
        attempts += 1
        following = PLAN.next_attempt(created, attempts, now, jitter)
        if following is None:
            break
        assert following > now
        now = following
    assert 25 < attempts < 60
    assert now == created + 5 * DAY_SECONDS
