"""The questions that the running server asks, each in one read transaction."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, Row, Select, func, select

from mailsuite.address import Address
from mailsuite.directory.accounts import OWN_PASSWORD, replace_verifiers
from mailsuite.directory.database import DirectoryDatabase
from mailsuite.directory.domains import Domains
from mailsuite.directory.records import DomainInfo, LoginRecord
from mailsuite.directory.tables import ALIASES, CREDENTIALS, DOMAINS, SECRETS, USERS, VERIFIERS
from mailsuite.errors import MailError
from mailsuite.interfaces import Account, Resolution, ResolutionKind
from mailsuite.sasl.scram import ScramHash

ADDRESSES_MAX = 5000  # that one resolution may visit
POSTMASTER_NAMES = frozenset({"postmaster", "abuse"})  # RFC 5321 section 4.5.1, RFC 2142 section 4


@attrs.frozen
class Lookups:
    """Reads the directory; blocks."""

    database: DirectoryDatabase

    def resolve(self, address: Address) -> Resolution:
        """
        Say where mail for an address goes; see `mailsuite.interfaces.IAccounts.resolve`.

        Raises:
            MailError: UNAVAILABLE.
        """
        with self.database.reading() as connection:
            return _Resolving(connection).resolve(address)

    def account(self, email: str) -> Account | None:
        """
        Find an account by the key of its own address.

        Raises:
            MailError: UNAVAILABLE.
        """
        with self.database.reading() as connection:
            return _account(connection, email)

    def accounts(self) -> Sequence[Account]:
        """
        All accounts, in order of address.

        Raises:
            MailError: UNAVAILABLE.
        """
        with self.database.reading() as connection:
            return [_make_account(row) for row in connection.execute(select(USERS).order_by(USERS.c.email))]

    def domains(self) -> Sequence[DomainInfo]:
        """
        All domains, in order of name.

        Raises:
            MailError: UNAVAILABLE.
        """
        return Domains(self.database).list()

    def login(self, name: str) -> LoginRecord | None:
        """
        Find whom a login name means: a whole address in any case, or a local part if there is only one domain.

        Raises:
            MailError: UNAVAILABLE.
        """
        with self.database.reading() as connection:
            key = _login_key(connection, name)
            row = None if key is None else connection.execute(select(USERS).where(USERS.c.email == key)).first()
            if row is None:
                return None
            schemes = set(connection.execute(_own_verifiers(row.id).with_only_columns(VERIFIERS.c.scheme)).scalars())
            return LoginRecord(
                account=_make_account(row),
                password_hash=row.password_hash,
                has_scram_keys={hash_.value.lower() for hash_ in ScramHash} <= schemes,
            )

    def scram_keys(self, name: str, hash_: ScramHash) -> str | None:
        """
        Find the encoded SCRAM keys of an account that may log in.

        Raises:
            MailError: UNAVAILABLE.
        """
        with self.database.reading() as connection:
            key = _login_key(connection, name)
            row = None if key is None else connection.execute(select(USERS).where(USERS.c.email == key)).first()
            if row is None or not row.enabled:
                return None
            query = _own_verifiers(row.id).with_only_columns(VERIFIERS.c.value)
            value = connection.execute(query.where(VERIFIERS.c.scheme == hash_.value.lower())).scalar()
            return None if value is None else str(value)

    def store_verifiers(self, record: LoginRecord, password_hash: str, verifiers: dict[str, str], now: int) -> bool:
        """
        Store what was made of a password that was just verified, unless it was changed meanwhile.

        Raises:
            MailError: UNAVAILABLE.
        """
        user_id = record.account.account_id
        with self.database.writing() as connection:
            updated = connection.execute(
                USERS.update()
                .where(USERS.c.id == user_id, USERS.c.password_hash == record.password_hash)
                .values(password_hash=password_hash)
            )
            if not updated.rowcount:
                return False
            replace_verifiers(connection, user_id, verifiers, now)
            return True

    def secret(self, name: str, fresh: bytes) -> bytes:
        """
        Read a secret of this installation; `fresh` becomes it when there is none yet.

        Raises:
            MailError: UNAVAILABLE.
        """
        query = select(SECRETS.c.value).where(SECRETS.c.name == name)
        with self.database.reading() as connection:
            value = connection.execute(query).scalar()
        if value is None:
            with self.database.writing() as connection:
                value = connection.execute(query).scalar()
                if value is None:
                    connection.execute(SECRETS.insert().values(name=name, value=fresh))
                    value = fresh
        return bytes(value)


class _Resolving:
    """One resolution: follows addresses until only accounts and remote addresses are left."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seen: set[str] = set()
        self._accounts: dict[int, tuple[Account, str]] = {}
        self._remote: dict[str, Address] = {}
        self._disabled = False

    def resolve(self, address: Address) -> Resolution:
        if address.domain and self._domain(address.domain) is None:
            return Resolution(kind=ResolutionKind.REMOTE)
        pending = [(address, "")]
        while pending and len(self._seen) < ADDRESSES_MAX:
            # Aliases are followed in their order, so that a list keeps the order it was written in.
            pending = self._follow(*pending.pop(0)) + pending
        if self._accounts or self._remote:
            return Resolution(
                kind=ResolutionKind.LOCAL,
                accounts=tuple(self._accounts.values()),
                remote=tuple(self._remote.values()),
            )
        return Resolution(kind=ResolutionKind.DISABLED if self._disabled else ResolutionKind.UNKNOWN)

    def _follow(self, address: Address, tag: str) -> list[tuple[Address, str]]:
        """Take one address to its end, or say which addresses it stands for."""
        if not address.domain:
            return self._administrator(address.local_part.casefold())
        domain = self._domain(address.domain)
        if domain is None:
            self._remote.setdefault(address.key, address)
            return []
        address = Address(address.local_part, domain.name)
        if address.key in self._seen:
            return []
        self._seen.add(address.key)
        untagged, own_tag = address.detail()
        for candidate, candidate_tag in ((address, tag), (untagged, own_tag or tag)):
            if (account := _account(self._connection, candidate.key)) is not None:
                self._deliver(account, candidate_tag)
                return []
            if targets := self._targets(candidate.key):
                return [(target, candidate_tag) for target in targets]
        return self._nobody(untagged, domain)

    def _nobody(self, address: Address, domain: Row[Any]) -> list[tuple[Address, str]]:
        name = address.local_part.casefold()
        if name in POSTMASTER_NAMES:
            return [(_stored(domain.postmaster), "")] if domain.postmaster else self._administrator(name)
        return [(_stored(domain.catch_all), "")] if domain.catch_all else []

    def _administrator(self, name: str) -> list[tuple[Address, str]]:
        if name in POSTMASTER_NAMES:
            query = select(USERS).where(USERS.c.admin, USERS.c.enabled).order_by(USERS.c.id).limit(1)
            row = self._connection.execute(query).first()
            if row is not None:
                self._deliver(_make_account(row), "")
        return []

    def _deliver(self, account: Account, tag: str) -> None:
        if account.enabled:
            self._accounts.setdefault(account.account_id, (account, tag))
        else:
            self._disabled = True

    def _targets(self, key: str) -> list[Address]:
        query = select(ALIASES.c.target).where(ALIASES.c.source == key).order_by(ALIASES.c.id)
        return [_stored(target) for target in self._connection.execute(query).scalars()]

    def _domain(self, name: str) -> Row[Any] | None:
        """Find a domain of ours; one that stands for another leads to that one."""
        query = select(DOMAINS).where(DOMAINS.c.name == name)
        row = self._connection.execute(query).first()
        if row is not None and row.alias_of is not None:
            row = self._connection.execute(select(DOMAINS).where(DOMAINS.c.id == row.alias_of)).first()
        return row


def _stored(text: str) -> Address:
    """Read an address from a table: a key is written without quotes, whatever is in it."""
    try:
        return Address.parse(text)
    except MailError:
        local_part, _, domain = text.rpartition("@")
        return Address(local_part, domain)


def _login_key(connection: Connection, name: str) -> str | None:
    if "@" in name:
        try:
            address = Address.parse(name)
        except MailError:
            return None
        query = select(DOMAINS.c.alias_of).where(DOMAINS.c.name == address.domain)
        if (alias_of := connection.execute(query).scalar()) is not None:
            real = connection.execute(select(DOMAINS.c.name).where(DOMAINS.c.id == alias_of)).scalar_one()
            address = Address(address.local_part, real)
        return address.key
    if connection.execute(select(func.count()).select_from(DOMAINS)).scalar_one() != 1:
        return None
    return Address(name, connection.execute(select(DOMAINS.c.name)).scalar_one()).key


def _account(connection: Connection, email: str) -> Account | None:
    row = connection.execute(select(USERS).where(USERS.c.email == email)).first()
    return None if row is None else _make_account(row)


def _make_account(row: Row[Any]) -> Account:
    return Account(
        account_id=row.id, email=row.email, enabled=row.enabled, admin=row.admin, quota_octets=row.quota_octets
    )


def _own_verifiers(user_id: int) -> Select[Any]:
    return (
        select(VERIFIERS)
        .join_from(VERIFIERS, CREDENTIALS, VERIFIERS.c.credential_id == CREDENTIALS.c.id)
        .where(CREDENTIALS.c.user_id == user_id, CREDENTIALS.c.kind == OWN_PASSWORD)
    )
