"""PROXY headers: whole, octet by octet, with what follows, and everything that is none."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.errors import ProtocolError
from mailsuite.service.proxy_header import (
    V1_MAX_OCTETS,
    V2_FIXED,
    V2_MARK,
    V2_REST_MAX_OCTETS,
    Announced,
    Header,
    parse_header,
)

AFTER = b"EHLO x\r\nPROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"


def v2(command, kind, rest=b"", length=None):
    return V2_FIXED.pack(V2_MARK, command, kind, len(rest) if length is None else length) + rest


def v4_ends(source="192.0.2.1", destination="198.51.100.2", ports=(56324, 25)):
    return b"".join(ipaddress.ip_address(text).packed for text in (source, destination)) + struct.pack("!HH", *ports)


def unix_ends(source=b"/run/a", destination=b"/run/b"):
    return source.ljust(108, b"\0") + destination.ljust(108, b"\0")


IPV4 = Announced("192.0.2.1", "198.51.100.2", 56324, 25)
IPV6 = Announced("2001:db8::1", "2001:db8::2", 1, 65535)
LONGEST_UNKNOWN = b"PROXY UNKNOWN " + b" ".join([b":".join([b"ffff"] * 8)] * 2 + [b"65535"] * 2) + b"\r\n"

GOOD = {
    "v1 IPv4": (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\n", IPV4),
    "v1 longest IPv4": (
        b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        Announced("255.255.255.255", "255.255.255.255", 65535, 65535),
    ),
    "v1 IPv6": (b"PROXY TCP6 2001:DB8::1 2001:db8:0:0:0:0:0:2 1 65535\r\n", IPV6),
    "v1 IPv4 in IPv6": (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6402 56324 25\r\n", IPV4),
    "v1 port 0": (b"PROXY TCP4 192.0.2.1 198.51.100.2 0 0\r\n", Announced("192.0.2.1", "198.51.100.2", 0, 0)),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1 unknown with anything": (b"PROXY UNKNOWN any thing 1  2\r\n", None),
    "v1 longest unknown": (LONGEST_UNKNOWN, None),
    "v2 IPv4": (v2(0x21, 0x11, v4_ends()), IPV4),
    "v2 IPv6": (v2(0x21, 0x21, v4_ends("2001:db8::1", "2001:db8::2", (1, 65535))), IPV6),
    "v2 IPv4 in IPv6": (v2(0x21, 0x21, v4_ends("::ffff:192.0.2.1", "::ffff:198.51.100.2")), IPV4),
    "v2 unix": (v2(0x21, 0x31, unix_ends()), Announced("/run/a", "/run/b")),
    "v2 unix without names": (v2(0x21, 0x31, unix_ends(b"", b"")), Announced("", "")),
    "v2 unix, names that are no text": (
        v2(0x21, 0x31, unix_ends(b"\xff\0x", b"y" * 108)),
        Announced("\\xff", "y" * 108),
    ),
    "v2 with more": (v2(0x21, 0x11, v4_ends() + b"\x04\x00\x01x\x20\x00\x02"), IPV4),
    "v2 longest": (v2(0x21, 0x11, v4_ends().ljust(V2_REST_MAX_OCTETS, b"\r")), IPV4),
    "v2 local": (v2(0x20, 0x00), None),
    "v2 local, addresses are of no interest": (v2(0x20, 0x11, v4_ends()), None),
    "v2 local, family of no interest": (v2(0x20, 0xFF, b"abc"), None),
    "v2 unspecified": (v2(0x21, 0x00, b"anything"), None),
    "v2 unspecified transport": (v2(0x21, 0x10, v4_ends()), None),
    "v2 datagrams": (v2(0x21, 0x12, v4_ends()), None),
}

BAD = {
    "another protocol": b"EHLO x\r\n",
    "TLS": b"\x16\x03\x01\x02\x00",
    "lower case": b"proxy TCP4 192.0.2.1 198.51.100.2 1 2\r\n",
    "another word": b"PROXYTCP4 192.0.2.1 198.51.100.2 1 2\r\n",
    "another family": b"PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n",
    "no words": b"PROXY\r\n",
    "too few words": b"PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n",
    "too many words": b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n",
    "two spaces": b"PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n",
    "a space at the end": b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n",
    "a tab": b"PROXY TCP4 192.0.2.1\t198.51.100.2 1 2\r\n",
    "bare LF": b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n",
    "bare CR": b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\rEHLO",
    "bare CR before CRLF": b"PROXY UNKNOWN x\r\r\n",
    "bare LF before CRLF": b"PROXY UNKNOWN \nx\r\n",
    "a heading zero": b"PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n",
    "IPv6 as IPv4": b"PROXY TCP4 2001:db8::1 198.51.100.2 1 2\r\n",
    "IPv4 as IPv6": b"PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
    "a zone": b"PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n",
    "a name": b"PROXY TCP4 localhost 198.51.100.2 1 2\r\n",
    "no ASCII": "PROXY TCP4 ١.2.3.4 198.51.100.2 1 2\r\n".encode(),
    "a port with a heading zero": b"PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
    "a port too high": b"PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n",
    "a negative port": b"PROXY TCP4 192.0.2.1 198.51.100.2 -1 2\r\n",
    "too long": b"PROXY UNKNOWN " + b"x" * (V1_MAX_OCTETS - 15) + b"\r\n",
    "too long without an end": b"PROXY UNKNOWN " + b"x" * V1_MAX_OCTETS,
    "half a mark": V2_MARK[:-1] + b"X",
    "version 1 in binary": v2(0x11, 0x11, v4_ends()),
    "version 3": v2(0x31, 0x11, v4_ends()),
    "another command": v2(0x22, 0x11, v4_ends()),
    "family 4": v2(0x21, 0x41, v4_ends()),
    "transport 3": v2(0x21, 0x13, v4_ends()),
    "short IPv4": v2(0x21, 0x11, v4_ends()[:-1]),
    "short IPv6": v2(0x21, 0x21, v4_ends()),
    "short unix": v2(0x21, 0x31, unix_ends()[:-1]),
    "too much": v2(0x21, 0x11, length=V2_REST_MAX_OCTETS + 1),
}


@pytest.mark.parametrize(("octets", "announced"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("after", [b"", AFTER], ids=["alone", "with more"])
def test_a_header_is_read_and_what_follows_is_left(octets, announced, after):
    assert parse_header(octets + after) == Header(len(octets), announced)


@pytest.mark.parametrize(("octets", "announced"), GOOD.values(), ids=GOOD)
def test_octet_by_octet_more_is_asked_for_until_it_is_whole(octets, announced):
    for count in range(len(octets)):
        assert parse_header(octets[:count]) is None
    assert parse_header(octets) == Header(len(octets), announced)


@pytest.mark.parametrize("octets", BAD.values(), ids=BAD)
def test_what_is_no_header_is_refused(octets):
    with pytest.raises(ProtocolError) as caught:
        parse_header(octets)
    assert caught.value.close


@pytest.mark.parametrize("octets", BAD.values(), ids=BAD)
def test_octet_by_octet_it_is_refused_as_well_and_never_taken(octets):
    def feed():
        for count in range(len(octets) + 1):
            assert parse_header(octets[:count]) is None

    with pytest.raises(ProtocolError):
        feed()


@given(
    st.one_of(st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)), st.tuples(*[st.ip_addresses(v=6)] * 2)),
    st.tuples(*[st.integers(0, 65535)] * 2),
    st.binary(max_size=300),
    st.binary(max_size=50),
)
def test_what_was_written_is_read(ends, ports, values, after):
    version = ends[0].version
    told = Announced(*(str(getattr(end, "ipv4_mapped", None) or end) for end in ends), *ports)
    line = f"PROXY TCP{version} {ends[0]} {ends[1]} {ports[0]} {ports[1]}\r\n".encode()
    assert parse_header(line + after) == Header(len(line), told)
    binary = v2(0x21, 0x11 if version == 4 else 0x21, v4_ends(*map(str, ends), ports) + values)
    assert parse_header(binary + after) == Header(len(binary), told)


@given(st.one_of(st.binary(max_size=150), st.binary(max_size=150).map(V2_MARK.__add__)))
def test_any_octets_are_read_or_refused(octets):
    try:
        header = parse_header(octets)
    except ProtocolError:
        return
    assert header is None or 0 < header.octets <= len(octets)


def test_never_more_than_the_longest_header_is_asked_for():
    with pytest.raises(ProtocolError):
        parse_header(b"PROXY ".ljust(V1_MAX_OCTETS, b"x"))
    whole = V2_FIXED.size + V2_REST_MAX_OCTETS
    assert parse_header(v2(0x21, 0x11, length=V2_REST_MAX_OCTETS).ljust(whole, b"\0")).octets == whole
