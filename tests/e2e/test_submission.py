"""What users send by port 587, and what arrives of it."""

import email
import email.policy
import smtplib
import ssl

import pytest
from demo_server import DemoServer, Login

ALICE = Login("alice@example.test", "alice-demo")
BOB = Login("bob@example.test", "bob-demo")
HOURLY = 3


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    environment = {
        "MAILSUITE_SERVER__WORKERS": "2",
        "MAILSUITE_LIMITS__MESSAGES_PER_ACCOUNT_HOUR": str(HOURLY),
        "MAILSUITE_SUBMISSION__DOWNGRADE": "true",
    }
    made = DemoServer(
        tmp_path_factory.mktemp("submission") / "srv", "--no-sample-mail", environment=environment
    ).start()
    yield made
    assert made.stop() == 0, "".join(made.output[-50:])


def send(server, login, message, *recipients):
    """Send one message on a connection of its own; give the last reply."""
    context = ssl.create_default_context(cafile=str(server.certificate))
    context.check_hostname = False
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=30) as client:
        client.starttls(context=context)
        client.login(login.email, login.password)
        assert client.mail(login.email, ["BODY=8BITMIME"])[0] == 250
        for recipient in recipients:
            assert client.rcpt(recipient)[0] == 250
        code, text = client.data(message)
        return code, text.decode()


def newest(server, login, count):
    server.eventually(lambda: server.count(login), lambda now: now == count)
    with server.imap(login) as client:
        client.select("INBOX", readonly=True)
        return client.fetch(str(count), "(BODY.PEEK[])")[1][0][1]


def test_a_message_is_completed_and_brought_into_form(server):
    before = server.count(ALICE)
    long = "Wörter " * 400
    message = f"Subject: Grüße\r\nBcc: {ALICE.email}\r\nTo: {ALICE.email}\r\n\r\nschöne Grüße\r\n{long}\r\n".encode()
    code, _ = send(server, BOB, message, ALICE.email)
    assert code == 250
    content = newest(server, ALICE, before + 1)
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    arrived = email.message_from_bytes(content, policy=email.policy.default)
    assert arrived["from"] == BOB.email
    assert arrived["subject"] == "Grüße"
    assert arrived["date"].datetime is not None
    assert arrived["message-id"].endswith("@example.test>")
    assert "bcc" not in arrived
    assert arrived["mime-version"] == "1.0"
    assert arrived.get_content().splitlines() == ["schöne Grüße", long]


def test_nobody_writes_as_somebody_else(server):
    before = server.count(ALICE)
    code, text = send(server, BOB, b"From: carol@example.test\r\nSubject: x\r\n\r\nx\r\n", ALICE.email)
    assert code == 550
    assert text.startswith("5.7.1 the From field holds an address that is not yours")
    assert server.count(ALICE) == before


def test_what_exceeds_a_limit_is_held_in_all_workers_together(server):
    message = f"From: {ALICE.email}\r\nSubject: x\r\n\r\nx\r\n".encode()
    replies = [send(server, ALICE, message, "far@elsewhere.test") for _ in range(HOURLY + 2)]
    assert [code for code, _ in replies] == [250] * (HOURLY + 2)
    held = [text for _, text in replies if f"limit of {HOURLY} messages an hour" in text]
    assert [text for _, text in replies][-2:] == held
    assert "held until" in held[0]
    server.eventually(lambda: server.count(ALICE), lambda now: now >= 1)
    with server.imap(ALICE) as client:
        client.select("INBOX", readonly=True)
        _, (found,) = client.search(None, "SUBJECT", '"Your mail is held for a while"')
    assert len(found.split()) == 1
