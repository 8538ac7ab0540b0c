"""What mail leaves from: our address and our name, which may differ by the sender's domain."""

from collections.abc import Sequence

import attrs

from mailsuite.envelope import Sender
from mailsuite.mta.settings import RelaySettings, SourceSettings


@attrs.frozen(kw_only=True)
class Source:
    """
    How we appear to other hosts.

    Args:
        helo_name: what EHLO says.
        ipv4: where connections to IPv4 addresses come from; empty leaves it to the system.
        ipv6: the same for IPv6.
    """

    helo_name: str
    ipv4: str = ""
    ipv6: str = ""

    def bind_address(self, address: str) -> tuple[str, int] | None:
        """Say where a connection to an address comes from; None leaves it to the system."""
        ours = self.ipv6 if ":" in address else self.ipv4
        return (ours, 0) if ours else None


class Sources:
    """
    Finds the source of a message.

    Args:
        hostname: what we call ourselves where nothing else is set.
        sources: by the domain of the sender.
    """

    def __init__(self, hostname: str, settings: RelaySettings, sources: Sequence[SourceSettings]) -> None:
        self._usual = Source(
            helo_name=settings.helo_name or hostname, ipv4=settings.source_ipv4, ipv6=settings.source_ipv6
        )
        self._by_domain = {
            source.domain: Source(
                helo_name=source.helo_name or self._usual.helo_name,
                ipv4=source.source_ipv4 or self._usual.ipv4,
                ipv6=source.source_ipv6 or self._usual.ipv6,
            )
            for source in sources
        }

    def find(self, sender: Sender) -> Source:
        """Find the one of a sender; reports, which have none, leave as usual."""
        return self._usual if sender.path is None else self._by_domain.get(sender.path.domain, self._usual)
