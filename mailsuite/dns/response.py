"""
Responses, taken apart. Pure. RFC 1035 section 4.1.

What a resolver passes on was written by strangers, and taking it apart keeps the reactor: so only what was asked for is
looked at, and the work grows with the length of the response and no faster.
"""

import struct
from collections.abc import Mapping

import attrs
import dns.flags
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from mailsuite.dns.records import MalformedError, Names, read_record, read_soa

TTL_LIMIT = 2**31  # RFC 2181 section 8
_HEADER = struct.Struct("!HHHHHH")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_OPCODE = 0x7800
_RCODE = 0x000F
_EXTENDED_RCODE_SHIFT = 24 - 4  # RFC 6891 section 6.1.3
_WITHOUT_QUESTION = frozenset((dns.rcode.FORMERR, dns.rcode.SERVFAIL, dns.rcode.NOTIMP, dns.rcode.REFUSED))
"""Who answers that way may leave the question out."""

_IN = int(dns.rdataclass.IN)
_CNAME, _SOA, _NS, _OPT = (
    int(number) for number in (dns.rdatatype.CNAME, dns.rdatatype.SOA, dns.rdatatype.NS, dns.rdatatype.OPT)
)


@attrs.frozen
class Records:
    """
    Records of one name and type.

    Args:
        values: of `mailsuite.interfaces.dns.RECORD_TYPES`, each once.
        ttl: the least of them.
    """

    values: tuple[object, ...]
    ttl: int


@attrs.frozen(kw_only=True)
class Response:
    """
    What a response holds.

    Args:
        answer: records of the type asked for, and aliases, by name and type.
        negative_ttl: how long to remember that there is nothing (RFC 2308 section 5); None without an SOA record.
        refers: somebody else is named who knows more.
    """

    flags: int
    rcode: int
    answer: Mapping[tuple[str, int], Records] = attrs.field(factory=dict)
    negative_ttl: int | None = None
    refers: bool = False

    @property
    def truncated(self) -> bool:
        """Whether to ask again over TCP (RFC 1035 section 4.2.1)."""
        return bool(self.flags & dns.flags.TC)


def take_apart(wire: bytes, query_id: int, name: str, rdtype: str) -> Response | None:
    """
    Take a response apart; None when it is no answer to this question.

    Of a truncated one nothing but that is told: it may end amid a record.

    Raises:
        MalformedError: it is none at all.
    """
    if len(wire) < _HEADER.size:
        raise MalformedError
    found_id, flags, questions, *counts = _HEADER.unpack_from(wire)
    if found_id != query_id or not flags & dns.flags.QR or flags & _OPCODE:
        return None
    names = Names(wire)
    number = int(dns.rdatatype.from_text(rdtype))
    place = _HEADER.size
    if questions != 1:
        if questions or flags & _RCODE not in _WITHOUT_QUESTION:
            return None
    else:
        asked, place = names.read(place)
        if place + _QUESTION.size > len(wire):
            raise MalformedError
        if (asked, *_QUESTION.unpack_from(wire, place)) != (name, number, _IN):
            return None
        place += _QUESTION.size
    if flags & dns.flags.TC:
        return Response(flags=flags, rcode=flags & _RCODE)
    return _Sections(names, rdtype, number).read(flags, counts, place)


class _Sections:
    """Goes through the records of a response."""

    def __init__(self, names: Names, rdtype: str, number: int) -> None:
        self._names = names
        self._wanted = {number: rdtype, _CNAME: "CNAME"}
        self._answer: dict[tuple[str, int], tuple[dict[object, None], int]] = {}
        self._negative_ttl: int | None = None
        self._refers = False
        self._extended = 0

    def read(self, flags: int, counts: list[int], place: int) -> Response:
        """Read all sections; there are three."""
        for section, count in zip(
            (self._take_answer, self._take_authority, self._take_additional), counts, strict=True
        ):
            for _ in range(count):
                owner, place = self._names.read(place)
                if place + _RECORD.size > len(self._names.wire):
                    raise MalformedError
                rdtype, rdclass, ttl, length = _RECORD.unpack_from(self._names.wire, place)
                start = place + _RECORD.size
                place = start + length
                if place > len(self._names.wire):
                    raise MalformedError
                if rdclass == _IN or rdtype == _OPT:
                    section(owner, rdtype, ttl, start, place)
        return Response(
            flags=flags,
            rcode=flags & _RCODE | self._extended,
            answer={key: Records(tuple(values), ttl) for key, (values, ttl) in self._answer.items()},
            negative_ttl=self._negative_ttl,
            refers=self._refers,
        )

    def _take_answer(self, owner: str, rdtype: int, ttl: int, start: int, end: int) -> None:
        wanted = self._wanted.get(rdtype)
        if wanted is not None:
            ttl = ttl if ttl < TTL_LIMIT else 0
            values, least = self._answer.get((owner, rdtype), ({}, ttl))
            values[read_record(wanted, self._names, start, end)] = None
            self._answer[owner, rdtype] = values, min(least, ttl)

    def _take_authority(self, _owner: str, rdtype: int, ttl: int, start: int, end: int) -> None:
        if rdtype == _NS:
            self._refers = True
        elif rdtype == _SOA and self._negative_ttl is None:
            _, minimum = read_soa(self._names, start, end)
            self._negative_ttl = min(number if number < TTL_LIMIT else 0 for number in (ttl, minimum))

    def _take_additional(self, _owner: str, rdtype: int, ttl: int, _start: int, _end: int) -> None:
        if rdtype == _OPT:
            self._extended = ttl >> _EXTENDED_RCODE_SHIFT & ~_RCODE
