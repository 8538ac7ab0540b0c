"""
The header that a proxy puts before a connection to say whose it is: the PROXY protocol, versions 1 and 2.

No I/O. The rules are sections 2.1 and 2.2 of ``proxy-protocol.txt``, which comes with HAProxy.
"""

import ipaddress
import re
import struct

import attrs

from mailsuite.errors import ProtocolError

V1_MARK = b"PROXY"
V1_MAX_OCTETS = 107  # with its CRLF
V2_MARK = b"\r\n\r\n\x00\r\nQUIT\n"
V2_FIXED = struct.Struct("!12sBBH")
V2_REST_MAX_OCTETS = 4096  # addresses take up to 216; the rest is room for what proxies add, such as a certificate
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")
_PORT_MAX = 65535
_LOCAL, _PROXY = 0x20, 0x21  # version and command
_STREAM = 1
_TRANSPORTS = range(3)  # unspecified, stream, datagram
_UNIX_PATH_OCTETS = 108


@attrs.frozen
class Announced:
    """
    Both ends of the connection that the proxy took.

    Args:
        source: textual address, v4-mapped IPv6 written as IPv4; of a unix socket the path, often empty.
        source_port: None for a unix socket.
    """

    source: str
    destination: str
    source_port: int | None = None
    destination_port: int | None = None


@attrs.frozen
class Header:
    """
    One whole header.

    Args:
        octets: how long it was.
        announced: None when the connection speaks for itself: health checks, and what the proxy does not know.
    """

    octets: int
    announced: Announced | None = None


def parse_header(data: bytes) -> Header | None:
    """
    Read the header at the beginning of a connection.

    Returns:
        None when more octets are needed; at most `V2_FIXED` and `V2_REST_MAX_OCTETS` are.

    Raises:
        ProtocolError: no header begins like this.
    """
    if data[: len(V2_MARK)] == V2_MARK[: len(data)]:
        return _parse_v2(data) if len(data) >= V2_FIXED.size else None
    if data[: len(V1_MARK)] == V1_MARK[: len(data)]:
        return _parse_v1(data)
    raise ProtocolError("no PROXY header", close=True)


def _parse_v1(data: bytes) -> Header | None:
    line, end, _ = data[:V1_MAX_OCTETS].partition(b"\r\n")
    if b"\n" in line or b"\r" in line[:-1] or (end and b"\r" in line):
        raise ProtocolError("the PROXY line holds a bare CR or LF", close=True)
    if not end:
        if len(data) >= V1_MAX_OCTETS:
            raise ProtocolError("the PROXY line is too long", close=True)
        return None
    octets = len(line) + len(end)
    match line.split(b" "):
        case [b"PROXY", b"UNKNOWN", *_]:
            return Header(octets)
        case [b"PROXY", b"TCP4" | b"TCP6" as name, source, destination, source_port, destination_port]:
            address = ipaddress.IPv4Address if name == b"TCP4" else ipaddress.IPv6Address
            try:
                ends = _plain(address(source.decode("ascii"))), _plain(address(destination.decode("ascii")))
            except ValueError as error:
                raise ProtocolError("the PROXY line holds no address", close=True) from error
            return Header(octets, Announced(*ends, _port(source_port), _port(destination_port)))
    raise ProtocolError("the PROXY line has the wrong words", close=True)


def _port(text: bytes) -> int:
    if not _PORT.fullmatch(text) or int(text) > _PORT_MAX:
        raise ProtocolError("the PROXY line holds no port", close=True)
    return int(text)


def _parse_v2(data: bytes) -> Header | None:
    _, command, kind, length = V2_FIXED.unpack_from(data)
    family, transport = kind >> 4, kind & 0x0F
    if command not in {_LOCAL, _PROXY}:
        raise ProtocolError("unknown version or command in the PROXY header", close=True)
    if length > V2_REST_MAX_OCTETS:
        raise ProtocolError("the PROXY header is too long", close=True)
    if command == _PROXY and (family >= len(_V2_ADDRESSES) or transport not in _TRANSPORTS):
        raise ProtocolError("unknown family or transport in the PROXY header", close=True)
    octets = V2_FIXED.size + length
    if len(data) < octets:
        return None
    addresses = _V2_ADDRESSES[family] if command == _PROXY and transport == _STREAM else None
    if addresses is None:
        return Header(octets)  # as the rules have it for what a receiver does not support
    if length < addresses.size:
        raise ProtocolError("the PROXY header is too short for its addresses", close=True)
    values = addresses.unpack_from(data, V2_FIXED.size)  # what follows them says nothing that we use
    if len(values) == len(("source", "destination")):
        source, destination = (value.partition(b"\0")[0].decode("ascii", "backslashreplace") for value in values)
        return Header(octets, Announced(source, destination))
    source, destination = (_plain(ipaddress.ip_address(value)) for value in values[:2])
    return Header(octets, Announced(source, destination, *values[2:]))


_V2_ADDRESSES = (
    None,
    struct.Struct("!4s4sHH"),
    struct.Struct("!16s16sHH"),
    struct.Struct(f"!{_UNIX_PATH_OCTETS}s{_UNIX_PATH_OCTETS}s"),
)
"""Layout of the addresses, by the number of the family: unspecified, IPv4, IPv6, unix."""


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise ValueError("an address with a zone")
        return str(address.ipv4_mapped or address)
    return str(address)
