"""GETMETADATA, SETMETADATA, LIST RETURN (METADATA), and what is told of changes by others."""

import pytest

from mailsuite.errors import Kind, MailError
from mailsuite.imap import IMAPSettings
from mailsuite.imap.bridge import TwistedAccount
from mailsuite.interfaces import MailboxChange, NoPrivateAnnotationsError


@pytest.fixture
def client(suite):
    return suite.connect().login()


def test_what_is_set_is_given(client):
    assert client.ok(b'SETMETADATA INBOX (/private/comment "mine" /shared/comment "ours")') == []
    assert client.ok(b"GETMETADATA inbox (/private/comment /shared/comment)") == [
        b'* METADATA INBOX (/private/comment "mine" /shared/comment "ours")'
    ]
    assert client.ok(b"GETMETADATA INBOX /PRIVATE/Comment") == [b'* METADATA INBOX (/PRIVATE/Comment "mine")']
    client.ok(b"SETMETADATA INBOX (/private/comment NIL)")
    assert client.ok(b"GETMETADATA INBOX (/private/comment /private/other)") == [
        b"* METADATA INBOX (/private/comment NIL /private/other NIL)"
    ]


def test_those_of_inbox_stay_and_are_copied_when_it_is_renamed(suite, client):
    client.ok(b'SETMETADATA INBOX (/private/comment "mine" /shared/vendor/x/y "ours" /private/gone "1")')
    client.ok(b"SETMETADATA INBOX (/private/gone NIL)")
    client.ok(b"ENABLE METADATA")
    assert client.ok(b"RENAME inbox old") == []
    both = b'* METADATA %b (/private/comment "mine" /shared/vendor/x/y "ours")'
    for name in (b"INBOX", b"old"):
        (line,) = client.ok(b"GETMETADATA %b (DEPTH infinity) (/private /shared)" % name)
        assert line == both % name
    client.ok(b"RENAME old older")
    assert client.ok(b"GETMETADATA INBOX /private/comment") == [b'* METADATA INBOX (/private/comment "mine")']


def test_a_rename_of_inbox_succeeds_where_its_annotations_cannot_be_copied(suite, client):
    client.ok(b'SETMETADATA INBOX (/private/comment "mine")')
    suite.account.failures["annotate"] = MailError(Kind.OVER_QUOTA, "the account is full")
    assert client.run(b"RENAME INBOX old") == (
        [b"* NO [OVERQUOTA] the annotations of INBOX are not copied: the account is full"],
        b"OK RENAME completed",
    )
    assert "old" in suite.account.boxes
    suite.account.failures["annotations"] = MailError(Kind.UNAVAILABLE, "no disk")
    (line,), status = client.run(b"RENAME INBOX older")
    assert line.startswith(b"* NO [UNAVAILABLE] ")
    assert status == b"OK RENAME completed"


def test_values_may_be_any_octets(client):
    answer = client.send(b"a SETMETADATA INBOX (/private/vendor/x/bin ~{4+}\r\n\0\xff\r\n)\r\n")
    assert answer == b"a OK SETMETADATA completed\r\n"
    assert client.send(b"b GETMETADATA INBOX /private/vendor/x/bin\r\n") == (
        b"* METADATA INBOX (/private/vendor/x/bin ~{4}\r\n\0\xff\r\n)\r\nb OK GETMETADATA completed\r\n"
    )
    assert client.send(b"c SETMETADATA INBOX (/private/vendor/x/nul {1+}\r\n\0)\r\n").startswith(b"c BAD")


@pytest.mark.parametrize("form", [b"GETMETADATA (DEPTH %b) INBOX %b", b"GETMETADATA INBOX (DEPTH %b) %b"])
def test_depth_brings_what_lies_below(client, form):
    client.ok(b'SETMETADATA INBOX (/private/filters/x "0" /private/filters/x/a "1" /private/filters/x/a/b "2")')
    assert client.ok(form % (b"0", b"/private/filters/x")) == [b'* METADATA INBOX (/private/filters/x "0")']
    assert client.ok(form % (b"1", b"/private/filters/x")) == [
        b'* METADATA INBOX (/private/filters/x "0" /private/filters/x/a "1")'
    ]
    assert client.ok(form % (b"infinity", b"/private")) == [
        b'* METADATA INBOX (/private/filters/x "0" /private/filters/x/a "1" /private/filters/x/a/b "2")'
    ]
    assert client.ok(form % (b"1", b"/shared/vendor")) == []


def test_longer_values_than_the_client_wants_are_only_counted(client):
    client.ok(b'SETMETADATA INBOX (/private/a "123" /private/b "12345" /private/c "1234567")')
    lines, status = client.run(b"GETMETADATA (MAXSIZE 5) INBOX (/private/a /private/b /private/c)")
    assert lines == [b'* METADATA INBOX (/private/a "123" /private/b "12345")']
    assert status == b"OK [METADATA LONGENTRIES 7] GETMETADATA completed"
    lines, status = client.run(b"GETMETADATA (MAXSIZE 0) INBOX (/private/a /private/b)")
    assert (lines, status) == ([], b"OK [METADATA LONGENTRIES 5] GETMETADATA completed")
    assert client.run(b"GETMETADATA (MAXSIZE 7) INBOX /private/c")[1] == b"OK GETMETADATA completed"


def test_the_server_tells_what_its_operator_says(make_suite):
    suite = make_suite(server_comment="Größer\n& schöner\n", server_admin="tel:+49-1")
    client = suite.connect().login()
    client.ok(b'SETMETADATA "" (/private/comment "mine")')
    comment = "Größer\r\n& schöner".encode()
    assert client.send(b'a GETMETADATA (DEPTH infinity) "" (/shared /private)\r\n').startswith(
        b'* METADATA "" (/private/comment "mine" /shared/admin "tel:+49-1" /shared/comment {%d}\r\n%b)\r\na OK'
        % (len(comment), comment)
    )
    for entry in (b"/shared/comment", b"/SHARED/admin", b"/shared/vendor/x/y"):
        assert client.run(b'SETMETADATA "" (%b "x")' % entry)[1].startswith(b"NO [NOPERM]")
        assert client.run(b'SETMETADATA "" (%b NIL)' % entry)[1].startswith(b"NO [NOPERM]")


def test_without_other_words_the_administrator_is_the_postmaster(suite, client):
    assert client.ok(b'GETMETADATA "" (/shared/admin /shared/comment)') == [
        b'* METADATA "" (/shared/admin "mailto:postmaster@example.test" /shared/comment NIL)'
    ]
    suite.account.email = "alice@b\u00fccher.test"
    assert client.ok(b'GETMETADATA "" /shared/admin') == [
        b'* METADATA "" (/shared/admin "mailto:postmaster@b%C3%BCcher.test")'
    ]
    suite.account.email = "alice"
    assert client.ok(b'GETMETADATA "" /shared/admin') == [b'* METADATA "" (/shared/admin NIL)']


@pytest.mark.parametrize("admin", ["help@example.com", "Jane Doe", "mailto:", "mailto:a b"])
def test_the_administrator_is_named_by_a_uri(admin):
    with pytest.raises(ValueError, match="server_admin must be a URI such as mailto:"):
        IMAPSettings(server_admin=admin)


@pytest.mark.parametrize(
    "limits", [{"annotation_max_octets": 1023}, {"annotations_per_mailbox": 9}, {"annotations_per_account": 9}]
)
def test_no_limit_is_below_what_clients_may_rely_on(limits):
    """RFC 5464 section 4.1."""
    with pytest.raises(ValueError, match="must be >="):
        IMAPSettings(**limits)


@pytest.mark.parametrize(
    "command",
    [
        b'SETMETADATA INBOX (/other/x "x")',
        b'SETMETADATA INBOX (/private "x")',
        b'SETMETADATA INBOX (/shared "x")',
        b'SETMETADATA INBOX (/privateer/x "x")',
        b'SETMETADATA INBOX (/private/vendor "x")',
        b'SETMETADATA INBOX (/Shared/Vendor "x")',
        b'SETMETADATA INBOX (/private/vendor/foo "x")',
        b'SETMETADATA "" (/private/Vendor/foo "x")',
        b'SETMETADATA INBOX (/SHARED/vendor/foo "")',
        b'SETMETADATA INBOX (/shared/specialuse "\\\\Junk")',
        b'SETMETADATA "" (/private/specialuse "\\\\Junk")',
        b'SETMETADATA INBOX (/private/good "x" /other/x "x")',
    ],
)
def test_an_entry_that_nobody_may_set_is_refused_with_all_others(suite, client, command):
    assert client.run(command)[1].startswith(b"NO [CANNOT]")
    assert suite.account.annotation_changes == []


def test_an_entry_with_too_few_components_that_is_there_may_be_removed(suite, client):
    suite.account.annotation_changes.append(("INBOX", "/private/vendor/foo", b"x"))
    assert client.ok(b"GETMETADATA INBOX /private/vendor/foo") == [b'* METADATA INBOX (/private/vendor/foo "x")']
    client.ok(b"SETMETADATA INBOX (/private/vendor/foo NIL)")
    assert client.ok(b"GETMETADATA INBOX /private/vendor/foo") == [b"* METADATA INBOX (/private/vendor/foo NIL)"]


def test_values_have_a_largest_size(make_suite):
    suite = make_suite(annotation_max_octets=1024, arguments_max_octets=3000)
    client = suite.connect().login()
    value = b"x" * 1024
    assert client.send(b"a SETMETADATA INBOX (/private/a {1024+}\r\n%b)\r\n" % value).startswith(b"a OK")
    refused = b"NO [METADATA MAXSIZE 1024] the value is too long\r\n"
    assert client.send(b"b SETMETADATA INBOX (/private/a {1025+}\r\n%bx)\r\n" % value) == b"b " + refused
    assert client.send(b"c SETMETADATA INBOX (/private/a {3001}\r\n") == b"c " + refused
    assert client.send(b"d setmetadata INBOX (/private/a {3001+}\r\n%b)\r\n" % (b"x" * 3001)) == b"d " + refused
    assert client.send(b"e GETMETADATA {3001}\r\n") == b"e BAD the literal is too large\r\n"
    assert client.ok(b"GETMETADATA (MAXSIZE 0) INBOX /private/a") == []


def test_before_the_login_a_large_value_is_a_large_literal(suite):
    client = suite.connect()
    client.received()
    assert client.send(b"a SETMETADATA INBOX (/private/a {5000}\r\n").startswith(b"a BAD")


def test_too_many_and_none_of_ones_own_have_their_codes(make_suite):
    suite = make_suite(annotations_per_mailbox=10)
    client = suite.connect().login()
    many = b" ".join(b'/private/%d "x"' % number for number in range(11))
    assert client.run(b"SETMETADATA INBOX (" + many + b")")[1].startswith(b"NO [METADATA TOOMANY]")
    suite.account.failure = NoPrivateAnnotationsError()
    assert client.run(b'SETMETADATA INBOX (/private/x "x")')[1].startswith(b"NO [METADATA NOPRIVATE]")


def test_what_is_not_there(client):
    for command in (b"GETMETADATA nowhere /private/x", b'SETMETADATA nowhere (/private/x "x")'):
        assert client.run(command)[1].startswith(b"NO [NONEXISTENT]")


def test_list_tells_annotations_of_what_can_be_selected(suite, client):
    suite.account.add_box("Work/a")
    suite.account.subscribed.add("gone")
    client.ok(b'SETMETADATA Work/a (/shared/vendor/x/colour "#b71c1c" /private/comment "long")')
    lines, status = client.run(b'LIST "" * RETURN (METADATA ("/shared/vendor/x/colour"))')
    assert status == b"OK LIST completed"
    assert lines == [
        b'* LIST (\\HasNoChildren) "/" INBOX',
        b"* METADATA INBOX (/shared/vendor/x/colour NIL)",
        b'* LIST (\\NonExistent \\HasChildren) "/" Work',
        b'* LIST (\\HasNoChildren) "/" Work/a',
        b'* METADATA Work/a (/shared/vendor/x/colour "#b71c1c")',
    ]
    lines, status = client.run(b'LIST "" Work/% RETURN (METADATA (MAXSIZE 3 DEPTH infinity) (/private /shared))')
    assert lines == [b'* LIST (\\HasNoChildren) "/" Work/a']
    assert status == b"OK [METADATA LONGENTRIES 7] LIST completed"


def test_list_succeeds_when_the_store_cannot_say(suite, client):
    suite.account.failure = MailError(Kind.UNAVAILABLE, "not now")
    assert client.ok(b'LIST "" INBOX RETURN (METADATA /private/x)') == [b'* LIST (\\HasNoChildren) "/" INBOX']


def test_names_follow_the_encoding_of_the_client(suite, client):
    suite.account.add_box("Entw\u00fcrfe")
    assert client.ok(b"GETMETADATA Entw&APw-rfe /private/x") == [b"* METADATA Entw&APw-rfe (/private/x NIL)"]
    client.ok(b"ENABLE UTF8=ACCEPT")
    assert client.ok('GETMETADATA "Entw\u00fcrfe" /private/x'.encode()) == [
        '* METADATA "Entw\u00fcrfe" (/private/x NIL)'.encode()
    ]


def test_who_enabled_it_hears_what_others_change(suite):
    watcher, other = suite.connect().login(), suite.connect().login()
    other.ok(b'SETMETADATA INBOX (/private/before "x")')
    assert watcher.ok(b"ENABLE METADATA") == [b"* ENABLED METADATA"]
    assert watcher.ok(b"ENABLE METADATA") == [b"* ENABLED METADATA"]
    assert watcher.ok(b"NOOP") == []
    assert other.ok(b'SETMETADATA INBOX (/private/a "x" "/shared/b c" "y")') == []
    other.ok(b'SETMETADATA "" (/private/d NIL)')
    assert watcher.ok(b'SETMETADATA INBOX (/private/own "x")') == [
        b'* METADATA INBOX /private/a "/shared/b c"', b'* METADATA "" /private/d',
    ]  # fmt: skip
    assert watcher.ok(b"NOOP") == []
    assert other.ok(b"NOOP") == []


def test_it_is_told_while_the_client_idles_with_or_without_a_mailbox(suite):
    watcher, other = suite.connect().login(), suite.connect().login()
    watcher.ok(b"ENABLE METADATA")
    for selected in (False, True):
        if selected:
            watcher.select()
        watcher.send(b"i IDLE\r\n")
        other.ok(b'SETMETADATA INBOX (/private/a "x")')
        watcher.settle()
        assert watcher.received() == b"* METADATA INBOX /private/a\r\n"
        assert watcher.send(b"DONE\r\n") == b"i OK IDLE completed\r\n"


def test_what_came_between_two_commands_is_told_when_the_client_begins_to_idle(suite):
    watcher, other = suite.connect().login(), suite.connect().login()
    watcher.ok(b"ENABLE METADATA")
    other.ok(b'SETMETADATA INBOX (/private/a "x")')
    assert b"* METADATA INBOX /private/a\r\n" in watcher.send(b"i IDLE\r\n")
    watcher.send(b"DONE\r\n")


def test_when_the_store_fails_it_is_told_later(suite):
    watcher, other = suite.connect().login(), suite.connect().login()
    watcher.ok(b"ENABLE METADATA")
    other.ok(b'SETMETADATA INBOX (/private/a "x")')
    suite.account.failure = MailError(Kind.UNAVAILABLE, "not now")
    assert watcher.ok(b"NOOP") == []
    assert watcher.ok(b"NOOP") == [b"* METADATA INBOX /private/a"]


def test_notify_tells_of_the_annotations_that_were_asked_for(suite):
    """RFC 5465 sections 5.6 and 5.7."""
    suite.account.add_box("Work")
    watcher, other = suite.connect().login(), suite.connect().login()
    watcher.ok(b"NOTIFY SET (mailboxes Work (MailboxMetadataChange))")
    other.ok(b'SETMETADATA INBOX (/private/a "x")')
    other.ok(b'SETMETADATA "" (/private/b "x")')
    other.ok(b'SETMETADATA Work (/private/c "x" /shared/d "y")')
    watcher.settle()
    assert watcher.received() == b"* METADATA Work /private/c /shared/d\r\n"
    watcher.ok(b"NOTIFY SET (personal (ServerMetadataChange))")
    other.ok(b'SETMETADATA Work (/private/c "z")')
    other.ok(b'SETMETADATA "" (/private/b "z")')
    watcher.settle()
    assert watcher.received() == b'* METADATA "" /private/b\r\n'
    watcher.ok(b'SETMETADATA "" (/private/own "x")')
    watcher.ok(b"NOTIFY NONE")
    other.ok(b'SETMETADATA "" (/private/b NIL)')
    watcher.settle()
    assert (watcher.received(), watcher.ok(b"NOOP")) == (b"", [])


def test_what_is_found_when_the_client_has_begun_to_speak_waits_for_the_answer(suite):
    watcher, other = suite.connect().login(), suite.connect().login()
    watcher.ok(b"ENABLE METADATA")
    watcher.send(b"i IDLE\r\n")
    other.ok(b'SETMETADATA INBOX (/private/a "x")')
    watcher.settle()
    watcher.received()
    gate = suite.gate()
    suite.account.annotation_changes.append(("INBOX", "/private/b", b"x"))
    suite.account.changes.publish(MailboxChange(1, 0, 0))
    watcher.settle()
    command = suite.gate()
    assert watcher.send(b"DONE\r\nj GETMETADATA INBOX /private/a\r\n") == b"i OK IDLE completed\r\n"
    gate.callback(None)
    watcher.settle()
    assert watcher.received() == b""
    command.callback(None)
    watcher.settle()
    assert watcher.received() == (
        b'* METADATA INBOX (/private/a "x")\r\n* METADATA INBOX /private/b\r\nj OK GETMETADATA completed\r\n'
    )


def test_enable_fails_when_the_store_cannot_say(suite, client):
    suite.account.failure = MailError(Kind.UNAVAILABLE, "not now")
    assert client.run(b"ENABLE UTF8=ACCEPT METADATA")[1].startswith(b"NO [UNAVAILABLE]")
    assert client.server.session.enabled == set()
    assert len(suite.account.changes.listeners) == 0
    assert client.ok(b"ENABLE METADATA") == [b"* ENABLED METADATA"]
    client.ok(b"LOGOUT")
    assert len(suite.account.changes.listeners) == 0


def test_it_is_announced_to_accounts_that_keep_annotations(suite):
    client = suite.connect()
    assert b"METADATA" not in client.received()
    assert client.run(b"GETMETADATA INBOX /private/x")[1].startswith(b"BAD")
    words = client.login().ok(b"CAPABILITY")[0].split()
    assert {b"METADATA", b"LIST-METADATA"} <= set(words)
    client.server.session.account = TwistedAccount(None, "alice@example.test")
    assert b"METADATA" not in client.ok(b"CAPABILITY")[0]
    assert client.ok(b"ENABLE METADATA") == [b"* ENABLED"]
    for command in (b"GETMETADATA INBOX /private/x", b"SETMETADATA INBOX (/private/x NIL)",
                    b'LIST "" * RETURN (METADATA /private/x)'):  # fmt: skip
        assert client.run(command)[1].startswith(b"BAD")


@pytest.mark.parametrize("kind", ["memory", "store"])
def test_what_a_mailbox_was_made_for_is_told_to_other_sessions(make_server, kind):
    _, connect = make_server(kind)
    watcher, other = connect(), connect()
    for client in (watcher, other):
        client.ok(b"ENABLE METADATA")
    assert other.ok(b"CREATE m9 (USE (\\Junk))") == []
    assert watcher.ok(b"NOOP") == [b"* METADATA m9 /private/specialuse"]
    assert other.ok(b"NOOP") == []
