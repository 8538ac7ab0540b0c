"""Zones in memory, and what an authoritative server says of them."""

from collections.abc import Mapping, Sequence

import attrs
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tokenizer
import dns.zonefile

from mailsuite.dns.wire import ALIASES_MAX


@attrs.frozen
class Found:
    """
    What there is.

    Args:
        name: where aliases led.
        chain: aliases, then the records asked for.
        exists: the name is there.
        records: the last of `chain`, when it is what was asked for.
        authority: the zone's SOA, when there are no records.
    """

    name: dns.name.Name
    chain: Sequence[dns.rrset.RRset]
    exists: bool
    records: dns.rrset.RRset | None
    authority: dns.rrset.RRset | None


class ZoneData:
    """
    Any number of zones.

    Args:
        text: in master format (RFC 1035 section 5); names are complete, or below an ``$ORIGIN``. Without an SOA record
            for a name, nothing says how long its absence may be remembered.
    """

    def __init__(self, text: str) -> None:
        records = _Records()
        tokens = dns.tokenizer.Tokenizer(text)
        # all it uses of a transaction is what `_Records` has
        dns.zonefile.Reader(tokens, dns.rdataclass.IN, records).read()  # type: ignore[arg-type]
        self._rrsets = records.rrsets
        self._names = {above for name, _ in self._rrsets for above in (name, *_parents(name))}

    @classmethod
    def from_records(cls, records: Mapping[str, Mapping[str, Sequence[str]]], ttl: int = 60) -> "ZoneData":
        """Read ``{name: {type: [data, ...]}}``, data as in zone files."""
        lines = [f"$TTL {ttl}"]
        for name, types in records.items():
            for rdtype, values in types.items():
                lines.extend(f"{name.removesuffix('.')}. IN {rdtype} {value}" for value in values)
        return cls("\n".join(lines) + "\n")

    def look_up(self, name: dns.name.Name, rdtype: int) -> Found:
        """Find records; aliases are followed as far as these zones go."""
        chain: list[dns.rrset.RRset] = []
        while True:
            records = self._rrset(name, rdtype)
            if records is not None:
                return Found(name, [*chain, records], exists=True, records=records, authority=None)
            alias = self._rrset(name, dns.rdatatype.CNAME)
            if alias is None or len(chain) > ALIASES_MAX:
                return Found(name, chain, exists=name in self._names, records=None, authority=self._soa(name))
            chain.append(alias)
            name = alias[0].target

    def _rrset(self, name: dns.name.Name, rdtype: int) -> dns.rrset.RRset | None:
        return self._rrsets.get((name, rdtype))

    def _soa(self, name: dns.name.Name) -> dns.rrset.RRset | None:
        for above in (name, *_parents(name)):
            soa = self._rrset(above, dns.rdatatype.SOA)
            if soa is not None:
                return soa
        return None


def _parents(name: dns.name.Name) -> Sequence[dns.name.Name]:
    found = []
    while name != dns.name.root:
        name = name.parent()
        found.append(name)
    return found


class _Records:
    """What dnspython's reader of zone files puts records into: one that allows any number of zones."""

    def __init__(self) -> None:
        self.manager = self
        self.rrsets: dict[tuple[dns.name.Name, int], dns.rrset.RRset] = {}

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        """Names without a final dot are below the root, until the file says otherwise."""
        return dns.name.root, False, dns.name.root

    def check_put_rdataset(self, check: object) -> None:
        """Check nothing: a test may want what no zone may have."""

    def _set_origin(self, origin: object) -> None:
        """Mind no ``$ORIGIN``: the reader completes names itself."""

    def add(self, name: dns.name.Name, ttl: int, record: dns.rdata.Rdata) -> None:
        """Take one record."""
        key = (name, int(record.rdtype))
        if key not in self.rrsets:
            self.rrsets[key] = dns.rrset.RRset(name, record.rdclass, record.rdtype)
        self.rrsets[key].add(record, ttl)
