import os
import re

import attrs
import pytest
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mailsuite.address import Address
from mailsuite.envelope import Body, Peer, Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    IBinaryMailReceiver,
    IMailReceiver,
    IMailTransaction,
    Receipt,
    Resolution,
    ResolutionKind,
)
from mailsuite.mta import Receiver
from mailsuite.smtp.replies import reply_to

from .conftest import loaded, pending_of

PEER = Peer(session="s1", ip="192.0.2.7", helo="client.far.test", esmtp=True)
SENDER = Sender(path=Address("sender", "far.test"))
MESSAGE = b"From: <sender@far.test>\r\nSubject: hello\r\n\r\nbody\r\n"


@pytest.fixture
def receiver(world, settings):
    return Receiver(world.spool(inline_max_octets=2000), world.accounts, settings, world.reactor)


def recipient(text):
    return Recipient(path=Address(*text.rsplit("@", 1)))


def begin(outcome, receiver, *recipients, sender=SENDER):
    transaction = outcome(receiver.begin(PEER, sender))
    for text in recipients:
        result = outcome(transaction.add_recipient(recipient(text)))
        if isinstance(result, Exception):
            raise result
    return transaction


def send(outcome, receiver, message, *recipients, sender=SENDER, cut=10**9):
    transaction = begin(outcome, receiver, *recipients, sender=sender)
    transaction.begin_data()
    for start in range(0, len(message), cut):
        transaction.write(message[start : start + cut])
    return outcome(transaction.commit())


def test_the_interfaces_are_provided(world, receiver, outcome):
    verifyObject(IMailReceiver, receiver)
    verifyObject(IBinaryMailReceiver, receiver)
    verifyObject(IMailTransaction, begin(outcome, receiver, "alice@example.test"))


def test_a_message_arrives_with_return_path_and_received_before_it(world, receiver, outcome):
    receipt = send(outcome, receiver, MESSAGE, "alice@example.test")
    assert isinstance(receipt, Receipt)
    (content,) = world.store.of("alice@example.test")
    match = re.fullmatch(
        rb"Return-Path: <sender@far\.test>\r\nReceived: from client\.far\.test \(\[192\.0\.2\.7\]\)\r\n"
        rb"\tby mx\.example\.test with ESMTP\r\n\tid (\S+)\r\n\tfor <alice@example\.test>;\r\n\t(.+)\r\n"
        + re.escape(MESSAGE),
        content,
    )
    assert match[1].decode() == receipt.queue_id
    assert match[2] == b"Tue, 14 Nov 2023 22:13:20 +0000"


def test_several_recipients_are_not_told_of_each_other(world, receiver, outcome):
    send(outcome, receiver, MESSAGE, "alice@example.test", "bob@example.test")
    (content,) = world.store.of("alice@example.test")
    assert b"for <" not in content
    assert world.store.of("bob@example.test") == [content]


def test_the_null_reverse_path_is_written_so(world, receiver, outcome):
    send(outcome, receiver, MESSAGE, "alice@example.test", sender=Sender(path=None))
    assert world.store.of("alice@example.test")[0].startswith(b"Return-Path: <>\r\n")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\r\n",
        b"\r\nbody only\r\n",
        b"Subject: no body\r\n",
        b"Subject: no body\r\n\r\n",
        b"no header at all\r\n",
        MESSAGE,
        MESSAGE + b"x" * 5000,
    ],
)
@pytest.mark.parametrize("cut", [1, 3, 10**9])
def test_the_content_is_kept_octet_for_octet_however_it_is_cut(world, receiver, outcome, message, cut):
    assert isinstance(send(outcome, receiver, message, "alice@example.test", cut=cut), Receipt)
    (content,) = world.store.of("alice@example.test")
    assert content[re.match(rb".*?\r\nReceived:.*?\r\n(?!\t)", content, re.DOTALL).end() :] == message


@hypothesis_settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    strategies.lists(strategies.sampled_from([b"\r\n", b"a", b"X: y\r\n", b" ", b":", b"\xff"]), max_size=20),
    strategies.integers(1, 7),
)
def test_any_content_is_kept(world, receiver, outcome, pieces, cut):
    message = b"".join(pieces)
    world.store.mail.clear()
    assert isinstance(send(outcome, receiver, message, "alice@example.test", cut=cut), Receipt)
    (content,) = world.store.of("alice@example.test")
    assert content.endswith(b"+0000\r\n" + message)


def test_a_large_message_lies_in_a_file_until_it_is_swept(world, receiver, outcome):
    message = MESSAGE + b"x" * 5000
    send(outcome, receiver, message, "alice@example.test", "bob@example.test")
    bodies = os.path.join(world.folder, "body")
    assert len(os.listdir(bodies)) == 1
    assert all(delivery.link for delivery in world.store.calls)
    world.spools[0].sweep()
    assert os.listdir(bodies) == []
    assert world.store.of("bob@example.test")[0].endswith(message)


@pytest.mark.parametrize(
    "path",
    [
        "user@elsewhere.test",
        "user%elsewhere.test@example.test",
        "elsewhere.test!user@example.test",
        "user@elsewhere.test@example.test",
        "@elsewhere.test:user@example.test",
        "alice%elsewhere.test@example.test",
        "user@[192.0.2.1]",
        "user@[127.0.0.1]",
        "user@example.test.",
        "user@sub.example.test",
    ],
)
def test_strangers_are_not_relayed(world, receiver, outcome, path):
    with pytest.raises(MailError) as caught:
        begin(outcome, receiver, path)
    assert caught.value.kind is Kind.DENIED
    assert str(caught.value) == "relaying denied"
    assert reply_to(caught.value).code == 550


def test_an_unknown_name_is_not_found(world, receiver, outcome):
    with pytest.raises(MailError) as caught:
        begin(outcome, receiver, "nobody@example.test")
    assert caught.value.kind is Kind.NOT_FOUND


def test_a_disabled_account_is_refused(world, receiver, outcome):
    world.accounts.disabled.add("bob")
    with pytest.raises(MailError) as caught:
        begin(outcome, receiver, "bob@example.test")
    assert reply_to(caught.value).enhanced == "5.2.1"


def test_a_refused_recipient_does_not_spoil_the_others(world, receiver, outcome):
    transaction = begin(outcome, receiver, "alice@example.test")
    assert isinstance(outcome(transaction.add_recipient(recipient("nobody@example.test"))), MailError)
    transaction.begin_data()
    transaction.write(MESSAGE)
    outcome(transaction.commit())
    assert len(world.store.mail) == 1


def test_a_tag_names_the_mailbox(world, receiver, outcome):
    send(outcome, receiver, MESSAGE, "alice+lists@example.test", "bob@example.test")
    assert [delivery.mailbox for delivery in world.store.calls] == ["lists", "INBOX"]


@pytest.mark.parametrize("tag", ["Sent", "sent", "Drafts", "Junk", "Trash", "Archive/2026"])
def test_a_tag_does_not_reach_what_the_account_itself_fills(world, receiver, outcome, tag):
    send(outcome, receiver, MESSAGE, f"alice+{tag}@example.test")
    assert [delivery.mailbox for delivery in world.store.calls] == ["INBOX"]


def test_two_ways_to_one_mailbox_bring_one_message(world, receiver, outcome):
    accounts = world.accounts.accounts
    world.accounts.aliases["all@example.test"] = Resolution(
        kind=ResolutionKind.LOCAL, accounts=tuple((account, "") for account in accounts.values())
    )
    send(outcome, receiver, MESSAGE, "alice@example.test", "all@example.test", "alice@example.test")
    assert sorted(delivery.email for delivery in world.store.calls) == [
        "alice@example.test",
        "bob@example.test",
        "carol@example.test",
    ]


@pytest.mark.parametrize("notify", ["NEVER", "SUCCESS"])
def test_who_hears_of_nothing_by_a_list_hears_of_a_recipient_of_its_own(world, receiver, outcome, notify):
    people = world.accounts.accounts
    world.accounts.aliases["all@example.test"] = Resolution(
        kind=ResolutionKind.LOCAL, accounts=((people["alice"], ""), (people["bob"], ""))
    )
    world.store.errors["alice@example.test"] = MailError(Kind.NOT_FOUND)
    transaction = begin(outcome, receiver)
    outcome(transaction.add_recipient(attrs.evolve(recipient("all@example.test"), notify=notify)))
    outcome(transaction.add_recipient(recipient("alice@example.test")))
    transaction.begin_data()
    transaction.write(MESSAGE)
    outcome(transaction.commit())
    message = loaded(world.spools[0], 1)
    assert [(target.email, target.notify) for target in message.targets if target.is_local] == [
        ("alice@example.test", ""),
        ("bob@example.test", "NEVER"),
    ]


@pytest.mark.parametrize(
    ("fields", "require_tls", "optional"),
    [
        (b"TLS-Required: No\r\n", False, True),
        (b"tls-required:\r\n no\r\n", False, True),
        (b"TLS-Required: No\r\n", True, False),
        (b"TLS-Required: Yes\r\n", False, False),
        (b"TLS-Required: No, really\r\n", False, False),
        (b"TLS-Required:\r\n", False, False),
        (b"TLS-Required: No\r\nTLS-Required: No\r\n", False, False),
        (b"", False, False),
    ],
)
@pytest.mark.parametrize("cut", [1, 10**9])
def test_the_header_may_say_that_tls_is_optional(world, receiver, outcome, fields, require_tls, optional, cut):
    # RFC 8689 section 4.1: the parameter of MAIL goes before the field
    resolution = Resolution(kind=ResolutionKind.LOCAL, remote=(Address("x", "remote.test"),))
    world.accounts.aliases["out@example.test"] = resolution
    sender = attrs.evolve(SENDER, require_tls=require_tls)
    message = fields + MESSAGE + b"TLS-Required: No\r\n"
    send(outcome, receiver, message, "out@example.test", sender=sender, cut=cut)
    (pending,) = outcome(receiver._spool.run(pending_of))
    kept = loaded(receiver._spool, pending.message_id).sender
    assert (kept.require_tls, kept.tls_optional) == (require_tls, optional)


def test_an_alias_that_leads_elsewhere_is_queued(world, receiver, outcome):
    world.accounts.aliases["out@example.test"] = Resolution(
        kind=ResolutionKind.LOCAL, remote=(Address("x", "remote.test"),)
    )
    assert isinstance(send(outcome, receiver, MESSAGE, "out@example.test"), Receipt)
    assert not world.store.calls


def test_a_directory_that_does_not_answer_is_temporary(world, receiver, outcome):
    world.accounts.error = MailError(Kind.UNAVAILABLE)
    with pytest.raises(MailError) as caught:
        begin(outcome, receiver, "alice@example.test")
    assert reply_to(caught.value).code == 451


def refusal(outcome, receiver, message, cut=10**9):
    """Send as a server does: read on after a refusal, and ask at the end."""
    transaction = begin(outcome, receiver, "alice@example.test")
    transaction.begin_data()
    for start in range(0, len(message), cut):
        try:
            transaction.write(message[start : start + cut])
        except MailError:
            continue
    return reply_to(outcome(transaction.commit()))


@pytest.mark.parametrize("cut", [1000, 10**9])
def test_what_is_refused_while_it_is_read_leaves_nothing(world, receiver, outcome, cut):
    received = b"Received: from a by b; Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    for message, code, enhanced in (
        (MESSAGE + b"\x00", 550, "5.6.0"),
        (MESSAGE + b"x" * 1_000_001, 552, "5.3.4"),
        (received * 50 + MESSAGE, 554, "5.4.6"),
        (b"A: b\r\n" * 1000 + MESSAGE, 550, "5.6.0"),
    ):
        reply = refusal(outcome, receiver, message, cut)
        assert (reply.code, reply.enhanced) == (code, enhanced)
    assert not world.store.mail
    assert os.listdir(os.path.join(world.folder, "body")) == []
    assert world.spools[0].held_octets == 0


def test_forty_nine_hops_are_not_a_loop(world, receiver, outcome):
    message = b"Received: x\r\n" * 49 + MESSAGE
    assert isinstance(send(outcome, receiver, message, "alice@example.test"), Receipt)


def test_a_header_section_without_end_is_refused(world, outcome, settings):
    import attrs

    small = attrs.evolve(settings, header_max_octets=5000)
    receiver = Receiver(world.spool(), world.accounts, small, world.reactor)
    assert refusal(outcome, receiver, b"X: y\r\n" * 900, cut=100).code == 552


def test_a_declared_size_above_the_limit_is_refused_at_mail(world, receiver, outcome):
    error = outcome(receiver.begin(PEER, Sender(path=None, size_octets=1_000_001)))
    assert error.kind is Kind.TOO_LARGE


def test_no_room_is_answered_452(world, settings, outcome):
    import attrs

    receiver = Receiver(world.spool(), world.accounts, attrs.evolve(settings, free_floor_octets=2**62), world.reactor)
    error = outcome(receiver.begin(PEER, SENDER))
    assert error.kind is Kind.UNAVAILABLE
    assert (reply_to(error).code, reply_to(error).enhanced) == (452, "4.3.1")


def test_while_the_store_does_not_keep_up_mail_waits_and_then_goes_on(world, receiver):
    world.store.queued = 1000
    begun = []
    Deferred.fromCoroutine(receiver.begin(PEER, SENDER)).addCallback(begun.append)
    world.reactor.pump([0.02] * 100)
    assert not begun
    world.store.queued = 999
    world.reactor.advance(0.02)
    assert begun


def test_and_is_refused_with_452_when_it_waits_for_too_long(world, receiver):
    world.store.queued = 1000
    refused = []
    Deferred.fromCoroutine(receiver.begin(PEER, SENDER)).addErrback(refused.append)
    world.reactor.pump([0.02] * 600)
    assert reply_to(refused[0].value).code == 452


def test_abort_leaves_nothing(world, receiver, outcome):
    transaction = begin(outcome, receiver, "alice@example.test")
    transaction.abort()
    transaction = begin(outcome, receiver, "alice@example.test")
    transaction.begin_data()
    transaction.write(MESSAGE + b"x" * 5000)
    transaction.abort()
    transaction.abort()
    assert os.listdir(os.path.join(world.folder, "body")) == []
    assert world.spools[0].held_octets == 0
    assert not world.store.mail


def test_memory_is_given_back_when_the_message_is_durable(world, receiver, outcome):
    send(outcome, receiver, MESSAGE, "alice@example.test")
    send(outcome, receiver, MESSAGE + b"x" * 5000, "alice@example.test")
    assert world.spools[0].held_octets == 0


BINARY_SENDER = Sender(path=Address("sender", "far.test"), body=Body.BINARY_MIME)


@pytest.mark.parametrize("cut", [1, 7, 10**9])
@pytest.mark.parametrize("times", [1, 20])
def test_content_that_is_no_text_arrives_octet_for_octet(world, receiver, outcome, cut, times):
    message = b"Subject: x\r\nContent-Transfer-Encoding: binary\r\n\r\n" + bytes(range(256)) * times + b"\r\n.\r\n\n\r"
    assert isinstance(send(outcome, receiver, message, "alice@example.test", sender=BINARY_SENDER, cut=cut), Receipt)
    (content,) = world.store.of("alice@example.test")
    assert content.endswith(b"+0000\r\n" + message)


@pytest.mark.parametrize(
    ("header", "code"),
    [(b"Subject: \0\r\n\r\n", "5.6.0"), (b"Subject: x\nTo: y\r\n\r\n", "5.5.2"), (b"Subject: x\ry\r\n\r\n", "5.5.2")],
)
def test_a_header_section_is_text_all_the_same(world, receiver, outcome, header, code):
    transaction = begin(outcome, receiver, "alice@example.test", sender=BINARY_SENDER)
    transaction.begin_data()
    with pytest.raises(MailError) as caught:
        transaction.write(header + b"\0\r\n")
    assert reply_to(caught.value).enhanced == code
    assert outcome(transaction.commit()) is caught.value
    assert world.store.of("alice@example.test") == []


def test_content_that_is_nothing_but_a_header_section_is_looked_at_as_well(world, receiver, outcome):
    result = send(outcome, receiver, b"\0\1\2", "alice@example.test", sender=BINARY_SENDER)
    assert reply_to(result).enhanced == "5.6.0"


def test_a_peer_that_speaks_lmtp_is_shown_as_such(world, receiver, outcome):
    peer = Peer(session="s1", helo="client.far.test", esmtp=True, lmtp=True)
    transaction = outcome(receiver.begin(peer, SENDER))
    outcome(transaction.add_recipient(recipient("alice@example.test")))
    transaction.begin_data()
    transaction.write(MESSAGE)
    assert isinstance(outcome(transaction.commit()), Receipt)
    assert b"with LMTP\r\n" in world.store.of("alice@example.test")[0]


@pytest.mark.parametrize("end", ["abort", "commit", "too long"])
def test_a_header_section_that_is_coming_in_counts_as_held(world, receiver, outcome, end):
    spool = world.spools[0]
    transaction = begin(outcome, receiver, "alice@example.test")
    transaction.begin_data()
    before = spool.held_octets
    transaction.write(b"X-Long: " + b"x" * 5000)
    assert spool.held_octets == before + 5008
    if end == "abort":
        transaction.abort()
    elif end == "commit":
        transaction.write(b"\r\n\r\nbody\r\n")
        assert isinstance(outcome(transaction.commit()), Receipt)
    else:
        with pytest.raises(MailError):
            transaction.write(b"x" * (receiver.settings.header_max_octets + 1))
    assert spool.held_octets == 0
