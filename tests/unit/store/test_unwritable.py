"""Mail that can be read and not changed: the disk is full or read-only, or the files are somebody else's."""

import contextlib
import errno
import os
import pwd
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs
import pytest
from other_user import python_for

from mailsuite.durable import Database, Disk, ReadOnlyDatabase
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import StoreMode
from mailsuite.observe import EventLog
from mailsuite.store import accounts
from mailsuite.store.boots import FILE
from mailsuite.store.lock import AccountLock
from mailsuite.store.scan import Noticed, notice_names
from mailsuite.store.unwritable import ReadOnlyLock

WRITING = frozenset(("write", "fsync", "rename", "link", "unlink", "mkdir", "rmdir", "utime", "commit", "syncfs"))
TEXTS = [b"Subject: %d\r\n\r\nbody %d\r\n" % (number, number) for number in range(3)]
FLAGGED = frozenset({"\\Flagged"})
DELETED = frozenset({"\\Deleted"})


class UnwritableDisk(Disk):
    """One that refuses what a read-only file system refuses, until `error` is 0 again."""

    error = 0

    def before(self, operation, path):
        if self.error and operation in WRITING:
            raise OSError(self.error, os.strerror(self.error), path)

    def open(self, path, flags, mode=0o600):
        if flags & os.O_EXCL and os.path.exists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        if self.error and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(self.error, os.strerror(self.error), path)
        return super().open(path, flags, mode)

    def mkdir(self, path):
        if not os.path.isdir(path):
            super().mkdir(path)


class FullDisk(UnwritableDisk):
    """One on which files can be opened, also new ones, and removed."""

    refused = frozenset(("write", "commit", "mkdir"))

    def before(self, operation, path):
        if self.error and operation in self.refused:
            raise OSError(self.error, os.strerror(self.error), path)

    open = Disk.open


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Try with each job whether something can be written."""
    monkeypatch.setattr(accounts, "FROZEN_SECONDS", 0.0)
    monkeypatch.setattr(accounts, "PAUSE_PER_COST", 0)


def is_refused(bench, change, text="nothing can be changed now"):
    with pytest.raises(MailError, match=text) as caught:
        bench.go(change())
    return caught.value.kind is Kind.UNAVAILABLE


def check_reading(bench, text="nothing can be changed now"):
    """Look at everything that can be read, try what changes something, and see that nothing did."""
    assert [content for content, _ in bench.mail().values()] == TEXTS
    names = [entry.name for entry in bench.go(bench.session().list_mailboxes())]
    assert "Trash" in names
    assert bench.go(bench.session().status("INBOX")).messages == 3
    box = bench.box()
    assert is_refused(bench, lambda: box.store_flags([1], StoreMode.ADD, FLAGGED, None), text)
    assert is_refused(bench, lambda: box.expunge(None), text)
    assert is_refused(bench, lambda: box.copy_to([1], "Trash"), text)
    assert is_refused(bench, lambda: box.move_to([1], "Trash"), text)
    assert is_refused(bench, lambda: bench.session().create("New", frozenset()), text)
    assert is_refused(bench, lambda: bench.session().delete("Trash"), text)
    assert is_refused(bench, lambda: bench.session().rename("Trash", "Old"), text)
    assert is_refused(bench, lambda: bench.session().subscribe("Trash", subscribed=False), text)
    with pytest.raises(MailError, match=text):
        bench.append(b"Subject: appended\r\n\r\n")
    outcome = bench.deliver(b"Subject: delivered\r\n\r\n", 7)
    assert outcome.error is not None and outcome.error.kind is Kind.UNAVAILABLE
    assert [content for content, _ in bench.mail().values()] == TEXTS
    assert [entry.name for entry in bench.go(bench.session().list_mailboxes())] == names


def check_writing(bench):
    bench.go(bench.box().store_flags([1], StoreMode.ADD, FLAGGED, None))
    assert bench.deliver(b"Subject: delivered\r\n\r\n", 7).error is None
    assert [flags - {"\\Recent"} for _, flags in bench.mail().values()] == [FLAGGED, DELETED, set(), set()]
    assert bench.go(bench.store.verify(bench.account)) == []


@pytest.fixture
def filled(bench):
    """A store that was filled and stopped."""
    fill(bench)
    bench.disk = UnwritableDisk()
    return bench


def fill(bench):
    for number, content in enumerate(TEXTS, 1):
        bench.append(content, flags=DELETED if number == 2 else ())
    bench.store.stop()


def make_full(bench, error=errno.ENOSPC):
    """As SQLite finds it: the log can be made, and what processes share of it cannot."""
    bench.disk = FullDisk()
    bench.disk.error = error
    Path(f"{bench.home}/index.db-wal").touch()
    shared = Path(f"{bench.home}/index.db-shm")
    shared.mkdir()
    return shared


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES, errno.EPERM], ids=errno.errorcode.get)
def test_what_nobody_had_open_is_read_from_a_read_only_disk(filled, error):
    filled.disk.error = error
    filled.open()
    check_reading(filled)
    filled.disk.error = 0
    check_writing(filled)
    filled.reopen()
    assert len(filled.mail()) == 4


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.get)
def test_what_nobody_had_open_is_read_from_a_full_disk(filled, error):
    shared = make_full(filled, error)
    filled.open()
    check_reading(filled)
    filled.disk.error = 0
    shared.rmdir()
    check_writing(filled)


def test_a_disk_that_becomes_read_only_while_nothing_is_open(filled):
    filled.open()
    filled.disk.error = errno.EROFS
    check_reading(filled)
    filled.store.stop()
    filled.disk.error = 0
    filled.open()
    check_writing(filled)


def test_another_error_is_not_taken_for_a_read_only_disk(filled):
    filled.disk.error = errno.EIO
    with pytest.raises(OSError, match="Input/output"):
        filled.open()
    filled.disk.error = 0
    filled.open()
    filled.disk.error = errno.EIO
    with pytest.raises(MailError, match="cannot be reached"):
        filled.mail()


def test_that_all_was_synced_is_forgotten_before_the_first_change_and_no_earlier(filled):
    ended = filled.root / FILE
    boots = ended.read_text()
    assert boots
    filled.disk.error = errno.EROFS
    filled.open()
    filled.mail()
    assert ended.read_text() == boots
    filled.disk.error = 0
    filled.mail()
    assert not ended.read_text()
    filled.store.stop()
    assert ended.read_text() == boots


def test_what_was_committed_before_a_crash_is_read(filled):
    filled.open()
    filled.append(b"Subject: last\r\n\r\n")
    index = filled.index
    copies = {path: path.read_bytes() for path in filled.home.glob("index.db*")}
    assert len(copies) == 3
    index.database.connection.close()
    for path, content in copies.items():
        path.write_bytes(content)
    filled.store._accounts[0]._open.clear()
    filled.store.stop()
    filled.disk.error = errno.EROFS
    filled.open()
    assert [content for content, _ in filled.mail().values()] == [*TEXTS, b"Subject: last\r\n\r\n"]


@pytest.mark.parametrize("state", ["UPDATE account SET clean = 2", "DELETE FROM account"])
def test_an_index_that_was_not_built_to_its_end_is_not_read(filled, state):
    with sqlite3.connect(f"{filled.home}/index.db") as connection:
        connection.execute(state)
    connection.close()
    filled.disk.error = errno.EROFS
    filled.open()
    with pytest.raises(MailError) as caught:
        filled.mail()
    assert caught.value.kind is Kind.UNAVAILABLE
    filled.disk.error = 0
    assert [content for content, _ in filled.mail().values()] == TEXTS


def test_a_maildir_without_an_index_waits_for_a_disk_that_can_be_written(filled):
    Path(f"{filled.home}/index.db").unlink()
    filled.disk.error = errno.EROFS
    filled.open()
    with pytest.raises(MailError, match="nothing can be changed now"):
        filled.mail()
    filled.disk.error = 0
    assert [content for content, _ in filled.mail().values()] == TEXTS


def test_files_that_the_index_does_not_know_are_seen_when_it_can_be_written(filled):
    Path(f"{filled.home}/new/1.theirs.host").write_bytes(b"Subject: theirs\r\n\r\n")
    filled.disk.error = errno.EROFS
    filled.open()
    assert len(filled.mail()) == 3
    filled.disk.error = 0
    assert len(filled.mail()) == 4


# what others do meanwhile


def other(bench, disk=None):
    """Another process that serves the same mail, and can write."""
    return type(bench)(bench.root.parent, disk=disk)


def frozen(bench):
    """Open an account to be read on a full disk; give what another process needs to be able to write."""
    shared = make_full(bench)
    bench.open()
    assert bench.index.read_only
    shared.rmdir()
    return bench


def test_what_another_process_can_write_is_read(filled):
    reader = frozen(filled)
    assert len(reader.mail()) == 3
    writer = other(reader)
    writer.append(*[b"Subject: more\r\n\r\n%d\r\n" % number for number in range(200)], flags=["$Work"])
    writer.go(writer.box().store_flags([2], StoreMode.REMOVE, DELETED, None))
    assert reader.mail() == writer.mail()
    assert reader.go(reader.session().status("INBOX")).messages == 203
    with pytest.raises(MailError, match="nothing can be changed now"):
        reader.go(reader.box().store_flags([2], StoreMode.ADD, DELETED, None))
    writer.append(b"Subject: last\r\n\r\n")
    writer.store.stop()
    assert len(reader.mail()) == 204
    reader.disk.error = 0
    assert len(reader.mail()) == 204
    assert reader.append(b"Subject: ours\r\n\r\n").uids == [205]


def test_an_index_that_cannot_be_written_is_not_put_aside(filled):
    reader = frozen(filled)
    index = reader.home / "index.db"
    content = index.read_bytes()
    index.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))
    for _ in range(2):
        with pytest.raises(MailError) as caught:
            reader.mail()
        assert caught.value.kind is Kind.UNAVAILABLE
    assert {path.name for path in reader.home.glob("index.db*")} <= {"index.db", "index.db-wal"}
    index.write_bytes(content)
    assert len(reader.mail()) == 3


def test_who_cannot_write_the_lock_waits_for_who_writes(filled, monkeypatch):
    monkeypatch.setattr(AccountLock.acquire, "__defaults__", (0.0,))
    monkeypatch.setattr(ReadOnlyLock.acquire, "__defaults__", (0.0,))
    writer = other(filled)
    filled.disk.error = errno.EROFS
    filled.open()
    with writer.store._accounts[0].using(1, writer.account.email), pytest.raises(MailError, match="another process"):
        filled.mail()
    assert len(filled.mail()) == 3
    writer.store.stop()


def test_one_reader_does_not_wait_for_another(filled):
    filled.disk.error = errno.EROFS
    filled.open()
    second = other(filled, filled.disk)
    with filled.store._accounts[0].using(1, filled.account.email):
        assert len(second.mail()) == 3
    second.store.stop()


def test_a_copy_without_a_lock_is_read(filled):
    (filled.home / "index.lock").unlink()
    filled.disk.error = errno.EROFS
    filled.open()
    assert len(filled.mail()) == 3


def test_nothing_is_held_when_nobody_reads(filled):
    """So that others can lay the index aside."""
    filled.open()
    filled.mail()
    copies = {path: path.read_bytes() for path in filled.home.glob("index.db*")}
    filled.store.stop()
    for path, content in copies.items():  # as a crash leaves it
        path.write_bytes(content)
    reader = filled
    reader.disk.error = errno.EROFS
    reader.open()
    assert len(reader.mail()) == 3
    writer = other(reader)
    assert writer.go(writer.store.reindex(writer.account)) == 3
    assert reader.mail() == writer.mail()
    writer.store.stop()


def test_for_a_while_it_is_not_tried_again_to_write(filled, monkeypatch):
    monkeypatch.setattr(accounts, "FROZEN_SECONDS", 1000.0)
    filled.open()
    filled.disk.error = errno.EROFS
    assert len(filled.mail()) == 3
    filled.disk.error = 0
    with pytest.raises(MailError, match="nothing can be changed now"):
        filled.go(filled.box().store_flags([1], StoreMode.ADD, FLAGGED, None))
    filled.store._accounts[0]._frozen[1] = 0.0  # the time is over
    check_writing(filled)


def test_a_reader_is_not_there_for_who_repairs(filled):
    reader = frozen(filled)
    reader.mail()
    writer = other(reader)
    assert writer.index.lock.is_alone()
    writer.store.stop()


class RefusingDisk(UnwritableDisk):
    """One that refuses some operations on some paths."""

    def __init__(self, error, refuses):
        self.error = error
        self.refuses = refuses
        self.done = []

    def before(self, operation, path):
        self.done.append((operation, path))
        if self.error and self.refuses(operation, path):
            raise OSError(self.error, os.strerror(self.error), path)

    open = Disk.open


def is_commit(operation, _path):
    return operation == "commit"


def test_a_promised_rename_is_kept_although_its_mailbox_was_looked_at(bench):
    bench.go(bench.session().create("Work", frozenset()))
    bench.append(*TEXTS, name="Work", flags=["$Mine"])
    bench.store.stop()
    bench.disk = RefusingDisk(errno.ENOSPC, lambda operation, path: operation == "rename" and ".Projects" in path)
    bench.open()
    bench.go(bench.session().rename("Work", "Projects"))
    bench.store.stop()
    shared = make_full(bench)
    bench.disk.refused = frozenset(("write", "commit"))  # there is room for a folder
    bench.open()
    assert "Projects" in [entry.name for entry in bench.go(bench.session().list_mailboxes())]
    assert bench.go(bench.session().status("Projects")).messages == 3
    with pytest.raises(MailError) as caught:
        bench.mail("Projects")
    assert caught.value.kind is Kind.UNAVAILABLE
    shared.rmdir()
    bench.disk.error = 0
    names = [entry.name for entry in bench.go(bench.session().list_mailboxes())]
    assert "Projects" in names and "Work" not in names
    assert {uid: content for uid, (content, _) in bench.mail("Projects").items()} == dict(enumerate(TEXTS, 1))
    assert all("$Mine" in flags for _, flags in bench.mail("Projects").values())


@pytest.mark.parametrize("is_open", [False, True], ids=["not open", "open"])
def test_a_folder_that_another_program_made_keeps_nobody_from_listing(filled, is_open):
    filled.disk = FullDisk()
    filled.open()
    if is_open:
        filled.mail()
    theirs = filled.home / ".Theirs"
    for name in ("tmp", "new", "cur"):
        (theirs / name).mkdir(parents=True)
    filled.disk.error = errno.ENOSPC
    assert "Theirs" not in [entry.name for entry in filled.go(filled.session().list_mailboxes())]
    filled.disk.error = 0
    assert "Theirs" in [entry.name for entry in filled.go(filled.session().list_mailboxes())]


@pytest.mark.parametrize("error", [errno.EACCES, errno.ENOSPC], ids=errno.errorcode.get)
def test_a_name_is_not_given_twice_while_folders_cannot_be_taken_in(filled, error):
    filled.disk = RefusingDisk(error, lambda operation, path: operation == "write" and ".Theirs" in path)
    filled.open()
    filled.go(filled.session().create("Work", frozenset()))
    for name in ("tmp", "new", "cur"):
        (filled.home / ".Theirs" / name).mkdir(parents=True)
    assert "Theirs" not in [entry.name for entry in filled.go(filled.session().list_mailboxes())]
    for change in (
        lambda: filled.session().rename("Work", "Theirs"),
        lambda: filled.session().create("A", frozenset()),
    ):
        with pytest.raises(MailError) as caught:
            filled.go(change())
        assert caught.value.kind is Kind.UNAVAILABLE
    filled.disk.error = 0
    with pytest.raises(MailError) as caught:
        filled.go(filled.session().rename("Work", "Theirs"))
    assert caught.value.kind is Kind.EXISTS


def test_a_file_that_a_crash_left_in_tmp_is_read_there(filled):
    (file,) = [path for path in filled.home.glob("*/*") if path.is_file() and path.read_bytes() == TEXTS[0]]
    file.rename(filled.home / "tmp" / file.name)
    filled.disk.error = errno.EROFS
    filled.open()
    assert [content for content, _ in filled.mail().values()] == TEXTS


def test_room_that_is_enough_for_some_is_enough_to_read(filled):
    filled.disk = RefusingDisk(errno.ENOSPC, is_commit)
    filled.open(boot="another run")
    assert [content for content, _ in filled.mail().values()] == TEXTS
    filled.disk.error = 0
    check_writing(filled)


def test_accounts_below_a_root_that_cannot_be_written_are_read(filled):
    filled.disk = RefusingDisk(
        errno.EACCES, lambda operation, path: operation == "write" and path.startswith(f"{filled.root}/..")
    )
    ended = filled.root / FILE
    boots = ended.read_text()
    filled.open()
    check_reading(filled)
    assert ended.read_text() == boots
    filled.disk.error = 0
    check_writing(filled)


def test_the_run_that_goes_on_is_taken_from_the_list_durably(filled):
    root = str(filled.root)
    filled.disk = RefusingDisk(errno.EIO, lambda *call: call == ("fsync", root))
    with pytest.raises(OSError, match="Input/output"):
        filled.open()
    filled.disk.error = 0
    filled.disk.done.clear()
    filled.open()
    filled.append(b"Subject: x\r\n\r\n")
    done = filled.disk.done
    assert done.index(("fsync", root)) < done.index(("commit", f"{filled.home}/index.db"))


def test_an_account_that_is_to_be_moved_is_read_where_it_is(filled):
    filled.open()
    filled.go(filled.store.begin_rename(filled.account, "alicia@example.com"))
    filled.store.stop()
    filled.disk.error = errno.EROFS
    filled.open()
    old = filled.account
    filled.account = attrs.evolve(old, email="alicia@example.com")
    assert [content for content, _ in filled.mail().values()] == TEXTS
    filled.disk.error = 0
    assert [content for content, _ in filled.mail().values()] == TEXTS
    assert not filled.home.exists()
    assert (filled.root / "example.com/alicia/index.db").exists()


def test_an_account_whose_move_cannot_be_noted_is_read_where_it_went(filled):
    filled.open()
    filled.go(filled.store.begin_rename(filled.account, "alicia@example.com"))
    filled.store.stop()
    filled.disk = RefusingDisk(errno.ENOSPC, lambda operation, path: operation == "write" and "..accounts" in path)
    filled.open()
    old = filled.account
    for email in ("alicia@example.com", old.email):
        filled.account = attrs.evolve(old, email=email)
        assert [content for content, _ in filled.mail().values()] == TEXTS
    filled.disk.error = 0
    filled.go(filled.store.finish_move(1))
    assert [content for content, _ in filled.mail().values()] == TEXTS


def test_a_store_of_an_older_version_is_read(filled):
    (filled.root / "..accounts").rmdir()
    (filled.root / "..layout").unlink()
    filled.disk.error = errno.EROFS
    filled.open()
    assert len(filled.mail()) == 3


@pytest.mark.parametrize("number", range(1, 5))
def test_an_index_that_cannot_be_built_anew_is_the_old_one(filled, number):
    left = [number]

    def refuses(operation, _path):
        left[0] -= operation == "commit"
        return left[0] < 0 and operation in {"commit", "write"}

    filled.disk = RefusingDisk(0, refuses)
    filled.open()
    filled.mail()
    filled.disk.error = errno.ENOSPC
    with contextlib.suppress(MailError):
        filled.go(filled.store.reindex(filled.account))
    left[0] = -1  # from now on nothing can be written
    assert [content for content, _ in filled.mail().values()] == TEXTS
    filled.disk.error = 0
    check_writing(filled)


def test_a_check_of_what_can_only_be_read_changes_nothing_and_knows_what_is_promised(filled):
    filled.disk = RefusingDisk(errno.EROFS, lambda operation, path: operation == "unlink" and "/cur/" in path)
    filled.open()
    box = filled.box()
    filled.go(box.expunge(None))
    filled.store.stop()
    filled.disk = UnwritableDisk()
    filled.disk.error = errno.EROFS
    filled.open()
    assert filled.go(filled.store.verify(filled.account)) == []


def test_who_watches_a_mailbox_is_told_to_look_again_and_nothing_is_logged(filled, monkeypatch):
    Path(f"{filled.home}/new/1.theirs.host").write_bytes(b"Subject: theirs\r\n\r\n")
    (filled.home / ".Theirs/cur").mkdir(parents=True)
    filled.disk.error = errno.EROFS
    filled.open()
    events = []
    monkeypatch.setattr(EventLog, "failure", lambda _self, name, *_, **__: events.append(name))
    with filled.store._accounts[0].using(1, filled.account.email) as index:
        assert notice_names(index, 1, None) == Noticed(foreign=False, doubtful=True, failed=True)
        assert notice_names(index, 1, [("new", "1.theirs.host")]).failed
    with pytest.raises(MailError, match="nothing can be changed now"):
        filled.append(b"x")
    filled.mail()
    filled.go(filled.session().list_mailboxes())
    assert events == []


def test_that_nothing_can_be_written_is_told_once(filled, monkeypatch):
    events = []
    monkeypatch.setattr(EventLog, "emit", lambda _self, name, **_: events.append(name))
    filled.disk = RefusingDisk(errno.ENOSPC, is_commit)
    filled.open(boot="another run")
    for _ in range(3):
        filled.mail()
    assert events.count("store.account.frozen") == 1
    filled.disk.error = 0
    filled.mail()
    assert not filled.store._accounts[0].is_frozen(1)


CHILD = """
import sys
from pathlib import Path
from mailsuite.durable import Disk
sys.path.insert(0, sys.argv[2])
from conftest import Bench
from test_unwritable import check_reading
bench = Bench(Path(sys.argv[1]))
assert bench.index.read_only
check_reading(bench, "cannot be reached|nothing can be changed now")
bench.store.stop()
print("read")
"""


@pytest.mark.parametrize("whose", ["everything", "the index"])
def test_mail_that_belongs_to_somebody_else_is_read_by_who_may_read_it(bench, whose):
    python, environment, options = sys.executable, dict(os.environ), {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        found = python_for(nobody)
        if found is None:
            pytest.skip("no Python that nobody may run with what we need")
        python, environment = found
        options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        root = Path(folder)
        fill(type(bench)(root))
        paths = [root, *root.rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
            if whose == "the index" and path.name != "index.db":
                path.chmod(0o777 if path.is_dir() else 0o666)
        here = Path(__file__).parent
        environment = {**environment, "PYTHONPATH": f"{here.parents[1]}:{environment.get('PYTHONPATH', '')}"}
        done = subprocess.run(
            [python, "-c", CHILD, folder, str(here)],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        for path in paths:
            path.chmod(0o700)
        assert done.stdout == "read\n", done.stderr


def test_a_database_that_is_open_to_be_read_refuses_changes(tmp_path):
    path = str(tmp_path / "some?#.db")
    with pytest.raises(FileNotFoundError):
        ReadOnlyDatabase(path, Disk())
    first = Database(path, Disk())
    first.connection.execute("CREATE TABLE line (text)")
    first.connection.execute("INSERT INTO line VALUES ('known')")
    with_log = ReadOnlyDatabase(path, Disk())
    first.connection.execute("INSERT INTO line VALUES ('later')")
    assert with_log.connection.execute("SELECT count(*) FROM line").fetchone() == (2,)
    with_log.close()
    first.close()
    database = ReadOnlyDatabase(path, Disk())
    with database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM line").fetchone() == (2,)
    with pytest.raises(OSError, match="Read-only"), database.writing():
        pytest.fail("it was let in")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.connection.execute("DELETE FROM line")
    database.close()
