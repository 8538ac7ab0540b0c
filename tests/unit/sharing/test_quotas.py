"""Quotas that change while sessions are open: those of others, set by who administers, and one's own."""

import attrs
import pytest
from shared_mail import result_of
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mailsuite.directory.directory import LOOK_SECONDS
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IQuotaAdministrator, IRightsAccount, QuotaChange
from mailsuite.service.administrators import open_mailboxes
from mailsuite.sharing import SharingSettings
from mailsuite.sharing.names import Namespace
from mailsuite.sharing.quotas import Quotas

MAIL = b"Subject: shared\r\n\r\ntext\r\n"
KIB = b"x" * 1024
BOX = b"Users/alice@example.test/INBOX"
BOB = b"Users/bob@example.test"


@pytest.fixture
def office(on_disk):
    """Carol administers, and the directory tells what holds now."""
    people = on_disk.people
    people.add(3, "carol@example.test", admin=True)
    people.failure = None
    people.asked = []

    async def set_quota(account_id, quota_octets):
        people.asked.append((account_id, quota_octets))
        if account_id not in people.accounts:
            raise MailError(Kind.NOT_FOUND, "there is no such account")
        before = people.accounts[account_id]
        people.accounts[account_id] = attrs.evolve(before, quota_octets=quota_octets)
        return QuotaChange(people.accounts[account_id], before.quota_octets)

    find_id = people.find_id

    async def find_id_or_fail(account_id):
        if people.failure is not None:
            raise people.failure
        return await find_id(account_id)

    people.set_quota, people.find_id = set_quota, find_id_or_fail
    on_disk.store.numbers = people

    def account(name):
        whose = people.accounts[on_disk.number(name)]
        return open_mailboxes(whose, on_disk.store, people, on_disk.sharing, on_disk.clock)

    on_disk.account = account
    return on_disk


@pytest.fixture
def carol(office):
    return office.connect("carol")


@pytest.fixture
def bob(office):
    return office.connect("bob")


def limit(office, name, octets):
    """Change it in the directory, as the command line does."""
    number = office.number(name)
    office.people.accounts[number] = attrs.evolve(office.people.accounts[number], quota_octets=octets)


def set_quota(office, client, command):
    """Send it, let other processes notice, and give the answers."""
    waiting = client.send(b"s SETQUOTA " + command + b"\r\n")
    if waiting:
        return waiting
    office.clock.advance(LOOK_SECONDS)
    client.settle()
    return client.received()


def test_what_is_set_holds_in_sessions_that_are_open(office, carol, bob):
    assert bob.append(b"INBOX", KIB).startswith(b"OK")
    assert bob.ok(b'GETQUOTA ""') == [b'* QUOTA "" ()']
    answer = set_quota(office, carol, BOB + b" (STORAGE 2)")
    assert answer == b"* QUOTA %b (STORAGE 1 2)\r\ns OK SETQUOTA completed\r\n" % BOB
    assert bob.ok(b'GETQUOTA ""') == [b'* QUOTA "" (STORAGE 1 2)']
    assert carol.ok(b"GETQUOTA " + BOB) == [b"* QUOTA %b (STORAGE 1 2)" % BOB]
    assert bob.append(b"INBOX", KIB + b"y").startswith(b"NO [OVERQUOTA]")
    assert bob.append(b"INBOX", KIB).startswith(b"OK")
    assert set_quota(office, carol, BOB + b" ()") == b"* QUOTA %b ()\r\ns OK SETQUOTA completed\r\n" % BOB
    assert bob.append(b"INBOX", KIB).startswith(b"OK")


def test_it_is_done_when_other_processes_know(office, carol):
    assert carol.send(b"s SETQUOTA %b (STORAGE 1)\r\n" % BOB) == b""
    assert office.people.asked == [(2, 1024)]
    office.clock.advance(LOOK_SECONDS / 2)
    assert carol.received() == b""
    office.clock.advance(LOOK_SECONDS / 2)
    carol.settle()
    assert carol.received().endswith(b"s OK SETQUOTA completed\r\n")


def test_every_way_to_store_more_meets_the_limit_of_now(office, bob):
    office.put("bob", "INBOX", MAIL)
    bob.ok(b"SELECT INBOX")
    size = len(MAIL)
    limit(office, "bob", size)
    literal = b"{%d+}\r\n%b" % (size + 1, MAIL + b"x")
    large = b"{%d+}\r\n%b" % (3 * 2**20, b"x" * 3 * 2**20)
    for command in (
        b"APPEND INBOX " + literal,
        b"APPEND INBOX " + large,
        b"APPEND INBOX CATENATE (URL ;UID=1)",
        b"COPY 1 Trash",
        b"REPLACE 1 INBOX " + literal,
        b"REPLACE 1 INBOX " + large,
        b'SETMETADATA INBOX (/private/comment "much")',
    ):
        assert bob.refused(command).startswith(b"NO [OVERQUOTA]"), command[:30]
    assert office.contents("bob") == [MAIL]
    limit(office, "bob", 2 * size)
    bob.ok(b"COPY 1 Trash")
    assert bob.ok(b'GETQUOTA ""') == [b'* QUOTA "" (STORAGE 1 0)']


def test_who_uses_a_mailbox_of_another_meets_the_owners_limit_of_now(office, bob):
    office.put("alice", "INBOX", MAIL)
    office.grant("alice", "INBOX", "bob", "lrite")
    bob.ok(b"SELECT " + BOX)
    limit(office, "alice", len(MAIL))
    assert bob.refused(b"COPY 1 " + BOX).startswith(b"NO [OVERQUOTA]")
    literal = b"{%d+}\r\n%b" % (len(MAIL) + 1, MAIL + b"x")
    assert bob.refused(b"REPLACE 1 %b %b" % (BOX, literal)).startswith(b"NO [OVERQUOTA]")
    assert bob.append(BOX, MAIL).startswith(b"NO [OVERQUOTA]")
    limit(office, "alice", 0)
    bob.ok(b"COPY 1 " + BOX)
    bob.ok(b"REPLACE 1 %b %b" % (BOX, literal))


def test_without_the_directory_the_limit_of_the_login_holds(office):
    limit(office, "bob", 1024)
    bob = office.connect("bob")
    limit(office, "bob", 0)
    office.people.failure = MailError(Kind.UNAVAILABLE, "no directory")
    assert bob.ok(b'GETQUOTA ""') == [b'* QUOTA "" (STORAGE 0 1)']
    assert bob.append(b"INBOX", KIB + b"x").startswith(b"NO [OVERQUOTA]")
    assert bob.append(b"INBOX", KIB).startswith(b"OK")
    office.people.failure = None
    assert bob.append(b"INBOX", KIB).startswith(b"OK")


@pytest.mark.parametrize("name", [b"alice", b"carol", b"nobody"])
def test_nobody_else_learns_which_addresses_there_are(bob, name):
    root = b"Users/%b@example.test" % name
    assert bob.refused(b"GETQUOTA " + root) == b"NO [NONEXISTENT] no such quota root"
    assert bob.refused(b"SETQUOTA %b (STORAGE 1)" % root).startswith(b"NO [NOPERM]")


def test_ones_own_root_has_two_names_for_who_administers(office, carol):
    limit(office, "carol", 4096)
    assert carol.ok(b'GETQUOTA ""') == [b'* QUOTA "" (STORAGE 0 4)']
    assert carol.ok(b"GETQUOTA Users/carol@example.test") == [b"* QUOTA Users/carol@example.test (STORAGE 0 4)"]
    assert set_quota(office, carol, b'"" (STORAGE 5)').startswith(b'* QUOTA "" (STORAGE 0 5)\r\n')
    assert office.people.asked == [(3, 5120)]


def test_an_address_compares_as_everywhere_and_is_told_as_it_was_asked(office, carol):
    assert carol.ok(b"GETQUOTA Users/BOB@Example.Test") == [b"* QUOTA Users/BOB@Example.Test ()"]


@pytest.mark.parametrize(
    "root", [b"Users", b"Users/", b"bob@example.test", b"Users/dave@example.test", b"users/bob@example.test",
             b"Users/bob@example.test/INBOX", b"Users/Users/bob@example.test"],
)  # fmt: skip
def test_what_is_no_root_is_not_there(carol, root):
    for command in (b"GETQUOTA " + root, b"SETQUOTA %b (STORAGE 1)" % root):
        assert carol.refused(command) == b"NO [NONEXISTENT] no such quota root"


def test_who_administers_is_told_the_root_of_a_mailbox_of_another(office, carol, bob):
    limit(office, "alice", 4096)
    assert carol.refused(b"GETQUOTAROOT " + BOX).startswith(b"NO [NONEXISTENT]")
    assert carol.refused(b"GETQUOTAROOT Users").startswith(b"NO [NONEXISTENT]")
    assert carol.ok(b"GETQUOTAROOT new")[0] == b'* QUOTAROOT new ""'
    office.grant("alice", "INBOX", "anyone", "l")
    alice = b"Users/alice@example.test"
    assert carol.ok(b"GETQUOTAROOT " + BOX) == [
        b"* QUOTAROOT %b %b" % (BOX, alice),
        b"* QUOTA %b (STORAGE 0 4)" % alice,
    ]
    assert carol.ok(b"GETQUOTAROOT INBOX") == [b'* QUOTAROOT INBOX ""', b'* QUOTA "" ()']
    assert bob.ok(b"GETQUOTAROOT " + BOX) == [b"* QUOTAROOT " + BOX]


@pytest.mark.parametrize("change", [{"admin": False}, {"admin": True, "enabled": False}])
def test_who_administers_no_more_cannot_go_on(office, carol, change):
    office.people.add(3, "carol@example.test", **change)
    assert carol.refused(b"GETQUOTA " + BOB).startswith(b"NO [NONEXISTENT]")
    assert carol.refused(b"SETQUOTA %b (STORAGE 1)" % BOB).startswith(b"NO [NONEXISTENT]")
    assert carol.refused(b'SETQUOTA "" (STORAGE 1)').startswith(b"NO [NOPERM]")
    office.grant("alice", "INBOX", "carol", "l")
    assert carol.ok(b"GETQUOTAROOT " + BOX) == [b"* QUOTAROOT " + BOX]
    assert office.people.asked == []


def test_a_limit_that_cannot_be_stored_or_an_account_that_goes_meanwhile_changes_nothing(office, carol):
    working = office.people.set_quota

    async def refuse(account_id, quota_octets):
        raise MailError(Kind.INVALID, "too much")

    office.people.set_quota = refuse
    assert carol.refused(b"SETQUOTA %b (STORAGE 9223372036854775807)" % BOB) == b"NO [CANNOT] too much"

    async def gone(account_id, quota_octets):
        return await working(99, quota_octets)

    office.people.set_quota = gone
    assert carol.refused(b"SETQUOTA %b (STORAGE 1)" % BOB) == b"NO [NONEXISTENT] no such quota root"
    assert office.people.accounts[2].quota_octets == 0


def test_without_sharing_the_roots_have_the_usual_names(office):
    office.sharing = SharingSettings(prefix="")
    carol = office.connect("carol")
    words = carol.ok(b"CAPABILITY")[0].split()
    assert b"QUOTASET" in words
    assert b"ACL" not in words
    assert set_quota(office, carol, BOB + b" (STORAGE 9)").startswith(b"* QUOTA %b (STORAGE 0 9)\r\n" % BOB)


def test_another_prefix_holds_for_roots_as_well(office):
    office.sharing = SharingSettings(prefix="Other people")
    carol = office.connect("carol")
    assert carol.ok(b'GETQUOTA "Other people/bob@example.test"') == [b'* QUOTA "Other people/bob@example.test" ()']
    assert carol.refused(b"GETQUOTA " + BOB).startswith(b"NO [NONEXISTENT]")


@pytest.mark.parametrize("prefix", ["Users", ""])
def test_only_who_administers_gets_what_sets_quotas(office, prefix):
    office.sharing = SharingSettings(prefix=prefix)
    carol, bob = office.account("carol"), office.account("bob")
    assert verifyObject(IQuotaAdministrator, carol)
    assert not IQuotaAdministrator.providedBy(bob)
    assert IRightsAccount.providedBy(carol) is IRightsAccount.providedBy(bob) is bool(prefix)


def test_quotas_have_the_methods_of_their_interface(office):
    quotas = Quotas(3, office.people, office.store, "Users", lambda: Deferred())
    assert verifyObject(IQuotaAdministrator, quotas)
    assert result_of(quotas.quota_of("")) == {"STORAGE": (0, 0), "MESSAGES": (0, 0)}
    assert result_of(quotas.root_of("INBOX")) is None


@pytest.mark.parametrize("address", ["bob@example.test", "a/b%2F@example.test", "\u00fc@example.test"])
def test_the_name_of_a_root_is_read_as_it_is_written(address):
    namespace = Namespace("Users")
    root = namespace.root(address)
    assert namespace.root_address(root) == address
    assert root.count("/") == 1
