"""What mailboxes are for (RFC 6154)."""

import enum

from mailsuite.errors import Kind, MailError


class SpecialUse(enum.Enum):
    r"""Mailbox attributes that name a purpose (RFC 6154 section 2)."""

    ALL = "\\All"
    ARCHIVE = "\\Archive"
    DRAFTS = "\\Drafts"
    FLAGGED = "\\Flagged"
    JUNK = "\\Junk"
    SENT = "\\Sent"
    TRASH = "\\Trash"


class SpecialUseError(MailError):
    """The mailbox cannot have that special use (RFC 6154 section 3)."""

    def __init__(self, detail: str = "no mailbox here can have that special use") -> None:
        super().__init__(Kind.INVALID, detail)


_VIRTUAL_USES = frozenset((SpecialUse.ALL, SpecialUse.FLAGGED))


def ensure_possible_uses(uses: frozenset[SpecialUse], old: frozenset[SpecialUse] = frozenset()) -> None:
    r"""
    Check that a mailbox can be for all of this, the same way whatever asks (RFC 6154 sections 3 and 4).

    Args:
        old: what it is for now; ``\All`` and ``\Flagged`` can only stay, since no mailbox shows what is in others.

    Raises:
        SpecialUseError: it cannot.
    """
    if (uses - old) & _VIRTUAL_USES:
        raise SpecialUseError
