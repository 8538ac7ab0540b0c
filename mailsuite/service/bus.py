"""The change bus between worker processes: each tells its own sessions at once, and the others through the parent."""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime

from mailsuite.interfaces import MailboxChange
from mailsuite.service.link import Link
from mailsuite.store import ChangeBus

CHANGES = "changes"
GAP = "gap"


class WorkerBus(ChangeBus):
    """
    The bus of one worker.

    Args:
        link: to the parent.
    """

    is_alone = False

    def __init__(self, link: Link, clock: IReactorTime) -> None:
        super().__init__()
        self._outbox = Outbox(link, clock)
        link.notes[CHANGES] = self._hear
        link.notes[GAP] = lambda _: self.resynchronise()

    def publish(self, change: MailboxChange) -> None:
        """Tell everybody, here and in the other workers."""
        super().publish(change)
        self._outbox.put(change)

    def _hear(self, note: Any) -> None:
        for account_id, mailbox_id, modseq in note["changes"]:
            self._tell(MailboxChange(account_id, mailbox_id, modseq))


class Outbox:
    """
    Notices on their way over one link: those of one turn of the reactor go together.

    While the other end does not read, they are dropped, and it is told of the gap when it reads again.
    """

    def __init__(self, link: Link, clock: IReactorTime) -> None:
        self._link = link
        self._clock = clock
        self._waiting: dict[tuple[int, int], int] = {}
        self._gap = False
        link.relieved = self._relieved

    def put(self, change: MailboxChange) -> None:
        """Say it soon."""
        first = not self._waiting
        key = change.account_id, change.mailbox_id
        self._waiting[key] = max(change.modseq, self._waiting.get(key, 0))
        if first:
            self._clock.callLater(0, self._say)

    def _say(self) -> None:
        waiting, self._waiting = self._waiting, {}
        if self._link.congested:
            self._gap = True
        else:
            self._link.tell(CHANGES, changes=[[*key, modseq] for key, modseq in waiting.items()])

    def _relieved(self) -> None:
        if self._gap:
            self._gap = False
            self._link.tell(GAP)


class Relay:
    """What the parent does with notices: each goes to every worker but the one that it came from."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._outboxes: dict[Link, Outbox] = {}

    def join(self, link: Link) -> Callable[[], None]:
        """
        Connect a worker.

        Returns:
            Call it when the worker is gone.
        """
        self._outboxes[link] = Outbox(link, self._clock)
        link.notes[CHANGES] = lambda note: self._carry(link, note["changes"])
        link.notes[GAP] = lambda _: self._carry_gap(link)

        def leave() -> None:
            self._outboxes.pop(link, None)
            self._carry_gap(link)  # it may have ended between a commit and the notice of it

        return leave

    def _carry(self, source: Link, changes: Sequence[Sequence[int]]) -> None:
        for link, outbox in self._outboxes.items():
            if link is not source:
                for account_id, mailbox_id, modseq in changes:
                    outbox.put(MailboxChange(account_id, mailbox_id, modseq))

    def _carry_gap(self, source: Link) -> None:
        for link in self._outboxes:
            if link is not source:
                link.tell(GAP)
