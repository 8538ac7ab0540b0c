import contextlib
import itertools
import sqlite3

import pytest
from twisted.logger import Logger

from mailsuite.durable import Disk
from mailsuite.observe import EventLog
from mailsuite.trace import Recorder, Search, Trace, TraceSettings

MIDNIGHT = 1_796_083_200.0  # the beginning of 2026-12-01
NOON = MIDNIGHT - 43_200
DAY = 86_400


class Bench:
    """A recorder, what reads it back, and a log whose clock goes on by a second with each event."""

    def __init__(self, folder, settings=None, disk=None, **options):
        self.folder = folder / "trace"
        self.now = NOON
        self.disk = disk or Disk()
        self.settings = settings or TraceSettings()
        self.options = options
        self.told = []
        self.recorder = self.another()
        self.trace = Trace(str(self.folder), self.disk, self.recorder)
        self.log = EventLog(Logger("test", observer=self.take))

    def another(self):
        """A recorder of another process on the same folder."""
        made = Recorder(str(self.folder), self.settings, self.disk, clock=lambda: self.now, **self.options)
        made._log = EventLog(Logger("trace", observer=self.told.append))
        return made

    def take(self, event):
        self.now += 1
        event["log_time"] = self.now
        self.recorder(event)

    def accept(self, queue_id, message_id="", **fields):
        self.log.bind(session="s1", peer="192.0.2.7").emit(
            "spool.message.accepted",
            queue_id=queue_id,
            **{
                "sender": "far@elsewhere.test",
                "recipients": ["alice@example.test"],
                "size": 100,
                "message_id": message_id,
                "helo": "mx.elsewhere.test",
                "port": 25,
                "tls": "",
                "targets": ["alice@example.test/INBOX"],
                **fields,
            },
        )

    def deliver(self, queue_id, recipient="alice@example.test"):
        self.log.emit(
            "spool.delivery.completed", queue_id=queue_id, recipient=recipient, account=recipient, mailbox="INBOX"
        )

    def attempt(self, queue_id, outcome, recipient="away@elsewhere.test", **fields):
        values = {"host": "mx.elsewhere.test", "code": 250, "text": "2.0.0 thanks", "tries": 1, **fields}
        self.log.emit(f"queue.recipient.{outcome}", queue_id=queue_id, recipient=recipient, **values)

    def events(self, name):
        return [row["event"] for row in self.trace.story(name)]

    def search(self, **wanted):
        return self.trace.search(Search(**wanted))

    def files(self):
        return sorted(path.name for path in self.folder.glob("*.db"))

    def names(self):
        """Names of what the recorder said of itself."""
        return [event["event"] for event in self.told]

    def ruin(self, name):
        """Overwrite the beginning of a database that nobody has open any more."""
        with (self.folder / name).open("r+b") as stream:
            stream.write(b"\xff" * 8192)

    def grow(self, octets):
        """Let the newest file grow."""
        newest = max(self.folder.glob("*.db"), key=lambda path: path.stat().st_ctime_ns)
        with contextlib.closing(sqlite3.connect(newest)) as connection:
            connection.execute("CREATE TABLE ballast (x)")
            connection.execute("INSERT INTO ballast VALUES (zeroblob(?))", (octets,))
            connection.commit()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.fixture
def make_bench(tmp_path):
    numbers = itertools.count()
    made = []

    def make(*arguments, **options):
        made.append(Bench(tmp_path / str(next(numbers)), *arguments, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.recorder.stop()


@pytest.fixture
def bench(make_bench):
    return make_bench()
