"""Python's smtplib submits, by both ways and with addresses beyond ASCII."""

import secrets
import smtplib
from email.message import EmailMessage

import pytest
from demo_server import Login

from .reading import read_all

pytestmark = pytest.mark.interop


@pytest.fixture(params=["submission", "submissions"])
def submit(demo, request):
    """Open a session of an account."""

    def open_session(sender: Login) -> smtplib.SMTP:
        port = demo.port(request.param)
        if request.param == "submissions":
            client = smtplib.SMTP_SSL("localhost", port, context=demo.context, timeout=30)
        else:
            client = smtplib.SMTP("localhost", port, timeout=30)
            client.starttls(context=demo.context)
        client.login(sender.email, sender.password)
        return client

    return open_session


def letter(sender: str, *targets: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, ", ".join(targets), "grüße"
    message.set_content("grün\n.\n..\n")
    message.add_attachment(bytes(range(256)) * 100, maintype="application", subtype="octet-stream", filename="ö.bin")
    return message


def check(message: EmailMessage) -> None:
    assert message["Subject"] == "grüße"
    assert message.get_body().get_content() == "grün\r\n.\r\n..\r\n"
    (part,) = message.iter_attachments()
    assert part.get_filename() == "ö.bin"
    assert part.get_content() == bytes(range(256)) * 100


def test_several_messages_in_one_session(demo, account, submit) -> None:
    sender, one, two = account(), account(), account()
    with submit(sender) as client:
        for _ in range(3):
            assert client.send_message(letter(sender.email, one.email, two.email)) == {}
    for target in (one, two):
        messages = demo.eventually(lambda target=target: read_all(demo, target), lambda found: len(found) == 3)
        for message in messages:
            check(message)


def test_addresses_beyond_ascii_are_taken_and_delivered(demo, account, submit) -> None:
    sender = account()
    unique = secrets.token_hex(4)
    target = Login(f"jörg-{unique}@example.test", "correct horse 12")
    demo.command("user", "add", target.email, "--password", target.password)
    with submit(sender) as client:
        assert "smtputf8" in client.esmtp_features
        client.send_message(letter(sender.email, target.email))
    folder = demo.folder / "data/mail/example.test"
    (stored,) = demo.eventually(lambda: list(folder.glob(f"*{unique}/new/*")), lambda found: len(found) == 1)
    octets = stored.read_bytes()
    assert b"with UTF8SMTPSA" in octets
    assert f"To: {target.email}".encode() in octets


def test_one_refused_recipient_does_not_keep_the_others_from_it(demo, account, submit) -> None:
    sender, target = account(), account()
    with submit(sender) as client:
        refused = client.send_message(letter(sender.email, "nobody@example.test", target.email))
    assert {address: code for address, (code, _) in refused.items()} == {"nobody@example.test": 550}
    (message,) = demo.eventually(lambda: read_all(demo, target), lambda found: len(found) == 1)
    check(message)
