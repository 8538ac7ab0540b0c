"""Many accounts at once: checked first, hashed in threads, written in one transaction."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import attrs
from sqlalchemy import Connection, select

from mailsuite.address import Address
from mailsuite.directory.accounts import HASH_TEXT, OWN_PASSWORD, check_quota, make_verifiers
from mailsuite.directory.database import DirectoryDatabase
from mailsuite.directory.domains import require_domain
from mailsuite.directory.passwords import PasswordHashing, ensure_acceptable
from mailsuite.directory.rosters import Entry, LineFault
from mailsuite.directory.tables import ALIASES, CREDENTIALS, DOMAINS, USERS, VERIFIERS
from mailsuite.errors import Kind, MailError

K = TypeVar("K")

ROWS_AT_ONCE = 500


@attrs.frozen
class Checked:
    """
    What an import would do.

    Args:
        new: users that can be added, each with its address.
        present: those that have an account; it is left as it is.
    """

    new: Sequence[tuple[Entry, Address]]
    present: Sequence[Entry]
    faults: Sequence[LineFault]


@attrs.frozen
class _Known:
    """What the directory holds before an import."""

    domains: Mapping[str, int]
    users: Mapping[str, int]
    numbers: frozenset[int]
    aliases: frozenset[str]


@attrs.frozen
class BulkImport:
    """
    Adds the users of a list.

    Args:
        keep_ids: give the accounts the numbers that the list has.
        now: the time, in seconds since the epoch.
    """

    database: DirectoryDatabase
    hashing: PasswordHashing = attrs.field(factory=PasswordHashing)
    keep_ids: bool = False
    now: Callable[[], float] = time.time

    def check(self, entries: Sequence[Entry]) -> Checked:
        """
        Find everything that is wrong with a list; writes nothing.

        Raises:
            MailError: UNAVAILABLE.
        """
        new: list[tuple[Entry, Address]] = []
        present: list[Entry] = []
        faults: list[LineFault] = []
        taken: dict[str, int] = {}
        numbers: dict[int, int] = {}
        with self.database.reading() as connection:
            known = _load(connection)
            for entry in entries:
                try:
                    address = Address.parse(entry.email)
                    _claim(taken, address.key, entry.line)
                    if address.key in known.users:
                        present.append(entry)
                        continue
                    self._check(connection, entry, address, known)
                    if self.keep_ids and entry.account_id:
                        _claim(numbers, entry.account_id, entry.line)
                        _check_number(entry.account_id, known)
                except MailError as error:
                    faults.append(LineFault(entry.line, error.detail))
                else:
                    new.append((entry, address))
        good, clashes = _sort_out(new, known)
        return Checked(good, present, [*faults, *clashes])

    def _check(self, connection: Connection, entry: Entry, address: Address, known: _Known) -> None:
        if address.domain not in known.domains:
            require_domain(connection, address.domain)  # says why not
        if address.key in known.aliases:
            raise MailError(Kind.EXISTS, f"{address.key} is an alias: remove it first with 'alias remove'")
        check_quota(entry.quota_octets)
        if entry.password is not None and entry.password_hash is not None:
            raise MailError(Kind.INVALID, "there are a password and a hash: leave one out")
        if entry.password is not None:
            ensure_acceptable(entry.password)
        if entry.password_hash is not None:
            self._check_hash(entry.password_hash, address)
        for alias in entry.aliases:
            domain = Address.parse(alias).domain
            if domain not in known.domains:
                require_domain(connection, domain)

    def _check_hash(self, text: str, address: Address) -> None:
        if HASH_TEXT.fullmatch(text) and self.hashing.recognises(text):
            return
        raise MailError(
            Kind.INVALID,
            f"a hash of the scheme {scheme_of(text)} cannot be verified here: clear it, import the line, and set a"
            f" password with 'user passwd {address.key}'",
        )

    def add(self, new: Sequence[tuple[Entry, Address]], told: Callable[[int], None] = lambda _: None) -> None:
        """
        Hash what is in the clear, then add all accounts in one transaction.

        Args:
            new: as `check` gave it.
            told: called after each password with how many are done.

        Raises:
            MailError: CONFLICT when somebody else added one of them meanwhile; UNAVAILABLE. Nothing was added.
        """
        verifiers = self._hash([entry for entry, _ in new], told)
        with self.database.writing() as connection:
            domains = _load(connection).domains
            self._insert(connection, new, verifiers, domains)

    def _hash(self, entries: Sequence[Entry], told: Callable[[int], None]) -> Sequence[tuple[str, Mapping[str, str]]]:
        def work(entry: Entry) -> tuple[str, Mapping[str, str]]:
            return make_verifiers(self.hashing, entry.password, entry.password_hash)

        done = []
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # both computations let go of the interpreter
            for result in pool.map(work, entries):
                done.append(result)
                told(len(done))
        return done

    def _insert(
        self,
        connection: Connection,
        new: Sequence[tuple[Entry, Address]],
        verifiers: Sequence[tuple[str, Mapping[str, str]]],
        domains: Mapping[str, int],
    ) -> None:
        now = int(self.now())
        rows: list[dict[str, object]] = []
        for (entry, address), (stored, _) in zip(new, verifiers, strict=True):
            row: dict[str, object] = {
                "username": address.local_part,
                "email": address.key,
                "domain_id": domains[address.domain],
                "password_hash": stored,
                "enabled": entry.enabled,
                "admin": entry.admin,
                "quota_octets": entry.quota_octets,
                "created": now,
            }
            rows.append(row | ({"id": entry.account_id} if self.keep_ids and entry.account_id else {}))
        # Those with numbers of their own first: nobody may be given one of these.
        ids: dict[str, int] = {}
        for part in (*_cut([row for row in rows if "id" in row]), *_cut([row for row in rows if "id" not in row])):
            found = connection.execute(USERS.insert().returning(USERS.c.email, USERS.c.id), part)
            ids.update(found.all())
        self._insert_verifiers(connection, new, verifiers, ids, now)
        aliases = [
            {"source": source.key, "domain_id": domains[source.domain], "target": address.key, "created": now}
            for entry, address in new
            for source in map(Address.parse, entry.aliases)
        ]
        for part in _cut(aliases):
            connection.execute(ALIASES.insert(), part)

    @staticmethod
    def _insert_verifiers(
        connection: Connection,
        new: Sequence[tuple[Entry, Address]],
        verifiers: Sequence[tuple[str, Mapping[str, str]]],
        ids: Mapping[str, int],
        now: int,
    ) -> None:
        keys = {ids[address.key]: made for (_, address), (_, made) in zip(new, verifiers, strict=True)}
        credentials: dict[int, int] = {}
        owners = [{"user_id": user_id, "kind": OWN_PASSWORD, "label": "", "created": now} for user_id in keys]
        for part in _cut(owners):
            found = connection.execute(CREDENTIALS.insert().returning(CREDENTIALS.c.user_id, CREDENTIALS.c.id), part)
            credentials.update(found.all())
        rows = [
            {"credential_id": credentials[user_id], "scheme": scheme, "value": value}
            for user_id, made in keys.items()
            for scheme, value in made.items()
        ]
        for part in _cut(rows):
            connection.execute(VERIFIERS.insert(), part)


def scheme_of(text: str) -> str:
    """Name the scheme of a hash as far as its beginning tells it; never shows the hash."""
    if text.startswith("{") and "}" in text[:32]:
        return text[: text.index("}") + 1]
    if text.startswith("$") and "$" in text[1:32]:
        return text[: text.index("$", 1) + 1]
    return "that it does not name"


def _cut(rows: list[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        yield rows[start : start + ROWS_AT_ONCE]


def _load(connection: Connection) -> _Known:
    real = select(DOMAINS.c.name, DOMAINS.c.id).where(
        DOMAINS.c.alias_of.is_(None), ~DOMAINS.c.backup_mx, DOMAINS.c.capture_seconds == 0
    )
    users = dict(connection.execute(select(USERS.c.email, USERS.c.id)).all())
    return _Known(
        dict(connection.execute(real).all()),
        users,
        frozenset(users.values()),
        frozenset(connection.execute(select(ALIASES.c.source)).scalars()),
    )


def _claim(taken: dict[K, int], key: K, line: int) -> None:
    if taken.setdefault(key, line) != line:
        raise MailError(Kind.EXISTS, f"{key} stands in line {taken[key]} already")


def _check_number(number: int, known: _Known) -> None:
    if number in known.numbers:
        raise MailError(Kind.EXISTS, f"another account has the number {number}: import without --keep-ids")


def _sort_out(
    new: Sequence[tuple[Entry, Address]], known: _Known
) -> tuple[list[tuple[Entry, Address]], list[LineFault]]:
    """Find aliases that are accounts as well."""
    accounts = {address.key for _, address in new} | known.users.keys()
    good, faults = [], []
    for entry, address in new:
        clash = [alias for alias in entry.aliases if Address.parse(alias).key in accounts]
        if clash:
            faults.append(LineFault(entry.line, f"{clash[0]} cannot be an alias: it is an account"))
        else:
            good.append((entry, address))
    return good, faults
