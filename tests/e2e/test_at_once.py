"""What the command line changes acts in the server that runs, at the next word of a client."""

import imaplib
import json
import poplib
import re
import smtplib
from itertools import pairwise

import pytest
from demo_server import MadeServer


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    text = '[log]\nlevel = "debug"\nformat = "json"\n[smtp]\nfailed_login_delay_seconds = 0\n'
    text += "[submission]\nfailed_login_delay_seconds = 0\n[imap]\nfailed_login_seconds = 0.0\n"
    made = MadeServer(tmp_path_factory.mktemp("once") / "srv", text).start()
    yield made
    assert made.stop() == 0, "".join(made.output[-50:])


@pytest.fixture
def login(server):
    return server.add_account()


def _rcpt(server, address):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
        client.ehlo("far.test")
        client.mail("far@elsewhere.test")
        return client.rcpt(address)[0]


def _events(server, name):
    found = []
    for line in server.output:
        if line.startswith("{"):
            event = json.loads(line)
            if event["event"] == name:
                found.append(event)
    return found


def test_a_new_password_replaces_the_remembered_one(server, login):
    for _ in range(2):
        with server.imap(login):
            pass
    server.command("user", "passwd", login.email, "--password", "another horse 2")
    with pytest.raises(imaplib.IMAP4.error), server.imap(login):
        pass
    pop3 = poplib.POP3_SSL("localhost", server.port("pop3s"), context=server.context)
    pop3.user(login.email)
    assert pop3.pass_("another horse 2").startswith(b"+OK")
    pop3.quit()


def test_a_disabled_account_gets_no_mail_no_login_and_can_send_nothing(server, login):
    with smtplib.SMTP_SSL("localhost", server.port("submissions"), context=server.context) as client:
        client.login(login.email, login.password)
        drop = poplib.POP3_SSL("localhost", server.port("pop3s"), context=server.context)
        drop.user(login.email)
        drop.pass_(login.password)
        with server.imap(login) as reader:
            assert reader.select("INBOX")[0] == "OK"
            server.command("user", "disable", login.email)
            assert _rcpt(server, login.email) == 550
            with pytest.raises(imaplib.IMAP4.error), server.imap(login):
                pass
            assert client.mail(login.email) == (421, b"4.7.0 this login is no longer valid")
            with pytest.raises(imaplib.IMAP4.abort):
                reader.noop()
            with pytest.raises(poplib.error_proto, match="no longer valid"):
                drop.noop()
            drop.close()
    server.command("user", "enable", login.email)
    assert _rcpt(server, login.email) == 250
    with server.imap(login):
        pass


@pytest.mark.parametrize("change", [("passwd", "--password", "another horse 2"), ("remove",)])
def test_who_is_logged_in_is_put_out_by_a_new_password_and_by_removal(server, login, change):
    other = server.add_account()
    with (
        smtplib.SMTP_SSL("localhost", server.port("submissions"), context=server.context) as sender,
        smtplib.SMTP_SSL("localhost", server.port("submissions"), context=server.context) as under_way,
        server.imap(other) as stays,
        server.imap(login) as reader,
    ):
        drop = poplib.POP3_SSL("localhost", server.port("pop3s"), context=server.context)
        drop.user(login.email)
        drop.pass_(login.password)
        for client in (sender, under_way):
            client.login(login.email, login.password)
        under_way.mail(login.email)
        assert under_way.rcpt(other.email)[0] == 250
        server.command("user", change[0], login.email, *change[1:])
        with pytest.raises(imaplib.IMAP4.abort):
            reader.noop()
        with pytest.raises(poplib.error_proto, match="no longer valid"):
            drop.noop()
        drop.close()
        assert sender.mail(login.email)[0] == 421
        assert under_way.data(b"Subject: begun before\r\n\r\nbody\r\n")[0] == 250
        assert under_way.mail("")[0] == 421
        assert stays.noop()[0] == "OK"


def test_sessions_that_began_under_a_former_name_are_put_out_as_well(server, login):
    names = [login.email, f"second-{login.email}", f"third-{login.email}"]
    with server.imap(login) as first, server.imap(login) as second:
        for old, new in pairwise(names):
            server.command("user", "rename", old, new)
            assert first.noop()[0] == "OK"
        server.command("user", "passwd", names[-1], "--password", "another horse 2")
        for client in (first, second):
            with pytest.raises(imaplib.IMAP4.abort):
                client.noop()


def test_an_alias_a_domain_and_an_account_come_and_go(server, login):
    assert _rcpt(server, "sales@example.test") == 550
    server.command("alias", "add", "sales@example.test", login.email)
    assert _rcpt(server, "sales@example.test") == 250
    server.command("alias", "remove", "sales@example.test")
    assert _rcpt(server, "sales@example.test") == 550
    assert _rcpt(server, "x@second.test") == 550
    server.command("domain", "add", "second.test")
    server.command("user", "add", "x@second.test", "--password", "correct horse 1")
    assert _rcpt(server, "x@second.test") == 250
    refused = server.command("domain", "remove", "second.test", expect=1)
    assert "remove them first" in refused.stderr
    server.command("user", "remove", "x@second.test")
    assert _rcpt(server, "x@second.test") == 550
    server.command("domain", "remove", "second.test")
    assert _rcpt(server, "x@second.test") == 550


def test_a_quota_acts_on_the_next_message(server, login):
    server.command("user", "quota", login.email, "1K")
    big = "Subject: big\r\n\r\n" + "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 30
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        server.send(login, big)
    assert caught.value.recipients[login.email][0] == 452
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
        client.helo("far.test")  # and so does not say how big it is
        client.sendmail("far@elsewhere.test", [login.email], big)
    row = server.eventually(
        lambda: [row for row in json.loads(server.command("queue", "list", "--json").stdout) if row["recipients"]], bool
    )[0]
    assert "not enough room" in row["recipients"][0]["status"]
    server.command("user", "quota", login.email, "0")
    server.command("queue", "flush")
    server.eventually(lambda: server.count(login), lambda count: count == 1)


def test_the_log_tells_who_failed_to_log_in_from_where_and_never_a_password(server, login):
    with smtplib.SMTP_SSL("localhost", server.port("submissions"), context=server.context) as client:
        client.ehlo("x.test")
        for attempt in (client.auth_plain, client.auth_login):
            client.user, client.password = login.email, "wrong-secret-word"
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.auth(attempt.__name__.removeprefix("auth_").upper(), attempt)
        client.login(login.email, login.password)
    client = imaplib.IMAP4_SSL("localhost", server.port("imaps"), ssl_context=server.context)
    with pytest.raises(imaplib.IMAP4.error):
        client.login(login.email, "wrong-secret-word")
    client.logout()
    pop3 = poplib.POP3_SSL("localhost", server.port("pop3s"), context=server.context)
    pop3.user(login.email)
    with pytest.raises(poplib.error_proto):
        pop3.pass_("wrong-secret-word")
    pop3.quit()
    for protocol, count in (("smtp", 2), ("imap", 1), ("pop3", 1)):
        events = server.eventually(
            lambda name=f"{protocol}.login.refused": [
                event for event in _events(server, name) if event["username"] == login.email
            ],
            lambda found, count=count: len(found) == count,
        )
        assert {event["peer"] for event in events} == {"127.0.0.1"}
        assert all(event["session"] for event in events)
    _rcpt(server, "nobody-at-all@example.test")
    (refused,) = server.eventually(
        lambda: [
            event
            for event in _events(server, "smtp.rcpt.refused")
            if event["recipient"] == "nobody-at-all@example.test"
        ],
        bool,
    )
    assert (refused["code"], refused["peer"]) == (550, "127.0.0.1")
    log = "".join(server.output)
    assert len(re.findall(f"AUTH.*failed.*{login.email}", log)) == 4
    assert "wrong-secret-word" not in log
    assert login.password not in log
    assert "d3Jvbmctc2VjcmV0LXdvcmQ" not in log, "nor as base64"
    assert "Traceback" not in log
