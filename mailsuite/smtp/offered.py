"""What a host says it can, in its reply to EHLO."""

import re
from collections.abc import Mapping, Sequence

import attrs

SIZE_MAX_DIGITS = 20  # RFC 1870 section 4
_LIMIT = re.compile(r"[1-9][0-9]{0,5}")  # RFC 9422 section 4.1, section 4.2 and section 4.3


@attrs.frozen(kw_only=True)
class Offered:
    """
    The service extensions of a host: RFC 5321 section 2.2.

    Args:
        size_octets: the longest message; 0 is no limit, or none that was told.
        auth: AUTH as RFC 4954 has it.
        mechanisms: of AUTH, however it is written.
        messages_max: transactions on one connection; 0 is no limit. RFC 9422 section 4.1.
        recipients_max: recipients of one transaction; 0 likewise. RFC 9422 section 4.2.
        domains_max: domains of the recipients of one connection; 0 likewise. RFC 9422 section 4.3.
    """

    pipelining: bool = False
    chunking: bool = False
    eight_bit_mime: bool = False
    binary_mime: bool = False
    smtputf8: bool = False
    dsn: bool = False
    starttls: bool = False
    requiretls: bool = False
    size: bool = False
    size_octets: int = 0
    auth: bool = False
    mechanisms: frozenset[str] = frozenset()
    messages_max: int = 0
    recipients_max: int = 0
    domains_max: int = 0


NOTHING = Offered()


def parse_offered(lines: Sequence[str]) -> Offered:
    """
    Read the lines after the first one of the reply; what is not understood is as if it was not there.

    Args:
        lines: each a keyword and its parameters.
    """
    words = {keyword.upper(): value for keyword, _, value in (line.partition(" ") for line in lines)}
    limits = _limits(words.get("LIMITS", ""))
    # A mail server of old writes AUTH=LOGIN for clients of old.
    mechanisms = {name for key, value in words.items() if key == "AUTH" for name in value.upper().split()}
    mechanisms |= {key.removeprefix("AUTH=") for key in words if key.startswith("AUTH=")}
    return Offered(
        pipelining="PIPELINING" in words,  # RFC 2920
        chunking="CHUNKING" in words,  # RFC 3030
        eight_bit_mime="8BITMIME" in words,  # RFC 6152
        binary_mime="BINARYMIME" in words,  # RFC 3030
        smtputf8="SMTPUTF8" in words,  # RFC 6531
        dsn="DSN" in words,  # RFC 3461
        starttls="STARTTLS" in words,  # RFC 3207
        requiretls="REQUIRETLS" in words,  # RFC 8689
        size="SIZE" in words,  # RFC 1870
        size_octets=_size(words.get("SIZE", "")),
        auth="AUTH" in words,  # RFC 4954
        mechanisms=frozenset(mechanisms),
        messages_max=limits.get("MAILMAX", 0),
        recipients_max=limits.get("RCPTMAX", 0),
        domains_max=limits.get("RCPTDOMAINMAX", 0),
    )


def _limits(text: str) -> Mapping[str, int]:
    """Read limits; one that is malformed is as if it was not there (RFC 9422 section 3.7)."""
    pairs = (word.partition("=") for word in text.split())
    return {name.upper(): int(value) for name, _, value in pairs if _LIMIT.fullmatch(value)}


def _size(text: str) -> int:
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= SIZE_MAX_DIGITS else 0
