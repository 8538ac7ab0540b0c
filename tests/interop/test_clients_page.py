"""docs/clients.rst: the settings are those of the server, and the files work with the programs that they are for."""

import re
import textwrap
from pathlib import Path

import pytest

from mailsuite.config import PORTS

PAGE = (Path(__file__).parents[2] / "docs" / "clients.rst").read_text(encoding="utf-8")
SERVICES = {
    ("IMAP", "SSL/TLS"): "imaps",
    ("IMAP", "STARTTLS"): "imap",
    ("POP3", "SSL/TLS"): "pop3s",
    ("POP3", "STARTTLS"): "pop3",
    ("sending", "SSL/TLS"): "submissions",
    ("sending", "STARTTLS"): "submission",
}


def block_after(words: str) -> str:
    """Give the literal block that follows some words of the page."""
    _, _, rest = PAGE.partition(words)
    found = re.search(r"::\n\n((?:    .*\n|\n)+)", rest)
    assert found
    return textwrap.dedent(found[1]).rstrip() + "\n"


def replaced(text: str, **changes: str) -> str:
    """Put a test's own values in place of the page's; each must be there."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def test_the_table_has_the_ports_of_the_services():
    rows = re.findall(r"^(reading|sending)(?:, (\w+))? +``mx.example.com`` +(\d+) +(\S+)", PAGE, re.MULTILINE)
    told = {SERVICES["sending" if use == "sending" else name, tls]: int(port) for use, name, port, tls in rows}
    assert told == {service: PORTS[service].number for service in SERVICES.values()}
    assert len(rows) == len(told)


def test_the_records_are_those_that_the_command_line_prints(demo):
    printed = demo.command("dns", "show", "example.test").stdout
    records = [line.replace("example.com", "example.test") for line in block_after("Found by itself").splitlines()]
    assert len(records) == 4
    for record in records:
        name = record.partition(" ")[0]
        ours = next(line for line in printed.splitlines() if line.startswith(f"{name} "))
        assert record.split()[:5] == ours.split()[:5]


@pytest.mark.interop
def test_the_file_for_mbsync_fetches_mail(demo, account, program, run, tmp_path):
    mbsync = program("mbsync", "isync")
    target = account()
    demo.send(target, "Subject: a letter\r\n\r\nhi\r\n")
    demo.eventually(lambda: demo.count(target), lambda count: count == 1)
    text = replaced(
        block_after("~/.mbsyncrc"),
        **{
            "Host mx.example.com": "Host localhost",
            "Port 993": f"Port {demo.port('imaps')}",
            "User alice@example.com": f"User {target.email}\nCertificateFile {demo.certificate}",
            'PassCmd "pass show mail/alice"': f"Pass {target.password}",
        },
    )
    if run([mbsync, "--version"]).stdout.split()[1].startswith("1.4"):
        text = replaced(text, TLSType="SSLType")
    (tmp_path / "home" / "Mail").mkdir(parents=True)
    (tmp_path / "home" / ".mbsyncrc").write_text(text)
    run([mbsync, "-a"])
    mail = tmp_path / "home" / "Mail"
    (letter,) = [path for part in ("new", "cur") for path in (mail / "INBOX" / part).iterdir()]
    assert b"Subject: a letter" in letter.read_bytes()
    assert {path.name for path in mail.iterdir()} == {"INBOX", "Sent", "Drafts", "Junk", "Trash", "Archive"}


@pytest.mark.interop
@pytest.mark.parametrize("name", ["mutt", "neomutt"])
def test_the_file_for_mutt_sends(demo, account, program, run, tmp_path, name):
    path = program(name, name)
    sender, target = account(), account()
    text = replaced(
        block_after("~/.muttrc"),
        **{
            "smtps://alice@example.com@mx.example.com:465/": f"smtps://{sender.email}@localhost:{demo.port('submissions')}/",
            "mx.example.com:993": f"localhost:{demo.port('imaps')}",
            "alice@example.com": sender.email,
        },
    )
    text += f'set imap_pass = "{sender.password}"\nset smtp_pass = "{sender.password}"\n'
    text += f'set certificate_file = "{demo.certificate}"\nset ssl_verify_host = no\n'
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".muttrc").write_text(text)
    run([path, "-n", "-F", str(tmp_path / "home" / ".muttrc"), "-s", "from mutt", target.email], stdin="hello\n")
    demo.eventually(lambda: demo.count(target), lambda count: count == 1)
    if name == "mutt":  # neomutt keeps no copy in an IMAP mailbox when it runs without a screen
        assert demo.count(sender, "Sent") == 1
