"""
Mailboxes: octets in Maildir++ folders that other programs can use, and one SQLite index for each account.

`open_store` gives the store of a server; `MemoryStore` keeps everything in memory and is the readable reference.
"""

from typing import TYPE_CHECKING

from mailsuite.exports import exporter

if TYPE_CHECKING:
    from mailsuite.store.changes import ChangeBus
    from mailsuite.store.maildirstore import MailStore, open_store
    from mailsuite.store.memory import MemoryStore
    from mailsuite.store.settings import Backend, Layout, StorageSettings

__all__ = ["Backend", "ChangeBus", "Layout", "MailStore", "MemoryStore", "StorageSettings", "open_store"]

__getattr__ = exporter(
    __name__,
    {
        "Backend": "settings",
        "ChangeBus": "changes",
        "Layout": "settings",
        "MailStore": "maildirstore",
        "MemoryStore": "memory",
        "StorageSettings": "settings",
        "open_store": "maildirstore",
    },
)
