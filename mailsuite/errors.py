"""
The neutral failures of stores, directory and queue, and the peer's own mistakes.

A third family needs no class: any other exception is our bug, is logged with its traceback, and is answered as a
temporary failure while mail is held.
"""

import enum


class Kind(enum.Enum):
    """What went wrong, in words that belong to no protocol; each protocol maps them to its own."""

    NOT_FOUND = "not found"
    EXISTS = "exists"
    DENIED = "denied"
    OVER_QUOTA = "over quota"
    TOO_LARGE = "too large"
    INVALID = "invalid"
    CONFLICT = "conflict"
    EXPUNGED = "expunged"
    UNAVAILABLE = "temporarily unavailable"


class MailError(Exception):
    """
    An operation failed for a reason that its caller can act on.

    Args:
        kind: what went wrong.
        detail: one sentence that may be shown to the peer: no paths, no SQL, nobody else's address.
    """

    def __init__(self, kind: Kind, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail or kind.value

    def __str__(self) -> str:
        return self.detail


class ProtocolError(Exception):
    """
    The peer sent what its grammar does not allow.

    Args:
        detail: what was wrong, in words for the peer; ASCII, one line.
        close: the connection cannot go on, since it is unknown where the next command begins.
    """

    def __init__(self, detail: str, *, close: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.close = close
