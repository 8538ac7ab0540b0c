"""Read the file and the environment once, and tell every fault at once."""

import contextlib
import os
import socket
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from mailsuite.address import Address
from mailsuite.config.check import check_config, check_routes, check_sources, normalize_route_domain
from mailsuite.config.check_imap import check_imap
from mailsuite.config.faults import ConfigError, Fault, nearest
from mailsuite.config.model import Config, Effective, Given, Origin, shown
from mailsuite.config.ports import PORTS, anchor_endpoint
from mailsuite.config.schema import (
    ABSENT_VALUES,
    EMPTY_TABLES,
    NO_PATHS,
    PARTS,
    PATH_KEYS,
    ListenValue,
)
from mailsuite.config.secrets import dereference
from mailsuite.config.values import convert, describe, is_text, parse_environment
from mailsuite.errors import MailError
from mailsuite.imap.settings import QuirkSettings
from mailsuite.manhole.settings import HOST_KEY
from mailsuite.mta.settings import RouteSettings, SourceSettings

DEFAULT_PATH = "/etc/mailsuite/mailsuite.toml"
PREFIX = "MAILSUITE_"
LISTS = frozenset({"route", "source", "imap_quirk"})
"""Tables of which there may be several."""
LOGIN_KEYS = frozenset({"username", "password"})
"""Keys of a route that stand together or not at all."""
FILE_MAX_OCTETS = 4 * 2**20


def locate_config(path: str | None, environment: Mapping[str, str] | None = None) -> str:
    """Find the file: the one named, then ``$MAILSUITE_CONFIG``, then the one below ``/etc``."""
    environ = os.environ if environment is None else environment
    return os.path.abspath(path or environ.get("MAILSUITE_CONFIG") or DEFAULT_PATH)


def load_config(path: str | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """
    Read a configuration file and the environment. Blocks.

    Args:
        path: None means what `locate_config` finds.
        environment: None means the process's own.

    Raises:
        ConfigError: it cannot be used; holds every fault.
    """
    environ = dict(os.environ if environment is None else environment)
    located = locate_config(path, environ)
    try:
        with open(located, "rb") as stream:
            text = stream.read(FILE_MAX_OCTETS).decode("utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        hint = "; make one with: mailsuite init" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError([Fault("", f"cannot read {located}: {error.strerror}{hint}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Fault("", f"{located} is not UTF-8 text")]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Fault("", f"{located} is not TOML: {error}")]) from error
    return parse_config(table, located, environ)


def parse_config(table: Mapping[str, object], path: str, environment: Mapping[str, str]) -> Config:
    """
    Make the settings of all packages from one TOML table and the environment.

    Args:
        path: where the table was read; relative paths in it begin at its folder.

    Raises:
        ConfigError: it cannot be used; holds every fault.
    """
    return _Reader(table, path, environment).read()


class _Reader:
    """Collects values and faults of one reading."""

    def __init__(self, table: Mapping[str, object], path: str, environment: Mapping[str, str]) -> None:
        self._table = table
        self._path = path
        self._folder = os.path.dirname(path)
        self._environment = environment
        self._faults: list[Fault] = []
        self._effective: list[Effective] = []
        self._inactive: list[str] = []
        self._values: dict[str, object] = {}
        self._types = _types()
        self._variables = self._read_environment()

    def read(self) -> Config:
        self._check_tables()
        for table, types in self._types.items():
            self._read_table(table, types)
        listen = self._read_listen()
        routes = self._read_routes()
        sources = self._read_sources()
        quirks = self._read_quirks()
        self._values["imap_quirk"] = tuple(quirks.values())
        # A value that cannot be used has its default by now, so that the others can be looked at all the same.
        config = self._compose(listen, tuple(routes.values()), tuple(sources.values()))
        if config is not None:
            told = {fault.key for fault in self._faults}
            found = [
                *check_config(config),
                *check_routes(routes, self._path),
                *check_sources(config.relay, sources, self._path),
                *check_imap(config.imap, quirks, self._path),
            ]
            for fault in found:
                if fault.key not in told:
                    self._fault(fault.key, fault.detail, self._variables.get(fault.key, ""))
            if not self._faults:
                return config
        raise ConfigError(sorted(self._faults, key=lambda fault: fault.key))

    def _fault(self, key: str, detail: str, source: str = "") -> None:
        self._faults.append(Fault(key, detail, source or self._path))

    # the environment

    def _read_environment(self) -> dict[str, str]:
        """Find our variables; keep the text of each under its key path."""
        found = {}
        for name in sorted(self._environment):
            section, mark, key = name.removeprefix(PREFIX).partition("__")
            if not name.startswith(PREFIX) or not mark:
                continue
            path = f"{section}.{key}".lower()
            known = self._known_keys(section.lower())
            if section.lower() in LISTS:
                self._fault(path, f"these stand in the file, as [[{section.lower()}]] tables", name)
            elif known is None:
                tables = [*self._types, "listen"]
                self._fault(path, f"there is no table [{section.lower()}]{nearest(section.lower(), tables)}", name)
            elif key.lower() not in known:
                self._fault(path, f"there is no such key{nearest(key.lower(), known)}", name)
            else:
                found[path] = name
        return found

    def _known_keys(self, table: str) -> Iterable[str] | None:
        if table == "listen":
            return PORTS
        if table in EMPTY_TABLES:
            return ()
        return self._types.get(table)

    # tables

    def _check_tables(self) -> None:
        known = {*self._types, *EMPTY_TABLES, *LISTS, "listen"}
        for name, value in self._table.items():
            if name not in known:
                owners = [f"{table}.{name}" for table, types in self._types.items() if name in types]
                hint = f"; did you mean {owners[0]}?" if owners else nearest(name, known)
                self._fault(name, f"there is no such table{hint}")
            elif name not in LISTS and not isinstance(value, dict):
                self._fault(name, f"expected a table, written [{name}]")
            elif name in EMPTY_TABLES:
                self._inactive.append(name)
                for key in value if isinstance(value, dict) else ():
                    self._fault(f"{name}.{key}", "there is no such key; this table has none yet")

    def _given(self, table: str) -> dict[str, object]:
        given = self._table.get(table)
        return given if isinstance(given, dict) else {}

    def _read_table(self, table: str, types: "Mapping[str, attrs.Attribute[Any]]") -> None:
        given = self._given(table)
        for key in given:
            if key not in types:
                self._fault(f"{table}.{key}", f"there is no such key{self._nearest_key(table, key)}")
        present = all(part.present for part in PARTS if part.table == table)
        for key, attribute in types.items():
            path = f"{table}.{key}"
            origin, value = self._read_key(path, attribute.type, given.get(key), given=key in given)
            if origin is Origin.DEFAULT:
                value = _default(attribute)
            elif not present:
                self._inactive.append(path)
            if path in PATH_KEYS and isinstance(value, str) and value not in NO_PATHS:
                value = os.path.join(self._folder, value)
            self._values[path] = value
            self._effective.append(Effective(path, shown(value, secret=not attribute.repr), origin))

    def _nearest_key(self, table: str, key: str) -> str:
        hint = nearest(key, self._types[table])
        if hint:
            return hint
        elsewhere = [f"{other}.{key}" for other, types in self._types.items() if key in types]
        return f"; did you mean {elsewhere[0]}?" if elsewhere else ""

    def _read_key(self, path: str, annotation: object, given_value: object, *, given: bool) -> tuple[Origin, object]:
        """Read one key; a value that cannot be used is a fault, and the default stands in for it."""
        origin, value, source = Origin.DEFAULT, given_value, self._path
        try:
            if path in self._variables:
                origin, source = Origin.ENVIRONMENT, self._variables[path]
                value = parse_environment(annotation, self._environment[source])
            elif given:
                origin = Origin.FILE
            else:
                return origin, None
            if isinstance(value, str) and (path, value) in ABSENT_VALUES:
                self._inactive.append(path)
                return Origin.DEFAULT, None
            return origin, self._convert(annotation, value)
        except ValueError as error:
            self._fault(path, str(error), source)
            return Origin.DEFAULT, None

    def _convert(self, annotation: object, value: object) -> object:
        if isinstance(value, dict) and is_text(annotation):
            value = dereference(value, self._folder, self._environment)
        return convert(annotation, value)

    # what is not a settings class of its own

    def _read_listen(self) -> dict[str, int | tuple[str, ...]]:
        listen: dict[str, Any] = {}
        given = self._given("listen")
        for key in given:
            if key not in PORTS:
                self._fault(f"listen.{key}", f"there is no such service{nearest(key, PORTS)}")
        for key, port in PORTS.items():
            path = f"listen.{key}"
            origin, value = self._read_key(path, ListenValue, given.get(key), given=key in given)
            if origin is not Origin.DEFAULT:
                if isinstance(value, tuple):
                    value = tuple(anchor_endpoint(text, self._folder) for text in value)
                listen[key] = value
                if not port.present and value != ():
                    self._inactive.append(path)
            default: object = port.number if port.enabled else []
            self._effective.append(Effective(path, default if value is None else shown(value, secret=False), origin))
        return listen

    def _read_routes(self) -> dict[int, RouteSettings]:
        """Read the routes that can be used, by their place in the file."""
        return {number: RouteSettings(**values) for number, values in self._read_list("route", RouteSettings)}

    def _read_sources(self) -> dict[int, SourceSettings]:
        """Read the sources that can be used, by their place in the file."""
        return {number: SourceSettings(**values) for number, values in self._read_list("source", SourceSettings)}

    def _read_quirks(self) -> dict[int, QuirkSettings]:
        """Read what IMAP leaves out for some, by its place in the file."""
        rows = {}
        for number, values in self._read_list("imap_quirk", QuirkSettings):
            if values.get("account"):
                with contextlib.suppress(MailError):  # the check says that it is no address
                    values["account"] = Address.parse(values["account"]).key
            rows[number] = QuirkSettings(**values)
        return rows

    def _read_list(self, table: str, settings: type[attrs.AttrsInstance]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Read tables of which there may be several; those that lack nothing, with their place in the file."""
        given = self._table.get(table, [])
        if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
            self._fault(table, f"expected tables, each written [[{table}]]")
            return
        types = _fields(settings)
        needed = [key for key, field in types.items() if field.default is attrs.NOTHING]
        for number, item in enumerate(given):
            values: dict[str, Any] = {}
            for key, value in item.items():
                path = f"{table}[{number}].{key}"
                if key not in types:
                    self._fault(path, f"there is no such key{nearest(key, types)}")
                    continue
                try:
                    values[key] = self._convert(types[key].type, value)
                except ValueError as error:
                    self._fault(path, str(error))
                    if key in LOGIN_KEYS:
                        values[key] = key  # it is there, and no second fault
                    continue
                self._effective.append(Effective(path, shown(values[key], secret=not types[key].repr), Origin.FILE))
            missing = [key for key in needed if key not in item]
            for key in missing:
                self._fault(f"{table}[{number}].{key}", f"is missing: {describe(types[key].type)}")
            if not missing and values.keys() >= set(needed):
                if values.get("domain"):
                    with contextlib.suppress(MailError):  # the check says that it is no domain
                        values["domain"] = normalize_route_domain(values["domain"])
                yield number, values

    def _compose(
        self, listen: Mapping[str, Any], routes: Sequence[RouteSettings], sources: Sequence[SourceSettings]
    ) -> Config | None:
        """Put the settings together; None when one of their validators refuses, which is noted as a fault."""
        values = self._values
        values["server.hostname"] = values["server.hostname"] or socket.gethostname()
        values["database.url"] = _resolve_url(values["database.url"], self._folder)
        for kind in ("certificate", "private_key"):
            name = "cert.pem" if kind == "certificate" else "key.pem"
            data = str(values["server.data_dir"])
            values[f"tls.{kind}"] = values[f"tls.{kind}"] or os.path.join(self._folder, data, "keys", "tls", name)
        values["manhole.host_key"] = values["manhole.host_key"] or os.path.join(
            self._folder, str(values["server.data_dir"]), HOST_KEY
        )
        resolved = ("server.hostname", "database.url", "tls.certificate", "tls.private_key", "manhole.host_key")
        self._effective = [
            attrs.evolve(item, value=shown(values[item.key], secret=False)) if item.key in resolved else item
            for item in self._effective
        ]
        made: dict[str, Any] = {}
        for part in PARTS:
            fields = {
                name: part.fixed[name] if name in part.fixed else values[part.taken.get(name, f"{part.table}.{name}")]
                for name in attrs.fields_dict(part.settings)
            }
            try:
                made[part.attribute] = part.settings(**fields)
            except ValueError as error:  # a validator of the settings class
                self._fault(part.table, str(error))
        if len(made) < len(PARTS):
            return None
        return Config(
            path=self._path,
            routes=routes,
            sources=sources,
            listen=listen,
            effective=tuple(self._effective),
            inactive=tuple(self._inactive),
            given=Given(self._table, {key: self._environment[key] for key in self._variables.values()}),
            **made,
        )


def _resolve_url(url: object, folder: str) -> object:
    """Make the path of a SQLite URL absolute: ``sqlite:///relative`` and ``sqlite:////absolute``."""
    mark = "sqlite:///"
    if isinstance(url, str) and url.startswith(mark):
        return mark + os.path.join(folder, url.removeprefix(mark))
    return url


def _default(attribute: "attrs.Attribute[Any]") -> object:
    factory = getattr(attribute.default, "factory", None)
    return attribute.default if factory is None else factory()


def _fields(settings: type[attrs.AttrsInstance]) -> dict[str, Any]:
    return attrs.fields_dict(attrs.resolve_types(settings))


def _types() -> dict[str, dict[str, Any]]:
    """Collect every key of every table, with its field."""
    tables: dict[str, dict[str, Any]] = {}
    for part in PARTS:
        keys = tables.setdefault(part.table, {})
        keys.update(
            {
                name: field
                for name, field in _fields(part.settings).items()
                if name not in part.taken and name not in part.fixed
            }
        )
    return tables
