"""Forwards of accounts: how they are set, and where they lead."""

import pytest

from mailsuite.address import Address
from mailsuite.directory.forwards import FORWARDS_MAX
from mailsuite.errors import Kind, MailError


@pytest.fixture
def people(suite):
    for name in ("alice", "bob", "carol"):
        suite.accounts.add(f"{name}@example.test")
    return suite.accounts


@pytest.fixture
def resolve(suite, result):
    def ask(text):
        answer = result(suite.directory.resolve(Address.parse(text)))
        return (
            [account.email.partition("@")[0] for account, _ in answer.accounts],
            [(account.email.partition("@")[0], str(address)) for account, address in answer.forwarded],
            [str(address) for address in answer.remote],
        )

    return ask


def refused(call):
    with pytest.raises(MailError) as caught:
        call()
    return caught.value.kind


def test_a_forward_goes_elsewhere_and_a_copy_stays_unless_told_otherwise(people, resolve):
    info = people.set_forward("alice@example.test", ["Ann@Far.test"])
    assert (info.forward_to, info.keep_copy) == (("Ann@far.test",), True)
    assert resolve("alice+tag@example.test") == (["alice"], [("alice", "Ann@far.test")], [])
    people.set_forward("alice@example.test", ["ann@far.test"], keep_copy=False)
    assert resolve("alice@example.test") == ([], [("alice", "ann@far.test")], [])
    info = people.set_forward("alice@example.test", [])
    assert (info.forward_to, info.keep_copy) == ((), True)
    assert resolve("alice@example.test") == (["alice"], [], [])


def test_several_targets_keep_their_order_and_may_be_ours(people, resolve, suite):
    suite.aliases.add("team@example.test", ["carol@example.test", "eve@far.test"])
    people.set_forward(
        "alice@example.test", ["bob@example.test", "ann@far.test", "team@example.test", "ann@far.test"], keep_copy=False
    )
    assert people.info("alice@example.test").forward_to == ("bob@example.test", "ann@far.test", "team@example.test")
    assert resolve("alice@example.test") == (
        ["bob", "carol"],
        [("alice", "ann@far.test"), ("alice", "eve@far.test")],
        [],
    )


def test_a_forward_to_oneself_is_a_kept_copy(people, resolve):
    info = people.set_forward("alice@example.test", ["ALICE+x@example.test", "ann@far.test"], keep_copy=False)
    assert (info.forward_to, info.keep_copy) == (("ann@far.test",), True)
    info = people.set_forward("alice@example.test", ["alice@example.test"], keep_copy=False)
    assert (info.forward_to, info.keep_copy) == ((), True)


@pytest.mark.parametrize("keep", [True, False])
def test_two_that_forward_to_each_other_end(people, resolve, keep):
    people.set_forward("alice@example.test", ["bob@example.test"], keep_copy=keep)
    people.set_forward("bob@example.test", ["alice@example.test"], keep_copy=keep)
    assert resolve("alice@example.test") == ((["alice", "bob"] if keep else ["alice"]), [], [])
    assert resolve("bob@example.test") == ((["bob", "alice"] if keep else ["bob"]), [], [])


def test_a_loop_through_an_alias_and_a_tag_ends_where_it_began(people, resolve, suite):
    suite.aliases.add("team@example.test", ["alice+team@example.test"])
    people.set_forward("alice@example.test", ["team@example.test"], keep_copy=False)
    assert resolve("alice@example.test") == (["alice"], [], [])


def test_a_list_with_both_ends_of_a_loop_reaches_somebody_once(people, resolve, suite):
    people.set_forward("alice@example.test", ["bob@example.test"], keep_copy=False)
    people.set_forward("bob@example.test", ["alice@example.test"], keep_copy=False)
    suite.aliases.add("all@example.test", ["bob@example.test", "alice@example.test", "carol@example.test"])
    assert resolve("all@example.test") == (["bob", "carol"], [], [])


def test_a_chain_of_forwards_names_the_last_account(people, resolve):
    people.set_forward("alice@example.test", ["bob@example.test"], keep_copy=False)
    people.set_forward("bob@example.test", ["ann@far.test"], keep_copy=False)
    assert resolve("alice@example.test") == ([], [("bob", "ann@far.test")], [])


def test_an_address_that_a_list_reaches_twice_gets_one(people, resolve, suite):
    people.set_forward("alice@example.test", ["ann@far.test"], keep_copy=False)
    suite.aliases.add("all@example.test", ["ann@far.test", "alice@example.test"])
    assert resolve("all@example.test") == ([], [], ["ann@far.test"])


def test_a_forward_that_leads_to_nobody_any_more_keeps_the_mail(people, resolve, suite):
    people.set_forward("alice@example.test", ["bob@example.test"], keep_copy=False)
    people.set_enabled("bob@example.test", enabled=False)
    assert resolve("alice@example.test") == (["alice"], [], [])
    people.set_forward("bob@example.test", [])
    people.remove("bob@example.test")
    assert people.info("alice@example.test").forward_to == ()
    assert resolve("alice@example.test") == (["alice"], [], [])


def test_a_forward_that_leads_to_nobody_keeps_the_mail_also_where_others_get_it(people, resolve, suite):
    suite.accounts.add("dave@example.test")
    for name in ("alice", "bob"):
        people.set_forward(f"{name}@example.test", ["dave@example.test"], keep_copy=False)
    people.set_enabled("dave@example.test", enabled=False)
    suite.aliases.add("team@example.test", ["alice@example.test", "carol@example.test", "bob@example.test"])
    assert resolve("team@example.test") == (["carol", "bob", "alice"], [], [])
    people.set_forward("alice@example.test", ["bob@example.test"], keep_copy=False)
    assert resolve("team@example.test") == (["carol", "bob"], [], [])
    people.set_forward("bob@example.test", ["dave@example.test", "ann@far.test"], keep_copy=False)
    assert resolve("team@example.test") == (["carol"], [("bob", "ann@far.test")], [])


def test_a_forward_to_an_administrator_who_is_not_there_keeps_the_mail(people, resolve, suite):
    suite.aliases.add("root@example.test", ["carol@example.test"])
    people.set_forward("alice@example.test", ["root@example.test"], keep_copy=False)
    suite.aliases.remove("root@example.test")
    suite.aliases.add("root@example.test", ["postmaster@example.net"])
    suite.domains.add("example.net")
    assert resolve("alice@example.test") == (["alice"], [], [])


def test_mail_for_more_than_can_be_followed_waits_and_nobody_is_left_out(people, suite, result, monkeypatch):
    monkeypatch.setattr("mailsuite.directory.resolving.ADDRESSES_MAX", 3)
    suite.aliases.add("team@example.test", [f"{name}@example.test" for name in ("alice", "bob")])
    assert len(result(suite.directory.resolve(Address.parse("team@example.test"))).accounts) == 2
    suite.aliases.add("team@example.test", ["carol@example.test"])
    assert refused(lambda: result(suite.directory.resolve(Address.parse("team@example.test")))) is Kind.UNAVAILABLE


def test_who_is_switched_off_forwards_nothing(people, result, suite):
    people.set_forward("alice@example.test", ["ann@far.test"])
    people.set_enabled("alice@example.test", enabled=False)
    assert result(suite.directory.resolve(Address.parse("alice@example.test"))).kind.value == "disabled"


def test_a_forward_follows_its_target_to_another_address(people, resolve):
    people.set_forward("alice@example.test", ["bob@example.test"])
    people.rename("bob@example.test", "robert@example.test")
    assert people.info("alice@example.test").forward_to == ("robert@example.test",)
    assert resolve("alice@example.test") == (["alice", "robert"], [], [])


def test_an_account_that_is_made_again_inherits_nothing(people):
    people.set_forward("alice@example.test", ["ann@far.test"])
    people.remove("alice@example.test")
    assert people.add("alice@example.test").forward_to == ()
    assert [info.forward_to for info in people.list()] == [(), (), ()]


def test_forwards_give_nobody_a_right_to_a_sender_address(people, suite, result):
    people.set_forward("alice@example.test", ["bob@example.test"], keep_copy=False)
    ask = suite.directory.may_send_as
    assert result(ask("alice@example.test", Address.parse("alice@example.test")))
    assert not result(ask("bob@example.test", Address.parse("alice@example.test")))


def test_what_is_no_target_is_refused(people):
    assert refused(lambda: people.set_forward("alice@example.test", ["nobody@example.test"])) is Kind.NOT_FOUND
    assert refused(lambda: people.set_forward("alice@example.test", ["x"])) is Kind.INVALID
    assert refused(lambda: people.set_forward("dora@example.test", ["ann@far.test"])) is Kind.NOT_FOUND
    many = [f"u{number}@far.test" for number in range(FORWARDS_MAX + 1)]
    assert refused(lambda: people.set_forward("alice@example.test", many)) is Kind.INVALID


def test_an_alias_with_a_thousand_targets_keeps_their_order(suite, result):
    targets = [f"u{number}@far.test" for number in range(1000)]
    suite.aliases.add("all@example.test", targets)
    answer = result(suite.directory.resolve(Address.parse("all@example.test")))
    assert [str(address) for address in answer.remote] == targets


def test_a_chain_of_aliases_and_a_loop_across_domains(suite, people, result, resolve):
    suite.domains.add("other.test")
    suite.aliases.add("a0@example.test", ["alice@example.test"])
    for number in range(1, 100):
        suite.aliases.add(
            f"a{number}@{'example' if number % 2 == 0 else 'other'}.test",
            [f"a{number - 1}@{'other' if number % 2 == 0 else 'example'}.test"],
        )
    assert resolve("a99@other.test") == (["alice"], [], [])
    with suite.database.writing() as connection:
        connection.exec_driver_sql("UPDATE aliases SET target = 'a99@other.test' WHERE source = 'a0@example.test'")
    assert resolve("a99@other.test") == ([], [], [])
