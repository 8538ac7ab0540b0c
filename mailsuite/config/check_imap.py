"""What is wrong with what IMAP leaves out for everybody, for some clients, and for some accounts."""

from collections.abc import Iterable, Iterator, Mapping

from mailsuite.address import Address, normalize_domain
from mailsuite.config.faults import Fault, nearest
from mailsuite.errors import MailError
from mailsuite.imap.quirks import ANYTHING, PROTECTED, SWITCHABLE, version_key
from mailsuite.imap.settings import IMAPSettings, QuirkSettings


def check_imap(settings: IMAPSettings, quirks: Mapping[int, QuirkSettings], source: str) -> Iterator[Fault]:
    """
    Find what is wrong with it.

    Args:
        quirks: rows of the operator, by their place in the file.
        source: the file.
    """
    yield from _check_names("imap.capabilities_off", settings.capabilities_off, source)
    for number, row in quirks.items():
        key = f"imap_quirk[{number}]"
        yield from _check_names(f"{key}.off", row.off, source)
        yield from _check_names(f"{key}.on", row.on, source)
        yield from _check_whom(key, row, source)
        if not row.off and not row.on:
            yield Fault(f"{key}.off", 'is missing: a list of text, such as ["QRESYNC"]', source)


def _check_names(key: str, names: Iterable[str], source: str) -> Iterator[Fault]:
    known = {name.decode("ascii") for name in SWITCHABLE}
    for name in names:
        word = name.upper()
        if word.partition("=")[0].encode("ascii", "replace") in PROTECTED:
            yield Fault(key, f"{name} cannot be switched off", source)
        elif word not in known:
            yield Fault(key, f"there is no capability {name!r}{nearest(word, known)}", source)


def _check_whom(key: str, row: QuirkSettings, source: str) -> Iterator[Fault]:
    patterns = {
        "name": row.name,
        "vendor": row.vendor,
        "version": row.version,
        "os": row.os,
        "os_version": row.os_version,
    }
    bounds = {"version_from": row.version_from, "version_below": row.version_below}
    if not any((*patterns.values(), *bounds.values(), row.account, row.domain)):
        yield Fault(key, "says nobody; what holds for everybody stands in imap.capabilities_off", source)
    for name, pattern in patterns.items():
        if ANYTHING in pattern[:-1] or pattern == ANYTHING:
            yield Fault(f"{key}.{name}", f"{ANYTHING} stands at the end, behind what is sought", source)
    for name, version in bounds.items():
        if version and not version_key(version):
            yield Fault(f"{key}.{name}", f"{version!r} is no version, such as 16.5.1", source)
    if row.account:
        try:
            Address.parse(row.account)
        except MailError:
            yield Fault(f"{key}.account", f"{row.account!r} is no address", source)
    if row.domain:
        try:
            normalize_domain(row.domain)
        except MailError:
            yield Fault(f"{key}.domain", f"{row.domain!r} is no domain", source)
