"""Whom this system asks."""

import ipaddress
import os
from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime

from mailsuite.dns.settings import Nameserver

RESOLV_CONF = "/etc/resolv.conf"
RESOLV_CONF_MAX_OCTETS = 64 * 1024
LOOK_AGAIN_SECONDS = 10.0
"""How long nobody looks whether the file has changed."""

_Stamp = tuple[int, int, int]


def system_nameservers(path: str = RESOLV_CONF) -> Sequence[Nameserver]:
    """Read whom this system asks; its own address when it does not say. Blocks for as long as a small file takes."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            lines = file.read(RESOLV_CONF_MAX_OCTETS).splitlines()
    except OSError:
        lines = []
    found = []
    for line in lines:
        match line.split():
            case ["nameserver", address, *_]:
                try:
                    host = ipaddress.ip_address(address)
                except ValueError:
                    continue
                found.append(Nameserver(host=address, trusted=host.is_loopback))
    return found or [Nameserver(host="127.0.0.1", trusted=True)]


class SystemNameservers:
    """
    Knows whom this system asks, and notices when that changes: a server may start before its network does.

    Call it for the resolvers of now. Blocks for as long as a small file takes, and that only when it has changed.
    """

    def __init__(self, clock: IReactorTime, path: str = RESOLV_CONF) -> None:
        self._clock = clock
        self._path = path
        self._stamp = self._look()
        self._servers = system_nameservers(path)
        self._looked = clock.seconds()

    def __call__(self) -> Sequence[Nameserver]:
        """Give the resolvers of now."""
        now = self._clock.seconds()
        if not self._looked <= now < self._looked + LOOK_AGAIN_SECONDS:
            self._looked = now
            stamp = self._look()
            if stamp is not None and stamp != self._stamp:  # while there is no file, the former ones are as good as any
                self._stamp = stamp
                self._servers = system_nameservers(self._path)
        return self._servers

    def _look(self) -> _Stamp | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
