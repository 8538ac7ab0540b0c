"""msmtp hands over mail as cron, git and mutt let it do."""

from pathlib import Path

import pytest

from .reading import read_all

pytestmark = pytest.mark.interop

SERVICES = {"submission": "on", "submissions": "off"}  # whether TLS begins by STARTTLS


@pytest.fixture
def msmtp(demo, program, run, tmp_path: Path):
    """Run msmtp for an account, by one of the ways of submission."""
    path = program("msmtp", "msmtp")

    def run_msmtp(sender, service, *arguments, stdin, expect=0, password=None):
        config = tmp_path / "msmtprc"
        config.write_text(
            f"account default\nhost localhost\nport {demo.port(service)}\nfrom {sender.email}\n"
            f"auth on\nuser {sender.email}\npassword {password or sender.password}\n"
            f"tls on\ntls_starttls {SERVICES[service]}\ntls_trust_file {demo.certificate}\n"
        )
        config.chmod(0o600)
        return run([path, f"--file={config}", *arguments], stdin=stdin, expect=expect)

    return run_msmtp


@pytest.mark.parametrize("service", SERVICES)
def test_several_recipients_get_it_and_nobody_sees_the_blind_ones(demo, account, msmtp, service) -> None:
    sender, seen, blind = account(), account(), account()
    msmtp(
        sender,
        service,
        "--read-recipients",
        stdin=f"From: {sender.email}\nTo: {seen.email}\nBcc: {blind.email}\nSubject: by {service}\n\n.one\n..two\n",
    )
    for target in (seen, blind):
        (message,) = demo.eventually(lambda target=target: read_all(demo, target), lambda found: len(found) == 1)
        assert message["Subject"] == f"by {service}"
        assert message["Bcc"] is None
        assert message.get_content() == ".one\r\n..two\r\n"
        assert "with ESMTPSA" in message["Received"]
        assert message["Date"]
        assert message["Message-ID"]


@pytest.mark.parametrize("service", SERVICES)
def test_the_envelope_is_read_from_the_message(demo, account, msmtp, service) -> None:
    sender, target = account(), account()
    msmtp(
        sender,
        service,
        "--read-envelope-from",
        target.email,
        stdin=f"From: Zoë <{sender.email}>\nTo: {target.email}\nSubject: grüße\n\ngrün\n",
    )
    (message,) = demo.eventually(lambda: read_all(demo, target), lambda found: len(found) == 1)
    assert message["Return-Path"] == f"<{sender.email}>"
    assert message["Subject"] == "grüße"


def test_who_may_not_use_an_address_is_told(demo, account, msmtp) -> None:
    sender, other = account(), account()
    done = msmtp(
        sender,
        "submission",
        "--read-envelope-from",
        other.email,
        stdin=f"From: {other.email}\nSubject: forged\n\nx\n",
        expect=None,
    )
    assert done.returncode != 0
    assert "550 5.7.1" in done.stderr
    assert demo.count(other) == 0


def test_a_wrong_password_and_an_unknown_recipient_are_told(demo, account, msmtp) -> None:
    sender = account()
    done = msmtp(sender, "submissions", sender.email, stdin="Subject: x\n\nx\n", expect=None, password="wrong")
    assert done.returncode != 0
    assert "535 5.7.8" in done.stderr
    done = msmtp(sender, "submissions", "nobody@example.test", stdin="Subject: x\n\nx\n", expect=None)
    assert done.returncode != 0
    assert "550 5.1.1" in done.stderr
