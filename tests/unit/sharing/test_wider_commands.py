"""REPLACE, CATENATE, PREVIEW, METADATA and NOTIFY with mailboxes of others: what each right allows."""

import pytest
from shared_mail import result_of
from zope.interface.verify import verifyObject

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import AppendMessage, IAnnotatedAccount, IMailbox, IRightsAccount

MAIL = b"Subject: hello\r\n\r\ntext\r\n"
NEW = b"Subject: new\r\n\r\nother\r\n"
BOX = b"Users/alice@example.test/Projects"
NEVER = b"Users/alice@example.test/never-was"


@pytest.fixture
def alice(house):
    client = house.connect("alice")
    client.ok(b"CREATE Projects")
    house.put("alice", "Projects", MAIL)
    return client


@pytest.fixture
def bob(house, alice):
    return house.connect("bob")


def share(house, rights, mailbox="Projects"):
    house.grant("alice", mailbox, "bob", rights)


def replace(client, mailbox, number=1, flags=b"()"):
    return client.run(b"REPLACE %d %b %b {%d+}\r\n%b" % (number, mailbox, flags, len(NEW), NEW))


def test_all_interfaces_are_provided(house, alice):
    account = house.account("alice")
    assert verifyObject(IRightsAccount, account)
    assert verifyObject(IAnnotatedAccount, account)
    assert verifyObject(IMailbox, result_of(account.open_mailbox("Projects", read_only=False)))
    share(house, "lr")
    assert verifyObject(IMailbox, result_of(house.account("bob").open_mailbox(BOX.decode(), read_only=False)))


# REPLACE


def test_replacing_in_a_mailbox_of_another_takes_the_flags_that_may_be_set(house, bob):
    share(house, "lrites")
    bob.ok(b"SELECT " + BOX)
    lines, status = replace(bob, BOX, flags=b"(\\Seen \\Flagged work)")
    assert status.startswith(b"OK"), (lines, status)
    assert b"APPENDUID" in lines[0]
    assert b"* 1 EXPUNGE" in lines
    assert house.state("alice", "Projects") == {2: {"\\Seen"}}
    assert house.contents("alice", "Projects") == [NEW]


@pytest.mark.parametrize("rights", ["lrswte", "lrswit", "lrswie", "lr", "lri"])
def test_replacing_in_a_mailbox_of_another_needs_to_insert_and_to_remove(house, bob, rights):
    share(house, rights)
    bob.ok(b"SELECT " + BOX)
    assert replace(bob, BOX)[1].startswith((b"NO [NOPERM]", b"NO [READ-ONLY]"))
    assert house.contents("alice", "Projects") == [MAIL]
    bob.ok(b"NOOP")


@pytest.mark.parametrize("rights", ["", "swite"])
def test_replacing_in_a_mailbox_that_may_no_longer_be_read_does_nothing(house, bob, rights):
    share(house, "lrswite")
    bob.ok(b"SELECT " + BOX)
    share(house, rights)
    lines, status = replace(bob, b"INBOX")
    assert status == b"gone"
    assert any(line.startswith(b"* BYE") for line in lines)
    assert house.contents("alice", "Projects") == [MAIL]
    assert house.contents("bob") == []


def test_a_replacement_may_go_to_another_account(house, bob):
    share(house, "li")
    house.put("bob", "INBOX", MAIL)
    bob.ok(b"SELECT INBOX")
    lines, status = replace(bob, BOX, flags=b"(\\Seen)")
    assert status.startswith(b"OK"), (lines, status)
    assert house.contents("bob") == []
    assert house.contents("alice", "Projects") == [MAIL, NEW]
    assert house.state("alice", "Projects")[2] == set()


def test_a_replacement_that_may_not_go_to_another_account_leaves_everything(house, bob):
    house.put("bob", "INBOX", MAIL)
    bob.ok(b"SELECT INBOX")
    assert replace(bob, BOX) == replace(bob, NEVER)
    share(house, "lrswte")
    assert replace(bob, BOX)[1].startswith(b"NO [NOPERM]")
    bob.ok(b"EXAMINE INBOX")
    share(house, "lrswite")
    assert replace(bob, BOX)[1].startswith(b"NO [READ-ONLY]")
    assert (house.contents("bob"), house.contents("alice", "Projects")) == ([MAIL], [MAIL])


def test_what_was_another_accounts_may_be_replaced_by_ones_own(house, bob):
    share(house, "lrte")
    bob.ok(b"SELECT " + BOX)
    assert replace(bob, b"INBOX", flags=b"(\\Seen)")[1].startswith(b"OK")
    assert house.contents("alice", "Projects") == []
    assert (house.contents("bob"), house.state("bob")) == ([NEW], {1: {"\\Seen"}})


def test_a_message_that_is_gone_is_not_replaced_in_another_account(house, bob):
    share(house, "lri")
    number = house.put("bob", "INBOX", MAIL)
    box = result_of(house.account("bob").open_mailbox("INBOX", read_only=False))
    with pytest.raises(MailError) as caught:
        result_of(box.replace(number + 1, BOX.decode(), AppendMessage(content=NEW)))
    assert caught.value.kind is Kind.EXPUNGED
    assert house.contents("alice", "Projects") == [MAIL]


@pytest.mark.parametrize("source", ["own", "of another"])
def test_a_large_replacement_goes_through_a_file_of_the_account_that_gets_it(house, bob, source):
    share(house, "lrite")
    house.put("bob", "INBOX", MAIL)
    bob.ok(b"SELECT " + (b"INBOX" if source == "own" else BOX))
    content = b"Subject: large\r\n\r\n" + b"x" * 70 * 1024 * 20
    lines, status = bob.run(b"REPLACE 1 %b {%d+}\r\n%b" % (BOX, len(content), content))
    assert status.startswith(b"OK"), (lines[-1:], status)
    assert house.contents("alice", "Projects")[-1] == content
    assert len(house.contents("alice", "Projects")) == (2 if source == "own" else 1)


# CATENATE


def catenate(client, source, target=b"INBOX"):
    url = b"/%b/;UID=1/;SECTION=TEXT" % source
    return client.run(b'APPEND %b CATENATE (TEXT {12+}\r\nSubject: x\r\n TEXT {2+}\r\n\r\n URL "%b")' % (target, url))


def test_parts_of_messages_of_others_are_taken_where_they_may_be_read(house, bob):
    share(house, "r")
    assert catenate(bob, BOX)[1].startswith(b"OK")
    assert house.contents("bob") == [b"Subject: x\r\n\r\ntext\r\n"]


def test_parts_are_not_taken_where_nothing_may_be_read(house, bob):
    there, never = catenate(bob, BOX), catenate(bob, NEVER)
    assert (there[0], there[1].replace(BOX, NEVER)) == never
    assert there[1].startswith(b"NO [BADURL")
    share(house, "lswiteka")
    assert catenate(bob, BOX)[1].startswith(b"NO [NOPERM]")
    assert house.contents("bob") == []


def test_parts_are_put_together_where_they_may_be_inserted(house, bob):
    house.put("bob", "INBOX", MAIL)
    share(house, "lr")
    assert catenate(bob, b"INBOX", BOX)[1].startswith(b"NO [NOPERM]")
    share(house, "i")
    assert catenate(bob, b"INBOX", BOX)[1].startswith(b"OK")
    assert house.contents("alice", "Projects")[1:] == [b"Subject: x\r\n\r\ntext\r\n"]


def test_the_mailbox_of_another_is_looked_at_before_a_bad_url_is_named(house, bob):
    share(house, "lr")
    for target in (NEVER, BOX + b"/none", b"Users"):
        assert catenate(bob, b"none", target)[1].startswith(b"NO [TRYCREATE]")
    assert catenate(bob, b"none", BOX)[1].startswith(b"NO [NOPERM]")
    share(house, "i")
    assert catenate(bob, b"none", BOX)[1].startswith(b"NO [BADURL /none/;UID=1/;SECTION=TEXT]")
    bob.ok(b"NOOP")


# PREVIEW


def test_previews_are_for_those_who_may_read(house, bob):
    share(house, "lr")
    bob.ok(b"SELECT " + BOX)
    assert bob.ok(b"FETCH 1 (PREVIEW)") == [b'* 1 FETCH (PREVIEW "text")']
    share(house, "l")
    lines, _ = bob.run(b"FETCH 1 (PREVIEW)")
    assert not [line for line in lines if b"PREVIEW" in line]
    assert not bob.connected


# METADATA


def test_annotations_are_kept_with_ones_own_mailboxes_and_with_the_account(house, alice):
    words = alice.ok(b"CAPABILITY")[0].split()
    assert {b"ACL", b"METADATA", b"LIST-METADATA"} <= set(words)
    for mailbox in (b'""', b"Projects"):
        alice.ok(b'SETMETADATA %b (/private/comment "mine")' % mailbox)
        assert alice.ok(b"GETMETADATA %b /private/comment" % mailbox) == [
            b'* METADATA %b (/private/comment "mine")' % mailbox
        ]


def test_shared_annotations_of_others_are_seen_and_set_with_the_rights_to(house, alice, bob):
    alice.ok(b'SETMETADATA Projects (/shared/comment "ours" /private/comment "mine" /shared/admin "mailto:a@x")')
    alice.ok(b"ENABLE METADATA")
    commands = (
        b"GETMETADATA %b (/shared/comment /private/comment)",
        b"GETMETADATA (DEPTH infinity) %b /shared",
        b'SETMETADATA %b (/shared/comment "other")',
        b"SETMETADATA %b (/private/comment NIL)",
        b'SETMETADATA %b (/private/specialuse "\\\\Archive")',
    )  # fmt: skip
    listed = b'LIST "" (Users/* INBOX) RETURN (METADATA (DEPTH infinity) (/shared /private))'
    for command in commands:
        share(house, "rswipkxtea")
        assert bob.run(command % BOX) == bob.run(command % NEVER)
        share(house, "lkxtea")
        assert bob.refused(command % BOX).startswith(b"NO [NOPERM]")
    assert not [line for line in bob.ok(listed) if line.startswith(b"* METADATA Users")]
    share(house, "lr")
    assert bob.ok(commands[0] % BOX) == [
        b'* METADATA %b (/shared/comment "ours" /private/comment NIL)' % BOX
    ]  # fmt: skip
    seen = b'* METADATA %b (/shared/admin "mailto:a@x" /shared/comment "ours")' % BOX
    assert seen in bob.ok(listed)
    assert bob.refused(commands[2] % BOX).startswith(b"NO [NOPERM]")
    share(house, "lw")
    for command in commands[3:]:
        assert bob.refused(command % BOX).startswith(b"NO [METADATA NOPRIVATE]")
    assert bob.refused(b'SETMETADATA %b (/shared/admin "x")' % BOX).startswith(b"NO [NOPERM]")
    alice.ok(b"NOOP")
    bob.ok(commands[2] % BOX)
    assert alice.ok(b"NOOP") == [b"* METADATA Projects /shared/comment"]
    assert alice.ok(b"GETMETADATA Projects (/shared/comment /private/comment /private/specialuse)") == [
        b'* METADATA Projects (/shared/comment "other" /private/comment "mine" /private/specialuse NIL)'
    ]


def test_what_a_guest_set_is_not_taken_for_a_change_of_its_own(house, bob):
    share(house, "lw")
    other = house.connect("bob")
    bob.ok(b"ENABLE METADATA")
    bob.ok(b'SETMETADATA %b (/shared/comment "x")' % BOX)
    other.ok(b'SETMETADATA INBOX (/private/comment "y")')
    assert bob.ok(b"NOOP") == [b"* METADATA INBOX /private/comment"]


# NOTIFY


def watch(client, mailboxes):
    events = b"(MessageNew MessageExpunge FlagChange MailboxName)"
    return client.ok(b"NOTIFY SET STATUS (%b %b)" % (mailboxes, events))


def heard(client):
    client.settle()
    return client.received()


@pytest.mark.parametrize("mailboxes", [b"personal", b"inboxes"])
def test_mailboxes_of_others_are_not_personal(house, bob, mailboxes):
    share(house, "lr")
    lines = watch(bob, mailboxes)
    assert any(line.startswith(b"* STATUS INBOX") for line in lines)
    assert not [line for line in lines if b"Users" in line]
    house.put("alice", "Projects", MAIL)
    assert heard(bob) == b""
    house.put("bob", "INBOX", MAIL)
    assert b"* STATUS INBOX (MESSAGES 1" in heard(bob)


@pytest.mark.parametrize("mailboxes", [b"subtree Users", b"mailboxes " + BOX, b"subscribed"])
def test_who_may_read_is_told_what_happens_in_mailboxes_of_others(house, bob, mailboxes):
    share(house, "lr")
    bob.ok(b"SUBSCRIBE " + BOX)
    assert any(line.startswith(b"* STATUS %b (MESSAGES 1 " % BOX) for line in watch(bob, mailboxes))
    house.put("alice", "Projects", MAIL)
    assert b"* STATUS %b (MESSAGES 2 " % BOX in heard(bob)
    house.put("alice", "INBOX", MAIL)
    assert heard(bob) == b""
    share(house, "l")
    house.put("alice", "Projects", MAIL)
    assert b"STATUS" not in heard(bob)
    share(house, "")
    house.put("alice", "Projects", MAIL)
    assert b"STATUS" not in heard(bob)
    bob.ok(b"NOTIFY NONE")
    share(house, "lr")
    house.put("alice", "Projects", MAIL)
    assert heard(bob) == b""


@pytest.mark.parametrize("rights", ["", "l", "swipkxtea"])
def test_who_may_not_read_is_told_no_counts(house, bob, rights):
    share(house, rights)
    assert not [line for line in watch(bob, b"mailboxes (%b %b)" % (BOX, NEVER)) if b"STATUS" in line]
    house.put("alice", "Projects", MAIL)
    assert heard(bob) == b""


def test_the_new_name_of_a_mailbox_is_told_to_who_may_look_it_up(house, alice, bob):
    share(house, "lr")
    watch(bob, b"subtree Users")
    alice.ok(b"RENAME Projects Plans")
    told = heard(bob)
    assert b'Users/alice@example.test/Plans ("OLDNAME" (%b))' % BOX in told
    share(house, "r", "Plans")
    alice.ok(b"RENAME Plans Hidden")
    assert b"Hidden" not in heard(bob)


def test_what_is_shared_while_the_client_watches_is_told_at_once(house, bob):
    watch(bob, b"subtree Users")
    share(house, "lr")
    told = heard(bob)
    assert b'* LIST (\\HasNoChildren) "/" %b\r\n' % BOX in told
    assert b"* STATUS %b (MESSAGES 1 " % BOX in told
    house.put("alice", "Projects", MAIL)
    assert b"* STATUS %b (MESSAGES 2 " % BOX in heard(bob)
    share(house, "")
    parent = BOX.rpartition(b"/")[0]
    assert heard(bob) == b"".join(b'* LIST (\\NonExistent \\HasNoChildren) "/" %b\r\n' % name for name in (parent, BOX))
    house.put("alice", "Projects", MAIL)
    assert heard(bob) == b""


NO_ACCESS = b'* LIST (\\NoAccess \\HasNoChildren) "/" %b' % BOX


@pytest.mark.parametrize("mailboxes", [b"subtree Users", b"mailboxes (%b %b)" % (BOX, NEVER), b"subscribed"])
@pytest.mark.parametrize("status", [b"", b"STATUS "])
def test_who_may_look_up_a_mailbox_but_not_read_it_is_told_so(house, bob, mailboxes, status):
    share(house, "lr")
    bob.ok(b"SUBSCRIBE " + BOX)
    share(house, "l")
    command = b"NOTIFY SET %b(%b (MessageNew MessageExpunge FlagChange))" % (status, mailboxes)
    expected = NO_ACCESS.replace(b"Access ", b"Access \\Subscribed ")
    for _ in range(2):
        assert [line for line in bob.ok(command) if b"Users" in line] == [expected]
    assert bob.ok(b"NOTIFY SET (%b (MailboxName))" % mailboxes) == []  # which takes no other right
    share(house, "")
    heard(bob)
    assert [line for line in bob.ok(command) if b"Users" in line] == []


def test_when_the_right_to_read_goes_and_comes_that_is_told(house, bob):
    share(house, "l")
    assert watch(bob, b"mailboxes " + BOX) == [NO_ACCESS]
    share(house, "li")
    house.put("alice", "Projects", MAIL)
    assert heard(bob) == b""
    share(house, "lr")
    told = heard(bob)
    assert told.startswith(b'* LIST (\\HasNoChildren) "/" %b\r\n* STATUS %b (MESSAGES 2 UIDNEXT 3 ' % (BOX, BOX))
    house.put("alice", "Projects", MAIL)
    assert b"* STATUS %b (MESSAGES 3 " % BOX in heard(bob)
    share(house, "lt")
    assert heard(bob) == NO_ACCESS + b"\r\n"
    house.put("alice", "Projects", MAIL)
    assert heard(bob) == b""
    share(house, "lr")
    told = heard(bob)
    assert told.startswith(b'* LIST (\\HasNoChildren) "/" %b\r\n* STATUS %b (MESSAGES 4 UIDNEXT 5 ' % (BOX, BOX))
    share(house, "l")
    share(house, "")
    assert b"(\\NonExistent \\HasNoChildren)" in heard(bob)
    share(house, "l")
    assert heard(bob).splitlines() == [NO_ACCESS.replace(b"\\NoAccess ", b""), NO_ACCESS]


def test_lists_with_counts_count_only_what_may_be_read(house, bob):
    share(house, "l")
    command = b'LIST "" (Users/* INBOX) RETURN (STATUS (MESSAGES))'
    lines = bob.ok(command)
    assert b"* STATUS INBOX (MESSAGES 0)" in lines
    assert not [line for line in lines if line.startswith(b"* STATUS Users")]
    share(house, "lr")
    assert b"* STATUS %b (MESSAGES 1)" % BOX in bob.ok(command)
