"""The list of all keys of the configuration, made from the settings classes that read them."""

import inspect
import re
import typing
from collections.abc import Iterator, Mapping

import attrs

from mailsuite.config import PORTS
from mailsuite.config.schema import PARTS, ListenValue
from mailsuite.config.secrets import Secret
from mailsuite.config.values import describe
from mailsuite.imap.settings import QuirkSettings
from mailsuite.mta.settings import RouteSettings, SourceSettings
from mailsuite.service.reload import acts_at_once

TITLES: Mapping[str, str] = {
    "server": "the machine, the process and where everything lies",
    "listen": "where each service listens",
    "tls": "the certificate",
    "database": "domains, accounts and aliases",
    "storage": "mailboxes",
    "redis": "a state that several servers share",
    "auth": "logins",
    "dns": "resolvers",
    "queue": "what could not be delivered at once",
    "route": "where mail for a domain goes instead of to its MX",
    "source": "what mail of a sender's domain leaves from",
    "spool": "everything that is accepted, before it is acknowledged",
    "capture": "domains that keep mail for every name",
    "limits": "limits of all protocols",
    "msgauth": "SPF, DKIM, DMARC and ARC",
    "spam": "unwanted mail",
    "smtp": "reception, port 25",
    "submission": "submission, ports 587 and 465",
    "imap": "IMAP, ports 143 and 993",
    "imap_quirk": "what IMAP leaves out for some programs or accounts",
    "pop3": "POP3, ports 110 and 995",
    "sharing": "mailboxes that several accounts use",
    "manhole": "a console into the running server",
    "log": "what the server says about itself",
    "trace": "what happened to each message",
}

LISTS: Mapping[str, type[attrs.AttrsInstance]] = {
    "route": RouteSettings,
    "source": SourceSettings,
    "imap_quirk": QuirkSettings,
}
"""Tables of which there may be several."""


@attrs.frozen
class Key:
    """
    One key, as the page shows it.

    Args:
        default: as TOML has it; empty when there is none.
        meaning: empty when the settings class says nothing.
        reload: whether ``mailsuite reload`` is enough for another value.
    """

    table: str
    name: str
    type: str
    default: str
    meaning: str
    reload: bool
    present: bool = True

    @property
    def path(self) -> str:
        """As messages name it."""
        return f"{self.table}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable; empty where only the file counts."""
        return "" if self.table in LISTS else f"MAILSUITE_{self.table}__{self.name}".upper()


def keys() -> Iterator[Key]:
    """Give every key, table by table."""
    parts = {part.table: [each for each in PARTS if each.table == part.table] for part in PARTS}
    for table in TITLES:
        found: dict[str, Key] = {}  # two classes may read one key
        if table == "listen":
            found = {key.name: key for key in _listen_keys()}
        elif table in LISTS:
            found = {key.name: key for key in _keys_of(table, LISTS[table], present=True)}
        for part in parts.get(table, ()):
            for key in _keys_of(table, part.settings, {*part.taken, *part.fixed}, present=part.present):
                found.setdefault(key.name, key)
        yield from found.values()


def _keys_of(
    table: str, settings: type[attrs.AttrsInstance], left_out: frozenset[str] | set[str] = frozenset(), *, present: bool
) -> Iterator[Key]:
    meanings = read_arguments(settings)
    for name, field in attrs.fields_dict(attrs.resolve_types(settings)).items():
        if name not in left_out:
            path = f"{table}.{name}"
            yield Key(
                table,
                name,
                type=describe(field.type),
                default=_default(field),
                meaning=meanings.get(name, ""),
                reload=acts_at_once(path),
                present=present,
            )


def _listen_keys() -> Iterator[Key]:
    for name, port in PORTS.items():
        yield Key(
            "listen",
            name,
            type=describe(ListenValue),
            default=str(port.number) if port.enabled else "[]",
            meaning=f"{'TLS from the first octet' if port.tls else 'plain'}; see Listeners",
            reload=acts_at_once(f"listen.{name}"),
            present=port.present,
        )


def read_arguments(settings: type) -> dict[str, str]:
    """Read what the docstring of a settings class says of each field."""
    _, _, text = inspect.cleandoc(settings.__doc__ or "").partition("Args:\n")
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if match := re.fullmatch(r" {4}(\w+): (.+)", line):
            name = match[1]
            found[name] = match[2]
        elif name and line.startswith(" " * 8):
            found[name] += f" {line.strip()}"
        elif line.strip():
            break
    return {name: re.sub(r"(?<!`)`(\w+)`(?!`)", r"``\1``", text) for name, text in found.items()}


def _default(field: "attrs.Attribute[typing.Any]") -> str:
    if field.default is attrs.NOTHING:
        return ""
    factory = getattr(field.default, "factory", None)
    return _toml(field.default if factory is None else factory())


def _toml(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"'
        case Secret():
            return '""'
        case dict():
            return "{}"
        case list() | tuple():
            return f"[{', '.join(_toml(item) for item in value)}]"
    return _toml(value.value) if hasattr(value, "value") else str(value)


def lines() -> Iterator[str]:
    """Write the list: a table for each table of the file."""
    table = ""
    for key in keys():
        if key.table != table:
            table = key.table
            title = f"[[{table}]]" if table in LISTS else f"[{table}]"
            heading = f"``{title}``: {TITLES[table]}"
            yield from ("", heading, "~" * len(heading), "")
            yield from (".. list-table::", "   :header-rows: 1", "   :widths: 30 18 14 38", "")
            yield from ("   * - key", "     - value", "     - default", "     - meaning")
        yield f"   * - ``{key.name}``"
        if key.variable:
            yield from ("", f"       ``{key.variable}``")
        yield f"     - {key.type}"
        yield f"     - ``{key.default}``" if key.default else "     - must be given"
        how = ("*reload*" if key.reload else "*restart*") if key.present else "Does not exist yet, no effect."
        yield f"     - {key.meaning[:1].upper()}{key.meaning[1:].rstrip('.')}. {how}"
