"""offlineimap keeps a tree of Maildirs in step, both ways."""

import email
import imaplib
import mailbox
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from demo_server import Login

pytestmark = pytest.mark.interop

CONFIGURATION = """\
[general]
accounts = demo
metadata = {folder}/state
ui = basic

[Account demo]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {folder}/mail
sep = /

[Repository far]
type = IMAP
remotehost = localhost
remoteport = {port}
remoteuser = {email}
remotepass = {password}
ssl = yes
sslcacertfile = {certificate}
"""


@attrs.frozen
class Copy:
    """An account and the copy of it that offlineimap keeps."""

    login: Login
    folder: Path
    sync: Callable[..., str]

    def box(self, name: str = "INBOX") -> mailbox.Maildir:
        return mailbox.Maildir(self.folder / "mail" / name, create=False)

    def subjects(self, name: str = "INBOX") -> list[str]:
        return sorted(message["Subject"] for message in self.box(name))

    def flags(self, name: str = "INBOX") -> dict[str, str]:
        return {message["Subject"]: message.get_flags() for message in self.box(name)}

    def key(self, subject: str, name: str = "INBOX") -> str:
        (key,) = (key for key, message in self.box(name).iteritems() if message["Subject"] == subject)
        return key

    def set_flags(self, subject: str, flags: str, name: str = "INBOX") -> None:
        box, key = self.box(name), self.key(subject, name)
        message = box.get_message(key)
        message.set_subdir("cur")
        message.set_flags(flags)
        box[key] = message

    def remove(self, subject: str) -> None:
        self.box().remove(self.key(subject))

    def add(self, subject: str) -> None:
        self.box().add(f"Subject: {subject}\nMessage-ID: <{subject.replace(' ', '-')}@x.test>\n\nbody\n")


@pytest.fixture
def copy(demo, account, program, run, tmp_path: Path) -> Copy:
    """Make a folder that offlineimap fills."""
    login = account()
    (tmp_path / "mail").mkdir()
    configuration = tmp_path / "offlineimaprc"
    configuration.write_text(
        CONFIGURATION.format(
            folder=tmp_path,
            port=demo.port("imaps"),
            email=login.email,
            password=login.password,
            certificate=demo.certificate,
        )
    )
    command = [program("offlineimap", "offlineimap3"), "-c", str(configuration), "-o", "-1"]
    return Copy(login, tmp_path, lambda expect=0: run(command, expect=expect).stdout)


def put(client, name: str, *subjects: str) -> None:
    """Append messages on the server."""
    for subject in subjects:
        text = f"From: a@elsewhere.test\r\nSubject: {subject}\r\nMessage-ID: <{subject.replace(' ', '-')}@x.test>\r\n"
        assert client.append(f'"{name}"', None, None, f"{text}\r\n.\r\n".encode())[0] == "OK"


def store(client, subject: str, flags: str) -> None:
    """Set flags on the server."""
    number = client.search(None, f'SUBJECT "{subject}"')[1][0]
    assert client.store(number, "+FLAGS", f"({flags})")[0] == "OK"


def letters(client, name: str = "INBOX") -> Iterator[tuple[str, set[str]]]:
    r"""Give subject and flags of each message on the server, without ``\Recent``."""
    client.select(f'"{name}"', readonly=True)
    for number in client.search(None, "ALL")[1][0].split():
        (described, header), _ = client.fetch(number, "(FLAGS BODY.PEEK[HEADER])")[1]
        flags = {flag.decode() for flag in imaplib.ParseFlags(described)} - {"\\Recent"}
        yield email.message_from_bytes(header)["Subject"], flags


def test_offlineimap_copies_a_tree_and_brings_changes_back(demo, copy) -> None:
    boxes = ("INBOX", "Work/2025", "Work/2026", "B&APY-x y")
    with demo.imap(copy.login) as client:
        for name in boxes:
            client.create(f'"{name}"')
            put(client, name, "letter 0", "letter 1", "letter 2")
    copy.sync()
    for name in boxes:
        assert copy.subjects(name) == ["letter 0", "letter 1", "letter 2"]

    copy.set_flags("letter 1", "FS")
    copy.remove("letter 2")
    copy.add("written here")
    copy.sync()
    with demo.imap(copy.login) as client:
        found = dict(letters(client))
    assert found == {"letter 0": set(), "letter 1": {"\\Flagged", "\\Seen"}, "written here": set()}
    assert "Copy message" not in copy.sync()


def test_what_both_sides_did_between_two_runs_is_done_on_both(demo, copy) -> None:
    with demo.imap(copy.login) as client:
        put(client, "INBOX", *(f"letter {number}" for number in range(6)))
        copy.sync()
        copy.set_flags("letter 0", "F")
        copy.remove("letter 1")
        copy.set_flags("letter 2", "RS")
        copy.set_flags("letter 3", "S")
        copy.remove("letter 5")
        copy.add("from here")
        client.select("INBOX")
        store(client, "letter 0", "\\Seen")
        store(client, "letter 1", "\\Flagged")
        store(client, "letter 2", "\\Deleted")
        store(client, "letter 3", "\\Seen")
        store(client, "letter 5", "\\Deleted")
        client.expunge()
        put(client, "INBOX", "from there")
        copy.sync()
        copy.sync()  # what a run takes over from one side it may bring to the other only the next time
        assert dict(letters(client)) == {
            "letter 0": {"\\Flagged", "\\Seen"},
            "letter 3": {"\\Seen"},
            "letter 4": set(),
            "from here": set(),
            "from there": set(),
        }
    assert copy.flags() == {"letter 0": "FS", "letter 3": "S", "letter 4": "", "from here": "", "from there": ""}
    assert "Copy message" not in copy.sync()


def test_a_mailbox_that_was_renamed_is_copied_and_one_made_anew_is_not_taken_for_it(demo, copy) -> None:
    with demo.imap(copy.login) as client:
        client.create("Work")
        put(client, "Work", "letter 0", "letter 1")
        copy.sync()
        assert client.rename("Work", "Done")[0] == "OK"
        put(client, "Done", "letter 2")
        client.create("Work")
        put(client, "Work", "other")
        said = copy.sync(expect=2)
        # The new one has another UIDVALIDITY, else its first message would pass for "letter 0".
        assert "UID validity problem for folder Work" in said
        assert copy.subjects("Done") == ["letter 0", "letter 1", "letter 2"]
        copy.set_flags("letter 1", "F", "Done")
        copy.sync(expect=2)
        assert dict(letters(client, "Done")) == {"letter 0": set(), "letter 1": {"\\Flagged"}, "letter 2": set()}
