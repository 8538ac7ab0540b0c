"""The database: versions, transactions, file modes, noticing changes."""

import os
import sqlite3
import stat
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mailsuite.directory.accounts import Accounts
from mailsuite.directory.database import NEWEST_VERSION, ChangeWatch, DirectoryDatabase
from mailsuite.directory.domains import Domains
from mailsuite.directory.migrate import upgrade, versions
from mailsuite.directory.tables import METADATA, SECRETS
from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError


def schema(path):
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    connection.close()
    return rows


@pytest.fixture
def fresh(tmp_path):
    database = DirectoryDatabase(f"sqlite:///{tmp_path}/data/mailsuite.db")
    yield database
    database.close()


def test_the_newest_version_is_the_last_migration():
    assert versions()[-1] == NEWEST_VERSION


@pytest.mark.parametrize("version", versions())
def test_a_database_of_each_version_becomes_the_newest(version, tmp_path, empty_database):
    database = DirectoryDatabase(f"sqlite:///{tmp_path}/mailsuite.db")
    with database.writing() as connection:
        upgrade(connection, version)
    assert database.version() == version
    database.migrate()
    assert database.version() == NEWEST_VERSION
    database.close()
    assert schema(database.path) == schema(empty_database)


def test_migrations_make_the_tables_that_the_program_knows(fresh):
    fresh.migrate()
    with fresh.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA) == []


def test_it_tells_whether_there_is_a_domain(fresh):
    fresh.migrate()
    assert not fresh.has_domains()
    Domains(fresh).add("example.test")
    assert fresh.has_domains()


def test_migrating_again_changes_nothing(fresh):
    fresh.migrate()
    watch = ChangeWatch(fresh.path, Disk())
    watch.changed()
    fresh.migrate()
    assert not watch.changed()
    watch.close()


def test_an_older_database_is_copied_before_it_is_changed(fresh, monkeypatch):
    fresh.migrate()
    with fresh.writing() as connection:
        connection.execute(SECRETS.insert().values(name="a", value=b"b"))
    monkeypatch.setattr("mailsuite.directory.database.NEWEST_VERSION", "a later one")
    fresh.migrate()
    copy = f"{fresh.path}.{NEWEST_VERSION}"
    assert stat.S_IMODE(os.stat(copy).st_mode) == 0o600
    assert not os.path.exists(f"{copy}-wal")
    assert schema(copy) == schema(fresh.path)
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT * FROM secrets").fetchall() == [("a", b"b")]
    connection.close()


def test_a_migration_that_fails_leaves_nothing(tmp_path):
    class Failing(Disk):
        def before(self, operation, path):
            if operation == "commit":
                raise OSError(28, "no space left on device")

    database = DirectoryDatabase(f"sqlite:///{tmp_path}/mailsuite.db", Failing())
    with pytest.raises(MailError) as caught:
        database.migrate()
    assert caught.value.kind is Kind.UNAVAILABLE
    database.close()
    assert schema(database.path) == []


def test_a_database_of_a_newer_program_is_refused(fresh):
    fresh.migrate()
    fresh.close()
    with sqlite3.connect(fresh.path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(MailError, match="newer version"):
        fresh.migrate()


def test_without_auto_migrate_an_old_database_is_refused_with_advice(fresh):
    with pytest.raises(MailError, match="mailsuite migrate"):
        fresh.ensure_current(auto_migrate=False)
    fresh.migrate()
    fresh.ensure_current(auto_migrate=False)


def test_files_can_be_read_by_their_owner_only(fresh):
    fresh.migrate()
    with fresh.reading():
        folder = os.path.dirname(fresh.path)
        modes = {name: stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) for name in os.listdir(folder)}
    assert modes == dict.fromkeys(("mailsuite.db", "mailsuite.db-wal", "mailsuite.db-shm"), 0o600)


@pytest.mark.parametrize("url", ["", "mailsuite.db", "sqlite:///", "postgresql://localhost/mail", "sqlite://x"])
def test_other_urls_are_refused(url):
    with pytest.raises(MailError, match="sqlite:///path"):
        DirectoryDatabase(url)


def test_a_transaction_that_raises_leaves_nothing(fresh):
    fresh.migrate()

    def fail():
        with fresh.writing() as connection:
            connection.execute(SECRETS.insert().values(name="a", value=b"b"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with fresh.reading() as connection:
        assert connection.execute(SECRETS.select()).all() == []


def test_a_damaged_file_is_named_unavailable_without_its_path(tmp_path):
    path = tmp_path / "mailsuite.db"
    path.write_bytes(b"not a database" * 500)
    with pytest.raises(MailError) as caught:
        DirectoryDatabase(f"sqlite:///{path}").migrate()
    assert caught.value.kind is Kind.UNAVAILABLE
    assert str(tmp_path) not in caught.value.detail


def test_the_watch_sees_commits_of_other_connections_once(fresh):
    fresh.migrate()
    watch = ChangeWatch(fresh.path, Disk())
    assert watch.changed()  # nothing is known before the first call
    assert not watch.changed()
    for number in range(50):  # more than one in a tick of the file system's clock
        with fresh.writing() as connection:
            connection.execute(SECRETS.insert().values(name=str(number), value=b""))
        assert watch.changed()
        assert not watch.changed()
    watch.close()


def test_the_watch_sees_commits_of_other_processes(fresh):
    fresh.migrate()
    watch = ChangeWatch(fresh.path, Disk())
    watch.changed()
    statement = "INSERT INTO secrets VALUES ('a', x'00')"
    script = f"import sqlite3; c = sqlite3.connect({fresh.path!r}); c.execute({statement!r}); c.commit()"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert watch.changed()
    assert not watch.changed()
    watch.close()


def test_a_watch_that_cannot_look_says_changed(tmp_path):
    watch = ChangeWatch(str(tmp_path / "missing" / "mailsuite.db"), Disk())
    assert watch.changed()
    assert watch.changed()


def test_processes_that_start_together_migrate_once(fresh):
    script = f"from mailsuite.directory import DirectoryDatabase; DirectoryDatabase({fresh.url!r}).migrate()"
    started = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert fresh.version() == NEWEST_VERSION


@pytest.mark.parametrize("failing", range(1, 5))
def test_an_account_is_there_whole_or_not_at_all_whatever_fails(suite, failing):
    class FailingAt(Disk):
        calls = 0

        def before(self, operation, path):
            self.calls += 1
            if self.calls == failing:
                raise OSError(5, "input/output error")

    disk = FailingAt()
    database = DirectoryDatabase(suite.url, disk)
    accounts = Accounts(database, suite.hashing)
    try:
        accounts.add("alice@example.test", password="correct horse")
    except MailError:
        assert suite.accounts.list() == []
        accounts.add("alice@example.test", password="correct horse")
    else:
        assert disk.calls < failing
    assert [account.email for account in suite.accounts.list()] == ["alice@example.test"]
    database.close()


def test_opening_a_current_directory_imports_neither_sqlalchemy_nor_alembic(fresh):
    fresh.migrate()
    script = (
        "import sys\n"
        "from mailsuite.directory import open_directory\n"
        "from mailsuite.durable import InlineLane\n"
        f"open_directory({fresh.url!r}, InlineLane()).close()\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'passlib') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
