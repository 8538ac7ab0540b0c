"""The directory as the running server sees it: answers from memory, in step with every committed change."""

import secrets
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.directory.database import ChangeWatch, DirectoryDatabase
from mailsuite.directory.records import DomainInfo, LoginRecord
from mailsuite.durable import Disk
from mailsuite.errors import MailError
from mailsuite.interfaces import (
    Account,
    ILoginNames,
    IQuotaDirectory,
    QuotaChange,
    Resolution,
    ResolutionKind,
)
from mailsuite.sasl.scram import ScramHash, ScramKeys, fake_keys

if TYPE_CHECKING:
    from mailsuite.directory.lookups import Lookups

ANSWERS_MAX = 50_000
LOOK_SECONDS = 0.01
"""A running server looks for changes at most so often; no command that makes one has ended by then."""
FAKE_SALT_SECRET = "scram-fake-salt"  # noqa: S105 - the name under which a secret is kept

T = TypeVar("T")


class JobRunner(Protocol):
    """What `mailsuite.durable.Lane`, ``LanePool`` and ``InlineLane`` have in common."""

    def run(self, job: Callable[..., T], *arguments: Any) -> "Deferred[T]":
        """Do a job away from the reactor and give its result in it."""


@implementer(IQuotaDirectory, ILoginNames)
class Directory:
    """
    Domains, accounts and aliases.

    An answer is kept until anything in the database changes, whoever changed it. Call it in the reactor thread.

    Args:
        lanes: where the database is read and written; started and stopped by whoever made it.
        watch: tells that something changed.
        answers_max: most answers to keep.
        look_seconds: changes are looked for at most so often; 0: for every question.
        seconds: monotonic clock.
    """

    def __init__(
        self,
        database: DirectoryDatabase,
        lanes: JobRunner,
        watch: ChangeWatch,
        *,
        answers_max: int = ANSWERS_MAX,
        look_seconds: float = 0,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.database = database
        self._lanes = lanes
        self._watch = watch
        self._answers_max = answers_max
        self._look_seconds = look_seconds
        self._seconds = seconds
        self._next_look = seconds()
        self._answers: dict[Hashable, Any] = {}
        self._generation = 0
        self._secret = b""
        self._lookups: Lookups | None = None

    async def resolve(self, address: Address) -> Resolution:
        """
        Follow domains, aliases, forwards and ``user+tag``.

        Raises:
            MailError: UNAVAILABLE.
        """
        return await self._ask(("resolve", address), lambda lookups: lookups.resolve(address))

    async def may_send_as(self, email: str, sender: Address) -> bool:
        """
        Say whether the account may use this reverse-path: all that leads to it, but for what others pass on to it.

        Raises:
            MailError: UNAVAILABLE.
        """
        resolution = await self._ask(("owners", sender), lambda lookups: lookups.owners(sender))
        return resolution.kind is ResolutionKind.LOCAL and any(
            account.email == email and not account.receive_only for account, _ in resolution.accounts
        )

    async def find(self, email: str) -> Account | None:
        """
        Find an account by its own address, in any case.

        Raises:
            MailError: UNAVAILABLE.
        """
        try:
            key = Address.parse(email).key
        except MailError:
            return None
        return await self._ask(("find", key), lambda lookups: lookups.account(key))

    async def find_id(self, account_id: int) -> Account | None:
        """
        Find an account by its id.

        Raises:
            MailError: UNAVAILABLE.
        """
        return await self._ask(("id", account_id), lambda lookups: lookups.account_of_id(account_id))

    async def list_accounts(self) -> Sequence[Account]:
        """
        List all accounts, in order of address.

        Raises:
            MailError: UNAVAILABLE.
        """
        return await self._ask("accounts", lambda lookups: lookups.accounts())

    async def list_domains(self) -> Sequence[DomainInfo]:
        """
        List all domains, in order of name.

        Raises:
            MailError: UNAVAILABLE.
        """
        return await self._ask("domains", lambda lookups: lookups.domains())

    async def list_captures(self) -> Sequence[tuple[Account, int]]:
        """
        List the accounts in which domains capture, each with how long that is kept in seconds.

        Raises:
            MailError: UNAVAILABLE.
        """
        return await self._ask("captures", lambda lookups: lookups.captures())

    async def set_quota(self, account_id: int, quota_octets: int) -> QuotaChange:
        """
        Limit the mail of an account, durably; 0 is without limit. Other processes know within `LOOK_SECONDS`.

        Raises:
            MailError: NOT_FOUND; INVALID; UNAVAILABLE.
        """
        change = await self._run(lambda lookups: lookups.set_quota(account_id, quota_octets))
        self._forget()
        return change

    async def secret(self, name: str) -> bytes:
        """
        Give a secret of this installation, the same for all of its processes and for ever.

        Raises:
            MailError: UNAVAILABLE.
        """
        fresh = secrets.token_bytes(32)
        return await self._run(lambda lookups: lookups.secret(name, fresh))

    async def login_record(self, name: str) -> LoginRecord | None:
        """
        Find what is needed to check a password.

        Args:
            name: a whole address in any case, or a local part if there is only one domain.

        Raises:
            MailError: UNAVAILABLE.
        """
        return await self._ask(("login", name), lambda lookups: lookups.login(name))

    async def find_login(self, name: str) -> Account | None:
        """
        Find the account that a login name means, as `login_record` does.

        Raises:
            MailError: UNAVAILABLE.
        """
        record = await self.login_record(name)
        return None if record is None else record.account

    async def scram_keys(self, name: str, hash_: ScramHash) -> ScramKeys:
        """
        Find an account's SCRAM keys; made-up ones, always the same, for a name that cannot log in.

        Raises:
            MailError: UNAVAILABLE.
        """
        if not self._secret:
            self._secret = await self.secret(FAKE_SALT_SECRET)
        encoded = await self._ask(("scram", name, hash_), lambda lookups: lookups.scram_keys(name, hash_))
        return fake_keys(name.casefold(), hash_, self._secret) if encoded is None else ScramKeys.parse(encoded)

    async def store_verifiers(
        self, record: LoginRecord, password_hash: str, verifiers: dict[str, str], now: int
    ) -> bool:
        """
        Store what was made of a password that was just verified; False when it was changed meanwhile.

        Raises:
            MailError: UNAVAILABLE.
        """
        return await self._run(lambda lookups: lookups.store_verifiers(record, password_hash, verifiers, now))

    def close(self) -> None:
        """Close the database; after the lanes have stopped."""
        self._watch.close()
        self.database.close()

    async def _ask(self, question: Hashable, job: "Callable[[Lookups], T]") -> T:
        now = self._seconds()
        if now >= self._next_look:
            self._next_look = now + self._look_seconds
            if self._watch.changed():
                self._forget()
        try:
            answer: T = self._answers[question]
        except KeyError:
            pass
        else:
            return answer
        generation = self._generation
        answer = await self._run(job)
        # What was read before another change was noticed must not outlive it.
        if generation == self._generation:
            if len(self._answers) >= self._answers_max:
                self._answers.clear()
            self._answers[question] = answer
        return answer

    def _forget(self) -> None:
        self._answers.clear()
        self._generation += 1

    def _run(self, job: "Callable[[Lookups], T]") -> Awaitable[T]:
        return self._lanes.run(self._in_lane, job)

    def _in_lane(self, job: "Callable[[Lookups], T]") -> T:
        if self._lookups is None:
            # SQLAlchemy takes a fifth of a second to import: here it does not hold up the start.
            from mailsuite.directory.lookups import Lookups

            self._lookups = Lookups(self.database)
        return job(self._lookups)


def open_directory(
    url: str,
    lanes: JobRunner,
    *,
    auto_migrate: bool = True,
    disk: Disk | None = None,
    look_seconds: float = LOOK_SECONDS,
) -> Directory:
    """
    Open the directory for a server. Blocks for a moment, longer when tables must be made or changed.

    Args:
        url: ``sqlite:///path``.
        lanes: one lane or a few; started and stopped by the caller.
        look_seconds: changes are looked for at most so often.

    Raises:
        MailError: INVALID for the URL; CONFLICT when the tables are not of this version; UNAVAILABLE.
    """
    database = DirectoryDatabase(url, disk)
    database.ensure_current(auto_migrate=auto_migrate)
    watch = ChangeWatch(database.path, database.disk)
    watch.changed()  # opened here, where it may take its time, and not in the reactor
    return Directory(database, lanes, watch, look_seconds=look_seconds)
