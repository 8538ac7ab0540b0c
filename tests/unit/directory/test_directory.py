"""The directory as the running server asks it."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mailsuite.address import Address
from mailsuite.directory import Directory, DirectoryDatabase
from mailsuite.directory.accounts import Accounts
from mailsuite.directory.database import ChangeWatch
from mailsuite.durable import InlineLane
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IAccounts, ILoginNames, IQuotaDirectory, ResolutionKind
from mailsuite.sasl.scram import ScramHash, derive_keys


@pytest.fixture
def alice(suite):
    return suite.accounts.add("alice@example.test", password="correct horse")


@pytest.fixture
def resolve(suite, result):
    def ask(text):
        answer = result(suite.directory.resolve(Address.parse(text)))
        accounts = [(account.email, tag) for account, tag in answer.accounts]
        return answer.kind.value, accounts, [str(address) for address in answer.remote]

    return ask


class CountingLane(InlineLane):
    def __init__(self):
        super().__init__()
        self.jobs = 0

    def run(self, job, *arguments):
        self.jobs += 1
        return super().run(job, *arguments)


def test_it_provides_what_the_mail_side_asks():
    assert IAccounts.implementedBy(Directory)


def test_it_has_the_methods_of_its_interface(suite):
    verifyObject(IAccounts, suite.directory)
    verifyObject(IQuotaDirectory, suite.directory)
    verifyObject(ILoginNames, suite.directory)


def test_an_account_is_found_in_any_case_and_with_a_tag(alice, resolve):
    assert resolve("alice@example.test") == ("local", [("alice@example.test", "")], [])
    assert resolve("ALICE@Example.Test") == ("local", [("alice@example.test", "")], [])
    assert resolve("Alice+Lists.X@example.test") == ("local", [("alice@example.test", "Lists.X")], [])


def test_strangers_names_are_unknown_and_other_domains_remote(alice, resolve):
    assert resolve("bob@example.test") == ("unknown", [], [])
    assert resolve("bob+alice@example.test") == ("unknown", [], [])
    assert resolve("alice@far.test") == ("remote", [], [])
    assert resolve("alice@sub.example.test") == ("remote", [], [])
    assert resolve("alice@[192.0.2.1]") == ("remote", [], [])


def test_a_disabled_account_is_disabled_until_it_is_enabled(suite, alice, resolve):
    suite.accounts.set_enabled("alice@example.test", enabled=False)
    assert resolve("alice+tag@example.test") == ("disabled", [], [])
    suite.accounts.set_enabled("alice@example.test", enabled=True)
    assert resolve("alice@example.test")[0] == "local"


def test_aliases_are_followed_to_accounts_and_remote_addresses(suite, alice, resolve):
    suite.accounts.add("bob@example.test")
    suite.aliases.add("sales@example.test", ["bob@example.test", "Eve@far.test"])
    suite.aliases.add("all@example.test", ["alice+all@example.test", "sales@example.test", "bob@example.test"])
    assert resolve("All@example.test") == (
        "local",
        [("alice@example.test", "all"), ("bob@example.test", "")],
        ["Eve@far.test"],
    )


def test_a_tag_goes_along_with_an_alias(suite, alice, resolve):
    suite.aliases.add("sales@example.test", ["alice@example.test", "eve@far.test"])
    assert resolve("sales+2026@example.test") == ("local", [("alice@example.test", "2026")], ["eve@far.test"])


def test_an_alias_with_a_plus_sign_wins_over_the_tag(suite, alice, resolve):
    suite.accounts.add("bob@example.test")
    suite.aliases.add("alice+bob@example.test", ["bob@example.test"])
    assert resolve("alice+bob@example.test") == ("local", [("bob@example.test", "")], [])


def test_disabled_targets_are_passed_over(suite, alice, resolve):
    suite.accounts.add("bob@example.test")
    suite.aliases.add("sales@example.test", ["alice@example.test", "bob@example.test"])
    suite.accounts.set_enabled("alice@example.test", enabled=False)
    assert resolve("sales@example.test") == ("local", [("bob@example.test", "")], [])
    suite.accounts.set_enabled("bob@example.test", enabled=False)
    assert resolve("sales@example.test") == ("disabled", [], [])


def test_a_loop_made_behind_our_back_ends(suite, alice, resolve):
    suite.aliases.add("a@example.test", ["alice@example.test"])
    suite.aliases.add("b@example.test", ["a@example.test"])
    with suite.database.writing() as connection:
        connection.exec_driver_sql("UPDATE aliases SET target = 'b@example.test' WHERE source = 'a@example.test'")
    assert resolve("a@example.test") == ("unknown", [], [])


def test_a_remote_alias_into_a_domain_that_became_ours_is_followed(suite, alice, resolve):
    suite.aliases.add("old@example.test", ["Bob@Later.test"])
    suite.domains.add("later.test")
    assert resolve("old@example.test") == ("unknown", [], [])
    suite.accounts.add("bob@later.test")
    assert resolve("old@example.test") == ("local", [("bob@later.test", "")], [])


def test_a_local_part_that_needs_quotes_works(suite, alice, resolve):
    suite.accounts.add('"john doe"@example.test')
    suite.aliases.add("jd@example.test", ['"John Doe"@example.test'])
    assert resolve("jd@example.test") == ("local", [("john doe@example.test", "")], [])


def test_postmaster_and_abuse_reach_the_first_enabled_administrator(suite, alice, resolve):
    assert resolve("postmaster@example.test") == ("unknown", [], [])
    for name in ("root@example.test", "admin@example.test"):
        suite.accounts.add(name, admin=True)
    assert resolve("Postmaster@example.test") == ("local", [("root@example.test", "")], [])
    assert resolve("abuse+spam@example.test") == ("local", [("root@example.test", "")], [])
    suite.accounts.set_enabled("root@example.test", enabled=False)
    assert resolve("postmaster@example.test") == ("local", [("admin@example.test", "")], [])


def test_postmaster_without_domain_reaches_an_administrator(suite, alice, result):
    suite.accounts.add("root@example.test", admin=True)
    answer = result(suite.directory.resolve(Address("Postmaster", "")))
    assert [account.email for account, _ in answer.accounts] == ["root@example.test"]
    assert result(suite.directory.resolve(Address("root", ""))).kind is ResolutionKind.UNKNOWN


def test_a_domains_own_postmaster_comes_before_the_administrator(suite, alice, resolve):
    suite.accounts.add("root@example.test", admin=True)
    suite.domains.set("example.test", postmaster="alice@example.test")
    assert resolve("postmaster@example.test") == ("local", [("alice@example.test", "")], [])
    suite.accounts.add("postmaster@example.test")
    assert resolve("postmaster@example.test") == ("local", [("postmaster@example.test", "")], [])


def test_a_catch_all_gets_unknown_names_only(suite, alice, resolve):
    suite.accounts.add("bob@example.test")
    suite.domains.set("example.test", catch_all="bob@example.test")
    assert resolve("anything@example.test") == ("local", [("bob@example.test", "")], [])
    assert resolve("alice@example.test") == ("local", [("alice@example.test", "")], [])
    suite.accounts.set_enabled("alice@example.test", enabled=False)
    assert resolve("alice@example.test") == ("disabled", [], [])


def test_a_domain_that_stands_for_another_shares_its_addresses(suite, alice, resolve, result):
    suite.domains.add("example.org")
    suite.domains.set("example.org", alias_of="example.test")
    assert resolve("Alice+x@example.org") == ("local", [("alice@example.test", "x")], [])
    assert resolve("bob@example.org") == ("unknown", [], [])
    assert result(suite.directory.login_record("alice@EXAMPLE.org")).account.email == "alice@example.test"


def test_an_account_may_send_as_all_that_leads_to_it(suite, alice, result):
    suite.accounts.add("bob@example.test")
    suite.aliases.add("sales@example.test", ["alice@example.test", "eve@far.test"])

    def may(email, sender):
        return result(suite.directory.may_send_as(email, Address.parse(sender)))

    assert may("alice@example.test", "Alice@example.test")
    assert may("alice@example.test", "alice+news@example.test")
    assert may("alice@example.test", "SALES@example.test")
    assert not may("bob@example.test", "sales@example.test")
    assert not may("bob@example.test", "alice@example.test")
    assert not may("alice@example.test", "alice@far.test")
    assert not may("eve@far.test", "sales@example.test")
    assert not may("alice@example.test", "nobody@example.test")


def test_accounts_are_found_and_listed(suite, alice, result):
    suite.accounts.add("Bob@example.test", admin=True, quota_octets=7)
    bob = result(suite.directory.find("BOB@example.test"))
    assert (bob.email, bob.admin, bob.quota_octets) == ("bob@example.test", True, 7)
    assert result(suite.directory.find("carol@example.test")) is None
    assert result(suite.directory.find("no address")) is None
    assert [a.email for a in result(suite.directory.list_accounts())] == ["alice@example.test", "bob@example.test"]


def test_a_login_name_is_an_address_in_any_case_or_a_bare_name_in_the_only_domain(suite, alice, result):
    def who(name):
        record = result(suite.directory.login_record(name))
        account = None if record is None else record.account
        assert result(suite.directory.find_login(name)) == account
        return None if account is None else account.email

    assert who("ALICE@Example.test") == "alice@example.test"
    assert who("Alice") == "alice@example.test"
    assert who("bob") is None
    assert who("") is None
    assert who("@") is None
    assert who("alice@") is None
    suite.domains.add("other.test")
    assert who("alice") is None
    assert who("alice@example.test") == "alice@example.test"


def test_answers_come_from_memory_until_something_changes(suite, alice, result):
    lane = CountingLane()
    directory = Directory(suite.database, lane, ChangeWatch(suite.database.path, suite.database.disk))
    for _ in range(5):
        result(directory.resolve(Address.parse("alice@example.test")))
        result(directory.resolve(Address.parse("nobody@example.test")))
    assert lane.jobs == 2
    suite.accounts.set_quota("alice@example.test", 5)
    answer = result(directory.resolve(Address.parse("alice@example.test")))
    assert answer.accounts[0][0].quota_octets == 5
    assert lane.jobs == 3


def test_every_change_of_another_process_acts_at_once(suite, alice, resolve):
    # A database object of its own stands for the command line in its own process.
    other = DirectoryDatabase(suite.url)
    accounts = Accounts(other, suite.hashing)
    for number in range(30):
        name = f"user{number}@example.test"
        assert resolve(name)[0] == "unknown"
        accounts.add(name)
        assert resolve(name)[0] == "local"
        accounts.remove(name)
        assert resolve(name)[0] == "unknown"
    other.close()


def test_a_change_acts_as_soon_as_it_may_be_looked_for(suite, alice, result):
    clock = Clock()
    watch = ChangeWatch(suite.database.path, suite.database.disk)
    directory = Directory(suite.database, InlineLane(), watch, look_seconds=0.01, seconds=clock.seconds)

    def quota():
        return result(directory.find("alice@example.test")).quota_octets

    assert quota() == 0
    suite.accounts.set_quota("alice@example.test", 5)
    assert quota() == 0
    clock.advance(0.01)
    assert quota() == 5
    watch.close()


def test_an_answer_that_was_under_way_during_a_change_is_not_kept(suite, alice, result):
    class SlowLane(InlineLane):
        def __init__(self):
            super().__init__()
            self.waiting = []

        def run(self, job, *arguments):
            answer = job(*arguments)
            deferred = Deferred()
            self.waiting.append((deferred, answer))
            return deferred

        def finish(self):
            for deferred, answer in self.waiting:
                deferred.callback(answer)
            self.waiting.clear()

    lane = SlowLane()
    directory = Directory(suite.database, lane, ChangeWatch(suite.database.path, suite.database.disk))
    first = Deferred.fromCoroutine(directory.find("alice@example.test"))
    suite.accounts.set_quota("alice@example.test", 5)
    second = Deferred.fromCoroutine(directory.find("alice@example.test"))
    lane.finish()
    assert result(first).quota_octets == 0
    assert result(second).quota_octets == 5
    third = Deferred.fromCoroutine(directory.find("alice@example.test"))
    assert result(third).quota_octets == 5


def test_a_quota_that_is_set_here_holds_at_once_and_durably(suite, alice, result):
    watch = ChangeWatch(suite.database.path, suite.database.disk)
    directory = Directory(suite.database, InlineLane(), watch, look_seconds=3600.0, seconds=Clock().seconds)
    assert result(directory.find_id(alice.account_id)).quota_octets == 0
    assert result(directory.find(alice.email)).quota_octets == 0
    change = result(directory.set_quota(alice.account_id, 2048))
    assert (change.account.email, change.account.quota_octets, change.before_octets) == (alice.email, 2048, 0)
    assert result(directory.find_id(alice.account_id)).quota_octets == 2048
    assert result(directory.find(alice.email)).quota_octets == 2048
    assert suite.accounts.info(alice.email).quota_octets == 2048
    assert result(directory.set_quota(alice.account_id, 0)).before_octets == 2048
    assert suite.accounts.info(alice.email).quota_octets == 0
    watch.close()


@pytest.mark.parametrize(
    ("number", "octets", "kind"), [(999, 1, Kind.NOT_FOUND), (0, 2**63, Kind.INVALID), (0, -1, Kind.INVALID)]
)
def test_a_quota_that_cannot_be_set_changes_nothing(suite, alice, result, number, octets, kind):
    with pytest.raises(MailError) as caught:
        result(suite.directory.set_quota(number or alice.account_id, octets))
    assert caught.value.kind is kind
    assert suite.accounts.info(alice.email).quota_octets == 0


def test_kept_answers_are_bounded(suite, alice, result):
    directory = Directory(
        suite.database,
        InlineLane(),
        ChangeWatch(suite.database.path, suite.database.disk),
        answers_max=10,
    )
    for number in range(100):
        result(directory.find(f"user{number}@example.test"))
    assert len(directory._answers) <= 10


def test_a_database_that_fails_is_unavailable_and_recovers(suite, alice, result, monkeypatch):
    def fail(operation, failing):
        raise OSError(5, "input/output error", failing)

    monkeypatch.setattr(suite.directory.database.disk, "before", fail)
    with pytest.raises(MailError) as caught:
        result(suite.directory.find("alice@example.test"))
    assert caught.value.kind is Kind.UNAVAILABLE
    assert suite.database.path not in caught.value.detail
    monkeypatch.undo()
    assert result(suite.directory.find("alice@example.test")) is not None


def test_scram_keys_are_the_accounts_own_or_made_up_the_same_every_time(suite, alice, result):
    keys = result(suite.directory.scram_keys("Alice@example.test", ScramHash.SHA_256))
    assert keys == derive_keys("correct horse", ScramHash.SHA_256, keys.salt)
    nobodys = result(suite.directory.scram_keys("nobody@example.test", ScramHash.SHA_1))
    assert nobodys == result(suite.directory.scram_keys("Nobody@example.test", ScramHash.SHA_1))
    again = Directory(suite.database, InlineLane(), ChangeWatch(suite.database.path, suite.database.disk))
    assert nobodys == result(again.scram_keys("nobody@example.test", ScramHash.SHA_1))
    suite.accounts.set_enabled("alice@example.test", enabled=False)
    assert result(suite.directory.scram_keys("alice@example.test", ScramHash.SHA_256)).salt != keys.salt
