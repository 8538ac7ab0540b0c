"""
Checks names and passwords against the directory.

Whether a name exists shows neither in the answer nor in the time it takes. A login that was verified is remembered for
some minutes under a keyed digest, for as long as neither the password nor the account changes.
"""

import hashlib
import secrets
from collections.abc import Sequence

import attrs
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.directory.directory import Directory, JobRunner
from mailsuite.directory.passwords import PasswordHashing
from mailsuite.directory.records import LoginRecord
from mailsuite.directory.settings import CACHE_SECONDS
from mailsuite.errors import Kind, MailError
from mailsuite.observe import EventLog, background

CACHE_MAX = 10_000
WAITING_MAX = 200
REFUSAL = "name or password is wrong"


@attrs.define
class _Verified:
    password_hash: str
    expires: float


@implementer(ICredentialsChecker)
class DirectoryChecker:
    """
    A checker for ``IUsernamePassword``; the avatar id is the account's address.

    Args:
        hashers: where passwords are hashed; as many at a time as it has lanes.
        cache_seconds: how long a verified login is remembered; 0 turns that off.
        cache_max: how many of them.
        waiting_max: how many different logins may wait for a hasher; more are refused for now.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(
        self,
        directory: Directory,
        hashers: JobRunner,
        clock: IReactorTime,
        *,
        hashing: PasswordHashing | None = None,
        cache_seconds: float = CACHE_SECONDS,
        cache_max: int = CACHE_MAX,
        waiting_max: int = WAITING_MAX,
        log: EventLog | None = None,
    ) -> None:
        self._directory = directory
        self._hashers = hashers
        self._clock = clock
        self._hashing = hashing or PasswordHashing()
        self._cache_seconds = cache_seconds
        self._cache_max = cache_max
        self._waiting_max = waiting_max
        self._log = log or EventLog(Logger(namespace=__name__))
        self._key = secrets.token_bytes(32)
        self._verified: dict[bytes, _Verified] = {}
        self._waiting: dict[tuple[bytes, LoginRecord | None], list[Deferred[bytes]]] = {}

    def requestAvatarId(self, credentials: IUsernamePassword) -> "Deferred[bytes | tuple[()]]":
        """
        Check credentials.

        Returns:
            Fires with the account's address; fails with ``UnauthorizedLogin``, or with ``MailError`` UNAVAILABLE.
        """
        return Deferred.fromCoroutine(self._check(bytes(credentials.username), bytes(credentials.password)))

    async def _check(self, username: bytes, password: bytes) -> bytes | tuple[()]:
        name = username.decode("utf-8", "replace").strip()
        record = await self._directory.login_record(name)
        digest = self._digest(name, password)
        if record is not None and self._remembers(digest, record):
            return record.account.email.encode()
        return await self._verify_once(digest, password, record)

    def _digest(self, name: str, password: bytes) -> bytes:
        text = name.casefold().encode("utf-8", "replace")
        return hashlib.blake2b(b"%d:%b%b" % (len(text), text, password), key=self._key, digest_size=32).digest()

    def _remembers(self, digest: bytes, record: LoginRecord) -> bool:
        verified = self._verified.get(digest)
        if verified is None:
            return False
        if (
            record.account.enabled
            and verified.password_hash == record.password_hash
            and self._clock.seconds() < verified.expires
        ):
            return True
        del self._verified[digest]
        return False

    async def _verify_once(self, digest: bytes, password: bytes, record: LoginRecord | None) -> bytes:
        """Let equal logins that arrive together share one verification."""
        waiter: Deferred[bytes] = Deferred()
        login = (digest, record)
        waiters = self._waiting.get(login)
        if waiters is not None:
            waiters.append(waiter)
            return await waiter
        if len(self._waiting) >= self._waiting_max:
            raise MailError(Kind.UNAVAILABLE, "too many logins at the moment; try again later")
        self._waiting[login] = [waiter]

        def tell(result: bytes | Failure) -> None:
            for waiting in self._waiting.pop(login):
                if not waiting.called:  # cancelled: its client has gone
                    waiting.callback(result)

        # Not awaited by anybody: one client's leaving must not fail the others.
        _ = Deferred.fromCoroutine(self._verify(digest, password, record)).addBoth(tell)
        return await waiter

    async def _verify(self, digest: bytes, password: bytes, record: LoginRecord | None) -> bytes:
        stored = "" if record is None else record.password_hash
        if not stored:
            await self._hashers.run(self._hashing.waste, password)
            raise UnauthorizedLogin(REFUSAL)
        assert record is not None
        if not await self._hashers.run(self._hashing.verify, password, stored) or not record.account.enabled:
            raise UnauthorizedLogin(REFUSAL)
        self._remember(digest, stored)
        if not record.has_scram_keys or self._hashing.is_outdated(stored):
            _ = background(self._renew(digest, password, record), self._log, "renewing a password's verifiers")
        return record.account.email.encode()

    def _remember(self, digest: bytes, password_hash: str) -> None:
        if self._cache_seconds <= 0:
            return
        if len(self._verified) >= self._cache_max:
            # The oldest half goes: dicts keep their order.
            for old in list(self._verified)[: self._cache_max // 2 or 1]:
                del self._verified[old]
        self._verified[digest] = _Verified(password_hash, self._clock.seconds() + self._cache_seconds)

    async def _renew(self, digest: bytes, password: bytes, record: LoginRecord) -> None:
        """Hash with today's scheme and store SCRAM keys, now that the password is known."""
        try:
            text = password.decode("utf-8")
        except UnicodeDecodeError:
            return
        password_hash, verifiers = await self._hashers.run(self._make_verifiers, text, record.password_hash)
        if await self._directory.store_verifiers(record, password_hash, verifiers, int(self._clock.seconds())):
            if (verified := self._verified.get(digest)) is not None:
                verified.password_hash = password_hash
            self._log.emit("login.verifiers.renewed", account=record.account.email)

    def _make_verifiers(self, password: str, stored: str) -> tuple[str, dict[str, str]]:
        from mailsuite.directory.accounts import scram_verifiers

        if self._hashing.is_outdated(stored):
            stored = self._hashing.hash(password)
        return stored, dict(scram_verifiers(password))


@implementer(ICredentialsChecker)
class CheckerChain:
    """
    Asks several checkers, in order, until one accepts: a portal has room for one checker per kind of credentials.

    Args:
        checkers: at least one; each is asked only for credentials of its kinds.
    """

    def __init__(self, checkers: Sequence[ICredentialsChecker]) -> None:
        self._checkers = checkers
        self.credentialInterfaces = tuple(
            dict.fromkeys(kind for checker in checkers for kind in checker.credentialInterfaces)
        )

    def requestAvatarId(self, credentials: object) -> "Deferred[bytes | tuple[()]]":
        """
        Check credentials.

        Returns:
            Fires with the avatar id; fails as the last checker did, or as the first that failed for another reason
            than ``UnauthorizedLogin``.
        """
        return Deferred.fromCoroutine(self._check(credentials))

    async def _check(self, credentials: object) -> bytes | tuple[()]:
        refusal: UnauthorizedLogin = UnauthorizedLogin(REFUSAL)
        for checker in self._checkers:
            if any(kind.providedBy(credentials) for kind in checker.credentialInterfaces):
                try:
                    answer: bytes | tuple[()] = await maybeDeferred(checker.requestAvatarId, credentials)
                except UnauthorizedLogin as error:
                    refusal = error
                else:
                    return answer
        raise refusal
