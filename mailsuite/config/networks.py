"""Addresses and networks of proxies, as ``server.proxy_peers`` lists them."""

import ipaddress

UNIX_PEERS = "unix"
"""Stands for whoever connects to a unix socket."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
