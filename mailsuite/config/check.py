"""What no single key can tell: values that contradict each other or the world."""

import grp
import ipaddress
import pwd
from collections.abc import Callable, Iterator, Mapping

from mailsuite.address import normalize_domain
from mailsuite.config.faults import Fault, nearest
from mailsuite.config.model import Config
from mailsuite.config.ports import PORT_MAX, PORTS
from mailsuite.dns.settings import parse_nameserver
from mailsuite.errors import MailError
from mailsuite.mta.settings import RelaySettings, RouteSettings, SourceSettings
from mailsuite.peers import UNIX_PEERS, parse_network

ANY_DOMAIN = "*"


def check_config(config: Config) -> Iterator[Fault]:
    """Find what is wrong with values that each have the right type."""
    yield from _check_server(config)
    yield from _check_listen(config)
    yield from _check_manhole(config)
    yield from _check_dns(config)
    yield from _check_next_hop(config)
    yield from _check_rest(config)


def _check_server(config: Config) -> Iterator[Fault]:
    try:
        normalize_domain(config.server.hostname)
    except MailError:
        yield Fault("server.hostname", f"{config.server.hostname!r} is no host name", config.path)
    for address in config.server.addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            yield Fault("server.listen_address", f"{address!r} is no IP address", config.path)
    yield from _check_identity(config)
    yield from _check_proxies(config)
    if config.server.backlog < 1:
        yield Fault("server.backlog", "expected 1 or more", config.path)
    if config.server.workers < 0:
        yield Fault("server.workers", "expected 0 or more", config.path)
    for key, value in (("trace.days", config.trace.days), ("trace.max_octets", config.trace.max_octets)):
        if value < 0:
            yield Fault(key, "expected 0 or more", config.path)
    if config.server.port_offset < 0:
        yield Fault("server.port_offset", "expected 0 or more", config.path)


def _check_identity(config: Config) -> Iterator[Fault]:
    user, group = config.server.user, config.server.group
    if user and not _is_known(pwd.getpwnam, user):
        yield Fault("server.user", f"the system has no user {user!r}", config.path)
    if group and not _is_known(grp.getgrnam, group):
        yield Fault("server.group", f"the system has no group {group!r}", config.path)


def _check_proxies(config: Config) -> Iterator[Fault]:
    trusted = {
        "server.proxy_peers": config.server.proxy_peers,
        "smtp.xclient_peers": config.smtp.xclient_peers,
        "submission.xclient_peers": config.submission.xclient_peers,
    }
    for key, peers in trusted.items():
        for text in peers:
            if text != UNIX_PEERS:
                try:
                    parse_network(text)
                except ValueError as error:
                    yield Fault(key, str(error), config.path)
    for service in config.server.proxy_services:
        if service not in PORTS:
            hint = nearest(service, PORTS)
            yield Fault("server.proxy_services", f"there is no service {service!r}{hint}", config.path)


def _is_known(look: Callable[[str], object], name: str) -> bool:
    try:
        look(name)
    except KeyError:
        return False
    return True


def _check_listen(config: Config) -> Iterator[Fault]:
    taken: dict[int, str] = {}
    for service in config.services():
        if isinstance(config.listen.get(service), tuple):
            continue
        number = config.port(service)
        key = f"listen.{service}"
        if not 0 < number <= PORT_MAX:
            yield Fault(key, f"port {number} lies outside 1 to {PORT_MAX}; look at server.port_offset", config.path)
        elif number in taken:
            yield Fault(key, f"port {number} is also the port of {taken[number]}", config.path)
        taken[number] = service
    for service, listen in config.listen.items():
        if isinstance(listen, tuple):
            for text in listen:
                reason = _endpoint_fault(text, PORTS[service].number)
                if reason:
                    yield Fault(f"listen.{service}", reason, config.path)


def _endpoint_fault(text: str, port: int) -> str:
    """Say what is wrong with an endpoint string; empty when nothing is."""
    kind, colon, _ = text.partition(":")
    if not colon:
        return f"{text!r} is no endpoint, such as tcp:{port}"
    if kind == "haproxy":
        return f"{text!r} would let everybody pose as anybody; set server.proxy_peers, and leave haproxy: out"
    if kind == "systemd":
        return ""  # what systemd hands over is there only when it starts the server
    from twisted.internet.endpoints import serverFromString

    try:
        serverFromString(None, text)
    except (ValueError, TypeError, LookupError, OSError) as error:
        return f"{text!r} is no endpoint, such as tcp:{port}: {error}"
    return ""


def normalize_route_domain(domain: str) -> str:
    """
    Give the domain of a route the form in which it is looked up.

    Raises:
        MailError: INVALID when it is neither a domain nor ``*``.
    """
    return domain if domain == ANY_DOMAIN else normalize_domain(domain)


def check_routes(routes: Mapping[int, RouteSettings], source: str) -> Iterator[Fault]:
    """
    Find what is wrong with routes that each have the right types.

    Args:
        routes: by their place in the file.
        source: the file.
    """
    seen: set[str] = set()
    for number, route in routes.items():
        key = f"route[{number}]"
        try:
            domain = normalize_route_domain(route.domain)
        except MailError:
            yield Fault(f"{key}.domain", f"{route.domain!r} is neither a domain nor *", source)
        else:
            if domain in seen:
                yield Fault(f"{key}.domain", f"{route.domain} has another route above", source)
            seen.add(domain)
        if not route.host:
            yield Fault(f"{key}.host", "is empty", source)
        if not 0 < route.port <= PORT_MAX:
            yield Fault(f"{key}.port", f"{route.port} lies outside 1 to {PORT_MAX}", source)
        if bool(route.username) != bool(route.password):
            yield Fault(f"{key}.username", "username and password belong together", source)


def check_sources(relay: RelaySettings, sources: Mapping[int, SourceSettings], path: str) -> Iterator[Fault]:
    """
    Find what is wrong with what mail leaves from.

    Args:
        sources: by their place in the file.
        path: the file.
    """
    yield from _check_source("queue", relay, path)
    seen: set[str] = set()
    for number, source in sources.items():
        key = f"source[{number}]"
        yield from _check_source(key, source, path)
        try:
            domain = normalize_domain(source.domain)
        except MailError:
            yield Fault(f"{key}.domain", f"{source.domain!r} is no domain", path)
        else:
            if domain in seen:
                yield Fault(f"{key}.domain", f"{source.domain} has another source above", path)
            seen.add(domain)


def _check_source(key: str, source: RelaySettings | SourceSettings, path: str) -> Iterator[Fault]:
    for name, text, kind in (
        ("source_ipv4", source.source_ipv4, ipaddress.IPv4Address),
        ("source_ipv6", source.source_ipv6, ipaddress.IPv6Address),
    ):
        try:
            if text:
                kind(text)
        except ValueError:
            yield Fault(f"{key}.{name}", f"{text!r} is no such address", path)
    try:
        if source.helo_name:
            normalize_domain(source.helo_name)
    except MailError:
        yield Fault(f"{key}.helo_name", f"{source.helo_name!r} is no host name", path)


def _check_manhole(config: Config) -> Iterator[Fault]:
    try:
        is_loopback = ipaddress.ip_address(config.manhole.address).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        detail = f"{config.manhole.address!r} is no loopback address; to listen elsewhere, name an endpoint in"
        yield Fault("manhole.address", f"{detail} listen.manhole", config.path)
    if isinstance(config.manhole.authorized_keys, tuple) and config.manhole.authorized_keys:
        from mailsuite.manhole.keys import load_keys

        try:
            load_keys(config.manhole.authorized_keys)
        except ValueError as error:
            yield Fault("manhole.authorized_keys", str(error), config.path)


def _check_dns(config: Config) -> Iterator[Fault]:
    for text in config.dns.nameservers:
        try:
            parse_nameserver(text)
        except ValueError as error:
            yield Fault("dns.nameservers", str(error), config.path)


def _check_next_hop(config: Config) -> Iterator[Fault]:
    settings = config.next_hop
    for text in settings.own_names:
        try:
            normalize_domain(text)
        except MailError:
            yield Fault("queue.own_names", f"{text!r} is no host name", config.path)
    for text in settings.own_addresses:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            yield Fault("queue.own_addresses", f"{text!r} is no IP address", config.path)
    for text in settings.sts_networks:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            yield Fault("queue.sts_networks", f"{text!r} is neither an IP address nor a network", config.path)
    if not 0 < settings.sts_port <= PORT_MAX:
        yield Fault("queue.sts_port", f"expected a port between 1 and {PORT_MAX}", config.path)


def _check_rest(config: Config) -> Iterator[Fault]:
    scheme = config.database.url.partition("://")[0]
    if scheme not in {"sqlite", "postgresql"}:
        yield Fault("database.url", 'expected "sqlite:///path" or "postgresql://..."', config.path)
    url = config.redis.url.value
    if url and url.partition("://")[0] not in {"redis", "rediss", "unix"}:
        yield Fault("redis.url", 'expected "redis://host:port/number"', config.path)
    for effective in config.effective:
        key = effective.key.rpartition(".")[2]
        value = effective.value
        counted = key.endswith(("_octets", "_seconds", "_max"))
        if counted and isinstance(value, int | float) and value < 0:
            yield Fault(effective.key, "expected 0 or more", config.path)
