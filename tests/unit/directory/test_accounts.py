"""Domains, accounts and aliases, as the command line changes them."""

import sqlite3

import pytest

from mailsuite.directory.records import AliasInfo
from mailsuite.errors import Kind, MailError
from mailsuite.sasl.scram import ScramHash, ScramKeys, derive_keys


@pytest.fixture
def alice(suite):
    return suite.accounts.add("Alice@Example.TEST", password="correct horse")


def refused(kind, call, *arguments, **options):
    with pytest.raises(MailError) as caught:
        call(*arguments, **options)
    assert caught.value.kind is kind
    return caught.value.detail


# domains


def test_a_domain_is_written_in_its_comparable_form(suite):
    assert suite.domains.add("BÜCHER.Test.").name == "xn--bcher-kva.test"
    assert [info.name for info in suite.domains.list()] == ["example.test", "xn--bcher-kva.test"]


def test_a_domain_is_added_once(suite):
    assert "already" in refused(Kind.EXISTS, suite.domains.add, "EXAMPLE.test")


@pytest.mark.parametrize("name", ["", "a b.test", "-", "[192.0.2.1]", "x" * 300, "a..b", "a/b"])
def test_what_is_no_domain_is_refused(suite, name):
    refused(Kind.INVALID, suite.domains.add, name)


def test_a_domain_with_accounts_stays(suite, alice):
    assert "1 accounts" in refused(Kind.CONFLICT, suite.domains.remove, "example.test")
    suite.accounts.remove("alice@example.test")
    suite.domains.remove("example.test")
    assert suite.domains.list() == []
    assert "domain list" in refused(Kind.NOT_FOUND, suite.domains.remove, "example.test")


def test_a_domain_takes_its_aliases_along(suite):
    suite.aliases.add("info@example.test", ["bob@far.test"])
    assert suite.domains.info("example.test").aliases == 1
    suite.domains.remove("example.test")
    suite.domains.add("example.test")
    assert suite.aliases.list() == []


def test_values_of_a_domain_are_set_and_cleared_one_by_one(suite):
    info = suite.domains.set("example.test", catch_all="Carol@Example.test", postmaster="ops@far.test")
    assert (info.catch_all, info.postmaster) == ("carol@example.test", "ops@far.test")
    info = suite.domains.set("example.test", catch_all="")
    assert (info.catch_all, info.postmaster) == ("", "ops@far.test")
    refused(Kind.INVALID, suite.domains.set, "example.test", catch_all="nobody")
    refused(Kind.NOT_FOUND, suite.domains.set, "other.test", catch_all="a@b.test")


def test_a_domain_with_addresses_cannot_stand_for_another(suite, alice):
    suite.domains.add("example.org")
    assert "remove them first" in refused(Kind.CONFLICT, suite.domains.set, "example.test", alias_of="example.org")


def test_a_domain_that_another_stands_for_cannot_stand_for_a_third(suite):
    for name in ("example.org", "example.net"):
        suite.domains.add(name)
    suite.domains.set("example.org", alias_of="example.test")
    refused(Kind.CONFLICT, suite.domains.set, "example.test", alias_of="example.net")


def test_a_domain_that_stands_for_another_has_no_addresses_and_no_followers(suite, alice):
    suite.domains.add("example.org")
    assert suite.domains.set("example.org", alias_of="example.test").alias_of == "example.test"
    refused(Kind.INVALID, suite.accounts.add, "bob@example.org", password="correct horse")
    refused(Kind.INVALID, suite.aliases.add, "bob@example.org", ["alice@example.test"])
    refused(Kind.INVALID, suite.domains.set, "example.test", alias_of="example.org")
    refused(Kind.INVALID, suite.domains.set, "example.test", alias_of="example.test")
    suite.domains.add("example.net")
    refused(Kind.CONFLICT, suite.domains.set, "example.test", alias_of="example.net")
    refused(Kind.INVALID, suite.domains.set, "example.net", alias_of="example.org")
    refused(Kind.CONFLICT, suite.domains.remove, "example.test")
    assert suite.domains.set("example.org", alias_of="").alias_of == ""


# accounts


def test_the_users_table_reads_as_promised(suite):
    from mailsuite.directory import PasswordHashing
    from mailsuite.directory.accounts import Accounts

    Accounts(suite.database, PasswordHashing()).add("Alice@Example.TEST", password="correct horse")
    with sqlite3.connect(suite.database.path) as connection:
        rows = connection.execute("SELECT email, length(password_hash), substr(password_hash, 1, 30) FROM users")
        assert rows.fetchall() == [("alice@example.test", 97, "$argon2id$v=19$m=19456,t=2,p=1")]
    connection.close()


def test_an_account_keeps_its_name_as_written_and_compares_it_in_one_form(suite, alice):
    assert (alice.email, alice.username) == ("alice@example.test", "Alice")
    assert (alice.enabled, alice.admin, alice.quota_octets, alice.has_password) == (True, False, 0, True)
    assert alice.created == 1_800_000_000
    assert suite.accounts.find("ALICE@example.test") == alice
    assert suite.accounts.info("ALICE@example.test") == alice
    assert suite.accounts.find("bob@example.test") is None


def test_an_account_needs_a_domain_of_ours(suite):
    assert "domain add far.test" in refused(Kind.NOT_FOUND, suite.accounts.add, "a@far.test", password="long enough")


def test_an_address_is_given_once(suite, alice):
    refused(Kind.EXISTS, suite.accounts.add, "ALICE@example.test", password="long enough")
    suite.aliases.add("info@example.test", ["alice@example.test"])
    assert "alias remove" in refused(Kind.EXISTS, suite.accounts.add, "INFO@example.test", password="long enough")
    refused(Kind.EXISTS, suite.accounts.rename, "alice@example.test", "info@example.test")


def test_an_identifier_is_never_used_again(suite, alice):
    suite.accounts.remove("alice@example.test")
    assert suite.accounts.add("alice@example.test", password="correct horse").account_id > alice.account_id


@pytest.mark.parametrize("password", ["", "short77", "1234567", "x" * 1025, "with\nnewline", "with\0nul1"])
def test_unacceptable_passwords_are_refused(suite, password):
    refused(Kind.INVALID, suite.accounts.add, "bob@example.test", password=password)
    assert suite.accounts.list() == []


def test_a_password_is_hashed_and_its_scram_keys_are_stored(suite, alice):
    with sqlite3.connect(suite.database.path) as connection:
        (stored,) = connection.execute("SELECT password_hash FROM users").fetchone()
        verifiers = dict(connection.execute("SELECT scheme, value FROM verifiers"))
    connection.close()
    assert suite.hashing.verify(b"correct horse", stored)
    assert set(verifiers) == {"scram-sha-1", "scram-sha-256"}
    for hash_ in ScramHash:
        keys = ScramKeys.parse(verifiers[hash_.value.lower()])
        assert keys == derive_keys("correct horse", hash_, keys.salt)


def test_a_hash_of_another_server_is_taken_and_one_of_no_scheme_is_not(suite):
    digest = "V/lBm1R5JV9hxJhU19adRn9j7xznZmopXKxWRMpIvkvgO6bfXC2rIIA8ImAGWSqzx8pmJjTPv6wjUWJFK7hUf1"
    stored = f"{{SHA512-CRYPT}}$6$usesomesillystri${digest}"
    assert suite.accounts.add("bob@example.test", password_hash=stored).has_password
    for text in ("", "secret", "{PLAIN}secret", "$9$x", "$2b$12$short", "a b", "$1$é$x", "$5$salt", stored[:-1]):
        refused(Kind.INVALID, suite.accounts.add, "carol@example.test", password_hash=text)
    refused(Kind.INVALID, suite.accounts.add, "carol@example.test", password="long enough", password_hash=stored)


def test_setting_a_hash_takes_away_the_keys_of_the_old_password(suite, alice):
    suite.accounts.set_password_hash("alice@example.test", suite.hashing.hash("another one"))
    with sqlite3.connect(suite.database.path) as connection:
        assert connection.execute("SELECT count(*) FROM verifiers").fetchone() == (0,)
    connection.close()


def test_an_account_without_password_says_so(suite):
    assert not suite.accounts.add("bob@example.test").has_password
    assert suite.accounts.set_password("bob@example.test", "long enough").has_password


def test_an_account_is_changed_value_by_value(suite, alice):
    name = "Alice@example.test"
    assert not suite.accounts.set_enabled(name, enabled=False).enabled
    assert suite.accounts.set_enabled(name, enabled=True).enabled
    assert suite.accounts.set_admin(name, admin=True).admin
    assert suite.accounts.set_quota(name, 5_000_000_000_000).quota_octets == 5_000_000_000_000
    for octets in (-1, 2**63):
        refused(Kind.INVALID, suite.accounts.set_quota, name, octets)
    for call in (suite.accounts.info, suite.accounts.remove):
        assert "user list" in refused(Kind.NOT_FOUND, call, "bob@example.test")
    refused(Kind.NOT_FOUND, suite.accounts.set_password, "bob@example.test", "long enough")
    refused(Kind.NOT_FOUND, suite.accounts.set_enabled, "bob@example.test", enabled=True)


def test_renaming_keeps_identifier_password_and_what_leads_to_the_account(suite, alice):
    suite.domains.add("other.test")
    suite.aliases.add("info@example.test", ["alice@example.test"])
    suite.domains.set("example.test", catch_all="alice@example.test", postmaster="alice@example.test")
    renamed = suite.accounts.rename("alice@example.test", "Alicia@other.test")
    assert (renamed.account_id, renamed.email, renamed.username) == (alice.account_id, "alicia@other.test", "Alicia")
    assert renamed.has_password
    assert suite.aliases.info("info@example.test").targets == ("alicia@other.test",)
    domain = suite.domains.info("example.test")
    assert (domain.catch_all, domain.postmaster) == ("alicia@other.test", "alicia@other.test")
    assert suite.accounts.list("example.test") == []
    assert suite.accounts.list("other.test") == [renamed]


def test_a_name_can_change_its_letter_case(suite, alice):
    assert suite.accounts.rename("alice@example.test", "ALICE@example.test").username == "ALICE"


def test_removing_an_account_leaves_nothing_that_leads_to_it(suite, alice):
    suite.aliases.add("info@example.test", ["alice@example.test", "bob@far.test"])
    suite.domains.set("example.test", catch_all="alice@example.test", postmaster="alice@example.test")
    assert suite.accounts.remove("alice@example.test") == alice
    assert suite.aliases.list() == [AliasInfo(source="info@example.test", targets=("bob@far.test",))]
    domain = suite.domains.info("example.test")
    assert (domain.accounts, domain.catch_all, domain.postmaster) == (0, "", "")
    with sqlite3.connect(suite.database.path) as connection:
        for table in ("users", "credentials", "verifiers"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    connection.close()


def test_accounts_are_listed_in_order_and_by_domain(suite, alice):
    suite.domains.add("other.test")
    for name in ("carol@example.test", "bob@example.test", "zoe@other.test"):
        suite.accounts.add(name)
    assert [a.email for a in suite.accounts.list()] == [
        "alice@example.test",
        "bob@example.test",
        "carol@example.test",
        "zoe@other.test",
    ]
    assert [a.email for a in suite.accounts.list("OTHER.test")] == ["zoe@other.test"]
    refused(Kind.NOT_FOUND, suite.accounts.list, "far.test")


# aliases


def test_an_alias_keeps_its_targets_in_order_ours_in_one_form_others_as_written(suite, alice):
    added = suite.aliases.add("Info@example.test", ["Bob@Far.test", "ALICE@example.test"])
    assert added == AliasInfo(source="info@example.test", targets=("Bob@far.test", "alice@example.test"))
    more = suite.aliases.add("info@example.test", ["alice@example.test", "alice+sales@example.test"])
    assert more.targets == ("Bob@far.test", "alice@example.test", "alice+sales@example.test")


def test_a_target_is_added_once(suite, alice):
    suite.aliases.add("info@example.test", ["alice@example.test"])
    refused(Kind.EXISTS, suite.aliases.add, "info@example.test", ["ALICE@example.test"])


def test_what_cannot_be_an_alias_is_refused(suite, alice):
    refused(Kind.EXISTS, suite.aliases.add, "alice@example.test", ["bob@far.test"])
    refused(Kind.NOT_FOUND, suite.aliases.add, "info@far.test", ["alice@example.test"])
    refused(Kind.NOT_FOUND, suite.aliases.add, "info@example.test", ["nobody@example.test"])
    refused(Kind.INVALID, suite.aliases.add, "info@example.test", [])
    refused(Kind.INVALID, suite.aliases.add, "info@example.test", ["nobody"])
    refused(Kind.INVALID, suite.aliases.add, "info@example.test", [f"u{n}@far.test" for n in range(1001)])
    assert suite.aliases.list() == []


def test_an_alias_that_leads_back_to_itself_is_refused(suite, alice):
    suite.aliases.add("a@example.test", ["alice@example.test"])
    suite.aliases.add("b@example.test", ["a@example.test"])
    suite.aliases.add("c@example.test", ["b@example.test"])
    assert "loop" in refused(Kind.INVALID, suite.aliases.add, "a@example.test", ["c@example.test"])
    assert "loop" in refused(Kind.INVALID, suite.aliases.add, "a@example.test", ["a@example.test"])


def test_an_alias_is_removed_whole_or_by_target(suite, alice):
    suite.aliases.add("info@example.test", ["alice@example.test", "Bob@far.test", "carol@far.test"])
    suite.aliases.remove("INFO@example.test", ["Alice@example.test"])
    suite.aliases.remove("info@example.test", ["Bob@far.test"])
    assert suite.aliases.info("info@example.test").targets == ("carol@far.test",)
    suite.aliases.remove("info@example.test")
    refused(Kind.NOT_FOUND, suite.aliases.remove, "info@example.test")
    refused(Kind.NOT_FOUND, suite.aliases.info, "info@example.test")
    assert suite.aliases.list() == []


def test_aliases_are_listed_by_domain(suite, alice):
    suite.domains.add("other.test")
    suite.aliases.add("info@other.test", ["alice@example.test"])
    suite.aliases.add("info@example.test", ["alice@example.test"])
    assert [a.source for a in suite.aliases.list()] == ["info@example.test", "info@other.test"]
    assert [a.source for a in suite.aliases.list("other.test")] == ["info@other.test"]
