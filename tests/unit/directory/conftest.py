"""A directory in a temporary folder, with cheap hashing and without threads."""

import shutil

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailsuite.directory import Directory, DirectoryDatabase, PasswordHashing, open_directory
from mailsuite.directory.accounts import Accounts
from mailsuite.directory.aliases import Aliases
from mailsuite.directory.domains import Domains
from mailsuite.durable import InlineLane


@attrs.define
class Suite:
    """Everything about one directory."""

    url: str
    database: DirectoryDatabase
    directory: Directory
    domains: Domains
    accounts: Accounts
    aliases: Aliases
    clock: Clock
    hashing: PasswordHashing


@pytest.fixture(scope="session")
def hashing():
    return PasswordHashing(memory_kib=64, time_cost=1)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    path = tmp_path_factory.mktemp("directory") / "empty.db"
    database = DirectoryDatabase(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def suite(tmp_path, empty_database, hashing):
    path = tmp_path / "mailsuite.db"
    shutil.copy(empty_database, path)
    url = f"sqlite:///{path}"
    database = DirectoryDatabase(url)  # as the command line opens it, in a process of its own
    directory = open_directory(url, InlineLane(), look_seconds=0)
    clock = Clock()
    clock.advance(1_800_000_000)
    domains = Domains(database, clock.seconds)
    domains.add("example.test")
    yield Suite(
        url,
        database,
        directory,
        domains,
        Accounts(database, hashing, clock.seconds),
        Aliases(database, clock.seconds),
        clock,
        hashing,
    )
    directory.close()
    database.close()


@pytest.fixture
def result():
    """Drive a coroutine or Deferred that ends at once; give its value or raise."""

    def drive(work):
        deferred = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
        values, failures = [], []
        deferred.addCallbacks(values.append, failures.append)
        if failures:
            failures[0].raiseException()
        assert values, "still waiting"
        return values[0]

    return drive
