"""Who is at the other end of a connection: how its address is written, whom it counts for, and who is believed."""

import ipaddress
from collections.abc import Iterable

import attrs

UNIX_PEERS = "unix"
"""Stands for whoever connects to a unix socket."""

IPV6_PREFIX = 64
"""What one subscriber has: RFC 6177 section 2."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_V4_MAPPED = "::ffff:"


def plain_ip(host: str | None) -> str:
    """Write a peer's address as it is limited and logged: v4-mapped IPv6 as IPv4, without a zone; none stays empty."""
    ip = (host or "").partition("%")[0]
    return ip[len(_V4_MAPPED) :] if ip.lower().startswith(_V4_MAPPED) and "." in ip else ip


def network_of(ip: str) -> str:
    """Name whom an address is counted for: an IPv4 address, or the IPv6 network around it; empty stays empty."""
    if ":" not in ip:
        return ip
    return str(ipaddress.ip_network((ip, IPV6_PREFIX), strict=False))


def parse_network(text: str) -> Network:
    """
    Read an address, or a network such as ``192.0.2.0/24``.

    Raises:
        ValueError: it is none, or it is everybody, who could then pose as anybody.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither an IP address nor a network such as 192.0.2.0/24") from None
    if not network.prefixlen:
        raise ValueError(f"{text} is everybody, and each could pose as anybody; list the addresses of your proxies")
    return network


@attrs.frozen
class TrustedPeers:
    """
    Whose word is taken.

    Args:
        networks: of proxies; a v4-mapped IPv6 address belongs to the network of its IPv4 address.
        unix: whether what comes by a unix socket comes from a proxy.
    """

    networks: tuple[Network, ...] = ()
    unix: bool = False

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "TrustedPeers":
        """
        Read ``server.proxy_peers`` or ``xclient_peers``.

        Raises:
            ValueError: one of them is no network.
        """
        known = tuple(texts)
        return cls(tuple(parse_network(text) for text in known if text != UNIX_PEERS), UNIX_PEERS in known)

    def __bool__(self) -> bool:
        return self.unix or bool(self.networks)

    def include(self, ip: str) -> bool:
        """Whether this peer is one of them; an empty address is that of a unix socket."""
        if not ip:
            return self.unix
        if not self.networks:
            return False
        try:
            address = ipaddress.ip_address(plain_ip(ip))
        except ValueError:
            return False
        return any(address in network for network in self.networks)
