"""
The directory's database: one engine, transactions as blocks, migrations, and a sense for others' changes.

SQLAlchemy takes a fifth of a second to import and Alembic as much again, so both wait until they are needed.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mailsuite.durable import Database, Disk
from mailsuite.errors import Kind, MailError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

NEWEST_VERSION = "0002"
SQLITE_SCHEME = "sqlite:///"

_WRITING = "mailsuite_writing"


class DirectoryDatabase:
    """
    The database of domains, accounts and aliases.

    Args:
        url: ``sqlite:///path``; the file is made, with mode 0600, when it is not there.
        disk: the door through which commits go.

    Raises:
        MailError: INVALID, for a URL of another kind.
    """

    def __init__(self, url: str, disk: Disk | None = None) -> None:
        if not url.startswith(SQLITE_SCHEME) or url == SQLITE_SCHEME:
            raise MailError(Kind.INVALID, "database.url is written sqlite:///path")
        self.url = url
        self.path = url.removeprefix(SQLITE_SCHEME)
        self.disk = disk or Disk()
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    @contextlib.contextmanager
    def reading(self) -> "Iterator[Connection]":
        """
        Run a block that sees one state of the database.

        Raises:
            MailError: UNAVAILABLE.
        """
        with self._failures_named(), self._connected().connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self) -> "Iterator[Connection]":
        """
        Run a block in one transaction; it commits durably at the end, or nothing happened.

        Raises:
            MailError: UNAVAILABLE; CONFLICT when another process wrote the same thing first.
        """
        with self._failures_named(), self._connected().connect() as connection:
            writing = connection.execution_options(**{_WRITING: True})
            with writing.begin():
                yield writing

    def version(self) -> str | None:
        """
        Tell which migration the database is at; None when it has no tables yet.

        Raises:
            MailError: UNAVAILABLE.
        """
        try:
            self.disk.stat(self.path)  # opening would make it
            version = self._glance("SELECT version_num FROM alembic_version")
        except FileNotFoundError:
            return None
        except (sqlite3.Error, OSError) as error:
            if "no such table" in str(error):
                return None
            reason = error.strerror if isinstance(error, OSError) else error
            raise MailError(Kind.UNAVAILABLE, f"the account database cannot be used: {reason}") from error
        return None if version is None else str(version)

    def has_domains(self) -> bool:
        """
        Tell whether any mail is ours.

        Raises:
            sqlite3.Error: the tables are not there or cannot be read.
        """
        return self._glance("SELECT 1 FROM domains LIMIT 1") is not None

    def _glance(self, statement: str) -> object:
        """Give the first value of the first row, without an engine; None when there is no row."""
        with contextlib.closing(Database(self.path, self.disk)) as database:
            row = database.connection.execute(statement).fetchone()
        return None if row is None else row[0]

    def migrate(self) -> None:
        """
        Bring the tables to the newest version; at once, when they are.

        A database of an older version is first copied to a file beside it, named after that version.

        Raises:
            MailError: UNAVAILABLE; CONFLICT when the database was made by a newer version of the program.
        """
        version = self.version()
        if version == NEWEST_VERSION:
            return
        from mailsuite.directory.migrate import upgrade

        with self._failures_named():
            self.disk.make_folders(os.path.dirname(os.path.abspath(self.path)))
            if version is not None:
                self._copy(f"{self.path}.{version}")
        with self.writing() as connection:
            upgrade(connection)

    def _copy(self, path: str) -> None:
        with (
            contextlib.closing(Database(self.path, self.disk)) as source,
            contextlib.closing(Database(path, self.disk)) as copy,
        ):
            source.connection.backup(copy.connection)
            copy.connection.execute("PRAGMA journal_mode=DELETE")  # one file, whole by itself

    def ensure_current(self, *, auto_migrate: bool) -> None:
        """
        Make sure that the tables are the newest.

        Raises:
            MailError: CONFLICT, with what to do, when they are not and must not be touched; UNAVAILABLE.
        """
        if auto_migrate:
            self.migrate()
        elif self.version() != NEWEST_VERSION:
            raise MailError(Kind.CONFLICT, "the database is not of this version: run 'mailsuite migrate' first")

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _connected(self) -> "Engine":
        with self._lock:
            if self._engine is None:
                self._engine = self._make_engine()
            return self._engine

    def _make_engine(self) -> "Engine":
        from sqlalchemy import QueuePool, create_engine, event

        def connect() -> sqlite3.Connection:
            return Database(self.path, self.disk).connection

        def begin(connection: "Connection") -> None:
            # A transaction that reads first and then writes could find that another one wrote in between.
            writing = connection.get_execution_options().get(_WRITING)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

        def commit(_connection: "Connection") -> None:
            self.disk.before("commit", self.path)

        engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
        event.listen(engine, "begin", begin)
        event.listen(engine, "commit", commit)
        return engine

    @contextlib.contextmanager
    def _failures_named(self) -> Iterator[None]:
        from sqlalchemy.exc import DBAPIError, IntegrityError

        try:
            yield
        except IntegrityError as error:
            raise MailError(Kind.CONFLICT, "it was changed at the same time; try again") from error
        except (DBAPIError, sqlite3.Error, OSError) as error:
            raise _unavailable() from error


class ChangeWatch:
    """
    Notices, in microseconds and without a thread, that any process has committed a change.

    File times would not do: SQLite writes its log before readers can see the commit.

    Args:
        path: of the database.
    """

    def __init__(self, path: str, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._database: Database | None = None
        self._version: int | None = None

    def changed(self) -> bool:
        """Say whether anything was committed since the last call; True when that cannot be told."""
        try:
            if self._database is None:
                self._database = Database(self._path, self._disk)
                self._database.connection.execute("PRAGMA busy_timeout=0")
            (version,) = self._database.connection.execute("PRAGMA data_version").fetchone()
        except (sqlite3.Error, OSError):
            return True
        before, self._version = self._version, int(version)
        return before != self._version

    def close(self) -> None:
        """Stop watching."""
        if self._database is not None:
            self._database.close()
            self._database = None


def _unavailable() -> MailError:
    return MailError(Kind.UNAVAILABLE, "the account database cannot be used at the moment; try again later")
