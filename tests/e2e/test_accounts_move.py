"""Accounts get other addresses and are removed under a running server, and on a server at rest."""

import imaplib
import smtplib
from pathlib import Path

import attrs
import pytest


def test_mail_follows_a_renamed_account_while_it_is_read(demo, account):
    old = account()
    demo.send(old, "Subject: before\r\n\r\nbody\r\n")
    demo.eventually(lambda: demo.count(old), lambda count: count == 1)
    new = attrs.evolve(old, email=f"new-{old.email}")
    with demo.imap(old) as client:
        assert client.select("INBOX")[0] == "OK"
        demo.command("user", "rename", old.email, new.email)
        assert client.store("1", "+FLAGS", "\\Flagged")[0] == "OK"
        assert client.noop()[0] == "OK"
    assert not demo.maildir(old).exists()
    demo.send(new, "Subject: after\r\n\r\nbody\r\n")
    demo.eventually(lambda: demo.count(new), lambda count: count == 2)
    with demo.imap(new) as client:
        client.select("INBOX")
        assert client.search(None, "FLAGGED")[1] == [b"1"]
    with pytest.raises(imaplib.IMAP4.error), demo.imap(old):
        pass
    assert not demo.maildir(old).exists()


def test_a_name_that_is_taken_is_refused(demo, account):
    one, other = account(), account()
    refused = demo.command("user", "rename", one.email, other.email, expect=1)
    assert "already" in refused.stderr
    target = attrs.evolve(one, email=f"x-{one.email}")
    demo.maildir(target).mkdir()
    refused = demo.command("user", "rename", one.email, target.email, expect=1)
    assert f"the folder {demo.maildir(target)} is there already" in refused.stderr
    assert demo.count(one) == 0


def test_a_removed_accounts_mail_is_kept_aside_and_its_name_begins_anew(demo, account):
    login = account()
    demo.send(login, "Subject: before\r\n\r\nbody\r\n")
    demo.eventually(lambda: demo.count(login), lambda count: count == 1)
    folder = Path(demo.command("user", "remove", login.email).stdout.strip())
    assert [b"Subject: before" in path.read_bytes() for path in (folder / "new").iterdir()] == [True]
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        demo.send(login, "Subject: too late\r\n\r\nbody\r\n")
    demo.command("user", "add", login.email, "--password", login.password)
    assert demo.count(login) == 0
    assert folder.exists()
