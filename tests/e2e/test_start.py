"""What keeps a server from starting is said in one line, with status 1; and who it runs as."""

import os
import pwd
import shutil
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from demo_server import Login, MadeServer
from other_user import python_for

ROOT = Path(__file__).parents[2]
ANN = Login("ann@example.test", "correct horse 1")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A server that is never started."""
    return MadeServer(tmp_path_factory.mktemp("template") / "srv")


@pytest.fixture
def made(template, tmp_path):
    """A copy of it for the test."""
    shutil.copytree(template.folder, tmp_path / "srv")
    server = MadeServer.__new__(MadeServer)
    server.__dict__ |= template.__dict__ | {"folder": tmp_path / "srv"}
    return server


def _serve(server, *options, environment=None):
    return subprocess.run(
        [*server.arguments(), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**server.environment, "MAILSUITE_LOG__OUTPUT": str(server.folder / "log" / "mail.log")}
        | (environment or {}),
    )


def _expose_key(folder):
    (folder / "data/keys/tls/key.pem").chmod(0o644)


def _break_certificate(folder):
    (folder / "data/keys/tls/cert.pem").write_text("no certificate\n")


def _break_accounts(folder):
    (folder / "data/mailsuite.db").write_text("no database" * 1000)


def _renew_accounts(folder):
    with sqlite3.connect(folder / "data/mailsuite.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()


def _renew_spool(folder):
    database = sqlite3.connect(folder / "data/spool/spool.db")
    database.execute("PRAGMA user_version = 99")
    database.close()


def _break_spool(folder):
    (folder / "data/spool/spool.db").write_text("no database" * 1000)


def _name_unknown_user(folder):
    text = (folder / "mailsuite.toml").read_text()
    (folder / "mailsuite.toml").write_text(text.replace("[server]", '[server]\nuser = "no-such-user"'))


def _name_unknown_endpoint(folder):
    with (folder / "mailsuite.toml").open("a") as stream:
        stream.write('[listen]\nimap = ["tpc:143"]\n')


def _shut_run_folder(folder):
    (folder / "run").rmdir()
    (folder / "run").write_text("")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_expose_key, ["key.pem", "chmod 600"]),
        (_break_certificate, ["cert.pem", "not a PEM certificate"]),
        (_break_accounts, ["account database", "not a database"]),
        (_renew_accounts, ["newer version"]),
        (_renew_spool, ["spool", "version 99"]),
        (_break_spool, ["spool", "not a database"]),
        (_name_unknown_user, ["server.user", "no-such-user"]),
        (_name_unknown_endpoint, ["listen.imap", "tpc"]),
        (_shut_run_folder, ["run"]),
    ],
)
def test_what_keeps_it_from_starting_is_one_line_and_status_1(made, spoil, words):
    spoil(made.folder)
    done = _serve(made)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert all(word in line for word in words), line
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["serve", "check"])
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[server]", "[server", ["mailsuite.toml", "not TOML", "line"]),
        ("[server]", "[server]\n# caf\udce9", ["mailsuite.toml", "not UTF-8"]),
        ("[server]", '[database]\nurl = "postgresql://localhost/mail"\n[server]', ["database.url", "sqlite:///path"]),
        ("log/mail.log", "no-such/mail.log", ["log.output", "no-such/mail.log"]),
        ("log/mail.log", "data", ["log.output", "/data"]),
        ('"127.0.0.1"', '"203.0.113.9"', ["203.0.113.9 is no address of this machine", "server.listen_address"]),
    ],
)
def test_what_is_wrong_with_the_configuration_is_one_line(made, command, old, new, words):
    path = made.folder / "mailsuite.toml"
    text = path.read_text() + '\n[log]\noutput = "log/mail.log"\n'
    assert old in text
    path.write_bytes(text.replace(old, new).encode("utf-8", "surrogateescape"))
    done = made.command(command, expect=1)
    (line,) = done.stderr.splitlines()
    assert all(word in line for word in words), line
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_configuration_that_cannot_be_read_is_one_line(made, command):
    (made.folder / "mailsuite.toml").unlink()
    missing = made.command(command, expect=1)
    (made.folder / "mailsuite.toml").mkdir()
    folder = made.command(command, expect=1)
    for done, reason in ((missing, "mailsuite init"), (folder, "directory")):
        (line,) = done.stderr.splitlines()
        assert "mailsuite.toml" in line
        assert reason in line


def test_a_port_that_another_program_has_is_one_line(made):
    with socket.create_server(("127.0.0.1", made.port("imap"))):
        done = _serve(made)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"port {made.port('imap')} (imap) on 127.0.0.1 is in use" in line


def test_a_server_without_a_domain_says_how_to_get_one(made):
    made.command("domain", "remove", "example.test")
    made.start()
    assert made.stop() == 0
    (line,) = [line for line in made.output if "no domain is ours" in line]
    assert "mailsuite domain add" in line
    made.command("domain", "add", "example.test")
    made.start()
    assert made.stop() == 0
    assert "no domain is ours" not in "".join(made.output)


def test_a_storage_that_is_not_there_yet_has_no_effect_and_that_is_said(made):
    with (made.folder / "mailsuite.toml").open("a") as stream:
        stream.write('[storage]\nbackend = "s3"\n')
    assert "storage.backend is set" in made.command("check").stderr
    made.start()
    assert made.stop() == 0
    assert [line for line in made.output if "storage.backend is set" in line]


@pytest.mark.parametrize(("spoil", "key"), [(_expose_key, "tls.certificate"), (_break_certificate, "tls.certificate")])
def test_check_looks_into_the_certificate(made, spoil, key):
    spoil(made.folder)
    done = made.command("check", expect=1)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{key}: ")


def test_a_queue_of_a_newer_version_is_not_shown_as_empty(made):
    _renew_spool(made.folder)
    assert "version 99" in made.command("queue", "list", expect=1).stderr


def test_the_second_of_two_says_who_is_there(made):
    made.start()
    try:
        done = _serve(made)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert f"process {made.process.pid}" in line
        busy = _serve(made, environment={"MAILSUITE_SERVER__DATA_DIR": str(made.folder / "other")})
        assert busy.returncode == 1
    finally:
        assert made.stop() == 0


@pytest.mark.parametrize("command", ["serve", "twistd"])
def test_a_second_one_in_the_background_ends_and_says_why(made, command):
    made.start()
    try:
        if command == "serve":
            done = _serve(made, "--daemon")
            (line,) = done.stderr.splitlines()
            assert f"process {made.process.pid}" in line
        else:
            path = made.folder / "mailsuite.toml"
            done = subprocess.run(
                [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
                + ["--pidfile=", "mailsuite", "--config", str(path)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                env={**made.environment, "MAILSUITE_LOG__OUTPUT": str(made.folder / "log" / "mail.log")},
            )
            assert "a server runs on" in done.stderr
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
    finally:
        assert made.stop() == 0


def test_what_goes_wrong_after_the_ports_are_taken_is_told_from_the_background_too(made):
    _break_spool(made.folder)
    done = _serve(made, "--daemon")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "spool" in line


@pytest.fixture
def dropping():
    """A server that begins as root and goes on as nobody, in a folder that nobody can reach."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    user = pwd.getpwnam("nobody")
    found = python_for(user)
    if found is None:
        pytest.skip("no Python that nobody may run with what we need")
    python, environment = found
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        made = MadeServer(Path(folder, "srv"), '[log]\noutput = "log/mail.log"\n')
        text = (made.folder / "mailsuite.toml").read_text()
        (made.folder / "mailsuite.toml").write_text(text.replace("[server]", '[server]\nuser = "nobody"'))
        made.environment = {**environment, "PYTHONUNBUFFERED": "1"}
        made.interpreter = [python, "-m", "mailsuite.cli.main"]
        made.user = user
        yield made
        if made.process is not None and made.process.poll() is None:
            made.kill()


def test_root_becomes_the_user_of_the_server_and_files_belong_to_it(dropping):
    refused = subprocess.run(
        dropping.arguments(), env=dropping.environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert f"chown -R nobody: {dropping.folder}" in line
    subprocess.run(["chown", "-R", "nobody:", str(dropping.folder)], check=True)
    dropping.start()
    uids = Path(f"/proc/{dropping.process.pid}/status").read_text().partition("Uid:")[2].split()[:4]
    assert set(uids) == {str(dropping.user.pw_uid)}
    dropping.command("user", "add", ANN.email, "--password", ANN.password)
    dropping.send(ANN, "Subject: for nobody\r\n\r\nhello\r\n")
    dropping.eventually(lambda: dropping.count(ANN), lambda count: count == 1)
    dropping.command("mailbox", "reindex", ANN.email)
    assert dropping.stop() == 0
    dropping.command("mailbox", "reindex", ANN.email)
    dropping.command("queue", "list")
    foreign = [path for path in dropping.folder.rglob("*") if path.lstat().st_uid != dropping.user.pw_uid]
    assert foreign == []


def test_a_log_that_was_moved_away_is_begun_anew(made):
    log = made.folder / "log" / "mail.log"
    made.environment = {**made.environment, "MAILSUITE_LOG__OUTPUT": str(log), "MAILSUITE_LOG__FORMAT": "json"}
    made.start()
    try:
        log.rename(log.with_suffix(".1"))
        time.sleep(1.1)  # it is looked for once a second

        def knock():
            with smtplib.SMTP("127.0.0.1", made.port("smtp"), timeout=10) as client:
                client.ehlo("x.test")
                client.mail("a@b.test")
                assert client.rcpt("nobody-here@example.test")[0] == 550
            return log.exists() and "nobody-here@example.test" in log.read_text()

        made.eventually(knock, bool)
        assert log.stat().st_mode & 0o777 == 0o600
    finally:
        made.process.send_signal(signal.SIGTERM)
        assert made.process.wait(60) == 0


def test_a_stale_process_id_file_is_replaced_and_readable(made, tmp_path):
    pidfile = tmp_path / "pid"
    made.options = ("--pidfile", str(pidfile))
    made.start()
    assert int(pidfile.read_text()) == made.process.pid
    assert pidfile.stat().st_mode & 0o777 == 0o644
    second = subprocess.run(made.arguments(), capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 1
    assert str(pidfile) in second.stderr.splitlines()[-1]
    made.kill()
    made.start()
    assert int(pidfile.read_text()) == made.process.pid
    assert made.stop() == 0
    assert not pidfile.exists()
