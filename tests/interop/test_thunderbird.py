"""Thunderbird, without a screen: what its user does, done by its own code."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from demo_server import eventually
from free_ports import free_port

from .marionette import Marionette

pytestmark = pytest.mark.interop

SCRIPT = Path(__file__).with_name("thunderbird.js").read_text(encoding="utf-8")
PREFERENCES = {
    "mail.shell.checkDefaultClient": False,
    "mailnews.start_page.enabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.spotlight.firstRunDone": True,
    "mail.rights.version": 1,
    "app.donation.eoy.version.viewed": 999,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "mail.server.default.login_at_startup": False,  # a question for the password would block everything
    "network.proxy.type": 0,
}


@pytest.fixture
def thunderbird(program, tmp_path):
    """Start it with a new profile; give what runs an action in it."""
    path = program("thunderbird", "thunderbird")
    port = free_port()
    profile = tmp_path / "profile"
    profile.mkdir()
    lines = [f'user_pref("marionette.port", {port});']
    for name, value in PREFERENCES.items():
        lines.append(f'user_pref("{name}", {str(value).lower()});')
    (profile / "user.js").write_text("\n".join(lines), encoding="utf-8")
    log = (tmp_path / "thunderbird.log").open("wb")
    process = subprocess.Popen(
        [path, "--headless", "--no-remote", "--profile", str(profile), "--marionette", "--remote-allow-system-access"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "MOZ_HEADLESS": "1"},
        start_new_session=True,
    )

    def connect():
        assert process.poll() is None, (tmp_path / "thunderbird.log").read_text(errors="replace")[-2000:]
        try:
            return Marionette(port)
        except ConnectionError:
            return None

    driver = eventually(connect, bool, 90)

    def act(action, **arguments):
        return driver.run(f"{SCRIPT}\nreturn await actions[given[0]](given[1]);", action, arguments)

    yield act
    driver.close()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    log.close()
    shutil.rmtree(profile, ignore_errors=True)


def letter(target, subject, text="text\r\n"):
    return (
        f"From: Ann <ann@elsewhere.test>\r\nTo: {target}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{subject.replace(' ', '.')}@elsewhere.test>\r\n"
        f"Date: Tue, 17 Nov 2026 10:00:00 +0000\r\n\r\n{text}"
    )


def flags(demo, login, mailbox):
    with demo.imap(login) as client:
        client.select(mailbox, readonly=True)
        return b" ".join(client.uid("FETCH", "1:*", "(FLAGS)")[1])


def test_it_lists_reads_marks_moves_and_hears_of_new_mail(demo, account, thunderbird) -> None:
    login = account()
    for number in range(3):
        demo.send(login, letter(login.email, f"number {number}", "x" * 70_000 if number == 2 else f"this is {number}"))
        eventually(lambda: demo.count(login), lambda count, wanted=number + 1: count == wanted)
    pem = demo.certificate.read_text(encoding="ascii")
    certificate = pem.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0]
    folders = thunderbird(
        "begin",
        email=login.email,
        password=login.password,
        host="localhost",
        port=demo.port("imaps"),
        certificate="".join(certificate.split()),
    )
    assert {"Archive", "Drafts", "Junk", "Sent", "Trash"} <= set(folders)

    listed = thunderbird("list", name="INBOX", count=3)
    assert [message["subject"] for message in listed] == ["number 0", "number 1", "number 2"]
    assert listed[0]["author"] == "Ann <ann@elsewhere.test>"
    assert not any(message["read"] for message in listed)

    assert "this is 1" in thunderbird("read", name="INBOX", subject="number 1")
    assert thunderbird("read", name="INBOX", subject="number 2").count("x") >= 70_000

    thunderbird("mark", name="INBOX", subject="number 1")
    eventually(lambda: flags(demo, login, "INBOX"), lambda shown: b"\\Flagged" in shown and b"$label1" in shown)

    thunderbird("move", name="INBOX", subject="number 1", target="Archive")
    eventually(lambda: demo.count(login), lambda count: count == 2)
    assert b"\\Flagged" in flags(demo, login, "Archive")

    thunderbird("list", name="INBOX", count=2)
    demo.send(login, letter(login.email, "news"))
    thunderbird("hear", name="INBOX", subject="news")
