import email
import email.policy

import pytest

from mailsuite.address import Address
from mailsuite.mta import Target
from mailsuite.mta.bounce import RETURNED_HEADER_MAX_OCTETS, Returned, make_report, wants_report
from mailsuite.smtp.outcome import Outcome, OutcomeState

FAILED = Outcome(OutcomeState.FAILED, 550, "5.1.1", "no such user")
NOW = 1_700_000_000


def report(*returned, sender="alice@example.test", header=b"Subject: hello\r\nFrom: a@b\r\n", envelope_id=""):
    return make_report(
        hostname="mx.example.test",
        sender=Address.parse(sender),
        returned=returned or (Returned(Target(address=Address("x", "far.test")), FAILED, "mx.far.test"),),
        header=header,
        received=NOW - 60,
        now=NOW,
        envelope_id=envelope_id,
        message_id="token",
    )


def parse(octets):
    trace, _, rest = octets.partition(b"\r\n")
    assert trace == b"Return-Path: <>"
    return email.message_from_bytes(rest, policy=email.policy.default)


def test_the_frame_is_a_delivery_status_report():
    message = parse(report())
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["To"].addresses[0].addr_spec == "alice@example.test"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["Date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    text, status, returned = message.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert status.get_content_type() == "message/delivery-status"
    assert returned.get_content_type() == "text/rfc822-headers"
    assert not message.defects


def test_the_fields_tell_who_said_what():
    _, status, _ = parse(report(envelope_id="abc")).iter_parts()
    per_message, per_recipient = status.get_payload()
    assert per_message["Reporting-MTA"] == "dns; mx.example.test"
    assert per_message["Original-Envelope-Id"] == "abc"
    assert per_message["Arrival-Date"] == "Tue, 14 Nov 2023 22:12:20 +0000"
    assert per_recipient["Final-Recipient"] == "rfc822; x@far.test"
    assert per_recipient["Action"] == "failed"
    assert per_recipient["Status"] == "5.1.1"
    assert per_recipient["Remote-MTA"] == "dns; mx.far.test"
    assert per_recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user"


def test_each_recipient_has_its_own_fields():
    targets = [Target(address=Address(name, "far.test"), original=f"rfc822;{name}@old.test") for name in "abc"]
    _, status, _ = parse(report(*(Returned(target, FAILED) for target in targets))).iter_parts()
    groups = status.get_payload()[1:]
    assert [group["Final-Recipient"] for group in groups] == [f"rfc822; {name}@far.test" for name in "abc"]
    assert [group["Original-Recipient"] for group in groups] == [f"rfc822;{name}@old.test" for name in "abc"]


def test_expired_mail_says_so():
    outcome = Outcome(OutcomeState.DEFERRED, 451, "4.2.1", "later")
    target = Target(address=Address("x", "far.test"))
    text, status, _ = parse(report(Returned(target, outcome, "", expired=True))).iter_parts()
    assert status.get_payload()[1]["Status"] == "4.4.7"
    assert "tried for too long" in text.get_content()
    assert "later" in text.get_content()


@pytest.mark.parametrize("enhanced", ["", "5", "garbage", "5.1.1\r\nX: y", "9.1.1"])
def test_a_strange_status_is_not_repeated(enhanced):
    outcome = Outcome(OutcomeState.FAILED, 550, enhanced, "no")
    _, status, _ = parse(report(Returned(Target(address=Address("x", "far.test")), outcome))).iter_parts()
    assert status.get_payload()[1]["Status"] == "5.0.0"


def test_the_far_sides_words_cannot_break_out():
    outcome = Outcome(OutcomeState.FAILED, 550, "5.1.1", "no\r\nAction: delivered\r\n\r\n--report-token--" + "x" * 5000)
    octets = report(Returned(Target(address=Address("x", "far.test"), original="a\r\nb: c"), outcome, "h\nX: y"))
    _, status, _ = parse(octets).iter_parts()
    assert [group["Action"] for group in status.get_payload()[1:]] == ["failed"]
    assert max(len(line) for line in octets.split(b"\r\n")) < 998
    assert b"\n" not in octets.replace(b"\r\n", b"")


def test_the_returned_header_is_whole_or_cut():
    _, _, returned = parse(report(header=b"Subject: hello\r\nX: y\r\n")).iter_parts()
    assert returned.get_content().replace("\r\n", "\n").strip() == "Subject: hello\nX: y"
    big = report(header=b"X: " + b"y" * 200_000)
    assert len(big) < RETURNED_HEADER_MAX_OCTETS + 4000
    assert big.endswith(b"\r\n--report-token--\r\n")


def test_addresses_and_headers_that_are_not_ascii_use_the_global_types():
    target = Target(address=Address("jürgen", "far.test"))
    octets = report(Returned(target, FAILED), header="Subject: grüße\r\n".encode())
    assert b"Content-Type: message/global-delivery-status\r\n" in octets
    assert b"Content-Type: message/global-headers\r\n" in octets
    assert "Final-Recipient: utf-8; jürgen@far.test\r\n".encode() in octets


@pytest.mark.parametrize(
    ("notify", "wanted"),
    [("", True), ("FAILURE", True), ("delay,failure", True), ("NEVER", False), ("SUCCESS,DELAY", False)],
)
def test_the_sender_decides_whether_it_is_told(notify, wanted):
    assert wants_report(Target(address=Address("x", "y"), notify=notify)) is wanted
