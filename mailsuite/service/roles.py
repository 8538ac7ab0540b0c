"""Which services one process runs."""

import enum
from collections.abc import Mapping


class Role(enum.Enum):
    """A share of the suite that can run in a process of its own."""

    SMTP = "smtp"
    """Reception and submission, and delivery to our own mailboxes."""
    QUEUE = "queue"
    """Whatever could not be delivered at once, and mail for elsewhere."""
    IMAP = "imap"
    POP3 = "pop3"


ALL_ROLES = frozenset(Role)

SERVICES: Mapping[str, Role] = {
    "smtp": Role.SMTP,
    "submission": Role.SMTP,
    "submissions": Role.SMTP,
    "lmtp": Role.SMTP,
    "imap": Role.IMAP,
    "imaps": Role.IMAP,
    "pop3": Role.POP3,
    "pop3s": Role.POP3,
}
"""The role of each key of ``[listen]``."""
