"""
The DNS: one resolver for everything that asks, on the reactor. Usable alone.

For example::

    resolver = make_resolver(DNSSettings(nameservers=("127.0.0.1",)), reactor)
    answer = await resolver.resolve("example.com", MX)            # Answer[MXRecord]
    pointers = await resolver.resolve(reverse_name("192.0.2.1"), PTR)

The types of records and what answers look like are in `mailsuite.interfaces`.
"""

from typing import TYPE_CHECKING

from mailsuite.exports import exporter

if TYPE_CHECKING:
    from mailsuite.dns.names import reverse_name
    from mailsuite.dns.resolver import Resolver, make_resolver
    from mailsuite.dns.settings import DNSSettings

__all__ = ["DNSSettings", "Resolver", "make_resolver", "reverse_name"]

__getattr__ = exporter(
    __name__,
    {
        "DNSSettings": "settings",
        "Resolver": "resolver",
        "make_resolver": "resolver",
        "reverse_name": "names",
    },
)
