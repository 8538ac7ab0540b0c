"""fetchmail and getmail6 drain a maildrop by POP3."""

import mailbox
from pathlib import Path

import pytest

pytestmark = pytest.mark.interop
LETTERS = 7


@pytest.fixture
def filled(demo, account):
    target = account()
    for number in range(LETTERS):
        demo.send(target, f"Subject: letter {number}\r\n\r\n.dots\r\n..\r\nend {number}\r\n")
    demo.eventually(lambda: demo.count(target), lambda count: count == LETTERS)
    return target


def test_fetchmail_drains_and_leaves_nothing(demo, filled, program, run, tmp_path: Path) -> None:
    got = tmp_path / "got"
    got.mkdir()
    configuration = tmp_path / "fetchmailrc"
    configuration.write_text(
        f"poll localhost protocol POP3 service {demo.port('pop3s')} timeout 30\n"
        f'  user "{filled.email}" password "{filled.password}" ssl sslcertck sslcertfile "{demo.certificate}"\n'
        f"  mda \"sh -c 'cat > {got}/$$'\" fetchall\n"
    )
    configuration.chmod(0o700)
    run(
        [
            program("fetchmail", "fetchmail"),
            "--fetchmailrc",
            str(configuration),
            "--pidfile",
            str(tmp_path / "pid"),
            "-v",
        ]
    )
    texts = [path.read_text() for path in got.iterdir()]
    assert len(texts) == LETTERS
    assert all("\n.dots\n..\nend " in text for text in texts)
    assert demo.count(filled) == 0


def test_getmail_drains_into_a_maildir(demo, filled, program, run, tmp_path: Path) -> None:
    target = tmp_path / "got"
    for name in ("", "cur", "new", "tmp"):
        (target / name).mkdir()
    store = tmp_path / "store.sh"
    store.write_text(f"#!/bin/sh\nexec cat > {target}/new/$$.letter\n")
    store.chmod(0o700)
    configuration = tmp_path / "getmailrc"
    configuration.write_text(
        f"[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = {demo.port('pop3s')}\n"
        f"username = {filled.email}\npassword = {filled.password}\nca_certs = {demo.certificate}\n"
        f"[destination]\ntype = MDA_external\npath = {store}\nallow_root_commands = true\n"
        "[options]\ndelete = true\nread_all = true\n"
    )
    run([program("getmail", "getmail6"), "--getmaildir", str(tmp_path), "--rcfile", str(configuration)])
    subjects = sorted(message["Subject"] for message in mailbox.Maildir(target, create=False))
    assert subjects == [f"letter {number}" for number in range(LETTERS)]
    assert demo.count(filled) == 0


def test_mpop_drains_into_a_maildir(demo, filled, program, run, tmp_path: Path) -> None:
    target = tmp_path / "got"
    for name in ("", "cur", "new", "tmp"):
        (target / name).mkdir()
    run(
        [program("mpop", "mpop"), "-C", "/dev/null", "--host=localhost", f"--port={demo.port('pop3s')}"]
        + ["--tls=on", "--tls-starttls=off", f"--tls-trust-file={demo.certificate}", "--auth=plain", "--keep=off"]
        + [f"--user={filled.email}", f"--passwordeval=echo {filled.password}"]
        + [f"--delivery=maildir,{target}", f"--uidls-file={tmp_path / 'uidls'}"]
    )
    subjects = sorted(message["Subject"] for message in mailbox.Maildir(target, create=False))
    assert subjects == [f"letter {number}" for number in range(LETTERS)]
    assert demo.count(filled) == 0


def test_fetchmail_drains_by_imap(demo, filled, program, run, tmp_path: Path) -> None:
    got = tmp_path / "got"
    got.mkdir()
    configuration = tmp_path / "fetchmailrc"
    configuration.write_text(
        f"poll localhost protocol IMAP service {demo.port('imaps')} timeout 30\n"
        f'  user "{filled.email}" password "{filled.password}" ssl sslcertck sslcertfile "{demo.certificate}"\n'
        f"  mda \"sh -c 'cat > {got}/$$'\" fetchall\n"
    )
    configuration.chmod(0o700)
    pidfile = str(tmp_path / "pid")
    run([program("fetchmail", "fetchmail"), "--fetchmailrc", str(configuration), "--pidfile", pidfile])
    assert len([path for path in got.iterdir() if "\n.dots\n..\nend " in path.read_text()]) == LETTERS
    assert demo.count(filled) == 0
