"""Rights lie with their mailbox: they survive what it survives, go where it goes, and end with it."""

import contextlib
import glob
import os
import shutil
from pathlib import Path

import pytest
from shared_mail import House, result_of

from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import ANYONE, RightsMode, parse_rights, rights_text
from mailsuite.store import Layout, StorageSettings
from mailsuite.store.convert import make_plan, settle, take_steps, write_journal
from mailsuite.testing.faults import FaultyDisk

MAIL = b"Subject: hello\r\n\r\ntext\r\n"


def rights(house, name="Projects", guest=2):
    """Say what the store lets a guest do; nothing when it knows of no such mailbox."""
    with contextlib.suppress(MailError):
        return rights_text(result_of(house.store.guest(house.people.accounts[1], guest).rights(name)))
    return ""


def create(house, name="Projects"):
    result_of(house.store.account(house.people.accounts[1]).create(name, frozenset()))


def home(house):
    return Path(house.root) / "mail" / "example.test" / "alice"


def lose_index(house):
    house.store.stop()
    for path in glob.glob(f"{home(house)}/index.db*"):
        os.unlink(path)
    house.open()


def lose_everything_but_the_index(house):
    house.store.stop()
    for path in glob.glob(f"{home(house)}/**/mailbox.rights", recursive=True, include_hidden=True):
        os.unlink(path)
    house.open()


def damage_index(house):
    house.store.stop()
    for path in glob.glob(f"{home(house)}/index.db*"):
        Path(path).write_bytes(b"nonsense" * 1000)
    house.open()


def reindex(house):
    result_of(house.store.reindex(house.people.accounts[1]))


def reopen(house):
    house.reopen()


@pytest.mark.parametrize("how", [reopen, lose_index, damage_index, reindex, lose_everything_but_the_index])
def test_rights_survive(on_disk, how):
    house = on_disk
    for name in ("Projects", "a.b/c"):
        create(house, name)
    house.grant("alice", "INBOX", "bob", "lrs")
    house.grant("alice", "Projects", "bob", "lri")
    house.grant("alice", "Projects", "anyone", "l")
    house.grant("alice", "a.b/c", "carol", "lrswipkxtea")
    house.grant("alice", "Trash", "bob", "lr")
    house.grant("alice", "Trash", "bob", "")
    how(house)
    assert (rights(house, "INBOX"), rights(house), rights(house, "Trash")) == ("lrs", "lri", "")
    assert rights(house, "a.b/c", 3) == "lrswipkxtea"
    assert (rights(house, "Projects", 3), rights(house, "Projects", 77)) == ("l", "l")
    assert result_of(house.store.sharers(2)) == result_of(house.store.sharers(3)) == [1]


def test_rights_go_with_a_mailbox_and_end_with_it(on_disk):
    house = on_disk
    create(house)
    create(house, "Projects/below")
    house.grant("alice", "Projects", "bob", "lr")
    house.grant("alice", "Projects/below", "bob", "lrs")
    alice = house.store.account(house.people.accounts[1])
    result_of(alice.rename("Projects", "Other/deep"))
    lose_index(house)
    alice = house.store.account(house.people.accounts[1])
    assert (rights(house, "Other/deep"), rights(house, "Other/deep/below"), rights(house, "Other")) == ("lr", "lrs", "")
    create(house)
    assert rights(house) == ""
    result_of(alice.delete("Other/deep"))
    create(house, "Other/deep")
    lose_index(house)
    assert (rights(house, "Other/deep"), rights(house, "Other/deep/below")) == ("", "lrs")


def test_a_mailbox_that_is_made_has_the_rights_of_the_one_above_it_also_when_the_index_is_lost(on_disk):
    house = on_disk
    create(house)
    house.grant("alice", "Projects", "bob", "lrk")
    create(house, "Projects/a/b")
    house.grant("alice", "Projects", "bob", "lr")
    assert (rights(house, "Projects/a"), rights(house, "Projects/a/b")) == ("lrk", "lrk")
    lose_index(house)
    assert (rights(house, "Projects/a"), rights(house, "Projects/a/b")) == ("lrk", "lrk")
    result_of(house.store.account(house.people.accounts[1]).rename("INBOX", "Projects/old mail"))
    assert rights(house, "Projects/old mail") == "lr"
    lose_index(house)
    assert rights(house, "Projects/old mail") == "lr"


def test_what_inbox_held_is_nobody_elses_when_it_is_renamed(house):
    house.grant("alice", "INBOX", "bob", "lr")
    house.put("alice", "INBOX", MAIL)
    result_of(house.store.account(house.people.accounts[1]).rename("INBOX", "Archive"))
    assert rights(house, "Archive") == ""
    assert rights(house, "INBOX") == "lr"


def test_a_copy_of_a_folder_is_another_mailbox_and_nobody_elses(on_disk):
    house = on_disk
    create(house)
    house.grant("alice", "Projects", "bob", "lr")
    shutil.copytree(home(house) / ".Projects", home(house) / ".Copy")
    assert (rights(house, "Copy"), rights(house)) == ("", "lr")
    house.reopen()
    result_of(house.store.account(house.people.accounts[1]).list_mailboxes())
    assert (rights(house, "Copy"), rights(house)) == ("", "lr")
    lose_index(house)
    assert (rights(house, "Copy"), rights(house)) == ("", "lr")


@pytest.mark.parametrize(
    "text",
    ["", "mailbox", "right 2 lr\n", "mailbox 1 1\nright 2 lr\n", "\x00\xff\n", "mailbox {id} {validity}\nright 2 lrq\n",
     "mailbox {id} {validity}\nright two lr\nright 2\nright -2 lr\nright \u00b2 lr\nright 2 lr s\n"],
)  # fmt: skip
def test_a_file_of_rights_that_cannot_be_read_grants_nothing(on_disk, text):
    house = on_disk
    create(house)
    house.grant("alice", "Projects", "bob", "lr")
    file = home(house) / ".Projects" / "mailbox.rights"
    _, number, validity = file.read_text().splitlines()[0].split()
    house.store.stop()
    file.write_bytes(text.format(id=number, validity=validity).encode("utf-8", "surrogateescape"))
    house.open()
    assert rights(house) == "lr"
    lose_index(house)
    assert rights(house) == ""


def test_rights_go_into_another_layout(on_disk, tmp_path):
    house = on_disk
    create(house)
    house.grant("alice", "INBOX", "bob", "lr")
    house.grant("alice", "Projects", "bob", "lrs")
    accounts = list(house.people.accounts.values())
    for account in accounts:
        result_of(house.store.run(account, settle))
    house.store.stop()
    root = house.storage.maildir_root
    write_journal(Disk(), root, make_plan(Disk(), root, accounts, Layout.DOMAIN, Layout.USERID))
    take_steps(Disk(), root)
    house.storage = StorageSettings(maildir_root=root, layout=Layout.USERID, create_special=("Trash",))
    house.open()
    assert (rights(house, "INBOX"), rights(house)) == ("lr", "lrs")
    house.store.stop()
    for path in glob.glob(f"{root}/user_1/index.db*"):
        os.unlink(path)
    house.open()
    assert (rights(house, "INBOX"), rights(house)) == ("lr", "lrs")


def test_each_process_sees_at_once_what_another_changed(on_disk, tmp_path):
    house = on_disk
    beside = House("maildir", tmp_path)
    create(house)
    assert rights(beside) == ""
    house.grant("alice", "Projects", "bob", "lr")
    assert rights(beside) == "lr"
    guest = beside.account("bob")
    box = result_of(guest.open_mailbox("Users/alice@example.test/Projects", read_only=True))
    house.grant("alice", "Projects", "bob", "")
    with pytest.raises(MailError) as caught:
        result_of(box.snapshot())
    assert caught.value.kind is Kind.NOT_FOUND
    beside.close()


def test_who_shares_is_known_as_long_as_anything_is_shared(on_disk):
    house = on_disk
    create(house)
    house.grant("alice", "INBOX", "bob", "lr")
    house.grant("alice", "Projects", "bob", "r")
    house.grant("carol", "INBOX", "anyone", "l")
    assert result_of(house.store.sharers(2)) == [1, 3]
    assert result_of(house.store.sharers(3)) == []
    house.grant("alice", "INBOX", "bob", "")
    assert result_of(house.store.sharers(2)) == [1, 3]
    house.grant("alice", "Projects", "bob", "")
    house.grant("carol", "INBOX", "anyone", "")
    assert result_of(house.store.sharers(2)) == []
    house.grant("alice", "Projects", "bob", "l")
    shutil.rmtree(f"{house.storage.maildir_root}/..shares")
    assert result_of(house.store.sharers(2)) == []
    reindex(house)
    assert result_of(house.store.sharers(2)) == [1]


def test_so_many_may_have_rights_and_no_more(house):
    guest = house.store.guest(house.people.accounts[1], 1)
    for number in range(1000):
        result_of(guest.change_rights("Trash", 100 + number, RightsMode.REPLACE, parse_rights("l")))
    with pytest.raises(MailError) as caught:
        result_of(guest.change_rights("Trash", ANYONE, RightsMode.ADD, parse_rights("l")))
    assert caught.value.kind is Kind.OVER_QUOTA
    result_of(guest.change_rights("Trash", 100, RightsMode.REMOVE, parse_rights("l")))
    result_of(guest.change_rights("Trash", ANYONE, RightsMode.ADD, parse_rights("l")))
    assert len(result_of(guest.entries("Trash"))) == 1000


def test_a_change_that_changes_nothing_is_no_change(house):
    house.grant("alice", "Trash", "bob", "lr")
    account = house.store.account(house.people.accounts[1])
    before = result_of(account.status("Trash")).highest_modseq
    house.grant("alice", "Trash", "bob", "rl")
    assert result_of(account.status("Trash")).highest_modseq == before


def test_the_index_decides_when_a_folder_cannot_be_written_and_the_folder_follows(on_disk):
    house = on_disk
    create(house)
    house.grant("alice", "Projects", "bob", "lrs")
    house.store.stop()
    broken = FaultyDisk(path_part="mailbox.rights", fail_at=1, lasting=True)
    house.open(broken)
    with pytest.raises(MailError) as caught:
        house.grant("alice", "Projects", "bob", "")
    assert caught.value.kind is Kind.UNAVAILABLE
    assert rights(house) == ""
    assert "right 2 lrs" in (home(house) / ".Projects" / "mailbox.rights").read_text()
    create(house, "Projects/below")  # works all the same
    house.reopen()
    assert rights(house) == ""
    assert "right" not in (home(house) / ".Projects" / "mailbox.rights").read_text().split()
    lose_index(house)
    assert rights(house) == ""
