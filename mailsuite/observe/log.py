"""Emit catalogued events with the ids of their session bound once, when the session begins."""

from collections.abc import Mapping
from typing import Self

from twisted.logger import Logger
from twisted.python.failure import Failure

from mailsuite.observe.catalog import EVENTS


class EventLog:
    """
    A logger that knows whose events it writes.

    Args:
        logger: the module's own ``twisted.logger.Logger``.
        ids: fields that every event of this session carries (``session``, ``peer``, ``account``, ``queue_id``).
    """

    __slots__ = ("_ids", "_logger")

    def __init__(self, logger: Logger, ids: Mapping[str, object] | None = None) -> None:
        self._logger = logger
        self._ids: Mapping[str, object] = ids if ids is not None else {}

    def bind(self, **ids: object) -> Self:
        """Make a logger that carries these ids as well."""
        return type(self)(self._logger, {**self._ids, **ids})

    def without(self, *names: str) -> Self:
        """Make a logger that does not carry these ids."""
        return type(self)(self._logger, {name: value for name, value in self._ids.items() if name not in names})

    def emit(self, event: str, **fields: object) -> None:
        """
        Write one event.

        Args:
            event: a name of `mailsuite.observe.catalog`.
            fields: values as they are; a peer's text is a field and never becomes the format.

        Raises:
            KeyError: the event is not in the catalogue.
        """
        entry = EVENTS[event]
        self._logger.emit(entry.level, entry.format, event=event, **{**self._ids, **fields})

    def failure(self, event: str, failure: Failure | BaseException | None = None, **fields: object) -> None:
        """
        Write one event with a traceback; without `failure`, the exception being handled.

        Raises:
            KeyError: the event is not in the catalogue.
        """
        entry = EVENTS[event]
        caught = failure if isinstance(failure, Failure) else Failure(failure)
        caught.cleanFailure()
        self._logger.emit(entry.level, entry.format, event=event, log_failure=caught, **{**self._ids, **fields})
