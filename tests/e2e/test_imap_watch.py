"""
An idling client hears of what other programs do to the Maildir.

The server never looks at the mailboxes of who idles of its own accord here: what is heard, the folders themselves told.
"""

import os
import re
import shutil
import signal
import socket
import time

import pytest
from demo_server import CONDITION_SECONDS, DemoServer, eventually

NEVER = {"MAILSUITE_IMAP__IDLE_LOOK_SECONDS": "86400.0", "MAILSUITE_LIMITS__RATES": "false"}
MESSAGE = b"Subject: theirs\n\nbody\n"
SOON_SECONDS = 10
"""Far above what it takes, and far below any look."""


@pytest.fixture(scope="module", params=["0", "2"], ids=["one process", "two workers"])
def server(request, tmp_path_factory):
    environment = {**NEVER, "MAILSUITE_SERVER__WORKERS": request.param}
    made = DemoServer(tmp_path_factory.mktemp("watch") / "srv", "--no-sample-mail", environment=environment).start()
    yield made
    assert made.stop() == 0, "".join(made.output[-50:])


class Idler:
    """A client that has selected a mailbox and idles in it."""

    def __init__(self, server, login, mailbox="INBOX"):
        self._socket = socket.create_connection(("localhost", server.port("imap")), CONDITION_SECONDS)
        self._stream = self._socket.makefile("rb")
        self._stream.readline()
        for command in (f"LOGIN {login.email} {login.password}", f"SELECT {mailbox}"):
            self._say(command)
            while not (line := self._stream.readline()).startswith(b"a "):
                pass
            assert line.startswith(b"a OK"), line
        self.idle()

    def _say(self, command):
        self._socket.sendall(b"a " + command.encode() + b"\r\n")

    def idle(self):
        self._say("IDLE")
        assert self._stream.readline().startswith(b"+")

    def hear(self, pattern):
        """Read until a line fits; give what was read."""
        self._socket.settimeout(SOON_SECONDS)
        heard = b""
        while not re.search(pattern, heard, re.MULTILINE):
            line = self._stream.readline()
            assert line, heard
            heard += line
        return heard

    def close(self):
        self._stream.close()
        self._socket.close()


@pytest.fixture
def idle(server):
    opened = []

    def make(login, mailbox="INBOX"):
        opened.append(Idler(server, login, mailbox))
        return opened[-1]

    yield make
    for idler in opened:
        idler.close()


@pytest.fixture
def login(server):
    made = server.add_account()
    server.send(made, "Subject: ours\r\n\r\nbody\r\n")
    eventually(lambda: server.count(made), lambda count: count == 1)
    return made


def test_each_change_of_another_program_is_heard(server, login, idle):
    home = server.maildir(login)
    idler = idle(login)
    (home / "tmp/theirs").write_bytes(MESSAGE)
    (home / "tmp/theirs").rename(home / "new/theirs")
    idler.hear(rb"^\* 2 EXISTS")
    (home / "new/theirs").rename(home / "cur/theirs:2,S")
    idler.hear(rb"^\* 2 FETCH \(FLAGS \((\\Recent )?\\Seen\)\)")
    os.rename(home / "cur/theirs:2,S", home / "cur/theirs:2,FS")
    idler.hear(rb"^\* 2 FETCH \(FLAGS \(\\Flagged (\\Recent )?\\Seen\)\)")
    shutil.move(home / "cur/theirs:2,FS", home / ".Trash/cur/theirs:2,FS")
    idler.hear(rb"^\* 2 EXPUNGE")
    (ours,) = (home / "new").iterdir()
    ours.unlink()
    idler.hear(rb"^\* 1 EXPUNGE")


def test_a_file_that_another_program_moves_into_a_mailbox_is_heard_there(server, login, idle):
    home = server.maildir(login)
    idler = idle(login, "Archive")
    (ours,) = (home / "new").iterdir()
    ours.rename(home / ".Archive/cur" / f"{ours.name}:2,S")
    idler.hear(rb"^\* 1 EXISTS")


def test_it_is_heard_within_a_second_also_beside_deliveries_of_our_own(server, login, idle):
    home = server.maildir(login)
    idler = idle(login)
    times = []
    for number in range(5):
        server.send(login, "Subject: ours as well\r\n\r\nbody\r\n")
        idler.hear(rb"^\* %d EXISTS" % (2 + 2 * number))
        began = time.monotonic()
        (home / f"new/theirs{number}").write_bytes(MESSAGE)
        idler.hear(rb"^\* %d EXISTS" % (3 + 2 * number))
        times.append(time.monotonic() - began)
    assert min(times) < 1


def test_a_burst_is_heard_whole(server, login, idle):
    home = server.maildir(login)
    idler = idle(login)
    for number in range(3000):
        (home / f"new/theirs{number}").write_bytes(MESSAGE)
    idler.hear(rb"^\* 3001 EXISTS")


def test_what_happened_between_two_idles_is_heard(server, login, idle):
    home = server.maildir(login)
    idler = idle(login)
    idler._socket.sendall(b"DONE\r\n")
    idler.hear(rb"^a OK")
    (home / "new/theirs").write_bytes(MESSAGE)
    idler.idle()
    idler.hear(rb"^\* 2 EXISTS")


def test_a_folder_that_is_removed_is_empty_and_then_used_again(server, login, idle):
    home = server.maildir(login)
    (ours,) = (home / "new").iterdir()
    ours.rename(home / ".Archive/cur" / f"{ours.name}:2,S")
    idler = idle(login, "Archive")
    shutil.rmtree(home / ".Archive", ignore_errors=True)  # some of it may be made again meanwhile
    idler.hear(rb"^\* 1 EXPUNGE")
    eventually((home / ".Archive/new").is_dir, bool)
    (home / ".Archive/new/theirs").write_bytes(MESSAGE)
    idler.hear(rb"^\* 1 EXISTS")


def test_a_folder_that_another_program_renames_is_another_mailbox(server, login, idle):
    home = server.maildir(login)
    (ours,) = (home / "new").iterdir()
    ours.rename(home / ".Archive/cur" / f"{ours.name}:2,S")
    idler = idle(login, "Archive")
    (home / ".Archive").rename(home / ".Old")
    idler.hear(rb"^\* 1 EXPUNGE")
    with server.imap(login) as client:
        assert client.list('""', "Old")[1] == [b'(\\HasNoChildren) "/" Old']
    other = idle(login, "Old")
    (home / ".Old/new/theirs").write_bytes(MESSAGE)
    other.hear(rb"^\* 2 EXISTS")


def test_where_no_folder_can_be_watched_it_is_said_once_and_clients_are_told_when_it_is_looked_for(tmp_path):
    environment = {"MAILSUITE_IMAP__IDLE_LOOK_SECONDS": "0.2", "PYTHONPATH": str(tmp_path)}
    # As where all instances of a user are taken: the C library's function fails.
    (tmp_path / "sitecustomize.py").write_text(
        "import ctypes, errno\n"
        "given = ctypes.CDLL.__getattr__\n"
        "def refuse(*_):\n    ctypes.set_errno(errno.EMFILE)\n    return -1\n"
        "ctypes.CDLL.__getattr__ = lambda library, name: refuse if name == 'inotify_init1' else given(library, name)\n"
    )
    server = DemoServer(tmp_path / "srv", "--no-sample-mail", environment=environment).start()
    try:
        login = server.add_account()
        home = server.maildir(login)
        idlers = [Idler(server, login), Idler(server, login)]
        (home / "new/theirs").write_bytes(MESSAGE)
        for idler in idlers:
            idler.hear(rb"^\* 1 EXISTS")
            idler.close()
    finally:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(CONDITION_SECONDS)
    said = [line for path in (tmp_path / "srv/log").iterdir() for line in path.read_text().splitlines()]
    said = said or server.output
    told = [line for line in said if "folders cannot be watched" in line and "EMFILE" in line]
    processes = max(1, int(os.environ.get("MAILSUITE_SERVER__WORKERS", "0")))
    assert 1 <= len(told) <= processes
