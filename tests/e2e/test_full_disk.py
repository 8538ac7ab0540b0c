"""A disk that is full: mail is refused for now, reading goes on, and it ends without a restart."""

import contextlib
import os
import poplib
import smtplib
import subprocess

import pytest
from demo_server import Login, MadeServer

ANN = Login("ann@example.test", "correct horse 1")
DISK_MEBIBYTES = 24
ENVIRONMENT = {"MAILSUITE_LOG__OUTPUT": "stderr", "MAILSUITE_LIMITS__RATES": "false"}
SETTINGS = "[smtp]\nmessage_max_octets = 1000000\nfree_floor_octets = 4000000\n"
BALLAST = "ballast"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with little room."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEBIBYTES}m", "mailsuite-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this machine mounts no tmpfs: " + done.stderr.decode())
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def server(small_disk):
    made = MadeServer(small_disk / "srv", SETTINGS, environment=ENVIRONMENT).start()
    made.command("user", "add", ANN.email, "--password", ANN.password)
    yield made
    assert made.stop() == 0, "".join(made.output[-50:])


def _fill(folder, *, leave):
    """Write until no more than so many octets are left."""
    with (folder / BALLAST).open("ab") as stream:
        while (room := os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize - leave) > 0:
            try:
                stream.write(b"x" * min(room, 65536))
                stream.flush()
            except OSError:
                return


def _mail(server):
    """Begin a message; give the reply to MAIL."""
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
        client.ehlo("far.test")
        code, text = client.mail("far@elsewhere.test")
        return code, text.decode()


def _read(client):
    assert client.select("INBOX")[0] == "OK"
    kind, data = client.fetch("1", "(FLAGS ENVELOPE BODY.PEEK[])")
    assert kind == "OK"
    return data


def test_mail_is_refused_reading_goes_on_and_it_recovers(server, small_disk):
    server.send(ANN, "Subject: before\r\n\r\nstill here\r\n")
    server.eventually(lambda: server.count(ANN), lambda count: count == 1)
    _fill(small_disk, leave=2_000_000)
    # Each process finds out by itself, so that the next one may not know yet.
    replies = server.eventually(lambda: [_mail(server) for _ in range(4)], lambda all_: 250 not in dict(all_))
    assert dict(replies).keys() == {452}
    assert all(text.startswith("4.3.1") for _, text in replies)
    _fill(small_disk, leave=0)
    assert _mail(server)[0] == 452
    with server.imap(ANN) as client:
        assert b"still here" in b"".join(item[1] for item in _read(client) if isinstance(item, tuple))
        kind, data = client.append("INBOX", None, None, b"Subject: too much\r\n\r\n" + b"x" * 60_000)
        assert kind == "NO", data
        assert client.noop()[0] == "OK"
        _read(client)
    (small_disk / BALLAST).unlink()
    server.eventually(lambda: [_mail(server)[0] for _ in range(6)], lambda codes: set(codes) == {250})
    server.send(ANN, "Subject: after\r\n\r\nthere is room again\r\n")
    server.eventually(lambda: server.count(ANN), lambda count: count == 2)
    assert "Traceback" not in "".join(server.output)


def test_what_nobody_had_open_is_read_and_is_changed_when_there_is_room(server, small_disk):
    server.send(ANN, "Subject: before\r\n\r\nstill here\r\n")
    server.eventually(lambda: server.count(ANN), lambda count: count == 1)
    assert server.stop() == 0
    server.start()
    _fill(small_disk, leave=0)
    with server.imap(ANN) as client:
        assert b"still here" in b"".join(item[1] for item in _read(client) if isinstance(item, tuple))
        kind, data = client.fetch("1", "(BODY[TEXT])")
        assert (kind, data[0][1]) == ("OK", b"still here\r\n")
        assert client.search(None, "UNSEEN") == ("OK", [b"1"])
        for change in (lambda: client.store("1", "+FLAGS", "\\Flagged"), lambda: client.create("New")):
            kind, data = change()
            assert kind == "NO"
            assert data[0].startswith(b"[UNAVAILABLE] nothing can be changed now")
        with contextlib.closing(poplib.POP3_SSL("localhost", server.port("pop3s"), context=server.context)) as other:
            other.user(ANN.email)
            other.pass_(ANN.password)
            assert other.retr(1)[1][-1] == b"still here"
            other.dele(1)
            with pytest.raises(poplib.error_proto, match="some messages were not removed"):
                other.quit()
        (small_disk / BALLAST).unlink()
        server.eventually(lambda: client.store("1", "+FLAGS", "\\Flagged")[0], lambda kind: kind == "OK")
        assert b"\\Flagged" in client.fetch("1", "(FLAGS)")[1][0]
    assert "store.account.frozen" in "".join(server.output)
    assert "Traceback" not in "".join(server.output)


def test_room_that_runs_out_within_a_message_is_temporary_as_well(server, small_disk):
    server.send(ANN, "Subject: before\r\n\r\nstill here\r\n")
    server.eventually(lambda: server.count(ANN), lambda count: count == 1)
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
        client.ehlo("far.test")
        assert client.mail("far@elsewhere.test")[0] == 250
        assert client.rcpt(ANN.email)[0] == 250
        assert client.docmd("DATA")[0] == 354
        _fill(small_disk, leave=0)
        client.send(b"Subject: lost room\r\n\r\n" + b"x" * 70 + b"\r\n" * 1000)
        client.send((b"y" * 70 + b"\r\n") * 12_000 + b".\r\n")
        code, text = client.getreply()
    assert 400 <= code < 500, text
    (small_disk / BALLAST).unlink()
    # Each process finds out by itself, so that the next one may not know yet.
    server.eventually(lambda: [_mail(server)[0] for _ in range(6)], lambda codes: set(codes) == {250})
    server.send(ANN, "Subject: after\r\n\r\nthere is room again\r\n")
    server.eventually(lambda: server.count(ANN), lambda count: count == 2)
