"""
Annotations: named values that clients keep with a mailbox or with an account (RFC 5464).

An entry is a path such as ``/private/comment``, printable ASCII; case does not count when entries are compared, and the
one that was written last is shown. What is below ``/private`` belongs to who wrote it, what is below ``/shared`` to all
who may see the mailbox. Instead of the name of a mailbox the empty string stands for the account itself.
"""

import enum
from collections.abc import Awaitable, Mapping, Sequence

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces.special_use import SpecialUse, SpecialUseError, ensure_possible_uses
from mailsuite.interfaces.storage import IMailAccount

PRIVATE = "/private"
SHARED = "/shared"
SPECIAL_USE_ENTRY = "/private/specialuse"
"""Says, and changes, what a mailbox is for (RFC 6154 section 4)."""

_SPECIAL_USES = {use.value.lower(): use for use in SpecialUse}


class Depth(enum.Enum):
    """How far below an entry others are asked for as well (RFC 5464 section 4.2.2)."""

    ENTRY = "0"
    CHILDREN = "1"
    ALL = "infinity"


def is_private(entry: str) -> bool:
    """Whether an entry belongs to who wrote it."""
    return entry.lower().startswith(f"{PRIVATE}/")


def is_asked(entry: str, entries: Sequence[str], depth: Depth) -> bool:
    """Whether an entry is one of those that are asked for, or lies below one."""
    entry = entry.lower()
    for asked in entries:
        above = asked.lower()
        if entry == above:
            return True
        if depth is not Depth.ENTRY and entry.startswith(f"{above}/"):
            below = entry[len(above) + 1 :]
            if depth is Depth.ALL or "/" not in below:
                return True
    return False


def special_use_value(uses: frozenset[SpecialUse]) -> bytes | None:
    """Write what a mailbox is for as a value; None for nothing."""
    return " ".join(sorted(use.value for use in uses)).encode("ascii") or None


def parse_special_use(value: bytes | None, old: frozenset[SpecialUse]) -> frozenset[SpecialUse]:
    r"""
    Read what a mailbox is to be for (RFC 6154 section 4).

    Args:
        old: what it is for now; see `ensure_possible_uses`.

    Raises:
        SpecialUseError: it cannot be for that.
    """
    words = (value or b"").decode("ascii", "replace").lower().split()
    if not all(word in _SPECIAL_USES for word in words):
        raise SpecialUseError("there is no such special use")
    uses = frozenset(_SPECIAL_USES[word] for word in words)
    ensure_possible_uses(uses, old)
    return uses


class TooManyAnnotationsError(MailError):
    """The mailbox or the account has as many annotations as it may have."""

    def __init__(self) -> None:
        super().__init__(Kind.OVER_QUOTA, "there are too many annotations")


class NoPrivateAnnotationsError(MailError):
    """Nothing can be kept for oneself with this mailbox."""

    def __init__(self) -> None:
        super().__init__(Kind.DENIED, "the mailbox keeps no private annotations")


@attrs.frozen(kw_only=True)
class AnnotationLimits:
    """
    How many annotations there may be.

    Args:
        per_mailbox: of one mailbox, or of the account itself, that one reader sees.
        per_account: in all.
    """

    per_mailbox: int
    per_account: int


@attrs.frozen(kw_only=True)
class AnnotationChange:
    """
    An annotation was set or removed.

    Args:
        number: the higher, the later.
        mailbox: its name; empty for the account itself.
    """

    number: int
    mailbox: str
    entry: str


@attrs.frozen(kw_only=True)
class AnnotationChanges:
    """
    Which annotations were changed.

    Args:
        number: ask from here next time.
        changes: in order.
    """

    number: int
    changes: Sequence[AnnotationChange] = ()


class IAnnotatedAccount(IMailAccount):
    """
    An account that keeps annotations with its mailboxes and with itself.

    They go with a mailbox that is renamed, and with one that is deleted; those of INBOX stay with INBOX. After each
    change the account's bus carries a notice with mailbox id 0. `SPECIAL_USE_ENTRY` of a mailbox is its special use.
    """

    def annotations(name: str, entries: Sequence[str], depth: Depth) -> Awaitable[Mapping[str, bytes]]:
        """
        Give the entries that are asked for and have a value, in any order.

        Raises:
            MailError: NOT_FOUND when there is no such mailbox.
        """

    def annotate(name: str, values: Mapping[str, bytes | None], limits: AnnotationLimits) -> Awaitable[Sequence[int]]:
        """
        Set entries, and remove those whose value is None, durably, all or none; return the numbers of the changes.

        What is so already is no change. What changes of a mailbox takes its next MODSEQ (RFC 7162 section 3.2).

        Raises:
            MailError: NOT_FOUND; INVALID for a special use that the mailbox cannot have; OVER_QUOTA; DENIED.
            TooManyAnnotationsError: of the mailbox or the account.
            NoPrivateAnnotationsError: nothing can be kept for oneself there.
        """

    def annotated(since: int | None) -> Awaitable[AnnotationChanges]:
        """
        Say which annotations that this account sees were changed, by whomever; None asks only for the number.

        What is gone with its mailbox, and removals that more than a thousand others followed, may be missing.
        """
