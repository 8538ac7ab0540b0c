"""swaks delivers, curl reads."""

from pathlib import Path

import pytest

from .reading import read_all

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("options", [[], ["--tls"]], ids=["clear", "starttls"])
def test_swaks_delivers_an_attachment_whole(demo, account, program, run, tmp_path: Path, options: list[str]) -> None:
    attachment = tmp_path / "picture.bin"
    attachment.write_bytes(bytes(range(256)) * 400)
    target = account()
    run(
        [program("swaks", "swaks"), "--server", "127.0.0.1", "--port", str(demo.port("smtp")), *options]
        + ["--to", target.email, "--from", "far@elsewhere.test", "--header", "Subject: with a picture"]
        + ["--attach", f"@{attachment}", "--body", "see the picture"]
    )
    (message,) = demo.eventually(lambda: read_all(demo, target), lambda found: len(found) == 1)
    assert message["Subject"] == "with a picture"
    assert message["Return-Path"] == "<far@elsewhere.test>"
    assert "TLS" in message["Received"] if options else message["Received"]
    (part,) = message.iter_attachments()
    assert part.get_content() == attachment.read_bytes()


def test_swaks_submits_with_authentication_over_tls(demo, account, program, run) -> None:
    sender, target = account(), account()
    for service, options in (("submission", ["--tls"]), ("submissions", ["--tls-on-connect"])):
        run(
            [program("swaks", "swaks"), "--server", "127.0.0.1", "--port", str(demo.port(service)), *options]
            + ["--auth", "PLAIN", "--auth-user", sender.email, "--auth-password", sender.password]
            + ["--to", target.email, "--from", sender.email, "--header", f"Subject: by {service}"]
        )
    found = demo.eventually(lambda: read_all(demo, target), lambda messages: len(messages) == 2)
    assert {message["Subject"] for message in found} == {"by submission", "by submissions"}


def test_swaks_is_told_that_strangers_do_not_relay(demo, program, run) -> None:
    done = run(
        [program("swaks", "swaks"), "--server", "127.0.0.1", "--port", str(demo.port("smtp"))]
        + ["--to", "victim@elsewhere.test", "--from", "stranger@elsewhere.test"],
        expect=None,
    )
    assert done.returncode != 0
    assert "550 5.7.1" in done.stdout


def test_curl_reads_by_imaps_and_pop3s_the_same_octets(demo, account, program, run, tmp_path: Path) -> None:
    curl = program("curl", "curl")
    target = account()
    letter = tmp_path / "letter.eml"
    letter.write_bytes(b"From: far@elsewhere.test\r\nTo: x@example.test\r\nSubject: curl\r\n\r\none\r\n.two\r\n..\r\n")
    login = ["--cacert", str(demo.certificate), "--silent", "--show-error", "--user"]
    login += [f"{target.email}:{target.password}"]
    run(
        [curl, "--silent", "--show-error", f"smtp://127.0.0.1:{demo.port('smtp')}", "--mail-from", "far@elsewhere.test"]
        + ["--mail-rcpt", target.email, "--upload-file", str(letter)]
    )
    demo.eventually(lambda: read_all(demo, target), lambda found: len(found) == 1)
    by_imap = run([curl, *login, f"imaps://localhost:{demo.port('imaps')}/INBOX;MAILINDEX=1"]).stdout
    by_pop = run([curl, *login, f"pop3s://localhost:{demo.port('pop3s')}/1"]).stdout
    assert by_imap.replace("\r\n", "\n") == by_pop.replace("\r\n", "\n")
    assert by_pop.replace("\r\n", "\n").endswith("\n\none\n.two\n..\n")
    listing = run([curl, *login, f"imaps://localhost:{demo.port('imaps')}/"]).stdout
    assert "INBOX" in listing
    assert "Archive" in listing
