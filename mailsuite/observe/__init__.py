"""What the server says about itself: events from one catalogue, and work that nobody awaits."""

from mailsuite.observe.background import background
from mailsuite.observe.catalog import EVENTS, Event
from mailsuite.observe.jsonlog import JSONLog
from mailsuite.observe.log import EventLog
from mailsuite.observe.output import LogFile, make_observer, open_output
from mailsuite.observe.textlog import TextLog

__all__ = ["EVENTS", "Event", "EventLog", "JSONLog", "LogFile", "TextLog", "background", "make_observer", "open_output"]
