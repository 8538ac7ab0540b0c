"""
What happened to each message, kept on disk: the events that carry a queue id.

One database for each day, written by every process of the server; an old day goes away whole.
"""

from typing import TYPE_CHECKING

from mailsuite.exports import exporter

if TYPE_CHECKING:
    from mailsuite.trace.read import Search, Trace, in_order
    from mailsuite.trace.record import Recorder
    from mailsuite.trace.settings import TraceSettings

__all__ = ["Recorder", "Search", "Trace", "TraceSettings", "in_order"]

__getattr__ = exporter(
    __name__,
    {
        "Recorder": "record",
        "Search": "read",
        "Trace": "read",
        "TraceSettings": "settings",
        "in_order": "read",
    },
)
