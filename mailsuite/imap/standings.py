"""Where mailboxes stood when the client was told of them last, and which counts are news."""

from collections.abc import Collection, Iterator, Mapping

import attrs

from mailsuite.imap.commands import StatusItem
from mailsuite.imap.notify_commands import NotifyEvent
from mailsuite.interfaces import MailboxStatus


@attrs.frozen(kw_only=True)
class Standing:
    """Where a mailbox stood; None is not known, so that no difference is seen."""

    messages: int
    uidnext: int
    uidvalidity: int | None
    unseen: int | None
    modseq: int | None

    @classmethod
    def of(cls, counts: MailboxStatus) -> "Standing":
        """Give what is compared."""
        return cls(
            messages=counts.messages,
            uidnext=counts.uidnext,
            uidvalidity=counts.uidvalidity,
            unseen=counts.unseen,
            modseq=counts.highest_modseq,
        )


NEW = Standing(messages=0, uidnext=1, uidvalidity=None, unseen=None, modseq=None)
"""A mailbox of which the client knows nothing: whatever lies in it is news."""


@attrs.frozen
class OwnChanges:
    """What the client did to a mailbox itself since it was told of it last."""

    changes: int = 0
    added: int = 0
    removed: int = 0

    def explain(self, before: Standing, now: Standing) -> bool:
        """Whether nothing else happened: each change takes one MODSEQ, and those of others would have theirs."""
        return (
            now.messages == before.messages + self.added - self.removed
            and now.uidnext == before.uidnext + self.added
            and before.uidvalidity in {None, now.uidvalidity}
            and (before.modseq is None or now.modseq == before.modseq + self.changes)
        )


class Standings:
    """What the client knows of the mailboxes that are watched for it, by their ids."""

    __slots__ = ("_known", "_own")

    def __init__(self) -> None:
        self._known: dict[int, Standing] = {}
        self._own: dict[int, OwnChanges] = {}

    def know(self, mailbox_id: int, standing: Standing) -> None:
        """Take it as told that the mailbox stands there."""
        self._known[mailbox_id] = standing
        self._own.pop(mailbox_id, None)

    def is_known(self, mailbox_id: int) -> bool:
        """Whether the client was ever told of the mailbox."""
        return mailbox_id in self._known

    def note_own(self, mailbox_id: int, *, added: int = 0, removed: int = 0) -> None:
        """Note one change that the client made itself."""
        own = self._own.get(mailbox_id, OwnChanges())
        self._own[mailbox_id] = OwnChanges(own.changes + 1, own.added + added, own.removed + removed)

    def keep(self, watched: Collection[int]) -> None:
        """Forget all others."""
        self._known = {mailbox_id: known for mailbox_id, known in self._known.items() if mailbox_id in watched}
        self._own = {mailbox_id: own for mailbox_id, own in self._own.items() if mailbox_id in watched}

    def news(
        self, mailbox_id: int, now: Standing, events: Mapping[int, Collection[NotifyEvent]], *, modseqs: bool
    ) -> Iterator[StatusItem]:
        """
        Say which counts are to be told (RFC 5465 sections 5.1 to 5.3), and take them as told.

        Args:
            events: what is to be told of each mailbox.
            modseqs: the client knows MODSEQs.
        """
        before, own = self._known.get(mailbox_id), self._own.get(mailbox_id)
        self.know(mailbox_id, now)
        if before is None or (own is not None and own.explain(before, now)):
            return
        tells_flags = NotifyEvent.FLAG_CHANGE in events.get(mailbox_id, ())
        moved = (now.messages, now.uidnext) != (before.messages, before.uidnext)
        other = before.uidvalidity not in {None, now.uidvalidity}
        seen = tells_flags and before.unseen not in {None, now.unseen}
        changed = seen or (tells_flags and modseqs and before.modseq not in {None, now.modseq})
        if moved or other:
            yield from (StatusItem.MESSAGES, StatusItem.UIDNEXT)
        if moved or other or changed:
            yield StatusItem.UIDVALIDITY
            if seen:
                yield StatusItem.UNSEEN
            if modseqs:
                yield StatusItem.HIGHESTMODSEQ
