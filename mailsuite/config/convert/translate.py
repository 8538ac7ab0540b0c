"""Look each key up, settle what several keys say together, and let our own reader judge the result."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from mailsuite.config.convert.detect import FORMATS, detect_format
from mailsuite.config.convert.entries import BrokenFileError, Entry
from mailsuite.config.convert.mapping import SYSTEMS, System
from mailsuite.config.convert.outcomes import Command, Given, Listen, Outcome, Remark, Setting
from mailsuite.config.faults import ConfigError, Fault
from mailsuite.config.load import parse_config
from mailsuite.config.model import Config
from mailsuite.config.ports import PORTS
from mailsuite.config.schema import PATH_KEYS

LOOPBACK = "127.0.0.1"
OFF = "off, as the old server does not have it; take the line out to turn it on"
DEVELOPMENT = "for development"
ROUNDS_MAX = 20
"""How often a value that our reader refuses is taken out, until it refuses none."""

_NUMBER = re.compile(r"\[\d+\]")


@attrs.frozen
class Line:
    """
    A key of ours with its value.

    Args:
        sources: the keys that it comes from, or the reason for it.
    """

    key: str
    value: object = attrs.field(repr=False)
    sources: tuple[str, ...]


@attrs.frozen
class Lost:
    """
    A key that became none of ours.

    Args:
        key: empty when the whole system is meant.
    """

    key: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        return f"{place(self.key, self.line)}: {self.reason}" if self.key else self.reason


@attrs.frozen(kw_only=True)
class Conversion:
    """
    What became of a file.

    Args:
        inactive: keys of ours whose feature does not exist yet.
        commands: what to run once the configuration is in place.
    """

    system: System
    lines: Sequence[Line]
    lost: Sequence[Lost]
    inactive: Sequence[str]
    commands: Sequence[tuple[str, ...]]


def place(key: str, line: int | None) -> str:
    """Say where a key stands."""
    return f"{key} (line {line})" if line else key


def convert_text(
    text: str, path: str, *, format_name: str = "", target: str = "", folder: str = "", development: bool = False
) -> Conversion:
    """
    Convert the configuration of another mail server.

    Args:
        path: where the text was read; its name tells the format unless `format_name` does.
        target: where our configuration will lie.
        folder: put before relative file names; empty leaves them as they are.
        development: take over what is unsafe, and listen on loopback only.

    Raises:
        ConfigError: it cannot be read, or no key in it is known.
    """
    try:
        found = format_name or detect_format(path, text)
        entries = FORMATS[found](text)
    except BrokenFileError as error:
        raise ConfigError([Fault("", f"{path}: {error}")]) from error
    system = _recognize(found, entries)
    if system is None:
        raise ConfigError([Fault("", f"{path}: no key of a mail server that we know, read as {found}")])
    return _Translation(system, entries, folder=folder, development=development).finish(target)


def general(key: str) -> str:
    """Leave the numbers of list items out of a key."""
    return _NUMBER.sub("[]", key)


def _recognize(format_name: str, entries: Sequence[Entry]) -> System | None:
    """Find the system that knows most of the keys; None when none knows any."""
    counts = {
        system.title: sum(system.find(general(entry.key)) is not None for entry in entries)
        for system in SYSTEMS
        if system.format == format_name
    }
    best = max(counts.values(), default=0)
    return next((system for system in SYSTEMS if best and counts.get(system.title) == best), None)


class _Translation:
    """Collects what becomes of the keys of one file."""

    def __init__(self, system: System, entries: Sequence[Entry], *, folder: str, development: bool) -> None:
        self._system = system
        self._entries = {entry.key: entry for entry in entries}
        self._folder = folder
        self._development = development
        self._lines: dict[str, Line] = {}
        self._lost: list[Lost] = []
        self._listens: list[tuple[Entry, Listen]] = []
        self._commands: list[tuple[str, ...]] = []
        for entry in entries:
            self._translate(entry)

    def finish(self, target: str) -> Conversion:
        """Settle what no single key says."""
        self._settle_listeners()
        for key, (value, reason) in self._system.implied.items():
            moved = os.path.join(self._folder, str(value)) if key in PATH_KEYS else value
            self._lines.setdefault(key, Line(key, moved, (reason,)))
        if self._development:
            asked = self._lines.get("server.listen_address")
            sources = (DEVELOPMENT,) if asked is None else (DEVELOPMENT, *asked.sources)
            self._lines["server.listen_address"] = Line("server.listen_address", LOOPBACK, sources)
        self._lost += [Lost("", None, text) for text in self._system.remarks]
        config = self._judge(target)
        return Conversion(
            system=self._system,
            lines=list(self._lines.values()),
            lost=self._lost,
            inactive=config.inactive,
            commands=sorted(dict.fromkeys(self._commands), key=lambda words: words[0] != "mailsuite"),
        )

    def _translate(self, entry: Entry) -> None:
        turn = self._system.find(general(entry.key))
        if turn is None:
            self._lose(entry, f"not taken over: no key of {self._system.title} that we know")
            return
        given = Given(entry=entry, entries=self._entries, folder=self._folder, development=self._development)
        try:
            outcomes: Iterable[Outcome] = list(turn(given))
        except ValueError as error:
            self._lose(entry, f"not taken over: {error}")
            return
        for outcome in outcomes:
            match outcome:
                case Setting(key, value):
                    self._set(entry, key, value)
                case Listen():
                    self._listens.append((entry, outcome))
                case Remark(text):
                    self._lose(entry, text)
                case Command(words):
                    self._commands.append(words)

    def _lose(self, entry: Entry, reason: str) -> None:
        self._lost.append(Lost(entry.key, entry.line, reason))

    def _set(self, entry: Entry, key: str, value: object) -> None:
        source = place(entry.key, entry.line)
        before = self._lines.get(key)
        if before is None:
            self._lines[key] = Line(key, value, (source,))
        elif before.value == value:
            self._lines[key] = attrs.evolve(before, sources=(*before.sources, source))
        else:
            self._lose(entry, f"not taken over: {key} is set otherwise by {before.sources[0]}")

    def _settle_listeners(self) -> None:
        """Give all services their one address by its key; several need endpoint strings."""
        hosts = {listen.host for _, listen in self._listens}
        for entry, listen in self._listens:
            several = len(hosts) > 1 and not self._development
            value = [_endpoint(listen)] if several else listen.port
            self._set(entry, f"listen.{listen.service}", value)
            if listen.host and not several:
                self._set(entry, "server.listen_address", listen.host)
        for service, port in PORTS.items():
            if port.enabled and service not in self._system.services:
                self._lines[f"listen.{service}"] = Line(f"listen.{service}", [], (OFF,))

    def _judge(self, target: str) -> Config:
        """
        Let our own reader look at it, and take out what it refuses.

        Raises:
            ConfigError: it refuses what no key of the old file says.
        """
        for _ in range(ROUNDS_MAX):
            try:
                return parse_config(tables(self._lines.values()), target, {})
            except ConfigError as error:
                refused = [fault for fault in error.faults if fault.key in self._lines]
                if not refused:
                    raise
                for fault in refused:
                    line = self._lines.pop(fault.key)
                    self._lost += self._told(line, fault)
        raise ConfigError([Fault("", "too much in it cannot be used", target)])

    def _told(self, line: Line, fault: Fault) -> Iterator[Lost]:
        """Say under each key that it came from why a value is not taken over."""
        for entry in self._entries.values():
            if place(entry.key, entry.line) in line.sources:
                yield Lost(entry.key, entry.line, f"not taken over as {line.key}: {fault.detail}")


def tables(lines: Iterable[Line]) -> Mapping[str, Mapping[str, object]]:
    """Put keys into their tables."""
    found: dict[str, dict[str, object]] = {}
    for line in lines:
        table, _, key = line.key.partition(".")
        found.setdefault(table, {})[key] = line.value
    return found


def _endpoint(listen: Listen) -> str:
    """Write an endpoint string of Twisted; without an address, one socket takes IPv4 as well."""
    if not listen.host:
        return f"tcp6:{listen.port}"
    kind = "tcp6" if ":" in listen.host else "tcp"
    return f"{kind}:{listen.port}:interface=" + listen.host.replace(":", "\\:")
