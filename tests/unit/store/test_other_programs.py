"""Python's own `mailbox.Maildir` and the shell work on the same folders."""

import mailbox
import os
import stat

import pytest

from mailsuite.interfaces import SpecialUse, StoreMode
from mailsuite.store import Layout

MESSAGE = b"Subject: ours\r\n\r\nbody\r\n"


@pytest.fixture(params=list(Layout), ids=lambda layout: layout.value)
def bench(request, make_bench):
    made = make_bench(layout=request.param)
    made.go(made.session().list_mailboxes())
    return made


def test_what_is_stored_is_seen_by_another_program(bench):
    bench.append(MESSAGE, flags=["\\Seen", "\\Flagged"])
    bench.deliver(MESSAGE, 1)
    other = mailbox.Maildir(bench.inbox, create=False)
    assert sorted((message.get_subdir(), message.get_flags()) for message in other) == [("cur", "FS"), ("new", "")]
    assert all(message["subject"] == "ours" for message in other)
    if bench.settings.layout is not Layout.USERID:
        assert sorted(other.list_folders()) == ["Archive", "Drafts", "Junk", "Sent", "Trash"]


def test_what_another_program_adds_appears_with_its_octets_and_flags(bench):
    bench.append(MESSAGE)
    box = bench.box()
    modseq = bench.go(box.snapshot()).highest_modseq
    other = mailbox.Maildir(bench.inbox, create=False)
    added = mailbox.MaildirMessage(b"Subject: theirs\n\nbare lines\n")
    added.set_subdir("cur")
    added.set_flags("RS")
    other.add(added)
    other.add(b"Subject: fresh\n\nx\n")
    changes = bench.go(box.changes(modseq))
    assert list(changes.added) == [2, 3]
    mail = bench.mail()
    assert {uid: mail[uid] for uid in (2, 3)} in (
        {2: (b"Subject: theirs\n\nbare lines\n", {"\\Seen", "\\Answered"}), 3: (b"Subject: fresh\n\nx\n", set())},
        {3: (b"Subject: theirs\n\nbare lines\n", {"\\Seen", "\\Answered"}), 2: (b"Subject: fresh\n\nx\n", set())},
    )
    bench.reopen()
    assert bench.mail() == mail


def test_flags_that_another_program_sets_appear_and_ours_stay(bench):
    bench.append(MESSAGE, flags=["\\Answered", "$Work"])
    box = bench.box()
    modseq = bench.go(box.snapshot()).highest_modseq
    other = mailbox.Maildir(bench.inbox, create=False)
    ((key, message),) = other.items()
    message.add_flag("S")
    other[key] = message
    changes = bench.go(box.changes(modseq))
    assert [line[1] for line in changes.flags] == [{"\\Answered", "$Work", "\\Seen"}]
    assert bench.mail()[1][0].replace(b"\r", b"") == MESSAGE.replace(b"\r", b"")


def test_a_message_that_another_program_moves_from_new_to_cur_is_the_same(bench):
    bench.deliver(MESSAGE, 1)
    box = bench.box()
    bench.go(box.snapshot())
    (file,) = os.listdir(bench.inbox / "new")
    os.rename(bench.inbox / "new" / file, bench.inbox / "cur" / f"{file}:2,S")
    assert bench.go(box.read(1, 0, 100)) == MESSAGE
    assert bench.mail() == {1: (MESSAGE, {"\\Seen"})}


def test_what_another_program_removes_is_expunged(bench):
    bench.append(MESSAGE, MESSAGE)
    box = bench.box()
    modseq = bench.go(box.snapshot()).highest_modseq
    mailbox.Maildir(bench.inbox, create=False).popitem()
    changes = bench.go(box.changes(modseq))
    assert len(changes.expunged) == 1
    assert bench.go(bench.session().status("INBOX")).messages == 1
    assert bench.go(bench.store.verify(bench.account)) == []


def test_a_folder_that_another_program_makes_is_a_mailbox(bench):
    if bench.settings.layout is Layout.USERID:
        mailbox.Maildir(bench.home / "Lists.python", create=True).add(MESSAGE)
    else:
        mailbox.Maildir(bench.inbox, create=False).add_folder("Lists.python").add(MESSAGE)
    names = [entry.name for entry in bench.go(bench.session().list_mailboxes()) if entry.selectable]
    assert "Lists/python" in names
    assert len(bench.mail("Lists/python")) == 1


def test_our_flags_reach_file_names_when_the_mailbox_is_closed(bench):
    bench.deliver(MESSAGE, 1)
    box = bench.box()
    bench.go(box.store_flags([1], StoreMode.ADD, frozenset({"\\Seen", "\\Flagged", "$Work"}), None))
    box.close()
    assert os.listdir(bench.inbox / "new") == []
    (file,) = os.listdir(bench.inbox / "cur")
    assert file.endswith(":2,FSa")
    assert bench.mail() == {1: (MESSAGE, {"\\Seen", "\\Flagged", "$Work"})}


def test_nobody_else_can_read_the_mail(bench):
    bench.append(MESSAGE)
    bench.deliver(MESSAGE, 1)
    bench.go(bench.session().create("more", frozenset({SpecialUse.ARCHIVE})))
    for folder, _, files in os.walk(bench.root):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        for name in files:
            assert stat.S_IMODE(os.stat(f"{folder}/{name}").st_mode) == 0o600, name


def test_links_and_folders_among_the_messages_are_not_followed(bench, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"root only")
    os.symlink(secret, bench.inbox / "new" / "1.link.host")
    os.mkdir(bench.inbox / "cur" / "2.folder.host")
    assert bench.mail() == {}


def test_deleting_and_renaming_leave_no_folder_behind(bench):
    bench.append(MESSAGE, name="Junk")
    bench.go(bench.session().delete("Junk"))
    bench.go(bench.session().rename("Sent", "Away/sent"))
    entries = os.listdir(bench.home)
    assert not [entry for entry in entries if "Junk" in entry or "Sent" in entry or entry.startswith("..")]
    assert [entry for entry in entries if entry.lstrip(".") == "Away.sent"]


def test_a_second_name_of_a_message_is_not_another_message(bench):
    bench.deliver(MESSAGE, 1)
    (file,) = os.listdir(bench.inbox / "new")
    bench.mail()
    os.link(bench.inbox / "new" / file, bench.inbox / "cur" / f"{file}:2,S")
    assert list(bench.mail()) == [1]
    os.unlink(bench.inbox / "new" / file)
    assert bench.mail() == {1: (MESSAGE, {"\\Seen"})}


def test_names_that_are_no_text_hide_nothing(bench):
    path = os.fsencode(bench.inbox)
    for number, name in enumerate((b"/new/\xff.host", b"/cur/\xe4\xff:2,S", b"/new/\xc3\xa4")):
        with open(path + name, "wb") as file:
            file.write(b"Subject: %d\r\n\r\n" % number)
    os.mkdir(os.fsencode(bench.home) + b"/.\xff")
    os.mkdir(os.fsencode(bench.home) + b"/.\xff/cur")
    mail = bench.mail()
    assert sorted(content for content, _ in mail.values()) == [b"Subject: %d\r\n\r\n" % number for number in range(3)]
    assert sorted(len(flags) for _, flags in mail.values()) == [0, 0, 1]
    assert "INBOX" in [entry.name for entry in bench.go(bench.session().list_mailboxes())]
    assert bench.mail() == mail
    assert bench.go(bench.store.reindex(bench.account)) == 3
    assert bench.mail() == mail
    assert bench.go(bench.store.verify(bench.account)) == []
