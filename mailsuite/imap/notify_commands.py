"""The values of NOTIFY (RFC 5465)."""

import enum
from typing import ClassVar

import attrs

from mailsuite.imap.commands import Command
from mailsuite.imap.fetch_grammar import FetchItems


class MailboxFilter(enum.Enum):
    """Which mailboxes a NOTIFY is about (RFC 5465 section 6)."""

    SELECTED = b"SELECTED"
    SELECTED_DELAYED = b"SELECTED-DELAYED"
    INBOXES = b"INBOXES"
    PERSONAL = b"PERSONAL"
    SUBSCRIBED = b"SUBSCRIBED"
    SUBTREE = b"SUBTREE"
    MAILBOXES = b"MAILBOXES"


class NotifyEvent(enum.Enum):
    """What a NOTIFY wants to be told (RFC 5465 section 5)."""

    MESSAGE_NEW = "MessageNew"
    MESSAGE_EXPUNGE = "MessageExpunge"
    FLAG_CHANGE = "FlagChange"
    MAILBOX_NAME = "MailboxName"
    SUBSCRIPTION_CHANGE = "SubscriptionChange"
    MAILBOX_METADATA_CHANGE = "MailboxMetadataChange"
    SERVER_METADATA_CHANGE = "ServerMetadataChange"


METADATA_EVENTS = frozenset((NotifyEvent.MAILBOX_METADATA_CHANGE, NotifyEvent.SERVER_METADATA_CHANGE))
MESSAGE_EVENTS = frozenset((NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE, NotifyEvent.FLAG_CHANGE))


@attrs.frozen
class EventGroup:
    """
    Events of some mailboxes.

    Args:
        mailboxes: names, where the filter takes some.
        events: none means that nothing is to be told.
        items: what is to be told of each new message of the selected mailbox.
    """

    filter: MailboxFilter
    mailboxes: tuple[str, ...]
    events: frozenset[NotifyEvent]
    items: FetchItems | None = None


@attrs.frozen
class Notify(Command):
    """
    RFC 5465 section 3.1.

    Args:
        groups: none means that nothing is to be told.
        status: where the mailboxes stand now is to be told first.
    """

    name: ClassVar[str] = "NOTIFY"

    groups: tuple[EventGroup, ...]
    status: bool = False
