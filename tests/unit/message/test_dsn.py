import email
import email.policy
import quopri

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.address import Address
from mailsuite.message.dsn import RETURNED_HEADER_MAX_OCTETS, Action, Report, Reported, status_of, write_report

NOW = 1_700_000_000
FAILED = Reported(
    address=Address("x", "far.test"),
    action=Action.FAILED,
    code=550,
    status="5.1.1",
    words="no such user",
    host="mx.far.test",
)


def report(*recipients, **fields):
    defaults = {
        "hostname": "mx.example.test",
        "sender": Address.parse("alice@example.test"),
        "content": b"Subject: hello\r\nFrom: a@b\r\n",
        "arrived": NOW - 60,
        "now": NOW,
        "until": NOW + 86400,
        "token": "token",
    }
    return write_report(Report(recipients=recipients or (FAILED,), **(defaults | fields)))


def parse(octets):
    return email.message_from_bytes(octets, policy=email.policy.default)


def groups(octets):
    _, status, _ = parse(octets).iter_parts()
    return status.get_payload()


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
    per_message, per_recipient = groups(report(envelope_id="abc"))
    assert per_message["Reporting-MTA"] == "dns; mx.example.test"
    assert per_message["Original-Envelope-Id"] == "abc"
    assert per_message["Arrival-Date"] == "Tue, 14 Nov 2023 22:12:20 +0000"
    assert per_recipient["Final-Recipient"] == "rfc822; x@far.test"
    assert per_recipient["Action"] == "failed"
    assert per_recipient["Status"] == "5.1.1"
    assert per_recipient["Remote-MTA"] == "dns; mx.far.test"
    assert per_recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user"
    assert "Will-Retry-Until" not in per_recipient


def test_each_recipient_has_its_own_fields():
    recipients = [
        attrs.evolve(FAILED, address=Address(name, "far.test"), original=f"rfc822;{name}@old.test") for name in "abc"
    ]
    found = groups(report(*recipients))[1:]
    assert [group["Final-Recipient"] for group in found] == [f"rfc822; {name}@far.test" for name in "abc"]
    assert [group["Original-Recipient"] for group in found] == [f"rfc822; {name}@old.test" for name in "abc"]


@pytest.mark.parametrize(
    ("action", "subject", "words", "status"),
    [
        (Action.FAILED, "Undelivered", "No further attempt", "5.0.0"),
        (Action.DELAYED, "delayed", "need not send it again", "4.0.0"),
        (Action.DELIVERED, "delivered", "in the mailbox", "2.0.0"),
        (Action.RELAYED, "passed on", "does not tell when", "2.0.0"),
        (Action.EXPANDED, "list of addresses", "several others", "2.0.0"),
    ],
)
def test_every_action_is_told_in_its_own_words(action, subject, words, status):
    octets = report(Reported(address=Address("x", "far.test"), action=action, host="mx.far.test"))
    message = parse(octets)
    text, _, _ = message.iter_parts()
    assert subject in message["Subject"]
    assert words in text.get_content()
    assert "<x@far.test>" in text.get_content()
    (group,) = groups(octets)[1:]
    assert (group["Action"], group["Status"]) == (action.value, status)
    assert ("Will-Retry-Until" in group) == (action is Action.DELAYED)


def test_expired_mail_says_so():
    expired = attrs.evolve(FAILED, code=451, status="4.2.1", words="later", expired=True)
    octets = report(expired)
    text, _, _ = parse(octets).iter_parts()
    assert groups(octets)[1]["Status"] == "4.4.7"
    assert "tried for too long" in text.get_content()
    assert "mx.far.test said: 451 later" in text.get_content()


@pytest.mark.parametrize("status", ["", "5", "garbage", "5.1.1\r\nX: y", "9.1.1", "2.0.0", "4.1.1"])
def test_a_status_that_does_not_fit_is_not_repeated(status):
    assert status_of(attrs.evolve(FAILED, status=status)) == "5.0.0"


def test_the_far_sides_words_cannot_break_out():
    words = "no\r\nAction: delivered\r\n\r\n--report-token--" + "x" * 5000
    octets = report(attrs.evolve(FAILED, words=words, host="h\nX: y", original="rfc822;a\r\nb: c"))
    assert [group["Action"] for group in groups(octets)[1:]] == ["failed"]
    assert_valid(octets)


def test_the_returned_header_is_whole_or_cut():
    _, _, returned = parse(report(content=b"Subject: hello\r\nX: y\r\n")).iter_parts()
    assert returned.get_content().replace("\r\n", "\n").strip() == "Subject: hello\nX: y"
    big = report(content=b"X: y\r\n" * 50_000)
    assert len(big) < RETURNED_HEADER_MAX_OCTETS + 4000
    assert big.endswith(b"\r\n--report-token--\r\n")
    assert_valid(report(content=b"X: " + b"y" * 200_000))


WHOLE = b"Subject: hello\r\n\r\nthe body\r\n"


def test_the_whole_message_comes_back_when_it_can():
    octets = report(content=WHOLE, whole=True)
    _, _, returned = parse(octets).iter_parts()
    assert returned.get_content_type() == "message/rfc822"
    assert WHOLE in octets
    (inner,) = returned.get_payload()
    assert inner.get_payload().rstrip() == "the body"


@pytest.mark.parametrize(
    "content",
    [b"Subject: x\r\n\r\n" + b"y" * 999 + b"\r\n", b"Subject: x\r\n\r\n\x00\r\n", b"Subject: x\r\n\r\nbare\nLF\r\n"],
    ids=["long line", "NUL", "bare LF"],
)
def test_what_cannot_travel_comes_back_as_its_header(content):
    octets = report(content=content, whole=True)
    _, _, returned = parse(octets).iter_parts()
    assert returned.get_content_type() == "text/rfc822-headers"
    assert_valid(octets)


def test_a_body_of_eight_bits_says_so():
    octets = report(content=WHOLE + "grüße\r\n".encode(), whole=True)
    assert b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n" in octets


# internationalised mail


def test_senders_of_utf8_get_the_global_types():
    jurgen = attrs.evolve(FAILED, address=Address("jürgen", "far.test"), words="kein Benutzer «jürgen»")
    sender = Address("älice", "example.test")
    octets = report(jurgen, content="Subject: grüße\r\n".encode(), sender=sender)
    assert b"Content-Type: message/global-delivery-status\r\n" in octets
    assert b"Content-Type: message/global-headers\r\n" in octets
    assert "Final-Recipient: utf-8; jürgen@far.test\r\n".encode() in octets
    text, *_ = parse(octets).iter_parts()
    assert "«jürgen»" in text.get_content()
    whole = report(jurgen, content="Subject: grüße\r\n\r\nx\r\n".encode(), whole=True, utf8=True)
    assert b"Content-Type: message/global\r\n" in whole


def test_what_goes_to_an_address_in_ascii_needs_no_smtputf8_on_its_way():
    # RFC 6533 section 4.5
    jurgen = attrs.evolve(FAILED, address=Address("jürgen", "far.test"), words="kein Benutzer «jürgen»")
    content = "Subject: grüße\r\n\r\n" + "straße" * 30 + "\r\n--x"
    octets = report(jurgen, content=content.encode(), whole=True, utf8=True)
    assert octets.isascii()
    status, returned = octets.split(b"--report-token\r\n")[2:]
    for part, kind in ((status, b"message/global-delivery-status"), (returned, b"message/global")):
        head = b"Content-Type: %s\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" % kind
        assert part.startswith(head)
    assert "Final-Recipient: utf-8; jürgen@far.test\r\n".encode() in quopri.decodestring(status)
    assert f"\r\n\r\n{content}\r\n".encode() in quopri.decodestring(returned)
    header_only = report(jurgen, content="Subject: grüße\r\n".encode(), utf8=True)
    assert header_only.isascii()
    assert b"Content-Type: message/global-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n" in header_only


def test_others_get_ascii_only():
    jurgen = attrs.evolve(
        FAILED, address=Address("jürgen+1", "far.test"), original="utf-8;jürgen@old.test", words="«no»"
    )
    octets = report(jurgen, content="Subject: grüße\r\n\r\nx\r\n".encode(), whole=True)
    assert octets.isascii()
    assert rb"Final-Recipient: utf-8; j\x{FC}rgen\x{2B}1@far.test" in octets
    assert rb"Original-Recipient: utf-8; j\x{FC}rgen@old.test" in octets
    text, status, returned = parse(octets).iter_parts()
    assert "«no»" in text.get_content()
    assert status.get_content_type() == "message/delivery-status"
    assert returned.get_content_type() == "text/rfc822-headers"
    assert returned.get_payload(decode=True) == "Subject: grüße\r\n".encode()


def test_a_sender_that_is_not_ascii_is_addressed_as_it_is():
    octets = report(sender=Address("jürgen", "example.test"))
    assert "To: <jürgen@example.test>\r\n".encode() in octets
    assert b"message/global-delivery-status" in octets


def assert_valid(octets):
    assert octets.endswith(b"\r\n")
    assert octets.count(b"\n") == octets.count(b"\r\n") == octets.count(b"\r")
    assert max(len(line) for line in octets.split(b"\r\n")) <= 998
    assert b"\x00" not in octets
    message = email.message_from_bytes(octets, policy=email.policy.SMTP)
    parts = list(message.iter_parts())
    assert len(parts) == 3
    for part in [message, *parts]:
        assert not [defect for defect in part.defects if "Header" not in type(defect).__name__], part.defects
    for part in parts:
        if not (part.get("Content-Transfer-Encoding") or "7bit").startswith("8"):
            assert part.as_bytes().isascii()
    return parts


ANY_TEXT = st.text(max_size=300)
LOCAL = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
RECIPIENTS = st.builds(
    Reported,
    address=st.builds(Address, LOCAL, st.just("far.test")),
    action=st.just(Action.FAILED),
    original=ANY_TEXT,
    code=st.sampled_from([0, 550, 451]),
    status=ANY_TEXT,
    words=ANY_TEXT,
    host=ANY_TEXT,
    expired=st.booleans(),
)


@given(
    recipients=st.lists(RECIPIENTS, min_size=1, max_size=4),
    action=st.sampled_from(Action),
    sender=LOCAL,
    content=st.binary(max_size=2000)
    | ANY_TEXT.map(lambda text: f"Subject: {text}\r\n\r\n{text}".encode("utf-8", "replace")),
    whole=st.booleans(),
    utf8=st.booleans(),
    envelope_id=ANY_TEXT,
)
def test_whatever_it_holds_it_is_valid(recipients, action, sender, content, whole, utf8, envelope_id):
    recipients = [attrs.evolve(item, action=action) for item in recipients]
    octets = report(
        *recipients,
        sender=Address(sender, "example.test"),
        content=content,
        whole=whole,
        utf8=utf8,
        envelope_id=envelope_id,
    )
    _, status, _ = assert_valid(octets)
    if status.get_content_type() == "message/delivery-status":
        assert [group["Action"] for group in status.get_payload()[1:]] == [action.value] * len(recipients)
    else:
        fields = octets.partition(b"message/global-delivery-status")[2].partition(b"--report-token")[0]
        encoded = fields.startswith(b"\r\nContent-Transfer-Encoding: quoted-printable")
        assert encoded or not sender.isascii() or fields.isascii()
        lines = (quopri.decodestring(fields) if encoded else fields).split(b"\r\n")
        assert lines.count(f"Action: {action.value}".encode()) == len(recipients)
