"""A queue's store that is nothing but a list, as every other store must be like; and both behind the same calls."""

import itertools
import shutil
import tempfile
import uuid

import attrs
from store_at_once import ReactorAtOnce
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.durable import Disk, InlineGroup, InlineLane
from mailsuite.envelope import Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IDeliveryStore
from mailsuite.mta import Spool, SpoolMessage, SpoolSettings, Target
from mailsuite.mta.queue_store import (
    HERE,
    NOW,
    STATE_NAMES,
    Change,
    Counts,
    DomainCount,
    Fresh,
    IQueueStore,
    Leased,
    Loaded,
    Notice,
    Pending,
    QueueEntry,
    QueueRecipient,
    State,
)
from mailsuite.mta.share import ID_STEP
from mailsuite.mta.spool import format_queue_id, parse_queue_id
from mailsuite.mta.spool_queue import SpoolQueue

START = 1_700_000_000
CONTENT = b"Return-Path: <>\r\nSubject: x\r\n\r\nbody\r\n"


@attrs.define
class Row:
    """One recipient."""

    pending: Pending
    sender: str
    lease: int = 0

    @property
    def place(self):
        return self.pending.message_id, self.pending.n


@implementer(IQueueStore)
class MemoryQueue:
    """Keeps everything in a list, and looks through all of it every time."""

    def __init__(self):
        self.uuid = uuid.UUID(int=7 << 100)
        self.messages = {}
        self.rows = []
        self.numbers = itertools.count(1, ID_STEP)

    def take_id(self):
        return next(self.numbers)

    def put(self, message):
        self.messages[message.message_id] = message
        path = message.sender.path
        for n, target in enumerate(message.targets):
            if not message.at_once(n):
                pending = Pending(
                    message.message_id,
                    n,
                    str(target.address),
                    target.address.domain if target.is_remote else HERE,
                    State.WAITING,
                    message.born,
                    message.born,
                    0,
                    "its sender wants it to leave then" if message.waits else "",
                    "",
                    0,
                    Notice.NOBODY if path is None else Notice.NONE,
                )
                self.rows.append(Row(pending, "" if path is None else str(path)))

    def _free(self, now):
        return [row for row in self.rows if row.pending.state is State.WAITING and row.lease <= now]

    def _lease(self, rows, until):
        for row in rows:
            row.lease = until
        return [row.pending for row in rows]

    async def lease_due(self, now, until, quota, after):
        pendings = []
        waiting = {row.pending.domain for row in self.rows if row.pending.state is State.WAITING}
        for domain in sorted(waiting):
            if domain <= after and after:
                continue
            earliest = min(
                row.pending.next
                for row in self.rows
                if row.pending.domain == domain and row.pending.state is State.WAITING
            )
            if earliest > now:
                continue
            room = quota.room(domain, urgent=earliest == NOW)
            if room:
                before = now if quota.room(domain, urgent=False) else NOW
                due = [row for row in self._free(now) if row.pending.domain == domain and row.pending.next <= before]
                due.sort(key=lambda row: (row.pending.next, *row.place))
                wanted = list(dict.fromkeys(row.pending.message_id for row in due))
                left_out = [n for n, row in enumerate(due) if row.pending.message_id in wanted[room:]]
                taken = due[: min(left_out, default=None)]
                quota.take(domain, len({row.pending.message_id for row in taken}))
                pendings += self._lease(taken, until)
            if quota.is_exhausted():
                return Leased(pendings=pendings, after=domain or " ")
        return Leased(pendings=pendings, after=None)

    async def lease_fresh(self, now, until, quota, after):
        last = max((row.pending.message_id for row in self.rows), default=0)
        due = [row for row in self._free(now) if row.pending.message_id > after and row.pending.next <= now]
        due.sort(key=lambda row: row.place)
        taken = []
        for _, group in itertools.groupby(due, key=lambda row: (row.pending.message_id, row.pending.domain)):
            rows = list(group)
            if quota.room(rows[0].pending.domain, urgent=False):
                quota.take(rows[0].pending.domain, 1)
                taken += self._lease(rows, until)
            if quota.is_exhausted():
                break
        return Fresh(taken, max(last, after))

    async def lease_late(self, now, until, late, limit):
        def is_late(row):
            pending = row.pending
            idle = 0 < pending.next <= late.idle
            match pending.notice:
                case Notice.NONE:
                    return pending.born <= late.warn or (pending.born <= late.expire and idle)
                case Notice.DELAY:
                    return pending.born <= late.expire and idle
                case Notice.NOBODY:
                    return pending.born <= late.expire_null and idle
            return False

        rows = sorted(filter(is_late, self._free(now)), key=lambda row: (row.pending.born, *row.place))
        return self._lease(rows[:limit], until)

    async def load(self, message_id, places):
        if message_id not in self.messages:
            raise MailError(Kind.NOT_FOUND)
        waiting = {
            row.pending.n
            for row in self.rows
            if row.pending.message_id == message_id and row.pending.state is State.WAITING
        }
        return Loaded(self.messages[message_id], frozenset(places) & waiting)

    async def record(self, records, reports):
        for record in records:
            for row in self.rows:
                if row.place == (record.message_id, record.n) and row.pending.state is not State.FINISHED:
                    old = row.pending
                    tried = record.tried is not None
                    row.lease = 0
                    row.pending = attrs.evolve(
                        old,
                        state=State.FINISHED if record.finished else old.state,
                        next=old.next if record.next is None else record.next,
                        status=record.status,
                        host=record.host if tried else old.host,
                        tries=old.tries + tried,
                        tried=record.tried if tried else old.tried,
                        notice=old.notice if record.notice is None else record.notice,
                    )
        for report in reports:
            self.put(report)

    async def give_back(self, pendings):
        places = {(pending.message_id, pending.n) for pending in pendings}
        self._lease([row for row in self.rows if row.place in places], 0)

    def _selected(self, selection):
        rows = [row for row in self.rows if row.pending.state is not State.FINISHED]
        if selection.queue_id:
            message_id = parse_queue_id(self.uuid, selection.queue_id)
            rows = [row for row in rows if row.pending.message_id == message_id]
            if not rows:
                raise MailError(Kind.NOT_FOUND)
        if selection.domain:
            rows = [row for row in rows if row.pending.address.rpartition("@")[2] == selection.domain]
        if selection.sender:
            sender = "" if selection.sender == "<>" else selection.sender
            rows = [row for row in rows if row.sender.lower() == sender.lower()]
        if selection.state is not None:
            rows = [row for row in rows if row.pending.state is selection.state]
        return sorted(rows, key=lambda row: row.place)

    async def list_entries(self, selection, after, limit):
        last = parse_queue_id(self.uuid, after) if after else 0
        grouped = itertools.groupby(self._selected(selection), key=lambda row: row.pending.message_id)
        entries = [self._entry(number, [*rows]) for number, rows in grouped if number > last]
        return entries[:limit]

    def _entry(self, message_id, rows):
        message = self.messages[message_id]
        return QueueEntry(
            queue_id=format_queue_id(self.uuid, message_id),
            sender=rows[0].sender,
            received=message.received,
            size_octets=message.size_octets - message.trace_octets,
            recipients=tuple(
                QueueRecipient(
                    row.pending.address,
                    STATE_NAMES[row.pending.state],
                    row.pending.next,
                    row.pending.tries,
                    row.pending.status,
                    row.pending.host,
                    row.pending.tried,
                )
                for row in rows
            ),
        )

    async def change(self, change, selection, now):
        rows = self._selected(selection)
        waiting = [row for row in rows if row.pending.state is State.WAITING]
        match change:
            case Change.RETRY if selection.queue_id:
                if not waiting:
                    raise MailError(Kind.CONFLICT)
                rows = [row for row in waiting if row.pending.next != NOW]
                changes = {"next": NOW}
            case Change.RETRY:
                rows = [row for row in waiting if row.pending.next > now and row.pending.born <= now]
                changes = {"next": now}
            case Change.HOLD:
                rows, changes = waiting, {"state": State.HELD}
            case Change.RELEASE:
                rows = [row for row in rows if row.pending.state is State.HELD]
                changes = {"state": State.WAITING}
            case Change.REMOVE:
                changes = {"state": State.FINISHED}
        for row in rows:
            row.pending = attrs.evolve(row.pending, **changes)
            if change is Change.RELEASE:
                row.pending = attrs.evolve(row.pending, next=max(now, row.pending.born))
        return len(rows)

    async def count(self, selection):
        rows = self._selected(selection)
        return Counts(messages=len({row.pending.message_id for row in rows}), recipients=len(rows))

    async def count_domains(self):
        counts = []
        rows = [row.pending for row in self.rows if row.pending.state is not State.FINISHED]
        for domain in {row.domain for row in rows}:
            here = [row for row in rows if row.domain == domain]
            waiting = [row for row in here if row.state is State.WAITING]
            counts.append(
                DomainCount(
                    domain=domain,
                    waiting=len(waiting),
                    held=len(here) - len(waiting),
                    oldest=min(row.born for row in here),
                    next_attempt=min((row.next for row in waiting), default=0),
                    status=max(row.status for row in here),
                )
            )
        return sorted(counts, key=lambda count: (-count.waiting - count.held, count.domain))


@implementer(IDeliveryStore)
class NoStore:
    def deliver(self, deliveries, report):
        raise AssertionError("nothing here is delivered at once")

    def sync(self):
        pass

    def backlog(self):
        return 0


class Kept:
    """One store to be tested."""

    def __init__(self, kind):
        self.kind = kind
        self.folder = tempfile.mkdtemp()
        self.spool = None
        if kind == "memory":
            self.store = self.keeper = MemoryQueue()
        else:
            self._open()

    def _open(self):
        reactor = ReactorAtOnce()
        reactor.advance(START)
        self.spool = self.keeper = Spool(
            self.folder,
            disk=Disk(),
            store=NoStore(),
            reactor=reactor,
            settings=SpoolSettings(stop_seconds=0),
            group_thread=InlineGroup,
            file_lane=InlineLane(),
            sweeper_thread=False,
            clock=reactor.seconds,
        )
        self.spool.start()
        self.store = SpoolQueue(self.spool)

    def reopen(self):
        """As after the end of the process: whoever had leased something is gone."""
        if self.spool is not None:
            self.spool._writer.close()
            self._open()
        else:
            for row in self.store.rows:
                row.lease = 0

    def message(self, *addresses, sender="s@far.test", received=START, release=0):
        return SpoolMessage(
            message_id=self.keeper.take_id(),
            received=received,
            sender=Sender(path=Address.parse(sender) if sender else None, release=release),
            targets=tuple(self._target(address) for address in addresses),
            content=CONTENT,
            trace_octets=17,
        )

    def _target(self, text):
        address = Address.parse(text)
        if address.domain != "here.test":
            return Target(address=address)
        return Target(address=address, account_id=1, email=text, notify="SUCCESS")

    def put(self, *addresses, **fields):
        message = self.message(*addresses, **fields)
        self.keeper.put(message)
        return message.message_id

    def name(self, message_id):
        return format_queue_id(self.keeper.uuid, message_id)

    def close(self):
        if self.spool is not None:
            self.spool._writer.close()
        shutil.rmtree(self.folder)


class Allowance:
    """So many messages for each destination, and so many in all."""

    def __init__(self, each=100, total=1000, closed=()):
        self.each = each
        self.total = total
        self.closed = closed
        self.taken = {}

    def is_exhausted(self):
        return sum(self.taken.values()) >= self.total

    def room(self, domain, *, urgent):
        if domain in self.closed:
            return 1 if urgent else 0
        left = self.total - sum(self.taken.values())
        return max(0, min(self.each - self.taken.get(domain, 0), left))

    def take(self, domain, messages):
        self.taken[domain] = self.taken.get(domain, 0) + messages
