"""
SQLite connections with the settings that our promises need.

A `Database` belongs to one thread. WAL mode; a transaction is one function that awaits nothing.
"""

import contextlib
import enum
import errno
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from importlib import resources
from urllib.parse import quote

from mailsuite.durable.files import Disk

BUSY_TIMEOUT_SECONDS = 5.0
OPEN_RETRY_SECONDS = 0.05
JOURNAL_SIZE_LIMIT_OCTETS = 64 * 2**20


_DAMAGE_CODES = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_DAMAGE_WORDS = ("malformed", "not a database", "disk image", "encrypted")


def is_damage(error: Exception) -> bool:
    """Whether an error means that the file itself is broken, not that the disk is full or locked."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code = getattr(error, "sqlite_errorcode", None)  # its lowest octet is the primary one
    if code is not None:
        return code & 0xFF in _DAMAGE_CODES
    return any(words in str(error) for words in _DAMAGE_WORDS)


class Synchronous(enum.Enum):
    """What a commit waits for."""

    FULL = "FULL"
    """The commit is on disk: it survives a power loss."""
    NORMAL = "NORMAL"
    """The commit survives the end of the process; a power loss may take it back, in order and whole."""


class Database:
    """
    One connection in one thread.

    Args:
        path: of the database file, made with mode 0600 when it is not there.
        disk: the door through which commits go.
        synchronous: what commits wait for until `set_synchronous` says otherwise.
        cache_size: SQLite's: pages, or negative for KiB; None leaves SQLite's default.
        checkpoint_pages: length of the log at which a commit also moves it into the database.
        make: whether a database that is not there is made.

    Raises:
        sqlite3.Error, OSError: it cannot be used; FileNotFoundError when it is not there and not to be made.
    """

    def __init__(
        self,
        path: str,
        disk: Disk,
        *,
        synchronous: Synchronous = Synchronous.FULL,
        cache_size: int | None = None,
        checkpoint_pages: int = 1000,
        make: bool = True,
    ) -> None:
        self.path = path
        self._disk = disk
        self._synchronous: Synchronous | None = None
        if make:
            _make_file(path, disk)
        else:
            disk.stat(path)
        self.connection = _connect(path, "mode=rw")
        try:
            self._retry_locked(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_SECONDS * 1000)}")
            for pragma in (
                "page_size=4096",
                "auto_vacuum=NONE",
                "journal_mode=WAL",
                f"wal_autocheckpoint={checkpoint_pages}",
                f"journal_size_limit={JOURNAL_SIZE_LIMIT_OCTETS}",
                "secure_delete=OFF",
                "temp_store=MEMORY",
                "foreign_keys=ON",
            ):
                self._retry_locked(f"PRAGMA {pragma}")
            self._ensure_log()
            if cache_size is not None:
                self._retry_locked(f"PRAGMA cache_size={cache_size}")
            self.set_synchronous(synchronous)
        except BaseException:
            self.connection.close()
            raise

    def _ensure_log(self) -> None:
        (mode,) = self.connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError(f"the file system of {self.path} allows no write-ahead log: {mode}")

    def _retry_locked(self, statement: str) -> None:
        # While another process recovers the log, opening answers "database is locked" whatever the timeout says.
        deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
        while True:
            try:
                self.connection.execute(statement).fetchall()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(OPEN_RETRY_SECONDS)
            else:
                return

    def set_synchronous(self, synchronous: Synchronous) -> None:
        """Choose what the next commits wait for; not within a transaction."""
        if synchronous is not self._synchronous:
            self.connection.execute(f"PRAGMA synchronous={synchronous.value}")
            self._synchronous = synchronous

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """
        Run a block in one transaction that may write; it commits at the end, or nothing happened.

        Raises:
            sqlite3.Error, OSError: nothing happened.
        """
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            self._disk.before("commit", self.path)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Run a block that sees one state of the database."""
        connection = self.connection
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close; the last one to close a database also clears its log."""
        self.connection.close()


class ReadOnlyDatabase(Database):
    """
    A database that is there, where nothing can be written beside it.

    Where its log is empty, SQLite does not look whether anything changes: nothing may while this is open.

    Raises:
        sqlite3.Error, OSError: it cannot be used; FileNotFoundError when it is not there.
    """

    def __init__(self, path: str, disk: Disk) -> None:
        self.path = path
        disk.stat(path)
        log = f"{path}-wal"
        mode = "mode=ro" if os.path.exists(log) and os.path.getsize(log) else "mode=ro&immutable=1"
        self.connection = _connect(path, mode)
        try:
            self.connection.execute("PRAGMA temp_store=MEMORY")
        except BaseException:
            self.connection.close()
            raise

    def set_synchronous(self, synchronous: Synchronous) -> None:
        """Nothing is committed."""

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """
        Refuse.

        Raises:
            OSError: EROFS, always.
        """
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), self.path)
        yield self.connection


def _connect(path: str, parameters: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(path)}?{parameters}",
        uri=True,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )


def _make_file(path: str, disk: Disk) -> None:
    """
    Make an empty file for a database when there is none.

    One that is there is never opened: closing a second descriptor would give up the locks that this process holds on
    it through SQLite, and another process would take itself for the last one and throw the log away.
    """
    try:
        descriptor = disk.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        if not stat.S_ISREG(disk.stat(path).st_mode):
            raise OSError(errno.ELOOP, "a database is a plain file", path) from None
    else:
        disk.close(descriptor, path)


def migrate(database: Database, package: str, folder: str = "schema") -> int:
    """
    Bring a database to the newest version of its numbered scripts, each in a transaction; return the version.

    Args:
        package: holds `folder` with ``001_first.sql``, ``002_next.sql``, ...; the number is the ``user_version``.

    Raises:
        sqlite3.DatabaseError: the database is newer than this program.
    """
    scripts = sorted(
        (int(entry.name.split("_", 1)[0]), entry)
        for entry in resources.files(package).joinpath(folder).iterdir()
        if entry.name.endswith(".sql")
    )
    newest = scripts[-1][0] if scripts else 0
    (version,) = database.connection.execute("PRAGMA user_version").fetchone()
    if version > newest:
        raise sqlite3.DatabaseError(f"the database has version {version}; this program knows versions up to {newest}")
    for number, script in scripts:
        if number <= version:
            continue
        with database.writing() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if number <= version:
                continue
            for statement in _statements(script.read_text("utf-8")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number}")
            version = number
    return newest


def _statements(script: str) -> Iterator[str]:
    pending = ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending
