"""What senders ask of their mail beside that it arrives, and what hosts and content try on the way."""

import contextlib
import email
import json
import re
import smtplib
import time

import pytest
from demo_server import Login, MadeServer
from dns_server import DNSServer
from far_hosts import FarHost

PLAIN, KNOWING, SHARED, LITERAL, SENDERS, INJECTING = (f"127.0.0.{number}" for number in range(31, 37))
ZONE = f"""
$TTL 60
plain.test. IN MX 10 mx.plain.test.
mx.plain.test. IN A {PLAIN}
secure.test. IN MX 10 mx.secure.test.
mx.secure.test. IN A {PLAIN}
secure.test. IN SOA ns.secure.test. hostmaster.secure.test. 1 3600 600 86400 60
knowing.test. IN MX 10 mx.knowing.test.
mx.knowing.test. IN A {KNOWING}
xn--bcher-kva.test. IN MX 10 mx.knowing.test.
one.test. IN MX 10 mx.shared.test.
two.test. IN MX 10 mx.shared.test.
mx.shared.test. IN A {SHARED}
senders.test. IN MX 10 mx.senders.test.
mx.senders.test. IN A {SENDERS}
injecting.test. IN MX 10 mx.injecting.test.
mx.injecting.test. IN A {INJECTING}
"""
SETTINGS = """
[queue]
retry_first_seconds = 0.3
retry_factor = 1.0
poll_seconds = 0.1
pause_first_seconds = 0.3
warn_seconds = 1.0
smtp_port = {port}
sts = false
idle_connection_seconds = 60.0
[dns]
dnssec = true
[[route]]
domain = "strict.test"
host = "{injecting}"
port = {port}
tls = "require"
"""
DEFERRED = (b"busy@plain.test",)
REFUSED = (b"nobody@plain.test", b"never@plain.test", b"whole@plain.test", b"header@plain.test")
HOLD_SECONDS = 2
INJECTED = b"220 2.0.0 go\r\n250-far.test\r\n250 AUTH PLAIN\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n250 taken"


@pytest.fixture(scope="module")
def far_and_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wishes")
    with contextlib.ExitStack() as stack:
        names = stack.enter_context(DNSServer(folder / "zone", ZONE, "--secure", "secure.test"))
        server = MadeServer(folder / "srv", environment={**names.environment, "MAILSUITE_QUEUE__MX": "true"})
        port = server.offset + 25
        with (server.folder / "mailsuite.toml").open("a") as stream:
            stream.write(SETTINGS.format(port=port, injecting=INJECTING))
        hosts = {
            "plain": FarHost(PLAIN, port, refuses=REFUSED, defers=DEFERRED),
            "knowing": FarHost(KNOWING, port, extensions=(b"8BITMIME", b"DSN", b"SMTPUTF8")),
            "shared": FarHost(SHARED, port),
            "literal": FarHost(LITERAL, port),
            "senders": FarHost(SENDERS, port),
            "injecting": FarHost(INJECTING, port, extensions=(b"STARTTLS",), starttls=INJECTED),
        }
        for host in hosts.values():
            stack.enter_context(host)
        server.start()
        yield hosts, server
        assert server.stop() == 0, "".join(server.output[-50:])


@pytest.fixture
def far(far_and_server):
    return far_and_server[0]


@pytest.fixture
def server(far_and_server):
    return far_and_server[1]


@pytest.fixture
def ann(server):
    return server.add_account()


def text(sender, recipient, subject="asked", body="hello"):
    return f"From: {sender}\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\n{body}\r\n"


def submit(server, login: Login, recipient, *, mail=(), rcpt=(), message=None):
    """Submit a message with parameters."""
    with smtplib.SMTP("localhost", server.port("submission"), timeout=30) as client:
        client.starttls(context=server.context)
        client.login(login.email, login.password)
        client.ehlo()
        _transact(client, login.email, recipient, mail, rcpt, message)


def bring(server, sender, recipient, *, mail=(), rcpt=(), message=None):
    """Bring a message from another site."""
    with smtplib.SMTP("localhost", server.port("smtp"), timeout=30) as client:
        client.ehlo("far.test")
        _transact(client, sender, recipient, mail, rcpt, message)


def _transact(client, sender, recipient, mail, rcpt, message):
    code, words = client.mail(sender, list(mail))
    assert code == 250, words
    code, words = client.rcpt(recipient, list(rcpt))
    assert code == 250, words
    code, words = client.data(message or text(sender, recipient))
    assert code == 250, words


def mail_of(server, login):
    folder = server.maildir(login)
    return [email.message_from_bytes(path.read_bytes()) for path in sorted(folder.glob("new/*"))]


def reports_in(messages):
    return [message for message in messages if message.get_content_type() == "multipart/report"]


def fields_of(report):
    """Give the fields on the message and on its one recipient."""
    status = report.get_payload(1)
    if status.get_content_type() == "message/global-delivery-status":  # RFC 6533 section 4
        (of_message,) = status.get_payload()  # what follows the first block is its body to the library
        return of_message, email.message_from_string(of_message.get_payload())
    assert status.get_content_type() == "message/delivery-status"
    of_message, of_recipient = status.get_payload()
    return of_message, of_recipient


def only_report(server, login):
    (report,) = server.eventually(lambda: reports_in(mail_of(server, login)), bool)
    return report


def empty_queue(server, login):
    """Wait until nothing of an account waits, reports to it included."""
    server.eventually(
        lambda: [
            row
            for row in json.loads(server.command("queue", "list", "--json").stdout)
            if row["sender"] == login.email or any(to["address"] == login.email for to in row["recipients"])
        ],
        lambda rows: rows == [],
    )


def waiting(server, login):
    rows = json.loads(server.command("queue", "list", "--json", "--sender", login.email).stdout)
    return [recipient for row in rows for recipient in row["recipients"]]


# reports: RFC 3461


def test_success_is_reported_once_for_a_mailbox_here(server, ann):
    bob = server.add_account()
    submit(server, ann, bob.email, mail=["ENVID=QQ+2B314159"], rcpt=["NOTIFY=SUCCESS", f"ORCPT=rfc822;{bob.email}"])
    report = only_report(server, ann)
    of_message, of_recipient = fields_of(report)
    assert of_message["Original-Envelope-Id"] == "QQ+314159"
    assert of_message["Reporting-MTA"] == "dns; mx.example.test"
    assert of_recipient["Original-Recipient"] == f"rfc822; {bob.email}"
    assert of_recipient["Final-Recipient"] == f"rfc822; {bob.email}"
    assert (of_recipient["Action"], of_recipient["Status"]) == ("delivered", "2.0.0")
    assert report["Return-Path"] == "<>"
    empty_queue(server, ann)
    assert len(reports_in(mail_of(server, ann))) == 1
    assert len(mail_of(server, bob)) == 1


def test_success_is_reported_to_another_site(server, far, ann):
    bring(server, "asker@senders.test", ann.email, mail=["ENVID=E1", "RET=HDRS"], rcpt=["NOTIFY=SUCCESS"])
    taken = server.eventually(lambda: [one for one in far["senders"].taken if b"E1" in one.content], bool)
    (message,) = taken
    assert (message.sender, message.recipients) == (b"", (b"asker@senders.test",))
    _, of_recipient = fields_of(email.message_from_bytes(message.content))
    assert (of_recipient["Action"], of_recipient["Final-Recipient"]) == ("delivered", f"rfc822; {ann.email}")
    assert len(mail_of(server, ann)) == 1


def test_what_a_host_that_sends_no_reports_took_is_told_as_relayed(server, far, ann):
    submit(server, ann, "r@plain.test", rcpt=["NOTIFY=SUCCESS,FAILURE"])
    _, of_recipient = fields_of(only_report(server, ann))
    assert (of_recipient["Action"], of_recipient["Status"][0]) == ("relayed", "2")
    assert b"RCPT TO:<r@plain.test>" in far["plain"].said
    empty_queue(server, ann)
    assert len(reports_in(mail_of(server, ann))) == 1


def test_a_host_that_sends_reports_is_told_what_is_wanted_and_we_send_none(server, far, ann):
    original = "rfc822;list+2Bone@example.test"
    submit(
        server, ann, "k@knowing.test",
        mail=["RET=FULL", "ENVID=QQ1"], rcpt=["NOTIFY=SUCCESS,DELAY", f"ORCPT={original}"],
    )  # fmt: skip
    server.eventually(lambda: [one for one in far["knowing"].taken if b"k@knowing.test" in one.recipients], bool)
    empty_queue(server, ann)
    (mail,) = [line for line in far["knowing"].said if ann.email.encode() in line]
    assert {b"RET=FULL", b"ENVID=QQ1"} <= set(mail.split())
    (rcpt,) = [line for line in far["knowing"].said if b"k@knowing.test" in line]
    assert b"NOTIFY=SUCCESS,DELAY" in rcpt
    assert f"ORCPT={original}".encode() in rcpt
    assert mail_of(server, ann) == []


def test_who_wants_to_hear_nothing_hears_nothing(server, ann):
    submit(server, ann, "never@plain.test", rcpt=["NOTIFY=NEVER"])
    server.eventually(lambda: "".join(server.output), lambda log: "never@plain.test failed" in log)
    empty_queue(server, ann)
    assert mail_of(server, ann) == []


@pytest.mark.parametrize(("ret", "whole"), [("FULL", True), ("HDRS", False)])
def test_what_is_returned_is_what_was_asked_for(server, ann, ret, whole):
    recipient = "whole@plain.test" if whole else "header@plain.test"
    message = text(ann.email, recipient, "returned", "the-body-of-it")
    submit(server, ann, recipient, mail=[f"RET={ret}", "ENVID=r1"], message=message)
    report = only_report(server, ann)
    of_message, of_recipient = fields_of(report)
    assert of_message["Original-Envelope-Id"] == "r1"
    assert (of_recipient["Action"], of_recipient["Status"]) == ("failed", "5.1.1")
    returned = report.get_payload(2)
    assert returned.get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")
    octets = returned.as_bytes()
    assert b"Subject: returned" in octets
    assert (b"the-body-of-it" in octets) is whole


def test_a_delay_is_told_once_and_only_to_who_wants_to_know(server, ann):
    silent = server.add_account()
    submit(server, ann, "busy@plain.test", rcpt=["NOTIFY=DELAY"])
    submit(server, silent, "busy@plain.test", rcpt=["NOTIFY=FAILURE"])
    _, of_recipient = fields_of(only_report(server, ann))
    assert (of_recipient["Action"], of_recipient["Status"]) == ("delayed", "4.7.1")
    assert of_recipient["Will-Retry-Until"]
    tries = waiting(server, ann)[0]["tries"]
    server.eventually(lambda: waiting(server, ann)[0]["tries"], lambda now: now > tries + 1)
    server.eventually(lambda: waiting(server, silent)[0]["tries"], lambda now: now > tries + 1)
    assert len(reports_in(mail_of(server, ann))) == 1
    assert mail_of(server, silent) == []
    for login in (ann, silent):
        (row,) = json.loads(server.command("queue", "list", "--json", "--sender", login.email).stdout)
        server.command("queue", "remove", row["queue_id"])


# later: RFC 4865


def test_what_is_to_leave_later_waits_in_the_queue(server, ann):
    bob = server.add_account()
    for recipient in ("later@plain.test", bob.email):
        submit(server, ann, recipient, mail=["HOLDFOR=86400"])
    found = waiting(server, ann)
    assert sorted(one["address"] for one in found) == sorted([bob.email, "later@plain.test"])
    assert {one["tries"] for one in found} == {0}
    assert "later@plain.test" in server.command("queue", "list").stdout
    server.command("queue", "remove", "--sender", ann.email)
    assert waiting(server, ann) == []


def test_what_is_to_leave_later_leaves_later(server, far, ann):
    bob = server.add_account()
    begin = time.time()
    submit(server, ann, "later@plain.test", mail=[f"HOLDFOR={HOLD_SECONDS}"])
    submit(server, ann, bob.email, mail=[f"HOLDFOR={HOLD_SECONDS}"])
    server.eventually(
        lambda: [one for one in far["plain"].taken if one.recipients == (b"later@plain.test",)],
        lambda one: len(one) == 1,
    )
    assert time.time() - begin >= HOLD_SECONDS
    server.eventually(lambda: mail_of(server, bob), lambda found: len(found) == 1)
    (path,) = server.maildir(bob).glob("new/*")
    assert path.stat().st_mtime - begin >= HOLD_SECONDS
    empty_queue(server, ann)


# TLS on the whole way: RFC 8689


@pytest.mark.parametrize(
    ("recipient", "status"),
    [("t@plain.test", "5.7.10"), ("t@secure.test", "5.7.10")],
    ids=["nobody vouches for the host", "the host has no TLS"],
)
def test_mail_that_requires_tls_is_returned_where_there_is_none(server, far, ann, recipient, status):
    submit(server, ann, recipient, mail=["REQUIRETLS"])
    _, of_recipient = fields_of(only_report(server, ann))
    assert (of_recipient["Action"], of_recipient["Status"]) == ("failed", status)
    assert not any(recipient.encode() in line for line in far["plain"].said)


# names beyond ASCII: RFC 6531


def test_an_address_beyond_ascii_is_returned_by_a_host_that_knows_none(server, far, ann):
    submit(server, ann, "jürgen@plain.test", mail=["SMTPUTF8"], message=text(ann.email, "x@plain.test"))
    _, of_recipient = fields_of(only_report(server, ann))
    assert (of_recipient["Action"], of_recipient["Status"]) == ("failed", "5.6.7")
    assert not any("jürgen".encode() in line for line in far["plain"].said)


def test_a_domain_beyond_ascii_is_found_by_its_a_label(server, far, ann):
    submit(server, ann, "x@bücher.test", mail=["SMTPUTF8"], message=text(ann.email, "x@knowing.test", "label"))
    server.eventually(lambda: [one for one in far["knowing"].taken if b"Subject: label" in one.content], bool)
    assert any(re.match(rb"RCPT TO:<x@xn--bcher-kva\.test>", line) for line in far["knowing"].said)


# where it goes


def test_an_address_literal_is_where_it_goes(server, far, ann):
    submit(server, ann, f"x@[{LITERAL}]")
    server.eventually(lambda: list(far["literal"].taken), lambda found: len(found) == 1)
    assert far["literal"].taken[0].recipients == (f"x@[{LITERAL}]".encode(),)


def test_two_domains_with_one_host_share_its_connection(server, far, ann):
    for number, recipient in enumerate(("a@one.test", "b@two.test", "c@one.test"), 1):
        submit(server, ann, recipient)
        server.eventually(lambda: len(far["shared"].taken), lambda count, number=number: count == number)
        empty_queue(server, ann)
    assert far["shared"].connections == 1


# what hosts and content try


def test_what_is_said_in_the_clear_behind_the_reply_to_starttls_is_not_believed(server, far, ann):
    submit(server, ann, "x@strict.test")
    (recipient,) = server.eventually(lambda: waiting(server, ann), lambda rows: rows and rows[0]["tries"])
    assert recipient["status"].startswith("4.7.5 ")
    assert far["injecting"].said == []
    (row,) = json.loads(server.command("queue", "list", "--json", "--sender", ann.email).stdout)
    server.command("queue", "remove", row["queue_id"])
    submit(server, ann, "x@injecting.test")
    server.eventually(lambda: [one.recipients for one in far["injecting"].taken], bool)
    assert [one.recipients for one in far["injecting"].taken] == [(b"x@injecting.test",)]


ODD_ENDS = [
    first + b"." + last for first in (b"\r", b"\n", b"\r\n", b"\n\r") for last in (b"\r", b"\n", b"\r\n", b"\n\r")
]


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream"])
def test_no_line_end_in_content_ends_a_message_at_a_host(server, far, ann, content_type):
    recipient = f"{content_type.partition('/')[0]}@plain.test"
    smuggled = b"MAIL FROM:<smuggled@example.test>\r\nRCPT TO:<smuggled@plain.test>\r\nDATA\r\nx\r\n.\r\n"
    body = b"".join(b"begin" + odd + smuggled for odd in ODD_ENDS)
    header = f"From: {ann.email}\r\nTo: {recipient}\r\nMIME-Version: 1.0\r\nContent-Type: {content_type}\r\n\r\n"
    octets = header.encode() + body
    with smtplib.SMTP("localhost", server.port("submission"), timeout=30) as client:
        client.starttls(context=server.context)
        client.login(ann.email, ann.password)
        client.ehlo()
        assert client.mail(ann.email, ["BODY=BINARYMIME"])[0] == 250
        assert client.rcpt(recipient)[0] == 250
        client.send(b"BDAT %d LAST\r\n" % len(octets) + octets)
        code, words = client.getreply()
        assert code == 250, words
    (taken,) = server.eventually(
        lambda: [one for one in far["plain"].taken if recipient.encode() in one.recipients], bool
    )
    empty_queue(server, ann)
    assert not any(b"smuggled" in line for line in far["plain"].said)
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", taken.content)
    assert email.message_from_bytes(taken.content).get_payload(decode=True) == body
