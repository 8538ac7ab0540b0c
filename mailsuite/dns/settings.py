"""What a resolver is told."""

import ipaddress

import attrs

PORT = 53  # RFC 1035 section 4.2
PORT_MAX = 65535


@attrs.frozen(kw_only=True)
class DNSSettings:
    """
    Whom to ask, and for how long.

    Args:
        nameservers: resolvers, such as ``192.0.2.53``, ``127.0.0.1:5353`` or ``[::1]:5353``; none means the system's.
        dnssec: believe a resolver that says it validated an answer (RFC 6840 section 5.8), as DANE needs; only one on
            this machine, or one that `nameservers` names.
        query_seconds: wait for one answer before another resolver, or the same one once more, is asked.
        lookup_seconds: for all of it.
        lookups_max: lookups under way at a time.
        waiting_max: lookups that may wait for their turn.
        cache_max: answers that are remembered.
    """

    nameservers: tuple[str, ...] = ()
    dnssec: bool = False
    query_seconds: float = 3.0
    lookup_seconds: float = 10.0
    lookups_max: int = 100
    waiting_max: int = 2000
    cache_max: int = 10_000


@attrs.frozen(kw_only=True)
class Nameserver:
    """
    A resolver.

    Args:
        trusted: its word that an answer was validated can be believed.
    """

    host: str
    port: int = PORT
    trusted: bool = False


def parse_nameserver(text: str) -> Nameserver:
    """
    Read an address, or an address and a port.

    Raises:
        ValueError: it is neither.
    """
    host, port = text, str(PORT)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is no address and port such as [::1]:53")
        port = rest[1:] if rest else port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{text!r} is neither an IP address nor one with a port, such as 127.0.0.1:53") from None
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MAX):
        raise ValueError(f"{text!r} has no port between 1 and {PORT_MAX}")
    return Nameserver(host=host, port=int(port), trusted=True)
