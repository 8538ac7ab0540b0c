"""What the server says about itself: events from one catalogue, and work that nobody awaits."""

from mailsuite.observe.background import background
from mailsuite.observe.catalog import EVENTS, Event
from mailsuite.observe.log import EventLog

__all__ = ["EVENTS", "Event", "EventLog", "background"]
