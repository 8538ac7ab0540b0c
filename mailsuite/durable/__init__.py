"""
The one door to disk: safe files, watched folders, SQLite connections, worker threads, group commit, boot id.

Everything that store, spool and directory do to the disk goes through a `Disk`, so that a test can make the n-th
call fail, or end the process there, for every n.
"""

from mailsuite.durable.boot import boot_id
from mailsuite.durable.commit import GroupThread, InlineGroup
from mailsuite.durable.files import Disk
from mailsuite.durable.inotify import ENTRIES, ITSELF, FolderListener, FolderNotices
from mailsuite.durable.pools import InlineLane, Lane, LanePool
from mailsuite.durable.sqlite import Database, ReadOnlyDatabase, Synchronous, is_damage, migrate

__all__ = [
    "ENTRIES",
    "ITSELF",
    "Database",
    "Disk",
    "FolderListener",
    "FolderNotices",
    "GroupThread",
    "InlineGroup",
    "InlineLane",
    "Lane",
    "LanePool",
    "ReadOnlyDatabase",
    "Synchronous",
    "boot_id",
    "is_damage",
    "migrate",
]
