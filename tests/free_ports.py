"""Ports that no outgoing connection of another test takes before, or between, the starts of a server."""

import contextlib
import secrets
import socket
from collections.abc import Collection, Iterable
from pathlib import Path

from mailsuite.config import PORTS

LOWEST = 4_000
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_EPHEMERAL_LOWEST = 32_768


def _below() -> int:
    """Say where the ports begin that the system gives to outgoing connections."""
    try:
        lowest = int(EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError):
        return USUAL_EPHEMERAL_LOWEST
    return lowest if lowest > 2 * LOWEST + max(port.number for port in PORTS.values()) else 60_000


def _are_free(ports: Iterable[int]) -> bool:
    with contextlib.ExitStack() as stack:
        try:
            for port in ports:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_offset(further: Collection[int] = ()) -> int:
    """Find a port offset at which no service's port is taken, nor any of the further ones."""
    ports = [*(port.number for port in PORTS.values()), *further]
    while True:
        offset = LOWEST + secrets.randbelow(_below() - LOWEST - max(ports))
        if _are_free(offset + port for port in ports):
            return offset


def free_port() -> int:
    """Find one port that nobody has."""
    while True:
        port = LOWEST + secrets.randbelow(_below() - LOWEST)
        if _are_free([port]):
            return port
