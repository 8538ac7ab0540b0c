"""
Which work on a spool is one process's.

A spool is usually whole in one process. With worker processes, each worker receives into a spool of its own, and one
process works on the queues of all of them; both write to the same database, each only what is its own. Whoever adds
messages gives them ids of its own kind, so that neither must ask the other.
"""

import enum


class Share(enum.Enum):
    """What a process does with a spool."""

    WHOLE = "whole"
    """It alone has the spool open."""
    RECEPTION = "reception"
    """It receives, delivers at once, and forgets what nobody needs; the queue is another's."""
    QUEUE = "queue"
    """It works on the queue, and adds the reports that this brings about."""

    @property
    def receives(self) -> bool:
        """Whether body files are this process's."""
        return self is not Share.QUEUE

    @property
    def leases(self) -> bool:
        """Whether the recipients in the queue are this process's."""
        return self is not Share.RECEPTION

    @property
    def parity(self) -> int | None:
        """The lowest bit of the ids of messages that are this process's; None for any."""
        match self:
            case Share.WHOLE:
                return None
            case Share.RECEPTION:
                return 1
            case Share.QUEUE:
                return 0

    def first_id(self, last: int) -> int:
        """Give the first id after `last` that this process may use; the others follow in steps of `ID_STEP`."""
        wanted = 1 if self.parity is None else self.parity
        return last + 1 if (last + 1) & 1 == wanted else last + 2


ID_STEP = 2
