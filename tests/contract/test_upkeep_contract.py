"""What every store promises about accounts that keep mail for some time only."""

import os

import pytest
from zope.interface.verify import verifyObject

from mailsuite.errors import Kind
from mailsuite.interfaces import Account, Expired, Expiry, IAccountUpkeep, Usage

NOW = 1_800_000_000
ONE = b"Subject: one\r\n\r\nfirst\r\n"
ACCOUNT = Account(account_id=1, email="user1@example.com")


def expiry(**values):
    defaults = {"before": 0, "messages_per_mailbox_max": 1000, "octets_max": 0, "mailboxes_max": 1000}
    return Expiry(**(defaults | values))


def put(bench, name, content=ONE):
    delivery = bench.delivery(content, mailbox=name, make_mailbox=True)
    return bench.deliver(delivery)[delivery.delivery_id]


def names(bench):
    entries = bench.go(bench.account().list_mailboxes())
    return {
        entry.name: bench.go(bench.account().status(entry.name)).messages
        for entry in entries
        if not entry.special_use and entry.selectable
    }


def expire(bench, **values):
    """Remove until nothing is left to be removed; say how much that was."""
    messages = mailboxes = 0
    for _ in range(100):
        expired = bench.go(bench.store.expire(ACCOUNT, expiry(**values)))
        if expired == Expired(0, 0):
            return messages, mailboxes
        messages += expired.messages
        mailboxes += expired.mailboxes
    raise AssertionError("it does not end")


def test_it_has_the_methods_of_its_interface(bench):
    verifyObject(IAccountUpkeep, bench.store)


def test_usage_counts_octets_messages_and_mailboxes(bench):
    before = bench.go(bench.store.usage(ACCOUNT))
    assert (before.octets, before.messages) == (0, 0)
    put(bench, "a")
    bench.append(ONE, name="Sent")
    assert bench.go(bench.store.usage(ACCOUNT)) == Usage(2 * len(ONE), 2, before.mailboxes + 1)


def test_a_delivery_makes_its_mailbox_and_keeps_to_it(bench):
    changes = []
    bench.bus.subscribe(1, changes.append)
    assert put(bench, "john.doe+x").error is None
    assert put(bench, "john.doe+x").error is None
    assert put(bench, "other").error is None
    assert names(bench) == {"INBOX": 0, "john.doe+x": 2, "other": 1}
    assert bench.contents("john.doe+x") == [ONE, ONE]
    assert any(change.mailbox_id == 0 for change in changes)
    bench.reopen()
    assert names(bench) == {"INBOX": 0, "john.doe+x": 2, "other": 1}


def test_a_name_that_no_mailbox_can_have_means_inbox(bench):
    assert put(bench, "../x").error is None
    assert names(bench) == {"INBOX": 1}


def test_only_so_many_mailboxes_are_made_and_others_still_get_mail(bench):
    outcomes = [put(bench, f"n{number}") for number in range(bench.settings.mailboxes_max)]
    refused = [outcome.error.kind for outcome in outcomes if outcome.error is not None]
    assert refused
    assert set(refused) == {Kind.OVER_QUOTA}
    assert put(bench, "n0").error is None


def test_what_came_before_a_moment_goes_with_mailboxes_that_are_empty_then(bench):
    for name in ("a", "b"):
        put(bench, name)
    bench.append(ONE)
    bench.now += 100
    put(bench, "b")
    assert expire(bench, before=NOW) == (0, 0)
    assert expire(bench, before=NOW + 50) == (3, 1)
    assert names(bench) == {"INBOX": 0, "b": 1}
    bench.reopen()
    assert names(bench) == {"INBOX": 0, "b": 1}
    assert expire(bench, before=NOW + 101) == (1, 1)
    assert put(bench, "b").error is None
    assert bench.contents("b") == [ONE]


def test_removal_goes_in_batches(bench):
    for _ in range(7):
        put(bench, "a")
    assert expire(bench, before=NOW + 1, batch=3) == (7, 1)


def test_a_mailbox_keeps_its_newest_messages(bench):
    for number in range(5):
        put(bench, "a", b"Subject: %d\r\n\r\n" % number)
    put(bench, "b")
    assert expire(bench, messages_per_mailbox_max=2) == (3, 0)
    assert bench.contents("a") == [b"Subject: 3\r\n\r\n", b"Subject: 4\r\n\r\n"]


def test_the_oldest_of_all_mailboxes_go_until_the_account_is_small_enough(bench):
    for name in ("a", "b", "a", "c"):
        put(bench, name)
        bench.now += 1
    assert expire(bench, octets_max=4 * len(ONE)) == (0, 0)
    assert expire(bench, octets_max=2 * len(ONE)) == (2, 1)
    assert names(bench) == {"INBOX": 0, "a": 1, "c": 1}


def test_mailboxes_without_news_go_when_there_are_too_many(bench):
    for name in ("a", "b", "c", "a"):
        put(bench, name)
        bench.now += 1
    assert expire(bench, mailboxes_max=2) == (1, 1)
    assert names(bench) == {"INBOX": 0, "a": 2, "c": 1}


def test_what_is_gone_is_not_delivered_again(bench):
    delivery = bench.delivery(ONE, mailbox="a", make_mailbox=True)
    bench.deliver(delivery)
    expire(bench, before=NOW + 1)
    assert bench.deliver(delivery)[delivery.delivery_id].error is None
    expire(bench, before=0)
    assert names(bench) == {"INBOX": 0}


def test_a_session_with_the_mailbox_open_sees_what_is_gone(bench):
    put(bench, "a")
    bench.now += 10
    put(bench, "a")
    box = bench.mailbox("a")
    modseq = bench.go(box.snapshot()).highest_modseq
    expire(bench, before=NOW + 5)
    assert list(bench.go(box.changes(modseq)).expunged) == [1]


@pytest.mark.parametrize("bench", ["sqlite-domain"], indirect=True)
def test_what_another_program_put_into_an_empty_mailbox_saves_it(bench):
    put(bench, "a")
    bench.now += 10
    folder = bench.root / "mail" / "example.com" / "user1" / ".a"
    expired = expiry(before=NOW + 5)
    (folder / "new" / "1800000000.M1.other").write_bytes(ONE)
    os.utime(folder / "new", (NOW, NOW))
    assert bench.go(bench.store.expire(ACCOUNT, expired)) == Expired(1, 0)
    assert names(bench)["a"] == 1
