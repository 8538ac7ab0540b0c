import pytest
from twisted.internet.task import Clock

from mailsuite.mta import QueueSettings
from mailsuite.mta.destinations import (
    PATIENCE,
    SEQUENCE_MESSAGES,
    SLOW_FACTOR,
    SLOW_SECONDS,
    STALLED_SECONDS,
    STANDINGS_MAX,
    Destinations,
)
from mailsuite.mta.queue_store import HERE


@pytest.fixture
def clock():
    clock = Clock()
    clock.advance(1000)
    return clock


@pytest.fixture
def destinations(clock):
    settings = QueueSettings(attempts_max=40, destination_max=8, pause_first_seconds=60, pause_max_seconds=300)
    return Destinations(settings, clock.seconds, lambda: 0.0)


def room(destinations, domain, *, urgent=False, **keywords):
    return destinations.quota(lambda name: name, **keywords).room(domain, urgent=urgent)


def test_a_success_lets_more_pass(destinations):
    rooms = [room(destinations, "a")]
    for _ in range(5):
        destinations.reached("a")
        rooms.append(room(destinations, "a"))
    assert rooms == [1, *(SEQUENCE_MESSAGES * width for width in (2, 4, 8, 8, 8))]
    assert room(destinations, "a", first=True) == SEQUENCE_MESSAGES


def test_a_destination_that_never_answered_is_paused_at_once_longer_each_time(destinations, clock):
    lengths = []
    for _ in range(5):
        pause = destinations.missed("a", "no answer")
        lengths.append(pause.until - clock.seconds())
        assert destinations.is_paused("a")
        assert room(destinations, "a") == 0
        clock.advance(lengths[-1])
        assert not destinations.is_paused("a")
        assert room(destinations, "a") == 1, "a probe"
    assert lengths == [60, 120, 240, 300, 300]
    assert pause.failures == 5
    assert destinations.reached("a")
    assert room(destinations, "a") > 1


def test_pauses_do_not_grow_while_the_trouble_may_be_ours(destinations, clock):
    for _ in range(4):
        pause = destinations.missed("a", "the DNS does not answer", grows=False)
        assert pause.until - clock.seconds() == 60
        clock.advance(60)


def test_one_that_has_answered_is_given_some_patience(destinations):
    assert not destinations.reached("a")
    for _ in range(PATIENCE - 1):
        assert destinations.missed("a", "reset") is None
    destinations.reached("a")
    for _ in range(PATIENCE - 1):
        assert destinations.missed("a", "reset") is None
    assert destinations.missed("a", "reset").until == 1060


def test_those_that_were_under_way_when_a_pause_began_do_not_lengthen_it(destinations):
    first = destinations.missed("a", "no answer")
    assert destinations.missed("a", "no answer") is None
    assert destinations.pauses() == [first]


def test_our_own_mailboxes_are_never_paused(destinations):
    assert destinations.missed(HERE, "over quota") is None
    assert room(destinations, HERE) == 8


def test_the_operator_ends_pauses(destinations):
    for key in "ab":
        destinations.missed(key, "no answer")
    destinations.open(["a", "unknown"])
    assert (room(destinations, "a"), room(destinations, "b")) == (1, 0)
    destinations.open()
    assert (room(destinations, "a"), room(destinations, "b")) == (1, 1)
    assert destinations.pauses() == []


def test_what_the_operator_asks_for_passes_a_pause_one_at_a_time(destinations):
    destinations.missed("a", "no answer")
    assert room(destinations, "a", urgent=True) == 1
    destinations.begin("a")
    assert room(destinations, "a", urgent=True) == 0
    destinations.end("a")
    assert room(destinations, "a", urgent=True) == 1


def test_each_kind_of_destination_has_its_part(destinations, clock):
    for number in range(10):
        destinations.missed(f"dead{number}", "no answer")
    clock.advance(60)
    for number in range(10):
        destinations.begin(f"dead{number}")
    destinations.missed("dead", "no answer")
    clock.advance(60)
    for number in range(10):
        destinations.begin(f"dead1{number}")  # as young as the others are slow
        destinations.missed(f"dead1{number}", "no answer")
    assert room(destinations, "dead") == 0
    assert room(destinations, "new") == 1
    for number in range(10):
        destinations.begin(f"new{number}")
    assert room(destinations, "new") == 0
    assert room(destinations, "new", fresh=True) == 1
    for number in range(10):
        destinations.begin(f"fresh{number}")
    assert room(destinations, "new", fresh=True) == 0
    destinations.reached("alive")
    assert room(destinations, "alive", first=True) == SEQUENCE_MESSAGES
    for _ in range(10):
        destinations.begin(HERE)
    assert destinations.quota(str).is_exhausted()


def test_who_waits_long_for_a_first_answer_takes_nobodys_place_up_to_a_point(destinations, clock):
    for round_ in range(SLOW_FACTOR * 2):
        for number in range(20):
            assert room(destinations, "new") == 1
            destinations.begin(f"{round_}.{number}")
        assert room(destinations, "new") == 0
        clock.advance(SLOW_SECONDS + 1)
    assert room(destinations, "new") == 0, "so many sockets are enough"
    destinations.end("0.0")
    assert room(destinations, "new") == 1


def test_those_that_answered_and_then_stall_take_nobodys_place_up_to_a_point(destinations, clock):
    def stall(keys):
        for key in keys:
            for _ in range(4):
                destinations.reached(key)
            for _ in range(8):
                destinations.begin(key)

    stall("abcde")
    assert destinations.quota(str).is_exhausted()
    clock.advance(STALLED_SECONDS + 1)
    assert room(destinations, "z") == 1
    assert room(destinations, "a") == 0, "it has all that it may have"
    destinations.end("a")
    assert room(destinations, "a") == SEQUENCE_MESSAGES
    stall([f"more-{number}" for number in range(SLOW_FACTOR * 5)])
    clock.advance(STALLED_SECONDS + 1)
    assert room(destinations, "z") == 0


def test_a_quota_counts_what_is_taken_from_it(destinations):
    quota = destinations.quota(lambda name: name[0])
    assert quota.room("a1", urgent=False) == 1
    quota.take("a1", 1)
    assert quota.room("a2", urgent=False) == 0, "the same hosts"
    quota.take("b", 0)
    for number in range(19):
        quota.take(chr(ord("b") + number), 1)
    assert quota.room("z", urgent=False) == 0
    assert not quota.is_exhausted()
    assert quota.room(HERE, urgent=False) == 8
    quota.take(HERE, 20)
    assert quota.is_exhausted()


def test_queues_share_what_is_free(destinations):
    for _ in range(4):
        destinations.reached("a")
    assert room(destinations, "a", parts=1) == 8 * SEQUENCE_MESSAGES
    assert room(destinations, "a", parts=10) == 4 * SEQUENCE_MESSAGES


def test_only_so_many_are_remembered(destinations):
    destinations.begin("busy")
    destinations.missed("dead", "no answer")
    for number in range(STANDINGS_MAX + 10):
        destinations.begin(str(number))
        destinations.end(str(number))
    assert len(destinations.quota(str)._standings) <= STANDINGS_MAX
    assert destinations.is_paused("dead")
    destinations.end("busy")
