"""The programs of docs/embedding.rst run, and do what the page says."""

import contextlib
import imaplib
import re
import smtplib
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from demo_server import COMMAND, eventually
from free_ports import free_offset

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
SECONDS = 30
ANY_PORT = "tcp:0:interface=127.0.0.1"


@contextlib.contextmanager
def running(program, *arguments):
    """Start an example; give its process and the first line that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-u", EXAMPLES / program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    watch = threading.Timer(SECONDS, process.kill)
    watch.start()
    try:
        yield process, process.stdout.readline()
    finally:
        watch.cancel()
        process.terminate()
        process.wait(SECONDS)
        process.stdout.close()


def port_in(line):
    return int(re.fullmatch(r"listening on port (\d+)\n", line)[1])


def test_imap_serves_somebody_elses_portal():
    with running("imap_server.py", ANY_PORT) as (_, line):
        client = imaplib.IMAP4("127.0.0.1", port_in(line), timeout=SECONDS)
        with pytest.raises(imaplib.IMAP4.error):
            client.login("alice", "wrong")
        assert client.login("alice", "alices-password")[0] == "OK"
        assert client.select() == ("OK", [b"2"])
        kind, data = client.fetch("1:*", "(FLAGS BODY.PEEK[TEXT])")
        assert kind == "OK"
        assert [part[1] for part in data if isinstance(part, tuple)] == [
            b"Water the plants\r\n",
            b"Call Bob about Thursday\r\n",
        ]
        assert client.search(None, "SUBJECT", "plants") == ("OK", [b"1"])
        assert client.store("2", "+FLAGS", "\\Flagged") == ("OK", [b"2 (FLAGS (\\Flagged))"])
        client.logout()


def test_the_imap_example_has_ten_lines():
    lines = (EXAMPLES / "imap_server.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) == 10


def test_smtp_delivers_to_somebody_elses_delivery():
    with running("smtp_server.py", ANY_PORT) as (process, line):
        with smtplib.SMTP("127.0.0.1", port_in(line), timeout=SECONDS) as client:
            refused = client.sendmail(
                "far@elsewhere.test", ["tickets@example.test", "x@example.test"], "Subject: broken\r\n\r\nhelp\r\n"
            )
        assert refused["x@example.test"][0] == 550
        printed = [process.stdout.readline() for _ in range(4)]
    assert printed[0].startswith("Received: from ")
    assert printed[1:] == ["Subject: broken\n", "\n", "help\n"]


def test_the_suite_runs_as_a_part_of_another_program(tmp_path):
    folder, offset = tmp_path / "srv", free_offset()
    made = [*COMMAND, "init", str(folder), "--hostname", "mx.example.test", "--domain", "example.test"]
    made += ["--port-offset", str(offset), "--listen", "127.0.0.1", "--self-signed"]
    subprocess.run(made, check=True, capture_output=True, timeout=60)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        echo_port = free.getsockname()[1]
    echo = f"tcp:{echo_port}:interface=127.0.0.1"
    with running("suite_inside.py", folder / "mailsuite.toml", echo) as (process, line):
        assert line == "mail is served\n"
        with socket.create_connection(("127.0.0.1", echo_port), SECONDS) as client:
            client.sendall(b"still here")
            assert client.recv(100) == b"still here"
        with socket.create_connection(("127.0.0.1", offset + 25), SECONDS) as client:
            assert client.recv(100).startswith(b"220 mx.example.test")
        process.terminate()
        process.wait(SECONDS)

    def listens():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", offset + 25)) == 0

    eventually(listens, lambda there: not there)


def test_every_example_stands_on_the_page():
    page = (ROOT / "docs" / "embedding.rst").read_text()
    assert re.findall(r"^ *\$ (.*)", page, re.MULTILINE) == ["python imap_server.py tcp:1143:interface=127.0.0.1"]
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(re.findall(r"literalinclude:: examples/(\S+)", page))
