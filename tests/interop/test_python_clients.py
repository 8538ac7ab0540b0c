"""Python's own clients and its Maildir agree with what is stored."""

import email
import imaplib
import mailbox
import poplib
import smtplib
import ssl

import pytest

pytestmark = pytest.mark.interop


def test_smtplib_imaplib_poplib_and_maildir_agree(demo, account) -> None:
    target = account()
    context = ssl.create_default_context(cafile=str(demo.certificate))
    text = "From: Zoë <far@elsewhere.test>\r\nTo: <x@example.test>\r\nSubject: grüße\r\n\r\nline\r\n.dot\r\n".encode()
    with smtplib.SMTP("localhost", demo.port("smtp")) as client:
        client.starttls(context=context)
        client.sendmail("far@elsewhere.test", [target.email], text)
    demo.eventually(lambda: demo.count(target), lambda count: count == 1)

    imap = imaplib.IMAP4_SSL("localhost", demo.port("imaps"), ssl_context=context)
    imap.login(target.email, target.password)
    imap.select("INBOX")
    (_, by_imap), _ = imap.fetch("1", "(BODY.PEEK[])")[1]
    size = imap.fetch("1", "(RFC822.SIZE)")[1][0]
    assert by_imap.endswith(text)
    assert f"RFC822.SIZE {len(by_imap)}".encode() in size

    pop = poplib.POP3_SSL("localhost", demo.port("pop3s"), context=context)
    pop.user(target.email)
    pop.pass_(target.password)
    assert pop.stat() == (1, len(by_imap))
    lines = pop.retr(1)[1]
    assert b"\r\n".join(lines) + b"\r\n" == by_imap
    pop.quit()

    folder = mailbox.Maildir(demo.maildir(target), create=False)
    (stored,) = [folder.get_bytes(key) for key in folder.keys()]  # noqa: SIM118 - it iterates over messages
    assert stored == by_imap.replace(b"\r\n", b"\n") or stored == by_imap

    added = mailbox.MaildirMessage(email.message_from_string("Subject: dropped in\n\nby another program\n"))
    folder.add(added)
    assert imap.noop()[0] == "OK"
    _, found = imap.search(None, 'SUBJECT "dropped in"')
    assert found == [b"2"]
    imap.store("2", "+FLAGS", r"(\Deleted)")
    imap.expunge()
    imap.logout()
    assert len(mailbox.Maildir(demo.maildir(target), create=False)) == 1
