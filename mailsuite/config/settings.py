"""Settings that belong to the suite as a whole; every other package owns its own."""

from typing import Literal

import attrs

from mailsuite.config.secrets import Secret


@attrs.frozen(kw_only=True)
class ServerSettings:
    """
    The ``[server]`` table.

    Args:
        hostname: our name in greetings, Received fields and certificates; empty is the machine's own name.
        data_dir: where mail, databases, spool and keys lie.
        port_offset: added to every well-known port, never to endpoint strings and route ports.
        listen_address: addresses to listen on; none means all IPv4 and IPv6 addresses.
        workers: processes that serve, beside their parent and one for the queue; 0 is everything in one.
        user: account of the operating system to become once the ports are bound; empty keeps the caller's.
        group: likewise; empty is the user's own group.
        pin_threads: keep the threads of a process on one processor, hashing and large bodies aside.
        backlog: connections that may wait to be accepted on each port; endpoint strings have their own.
        proxy_peers: addresses and networks of proxies whose connections begin with a PROXY header; ``unix`` is whoever
            comes by a unix socket.
        proxy_services: keys of ``[listen]`` for which that holds; none means all.
        stall_seconds: how long a turn of the reactor may take before the watchdog notes it; 0 is no watchdog.
    """

    hostname: str = ""
    data_dir: str = "data"
    port_offset: int = 0
    listen_address: str | tuple[str, ...] = ()
    workers: int = 0
    user: str = ""
    group: str = ""
    pin_threads: bool = True
    backlog: int = 1024
    proxy_peers: tuple[str, ...] = ()
    proxy_services: tuple[str, ...] = ()
    stall_seconds: float = 0.05

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses to listen on; empty means all."""
        if isinstance(self.listen_address, str):
            return tuple(self.listen_address.replace(",", " ").split())
        return self.listen_address


@attrs.frozen(kw_only=True)
class TLSSettings:
    """
    The ``[tls]`` table.

    Args:
        certificate: PEM file with the certificate and its chain; empty is ``keys/tls/cert.pem`` below `data_dir`.
        private_key: PEM file with its key; empty is ``keys/tls/key.pem`` below `data_dir`.
        min_version: oldest version that is spoken, ``1.2`` or ``1.3``.
        self_signed: make a self-signed certificate at the start if there is none.
    """

    certificate: str = ""
    private_key: str = ""
    min_version: Literal["1.2", "1.3"] = "1.2"
    self_signed: bool = False


@attrs.frozen(kw_only=True)
class LogSettings:
    """
    The ``[log]`` table.

    Args:
        level: ``debug``, ``info``, ``warn``, ``error`` or ``critical``.
        format: ``text`` for people, ``json`` for one object a line.
        output: ``stderr``, ``stdout`` or a file.
    """

    level: Literal["debug", "info", "warn", "error", "critical"] = "info"
    format: Literal["text", "json"] = "text"
    output: str = "stderr"


@attrs.frozen(kw_only=True)
class RedisSettings:
    """
    The ``[redis]`` table.

    Args:
        url: where Redis is; empty is none.
    """

    url: Secret = attrs.field(factory=Secret)


@attrs.frozen(kw_only=True)
class MessageAuthSettings:
    """
    The ``[msgauth]`` table.

    Args:
        verify: SPF, DKIM, DMARC and ARC on what arrives.
        sign: DKIM on what leaves.
    """

    verify: bool = True
    sign: bool = True


@attrs.frozen(kw_only=True)
class SpamSettings:
    """
    The ``[spam]`` table.

    Args:
        enabled: judge what arrives.
    """

    enabled: bool = True


@attrs.frozen(kw_only=True)
class LimitSettings:
    """
    The ``[limits]`` table; the limits of one protocol stand in that protocol's table.

    Args:
        rates: False takes away every limit on connections, messages per connection, hour or day, and logins.
    """

    rates: bool = True
