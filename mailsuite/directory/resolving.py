"""One address, followed to where its mail goes."""

from collections import deque
from typing import Any

import attrs
from sqlalchemy import Connection, Row, Select, select

from mailsuite.address import POSTMASTER_NAMES, Address
from mailsuite.directory.domains import CAPTURE_NAME
from mailsuite.directory.forwards import is_own
from mailsuite.directory.tables import ALIASES, DOMAINS, FORWARDS, USERS
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account, Resolution, ResolutionKind

ADDRESSES_MAX = 5000  # that one resolution may visit


@attrs.frozen
class _Step:
    """
    An address that is still to be followed.

    Args:
        via: the accounts whose forwards led here, the nearest last.
    """

    address: Address
    tag: str = ""
    via: tuple[Account, ...] = ()


class Resolving:
    """
    One resolution: follows addresses until only accounts and remote addresses are left.

    Args:
        forwards: follow those as well.
    """

    def __init__(self, connection: Connection, *, forwards: bool = True) -> None:
        self._connection = connection
        self._follows_forwards = forwards
        self._seen: set[str] = set()
        self._accounts: dict[int, tuple[Account, str]] = {}
        self._remote: dict[str, Address] = {}
        self._forwarded: dict[str, tuple[Account, Address]] = {}
        self._captured: dict[tuple[int, str], tuple[Account, str]] = {}
        self._forwarders: dict[int, tuple[Account, str]] = {}
        self._disabled: Account | None = None
        self._dead_end = False  # something led to nobody, or to where it had been

    def resolve(self, address: Address) -> Resolution:
        """
        Say where mail for an address goes.

        Raises:
            MailError: UNAVAILABLE.
        """
        if address.domain:
            domain = self._domain(address.domain)
            if domain is None:
                return Resolution(kind=ResolutionKind.REMOTE)
            if domain.backup_mx:
                return Resolution(kind=ResolutionKind.RELAYED, remote=(address,))
        self._follow_all(_Step(address))
        if self._dead_end or not self._found:
            self._keep_stranded()
        if not self._found and address.detail()[0].local_part.casefold() in POSTMASTER_NAMES:
            self._find_postmaster(address)
        if self._found:
            return Resolution(
                kind=ResolutionKind.LOCAL,
                accounts=tuple(self._accounts.values()),
                remote=tuple(self._remote.values()),
                forwarded=tuple(self._forwarded.values()),
                captured=tuple(self._captured.values()),
            )
        return Resolution(kind=ResolutionKind.UNKNOWN if self._disabled is None else ResolutionKind.DISABLED)

    @property
    def _found(self) -> bool:
        return bool(self._accounts or self._remote or self._forwarded or self._captured)

    def _follow_all(self, first: _Step) -> None:
        pending = deque((first,))
        while pending and len(self._seen) < ADDRESSES_MAX:
            # Aliases are followed in their order, so that a list keeps the order it was written in.
            pending.extendleft(reversed(self._follow(pending.popleft())))
        if pending:
            raise MailError(Kind.UNAVAILABLE, "this address leads to too many others")  # some would not get it

    def _keep_stranded(self) -> None:
        """Forwards that lead nowhere must not lose mail, even if others get it: it stays with the last of them."""
        kept: set[int] = set()
        visited = 0
        for account_id, (account, tag) in reversed(self._forwarders.items()):
            if account_id in self._accounts:
                continue
            alone = Resolving(self._connection)
            if visited < ADDRESSES_MAX:  # otherwise a copy too much is better than none
                alone._follow_all(_Step(_stored(account.email)))
                visited += len(alone._seen)
            if not alone._found and kept.isdisjoint(alone._forwarders):
                self._accounts[account_id] = account, tag
                kept.add(account_id)

    def _find_postmaster(self, address: Address) -> None:
        """Find somebody for mail that must not be refused: what was meant for it is switched off or is not there."""
        domain = self._domain(address.domain) if address.domain else None
        if domain is not None and domain.postmaster:
            self._follow_all(_Step(_stored(domain.postmaster)))
        if not self._found:
            self._administrator(address.detail()[0].local_part.casefold())
        if not self._found and self._disabled is not None:
            self._accounts[self._disabled.account_id] = self._disabled, ""

    def _follow(self, step: _Step) -> list[_Step]:
        """Take one address to its end, or say which addresses it stands for."""
        address = step.address
        if not address.domain:
            self._administrator(address.local_part.casefold())
            return []
        domain = self._domain(address.domain)
        if domain is None or domain.backup_mx:
            self._leave(step)
            return []
        if domain.capture_seconds:
            self._capture(address, domain)
            return []
        address = Address(address.local_part, domain.name)
        if address.key in self._seen:
            self._keep_in_loop(address, step)
            return []
        self._seen.add(address.key)
        untagged, own_tag = address.detail()
        for candidate, tag in ((address, step.tag), (untagged, own_tag or step.tag)):
            row = self._connection.execute(select_accounts().where(USERS.c.email == candidate.key)).first()
            if row is not None:
                return self._deliver(row, attrs.evolve(step, tag=tag))
            if targets := self._targets(candidate.key):
                return [_Step(target, tag, step.via) for target in targets]
        return self._nobody(untagged, domain, step)

    def _nobody(self, address: Address, domain: Row[Any], step: _Step) -> list[_Step]:
        name = address.local_part.casefold()
        if name in POSTMASTER_NAMES:
            if domain.postmaster:
                return [_Step(_stored(domain.postmaster), "", step.via)]
            self._administrator(name)
            return []
        if not domain.catch_all:
            self._dead_end = True
            return []
        return [_Step(_stored(domain.catch_all), "", step.via)]

    def _administrator(self, name: str) -> None:
        if name in POSTMASTER_NAMES:
            query = select_accounts().where(USERS.c.admin, USERS.c.enabled).order_by(USERS.c.id).limit(1)
            row = self._connection.execute(query).first()
            if row is not None:
                self._accounts.setdefault(row.id, (make_account(row), ""))

    def _deliver(self, row: Row[Any], step: _Step) -> list[_Step]:
        """Put it into an account, or pass it on, or both."""
        account = make_account(row)
        if not account.enabled:
            self._disabled = self._disabled or account
            self._dead_end = True
            return []
        targets = self._forwards(account) if self._follows_forwards else []
        if not targets or row.keep_copy or account in step.via:
            self._accounts.setdefault(account.account_id, (account, step.tag))
        if not targets or account.account_id in self._forwarders:
            return []
        self._forwarders[account.account_id] = account, step.tag
        return [_Step(target, "", (*step.via, account)) for target in targets]

    def _keep_in_loop(self, address: Address, step: _Step) -> None:
        """A forward that comes back to its account ends there."""
        self._dead_end = True
        for account in step.via:
            if is_own(address.key, account.email):
                self._accounts.setdefault(account.account_id, (account, step.tag))

    def _leave(self, step: _Step) -> None:
        key = step.address.key
        if key in self._remote or key in self._forwarded:
            return
        if step.via:
            self._forwarded[key] = step.via[-1], step.address
        else:
            self._remote[key] = step.address

    def _capture(self, address: Address, domain: Row[Any]) -> None:
        account = find_account(self._connection, f"{CAPTURE_NAME}@{domain.name}")
        if account is None:
            raise MailError(Kind.UNAVAILABLE, "there is no account for what this domain captures")
        if account.enabled:
            name = address.local_part.casefold()
            self._captured.setdefault((account.account_id, name), (account, name))
        else:
            self._disabled = self._disabled or account
            self._dead_end = True

    def _forwards(self, account: Account) -> list[Address]:
        query = select(FORWARDS.c.target).where(FORWARDS.c.user_id == account.account_id).order_by(FORWARDS.c.id)
        return [_stored(target) for target in self._connection.execute(query).scalars()]

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


def select_accounts() -> Select[Any]:
    """Ask for accounts, with what `make_account` needs of their domains."""
    return select(USERS, DOMAINS.c.capture_seconds).join_from(USERS, DOMAINS, USERS.c.domain_id == DOMAINS.c.id)


def find_account(connection: Connection, email: str) -> Account | None:
    """Find an account by the key of its own address."""
    row = connection.execute(select_accounts().where(USERS.c.email == email)).first()
    return None if row is None else make_account(row)


def make_account(row: Row[Any]) -> Account:
    """Read a row of `select_accounts`."""
    return Account(
        account_id=row.id,
        email=row.email,
        enabled=row.enabled,
        admin=row.admin,
        quota_octets=row.quota_octets,
        receive_only=row.capture_seconds > 0,
    )
