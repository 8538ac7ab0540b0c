"""
The writer of the trace.

Who logs an event only appends it to a list in memory; a thread writes what came within half a second in one
transaction. When the disk takes nothing, a limited number of events waits, and what comes beyond that is counted and
dropped: no message ever waits for its trace.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import implementer

from mailsuite.durable import Database, Disk, Synchronous, migrate
from mailsuite.observe import EventLog
from mailsuite.trace.entries import entry_of
from mailsuite.trace.files import Part, TraceFolder, day_of, part_max_octets
from mailsuite.trace.settings import TraceSettings
from mailsuite.trace.statements import Entry, add_entries

GATHER_SECONDS = 0.5
RETRY_SECONDS = 5.0
SWEEP_SECONDS = 3600.0
DAY_SECONDS = 86400.0
WAITING_MAX = 20_000  # events; about 20 MB
DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


@implementer(ILogObserver)
class Recorder:
    """
    Keeps events of messages, whatever level the log has. May be used in a ``with`` block, then without a thread.

    Args:
        folder: is made when it is not there.
        waiting_max: most events in memory.
        clock: seconds since the epoch.

    Attributes:
        dropped: how many events were lost because the disk took none.
    """

    def __init__(
        self,
        folder: str,
        settings: TraceSettings,
        disk: Disk,
        *,
        waiting_max: int = WAITING_MAX,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.dropped = 0
        self.settings = settings
        self._folder = TraceFolder(folder, disk)
        self._waiting_max = waiting_max
        self._clock = clock
        self._log = EventLog(Logger("mailsuite.trace.record"))
        self._came: deque[LogEvent] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # of everything below
        self._entries: list[Entry] = []
        self._database: Database | None = None
        self._part: Part | None = None
        self._unfit: Part | None = None
        self._inode = 0
        self._swept = 0.0
        self._failing = False
        self._told_dropped = 0
        self._thread = threading.Thread(target=self._run, name="trace", daemon=True)

    def __call__(self, event: LogEvent) -> None:
        """Keep an event if it is one of a message. Called in any thread, for every event: it must cost nothing."""
        if event.get("queue_id"):
            if len(self._came) >= self._waiting_max:
                self.dropped += 1
                return
            self._came.append(event)
            if not self._wake.is_set():
                self._wake.set()

    # beginning and end

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, as far as the disk takes it, and end the thread. Blocks."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush()
        with self._lock:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopping.is_set():
            came = self._wake.wait(SWEEP_SECONDS)
            self._stopping.wait(GATHER_SECONDS)
            self._wake.clear()
            if not came:
                self.sweep()
            elif self.flush():
                self._stopping.wait(RETRY_SECONDS)
                self._wake.set()

    # writing

    def flush(self) -> Sequence[Entry]:
        """
        Write what came. Blocks; from any thread. Never fails.

        Returns:
            What could not be written and is tried again.
        """
        with self._lock:
            self._take()
            if self._entries:
                self._write_or_wait()
            return tuple(self._entries)

    def sweep(self) -> None:
        """Remove what is too old or too much. Blocks; never fails."""
        with self._lock:
            self._sweep()

    def _take(self) -> None:
        room = max(0, self._waiting_max - len(self._entries))
        for _ in range(len(self._came)):
            entry = entry_of(self._came.popleft())
            if entry is not None and room:
                self._entries.append(entry)
                room -= 1
            elif entry is not None:
                self.dropped += 1

    def _write_or_wait(self) -> None:
        for _ in range(2):  # a damaged file is left, and the next one is tried
            try:
                self._write()
            except (sqlite3.Error, OSError) as error:
                self._close()
                if self._part is None or not is_unfit(error):
                    self._tell_failing(error)
                    return
                self._unfit = self._part
                self._log.emit("trace.file.damaged", file=self._part.file_name, reason=str(error))
            else:
                self._tell_written()
                return

    def _write(self) -> None:
        database = self._open()
        with database.writing() as connection:
            add_entries(connection, self._entries)
        self._entries.clear()

    def _tell_failing(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            self._log.emit("trace.write.failed", reason=str(error))

    def _tell_written(self) -> None:
        if self._failing or self.dropped != self._told_dropped:
            self._log.emit("trace.write.recovered", dropped=self.dropped - self._told_dropped)
            self._told_dropped = self.dropped
            self._failing = False

    # the file

    def _open(self) -> Database:
        """Give the file of today, another one than before where the day, its size or somebody else wants it."""
        today = day_of(self._clock())
        part_octets = part_max_octets(self.settings.max_octets)
        database, part = self._database, self._part
        if database is not None and part is not None and part.day == today and self._is_there(part, part_octets):
            return database
        self._close()
        disk = self._folder.disk
        disk.make_folders(self._folder.path)
        part = self._part = self._folder.choose(today, part_octets, self._unfit)
        path = self._folder.path_of(part)
        database = Database(path, disk, synchronous=Synchronous.NORMAL)
        try:
            migrate(database, "mailsuite.trace")
            self._inode = disk.stat(path).st_ino
        except BaseException:
            database.close()
            raise
        self._database = database
        self._sweep()
        return database

    def _is_there(self, part: Part, part_octets: int) -> bool:
        """Whether our file is still the one of its name, and has room."""
        try:
            status = self._folder.disk.stat(self._folder.path_of(part))
        except FileNotFoundError:
            return False
        return status.st_ino == self._inode and self._folder.size(part) < part_octets

    def _sweep(self) -> None:
        oldest = day_of(self._clock() - max(0, self.settings.days) * DAY_SECONDS)
        in_use = self._part or Part(day_of(self._clock()))
        try:
            self._folder.sweep(oldest, self.settings.max_octets, in_use)
        except OSError as error:
            self._tell_failing(error)

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            try:
                database.close()
            except sqlite3.Error as error:
                self._tell_failing(error)


def is_unfit(error: Exception) -> bool:
    """Whether an error means that this file can never be used, not that the disk is full or a lock is held."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in DAMAGE  # without a code it is of a later version
