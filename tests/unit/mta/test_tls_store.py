import os
import sqlite3

import pytest
from twisted.internet.task import Clock

from mailsuite.durable import Disk, InlineLane
from mailsuite.errors import Kind, MailError
from mailsuite.mta import tls_store
from mailsuite.mta.tls_report import FLUSH_SECONDS, PENDING_MAX, TLSReports
from mailsuite.mta.tls_store import ASIDE, RESULT_DAYS, KnownPolicy, TLSResult, TLSStore
from mailsuite.testing import FaultyDisk

DAY = 20_000
NOW = DAY * 86400.0 + 1000


def known(policy_id="1", fetched=NOW, age=1000.0, body=b"body"):
    return KnownPolicy(policy_id=policy_id, body=body, fetched=fetched, expires=fetched + age)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "tls.db")


@pytest.fixture
def store(path):
    store = TLSStore(path, Disk())
    yield store
    store.close()


def test_a_policy_outlives_the_process(store, path):
    assert store.policy("d.test") is None
    store.put_policy("d.test", known())
    store.put_policy("e.test", known("2"))
    store.put_policy("d.test", known("3"))
    store.close()
    again = TLSStore(path, Disk())
    assert again.policy("d.test") == known("3")
    assert again.policy("e.test") == known("2")
    again.close()


def test_expired_policies_go_when_another_comes(store):
    store.put_policy("old.test", known(age=10.0))
    store.put_policy("d.test", known(fetched=NOW + 11))
    assert store.policy("old.test") is None


def test_the_oldest_go_when_there_are_too_many(store, monkeypatch):
    monkeypatch.setattr(tls_store, "POLICIES_MAX", 2)
    for number, domain in enumerate(["a.test", "b.test", "c.test"]):
        store.put_policy(domain, known(fetched=NOW + number))
    assert [store.policy(domain) is not None for domain in ("a.test", "b.test", "c.test")] == [False, True, True]


def result(domain="d.test", failure="", **fields):
    return TLSResult(
        domain=domain,
        policy_type="sts",
        policy=("version: STSv1", "mode: none"),
        host="mx.d.test",
        result=failure,
        **fields,
    )


def test_results_are_counted(store):
    store.add_results(DAY, {result(): 2, result(failure="certificate-expired"): 1})
    store.add_results(DAY, {result(): 3})
    plain = TLSResult(domain="a.test", policy_type="no-policy-found")
    store.add_results(DAY, {plain: 1})
    assert store.results(DAY) == [(plain, 1), (result(), 5), (result(failure="certificate-expired"), 1)]
    assert store.results(DAY - 1) == []


def test_days_long_over_go(store):
    for day in range(DAY, DAY + RESULT_DAYS + 1):
        store.add_results(day, {result(): 1})
    assert store.results(DAY) == []
    assert all(store.results(DAY + number) for number in range(1, RESULT_DAYS + 1))


def test_a_stranger_does_not_fill_the_disk(store, monkeypatch):
    monkeypatch.setattr(tls_store, "RESULTS_MAX", 3)
    store.add_results(DAY, {result(f"{number}.test"): 1 for number in range(5)})
    store.add_results(DAY, {result("0.test"): 1, result("9.test"): 1})
    assert [(found.domain, count) for found, count in store.results(DAY)] == [
        ("0.test", 2),
        ("1.test", 1),
        ("2.test", 1),
    ]


def test_a_disk_that_fails_is_temporary(path):
    for disk, call in [
        (FaultyDisk(fail_at=1, lasting=True), lambda store: store.policy("d.test")),
        (FaultyDisk(fail_at=1, operations={"commit"}, lasting=True), lambda store: store.put_policy("d.test", known())),
    ]:
        store = TLSStore(path, disk)
        with pytest.raises(MailError) as caught:
            call(store)
        assert caught.value.kind is Kind.UNAVAILABLE
        disk.heal()
        assert store.policy("d.test") is None
        store.close()


@pytest.mark.parametrize("place", [0, 4096])
def test_a_broken_file_is_laid_aside_and_begun_anew(path, place):
    store = TLSStore(path, Disk())
    store.put_policy("d.test", known())
    store.close()
    with open(path, "r+b") as stream:
        stream.seek(place)
        stream.write(b"\xaa" * (os.path.getsize(path) - place))
    told = []
    store = TLSStore(path, Disk(), lambda *damage: told.append(damage))
    with pytest.raises(MailError) as caught:
        store.policy("d.test")
    assert caught.value.kind is Kind.UNAVAILABLE
    ((aside, reason),) = told
    assert aside == path + ASIDE
    assert reason
    assert os.path.exists(aside)
    assert store.policy("d.test") is None
    store.put_policy("d.test", known())
    store.close()
    store = TLSStore(path, Disk())
    assert store.policy("d.test") == known()
    store.close()


def test_a_broken_file_that_cannot_be_laid_aside_stays_temporary(path):
    with open(path, "wb") as stream:
        stream.write(b"\xaa" * 8192)
    told = []
    disk = FaultyDisk(fail_at=1, operations={"rename"}, lasting=True)
    store = TLSStore(path, disk, lambda *damage: told.append(damage))
    for _ in range(2):
        with pytest.raises(MailError) as caught:
            store.policy("d.test")
        assert caught.value.kind is Kind.UNAVAILABLE
    assert told == []
    disk.heal()
    with pytest.raises(MailError):
        store.policy("d.test")
    assert len(told) == 1
    assert store.policy("d.test") is None
    store.close()


def test_a_database_of_a_newer_version_is_left_alone(store, path):
    store.put_policy("d.test", known())
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(MailError):
        store.policy("d.test")


# reports


@pytest.fixture
def clock():
    clock = Clock()
    clock.advance(NOW)
    return clock


@pytest.fixture
def reports(store, clock):
    return TLSReports(store, InlineLane(), clock)


def test_results_are_written_together_some_seconds_later(reports, store, clock):
    for _ in range(3):
        reports.record(result())
    assert store.results(DAY) == []
    clock.advance(FLUSH_SECONDS)
    assert store.results(DAY) == [(result(), 3)]
    reports.record(result())
    clock.advance(FLUSH_SECONDS)
    assert store.results(DAY) == [(result(), 4)]
    assert not clock.getDelayedCalls()


def test_who_reads_gets_all(reports, outcome, clock):
    reports.record(result())
    assert reports.today() == DAY
    assert outcome(reports.results(DAY)) == [(result(), 1)]
    assert not clock.getDelayedCalls()


def test_midnight_divides(reports, outcome, clock):
    clock.advance(86400 - 1000 - 1)
    reports.record(result())
    clock.advance(2)
    reports.record(result("e.test"))
    assert outcome(reports.results(DAY)) == [(result(), 1)]
    assert outcome(reports.results(DAY + 1)) == [(result("e.test"), 1)]


def test_memory_is_bounded(reports, outcome):
    for number in range(PENDING_MAX + 10):
        reports.record(result(f"{number}.test"))
    reports.record(result("0.test"))
    found = outcome(reports.results(DAY))
    assert len(found) == PENDING_MAX
    assert dict(found)[result("0.test")] == 2


def test_a_disk_that_fails_loses_counts_and_nothing_else(path, clock, outcome):
    disk = FaultyDisk(fail_at=1, operations={"commit"}, lasting=True)
    store = TLSStore(path, disk)
    reports = TLSReports(store, InlineLane(), clock)
    reports.record(result())
    clock.advance(FLUSH_SECONDS)
    disk.heal()
    reports.record(result("e.test"))
    assert outcome(reports.results(DAY)) == [(result("e.test"), 1)]
    store.close()
