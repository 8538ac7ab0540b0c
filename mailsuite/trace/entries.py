"""From an event of the log to what is kept of it."""

import functools
import json
from collections.abc import Iterator, Mapping

from twisted.logger import LogEvent

from mailsuite.observe import EVENTS
from mailsuite.observe.record import plain
from mailsuite.observe.textlog import IDS
from mailsuite.trace.statements import Entry, Kind

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def entry_of(event: LogEvent) -> Entry | None:
    """Make what is kept of an event: its ids and the fields of the catalogue; None when it is not one of ours."""
    name = event.get("event")
    if not isinstance(name, str) or name not in EVENTS:
        return None
    fields = {field: plain(event[field]) for field in _fields(name) if field in event}
    queue_id = str(fields.pop("queue_id")).upper()
    return Entry(queue_id, event["log_time"], name, _encode(fields), set(_names(fields)))


@functools.cache
def _fields(event: str) -> tuple[str, ...]:
    return tuple({**dict.fromkeys(IDS), **EVENTS[event].fields})


def _names(fields: Mapping[str, object]) -> Iterator[tuple[Kind, str]]:
    for field, value in fields.items():
        if field == "recipient":
            yield Kind.RECIPIENT, fold(value)
        elif field == "recipients" and isinstance(value, list):
            for each in value:
                yield Kind.RECIPIENT, fold(each)
        elif field == "sender":
            yield Kind.SENDER, fold(value)
        elif field == "message_id" and value:
            yield Kind.MESSAGE_ID, str(value).strip()
        elif field == "report" and value:
            yield Kind.REPORT, str(value).upper()


def fold(address: object) -> str:
    """Write an address so that it is found however it is typed."""
    return str(address).strip().casefold()
