"""Two accounts, one mailbox: what each right allows, and what is refused without it, over IMAP."""

import pytest
from shared_mail import People, result_of
from zope.interface import implementer_only

from mailsuite.interfaces import IAccountNumbers, IAccounts, Right, rights_text

MAIL = b"Subject: hello\r\n\r\ntext\r\n"
BOX = b"Users/alice@example.test/Projects"
ALL = rights_text(frozenset(Right))


def shared(house, rights, mailbox="Projects", messages=2):
    """Let bob have rights on a mailbox of alice."""
    alice = house.connect("alice")
    if mailbox != "INBOX":
        alice.ok(b"CREATE " + mailbox.encode())
    for _ in range(messages):
        house.put("alice", mailbox, MAIL)
    house.grant("alice", mailbox, "bob", rights)
    return alice, house.connect("bob")


# what needs which right: a command in the authenticated state, or in the shared mailbox when it begins with a colon

NEEDS = {
    "l": [b'LIST "" %b'],
    "r": [b"SELECT %b", b"EXAMINE %b", b"STATUS %b (MESSAGES UIDNEXT)"],
    "s": [b":STORE 1 +FLAGS (\\Seen)", b":UID STORE 1 -FLAGS.SILENT (\\Seen)"],
    "w": [b":STORE 1 +FLAGS (\\Flagged)", b":STORE 1 FLAGS (work)"],
    "t": [b":STORE 1 +FLAGS (\\Deleted)"],
    "e": [b":EXPUNGE", b":UID EXPUNGE 1"],
    "i": [b"APPEND %b {4+}\r\nx: y", b"COPY 1 %b"],
    "k": [b"CREATE %b/new"],
    "x": [b"DELETE %b"],
    "a": [
        b"GETACL %b",
        b"SETACL %b carol@example.test lr",
        b"DELETEACL %b carol@example.test",
        b"LISTRIGHTS %b carol@example.test",
    ],
}
CASES = [(right, command) for right, commands in NEEDS.items() for command in commands]


def attempt(house, bob, command):
    if command.startswith(b":"):
        assert bob.run(b"SELECT " + BOX)[1].startswith(b"OK")
        return bob.run(command[1:])
    if command.startswith(b"COPY"):
        house.put("bob", "INBOX", MAIL)
        bob.ok(b"SELECT INBOX")
    return bob.run(command % BOX)


@pytest.mark.parametrize(("right", "command"), CASES)
def test_with_the_one_right_that_it_needs_a_command_is_done(house, right, command):
    _, bob = shared(house, "lr" + right if command.startswith(b":") else right)
    lines, status = attempt(house, bob, command)
    assert status.startswith(b"OK"), (lines, status)
    if right == "l":
        assert b'* LIST (\\HasNoChildren) "/" ' + BOX in lines


@pytest.mark.parametrize(("right", "command"), CASES)
def test_with_all_rights_but_the_one_that_it_needs_a_command_is_refused(house, right, command):
    alice, bob = shared(house, ALL.replace(right, ""))
    before = house.state("alice", "Projects")
    lines, status = attempt(house, bob, command)
    if right == "l":
        assert lines == []
    else:
        assert status.startswith(b"NO"), (lines, status)
        assert status.startswith(b"NO [NOPERM]")
        assert not [line for line in lines if not line.startswith(b"* OK")]
    assert house.state("alice", "Projects") == before
    assert [name for name in house.mailboxes("alice") if name.startswith("Projects")] == ["Projects"]
    assert alice.ok(b"GETACL Projects") == [
        b"* ACL Projects alice@example.test lrswipkxteacd bob@example.test "
        + ALL.replace(right, "").encode() + b"cd"
    ]  # fmt: skip


@pytest.mark.parametrize(("right", "command"), CASES)
def test_without_any_right_a_command_is_answered_as_if_nothing_were_there(house, right, command):
    if command.startswith(b":") or right == "l":
        command = b"SELECT %b"
    _, bob = shared(house, "")
    if command.startswith(b"COPY"):
        house.put("bob", "INBOX", MAIL)
        bob.ok(b"SELECT INBOX")
    there = bob.run(command % BOX)
    assert there == bob.run(command % b"Users/alice@example.test/Nothing")
    assert there == bob.run(command % b"Users/nobody@example.test/Projects")
    assert there[1].startswith(b"NO")
    assert b"NOPERM" not in there[1] or command.startswith(b"CREATE")


def test_rename_needs_the_right_to_delete_and_to_create(house):
    alice, bob = shared(house, "lk")
    alice.ok(b"CREATE Projects/old")
    assert bob.refused(b"RENAME %b/old %b/new" % (BOX, BOX)).startswith(b"NO [NOPERM]")
    house.grant("alice", "Projects/old", "bob", "lx")
    bob.ok(b"RENAME %b/old %b/new" % (BOX, BOX))
    house.grant("alice", "Projects", "bob", "lx")
    assert bob.refused(b"RENAME %b/new %b/again" % (BOX, BOX)).startswith(b"NO [NOPERM]")
    assert "Projects/new" in house.mailboxes("alice")
    assert alice.ok(b"GETACL Projects/new")[0].endswith(b"bob@example.test lxc")


def test_who_makes_a_mailbox_hears_its_id_also_without_the_right_to_read_it(house):
    _, bob = shared(house, "lk")
    code = bob.run(b"CREATE %b/new" % BOX)[1].removeprefix(b"OK [").split(b"]")[0]
    house.grant("alice", "Projects/new", "bob", "lr")
    assert bob.ok(b"STATUS %b/new (MAILBOXID)" % BOX) == [b"* STATUS %b/new (%b)" % (BOX, code)]
    assert code.startswith(b"MAILBOXID (F")


def test_what_a_mailbox_of_another_is_for_is_its_owners_choice(house):
    _, bob = shared(house, ALL)
    assert bob.refused(b"CREATE %b/new (USE (\\Junk))" % BOX).startswith(b"NO [USEATTR]")
    assert "Projects/new" not in house.mailboxes("alice")


@pytest.mark.parametrize(
    ("rights", "kept"),
    [
        ("lr", b"()"),
        ("lrs", b"(\\Seen)"),
        ("lrt", b"(\\Deleted)"),
        ("lrw", b"(\\* \\Answered \\Draft \\Flagged work)"),
        ("lri", b"()"),
        ("lrswt", b"(\\* \\Answered \\Deleted \\Draft \\Flagged \\Seen work)"),
    ],
)
def test_select_tells_what_can_be_changed(house, rights, kept):
    _, bob = shared(house, rights)
    house.put("alice", "Projects", MAIL, ["work"])
    lines, status = bob.run(b"SELECT " + BOX)
    (line,) = [line for line in lines if b"PERMANENTFLAGS" in line]
    assert b"PERMANENTFLAGS %b]" % kept in line
    assert status.startswith(b"OK [READ-ONLY]" if rights == "lr" else b"OK [READ-WRITE]")


def test_store_changes_what_may_be_changed_and_fails_only_when_that_is_nothing(house):
    _, bob = shared(house, "lrs")
    house.put("alice", "Projects", MAIL, ["\\Deleted", "work"])
    bob.ok(b"SELECT " + BOX)
    assert bob.ok(b"STORE 3 +FLAGS (\\Seen \\Flagged)") == [b"* 3 FETCH (FLAGS (\\Deleted \\Recent \\Seen work))"]
    assert bob.ok(b"STORE 3 FLAGS ()") == [b"* 3 FETCH (FLAGS (\\Deleted \\Recent work))"]
    assert bob.refused(b"STORE 3 FLAGS (\\Answered)").startswith(b"NO [NOPERM]")
    assert bob.refused(b"STORE 3 -FLAGS (work)").startswith(b"NO [NOPERM]")
    house.grant("alice", "Projects", "bob", "lrw")
    assert bob.ok(b"STORE 3 FLAGS (\\Seen new)")[-1] == b"* 3 FETCH (FLAGS (\\Deleted \\Recent new))"
    assert house.state("alice", "Projects")[3] == {"\\Deleted", "new"}


def test_reading_sets_seen_only_with_the_right_to(house):
    _, bob = shared(house, "lrw")
    bob.ok(b"SELECT " + BOX)
    assert bob.ok(b"FETCH 1 BODY[TEXT]") == [b"* 1 FETCH (BODY[TEXT] {6}", b"text", b")"]
    assert house.state("alice", "Projects")[1] == set()
    house.grant("alice", "Projects", "bob", "lrs")
    bob.ok(b"FETCH 1 BODY[TEXT]")
    assert house.state("alice", "Projects")[1] == {"\\Seen"}


def test_close_without_the_right_to_expunge_leaves_everything(house):
    alice, bob = shared(house, "lrswt")
    alice.ok(b"SELECT Projects")
    alice.ok(b"STORE 1 +FLAGS (\\Deleted)")
    bob.ok(b"SELECT " + BOX)
    bob.ok(b"CLOSE")
    assert len(house.state("alice", "Projects")) == 2
    house.grant("alice", "Projects", "bob", "lre")
    bob.ok(b"SELECT " + BOX)
    bob.ok(b"CLOSE")
    assert list(house.state("alice", "Projects")) == [2]


@pytest.mark.parametrize(
    ("rights", "kept"),
    [("i", set()), ("is", {"\\Seen"}), ("it", {"\\Deleted"}), ("iw", {"\\Flagged", "work"})],
)
def test_flags_that_may_not_be_set_are_lost_by_append_and_copy(house, rights, kept):
    _, bob = shared(house, rights, messages=0)
    flags = [b"\\Seen", b"\\Deleted", b"\\Flagged", b"work"]
    assert bob.append(BOX, MAIL, b"(%b)" % b" ".join(flags)) == b"OK APPEND completed"
    house.put("bob", "INBOX", MAIL, [flag.decode() for flag in flags])
    bob.ok(b"SELECT INBOX")
    assert bob.run(b"COPY 1 " + BOX)[1] == b"OK COPY completed"
    assert house.state("alice", "Projects") == {1: kept, 2: kept}
    assert house.contents("alice", "Projects") == [MAIL, MAIL]


def test_a_mailbox_with_insert_only_takes_also_large_messages_and_tells_nothing(house):
    _, bob = shared(house, "i", messages=0)
    large = b"Subject: large\r\n\r\n" + b"0123456789\r\n" * 20_000
    assert bob.append(BOX, large) == b"OK APPEND completed"
    assert bob.refused(b"STATUS %b (MESSAGES)" % BOX).startswith(b"NO [NONEXISTENT]")
    assert bob.names(b"Users*") == []
    assert bob.ok(b"MYRIGHTS " + BOX) == [b"* MYRIGHTS %b i" % BOX]
    assert house.contents("alice", "Projects") == [large]


WAYS = [
    b"APPEND %b {4+}\r\nx: y",
    b"APPEND %b {4+}\r\nx: y {4+}\r\nx: z",
    b"COPY 1:2 %b",
    b"UID COPY 1:2 %b",
    b"MOVE 1:2 %b",
    b"UID MOVE 1:2 %b",
    b"REPLACE 2 %b {4+}\r\nx: y",
    b"UID REPLACE 2 %b {4+}\r\nx: y",
]


@pytest.mark.parametrize("source", [b"INBOX", b"Users/alice@example.test/From"])
@pytest.mark.parametrize("command", WAYS)
def test_who_may_put_messages_somewhere_and_not_read_learns_no_uid_of_there(house, command, source):
    """RFC 9051 sections 6.4.7 and 11.4."""
    alice, bob = shared(house, "li", messages=7)
    alice.ok(b"CREATE From")
    house.grant("alice", "From", "bob", ALL)
    for owner, mailbox in (("bob", "INBOX"), ("alice", "From")):
        house.put(owner, mailbox, MAIL)
        house.put(owner, mailbox, MAIL)
    bob.ok(b"SELECT " + source)
    lines = bob.ok(command % BOX)
    assert all(line.endswith((b"EXPUNGE", b"RECENT")) for line in lines), lines
    removed = 0 if b"COPY" in command or b"APPEND" in command else 1 if b"REPLACE" in command else 2
    assert len([line for line in lines if line.endswith(b"EXPUNGE")]) == removed
    assert len(house.state("alice", "Projects")) == (8 if command.count(b"{4+}") == 1 else 9)
    house.grant("alice", "Projects", "bob", "lri")
    house.put("bob", "INBOX", MAIL)
    bob.ok(b"SELECT INBOX")
    assert bob.run(b"COPY * " + BOX)[1].startswith(b"OK [COPYUID ")


@pytest.mark.parametrize("right", ALL)
def test_my_rights_needs_one_of_those_by_which_a_mailbox_is_known(house, right):
    _, bob = shared(house, right)
    if right in "lrikxa":
        shown = {"k": "kc", "x": "xc"}.get(right, right).encode()
        assert bob.ok(b"MYRIGHTS " + BOX) == [b"* MYRIGHTS %b %b" % (BOX, shown)]
    else:
        there = bob.run(b"MYRIGHTS " + BOX)
        assert there == bob.run(b"MYRIGHTS " + BOX + b"x")


def test_the_commands_that_tell_and_change_rights(house):
    alice, bob = shared(house, "lr")
    assert alice.ok(b"MYRIGHTS INBOX") == [b"* MYRIGHTS INBOX lrswipkxteacd"]
    assert alice.ok(b"GETACL INBOX") == [b"* ACL INBOX alice@example.test lrswipkxteacd"]
    alice.ok(b"SETACL Projects BOB@Example.Test +swd")
    alice.ok(b"SETACL Projects anyone l")
    assert alice.ok(b"GETACL Projects") == [
        b"* ACL Projects alice@example.test lrswipkxteacd anyone l bob@example.test lrswted"
    ]
    assert bob.ok(b"MYRIGHTS " + BOX) == [b"* MYRIGHTS %b lrswted" % BOX]
    alice.ok(b"SETACL Projects bob@example.test -rswted")
    alice.ok(b"SETACL Projects bob@example.test +c")
    assert bob.ok(b"MYRIGHTS " + BOX) == [b"* MYRIGHTS %b lkxc" % BOX]
    alice.ok(b"DELETEACL Projects bob@example.test")
    assert bob.ok(b"MYRIGHTS " + BOX) == [b"* MYRIGHTS %b l" % BOX]
    alice.ok(b"DELETEACL Projects anyone")
    assert bob.refused(b"MYRIGHTS " + BOX).startswith(b"NO [NONEXISTENT]")
    alice.ok(b"DELETEACL Projects anyone")
    assert alice.ok(b"LISTRIGHTS Projects bob@example.test") == [
        b'* LISTRIGHTS Projects bob@example.test "" l r s w i p k x t e a c d'
    ]
    assert alice.ok(b"LISTRIGHTS Projects alice@example.test") == [
        b"* LISTRIGHTS Projects alice@example.test lrswipkxteacd"
    ]
    for command in (
        b"SETACL Projects nobody@example.test lr",
        b"SETACL Projects -bob@example.test lr",
        b"SETACL Projects alice@example.test lr",
        b"DELETEACL Projects alice@example.test",
    ):
        assert alice.refused(command).startswith(b"NO [CANNOT]")
    assert alice.refused(b"GETACL Nothing").startswith(b"NO [NONEXISTENT]")


def test_what_login_takes_as_a_name_is_an_identifier(house):
    alice, bob = shared(house, "")
    alice.ok(b"SETACL Projects Bob lr")
    assert bob.ok(b"MYRIGHTS " + BOX) == [b"* MYRIGHTS %b lr" % BOX]
    assert alice.ok(b"GETACL Projects")[0].endswith(b" bob@example.test lr")
    assert alice.ok(b"LISTRIGHTS Projects ALICE") == [b"* LISTRIGHTS Projects ALICE lrswipkxteacd"]
    assert alice.refused(b"SETACL Projects alice lr").startswith(b"NO [CANNOT]")
    alice.ok(b"DELETEACL Projects bob")
    assert alice.ok(b"GETACL Projects") == [b"* ACL Projects alice@example.test lrswipkxteacd"]
    assert alice.refused(b"SETACL Projects nobody lr").startswith(b"NO [CANNOT]")


@implementer_only(IAccounts, IAccountNumbers)
class Addresses(People):
    """A directory that knows nothing of logins."""


def test_identifiers_are_addresses_where_login_names_are_not_known(house):
    house.people = Addresses()
    alice, _ = shared(house, "")
    assert alice.refused(b"SETACL Projects bob lr").startswith(b"NO [CANNOT]")
    alice.ok(b"SETACL Projects BOB@example.test lr")
    assert alice.ok(b"GETACL Projects")[0].endswith(b" bob@example.test lr")


def test_an_administrator_of_a_mailbox_cannot_take_it_from_its_owner(house):
    alice, bob = shared(house, "la")
    assert bob.refused(b"SETACL %b alice@example.test l" % BOX).startswith(b"NO [CANNOT]")
    bob.ok(b"SETACL %b carol@example.test lrs" % BOX)
    bob.ok(b"SETACL %b bob@example.test +r" % BOX)
    assert bob.ok(b"GETACL " + BOX) == [
        b"* ACL %b alice@example.test lrswipkxteacd bob@example.test lra carol@example.test lrs" % BOX
    ]
    assert house.connect("carol").run(b"SELECT " + BOX)[1].startswith(b"OK [READ-WRITE]")
    assert alice.ok(b"MYRIGHTS Projects") == [b"* MYRIGHTS Projects lrswipkxteacd"]


def test_rights_for_anyone_can_be_turned_off(house):
    house.sharing = type(house.sharing)(anyone=False)
    alice, bob = shared(house, "")
    assert alice.refused(b"SETACL Projects anyone lr").startswith(b"NO [NOPERM]")
    assert alice.ok(b"LISTRIGHTS Projects anyone") == [b'* LISTRIGHTS Projects anyone ""']
    alice.ok(b"DELETEACL Projects anyone")
    assert bob.names(b"Users*") == []


def test_what_is_announced_and_the_names(house):
    alice, bob = shared(house, "lr")
    (line,) = bob.ok(b"CAPABILITY")
    assert {b"ACL", b"RIGHTS=kxte", b"LIST-MYRIGHTS"} <= set(line.split())
    assert bob.ok(b"NAMESPACE") == [b'* NAMESPACE (("" "/")) (("Users/" "/")) NIL']
    alice.ok(b"CREATE Projects/below")
    house.grant("alice", "Projects", "bob", "")
    assert bob.names() == [b"INBOX", b"Trash", b"Users", b"Users/alice@example.test", BOX, BOX + b"/below"]
    assert b'* LIST (\\Noselect \\HasChildren) "/" ' + BOX in bob.ok(b'LIST "" *')
    assert bob.names(b"%") == [b"INBOX", b"Trash", b"Users"]
    assert bob.ok(b'LIST "" (INBOX Users/*) RETURN (MYRIGHTS STATUS (MESSAGES))')[-3:] == [
        b'* LIST (\\HasNoChildren) "/" %b/below' % BOX,
        b"* MYRIGHTS %b/below lr" % BOX,
        b"* STATUS %b/below (MESSAGES 0)" % BOX,
    ]
    assert b"* MYRIGHTS INBOX lrswipkxteacd" in bob.ok(b'LIST "" INBOX RETURN (MYRIGHTS)')
    house.grant("alice", "Projects/below", "bob", "")
    assert bob.names() == [b"INBOX", b"Trash"]


def test_subscriptions_are_ones_own(house):
    alice, bob = shared(house, "lr")
    bob.ok(b"SUBSCRIBE " + BOX)
    assert b'* LSUB () "/" ' + BOX in bob.ok(b'LSUB "" *')
    assert b'* LIST (\\Subscribed \\HasNoChildren) "/" ' + BOX in bob.ok(b'LIST (SUBSCRIBED) "" *')
    assert not [line for line in alice.ok(b'LSUB "" *') if b"Projects" in line]
    house.grant("alice", "Projects", "bob", "")
    assert b'* LIST (\\NonExistent \\Subscribed \\HasNoChildren) "/" ' + BOX in bob.ok(b'LIST (SUBSCRIBED) "" *')
    missing = bob.refused(b"SUBSCRIBE " + BOX + b"/not-there")
    assert missing.startswith(b"NO [NONEXISTENT]")
    alice.ok(b"CREATE Secret")
    assert bob.refused(b"SUBSCRIBE Users/alice@example.test/Secret") == missing
    bob.ok(b"UNSUBSCRIBE " + BOX)


@pytest.mark.parametrize("right", ALL)
def test_to_subscribe_needs_the_right_to_look_the_mailbox_up(house, right):
    _, bob = shared(house, right)
    if right == "l":
        bob.ok(b"SUBSCRIBE Users/Alice@example.test/Projects")
        assert b'* LSUB () "/" ' + BOX in bob.ok(b'LSUB "" *')
    else:
        assert bob.refused(b"SUBSCRIBE " + BOX) == bob.refused(b"SUBSCRIBE %bx" % BOX)
        house.grant("alice", "Projects", "bob", ALL.replace("l", ""))
        assert bob.refused(b"SUBSCRIBE " + BOX).startswith(b"NO [NONEXISTENT]")


@pytest.mark.parametrize("spelling", [b"Users/ALICE@Example.Test/%b", b"Users/alice@example.test/%b"])
def test_a_subscription_has_the_name_that_the_list_has_however_it_was_written(house, spelling):
    _, bob = shared(house, "lr")
    house.grant("alice", "INBOX", "bob", "lr")
    for leaf in (b"Projects", b"inbox"):
        bob.ok(b"SUBSCRIBE " + spelling % leaf)
    assert bob.ok(b'LIST (SUBSCRIBED) "" Users/*') == [
        b'* LIST (\\Subscribed \\HasNoChildren) "/" Users/alice@example.test/INBOX',
        b'* LIST (\\Subscribed \\HasNoChildren) "/" ' + BOX,
    ]
    bob.ok(b"UNSUBSCRIBE Users/alice@EXAMPLE.test/Inbox")
    house.people.add(1, "alice@example.test", enabled=False)
    bob.ok(b"UNSUBSCRIBE Users/Alice@EXAMPLE.test/Projects")
    assert bob.ok(b'LSUB "" Users*') == []


def test_a_subscription_that_was_stored_as_it_was_written_can_be_removed(house):
    _, bob = shared(house, "lr")
    result_of(house.store.account(house.people.accounts[2]).subscribe("Users/ALICE@example.test/Projects", True))
    bob.ok(b"UNSUBSCRIBE Users/ALICE@example.test/Projects")
    assert bob.ok(b'LSUB "" Users*') == []


def test_a_name_that_is_listed_for_what_is_below_it_is_not_told_more_of(house):
    alice, _ = shared(house, "")
    alice.ok(b"CREATE Projects/below")
    alice.ok(b"SUBSCRIBE Projects/below")
    alice.ok(b'SETMETADATA Projects (/private/comment "x")')
    returned = b"RETURN (STATUS (MESSAGES) MYRIGHTS METADATA (/private/comment))"
    assert alice.ok(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" Proj% ' + returned) == [
        b'* LIST (\\HasChildren) "/" Projects ("CHILDINFO" ("SUBSCRIBED"))'
    ]
    alice.ok(b"SUBSCRIBE Projects")
    assert alice.ok(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" Proj% ' + returned) == [
        b'* LIST (\\Subscribed \\HasChildren) "/" Projects ("CHILDINFO" ("SUBSCRIBED"))',
        b"* MYRIGHTS Projects lrswipkxteacd",
        b"* STATUS Projects (MESSAGES 2)",
        b'* METADATA Projects (/private/comment "x")',
    ]


def test_names_below_the_prefix_are_not_for_mailboxes_of_ones_own(house):
    bob = house.connect("bob")
    for name in (b"Users", b"Users/x", b"Users/bob@example.test/x", b"Users/nobody@example.test/x"):
        assert bob.refused(b"CREATE " + name).startswith(b"NO [NOPERM]")
        assert bob.refused(b"RENAME Trash " + name).startswith(b"NO [CANNOT]")
    assert bob.names() == [b"INBOX", b"Trash"]


def test_a_mailbox_of_ones_own_that_was_below_the_prefix_before_stays_reachable(house):
    account = house.store.account(house.people.accounts[2])
    result_of(account.create("Users/alice@example.test/Projects", frozenset()))
    _, bob = shared(house, "lr")
    house.put("bob", "Users/alice@example.test/Projects", b"Subject: own\r\n\r\n")
    assert b"* 1 EXISTS" in bob.ok(b"SELECT " + BOX)
    assert bob.append(BOX, MAIL).startswith(b"OK")
    assert bob.ok(b"MYRIGHTS " + BOX) == [b"* MYRIGHTS %b lrswipkxteacd" % BOX]
    assert bob.refused(b"CREATE " + BOX).startswith(b"NO [ALREADYEXISTS]")
    bob.ok(b"RENAME %b Own" % BOX)
    assert b"* 2 EXISTS" in bob.ok(b"SELECT " + BOX)
    assert b"* 2 EXISTS" in bob.ok(b"SELECT Own")
    assert len(house.state("alice", "Projects")) == 2


def test_quota_is_the_owners_and_nobody_elses_business(house):
    house.people.add(1, "alice@example.test", quota_octets=200_000)
    house.people.add(2, "bob@example.test", quota_octets=2048)
    _, bob = shared(house, "lri", messages=0)
    assert bob.ok(b"GETQUOTAROOT " + BOX) == [b"* QUOTAROOT " + BOX]
    assert bob.ok(b"GETQUOTAROOT INBOX")[1].startswith(b'* QUOTA "" (STORAGE 0 2')
    assert bob.refused(b"GETQUOTAROOT %bx" % BOX).startswith(b"NO [NONEXISTENT]")
    assert bob.append(BOX, b"x" * 100_000).startswith(b"OK")
    assert bob.append(b"INBOX", b"x" * 100_000).startswith(b"NO [OVERQUOTA]")
    assert bob.append(BOX, b"x" * 100_001).startswith(b"NO [OVERQUOTA]")
    (answer,) = bob.send(b"z APPEND %b {150000}\r\n" % BOX).splitlines()
    assert answer.startswith(b"z NO [OVERQUOTA]")


def test_an_own_mailbox_and_that_of_another_with_the_same_id_are_told_apart(house):
    _, bob = shared(house, "lr", mailbox="INBOX", messages=1)
    bob.ok(b"SELECT INBOX")
    house.put("alice", "INBOX", MAIL)
    assert bob.ok(b"NOOP") == []
    ids = {
        box: next(line for line in bob.ok(b"STATUS %b (MAILBOXID)" % box))
        for box in (b"INBOX", b"Users/alice@example.test/INBOX")
    }
    assert len({line.split(b"MAILBOXID")[1] for line in ids.values()}) == 2
    assert b"* 2 EXISTS" in bob.ok(b"SELECT Users/alice@example.test/inbox")
    assert bob.ok(b"SELECT Users/alice@example.test/INBOX")[-1].startswith(b"* OK [MAILBOXID")


def test_what_may_be_looked_up_and_not_read_is_listed_as_not_selectable_where_counts_are_asked_for(house):
    _, bob = shared(house, "l")
    counts = b'LIST "" Users/*/Projects RETURN (STATUS (MESSAGES) MYRIGHTS)'
    assert bob.ok(counts) == [b'* LIST (\\Noselect \\HasNoChildren) "/" ' + BOX, b"* MYRIGHTS %b l" % BOX]
    house.grant("alice", "Projects", "bob", "lr")
    assert bob.ok(counts) == [
        b'* LIST (\\HasNoChildren) "/" ' + BOX,
        b"* MYRIGHTS %b lr" % BOX,
        b"* STATUS %b (MESSAGES 2)" % BOX,
    ]
