"""Ports below 1024: as root that becomes somebody else, and as somebody with one capability."""

import os
import pwd
import secrets
import shutil
import smtplib
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from demo_server import PORTS, Login, MadeServer
from other_user import python_for

ANN = Login("ann@example.test", "correct horse 1")
CAP_NET_BIND_SERVICE = 1 << 10
UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def _low_ports():
    """Find free ports that need rights."""
    free = {}
    while len(free) < len(PORTS):
        number = 600 + secrets.randbelow(400)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
        if number not in free.values():
            free[list(PORTS)[len(free)]] = number
    return free


@pytest.fixture
def low():
    """A server of the user nobody, with low ports; not started."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    user = pwd.getpwnam("nobody")
    found = python_for(user)
    if found is None:
        pytest.skip("no Python that nobody may run with what we need")
    python, environment = found
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        ports = _low_ports()
        server = MadeServer(Path(folder, "srv"), '[log]\noutput = "log/mail.log"\n')
        services = {f"MAILSUITE_LISTEN__{name.upper()}": str(number) for name, number in ports.items()}
        server.environment = {
            **environment,
            **services,
            "PYTHONUNBUFFERED": "1",
            "MAILSUITE_SERVER__PORT_OFFSET": "0",
        }
        server.interpreter = [python, "-m", "mailsuite.cli.main"]
        server.port = lambda service: ports[service]
        server.user = user
        subprocess.run(["chown", "-R", "nobody:", str(server.folder)], check=True)
        yield server
        if server.process is not None and server.process.poll() is None:
            server.kill()


def _status(server, key):
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(line.split()[1:] for line in text.splitlines() if line.startswith(f"{key}:"))


def _serves(server):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
        assert client.sendmail("far@elsewhere.test", [ANN.email], "Subject: x\r\n\r\nx\r\n") == {}
    for service in ("imap", "pop3"):
        with socket.create_connection(("127.0.0.1", server.port(service)), 30) as client:
            assert client.recv(100)
    server.eventually(lambda: server.count(ANN), lambda count: count == 1)


def _all_belong_to(server):
    foreign = [path for path in server.folder.rglob("*") if path.lstat().st_uid != server.user.pw_uid]
    assert foreign == []


def test_root_binds_low_ports_and_becomes_somebody_without_rights(low):
    low.environment["MAILSUITE_SERVER__USER"] = "nobody"
    low.command("user", "add", ANN.email, "--password", ANN.password)
    low.start()
    try:
        assert set(_status(low, "Uid")) == {str(low.user.pw_uid)}
        assert set(_status(low, "Gid")) == {str(low.user.pw_gid)}
        assert _status(low, "Groups") == [str(low.user.pw_gid)]
        assert int(*_status(low, "CapEff"), 16) == 0
        assert int(*_status(low, "CapPrm"), 16) == 0
        _serves(low)
    finally:
        assert low.stop() == 0
    _all_belong_to(low)


def _as_nobody(server, *capabilities):
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is not installed; Debian package util-linux")
    group = str(server.user.pw_gid)
    command = server.arguments()
    return [setpriv, "--reuid=nobody", f"--regid={group}", "--clear-groups", "--no-new-privs", *capabilities, *command]


def test_one_capability_is_enough_for_low_ports(low):
    capability = "-all,+net_bind_service"
    command = _as_nobody(
        low, f"--bounding-set={capability}", "--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"
    )
    low.arguments = lambda: command
    low.start()
    try:
        assert set(_status(low, "Uid")) == {str(low.user.pw_uid)}
        assert int(*_status(low, "CapEff"), 16) == CAP_NET_BIND_SERVICE
        assert int(*_status(low, "NoNewPrivs")) == 1
    finally:
        assert low.stop() == 0
    _all_belong_to(low)


def test_without_it_one_line_says_what_to_do(low):
    if int(UNPRIVILEGED.read_text()) <= min(low.port(service) for service in PORTS):
        pytest.skip(f"{UNPRIVILEGED} lets everybody have these ports")
    done = subprocess.run(_as_nobody(low), env=low.environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"port {low.port('smtp')} (smtp) on 127.0.0.1 needs root or CAP_NET_BIND_SERVICE" in line
