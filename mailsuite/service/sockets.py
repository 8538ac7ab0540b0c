"""Bind ports early and with words that help when that fails; IPv4 and IPv6 never share a socket."""

import errno
import socket
from collections.abc import Sequence

import attrs

from mailsuite.errors import Kind, MailError

ANY_IPV4 = "0.0.0.0"  # noqa: S104 - a mail server listens to the world unless told otherwise
ANY_IPV6 = "::"
_WITHOUT_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})


@attrs.frozen
class Bound:
    """A socket that has its port."""

    socket: socket.socket
    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def bind_port(service: str, addresses: Sequence[str], port: int) -> list[Bound]:
    """
    Bind a port on each address, without listening yet.

    Args:
        service: key of ``[listen]``, for messages.
        addresses: none means all IPv4 and all IPv6 addresses, the latter where the machine has IPv6.

    Raises:
        MailError: CONFLICT when the port is taken, DENIED when it needs rights, INVALID for a foreign address.
    """
    bound: list[Bound] = []
    try:
        for address in addresses or (ANY_IPV4, ANY_IPV6):
            try:
                bound.append(_bind(address, port))
            except OSError as error:
                if not addresses and address == ANY_IPV6 and error.errno in _WITHOUT_IPV6:
                    continue
                raise explain(error, service, address, port) from error
    except BaseException:
        for one in bound:
            one.socket.close()
        raise
    return bound


def _bind(address: str, port: int) -> Bound:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)  # noqa: FBT003 - the socket module's signature
        made.bind((address, port))
    except BaseException:
        made.close()
        raise
    return Bound(made, address, port)


def explain(error: OSError, service: str, address: str, port: int) -> MailError:
    """Say why a port cannot be had, and what to do."""
    where = f"port {port} ({service}) on {address}"
    match error.errno:
        case errno.EADDRINUSE:
            kind = Kind.CONFLICT
            text = f"{where} is in use; stop the program that has it, or change server.port_offset or listen.{service}"
        case errno.EACCES | errno.EPERM:
            kind = Kind.DENIED
            text = f"{where} needs root or CAP_NET_BIND_SERVICE; otherwise set server.port_offset or listen.{service}"
        case errno.EADDRNOTAVAIL:
            kind = Kind.INVALID
            text = f"{address} is no address of this machine; change server.listen_address"
        case _:
            kind = Kind.UNAVAILABLE
            text = f"{where} cannot be used: {error.strerror}"
    return MailError(kind, text)


def explain_endpoint(error: Exception, service: str, text: str) -> MailError:
    """Say why an endpoint string cannot be listened on."""
    reason = str(error) or type(error).__name__
    if text.startswith("systemd:") and isinstance(error, LookupError):
        reason = "systemd handed no such socket over (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES)"
    return MailError(Kind.INVALID, f"listen.{service}: cannot listen on {text!r}: {reason}")
