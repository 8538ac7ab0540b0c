"""Faults around worker processes: what cannot be started, what hangs, what is in the way."""

import subprocess

import pytest
from demo_server import MadeServer

TWO_WORKERS = {"MAILSUITE_SERVER__WORKERS": "2"}


@pytest.fixture
def server(tmp_path):
    server = MadeServer(tmp_path / "srv", environment=TWO_WORKERS)
    yield server
    if server.process is not None and server.process.poll() is None:
        server.stop()


def workers_of(server):
    rows = [line.split("\t") for line in server.command("status").stdout.splitlines() if "\t" in line]
    return {row[0]: int(row[1]) for row in rows}


def test_what_keeps_a_worker_from_starting_is_said_in_one_line(server):
    server.start().stop()
    root = server.folder / "data" / "mail"
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    root.rmdir()
    root.write_text("in the way")
    done = subprocess.run(server.arguments(), capture_output=True, text=True, env=server.environment, timeout=60)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("mailsuite cannot start")]
    assert str(root) in line
    assert "Traceback" not in done.stderr


def test_workers_find_modules_where_their_parent_does_and_nowhere_else(server, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('somebody put this here')\n")
    monkeypatch.chdir(tmp_path)
    # As an installed command does, which has its own folder first, and not where it is called.
    server.interpreter = [server.interpreter[0], "-P", *server.interpreter[1:]]
    server.start()
    assert set(workers_of(server)) == {"worker-0", "worker-1", "queue"}


def test_an_endpoint_that_does_more_than_open_a_port_is_refused(tmp_path):
    """The parent would hand over what is below it: its clients would get no TLS."""
    first = MadeServer(tmp_path / "first", environment=TWO_WORKERS)
    first.start().stop()
    keys = first.folder / "data" / "keys" / "tls"
    text = f"ssl:0:interface=127.0.0.1:privateKey={keys / 'key.pem'}:certKey={keys / 'cert.pem'}"
    server = MadeServer(tmp_path / "srv", f'[listen]\nimap = ["{text}"]\n', environment=TWO_WORKERS)
    done = subprocess.run(server.arguments(), capture_output=True, text=True, env=server.environment, timeout=60)
    assert done.returncode == 1
    assert "mailsuite cannot start: listen.imap: 'ssl:0:" in done.stderr
    assert "server.workers" in done.stderr
