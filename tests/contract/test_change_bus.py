"""What every change bus promises: each listener of an account hears of its changes, wherever they were published."""

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mailsuite.interfaces import ANY_MAILBOX, IChangeBus, MailboxChange
from mailsuite.service.bus import Relay, WorkerBus
from mailsuite.service.link import Link
from mailsuite.store import ChangeBus

CHANGE = MailboxChange(7, 3, 41)


@attrs.define
class Ends:
    """Two ends of a link: what one writes, the other reads when `carry` is called."""

    one: Link = attrs.field(factory=lambda: Link({}, {}))
    other: Link = attrs.field(factory=lambda: Link({}, {}))

    def __attrs_post_init__(self):
        for link in (self.one, self.other):
            link.makeConnection(StringTransport())

    def carry(self):
        moved = False
        for source, target in ((self.one, self.other), (self.other, self.one)):
            octets = source.transport.value()
            source.transport.clear()
            if octets:
                moved = True
                target.dataReceived(octets)
        return moved


class OneProcess:
    """The bus within a process: both ends are the same."""

    def __init__(self):
        self.here = self.there = ChangeBus()

    def pump(self):
        pass


class Workers:
    """The buses of two workers, and the parent between them."""

    def __init__(self):
        self.clock = Clock()
        self.relay = Relay(self.clock)
        self.ends = [Ends(), Ends()]
        self.here, self.there = (WorkerBus(ends.one, self.clock) for ends in self.ends)
        self.leave = [self.relay.join(ends.other) for ends in self.ends]

    def pump(self):
        for _ in range(5):
            self.clock.advance(0)
            for ends in self.ends:
                ends.carry()


@pytest.fixture(params=[OneProcess, Workers], ids=["one process", "workers"])
def buses(request):
    return request.param()


def test_a_change_is_heard_on_both_sides_once(buses):
    here, there = [], []
    buses.here.subscribe(7, here.append)
    buses.there.subscribe(7, there.append)
    buses.here.publish(CHANGE)
    buses.pump()
    assert here == there == [CHANGE]


def test_it_provides_the_interface(buses):
    assert IChangeBus.providedBy(buses.here)


def test_other_accounts_hear_nothing(buses):
    heard = []
    buses.there.subscribe(8, heard.append)
    buses.here.publish(CHANGE)
    buses.pump()
    assert heard == []


def test_who_has_cancelled_hears_nothing_and_may_cancel_twice(buses):
    heard, others = [], []
    subscription = buses.there.subscribe(7, heard.append)
    buses.there.subscribe(7, others.append)
    subscription.cancel()
    subscription.cancel()
    buses.here.publish(CHANGE)
    buses.pump()
    assert (heard, others) == ([], [CHANGE])


def test_a_listener_that_fails_harms_no_other(buses):
    heard = []
    buses.there.subscribe(7, lambda change: 1 / 0)
    buses.there.subscribe(7, heard.append)
    buses.here.publish(CHANGE)
    buses.pump()
    assert heard == [CHANGE]


def test_who_subscribes_while_a_change_is_told_hears_the_next_one(buses):
    heard = []
    buses.there.subscribe(7, lambda change: buses.there.subscribe(7, heard.append))
    buses.here.publish(CHANGE)
    buses.pump()
    first = len(heard)
    buses.here.publish(MailboxChange(7, 3, 42))
    buses.pump()
    assert len(heard) > first


def test_the_newest_of_many_changes_of_a_mailbox_is_heard(buses):
    heard = []
    buses.there.subscribe(7, heard.append)
    for modseq in (50, 52, 51):
        buses.here.publish(MailboxChange(7, 3, modseq))
    buses.here.publish(MailboxChange(7, 0, 0))
    buses.pump()
    assert max(change.modseq for change in heard if change.mailbox_id == 3) == 52
    assert MailboxChange(7, 0, 0) in heard


def test_changes_that_are_not_read_become_a_gap_when_they_are():
    buses = Workers()
    heard = []
    buses.there.subscribe(7, heard.append)
    parents_end = buses.ends[1].other
    parents_end.pauseProducing()
    for modseq in range(100):
        buses.here.publish(MailboxChange(7, 3, modseq))
        buses.pump()
    assert heard == []
    parents_end.resumeProducing()
    buses.pump()
    assert heard == [MailboxChange(7, ANY_MAILBOX, 0)]
    buses.here.publish(CHANGE)
    buses.pump()
    assert heard[1:] == [CHANGE]


def test_a_gap_on_the_way_to_the_parent_reaches_the_other_workers():
    buses = Workers()
    here, there = [], []
    buses.here.subscribe(7, here.append)
    buses.there.subscribe(7, there.append)
    own_end = buses.ends[0].one
    own_end.pauseProducing()
    buses.here.publish(CHANGE)
    buses.pump()
    own_end.resumeProducing()
    buses.pump()
    assert here == [CHANGE]
    assert there == [MailboxChange(7, ANY_MAILBOX, 0)]


def test_a_worker_that_is_gone_is_told_nothing():
    buses = Workers()
    buses.leave[1]()
    buses.here.publish(CHANGE)
    buses.pump()
    assert buses.ends[1].other.transport.value() == b""


def test_what_a_worker_did_just_before_its_end_is_looked_for():
    buses = Workers()
    heard = []
    buses.there.subscribe(7, heard.append)
    buses.here.publish(CHANGE)  # and the worker is gone before the reactor's next turn
    buses.leave[0]()
    buses.ends[1].carry()
    assert heard == [MailboxChange(7, ANY_MAILBOX, 0)]
