"""The log for people: one line an event."""

from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from mailsuite.observe.escape import escape
from mailsuite.observe.record import FOREIGN_EVENT, LineStream, make_record, plain

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

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        record = make_record(event)
        ids = ""
        if record.event != FOREIGN_EVENT:
            ids = " ".join([f"{name}={escape(str(plain(event[name])))}" for name in IDS if event.get(name)])
        head = f"{record.time.isoformat(timespec='milliseconds')} {record.level:<8} {record.event}"
        line = f"{head} [{ids}] {escape(record.text)}" if ids else f"{head} {escape(record.text)}"
        trace = "".join(f"\n    {escape(part)}" for part in record.traceback.splitlines())
        self._stream.write(f"{line}{trace}\n")
        self._stream.flush()
