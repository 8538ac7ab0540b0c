import email
import email.policy
import re

import attrs
import pytest
from twisted.internet.defer import Deferred, fail

from mailsuite.address import Address
from mailsuite.directory import Throttle, ThrottleSettings, submission_rules
from mailsuite.envelope import Body, Peer, Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Receipt
from mailsuite.mta import Submission, SubmissionSettings

from .conftest import loaded, pending_of

PEER = Peer(session="s1", ip="192.0.2.7", helo="laptop", esmtp=True, tls="TLSv1.3 X", account="alice@example.test")
ALICE = Sender(path=Address("alice", "example.test"))


@pytest.fixture
def submission(world, settings):
    return Submission(world.spool(), world.accounts, settings, world.reactor, "alice@example.test")


def send(outcome, submission, message, *recipients, sender=ALICE, piece=0):
    transaction = outcome(submission.begin(PEER, sender))
    for text in recipients:
        assert outcome(transaction.add_recipient(Recipient(path=Address.parse(text)))) is None
    transaction.begin_data()
    for at in range(0, len(message), piece or len(message)):
        try:
            waiting = transaction.write(message[at : at + (piece or len(message))])
            refused = None if waiting is None else outcome(waiting)
        except MailError as error:
            refused = error
        if refused is not None:
            transaction.abort()
            return refused
    return outcome(transaction.commit())


def make(world, settings, *, throttle=None, **rules):
    return Submission(
        world.spool(),
        world.accounts,
        settings,
        world.reactor,
        "alice@example.test",
        rules=SubmissionSettings(**rules),
        throttle=throttle,
    )


def limited(world, **limits):
    return Throttle(submission_rules(ThrottleSettings(**limits)), world.reactor.seconds)


def delivered(world):
    (content,) = world.store.of("bob@example.test")
    return content.partition(b"+0000\r\n")[2]


@pytest.mark.parametrize("path", ["bob@example.test", "alice@elsewhere.test", "x@example.test"])
def test_a_sender_that_is_not_the_accounts_is_denied(world, submission, outcome, path):
    error = outcome(submission.begin(PEER, Sender(path=Address.parse(path))))
    assert error.kind is Kind.DENIED


@pytest.mark.parametrize("path", ["alice@example.test", "alice+tag@example.test", None])
def test_its_own_addresses_and_the_null_reverse_path_are_not(world, submission, outcome, path):
    sender = Sender(path=Address.parse(path) if path else None)
    assert isinstance(send(outcome, submission, b"X: y\r\n\r\n", "bob@example.test", sender=sender), Receipt)


def test_date_and_message_id_are_added_where_absent(world, submission, outcome):
    send(outcome, submission, b"Subject: x\r\n\r\nbody\r\n", "bob@example.test")
    assert re.fullmatch(
        rb"From: alice@example\.test\r\nDate: Tue, 14 Nov 2023 22:13:20 \+0000\r\n"
        rb"Message-ID: <[0-9a-f]{32}@example\.test>\r\n"
        rb"Subject: x\r\n\r\nbody\r\n",
        delivered(world),
    )


def test_date_and_message_id_that_are_there_stay(world, submission, outcome):
    message = b"From: alice@example.test\r\nDATE: Mon, 1 Jan 2024 00:00:00 +0000\r\nmessage-id : <a@b>\r\n\r\nbody\r\n"
    send(outcome, submission, message, "bob@example.test")
    assert world.store.of("bob@example.test")[0].endswith(b"+0000\r\n" + message)
    assert b"Message-ID: <" not in world.store.of("bob@example.test")[0]


def test_a_body_without_header_section_gets_one(world, submission, outcome):
    send(outcome, submission, b"just text\r\n", "bob@example.test")
    assert delivered(world).partition(b"\r\n\r\n")[2] == b"just text\r\n"


def test_an_empty_message_gets_a_header_section(world, submission, outcome):
    send(outcome, submission, b"\r\nbody\r\n", "bob@example.test")
    head, _, body = delivered(world).partition(b"\r\n\r\n")
    assert head.startswith(b"From: alice@example.test\r\nDate:")
    assert body == b"body\r\n"


def test_bcc_is_removed_with_its_continuation_lines_and_nothing_else(world, submission, outcome):
    message = (
        b"From: alice@example.test\r\nDate: x\r\nMessage-ID: <a@b>\r\nReturn-Path: <x@y>\r\n"
        b"BCC: <carol@example.test>,\r\n\t<dave@example.test>\r\n"
        b"Subject: bcc: stays\r\n more\r\nResent-Bcc: <x@y>\r\n\r\nBcc: in the body\r\n"
    )
    send(outcome, submission, message, "bob@example.test")
    content = delivered(world)
    assert content == (
        b"From: alice@example.test\r\nDate: x\r\nMessage-ID: <a@b>\r\nSubject: bcc: stays\r\n more\r\n"
        b"\r\nBcc: in the body\r\n"
    )


def test_local_recipients_are_served_at_once_and_remote_ones_queued(world, submission, outcome):
    receipt = send(outcome, submission, b"X: y\r\n\r\n", "bob@example.test", "far@remote.test")
    assert isinstance(receipt, Receipt)
    assert [delivery.email for delivery in world.store.calls] == ["bob@example.test"]
    (pending,) = outcome(world.spools[0].run(pending_of))
    assert pending.address == "far@remote.test"


HEAD = b"From: alice@example.test\r\nDate: x\r\nMessage-ID: <a@b>\r\n"


@pytest.mark.parametrize(
    "value",
    [
        b"mallory@elsewhere.test",
        b"alice@example.test, bob@example.test",
        b'"alice@example.test" <bob@example.test>',
        b"no address",
        b"group:;",
        b"",
        b"alice@example.test\r\nFrom: bob@example.test",
        b", ".join([b"alice@example.test"] * 21),
        b"alice@example.test" + b" " * 100_000,
        b"alice@example.test\r\nX: " + b"x\r\n x" * 200_000 + b"\r\nFrom: bob@example.test",
    ],
)
def test_a_from_that_is_not_the_accounts_is_refused_and_nothing_is_kept(world, submission, outcome, value):
    submission.settings = attrs.evolve(submission.settings, header_max_octets=2_000_000, message_max_octets=2_000_000)
    error = send(outcome, submission, b"From: " + value + b"\r\n\r\nbody\r\n", "bob@example.test")
    assert (error.reply.code, error.reply.enhanced) == (550, "5.7.1")
    assert "From" in error.reply.text
    assert world.store.calls == []


def test_it_is_refused_at_the_end_as_well_when_the_header_has_no_end(submission, outcome):
    assert send(outcome, submission, b"From: bob@example.test\r\n", "bob@example.test").reply.code == 550


@pytest.mark.parametrize(
    "value", [b"alice@example.test", b"ALICE+news@example.test", b"A <alice@example.test>, alice+b@example.test"]
)
def test_a_from_that_is_the_accounts_is_not(submission, outcome, value):
    message = b"From: " + value + b"\r\n\r\nbody\r\n"
    assert isinstance(send(outcome, submission, message, "bob@example.test", piece=7), Receipt)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"From: x@far.test\r\n", b"Sender: alice@example.test\r\nFrom: x@far.test\r\n"),
        (b"From: x@far.test\r\nSender: y@far.test\r\n", b"Sender: alice@example.test\r\nFrom: x@far.test\r\n"),
        (
            b"From: x@far.test\r\nSender: alice+a@example.test\r\n",
            b"From: x@far.test\r\nSender: alice+a@example.test\r\n",
        ),
        (b"From: alice@example.test\r\nSender: y@far.test\r\n", b"From: alice@example.test\r\n"),
        (
            b"From: alice@example.test, alice+b@example.test\r\n",
            b"Sender: alice@example.test\r\nFrom: alice@example.test, alice+b@example.test\r\n",
        ),
        (
            b"From: alice@example.test\r\nSender: alice@example.test\r\n",
            b"From: alice@example.test\r\nSender: alice@example.test\r\n",
        ),
    ],
)
def test_sender_says_which_account_it_was_where_from_does_not(world, settings, outcome, given, kept):
    submission = make(world, settings, any_from=True)
    fields = b"Date: x\r\nMessage-ID: <a@b>\r\n\r\n"
    assert isinstance(send(outcome, submission, given + fields, "bob@example.test"), Receipt)
    assert delivered(world) == kept + fields


def test_a_directory_that_fails_defers_the_message(world, submission, outcome):
    transaction = outcome(submission.begin(PEER, ALICE))
    outcome(transaction.add_recipient(Recipient(path=Address.parse("bob@example.test"))))
    transaction.begin_data()
    world.accounts.may_send_as = lambda *_: fail(MailError(Kind.UNAVAILABLE))
    assert outcome(transaction.write(HEAD + b"\r\n")).kind is Kind.UNAVAILABLE
    assert outcome(transaction.commit()).kind is Kind.UNAVAILABLE
    assert world.store.calls == []


def test_content_waits_for_the_directory_and_may_be_given_up_meanwhile(world, submission, outcome):
    transaction = outcome(submission.begin(PEER, ALICE))
    outcome(transaction.add_recipient(Recipient(path=Address.parse("bob@example.test"))))
    transaction.begin_data()
    asked = Deferred()
    world.accounts.may_send_as = lambda *_: asked
    waiting = transaction.write(HEAD + b"\r\nbody\r\n")
    assert not waiting.called
    transaction.abort()
    asked.callback(True)
    assert outcome(waiting) is None


def test_eight_bit_text_becomes_seven_bit_before_it_is_kept(world, submission, outcome):
    message = "From: Jörg <alice@example.test>\r\nSubject: Grüße\r\n\r\nschöne Grüße\r\n".encode()
    send(outcome, submission, message, "bob@example.test", "far@remote.test", piece=5)
    content = delivered(world)
    assert content.isascii()
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert (parsed["subject"], parsed["from"].addresses[0].display_name) == ("Grüße", "Jörg")
    assert parsed.get_content() == "schöne Grüße\r\n"
    (kept,) = outcome(world.spools[0].run(pending_of))
    assert loaded(world.spools[0], kept.message_id).sender.body is Body.SEVEN_BIT


def test_that_tls_is_optional_is_kept_and_told_to_the_next_host(world, submission, outcome):
    # RFC 8689 section 4.3
    send(outcome, submission, HEAD + b"TLS-Required: No\r\n\r\nbody\r\n", "far@remote.test")
    (kept,) = outcome(world.spools[0].run(pending_of))
    message = loaded(world.spools[0], kept.message_id)
    assert message.sender.tls_optional
    assert b"\r\nTLS-Required: No\r\n" in message.content


def test_it_stays_as_it_is_where_that_is_wanted(world, settings, outcome):
    submission = make(world, settings, downgrade=False)
    message = HEAD + b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    message += "Content-Transfer-Encoding: 8bit\r\n\r\nschön\r\n".encode()
    send(outcome, submission, message, "bob@example.test", "far@remote.test")
    assert delivered(world) == message
    (kept,) = outcome(world.spools[0].run(pending_of))
    assert loaded(world.spools[0], kept.message_id).sender.body is Body.EIGHT_BIT_MIME


def test_fields_stay_utf8_where_the_sender_says_so(world, submission, outcome):
    sender = Sender(path=Address("alice", "example.test"), smtputf8=True)
    message = HEAD + "Subject: Grüße\r\n\r\nbody\r\n".encode()
    send(outcome, submission, message, "bob@example.test", sender=sender)
    assert delivered(world) == message


def test_long_lines_do_not_leave(world, submission, outcome):
    send(outcome, submission, HEAD + b"\r\n" + b"x" * 5000 + b"\r\n", "bob@example.test")
    content = delivered(world)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert email.message_from_bytes(content).get_payload(decode=True) == b"x" * 5000 + b"\r\n"


def test_a_large_message_streams_through(world, submission, outcome):
    body = "größer als alles, was in eine Zeile passt\r\n".encode() * 8000
    send(outcome, submission, HEAD + b"\r\n" + body, "bob@example.test", piece=65536)
    assert email.message_from_bytes(delivered(world)).get_payload(decode=True) == body


BINARY = Sender(path=Address("alice", "example.test"), body=Body.BINARY_MIME)
PNG = b"MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"


def test_binary_content_becomes_base64(world, submission, outcome):
    content = bytes(range(256)) * 3
    receipt = send(outcome, submission, HEAD + PNG + content, "bob@example.test", "far@remote.test", sender=BINARY)
    assert isinstance(receipt, Receipt)
    assert email.message_from_bytes(delivered(world)).get_payload(decode=True) == content
    (kept,) = outcome(world.spools[0].run(pending_of))
    assert loaded(world.spools[0], kept.message_id).sender.body is Body.SEVEN_BIT


@pytest.mark.parametrize("octets", [b"\0", b"x\ny", b"x\ry", b"x\r"])
@pytest.mark.parametrize("piece", [0, 1])
def test_binary_content_that_lies_in_no_part_is_refused(submission, outcome, octets, piece):
    message = HEAD + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + octets
    error = send(outcome, submission, message + b"z\r\n--b--\r\n", "bob@example.test", sender=BINARY, piece=piece)
    assert error.reply.code == 550


def test_without_binarymime_a_nul_is_refused(submission, outcome):
    assert send(outcome, submission, HEAD + PNG + b"\0", "bob@example.test").reply.code == 550


def releases(world, outcome):
    """When each message in the queue may leave."""
    spool = world.spools[0]
    found = outcome(spool.run(pending_of))
    return [loaded(spool, pending.message_id).sender.release for pending in found]


def test_a_release_that_the_sender_wants_is_kept(world, submission, outcome):
    sender = Sender(path=Address("alice", "example.test"), release=1_700_009_999)
    send(outcome, submission, HEAD + b"\r\n", "far@remote.test", sender=sender)
    assert releases(world, outcome) == [1_700_009_999]


def test_what_exceeds_a_limit_is_held_and_its_sender_is_told_once(world, settings, outcome):
    throttle = limited(world, messages_per_account_hour=2, messages_per_sender_minute=0)
    submission = make(world, settings, throttle=throttle)
    receipts = [send(outcome, submission, HEAD + b"\r\n", "far@remote.test") for _ in range(4)]
    assert [receipt.note for receipt in receipts] == [
        "",
        "",
        "held until 22:44 UTC: limit of 2 messages an hour",
        "held until 23:14 UTC: limit of 2 messages an hour",
    ]
    assert releases(world, outcome) == [0, 0, 1_700_001_800, 1_700_003_600]
    (notice,) = world.store.of("alice@example.test")
    assert notice.startswith(b"Return-Path: <>\r\nFrom: Mail Delivery System <MAILER-DAEMON@mx.example.test>\r\n")
    assert receipts[2].queue_id.encode() in notice
    assert b"limit of 2 messages an hour" in notice
    assert b"Auto-Submitted: auto-generated" in notice


def test_a_release_later_than_the_limit_stays(world, settings, outcome):
    submission = make(world, settings, throttle=limited(world, messages_per_account_hour=1))
    sender = Sender(path=Address("alice", "example.test"), release=1_700_009_999)
    for _ in range(2):
        assert send(outcome, submission, HEAD + b"\r\n", "far@remote.test", sender=sender).note == ""
    assert releases(world, outcome) == [1_700_009_999, 1_700_009_999]


def test_who_waits_for_seconds_is_told_only_in_the_reply(world, settings, outcome):
    submission = make(world, settings, throttle=limited(world, messages_per_sender_minute=2))
    receipts = [send(outcome, submission, HEAD + b"\r\n", "far@remote.test") for _ in range(3)]
    assert receipts[2].note == "held until 22:14 UTC: limit of 2 messages a minute from one address"
    assert world.store.calls == []


def test_far_above_a_limit_messages_are_refused_for_now(world, settings, outcome):
    throttle = limited(world, messages_per_account_hour=1, hold_max_seconds=3600)
    submission = make(world, settings, throttle=throttle)
    *_, held, refused = [send(outcome, submission, HEAD + b"\r\n", "far@remote.test") for _ in range(3)]
    assert held.note
    assert (refused.reply.code, refused.reply.enhanced) == (452, "4.7.0")
    assert "limit of 1 messages an hour" in refused.reply.text
    assert "60 minutes" in refused.reply.text
    assert len(releases(world, outcome)) == 2


def test_each_recipient_counts_and_null_senders_have_a_limit_of_their_own(world, settings, outcome):
    throttle = limited(world, recipients_per_account_day=10, null_senders_per_account_hour=1)
    submission = make(world, settings, throttle=throttle)
    assert send(outcome, submission, HEAD + b"\r\n", *(f"a{n}@far.test" for n in range(9))).note == ""
    receipt = send(outcome, submission, HEAD + b"\r\n", "a@far.test", "b@far.test")
    assert receipt.note.endswith("limit of 10 recipients a day")
    null = Sender(path=None)
    world.reactor.advance(86400 * 2)
    assert send(outcome, submission, HEAD + b"\r\n", "a@far.test", sender=null).note == ""
    assert send(outcome, submission, HEAD + b"\r\n", "a@far.test", sender=null).reply.code == 452


def test_without_rates_nothing_is_held(world, settings, outcome):
    throttle = limited(world, rates=False, messages_per_account_hour=1)
    submission = make(world, settings, throttle=throttle)
    assert [send(outcome, submission, HEAD + b"\r\n", "a@far.test").note for _ in range(5)] == [""] * 5


def test_what_takes_long_lets_others_have_their_turn(world, submission, outcome, monkeypatch):
    body = "größer\r\n".encode() * 10_000
    transaction = outcome(submission.begin(PEER, ALICE))
    outcome(transaction.add_recipient(Recipient(path=Address.parse("bob@example.test"))))
    transaction.begin_data()
    assert outcome(transaction.write(HEAD + b"\r\n")) is None
    monkeypatch.setattr(world.reactor, "seconds", SlowClock(world.reactor.seconds()))
    waiting = transaction.write(body)
    assert not waiting.called
    world.reactor.advance(0)
    assert waiting.called
    monkeypatch.undo()
    outcome(transaction.commit())
    assert email.message_from_bytes(delivered(world)).get_payload(decode=True) == body


def test_it_may_be_given_up_between_turns(world, submission, outcome, monkeypatch):
    transaction = outcome(submission.begin(PEER, ALICE))
    outcome(transaction.add_recipient(Recipient(path=Address.parse("bob@example.test"))))
    transaction.begin_data()
    assert outcome(transaction.write(HEAD + b"\r\n")) is None
    monkeypatch.setattr(world.reactor, "seconds", SlowClock(world.reactor.seconds()))
    waiting = transaction.write(b"x\r\n" * 30_000)
    transaction.abort()
    world.reactor.advance(0)
    assert outcome(waiting) is None


class SlowClock:
    """Each look at it takes long."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        self.now += 1
        return self.now


@pytest.mark.parametrize("first", [b" <bob@example.test>", b"\t, bob@example.test", b" ", b" a\r\n <bob@example.test>"])
def test_nothing_that_comes_first_continues_a_field_that_we_add(world, submission, outcome, first):
    message = first + b"\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\nbody\r\n"
    assert isinstance(send(outcome, submission, message, "bob@example.test"), Receipt)
    assert delivered(world) == b"From: alice@example.test\r\nDate: x\r\nMessage-ID: <a@b>\r\n\r\nbody\r\n"


def test_an_author_behind_more_than_is_looked_at_is_no_secret(world, submission, outcome):
    value = b"alice@example.test" + b" " * 32_000 + b'"" <bob@example.test>'
    error = send(outcome, submission, b"From: " + value + b"\r\n\r\nbody\r\n", "bob@example.test")
    assert error.reply.enhanced == "5.7.1"


def test_lines_that_are_no_fields_count_as_fields(world, submission, outcome):
    error = send(outcome, submission, b"X: y\r\n" + b"a\r\n" * 1000 + b"\r\nbody\r\n", "bob@example.test")
    assert (error.kind, error.detail) == (Kind.INVALID, "the message has too many header fields")
    assert isinstance(
        send(outcome, submission, b"X: y\r\n" + b" a\r\n\tb\r\n" * 1000 + b"\r\n", "bob@example.test"), Receipt
    )
