"""All accounts in another layout: nothing is lost, UIDs stay, and whatever is cut off goes on."""

import itertools
import os
import shutil

import pytest
from store_at_once import ReactorAtOnce, go

from mailsuite.durable import Disk, InlineLane
from mailsuite.errors import MailError
from mailsuite.interfaces import Account, AnnotationLimits, AppendMessage, Depth, StoreMode
from mailsuite.store import Layout, StorageSettings, open_store
from mailsuite.store.convert import convert_path, make_plan, settle, settle_moves, take_steps, write_journal
from mailsuite.store.marker import JOURNAL, read_layout
from mailsuite.testing.faults import Crash, FaultyDisk

ACCOUNTS = [
    Account(account_id=1, email="alice@example.com"),
    Account(account_id=7, email="john.doe@example.com"),
    Account(account_id=9, email="bob@example.org"),
]
MAILBOXES = ["INBOX", "Sent", "cur", "new", "a/b", "INBOX/x", "v2.0", "Entw\u00fcrfe"]
LIMITS = AnnotationLimits(per_mailbox=10, per_account=100)
PAIRS = list(itertools.permutations(Layout, 2))


def opened(root, layout):
    settings = StorageSettings(maildir_root=str(root), layout=layout, lanes=1, create_special=("Sent",))
    store = open_store(settings, disk=Disk(), reactor=ReactorAtOnce(), lane=InlineLane, clock=lambda: 1_800_000_000.0)
    store.start()
    return store


def fill(root, layout):
    """Give each account mail in every mailbox, with a gap in the UIDs, flags and a keyword."""
    store = opened(root, layout)
    for account in ACCOUNTS:
        session = store.account(account)
        go(session.annotate("", {"/private/comment": account.email.encode()}, LIMITS))
        for name in MAILBOXES:
            if name not in {"INBOX", "Sent"}:
                go(session.create(name, frozenset()))
            go(session.annotate(name, {"/private/comment": name.encode()}, LIMITS))
            texts = [b"Subject: %d of %s\r\n\r\nx\r\n" % (number, account.email.encode()) for number in range(3)]
            go(session.append(name, [AppendMessage(content=text) for text in texts]))
            box = go(session.open_mailbox(name, read_only=False))
            go(box.store_flags([1], StoreMode.ADD, frozenset({"\\Deleted"}), None))
            go(box.expunge(None))
            go(box.store_flags([3], StoreMode.ADD, frozenset({"\\Flagged", "$Work"}), None))
    found = everything(store)
    store.stop()
    return found


def everything(store, accounts=ACCOUNTS):
    found = {}
    for account in accounts:
        session = store.account(account)
        found[account.email, ""] = go(session.annotations("", ["/private"], Depth.ALL))
        for entry in go(session.list_mailboxes()):
            if not entry.selectable:
                continue
            box = go(session.open_mailbox(entry.name, read_only=True))
            snapshot = go(box.snapshot())
            status = go(session.status(entry.name))
            bodies = dict(go(box.read_many(snapshot.uids, 10**9)))
            flags = [sorted(each) for each in snapshot.flags]
            mail = [(uid, bodies[uid], each) for uid, each in zip(snapshot.uids, flags, strict=True)]
            notes = go(session.annotations(entry.name, ["/private"], Depth.ALL))
            found[account.email, entry.name] = (status.uidvalidity, status.uidnext, mail, notes)
        assert go(store.verify(account)) == []
    return found


def begin(root, current, wanted, accounts=ACCOUNTS):
    """Prepare as the command does."""
    disk = Disk()
    settle_moves(disk, str(root), current, accounts)
    store = opened(root, current)
    for account in accounts:
        go(store.run(account, settle))
    store.stop()
    plan = make_plan(disk, str(root), accounts, current, wanted)
    assert plan.conflicts == []
    write_journal(disk, str(root), plan)
    return plan


@pytest.mark.parametrize(("current", "wanted"), PAIRS, ids=lambda layout: layout.value)
def test_all_mail_flags_and_uids_come_along_there_and_back(tmp_path, current, wanted):
    before = fill(tmp_path, current)
    begin(tmp_path, current, wanted)
    take_steps(Disk(), str(tmp_path))
    with pytest.raises(MailError, match=f"lies in layout {wanted.value}, and storage.layout says {current.value}"):
        opened(tmp_path, current)
    store = opened(tmp_path, wanted)
    assert everything(store) == before
    store.stop()
    begin(tmp_path, wanted, current)
    take_steps(Disk(), str(tmp_path))
    store = opened(tmp_path, current)
    assert everything(store) == before
    store.stop()
    if Layout.DOMAIN not in {current}:
        assert not (tmp_path / "example.com").exists()


@pytest.mark.parametrize(("current", "wanted"), PAIRS, ids=lambda layout: layout.value)
def test_files_lie_where_the_layout_says(tmp_path, current, wanted):
    fill(tmp_path, current)
    begin(tmp_path, current, wanted)
    take_steps(Disk(), str(tmp_path))
    home = {
        Layout.DOMAIN: "example.com/john&AC4-doe",
        Layout.USERID: "user_7",
        Layout.ADDRESS: "john&AC4-doe@example.com",
    }
    inbox, sent = ("INBOX", "Sent") if wanted is Layout.USERID else ("", ".Sent")
    for folder in (inbox, sent):
        path = tmp_path / home[wanted] / folder
        assert len(list((path / "cur").iterdir())) + len(list((path / "new").iterdir())) == 2
        assert (path / "mailbox.state").exists()
    assert (tmp_path / home[wanted] / "index.db").exists()
    assert wanted is Layout.USERID or not (tmp_path / home[wanted] / "INBOX").exists()
    assert wanted is Layout.USERID or not (tmp_path / home[wanted] / "maildirfolder").exists()


@pytest.mark.parametrize("lost_index", [False, True])
def test_an_index_that_is_lost_is_built_again_with_the_same_uids(tmp_path, lost_index):
    before = fill(tmp_path, Layout.DOMAIN)
    begin(tmp_path, Layout.DOMAIN, Layout.USERID)
    take_steps(Disk(), str(tmp_path))
    if lost_index:
        for path in tmp_path.glob("user_*/index.db*"):
            path.unlink()
    store = opened(tmp_path, Layout.USERID)
    after = everything(store)
    store.stop()
    assert after.keys() == before.keys()
    for place, kept in before.items():
        if place[1]:
            uidvalidity, _, mail, notes = kept
            assert after[place][0] == uidvalidity
            assert [uid for uid, _, _ in after[place][2]] == [uid for uid, _, _ in mail]
            assert after[place][3] == notes
        else:
            assert after[place] == kept


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Make one tree in each layout."""
    made = {}
    for layout in Layout:
        root = tmp_path_factory.mktemp(layout.value)
        made[layout] = (root, fill(root, layout))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("operations", [{"rename"}, None], ids=["rename", "any"])
@pytest.mark.parametrize(("current", "wanted"), PAIRS, ids=lambda layout: layout.value)
def test_a_kill_at_any_call_is_made_good_by_the_next_run(tmp_path, filled, current, wanted, operations):
    template, before = filled[current]
    step = 1 if operations else 7  # every rename; of the other calls, every seventh
    for number in itertools.count(1, step):
        root = tmp_path / str(number)
        shutil.copytree(template, root)
        begin(root, current, wanted)
        disk = FaultyDisk(crash_at=number, operations=operations)
        try:
            take_steps(disk, str(root))
        except Crash:
            if (root / JOURNAL).exists():
                with pytest.raises(
                    MailError, match=f"cut off: end it with: mailsuite storage convert --to {wanted.value}"
                ):
                    opened(root, current)
                take_steps(Disk(), str(root))
        assert read_layout(Disk(), str(root)) is wanted
        store = opened(root, wanted)
        assert everything(store) == before
        store.stop()
        shutil.rmtree(root)
        if not disk.crashed:
            break
    assert number > len(ACCOUNTS)


def test_a_failing_disk_leaves_the_journal(tmp_path):
    before = fill(tmp_path, Layout.DOMAIN)
    begin(tmp_path, Layout.DOMAIN, Layout.USERID)
    with pytest.raises(OSError, match="Input/output"):
        take_steps(FaultyDisk(fail_at=5, operations={"rename"}), str(tmp_path))
    take_steps(Disk(), str(tmp_path))
    store = opened(tmp_path, Layout.USERID)
    assert everything(store) == before
    store.stop()


def test_what_is_in_the_way_is_told_before_anything_is_moved(tmp_path):
    fill(tmp_path, Layout.DOMAIN)
    (tmp_path / "user_7").mkdir()
    (tmp_path / "example.com/alice/INBOX").mkdir()
    (tmp_path / "example.com/alice/Sent").write_text("another program's")
    plan = make_plan(Disk(), str(tmp_path), ACCOUNTS, Layout.DOMAIN, Layout.USERID)
    assert sorted(plan.conflicts) == sorted(
        [
            f"{tmp_path}/user_7 is there already",
            f"{tmp_path}/example.com/alice/INBOX is in the way",
            f"{tmp_path}/example.com/alice/Sent is in the way",
        ]
    )


def test_folders_of_nobody_stay_and_are_named(tmp_path):
    fill(tmp_path, Layout.DOMAIN)
    plan = make_plan(Disk(), str(tmp_path), ACCOUNTS[:2], Layout.DOMAIN, Layout.ADDRESS)
    assert plan.unclaimed == ["example.org/bob"]


def test_a_folder_that_another_program_named_gets_our_name(tmp_path):
    for part in ("cur", "new", "tmp"):
        (tmp_path / "example.com/john.doe" / part).mkdir(parents=True)
    (tmp_path / "example.com/john.doe/cur/1700000000.M1P2.host:2,S").write_bytes(b"Subject: x\r\n\r\nold mail\r\n")
    plan = make_plan(Disk(), str(tmp_path), ACCOUNTS, Layout.DOMAIN, Layout.DOMAIN)
    write_journal(Disk(), str(tmp_path), plan)
    take_steps(Disk(), str(tmp_path))
    store = opened(tmp_path, Layout.DOMAIN)
    assert everything(store)["john.doe@example.com", "INBOX"][2] == [(1, b"Subject: x\r\n\r\nold mail\r\n", ["\\Seen"])]
    store.stop()
    assert make_plan(Disk(), str(tmp_path), ACCOUNTS, Layout.DOMAIN, Layout.DOMAIN).steps == []


def test_mail_queued_under_a_former_address_finds_its_way_in_the_new_layout(tmp_path):
    fill(tmp_path, Layout.DOMAIN)
    store = opened(tmp_path, Layout.DOMAIN)
    go(store.begin_rename(ACCOUNTS[0], "a.new@example.org"))
    store.stop()
    accounts = [Account(account_id=1, email="a.new@example.org"), *ACCOUNTS[1:]]
    begin(tmp_path, Layout.DOMAIN, Layout.ADDRESS, accounts)  # ends the rename, which was cut off
    take_steps(Disk(), str(tmp_path))
    store = opened(tmp_path, Layout.ADDRESS)
    former, new = (everything(store, [account]) for account in (ACCOUNTS[0], accounts[0]))
    assert list(former.values()) == list(new.values())
    assert not (tmp_path / "alice@example.com").exists()
    store.stop()


def test_a_removal_that_was_cut_off_is_ended(tmp_path):
    fill(tmp_path, Layout.DOMAIN)
    store = opened(tmp_path, Layout.DOMAIN)
    go(store.begin_removal(ACCOUNTS[0]))
    go(store.begin_removal(ACCOUNTS[1]))
    store.stop()
    begin(tmp_path, Layout.DOMAIN, Layout.USERID, ACCOUNTS[1:])  # the directory forgot the first only
    take_steps(Disk(), str(tmp_path))
    assert [name.partition("-")[0] for name in os.listdir(tmp_path / "..removed")] == ["1"]
    assert (tmp_path / "user_7/INBOX/cur").exists()
    assert not (tmp_path / "user_1").exists()


@pytest.mark.parametrize(
    ("path", "wanted", "converted"),
    [
        ("example.com/al&AC4-ice", Layout.ADDRESS, "al&AC4-ice@example.com"),
        ("a@b@example.com", Layout.DOMAIN, "example.com/a@b"),
        ("alice@example.com", Layout.ADDRESS, "alice@example.com"),
        ("example.com/a@b", Layout.ADDRESS, "a@b@example.com"),
        ("example.com/alice", Layout.DOMAIN, "example.com/alice"),
        ("example.com/alice", Layout.USERID, "example.com/alice"),
        ("..removed/1-example.com_alice", Layout.ADDRESS, "..removed/1-example.com_alice"),
        ("user_1", Layout.DOMAIN, "user_1"),
    ],
)
def test_former_places_are_written_as_the_layout_has_them(path, wanted, converted):
    assert convert_path(path, wanted) == converted
    assert convert_path(converted, wanted) == converted
