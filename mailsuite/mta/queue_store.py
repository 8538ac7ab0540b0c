"""
What the queue needs of the store that keeps it, whatever that store is.

`mailsuite.mta.spool_queue` keeps it in the spool's database. Times are whole seconds since the epoch. A store answers
for one queue; a process may work on several.
"""

import enum
from collections.abc import Awaitable, Sequence
from typing import Protocol

import attrs
from zope.interface import Interface

from mailsuite.mta.content import SpoolMessage

NOW = 0
"""As `next`: the operator wants this one tried, even while its destination is paused."""

HERE = ""
"""As `domain`: our own mailboxes, and whatever else needs no network."""


class State(enum.IntEnum):
    """Where a recipient that was not delivered at once stands."""

    WAITING = 0
    HELD = 1
    FINISHED = 2


STATE_NAMES = {State.WAITING: "waiting", State.HELD: "held", State.FINISHED: "finished"}


class Notice(enum.IntEnum):
    """What the sender was told of a recipient that waits."""

    NONE = 0
    DELAY = 1
    """That it takes longer."""
    NOBODY = 2
    """There is no sender: the null reverse-path."""
    DUE = 3
    """It is delivered, and may not be again: only a report to the sender is outstanding."""


@attrs.frozen
class Pending:
    """
    A recipient that is not finished.

    Args:
        n: its place in the envelope of the message.
        domain: where it goes; `HERE` for what needs no network.
        born: its age counts from then.
        next: when to try; `NOW` as soon as possible.
        tries: attempts so far.
        status: how the last one ended, in words.
        host: who was asked then.
        tried: when that was; 0 is never.
    """

    message_id: int
    n: int
    address: str
    domain: str
    state: State
    born: int
    next: int
    tries: int
    status: str
    host: str
    tried: int
    notice: Notice


@attrs.frozen(kw_only=True)
class Record:
    """
    What is to be remembered of one recipient after an attempt, or instead of one.

    Args:
        finished: it needs nothing more: delivered, or returned to the sender.
        next: when to try again; None changes nothing.
        tried: when an attempt was made; None when none was, which then counts for nothing.
        notice: what the sender was told with it; None changes nothing.
    """

    message_id: int
    n: int
    status: str
    finished: bool = False
    next: int | None = None
    host: str = ""
    tried: int | None = None
    notice: Notice | None = None


class Quota(Protocol):
    """How much may be leased. Used by a store while it answers one call, in whatever thread, and by nobody else."""

    def room(self, domain: str, *, urgent: bool) -> int:
        """
        Say how many messages for a domain may be leased.

        Args:
            urgent: the operator asked for them.
        """
        ...

    def take(self, domain: str, messages: int) -> None:
        """So many were leased."""
        ...

    def is_exhausted(self) -> bool:
        """Nothing more may be leased for any domain."""
        ...


@attrs.frozen(kw_only=True)
class Leased:
    """
    What was leased.

    Args:
        after: the last domain that was looked at; None when there are no more.
    """

    pendings: Sequence[Pending]
    after: str | None


@attrs.frozen
class Fresh:
    """
    What was leased of messages that have just come.

    Args:
        last: the last message that was looked at.
    """

    pendings: Sequence[Pending]
    last: int


@attrs.frozen(kw_only=True)
class Late:
    """
    Which recipients are too old to go on waiting in silence.

    Args:
        warn: those whose sender was told nothing, born before that and after `expire`.
        expire: those born before that, when they were due before `idle` and nobody tried them.
        expire_null: the same for the null reverse-path.
    """

    warn: int
    expire: int
    expire_null: int
    idle: int


@attrs.frozen
class Loaded:
    """
    A message and what of it still waits.

    Args:
        places: those that were asked for and were neither held nor removed meanwhile.
    """

    message: SpoolMessage
    places: frozenset[int]


@attrs.frozen(kw_only=True)
class Selection:
    """
    Which recipients an operator means; nothing set means all.

    Args:
        domain: of the address, in the form of `mailsuite.address.normalize_domain`.
        sender: the reverse-path in any case; ``<>`` is the null one.
    """

    queue_id: str = ""
    domain: str = ""
    sender: str = ""
    state: State | None = None


class Change(enum.Enum):
    """What an operator does to recipients."""

    RETRY = "retry"
    """Those that wait are due now; those that wait for a time their sender set only when one message is named."""
    HOLD = "hold"
    RELEASE = "release"
    REMOVE = "remove"


@attrs.frozen
class QueueRecipient:
    """
    A recipient that is not finished, as an operator sees it.

    Args:
        state: ``waiting`` or ``held``.
        next_attempt: `NOW` as soon as possible.
        status: how the last attempt ended.
        host: who was asked then.
        last_attempt: when that was; 0 is never.
    """

    address: str
    state: str
    next_attempt: int
    tries: int
    status: str
    host: str = ""
    last_attempt: int = 0


@attrs.frozen(kw_only=True)
class QueueEntry:
    """
    A message with recipients that are not finished.

    Args:
        sender: empty for the null reverse-path.
    """

    queue_id: str
    sender: str
    received: int
    size_octets: int
    recipients: tuple[QueueRecipient, ...]


@attrs.frozen(kw_only=True)
class Counts:
    """How much waits, held or not."""

    messages: int
    recipients: int


@attrs.frozen(kw_only=True)
class DomainCount:
    """
    How much waits for one domain.

    Args:
        domain: `HERE` for our own mailboxes.
        oldest: when the oldest one was born.
        next_attempt: the earliest of those that wait; 0 when none does, or one is to be tried now.
        status: how some attempt at it ended.
    """

    domain: str
    waiting: int
    held: int
    oldest: int
    next_attempt: int
    status: str = ""


class IQueueStore(Interface):
    """
    Keeps one queue, durably: what an awaitable gave is on disk.

    All raise MailError UNAVAILABLE when the store does not answer; only further kinds are named.
    """

    def lease_due(now: int, until: int, quota: Quota, after: str) -> Awaitable[Leased]:
        """
        Take recipients that are due, so that nobody else takes them before `until`.

        Domains are asked in their order, from the one after `after`, some at a time; within one, those due longest come
        first. All recipients of a message for a domain that are due are taken together.
        """

    def lease_fresh(now: int, until: int, quota: Quota, after: int) -> Awaitable[Fresh]:
        """Take recipients that are due of messages that came after some message, in order of arrival."""

    def lease_late(now: int, until: int, late: Late, limit: int) -> Awaitable[Sequence[Pending]]:
        """Take recipients that are too old, the oldest first."""

    def load(message_id: int, places: Sequence[int]) -> Awaitable[Loaded]:
        """
        Read a message back.

        Raises:
            MailError: NOT_FOUND when it is gone; INVALID when it cannot be read.
        """

    def record(records: Sequence[Record], reports: Sequence[SpoolMessage]) -> Awaitable[None]:
        """
        Remember results and add the reports that follow from them: all or nothing.

        What was held meanwhile stays held, and what was removed stays removed.
        """

    def give_back(pendings: Sequence[Pending]) -> Awaitable[None]:
        """End leases without an attempt."""

    def list_entries(selection: Selection, after: str, limit: int) -> Awaitable[Sequence[QueueEntry]]:
        """
        Give messages in order of arrival, with those recipients that were selected.

        Args:
            after: the queue id of the last one that was seen; empty for the beginning.

        Raises:
            MailError: NOT_FOUND when `selection` names a message that does not wait.
        """

    def change(change: Change, selection: Selection, now: int) -> Awaitable[int]:
        """
        Do something to recipients; give the number of those changed.

        Raises:
            MailError: NOT_FOUND when `selection` names a message that does not wait; CONFLICT when it is held and was
                to be tried.
        """

    def count(selection: Selection) -> Awaitable[Counts]:
        """Count what waits or is held."""

    def count_domains() -> Awaitable[Sequence[DomainCount]]:
        """Count by domain, the longest queue first."""
