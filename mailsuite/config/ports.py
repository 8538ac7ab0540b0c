"""Which services there are, their well-known ports, and which of them speak TLS from the first octet."""

from collections.abc import Mapping

import attrs


@attrs.frozen
class Port:
    """
    One service that can listen.

    Args:
        number: the well-known port; `server.port_offset` is added to it.
        tls: TLS begins before the protocol.
        present: this version serves it.
        enabled: it listens unless the configuration turns it off.
    """

    number: int
    tls: bool = False
    present: bool = True
    enabled: bool = True


PORTS: Mapping[str, Port] = {
    "smtp": Port(25),
    "submission": Port(587),
    "submissions": Port(465, tls=True),
    "lmtp": Port(24, enabled=False),
    "imap": Port(143),
    "imaps": Port(993, tls=True),
    "pop3": Port(110),
    "pop3s": Port(995, tls=True),
    "http": Port(80, present=False),
    "https": Port(443, tls=True, present=False),
    "dav": Port(8443, tls=True, present=False),
    "managesieve": Port(4190, present=False),
    "manhole": Port(2222),
    "metrics": Port(9090, present=False),
}
"""Keys of the ``[listen]`` table. RFC 6409, RFC 8314 section 7, and the registry that they extend."""

PORT_MAX = 65535

UNIX_ENDPOINT = "unix:"


def anchor_endpoint(text: str, folder: str) -> str:
    """Let the relative path of a unix socket begin at a folder, as every other relative path in the file does."""
    path = text.removeprefix(UNIX_ENDPOINT).removeprefix("address=")
    if not folder or not text.startswith(UNIX_ENDPOINT) or not path or path.startswith(("/", ":", "\0")):
        return text
    escaped = folder.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
    return f"{UNIX_ENDPOINT}{escaped.rstrip('/')}/{path}"
