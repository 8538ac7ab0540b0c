"""mbsync keeps a local copy in step, both ways."""

import mailbox
import os
from pathlib import Path

import pytest

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
Patterns INBOX Archive
Create Both
Expunge Both
SyncState *
"""


def file_names(folder: Path) -> list[str]:
    return sorted(name for part in ("new", "cur") for name in os.listdir(folder / part))


def test_mbsync_copies_changes_and_then_has_nothing_to_do(demo, account, program, run, tmp_path: Path) -> None:
    mbsync = program("mbsync", "isync")
    target = account()
    for number in range(5):
        demo.send(target, f"Subject: letter {number}\r\n\r\nbody {number}\r\n")
    demo.eventually(lambda: demo.count(target), lambda count: count == 5)
    folder = tmp_path / "mail"
    folder.mkdir()
    configuration = tmp_path / "mbsyncrc"
    said = run([mbsync, "--version"]).stdout
    configuration.write_text(
        CONFIGURATION.format(
            port=demo.port("imaps"),
            email=target.email,
            password=target.password,
            certificate=demo.certificate,
            folder=folder,
            security="TLSType" if not said.split()[1].startswith("1.4") else "SSLType",
        )
    )
    sync = [mbsync, "-c", str(configuration), "-a"]
    run(sync)
    inbox = mailbox.Maildir(folder / "INBOX", create=False)
    assert sorted(message["Subject"] for message in inbox) == [f"letter {number}" for number in range(5)]

    keys = {message["Subject"]: key for key, message in inbox.iteritems()}
    flagged = inbox.get_message(keys["letter 1"])
    flagged.set_subdir("cur")
    flagged.set_flags("FS")
    inbox.update({keys["letter 1"]: flagged})
    removed = inbox.get_message(keys["letter 2"])
    removed.set_subdir("cur")
    removed.set_flags("T")
    inbox.update({keys["letter 2"]: removed})
    inbox.add(mailbox.MaildirMessage("Subject: from here\n\nappended\n"))
    inbox.close()
    run(sync)

    with demo.imap(target) as client:
        client.select("INBOX")
        assert len(client.search(None, "ALL")[1][0].split()) == 5
        assert client.search(None, 'SUBJECT "letter 2"')[1] == [b""]
        assert len(client.search(None, "FLAGGED", "SEEN", 'SUBJECT "letter 1"')[1][0].split()) == 1
        assert len(client.search(None, 'SUBJECT "from here"')[1][0].split()) == 1

    before = file_names(folder / "INBOX")
    again = run([*sync, "-V"])
    assert file_names(folder / "INBOX") == before
    for word in ("Propagat", "copying message", "pushing", "expunging message"):
        assert word not in again.stdout, again.stdout
    with demo.imap(target) as client:
        client.select("INBOX")
        assert len(client.search(None, "ALL")[1][0].split()) == 5
