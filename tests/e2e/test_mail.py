"""From SMTP to IMAP and POP3, on real sockets."""

import email
import imaplib
import json
import poplib
import smtplib
import socket
import ssl

import pytest


def _message(subject, body="hello\r\n", sender="far@elsewhere.test"):
    return f"From: {sender}\r\nSubject: {subject}\r\n\r\n{body}".encode()


def _read_all(demo, login, mailbox="INBOX"):
    with demo.imap(login) as client:
        client.select(mailbox, readonly=True)
        _, (found,) = client.search(None, "ALL")
        return [client.fetch(number, "(BODY.PEEK[])")[1][0][1] for number in found.split()]


def test_what_is_sent_is_read_by_imap_and_pop3(demo, account):
    target = account()
    with smtplib.SMTP("127.0.0.1", demo.port("smtp")) as client:
        client.sendmail("far@elsewhere.test", [target.email], _message("hi", "one\r\n.two\r\n..three\r\n"))
    demo.eventually(lambda: demo.count(target), lambda count: count == 1)
    (stored,) = _read_all(demo, target)
    assert stored.endswith(b"Subject: hi\r\n\r\none\r\n.two\r\n..three\r\n")
    assert stored.startswith(b"Return-Path: <far@elsewhere.test>\r\nReceived: ")
    client = poplib.POP3_SSL("127.0.0.1", demo.port("pop3s"), context=demo.context)
    client.user(target.email)
    client.pass_(target.password)
    assert b"\r\n".join(client.retr(1)[1]) + b"\r\n" == stored
    client.quit()


def test_an_authenticated_user_sends_to_another_with_starttls(demo, account):
    sender, target = account(), account()
    with smtplib.SMTP("127.0.0.1", demo.port("submission")) as client:
        client.starttls(context=demo.context)
        client.login(sender.email, sender.password)
        client.sendmail(sender.email, [target.email], b"Subject: from a friend\r\nBcc: x@elsewhere.test\r\n\r\nhi\r\n")
    demo.eventually(lambda: demo.count(target), lambda count: count == 1)
    message = email.message_from_bytes(_read_all(demo, target)[0])
    assert message["Bcc"] is None
    assert message["Message-ID"]
    assert message["Date"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("service", ["submissions", "imaps", "pop3s"])
def test_implicit_tls_of_both_versions(demo, account, service, version):
    login = account()
    context = demo.context
    context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", demo.port(service)), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        assert tls.version() == version.name.replace("_", ".")
        assert tls.recv(100)
    if service == "submissions":
        with smtplib.SMTP_SSL("127.0.0.1", demo.port(service), context=context) as client:
            assert client.login(login.email, login.password)[0] == 235


def test_tls_below_1_2_is_refused(demo):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", demo.port("imaps")), 10) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain)


def test_starttls_on_imap_and_stls_on_pop3(demo, account):
    login = account()
    imap = imaplib.IMAP4("127.0.0.1", demo.port("imap"))
    assert imap.starttls(demo.context)[0] == "OK"
    assert imap.login(login.email, login.password)[0] == "OK"
    imap.logout()
    pop3 = poplib.POP3("127.0.0.1", demo.port("pop3"))
    pop3.stls(demo.context)
    pop3.user(login.email)
    assert pop3.pass_(login.password).startswith(b"+OK")
    pop3.quit()


def test_strangers_cannot_relay(demo):
    with smtplib.SMTP("127.0.0.1", demo.port("smtp")) as client:
        client.ehlo("stranger.test")
        client.mail("far@elsewhere.test")
        code, _ = client.rcpt("someone@remote.test")
        assert 500 <= code < 600
        client.rset()
        client.mail("alice@example.test")
        assert 500 <= client.rcpt("someone@remote.test")[0] < 600
    with smtplib.SMTP("127.0.0.1", demo.port("submission")) as client:
        client.ehlo("stranger.test")
        assert client.mail("alice@example.test")[0] == 530


def test_an_unknown_recipient_is_refused_at_once(demo):
    with smtplib.SMTP("127.0.0.1", demo.port("smtp")) as client:
        client.ehlo("stranger.test")
        client.mail("far@elsewhere.test")
        assert client.rcpt("nobody-at-all@example.test")[0] == 550


def test_nobody_sends_in_anothers_name(demo, account):
    sender, other = account(), account()
    with smtplib.SMTP_SSL("127.0.0.1", demo.port("submissions"), context=demo.context) as client:
        client.login(sender.email, sender.password)
        with pytest.raises(smtplib.SMTPResponseException) as caught:
            client.sendmail(other.email, [other.email], _message("forged"))
    assert 500 <= caught.value.smtp_code < 600


@pytest.mark.slow
def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(demo, account):
    login = account()
    answers = []
    for name in (login.email, "nobody-at-all@example.test"):
        with smtplib.SMTP_SSL("127.0.0.1", demo.port("submissions"), context=demo.context) as client:
            with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
                client.login(name, "certainly wrong")
            answers.append((caught.value.smtp_code, caught.value.smtp_error))
    assert answers[0] == answers[1]
    assert answers[0][0] == 535


@pytest.mark.slow
def test_changes_of_accounts_act_at_once(demo, account):
    login = account()
    with demo.imap(login):
        pass
    demo.command("user", "passwd", login.email, "--password", "another password")
    with pytest.raises(imaplib.IMAP4.error), demo.imap(login):
        pass
    demo.command("user", "passwd", login.email, "--password", login.password)
    demo.command("user", "disable", login.email)
    with smtplib.SMTP("127.0.0.1", demo.port("smtp")) as client:
        client.ehlo("stranger.test")
        client.mail("far@elsewhere.test")
        assert client.rcpt(login.email)[0] >= 400
    with pytest.raises(imaplib.IMAP4.error), demo.imap(login):
        pass
    demo.command("user", "enable", login.email)
    with demo.imap(login):
        pass
    alias = f"alias-of-{login.email}"
    demo.command("alias", "add", alias, login.email)
    with smtplib.SMTP("127.0.0.1", demo.port("smtp")) as client:
        client.sendmail("far@elsewhere.test", [alias], _message("by alias"))
    demo.eventually(lambda: demo.count(login), lambda count: count == 1)


def test_mail_for_a_remote_domain_waits_in_the_queue(demo, account):
    sender = account()
    with smtplib.SMTP_SSL("127.0.0.1", demo.port("submissions"), context=demo.context) as client:
        client.login(sender.email, sender.password)
        client.sendmail(sender.email, ["someone@remote.test"], _message("far away", sender=sender.email))

    def entries():
        rows = json.loads(demo.command("queue", "list", "--json").stdout)
        return [row for row in rows if row["sender"] == sender.email]

    (entry,) = demo.eventually(entries, bool)
    assert entry["recipients"][0]["address"] == "someone@remote.test"
    demo.command("queue", "hold", entry["queue_id"])
    shown = json.loads(demo.command("queue", "show", entry["queue_id"], "--json").stdout)
    assert shown["recipients"][0]["state"] == "held"
    demo.command("queue", "remove", entry["queue_id"])
    assert entries() == []


def test_idle_hears_of_new_mail(demo, account):
    login = account()
    with demo.imap(login) as client:
        client.select("INBOX")
        client.send(b"x IDLE\r\n")
        assert client.readline().startswith(b"+")
        demo.send(login, "Subject: wake up\r\n\r\nnow\r\n")
        assert client.readline().strip() == b"* 1 EXISTS"
        client.send(b"DONE\r\n")
        while not (line := client.readline()).startswith(b"x "):
            assert line.startswith(b"* ")
        assert line.startswith(b"x OK")


def test_a_new_demo_has_sample_mail_with_attachment_html_thread_and_more_than_ascii(demo):
    import demo_server

    messages = [
        email.message_from_bytes(raw) for raw in _read_all(demo, demo_server.Login("alice@example.test", "alice-demo"))
    ]
    types = {part.get_content_type() for message in messages for part in message.walk()}
    assert {"text/html", "text/csv", "image/png"} <= types
    assert any(part.get_filename() for message in messages for part in message.walk())
    ids = {message["Message-ID"] for message in messages}
    assert any(message["In-Reply-To"] in ids for message in messages)
    assert any("=?utf-8?" in (message["Subject"] or "") for message in messages)
