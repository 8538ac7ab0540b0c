"""
Doubles for the tests of mailsuite and of programs that embed it.

A store and a resolver in memory, lanes and groups that work in the caller's thread, and a disk that fails or crashes at
the n-th call (`mailsuite.testing.faults`): with them nothing needs a reactor, a thread or a socket.
"""

from mailsuite.durable import InlineGroup, InlineLane
from mailsuite.store import MemoryStore
from mailsuite.testing.faults import Crash, FaultyDisk
from mailsuite.testing.resolver import MemoryResolver

__all__ = ["Crash", "FaultyDisk", "InlineGroup", "InlineLane", "MemoryResolver", "MemoryStore"]
