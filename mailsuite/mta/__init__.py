"""
The mail side: reception, submission, the durable spool, local delivery, the queue and relaying.

What joins the parts (`mailsuite.service` does it; another program may)::

    spool = Spool(folder, disk=disk, store=delivery_store, reactor=reactor, settings=SpoolSettings())
    spool.start()                                             # blocks for milliseconds: open, migrate, tidy up
    rules = RecipientRules(accounts, Forwarding(accounts, secret, reactor), delivery_store, reactor)     # if wanted
    receiver = Receiver(spool, accounts, receive_settings, reactor, rules)     # IMailReceiver for strangers
    avatar = Submission(spool, accounts, receive_settings, reactor, email, throttle=throttle)  # of one account
    relay = RelayAgent(reactor, hostname)
    queue = QueueService([spool], accounts, queue_settings, routes, reactor, hostname=hostname, attempt=relay)
    queue.startService()
    ...
    queue.stopService()                                       # a Deferred: waits for attempts under way
    await relay.close()                                       # ends the connections that wait for a message
    spool.stop()                                              # blocks: call it in a thread; then stop the store

`QueueFile` works on the queue of a spool folder from another process; `QueueService` has the same operations for the
process that owns the spool.
"""

from typing import TYPE_CHECKING

from mailsuite.exports import exporter

if TYPE_CHECKING:
    from mailsuite.mta.capture import CaptureSweeper
    from mailsuite.mta.content import SpoolMessage, Target
    from mailsuite.mta.forward import Forwarding
    from mailsuite.mta.operations import QueueFile
    from mailsuite.mta.queue import QueueService
    from mailsuite.mta.queue_store import Change, IQueueStore, QueueEntry, QueueRecipient, Selection
    from mailsuite.mta.receive import Receiver
    from mailsuite.mta.recipients import RecipientRules
    from mailsuite.mta.relay import RelayAgent
    from mailsuite.mta.settings import (
        CaptureSettings,
        QueueSettings,
        ReceiveSettings,
        RelaySettings,
        RouteSettings,
        SourceSettings,
        SpoolSettings,
        SubmissionSettings,
    )
    from mailsuite.mta.spool import Spool
    from mailsuite.mta.submission import Submission

__all__ = [
    "CaptureSettings",
    "CaptureSweeper",
    "Change",
    "Forwarding",
    "IQueueStore",
    "QueueEntry",
    "QueueFile",
    "QueueRecipient",
    "QueueService",
    "QueueSettings",
    "ReceiveSettings",
    "Receiver",
    "RecipientRules",
    "RelayAgent",
    "RelaySettings",
    "RouteSettings",
    "Selection",
    "SourceSettings",
    "Spool",
    "SpoolMessage",
    "SpoolSettings",
    "Submission",
    "SubmissionSettings",
    "Target",
]

__getattr__ = exporter(
    __name__,
    {
        "CaptureSettings": "settings",
        "CaptureSweeper": "capture",
        "Forwarding": "forward",
        "Change": "queue_store",
        "IQueueStore": "queue_store",
        "QueueEntry": "queue_store",
        "QueueFile": "operations",
        "QueueRecipient": "queue_store",
        "QueueService": "queue",
        "QueueSettings": "settings",
        "ReceiveSettings": "settings",
        "Receiver": "receive",
        "RecipientRules": "recipients",
        "RelayAgent": "relay",
        "RelaySettings": "settings",
        "RouteSettings": "settings",
        "SourceSettings": "settings",
        "Selection": "queue_store",
        "Spool": "spool",
        "SpoolMessage": "content",
        "SpoolSettings": "settings",
        "Submission": "submission",
        "SubmissionSettings": "settings",
        "Target": "content",
    },
)
