"""Names that are made of addresses."""

import ipaddress


def reverse_name(address: str) -> str:
    """
    Name what holds the PTR records of an address (RFC 1035 section 3.5, RFC 3596 section 2.5).

    An IPv4 address in the form of IPv6 is taken for what it is.

    Raises:
        ValueError: it is no IP address.
    """
    return _plain(address).reverse_pointer


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
