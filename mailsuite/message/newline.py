"""
Line ends: CRLF on the wire and in the store, whatever other programs wrote.

RFC 5322 section 2.3: CR and LF occur only together.
"""

import re

_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def find_bare(octets: bytes, start: int = 0) -> int:
    """Give the index of the first CR or LF that stands alone, at or after `start`; -1 when there is none."""
    if octets.count(b"\r") == octets.count(b"\r\n") == octets.count(b"\n"):
        return -1
    found = _BARE.search(octets, start)
    return found.start() if found else -1


def to_crlf(octets: bytes) -> bytes:
    """Turn every bare CR and bare LF into CRLF; content without any is returned as it is, not copied."""
    pairs = octets.count(b"\r\n")
    if octets.count(b"\n") == pairs and octets.count(b"\r") == pairs:
        return octets
    return octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def to_lf(octets: bytes) -> bytes:
    """Turn CRLF into LF, for programs that want text as Unix has it."""
    return octets.replace(b"\r\n", b"\n")
