"""What is said to strangers at RCPT, and with which sender their mail goes on."""

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.envelope import Peer, Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account, IAccountUpkeep, Receipt, Resolution, ResolutionKind, Usage
from mailsuite.mta import CaptureSettings, Forwarding, Receiver, RecipientRules, Submission
from mailsuite.mta.content import SpoolMessage, decode_message, encode_envelope
from mailsuite.mta.settings import OverQuota, SubmissionSettings
from mailsuite.smtp.outcome import Outcome, OutcomeState
from mailsuite.smtp.replies import reply_to

from .conftest import loaded, pending_of

PEER = Peer(session="s1", ip="192.0.2.7")
STRANGER = Sender(path=Address("ann", "far.test"))
NOBODY = Sender(path=None)
MESSAGE = b"From: <ann@far.test>\r\nSubject: hello\r\n\r\nbody\r\n"
CAPTURE = Account(account_id=9, email="capture@temp.test", quota_octets=1000, receive_only=True)


@implementer(IAccountUpkeep)
class Upkeep:
    def __init__(self):
        self.used = {}
        self.asked = []
        self.error = None

    def usage(self, account):
        self.asked.append(account.email)
        if self.error is not None:
            raise self.error
        answer = self.used.get(account.email, Usage(0, 0, 1))
        return answer if isinstance(answer, Deferred) else succeed(answer)

    def expire(self, account, expiry):
        raise AssertionError((account, expiry))


@attrs.define
class Door:
    """Reception, and what a test says to it."""

    world: object
    outcome: object
    settings: object
    upkeep: Upkeep
    receiver: Receiver = None
    forwarding: Forwarding = None

    def open(self, spool, **capture):
        world = self.world
        self.forwarding = forwarding = Forwarding(world.accounts, lambda: succeed(b"s" * 32), world.reactor)
        rules = RecipientRules(
            world.accounts, forwarding, self.upkeep, world.reactor, CaptureSettings(**capture) if capture else None
        )
        self.receiver = Receiver(spool, world.accounts, self.settings, world.reactor, rules)

    def say(self, *recipients, sender=STRANGER):
        """Give the transaction, or the code and enhanced code of the first refusal."""
        transaction = self.outcome(self.receiver.begin(PEER, sender))
        for text in recipients:
            path = Address(*text.rsplit("@", 1))
            answer = self.outcome(transaction.add_recipient(Recipient(path=path)))
            if isinstance(answer, Exception):
                reply = reply_to(answer)
                return reply.code, reply.enhanced
        return transaction

    def send(self, *recipients, sender=STRANGER, message=MESSAGE):
        transaction = self.say(*recipients, sender=sender)
        assert not isinstance(transaction, tuple), transaction
        transaction.begin_data()
        try:
            transaction.write(message)
        except MailError as error:
            transaction.abort()
            return reply_to(error).code, reply_to(error).enhanced
        return self.outcome(transaction.commit())

    def change(self, **values):
        self.settings = self.receiver.settings = attrs.evolve(self.settings, **values)


@pytest.fixture
def spool(world):
    return world.spool()


@pytest.fixture
def door(world, spool, settings, outcome):
    door = Door(world, outcome, settings, Upkeep())
    door.open(spool)
    world.accounts.accounts["alice"] = attrs.evolve(world.accounts.accounts["alice"], quota_octets=1000)
    return door


def leads(world, name, *, accounts=(), remote=(), forwarded=(), captured=(), kind=ResolutionKind.LOCAL):
    people = world.accounts.accounts
    world.accounts.aliases[f"{name}@example.test"] = Resolution(
        kind=kind,
        accounts=tuple((people[account], "") for account in accounts),
        remote=tuple(map(Address.parse, remote)),
        forwarded=tuple((people[account], Address.parse(text)) for account, text in forwarded),
        captured=captured,
    )


# room


def test_a_full_mailbox_lets_mail_wait_at_its_sender(door):
    door.upkeep.used["alice@example.test"] = Usage(1000, 3, 6)
    assert door.say("alice@example.test") == (452, "4.2.2")
    assert not isinstance(door.say("bob@example.test"), tuple)


def test_a_full_mailbox_refuses_for_good_if_it_is_to(door):
    door.upkeep.used["alice@example.test"] = Usage(1000, 3, 6)
    door.change(over_quota=OverQuota.REFUSE)
    assert door.say("alice+tag@example.test") == (552, "5.2.2")


def test_what_the_sender_declares_must_fit_as_well(door):
    door.upkeep.used["alice@example.test"] = Usage(900, 3, 6)
    assert not isinstance(door.say("alice@example.test", sender=attrs.evolve(STRANGER, size_octets=100)), tuple)
    assert door.say("alice@example.test", sender=attrs.evolve(STRANGER, size_octets=101)) == (452, "4.2.2")


def test_the_store_is_asked_for_accounts_with_a_quota_and_not_more_than_every_few_seconds(door, world):
    for _ in range(10):
        door.say("alice@example.test", "bob@example.test")
    assert door.upkeep.asked == ["alice@example.test"]
    door.upkeep.used["alice@example.test"] = Usage(1000, 3, 6)
    world.reactor.advance(5)
    assert door.say("alice@example.test") == (452, "4.2.2")


def test_a_store_that_does_not_answer_lets_mail_in(door, world, outcome):
    door.upkeep.used["alice@example.test"] = Deferred()
    transaction = outcome(door.receiver.begin(PEER, STRANGER))
    ended = []
    adding = Deferred.fromCoroutine(transaction.add_recipient(Recipient(path=Address("alice", "example.test"))))
    adding.addCallback(ended.append)
    world.reactor.advance(1.9)
    assert ended == []
    world.reactor.advance(0.2)
    assert ended == [None]
    door.upkeep.error = MailError(Kind.UNAVAILABLE)
    assert not isinstance(door.say("alice@example.test"), tuple)


@pytest.mark.parametrize("name", ["postmaster", "Abuse", "postmaster+x"])
def test_postmaster_and_abuse_are_taken_and_stored_however_full_it_is(door, world, name):
    leads(world, name.lower(), accounts=("alice",))
    door.upkeep.used["alice@example.test"] = Usage(1000, 3, 6)
    assert isinstance(door.send(f"{name}@example.test"), Receipt)
    assert [delivery.quota_octets for delivery in world.store.calls] == [0]


def test_a_list_is_refused_only_when_nobody_on_it_has_room(door, world):
    leads(world, "all", accounts=("alice", "bob"))
    leads(world, "out", accounts=("alice",), remote=("x@remote.test",))
    leads(world, "one", accounts=("alice",))
    door.upkeep.used["alice@example.test"] = Usage(1000, 3, 6)
    assert not isinstance(door.say("all@example.test", "out@example.test"), tuple)
    assert door.say("one@example.test") == (452, "4.2.2")


# the sender of what goes on


def sent(far):
    return [(str(envelope.sender.path), [str(item.path) for item in envelope.recipients]) for _, envelope, _ in far.got]


def test_what_an_alias_passes_on_for_a_stranger_comes_from_us(door, world, far, start, spool):
    leads(world, "out", accounts=("bob",), remote=("x@remote.test",))
    start(spool)
    assert isinstance(door.send("out@example.test"), Receipt)
    [(sender, recipients)] = sent(far)
    assert sender.startswith("SRS0=")
    assert sender.endswith("=far.test=ann@example.test")
    assert recipients == ["x@remote.test"]
    assert world.store.of("bob@example.test")[0].startswith(b"Return-Path: <ann@far.test>\r\n")


@pytest.mark.parametrize(
    ("sender", "changed"),
    [
        (NOBODY, {}),
        (Sender(path=Address("alice", "example.test")), {}),
        (STRANGER, {"srs": False}),
        (Sender(path=Address("x" * 50, "far.test")), {}),
    ],
)
def test_a_sender_stays_where_rewriting_would_be_wrong(door, world, far, start, spool, sender, changed):
    leads(world, "out", remote=("x@remote.test",))
    start(spool)
    door.change(**changed)
    door.send("out@example.test", sender=sender)
    assert sent(far) == [(str(sender.path), ["x@remote.test"])]


def test_mail_for_a_domain_that_we_back_up_is_queued_and_keeps_its_sender(door, world, spool, outcome):
    leads(world, "any", remote=("any@example.test",), kind=ResolutionKind.RELAYED)
    assert isinstance(door.send("any@example.test"), Receipt)
    [target] = loaded(spool, 1).targets
    assert (str(target.address), target.is_local, target.sender, target.forwarder) == (
        "any@example.test",
        False,
        None,
        "",
    )


def test_several_targets_go_in_one_envelope_for_each_sender(door, world, far, start, spool, outcome):
    leads(world, "out", remote=("x@remote.test", "y@remote.test"))
    leads(world, "alice", accounts=("alice",), forwarded=(("alice", "z@remote.test"),))
    start(spool)
    door.send("out@example.test", "alice@example.test")
    assert [recipients for _, recipients in sent(far)] == [["x@remote.test", "y@remote.test"], ["z@remote.test"]]
    assert len(world.store.of("alice@example.test")) == 1


def test_the_domain_of_rewritten_senders_can_be_chosen(door, world, far, start, spool):
    leads(world, "out", remote=("x@remote.test",))
    start(spool)
    door.change(srs_domain="srs.test")
    door.send("out@example.test")
    [(sender, _)] = sent(far)
    assert sender.endswith("=far.test=ann@srs.test")
    assert isinstance(door.send(sender, sender=NOBODY), Receipt)


def rewritten(door, world, far, start, spool):
    leads(world, "out", remote=("x@remote.test",))
    start(spool)
    door.send("out@example.test")
    [(sender, _)] = sent(far)
    far.got.clear()
    return sender


def test_a_report_finds_the_way_back_to_the_sender(door, world, far, start, spool, outcome):
    sender = rewritten(door, world, far, start, spool)
    door.send(sender, sender=NOBODY)
    assert [str(target.address) for target in loaded(spool, 3).targets] == ["ann@far.test"]
    door.send(sender.lower(), sender=NOBODY)
    assert [str(target.address) for target in loaded(spool, 5).targets] == ["ann@far.test"]


def test_our_own_report_on_mail_that_came_back_finds_the_way_as_well(door, world, far, start, spool):
    leads(world, "alice", forwarded=(("alice", "x@remote.test"),))
    start(spool, restore=lambda recipient: door.forwarding.restore(recipient, NOBODY, door.settings))
    door.send("alice@example.test")
    [(sender, _)] = sent(far)
    assert sender.startswith("SRS0=")
    world.store.errors["bob@example.test"] = MailError(Kind.NOT_FOUND, "no such mailbox")
    door.send("bob@example.test", sender=Sender(path=Address(*sender.rsplit("@", 1))))
    assert [pending.address for pending in door.outcome(spool.run(pending_of))] == ["ann@far.test"]


def test_what_is_no_report_or_not_ours_or_too_old_is_refused(door, world, far, start, spool):
    sender = rewritten(door, world, far, start, spool)
    assert door.say(sender, sender=STRANGER) == (550, "5.7.1")
    forged = sender.replace("=far.test=", "=else.test=")
    assert door.say(forged, sender=NOBODY) == (550, "5.7.1")
    world.reactor.advance(22 * 86_400)
    assert door.say(sender, sender=NOBODY) == (550, "5.7.1")


def test_a_rewritten_address_of_others_is_still_no_way_to_relay(door):
    assert door.say("SRS0=AAAA=AA=far.test=ann@other.test", sender=NOBODY) == (550, "5.7.1")


def test_a_report_for_somebody_who_is_ours_by_now_stays_here(door, world, outcome, spool):
    door.outcome(door.receiver.begin(PEER, STRANGER))
    targets = outcome(door.receiver._rules._forwarding._load()).rewrite(
        Address("bob", "example.test"), "example.test", world.reactor.seconds()
    )
    assert isinstance(door.send(str(targets), sender=NOBODY), Receipt)
    assert len(world.store.of("bob@example.test")) == 1


# loops


def test_what_a_forward_passes_on_says_so_and_ends_when_it_comes_back(door, world, far, start, spool):
    leads(world, "alice", forwarded=(("alice", "x@remote.test"),))
    start(spool)
    door.send("alice@example.test")
    [(_, _, octets)] = far.got
    assert octets.startswith(b"Delivered-To: alice@example.test\r\nReceived: ")
    assert door.send("alice@example.test", message=octets) == (554, "5.4.6")
    assert len(far.got) == 1


def test_a_delivery_of_somebody_elses_is_no_loop(door, world, far, start, spool):
    leads(world, "alice", forwarded=(("alice", "x@remote.test"),))
    start(spool)
    message = b"Delivered-To: alice@remote.test\r\nDelivered-To: rubbish\r\n" + MESSAGE
    assert isinstance(door.send("alice@example.test", message=message), Receipt)
    assert len(far.got) == 1


def test_a_loop_fails_for_itself_and_the_rest_is_delivered(door, world, far, start, spool):
    leads(world, "alice", forwarded=(("alice", "x@remote.test"),))
    leads(world, "out", remote=("y@remote.test",))
    start(spool)
    message = b"Delivered-To: <Alice@example.test>\r\n" + MESSAGE
    sender = Sender(path=Address("bob", "example.test"))
    assert isinstance(door.send("alice@example.test", "out@example.test", message=message, sender=sender), Receipt)
    assert [recipients for _, recipients in sent(far)] == [["y@remote.test"]]
    [report] = world.store.of("bob@example.test")
    assert b"Status: 5.4.6\r\n" in report
    assert b"<x@remote.test>" in report


def test_submission_passes_on_and_sees_loops_too(world, spool, settings, outcome, far, start):
    leads(world, "alice", accounts=("alice",), forwarded=(("alice", "x@remote.test"),))
    start(spool)
    rules = SubmissionSettings(any_from=True)
    submission = Submission(spool, world.accounts, settings, world.reactor, "bob@example.test", rules=rules)
    transaction = outcome(submission.begin(PEER, Sender(path=Address("bob", "example.test"))))
    outcome(transaction.add_recipient(Recipient(path=Address("alice", "example.test"))))
    transaction.begin_data()
    transaction.write(MESSAGE)
    assert isinstance(outcome(transaction.commit()), Receipt)
    [(sender, _)] = sent(far)
    assert sender == "bob@example.test"
    assert len(world.store.of("alice@example.test")) == 1


def test_what_a_forward_could_not_pass_on_is_reported_to_the_sender_itself(door, world, far, start, spool):
    far.answers["x@remote.test"] = Outcome(OutcomeState.FAILED, 550, "5.1.1", "nobody")
    leads(world, "alice", forwarded=(("alice", "x@remote.test"),))
    start(spool)
    door.send("alice@example.test")
    report = loaded(spool, 3)
    assert [str(target.address) for target in report.targets] == ["ann@far.test"]


# captured mail


def test_captured_mail_is_stored_under_its_name(door, world):
    leads(world, "Any.Name", captured=())
    leads(world, "any.name", captured=((CAPTURE, "any.name"),))
    assert isinstance(door.send("Any.Name@example.test"), Receipt)
    [delivery] = world.store.calls
    assert (delivery.email, delivery.mailbox, delivery.make_mailbox) == ("capture@temp.test", "any.name", True)


def test_a_flood_of_names_or_octets_waits_for_the_next_sweep(door, world, spool):
    leads(world, "any", captured=((CAPTURE, "any"),))
    door.open(spool, names_max=10)
    door.change(over_quota=OverQuota.REFUSE)
    door.upkeep.used["capture@temp.test"] = Usage(10, 1, 20)
    assert not isinstance(door.say("any@example.test"), tuple)
    world.reactor.advance(5)
    door.upkeep.used["capture@temp.test"] = Usage(10, 1, 21)
    assert door.say("any@example.test") == (452, "4.2.2")
    world.reactor.advance(5)
    door.upkeep.used["capture@temp.test"] = Usage(1000, 1, 2)
    assert door.say("any@example.test") == (452, "4.2.2")
    leads(world, "postmaster", captured=((CAPTURE, "postmaster"),))
    assert door.say("postmaster@example.test") == (452, "4.2.2")


# the spool


def test_what_is_said_of_a_target_survives_in_the_spool(world, spool):
    message = world.message(spool, "alice", "x@remote.test")
    targets = (
        attrs.evolve(message.targets[0], make_mailbox=True),
        attrs.evolve(message.targets[1], sender=Address("SRS0=é", "a.test"), forwarder="bob@example.test", looped=True),
    )
    message = attrs.evolve(message, targets=targets)
    assert isinstance(message, SpoolMessage)
    assert decode_message(message.message_id, message.received, encode_envelope(message), message.content) == message
