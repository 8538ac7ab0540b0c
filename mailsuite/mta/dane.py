"""Which certificates DNSSEC vouches for: TLSA records of hosts. RFC 7672, RFC 6698."""

import enum
import hashlib
from collections.abc import Sequence

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import TLSA, IResolver, NoRecordsError, TLSARecord
from mailsuite.mta.next_hop import Host

PORT = 25
"""TLSA records of mail hosts are those of this port, wherever tests send mail to (RFC 7672 section 2.2.3)."""
RECORDS_MAX = 50


class Usage(enum.IntEnum):
    """What a record is about (RFC 7218 section 2.1)."""

    TRUST_ANCHOR = 2
    END_ENTITY = 3


class Selector(enum.IntEnum):
    """Which part of a certificate a record is about (RFC 7218 section 2.2)."""

    CERTIFICATE = 0
    PUBLIC_KEY = 1


class Matching(enum.IntEnum):
    """How a record tells that part (RFC 7218 section 2.3)."""

    WHOLE = 0
    SHA256 = 1
    SHA512 = 2


_DIGESTS = {Matching.SHA256: hashlib.sha256, Matching.SHA512: hashlib.sha512}


@attrs.frozen(kw_only=True)
class TLSASet:
    """
    The TLSA records of a host.

    Args:
        base: the host name under which they were found; the certificate of a trust anchor's host must be for it.
        usable: those that SMTP allows and that we understand (RFC 7672 section 3.1); none means that TLS is a must,
            with any certificate (RFC 7672 section 2.2).
        text: all of them, for reports.
    """

    base: str
    usable: tuple[TLSARecord, ...]
    text: tuple[str, ...]


async def find_tlsa(resolver: IResolver, host: Host) -> TLSASet | None:
    """
    Find the TLSA records of a host; None when DNSSEC says that there are none (RFC 7672 section 2.2.3).

    Raises:
        MailError: UNAVAILABLE; the host must not be used now (RFC 7672 section 2.1.2).
    """
    for base in host.bases:
        try:
            answer = await resolver.resolve(f"_{PORT}._tcp.{base}", TLSA)
        except NoRecordsError:
            continue
        except MailError as error:
            if error.kind is Kind.INVALID:
                continue
            raise
        if answer.secure:
            records = answer.records[:RECORDS_MAX]
            return TLSASet(base=base, usable=usable(records), text=tuple(map(_text, records)))
    return None


def usable(records: Sequence[TLSARecord]) -> tuple[TLSARecord, ...]:
    """Choose the records to go by; where there is a stronger digest of the same, a weaker one does not count."""
    known = [
        record
        for record in records
        if record.usage in set(Usage) and record.selector in set(Selector) and record.matching in set(Matching)
    ]
    strong = {(record.usage, record.selector) for record in known if record.matching == Matching.SHA512}
    return tuple(
        record
        for record in known
        if record.matching != Matching.SHA256 or (record.usage, record.selector) not in strong  # RFC 7671 section 9
    )


def matches(record: TLSARecord, certificate: bytes) -> bool:
    """Say whether a certificate, in DER, is what a record tells (RFC 6698 section 2.1)."""
    try:
        part = certificate if record.selector == Selector.CERTIFICATE else public_key(certificate)
    except ValueError:
        return False
    digest = _DIGESTS.get(Matching(record.matching))
    return (part if digest is None else digest(part).digest()) == record.data


def public_key(certificate: bytes) -> bytes:
    """
    Cut the SubjectPublicKeyInfo out of a certificate, octet for octet (RFC 5280 section 4.1).

    Raises:
        ValueError: it is no certificate.
    """
    start, _ = _element(certificate, 0)  # Certificate
    start, _ = _element(certificate, start)  # tbsCertificate
    if certificate[start : start + 1] == b"\xa0":  # version
        start = _element(certificate, start)[1]
    for _ in ("serialNumber", "signature", "issuer", "validity", "subject"):
        start = _element(certificate, start)[1]
    return certificate[start : _element(certificate, start)[1]]


def _element(der: bytes, start: int) -> tuple[int, int]:
    """Say where the content of the element begins and where the element ends."""
    if start + 2 > len(der):
        raise ValueError("the certificate ends too early")
    length, content = der[start + 1], start + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(der[content : content + octets])
        content += octets
    if content + length > len(der):
        raise ValueError("the certificate ends too early")
    return content, content + length


def _text(record: TLSARecord) -> str:
    return f"{record.usage} {record.selector} {record.matching} {record.data.hex()}"
