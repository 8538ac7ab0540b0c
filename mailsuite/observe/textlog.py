"""The log for people: one line an event."""

import datetime as dt

from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from mailsuite.observe.escape import escape
from mailsuite.observe.record import FOREIGN_EVENT, LineStream, make_record, plain, text_of

IDS = ("session", "peer", "account", "queue_id")


@implementer(ILogObserver)
class TextLog:
    """
    Writes ``time level event [ids] text``; a traceback follows on indented lines of its own.

    Args:
        stream: takes text; each event is one write, flushed.
    """

    def __init__(self, stream: LineStream) -> None:
        self._stream = stream
        self._second = -1
        self._prefix = ""

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        if "log_failure" not in event and type(name := event.get("event")) is str:
            self._write_plain(event, name)
            return
        record = make_record(event)
        ids = _ids(event) if record.event != FOREIGN_EVENT else ""
        head = f"{record.time.isoformat(timespec='milliseconds')} {record.level:<8} {record.event}"
        line = f"{head} [{ids}] {escape(record.text)}" if ids else f"{head} {escape(record.text)}"
        trace = "".join(f"\n    {escape(part)}" for part in record.traceback.splitlines())
        self._stream.write(f"{line}{trace}\n")
        self._stream.flush()

    def _write_plain(self, event: LogEvent, name: str) -> None:
        """Write one of our events that nothing failed in: nearly all are, and one comes with every message."""
        when = event.get("log_time", 0.0)
        second = int(when)
        if second != self._second:
            self._second = second
            self._prefix = dt.datetime.fromtimestamp(second, dt.UTC).isoformat()[:-6]
        ids = _ids(event)
        shown = f"[{ids}] {escape(text_of(event))}" if ids else escape(text_of(event))
        level = event["log_level"].name
        self._stream.write(f"{self._prefix}.{int((when - second) * 1000):03d}+00:00 {level:<8} {name} {shown}\n")
        self._stream.flush()


def _ids(event: LogEvent) -> str:
    return " ".join([f"{name}={escape(str(plain(event[name])))}" for name in IDS if event.get(name)])
