"""Accounts: synchronous operations, for the command line and for a thread of the server."""

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, Row, select

from mailsuite.address import Address, normalize_domain
from mailsuite.directory.database import DirectoryDatabase
from mailsuite.directory.domains import ensure_no_capture, find_domain, require_domain
from mailsuite.directory.forwards import load_forwards, replace_forwards
from mailsuite.directory.passwords import PasswordHashing, ensure_acceptable
from mailsuite.directory.records import AccountInfo
from mailsuite.directory.tables import ALIASES, CREDENTIALS, DOMAINS, FORWARDS, USERS, VERIFIERS
from mailsuite.errors import Kind, MailError
from mailsuite.sasl.scram import SALT_OCTETS, ScramHash, derive_keys

OWN_PASSWORD = "password"  # noqa: S105 - the kind of credential, not a password

HASH_TEXT = re.compile(r"[\x21-\x7e]{1,1024}")


def scram_verifiers(password: str) -> Mapping[str, str]:
    """Derive SCRAM keys of both kinds, by their scheme's name. Takes some milliseconds."""
    return {
        hash_.value.lower(): derive_keys(password, hash_, secrets.token_bytes(SALT_OCTETS)).encode()
        for hash_ in ScramHash
    }


@attrs.frozen
class Accounts:
    """
    The accounts in our domains.

    Args:
        hashing: makes password hashes.
        now: the time, in seconds since the epoch.
    """

    database: DirectoryDatabase
    hashing: PasswordHashing = attrs.field(factory=PasswordHashing)
    now: Callable[[], float] = time.time

    def add(
        self,
        email: str,
        *,
        password: str | None = None,
        password_hash: str | None = None,
        admin: bool = False,
        quota_octets: int = 0,
    ) -> AccountInfo:
        """
        Add an account; its domain must be ours.

        Args:
            password: in the clear; it is hashed, and SCRAM keys are stored as well.
            password_hash: made elsewhere, in a scheme that `PasswordHashing` recognises. Without either nobody can
                log in until a password is set.

        Raises:
            MailError: INVALID; NOT_FOUND when the domain is not ours; EXISTS.
        """
        address = Address.parse(email)
        stored, verifiers = make_verifiers(self.hashing, password, password_hash)
        check_quota(quota_octets)
        with self.database.writing() as connection:
            domain_id = require_domain(connection, address.domain)
            ensure_free(connection, address.key)
            created = connection.execute(
                USERS.insert().values(
                    username=address.local_part,
                    email=address.key,
                    domain_id=domain_id,
                    password_hash=stored,
                    enabled=True,
                    admin=admin,
                    quota_octets=quota_octets,
                    created=int(self.now()),
                )
            )
            (user_id,) = created.inserted_primary_key or (0,)
            replace_verifiers(connection, user_id, verifiers, int(self.now()))
            return _info(connection, address.key)

    def list(self, domain: str | None = None) -> Sequence[AccountInfo]:
        """
        All accounts, or those of one domain, in order of address.

        Raises:
            MailError: NOT_FOUND when the domain is not ours.
        """
        query = select(USERS).order_by(USERS.c.email)
        with self.database.reading() as connection:
            if domain is not None:
                query = query.where(USERS.c.domain_id == find_domain(connection, normalize_domain(domain)))
            forwards = load_forwards(connection)
            return [_account_info(row, forwards.get(row.id, ())) for row in connection.execute(query)]

    def find(self, email: str) -> AccountInfo | None:
        """
        Look for an account by its own address.

        Raises:
            MailError: INVALID when that is no address.
        """
        with self.database.reading() as connection:
            return _find(connection, Address.parse(email).key)

    def info(self, email: str) -> AccountInfo:
        """
        Look at one account.

        Raises:
            MailError: INVALID; NOT_FOUND.
        """
        with self.database.reading() as connection:
            return _info(connection, Address.parse(email).key)

    def remove(self, email: str) -> AccountInfo:
        """
        Remove an account, and its address wherever an alias or a domain leads to it; its mail is not touched.

        Raises:
            MailError: INVALID; NOT_FOUND; CONFLICT when it keeps what a domain captures.
        """
        key = Address.parse(email).key
        with self.database.writing() as connection:
            info = _info(connection, key)
            ensure_no_capture(connection, key)
            connection.execute(FORWARDS.delete().where(FORWARDS.c.user_id == info.account_id))
            connection.execute(FORWARDS.delete().where(FORWARDS.c.target == key))
            connection.execute(ALIASES.delete().where(ALIASES.c.target == key))
            connection.execute(DOMAINS.update().where(DOMAINS.c.catch_all == key).values(catch_all=""))
            connection.execute(DOMAINS.update().where(DOMAINS.c.postmaster == key).values(postmaster=""))
            credentials = select(CREDENTIALS.c.id).where(CREDENTIALS.c.user_id == info.account_id)
            connection.execute(VERIFIERS.delete().where(VERIFIERS.c.credential_id.in_(credentials)))
            connection.execute(CREDENTIALS.delete().where(CREDENTIALS.c.user_id == info.account_id))
            connection.execute(USERS.delete().where(USERS.c.id == info.account_id))
        return info

    def check_rename(self, email: str, new_email: str) -> str:
        """
        Check whether an account can get another address; give that address in its one form.

        Raises:
            MailError: INVALID; NOT_FOUND; EXISTS; CONFLICT when it keeps what a domain captures.
        """
        old, new = Address.parse(email).key, Address.parse(new_email)
        with self.database.reading() as connection:
            _info(connection, old)
            ensure_no_capture(connection, old)
            require_domain(connection, new.domain)
            if new.key != old:
                ensure_free(connection, new.key)
        return new.key

    def rename(self, email: str, new_email: str) -> AccountInfo:
        """
        Give an account another address; identifier, password and everything that leads to it stay.

        Raises:
            MailError: INVALID; NOT_FOUND; EXISTS; CONFLICT when it keeps what a domain captures.
        """
        old, new = Address.parse(email).key, Address.parse(new_email)
        with self.database.writing() as connection:
            info = _info(connection, old)
            ensure_no_capture(connection, old)
            domain_id = require_domain(connection, new.domain)
            if new.key != old:
                ensure_free(connection, new.key)
            connection.execute(
                USERS.update()
                .where(USERS.c.id == info.account_id)
                .values(username=new.local_part, email=new.key, domain_id=domain_id)
            )
            connection.execute(ALIASES.update().where(ALIASES.c.target == old).values(target=new.key))
            connection.execute(FORWARDS.update().where(FORWARDS.c.target == old).values(target=new.key))
            connection.execute(DOMAINS.update().where(DOMAINS.c.catch_all == old).values(catch_all=new.key))
            connection.execute(DOMAINS.update().where(DOMAINS.c.postmaster == old).values(postmaster=new.key))
            return _info(connection, new.key)

    def set_password(self, email: str, password: str) -> AccountInfo:
        """
        Set an account's password.

        Raises:
            MailError: INVALID; NOT_FOUND.
        """
        return self._set_verifiers(email, *make_verifiers(self.hashing, password, None))

    def set_password_hash(self, email: str, password_hash: str) -> AccountInfo:
        """
        Set a password whose hash was made elsewhere.

        Raises:
            MailError: INVALID; NOT_FOUND.
        """
        return self._set_verifiers(email, *make_verifiers(self.hashing, None, password_hash))

    def set_enabled(self, email: str, *, enabled: bool) -> AccountInfo:
        """
        Switch an account on, or off: no login, no delivery, the mail stays.

        Raises:
            MailError: INVALID; NOT_FOUND.
        """
        return self._set(email, enabled=enabled)

    def set_admin(self, email: str, *, admin: bool) -> AccountInfo:
        """
        Make an account an administrator, or not.

        Raises:
            MailError: INVALID; NOT_FOUND.
        """
        return self._set(email, admin=admin)

    def set_quota(self, email: str, quota_octets: int) -> AccountInfo:
        """
        Limit an account's mail; 0 is without limit.

        Raises:
            MailError: INVALID; NOT_FOUND.
        """
        check_quota(quota_octets)
        return self._set(email, quota_octets=quota_octets)

    def set_forward(self, email: str, targets: Sequence[str], *, keep_copy: bool = True) -> AccountInfo:
        """
        Pass an account's mail on, to these addresses instead of earlier ones; none ends that.

        Args:
            targets: ours or anybody's; the account's own address among them means the same as `keep_copy`.
            keep_copy: the account's mailbox gets it as well.

        Raises:
            MailError: INVALID; NOT_FOUND; CONFLICT when it keeps what a domain captures.
        """
        key = Address.parse(email).key
        with self.database.writing() as connection:
            info = _info(connection, key)
            ensure_no_capture(connection, key)
            replace_forwards(connection, info.account_id, key, targets, keep_copy=keep_copy, now=int(self.now()))
            return _info(connection, key)

    def _set(self, email: str, **values: object) -> AccountInfo:
        key = Address.parse(email).key
        with self.database.writing() as connection:
            _info(connection, key)
            connection.execute(USERS.update().where(USERS.c.email == key).values(**values))
            return _info(connection, key)

    def _set_verifiers(self, email: str, stored: str, verifiers: Mapping[str, str]) -> AccountInfo:
        key = Address.parse(email).key
        with self.database.writing() as connection:
            info = _info(connection, key)
            connection.execute(USERS.update().where(USERS.c.email == key).values(password_hash=stored))
            replace_verifiers(connection, info.account_id, verifiers, int(self.now()))
            return _info(connection, key)


def make_verifiers(
    hashing: PasswordHashing, password: str | None, password_hash: str | None
) -> tuple[str, Mapping[str, str]]:
    """
    Make what is stored of a password: a hash, and SCRAM keys where the password itself is known.

    Raises:
        MailError: INVALID.
    """
    if password is not None and password_hash is not None:
        raise MailError(Kind.INVALID, "give a password or a hash, not both")
    if password is not None:
        ensure_acceptable(password)
        return hashing.hash(password), scram_verifiers(password)
    if password_hash is None:
        return "", {}
    if not HASH_TEXT.fullmatch(password_hash) or not hashing.recognises(password_hash):
        raise MailError(Kind.INVALID, "that is no password hash of a known scheme (argon2id, bcrypt, sha512-crypt...)")
    return password_hash, {}


def check_quota(quota_octets: int) -> None:
    """
    Refuse a limit that cannot be stored.

    Raises:
        MailError: INVALID.
    """
    if not 0 <= quota_octets < 2**63:
        raise MailError(Kind.INVALID, "a quota is a number of octets, or 0 for no limit")


def ensure_free(connection: Connection, key: str) -> None:
    """
    Make sure that an address is nobody's.

    Raises:
        MailError: EXISTS.
    """
    if connection.execute(select(USERS.c.id).where(USERS.c.email == key)).first() is not None:
        raise MailError(Kind.EXISTS, f"{key} is an account already: choose another address or remove it first")
    if connection.execute(select(ALIASES.c.id).where(ALIASES.c.source == key)).first() is not None:
        raise MailError(Kind.EXISTS, f"{key} is an alias already: remove it first with 'alias remove {key}'")


def replace_verifiers(connection: Connection, user_id: int, verifiers: Mapping[str, str], now: int) -> None:
    """Set what is stored beside the hash of an account's own password; nothing of an older password stays."""
    own = (CREDENTIALS.c.user_id == user_id) & (CREDENTIALS.c.kind == OWN_PASSWORD)
    credential_id = connection.execute(select(CREDENTIALS.c.id).where(own)).scalar()
    if credential_id is None:
        inserted = connection.execute(
            CREDENTIALS.insert().values(user_id=user_id, kind=OWN_PASSWORD, label="", created=now)
        )
        (credential_id,) = inserted.inserted_primary_key or (0,)
    connection.execute(VERIFIERS.delete().where(VERIFIERS.c.credential_id == credential_id))
    if verifiers:
        connection.execute(
            VERIFIERS.insert(),
            [{"credential_id": credential_id, "scheme": scheme, "value": value} for scheme, value in verifiers.items()],
        )


def _info(connection: Connection, key: str) -> AccountInfo:
    info = _find(connection, key)
    if info is None:
        raise MailError(Kind.NOT_FOUND, f"there is no account {key}; 'user list' shows them")
    return info


def _find(connection: Connection, key: str) -> AccountInfo | None:
    row = connection.execute(select(USERS).where(USERS.c.email == key)).first()
    return None if row is None else _account_info(row, load_forwards(connection, row.id).get(row.id, ()))


def _account_info(row: Row[Any], forward_to: tuple[str, ...]) -> AccountInfo:
    return AccountInfo(
        account_id=row.id,
        email=row.email,
        username=row.username,
        enabled=row.enabled,
        admin=row.admin,
        quota_octets=row.quota_octets,
        has_password=bool(row.password_hash),
        created=row.created,
        forward_to=forward_to,
        keep_copy=row.keep_copy,
    )
