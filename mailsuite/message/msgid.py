"""
Message-IDs that nobody else makes.

RFC 5322 section 3.6.4.
"""

import re

from mailsuite.message.dates import civil_from_days

_NOT_IN_DOMAIN = re.compile(r"[^A-Za-z0-9.-]")
_DAY_SECONDS = 86400


def make_message_id(domain: str, when: float, randomness: bytes) -> str:
    """
    Make a Message-ID with its angle brackets: the time, for people who read logs, and randomness.

    Args:
        domain: right of the ``@``; an A-label. Characters that are not allowed there are dropped.
        when: seconds since the epoch.
        randomness: at least 8 octets from a good source.
    """
    days, seconds = divmod(int(when // 1), _DAY_SECONDS)
    year, month, day = civil_from_days(days)
    minutes, second = divmod(seconds, 60)
    stamp = f"{year:04d}{month:02d}{day:02d}{minutes // 60:02d}{minutes % 60:02d}{second:02d}"
    right = _NOT_IN_DOMAIN.sub("", domain).strip(".") or "localhost"
    return f"<{stamp}.{randomness.hex()}@{right}>"
