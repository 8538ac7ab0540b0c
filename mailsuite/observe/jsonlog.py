"""The log as JSON lines: one object an event."""

import json

from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from mailsuite.observe.escape import escape
from mailsuite.observe.record import LineStream, make_record

RESERVED = frozenset({"time", "level", "event", "text", "traceback"})


@implementer(ILogObserver)
class JSONLog:
    """
    Writes ``time``, ``level``, ``event``, ``text``, the bound ids and the event's own fields.

    Args:
        stream: takes text; each event is one write, flushed.
    """

    def __init__(self, stream: LineStream) -> None:
        self._stream = stream

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        record = make_record(event)
        line = {
            "time": record.time.isoformat(timespec="milliseconds"),
            "level": record.level,
            "event": record.event,
            "text": escape(record.text),
            **{name: value for name, value in record.fields().items() if name not in RESERVED},
        }
        if record.traceback:
            line["traceback"] = record.traceback
        # ASCII output leaves no control character, separator or bidi mark unescaped, in values and in names.
        self._stream.write(json.dumps(line, ensure_ascii=True, allow_nan=False, default=str) + "\n")
        self._stream.flush()
