"""mbsync keeps a local copy in step, both ways."""

import imaplib
import mailbox
import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from demo_server import Login

pytestmark = pytest.mark.interop

CONFIGURATION = """\
IMAPAccount demo
Host localhost
Port {port}
User {email}
Pass {password}
{security} IMAPS
CertificateFile {certificate}

IMAPStore far
Account demo

MaildirStore near
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns {patterns}
Create Both
Expunge Both
SyncState *
"""


def file_names(folder: Path) -> list[str]:
    return sorted(name for part in ("new", "cur") for name in os.listdir(folder / part))


@attrs.frozen
class Copy:
    """An account and the copy of it that mbsync keeps."""

    login: Login
    folder: Path
    sync: Callable[..., str]

    def box(self, name: str = "INBOX") -> mailbox.Maildir:
        return mailbox.Maildir(self.folder / name, create=False)

    def subjects(self, name: str = "INBOX") -> list[str]:
        return sorted(message["Subject"] for message in self.box(name))

    def flags(self, name: str = "INBOX") -> dict[str, str]:
        return {message["Subject"]: message.get_flags() for message in self.box(name)}

    def set_flags(self, subject: str, flags: str, name: str = "INBOX") -> None:
        box = self.box(name)
        (key,) = (key for key, message in box.iteritems() if message["Subject"] == subject)
        message = box.get_message(key)
        message.set_subdir("cur")
        message.set_flags(flags)
        box[key] = message


@pytest.fixture
def copy(demo, account, program, run, tmp_path: Path) -> Callable[..., Copy]:
    """Make a folder that mbsync fills."""
    mbsync = program("mbsync", "isync")

    def make(patterns: str = "INBOX Archive") -> Copy:
        login = account()
        folder = tmp_path / "mail"
        folder.mkdir()
        configuration = tmp_path / "mbsyncrc"
        said = run([mbsync, "--version"]).stdout
        configuration.write_text(
            CONFIGURATION.format(
                port=demo.port("imaps"),
                email=login.email,
                password=login.password,
                certificate=demo.certificate,
                folder=folder,
                security="TLSType" if not said.split()[1].startswith("1.4") else "SSLType",
                patterns=patterns,
            )
        )
        return Copy(login, folder, lambda *options: run([mbsync, "-c", str(configuration), "-a", *options]).stdout)

    return make


def nothing_to_do(copy: Copy, *names: str) -> None:
    """Synchronise once more, and see that nothing is done."""
    before = {name: file_names(copy.folder / name) for name in names}
    said = copy.sync("-V")
    assert {name: file_names(copy.folder / name) for name in names} == before
    for word in ("Propagat", "copying message", "pushing", "expunging message"):
        assert word not in said, said


def far_flags(client, name: str = "INBOX") -> dict[str, set[str]]:
    """Give the flags of each subject on the server, without those that mbsync does not carry."""
    client.select(f'"{name}"')
    found = {}
    for number in client.search(None, "ALL")[1][0].split():
        (described, header), _ = client.fetch(number, "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        flags = {flag.decode() for flag in imaplib.ParseFlags(described)} - {"\\Recent"}
        found[header.decode().split(": ")[1].strip()] = flags
    return found


def put(client, name: str, *subjects: str) -> None:
    for subject in subjects:
        assert client.append(f'"{name}"', None, None, f"Subject: {subject}\r\n\r\n.\r\n".encode())[0] == "OK"


def store(client, subject: str, flags: str) -> None:
    number = client.search(None, f'SUBJECT "{subject}"')[1][0]
    assert client.store(number, "+FLAGS", f"({flags})")[0] == "OK"


def test_mbsync_copies_changes_and_then_has_nothing_to_do(demo, copy) -> None:
    mail = copy()
    for number in range(5):
        demo.send(mail.login, f"Subject: letter {number}\r\n\r\nbody {number}\r\n")
    demo.eventually(lambda: demo.count(mail.login), lambda count: count == 5)
    mail.sync()
    assert mail.subjects() == [f"letter {number}" for number in range(5)]

    mail.set_flags("letter 1", "FS")
    mail.set_flags("letter 2", "T")
    mail.box().add(mailbox.MaildirMessage("Subject: from here\n\nappended\n"))
    mail.sync()
    with demo.imap(mail.login) as client:
        found = far_flags(client)
    assert sorted(found) == ["from here", "letter 0", "letter 1", "letter 3", "letter 4"]
    assert found["letter 1"] == {"\\Flagged", "\\Seen"}
    nothing_to_do(mail, "INBOX")


def test_what_both_sides_did_between_two_runs_is_done_on_both(demo, copy) -> None:
    mail = copy()
    names = [f"letter {number}" for number in range(7)]
    with demo.imap(mail.login) as client:
        put(client, "INBOX", *names)
        client.select("INBOX")
        store(client, "letter 6", "\\Flagged \\Seen")
        mail.sync()
        assert mail.flags()["letter 6"] == "FS"

        mail.set_flags("letter 0", "F")
        mail.set_flags("letter 1", "T")
        mail.set_flags("letter 2", "RS")
        mail.set_flags("letter 3", "S")
        mail.set_flags("letter 5", "T")
        mail.set_flags("letter 6", "S")
        mail.box().add(mailbox.MaildirMessage("Subject: from here\n\nappended\n"))
        store(client, "letter 0", "\\Seen")
        store(client, "letter 1", "\\Flagged")
        store(client, "letter 2", "\\Deleted")
        store(client, "letter 3", "\\Seen")
        store(client, "letter 5", "\\Deleted")
        store(client, "letter 6", "\\Answered")
        client.expunge()
        put(client, "INBOX", "from there")
        mail.sync()

        found = far_flags(client)
        assert found == {
            "letter 0": {"\\Flagged", "\\Seen"},
            "letter 3": {"\\Seen"},
            "letter 4": set(),
            "letter 6": {"\\Answered", "\\Seen"},
            "from here": set(),
            "from there": set(),
        }
    assert mail.flags() == {
        "letter 0": "FS",
        "letter 3": "S",
        "letter 4": "",
        "letter 6": "RS",
        "from here": "",
        "from there": "",
    }
    nothing_to_do(mail, "INBOX")


def test_a_mailbox_that_is_renamed_on_both_sides_is_still_the_same(demo, copy) -> None:
    mail = copy("INBOX Work* Done*")
    with demo.imap(mail.login) as client:
        client.create("Work")
        put(client, "Work", "letter 0", "letter 1")
        mail.sync()
        assert mail.subjects("Work") == ["letter 0", "letter 1"]

        assert client.rename("Work", "Done")[0] == "OK"
        (mail.folder / "Work").rename(mail.folder / "Done")
        nothing_to_do(mail, "Done")
        mail.set_flags("letter 1", "F", "Done")
        put(client, "Done", "letter 2")
        mail.sync()
        assert far_flags(client, "Done") == {"letter 0": set(), "letter 1": {"\\Flagged"}, "letter 2": set()}
    assert mail.subjects("Done") == ["letter 0", "letter 1", "letter 2"]
    assert not (mail.folder / "Work").exists()
