"""
What systemd is told about the server: ``sd_notify`` in a few lines of our own.

The protocol is one datagram of ``NAME=value`` lines to the socket that ``NOTIFY_SOCKET`` names: ``man 3 sd_notify``.
Without that variable nothing is sent.
"""

import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

import attrs

MICROSECONDS = 1_000_000
STATUS_MAX_CHARACTERS = 500


@attrs.frozen
class Watchdog:
    """
    What the service manager expects to hear, or it ends the server.

    Args:
        seconds: 0 is nothing.
    """

    seconds: float = 0.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], pid: int) -> "Watchdog":
        """Read ``WATCHDOG_USEC``, if it is meant for this process."""
        text = environment.get("WATCHDOG_USEC", "")
        if not text.isdigit() or environment.get("WATCHDOG_PID", str(pid)) != str(pid):
            return cls()
        return cls(int(text) / MICROSECONDS)


class ServiceManager:
    """
    The process that started the server and wants to know how it is: systemd, or nobody.

    Nothing here fails or waits: a manager that does not listen loses the message.

    Args:
        address: of the socket; one that begins with ``@`` is of the abstract kind; empty is nobody.
        clock: with ``callLater``; tells when the watchdog is due.
    """

    def __init__(self, address: str, watchdog: Watchdog, clock: Any) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog = watchdog
        self._clock = clock
        self._call: Any = None

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], clock: Any) -> "ServiceManager":
        """
        Find out who that is.

        The variables are taken out: what a child of ours says must not count as ours.
        """
        watchdog = Watchdog.from_environment(environment, os.getpid())
        address = environment.get("NOTIFY_SOCKET", "")
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            environment.pop(name, None)
        return cls(address, watchdog, clock)

    def ready(self, status: str) -> None:
        """Say that the server, started or reloaded, is ready; from now on it says regularly that it lives."""
        self._send("READY=1", _status(status))
        if self._call is None and self._watchdog.seconds > 0:
            self._live()

    def reloading(self) -> None:
        """Say that the configuration is read again; `ready` says when that is done."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str) -> None:
        """Say that the server stops."""
        self._send("STOPPING=1", _status(status))

    def status(self, text: str) -> None:
        """Say in one line what goes on, for ``systemctl status``."""
        self._send(_status(text))

    def _live(self) -> None:
        # By the reactor: one that hangs does not get here, and systemd starts the server anew.
        self._send("WATCHDOG=1")
        self._call = self._clock.callLater(self._watchdog.seconds / 2, self._live)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)  # noqa: FBT003 - the socket module's signature
                sender.sendto("\n".join(lines).encode("utf-8", "backslashreplace"), self._address)
        except (OSError, ValueError):
            return


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())[:STATUS_MAX_CHARACTERS]
