"""
Every event that the server can log: name, level, readable form, fields.

Names are ``noun.noun.past``. A test fails for an event that is emitted and not listed here, or listed and emitted
nowhere; the list in the documentation is made from this one.
"""

from collections.abc import Mapping

import attrs
from constantly import NamedConstant
from twisted.logger import LogLevel


@attrs.frozen
class Event:
    """
    One kind of event.

    Args:
        format: PEP 3101 text over the fields; ours, never a peer's.
        fields: what the event carries beside the bound ids, each with its meaning.
        level: below ``info`` it is shown only when asked for.
    """

    format: str
    fields: Mapping[str, str] = attrs.field(factory=dict)
    level: NamedConstant = LogLevel.info


EVENTS: Mapping[str, Event] = {
    # observe
    "background.work.failed": Event("background work failed: {what}", {"what": "which work"}, LogLevel.critical),
    # durable
    # directory
    # store
    # spool and queue
    # smtp
    # imap
    # pop3
    # service
}
