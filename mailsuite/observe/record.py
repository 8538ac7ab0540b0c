"""One event as plain values: what is left when Twisted's own bookkeeping is taken away."""

import datetime as dt
import errno
from collections.abc import Mapping
from typing import Protocol

import attrs
from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure

FOREIGN_EVENT = "twisted"
_LACKS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
# SQLite's NOMEM, READONLY, IOERR, FULL and CANTOPEN, as numbers: who logs need not have SQLite.
_DATABASE_LACKS = frozenset({7, 8, 10, 13, 14})
FIELD_MAX_CHARACTERS = 4096
_PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})


class LineStream(Protocol):
    """What lines are written to: a file of text, or something like it."""

    def write(self, text: str, /) -> object:
        """Take text."""

    def flush(self) -> object:
        """Pass on what was written."""


@attrs.frozen
class Record:
    """
    What a line of the log is made of.

    Args:
        time: with the time zone UTC.
        event: a name of the catalogue; ``twisted`` for what Twisted and other programs' code say.
        text: for people; not escaped yet.
        values: of the event, Twisted's own bookkeeping among them; `fields` gives the others.
        traceback: without local variables; empty when nothing failed.
    """

    time: dt.datetime
    level: str
    event: str
    text: str
    values: Mapping[str, object]
    traceback: str = ""

    def fields(self) -> Mapping[str, object]:
        """Give ids and fields of one of our events as JSON has them; of other programs' code, nothing."""
        if self.event == FOREIGN_EVENT:
            return {}
        return {name: plain(value) for name, value in self.values.items() if name[:4] != "log_" and name != "event"}


def make_record(event: LogEvent) -> Record:
    """Read an event of ``twisted.logger``; never fails, whatever is in it."""
    level = event.get("log_level", LogLevel.info)
    name = event.get("event")
    failure = event.get("log_failure")
    reason = _environment(failure.value) if isinstance(failure, Failure) else ""
    ours = isinstance(name, str)
    text = text_of(event) if ours else formatEvent(event)
    return Record(
        dt.datetime.fromtimestamp(event.get("log_time", 0.0), dt.UTC),
        getattr(level, "name", str(level)),
        name if isinstance(name, str) else FOREIGN_EVENT,
        f"{text}: {reason}" if reason else text,
        event,
        traceback=failure.getTraceback() if isinstance(failure, Failure) and not reason else "",
    )


def _environment(error: BaseException | None) -> str:
    """Say in a few words what the machine lacks, where that is all there is to know; empty for anything else."""
    if isinstance(error, OSError) and error.errno in _LACKS:
        return f"{error.strerror}{f' ({error.filename})' if error.filename else ''}"
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DATABASE_LACKS:  # only SQLite's errors have that
        return str(error)
    return ""


def text_of(event: LogEvent) -> str:
    """Fill in the format of one of our events; these need none of what Twisted adds to formats, which is slow."""
    try:
        text: str = event["log_format"].format_map(event)
    except Exception:  # noqa: BLE001 - a field that cannot be written; Twisted says so in words
        return formatEvent(event)
    return text


def plain(value: object) -> object:
    """Give a field a form that JSON has."""
    if type(value) in _PLAIN_TYPES and (type(value) is not str or len(value) <= FIELD_MAX_CHARACTERS):
        return value  # nearly every field
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return _shorten(value)
        case bytes():
            return _shorten(value.decode("utf-8", "backslashreplace"))
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
    try:
        return _shorten(str(value))
    except Exception:  # noqa: BLE001 - a broken __str__ must not lose the event
        return f"<{type(value).__name__}>"


def _shorten(text: str) -> str:
    return text if len(text) <= FIELD_MAX_CHARACTERS else text[:FIELD_MAX_CHARACTERS] + "..."
