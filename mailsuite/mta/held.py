"""What a sender is told of mail that waits until a limit lets it go."""

import math
import time

from mailsuite.interfaces import Grant
from mailsuite.message.dates import format_date
from mailsuite.message.received import return_path_field
from mailsuite.smtp.replies import Reply

TELL_SECONDS = 60.0
"""Who waits for less is told so in the reply only."""

_MINUTE_SECONDS = 60
_LIMITS = {
    "submission.sender": "{limit} messages a minute from one address",
    "submission.hour": "{limit} messages an hour",
    "submission.day": "{limit} messages a day",
    "submission.recipients": "{limit} recipients a day",
    "submission.null": "{limit} messages an hour with an empty sender address",
}


def limit_in_words(grant: Grant) -> str:
    """Name the limit that makes one wait."""
    return _LIMITS.get(grant.rule, "{limit} messages").format(limit=grant.limit)


def held_note(grant: Grant, release: int) -> str:
    """
    Say in the reply until when a message is held.

    Args:
        release: seconds since the epoch; the minute in which that lies is over at the time that is named.
    """
    minute = time.gmtime(math.ceil(release / _MINUTE_SECONDS) * _MINUTE_SECONDS)
    return f"held until {minute.tm_hour:02d}:{minute.tm_min:02d} UTC: limit of {limit_in_words(grant)}"


def refusal(grant: Grant) -> Reply:
    """Refuse a message for now: RFC 5321 section 4.2.3, RFC 3463 section 3.8."""
    minutes = max(1, math.ceil(grant.wait_seconds / _MINUTE_SECONDS))
    words = f"limit of {limit_in_words(grant)}, and enough waits already; try again in {minutes} minutes"
    return Reply(452, "4.7.0", (words,))


def make_notice(
    *, hostname: str, account: str, queue_id: str, grant: Grant, release: int, now: float, message_id: str
) -> bytes:
    """
    Write to an account that its mail is held.

    Args:
        release: when the message leaves, in seconds since the epoch.
        message_id: a token for the Message-ID; unique.

    Returns:
        The whole message, with a Return-Path field first.
    """
    lines = (
        f"From: Mail Delivery System <MAILER-DAEMON@{hostname}>",
        f"To: <{account}>",
        "Subject: Your mail is held for a while",
        f"Date: {format_date(now)}",
        f"Message-ID: <{message_id}@{hostname}>",
        "Auto-Submitted: auto-generated",  # RFC 3834 section 5
        "MIME-Version: 1.0",
        f"Content-Type: text/plain; charset={'us-ascii' if account.isascii() else 'utf-8'}",
        f"Content-Transfer-Encoding: {'7bit' if account.isascii() else '8bit'}",
        "",
        f"This is the mail system at {hostname}.",
        "",
        f"The account {account} has reached its limit of {limit_in_words(grant)}.",
        "",
        "Nothing is lost. What you send now waits here and leaves by itself as soon as the",
        f"limit allows: the message {queue_id} at",
        "",
        f"    {format_date(release)}",
        "",
        "If you did not send so much mail, somebody else may know your password: change it.",
        "If you have to send that much, ask the administrator of this server.",
        "",
        "This notice comes at most once an hour.",
        "",
    )
    return return_path_field("") + "\r\n".join(lines).encode("utf-8", "replace")
