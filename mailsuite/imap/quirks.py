"""
What is switched off for whom: by the operator, and because of faults of well-known programs.

RFC 2971 section 3 wants nobody to act on what ID tells; ``docs/adr/0018-faults-of-clients.rst`` says why this does.
"""

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

import attrs

from mailsuite.imap.capabilities import (
    ACL,
    ADMINISTERING,
    AFTER_LOGIN,
    ALWAYS,
    ANNOTATED,
    CONDSTORE,
    LIST_MYRIGHTS,
    METADATA,
    QRESYNC,
    QUOTA,
    QUOTASET,
    REMEMBERED,
    REV2,
    RIGHTS,
    SHARING,
    UTF8_ACCEPT,
    is_off,
)
from mailsuite.imap.settings import IMAPSettings, QuirkSettings

ANYTHING = "*"
"""At the end of what a field of ID is compared with."""
VERSION_MAX = 64
"""Of a version, no more characters are looked at."""
_LETTERS, _END, _NUMBER = range(3)  # the order of the pieces of a version

PROTECTED = frozenset({b"IMAP4REV1", b"STARTTLS", b"LOGINDISABLED", b"AUTH"})
"""What nobody can switch off: the protocol itself, and what protects passwords."""

OTHERS = (b"SASL-IR", b"COMPRESS=DEFLATE", b"APPENDLIMIT=")
"""What is announced depending on the session, and can be switched off."""

SWITCHABLE = frozenset(
    itertools.chain.from_iterable(
        {word.upper(), word.upper().partition(b"=")[0]}
        for word in (*ALWAYS, *AFTER_LOGIN, *REMEMBERED, *SHARING, *ANNOTATED, *ADMINISTERING, *OTHERS)
    )
) - {b"IMAP4REV1", b"APPENDLIMIT="}
"""What can be switched off; a name without ``=`` stands for all that begin with it and ``=`` as well."""

NEEDED_BY: Mapping[bytes, frozenset[bytes]] = {
    ACL: frozenset({RIGHTS.upper(), LIST_MYRIGHTS}),  # RFC 4314 section 5.1.1, RFC 8440 section 3
    CONDSTORE: frozenset({QRESYNC}),  # RFC 7162 section 3.2
    b"ENABLE": frozenset({QRESYNC, UTF8_ACCEPT, REV2}),
    b"ESEARCH": frozenset({b"SEARCHRES"}),  # RFC 5182 section 2.1
    METADATA: frozenset({b"LIST-METADATA"}),  # RFC 9590 section 3
    QUOTA: frozenset({QUOTASET}),  # RFC 9208 section 1
    b"SORT": frozenset({b"ESORT"}),  # RFC 5267 section 3.1
    b"SPECIAL-USE": frozenset({b"CREATE-SPECIAL-USE"}),
}
"""What makes no sense without a capability, and goes with it."""

SHIPPED: tuple[QuirkSettings, ...] = (
    QuirkSettings(
        name="Thunderbird for Android",
        version_from="12.0a1",
        version_below="12.0b4",
        off=("UTF8=ACCEPT",),
        reason="enables it, but shows names of folders with question marks and goes on writing them in modified UTF-7",
        source="https://github.com/thunderbird/thunderbird-android/issues/9480",
    ),
    QuirkSettings(
        name="K-9 Mail",
        version_from="12.0a1",
        version_below="12.0b4",
        off=("UTF8=ACCEPT",),
        reason="enables it, but shows names of folders with question marks and goes on writing them in modified UTF-7",
        source="https://github.com/thunderbird/thunderbird-android/issues/9212",
    ),
    QuirkSettings(
        name="iPhone Mail",
        os_version="16.5.1*",
        off=("CONDSTORE",),
        reason="sends CHANGEDSINCE 0, which is no MODSEQ, for accounts that it knew before they had CONDSTORE",
        source="https://github.com/modern-email/defects/issues/29",
    ),
    QuirkSettings(
        name="Microsoft Office 365",
        off=("UIDONLY",),
        reason="enables it and then asks by message numbers, which must be refused: no mail arrives",
        source="https://github.com/modern-email/defects/issues/49",
    ),
)
"""Faults that somebody has reported in public, where the client says who it is; some of what is not offered yet."""


@attrs.frozen
class Verdict:
    """
    What is off for a session.

    Args:
        off: names in upper case, for `mailsuite.imap.capabilities.is_off`.
        rows: those that have a part in it, the operator's first.
    """

    off: frozenset[bytes]
    rows: tuple[QuirkSettings, ...] = ()


def judge(settings: IMAPSettings, client: Mapping[str, str] | None = None, account: str = "") -> Verdict:
    """
    Say what is off.

    What the operator switches off is off; what the operator keeps on is not switched off by shipped rows.

    Args:
        client: fields of its ID, names in lower case.
        account: address; empty before the login.
    """
    told = client or {}
    own = [row for row in settings.quirks if matches(row, told, account)]
    kept = _names(row.on for row in own)
    off = _names([settings.capabilities_off, *(row.off for row in own)])
    rows = [row for row in own if row.off]
    for row in SHIPPED if settings.shipped_quirks else ():
        unkept = {name for name in _names([row.off]) & SWITCHABLE if not is_off(name, kept)}
        if unkept and matches(row, told, account):
            off |= unkept
            rows.append(row)
    return Verdict(_shared(with_dependents(off) - PROTECTED), tuple(rows))


@functools.lru_cache(maxsize=256)
def _shared(off: frozenset[bytes]) -> frozenset[bytes]:
    """Give one object for equal sets: most sessions have the same."""
    return off


def matches(row: QuirkSettings, client: Mapping[str, str], account: str) -> bool:
    """Whether a row is about this client and this account."""
    if not all(_fits(pattern, client.get(field, "")) for field, pattern in _patterns(row)):
        return False
    if not _has_version(row, client.get("version", "")):
        return False
    if row.account and row.account.casefold() != account.casefold():
        return False
    return not row.domain or row.domain.casefold() == account.rpartition("@")[2].casefold()


def _patterns(row: QuirkSettings) -> Iterator[tuple[str, str]]:
    """Give the fields of ID that a row asks for, and what they must be (RFC 2971 section 3.3)."""
    for field, pattern in (
        ("name", row.name),
        ("vendor", row.vendor),
        ("version", row.version),
        ("os", row.os),
        ("os-version", row.os_version),
    ):
        if pattern:
            yield field, pattern


def _fits(pattern: str, text: str) -> bool:
    wanted, told = pattern.casefold(), text.casefold()
    return told.startswith(wanted[:-1]) if wanted.endswith(ANYTHING) else told == wanted


def _has_version(row: QuirkSettings, told: str) -> bool:
    if not row.version_from and not row.version_below:
        return True
    version = version_key(told)
    if not version or (row.version_from and version < version_key(row.version_from)):
        return False
    return not row.version_below or version < version_key(row.version_below)


def version_key(version: str) -> tuple[tuple[int, int | str], ...]:
    """
    Make a version comparable: by its numbers, and with letters, as of 12.0b4, before the version without them.

    Empty for what has no number or letter.
    """
    pieces = re.findall(r"[0-9]{1,18}|[a-z]+", version.lower()[:VERSION_MAX])
    if not pieces:
        return ()
    return (*((_NUMBER, int(piece)) if piece[0].isdigit() else (_LETTERS, piece) for piece in pieces), (_END, 0))


def describe(row: QuirkSettings) -> str:
    """Say whom a row is about."""
    said = [f"{field} {pattern}" for field, pattern in _patterns(row)]
    said += [
        f"{word} {text}"
        for word, text in (
            ("version from", row.version_from),
            ("version below", row.version_below),
            ("account", row.account),
            ("domain", row.domain),
        )
        if text
    ]
    return ", ".join(said)


def with_dependents(off: AbstractSet[bytes]) -> frozenset[bytes]:
    """Add what makes no sense without these."""
    return frozenset(off).union(*(dependents for name, dependents in NEEDED_BY.items() if name in off))


def _names(lists: Iterable[Iterable[str]]) -> frozenset[bytes]:
    return frozenset(word.upper().encode("ascii", "replace") for words in lists for word in words)
