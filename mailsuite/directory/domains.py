"""Domains: synchronous operations, for the command line and for a thread of the server."""

import time
from collections.abc import Callable, Sequence

import attrs
from sqlalchemy import Connection, func, select

from mailsuite.address import Address, normalize_domain
from mailsuite.directory.database import DirectoryDatabase
from mailsuite.directory.records import DomainInfo
from mailsuite.directory.tables import ALIASES, DOMAINS, USERS
from mailsuite.errors import Kind, MailError

CAPTURE_NAME = "capture"
"""The local part of the account that keeps what a domain captures."""
CAPTURE_QUOTA_OCTETS = 2**30
CAPTURE_SECONDS = 24 * 3600
CAPTURE_SECONDS_MAX = 10 * 365 * 24 * 3600


def find_domain(connection: Connection, name: str) -> int:
    """
    Find one of our domains.

    Raises:
        MailError: NOT_FOUND, with what to do; INVALID when it only stands for another.
    """
    row = connection.execute(select(DOMAINS.c.id, DOMAINS.c.alias_of).where(DOMAINS.c.name == name)).first()
    if row is None:
        raise MailError(Kind.NOT_FOUND, f"{name} is not one of our domains: add it first with 'domain add {name}'")
    if row.alias_of is not None:
        raise MailError(Kind.INVALID, f"{name} stands for another domain: make the address in that one")
    return int(row.id)


def require_domain(connection: Connection, name: str) -> int:
    """
    Find one of our domains, for a new address in it.

    Raises:
        MailError: NOT_FOUND, with what to do; INVALID when it only stands for another, or has no addresses of its own.
    """
    domain_id = find_domain(connection, name)
    row = connection.execute(select(DOMAINS).where(DOMAINS.c.id == domain_id)).one()
    if row.backup_mx:
        raise MailError(Kind.INVALID, f"{name} has its addresses elsewhere: we are only a backup for it")
    if row.capture_seconds:
        raise MailError(Kind.INVALID, f"{name} captures mail for every name: it needs no further addresses")
    return domain_id


def ensure_no_capture(connection: Connection, key: str) -> None:
    """
    Make sure that an account is not what a domain captures into.

    Raises:
        MailError: CONFLICT.
    """
    name, _, domain = key.rpartition("@")
    query = select(DOMAINS.c.id).where(DOMAINS.c.name == domain, DOMAINS.c.capture_seconds > 0)
    if name == CAPTURE_NAME and connection.execute(query).first() is not None:
        raise MailError(Kind.CONFLICT, f"{key} keeps what {domain} captures: 'domain set {domain} --capture off' first")


@attrs.frozen
class Domains:
    """
    The domains that are ours.

    Args:
        now: the time, in seconds since the epoch.
    """

    database: DirectoryDatabase
    now: Callable[[], float] = time.time

    def add(self, name: str, *, backup_mx: bool = False) -> DomainInfo:
        """
        Add a domain.

        Args:
            backup_mx: we only pass its mail on, to the other hosts that it has.

        Raises:
            MailError: INVALID; EXISTS.
        """
        name = normalize_domain(name)
        if name.startswith("["):
            raise MailError(Kind.INVALID, "an address literal cannot be a domain of ours")
        with self.database.writing() as connection:
            if connection.execute(select(DOMAINS.c.id).where(DOMAINS.c.name == name)).first() is not None:
                raise MailError(Kind.EXISTS, f"{name} is one of our domains already")
            connection.execute(
                DOMAINS.insert().values(
                    name=name, catch_all="", postmaster="", created=int(self.now()), backup_mx=backup_mx
                )
            )
            return self._info(connection, name)

    def list(self) -> Sequence[DomainInfo]:
        """All domains, in order of name."""
        with self.database.reading() as connection:
            return _select(connection)

    def info(self, name: str) -> DomainInfo:
        """
        Look at one domain.

        Raises:
            MailError: NOT_FOUND.
        """
        with self.database.reading() as connection:
            return self._info(connection, normalize_domain(name))

    def set(
        self, name: str, *, catch_all: str | None = None, postmaster: str | None = None, alias_of: str | None = None
    ) -> DomainInfo:
        """
        Change a domain; None leaves a value as it is, an empty text clears it.

        Args:
            catch_all: an address, ours or not, that gets mail for unknown names.
            postmaster: an address that gets mail for ``postmaster`` and ``abuse``.
            alias_of: another of our domains; this one must have no addresses of its own.

        Raises:
            MailError: NOT_FOUND; INVALID; CONFLICT.
        """
        name = normalize_domain(name)
        values: dict[str, object] = {}
        if catch_all is not None:
            values["catch_all"] = Address.parse(catch_all).key if catch_all else ""
        if postmaster is not None:
            values["postmaster"] = Address.parse(postmaster).key if postmaster else ""
        with self.database.writing() as connection:
            info = self._info(connection, name)
            if info.backup_mx or info.capture_seconds:
                require_domain(connection, name)  # says why not
            if alias_of is not None:
                values["alias_of"] = self._alias_target(connection, info, alias_of) if alias_of else None
            if values:
                connection.execute(DOMAINS.update().where(DOMAINS.c.name == name).values(**values))
            return self._info(connection, name)

    def set_backup_mx(self, name: str, *, backup_mx: bool) -> DomainInfo:
        """
        Be only a backup for a domain, or its home again.

        Raises:
            MailError: NOT_FOUND; CONFLICT when it has addresses of its own.
        """
        name = normalize_domain(name)
        with self.database.writing() as connection:
            info = self._info(connection, name)
            if backup_mx:
                self._ensure_bare(connection, info, accounts=0)
                if info.capture_seconds:
                    raise MailError(Kind.CONFLICT, f"{name} captures mail: 'domain set {name} --capture off' first")
            connection.execute(DOMAINS.update().where(DOMAINS.c.name == name).values(backup_mx=backup_mx))
            return self._info(connection, name)

    def set_capture(self, name: str, seconds: int) -> DomainInfo:
        """
        Keep mail for every name in a domain for some time, or be a domain like others again.

        The account ``capture`` of the domain, in which it is kept, is made if need be; it stays when capturing ends.

        Args:
            seconds: 0 ends it.

        Raises:
            MailError: NOT_FOUND; INVALID; CONFLICT when the domain has other addresses.
        """
        name = normalize_domain(name)
        if not 0 <= seconds <= CAPTURE_SECONDS_MAX:
            raise MailError(Kind.INVALID, "captured mail is kept for a second to ten years")
        with self.database.writing() as connection:
            info = self._info(connection, name)
            if seconds and not info.capture_seconds:
                self._begin_capture(connection, info)
            connection.execute(DOMAINS.update().where(DOMAINS.c.name == name).values(capture_seconds=seconds))
            return self._info(connection, name)

    def _begin_capture(self, connection: Connection, info: DomainInfo) -> None:
        key = f"{CAPTURE_NAME}@{info.name}"
        found = connection.execute(select(USERS.c.id).where(USERS.c.email == key)).first() is not None
        self._ensure_bare(connection, info, accounts=1 if found else 0)
        if info.backup_mx:
            raise MailError(Kind.CONFLICT, f"{info.name} is passed on: 'domain set {info.name} --backup-mx off' first")
        if not found:
            connection.execute(
                USERS.insert().values(
                    username=CAPTURE_NAME,
                    email=key,
                    domain_id=info.domain_id,
                    password_hash="",
                    enabled=True,
                    admin=False,
                    quota_octets=CAPTURE_QUOTA_OCTETS,
                    created=int(self.now()),
                )
            )

    def _ensure_bare(self, connection: Connection, info: DomainInfo, *, accounts: int) -> None:
        """Make sure that a domain has nothing but these accounts."""
        if info.alias_of:
            raise MailError(Kind.CONFLICT, f"{info.name} stands for {info.alias_of}: change that first")
        if info.accounts > accounts or info.aliases or info.catch_all or info.postmaster:
            raise MailError(Kind.CONFLICT, f"{info.name} has addresses of its own: remove them first")
        if (other := self._stands_for(connection, info.domain_id)) is not None:
            raise MailError(Kind.CONFLICT, f"{other} stands for {info.name}: change that first")

    def remove(self, name: str) -> None:
        """
        Remove a domain and its aliases.

        Raises:
            MailError: NOT_FOUND; CONFLICT while it has accounts, or other domains stand for it.
        """
        name = normalize_domain(name)
        with self.database.writing() as connection:
            info = self._info(connection, name)
            if info.accounts:
                raise MailError(Kind.CONFLICT, f"{name} still has {info.accounts} accounts: remove them first")
            if (other := self._stands_for(connection, info.domain_id)) is not None:
                raise MailError(Kind.CONFLICT, f"{other} stands for {name}: remove or change it first")
            connection.execute(ALIASES.delete().where(ALIASES.c.domain_id == info.domain_id))
            connection.execute(DOMAINS.delete().where(DOMAINS.c.id == info.domain_id))

    @staticmethod
    def _info(connection: Connection, name: str) -> DomainInfo:
        found = _select(connection, name)
        if not found:
            raise MailError(Kind.NOT_FOUND, f"{name} is not one of our domains; 'domain list' shows them")
        return found[0]

    @staticmethod
    def _stands_for(connection: Connection, domain_id: int) -> str | None:
        name = connection.execute(select(DOMAINS.c.name).where(DOMAINS.c.alias_of == domain_id)).scalar()
        return None if name is None else str(name)

    def _alias_target(self, connection: Connection, info: DomainInfo, alias_of: str) -> int:
        target = require_domain(connection, normalize_domain(alias_of))
        if target == info.domain_id:
            raise MailError(Kind.INVALID, "a domain cannot stand for itself")
        if info.accounts or info.aliases:
            raise MailError(Kind.CONFLICT, f"{info.name} has addresses of its own: remove them first")
        if (other := self._stands_for(connection, info.domain_id)) is not None:
            raise MailError(Kind.CONFLICT, f"{other} stands for {info.name}: change that first")
        return target


def _select(connection: Connection, name: str | None = None) -> list[DomainInfo]:
    real = DOMAINS.alias("real")
    accounts = select(func.count()).where(USERS.c.domain_id == DOMAINS.c.id).scalar_subquery()
    aliases = (
        select(func.count(ALIASES.c.source.distinct())).where(ALIASES.c.domain_id == DOMAINS.c.id).scalar_subquery()
    )
    query = (
        select(DOMAINS, real.c.name.label("real_name"), accounts.label("accounts"), aliases.label("aliases"))
        .select_from(DOMAINS.outerjoin(real, DOMAINS.c.alias_of == real.c.id))
        .order_by(DOMAINS.c.name)
    )
    if name is not None:
        query = query.where(DOMAINS.c.name == name)
    return [
        DomainInfo(
            domain_id=row.id,
            name=row.name,
            alias_of=row.real_name or "",
            catch_all=row.catch_all,
            postmaster=row.postmaster,
            created=row.created,
            accounts=row.accounts,
            aliases=row.aliases,
            backup_mx=row.backup_mx,
            capture_seconds=row.capture_seconds,
        )
        for row in connection.execute(query)
    ]
