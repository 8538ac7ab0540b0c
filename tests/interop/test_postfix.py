"""Postfix as the other side: it takes our mail by a route, and hands us its own as its relay."""

import collections
import contextlib
import re
import shutil
import smtplib
import subprocess

import pytest
from demo_server import CONDITION_SECONDS, Login, MadeServer, eventually
from free_ports import free_port

from .postfix_instance import HELD_DOMAIN, HOSTNAME, Postfix, why_not
from .reading import read_all

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

ANN = Login("ann@example.test", "correct horse 1")
BEN = Login("jörg@example.test", "correct horse 2")
FAR = f"far@{HOSTNAME}"
HDRS, SUCCESS, DELAY = 2, 2, 8  # as Postfix writes them
LOAD = 500
LOAD_SECONDS = 120
EIGHT_BIT = (
    "From: {sender}\r\nTo: {target}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngrün\r\n.\r\n..\r\n"
)
ROUTE = '[[route]]\ndomain = "{domain}"\nhost = "127.0.0.1"\nport = {port}\n'


@pytest.fixture(scope="module")
def sink():
    """A port for smtp-sink."""
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory, sink):
    environment = {"MAILSUITE_LIMITS__RATES": "false", "MAILSUITE_SUBMISSION__DOWNGRADE": "false"}
    made = MadeServer(tmp_path_factory.mktemp("beside-postfix") / "srv", environment=environment)
    for login in (ANN, BEN):
        made.command("user", "add", login.email, "--password", login.password)
    made.command("alias", "add", "away@example.test", "load@sink.test")
    return made


@pytest.fixture(scope="module")
def postfix(server, sink):
    other = Postfix(server.port("smtp"))
    routes = [(HOSTNAME, other.port), (HELD_DOMAIN, other.port), ("sink.test", sink)]
    with (server.folder / "mailsuite.toml").open("a") as stream:
        stream.write("".join(ROUTE.format(domain=domain, port=port) for domain, port in routes))
    try:
        other.start()
        server.start()
        yield other
        assert server.stop() == 0, "".join(server.output[-50:])
    finally:
        other.stop()


def letter(sender: str, target: str, subject: str) -> bytes:
    return EIGHT_BIT.format(sender=sender, target=target, subject=subject).encode()


def submit(server, target: str, content: bytes, mail_options=(), rcpt_options=()) -> None:
    with smtplib.SMTP_SSL("localhost", server.port("submissions"), context=server.context) as client:
        client.login(ANN.email, ANN.password)
        client.sendmail(ANN.email, [target], content, list(mail_options), list(rcpt_options))


def give(postfix, target: str, content: bytes, mail_options=(), rcpt_options=(), sender=FAR) -> None:
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=CONDITION_SECONDS) as client:
        client.ehlo("client.test")
        client.sendmail(sender, [target], content, list(mail_options), list(rcpt_options))


# from us to Postfix


def test_8bit_mail_leaves_as_it_is(server, postfix) -> None:
    submit(server, f"one@{HOSTNAME}", letter(ANN.email, f"one@{HOSTNAME}", "out-8bit"), ["BODY=8BITMIME"])
    (message,) = eventually(lambda: postfix.received("out-8bit"), bool)
    assert message["Return-Path"] == f"<{ANN.email}>"
    assert message["X-Original-To"] == f"one@{HOSTNAME}"
    assert message["Content-Transfer-Encoding"] == "8bit"
    assert message.get_content().splitlines() == ["grün", ".", ".."]


def test_addresses_beyond_ascii_leave(server, postfix) -> None:
    target = f"zoë@{HOSTNAME}"
    submit(server, target, letter(ANN.email, target, "grüße-out"), ["SMTPUTF8", "BODY=8BITMIME"])
    (message,) = eventually(lambda: postfix.received("grüße-out"), bool)
    assert message["X-Original-To"] == target
    assert "with UTF8SMTP" in " ".join(message.get_all("Received")[0].split())


def test_what_was_asked_of_reports_reaches_postfix(server, postfix) -> None:
    submit(
        server,
        f"two@{HELD_DOMAIN}",
        letter(ANN.email, f"two@{HELD_DOMAIN}", "out-dsn"),
        ["RET=HDRS", "ENVID=envelope-1", "BODY=8BITMIME"],
        ["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;before@elsewhere.test"],
    )
    (envelope,) = eventually(postfix.queued, bool).values()
    facts = dict(re.findall(r"^(?:named_attribute: )?(\w+)[=:] *(\S+)", envelope, re.MULTILINE))
    assert facts["sender"] == ANN.email
    assert facts["recipient"] == f"two@{HELD_DOMAIN}"
    assert facts["envelope_id"] == "envelope-1"
    assert int(facts["ret_flags"]) == HDRS
    assert int(facts["notify_flags"]) == SUCCESS | DELAY
    assert facts["dsn_orig_rcpt"] == "rfc822;before@elsewhere.test"


# from Postfix to us


def test_8bit_mail_and_addresses_beyond_ascii_arrive(server, postfix) -> None:
    give(postfix, ANN.email, letter(FAR, ANN.email, "in-8bit"), ["BODY=8BITMIME"])
    found = eventually(lambda: [m for m in read_all(server, ANN) if m["Subject"] == "in-8bit"], bool)
    (message,) = found
    assert message["Return-Path"] == f"<{FAR}>"
    assert message["Content-Transfer-Encoding"] == "8bit"
    assert message.get_content().splitlines() == ["grün", ".", ".."]
    give(postfix, BEN.email, letter(FAR, BEN.email, "in-utf8"), ["SMTPUTF8", "BODY=8BITMIME"])
    folder = server.folder / "data/mail/example.test"
    (stored,) = eventually(lambda: list(folder.glob("j*rg/new/*")), bool)
    octets = stored.read_bytes()
    assert b"with UTF8SMTP" in octets
    assert f"To: {BEN.email}\r\n".encode() in octets


def test_postfix_gives_back_what_we_refuse(postfix) -> None:
    give(postfix, "nobody@example.test", letter(FAR, "nobody@example.test", "in-refused"))
    (report,) = eventually(lambda: postfix.received("Undelivered Mail Returned to Sender"), bool)
    status = next(part for part in report.walk() if part.get_content_type() == "message/delivery-status").as_string()
    assert "Final-Recipient: rfc822; nobody@example.test" in status
    assert "Status: 5.1.1" in status
    assert "550 5.1.1" in status


def test_a_report_that_was_asked_of_postfix_comes_from_us(server, postfix) -> None:
    give(
        postfix,
        ANN.email,
        letter(FAR, ANN.email, "in-dsn"),
        ["RET=HDRS", "ENVID=envelope-2"],
        ["NOTIFY=SUCCESS", "ORCPT=rfc822;before@elsewhere.test"],
    )

    def reports():
        return [message for message in postfix.received() if "envelope-2" in message.as_string()]

    (report,) = eventually(reports, bool)
    assert report.get_content_type() == "multipart/report"
    status = next(part for part in report.walk() if part.get_content_type() == "message/delivery-status").as_string()
    assert "Original-Envelope-Id: envelope-2" in status
    assert "Action: delivered" in status
    assert "Original-Recipient: rfc822;before@elsewhere.test" in status.replace("; ", ";")
    assert f"dns; {server_name(server)}" in status


def server_name(server) -> str:
    return next(
        line.split('"')[1] for line in (server.folder / "mailsuite.toml").read_text().splitlines() if "hostname" in line
    )


# load


def smtp_source(port: int, target: str) -> None:
    program = shutil.which("smtp-source")
    assert program is not None
    subprocess.run(
        [program, "-s", "10", "-m", str(LOAD), "-l", "2000", "-f", FAR, "-t", target, f"127.0.0.1:{port}"],
        check=True,
        timeout=LOAD_SECONDS,
        stdin=subprocess.DEVNULL,
    )


def once_each(names: "list[str]") -> None:
    """Each of the messages arrived, and none twice."""
    assert len(names) == LOAD
    assert [name for name, count in collections.Counter(names).items() if count > 1] == []


def test_many_messages_from_postfix_arrive_once(server, postfix) -> None:
    target = server.add_account()
    smtp_source(postfix.port, target.email)
    eventually(lambda: server.count(target), lambda count: count >= LOAD, LOAD_SECONDS)
    queue_ids = [
        re.search(rf"by {re.escape(HOSTNAME)} \(Postfix\).* id (\w+)", " ".join(str(each).split()))[1]
        for message in read_all(server, target)
        for each in message.get_all("Received")[1:]
    ]
    once_each(queue_ids)


@contextlib.contextmanager
def running_sink(postfix, port):
    """Run smtp-sink, which writes each message it takes into a file of its own."""
    program = shutil.which("smtp-sink")
    assert program is not None
    folder = postfix.make_folder("sink")
    command = [program, "-u", "postfix", "-d", f"{folder}/", f"127.0.0.1:{port}", "100"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield folder
    finally:
        process.terminate()
        process.wait(CONDITION_SECONDS)


def test_many_messages_to_another_site_leave_once(server, postfix, sink) -> None:
    with running_sink(postfix, sink) as folder:
        smtp_source(server.port("smtp"), "away@example.test")
        eventually(lambda: len(list(folder.iterdir())), lambda count: count >= LOAD, LOAD_SECONDS)
        eventually(lambda: server.command("queue", "list").stdout, lambda text: "load@sink.test" not in text)
    texts = [path.read_text("utf-8", "replace") for path in folder.iterdir()]
    once_each([re.search(r"^\s+id (\w+-\w+)", text, re.MULTILINE)[1] for text in texts])
    assert all("<load@sink.test>" in text for text in texts)
