import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from mailsuite.directory import Rule, Throttle, ThrottleSettings, submission_rules
from mailsuite.directory.throttle import gcra
from mailsuite.interfaces import Claim

HOUR = Rule(limit=10, period_seconds=3600, patience_seconds=36_000)
STRICT = Rule(limit=2, period_seconds=60)


def make(clock, rules, **options):
    return Throttle(rules, clock.seconds, **options)


def take(outcome, throttle, *claims):
    return outcome(throttle.take([claim if isinstance(claim, Claim) else Claim(*claim) for claim in claims]))


@pytest.fixture
def outcome():
    def result_of(coroutine):
        try:
            coroutine.send(None)
        except StopIteration as done:
            return done.value
        raise AssertionError("it waits")

    return result_of


@pytest.fixture
def clock():
    clock = Clock()
    clock.advance(1000)
    return clock


@pytest.mark.parametrize(
    ("whole_at", "now", "amount", "after", "wait"),
    [
        (0, 1000, 1, 1360, 0),
        (1360, 1000, 1, 1720, 0),
        (4240, 1000, 1, 4600, 0),  # the tenth
        (4600, 1000, 1, 4960, 360),
        (4600, 1360, 1, 4960, 0),
        (0, 1000, 10, 4600, 0),
        (0, 1000, 20, 4600, 0),  # more than the limit at once
        (1360, 1000, 20, 4960, 360),
        (1e12, 1000, 1, 1000 + 3600 + 36_000 + 360, 36_360),  # a clock that was set back
    ],
)
def test_one_number_says_it_all(whole_at, now, amount, after, wait):
    step = gcra(whole_at, now, HOUR, amount)
    assert (step.whole_at, step.wait_seconds) == (after, wait)


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 3)), max_size=60))
def test_no_hour_lets_more_go_than_twice_the_limit_and_the_average_is_kept(steps):
    now, whole_at, leaves = 0.0, 0.0, []
    for pause, amount in steps:
        now += pause
        step = gcra(whole_at, now, HOUR, amount)
        whole_at = step.whole_at
        leaves.extend([now + step.wait_seconds] * amount)
        assert step.wait_seconds >= 0
    assert leaves == sorted(leaves)
    for start in leaves:
        assert sum(start <= each < start + 3600 for each in leaves) <= 2 * HOUR.limit + 3


def test_who_comes_too_often_is_refused_and_told_when_to_come_back(clock, outcome):
    throttle = make(clock, {"strict": STRICT})
    assert take(outcome, throttle, ("strict", "a")).allowed
    assert take(outcome, throttle, ("strict", "a")).allowed
    grant = take(outcome, throttle, ("strict", "a"))
    assert (grant.allowed, grant.wait_seconds, grant.rule, grant.limit) == (False, 30.0, "strict", 2)
    assert take(outcome, throttle, ("strict", "b")).allowed
    clock.advance(30)
    assert take(outcome, throttle, ("strict", "a")).allowed


def test_with_patience_later_is_booked_one_after_the_other(clock, outcome):
    throttle = make(clock, {"hour": HOUR})
    grants = [take(outcome, throttle, ("hour", "a")) for _ in range(13)]
    assert [grant.wait_seconds for grant in grants[9:]] == [0, 360, 720, 1080]
    assert all(grant.allowed for grant in grants)


def test_all_claims_count_or_none(clock, outcome):
    throttle = make(clock, {"hour": HOUR, "strict": STRICT})
    for _ in range(2):
        assert take(outcome, throttle, ("hour", "a"), ("strict", "a")).allowed
    for _ in range(100):
        assert not take(outcome, throttle, ("hour", "a"), ("strict", "a")).allowed
    assert [take(outcome, throttle, ("hour", "a")).wait_seconds for _ in range(9)] == [0] * 8 + [360]


def test_the_slowest_rule_decides(clock, outcome):
    slow = Rule(limit=1, period_seconds=7200, patience_seconds=7200)
    throttle = make(clock, {"hour": HOUR, "slow": slow})
    take(outcome, throttle, ("hour", "a", 10), ("slow", "a"))
    grant = take(outcome, throttle, ("slow", "a"), ("hour", "a"))
    assert (grant.allowed, grant.rule, grant.wait_seconds) == (True, "slow", 7200)


def test_claims_of_one_key_add_up(clock, outcome):
    throttle = make(clock, {"strict": STRICT})
    assert not take(outcome, throttle, ("strict", "a", 2), ("strict", "a", 1)).allowed


def test_a_rule_that_is_not_there_allows_everything(clock, outcome):
    throttle = make(clock, {})
    assert all(take(outcome, throttle, ("any", "a")).allowed for _ in range(100))
    assert throttle.size == 0


def test_rules_may_be_exchanged(clock, outcome):
    throttle = make(clock, {"strict": STRICT})
    take(outcome, throttle, ("strict", "a", 2))
    assert not take(outcome, throttle, ("strict", "a")).allowed
    throttle.rules = {"strict": Rule(limit=20, period_seconds=60)}
    assert take(outcome, throttle, ("strict", "a")).wait_seconds == 3
    throttle.rules = {}
    assert take(outcome, throttle, ("strict", "a")).allowed


def test_memory_is_bounded_and_what_is_over_is_forgotten(clock, outcome):
    throttle = make(clock, {"hour": HOUR}, keys_max=50)
    for n in range(200):
        take(outcome, throttle, ("hour", f"k{n}"))
        take(outcome, throttle, ("hour", "busy", 2))
        assert throttle.size <= 51
    assert take(outcome, throttle, ("hour", "busy")).wait_seconds > 0  # who is not silent is remembered
    clock.advance(1e6)
    take(outcome, throttle, ("hour", "new"))
    assert throttle.size == 1


def test_the_rules_of_submission_follow_the_settings():
    rules = submission_rules(ThrottleSettings(messages_per_account_hour=7, messages_per_account_day=0))
    assert rules["submission.hour"] == Rule(limit=7, period_seconds=3600, patience_seconds=36_000)
    assert "submission.day" not in rules
    assert submission_rules(ThrottleSettings(rates=False)) == {}
    with pytest.raises(ValueError, match="messages_per_account_hour"):
        ThrottleSettings(messages_per_account_hour=-1)
