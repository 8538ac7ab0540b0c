"""Mail that leaves by a ``[[route]]``: delivered once, tried again, given back; what the operator sees and does."""

import datetime as dt
import email
import email.policy
import json
import re
import smtplib
import ssl

import pytest
from demo_server import Login, MadeServer
from free_ports import free_port

from mailsuite.config.settings import TLSSettings
from mailsuite.config.tls import write_self_signed
from mailsuite.durable import Disk

aiosmtpd_controller = pytest.importorskip("aiosmtpd.controller", reason="needs aiosmtpd (the extra e2e)")

ANN = Login("ann@example.test", "correct horse 1")
EIGHT_BIT = "Subject: eight\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ngrün\r\n".encode()


class Sink:
    """A host of somebody else: takes mail, or says what the test wants it to say."""

    def __init__(self, **options):
        self.taken = []
        self.peers = []
        self.encrypted = False
        self.answers = []
        self.recipients = {}
        self._controller = aiosmtpd_controller.Controller(self, hostname="127.0.0.1", port=0, **options)
        self._controller.port = free_port()
        self._controller.start()
        self.port = self._controller.port

    async def handle_RCPT(self, _server, _session, envelope, address, options):
        answer = self.recipients.get(address)
        if answer is not None:
            return answer
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 fine"

    async def handle_DATA(self, _server, session, envelope):
        if self.answers:
            return self.answers.pop(0)
        self.peers.append(session.peer)
        self.encrypted = session.ssl is not None
        self.taken.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content, envelope.mail_options))
        return "250 2.0.0 taken"

    def stop(self):
        self._controller.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A context of TLS whose certificate no authority knows."""
    folder = tmp_path_factory.mktemp("certificate")
    settings = TLSSettings(certificate=str(folder / "cert.pem"), private_key=str(folder / "key.pem"))
    write_self_signed(settings, "localhost", Disk(), dt.datetime.now(dt.UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.certificate, settings.private_key)
    return context


@pytest.fixture(scope="module")
def sinks(certificate):
    made = {"modern": Sink(), "old": Sink(decode_data=True), "tls": Sink(tls_context=certificate)}
    yield made
    for sink in made.values():
        sink.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory, sinks):
    routes = [
        ("Sink.Test", "modern", "none"),
        ("old.test", "old", "opportunistic"),
        ("strict.test", "modern", "require"),
        ("tls.test", "tls", "opportunistic"),
        ("verified.test", "tls", "require"),
    ]
    queue = (
        "[queue]\nretry_first_seconds = 1.0\nretry_factor = 1.0\npoll_seconds = 0.2\nidle_connection_seconds = 60.0\n"
        "[submission]\ndowngrade = false\n"
    )
    text = queue + "".join(
        f'[[route]]\ndomain = "{domain}"\nhost = "127.0.0.1"\nport = {sinks[name].port}\ntls = "{tls}"\n'
        for domain, name, tls in routes
    )
    made = MadeServer(tmp_path_factory.mktemp("relay") / "srv", text).start()
    made.command("user", "add", ANN.email, "--password", ANN.password)
    yield made
    assert made.stop() == 0, "".join(made.output[-50:])


@pytest.fixture
def sink(sinks):
    """The modern sink, as if new."""
    sink = sinks["modern"]
    sink.taken.clear()
    sink.peers.clear()
    sink.answers.clear()
    sink.recipients.clear()
    return sink


def _submit(server, *recipients, content="Subject: out\r\n\r\nhello\r\n"):
    with smtplib.SMTP_SSL("localhost", server.port("submissions"), context=server.context) as client:
        client.login(ANN.email, ANN.password)
        client.sendmail(ANN.email, list(recipients), content)


def _queue(server, recipient):
    rows = json.loads(server.command("queue", "list", "--json").stdout)
    return [row for row in rows if any(item["address"] == recipient for item in row["recipients"])]


def _bounces(server):
    with server.imap(ANN) as client:
        client.select("INBOX")
        _, data = client.fetch("1:*", "(BODY.PEEK[])")
        return [
            email.message_from_bytes(item[1], policy=email.policy.default) for item in data if isinstance(item, tuple)
        ]


def _bounce_for(server, recipient):
    """Wait for the report on a recipient, and give its machine-readable fields."""

    def look():
        for message in _bounces(server):
            for part in message.walk():
                if part.get_content_type() == "message/delivery-status":
                    for fields in part.get_payload():
                        if recipient in fields.get("Final-Recipient", ""):
                            return message, fields
        return None

    return server.eventually(look, bool)


def test_mail_goes_to_the_host_of_its_route_once(server, sink):
    _submit(server, "bob@sink.test", "eve@sink.test")
    server.eventually(lambda: len(sink.taken), bool)
    server.eventually(lambda: _queue(server, "bob@sink.test"), lambda rows: rows == [])
    ((sender, recipients, content, _options),) = sink.taken
    assert (sender, recipients) == (ANN.email, ["bob@sink.test", "eve@sink.test"])
    assert content.startswith(b"Received: ")
    assert b"Return-Path" not in content


def test_mail_that_is_refused_for_now_is_tried_again(server, sink):
    sink.answers = ["451 4.3.2 come back later"]
    _submit(server, "later@sink.test")
    server.eventually(lambda: len(sink.taken), bool)
    server.eventually(lambda: _queue(server, "later@sink.test"), lambda rows: rows == [])
    assert len(sink.taken) == 1


def test_mail_that_is_refused_for_good_is_reported_to_its_sender(server, sink):
    sink.recipients["nobody@sink.test"] = "550 5.1.1 no such person"
    _submit(server, "nobody@sink.test", "bob@sink.test")
    message, fields = _bounce_for(server, "nobody@sink.test")
    assert message["Return-Path"] == "<>"
    assert message["Subject"].startswith("Undelivered mail")
    assert fields["Action"] == "failed"
    assert fields["Status"] == "5.1.1"
    assert "no such person" in fields["Diagnostic-Code"]
    assert [taken[1] for taken in sink.taken] == [["bob@sink.test"]]
    assert _queue(server, "nobody@sink.test") == []
    assert re.search(r"delivery of \S+ to nobody@sink\.test failed: 5\d\d .*no such person", "".join(server.output))


def test_without_a_route_the_queue_tells_why_the_mail_waits(server):
    _submit(server, "far@remote.test")
    (entry,) = server.eventually(
        lambda: _queue(server, "far@remote.test"), lambda rows: rows and rows[0]["recipients"][0]["status"]
    )
    assert entry["sender"] == ANN.email
    (recipient,) = entry["recipients"]
    assert "no route" in recipient["status"]
    assert recipient["state"] == "waiting"
    assert "no route" in server.command("queue", "list").stdout
    assert "no route" in server.command("queue", "show", entry["queue_id"]).stdout
    server.command("queue", "remove", entry["queue_id"])
    assert _queue(server, "far@remote.test") == []


def test_the_operator_holds_releases_retries_and_removes(server, sink):
    sink.recipients["held@sink.test"] = "450 4.2.1 not now"
    _submit(server, "held@sink.test")
    (entry,) = server.eventually(
        lambda: _queue(server, "held@sink.test"), lambda rows: rows and rows[0]["recipients"][0]["tries"]
    )
    name = entry["queue_id"]
    assert "not now" in entry["recipients"][0]["status"]
    server.command("queue", "hold", name)
    sink.recipients.clear()
    refused = server.command("queue", "retry", name, expect=1)
    assert "release it first" in refused.stderr
    server.command("queue", "flush")
    assert _queue(server, "held@sink.test")[0]["recipients"][0]["state"] == "held"
    assert sink.taken == []
    server.command("queue", "release", name)
    server.eventually(lambda: len(sink.taken), bool)
    server.eventually(lambda: _queue(server, "held@sink.test"), lambda rows: rows == [])
    assert "no such message" in server.command("queue", "retry", name, expect=1).stderr


def test_where_tls_is_required_mail_waits_rather_than_going_in_the_clear(server, sink):
    _submit(server, "safe@strict.test")
    (entry,) = server.eventually(
        lambda: _queue(server, "safe@strict.test"), lambda rows: rows and rows[0]["recipients"][0]["tries"]
    )
    assert "TLS is required and the host does not offer it" in entry["recipients"][0]["status"]
    assert sink.taken == []
    server.command("queue", "remove", entry["queue_id"])


def test_tls_is_used_where_it_is_offered_whatever_the_certificate(server, sinks):
    sinks["tls"].taken.clear()
    for number in range(2):
        _submit(server, f"bob{number}@tls.test")
        server.eventually(lambda: len(sinks["tls"].taken), lambda count, wanted=number + 1: count == wanted)
    assert sinks["tls"].encrypted
    assert len(set(sinks["tls"].peers)) == 1


def test_where_a_valid_certificate_is_required_mail_waits_for_one(server, sinks):
    sinks["tls"].taken.clear()
    _submit(server, "safe@verified.test")
    (entry,) = server.eventually(
        lambda: _queue(server, "safe@verified.test"), lambda rows: rows and rows[0]["recipients"][0]["tries"]
    )
    assert "the certificate is not trusted" in entry["recipients"][0]["status"]
    assert sinks["tls"].taken == []
    server.command("queue", "remove", entry["queue_id"])


@pytest.mark.parametrize("local_part", ["declared", "undeclared"])
def test_8bit_mail_is_converted_for_a_host_that_knows_none(server, sinks, local_part):
    recipient = f"{local_part}@old.test"
    sinks["old"].taken.clear()
    with smtplib.SMTP_SSL("localhost", server.port("submissions"), context=server.context) as client:
        client.login(ANN.email, ANN.password)
        client.sendmail(ANN.email, [recipient], EIGHT_BIT, ["BODY=8BITMIME"] if local_part == "declared" else [])
    server.eventually(lambda: len(sinks["old"].taken), bool)
    ((_sender, _recipients, content, options),) = sinks["old"].taken
    assert content.isascii()
    assert "8bit" not in str(options).lower()
    assert email.message_from_string(content).get_payload(decode=True) == "grün\r\n".encode()


def test_8bit_mail_that_is_signed_is_given_back_by_a_host_that_knows_none(server, sinks):
    sinks["old"].taken.clear()
    signed = b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n\xff\r\n--s--\r\n"
    with smtplib.SMTP_SSL("localhost", server.port("submissions"), context=server.context) as client:
        client.login(ANN.email, ANN.password)
        client.sendmail(ANN.email, ["signed@old.test"], signed, ["BODY=8BITMIME"])
    _message, fields = _bounce_for(server, "signed@old.test")
    assert fields["Status"] == "5.6.3"
    assert sinks["old"].taken == []


def test_one_connection_carries_one_message_after_another(server, sink):
    for number in range(3):
        _submit(server, f"bob{number}@sink.test")
        server.eventually(lambda: len(sink.taken), lambda count, wanted=number + 1: count == wanted)
    assert len(set(sink.peers)) == 1


def test_7bit_mail_goes_to_a_host_that_knows_no_8bit(server, sinks):
    sinks["old"].taken.clear()
    _submit(server, "plain@old.test")
    server.eventually(lambda: len(sinks["old"].taken), bool)
    assert "8bit" not in str(sinks["old"].taken).lower()


def test_8bit_mail_arrives_unchanged_and_declared_where_it_may_go(server, sink):
    with smtplib.SMTP_SSL("localhost", server.port("submissions"), context=server.context) as client:
        client.login(ANN.email, ANN.password)
        client.sendmail(ANN.email, ["bob@sink.test"], EIGHT_BIT)
    server.eventually(lambda: len(sink.taken), bool)
    ((_sender, _recipients, content, options),) = sink.taken
    assert content.endswith(b"\r\n\r\n" + "grün\r\n".encode())
    assert "BODY=8BITMIME" in options


def test_no_password_and_no_content_stands_in_the_log(server):
    log = "".join(server.output)
    assert ANN.password not in log
    assert "hello" not in log
    assert "ann@example.test" in log
