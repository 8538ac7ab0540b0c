"""What ``mailsuite trace`` tells, after a crash and without a server as well."""

import contextlib
import json
import smtplib
import socket
import sqlite3

import pytest
from demo_server import CONDITION_SECONDS, DemoServer, Login, MadeServer, eventually

from mailsuite.durable import Disk
from mailsuite.trace import Trace

ALICE = Login("alice@example.test", "alice-demo")
BOB = Login("bob@example.test", "bob-demo")


def story(server, name):
    return json.loads(server.command("trace", name, "--json").stdout)


def events(server, name):
    return [row["event"] for row in story(server, name)]


def search(server, *options):
    return json.loads(server.command("trace", *options, "--json").stdout)


@pytest.fixture(params=["0", "2"], ids=["alone", "workers"])
def server(tmp_path, request):
    """Give a server of the test's own."""
    environment = {"MAILSUITE_SERVER__WORKERS": request.param}
    made = DemoServer(tmp_path / "srv", "--no-sample-mail", environment=environment).start()
    yield made
    if made.process is not None and made.process.poll() is None:
        assert made.stop() == 0


def test_a_trace_survives_kill_and_is_told_without_a_server(server):
    server.send(ALICE, "Message-ID: <one@elsewhere.test>\r\n\r\nx\r\n")
    # Nobody asks the server, which would write at once.
    reader = Trace(str(server.folder / "data/trace"), Disk())
    eventually(lambda: reader.story("one@elsewhere.test"), lambda rows: len(rows) == 2)
    server.kill()
    whole = ["spool.message.accepted", "spool.delivery.completed"]
    assert events(server, "one@elsewhere.test") == whole
    server.start()
    told = events(server, "one@elsewhere.test")
    assert told[:2] == whole
    assert set(told[2:]) <= {whole[1]}  # what was not synced is delivered again, and recognized
    assert server.stop() == 0
    (row,) = search(server, "--recipient", "Alice@example.test")
    assert (row["sender"], row["recipients"], row["state"]) == ("far@elsewhere.test", [ALICE.email], "delivered")
    assert server.command("trace", "X-1", expect=1).stderr == "Error: nothing is known of X-1\n"


def test_refusals_of_a_transaction_are_part_of_its_story(server):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=CONDITION_SECONDS) as smtp:
        smtp.ehlo("mx.elsewhere.test")
        smtp.mail("far@elsewhere.test")
        assert smtp.rcpt("nobody@example.test")[0] == 550
        assert smtp.rcpt(BOB.email)[0] == 250
        assert smtp.data(b"Message-ID: <two@elsewhere.test>\r\n\r\nx\r\n")[0] == 250
        smtp.mail("far@elsewhere.test")
        smtp.rcpt(BOB.email)
        smtp.putcmd("DATA")
        smtp.getreply()
        smtp.send(b"Subject: x\r\n\r\nbare\nnewline\r\n.\r\n")
        assert smtp.getreply()[0] == 550
    rows = eventually(lambda: story(server, "two@elsewhere.test"), lambda rows: len(rows) == 3)
    assert [row["event"] for row in rows] == [
        "smtp.rcpt.refused",
        "spool.message.accepted",
        "spool.delivery.completed",
    ]
    assert rows[0]["text"] == "recipient nobody@example.test refused: 550 no such mailbox"
    accepted = rows[1]["fields"]
    assert accepted["helo"] == "mx.elsewhere.test"
    assert accepted["port"] == server.port("smtp")
    assert accepted["targets"] == ["bob@example.test/INBOX"]
    refused, accepted = search(server, "--recipient", BOB.email, "--since", "1h")
    assert refused["state"] == "refused"
    assert "bare CR or LF" in refused["text"]
    assert accepted["state"] == "refused, delivered"
    assert accepted["recipients"] == ["nobody@example.test", BOB.email]
    assert search(server, "--sender", "nobody@elsewhere.test") == []


def test_a_message_that_broke_off_is_told(server):
    with socket.create_connection(("127.0.0.1", server.port("smtp")), CONDITION_SECONDS) as wire:
        stream = wire.makefile("rwb", buffering=0)
        for line in (b"EHLO x", b"MAIL FROM:<cut@elsewhere.test>", b"RCPT TO:<bob@example.test>", b"DATA"):
            stream.readline()
            stream.write(line + b"\r\n")
            if line.startswith(b"EHLO"):
                while stream.readline()[3:4] == b"-":
                    pass
                stream.write(b"NOOP\r\n")
        while not stream.readline().startswith(b"354"):
            pass
        stream.write(b"Subject: half\r\n")
        stream.close()
    (row,) = eventually(lambda: search(server, "--sender", "cut@elsewhere.test"), bool)
    assert (row["state"], row["recipients"]) == ("abandoned", [BOB.email])
    assert row["text"] == "127.0.0.1 left before the message was complete"


def test_what_the_operator_does_to_the_queue_is_told(server):
    with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=CONDITION_SECONDS) as smtp:
        smtp.login(ALICE.email, ALICE.password)
        smtp.sendmail(ALICE.email, ["away@elsewhere.test"], "Message-ID: <out@x>\r\n\r\nx\r\n")
    rows = eventually(lambda: story(server, "out@x"), lambda rows: len(rows) > 1)
    assert rows[0]["fields"]["account"] == ALICE.email
    assert rows[1]["event"] == "queue.recipient.deferred"
    name = rows[0]["queue_id"]
    for verb in ("hold", "release", "retry"):
        server.command("queue", verb, name)
    server.command("queue", "release", "--all")  # it is not held any more
    server.command("queue", "remove", "--domain", "elsewhere.test")
    told = [row for row in story(server, name) if row["event"].startswith("queue.message.")]
    assert [row["event"].rpartition(".")[2] for row in told] == ["held", "released", "retried", "removed"]
    assert all(row["fields"]["by"].endswith("on the command line") for row in told)
    (row,) = search(server, "--sender", ALICE.email, "--recipient", "away@elsewhere.test")
    assert row["state"] == "removed"


def test_a_damaged_trace_stops_neither_server_nor_mail(tmp_path):
    server = DemoServer(tmp_path / "srv", "--no-sample-mail").start()
    server.send(ALICE, "Message-ID: <one@x>\r\n\r\nx\r\n")
    eventually(lambda: events(server, "one@x"), lambda told: len(told) == 2)
    assert server.stop() == 0
    (file,) = (server.folder / "data/trace").glob("*.db")
    file.write_bytes(b"\xff" * 8192)
    server.start()
    server.send(ALICE, "Message-ID: <two@x>\r\n\r\nx\r\n")
    eventually(lambda: events(server, "two@x"), lambda told: len(told) == 2)
    assert server.stop() == 0
    assert any("trace.file.damaged" in line for line in (server.folder / "log/mailsuite.log").read_text().splitlines())
    assert f"{file.name} cannot be read and was left out" in server.command("trace", "two@x").stderr


def test_nothing_is_kept_where_nothing_is_wanted(tmp_path):
    server = DemoServer(tmp_path / "srv", "--no-sample-mail", environment={"MAILSUITE_TRACE__DAYS": "0"}).start()
    server.send(ALICE, "Message-ID: <one@x>\r\n\r\nx\r\n")
    assert "trace.days is 0" in server.command("trace", "one@x", expect=1).stderr
    assert server.stop() == 0
    assert not (server.folder / "data/trace").exists()


def test_neither_content_nor_subject_is_kept(tmp_path):
    server = MadeServer(tmp_path / "srv").start()
    login = server.add_account()
    server.send(login, "Message-ID: <one@x>\r\nSubject: secret-subject\r\n\r\nsecret-body\r\n")
    eventually(lambda: events(server, "one@x"), lambda told: len(told) == 2)
    assert server.stop() == 0
    (file,) = (server.folder / "data/trace").glob("*.db")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        dump = "".join(connection.iterdump())
    assert "<one@x>" in dump
    assert "secret" not in dump


@pytest.mark.parametrize("arguments", [[], ["A-1", "--since", "2h"], ["--since", "yesterday"]])
def test_what_is_asked_for_must_make_sense(tmp_path, arguments):
    server = MadeServer(tmp_path / "srv")
    server.command("trace", *arguments, expect=2)
