"""Starting, stopping, and what goes wrong on the way."""

import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from demo_server import COMMAND, DemoServer, Login

ROOT = Path(__file__).parents[2]
ALICE = Login("alice@example.test", "alice-demo")
TWISTD = [sys.executable, "-m", "twisted"]


@pytest.fixture
def own_demo(tmp_path):
    """A server of this test's own, without mail."""
    server = DemoServer(tmp_path / "srv", "--no-sample-mail")
    yield server
    if server.process is not None and server.process.poll() is None:
        server.kill()


def _run(*arguments, environment=None):
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )


@pytest.mark.slow
def test_a_demo_is_ready_soon_keeps_its_mail_and_stops_with_status_0(tmp_path):
    server = DemoServer(tmp_path / "srv")
    began = time.monotonic()
    server.start()
    assert time.monotonic() - began < 20, "ready within 5 seconds on an idle machine"
    count = server.count(ALICE)
    assert count > 0
    server.send(ALICE, "Subject: one more\r\n\r\nhello\r\n")
    server.eventually(lambda: server.count(ALICE), lambda now: now == count + 1)
    assert server.stop() == 0
    server.start()
    assert server.count(ALICE) == count + 1
    assert server.stop() == 0


def test_the_demo_prints_where_it_listens_and_lines_to_copy(own_demo):
    own_demo.start()
    text = "".join(own_demo.output)
    for service in ("smtp", "submission", "imaps", "pop3s"):
        assert f"port {own_demo.port(service)}" in text
    assert text.count("  curl ") + text.count("  printf ") == 3
    assert "alice-demo" in text
    assert "Traceback" not in text
    assert own_demo.stop() == 0


def test_a_session_is_told_goodbye_and_a_message_under_way_is_finished(own_demo):
    own_demo.start()
    idle = socket.create_connection(("127.0.0.1", own_demo.port("imap")), 30)
    assert idle.recv(1000).startswith(b"* OK")
    sender = smtplib.SMTP("127.0.0.1", own_demo.port("smtp"), timeout=30)
    sender.ehlo("far.test")
    sender.mail("far@elsewhere.test")
    sender.rcpt(ALICE.email)
    assert sender.docmd("DATA")[0] == 354
    sender.send(b"Subject: under way\r\n\r\nfirst half\r\n")
    status = []
    stopping = threading.Thread(target=lambda: status.append(own_demo.stop()))
    stopping.start()
    assert b"* BYE" in idle.recv(1000)
    sender.send(b"second half\r\n.\r\n")
    assert sender.getreply()[0] == 250
    stopping.join(60)
    assert status == [0]
    idle.close()
    sender.close()
    own_demo.start()
    own_demo.eventually(lambda: own_demo.count(ALICE), lambda count: count == 1)
    assert own_demo.stop() == 0


def test_two_servers_never_run_on_one_folder(own_demo):
    own_demo.start()
    second = _run("demo", "--dir", str(own_demo.folder), "--port-offset", str(own_demo.offset + 1))
    assert second.returncode == 1
    assert "already" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    with own_demo.imap(ALICE):
        pass
    assert own_demo.stop() == 0


def test_a_busy_port_is_named_with_what_to_do(own_demo):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", own_demo.port("imap")))
        taken.listen()
        done = _run("demo", "--dir", str(own_demo.folder), "--port-offset", str(own_demo.offset))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"port {own_demo.port('imap')} (imap)" in line
    assert "listen.imap" in line


def test_a_certificate_is_replaced_without_restart(own_demo):
    own_demo.start()

    def served():
        with socket.create_connection(("127.0.0.1", own_demo.port("imaps")), 10) as plain:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with context.wrap_socket(plain) as tls:
                return tls.getpeercert(binary_form=True)

    before = served()
    code = (
        "import datetime as dt, sys\nfrom mailsuite.config import load_config\nfrom mailsuite.durable import Disk\n"
        "from mailsuite.config.tls import write_self_signed\n"
        "write_self_signed(load_config(sys.argv[1]).tls, 'new.example.test', Disk(), dt.datetime.now(dt.UTC))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(own_demo.folder / "mailsuite.toml")], check=True)
    own_demo.eventually(served, lambda now: now != before)

    def trusted():
        with smtplib.SMTP("127.0.0.1", own_demo.port("submission")) as client:
            try:
                client.starttls(context=own_demo.context)
            except ssl.SSLCertVerificationError:
                return False
        return True

    own_demo.eventually(trusted, bool)  # the next one may be served by another process, which looks by itself
    assert own_demo.stop() == 0


def _start(command, folder, environment=None):
    """Start a server that is no demo, and wait until it says that it is ready."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.strip() == "mailsuite is ready":
            return process
    raise AssertionError("".join(lines))


def _end(process):
    process.send_signal(signal.SIGTERM)
    with process.stdout as stream:
        rest = stream.read()
    status = process.wait(60)
    assert status == 0, rest


@pytest.fixture
def made(tmp_path):
    """A folder that init made, on free ports."""
    from free_ports import free_offset

    folder, offset = tmp_path / "srv", free_offset()
    done = _run(
        "init",
        str(folder),
        "--hostname",
        "mx.example.test",
        "--domain",
        "example.test",
        "--port-offset",
        str(offset),
        "--listen",
        "127.0.0.1",
        "--self-signed",
        "--admin",
        ALICE.email,
    )
    assert done.returncode == 0, done.stderr
    return folder, offset


def _greets(offset):
    with socket.create_connection(("127.0.0.1", offset + 25), 10) as client:
        return client.recv(200)


def test_serve_writes_its_process_id_and_a_stale_file_does_not_block(made, tmp_path):
    folder, offset = made
    pidfile = tmp_path / "pid"
    pidfile.write_text("1\n")
    config = str(folder / "mailsuite.toml")
    process = _start([*COMMAND, "-c", config, "serve", "--pidfile", str(pidfile)], tmp_path)
    assert int(pidfile.read_text()) == process.pid
    assert _greets(offset).startswith(b"220 mx.example.test")
    _end(process)
    assert not pidfile.exists()


def test_twistd_runs_the_suite(made, tmp_path):
    folder, offset = made
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile="]
    process = _start([*command, "mailsuite", "--config", str(folder / "mailsuite.toml")], tmp_path)
    assert _greets(offset).startswith(b"220 ")
    _end(process)


def test_twistd_runs_the_tac(made, tmp_path):
    folder, offset = made
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "--pidfile="]
    environment = {"MAILSUITE_CONFIG": str(folder / "mailsuite.toml")}
    process = _start([*command, "-ny", str(ROOT / "etc" / "mailsuite.tac")], tmp_path, environment)
    assert _greets(offset).startswith(b"220 ")
    _end(process)


def test_twistd_runs_each_role_beside_the_others(made, tmp_path):
    folder, offset = made
    command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile="]
    options = ["--config", str(folder / "mailsuite.toml")]
    running = [
        _start([*command, f"mailsuite-{role}", *options], tmp_path) for role in ("smtp", "queue", "imap", "pop3")
    ]
    for port in (25, 143, 110):
        with socket.create_connection(("127.0.0.1", offset + port), 10) as client:
            assert client.recv(200)
    for process in running:
        _end(process)


def test_serve_tells_every_fault_of_its_configuration(made):
    folder, _ = made
    config = folder / "mailsuite.toml"
    config.write_text(config.read_text() + "[imap]\nidle_secnds = 1\n[nonsense]\n")
    done = _run("-c", str(config), "serve")
    assert done.returncode == 1
    assert "imap.idle_secnds" in done.stderr
    assert "nonsense" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_certificate_the_services_with_tls_wait_and_the_others_work(tmp_path):
    from demo_server import eventually
    from free_ports import free_offset

    folder, offset = tmp_path / "srv", free_offset()
    done = _run(
        *["init", str(folder), "--hostname", "mx.example.test", "--domain", "example.test"],
        *["--port-offset", str(offset), "--listen", "127.0.0.1"],
    )
    assert done.returncode == 0
    certificate, key = folder / "cert.pem", folder / "key.pem"
    environment = {"MAILSUITE_TLS__CERTIFICATE": str(certificate), "MAILSUITE_TLS__PRIVATE_KEY": str(key)}
    process = _start([*COMMAND, "-c", str(folder / "mailsuite.toml"), "serve"], tmp_path, environment)

    def capabilities():
        with smtplib.SMTP("127.0.0.1", offset + 25, timeout=10) as client:
            client.ehlo("far.test")
            return set(client.esmtp_features)

    def listens():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", offset + 993)) == 0

    assert "starttls" not in capabilities()
    assert not listens()
    code = (
        "import datetime as dt, sys\nfrom mailsuite.config.tls import make_self_signed\n"
        "import os\nos.umask(0o077)\n"
        "pem, key = make_self_signed('mx.example.test', dt.datetime.now(dt.UTC))\n"
        "open(sys.argv[2], 'wb').write(key)\nopen(sys.argv[1], 'wb').write(pem)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(certificate), str(key)], check=True)
    eventually(listens, bool)
    assert "starttls" in capabilities()
    _end(process)


def test_the_log_is_json_when_asked(tmp_path):
    server = DemoServer(tmp_path / "srv", "--no-sample-mail", environment={"MAILSUITE_LOG__FORMAT": "json"})
    server.start()
    server.send(ALICE, "Subject: logged\r\n\r\nsecret body\r\n")
    server.eventually(lambda: server.count(ALICE), lambda count: count == 1)
    assert server.stop() == 0
    text = (server.folder / "log" / "mailsuite.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    events = {line["event"] for line in lines}
    assert {"service.listener.opened", "service.start.completed", "service.stop.completed"} <= events
    assert "spool.message.accepted" in events
    assert "secret body" not in text
    assert ALICE.password not in text
    assert not [line for line in lines if line["level"] == "critical"]


@pytest.mark.slow
def test_the_command_line_reaches_the_running_server(own_demo):
    own_demo.start()
    status = json.loads(own_demo.command("status", "--json").stdout)
    assert status["pid"] == own_demo.process.pid
    own_demo.send(ALICE, "Subject: one\r\n\r\nhello\r\n")
    own_demo.eventually(lambda: own_demo.count(ALICE), lambda count: count == 1)

    def inbox():
        rows = json.loads(own_demo.command("mailbox", "list", ALICE.email, "--json").stdout)
        return next(row for row in rows if row["name"] == "INBOX")

    def uids():
        with own_demo.imap(ALICE) as client:
            client.select("INBOX", readonly=True)
            return client.uid("SEARCH", "ALL")[1]

    before, uids_before = inbox(), uids()
    assert before["messages"] == 1
    own_demo.command("mailbox", "verify", ALICE.email)
    own_demo.command("mailbox", "reindex", ALICE.email)
    assert inbox()["uidvalidity"] == before["uidvalidity"]
    assert uids() == uids_before
    own_demo.command("mailbox", "list", "nobody@example.test", expect=1)
    own_demo.command("stop")
    assert own_demo.process.wait(60) == 0


def test_the_watchdog_tells_what_held_the_server_up(own_demo):
    """Where every turn takes too long, there is something to see."""
    own_demo.environment |= {"MAILSUITE_SERVER__STALL_SECONDS": "0.000001"}
    own_demo.start()
    own_demo.send(ALICE, "Subject: one\r\n\r\nhello\r\n")
    status = json.loads(own_demo.command("status", "--json").stdout)
    assert status["stalls"] > 0
    assert status["longest_stall_seconds"] > 0
    told = json.loads(own_demo.command("stalls", "--json").stdout)
    assert told["watching"]
    assert told["count"] >= status["stalls"]
    assert 0 < len(told["recent"]) <= 50
    assert sum(row["count"] for row in told["places"]) == told["count"]
    shown = own_demo.command("stalls")
    assert len(shown.stdout.splitlines()[0].split("\t")) == 4
    assert "in all, the longest" in shown.stderr
    assert own_demo.stop() == 0
    own_demo.command("stalls", expect=1)


def test_without_the_watchdog_that_is_said(own_demo):
    own_demo.environment |= {"MAILSUITE_SERVER__STALL_SECONDS": "0"}
    own_demo.start()
    assert "the watchdog is off" in own_demo.command("stalls").stderr
    assert own_demo.stop() == 0


def test_without_a_server_the_command_line_works_on_the_folder(own_demo):
    own_demo.start()
    own_demo.send(ALICE, "Subject: one\r\n\r\nhello\r\n")
    own_demo.eventually(lambda: own_demo.count(ALICE), lambda count: count == 1)
    assert own_demo.stop() == 0
    own_demo.command("status", expect=1)
    own_demo.command("stop", expect=1)
    own_demo.command("mailbox", "reindex", ALICE.email)
    rows = json.loads(own_demo.command("mailbox", "list", ALICE.email, "--json").stdout)
    assert {row["name"]: row["messages"] for row in rows}["INBOX"] == 1
    (stored,) = (own_demo.maildir(ALICE)).glob("*/*S=*")
    stored.unlink()
    findings = json.loads(own_demo.command("mailbox", "verify", ALICE.email, "--json", expect=1).stdout)
    assert len(findings) == 1


def test_a_daemon_leaves_the_terminal_and_its_process_id(made, tmp_path):
    from demo_server import eventually

    folder, offset = made
    pidfile = tmp_path / "pid"
    done = _run("-c", str(folder / "mailsuite.toml"), "serve", "--daemon", "--pidfile", str(pidfile))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "mailsuite is ready\n"
    pid = int(pidfile.read_text())
    try:
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", offset + 25)) == 0
        assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)} == {os.devnull}
        assert _run("-c", str(folder / "mailsuite.toml"), "stop").returncode == 0
        eventually(pidfile.exists, lambda there: not there)
    finally:
        if pidfile.exists():
            os.kill(pid, signal.SIGKILL)


def test_all_addresses_are_ipv4_and_ipv6_and_peers_are_shown_as_what_they_are(tmp_path):
    from free_ports import free_offset

    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    folder, offset = tmp_path / "srv", free_offset()
    done = _run(
        *["init", str(folder), "--hostname", "mx.example.test", "--domain", "example.test"],
        *["--port-offset", str(offset), "--self-signed"],
    )
    assert done.returncode == 0
    environment = {"MAILSUITE_LOG__OUTPUT": "log.json", "MAILSUITE_LOG__FORMAT": "json"}
    process = _start([*COMMAND, "-c", str(folder / "mailsuite.toml"), "serve"], tmp_path, environment)
    for host in ("127.0.0.1", "::1"):
        with smtplib.SMTP(host, offset + 25, timeout=10) as client:
            client.ehlo("far.test")
            client.mail("far@elsewhere.test")
            assert client.rcpt("nobody@example.test")[0] == 550
    _end(process)
    lines = [json.loads(line) for line in (folder / "log.json").read_text().splitlines()]
    assert {line["peer"] for line in lines if "peer" in line} == {"127.0.0.1", "::1"}
