"""Aliases: synchronous operations, for the command line and for a thread of the server."""

import time
from collections.abc import Callable, Sequence
from itertools import groupby

import attrs
from sqlalchemy import Connection, select

from mailsuite.address import Address, normalize_domain
from mailsuite.directory.database import DirectoryDatabase
from mailsuite.directory.domains import find_domain, require_domain
from mailsuite.directory.records import AliasInfo
from mailsuite.directory.tables import ALIASES, DOMAINS, USERS
from mailsuite.errors import Kind, MailError

TARGETS_MAX = 1000


@attrs.frozen
class Aliases:
    """
    Addresses that stand for others.

    Args:
        now: the time, in seconds since the epoch.
    """

    database: DirectoryDatabase
    now: Callable[[], float] = time.time

    def add(self, source: str, targets: Sequence[str]) -> AliasInfo:
        """
        Let an address of ours stand for others, beside those it stands for already.

        Args:
            targets: our own addresses, aliases among them, or anybody's.

        Raises:
            MailError: INVALID, also for a loop; NOT_FOUND when the domain is not ours, or a target in one of our
                domains is nobody; EXISTS when the address is an account or every target is there already.
        """
        address = Address.parse(source)
        wanted = [Address.parse(target) for target in targets]
        if not wanted:
            raise MailError(Kind.INVALID, "an alias needs at least one target")
        with self.database.writing() as connection:
            domain_id = require_domain(connection, address.domain)
            if connection.execute(select(USERS.c.id).where(USERS.c.email == address.key)).first() is not None:
                raise MailError(Kind.EXISTS, f"{address.key} is an account already: an alias needs another address")
            present = set(_targets(connection, address.key))
            written = dict.fromkeys(written_target(connection, target) for target in wanted)
            new = [target for target in written if target not in present]
            if not new:
                raise MailError(Kind.EXISTS, f"{address.key} stands for that already")
            if len(present) + len(new) > TARGETS_MAX:
                raise MailError(Kind.INVALID, f"an alias has at most {TARGETS_MAX} targets")
            for target in new:
                _ensure_no_loop(connection, address.key, target)
            connection.execute(
                ALIASES.insert(),
                [
                    {"source": address.key, "domain_id": domain_id, "target": target, "created": int(self.now())}
                    for target in new
                ],
            )
            return AliasInfo(source=address.key, targets=_targets(connection, address.key))

    def list(self, domain: str | None = None) -> Sequence[AliasInfo]:
        """
        All aliases, or those of one domain, in order of address.

        Raises:
            MailError: NOT_FOUND when the domain is not ours.
        """
        query = select(ALIASES.c.source, ALIASES.c.target).order_by(ALIASES.c.source, ALIASES.c.id)
        with self.database.reading() as connection:
            if domain is not None:
                query = query.where(ALIASES.c.domain_id == find_domain(connection, normalize_domain(domain)))
            rows = connection.execute(query).all()
        return [
            AliasInfo(source=source, targets=tuple(row.target for row in group))
            for source, group in groupby(rows, key=lambda row: str(row.source))
        ]

    def info(self, source: str) -> AliasInfo:
        """
        Look at one alias.

        Raises:
            MailError: INVALID; NOT_FOUND.
        """
        key = Address.parse(source).key
        with self.database.reading() as connection:
            targets = _targets(connection, key)
        if not targets:
            raise MailError(Kind.NOT_FOUND, f"there is no alias {key}; 'alias list' shows them")
        return AliasInfo(source=key, targets=targets)

    def remove(self, source: str, targets: Sequence[str] = ()) -> None:
        """
        Remove an alias, or some of its targets.

        Raises:
            MailError: INVALID; NOT_FOUND.
        """
        key = Address.parse(source).key
        wanted = [Address.parse(target) for target in targets]
        query = ALIASES.delete().where(ALIASES.c.source == key)
        if wanted:
            query = query.where(ALIASES.c.target.in_({str(target) for target in wanted} | {a.key for a in wanted}))
        with self.database.writing() as connection:
            if not connection.execute(query).rowcount:
                raise MailError(Kind.NOT_FOUND, f"there is no such alias of {key}; 'alias list' shows them")


def _targets(connection: Connection, source: str) -> tuple[str, ...]:
    rows = connection.execute(select(ALIASES.c.target).where(ALIASES.c.source == source).order_by(ALIASES.c.id))
    return tuple(rows.scalars())


def written_target(connection: Connection, target: Address) -> str:
    """
    Write a target: ours in the form we compare, others' as they wrote it.

    Raises:
        MailError: NOT_FOUND when it lies in one of our domains and is nobody.
    """
    domain = connection.execute(select(DOMAINS).where(DOMAINS.c.name == target.domain)).first()
    if domain is None or domain.backup_mx:
        return str(target)
    if domain.capture_seconds:
        return target.key
    known = select(USERS.c.id).where(USERS.c.email.in_({target.key, target.detail()[0].key}))
    alias = select(ALIASES.c.id).where(ALIASES.c.source == target.key)
    if connection.execute(known).first() is None and connection.execute(alias).first() is None:
        raise MailError(Kind.NOT_FOUND, f"there is no account or alias {target.key} for the alias to lead to")
    return target.key


def _ensure_no_loop(connection: Connection, source: str, target: str) -> None:
    seen: set[str] = set()
    pending = [target]
    while pending:
        key = pending.pop()
        if key == source:
            raise MailError(Kind.INVALID, f"{target} leads back to {source}: that would be a loop")
        if key not in seen:
            seen.add(key)
            pending.extend(_targets(connection, key))
