"""
The spool: what was accepted is durable here before its sender is told so, and stays until nobody needs it.

Threads: the reactor; the file lane for large bodies; the writer, which commits in groups and hands local mail to the
store; the sweeper. What they share is named in each module. The spool's folder holds ``spool.db`` and ``body/``.
"""

import functools
import os
import sqlite3
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailsuite.durable import Database, Disk, GroupThread, InlineGroup, InlineLane, Lane, migrate
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IDeliveryStore, LocalOutcome, Receipt
from mailsuite.mta import queue_statements, statements
from mailsuite.mta.body import SpoolBody
from mailsuite.mta.content import SpoolMessage
from mailsuite.mta.local import FailedDelivery, LocalAgent, is_temporary
from mailsuite.mta.replay import Replay
from mailsuite.mta.retry import RetryPlan
from mailsuite.mta.settings import SpoolSettings
from mailsuite.mta.share import ID_STEP, Share
from mailsuite.mta.sweeper import Sweeper
from mailsuite.mta.writer import Write, Writer, body_path, open_database
from mailsuite.observe import EventLog

DATABASE_NAME = "spool.db"
BODY_FOLDER = "body"
STOP_POLL_SECONDS = 0.02
QUEUE_ID_SPOOL_DIGITS = 6
SHUTTING_DOWN = "shutting down, try again soon"

T = TypeVar("T")


def format_queue_id(spool: uuid.UUID, message_id: int) -> str:
    """Name a message in logs and commands: some digits of the spool, and its number in it."""
    return f"{_spool_digits(spool)}-{message_id:X}"


@functools.lru_cache(maxsize=16)
def _spool_digits(spool: uuid.UUID) -> str:
    return spool.hex[:QUEUE_ID_SPOOL_DIGITS].upper()


def parse_queue_id(spool: uuid.UUID, queue_id: str) -> int:
    """
    Read what `format_queue_id` wrote.

    Raises:
        MailError: NOT_FOUND when it names no message of this spool.
    """
    try:
        message_id = int(queue_id.strip().rpartition("-")[2], 16)
    except ValueError:
        message_id = 0
    if message_id <= 0 or not is_of_spool(spool, queue_id):
        raise MailError(Kind.NOT_FOUND, "there is no such message in the queue")
    return message_id


def is_of_spool(spool: uuid.UUID, queue_id: str) -> bool:
    """Whether a queue id may name a message of this spool."""
    return queue_id.strip().rpartition("-")[0].upper() == _spool_digits(spool)


class Spool:
    """
    The durable spool of one process, or what is one process's of it.

    `start` and `stop` block. Everything else is called in the reactor.

    Args:
        folder: is made when it is not there; on the same file system as the store, a large body is delivered by a link.
        store: where local mail goes; stopped after the spool.
        share: what of the work on the spool is ours.
        group_thread: `mailsuite.durable.GroupThread`, or in tests `InlineGroup`.
        file_lane: started and stopped by the spool; None makes one.
        sweeper_thread: False leaves `sweep` to the caller.
        clock: seconds since the epoch.

    Attributes:
        on_queued: called in the reactor when something for the queue was added; set by the queue.
        retry: when what a mailbox could not take is tried again; set by the queue.
        last_id: the highest number that a message had before the start.
    """

    def __init__(
        self,
        folder: str,
        *,
        disk: Disk,
        store: IDeliveryStore,
        reactor: IReactorFromThreads,
        settings: SpoolSettings | None = None,
        share: Share = Share.WHOLE,
        group_thread: type[GroupThread[Write] | InlineGroup[Write]] = GroupThread,
        file_lane: Lane | InlineLane | None = None,
        sweeper_thread: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.settings = settings or SpoolSettings()
        self.bodies = os.path.join(folder, BODY_FOLDER)
        self.disk = disk
        self.lane = file_lane or Lane("spool-files", reactor)
        self.uuid = uuid.UUID(int=0)
        self.on_queued: Callable[[], None] = _nothing
        self._share = share
        self._store = store
        self._reactor = reactor
        self.retry = RetryPlan()
        self._group_thread = group_thread
        self._sweeper_thread = sweeper_thread
        self._clock = clock
        self._log = EventLog(Logger("mailsuite.mta.spool"))
        self.last_id = 0
        self._next_id = 1
        self._coming = 0
        self._held_octets = 0
        self._free_octets = 0
        self._accepting = False
        self._stopped = False
        self._unrecorded: deque[Sequence[FailedDelivery]] = deque()

    # beginning and end

    def start(self) -> None:
        """
        Open the spool, remove what unfinished receptions left, start the threads.

        Raises:
            OSError, sqlite3.Error: it cannot be used.
        """
        self.disk.make_folders(self.bodies)
        database = open_database(os.path.join(self.folder, DATABASE_NAME), self.disk)
        try:
            last = self._open(database)
        except BaseException:
            database.close()
            raise
        self._agent = LocalAgent(
            self.uuid.hex,
            self._store,
            defer=self._defer,
            fire=self._reactor.callFromThread,
            tell=self._tell_delivered,
        )
        self._writer = Writer(
            database,
            self.bodies,
            disk=self.disk,
            reactor=self._reactor,
            log=self._log,
            deliver=self._agent.deliver,
        )
        self._group = self._group_thread(
            "spool-writer",
            self._writer.work,
            expects=lambda: self._coming > 0,
            gather_seconds=self.settings.gather_seconds,
            stop=self._writer.close,
        )
        replay = Replay(
            last,
            self.bodies,
            parity=self._share.parity,
            agent=self._agent,
            store=self._store,
            backlog_max=self.settings.backlog_max // 2,
            put=self._group.put,
            reactor=self._reactor,
            log=self._log,
        )
        self._sweeper = Sweeper(
            agent=self._agent,
            store=self._store,
            writer=self._writer,
            replay=replay,
            parity=self._share.parity,
            put=self._group.put,
            unlink=self._unlink,
            prepare=self._prepare_sweep,
            reactor=self._reactor,
            settings=self.settings,
            log=self._log,
            clock=time.monotonic,
        )
        self._prepare_sweep()
        self.lane.start()
        self._group.start()
        self._accepting = True
        if self._sweeper_thread:
            self._sweeper.start()
        self._log.emit("spool.service.started", spool=self.uuid.hex, last=last)

    def _open(self, database: Database) -> int:
        migrate(database, "mailsuite.mta")
        with database.writing() as connection:
            self.uuid = statements.spool_uuid(connection)
            if self._share.leases:
                queue_statements.forget_leases(connection)
            last = statements.last_id(connection)
            wanted = statements.body_files(connection)
        self.last_id = last
        self._next_id = self._share.first_id(last)
        orphans = []
        if self._share.receives:
            orphans = [name for name in self.disk.listdir(self.bodies) if name not in wanted]
        for name in orphans:
            self.disk.remove(os.path.join(self.bodies, name))
        if orphans:
            self._log.emit("spool.orphans.removed", count=len(orphans))
        return last

    def stop(self) -> None:
        """Take no more, finish what was taken, stop the threads. Blocks: call it in a thread."""
        self._accepting = False
        deadline = time.monotonic() + self.settings.stop_seconds
        while self._group.backlog() + self._agent.under_way() and time.monotonic() < deadline:
            time.sleep(STOP_POLL_SECONDS)
        self._sweeper.stop()
        self._stopped = True
        self._group.stop()
        self.lane.stop()

    def sweep(self) -> bool:
        """Do one round of the sweeper; for who runs without its thread. Blocks."""
        return self._sweeper.sweep()

    # taking mail

    @property
    def failing(self) -> bool:
        """Whether the last commit failed: nothing is accepted until one succeeds."""
        return self._writer.failing

    @property
    def held_octets(self) -> int:
        """Octets of messages being received that lie in memory."""
        return self._held_octets

    @property
    def busy(self) -> bool:
        """Whether more mail is on its way through than may be; it passes by itself."""
        settings = self.settings
        return self._held_octets >= settings.memory_max_octets or self._store.backlog() >= settings.backlog_max

    def ensure_room(self, room_octets: int) -> None:
        """
        Say whether a message can be taken now.

        Args:
            room_octets: what must be free on the disk.

        Raises:
            MailError: UNAVAILABLE, with the reason.
        """
        if not self._accepting:
            raise MailError(Kind.UNAVAILABLE, SHUTTING_DOWN)
        if self._writer.failing:
            raise MailError(Kind.UNAVAILABLE, "mail cannot be stored at the moment; try again later")
        if self._free_octets < room_octets:
            raise MailError(Kind.UNAVAILABLE, "not enough room; try again later")
        if self.busy:
            raise MailError(Kind.UNAVAILABLE, "too much mail at once; try again later")

    def take_id(self) -> int:
        """Give a number that no message has had."""
        message_id = self._next_id
        self._next_id += ID_STEP
        return message_id

    def queue_id(self, message_id: int) -> str:
        """Name a message in logs and commands."""
        return format_queue_id(self.uuid, message_id)

    def begin_body(self, message_id: int) -> SpoolBody:
        """Begin to collect a message's octets."""
        self._coming += 1
        return SpoolBody(
            body_path(self.bodies, message_id),
            disk=self.disk,
            lane=self.lane,
            inline_max_octets=self.settings.inline_max_octets,
            hold=self.hold,
            ended=self._body_ended,
        )

    def put(self, message: SpoolMessage) -> Deferred[Receipt]:
        """
        Make a message durable, and deliver it.

        Returns:
            Fires when it is durable; fails with MailError UNAVAILABLE when nothing of it was kept.
        """
        deferred: Deferred[Receipt] = Deferred()
        self._write(Write(messages=(message,), result=Receipt(self.queue_id(message.message_id)), deferred=deferred))
        if not all(message.at_once(n) for n in range(len(message.targets))):
            return deferred.addCallback(self._queued)
        return deferred

    # for the queue

    def run(self, change: Callable[[sqlite3.Connection], T], *, messages: Sequence[SpoolMessage] = ()) -> "Deferred[T]":
        """
        Run a function in a transaction of the writer, which adds `messages` as well.

        Returns:
            Fires with what it gave, when that is durable; what it raised undid it and is the failure.
        """
        deferred: Deferred[T] = Deferred()
        self._write(Write(change=change, messages=messages, deferred=deferred))
        return deferred

    def forget_finished(self) -> None:
        """The queue has finished recipients: messages that nobody needs any more may go."""
        self._sweeper.look_for_finished()

    def deliver_again(self, message: SpoolMessage, n: int) -> "Deferred[LocalOutcome]":
        """Deliver to one local target once more; fires when that failed, or succeeded and was synced."""
        return self._agent.deliver_again(message, n)

    def _write(self, write: Write) -> None:
        if self._stopped:
            assert write.deferred is not None  # who writes from the reactor waits for it
            write.deferred.errback(MailError(Kind.UNAVAILABLE, SHUTTING_DOWN))
        else:
            self._group.put(write)

    def _queued(self, receipt: Receipt) -> Receipt:
        self.on_queued()
        return receipt

    # in other threads

    def _defer(self, failed: Sequence[FailedDelivery]) -> None:
        now = self._clock()

        def record(connection: sqlite3.Connection) -> None:
            for delivery in failed:
                temporary = is_temporary(delivery.error)
                again = now + self.retry.delay_seconds(1) if temporary else now
                statements.defer_local(
                    connection,
                    delivery.message_id,
                    delivery.n,
                    delivery.address,
                    sender=delivery.sender,
                    next_try=int(again),
                    now=int(now),
                    status=_words(delivery.error),
                )

        def recorded(result: Any) -> None:
            if isinstance(result, Failure):
                self._unrecorded.append(failed)
                return
            self._agent.recorded(failed)
            self._reactor.callFromThread(self._tell_deferred, failed)

        self._group.put(Write(change=record, done=recorded))

    def _tell_delivered(self, message_id: int, address: str, email: str, mailbox: str) -> None:
        self._log.emit(
            "spool.delivery.completed",
            queue_id=self.queue_id(message_id),
            recipient=address,
            account=email,
            mailbox=mailbox or "a mailbox",
        )

    def _prepare_sweep(self) -> None:
        try:
            self._free_octets = self.disk.free_octets(self.folder)
        except OSError:
            self._free_octets = 0
        for _ in range(len(self._unrecorded)):  # the writer's thread adds to it meanwhile
            self._defer(self._unrecorded.popleft())

    def _unlink(self, names: Sequence[str]) -> None:
        self.lane.post(self._remove_bodies, names)

    def _remove_bodies(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                self.disk.remove(os.path.join(self.bodies, name))
            except OSError:
                self._reactor.callFromThread(self._tell_abandoned, name)

    # told in the reactor

    def _tell_deferred(self, failed: Sequence[FailedDelivery]) -> None:
        for delivery in failed:
            self._log.emit(
                "spool.delivery.deferred",
                queue_id=self.queue_id(delivery.message_id),
                recipient=delivery.address,
                reason=_words(delivery.error),
            )
        self.on_queued()

    def _tell_abandoned(self, name: str) -> None:
        self._log.emit("spool.body.abandoned", name=name)

    def _body_ended(self) -> None:
        self._coming -= 1

    def hold(self, octets: int) -> None:
        """Count octets of messages being received that lie in memory, or no longer do when negative."""
        self._held_octets += octets


def forget_if_empty(folder: str, disk: Disk) -> bool:
    """
    Remove a spool that nobody uses any more and in which nothing is; say whether it is gone. Blocks.

    Raises:
        OSError, sqlite3.Error: it cannot be looked at.
    """
    path = os.path.join(folder, DATABASE_NAME)
    bodies = os.path.join(folder, BODY_FOLDER)
    if os.path.exists(path):
        database = open_database(path, disk)
        try:
            migrate(database, "mailsuite.mta")
            if statements.holds_messages(database.connection):
                return False
        finally:
            database.close()
    if os.path.isdir(bodies):
        for name in disk.listdir(bodies):
            disk.remove(os.path.join(bodies, name))
        disk.rmdir(bodies)
    for ending in ("", "-wal", "-shm"):
        disk.remove(path + ending)
    disk.rmdir(folder)
    return True


def _words(error: Exception) -> str:
    """Describe a failed delivery for the queue's list; of what nobody foresaw, only its class."""
    if isinstance(error, MailError):
        return str(error)
    return f"temporary failure of the mailbox ({type(error).__name__})"


def _nothing() -> None:
    return None
