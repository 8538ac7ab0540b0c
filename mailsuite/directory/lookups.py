"""The questions that the running server asks, each in one read transaction."""

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, Select, func, select

from mailsuite.address import Address
from mailsuite.directory.accounts import OWN_PASSWORD, check_quota, replace_verifiers
from mailsuite.directory.database import DirectoryDatabase
from mailsuite.directory.domains import CAPTURE_NAME, Domains
from mailsuite.directory.records import DomainInfo, LoginRecord
from mailsuite.directory.resolving import Resolving, find_account, make_account, select_accounts
from mailsuite.directory.tables import CREDENTIALS, DOMAINS, SECRETS, USERS, VERIFIERS
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account, QuotaChange, Resolution
from mailsuite.sasl.scram import ScramHash


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
            return Resolving(connection).resolve(address)

    def owners(self, address: Address) -> Resolution:
        """
        Say whose an address is: where it leads but for forwards.

        Raises:
            MailError: UNAVAILABLE.
        """
        with self.database.reading() as connection:
            return Resolving(connection, forwards=False).resolve(address)

    def account(self, email: str) -> Account | None:
        """
        Find an account by the key of its own address.

        Raises:
            MailError: UNAVAILABLE.
        """
        with self.database.reading() as connection:
            return find_account(connection, email)

    def account_of_id(self, account_id: int) -> Account | None:
        """
        Find an account by its id.

        Raises:
            MailError: UNAVAILABLE.
        """
        with self.database.reading() as connection:
            row = connection.execute(select_accounts().where(USERS.c.id == account_id)).first()
            return None if row is None else make_account(row)

    def accounts(self) -> Sequence[Account]:
        """
        All accounts, in order of address.

        Raises:
            MailError: UNAVAILABLE.
        """
        with self.database.reading() as connection:
            return [make_account(row) for row in connection.execute(select_accounts().order_by(USERS.c.email))]

    def captures(self) -> Sequence[tuple[Account, int]]:
        """
        Accounts in which domains capture, each with how long that is kept in seconds.

        Raises:
            MailError: UNAVAILABLE.
        """
        query = select_accounts().where(DOMAINS.c.capture_seconds > 0).order_by(USERS.c.email)
        with self.database.reading() as connection:
            return [
                (make_account(row), row.capture_seconds)
                for row in connection.execute(query)
                if row.email.startswith(f"{CAPTURE_NAME}@")
            ]

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
            query = select_accounts().where(USERS.c.email == key)
            row = None if key is None else connection.execute(query).first()
            if row is None:
                return None
            schemes = set(connection.execute(_own_verifiers(row.id).with_only_columns(VERIFIERS.c.scheme)).scalars())
            return LoginRecord(
                account=make_account(row),
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

    def set_quota(self, account_id: int, quota_octets: int) -> QuotaChange:
        """
        Limit the mail of an account; 0 is without limit.

        Raises:
            MailError: NOT_FOUND; INVALID; UNAVAILABLE.
        """
        check_quota(quota_octets)
        with self.database.writing() as connection:
            row = connection.execute(select_accounts().where(USERS.c.id == account_id)).first()
            if row is None:
                raise MailError(Kind.NOT_FOUND, "there is no such account")
            connection.execute(USERS.update().where(USERS.c.id == account_id).values(quota_octets=quota_octets))
        before = make_account(row)
        return QuotaChange(attrs.evolve(before, quota_octets=quota_octets), before.quota_octets)

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


def _own_verifiers(user_id: int) -> Select[Any]:
    return (
        select(VERIFIERS)
        .join_from(VERIFIERS, CREDENTIALS, VERIFIERS.c.credential_id == CREDENTIALS.c.id)
        .where(CREDENTIALS.c.user_id == user_id, CREDENTIALS.c.kind == OWN_PASSWORD)
    )
