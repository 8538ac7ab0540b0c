"""Sizes and spans of time as people write them."""

import re

from mailsuite.errors import Kind, MailError

UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

SECONDS = {"": 1, "S": 1, "M": 60, "H": 3600, "D": 86_400, "W": 7 * 86_400}

_DURATION = re.compile(r"([0-9]{1,12})\s*([SMHDW]?)", re.IGNORECASE)
_SIZE = re.compile(r"([0-9]{1,19})\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """
    Read a size in octets, KiB, MiB, GiB or TiB.

    Raises:
        MailError: INVALID, when it is none.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise MailError(Kind.INVALID, f"{text!r} is no size; write a number of octets, or 500M, 2G")
    return int(match.group(1)) * UNITS[match.group(2).upper()]


def parse_duration(text: str) -> int:
    """
    Read a span of time in seconds, minutes, hours, days or weeks.

    Raises:
        MailError: INVALID, when it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise MailError(Kind.INVALID, f"{text!r} is no span of time; write a number of seconds, or 30m, 24h, 7d")
    return int(match.group(1)) * SECONDS[match.group(2).upper()]
