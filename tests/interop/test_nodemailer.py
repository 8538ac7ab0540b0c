"""nodemailer, the way most programs on Node send mail."""

import base64
import collections
import json
import os
import re
import secrets
import subprocess
from pathlib import Path

import pytest
from demo_server import Login

from .reading import read_all

pytestmark = pytest.mark.interop

MODULE = Path(__file__).parents[2] / ".ci-node/node_modules/nodemailer"
PROGRAM = Path(__file__).with_name("nodemailer.cjs")
RUN_SECONDS = 120


@pytest.fixture
def send(demo, program):
    """Send messages as an account; give what nodemailer says of each."""
    node = program("node", "nodejs")
    if not MODULE.is_dir():
        pytest.skip("nodemailer is not installed; npm install --prefix .ci-node nodemailer@7")

    def send_messages(sender: Login, messages, *, service="submissions", **options):
        transport = {
            "host": "localhost",
            "port": demo.port(service),
            "secure": service == "submissions",
            "requireTLS": True,
            "auth": {"user": sender.email, "pass": sender.password},
            "tls": {"ca": demo.certificate.read_text()},
            **options,
        }
        done = subprocess.run(
            [node, str(PROGRAM)],
            input=json.dumps({"transport": transport, "messages": messages}),
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
            env={**os.environ, "NODEMAILER": str(MODULE)},
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return send_messages


def test_a_pool_of_connections_delivers_fifty_messages_once_each(demo, account, send) -> None:
    sender, target = account(), account()
    messages = [
        {"from": sender.email, "to": target.email, "subject": f"number {number}", "text": "x\n" * number}
        for number in range(50)
    ]
    results = send(sender, messages, pool=True, maxConnections=5, maxMessages=20)
    assert all(re.fullmatch(r"250 2\.0\.0 queued as \S+", result.get("response", "")) for result in results), results
    found = demo.eventually(lambda: read_all(demo, target), lambda arrived: len(arrived) == 50)
    assert collections.Counter(message["Subject"] for message in found) == {
        f"number {number}": 1 for number in range(50)
    }


@pytest.mark.parametrize("service", ["submission", "submissions"])
def test_attachments_html_and_words_of_the_world_arrive(demo, account, send, service) -> None:
    sender, target = account(), account()
    octets = bytes(range(256)) * 500
    (result,) = send(
        sender,
        [
            {
                "from": {"name": "Zoë", "address": sender.email},
                "to": target.email,
                "cc": "nobody@example.test",
                "subject": "grüße 🙂",
                "text": ".\n..\ngrün\n",
                "html": "<p>grün</p>",
                "attachments": [
                    {"filename": "ö.bin", "content": base64.b64encode(octets).decode(), "encoding": "base64"}
                ],
            }
        ],
        service=service,
    )
    assert result["accepted"] == [target.email]
    assert result["rejected"] == ["nobody@example.test"]
    (message,) = demo.eventually(lambda: read_all(demo, target), lambda found: len(found) == 1)
    assert message["Subject"] == "grüße 🙂"
    assert message["From"].addresses[0].display_name == "Zoë"
    assert message.get_body(("plain",)).get_content().split() == [".", "..", "grün"]
    assert message.get_body(("html",)).get_content().strip() == "<p>grün</p>"
    (part,) = message.iter_attachments()
    assert part.get_filename() == "ö.bin"
    assert part.get_content() == octets


def test_an_address_beyond_ascii_is_reached(demo, account, send) -> None:
    sender = account()
    unique = secrets.token_hex(4)
    target = Login(f"jörg-{unique}@example.test", "correct horse 12")
    demo.command("user", "add", target.email, "--password", target.password)
    (result,) = send(sender, [{"from": sender.email, "to": target.email, "subject": "x", "text": "x"}])
    assert result["accepted"] == [target.email]
    folder = demo.folder / "data/mail/example.test"
    (stored,) = demo.eventually(lambda: list(folder.glob(f"*{unique}/new/*")), lambda found: len(found) == 1)
    octets = stored.read_bytes()
    assert b"with UTF8SMTPSA" in octets
    assert f"To: {target.email}".encode() in octets


def test_a_report_of_success_is_sent_where_it_is_asked_for(demo, account, send) -> None:
    sender, target = account(), account()
    (result,) = send(
        sender,
        [
            {
                "from": sender.email,
                "to": target.email,
                "subject": "tell me",
                "text": "not to be returned",
                "dsn": {
                    "id": "envelope-1",
                    "return": "headers",
                    "notify": ["success", "failure"],
                    "recipient": sender.email,
                },
            }
        ],
    )
    assert result["accepted"] == [target.email]
    (report,) = demo.eventually(lambda: read_all(demo, sender), lambda found: len(found) == 1)
    assert report.get_content_type() == "multipart/report"
    assert report["Return-Path"] == "<>"
    fields = next(part for part in report.walk() if part.get_content_type() == "message/delivery-status").as_string()
    assert "Original-Envelope-Id: envelope-1" in fields
    assert "Action: delivered" in fields
    assert f"Original-Recipient: rfc822;{sender.email}" in fields.replace("; ", ";")
    assert "not to be returned" not in report.as_string()


def test_a_wrong_password_is_an_error_with_its_code(account, send) -> None:
    sender = account()
    (result,) = send(
        Login(sender.email, "wrong"), [{"from": sender.email, "to": sender.email, "subject": "x", "text": "x"}]
    )
    assert result["code"] == 535
