"""
One processor for the threads that take turns.

The interpreter runs one thread at a time. When the reactor, the spool's writer and the store's lanes run on different
processors, each turn wakes another processor and moves the same objects through its caches; on one they cost a third
less. Work that leaves the interpreter for long (hashing, writing large bodies) stays free to run elsewhere.
"""

import os
from collections.abc import Sequence


def processors() -> Sequence[int]:
    """Name the processors that this thread may run on, in order; none where the system does not tell."""
    try:
        return sorted(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return ()


def run_on(allowed: Sequence[int]) -> bool:
    """
    Let this thread, and threads that it starts from now on, run on these processors only.

    Returns:
        False where the system does not do that; the thread then runs where it did.
    """
    if not allowed:
        return False
    try:
        os.sched_setaffinity(0, allowed)
    except (AttributeError, OSError):
        return False
    return True


def choose(allowed: Sequence[int], process_id: int) -> Sequence[int]:
    """Choose one processor for a process, so that several processes spread."""
    return [allowed[process_id % len(allowed)]] if allowed else ()
