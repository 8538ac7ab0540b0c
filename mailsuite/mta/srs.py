"""
Sender rewriting: the reverse-path with which mail is passed on, so that it passes SPF (RFC 7208) where it goes.

The scheme is Shevek's: ``SRS0=hash=day=domain=local@ours`` is what we make of ``local@domain``; what another host has
rewritten becomes ``SRS1=hash=other==hash=day=domain=local@ours``, so that a report takes the shortest way back. Only
who knows the secret can make either, and for some weeks only. Hosts may change the case of letters: nothing depends
on it but the local part that comes back.

Pure: no clock, no directory.
"""

import hashlib
import hmac
import re
from base64 import b32encode

import attrs

from mailsuite.address import LOCAL_PART_MAX_OCTETS, Address
from mailsuite.errors import Kind, MailError

HASH_CHARACTERS = 6
AGE_MAX_DAYS = 21
DAY_SECONDS = 86_400
DAYS = 1024
"""A day is written by two characters of five bits each, so it comes again after that time."""

BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

_SRS0 = re.compile(r"SRS0[=+-]([^=]+)=([A-Z2-7]{2})=([^=]+)=(.+)", re.IGNORECASE | re.ASCII)
_SRS1 = re.compile(r"SRS1[=+-]([^=]+)=([^=]+)=([=+-].+)", re.IGNORECASE | re.ASCII)
_REWRITTEN = re.compile(r"SRS[01][=+-]", re.IGNORECASE | re.ASCII)


def is_rewritten(local_part: str) -> bool:
    """Whether a local part looks as one that was rewritten, by us or by others."""
    return _REWRITTEN.match(local_part) is not None


@attrs.frozen
class SenderRewriting:
    """
    Rewrites reverse-paths, and reads what it has written.

    Args:
        secret: the same for all hosts of the domains that are rewritten into.
    """

    secret: bytes = attrs.field(repr=False)

    def rewrite(self, sender: Address, domain: str, now: float) -> Address | None:
        """
        Give the reverse-path for mail that is passed on; None when there is none that could be used.

        Args:
            domain: ours, to which reports are to come.
            now: seconds since the epoch.
        """
        if sender.domain.startswith("[") or not sender.domain:
            return None
        local = self._rewrite_again(sender) or self._rewrite_first(sender, now)
        return Address(local, domain) if len(local.encode("utf-8", "replace")) <= LOCAL_PART_MAX_OCTETS else None

    def _rewrite_first(self, sender: Address, now: float) -> str:
        day = int(now // DAY_SECONDS) % DAYS
        stamp = BASE32[day >> 5] + BASE32[day & 31]
        return f"SRS0={self._hash(stamp, sender.domain, sender.local_part)}={stamp}={sender.domain}={sender.local_part}"

    def _rewrite_again(self, sender: Address) -> str | None:
        """Rewrite what others have rewritten: the first of them is who knows the sender."""
        if _SRS0.fullmatch(sender.local_part):
            first, rest = sender.domain, sender.local_part[len("SRS0") :]
        elif match := _SRS1.fullmatch(sender.local_part):
            first, rest = match[2], match[3]
        else:
            return None
        return f"SRS1={self._hash(first, rest)}={first}={rest}"

    def restore(self, local_part: str, now: float) -> Address:
        """
        Give the reverse-path from which a local part was made.

        Raises:
            MailError: DENIED when it was not made here, or too long ago; its text says no more than that.
        """
        if match := _SRS0.fullmatch(local_part):
            given, stamp, domain, local = match.groups()
            if not self._is_genuine(given, stamp, domain, local) or not _is_recent(stamp, now):
                raise _not_ours()
            return _address(local, domain)
        if match := _SRS1.fullmatch(local_part):
            given, first, rest = match.groups()
            if not self._is_genuine(given, first, rest):
                raise _not_ours()
            return _address(f"SRS0{rest}", first)
        raise _not_ours()

    def _hash(self, *parts: str) -> str:
        text = "=".join(part.casefold() for part in parts)
        digest = hmac.digest(self.secret, text.encode("utf-8", "replace"), hashlib.sha256)
        return b32encode(digest).decode("ascii")[:HASH_CHARACTERS]

    def _is_genuine(self, given: str, *parts: str) -> bool:
        return hmac.compare_digest(given.upper().encode("utf-8", "replace"), self._hash(*parts).encode("ascii"))


def _is_recent(stamp: str, now: float) -> bool:
    high, low = (BASE32.index(character) for character in stamp.upper())
    age = (int(now // DAY_SECONDS) - (high << 5 | low)) % DAYS
    return age <= AGE_MAX_DAYS or age == DAYS - 1  # another host's clock may be a day ahead


def _address(local: str, domain: str) -> Address:
    try:
        return Address.parse(str(Address(local, domain)))
    except MailError as error:
        raise _not_ours() from error


def _not_ours() -> MailError:
    return MailError(Kind.DENIED, "this address is not valid, or not any more")
