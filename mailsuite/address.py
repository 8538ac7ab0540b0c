"""
Mail addresses: the local part as its owner wrote it, the domain as an A-label.

RFC 5321 section 4.1.2, RFC 6531 section 3.3, RFC 5890 section 2.3.2.1.
"""

import functools
import re
from typing import Self

import attrs
import idna

from mailsuite.errors import Kind, MailError

LOCAL_PART_MAX_OCTETS = 64  # RFC 5321 section 4.5.3.1.1
DOMAIN_MAX_OCTETS = 255  # RFC 5321 section 4.5.3.1.2
PATH_MAX_OCTETS = 256  # RFC 5321 section 4.5.3.1.3
POSTMASTER_NAMES = frozenset({"postmaster", "abuse"})
"""Names that every domain has (RFC 5321 section 4.5.1, RFC 2142 section 4)."""
LABEL_MAX_OCTETS = 63  # RFC 1035 section 2.3.4

_DOT_STRING = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x80-\U0010ffff]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x80-\U0010ffff]+)*"
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@functools.lru_cache(maxsize=4096)
def normalize_domain(domain: str) -> str:
    """
    Write a domain in its one comparable form: lower case, A-labels, no final dot.

    Address literals (``[192.0.2.1]``, ``[IPv6:2001:db8::1]``) are kept, in lower case.

    Raises:
        MailError: INVALID, when it is no domain name.
    """
    if domain.startswith("[") and domain.endswith("]") and not _CONTROL.search(domain):
        return domain.lower()
    text = domain.removesuffix(".").lower()
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise MailError(Kind.INVALID, "that is not a domain name") from error
    labels = text.split(".")
    if not text or len(text) > DOMAIN_MAX_OCTETS or not all(_LABEL.fullmatch(label) for label in labels):
        raise MailError(Kind.INVALID, "that is not a domain name")
    return text


@attrs.frozen
class Address:
    """
    A mailbox name and its domain.

    Args:
        local_part: unquoted; compared case-insensitively for our own domains, kept as written for others.
        domain: in the form of `normalize_domain`; empty only for ``<postmaster>`` (RFC 5321 section 4.5.1).
    """

    local_part: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read ``local@domain``, with a quoted local part where needed; the last ``@`` divides.

        Raises:
            MailError: INVALID, with a sentence that says why.
        """
        local, at, domain = text.strip().rpartition("@")
        if not at or not local:
            raise MailError(Kind.INVALID, "an address is written name@domain")
        if local.startswith('"') and local.endswith('"') and len(local) >= 2:  # noqa: PLR2004 - both quotes
            local = re.sub(r"\\(.)", r"\1", local[1:-1])
        elif not _DOT_STRING.fullmatch(local):
            raise MailError(Kind.INVALID, "the part before the @ is not a valid mailbox name")
        if _CONTROL.search(local) or len(local.encode("utf-8", "surrogateescape")) > LOCAL_PART_MAX_OCTETS:
            raise MailError(Kind.INVALID, "the part before the @ is too long or holds control characters")
        return cls(local, normalize_domain(domain))

    @property
    def key(self) -> str:
        """The form under which one of our own addresses is stored and compared."""
        return f"{self.local_part.casefold()}@{self.domain}"

    def detail(self, separator: str = "+") -> tuple["Address", str]:
        """Split ``user+tag``: the address without the tag, and the tag or ``""`` (RFC 5233)."""
        user, mark, tag = self.local_part.partition(separator)
        if not mark or not user:
            return self, ""
        return Address(user, self.domain), tag

    @property
    def is_ascii(self) -> bool:
        """Whether a peer without SMTPUTF8 can be told this address."""
        return self.local_part.isascii()

    def __str__(self) -> str:
        local = _quoted_where_needed(self.local_part)
        return f"{local}@{self.domain}" if self.domain else local


@functools.lru_cache(maxsize=1024)
def _quoted_where_needed(local: str) -> str:
    if _DOT_STRING.fullmatch(local):
        return local
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
