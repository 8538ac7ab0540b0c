"""
Names and the data of records, from octets to values. Pure.

A name is written in lower case, without the final dot, ``.`` for the root; octets that no host name has are escaped, so
that such a name never looks like another one.
"""

import ipaddress
import re
import struct
from collections.abc import Callable, Mapping

from dns.name import Name

from mailsuite.interfaces.dns import MXRecord, SOARecord, TLSARecord

NAME_MAX_OCTETS = 255  # RFC 1035 section 2.3.4
_POINTER = 0xC0  # RFC 1035 section 4.1.4
_LABEL_MAX = 0x3F
_PREFERENCE = struct.Struct("!H")
_NUMBERS = struct.Struct("!IIIII")  # RFC 1035 section 3.3.13
_PLAIN = re.compile(rb"[A-Za-z0-9_-]+")
_SPECIAL = frozenset(b'"().;\\@$')  # RFC 1035 section 5.1
_VISIBLE = range(0x21, 0x7F)
_IPV4_OCTETS = 4
_IPV6_OCTETS = 16


class MalformedError(Exception):
    """The octets are no message of the DNS."""


class Names:
    """
    Reads names out of a message.

    What a pointer leads to is read once, whatever the number of pointers: the work grows with the length of the message
    and no faster.
    """

    def __init__(self, wire: bytes) -> None:
        self.wire = wire
        self._known: dict[int, tuple[int, str]] = {}

    def read(self, start: int) -> tuple[str, int]:
        """
        Give the name at a place, and where what comes behind it begins.

        Raises:
            MalformedError: there is none.
        """
        steps, (octets, text), end = self._walk(start)
        for place, label in reversed(steps):
            if label:
                octets += len(label) + 1
                label_text = _label_text(label)
                text = f"{label_text}.{text}" if text else label_text
            if octets > NAME_MAX_OCTETS:
                raise MalformedError
            self._known[place] = octets, text
        return text or ".", end

    def _walk(self, start: int) -> tuple[list[tuple[int, bytes]], tuple[int, str], int]:
        """Give the places of labels, and of pointers, which have none, up to what is known or the end of the name."""
        wire = self.wire
        steps: list[tuple[int, bytes]] = []
        place = lowest = start
        end = -1
        while end < 0 or place not in self._known:
            length = wire[place] if place < len(wire) else _POINTER - 1
            if length == 0:
                return steps, (1, ""), place + 1 if end < 0 else end
            if length <= _LABEL_MAX:
                behind = place + 1 + length
                steps.append((place, wire[place + 1 : behind]))
                place = behind
                continue
            steps.append((place, b""))
            if length < _POINTER or place + 1 >= len(wire):
                raise MalformedError
            end = place + 2 if end < 0 else end
            place = (length - _POINTER) << 8 | wire[place + 1]
            if place >= lowest:
                raise MalformedError  # only backwards, so that it ends
            lowest = place
        return steps, self._known[place], end


def _label_text(label: bytes) -> str:
    if _PLAIN.fullmatch(label):
        return label.decode("ascii").lower()
    return "".join(map(_octet_text, label)).lower()


def _octet_text(octet: int) -> str:
    if octet in _SPECIAL:
        return f"\\{chr(octet)}"
    return chr(octet) if octet in _VISIBLE else f"\\{octet:03d}"


def name_text(name: Name) -> str:
    """Write a name of dnspython as all names are written here."""
    return Names(name.to_wire() or b"").read(0)[0]


def read_record(rdtype: str, names: Names, start: int, end: int) -> object:
    """
    Read the data of one record of a type of `mailsuite.interfaces.dns.RECORD_TYPES`.

    Args:
        start: where its data begin in the message.
        end: where they end.

    Raises:
        MalformedError: they are none.
        KeyError: the type is none of them.
    """
    return _READERS[rdtype](names, start, end)


def read_soa(names: Names, start: int, end: int) -> tuple[SOARecord, int]:
    """
    Read an SOA record, and how long it lets one remember that there is nothing (RFC 2308 section 4).

    Raises:
        MalformedError: it is none.
    """
    primary, place = names.read(start)
    mailbox, place = names.read(place)
    if place + _NUMBERS.size != end:
        raise MalformedError
    serial, *_, minimum = _NUMBERS.unpack_from(names.wire, place)
    return SOARecord(primary, mailbox, serial), minimum


def _octets(names: Names, start: int, end: int, least: int, most: int | None = None) -> bytes:
    octets = names.wire[start:end]
    if len(octets) < least or (most is not None and len(octets) > most):
        raise MalformedError
    return octets


def _a(names: Names, start: int, end: int) -> str:
    return str(ipaddress.IPv4Address(_octets(names, start, end, _IPV4_OCTETS, _IPV4_OCTETS)))


def _aaaa(names: Names, start: int, end: int) -> str:
    return str(ipaddress.IPv6Address(_octets(names, start, end, _IPV6_OCTETS, _IPV6_OCTETS)))


def _name(names: Names, start: int, end: int) -> str:
    text, behind = names.read(start)
    if behind != end:
        raise MalformedError
    return text


def _mx(names: Names, start: int, end: int) -> MXRecord:
    (preference,) = _PREFERENCE.unpack(_octets(names, start, start + _PREFERENCE.size, _PREFERENCE.size))
    return MXRecord(preference, _name(names, start + _PREFERENCE.size, end))


def _soa(names: Names, start: int, end: int) -> SOARecord:
    return read_soa(names, start, end)[0]


def _tlsa(names: Names, start: int, end: int) -> TLSARecord:
    octets = _octets(names, start, end, 3)
    return TLSARecord(octets[0], octets[1], octets[2], octets[3:])


def _txt(names: Names, start: int, end: int) -> bytes:
    octets = _octets(names, start, end, 1)
    strings = []
    place = 0
    while place < len(octets):
        behind = place + 1 + octets[place]
        if behind > len(octets):
            raise MalformedError
        strings.append(octets[place + 1 : behind])
        place = behind
    return b"".join(strings)


_READERS: Mapping[str, Callable[[Names, int, int], object]] = {
    "A": _a,
    "AAAA": _aaaa,
    "CNAME": _name,
    "MX": _mx,
    "PTR": _name,
    "SOA": _soa,
    "TLSA": _tlsa,
    "TXT": _txt,
}
