"""Where the log goes: a stream or a file, in one of two forms, from a level upwards."""

import os
import sys
import time
from collections.abc import Callable

from constantly import NamedConstant
from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from mailsuite.observe.jsonlog import JSONLog
from mailsuite.observe.record import LineStream
from mailsuite.observe.textlog import TextLog

LOG_FILE_MODE = 0o600
FOLLOW_SECONDS = 1.0
"""So often a log file is looked for under its name: looking costs more than writing a line."""


def open_output(output: str) -> LineStream:
    """
    Open what ``log.output`` names: ``stderr``, ``stdout`` or a file, which is appended to.

    Raises:
        OSError: the file cannot be opened.
    """
    if output == "stderr":
        return sys.stderr
    if output == "stdout":
        return sys.stdout
    return LogFile(output)


class LogFile:
    """
    A file that is opened again when another program, as logrotate, moved it away: soon by itself or at once when told.

    Args:
        path: made with mode 0600 when it is not there.
        clock: monotonic seconds.
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._descriptor = self._open()

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, LOG_FILE_MODE)

    def write(self, text: str) -> int:
        """Add one line; a full disk loses it, and the mail goes on."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            self._follow()
            os.write(self._descriptor, data)
        except OSError:
            return 0
        return len(text)

    def _follow(self) -> None:
        now = self._clock()
        if now - self._looked < FOLLOW_SECONDS:
            return
        self._looked = now
        try:
            status = os.stat(self._path)
            here = os.fstat(self._descriptor)
            moved = (status.st_ino, status.st_dev) != (here.st_ino, here.st_dev)
        except FileNotFoundError:
            moved = True
        if moved:
            self.reopen()

    def reopen(self) -> None:
        """
        Go on in the file that has our name now, at once: who rotates logs has moved the old one away.

        Raises:
            OSError: it cannot be opened; the old one stays in use.
        """
        descriptor = self._open()
        os.close(self._descriptor)
        self._descriptor = descriptor

    def give(self, uid: int | None, gid: int | None) -> None:
        """
        Let the file belong to somebody else; None changes nothing.

        Raises:
            OSError: that is not ours to decide.
        """
        os.fchown(self._descriptor, -1 if uid is None else uid, -1 if gid is None else gid)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


FORMATS: dict[str, Callable[[LineStream], ILogObserver]] = {"json": JSONLog, "text": TextLog}


def make_observer(stream: LineStream, form: str, level: str) -> ILogObserver:
    """
    Make what receives every event of the process.

    Args:
        form: ``json`` or ``text``.
        level: events below it are left out.
    """
    return LevelFilter(FORMATS[form](stream), LogLevel.lookupByName(level))


@implementer(ILogObserver)
class LevelFilter:
    """
    Passes on events from a level upwards; what Twisted tells of itself counts as ``debug``.

    Twisted's own filter looks for a level of each part of a namespace, at every event.
    """

    def __init__(self, observer: ILogObserver, level: NamedConstant) -> None:
        self._observer = observer
        self._levels = frozenset(each for each in LogLevel.iterconstants() if each >= level)

    def __call__(self, event: LogEvent) -> None:
        """Take one event; one without a level is passed on."""
        level = event.get("log_level")
        if level is LogLevel.info and "event" not in event:
            level = LogLevel.debug
        if level in self._levels or level is None:
            self._observer(event)
