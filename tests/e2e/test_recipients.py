"""Forwards, full mailboxes, backups and captured mail, changed by commands while the server runs."""

import json
import smtplib
import socket

import pytest
from demo_server import Login, MadeServer, eventually

aiosmtpd_controller = pytest.importorskip("aiosmtpd.controller", reason="needs aiosmtpd (the extra e2e)")

ANN = Login("ann@example.test", "correct horse 1")
BOB = Login("bob@example.test", "correct horse 2")
CAPTURE = Login("capture@temp.test", "correct horse 3")
STRANGER = "far@elsewhere.test"
TEXT = "From: far@elsewhere.test\r\nSubject: {}\r\n\r\nhello\r\n"


class Sink:
    """A host of somebody else."""

    def __init__(self):
        self.taken = []
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self._controller = aiosmtpd_controller.Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    async def handle_DATA(self, _server, _session, envelope):
        self.taken.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        return "250 2.0.0 taken"

    def stop(self):
        self._controller.stop()


@pytest.fixture(scope="module")
def sink():
    made = Sink()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory, sink):
    text = "[queue]\npoll_seconds = 0.2\n[capture]\nsweep_seconds = 0.2\n"
    text += f'[[route]]\ndomain = "*"\nhost = "127.0.0.1"\nport = {sink.port}\ntls = "none"\n'
    made = MadeServer(tmp_path_factory.mktemp("recipients") / "srv", text).start()
    for login in (ANN, BOB):
        made.command("user", "add", login.email, "--password", login.password)
    yield made
    assert made.stop() == 0, "".join(made.output[-50:])


def send(server, *recipients, sender=STRANGER, content=None):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
        client.sendmail(sender, list(recipients), content or TEXT.format("x"))


def say(server, recipient, sender=STRANGER, *options):
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
        client.ehlo("far.test")
        client.mail(sender, list(options))
        return client.rcpt(recipient)


def mailboxes(server, login):
    with server.imap(login) as client:
        _, lines = client.list()
        return {line.decode().rsplit('"/" ', 1)[1].strip('"') for line in lines}


def test_a_forward_acts_at_once_keeps_a_copy_and_reports_come_back(server, sink):
    server.command("user", "forward", ANN.email, "ann@far.test")
    before = server.count(ANN)
    send(server, ANN.email)
    [(sender, recipients, content)] = eventually(lambda: sink.taken, bool)
    assert recipients == ["ann@far.test"]
    assert sender.startswith("SRS0=")
    assert sender.endswith("=elsewhere.test=far@example.test")
    assert content.startswith(b"Delivered-To: ann@example.test\r\n")
    assert eventually(lambda: server.count(ANN), lambda count: count == before + 1)
    sink.taken.clear()
    send(server, sender.lower(), sender="", content=TEXT.format("a report"))
    [(null, recipients, _)] = eventually(lambda: sink.taken, bool)
    assert (null, recipients) == ("<>", [STRANGER])
    assert say(server, sender)[0] == 550
    assert say(server, sender.replace("elsewhere", "somewhere"), "")[0] == 550
    server.command("user", "forward", ANN.email, "--no-keep")
    with pytest.raises(smtplib.SMTPDataError) as caught:
        send(server, ANN.email, content=content)
    assert caught.value.smtp_code == 554
    server.command("user", "forward", ANN.email, "--off")
    sink.taken.clear()
    send(server, ANN.email)
    assert eventually(lambda: server.count(ANN), lambda count: count == before + 2)
    assert sink.taken == []


def test_a_full_mailbox_is_told_at_once_but_not_to_the_postmaster(server):
    server.command("user", "quota", BOB.email, "1000")
    server.command("alias", "add", "postmaster@example.test", BOB.email)
    assert say(server, BOB.email, STRANGER, "size=900")[0] == 250
    code, text = say(server, BOB.email, STRANGER, "size=1100")
    assert (code, text[:5]) == (452, b"4.2.2")
    before = server.count(BOB)
    send(server, "postmaster@example.test", content=TEXT.format("x") + "y" * 2000)
    eventually(lambda: server.count(BOB), lambda count: count == before + 1)


def test_mail_for_a_domain_that_is_backed_up_is_taken_and_passed_on(server, sink):
    assert say(server, "any@backed.test")[0] == 550
    server.command("domain", "add", "backed.test", "--backup-mx")
    sink.taken.clear()
    send(server, "Any.Body@backed.test")
    assert [taken[:2] for taken in eventually(lambda: sink.taken, bool)] == [(STRANGER, ["Any.Body@backed.test"])]
    server.command("domain", "remove", "backed.test")
    assert say(server, "any@backed.test")[0] == 550


def test_captured_mail_is_kept_under_its_name_read_by_imap_and_goes(server, sink):
    server.command("domain", "add", "temp.test")
    assert say(server, "one@temp.test")[0] == 550
    server.command("domain", "set", "temp.test", "--capture", "on")
    server.command("user", "passwd", CAPTURE.email, "--password", CAPTURE.password)
    sink.taken.clear()
    send(server, "One@temp.test", "two+tag@temp.test", "capture@temp.test")
    send(server, "one@temp.test")
    for name, count in (("one", 2), ("two+tag", 1), ("capture", 1)):
        eventually(lambda name=name: name in mailboxes(server, CAPTURE), bool)
        eventually(lambda name=name: server.count(CAPTURE, name), lambda found, count=count: found == count)
    with (
        pytest.raises(smtplib.SMTPAuthenticationError),
        smtplib.SMTP_SSL("localhost", server.port("submissions"), context=server.context) as client,
    ):
        client.login(CAPTURE.email, CAPTURE.password)
    assert json.loads(server.command("queue", "list", "--json").stdout) == []
    assert sink.taken == []
    server.command("domain", "set", "temp.test", "--capture-retention", "1s")
    eventually(lambda: mailboxes(server, CAPTURE), lambda names: not names & {"one", "two+tag", "capture"})
