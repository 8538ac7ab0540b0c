"""Domains for which we are a backup, and domains that capture every name."""

import sqlite3

import pytest

from mailsuite.address import Address
from mailsuite.directory import DirectoryDatabase
from mailsuite.directory.accounts import Accounts
from mailsuite.directory.domains import Domains
from mailsuite.directory.lookups import Lookups
from mailsuite.directory.migrate import upgrade
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import ResolutionKind

DAY = 86_400


@pytest.fixture
def resolve(suite, result):
    return lambda text: result(suite.directory.resolve(Address.parse(text)))


def refused(call):
    with pytest.raises(MailError) as caught:
        call()
    return caught.value.kind


def test_a_backup_takes_every_name_and_has_none_itself(suite, resolve):
    suite.accounts.add("root@example.test", admin=True)
    assert suite.domains.add("far.test", backup_mx=True).backup_mx
    answer = resolve("Any.Body+x@Far.test")
    assert (answer.kind, answer.remote) == (ResolutionKind.RELAYED, (Address("Any.Body+x", "far.test"),))
    assert resolve("postmaster@far.test").kind is ResolutionKind.RELAYED
    assert refused(lambda: suite.accounts.add("ann@far.test")) is Kind.INVALID
    assert refused(lambda: suite.aliases.add("ann@far.test", ["x@y.test"])) is Kind.INVALID
    assert refused(lambda: suite.domains.set("far.test", catch_all="root@example.test")) is Kind.INVALID
    assert refused(lambda: suite.domains.set("example.test", alias_of="far.test")) is Kind.INVALID
    assert suite.accounts.list("far.test") == []
    assert not suite.domains.set_backup_mx("far.test", backup_mx=False).backup_mx
    assert resolve("any.body@far.test").kind is ResolutionKind.UNKNOWN


def test_an_alias_may_lead_into_a_domain_that_is_only_backed_up(suite, resolve):
    suite.domains.add("far.test", backup_mx=True)
    suite.aliases.add("ann@example.test", ["Ann@far.test"])
    answer = resolve("ann@example.test")
    assert (answer.kind, answer.remote) == (ResolutionKind.LOCAL, (Address("Ann", "far.test"),))


def test_a_domain_with_addresses_becomes_neither(suite):
    suite.accounts.add("alice@example.test")
    assert refused(lambda: suite.domains.set_backup_mx("example.test", backup_mx=True)) is Kind.CONFLICT
    assert refused(lambda: suite.domains.set_capture("example.test", DAY)) is Kind.CONFLICT
    suite.domains.add("other.test")
    suite.aliases.add("ann@other.test", ["x@y.test"])
    assert refused(lambda: suite.domains.set_capture("other.test", DAY)) is Kind.CONFLICT
    suite.domains.add("third.test")
    suite.domains.set("third.test", alias_of="example.test")
    assert refused(lambda: suite.domains.set_capture("third.test", DAY)) is Kind.CONFLICT
    suite.domains.add("fourth.test", backup_mx=True)
    assert refused(lambda: suite.domains.set_capture("fourth.test", DAY)) is Kind.CONFLICT
    suite.domains.add("fifth.test")
    suite.domains.set_capture("fifth.test", DAY)
    assert refused(lambda: suite.domains.set_backup_mx("fifth.test", backup_mx=True)) is Kind.CONFLICT


def test_a_capturing_domain_keeps_every_name_in_one_account(suite, resolve, result):
    suite.domains.add("temp.test")
    assert suite.domains.set_capture("temp.test", DAY).capture_seconds == DAY
    for text, name in (("Any.Body+x@temp.test", "any.body+x"), ("postmaster@temp.test", "postmaster")):
        answer = resolve(text)
        assert answer.kind is ResolutionKind.LOCAL
        assert [(account.email, found) for account, found in answer.captured] == [("capture@temp.test", name)]
        assert (answer.accounts, answer.remote, answer.forwarded) == ((), (), ())
    [(account, seconds)] = result(suite.directory.list_captures())
    assert (account.email, account.receive_only, seconds) == ("capture@temp.test", True, DAY)
    assert account.quota_octets > 0


def test_the_account_of_a_capturing_domain_neither_sends_nor_goes(suite, result):
    suite.domains.add("temp.test")
    suite.domains.set_capture("temp.test", DAY)
    key = "capture@temp.test"
    assert result(suite.directory.find(key)).receive_only
    for sender in ("capture@temp.test", "user@temp.test"):
        assert not result(suite.directory.may_send_as(key, Address.parse(sender)))
    for change in (
        lambda: suite.accounts.remove(key),
        lambda: suite.accounts.rename(key, "x@example.test"),
        lambda: suite.accounts.check_rename(key, "x@example.test"),
        lambda: suite.accounts.set_forward(key, ["x@y.test"]),
    ):
        assert refused(change) is Kind.CONFLICT
    assert refused(lambda: suite.accounts.add("user@temp.test")) is Kind.INVALID
    assert suite.accounts.set_password(key, "correct horse").has_password
    assert [info.email for info in suite.accounts.list("temp.test")] == [key]


def test_capturing_ends_and_begins_again_with_the_same_account(suite, resolve, result):
    suite.domains.add("temp.test")
    suite.domains.set_capture("temp.test", DAY)
    before = suite.accounts.info("capture@temp.test")
    suite.domains.set_capture("temp.test", 0)
    assert resolve("user@temp.test").kind is ResolutionKind.UNKNOWN
    assert result(suite.directory.list_captures()) == []
    assert not result(suite.directory.find("capture@temp.test")).receive_only
    suite.domains.set_capture("temp.test", 60)
    assert suite.accounts.info("capture@temp.test") == before
    suite.accounts.set_enabled("capture@temp.test", enabled=False)
    assert resolve("user@temp.test").kind is ResolutionKind.DISABLED


@pytest.mark.parametrize("seconds", [-1, 2**40])
def test_a_span_of_time_that_makes_no_sense_is_refused(suite, seconds):
    assert refused(lambda: suite.domains.set_capture("example.test", seconds)) is Kind.INVALID


def test_postmaster_and_abuse_are_never_refused_because_somebody_is_switched_off(suite, resolve):
    def reached(text):
        return [account.email for account, _ in resolve(text).accounts]

    suite.accounts.add("postmaster@example.test")
    suite.accounts.add("alice@example.test")
    suite.accounts.set_enabled("postmaster@example.test", enabled=False)
    assert reached("postmaster@example.test") == ["postmaster@example.test"]
    suite.accounts.add("root@example.test", admin=True)
    assert reached("postmaster@example.test") == ["root@example.test"]
    suite.domains.set("example.test", postmaster="alice@example.test")
    assert reached("Postmaster+x@example.test") == ["alice@example.test"]
    suite.accounts.set_enabled("alice@example.test", enabled=False)
    assert reached("abuse@example.test") == ["root@example.test"]


def test_a_secret_is_made_once(suite, result):
    first = result(suite.directory.secret("srs"))
    assert len(first) == 32
    assert result(suite.directory.secret("srs")) == first != result(suite.directory.secret("other"))


def test_an_old_database_keeps_its_accounts_and_gets_the_rest(tmp_path, hashing):
    database = DirectoryDatabase(f"sqlite:///{tmp_path}/old.db")
    with database.writing() as connection:
        upgrade(connection, "0001")
    database.close()
    with sqlite3.connect(database.path) as connection:
        connection.execute(
            "INSERT INTO domains (id, name, catch_all, postmaster, created) VALUES (1, 'a.test', '', '', 5)"
        )
        connection.execute(
            "INSERT INTO users (id, username, email, domain_id, password_hash, enabled, admin, quota_octets, created)"
            " VALUES (3, 'ann', 'ann@a.test', 1, '', 1, 0, 0, 5)"
        )
    connection.close()
    database.migrate()
    domain, info = Domains(database).info("a.test"), Accounts(database, hashing).info("ann@a.test")
    assert (domain.backup_mx, domain.capture_seconds) == (False, 0)
    assert (info.account_id, info.forward_to, info.keep_copy) == (3, (), True)
    assert Lookups(database).resolve(Address("ann", "a.test")).kind is ResolutionKind.LOCAL
    database.close()
