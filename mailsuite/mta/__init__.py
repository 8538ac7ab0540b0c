"""
The mail side: reception, submission, the durable spool, local delivery, the queue and relaying.

What joins the parts (`mailsuite.service` does it; another program may)::

    spool = Spool(folder, disk=disk, store=delivery_store, reactor=reactor, settings=SpoolSettings())
    spool.start()                                             # blocks for milliseconds: open, migrate, tidy up
    receiver = Receiver(spool, accounts, receive_settings, reactor)            # IMailReceiver for strangers
    avatar = Submission(spool, accounts, receive_settings, reactor, email)     # IMailReceiver of one account
    queue = QueueService([spool], accounts, queue_settings, routes, reactor, hostname=hostname)
    queue.startService()
    ...
    queue.stopService()                                       # a Deferred: waits for attempts under way
    spool.stop()                                              # blocks: call it in a thread; then stop the store

`QueueFile` works on the queue of a spool folder from another process; `QueueService` has the same operations for the
process that owns the spool.
"""

from typing import TYPE_CHECKING

from mailsuite.exports import exporter

if TYPE_CHECKING:
    from mailsuite.mta.content import SpoolMessage, Target
    from mailsuite.mta.operations import QueueFile
    from mailsuite.mta.queue import QueueService
    from mailsuite.mta.queue_store import Change, IQueueStore, QueueEntry, QueueRecipient, Selection
    from mailsuite.mta.receive import Receiver
    from mailsuite.mta.relay import RelayAgent
    from mailsuite.mta.settings import QueueSettings, ReceiveSettings, RouteSettings, SpoolSettings
    from mailsuite.mta.spool import Spool
    from mailsuite.mta.submission import Submission

__all__ = [
    "Change",
    "IQueueStore",
    "QueueEntry",
    "QueueFile",
    "QueueRecipient",
    "QueueService",
    "QueueSettings",
    "ReceiveSettings",
    "Receiver",
    "RelayAgent",
    "RouteSettings",
    "Selection",
    "Spool",
    "SpoolMessage",
    "SpoolSettings",
    "Submission",
    "Target",
]

__getattr__ = exporter(
    __name__,
    {
        "Change": "queue_store",
        "IQueueStore": "queue_store",
        "QueueEntry": "queue_store",
        "QueueFile": "operations",
        "QueueRecipient": "queue_store",
        "QueueService": "queue",
        "QueueSettings": "settings",
        "ReceiveSettings": "settings",
        "Receiver": "receive",
        "RelayAgent": "relay",
        "RouteSettings": "settings",
        "Selection": "queue_store",
        "Spool": "spool",
        "SpoolMessage": "content",
        "SpoolSettings": "settings",
        "Submission": "submission",
        "Target": "content",
    },
)
