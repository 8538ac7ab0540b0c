"""The place of a worker process among the others, and what it was given by its parent."""

import socket
from collections.abc import Sequence

import attrs

from mailsuite.config.tls import Pair
from mailsuite.service.link import Link


@attrs.frozen(kw_only=True)
class Seat:
    """
    What makes a worker different from a process that has everything.

    Args:
        name: in logs and status: ``worker-0``, ``queue``.
        number: of the worker, from 0; the process that works on the queues has the next one.
        count: how many workers there are, without that process.
        link: to the parent.
        channel: where accepted connections come from.
        pair: certificate and key, which only the parent may have been allowed to read.
    """

    name: str
    number: int
    count: int
    link: Link
    channel: socket.socket
    pair: Pair | None

    def share_of(self, limit: int) -> int:
        """Give our part of a limit for all workers: the parent spreads the connections of each address evenly."""
        return -(-limit // self.count)


SHARED_LIMITS: Sequence[str] = (
    "connections_max",
    "connections_per_network_max",
    "connections_per_address",
    "connections_per_minute_max",
)
"""Settings of protocols that are for all workers together."""
