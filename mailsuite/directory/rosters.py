"""
Lists of users that other programs left: CSV, passwd files of Dovecot and htpasswd, SQLite databases.

Read only; nothing is looked up in our directory. Every fault is kept with its line.
"""

import csv
import io
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import attrs

from mailsuite.directory.sizes import parse_size
from mailsuite.errors import Kind, MailError

SQLITE_MAGIC = b"SQLite format 3\0"
ROSTER_MAX_OCTETS = 256 * 2**20

COLUMNS: Mapping[str, str] = {
    "email": "email",
    "address": "email",
    "username": "username",
    "user": "username",
    "domain": "domain",
    "password": "password",
    "password_hash": "password_hash",
    "hash": "password_hash",
    "quota": "quota",
    "quota_octets": "quota",
    "admin": "admin",
    "is_admin": "admin",
    "enabled": "enabled",
    "active": "enabled",
    "is_active": "enabled",
    "aliases": "aliases",
    "id": "id",
    "account_id": "id",
}
"""What columns may be called, in any case, and what they mean."""

_TRUTH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_TRUTH |= {"t": True, "f": False, "y": True, "n": False}
_CLEAR = re.compile(r"\{(?:PLAIN|CLEAR|CLEARTEXT)\}", re.IGNORECASE)
_NO_PASSWORD = frozenset({"", "*", "!", "!!", "x"})
_EXTRA_FIELD = 7  # Dovecot: user:password:uid:gid:gecos:home:shell:extra
_QUOTA_RULE = re.compile(r"(?:userdb_)?quota_rule=\*:(storage|bytes)=([0-9]+)([BKMGT]?)", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class Entry:
    """
    One user of a list.

    Args:
        line: where it stands, from 1; in a database, its row.
        password: in the clear; None without.
        password_hash: None without.
        account_id: the number that the other program gave; 0 without.
    """

    line: int
    email: str
    password: str | None = attrs.field(default=None, repr=False)
    password_hash: str | None = attrs.field(default=None, repr=False)
    quota_octets: int = 0
    admin: bool = False
    enabled: bool = True
    aliases: Sequence[str] = ()
    account_id: int = 0


@attrs.frozen
class LineFault:
    """What is wrong in a line; line 0 is the whole."""

    line: int
    detail: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.detail}" if self.line else self.detail


@attrs.frozen
class Roster:
    """
    A list of users as it was read.

    Args:
        unused: columns that mean nothing to us.
    """

    entries: Sequence[Entry]
    faults: Sequence[LineFault]
    unused: Sequence[str] = ()


def read_roster(data: bytes, path: str, domain: str = "") -> Roster:
    """
    Read a list of users; the content tells which kind it is.

    Args:
        data: the content; only the beginning is needed of a database.
        path: where a database lies.
        domain: of users whose line does not tell it.
    """
    if data.startswith(SQLITE_MAGIC):
        return _read_rows(*_load_database(path), domain)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Roster([], [LineFault(data.count(b"\n", 0, error.start) + 1, "that is not UTF-8 text")])
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((mark for mark in ",;\t" if mark in first), "")
    names = [name.strip(' "').lower() for name in (first.split(delimiter) if delimiter else [first])]
    if {"email", "address", "username", "user"} & set(names):
        return _read_rows(*_load_csv(text, delimiter or ","), domain)
    return _read_passwd(text, domain)


_Rows = Sequence[tuple[int, Sequence[str]]]
"""Line and values."""


def _load_csv(text: str, delimiter: str) -> tuple[Sequence[str], _Rows, Sequence[LineFault]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: Sequence[str] = ()
    rows: list[tuple[int, Sequence[str]]] = []
    faults: list[LineFault] = []
    begun = 1
    try:
        for values in reader:
            line, begun = begun, reader.line_num + 1
            if not any(value.strip() for value in values):
                continue
            if not header:
                header = values
            elif len(values) != len(header):
                faults.append(LineFault(line, f"{len(values)} values where the header has {len(header)} columns"))
            else:
                rows.append((line, values))
    except csv.Error as error:
        faults.append(LineFault(begun, f"that is no CSV: {error}"))
    return header, rows, faults


def _load_database(path: str) -> tuple[Sequence[str], _Rows, Sequence[LineFault]]:
    """Read the table of users, whatever it is called, and the names of domains where it only has their numbers."""
    try:
        with closing(sqlite3.connect(f"file:{path.replace('?', '%3f').replace('#', '%23')}?mode=ro", uri=True)) as base:
            table, columns = _find_users(base)
            domains = _domain_names(base) if "domain_id" in columns else {}
            rows = base.execute(f'SELECT * FROM "{table}" ORDER BY rowid').fetchall()  # noqa: S608 - a name from the schema
    except (sqlite3.Error, MailError) as error:
        return (), (), [LineFault(0, error.detail if isinstance(error, MailError) else f"it cannot be read: {error}")]
    header = [*columns, *(["domain"] if domains else [])]
    number = columns.index("domain_id") if domains else 0
    found = []
    for line, row in enumerate(rows, 1):
        values = [_text(value) for value in row]
        found.append((line, [*values, *([domains.get(row[number], "")] if domains else [])]))
    return header, found, ()


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def _find_users(base: sqlite3.Connection) -> tuple[str, list[str]]:
    tables = [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    for table in sorted(tables, key=lambda name: name != "users"):
        quoted = table.replace('"', '""')
        columns = [row[1].lower() for row in base.execute(f'PRAGMA table_info("{quoted}")')]
        meanings = {COLUMNS.get(column) for column in columns}
        if meanings & {"email", "username"} and meanings & {"password", "password_hash"}:
            return quoted, columns
    raise MailError(Kind.INVALID, "no table in it has users with passwords: export them as CSV")


def _domain_names(base: sqlite3.Connection) -> Mapping[object, str]:
    columns = [row[1].lower() for row in base.execute("PRAGMA table_info(domains)")]
    name = next((column for column in ("name", "domain", "domain_name") if column in columns), "")
    if not name or "id" not in columns:
        return {}
    return dict(base.execute(f"SELECT id, {name} FROM domains"))  # noqa: S608 - one of three names


def _read_rows(header: Sequence[str], rows: _Rows, faults: Sequence[LineFault], domain: str) -> Roster:
    names = [COLUMNS.get(name.strip().lower(), "") for name in header]
    unused = [name.strip() for name, meaning in zip(header, names, strict=True) if not meaning]
    if header and len(set(names) - {""}) != len([name for name in names if name]):
        return Roster([], [*faults, LineFault(1, "two columns mean the same")])
    entries, found = [], list(faults)
    for line, values in rows:
        given = {name: value.strip() for name, value in zip(names, values, strict=True) if name}
        if "password" in given:  # may begin or end with a space
            given["password"] = values[names.index("password")]
        try:
            entries.append(_entry(line, given, domain))
        except MailError as error:
            found.append(LineFault(line, error.detail))
    return Roster(entries, sorted(found, key=lambda fault: fault.line), unused)


def _entry(line: int, given: Mapping[str, str], domain: str) -> Entry:
    email = given.get("email") or _join(given.get("username", ""), given.get("domain", ""), domain)
    number = given.get("id", "")
    if number and not re.fullmatch(r"[0-9]{1,15}", number):
        raise MailError(Kind.INVALID, f"{number!r} is no number of an account")
    hashed = given.get("password_hash") or None
    password = given.get("password") or None
    if password and re.match(r"\$[0-9a-z]+\$|\{[A-Za-z0-9.-]+\}.", password) and not hashed:
        password, hashed = _clear(password)  # other programs call the hash the password
    return Entry(
        line=line,
        email=email,
        password=password,
        password_hash=hashed,
        quota_octets=parse_size(given.get("quota") or "0"),
        admin=_truth(given.get("admin", ""), default=False),
        enabled=_truth(given.get("enabled", ""), default=True),
        aliases=tuple(re.split(r"[\s,;]+", given["aliases"])) if given.get("aliases") else (),
        account_id=int(number or 0),
    )


def _join(username: str, own_domain: str, domain: str) -> str:
    if "@" in username or not username:
        return username
    if not (own_domain or domain):
        raise MailError(Kind.INVALID, f"{username} has no domain: give it with --domain")
    return f"{username}@{own_domain or domain}"


def _truth(text: str, *, default: bool) -> bool:
    value = _TRUTH.get(text.lower()) if text else default
    if value is None:
        raise MailError(Kind.INVALID, f"{text!r} is neither yes nor no")
    return value


def _clear(field: str) -> tuple[str | None, str | None]:
    """Tell a password in the clear from a hash."""
    if mark := _CLEAR.match(field):
        return field[mark.end() :] or None, None
    return None, field


def _read_passwd(text: str, domain: str) -> Roster:
    entries: list[Entry] = []
    faults: list[LineFault] = []
    for line, content in _lines(text):
        fields = content.split(":")
        if len(fields) == 1 or not fields[0]:
            faults.append(LineFault(line, "expected address:hash, or a header such as email,password_hash"))
            continue
        password, hashed = (None, None) if fields[1] in _NO_PASSWORD else _clear(fields[1])
        try:
            email = _join(fields[0], "", domain)
        except MailError as error:
            faults.append(LineFault(line, error.detail))
            continue
        quota = _quota_rule(":".join(fields[_EXTRA_FIELD:]))
        entries.append(Entry(line=line, email=email, password=password, password_hash=hashed, quota_octets=quota))
    return Roster(entries, faults)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for line, content in enumerate(text.splitlines(), 1):
        if content.strip() and not content.startswith("#"):
            yield line, content.strip()


def _quota_rule(extra: str) -> int:
    """Read the limit of a Dovecot user; what it calls storage is counted in KiB."""
    rule = _QUOTA_RULE.search(extra)
    if rule is None:
        return 0
    unit = rule[3].upper() or ("K" if rule[1].lower() == "storage" else "")
    return parse_size(f"{rule[2]}{unit if unit != 'B' else ''}")
