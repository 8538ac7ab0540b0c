"""What is asked of the DNS, and what it answers."""

from collections.abc import Awaitable
from typing import Generic, TypeVar

import attrs
from zope.interface import Interface

from mailsuite.errors import Kind, MailError

T = TypeVar("T")


@attrs.frozen
class RecordType(Generic[T]):
    """
    A type of records, and by its parameter what one record becomes.

    Args:
        name: as in zone files.
    """

    name: str


@attrs.frozen(order=True)
class MXRecord:
    """
    A host that takes a domain's mail (RFC 5321 section 5.1).

    Args:
        host: ``.`` means that the domain takes no mail (RFC 7505 section 3).
    """

    preference: int
    host: str


@attrs.frozen
class TLSARecord:
    """What a certificate must be (RFC 6698 section 2.1)."""

    usage: int
    selector: int
    matching: int
    data: bytes


@attrs.frozen
class SOARecord:
    """Where a zone begins."""

    primary: str
    mailbox: str
    serial: int


A: RecordType[str] = RecordType("A")
AAAA: RecordType[str] = RecordType("AAAA")
CNAME: RecordType[str] = RecordType("CNAME")
MX: RecordType[MXRecord] = RecordType("MX")
PTR: RecordType[str] = RecordType("PTR")
SOA: RecordType[SOARecord] = RecordType("SOA")
TLSA: RecordType[TLSARecord] = RecordType("TLSA")
TXT: RecordType[bytes] = RecordType("TXT")
"""The strings of a record are joined as they are (RFC 7208 section 3.3)."""

RECORD_TYPES = (A, AAAA, CNAME, MX, PTR, SOA, TLSA, TXT)


@attrs.frozen(kw_only=True)
class Answer(Generic[T]):
    """
    Records of one name and type.

    Args:
        name: whose they are: the one asked for, or where its aliases lead; lower case, without the final dot.
        records: at least one; names in them as `name`.
        secure: DNSSEC vouches for all of it, aliases included; False when nobody validates.
    """

    name: str
    records: tuple[T, ...]
    secure: bool = False


class NoRecordsError(MailError):
    """
    There are no such records.

    Args:
        name: which the answer is about: the one asked for, or where its aliases lead.
        exists: the name is there and has records of other types, or names below it; False is NXDOMAIN.
        secure: as in `Answer`.
    """

    def __init__(self, name: str, *, exists: bool, secure: bool = False) -> None:
        what = "has no such DNS record" if exists else "does not exist in the DNS"
        super().__init__(Kind.NOT_FOUND, f"{name} {what}")
        self.name = name
        self.exists = exists
        self.secure = secure


class IResolver(Interface):
    """Asks the DNS."""

    def resolve(name: str, rdtype: RecordType[T]) -> Awaitable[Answer[T]]:
        """
        Ask for records; aliases are followed.

        Args:
            name: A-labels (`mailsuite.address.normalize_domain`), with or without the final dot.

        Raises:
            NoRecordsError: there are none.
            MailError: UNAVAILABLE, when nobody answers or what is answered cannot be used; INVALID, when `name` cannot
                stand in the DNS.
        """
