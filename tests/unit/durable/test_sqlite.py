import os
import sqlite3
import stat
import subprocess
import sys
import threading

import pytest

from mailsuite.durable import Database, Disk, Synchronous, migrate
from mailsuite.durable import sqlite as sqlite_module
from mailsuite.testing.faults import Crash, FaultyDisk


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "test.db")


@pytest.fixture
def open_database(path):
    databases = []

    def open_database(disk=None, **options):
        database = Database(path, disk or Disk(), **options)
        databases.append(database)
        return database

    yield open_database
    for database in databases:
        database.close()


def pragma(database, name):
    (value,) = database.connection.execute(f"PRAGMA {name}").fetchone()
    return value


def test_the_settings_are_in_force(open_database):
    database = open_database(checkpoint_pages=4000, cache_size=-256)
    assert {
        name: pragma(database, name)
        for name in (
            "busy_timeout",
            "page_size",
            "auto_vacuum",
            "journal_mode",
            "wal_autocheckpoint",
            "journal_size_limit",
            "secure_delete",
            "temp_store",
            "foreign_keys",
            "synchronous",
            "cache_size",
        )
    } == {
        "busy_timeout": 5000,
        "page_size": 4096,
        "auto_vacuum": 0,
        "journal_mode": "wal",
        "wal_autocheckpoint": 4000,
        "journal_size_limit": 64 * 2**20,
        "secure_delete": 0,
        "temp_store": 2,
        "foreign_keys": 1,
        "synchronous": 2,
        "cache_size": -256,
    }


def test_synchronous_is_switched(open_database):
    database = open_database(synchronous=Synchronous.NORMAL)
    assert pragma(database, "synchronous") == 1
    database.set_synchronous(Synchronous.FULL)
    assert pragma(database, "synchronous") == 2
    database.set_synchronous(Synchronous.FULL)
    assert pragma(database, "synchronous") == 2


def test_the_files_are_their_owners_alone(open_database, path):
    database = open_database()
    with database.writing() as connection:
        connection.execute("CREATE TABLE t (x)")
    for suffix in ("", "-wal", "-shm"):
        assert stat.S_IMODE(os.stat(path + suffix).st_mode) == 0o600


def test_a_symbolic_link_is_not_opened(tmp_path, path):
    os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(OSError):
        Database(path, Disk())


def test_a_failing_disk_leaves_no_connection_open(path):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError):
        Database(path, FaultyDisk(fail_at=1))
    Disk().write_file(path, [b"this is no database" * 100], sync=False)
    with pytest.raises(sqlite3.DatabaseError):
        Database(path, Disk())
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_database_without_write_ahead_log_is_refused(path, monkeypatch):
    monkeypatch.setattr(Database, "_retry_locked", lambda self, statement: None)
    with pytest.raises(sqlite3.OperationalError, match="write-ahead log"):
        Database(path, Disk())


def test_opening_waits_while_another_process_has_it_locked(open_database, path, monkeypatch):
    monkeypatch.setattr(sqlite_module, "OPEN_RETRY_SECONDS", 0)
    calls = []

    class Locked:
        def __init__(self, connection):
            self.connection = connection

        def execute(self, statement):
            calls.append(statement)
            if len(calls) < 3:
                raise sqlite3.OperationalError("database is locked")
            return self.connection.execute(statement)

        def close(self):
            self.connection.close()

    real = sqlite3.connect
    monkeypatch.setattr(sqlite_module.sqlite3, "connect", lambda *a, **k: Locked(real(*a, **k)))
    open_database()
    assert calls[0] == calls[1] == calls[2] == "PRAGMA busy_timeout=5000"


def test_a_block_is_one_transaction(open_database):
    database = open_database()
    other = open_database()
    with database.writing() as connection:
        connection.execute("CREATE TABLE t (x)")
    with database.writing() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        assert other.connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
    assert other.connection.execute("SELECT count(*) FROM t").fetchone() == (1,)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Crash])
def test_a_block_that_raises_changes_nothing(open_database, error):
    database = open_database()

    def write():
        with database.writing() as connection:
            connection.execute("CREATE TABLE t (x)")
            raise error

    with pytest.raises(error):
        write()
    assert not database.connection.in_transaction
    assert database.connection.execute("SELECT * FROM sqlite_master").fetchall() == []


def test_a_commit_that_fails_changes_nothing(open_database, path):
    disk = FaultyDisk(operations={"commit"}, fail_at=1)
    database = open_database(disk)
    with pytest.raises(OSError), database.writing() as connection:
        connection.execute("CREATE TABLE t (x)")
    assert database.connection.execute("SELECT * FROM sqlite_master").fetchall() == []
    assert disk.trace[-1].path == path
    with database.writing() as connection:
        connection.execute("CREATE TABLE t (x)")


def test_reading_sees_one_state_and_holds_nobody_up(open_database):
    database, other = open_database(), open_database()
    with database.writing() as connection:
        connection.execute("CREATE TABLE t (x)")
    with other.reading() as reader:
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (0,)
        with database.writing() as connection:
            connection.execute("INSERT INTO t VALUES (1)")
        assert reader.execute("SELECT count(*) FROM t").fetchone() == (0,)
    assert not other.connection.in_transaction
    assert other.connection.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_two_writers_take_turns(open_database):
    database, other = open_database(), open_database()
    with database.writing() as connection:
        connection.execute("CREATE TABLE t (x)")
    entered = threading.Event()

    def write():
        entered.set()
        with other.writing() as connection:
            connection.execute("INSERT INTO t VALUES (2)")

    thread = threading.Thread(target=write)
    with database.writing() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        thread.start()
        entered.wait(5)
    thread.join(5)
    assert database.connection.execute("SELECT count(*) FROM t").fetchone() == (2,)


# migrations


@pytest.fixture
def schema(tmp_path, monkeypatch):
    package = tmp_path / "schemapackage"
    (package / "schema").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "schemapackage", raising=False)

    def write(name, text):
        (package / "schema" / name).write_text(text)

    yield write
    sys.modules.pop("schemapackage", None)


FIRST = """
-- What there is; a comment with a semicolon.
CREATE TABLE a (
    x INTEGER,   -- inside; too
    y TEXT DEFAULT ';'
);
CREATE TRIGGER t AFTER INSERT ON a BEGIN
    DELETE FROM a WHERE x = 1;
    DELETE FROM a WHERE x = 2;
END;
-- the end
"""


def test_scripts_run_in_order_once(schema, open_database):
    schema("001_first.sql", FIRST)
    database = open_database()
    assert migrate(database, "schemapackage") == 1
    assert pragma(database, "user_version") == 1
    schema("002_next.sql", "ALTER TABLE a ADD COLUMN z;\nCREATE INDEX i ON a (z);\n")
    schema("010_last.sql", "CREATE TABLE b (x)")
    schema("notes.txt", "no script")
    assert migrate(database, "schemapackage") == 10
    assert migrate(database, "schemapackage") == 10
    names = {name for (name,) in database.connection.execute("SELECT name FROM sqlite_master")}
    assert names == {"a", "t", "i", "b"}


def test_a_script_that_fails_leaves_the_version_before_it(schema, open_database):
    schema("001_first.sql", FIRST)
    schema("002_broken.sql", "CREATE TABLE b (x);\nCREATE TABLE b (x);\n")
    database = open_database()
    with pytest.raises(sqlite3.OperationalError):
        migrate(database, "schemapackage")
    assert pragma(database, "user_version") == 1
    assert database.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'b'").fetchall() == []


def test_a_migration_survives_a_failure_at_every_commit(schema, tmp_path):
    schema("001_first.sql", FIRST)
    schema("002_next.sql", "CREATE TABLE b (x);\n")
    for number in (1, 2):
        path = str(tmp_path / f"{number}.db")
        database = Database(path, FaultyDisk(operations={"commit"}, crash_at=number))
        with pytest.raises(Crash):
            migrate(database, "schemapackage")
        database.close()
        again = Database(path, Disk())
        assert pragma(again, "user_version") == number - 1
        assert migrate(again, "schemapackage") == 2
        again.close()


def test_a_newer_database_is_left_alone(schema, open_database):
    schema("001_first.sql", FIRST)
    database = open_database()
    database.connection.execute("PRAGMA user_version=7")
    with pytest.raises(sqlite3.DatabaseError, match="version 7"):
        migrate(database, "schemapackage")


def test_two_processes_may_migrate_at_once(schema, open_database, monkeypatch):
    schema("001_first.sql", FIRST)
    first, second = open_database(), open_database()
    real = second.writing

    def late():
        monkeypatch.setattr(second, "writing", real)
        migrate(first, "schemapackage")
        return real()

    monkeypatch.setattr(second, "writing", late)
    assert migrate(second, "schemapackage") == 1


def test_a_second_connection_leaves_the_locks_of_the_first_alone(tmp_path):
    path = str(tmp_path / "x.db")
    first = Database(path, Disk())
    first.connection.execute("CREATE TABLE t (x)")
    second = Database(path, Disk())
    second.close()
    code = (
        "import sqlite3, sys\n"
        "other = sqlite3.connect(sys.argv[1])\n"
        "other.execute('INSERT INTO t VALUES (1)')\nother.commit()\nother.close()\n"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)
    assert (tmp_path / "x.db-wal").exists(), "the other process took itself for the last one"
    assert first.connection.execute("SELECT x FROM t").fetchall() == [(1,)]
    first.close()


def test_a_database_is_not_opened_through_a_symbolic_link(tmp_path):
    Database(str(tmp_path / "x.db"), Disk()).close()
    (tmp_path / "link.db").symlink_to(tmp_path / "x.db")
    with pytest.raises(OSError, match="plain file"):
        Database(str(tmp_path / "link.db"), Disk())
