"""offlineimap keeps a tree of Maildirs in step, both ways."""

import email
import mailbox
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def letters(client, name: str) -> Iterator[tuple[str, bytes]]:
    """Give subject and flags of each message."""
    client.select(f'"{name}"', readonly=True)
    for number in client.search(None, "ALL")[1][0].split():
        (described, header), _ = client.fetch(number, "(FLAGS BODY.PEEK[HEADER])")[1]
        yield email.message_from_bytes(header)["Subject"], described


def test_offlineimap_copies_a_tree_and_brings_changes_back(demo, account, program, run, tmp_path: Path) -> None:
    target = account()
    with demo.imap(target) as client:
        for name in ("INBOX", "Work/2025", "Work/2026", "B&APY-x y"):
            client.create(f'"{name}"')
            for number in range(3):
                text = (
                    f"From: a@elsewhere.test\r\nSubject: letter {number}\r\nMessage-ID: <{number}@x.test>\r\n\r\n.\r\n"
                )
                assert client.append(f'"{name}"', None, None, text.encode())[0] == "OK"
    (tmp_path / "mail").mkdir()
    configuration = tmp_path / "offlineimaprc"
    configuration.write_text(
        CONFIGURATION.format(
            folder=tmp_path,
            port=demo.port("imaps"),
            email=target.email,
            password=target.password,
            certificate=demo.certificate,
        )
    )
    sync = [program("offlineimap", "offlineimap3"), "-c", str(configuration), "-o", "-1"]
    run(sync)
    for name in ("INBOX", "Work/2025", "Work/2026", "B&APY-x y"):
        copy = mailbox.Maildir(tmp_path / "mail" / name, create=False)
        assert sorted(message["Subject"] for message in copy) == ["letter 0", "letter 1", "letter 2"]

    inbox = mailbox.Maildir(tmp_path / "mail" / "INBOX", create=False)
    keys = {message["Subject"]: key for key, message in inbox.iteritems()}
    flagged = inbox.get_message(keys["letter 1"])
    flagged.set_subdir("cur")
    flagged.set_flags("FS")
    inbox[keys["letter 1"]] = flagged
    inbox.remove(keys["letter 2"])
    inbox.add("Subject: written here\nMessage-ID: <here@x.test>\n\nbody\n")
    run(sync)
    with demo.imap(target) as client:
        found = dict(letters(client, "INBOX"))
    assert sorted(found) == ["letter 0", "letter 1", "written here"]
    assert b"\\Flagged" in found["letter 1"]
    assert b"\\Seen" in found["letter 1"]
    assert b"\\Seen" not in found["letter 0"]
    assert "Copy message" not in run(sync).stdout
