"""What other programs do to a mailbox that somebody waits for, without a reactor: a test reads what waits."""

import errno
import itertools
import os
import shutil
from types import SimpleNamespace

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from mailsuite.durable import Disk, FolderNotices
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import StoreMode
from mailsuite.store.watch import GATHER_SECONDS, NAMES_MAX, PAUSE_MAX_SECONDS

MESSAGE = b"Subject: ours\r\n\r\nbody\r\n"


class CountingDisk(Disk):
    def __init__(self):
        self.listed = []

    def before(self, operation, path):
        if operation == "listdir":
            self.listed.append(path)


class Reactor(Clock):
    """Time, and what would be read from."""

    def __init__(self):
        super().__init__()
        self.readers = []

    def addReader(self, reader):
        self.readers.append(reader)

    def removeReader(self, reader):
        self.readers.remove(reader)

    def read(self):
        for _ in range(100):
            for reader in self.readers:
                reader.doRead()

    def soon(self, seconds=GATHER_SECONDS):
        self.read()
        self.advance(seconds)


class Programs:
    """A store whose folders are watched, what it tells, and what others do to it."""

    def __init__(self, bench):
        self.bench = bench
        self.reactor = Reactor()
        self.watches = bench.store.watch_folders(self.open_notices, self.reactor)
        self.told = []
        bench.store.bus.subscribe(1, self.told.append)
        self.refusal = None

    def open_notices(self, listener):
        if self.refusal is not None:
            raise self.refusal
        return FolderNotices(self.reactor, listener)

    def hear(self, seconds=GATHER_SECONDS):
        """Give the MODSEQs of the mailboxes that changed."""
        self.told.clear()
        self.reactor.soon(seconds)
        return [(change.mailbox_id, change.modseq) for change in self.told]

    def added(self, name, content=MESSAGE, folder="new", box=None):
        (self.bench.inbox if box is None else box).joinpath(folder, name).write_bytes(content)

    @property
    def listed(self):
        listed, self.bench.disk.listed = self.bench.disk.listed, []
        return listed


@pytest.fixture
def events():
    seen = []
    globalLogPublisher.addObserver(seen.append)
    yield lambda name: [event for event in seen if event.get("event") == name]
    globalLogPublisher.removeObserver(seen.append)


@pytest.fixture
def programs(bench):
    bench.disk = CountingDisk()
    bench.reopen()
    bench.go(bench.session().list_mailboxes())
    return Programs(bench)


@pytest.fixture
def box(programs):
    made = programs.bench.box()
    made.watch()
    programs.reactor.soon()
    assert programs.reactor.getDelayedCalls() == []
    return made


def test_a_new_file_is_told_of(programs, box):
    programs.added("one")
    assert programs.hear(GATHER_SECONDS / 2) == []
    assert len(programs.hear(GATHER_SECONDS / 2)) == 1
    assert list(programs.bench.mail()) == [1]


@pytest.mark.parametrize("change", ["flags", "unlink", "away", "read"])
def test_what_becomes_of_a_file_is_told_of(programs, box, change):
    programs.added("one", folder="cur" if change == "flags" else "new")
    programs.hear()
    home = programs.bench.inbox
    if change == "flags":
        (home / "cur/one").rename(home / "cur/one:2,S")
    elif change == "unlink":
        (home / "new/one").unlink()
    elif change == "away":
        (home / "new/one").rename(programs.bench.home / ".Trash/cur/one:2,")
    else:
        (home / "new/one").rename(home / "cur/one:2,FS")
    assert len(programs.hear(1)) == 1
    flags = [flags for _, flags in programs.bench.mail().values()]
    assert flags == {"flags": [{"\\Seen"}], "unlink": [], "away": [], "read": [{"\\Flagged", "\\Seen"}]}[change]


def test_a_name_that_is_no_text_does_no_harm(programs, box):
    path = os.fsencode(programs.bench.inbox) + b"/new/\xff"
    with open(path, "wb") as file:
        file.write(MESSAGE)
    assert len(programs.hear(1)) == 1
    programs.added("one")
    assert len(programs.hear(1)) == 1
    assert len(programs.bench.mail()) == 2
    programs.bench.reopen()
    assert len(programs.bench.mail()) == 2


def test_a_burst_is_one_look(programs, box):
    programs.bench.disk.listed.clear()
    for number in range(2 * NAMES_MAX):
        programs.added(f"file{number}")
    assert len(programs.hear()) == 1
    assert len(programs.listed) == 2
    assert len(programs.bench.mail()) == 2 * NAMES_MAX


def test_looks_at_what_goes_on_and_on_take_a_part_of_the_time(programs, box, monkeypatch):
    clock = iter(range(0, 10**6, 2))
    time = SimpleNamespace(monotonic=lambda: next(clock))  # each look takes two seconds
    monkeypatch.setattr("mailsuite.store.watch.time", time)
    programs.added("one")
    assert programs.hear()
    programs.added("two")
    assert programs.hear(19.9) == []
    assert programs.hear(0.1)


def test_what_we_do_ourselves_lists_nothing(programs, box):
    bench = programs.bench
    for number in range(150):
        bench.deliver(MESSAGE, number)
    bench.append(MESSAGE)
    programs.reactor.soon()
    programs.listed.clear()
    programs.told.clear()
    bench.deliver(MESSAGE, 200)
    bench.append(MESSAGE)
    bench.go(box.store_flags([1, 2], StoreMode.ADD, frozenset({"\\Deleted"}), None))
    bench.store.mirror(bench.account, box.mailbox_id)
    bench.go(box.expunge(None))
    bench.go(box.move_to([3], "Trash"))
    assert len(programs.told) == 6
    assert programs.hear(1) == []
    assert programs.listed == []


def test_many_changes_of_ours_are_listed_once_at_their_end(programs, box):
    bench = programs.bench
    for number in range(NAMES_MAX + 1):
        bench.deliver(MESSAGE, number)
    programs.reactor.read()
    programs.listed.clear()
    programs.reactor.advance(GATHER_SECONDS)
    for _ in range(100):
        programs.reactor.advance(PAUSE_MAX_SECONDS)
    assert len(programs.listed) <= 2
    assert len(bench.mail()) == NAMES_MAX + 1


def test_another_program_in_the_same_moment_as_we_is_heard(programs, box):
    bench = programs.bench
    for number in range(150):
        bench.deliver(MESSAGE, number)
    programs.reactor.soon()
    bench.deliver(MESSAGE, 200)
    bench.disk.listed.clear()
    look = bench.index.lock.look(box.mailbox_id)
    programs.added("theirs")
    look.stamp = bench.index.stamp(str(bench.inbox))  # as if the clock had not moved on
    bench.index.lock.set_look(box.mailbox_id, look)
    assert len(programs.hear(1)) == 1
    assert len(bench.mail()) == 152


def test_our_own_changes_are_looked_at_ever_more_rarely_but_twice_a_second(programs, box):
    looks = []
    run = programs.watches._run

    def note(account, job):
        looks.append(programs.reactor.seconds())
        return run(account, job)

    programs.watches._run = note
    for number in range(100):
        programs.bench.deliver(MESSAGE, number)
        programs.reactor.soon(0.1)
    assert max(later - sooner for sooner, later in itertools.pairwise(looks)) <= PAUSE_MAX_SECONDS + 0.11
    assert len(looks) <= 26


def test_a_folder_that_is_removed_is_made_again_and_watched_on(programs, box):
    programs.bench.append(MESSAGE, MESSAGE)
    programs.reactor.soon()
    for subfolder in ("cur", "new", "tmp"):
        shutil.rmtree(programs.bench.inbox / subfolder)
    assert programs.hear(1)
    assert programs.bench.mail() == {}
    programs.hear(1)
    programs.added("one")
    assert len(programs.hear(1)) == 1
    assert list(programs.bench.mail()) == [3]


def test_a_mailbox_that_another_program_renames_is_empty_and_the_other_one_has_its_mail(programs):
    bench = programs.bench
    bench.append(MESSAGE, name="Trash")
    box = bench.box("Trash")
    box.watch()
    programs.reactor.soon()
    (bench.home / ".Trash").rename(bench.home / ".Old")
    assert programs.hear(1)
    assert bench.mail("Trash") == {}
    bench.go(bench.session().list_mailboxes())
    other = bench.box("Old")
    other.watch()
    programs.hear(1)
    programs.added("one", box=bench.home / ".Trash")
    programs.added("two", box=bench.home / ".Old")
    assert sorted(mailbox for mailbox, _ in programs.hear(1)) == sorted([box.mailbox_id, other.mailbox_id])
    assert len(bench.mail("Old")) == 2


def test_a_mailbox_that_is_renamed_is_watched_under_its_new_name(programs):
    bench = programs.bench
    box = bench.box("Trash")
    box.watch()
    programs.reactor.soon()
    bench.go(bench.session().rename("Trash", "Rubbish"))
    programs.hear(1)
    programs.added("one", box=bench.home / ".Rubbish")
    assert [mailbox for mailbox, _ in programs.hear(1)] == [box.mailbox_id]


def test_a_mailbox_that_is_deleted_is_watched_no_more_and_a_new_one_of_its_name_is_another(programs):
    bench = programs.bench
    box = bench.box("Trash")
    box.watch()
    programs.reactor.soon()
    bench.go(bench.session().delete("Trash"))
    bench.go(bench.session().create("Trash", frozenset()))
    other = bench.box("Trash")
    other.watch()
    programs.hear(1)
    assert programs.reactor.getDelayedCalls() == []
    programs.added("one", box=bench.home / ".Trash")
    assert [mailbox for mailbox, _ in programs.hear(1)] == [other.mailbox_id]
    box.close()
    programs.added("two", box=bench.home / ".Trash")
    assert len(programs.hear(1)) == 1


def test_a_mailbox_is_watched_once_and_for_as_long_as_somebody_waits(programs, box):
    second = programs.bench.box()
    second.watch()
    second.watch()
    assert len(programs.watches._mailboxes) == 1
    box.close()
    programs.added("one")
    assert len(programs.hear(1)) == 1
    second.close()
    second.close()
    programs.added("two")
    assert programs.hear(1) == []
    assert programs.watches._mailboxes == programs.watches._by_number == {}
    assert programs.reactor.getDelayedCalls() == []


def test_who_leaves_before_the_folders_are_watched_leaves_nothing_behind(programs, monkeypatch):
    bench = programs.bench
    run = bench.store.run
    waiting = []

    def later(account, job):
        waiting.append(job)
        return run(account, job)

    monkeypatch.setattr(programs.watches, "_run", later)
    box = bench.box()
    box.watch()
    box.close()
    programs.added("one")
    assert programs.hear(1) == []
    assert programs.watches._by_number == {}
    assert len(waiting) == 1


def test_when_notices_were_lost_everything_is_looked_at(programs, box):
    (programs.bench.inbox / "new/one").write_bytes(MESSAGE)
    notices = programs.watches._notices
    os.read(notices.fileno(), 4096)  # as if the system had dropped it
    notices._listener.lost()
    assert len(programs.hear(1)) == 1


def test_after_a_failure_it_is_tried_again(programs, box, monkeypatch):
    run = programs.bench.store.run
    failures = [MailError(Kind.UNAVAILABLE, "busy")]

    def fail(account, job):
        if failures:
            raise failures.pop()
        return run(account, job)

    monkeypatch.setattr(programs.watches, "_run", fail)
    programs.added("one")
    assert programs.hear() == []
    assert len(programs.hear(1)) == 1


def test_a_folder_that_cannot_be_looked_at_is_looked_at_again(programs, box, monkeypatch):
    listdir = programs.bench.disk.listdir
    failures = [OSError(errno.EIO, "broken"), OSError(errno.EIO, "broken")]

    def fail(path):
        if failures:
            raise failures.pop()
        return listdir(path)

    monkeypatch.setattr(programs.bench.disk, "listdir", fail)
    programs.added("one")
    assert programs.hear() == []
    assert len(failures) == 1
    assert programs.hear(0.5) == []
    assert len(failures) == 1  # not so soon
    assert programs.hear(0.5) == []
    assert len(programs.hear(1)) == 1
    assert list(programs.bench.mail()) == [1]


@pytest.mark.parametrize("where", ["instance", "folder"])
def test_where_folders_cannot_be_watched_it_is_told_once_and_nothing_else_happens(programs, events, where):
    refusal = OSError(errno.EMFILE if where == "instance" else errno.ENOSPC, "no more")
    if where == "instance":
        programs.refusal = refusal
    else:

        def refuse(listener):
            notices = FolderNotices(programs.reactor, listener)
            given = notices.watch
            notices.watch = lambda path, mask: given(path, mask) if not path.endswith("cur") else refusing()
            return notices

        def refusing():
            raise refusal

        programs.watches._open_notices = refuse
    for name in ("INBOX", "Trash"):
        box = programs.bench.box(name)
        box.watch()
        programs.hear(1)
    assert [event["reason"] for event in events("store.watch.failed")] == [errno.errorcode[refusal.errno]]
    programs.added("one")
    assert programs.hear(1) == []
    assert programs.watches._by_number == {}
    assert list(programs.bench.mail()) == [1]


def test_at_the_end_nothing_is_left(programs, box):
    programs.added("one")
    programs.reactor.read()
    programs.watches.close()
    programs.watches.close()
    assert programs.reactor.readers == []
    assert programs.reactor.getDelayedCalls() == []
    box.close()
    programs.bench.box().watch()
    assert programs.reactor.readers == []


def test_it_is_quiet_until_something_happens_that_nobody_has_looked_at(programs, box):
    assert box.is_quiet
    programs.added("one")
    assert not box.is_quiet  # without waiting for the reactor
    programs.hear()
    assert not box.is_quiet or programs.bench.mail()
    programs.hear(1)
    assert box.is_quiet
    (programs.bench.inbox / "new/one").unlink()
    assert not box.is_quiet
    programs.hear(1)
    assert box.is_quiet
    box.close()
    assert not box.is_quiet


def test_it_is_never_quiet_where_nobody_watches_or_others_serve_the_account(programs, box):
    assert not programs.bench.box().is_quiet
    programs.bench.store.bus.is_alone = False
    assert not box.is_quiet
