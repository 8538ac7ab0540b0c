"""What arrived, as Python reads it."""

import email
import email.policy
from email.message import EmailMessage

UTF8 = email.policy.default.clone(utf8=True)


def read_all(demo, account, mailbox: str = "INBOX") -> list[EmailMessage]:
    """Fetch every message of a mailbox, in the order of their UIDs."""
    with demo.imap(account) as client:
        client.select(mailbox, readonly=True)
        _, data = client.search(None, "ALL")
        numbers = b",".join(data[0].split())
        if not numbers:
            return []
        _, rows = client.fetch(numbers.decode(), "(BODY.PEEK[])")
    return [email.message_from_bytes(row[1], policy=UTF8) for row in rows if isinstance(row, tuple)]
