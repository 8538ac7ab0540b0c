"""SELECT, EXAMINE, CLOSE; LIST, LSUB, STATUS; CREATE, DELETE, RENAME, SUBSCRIBE."""

import pytest

from mailsuite.errors import Kind, MailError
from mailsuite.imap.session import State
from mailsuite.interfaces import SpecialUse


@pytest.fixture
def client(suite):
    return suite.connect().login()


def test_select_tells_what_rfc_3501_asks_for(suite, mail, client):
    suite.account.put("INBOX", mail(), ["\\Seen", "$Label"])
    suite.account.put("INBOX", mail())
    lines, status = client.run(b"SELECT inbox")
    assert status.startswith(b"OK [READ-WRITE]")
    assert b"* FLAGS ($Label \\Answered \\Deleted \\Draft \\Flagged \\Seen)" in lines
    assert any(line.startswith(b"* OK [PERMANENTFLAGS (") and b"\\*" in line for line in lines)
    for line in (b"* 2 EXISTS", b"* 2 RECENT"):
        assert line in lines
    codes = [line.split(b"[")[1].split(b"]")[0] for line in lines if line.startswith(b"* OK [")]
    assert {b"UNSEEN 2", b"UIDVALIDITY 7", b"UIDNEXT 3"} <= set(codes)


def test_an_empty_mailbox_has_no_first_unseen(client):
    assert not any(b"UNSEEN" in line for line in client.ok(b"SELECT INBOX"))


def test_examine_is_read_only_and_leaves_recent(suite, mail, client):
    suite.account.put("INBOX", mail())
    lines, status = client.run(b"EXAMINE INBOX")
    assert status.startswith(b"OK [READ-ONLY]")
    assert any(line.startswith(b"* OK [PERMANENTFLAGS ()]") for line in lines)
    assert b"* 1 RECENT" in lines
    assert b"* 1 RECENT" in client.ok(b"SELECT INBOX")
    assert b"* 0 RECENT" in suite.connect().login().ok(b"SELECT INBOX")


@pytest.mark.parametrize(
    "command", [b"STORE 1 FLAGS (\\Seen)", b"EXPUNGE", b"UID EXPUNGE 1", b"MOVE 1 INBOX", b"UID STORE 1 -FLAGS (x)"]
)
def test_nothing_is_changed_in_a_mailbox_that_is_examined(suite, mail, client, command):
    suite.account.put("INBOX", mail(), ["\\Deleted"])
    client.ok(b"EXAMINE INBOX")
    assert client.run(command)[1].startswith(b"NO [READ-ONLY]")
    client.ok(b"FETCH 1 BODY[]")
    client.ok(b"CLOSE")
    assert suite.account.boxes["INBOX"].messages[1].flags == {"\\Deleted"}


def test_a_failed_select_leaves_nothing_selected(suite, client):
    client.select()
    assert client.run(b"SELECT nowhere")[1].startswith(b"NO [NONEXISTENT]")
    assert client.server.session.state is State.AUTHENTICATED
    assert suite.account.changes.listeners == []


def test_a_name_that_no_mailbox_can_have_leaves_the_selected_one(client):
    for verb in (b"SELECT", b"EXAMINE"):
        client.select()
        lines, status = client.run(verb + b" a//b")
        assert lines == [b"* OK [CLOSED] the previous mailbox is closed"]
        assert status.startswith(b"NO [CANNOT] ")
        assert client.run(b"EXPUNGE")[1].startswith(b"BAD ")
    client.select()
    assert client.run(b"SELECT")[1].startswith(b"BAD ")
    client.ok(b"CHECK")


def test_a_second_select_gives_the_first_mailbox_back(suite, client):
    suite.account.add_box("other")
    client.select()
    first = client.server.session.selected.mailbox
    client.select(b"other")
    assert first.closed
    assert len(suite.account.changes.listeners) == 1


def test_close_expunges_silently(suite, mail, client):
    suite.account.put("INBOX", mail(), ["\\Deleted"])
    suite.account.put("INBOX", mail())
    client.select()
    assert client.ok(b"CLOSE") == []
    assert list(suite.account.boxes["INBOX"].messages) == [2]


def test_unselect_does_not(suite, mail, client):
    suite.account.put("INBOX", mail(), ["\\Deleted"])
    client.select()
    assert client.ok(b"UNSELECT") == []
    assert list(suite.account.boxes["INBOX"].messages) == [1]


def test_a_selected_mailbox_that_another_session_deletes_ends_the_session(suite, client):
    box = suite.account.add_box("doomed")
    client.select(b"doomed")
    suite.connect().login().ok(b"DELETE doomed")
    box.modseq += 1
    suite.account.tell(box)
    assert b"* BYE" in client.send(b"a NOOP\r\n")
    assert not client.connected


def test_ones_own_selected_mailbox_can_be_deleted(suite, client):
    suite.account.add_box("doomed")
    client.select(b"doomed")
    client.ok(b"DELETE doomed")
    assert client.server.session.state is State.AUTHENTICATED


# LIST


@pytest.fixture
def tree(suite):
    for name in ("Archive", "Archive/2025", "Archive/2026", "Sent", "b&d", "Entw\u00fcrfe"):
        suite.account.add_box(name, frozenset([SpecialUse.SENT]) if name == "Sent" else frozenset())
    suite.account.subscribed |= {"Archive/2026", "gone/away"}
    return suite


def names(lines):
    return [line.rsplit(b' "/" ', 1)[1].split(b' ("CHILDINFO"')[0] for line in lines]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (b'LIST "" *', [b"INBOX", b"Archive", b"Archive/2025", b"Archive/2026", b"Entw&APw-rfe", b"Sent", b"b&-d"]),
        (b'LIST "" %', [b"INBOX", b"Archive", b"Entw&APw-rfe", b"Sent", b"b&-d"]),
        (b"LIST Archive/ %", [b"Archive/2025", b"Archive/2026"]),
        (b'LIST "" archive', []),
        (b'LIST "" inbox', [b"INBOX"]),
        (b'LIST "" Entw&APw-rfe', [b"Entw&APw-rfe"]),
        (b'LIST "" (Sent A%)', [b"Archive", b"Sent"]),
        (b'LIST "" ""', [b'""']),
        (b'LIST (SUBSCRIBED) "" *', [b"INBOX", b"Archive/2026", b"gone/away"]),
        (b'LIST (SPECIAL-USE) "" *', [b"Sent"]),
        (b'LIST (SUBSCRIBED RECURSIVEMATCH) "" %', [b"INBOX", b"Archive", b"gone"]),
        (b'LIST (SUBSCRIBED RECURSIVEMATCH) "" *', [b"INBOX", b"Archive/2026", b"gone/away"]),
        (b'LIST (SUBSCRIBED RECURSIVEMATCH) "" (Archive Archive/2026)', [b"Archive/2026"]),
        (b'LIST (SUBSCRIBED RECURSIVEMATCH) "" (Archive Archive/2025)', [b"Archive"]),
        (b'LIST "" !#$&\'+,-.0123456789:;<=>?@^_`|[}%*', []),
        (b"LIST &x *", []),
        (b"LIST {2001+}\r\n" + b"%" * 2001 + b" *", []),
        (b'LIST "" ({2001+}\r\n' + b"*" * 2001 + b" Sent)", [b"Sent"]),
        (b'LIST "" ({2+}\r\n\xe9* &x Sent)', [b"Sent"]),
        (b'LIST "" {2+}\r\n\xe9*', []),
        (b'LSUB "" {2001+}\r\n' + b"*" * 2001, []),
        (b'LSUB "" {2+}\r\n\xe9*', []),
        (b'LSUB "" &', []),
        (b'LSUB "" *', [b"INBOX", b"Archive/2026", b"gone/away"]),
        (b'LSUB "" %', [b"INBOX", b"Archive", b"gone"]),
    ],
)
def test_which_mailboxes_are_listed(tree, client, command, expected):
    assert names(client.ok(command)) == expected


def test_attributes(tree, client):
    assert client.ok(b'LIST "" Archive') == [b'* LIST (\\HasChildren) "/" Archive']
    assert client.ok(b'LIST "" Sent') == [b'* LIST (\\HasNoChildren \\Sent) "/" Sent']
    assert client.ok(b'LIST (SUBSCRIBED) "" gone/*') == [
        b'* LIST (\\NonExistent \\Subscribed \\HasNoChildren) "/" gone/away'
    ]
    assert client.ok(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" Arch%') == [
        b'* LIST (\\HasChildren) "/" Archive ("CHILDINFO" ("SUBSCRIBED"))'
    ]
    assert client.ok(b'LIST "" INBOX RETURN (SUBSCRIBED CHILDREN)') == [
        b'* LIST (\\Subscribed \\HasNoChildren) "/" INBOX'
    ]
    assert client.ok(b'LSUB "" %')[1] == b'* LSUB (\\Noselect) "/" Archive'


def test_what_is_below_is_judged_by_all_selection_options(suite, client):
    for name in ("a", "a/sent", "b", "b/plain", "c", "c/sent"):
        suite.account.add_box(name, frozenset([SpecialUse.SENT]) if name.endswith("sent") else frozenset())
    suite.account.subscribed = {"a/sent", "b/plain"}
    assert client.ok(b'LIST (SUBSCRIBED SPECIAL-USE RECURSIVEMATCH) "" %') == [
        b'* LIST (\\HasChildren) "/" a ("CHILDINFO" ("SUBSCRIBED"))'
    ]
    assert client.ok(b'LIST (SUBSCRIBED SPECIAL-USE RECURSIVEMATCH) "" *') == [
        b'* LIST (\\Subscribed \\HasNoChildren \\Sent) "/" a/sent'
    ]
    suite.account.subscribed |= {"a", "b"}
    assert client.ok(b'LIST (SUBSCRIBED SPECIAL-USE RECURSIVEMATCH) "" %') == [
        b'* LIST (\\Subscribed \\HasChildren) "/" a ("CHILDINFO" ("SUBSCRIBED"))'
    ]
    assert names(client.ok(b'LIST (SUBSCRIBED RECURSIVEMATCH) "" %')) == [b"a", b"b"]


def test_a_level_without_a_mailbox_is_shown_above_its_children(suite, client):
    suite.account.add_box("a/b/c")
    assert client.ok(b'LIST "" %')[1] == b'* LIST (\\Noselect \\HasChildren) "/" a'
    assert names(client.ok(b'LIST "" *')) == [b"INBOX", b"a", b"a/b", b"a/b/c"]


def test_list_can_return_status(tree, mail, client):
    tree.account.put("Sent", mail())
    assert client.ok(b'LIST "" Sent RETURN (STATUS (MESSAGES UNSEEN))') == [
        b'* LIST (\\HasNoChildren \\Sent) "/" Sent',
        b"* STATUS Sent (MESSAGES 1 UNSEEN 1)",
    ]


def test_status_in_the_clients_order(suite, mail, client):
    content = mail()
    suite.account.put("INBOX", content, ["\\Seen"])
    (line,) = client.ok(b"STATUS INBOX (SIZE UIDNEXT UIDVALIDITY UNSEEN RECENT DELETED MESSAGES)")
    assert line == (
        b"* STATUS INBOX (SIZE %d UIDNEXT 2 UIDVALIDITY 7 UNSEEN 0 RECENT 1 DELETED 0 MESSAGES 1)" % len(content)
    )
    assert client.run(b"STATUS nowhere (MESSAGES)")[1].startswith(b"NO [NONEXISTENT]")


# CREATE and the others


def test_create(suite, client):
    client.ok(b"CREATE Entw&APw-rfe/")
    assert "Entw\u00fcrfe" in suite.account.boxes
    assert client.run(b"CREATE INBOX")[1].startswith(b"NO [ALREADYEXISTS]")
    client.ok(b"CREATE Mine (USE (\\Drafts))")
    assert suite.account.boxes["Mine"].special_use == {SpecialUse.DRAFTS}


@pytest.mark.parametrize("kind", ["memory", "store"])
def test_a_use_that_no_mailbox_can_have_is_refused(make_server, kind):
    _, connect = make_server(kind)
    client = connect()
    for use in (b"\\All", b"\\Flagged", b"\\Junk \\All", b"\\Important"):
        assert client.run(b"CREATE k1 (USE (%b))" % use)[1].startswith(b"NO [USEATTR]")
    assert client.ok(b'LIST "" k1') == []
    client.ok(b"CREATE k1 (USE (\\Junk))")


@pytest.mark.parametrize("name", [b"a//b", b"../x", b'"a\x01b"', b"a/../b"])
def test_names_that_cannot_be_are_refused(client, name):
    assert client.run(b"CREATE " + name)[1].startswith((b"NO [CANNOT]", b"BAD"))


def test_delete_and_rename(suite, client):
    suite.account.add_box("old")
    client.ok(b"RENAME old new")
    assert "new" in suite.account.boxes
    assert client.run(b"RENAME old other")[1].startswith(b"NO [NONEXISTENT]")
    client.ok(b"DELETE new")
    assert client.run(b"DELETE new")[1].startswith(b"NO [NONEXISTENT]")
    assert client.run(b"DELETE INBOX")[1].startswith(b"NO [NOPERM]")


def test_a_session_goes_on_when_its_mailbox_is_renamed(suite, mail, client):
    suite.account.add_box("old")
    client.select(b"old")
    other = suite.connect().login()
    other.ok(b"RENAME old new")
    suite.account.deliver("new", mail())
    assert b"* 1 EXISTS" in client.ok(b"NOOP")


def test_subscriptions(suite, client):
    suite.account.add_box("anything/at/all")
    for name in ("anything/at/all", "anything/at"):
        client.ok(b"SUBSCRIBE %b" % name.encode())
        assert name in suite.account.subscribed
    client.ok(b"DELETE anything/at/all")
    client.ok(b"UNSUBSCRIBE anything/at/all")
    assert suite.account.subscribed >= {"anything/at"}
    assert "anything/at/all" not in suite.account.subscribed


def test_what_is_not_there_cannot_be_subscribed(suite, client):
    before = set(suite.account.subscribed)
    assert client.run(b"SUBSCRIBE nothing")[1].startswith(b"NO [NONEXISTENT] there is no such mailbox; create it")
    assert suite.account.subscribed == before


@pytest.mark.parametrize(
    ("kind", "attributes"), [(Kind.NOT_FOUND, b"\\Noselect "), (Kind.DENIED, b"\\Noselect "), (Kind.UNAVAILABLE, b"")]
)
def test_a_mailbox_that_cannot_be_counted_is_not_selectable_unless_that_failed_by_accident(
    tree, client, monkeypatch, kind, attributes
):
    count = type(tree.account).status

    async def status(account, name):
        if name == "Sent":
            raise MailError(kind)
        return await count(account, name)

    monkeypatch.setattr(type(tree.account), "status", status)
    assert client.ok(b'LIST "" (Sent Archive) RETURN (STATUS (MESSAGES))') == [
        b'* LIST (\\HasChildren) "/" Archive',
        b"* STATUS Archive (MESSAGES 0)",
        b'* LIST (%b\\HasNoChildren \\Sent) "/" Sent' % attributes,
    ]
