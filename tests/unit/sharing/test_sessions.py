"""Sessions that are open while rights change, and messages that go from one account to another."""

import pytest
from shared_mail import result_of

from mailsuite.interfaces import ANY_MAILBOX, Column, MailboxChange
from mailsuite.sharing import transfer

MAIL = b"Subject: hello\r\n\r\ntext\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789\r\n" * 20_000
BOX = b"Users/alice@example.test/INBOX"


@pytest.fixture
def shared(house):
    """Let bob have rights on alice's INBOX, and give clients of both."""

    def share(rights, *contents):
        for content in contents:
            house.put("alice", "INBOX", content)
        house.grant("alice", "INBOX", "bob", rights)
        return house.connect("alice"), house.connect("bob")

    return share


# who loses rights


@pytest.mark.parametrize(
    "command",
    [
        b"NOOP", b"CHECK", b"FETCH 1:* FLAGS", b"FETCH 1 BODY.PEEK[]", b"UID FETCH 1:* (UID)", b"FETCH 1 ENVELOPE",
        b"SEARCH ALL", b"SEARCH BODY text", b"SORT (DATE) UTF-8 ALL", b"THREAD REFERENCES UTF-8 ALL",
        b"STORE 1 +FLAGS (\\Seen)", b"EXPUNGE", b"COPY 1 Trash", b"MOVE 1 Trash",
    ],
)  # fmt: skip
@pytest.mark.parametrize("left", ["", "l", "lswtei"])
def test_who_may_no_longer_read_is_told_farewell_and_nothing_more(house, shared, command, left):
    alice, bob = shared("lrswte", MAIL, MAIL)
    bob.ok(b"SELECT " + BOX)
    alice.ok(b"SETACL INBOX bob@example.test " + (left.encode() or b'""'))
    house.put("alice", "INBOX", MAIL)
    lines, _ = bob.run(command)
    assert lines == [b"* BYE the selected mailbox was deleted", b""]
    assert not bob.connected
    assert len(house.state("alice")) == 3
    assert house.contents("bob", "Trash") == []


def test_an_idling_client_hears_at_once(house, shared):
    alice, bob = shared("lr", MAIL)
    bob.ok(b"SELECT " + BOX)
    assert bob.send(b"i IDLE\r\n").startswith(b"+")
    house.put("alice", "INBOX", MAIL)
    bob.settle()
    assert bob.received() == b"* 2 EXISTS\r\n* 2 RECENT\r\n"
    alice.ok(b"SETACL INBOX bob@example.test +sw")
    bob.settle()
    told = bob.received()
    assert b"* OK [PERMANENTFLAGS (\\* \\Answered \\Draft \\Flagged \\Seen)]" in told
    assert b"* OK [READ-WRITE]" in told
    alice.ok(b"DELETEACL INBOX bob@example.test")
    house.put("alice", "INBOX", MAIL)
    bob.settle()
    assert bob.received() == b"* BYE the selected mailbox was deleted\r\n"
    assert not bob.connected


@pytest.mark.parametrize("idles", [True, False])
def test_who_asked_to_hear_nothing_of_the_selected_mailbox_loses_it_all_the_same(house, shared, idles):
    alice, bob = shared("lr", MAIL)
    bob.ok(b"SELECT " + BOX)
    bob.ok(b"NOTIFY SET STATUS (mailboxes %b (MessageNew MessageExpunge))" % BOX)
    if idles:
        assert bob.send(b"i IDLE\r\n").startswith(b"+")
    house.put("alice", "INBOX", MAIL)
    bob.settle()
    assert b"EXISTS" not in bob.received()
    alice.ok(b"DELETEACL INBOX bob@example.test")
    bob.settle()
    assert bob.received().endswith(b"* BYE the selected mailbox was deleted\r\n")
    assert not bob.connected


def test_leaving_a_mailbox_that_may_no_longer_be_read_is_no_offence(house, shared):
    for leave in (b"UNSELECT", b"SELECT INBOX"):
        alice, bob = shared("lr", MAIL)
        bob.ok(b"SELECT " + BOX)
        alice.ok(b"DELETEACL INBOX bob@example.test")
        bob.ok(leave)
        assert bob.connected


def test_a_right_is_gone_with_the_next_command(shared):
    alice, bob = shared("lrswte", MAIL)
    bob.ok(b"SELECT " + BOX)
    alice.ok(b"SETACL INBOX bob@example.test -wte")
    lines, status = bob.run(b"STORE 1 +FLAGS (\\Flagged)")
    assert status.startswith(b"NO [NOPERM]")
    assert [line for line in lines if b"PERMANENTFLAGS (\\Seen)" in line]
    assert bob.refused(b"EXPUNGE").startswith(b"NO [NOPERM]")
    alice.ok(b"SETACL INBOX bob@example.test -s")
    lines, status = bob.run(b"STORE 1 +FLAGS (\\Seen)")
    assert status.startswith(b"NO [READ-ONLY]")
    assert [line for line in lines if line.startswith(b"* OK [READ-ONLY]")]


def test_a_session_hears_what_others_do(house, shared):
    alice, bob = shared("lrs", MAIL, MAIL)
    bob.ok(b"SELECT " + BOX)
    alice.ok(b"SELECT INBOX")
    alice.ok(b"STORE 1 +FLAGS (\\Deleted)")
    assert bob.ok(b"NOOP") == [b"* 1 FETCH (FLAGS (\\Deleted \\Recent))"]
    alice.ok(b"EXPUNGE")
    assert bob.ok(b"NOOP") == [b"* 1 EXPUNGE", b"* 1 RECENT"]
    bob.ok(b"STORE 1 +FLAGS (\\Seen)")
    assert [line for line in alice.ok(b"NOOP") if b"\\Seen" in line]


def test_recent_messages_stay_the_owners(shared):
    alice, bob = shared("lrswte", MAIL)
    assert b"* 1 RECENT" in bob.ok(b"SELECT " + BOX)
    assert b"* 1 RECENT" in alice.ok(b"SELECT INBOX")


def test_a_mailbox_that_is_opened_read_only_stays_so(shared):
    _, bob = shared("lrswte", MAIL)
    bob.ok(b"EXAMINE " + BOX)
    assert bob.refused(b"STORE 1 +FLAGS (\\Seen)").startswith(b"NO [READ-ONLY]")


def test_deleting_and_renaming_by_either_side(house, shared):
    alice, bob = shared("lrkx")
    bob.ok(b"CREATE " + BOX + b"/one/two")
    assert alice.names(b"INBOX*") == [b"INBOX", b"INBOX/one", b"INBOX/one/two"]
    assert bob.ok(b"MYRIGHTS %b/one/two" % BOX)[0].endswith(b" lrkxcd" if False else b" lrkxc")
    bob.ok(b"SELECT %b/one/two" % BOX)
    alice.ok(b"RENAME INBOX/one Other")
    bob.ok(b"NOOP")
    assert bob.names(b"Users/alice*") == [
        b"Users/alice@example.test", BOX, b"Users/alice@example.test/Other", b"Users/alice@example.test/Other/two",
    ]  # fmt: skip
    assert bob.refused(b"DELETE " + BOX).startswith(b"NO [NOPERM]")
    assert bob.refused(b"RENAME %b %b/x" % (BOX, BOX)).startswith(b"NO [NOPERM]")
    assert bob.refused(b"RENAME Users/alice@example.test/Other Mine").startswith(b"NO [CANNOT]")
    alice.ok(b"DELETE Other/two")
    assert bob.run(b"NOOP")[0] == [b"* BYE the selected mailbox was deleted", b""]
    alice.ok(b"CREATE Other/two")
    again = house.connect("bob")
    assert again.ok(b"MYRIGHTS Users/alice@example.test/Other/two")[0].endswith(b" lrkxc")  # of those above
    alice.ok(b"DELETEACL Other bob@example.test")
    alice.ok(b"DELETE Other/two")
    alice.ok(b"CREATE Other/two")
    assert again.refused(b"MYRIGHTS Users/alice@example.test/Other/two").startswith(b"NO [NONEXISTENT]")


def test_who_may_create_is_not_told_what_is_there_already(house, shared):
    alice, bob = shared("lk")
    alice.ok(b"CREATE INBOX/secret")
    house.grant("alice", "INBOX/secret", "bob", "")
    assert bob.refused(b"CREATE %b/secret" % BOX) == bob.refused(b"CREATE %b/secret/below" % BOX)
    house.grant("alice", "INBOX/secret", "bob", "l")
    assert bob.refused(b"CREATE %b/secret" % BOX).startswith(b"NO [ALREADYEXISTS]")


# messages between accounts


@pytest.mark.parametrize("contents", [[MAIL], [MAIL, LARGE, MAIL], [LARGE]])
def test_copies_keep_flags_date_and_id(house, shared, contents):
    _, bob = shared("lriswt")
    uids = [house.put("bob", "INBOX", content, ["\\Seen", "work"]) for content in contents]
    bob.ok(b"SELECT INBOX")
    status = bob.run(b"COPY 1:* " + BOX)[1]
    assert b"[COPYUID " in status
    assert status.split(b"]")[0].endswith(b" 1 1" if len(uids) == 1 else b" 1:%d 1:%d" % (len(uids), len(uids)))
    items = b"FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE EMAILID)"
    here = bob.ok(items)
    bob.ok(b"SELECT " + BOX)
    there = [line.replace(b"\\Recent ", b"") for line in bob.ok(items)]
    assert there == [line.replace(b"\\Recent ", b"") for line in here]
    assert house.contents("alice") == contents == house.contents("bob")


def test_a_move_out_of_a_shared_mailbox_and_into_it(house, shared):
    _, bob = shared("lriswte", MAIL, LARGE)
    bob.ok(b"SELECT " + BOX)
    lines, status = bob.run(b"MOVE 1:2 INBOX")
    assert lines[0].startswith(b"* OK [COPYUID ")
    assert lines[1:] == [b"* 1 EXPUNGE", b"* 1 EXPUNGE", b"* 0 RECENT"]
    assert status.startswith(b"OK")
    assert house.contents("bob") == [MAIL, LARGE]
    assert house.contents("alice") == []
    bob.ok(b"SELECT INBOX")
    bob.ok(b"UID MOVE 2 " + BOX)
    assert (house.contents("alice"), house.contents("bob")) == ([LARGE], [MAIL])


@pytest.mark.parametrize("missing", ["t", "e"])
def test_a_move_out_needs_the_rights_to_remove(house, shared, missing):
    _, bob = shared("lriswte".replace(missing, ""), MAIL)
    bob.ok(b"SELECT " + BOX)
    assert bob.refused(b"MOVE 1 INBOX").startswith(b"NO [NOPERM]")
    assert bob.refused(b"MOVE 1 " + BOX).startswith(b"NO [NOPERM]")
    assert house.contents("bob") == []
    assert house.contents("alice") == [MAIL]
    bob.ok(b"COPY 1 INBOX")
    assert house.contents("bob") == [MAIL]


def test_a_move_between_mailboxes_of_one_owner_is_done_where_they_are(house, shared):
    alice, bob = shared("lrte", MAIL, MAIL)
    alice.ok(b"CREATE Done")
    house.grant("alice", "Done", "bob", "i")
    alice.ok(b"SELECT INBOX")
    alice.ok(b"STORE 1:2 FLAGS (\\Seen work)")
    bob.ok(b"SELECT " + BOX)
    bob.ok(b"MOVE 1 Users/alice@example.test/Done")
    bob.ok(b"COPY 1 Users/alice@example.test/Done")
    assert house.state("alice") == {2: {"\\Seen", "work"}}
    assert house.state("alice", "Done") == {1: set(), 2: set()}


def test_what_goes_to_no_mailbox_is_refused_as_ever(house, shared):
    _, bob = shared("lrte", MAIL)
    house.put("bob", "INBOX", MAIL)
    bob.ok(b"SELECT INBOX")
    for name in (b"Users/alice@example.test/Trash", b"Users/alice@example.test/no", b"Users/nobody@x/INBOX", b"Users"):
        for command in (b"COPY 1 ", b"MOVE 1 ", b"UID COPY 99 ", b"UID MOVE 99 ", b"COPY $ ", b"MOVE $ "):
            assert bob.refused(command + name) == b"NO [TRYCREATE] no such mailbox; create it first"
        assert bob.append(name, MAIL) == b"NO [TRYCREATE] no such mailbox; create it first"
        assert bob.append(name, LARGE) == b"NO [TRYCREATE] no such mailbox; create it first"
    for command in (b"COPY 1 ", b"UID COPY 99 ", b"UID MOVE 99 "):
        assert bob.refused(command + BOX).startswith(b"NO [NOPERM]")


def test_all_or_nothing_comes_to_the_other_account(house, shared):
    house.people.add(1, "alice@example.test", quota_octets=len(MAIL) * 3 + len(LARGE))
    _, bob = shared("lri", MAIL)
    for _ in range(2):
        house.put("bob", "INBOX", LARGE)
    house.put("bob", "INBOX", MAIL)
    bob.ok(b"SELECT INBOX")
    assert bob.refused(b"MOVE 1:3 " + BOX).startswith(b"NO [OVERQUOTA]")
    assert house.contents("alice") == [MAIL]
    assert len(house.contents("bob")) == 3
    bob.ok(b"MOVE 2:3 " + BOX)
    assert house.contents("alice") == [MAIL, LARGE, MAIL]
    assert house.contents("bob") == [LARGE]


def test_more_than_memory_may_hold_goes_through_files(house, shared, monkeypatch):
    monkeypatch.setattr(transfer, "MEMORY_MAX_OCTETS", 3 * len(MAIL))
    monkeypatch.setattr(transfer, "CHUNK_OCTETS", len(MAIL) + 1)
    monkeypatch.setattr(transfer, "ROWS", 4)
    _, bob = shared("lri")
    contents = [MAIL + b"%d\r\n" % number for number in range(10)]
    for content in contents:
        house.put("bob", "INBOX", content)
    bob.ok(b"SELECT INBOX")
    bob.ok(b"COPY 1:10 " + BOX)
    assert house.contents("alice") == contents


def test_messages_that_are_gone_are_left_out(house, monkeypatch):
    house.grant("alice", "INBOX", "bob", "lri")
    for content in (MAIL, LARGE, MAIL):
        house.put("bob", "INBOX", content)
    bob = house.account("bob")
    box = result_of(bob.open_mailbox("INBOX", read_only=False))
    other = result_of(house.store.account(house.people.accounts[2]).open_mailbox("INBOX", read_only=False))
    begun = house.store.guest(house.people.accounts[1], 2)
    real_fetch = box._mailbox.fetch

    def fetch(_, uids, columns):
        monkeypatch.undo()
        rows = result_of(real_fetch(uids, columns))
        result_of(other.remove([1, 2]))

        async def give():
            return rows

        return give()

    monkeypatch.setattr(type(box._mailbox), "fetch", fetch)
    appended = result_of(box.move_to([1, 2, 3], "Users/alice@example.test/INBOX"))
    assert list(appended.source_uids) == [3]
    assert house.contents("alice") == [MAIL]
    assert len(result_of(result_of(begun.open_mailbox("INBOX", read_only=True)).fetch([1], [Column.SIZE]))) == 1


# accounts that change


def test_rights_follow_an_account_to_another_address_and_end_with_it(house, shared):
    alice, bob = shared("lr", MAIL)
    house.people.add(2, "robert@example.test")
    assert alice.ok(b"GETACL INBOX")[0].endswith(b" robert@example.test lr")
    assert bob.ok(b"SELECT " + BOX)
    house.people.add(1, "alicia@example.test")
    assert b"Users/alicia@example.test/INBOX" in bob.names()
    del house.people.accounts[2]
    house.people.add(9, "bob@example.test")
    assert alice.ok(b"GETACL INBOX") == [b"* ACL INBOX alicia@example.test lrswipkxteacd"]
    newcomer = house.connect("bob")
    assert newcomer.names(b"Users*") == []
    assert newcomer.refused(b"SELECT Users/alicia@example.test/INBOX").startswith(b"NO [NONEXISTENT]")


def test_the_mailboxes_of_an_account_that_is_switched_off_or_gone_are_not_there(house, shared):
    _, bob = shared("lr", MAIL)
    house.people.add(1, "alice@example.test", enabled=False)
    assert bob.names(b"Users*") == []
    off = bob.refused(b"SELECT " + BOX)
    del house.people.accounts[1]
    assert bob.refused(b"SELECT " + BOX) == off
    assert bob.names(b"Users*") == []


@pytest.mark.parametrize("command", [b"NOOP", b"FETCH 1 BODY.PEEK[]", b"SEARCH ALL", b""])
def test_who_has_a_mailbox_open_whose_owner_is_switched_off_is_told_farewell(house, shared, command):
    _, bob = shared("lr", MAIL)
    bob.ok(b"SELECT " + BOX)
    if not command:
        bob.send(b"i IDLE\r\n")
    house.people.add(1, "alice@example.test", enabled=False)
    house.bus.publish(MailboxChange(1, ANY_MAILBOX, 0))
    if command:
        assert bob.run(command)[0] == [b"* BYE the selected mailbox was deleted", b""]
    bob.settle()
    assert not bob.connected


def test_sharing_can_be_turned_off(house):
    house.grant("alice", "INBOX", "bob", "lr")
    house.sharing = None
    real = house.account

    def account(name):
        return house.store.account(house.people.accounts[house.number(name)])

    house.account = account
    bob = house.connect("bob")
    assert b"ACL" not in bob.ok(b"CAPABILITY")[0].split()
    assert bob.ok(b"NAMESPACE") == [b'* NAMESPACE (("" "/")) NIL NIL']
    assert bob.refused(b"MYRIGHTS INBOX").startswith(b"BAD")
    assert bob.refused(b'LIST "" * RETURN (MYRIGHTS)').startswith(b"BAD")
    assert bob.refused(b"SELECT " + BOX).startswith(b"NO [NONEXISTENT]")
    house.account = real
