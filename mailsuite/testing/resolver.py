"""A resolver that knows what it was given, and asks nobody."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar, cast

import dns.exception
import dns.name
import dns.rdata
import dns.rdatatype
from zope.interface import implementer

from mailsuite.dns.records import Names, name_text, read_record
from mailsuite.dns.wire import ALIASES_MAX
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces.dns import Answer, IResolver, NoRecordsError, RecordType
from mailsuite.testing.zone import ZoneData

T = TypeVar("T")


@implementer(IResolver)
class MemoryResolver:
    """
    Answers at once, from what it was given.

    For example::

        MemoryResolver({"example.test": {"MX": ["10 mx.example.test."]}, "mx.example.test": {"A": ["192.0.2.1"]}})

    Args:
        records: ``{name: {type: [data, ...]}}``, data as in zone files, so names in them end with a dot; or the text of
            a zone file.
        failing: names for which there is no answer at the moment.
        secure: names whose records, and those of all names below, DNSSEC vouches for.

    Attributes:
        asked: what was asked for, in order: name and type.
    """

    def __init__(
        self,
        records: Mapping[str, Mapping[str, Sequence[str]]] | str,
        *,
        failing: Collection[str] = (),
        secure: Collection[str] = (),
    ) -> None:
        self.zones = ZoneData(records) if isinstance(records, str) else ZoneData.from_records(records)
        self.failing = set(failing)
        self.secure = set(secure)
        self.asked: list[tuple[str, str]] = []

    async def resolve(self, name: str, rdtype: RecordType[T]) -> Answer[T]:
        """Ask for records (see `IResolver.resolve`)."""
        try:
            qname = dns.name.from_text(name, idna_codec=None) if name.isascii() else None
        except dns.exception.DNSException as error:
            raise MailError(Kind.INVALID, "that is not a domain name") from error
        if qname is None:
            raise MailError(Kind.INVALID, "that is not a domain name")
        self.asked.append((name_text(qname), rdtype.name))
        found = self.zones.look_up(qname, dns.rdatatype.from_text(rdtype.name))
        names = [name_text(qname), *(name_text(rrset.name) for rrset in found.chain), name_text(found.name)]
        if not self.failing.isdisjoint(names) or len(found.chain) > ALIASES_MAX:
            raise MailError(Kind.UNAVAILABLE, f"the DNS does not answer for {name_text(qname)}")
        secure = all(is_below(each, self.secure) for each in names)
        if found.records is None:
            raise NoRecordsError(name_text(found.name), exists=found.exists, secure=secure)
        records = tuple(cast("T", _value(rdtype.name, record)) for record in found.records)
        return Answer(name=name_text(found.name), records=records, secure=secure)


def _value(rdtype: str, record: dns.rdata.Rdata) -> object:
    wire = record.to_wire() or b""
    return read_record(rdtype, Names(wire), 0, len(wire))


def is_below(name: str, zones: Collection[str]) -> bool:
    """Say whether a name is one of these or below one of them."""
    return any(name == zone or name.endswith(f".{zone}") or zone == "." for zone in zones)
