"""NOTIFY: what is told while no command runs, and what is not."""

import pytest

from mailsuite.interfaces import LocalDelivery

CONTENT = b"Subject: news\r\n\r\ntext"


@pytest.fixture(params=["memory", "maildir"])
def server(request, make_server):
    return make_server(request.param)


@pytest.fixture
def client(server):
    return server[1]()


@pytest.fixture
def other(server):
    return server[1]()


@pytest.fixture
def deliver(server):
    serial = iter(range(1000))

    def deliver_to(name="INBOX"):
        outcomes = []
        delivery = LocalDelivery(
            delivery_id=f"spool-{next(serial)}", account_id=1, email="alice@example.test", quota_octets=0, mailbox=name,
            content=CONTENT, link=False, received=1_700_000_000,
        )  # fmt: skip
        server[0].deliver([delivery], outcomes.extend)
        assert outcomes[0].error is None

    return deliver_to


ALL = b"MessageNew MessageExpunge FlagChange"
SELECTED = b"NOTIFY SET (SELECTED (%b))" % ALL


def heard(client):
    client.settle()
    return client.received()


def test_new_mail_is_told_while_no_command_runs(client, deliver):
    client.select()
    client.ok(SELECTED)
    deliver()
    assert heard(client) == b"* 1 EXISTS\r\n* 1 RECENT\r\n"
    client.ok(b"NOOP")
    deliver()
    assert heard(client) == b"* 2 EXISTS\r\n* 2 RECENT\r\n"


def test_new_mail_is_told_with_what_was_asked_for(client, deliver):
    client.select()
    client.ok(b"NOTIFY SET (SELECTED (MessageNew (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]) MessageExpunge))")
    deliver()
    assert heard(client) == (
        b"* 1 EXISTS\r\n* 1 RECENT\r\n* 1 FETCH (UID 1 BODY[HEADER.FIELDS (SUBJECT)] {17}\r\nSubject: news\r\n\r\n)\r\n"
    )
    deliver()
    deliver()
    assert heard(client).count(b" FETCH (UID ") == 2
    assert heard(client) == b""


def test_what_the_client_puts_there_itself_is_not_fetched_for_it(client, deliver):
    client.select()
    client.ok(b"NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge))")
    assert b"FETCH" not in client.send(b"a APPEND INBOX {4+}\r\n\r\nhi\r\n") + heard(client)
    assert b"FETCH" not in client.send(b"b COPY 1 INBOX\r\n") + heard(client)
    deliver()
    assert b"* 3 FETCH (UID 3)\r\n" in heard(client)


def test_flags_of_others_are_told_with_uids(client, other, deliver):
    deliver()
    client.select()
    other.select()
    client.ok(SELECTED)
    other.ok(b"STORE 1 +FLAGS (\\Flagged)")
    assert heard(client).startswith(b"* 1 FETCH (UID 1 FLAGS (\\Flagged")


def test_only_the_events_asked_for_are_told(client, other, deliver):
    deliver()
    client.select()
    other.select()
    client.ok(b"NOTIFY SET (SELECTED (MessageNew MessageExpunge))")
    other.ok(b"STORE 1 +FLAGS (\\Deleted)")
    assert heard(client) == b""
    assert client.ok(b"NOOP") == []
    other.ok(b"EXPUNGE")
    assert heard(client).startswith(b"* 1 EXPUNGE\r\n")


def test_delayed_expunges_wait_for_a_command_or_idle(client, other, deliver):
    for _ in range(3):
        deliver()
    client.select()
    other.select()
    client.ok(b"NOTIFY SET (SELECTED-DELAYED (%b))" % ALL)
    other.ok(b"STORE 1 +FLAGS (\\Deleted)")
    other.ok(b"EXPUNGE")
    assert b"EXPUNGE" not in heard(client)
    assert client.ok(b"FETCH 2 UID") == [b"* 2 FETCH (UID 2)"]
    assert client.ok(b"NOOP") == [b"* 1 EXPUNGE", b"* 2 RECENT"]
    other.ok(b"STORE 1 +FLAGS (\\Deleted)")
    other.ok(b"EXPUNGE")
    assert b"EXPUNGE" not in heard(client)
    assert b"* 1 EXPUNGE\r\n" in client.send(b"i IDLE\r\n")
    other.ok(b"STORE 1 +FLAGS (\\Deleted)")
    other.ok(b"EXPUNGE")
    assert b"* 1 EXPUNGE\r\n" in heard(client)
    assert client.send(b"DONE\r\n").startswith(b"i OK")


@pytest.mark.parametrize("command", [b"NOTIFY NONE", b"NOTIFY SET (SELECTED NONE)",
                                     b"NOTIFY SET (MAILBOXES Archive (MessageNew MessageExpunge))"])  # fmt: skip
def test_a_snapshot_stays_as_it_is(client, other, deliver, command):
    for _ in range(2):
        deliver()
    client.select()
    other.select()
    client.ok(command)
    other.ok(b"STORE 1 +FLAGS (\\Deleted)")
    other.ok(b"EXPUNGE")
    deliver()
    assert heard(client) == b""
    assert client.ok(b"NOOP") == []
    assert client.ok(b"FETCH 2 UID") == [b"* 2 FETCH (UID 2)"]
    client.ok(b"STORE 2 +FLAGS.SILENT (\\Deleted)")
    assert client.ok(b"EXPUNGE")[:2] == [b"* 1 EXPUNGE", b"* 1 EXPUNGE"]


def test_setting_it_tells_first_what_has_happened(client, other, deliver):
    deliver()
    client.select()
    client.ok(b"NOTIFY NONE")
    deliver()
    other.select()
    other.ok(b"STORE 1 +FLAGS (\\Deleted)")
    other.ok(b"EXPUNGE")
    lines = client.ok(b"NOTIFY SET (SELECTED NONE)")
    assert b"* 1 EXPUNGE" in lines
    assert b"* 1 EXISTS" in lines


def test_other_mailboxes_are_told_by_their_counts(client, other, deliver):
    client.ok(b"CREATE Lists/a")
    client.ok(b"NOTIFY SET (SUBTREE Lists (%b))" % ALL)
    deliver("Lists/a")
    uidvalidity = other.ok(b"STATUS Lists/a (UIDVALIDITY)")[0].split()[-1][:-1]
    assert heard(client) == b"* STATUS Lists/a (MESSAGES 1 UIDNEXT 2 UIDVALIDITY %b UNSEEN 1)\r\n" % uidvalidity
    other.select(b"Lists/a")
    other.ok(b"STORE 1 +FLAGS (\\Seen)")
    assert heard(client) == b"* STATUS Lists/a (UIDVALIDITY %b UNSEEN 0)\r\n" % uidvalidity
    other.ok(b"STORE 1 +FLAGS (work)")
    assert heard(client) == b""
    other.ok(b"STORE 1 +FLAGS (\\Deleted)")
    other.ok(b"EXPUNGE")
    assert heard(client).startswith(b"* STATUS Lists/a (MESSAGES 0 UIDNEXT 2 ")
    deliver("INBOX")
    assert heard(client) == b""


def test_who_knows_modseqs_is_told_them(client, other, deliver):
    deliver("Archive")
    client.ok(b"ENABLE CONDSTORE")
    client.ok(b"NOTIFY SET (MAILBOXES (Archive Sent) (%b))" % ALL)
    other.select(b"Archive")
    other.ok(b"STORE 1 +FLAGS (work)")
    assert b" HIGHESTMODSEQ " in heard(client)


def test_status_is_told_first_where_asked_for(client, deliver):
    deliver("Archive")
    client.select(b"Sent")
    lines = client.ok(b"NOTIFY SET STATUS (MAILBOXES (Archive Sent Nowhere) (%b))" % ALL)
    (line,) = lines
    assert line.startswith(b"* STATUS Archive (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ")
    assert b" HIGHESTMODSEQ " in line
    assert client.ok(b"NOTIFY SET (MAILBOXES Archive (MessageNew MessageExpunge))") == []


def test_a_mailbox_that_is_left_is_one_of_the_others(client, deliver):
    client.ok(b"NOTIFY SET (PERSONAL (MessageNew MessageExpunge))")
    client.select()
    deliver()
    assert heard(client) == b""
    assert b"u OK UNSELECT completed\r\n* STATUS INBOX (MESSAGES 1 UIDNEXT 2 " in client.send(b"u UNSELECT\r\n")
    deliver()
    assert heard(client).startswith(b"* STATUS INBOX (MESSAGES 2 UIDNEXT 3 ")


def test_names_are_told(client, other):
    client.ok(b"NOTIFY SET (PERSONAL (MailboxName))")
    other.ok(b"CREATE Lists/b")
    assert heard(client) == b'* LIST (\\HasChildren) "/" Lists\r\n* LIST (\\HasNoChildren) "/" Lists/b\r\n'
    other.ok(b"RENAME Lists/b Lists/c")
    assert heard(client) == b'* LIST (\\HasNoChildren) "/" Lists/c ("OLDNAME" (Lists/b))\r\n'
    other.ok(b"SUBSCRIBE Lists/c")
    assert heard(client) == b""
    other.ok(b"DELETE Lists/c")
    assert b"* LIST (\\NonExistent" in heard(client)


def names(client):
    return [line.removeprefix(b"* LIST ") for line in heard(client).splitlines()]


def test_of_what_comes_and_goes_the_parent_is_told_as_well(client, other):
    other.ok(b"CREATE a")
    client.ok(b"NOTIFY SET (PERSONAL (MailboxName))")
    other.ok(b"CREATE a/b")
    assert names(client) == [b'(\\HasChildren) "/" a', b'(\\HasNoChildren) "/" a/b']
    other.ok(b"CREATE a/b/c")
    assert names(client) == [b'(\\HasChildren) "/" a/b', b'(\\HasNoChildren) "/" a/b/c']
    other.ok(b"DELETE a/b")  # what is below it stays, and so does the name
    assert names(client) == [b'(\\HasChildren) "/" a', b'(\\NonExistent \\HasChildren) "/" a/b']
    other.ok(b"DELETE a/b/c")
    assert names(client) == [
        b'(\\NonExistent \\HasNoChildren) "/" a/b',
        b'(\\NonExistent \\HasNoChildren) "/" a/b/c',
    ]
    other.ok(b"CREATE a/b")
    heard(client)
    other.ok(b"DELETE a/b")
    assert names(client) == [b'(\\HasNoChildren) "/" a', b'(\\NonExistent \\HasNoChildren) "/" a/b']
    client.ok(b"NOTIFY SET (MAILBOXES a (MailboxName))")
    other.ok(b"CREATE a/d")
    assert names(client) == [b'(\\HasChildren) "/" a']
    client.ok(b"NOTIFY SET (MAILBOXES a/d (MailboxName))")
    other.ok(b"DELETE a/d")
    assert names(client) == [b'(\\NonExistent \\HasNoChildren) "/" a/d']


def test_what_is_renamed_along_with_its_parent_is_not_told(client, other):
    for name in (b"a/b/c", b"a/d", b"e"):
        other.ok(b"CREATE " + name)
    client.ok(b"NOTIFY SET (PERSONAL (MailboxName))")
    other.ok(b"RENAME a f")
    assert names(client) == [b'(\\HasChildren) "/" f ("OLDNAME" (a))']
    other.ok(b"RENAME f/b e/b")
    assert names(client) == [b'(\\HasChildren) "/" e/b ("OLDNAME" (f/b))']
    other.ok(b"DELETE e/b")
    heard(client)
    other.ok(b"RENAME e/b g")  # only a name, with a mailbox below it
    assert names(client) == [b'(\\NonExistent \\HasChildren) "/" g ("OLDNAME" (e/b))']
    other.ok(b"RENAME g/c h/c")  # which makes h, and leaves nothing of g
    assert names(client) == [
        b'(\\HasNoChildren) "/" h/c ("OLDNAME" (g/c))',
        b'(\\HasChildren) "/" h',
    ]


def test_what_rename_makes_of_inbox_is_told_as_a_new_mailbox(client, other, deliver):
    deliver()
    client.ok(b"NOTIFY SET (PERSONAL (MailboxName))")
    other.ok(b"RENAME INBOX old/in")  # INBOX stays; the other one has an id of its own
    assert names(client) == [b'(\\HasChildren) "/" old', b'(\\HasNoChildren) "/" old/in']


def test_who_does_not_hear_of_the_parent_hears_that_a_mailbox_was_renamed_along_with_it(client, other):
    for name in (b"a/b/c", b"a/b/d"):
        other.ok(b"CREATE " + name)
    client.ok(b"NOTIFY SET (MAILBOXES (a/b a/b/c) (MailboxName))")
    other.ok(b"RENAME a f")
    assert names(client) == [b'(\\HasChildren) "/" f/b ("OLDNAME" (a/b))']


def test_a_name_that_is_taken_again_is_told_after_the_mailbox_that_had_it(client, other):
    other.ok(b"CREATE b")
    client.ok(b"NOTIFY SET (MAILBOXES (a b) (MailboxName))")
    other.send(b"1 RENAME b a\r\n2 CREATE b\r\n")
    assert names(client) == [b'(\\HasNoChildren) "/" a ("OLDNAME" (b))', b'(\\HasNoChildren) "/" b']


def test_subscriptions_are_told(client, other):
    client.ok(b"NOTIFY SET (PERSONAL (SubscriptionChange))")
    other.ok(b"SUBSCRIBE INBOX")
    other.ok(b"UNSUBSCRIBE Archive")
    told = heard(client)
    assert b'* LIST (\\HasNoChildren \\Archive) "/" Archive\r\n' in told
    other.ok(b"SUBSCRIBE Archive")
    assert heard(client) == b'* LIST (\\Subscribed \\HasNoChildren \\Archive) "/" Archive\r\n'


@pytest.mark.parametrize("extension", [b"CONDSTORE", b"IMAP4rev2"])
def test_what_the_client_does_to_names_itself_is_not_told(client, extension):
    client.ok(b"ENABLE " + extension)
    client.ok(b"NOTIFY SET (PERSONAL (%b MailboxName SubscriptionChange))" % ALL)
    for command in (b"CREATE x", b"SUBSCRIBE x", b"RENAME x y", b"UNSUBSCRIBE x", b"DELETE y",
                    b"CREATE w/x/y", b"RENAME w v", b"RENAME v/x/y u/t", b"CREATE u/t/s/r",
                    b"DELETE u/t/s", b"DELETE u/t/s/r", b"DELETE u/t", b"DELETE v/x", b"RENAME v u/t"):  # fmt: skip
        client.ok(command)
        assert heard(client) == b""


@pytest.mark.parametrize("extension", [b"CONDSTORE", b"QRESYNC", b"IMAP4rev2"])
def test_what_the_client_does_to_messages_of_other_mailboxes_itself_is_not_told(client, deliver, extension):
    for _ in range(4):
        deliver()
    client.ok(b"ENABLE " + extension)
    client.ok(b"NOTIFY SET (PERSONAL (%b MailboxName))" % ALL)
    client.select()
    own = [
        b"APPEND Archive {4+}\r\n\r\nhi",
        b"APPEND Archive (\\Seen) {4+}\r\n\r\nhi (work) {4+}\r\n\r\nhi",
        b"COPY 1:2 Archive",
        b"UID MOVE 1:2 Archive",
        b"REPLACE 1 Archive {4+}\r\n\r\nhi",
        b'SETMETADATA Archive (/private/comment "x")',
        b'SETMETADATA Archive (/private/comment "x")',
        b'SETMETADATA INBOX (/private/comment "x")',
        b"CREATE new",
        b"APPEND new {4+}\r\n\r\nhi",
        b"COPY 1 new",
        b"STORE 1 +FLAGS (\\Deleted \\Seen)",
        b"CLOSE",
        b"APPEND INBOX {4+}\r\n\r\nhi",
        b"SELECT Archive",
        b"STORE 1:2 +FLAGS.SILENT (\\Seen)",
        b"UNSELECT",
        b"DELETE new",
    ]
    for command in own:
        client.ok(command)
        assert heard(client) == b"", command
    deliver("Archive")
    assert heard(client).startswith(b"* STATUS Archive (MESSAGES 9 ")
    deliver()
    assert heard(client).startswith(b"* STATUS INBOX (MESSAGES 2 ")


def test_what_others_do_beside_it_is_told(client, other, deliver):
    client.ok(b"NOTIFY SET (PERSONAL (%b))" % ALL)
    append = b"a APPEND Archive {4+}\r\n\r\nhi"
    client.send(append)  # and no end of the line yet
    deliver("Archive")
    assert b"* STATUS Archive (MESSAGES 2 " in client.send(b"\r\n") + heard(client)
    other.select(b"Archive")
    client.send(append)
    other.ok(b"STORE 1 +FLAGS (\\Seen)")
    assert b"* STATUS Archive (MESSAGES 3 " in client.send(b"\r\n") + heard(client)


def test_a_mailbox_that_is_made_is_watched_as_well(client, other, deliver):
    client.ok(b"NOTIFY SET (SUBTREE Lists (MessageNew MessageExpunge))")
    other.ok(b"CREATE Lists/new")
    assert heard(client) == b""
    deliver("Lists/new")
    assert heard(client).startswith(b"* STATUS Lists/new (MESSAGES 1 UIDNEXT 2 ")


def test_subscribed_means_whatever_is_subscribed_then(client, other, deliver):
    client.ok(b"CREATE x")
    client.ok(b"NOTIFY SET (SUBSCRIBED (MessageNew MessageExpunge))")
    deliver("x")
    assert heard(client) == b""
    other.ok(b"SUBSCRIBE x")
    heard(client)
    deliver("x")
    assert heard(client).startswith(b"* STATUS x (MESSAGES 2 UIDNEXT 3 ")


def test_a_selected_mailbox_that_is_deleted_ends_the_session(client, other):
    client.ok(b"CREATE x")
    client.select(b"x")
    client.ok(SELECTED)
    other.ok(b"DELETE x")
    assert b"* BYE" in heard(client)


def test_too_many_mailboxes_are_refused(client, server, monkeypatch):
    monkeypatch.setattr("mailsuite.imap.watching.WATCHED_MAX", 3)
    assert client.run(b"NOTIFY SET (PERSONAL (MessageNew MessageExpunge))")[1].startswith(b"NO [NOTIFICATIONOVERFLOW]")
    client.ok(b"NOTIFY SET (PERSONAL (MailboxName))")
    client.ok(b"NOTIFY SET (SUBTREE Lists (MessageNew MessageExpunge))")
    other = server[1]()
    for number in range(4):
        other.ok(b"CREATE Lists/%d" % number)
    assert b"* OK [NOTIFICATIONOVERFLOW]" in heard(client)
    other.ok(b"CREATE Lists/more")
    assert heard(client) == b""


GOOD = [
    b"NOTIFY NONE",
    b"notify set status (selected (messagenew (uid flags) messageexpunge flagchange))",
    b"NOTIFY SET (SELECTED-DELAYED (MessageExpunge MessageNew)) (INBOXES NONE) (PERSONAL (MailboxName))",
    b"NOTIFY SET (MAILBOXES {5+}\r\nINBOX (MessageNew MessageExpunge))",
    b'NOTIFY SET (SUBTREE ("a b" c) (SubscriptionChange MailboxName))',
    b"NOTIFY SET (SUBSCRIBED (MessageNew MessageExpunge FlagChange))",
]
BAD = [
    b"NOTIFY", b"NOTIFY SET", b"NOTIFY MAYBE", b"NOTIFY NONE x", b"NOTIFY SET STATUS", b"NOTIFY SET ()",
    b"NOTIFY SET (SELECTED)", b"NOTIFY SET (SELECTED ())", b"NOTIFY SET (SELECTED (MessageNew))",
    b"NOTIFY SET (SELECTED (FlagChange))", b"NOTIFY SET (PERSONAL (MessageExpunge FlagChange))",
    b"NOTIFY SET (SELECTED (MailboxName))", b"NOTIFY SET (PERSONAL (MessageNew (UID) MessageExpunge))",
    b"NOTIFY SET (SELECTED NONE) (SELECTED-DELAYED NONE)", b"NOTIFY SET (MAILBOXES NONE)",
    b"NOTIFY SET (SUBTREE () (MailboxName))", b"NOTIFY SET (SELECTED NONE) ", b"NOTIFY SET (SELECTED NONE))",
    b"NOTIFY SET  (SELECTED NONE)", b"NOTIFY SET (EVERYTHING NONE)", b"NOTIFY SET (SELECTED SOME)",
]  # fmt: skip


@pytest.mark.parametrize("command", GOOD)
@pytest.mark.parametrize("octets_at_once", [1, 1000])
def test_what_may_be_said(client, command, octets_at_once):
    octets = b"a " + command + b"\r\n"
    answer = b"".join(client.send(octets[at : at + octets_at_once]) for at in range(0, len(octets), octets_at_once))
    assert b"a OK NOTIFY completed\r\n" in answer


@pytest.mark.parametrize("command", BAD)
def test_what_may_not_be_said(client, command):
    assert client.run(command)[1].startswith(b"BAD")


@pytest.mark.parametrize("event", [b"AnnotationChange", b"Weather"])
def test_events_that_are_not_known_are_refused_with_those_that_are(client, event):
    answer = client.run(b"NOTIFY SET (PERSONAL (%b))" % event)[1]
    assert answer.startswith(
        b"NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange "
        b"MailboxMetadataChange ServerMetadataChange)] "
    )
