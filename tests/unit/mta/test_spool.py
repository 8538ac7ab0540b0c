import os
import sqlite3

import attrs
import pytest
from twisted.internet.defer import Deferred

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Receipt
from mailsuite.mta import queue_statements, statements
from mailsuite.mta.queue_store import Loaded, Record
from mailsuite.mta.spool import format_queue_id, parse_queue_id
from mailsuite.mta.spool_queue import SpoolQueue
from mailsuite.mta.writer import Write
from mailsuite.testing.faults import FaultyDisk

from .conftest import pending_of


def result_of(deferred):
    results = []
    deferred.addBoth(results.append)
    assert results
    return results[0]


def count(spool, table="message"):
    with sqlite3.connect(os.path.join(spool.folder, "spool.db")) as connection:
        (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return number


def test_what_is_put_is_delivered_and_answered_with_its_queue_id(world):
    spool = world.spool()
    message = world.message(spool, "alice", "bob")
    receipt = result_of(spool.put(message))
    assert receipt == Receipt(format_queue_id(spool.uuid, message.message_id))
    assert parse_queue_id(spool.uuid, receipt.queue_id) == message.message_id
    assert world.store.of("alice@example.test") == [message.content]
    assert world.store.of("bob@example.test") == [message.content]


def test_local_mail_needs_one_row_and_no_recipient_row(world):
    spool = world.spool()
    spool.put(world.message(spool, "alice", "bob"))
    assert count(spool) == 1
    assert count(spool, "recipient") == 0


def test_recipients_share_the_octets(world):
    spool = world.spool()
    spool.put(world.message(spool, "alice", "bob"))
    first, second = world.store.calls
    assert first.content is second.content


def test_a_sweep_syncs_and_then_forgets(world):
    spool = world.spool()
    spool.put(world.message(spool, "alice"))
    assert spool.sweep()
    assert world.store.syncs == 1
    assert count(spool) == 0
    assert not spool.sweep()
    assert world.store.syncs == 1, "an idle sweep leaves the disk alone"


def test_nothing_is_forgotten_while_the_sync_fails(world):
    spool = world.spool()
    spool.put(world.message(spool, "alice"))
    world.store.sync_error = OSError(5, "Input/output error")
    spool.sweep()
    assert count(spool) == 1
    world.store.sync_error = None
    spool.sweep()
    assert count(spool) == 0


def test_a_sweep_deletes_around_messages_that_are_not_delivered_yet(world):
    spool = world.spool()
    world.store.waiting = []
    spool.put(world.message(spool, "alice"))
    slow, world.store.waiting = world.store.waiting, None
    spool.put(world.message(spool, "bob"))
    world.store.waiting = []
    spool.put(world.message(spool, "alice"))
    slow_too, world.store.waiting = world.store.waiting, None
    spool.put(world.message(spool, "bob"))
    spool.sweep()
    assert count(spool) == 2
    world.store.waiting = slow + slow_too
    world.store.go_on()
    spool.sweep()
    assert count(spool) == 0


def test_ids_never_come_back_when_the_spool_was_emptied(world):
    spool = world.spool()
    first = world.message(spool, "alice")
    spool.put(first)
    spool.sweep()
    world.kill(spool)
    again = world.spool()
    second = world.message(again, "alice")
    again.put(second)
    assert second.message_id > first.message_id
    assert len(world.store.of("alice@example.test")) == 2


def test_a_restart_delivers_what_was_not_synced_exactly_once(world):
    spool = world.spool()
    for _ in range(250):
        spool.put(world.message(spool, "alice"))
    world.store.waiting = []
    spool.put(world.message(spool, "bob"))
    world.store.waiting = None
    world.kill(spool)
    again = world.spool()
    while not again._sweeper._replay.complete:
        again.sweep()
    again.sweep()
    assert len(world.store.of("alice@example.test")) == 250
    assert len(world.store.of("bob@example.test")) == 1
    assert count(again) == 0


def test_the_replay_waits_for_the_store(world):
    spool = world.spool()
    spool.put(world.message(spool, "alice"))
    world.kill(spool)
    world.store.calls.clear()
    world.store.queued = 501
    again = world.spool()
    again.sweep()
    assert not world.store.calls
    world.store.queued = 0
    again.sweep()
    assert len(world.store.calls) == 1


def test_a_message_that_cannot_be_read_back_stays_and_stops_nobody(world):
    spool = world.spool()
    broken = world.message(spool, "alice")
    spool.put(broken)
    spool.put(world.message(spool, "bob"))
    result_of(
        spool.run(
            lambda connection: connection.execute(
                "UPDATE message SET envelope = '{' WHERE id = ?", (broken.message_id,)
            )
        )
    )
    world.kill(spool)
    world.store.mail.clear()
    again = world.spool()
    again.sweep()
    again.sweep()
    assert len(world.store.of("bob@example.test")) == 1
    assert count(again) == 1


def test_a_mailbox_that_is_full_defers_its_own_mail_only(world):
    world.store.errors["alice@example.test"] = MailError(Kind.OVER_QUOTA, "mailbox full")
    spool = world.spool()
    spool.put(world.message(spool, "alice", "bob"))
    spool.sweep()
    assert len(world.store.of("bob@example.test")) == 1
    (pending,) = result_of(spool.run(pending_of))
    assert (pending.address, pending.tries, pending.status) == ("alice@example.test", 1, "mailbox full")
    assert pending.next > world.reactor.seconds()
    assert count(spool) == 1, "the spool keeps it until it is delivered"


def test_deferred_local_mail_is_not_delivered_by_the_replay(world):
    world.store.errors["alice@example.test"] = MailError(Kind.OVER_QUOTA)
    spool = world.spool()
    spool.put(world.message(spool, "alice", "bob"))
    world.kill(spool)
    world.store.calls.clear()
    again = world.spool()
    again.sweep()
    assert [delivery.email for delivery in world.store.calls] == ["bob@example.test"]


def test_a_store_that_raises_defers_mail_and_loses_none(world):
    def deliver(deliveries, report):
        raise RuntimeError("broken")

    spool = world.spool()
    world.store.deliver = deliver
    assert isinstance(result_of(spool.put(world.message(spool, "alice"))), Receipt)
    (pending,) = result_of(spool.run(pending_of))
    assert "RuntimeError" in pending.status


def test_a_deferral_that_cannot_be_recorded_is_recorded_later(world):
    disk = FaultyDisk(operations={"commit"})
    spool = world.spool(disk)
    world.store.waiting = []
    spool.put(world.message(spool, "alice"))
    world.store.errors["alice@example.test"] = MailError(Kind.OVER_QUOTA)
    disk.reset()
    disk.fail_at = 1
    world.store.go_on()
    assert spool.failing
    spool.sweep()
    (pending,) = result_of(spool.run(pending_of))
    assert pending.address == "alice@example.test"


def test_remote_recipients_wait_in_the_queue_and_it_is_told(world):
    spool = world.spool()
    told = []
    spool.on_queued = lambda: told.append(True)
    spool.put(world.message(spool, "alice", "far@remote.test"))
    assert told == [True]
    spool.sweep()
    spool.sweep()
    (pending,) = result_of(spool.run(pending_of))
    assert pending.address == "far@remote.test"
    assert count(spool) == 1
    done = Record(message_id=pending.message_id, n=pending.n, status="done", finished=True)
    result_of(spool.run(lambda connection: queue_statements.record(connection, [done])))
    spool._sweeper._looked -= 10
    spool.sweep()
    spool.sweep()
    assert count(spool) == 0


def test_a_failing_commit_refuses_its_group_and_keeps_nothing(world):
    disk = FaultyDisk(operations={"commit"})
    spool = world.spool(disk)
    disk.reset()
    disk.fail_at = 1
    refused = result_of(spool.put(world.message(spool, "alice")))
    assert refused.value.kind is Kind.UNAVAILABLE
    assert count(spool) == 0
    assert not world.store.calls


def test_the_whole_group_is_refused_together_with_one_call_into_the_reactor(world):
    disk = FaultyDisk(operations={"commit"})
    spool = world.spool(disk)
    calls = []
    results = []
    from twisted.internet.defer import Deferred

    writes = []
    for name in ("alice", "bob", "carol"):
        deferred = Deferred()
        deferred.addBoth(results.append)
        writes.append(Write(messages=(world.message(spool, name),), deferred=deferred))
    plain = world.reactor.callFromThread
    world.reactor.callFromThread = lambda *arguments, **keywords: (
        calls.append(arguments[0]),
        plain(*arguments, **keywords),
    )
    disk.reset()
    disk.fail_at = 1
    spool._writer.work(writes)
    assert [failure.value.kind for failure in results] == [Kind.UNAVAILABLE] * 3
    assert len([call for call in calls if getattr(call, "__name__", "") == "_fire"]) == 1


def test_nothing_is_accepted_while_commits_fail_and_a_sweep_finds_out_when_they_work_again(world):
    disk = FaultyDisk(operations={"commit"}, lasting=True)
    spool = world.spool(disk)
    spool.ensure_room(1)
    disk.reset()
    disk.fail_at = 1
    result_of(spool.put(world.message(spool, "alice")))
    spool.sweep()
    with pytest.raises(MailError) as caught:
        spool.ensure_room(1)
    assert caught.value.kind is Kind.UNAVAILABLE
    disk.heal()
    spool.sweep()
    spool.ensure_room(1)
    assert isinstance(result_of(spool.put(world.message(spool, "alice"))), Receipt)
    assert len(world.store.of("alice@example.test")) == 1


def test_a_message_that_a_failed_commit_left_after_all_is_taken_back(world):
    disk = FaultyDisk(operations={"commit"})
    spool = world.spool(disk)
    message = world.message(spool, "alice")
    disk.reset()
    disk.fail_at = 1
    result_of(spool.put(message))
    with sqlite3.connect(os.path.join(spool.folder, "spool.db")) as connection:
        connection.execute("INSERT INTO message VALUES (?, 1, '{}', NULL, 'x')", (message.message_id,))
    connection.close()
    result_of(spool.put(world.message(spool, "bob")))
    assert result_of(spool.run(lambda c: statements.find_message(c, message.message_id))) is None


def test_a_change_that_raises_undoes_itself_and_nobody_else(world):
    spool = world.spool()
    results = []
    from twisted.internet.defer import Deferred

    def broken(connection):
        connection.execute("UPDATE spool SET probed = 99")
        raise MailError(Kind.NOT_FOUND)

    first, second = Deferred(), Deferred()
    first.addBoth(results.append)
    second.addBoth(results.append)
    spool._writer.work(
        [
            Write(change=broken, messages=(world.message(spool, "bob"),), deferred=first),
            Write(messages=(world.message(spool, "alice"),), result="kept", deferred=second),
        ]
    )
    assert results[0].value.kind is Kind.NOT_FOUND
    assert results[1] == "kept"
    assert result_of(spool.run(lambda c: c.execute("SELECT probed FROM spool").fetchone())) == (0,)
    assert [delivery.email for delivery in world.store.calls] == ["alice@example.test"]


def test_the_database_has_the_settings_that_the_promise_needs(world):
    spool = world.spool()

    def pragma(name):
        return result_of(spool.run(lambda c: c.execute(f"PRAGMA {name}").fetchone()))[0]

    assert pragma("journal_mode") == "wal"
    assert pragma("synchronous") == 2
    assert pragma("secure_delete") == 0
    assert pragma("page_size") == 4096
    assert pragma("wal_autocheckpoint") == 4000
    assert pragma("auto_vacuum") == 0


def test_room_is_refused_for_each_of_its_reasons(world):
    spool = world.spool(memory_max_octets=10, backlog_max=5)
    spool.ensure_room(1)
    with pytest.raises(MailError, match="not enough room"):
        spool.ensure_room(2**62)
    world.store.queued = 5
    with pytest.raises(MailError, match="too much mail"):
        spool.ensure_room(1)
    world.store.queued = 0
    body = spool.begin_body(spool.take_id())
    body.write(b"x" * 10)
    with pytest.raises(MailError, match="too much mail"):
        spool.ensure_room(1)
    body.abort()
    spool.ensure_room(1)
    spool.stop()
    with pytest.raises(MailError, match="shutting down"):
        spool.ensure_room(1)


def test_a_queue_id_of_another_spool_is_not_found(world):
    spool = world.spool()
    for wrong in ("000000-1", "", "-", "zz", spool.queue_id(5)[:-1], spool.queue_id(1).replace("-1", "--1")):
        with pytest.raises(MailError):
            parse_queue_id(spool.uuid, wrong)


def test_lone_surrogates_in_an_address_do_no_harm(world):
    from mailsuite.address import Address
    from mailsuite.mta import Target

    spool = world.spool()
    message = world.message(spool, "alice")
    import attrs

    message = attrs.evolve(message, targets=(*message.targets, Target(address=Address("x\udcff", "remote.test"))))
    assert isinstance(result_of(spool.put(message)), Receipt)
    loaded = result_of(Deferred.fromCoroutine(SpoolQueue(spool).load(message.message_id, [1])))
    assert loaded == Loaded(message, frozenset({1}))


def test_after_the_stop_everything_is_refused(world):
    spool = world.spool()
    message = world.message(spool, "alice")
    spool.stop()
    assert result_of(spool.put(message)).value.kind is Kind.UNAVAILABLE
    assert result_of(spool.run(pending_of)).value.kind is Kind.UNAVAILABLE


def test_a_replay_that_could_not_be_read_is_tried_again(world):
    spool = world.spool()
    spool.put(world.message(spool, "alice"))
    world.kill(spool)
    world.store.calls.clear()
    disk = FaultyDisk(operations={"commit"})
    again = world.spool(disk)
    disk.reset()
    disk.fail_at = 1
    again.sweep()
    assert not world.store.calls
    again.sweep()
    again.sweep()
    assert len(world.store.calls) == 1


def test_messages_that_could_not_be_deleted_are_deleted_by_the_next_sweep(world):
    disk = FaultyDisk(operations={"commit"})
    spool = world.spool(disk)
    spool.sweep()
    spool.put(world.message(spool, "alice"))
    disk.reset()
    disk.fail_at = 1
    spool.sweep()
    assert count(spool) == 1
    spool.sweep()
    assert count(spool) == 0


def test_a_body_that_cannot_be_removed_is_left_for_the_next_start(world):
    disk = FaultyDisk(operations={"unlink"})
    spool = world.spool(disk, inline_max_octets=10)
    body = spool.begin_body(message_id := spool.take_id())
    body.write(b"x" * 100)
    from twisted.internet.defer import Deferred

    content = result_of(Deferred.fromCoroutine(body.finish()))
    spool.put(attrs.evolve(world.message(spool, "alice"), message_id=message_id, content=content))
    disk.reset()
    disk.fail_at = 1
    spool.sweep()
    assert count(spool) == 0
    assert os.listdir(spool.bodies) == ["1"]
    world.kill(spool)
    world.spool()
    assert os.listdir(spool.bodies) == []
    assert len(world.store.of("alice@example.test")) == 1


def test_an_outcome_reported_twice_counts_once(world):
    spool = world.spool()
    world.store.waiting = []
    spool.put(world.message(spool, "alice", "bob"))
    (first, report), (second, _) = world.store.waiting
    ended = world.store._deliver(first)
    report([ended])
    report([ended])
    spool.sweep()
    assert count(spool) == 1
    report([world.store._deliver(second)])
    spool.sweep()
    assert count(spool) == 0
