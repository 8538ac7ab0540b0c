import email
import sqlite3

import attrs
import pytest
from twisted.internet.defer import Deferred

from mailsuite.address import Address
from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account, Resolution, ResolutionKind
from mailsuite.mta import Change, QueueFile, RouteSettings, Selection
from mailsuite.mta.route import NO_ROUTE, find_route
from mailsuite.smtp.outcome import Outcome, OutcomeState
from mailsuite.testing.faults import FaultyDisk

from .conftest import ROUTE, outcome_of, pending_of

DEFERRED = Outcome(OutcomeState.DEFERRED, 451, "4.2.0", "later")
FAILED = Outcome(OutcomeState.FAILED, 550, "5.1.1", "no such user")
LOCAL_SENDER = "alice@example.test"


@pytest.fixture
def pending(outcome):
    return lambda spool: outcome(spool.run(pending_of))


def pass_time(world, seconds, step=60):
    for _ in range(int(seconds // step)):
        world.reactor.advance(step)


def test_what_is_due_goes_over_its_route_without_our_return_path(world, far, start, pending):
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "far@remote.test", "alice"))
    ((host, envelope, octets),) = far.got
    assert host == "relay.test"
    assert str(envelope.sender.path) == "s@far.test"
    assert octets == b"Subject: x\r\n\r\nbody\r\n"
    assert pending(spool) == []
    assert len(world.store.of("alice@example.test")) == 1


def test_recipients_of_one_message_on_one_route_share_an_attempt(world, far, start):
    spool = world.spool()
    start(spool, routes=(ROUTE, RouteSettings(domain="*", host="smarthost.test")))
    spool.put(world.message(spool, "a@remote.test", "b@remote.test", "c@other.test"))
    assert sorted(far.recipients()) == [["a@remote.test", "b@remote.test"], ["c@other.test"]]
    assert {host for host, _, _ in far.got} == {"relay.test", "smarthost.test"}


def test_a_large_body_is_read_from_its_file(world, far, start):
    spool = world.spool(inline_max_octets=10)
    start(spool)
    body = spool.begin_body(message_id := spool.take_id())
    body.write(b"Return-Path: <>\r\n" + b"x" * 600_000)
    results = []
    Deferred.fromCoroutine(body.finish()).addCallback(results.append)
    message = world.message(spool, "far@remote.test")
    spool.put(attrs.evolve(message, message_id=message_id, content=results[0]))
    assert far.got[0][2] == b"x" * 600_000


def test_deferred_mail_is_tried_again_later_and_then_not_again(world, far, start, pending):
    far.answers["far@remote.test"] = DEFERRED
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "far@remote.test"))
    (row,) = pending(spool)
    assert (row.tries, row.status) == (1, "4.2.0 later")
    assert row.next == world.reactor.seconds() + 300
    pass_time(world, 240)
    assert len(far.got) == 1
    pass_time(world, 120)
    assert len(far.got) == 2
    far.answers.clear()
    pass_time(world, 600)
    assert len(far.got) == 3
    assert pending(spool) == []
    pass_time(world, 86400)
    assert len(far.got) == 3


def test_finished_mail_leaves_the_spool(world, start, outcome):
    spool = world.spool()
    start(spool)
    spool.sweep()
    spool.put(world.message(spool, "far@remote.test", "alice"))
    spool.sweep()
    spool.sweep()
    assert outcome(spool.run(lambda c: c.execute("SELECT count(*) FROM message").fetchone())) == (0,)
    assert outcome(spool.run(lambda c: c.execute("SELECT count(*) FROM recipient").fetchone())) == (0,)


def test_a_domain_without_route_waits_visibly(world, far, start, pending):
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "far@nowhere.test"))
    assert not far.got
    (row,) = pending(spool)
    assert row.status.endswith(NO_ROUTE)


def test_a_failed_recipient_is_reported_to_a_local_sender(world, far, start, pending):
    far.answers["bad@remote.test"] = FAILED
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "bad@remote.test", "good@remote.test", sender=LOCAL_SENDER))
    assert pending(spool) == []
    (content,) = world.store.of("alice@example.test")
    assert content.startswith(b"Return-Path: <>\r\n")
    report = email.message_from_bytes(content)
    assert report.get_content_type() == "multipart/report"
    assert b"Final-Recipient: rfc822; bad@remote.test" in content
    assert b"good@remote.test" not in content
    assert b"Subject: x\r\n" in content
    assert b"body" not in content.partition(b"text/rfc822-headers")[2]


def test_a_report_to_a_remote_sender_is_relayed_with_the_null_reverse_path(world, far, start, pending):
    far.answers["bad@remote.test"] = FAILED
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "bad@remote.test", sender="writer@remote.test"))
    assert far.recipients() == [["bad@remote.test"], ["writer@remote.test"]]
    _, envelope, octets = far.got[1]
    assert envelope.sender.path is None
    assert not octets.startswith(b"Return-Path")
    assert pending(spool) == []


def test_a_report_never_answers_a_report(world, far, start, pending):
    far.answers = {"bad@remote.test": FAILED, "writer@remote.test": FAILED}
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "bad@remote.test", sender="writer@remote.test"))
    assert len(far.got) == 2
    assert pending(spool) == []
    assert not world.store.calls


def test_a_report_that_can_go_nowhere_is_dropped(world, far, start, pending):
    far.answers["bad@remote.test"] = FAILED
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "bad@remote.test", sender="nobody@example.test"))
    assert pending(spool) == []


def test_a_failure_waits_while_the_directory_cannot_say_where_the_report_goes(world, far, start, pending):
    far.answers["bad@remote.test"] = FAILED
    spool = world.spool()
    start(spool)
    world.accounts.error = MailError(Kind.UNAVAILABLE)
    spool.put(world.message(spool, "bad@remote.test", sender=LOCAL_SENDER))
    assert len(pending(spool)) == 1
    world.accounts.error = None
    pass_time(world, 600)
    assert pending(spool) == []
    assert len(world.store.of("alice@example.test")) == 1


def test_mail_that_is_too_old_is_returned(world, far, start, pending):
    far.answers["far@remote.test"] = DEFERRED
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "far@remote.test", sender=LOCAL_SENDER))
    pass_time(world, 5 * 86400 + 7200, step=1800)
    assert pending(spool) == []
    delay, content = world.store.of("alice@example.test")
    assert b"Action: delayed" in delay
    assert b"Status: 4.4.7" in content
    assert b"Action: failed" in content
    assert 25 < len(far.got) < 60


def test_mail_without_a_reverse_path_lives_a_day_and_is_dropped(world, far, start, pending):
    far.answers["far@remote.test"] = DEFERRED
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "far@remote.test", sender=""))
    pass_time(world, 86400 + 7200, step=1800)
    assert pending(spool) == []
    assert not world.store.calls


def test_a_full_mailbox_is_tried_again_until_it_has_room(world, far, start, pending):
    world.store.errors["bob@example.test"] = MailError(Kind.OVER_QUOTA, "mailbox full")
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "bob"))
    assert len(pending(spool)) == 1
    pass_time(world, 360)
    assert pending(spool)[0].tries == 2
    world.store.errors.clear()
    pass_time(world, 600)
    assert len(world.store.of("bob@example.test")) == 1
    assert len(pending(spool)) == 1, "it is delivered, and not yet safe"
    spool.sweep()
    assert pending(spool) == []


def test_the_queues_pauses_hold_for_mailboxes_as_well(world, start, pending):
    world.store.errors["bob@example.test"] = MailError(Kind.OVER_QUOTA)
    spool = world.spool()
    start(spool, retry_first_seconds=7.0)
    spool.put(world.message(spool, "bob"))
    assert pending(spool)[0].next == world.reactor.seconds() + 7


def test_mail_follows_an_account_to_its_new_address(world, start, pending):
    world.store.errors["bob@example.test"] = MailError(Kind.UNAVAILABLE, "locked")
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "bob"))
    renamed = attrs.evolve(world.accounts.accounts.pop("bob"), email="robert@example.test")
    world.accounts.accounts |= {"robert": renamed, "bob": Account(account_id=9, email="bob@example.test")}
    world.store.errors.clear()
    pass_time(world, 600)
    spool.sweep()
    assert pending(spool) == []
    assert len(world.store.of("robert@example.test")) == 1


def test_a_mailbox_that_is_gone_returns_the_mail(world, far, start, pending):
    world.store.errors["bob@example.test"] = MailError(Kind.NOT_FOUND, "no such mailbox")
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "bob", sender=LOCAL_SENDER))
    assert pending(spool) == []
    (content,) = world.store.of("alice@example.test")
    assert b"Status: 5.1.1" in content


def test_a_retry_uses_the_quota_of_today(world, far, start):
    world.store.errors["bob@example.test"] = MailError(Kind.OVER_QUOTA)
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "bob"))
    world.accounts.accounts["bob"] = attrs.evolve(world.accounts.accounts["bob"], quota_octets=12345)
    pass_time(world, 360)
    assert [delivery.quota_octets for delivery in world.store.calls] == [0, 12345]


def test_an_account_that_was_removed_meanwhile_returns_the_mail(world, far, start, pending):
    world.store.errors["bob@example.test"] = MailError(Kind.OVER_QUOTA)
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "bob", sender=LOCAL_SENDER))
    del world.accounts.accounts["bob"]
    pass_time(world, 360)
    assert pending(spool) == []
    assert [delivery.email for delivery in world.store.calls] == ["bob@example.test", "alice@example.test"]


def test_an_attempt_that_breaks_here_is_a_deferral(world, far, start, pending):
    far.error = RuntimeError("bug")
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "far@remote.test"))
    (row,) = pending(spool)
    assert row.tries == 1
    assert "failed here" in row.status


def test_an_attempt_under_way_is_not_begun_again(world, far, start):
    far.pause = Deferred()
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "far@remote.test"))
    pass_time(world, 3 * 3600)
    assert len(far.got) == 1
    far.pause.callback(None)
    pass_time(world, 600)
    assert len(far.got) == 1


def test_one_destination_takes_only_so_many_attempts_at_a_time(world, far, start):
    spool = world.spool()
    start(spool, destination_max=2)
    far.pause = Deferred()
    for _ in range(5):
        spool.put(world.message(spool, "far@remote.test"))
    assert len(far.got) == 1, "nobody knows yet whether it answers"
    pause, far.pause = far.pause, None
    pause.callback(None)
    assert len(far.got) == 5
    far.pause = Deferred()
    for _ in range(30):
        spool.put(world.message(spool, "far@remote.test"))
    assert len(far.got) == 7
    pause, far.pause = far.pause, None
    pause.callback(None)
    assert len(far.got) == 35


def test_only_so_many_attempts_are_under_way_in_all_and_the_rest_follows(world, far, start):
    far.pause = Deferred()
    spool = world.spool()
    far.has_mx = True
    start(spool, attempts_max=4, routes=())
    for number in range(5):
        spool.put(world.message(spool, f"far@{number}.test"))
    assert len(far.got) == 3, "a part is kept for who has answered before"
    pause, far.pause = far.pause, None
    pause.callback(None)
    assert len(far.got) == 5


def test_an_outcome_that_cannot_be_recorded_is_recorded_later_and_not_sent_again(world, far, start, pending):
    disk = FaultyDisk(operations={"commit"})
    spool = world.spool(disk)
    service = start(spool)
    far.pause = Deferred()
    spool.put(world.message(spool, "far@remote.test"))
    disk.reset()
    disk.fail_at = 1
    far.pause.callback(None)
    assert spool.failing
    assert len(service._attempts) == 1
    world.reactor.advance(6)
    assert pending(spool) == []
    assert len(far.got) == 1


def test_stopping_waits_for_attempts_and_gives_up_after_a_while(world, far, start, pending):
    far.pause = Deferred()
    spool = world.spool()
    service = start(spool)
    spool.put(world.message(spool, "far@remote.test"))
    ended = []
    service.stopService().addCallback(ended.append)
    assert not ended
    world.reactor.advance(11)
    assert ended == [None]
    assert len(pending(spool)) == 1, "the next start tries it again"


def test_a_message_is_open_in_one_place_at_a_time(world, start, pending):
    class Counting(Disk):
        open_files = most = 0

        def open(self, path, *arguments):
            if "body" in path and "spool.db" not in path:
                self.open_files += 1
                self.most = max(self.most, self.open_files)
            return super().open(path, *arguments)

        def close(self, descriptor, path):
            if "body" in path and "spool.db" not in path:
                self.open_files -= 1
            super().close(descriptor, path)

    async def open_again_and_again(_destination, envelope, open_content):
        for _ in range(20):
            assert await open_content().read()
        return [DEFERRED for _ in envelope.recipients]

    disk = Counting()
    spool = world.spool(disk, inline_max_octets=10)
    service = start(spool)
    service._queues[0]._attempt = open_again_and_again
    body = spool.begin_body(1)
    body.write(b"Return-Path: <>\r\n" + b"Subject: x\r\n\r\n" + b"y" * 1000)
    content = outcome_of(body.finish())
    disk.most = 0
    spool.put(attrs.evolve(world.message(spool, "far@remote.test"), content=content))
    assert pending(spool)[0].tries == 1
    assert (disk.most, disk.open_files) == (1, 0)


def test_nothing_is_begun_once_it_stops(world, far, start, outcome, pending):
    spool = world.spool()
    service = start(spool)
    far.answers["far@remote.test"] = DEFERRED
    spool.put(world.message(spool, "far@remote.test"))
    assert len(far.got) == 1
    store = service._queues[0].store
    lease, stopped = store.lease_due, Deferred()

    async def lease_slowly(*arguments):
        found = await lease(*arguments)
        await stopped
        return found

    store.lease_due = lease_slowly
    outcome(service.change(Change.RETRY, Selection(queue_id=spool.queue_id(1))))
    ended = []
    service.stopService().addCallback(ended.append)
    assert ended == [None]
    stopped.callback(None)
    assert len(far.got) == 1
    (lease_until,) = outcome(spool.run(lambda connection: connection.execute("SELECT lease FROM recipient").fetchone()))
    assert lease_until == 0


def test_a_message_for_several_destinations_is_left_between_two_of_them(world, far, start, pending):
    far.pause = Deferred()
    spool = world.spool()
    everywhere = (ROUTE, attrs.evolve(ROUTE, domain="other.test"))
    service = start(spool, routes=everywhere)
    message = world.message(spool, "a@remote.test", "b@remote.test")
    targets = (message.targets[0], attrs.evolve(message.targets[1], sender=Address.parse("srs@example.test")))
    spool.put(attrs.evolve(message, targets=targets))
    ended = []
    service.stopService().addCallback(ended.append)
    far.pause.callback(None)
    assert ended == [None]
    assert far.recipients() == [["a@remote.test"]]
    assert [each.address for each in pending(spool)] == ["b@remote.test"]


def test_what_a_message_asks_of_tls_goes_with_each_of_its_targets(world, far, start):
    # RFC 8689 section 4.1: all instances are tagged alike
    spool = world.spool()
    start(spool)
    message = world.message(spool, "a@remote.test", "b@remote.test")
    targets = (message.targets[0], attrs.evolve(message.targets[1], sender=Address.parse("srs@example.test")))
    sender = attrs.evolve(message.sender, tls_optional=True)
    spool.put(attrs.evolve(message, targets=targets, sender=sender))
    senders = [envelope.sender for _, envelope, _ in far.got]
    assert [(str(sender.path), sender.tls_optional) for sender in senders] == [
        ("s@far.test", True),
        ("srs@example.test", True),
    ]


def test_stopping_ends_though_the_disk_fails_while_an_attempt_that_was_given_up_is_recorded(world, far, start):
    disk = FaultyDisk(operations={"commit"})
    spool = world.spool(disk)
    service = start(spool)
    far.pause = Deferred(lambda deferred: deferred.callback(None))  # what was taken is told all the same
    spool.put(world.message(spool, "far@remote.test"))
    disk.reset()
    disk.lasting, disk.fail_at = True, 1
    ended = []
    service.stopService().addCallback(ended.append)
    for _ in range(5):
        world.reactor.advance(11)
    assert ended == [None]


def test_stopping_while_nothing_happens_is_immediate(world, start):
    ended = []
    start(world.spool()).stopService().addCallback(ended.append)
    assert ended == [None]


def test_a_restart_takes_back_leases(world, far, start, pending):
    far.pause = Deferred()
    spool = world.spool()
    service = start(spool)
    spool.put(world.message(spool, "far@remote.test"))
    service._cancel_attempts()
    service.stopService()
    world.kill(spool)
    far.pause = None
    again = world.spool()
    start(again)
    assert len(far.got) == 2
    assert pending(again) == []


# what an operator does


@pytest.fixture
def held_up(world, far, start):
    far.answers["far@remote.test"] = DEFERRED
    spool = world.spool()
    service = start(spool)
    spool.put(world.message(spool, "far@remote.test", "alice", sender=LOCAL_SENDER))
    return spool, service


def test_the_queue_is_listed(world, held_up, outcome):
    spool, service = held_up
    (entry,) = outcome(service.list())
    assert entry.queue_id == spool.queue_id(1)
    assert entry.sender == LOCAL_SENDER
    assert entry.size_octets == len(b"Subject: x\r\n\r\nbody\r\n")
    (recipient,) = entry.recipients
    assert attrs.astuple(recipient) == (
        "far@remote.test",
        "waiting",
        int(world.reactor.seconds()) + 300,
        1,
        "4.2.0 later",
        "relay.test",
        int(world.reactor.seconds()),
    )
    assert outcome(service.show(entry.queue_id)) == entry


def test_retry_and_flush_try_at_once(held_up, far, outcome):
    spool, service = held_up
    outcome(service.change(Change.RETRY, Selection(queue_id=spool.queue_id(1))))
    assert len(far.got) == 2
    assert outcome(service.change(Change.RETRY, Selection())) == 1
    assert len(far.got) == 3


def test_held_mail_waits_until_it_is_released(world, held_up, far, outcome):
    spool, service = held_up
    outcome(service.change(Change.HOLD, Selection(queue_id=spool.queue_id(1))))
    assert outcome(service.list())[0].recipients[0].state == "held"
    pass_time(world, 7200)
    assert outcome(service.change(Change.RETRY, Selection())) == 0
    assert outcome(service.change(Change.RETRY, Selection(queue_id=spool.queue_id(1)))).kind is Kind.CONFLICT
    assert len(far.got) == 1
    outcome(service.change(Change.RELEASE, Selection(queue_id=spool.queue_id(1))))
    assert len(far.got) == 2


def test_mail_that_was_held_when_its_attempt_had_just_begun_is_tried_as_soon_as_it_is_released(held_up, far, outcome):
    spool, service = held_up
    named = Selection(queue_id=spool.queue_id(1))
    store = service._queues[0].store
    lease = store.lease_due

    async def lease_late(*arguments):
        found = await lease(*arguments)
        await store.change(Change.HOLD, named, 0)
        return found

    store.lease_due = lease_late
    outcome(service.change(Change.RETRY, named))
    assert outcome(service.list())[0].recipients[0].state == "held"
    assert len(far.got) == 1
    store.lease_due = lease
    outcome(service.change(Change.RELEASE, named))
    assert len(far.got) == 2


def test_removed_mail_is_gone_and_nobody_is_told(world, held_up, far, outcome):
    spool, service = held_up
    outcome(service.change(Change.REMOVE, Selection(queue_id=spool.queue_id(1))))
    assert outcome(service.list()) == []
    assert outcome(service.change(Change.REMOVE, Selection(queue_id=spool.queue_id(1)))).kind is Kind.NOT_FOUND
    pass_time(world, 6 * 86400, step=3600)
    assert len(far.got) == 1
    assert len(world.store.of("alice@example.test")) == 1, "its own copy and no report"


def test_mail_removed_while_it_is_tried_stays_removed(world, far, start, outcome):
    far.pause = Deferred()
    far.answers["far@remote.test"] = DEFERRED
    spool = world.spool()
    service = start(spool)
    spool.put(world.message(spool, "far@remote.test"))
    outcome(service.change(Change.REMOVE, Selection(queue_id=spool.queue_id(1))))
    far.pause.callback(None)
    assert outcome(service.list()) == []


def test_the_same_from_another_process(world, held_up, far, outcome):
    spool, service = held_up
    queue_id = spool.queue_id(1)
    with QueueFile(world.folder) as queue:
        assert list(queue.list()) == outcome(service.list())
        assert queue.show(queue_id).queue_id == queue_id
        queue.change(Change.HOLD, Selection(queue_id=queue_id), world.reactor.seconds())
        with pytest.raises(MailError):
            queue.change(Change.RETRY, Selection(queue_id=queue_id), world.reactor.seconds())
        queue.change(Change.RELEASE, Selection(queue_id=queue_id), world.reactor.seconds())
        queue.change(Change.RETRY, Selection(queue_id=queue_id), world.reactor.seconds())
        world.reactor.advance(2)
        assert len(far.got) == 2, "the server notices when it looks the next time"
        assert queue.change(Change.RETRY, Selection(), world.reactor.seconds()) == 1
        queue.change(Change.REMOVE, Selection(queue_id=queue_id), world.reactor.seconds())
        assert list(queue.list()) == []
        with pytest.raises(MailError) as caught:
            queue.show(queue_id)
        assert caught.value.kind is Kind.NOT_FOUND
    spool._sweeper._looked -= 10
    spool.sweep()
    spool.sweep()
    connection = sqlite3.connect(f"{world.folder}/spool.db")
    assert connection.execute("SELECT count(*) FROM message").fetchone() == (0,)
    connection.close()


def test_a_folder_without_spool_has_no_queue(tmp_path):
    with pytest.raises(MailError):
        QueueFile(str(tmp_path))


def test_a_domains_own_route_comes_before_the_one_for_all():
    everywhere = RouteSettings(domain="*", host="smarthost.test")
    assert find_route((everywhere, ROUTE), "remote.test") is ROUTE
    assert find_route((everywhere, ROUTE), "other.test") is everywhere
    assert find_route((ROUTE,), "other.test") is None


def test_an_alias_as_the_sender_gets_the_report_too(world, far, start):
    far.answers["bad@remote.test"] = FAILED
    world.accounts.aliases["team@example.test"] = Resolution(
        kind=ResolutionKind.LOCAL,
        accounts=((world.accounts.accounts["bob"], ""),),
        remote=(Address("x", "remote.test"),),
    )
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "bad@remote.test", sender="team@example.test"))
    assert len(world.store.of("bob@example.test")) == 1
    assert far.recipients() == [["bad@remote.test"], ["x@remote.test"]]


def test_a_message_that_cannot_be_read_back_waits_visibly_and_stops_nobody(world, far, start, outcome, pending):
    far.answers["far@remote.test"] = DEFERRED
    spool = world.spool()
    service = start(spool)
    spool.put(world.message(spool, "far@remote.test"))
    outcome(spool.run(lambda c: c.execute("UPDATE message SET envelope = '{'")))
    far.answers.clear()
    spool.put(world.message(spool, "near@remote.test"))
    outcome(service.change(Change.RETRY, Selection()))
    (row,) = pending(spool)
    assert "cannot be read" in row.status
    assert far.recipients() == [["far@remote.test"], ["near@remote.test"]]
    assert outcome(service.list())[0].sender == ""
    outcome(service.change(Change.REMOVE, Selection(queue_id=spool.queue_id(1))))
    assert pending(spool) == []


def test_a_message_that_cannot_be_loaded_now_is_tried_when_its_lease_ends(world, far, start, pending):
    disk = FaultyDisk(operations={"commit"})
    spool = world.spool(disk)
    spool.put(world.message(spool, "far@remote.test"))
    disk.reset()
    disk.fail_at = 2  # the lease is the first commit
    start(spool)
    assert not far.got
    spool.sweep()
    pass_time(world, 1000)
    assert len(far.got) == 1
    assert pending(spool) == []


def test_a_report_comes_without_the_header_when_that_cannot_be_read(world, far, start):
    far.answers["bad@remote.test"] = FAILED
    spool = world.spool(FaultyDisk(operations={"read"}, fail_at=2), inline_max_octets=10)
    start(spool)
    body = spool.begin_body(message_id := spool.take_id())
    body.write(b"Return-Path: <>\r\nSubject: quoted\r\n\r\nbody\r\n")
    results = []
    Deferred.fromCoroutine(body.finish()).addCallback(results.append)
    message = world.message(spool, "bad@remote.test", sender=LOCAL_SENDER)
    spool.put(attrs.evolve(message, message_id=message_id, content=results[0]))
    (content,) = world.store.of("alice@example.test")
    assert b"Final-Recipient: rfc822; bad@remote.test" in content
    assert b"quoted" not in content


def test_a_directory_that_does_not_answer_defers_local_mail(world, start, pending):
    world.store.errors["bob@example.test"] = MailError(Kind.OVER_QUOTA)
    spool = world.spool()
    start(spool)
    spool.put(world.message(spool, "bob"))
    world.store.errors.clear()

    def find(email):
        raise MailError(Kind.UNAVAILABLE, "the directory does not answer")

    world.accounts.find = find
    pass_time(world, 360)
    (row,) = pending(spool)
    assert row.status.endswith("the directory does not answer")
    assert row.tries == 2
