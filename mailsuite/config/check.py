"""What no single key can tell: values that contradict each other or the world."""

import ipaddress
from collections.abc import Iterator

from mailsuite.address import normalize_domain
from mailsuite.config.faults import Fault
from mailsuite.config.model import Config
from mailsuite.config.ports import PORT_MAX, PORTS
from mailsuite.errors import MailError


def check_config(config: Config) -> Iterator[Fault]:
    """Find what is wrong with values that each have the right type."""
    yield from _check_server(config)
    yield from _check_listen(config)
    yield from _check_routes(config)
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
    if config.server.workers < 0:
        yield Fault("server.workers", "expected 0 or more", config.path)
    if config.server.port_offset < 0:
        yield Fault("server.port_offset", "expected 0 or more", config.path)


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
                if ":" not in text:
                    yield Fault(f"listen.{service}", f"{text!r} is no endpoint, such as tcp:{PORTS[service].number}")


def _check_routes(config: Config) -> Iterator[Fault]:
    seen: set[str] = set()
    for number, route in enumerate(config.routes):
        key = f"route[{number}]"
        try:
            domain = route.domain if route.domain == "*" else normalize_domain(route.domain)
        except MailError:
            yield Fault(f"{key}.domain", f"{route.domain!r} is neither a domain nor *", config.path)
            continue
        if domain in seen:
            yield Fault(f"{key}.domain", f"{route.domain} has another route above", config.path)
        seen.add(domain)
        if not route.host:
            yield Fault(f"{key}.host", "is empty", config.path)
        if not 0 < route.port <= PORT_MAX:
            yield Fault(f"{key}.port", f"{route.port} lies outside 1 to {PORT_MAX}", config.path)
        if bool(route.username) != bool(route.password):
            yield Fault(f"{key}.username", "username and password belong together", config.path)


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
