"""
What a guest may see and set of the annotations of a mailbox: those that are shared (RFC 5464 section 3.3).

Nothing is kept for oneself with a mailbox of another: it would lie in the owner's folder, and count for the owner.
"""

from collections.abc import Iterable

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import NoPrivateAnnotationsError, Right, Rights, is_private

SHARED_READER = 0
"""In place of the id of a reader: only what all see."""
_ANY_OF: Rights = frozenset((Right.READ, Right.SEEN, Right.WRITE, Right.INSERT, Right.POST))
_OWNERS = "/shared/admin"


def ensure_seen(granted: Rights) -> None:
    """
    Check that a guest, who may look the mailbox up, may see its shared annotations.

    Raises:
        MailError: DENIED.
    """
    if granted.isdisjoint(_ANY_OF):
        raise _not_allowed()


def ensure_settable(granted: Rights, entries: Iterable[str]) -> None:
    """
    Check that a guest, who may look the mailbox up, may set these entries.

    Raises:
        MailError: DENIED; without the right to write, or for who is to be asked about the mailbox.
        NoPrivateAnnotationsError: one of them is private (RFC 5464 section 4.3).
    """
    ensure_seen(granted)
    keys = [entry.lower() for entry in entries]
    if any(map(is_private, keys)):
        raise NoPrivateAnnotationsError
    if Right.WRITE not in granted or _OWNERS in keys:
        raise _not_allowed()


def _not_allowed() -> MailError:
    return MailError(Kind.DENIED, "you have not the right to do that with annotations of this mailbox")
