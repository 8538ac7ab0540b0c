import dns.flags
import dns.rcode
import pytest

from mailsuite.dns.cache import Cache, Found
from mailsuite.dns.settings import Nameserver
from mailsuite.dns.transport import ExchangeError, ForgedError
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import MX, TXT, A, Answer, MXRecord, NoRecordsError

SOA = ("test.", 900, "SOA", "ns.test. root.test. 7 3600 600 86400 300")
ADDRESS = ("mx.test.", 60, "A", "192.0.2.1")
FIRST = "192.0.2.53"
SECOND = "192.0.2.54"


def two(bench):
    bench.servers = [Nameserver(host=FIRST), Nameserver(host=SECOND)]


def test_an_answer_is_remembered_for_its_time(bench, result):
    bench.answer(ADDRESS)
    for _ in range(2):
        assert result(bench.ask("MX.test.", A)) == Answer(name="mx.test", records=("192.0.2.1",))
    assert len(bench.script.asked) == 1
    bench.clock.advance(59.9)
    assert result(bench.ask("mx.test", A))
    assert len(bench.script.asked) == 1
    bench.clock.advance(0.1)
    assert result(bench.ask("mx.test", A))
    assert len(bench.script.asked) == 2


def test_other_types_of_the_same_name_are_asked_for(bench, result):
    bench.answer(ADDRESS)
    assert result(bench.ask("mx.test", A)).records == ("192.0.2.1",)
    error = result(bench.ask("mx.test", MX))
    assert isinstance(error, NoRecordsError)
    assert error.exists
    assert len(bench.script.asked) == 2


@pytest.mark.parametrize(("rcode", "exists"), [(dns.rcode.NXDOMAIN, False), (dns.rcode.NOERROR, True)])
def test_that_there_is_nothing_is_remembered_as_the_soa_says(bench, result, rcode, exists):
    bench.answer(rcode=rcode, authority=[SOA])
    for _ in range(2):
        error = result(bench.ask("no.test", MX))
        assert isinstance(error, NoRecordsError)
        assert (error.kind, error.exists, error.name) == (Kind.NOT_FOUND, exists, "no.test")
    assert len(bench.script.asked) == 1
    bench.clock.advance(300)
    bench.answer(("no.test.", 60, "MX", "10 mx.test."))
    assert result(bench.ask("no.test", MX)).records == (MXRecord(10, "mx.test"),)


def test_that_there_is_nothing_is_not_remembered_without_an_soa(bench, result):
    bench.answer(rcode=dns.rcode.NXDOMAIN)
    for _ in range(2):
        assert isinstance(result(bench.ask("no.test", MX)), NoRecordsError)
    assert len(bench.script.asked) == 2


def test_what_holds_for_no_time_is_asked_for_again(bench, result):
    bench.answer(("mx.test.", 0, "A", "192.0.2.1"))
    for _ in range(2):
        assert result(bench.ask("mx.test", A))
    assert len(bench.script.asked) == 2


def test_a_clock_that_is_put_back_does_not_keep_answers_for_ever(bench, result):
    bench.answer(ADDRESS)
    assert result(bench.ask("mx.test", A))
    bench.clock.rightNow -= 500_000
    assert result(bench.ask("mx.test", A))
    assert len(bench.script.asked) == 2


def test_a_failure_is_remembered_for_seconds(bench, result):
    bench.answer(rcode=dns.rcode.SERVFAIL)
    for _ in range(2):
        error = result(bench.ask("mx.test", A))
        assert isinstance(error, MailError)
        assert error.kind is Kind.UNAVAILABLE
        assert FIRST not in str(error)
    assert len(bench.script.asked) == 1
    bench.clock.advance(5)
    bench.answer(ADDRESS)
    assert result(bench.ask("mx.test", A)).records == ("192.0.2.1",)


def test_the_longest_unasked_goes_first_when_there_is_too_much(bench, result):
    bench.settings = {"cache_max": 2}
    bench.script.answers[FIRST, "udp"] = lambda query: bench.respond(
        query, (str(query.question[0].name), 60, "A", "192.0.2.1")
    )
    for name in ("a.test", "b.test", "a.test", "c.test", "a.test", "b.test"):
        assert result(bench.ask(name, A))
    assert [str(query.question[0].name) for _, _, query in bench.script.asked] == [
        "a.test.", "b.test.", "c.test.", "b.test."
    ]  # fmt: skip


def test_who_asks_for_the_same_waits_for_the_same(bench, result):
    asked = [bench.ask("mx.test", A) for _ in range(3)]
    assert len(bench.script.asked) == 1
    asked[1].addErrback(lambda failure: None)
    asked[1].cancel()
    ((waiting, accept, query),) = bench.script.open
    waiting.callback(accept(bench.respond(query, ADDRESS)))
    assert result(asked[0]).records == result(asked[2]).records == ("192.0.2.1",)
    assert result(bench.ask("mx.test", A))
    assert len(bench.script.asked) == 1


def test_one_who_goes_away_does_not_end_the_lookup(bench, result):
    asked = bench.ask("mx.test", A)
    asked.addErrback(lambda failure: None)
    asked.cancel()
    ((waiting, accept, query),) = bench.script.open
    waiting.callback(accept(bench.respond(query, ADDRESS)))
    assert result(bench.ask("mx.test", A)).records == ("192.0.2.1",)
    assert len(bench.script.asked) == 1


def test_a_silent_resolver_is_asked_again_until_the_time_is_over(bench, result):
    asked = bench.ask("mx.test", A)
    for _ in range(3):
        assert result(asked) is None
        bench.clock.advance(3)
    assert result(asked).kind is Kind.UNAVAILABLE
    assert len(bench.script.asked) == 3
    assert not bench.clock.getDelayedCalls()


def test_a_lookup_is_over_when_its_time_is(bench, result):
    bench.settings = {"lookup_seconds": 4.0}
    asked = bench.ask("mx.test", A)
    bench.clock.advance(3)
    bench.clock.advance(0.9)
    assert result(asked) is None
    bench.clock.advance(0.1)
    assert result(asked).kind is Kind.UNAVAILABLE


def test_the_next_resolver_is_asked_when_one_is_silent_and_is_asked_first_from_then_on(bench, result):
    two(bench)
    bench.answer(ADDRESS, host=SECOND)
    asked = bench.ask("mx.test", A)
    bench.clock.advance(3)
    assert result(asked).records == ("192.0.2.1",)
    bench.clock.advance(60)
    assert result(bench.ask("mx.test", A)).records == ("192.0.2.1",)
    assert [host for host, _, _ in bench.script.asked] == [FIRST, SECOND, SECOND]


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_the_next_resolver_is_asked_when_one_fails_but_each_only_once(bench, result, rcode):
    two(bench)
    bench.answer(rcode=rcode)
    bench.answer(rcode=rcode, host=SECOND)
    assert result(bench.ask("mx.test", A)).kind is Kind.UNAVAILABLE
    assert [host for host, _, _ in bench.script.asked] == [FIRST, SECOND]
    bench.clock.advance(5)
    bench.answer(ADDRESS, host=SECOND)
    assert result(bench.ask("mx.test", A)).records == ("192.0.2.1",)


def test_one_that_nobody_listens_at_is_passed_over_at_once(bench, result):
    two(bench)
    bench.script.answers[FIRST, "udp"] = lambda query: ExchangeError("nobody listens there")
    bench.answer(ADDRESS, host=SECOND)
    assert result(bench.ask("mx.test", A)).records == ("192.0.2.1",)


def test_a_truncated_answer_is_asked_for_over_tcp(bench, result):
    bench.answer(flags=dns.flags.TC)
    bench.answer(ADDRESS, how="tcp")
    assert result(bench.ask("mx.test", A)).records == ("192.0.2.1",)
    assert [how for _, how, _ in bench.script.asked] == ["udp", "tcp"]


def test_an_answer_that_is_truncated_over_tcp_is_none(bench, result):
    bench.answer(flags=dns.flags.TC)
    bench.answer(ADDRESS, how="tcp", flags=dns.flags.TC)
    assert result(bench.ask("mx.test", A)).kind is Kind.UNAVAILABLE


def test_where_somebody_guesses_answers_tcp_is_used(bench, result):
    bench.script.answers[FIRST, "udp"] = lambda query: ForgedError("answers to other questions")
    bench.answer(ADDRESS, how="tcp")
    assert result(bench.ask("mx.test", A)).records == ("192.0.2.1",)


def test_a_resolver_that_does_not_know_edns_is_asked_without(bench, result):
    bench.script.answers[FIRST, "udp"] = lambda query: (
        bench.respond(query, rcode=dns.rcode.FORMERR) if query.edns >= 0 else bench.respond(query, ADDRESS)
    )
    assert result(bench.ask("mx.test", A)).records == ("192.0.2.1",)
    assert [query.edns for _, _, query in bench.script.asked] == [0, -1]


def test_one_that_understands_neither_does_not_help(bench, result):
    bench.answer(rcode=dns.rcode.FORMERR)
    assert result(bench.ask("mx.test", A)).kind is Kind.UNAVAILABLE
    assert len(bench.script.asked) == 2


def test_aliases_that_lead_elsewhere_are_followed(bench, result):
    aliases = {"a.test.": "b.test.", "b.test.": "mx.test."}

    def answer(query):
        name = str(query.question[0].name)
        return bench.respond(query, (name, 30, "CNAME", aliases[name]) if name in aliases else ADDRESS)

    bench.script.answers[FIRST, "udp"] = answer
    assert result(bench.ask("a.test", A)) == Answer(name="mx.test", records=("192.0.2.1",))
    bench.clock.advance(30)
    assert result(bench.ask("a.test", A))
    assert len(bench.script.asked) == 6


def test_aliases_that_never_end_are_a_failure(bench, result):
    def answer(query):
        name = str(query.question[0].name)
        return bench.respond(query, (name, 30, "CNAME", f"x{name}"))

    bench.script.answers[FIRST, "udp"] = answer
    assert result(bench.ask("a.test", A)).kind is Kind.UNAVAILABLE
    assert len(bench.script.asked) <= 10


@pytest.mark.parametrize(
    ("dnssec", "trusted", "secure"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_the_word_of_a_resolver_counts_when_it_is_trusted(bench, result, dnssec, trusted, secure):
    bench.servers = [Nameserver(host=FIRST, trusted=trusted)]
    bench.settings = {"dnssec": dnssec}
    bench.answer(ADDRESS, flags=dns.flags.AD)
    assert result(bench.ask("mx.test", A)).secure is secure
    bench.answer(rcode=dns.rcode.NXDOMAIN, flags=dns.flags.AD)
    assert result(bench.ask("no.test", A)).secure is secure


def test_one_part_that_is_not_validated_makes_the_whole_so(bench, result):
    bench.servers = [Nameserver(host=FIRST, trusted=True)]
    bench.settings = {"dnssec": True}

    def answer(query):
        if str(query.question[0].name) == "a.test.":
            return bench.respond(query, ("a.test.", 60, "CNAME", "mx.test."), flags=dns.flags.AD)
        return bench.respond(query, ADDRESS)

    bench.script.answers[FIRST, "udp"] = answer
    assert not result(bench.ask("a.test", A)).secure


def test_lookups_wait_for_their_turn(bench, result):
    bench.settings = {"lookups_max": 2, "waiting_max": 1, "lookup_seconds": 5.0}
    asked = [bench.ask(f"{name}.test", A) for name in "abc"]
    assert len(bench.script.asked) == 2
    assert result(bench.ask("d.test", A)).kind is Kind.UNAVAILABLE
    waiting, accept, query = bench.script.open[0]
    waiting.callback(accept(bench.respond(query, ("a.test.", 60, "A", "192.0.2.1"))))
    assert result(asked[0])
    assert len(bench.script.asked) == 3
    bench.clock.pump([3, 3, 3])
    assert result(asked[1]).kind is result(asked[2]).kind is Kind.UNAVAILABLE


def test_a_lookup_does_not_wait_for_its_turn_for_ever(bench, result):
    bench.settings = {"lookups_max": 1, "lookup_seconds": 2.0, "query_seconds": 9.0}
    first, second = bench.ask("a.test", A), bench.ask("b.test", A)
    bench.clock.advance(2)
    assert result(first).kind is result(second).kind is Kind.UNAVAILABLE
    assert not bench.clock.getDelayedCalls()
    bench.answer(ADDRESS)
    assert result(bench.ask("mx.test", A))


def test_a_name_that_cannot_be_is_not_asked_for(bench, result):
    assert result(bench.ask("a..test", A)).kind is Kind.INVALID
    assert not bench.script.asked


def test_an_error_of_ours_ends_the_lookup_for_all_who_wait(bench, result, caplog):
    bench.script.answers[FIRST, "udp"] = lambda query: RuntimeError("ours")
    error = result(bench.ask("mx.test", TXT))
    assert error.kind is Kind.UNAVAILABLE
    bench.answer(("mx.test.", 60, "TXT", "now"))
    assert result(bench.ask("mx.test", TXT)).records == (b"now",)


def test_what_is_remembered_has_a_size():
    cache = Cache(1000, 100_000)
    for number in range(30):
        records = tuple(MXRecord(n, "x" * 250) for n in range(20))
        cache.put((f"a{number}.test", "MX"), Found(name="a.test", records=records, ttl=60), 0)
    assert 5 < len(cache) < 15
    assert cache.get(("a29.test", "MX"), 0)
    cache.put(("b.test", "TXT"), Found(name="b.test", records=(b"x" * 200_000,), ttl=60), 0)
    assert len(cache) == 0
    for number in range(2000):
        cache.put((f"a{number % 7}.test", "A"), Found(name="a.test", records=("192.0.2.1",), ttl=1), number)
        cache.get((f"a{number % 3}.test", "A"), number + 2)
    assert 0 < len(cache) <= 7


def test_a_lookup_is_over_when_its_time_is_whatever_way_it_goes(bench, result):
    bench.settings = {"lookup_seconds": 4.0}
    asked = bench.ask("mx.test", A)
    bench.clock.advance(2.5)
    ((waiting, accept, query),) = bench.script.open
    waiting.callback(accept(bench.respond(query, flags=dns.flags.TC)))
    bench.clock.advance(1.4)
    assert result(asked) is None
    bench.clock.advance(0.1)
    assert result(asked).kind is Kind.UNAVAILABLE
