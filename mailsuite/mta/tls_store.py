"""
What must outlive the process about TLS to other hosts: MTA-STS policies, and results for reports to domains.

One SQLite file. All calls block: make them from one worker thread.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from mailsuite.durable import Database, Disk, Synchronous, is_damage, migrate
from mailsuite.errors import Kind, MailError

POLICIES_MAX = 100_000
RESULTS_MAX = 100_000
"""Of one day."""
RESULT_DAYS = 7
ASIDE = ".damaged"
"""Ending of the name of a broken file."""


@attrs.frozen(kw_only=True)
class KnownPolicy:
    """
    A policy as it was fetched (RFC 8461 section 5.1).

    Args:
        policy_id: of the record that announced it.
        body: octets of the policy, of the form that `mailsuite.mta.sts.parse_policy` reads.
        fetched: in seconds since the epoch.
        expires: likewise.
    """

    policy_id: str
    body: bytes
    fetched: float
    expires: float


@attrs.frozen(kw_only=True)
class TLSResult:
    """
    How connections went under one policy (RFC 8460 section 4.3).

    Args:
        policy_type: ``tlsa``, ``sts`` or ``no-policy-found``.
        policy: its lines; for DANE its records.
        host: name of the MX host; empty when there was none yet.
        result: a result type of RFC 8460 section 4.3; empty for success.
    """

    domain: str
    policy_type: str
    policy: tuple[str, ...] = ()
    host: str = ""
    result: str = ""


class TLSStore:
    """
    The file.

    Args:
        path: made at the first call when it is not there.
        damaged: told where a broken file was laid aside, and why; in the calling thread.
    """

    def __init__(self, path: str, disk: Disk, damaged: Callable[[str, str], None] = lambda *_: None) -> None:
        self._path = path
        self._damaged = damaged
        self._disk = disk
        self._database: Database | None = None

    def policy(self, domain: str) -> KnownPolicy | None:
        """
        Find the policy of a domain, which may have expired.

        Raises:
            MailError: UNAVAILABLE, as from every call.
        """
        with self._opened() as connection:
            row = connection.execute(
                "SELECT policy_id, body, fetched, expires FROM policy WHERE domain = ?", (domain,)
            ).fetchone()
        return None if row is None else KnownPolicy(policy_id=row[0], body=row[1], fetched=row[2], expires=row[3])

    def put_policy(self, domain: str, policy: KnownPolicy) -> None:
        """Keep a policy; those that have expired go, and the oldest when there are too many."""
        with self._writing() as connection:
            connection.execute("DELETE FROM policy WHERE expires < ?", (policy.fetched,))
            connection.execute(
                "INSERT OR REPLACE INTO policy (domain, policy_id, body, fetched, expires) VALUES (?, ?, ?, ?, ?)",
                (domain, policy.policy_id, policy.body, policy.fetched, policy.expires),
            )
            connection.execute(
                "DELETE FROM policy WHERE domain IN "
                "(SELECT domain FROM policy ORDER BY fetched DESC LIMIT -1 OFFSET ?)",
                (POLICIES_MAX,),
            )

    def add_results(self, day: int, counts: Mapping[TLSResult, int]) -> None:
        """
        Count results of a day; days long over go. New kinds of results are passed over when there are too many.

        Args:
            day: since the epoch, in UTC.
        """
        with self._writing() as connection:
            connection.execute("DELETE FROM result WHERE day <= ? OR day > ?", (day - RESULT_DAYS, day + 1))
            (rows,) = connection.execute("SELECT count(*) FROM result WHERE day = ?", (day,)).fetchone()
            for result, count in counts.items():
                key = (day, result.domain, result.policy_type, "\n".join(result.policy), result.host, result.result)
                updated = connection.execute(
                    "UPDATE result SET sessions = sessions + ? WHERE day = ? AND domain = ? AND policy_type = ? "
                    "AND policy = ? AND host = ? AND result = ?",
                    (count, *key),
                ).rowcount
                if not updated and rows < RESULTS_MAX:
                    rows += 1
                    connection.execute(
                        "INSERT INTO result (sessions, day, domain, policy_type, policy, host, result) "
                        "VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (count, *key),
                    )

    def results(self, day: int) -> Sequence[tuple[TLSResult, int]]:
        """Give the results of a day and how many sessions had each, by domain."""
        with self._opened() as connection:
            rows = connection.execute(
                "SELECT domain, policy_type, policy, host, result, sessions FROM result WHERE day = ? "
                "ORDER BY domain, policy_type, policy, host, result",
                (day,),
            ).fetchall()
        return [
            (
                TLSResult(
                    domain=domain,
                    policy_type=policy_type,
                    policy=tuple(policy.split("\n")) if policy else (),
                    host=host,
                    result=result,
                ),
                sessions,
            )
            for domain, policy_type, policy, host, result, sessions in rows
        ]

    def close(self) -> None:
        """Close the file."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._failing_neutrally(), self._get().reading() as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._failing_neutrally(), self._get().writing() as connection:
            yield connection

    @contextlib.contextmanager
    def _failing_neutrally(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if is_damage(error):
                self._lay_aside(error)
            raise MailError(
                Kind.UNAVAILABLE, "what is known about TLS to other hosts cannot be read at the moment"
            ) from error

    def _lay_aside(self, error: Exception) -> None:
        """Let the next call begin a new file: what was in the broken one is fetched again, or missing in a report."""
        self.close()
        aside = self._path + ASIDE
        try:
            self._disk.rename(self._path, aside)
            for ending in ("-wal", "-shm"):
                self._disk.remove(self._path + ending)
        except OSError:
            return  # the next call meets the damage again
        self._damaged(aside, str(error))

    def _get(self) -> Database:
        if self._database is None:
            # What a power loss takes is fetched again, or missing in a report.
            database = Database(self._path, self._disk, synchronous=Synchronous.NORMAL)
            try:
                migrate(database, "mailsuite.mta", "tls_schema")
            except BaseException:
                database.close()
                raise
            self._database = database
        return self._database
