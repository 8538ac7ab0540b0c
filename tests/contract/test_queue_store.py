"""What every store of a queue promises, and that all of them do the same whatever is done to them."""

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailsuite.errors import Kind, MailError
from mailsuite.mta.queue_store import HERE, Change, IQueueStore, Late, Notice, Record, Selection, State

from .queue_model import START, Allowance, Kept

UNTIL = START + 900


def outcome(awaitable):
    results = []
    Deferred.fromCoroutine(awaitable).addBoth(results.append)
    if isinstance(results[0], Failure):
        results[0].trap(MailError)
        return results[0].value.kind
    return results[0]


@pytest.fixture(params=["memory", "sqlite"])
def kept(request):
    kept = Kept(request.param)
    yield kept
    kept.close()


def lease(kept, now=START, after="", **allowance):
    leased = outcome(kept.store.lease_due(now, now + 900, Allowance(**allowance), after))
    return [(pending.message_id, pending.address) for pending in leased.pendings]


def record(kept, message_id, n=0, reports=(), **fields):
    defaults = {"status": "4.2.0 later", "tried": START}
    outcome(kept.store.record([Record(message_id=message_id, n=n, **(defaults | fields))], reports))


def all_pending(kept):
    return [
        (entry.queue_id, recipient)
        for entry in outcome(kept.store.list_entries(Selection(), "", 1000))
        for recipient in entry.recipients
    ]


def test_it_provides_the_interface(kept):
    assert IQueueStore.providedBy(kept.store)


def test_what_is_due_is_leased_once_by_domain_and_then_by_age(kept):
    late = kept.put("x@b.test", received=START)
    early = kept.put("x@b.test", "y@b.test", "z@a.test", received=START - 5)
    kept.put("x@b.test", received=START + 5)
    assert lease(kept) == [(early, "z@a.test"), (early, "x@b.test"), (early, "y@b.test"), (late, "x@b.test")]
    assert lease(kept) == []
    assert len(lease(kept, START + 900)) == 5, "whoever had leased them is gone"


def test_a_lease_ends_when_the_process_does(kept):
    kept.put("x@b.test")
    assert len(lease(kept)) == 1
    kept.reopen()
    assert len(lease(kept)) == 1


def test_the_quota_is_in_messages_and_never_divides_one(kept):
    first = kept.put("x@b.test", "y@b.test")
    second = kept.put("x@b.test")
    third = kept.put("x@c.test")
    assert lease(kept, each=1) == [(first, "x@b.test"), (first, "y@b.test"), (third, "x@c.test")]
    assert lease(kept, each=1) == [(second, "x@b.test")]


def test_the_search_says_where_to_go_on(kept):
    for domain in "abc":
        kept.put(f"x@{domain}.test")
    leased = outcome(kept.store.lease_due(START, UNTIL, Allowance(total=1), ""))
    assert ([pending.domain for pending in leased.pendings], leased.after) == (["a.test"], "a.test")
    leased = outcome(kept.store.lease_due(START, UNTIL, Allowance(), "a.test"))
    assert ([pending.domain for pending in leased.pendings], leased.after) == (["b.test", "c.test"], None)


def test_our_own_mailboxes_are_the_first_domain(kept):
    kept.put("x@here.test", "y@far.test")
    leased = outcome(kept.store.lease_due(START, UNTIL, Allowance(total=1), ""))
    assert [pending.domain for pending in leased.pendings] == [HERE]
    leased = outcome(kept.store.lease_due(START, UNTIL, Allowance(), leased.after))
    assert [pending.domain for pending in leased.pendings] == ["far.test"]


def test_a_closed_domain_gives_nothing_but_what_the_operator_wants(kept):
    kept.put("x@b.test")
    wanted = kept.put("x@b.test")
    assert lease(kept, closed=("b.test",)) == []
    assert outcome(kept.store.change(Change.RETRY, Selection(queue_id=kept.name(wanted)), START)) == 1
    assert lease(kept, closed=("b.test",)) == [(wanted, "x@b.test")]


def test_what_has_just_come_is_found_by_its_number(kept):
    old = kept.put("x@b.test")
    kept.put("x@b.test", release=START + 60)
    new = kept.put("x@b.test", "x@c.test")
    fresh = outcome(kept.store.lease_fresh(START, UNTIL, Allowance(closed=("c.test",)), old))
    assert [(pending.message_id, pending.address) for pending in fresh.pendings] == [(new, "x@b.test")]
    assert fresh.last == new
    assert outcome(kept.store.lease_fresh(START, UNTIL, Allowance(), fresh.last)).pendings == []


def test_what_is_given_back_is_due_again(kept):
    kept.put("x@b.test")
    leased = outcome(kept.store.lease_due(START, UNTIL, Allowance(), ""))
    outcome(kept.store.give_back(leased.pendings))
    assert len(lease(kept)) == 1
    assert all_pending(kept)[0][1].tries == 0


def test_a_result_is_remembered(kept):
    number = kept.put("x@b.test")
    lease(kept)
    record(kept, number, next=START + 300, host="mx.b.test")
    ((_, recipient),) = all_pending(kept)
    assert attrs.astuple(recipient) == ("x@b.test", "waiting", START + 300, 1, "4.2.0 later", "mx.b.test", START)
    assert lease(kept, START + 299) == []
    assert len(lease(kept, START + 300)) == 1
    record(kept, number, finished=True, status="2.0.0 ok")
    assert all_pending(kept) == []
    assert lease(kept, START + 10_000) == []
    assert outcome(kept.store.load(number, [0])).places == frozenset()


def test_what_is_remembered_without_an_attempt_counts_for_nothing(kept):
    number = kept.put("x@b.test")
    record(kept, number, next=START + 300, host="mx.b.test")
    record(kept, number, status="words", tried=None, notice=Notice.DELAY)
    ((_, recipient),) = all_pending(kept)
    assert (recipient.tries, recipient.host, recipient.last_attempt) == (1, "mx.b.test", START)
    assert (recipient.status, recipient.next_attempt) == ("words", START + 300)


def test_results_come_with_their_reports(kept):
    number = kept.put("x@b.test")
    report = kept.message("s@far.test", sender="")
    record(kept, number, finished=True, reports=[report])
    assert [entry.queue_id for entry in outcome(kept.store.list_entries(Selection(), "", 10))] == [
        kept.name(report.message_id)
    ]
    loaded = outcome(kept.store.load(report.message_id, [0]))
    assert (loaded.message, loaded.places) == (report, frozenset({0}))


def test_a_message_that_is_not_there_cannot_be_loaded(kept):
    assert outcome(kept.store.load(4711, [0])) is Kind.NOT_FOUND


@pytest.mark.parametrize(
    ("change", "places", "state"), [(Change.HOLD, frozenset(), ["held"]), (Change.REMOVE, frozenset(), [])]
)
def test_what_the_operator_did_meanwhile_stays(kept, change, places, state):
    number = kept.put("x@b.test")
    lease(kept)
    assert outcome(kept.store.change(change, Selection(queue_id=kept.name(number)), START)) == 1
    assert outcome(kept.store.load(number, [0])).places == places
    record(kept, number, next=START + 300)
    assert [recipient.state for _, recipient in all_pending(kept)] == state


def test_held_mail_is_due_when_it_is_released(kept):
    number = kept.put("x@b.test")
    named = Selection(queue_id=kept.name(number))
    assert outcome(kept.store.change(Change.HOLD, named, START)) == 1
    assert outcome(kept.store.change(Change.HOLD, named, START)) == 0
    assert lease(kept) == []
    assert outcome(kept.store.change(Change.RETRY, named, START)) is Kind.CONFLICT
    assert outcome(kept.store.change(Change.RETRY, Selection(), START)) == 0
    assert outcome(kept.store.change(Change.RELEASE, named, START + 7)) == 1
    assert all_pending(kept)[0][1].next_attempt == START + 7


def test_an_operators_selection(kept):
    kept.put("x@b.test", "x@here.test", sender="A@far.test")
    kept.put("x@b.test", sender="")
    kept.put("x@other.test")

    def found(**selection):
        return [
            recipient.address
            for entry in outcome(kept.store.list_entries(Selection(**selection), "", 10))
            for recipient in entry.recipients
        ]

    assert found(domain="b.test") == ["x@b.test", "x@b.test"]
    assert found(domain="here.test") == ["x@here.test"]
    assert found(sender="a@FAR.test") == ["x@b.test", "x@here.test"]
    assert found(sender="<>") == ["x@b.test"]
    assert outcome(kept.store.change(Change.HOLD, Selection(domain="b.test"), START)) == 2
    assert found(state=State.HELD) == ["x@b.test", "x@b.test"]
    assert outcome(kept.store.count(Selection(domain="b.test"))).messages == 2
    assert found(queue_id=kept.name(1), state=State.WAITING) == ["x@here.test"]
    assert outcome(kept.store.list_entries(Selection(queue_id=kept.name(99)), "", 10)) is Kind.NOT_FOUND
    assert outcome(kept.store.change(Change.REMOVE, Selection(queue_id="ABC-1"), START)) is Kind.NOT_FOUND


def test_pages_follow_one_another(kept):
    numbers = [kept.put("x@b.test", "y@b.test") for _ in range(5)]
    seen, after = [], ""
    while page := outcome(kept.store.list_entries(Selection(), after, 2)):
        seen += [entry.queue_id for entry in page]
        after = seen[-1]
    assert seen == [kept.name(number) for number in numbers]


def test_counts(kept):
    kept.put("x@b.test", "y@b.test", "z@c.test")
    kept.put("x@b.test", received=START - 50)
    kept.put("x@here.test")
    outcome(kept.store.change(Change.HOLD, Selection(domain="c.test"), START))
    assert attrs.astuple(outcome(kept.store.count(Selection()))) == (3, 5)
    assert [attrs.astuple(each) for each in outcome(kept.store.count_domains())] == [
        ("b.test", 3, 0, START - 50, START - 50, ""),
        (HERE, 1, 0, START, START, ""),
        ("c.test", 0, 1, START, 0, ""),
    ]


def test_who_waits_too_long_is_found(kept):
    late = Late(warn=START - 100, expire=START - 1000, expire_null=START - 500, idle=START - 50)
    warned = kept.put("warn@b.test", received=START - 200)
    expired = kept.put("expire@b.test", received=START - 2000)
    record(kept, expired, next=START - 60, notice=Notice.DELAY)
    tried = kept.put("soon@b.test", received=START - 2000)
    record(kept, tried, next=START - 10, notice=Notice.DELAY)
    null = kept.put("null@b.test", received=START - 600, sender="")
    kept.put("young@b.test", received=START - 400, sender="")
    asked = kept.put("asked@b.test", received=START - 2000, sender="")
    outcome(kept.store.change(Change.RETRY, Selection(queue_id=kept.name(asked)), START))
    found = outcome(kept.store.lease_late(START, UNTIL, late, 2))
    assert [pending.message_id for pending in found] == [expired, null]
    found = outcome(kept.store.lease_late(START, UNTIL, late, 10))
    assert [pending.message_id for pending in found] == [warned]
    assert outcome(kept.store.lease_late(START, UNTIL, late, 10)) == []


# any order of anything

DOMAINS = st.sampled_from(["a.test", "b.test", "c.test", "here.test"])
ADDRESSES = st.lists(st.builds("{}@{}".format, st.sampled_from(["x", "y"]), DOMAINS), min_size=1, max_size=3)
TIMES = st.integers(0, 50)
SELECTIONS = st.builds(
    Selection,
    domain=st.sampled_from(["", "", "a.test", "here.test"]),
    sender=st.sampled_from(["", "", "<>", "S@far.test"]),
    state=st.sampled_from([None, None, State.WAITING, State.HELD]),
)


class Stores(RuleBasedStateMachine):
    """Both do the same."""

    def __init__(self):
        super().__init__()
        self.both = [Kept("memory"), Kept("sqlite")]
        self.both[0].keeper.uuid = self.both[1].keeper.uuid
        self.now = START
        self.leased = []
        self.count = 0

    def teardown(self):
        for kept in self.both:
            kept.close()

    def same(self, call):
        first, second = [outcome(call(kept.store)) for kept in self.both]
        assert first == second
        return first

    @rule(addresses=ADDRESSES, sender=st.sampled_from(["", "s@far.test"]), delay=TIMES)
    def put(self, addresses, sender, delay):
        if not sender:  # what nobody is told of is delivered here without the queue
            addresses = [address.replace("here", "there") for address in addresses]
        numbers = {
            kept.put(*addresses, sender=sender, received=self.now, release=self.now + delay) for kept in self.both
        }
        assert len(numbers) == 1
        self.count += 1

    @rule(seconds=TIMES)
    def pass_time(self, seconds):
        self.now += seconds

    @rule(
        each=st.integers(1, 3), total=st.integers(1, 6), closed=st.sets(DOMAINS), after=st.sampled_from(["", "a.test"])
    )
    def lease_due(self, each, total, closed, after):
        leased = self.same(
            lambda store: store.lease_due(self.now, self.now + 30, Allowance(each, total, closed), after)
        )
        self.leased += leased.pendings

    @rule(after=st.integers(0, 5), total=st.integers(1, 3))
    def lease_fresh(self, after, total):
        fresh = self.same(lambda store: store.lease_fresh(self.now, self.now + 30, Allowance(1, total), after))
        self.leased += fresh.pendings

    @rule(warn=TIMES, expire=TIMES, limit=st.integers(1, 4))
    def lease_late(self, warn, expire, limit):
        late = Late(
            warn=self.now - warn, expire=self.now - expire, expire_null=self.now - expire // 2, idle=self.now - 5
        )
        self.leased += self.same(lambda store: store.lease_late(self.now, self.now + 30, late, limit))

    @rule(
        finished=st.booleans(),
        next_=st.none() | TIMES,
        tried=st.booleans(),
        notice=st.none() | st.sampled_from(Notice),
        report=st.booleans(),
    )
    def record(self, finished, next_, tried, notice, report):
        if self.leased:
            pending = self.leased.pop(0)
            result = Record(
                message_id=pending.message_id,
                n=pending.n,
                status="words",
                finished=finished,
                next=None if next_ is None else self.now + next_,
                host="h",
                tried=self.now if tried else None,
                notice=notice,
            )
            reports = [
                kept.message("s@far.test", sender="", received=self.now) if report else None for kept in self.both
            ]
            for kept, message in zip(self.both, reports, strict=True):
                outcome(kept.store.record([result], [message] if message else []))

    @rule()
    def give_back(self):
        leased, self.leased = self.leased, []
        self.same(lambda store: store.give_back(leased))

    @rule()
    def reopen(self):
        for kept in self.both:
            kept.reopen()

    @rule(change=st.sampled_from(Change), selection=SELECTIONS)
    def change(self, change, selection):
        self.same(lambda store: store.change(change, selection, self.now))

    @rule(change=st.sampled_from(Change), number=st.integers(1, 12))
    def change_one(self, change, number):
        selection = Selection(queue_id=self.both[0].name(number))
        self.same(lambda store: store.change(change, selection, self.now))

    @rule(number=st.integers(1, 12))
    def load(self, number):
        self.same(lambda store: store.load(number, [0, 1]))

    @rule(selection=SELECTIONS, after=st.integers(0, 3), limit=st.integers(1, 5))
    def page(self, selection, after, limit):
        name = self.both[0].name(after) if after else ""
        self.same(lambda store: store.list_entries(selection, name, limit))

    @invariant()
    def shows_the_same(self):
        self.same(lambda store: store.list_entries(Selection(), "", 100))
        self.same(lambda store: store.count(Selection()))
        self.same(lambda store: store.count_domains())


TestStores = Stores.TestCase
TestStores.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
