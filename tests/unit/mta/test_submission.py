import re

import pytest

from mailsuite.address import Address
from mailsuite.envelope import Peer, Recipient, Sender
from mailsuite.errors import Kind
from mailsuite.interfaces import Receipt
from mailsuite.mta import Submission
from mailsuite.mta.submission import without_fields

from .conftest import pending_of

PEER = Peer(session="s1", ip="192.0.2.7", helo="laptop", esmtp=True, tls="TLSv1.3 X", account="alice@example.test")
ALICE = Sender(path=Address("alice", "example.test"))


@pytest.fixture
def submission(world, settings):
    return Submission(world.spool(), world.accounts, settings, world.reactor, "alice@example.test")


def send(outcome, submission, message, *recipients, sender=ALICE):
    transaction = outcome(submission.begin(PEER, sender))
    for text in recipients:
        assert outcome(transaction.add_recipient(Recipient(path=Address.parse(text)))) is None
    transaction.begin_data()
    transaction.write(message)
    return outcome(transaction.commit())


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
        rb"Date: Tue, 14 Nov 2023 22:13:20 \+0000\r\nMessage-ID: <[0-9a-f]{32}@example\.test>\r\n"
        rb"Subject: x\r\n\r\nbody\r\n",
        delivered(world),
    )


def test_date_and_message_id_that_are_there_stay(world, submission, outcome):
    message = b"DATE: Mon, 1 Jan 2024 00:00:00 +0000\r\nmessage-id : <a@b>\r\n\r\nbody\r\n"
    send(outcome, submission, message, "bob@example.test")
    assert world.store.of("bob@example.test")[0].endswith(b"+0000\r\n" + message)
    assert b"Message-ID: <" not in world.store.of("bob@example.test")[0]


def test_a_body_without_header_section_gets_one(world, submission, outcome):
    send(outcome, submission, b"just text\r\n", "bob@example.test")
    assert delivered(world).partition(b"\r\n\r\n")[2] == b"just text\r\n"


def test_an_empty_message_gets_a_header_section(world, submission, outcome):
    send(outcome, submission, b"\r\nbody\r\n", "bob@example.test")
    head, _, body = delivered(world).partition(b"\r\n\r\n")
    assert head.startswith(b"Date:")
    assert body == b"body\r\n"


def test_bcc_is_removed_with_its_continuation_lines_and_nothing_else(world, submission, outcome):
    message = (
        b"Date: x\r\nMessage-ID: <a@b>\r\nBCC: <carol@example.test>,\r\n\t<dave@example.test>\r\n"
        b"Subject: bcc: stays\r\n more\r\nResent-Bcc: <x@y>\r\n\r\nBcc: in the body\r\n"
    )
    send(outcome, submission, message, "bob@example.test")
    content = delivered(world)
    assert content == (b"Date: x\r\nMessage-ID: <a@b>\r\nSubject: bcc: stays\r\n more\r\n\r\nBcc: in the body\r\n")


def test_local_recipients_are_served_at_once_and_remote_ones_queued(world, submission, outcome):
    receipt = send(outcome, submission, b"X: y\r\n\r\n", "bob@example.test", "far@remote.test")
    assert isinstance(receipt, Receipt)
    assert [delivery.email for delivery in world.store.calls] == ["bob@example.test"]
    (pending,) = outcome(world.spools[0].run(pending_of))
    assert pending.address == "far@remote.test"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"", b""),
        (b"A: b\r\n", b"A: b\r\n"),
        (b"Bcc: x\r\n", b""),
        (b"bcc\t: x\r\n y\r\nA: b\r\n", b"A: b\r\n"),
        (b"A: b\r\n bcc: x\r\n", b"A: b\r\n bcc: x\r\n"),
        (b"Bccx: a\r\n", b"Bccx: a\r\n"),
    ],
)
def test_leaving_fields_out(header, expected):
    assert without_fields(header, frozenset((b"bcc",))) == expected
