"""What happened to recent messages, kept in memory: the events that carry a queue id, the oldest forgotten."""

import datetime as dt
import functools
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from mailsuite.observe.catalog import EVENTS
from mailsuite.observe.record import plain
from mailsuite.observe.textlog import IDS

EVENTS_MAX = 20_000  # about 10 MB
ACCEPTED = "spool.message.accepted"


@attrs.define  # a frozen one takes three times as long to make
class _Kept:
    """One event, without what Twisted adds to it."""

    when: float
    event: str
    values: Mapping[str, object]

    @property
    def order(self) -> tuple[bool, float]:
        """Delivery may be faster than the note that the message was accepted."""
        return self.event != ACCEPTED, self.when


@implementer(ILogObserver)
class RecentEvents:
    """
    Keeps events of messages, whatever level the log has.

    Nothing is looked up while events come in; `trace` searches.

    Args:
        events_max: how many to keep.
    """

    def __init__(self, events_max: int = EVENTS_MAX) -> None:
        self._events: deque[_Kept] = deque(maxlen=events_max)

    def __call__(self, event: LogEvent) -> None:
        """Keep an event if it is one of a message. Called in any thread."""
        name: str = event.get("event", "")
        if "queue_id" in event and name in EVENTS:
            values = {field: event[field] for field in _fields(name) if field in event}
            self._events.append(_Kept(event["log_time"], name, values))

    def trace(self, name: str) -> list[dict[str, object]]:
        """
        Tell what happened to one message, in order; nothing when it is not known, or forgotten.

        Args:
            name: a queue id, or a Message-ID with or without its angle brackets.
        """
        events = list(self._events)
        names = _queue_ids(events, name.strip())
        found = [kept for kept in events if str(kept.values["queue_id"]).upper() in names]
        return [_row(kept) for kept in sorted(found, key=lambda kept: kept.order)]


@functools.cache
def _fields(event: str) -> tuple[str, ...]:
    return tuple({**dict.fromkeys(IDS), **EVENTS[event].fields})


def _queue_ids(events: Sequence[_Kept], name: str) -> set[str]:
    """Find the messages that a name means: several may carry one Message-ID."""
    message_id = name if name.startswith("<") else f"<{name}>"
    named = {str(kept.values["queue_id"]).upper() for kept in events if kept.values.get("message_id") == message_id}
    return named or {name.upper()}


def row_order(row: Mapping[str, Any]) -> tuple[bool, str]:
    """Put rows of `RecentEvents.trace` in order, also those of several processes."""
    return row["event"] != ACCEPTED, row["time"]


def _row(kept: _Kept) -> dict[str, object]:
    values = {field: plain(value) for field, value in kept.values.items()}
    return {
        "time": dt.datetime.fromtimestamp(kept.when, dt.UTC).isoformat(timespec="milliseconds"),
        "event": kept.event,
        "queue_id": values.pop("queue_id"),
        "peer": values.pop("peer", ""),
        "text": EVENTS[kept.event].format.format_map(kept.values),
        "fields": values,
    }
