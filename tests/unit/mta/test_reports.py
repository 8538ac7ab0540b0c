"""Who is told of what: NOTIFY, RET, ENVID and ORCPT, delays, successes, aliases, programs and lists."""

import email
import email.policy
import quopri

import attrs
import pytest
from twisted.internet.defer import Deferred

from mailsuite.address import Address
from mailsuite.envelope import Peer, Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Resolution, ResolutionKind
from mailsuite.message.dsn import Action
from mailsuite.mta import Receiver, Target
from mailsuite.mta.expansion import with_expansion
from mailsuite.mta.reports import is_automatic, may_be_told
from mailsuite.smtp.outcome import Outcome, OutcomeState
from mailsuite.testing.faults import FaultyDisk

from .conftest import DELIVERED, pending_of

FAILED = Outcome(OutcomeState.FAILED, 550, "5.1.1", "no such user")
LATER = Outcome(OutcomeState.DEFERRED, 451, "4.2.0", "later")
ALICE = "alice@example.test"
CONTENT = b"Return-Path: <>\r\nSubject: x\r\n\r\nbody\r\n"


@pytest.fixture
def queue(world, start):
    spool = world.spool()
    start(spool)
    return spool


def send(world, spool, *recipients, content=CONTENT, sender=ALICE, **parameters):
    """Put a message; a recipient is an address, or an address and its NOTIFY."""
    named = [each if isinstance(each, tuple) else (each, "") for each in recipients]
    message = world.message(spool, *(name for name, _ in named), content=content, sender=sender)
    targets = [
        attrs.evolve(target, notify=notify, original=f"rfc822;{target.address}")
        for target, (_, notify) in zip(message.targets, named, strict=True)
    ]
    spool.put(attrs.evolve(message, targets=tuple(targets), sender=attrs.evolve(message.sender, **parameters)))
    return message


def reports(world, owner=ALICE):
    found = []
    for content in world.store.of(owner):
        message = email.message_from_bytes(content, policy=email.policy.default)
        if message.get_content_type() == "multipart/report":
            found.append(message)
    return found


def told(world):
    return [
        (group["Action"], group["Final-Recipient"].partition("; ")[2])
        for report in reports(world)
        for group in list(report.iter_parts())[1].get_payload()[1:]
    ]


def pass_time(world, seconds, step=600):
    for _ in range(int(seconds // step)):
        world.reactor.advance(step)


# failures


@pytest.mark.parametrize(
    ("notify", "wanted"),
    [("", True), ("FAILURE", True), ("delay,failure", True), ("NEVER", False), ("SUCCESS,DELAY", False)],
)
def test_the_sender_decides_whether_it_hears_of_a_failure(world, far, queue, notify, wanted):
    far.answers["x@remote.test"] = FAILED
    send(world, queue, ("x@remote.test", notify), envelope_id="id-7")
    assert told(world) == ([("failed", "x@remote.test")] if wanted else [])
    for report in reports(world):
        per_message, per_recipient = list(report.iter_parts())[1].get_payload()
        assert per_message["Original-Envelope-Id"] == "id-7"
        assert per_recipient["Original-Recipient"] == "rfc822; x@remote.test"


@pytest.mark.parametrize("hold", ["for;3600", "until;2027-01-15T09:00:00Z", ""])
def test_a_report_repeats_how_long_the_sender_wanted_it_to_be_held(world, far, queue, hold):
    # RFC 4865 section 5.1.2
    far.answers["x@remote.test"] = FAILED
    send(world, queue, "x@remote.test", hold=hold)
    (report,) = reports(world)
    per_message, _ = list(report.iter_parts())[1].get_payload()
    assert per_message.get_all("Future-Release-Request", []) == ([hold] if hold else [])


def test_failures_of_one_attempt_are_one_report(world, far, queue):
    far.answers = {"a@remote.test": FAILED, "b@remote.test": FAILED}
    send(world, queue, "a@remote.test", "b@remote.test", "c@remote.test")
    assert len(reports(world)) == 1
    assert told(world) == [("failed", "a@remote.test"), ("failed", "b@remote.test")]


@pytest.mark.parametrize(("ret", "whole"), [("FULL", True), ("HDRS", False), ("", False)])
def test_the_sender_decides_what_comes_back(world, far, queue, ret, whole):
    far.answers["x@remote.test"] = FAILED
    send(world, queue, "x@remote.test", ret=ret)
    (report,) = reports(world)
    returned = list(report.iter_parts())[2]
    assert returned.get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")
    assert (b"body" in returned.as_bytes()) is whole
    assert b"Return-Path" not in returned.as_bytes()


def test_a_large_message_comes_back_as_its_header(world, far, start):
    far.answers["x@remote.test"] = FAILED
    spool = world.spool()
    start(spool, returned_max_octets=1000)
    send(world, spool, "x@remote.test", content=CONTENT + b"more\r\n" * 500, ret="FULL")
    (report,) = reports(world)
    assert list(report.iter_parts())[2].get_content_type() == "text/rfc822-headers"


@pytest.mark.parametrize(("require_tls", "kind"), [(True, b"text/rfc822-headers"), (False, b"message/rfc822")])
def test_a_report_on_mail_that_requires_tls_requires_it_and_holds_no_body(world, far, queue, require_tls, kind):
    far.answers["x@remote.test"] = FAILED
    send(world, queue, "x@remote.test", sender="a@remote.test", ret="FULL", require_tls=require_tls)
    _, (_, envelope, octets) = far.got
    assert envelope.sender.path is None
    assert envelope.sender.require_tls is require_tls
    assert b"Content-Type: " + kind in octets
    assert (b"body" in octets) is not require_tls


def test_addresses_of_utf8_come_back_as_the_sender_can_read_them(world, far, queue):
    far.answers["jürgen@remote.test"] = FAILED
    send(world, queue, "jürgen@remote.test")
    send(world, queue, "jürgen@remote.test", smtputf8=True)
    plain, utf8 = world.store.of(ALICE)
    assert rb"Final-Recipient: utf-8; j\x{FC}rgen@remote.test" in plain
    assert "Final-Recipient: utf-8; jürgen@remote.test".encode() in quopri.decodestring(utf8)
    assert utf8.isascii(), "it goes without SMTPUTF8 (RFC 6533 section 4.5)"


# delays


def test_a_delay_is_told_once(world, far, queue):
    far.answers["x@remote.test"] = LATER
    send(world, queue, "x@remote.test", ret="FULL")
    pass_time(world, 3 * 3600)
    assert told(world) == []
    pass_time(world, 20 * 3600)
    assert told(world) == [("delayed", "x@remote.test")]
    (report,) = reports(world)
    text, status, returned = report.iter_parts()
    assert "4.2.0" in status.as_string()
    assert "Will-Retry-Until: Sun, 19 Nov 2023" in status.as_string()
    assert returned.get_content_type() == "text/rfc822-headers", "RET is for failures (RFC 3461 section 4.3)"
    assert "We go on trying until" in text.get_content()


@pytest.mark.parametrize(("notify", "wanted"), [("DELAY", True), ("FAILURE", False), ("NEVER", False)])
def test_the_sender_decides_whether_it_hears_of_a_delay(world, far, queue, notify, wanted):
    far.answers["x@remote.test"] = LATER
    send(world, queue, ("x@remote.test", notify))
    pass_time(world, 86400)
    assert told(world) == ([("delayed", "x@remote.test")] if wanted else [])


def test_nobody_hears_of_delays_when_the_operator_wants_it_so(world, far, start):
    far.answers["x@remote.test"] = LATER
    spool = world.spool()
    start(spool, warn_seconds=0.0)
    send(world, spool, ("x@remote.test", "DELAY"))
    pass_time(world, 86400)
    assert told(world) == []


def test_a_full_mailbox_is_a_delay_as_well(world, queue):
    world.store.errors["bob@example.test"] = MailError(Kind.OVER_QUOTA, "mailbox full")
    send(world, queue, "bob@example.test")
    pass_time(world, 86400)
    assert told(world) == [("delayed", "bob@example.test")]


def test_a_delay_waits_while_the_directory_cannot_say_where_the_report_goes(world, far, queue):
    far.answers["x@remote.test"] = LATER
    send(world, queue, "x@remote.test")
    world.accounts.error = MailError(Kind.UNAVAILABLE)
    pass_time(world, 12 * 3600)
    assert told(world) == []
    world.accounts.error = None
    pass_time(world, 8 * 3600)
    assert told(world) == [("delayed", "x@remote.test")]


# successes


def test_a_delivery_here_is_told_when_it_is_safe(world, queue, outcome):
    send(world, queue, ("bob@example.test", "SUCCESS"), "carol@example.test")
    assert len(world.store.of("bob@example.test")) == len(world.store.of("carol@example.test")) == 1
    assert told(world) == [], "it is not synced yet"
    assert len(outcome(queue.run(pending_of))) == 1
    queue.sweep()
    assert told(world) == [("delivered", "bob@example.test")]
    assert outcome(queue.run(pending_of)) == []


def test_a_crash_before_the_record_delivers_once_and_tells_once(world, start):
    spool = world.spool()
    service = start(spool)
    send(world, spool, ("bob@example.test", "SUCCESS"))
    service.stopService()
    service._cancel_attempts()
    world.kill(spool)
    spool = world.spool()
    start(spool)
    for _ in range(3):
        spool.sweep()
    assert len(world.store.of("bob@example.test")) == 1
    assert told(world) == [("delivered", "bob@example.test")]


def test_the_hot_path_stays_as_it_was_for_all_others(world, queue, outcome):
    send(world, queue, ("bob@example.test", "FAILURE"), "carol@example.test")
    send(world, queue, ("bob@example.test", "SUCCESS"), sender="")
    assert len(world.store.calls) == 3
    assert outcome(queue.run(lambda c: c.execute("SELECT count(*) FROM recipient").fetchone())) == (0,)


@pytest.mark.parametrize(("dsn", "expected"), [(False, [("relayed", "x@remote.test")]), (True, [])])
def test_a_next_hop_that_tells_itself_is_not_doubled(world, far, queue, dsn, expected):
    far.answers["x@remote.test"] = attrs.evolve(DELIVERED, dsn=dsn)
    send(world, queue, ("x@remote.test", "SUCCESS"))
    assert told(world) == expected
    assert far.got[0][1].recipients[0].notify == "SUCCESS"


def test_a_success_that_cannot_be_told_now_is_told_later_and_the_mail_not_sent_again(world, far, queue, outcome):
    world.accounts.error = MailError(Kind.UNAVAILABLE)
    send(world, queue, ("x@remote.test", "SUCCESS"))
    (row,) = outcome(queue.run(pending_of))
    assert row.status == "2.0.0 ok"
    pass_time(world, 3600)
    assert told(world) == []
    world.accounts.error = None
    pass_time(world, 3600)
    assert told(world) == [("relayed", "x@remote.test")]
    assert len(far.got) == 1
    assert outcome(queue.run(pending_of)) == []


def test_a_success_that_can_never_be_told_ends_with_its_lifetime(world, far, queue, outcome):
    world.accounts.error = MailError(Kind.UNAVAILABLE)
    send(world, queue, ("x@remote.test", "SUCCESS"))
    pass_time(world, 5 * 86400 + 3600)
    assert outcome(queue.run(pending_of)) == []
    assert len(far.got) == 1


def test_success_and_failure_of_one_attempt_are_two_reports(world, far, queue):
    far.answers["bad@remote.test"] = FAILED
    send(world, queue, ("good@remote.test", "SUCCESS,FAILURE"), "bad@remote.test")
    assert sorted(told(world)) == [("failed", "bad@remote.test"), ("relayed", "good@remote.test")]
    assert len(reports(world)) == 2


# aliases


def test_an_alias_for_several_is_told_once(world, queue, settings, outcome):
    world.accounts.aliases["team@example.test"] = Resolution(
        kind=ResolutionKind.LOCAL,
        accounts=((world.accounts.accounts["bob"], ""), (world.accounts.accounts["carol"], "")),
        remote=(Address("far", "remote.test"),),
    )
    receiver = Receiver(queue, world.accounts, settings, world.reactor)

    async def mail(notify):
        transaction = await receiver.begin(Peer(session="s"), Sender(path=Address.parse(ALICE)))
        recipient = Recipient(path=Address("team", "example.test"), notify=notify, original="rfc822;team@example.test")
        await transaction.add_recipient(recipient)
        transaction.begin_data()
        transaction.write(b"Subject: x\r\n\r\nbody\r\n")
        await transaction.commit()

    outcome(mail("SUCCESS"))
    for _ in range(3):
        queue.sweep()
    assert told(world) == [("expanded", "team@example.test")]
    assert [len(world.store.of(f"{name}@example.test")) for name in ("bob", "carol")] == [1, 1]
    outcome(mail(""))
    assert len(told(world)) == 1
    assert outcome(queue.run(pending_of)) == []


@pytest.mark.parametrize(
    ("notify", "passed_on"), [("SUCCESS", "NEVER"), ("SUCCESS,FAILURE", "FAILURE"), ("delay,success", "DELAY")]
)
def test_what_an_alias_passes_on(notify, passed_on):
    recipient = Recipient(path=Address("team", "example.test"), notify=notify)
    targets = [Target(address=Address(name, "far.test"), notify=notify) for name in "ab"]
    *passed, notice = with_expansion(recipient, targets)
    assert [target.notify for target in passed] == [passed_on] * 2
    assert notice.is_notice
    assert not notice.is_remote
    assert with_expansion(recipient, targets[:1]) == targets[:1]


# programs and lists

AUTOMATIC = [
    b"Auto-Submitted: auto-replied",
    b"auto-submitted: Auto-Generated; owner=x",
    b"List-Id: <l.far.test>\r\nPrecedence: list",
    b"List-ID: x <l.far.test>\r\nprecedence: Bulk",
]
PERSONAL = [
    b"Subject: x",
    b"Auto-Submitted: no",
    b"Auto-Submitted: No (really)",
    b"Auto-Submitted:",
    b"List-Id: <l.far.test>",
    b"Precedence: bulk",
    b"",
]


@pytest.mark.parametrize("header", AUTOMATIC)
def test_mail_of_programs_and_lists_is_known(header):
    assert is_automatic(header + b"\r\n")


@pytest.mark.parametrize("header", PERSONAL)
def test_mail_of_people_is_known(header):
    assert not is_automatic(header + b"\r\n" if header else b"")


@pytest.mark.parametrize(
    ("action", "notify", "expected"),
    [
        (Action.FAILED, "", False),
        (Action.FAILED, "FAILURE", True),
        (Action.FAILED, "SUCCESS", False),
        (Action.DELAYED, "", False),
        (Action.DELAYED, "DELAY", False),
        (Action.RELAYED, "SUCCESS", False),
    ],
)
def test_programs_and_lists_hear_of_failures_they_asked_for_and_of_nothing_else(action, notify, expected):
    target = Target(address=Address("x", "far.test"), notify=notify)
    assert may_be_told(target, action, automatic=True) is expected


@pytest.mark.parametrize(("notify", "count"), [("", 0), ("FAILURE", 1)])
def test_an_answer_of_a_program_is_not_answered(world, far, queue, notify, count):
    far.answers["x@remote.test"] = FAILED
    content = b"Return-Path: <>\r\nAuto-Submitted: auto-replied\r\nSubject: x\r\n\r\nbody\r\n"
    send(world, queue, ("x@remote.test", notify), content=content)
    assert len(reports(world)) == count


# when something breaks


@pytest.mark.parametrize("notify", ["", "SUCCESS"])
def test_a_report_that_cannot_be_written_sends_nothing_again(world, far, queue, monkeypatch, outcome, notify):
    def broken(_report):
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("mailsuite.mta.reports.write_report", broken)
    send(world, queue, ("x@remote.test", notify))
    pass_time(world, 3600)
    assert len(far.got) == 1
    monkeypatch.undo()
    pass_time(world, 600)
    assert told(world) == ([("relayed", "x@remote.test")] if notify else [])
    assert outcome(queue.run(pending_of)) == []


def test_a_delivery_that_nobody_asked_about_reads_nothing_again(world, far, queue, monkeypatch, outcome):
    async def unread(*_):
        raise AssertionError("read")

    monkeypatch.setattr("mailsuite.mta.reports.Reports._read", unread)
    send(world, queue, "x@remote.test")
    assert outcome(queue.run(pending_of)) == []


# when the disk fails


def test_a_report_and_its_result_are_kept_together_or_not_at_all(world, far, start, outcome):
    far.answers["x@remote.test"] = FAILED
    disk = FaultyDisk(operations={"commit"})
    spool = world.spool(disk)
    start(spool)
    far.pause = Deferred()
    send(world, spool, "x@remote.test")
    disk.reset()
    disk.fail_at = 1
    far.pause.callback(None)
    assert reports(world) == []
    assert len(outcome(spool.run(pending_of))) == 1
    world.reactor.advance(6)
    assert told(world) == [("failed", "x@remote.test")]
    assert outcome(spool.run(pending_of)) == []
    assert len(far.got) == 1
