import json

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from mailsuite.errors import Kind, MailError
from mailsuite.service.link import Link


@pytest.fixture
def ends():
    commands, notes, lost = {}, {}, []
    one, other = Link({}, {}), Link(commands, notes, lambda: lost.append(True))
    for link in (one, other):
        link.makeConnection(StringTransport())
    return one, other, commands, notes, lost


def carry(source, target, step=None):
    octets = source.transport.value()
    source.transport.clear()
    for start in range(0, len(octets), step or len(octets) or 1):
        target.dataReceived(octets[start : start + (step or len(octets))])


def outcome(deferred):
    results = []
    deferred.addBoth(results.append)
    return results


@pytest.mark.parametrize("step", [None, 1])
def test_answers_find_their_questions_in_any_order(ends, step):
    one, other, commands, _, _ = ends
    waiting = []

    async def slow(request):
        deferred = Deferred()
        waiting.append(deferred)
        return [await deferred, request["word"]]

    async def quick(request):
        return request["word"]

    commands.update(slow=slow, quick=quick)
    first, second = outcome(one.ask("slow", word="größer\n")), outcome(one.ask("quick", word="x"))
    carry(one, other, step)
    carry(other, one, step)
    assert (first, second) == ([], ["x"])
    waiting[0].callback(5)
    carry(other, one, step)
    assert first == [[5, "größer\n"]]


def test_failures_are_told_in_words_and_nothing_else(ends):
    one, other, commands, _, _ = ends

    async def refuse(request):
        raise MailError(Kind.CONFLICT, "not now")

    async def broken(request):
        raise KeyError("/secret/path")

    commands.update(refuse=refuse, broken=broken)
    results = [outcome(one.ask(name)) for name in ("refuse", "broken", "missing")]
    carry(one, other)
    assert b"/secret" not in other.transport.value()
    carry(other, one)
    kinds = [result[0].value.kind for result in results]
    assert kinds == [Kind.CONFLICT, Kind.UNAVAILABLE, Kind.NOT_FOUND]
    assert results[0][0].value.detail == "not now"


def test_notes_are_heard_and_unknown_ones_are_not(ends):
    one, other, _, notes, _ = ends
    heard = []
    notes["news"] = heard.append
    one.tell("news", number=4)
    one.tell("rumour")
    carry(one, other)
    assert heard == [{"note": "news", "number": 4}]


def test_who_waits_hears_that_the_other_end_is_gone(ends):
    one, other, _, _, lost = ends
    waiting = outcome(one.ask("anything"))
    one.connectionLost(Failure(ConnectionDone()))
    assert waiting[0].value.kind is Kind.UNAVAILABLE
    assert outcome(one.ask("more"))[0].value.kind is Kind.UNAVAILABLE
    one.tell("news")
    other.connectionLost(Failure(ConnectionDone()))
    assert lost == [True]


def test_an_answer_that_comes_too_late_is_dropped(ends):
    one, *_ = ends
    asked = one.ask("anything")
    asked.addErrback(lambda _: None)
    asked.cancel()
    one.dataReceived(json.dumps({"answer": 1, "result": 2}).encode() + b"\n")
    one.dataReceived(json.dumps({"answer": 99, "result": 2}).encode() + b"\n")
