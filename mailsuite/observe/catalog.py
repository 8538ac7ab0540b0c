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
    "spool.service.started": Event("spool {spool} opened, last message {last}", {"spool": "its id", "last": "id"}),
    "spool.commit.failed": Event(
        "{writes} writes refused: the spool could not commit", {"writes": "how many"}, LogLevel.critical
    ),
    "spool.commit.recovered": Event("the spool commits again"),
    "spool.sync.failed": Event("delivered mail could not be synced, it stays in the spool", level=LogLevel.error),
    "spool.sweep.failed": Event("a sweep of the spool failed", level=LogLevel.critical),
    "spool.body.abandoned": Event("body file {name} could not be removed", {"name": "its name"}, LogLevel.warn),
    "spool.orphans.removed": Event("{count} body files of unfinished receptions removed", {"count": "how many"}),
    "spool.messages.replayed": Event("{count} messages replayed", {"count": "how many"}),
    "spool.message.unreadable": Event(
        "message {message} in the spool cannot be read: {reason}",
        {"message": "its number", "reason": "what is wrong with it"},
        LogLevel.error,
    ),
    "spool.delivery.deferred": Event(
        "{queue_id} for {recipient} could not be delivered yet: {reason}",
        {"queue_id": "which message", "recipient": "as the sender wrote it", "reason": "in the store's words"},
        LogLevel.warn,
    ),
    "spool.message.accepted": Event(
        "{queue_id} from {sender} to {recipients}, {size} octets",
        {"sender": "reverse-path", "recipients": "forward-paths", "size": "octets as received"},
    ),
    # smtp
    # imap
    # pop3
    # service
    "config.key.ignored": Event(
        "{key} is set, but what it is for does not exist yet; it has no effect", {"key": "its path"}, LogLevel.warn
    ),
    "tls.certificate.loaded": Event("certificate loaded from {file}", {"file": "the certificate's"}),
    "tls.certificate.refused": Event(
        "certificate {file} cannot be used: {reason}; the one before stays in force",
        {"file": "the certificate's", "reason": "what is wrong with it or its key"},
        LogLevel.error,
    ),
    "service.listener.opened": Event(
        "{service} listens on {address}", {"service": "key of [listen]", "address": "address and port, or endpoint"}
    ),
    "service.listener.delayed": Event(
        "{service} waits for the certificate {file}",
        {"service": "key of [listen]", "file": "where the certificate is expected"},
        LogLevel.warn,
    ),
    "service.start.completed": Event("the server is ready", {}),
    "service.start.failed": Event("the server cannot start: {reason}", {"reason": "one sentence"}, LogLevel.critical),
    "service.stop.begun": Event("the server stops", {}),
    "service.stop.completed": Event("the server has stopped", {}),
}
