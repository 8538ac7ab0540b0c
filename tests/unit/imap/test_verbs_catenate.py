"""CATENATE: messages put together of parts of others."""

import pytest
from twisted.internet.defer import Deferred

from mailsuite.errors import Kind, MailError

MULTIPART = (
    b"Subject: photo\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: image/png\r\n\r\nPNG\r\n--b--\r\n"
)


@pytest.fixture
def client(suite):
    suite.account.put("INBOX", MULTIPART)
    suite.account.add_box("Drafts")
    suite.account.put("Drafts", b"Subject: draft\r\n\r\nbody")
    return suite.connect().login()


def last(suite, name="Drafts"):
    messages = suite.account.boxes[name].messages
    return messages[max(messages)]


def count(suite, name="Drafts"):
    return len(suite.account.boxes[name].messages)


def test_an_attachment_is_taken_over_without_leaving_the_server(suite, client):
    client.select()
    before = suite.account.boxes["INBOX"].messages[1].flags
    answer = client.send(
        b'a APPEND Drafts (\\Draft kw) "17-Jul-1996 02:44:25 -0700" CATENATE (TEXT {12}\r\n',
    )
    assert answer.startswith(b"+ ")
    assert client.send(b"Subject: x\r\n").startswith(b"")
    answer = client.send(
        b' URL ";UID=1/;SECTION=2.MIME" URL "/INBOX;UIDVALIDITY=7/;UID=1/;section=2" TEXT {3+}\r\nend)\r\n'
    )
    assert answer.startswith(b"a OK [APPENDUID 7 2]")
    message = last(suite)
    assert message.content == b"Subject: x\r\nContent-Type: image/png\r\n\r\nPNGend"
    assert (message.flags, message.date) == ({"\\Draft", "kw"}, 837596665)
    assert suite.account.boxes["INBOX"].messages[1].flags == before


@pytest.mark.parametrize(
    ("url", "content"),
    [
        (b"/Drafts/;UID=1", b"Subject: draft\r\n\r\nbody"),
        (b"/Drafts/;UID=1/;PARTIAL=9.5", b"draft"),
        (b"/Drafts/;UID=1/;PARTIAL=18", b"body"),
        (b"/Drafts/;UID=1/;PARTIAL=99", b""),
        (b"/Drafts/;UID=1/;SECTION=HEADER", b"Subject: draft\r\n\r\n"),
        (b"/Drafts/;UID=1/;SECTION=TEXT", b"body"),
        (b"/inbox/;UID=1/;SECTION=1", b"hello"),
        (b"/INBOX/;UID=1/;SECTION=HEADER.FIELDS%20(Subject)", b"Subject: photo\r\n\r\n"),
        (b"/INBOX/;UID=1/;SECTION=HEADER.FIELDS%20(Subject)/;PARTIAL=9.5", b"photo"),
        (b"/INBOX/;UID=1/;SECTION=2/;PARTIAL=1.1", b"N"),
    ],
)
def test_the_octets_are_those_that_fetch_would_give(suite, client, url, content):
    assert client.run(b'APPEND Drafts CATENATE (TEXT {1+}\r\n> URL "' + url + b'")')[1].startswith(
        b"OK [APPENDUID 7 2]"
    )
    assert last(suite).content == b">" + content


def test_urls_alone_are_a_message(suite, client):
    client.ok(b"APPEND Drafts CATENATE (URL /INBOX/;UID=1 URL /Drafts/;UID=1)")
    assert last(suite).content == MULTIPART + b"Subject: draft\r\n\r\nbody"


def test_a_url_may_be_a_literal(suite, client):
    assert client.send(b"a APPEND Drafts CATENATE (URL {14}\r\n").startswith(b"+ ")
    assert client.send(b"/Drafts/;UID=1 TEXT {1}\r\n").startswith(b"+ ")
    assert client.send(b"!)\r\n").startswith(b"a OK")
    assert last(suite).content == b"Subject: draft\r\n\r\nbody!"


def test_a_part_may_hold_nul_if_it_says_so(suite, client):
    client.ok(b"APPEND Drafts CATENATE (TEXT ~{3+}\r\na\0b)")
    assert last(suite).content == b"a\0b"
    assert client.run(b"APPEND Drafts CATENATE (TEXT {3+}\r\na\0b TEXT {1+}\r\nx)")[1].startswith(b"NO ")
    assert count(suite) == 2


def test_parts_may_be_marked_as_utf8(suite, client):
    client.ok(b"APPEND Drafts CATENATE (UTF8 (~{2+}\r\n\xc3\xbc) URL /INBOX/;UID=1/;SECTION=1 UTF8 (~{1+}\r\n!))")
    assert last(suite).content == b"\xc3\xbchello!"


def test_several_messages_are_one_append_however_they_are_made(suite, client):
    status = client.run(
        b"APPEND Drafts {3+}\r\none (\\Seen) CATENATE (URL /Drafts/;UID=1/;SECTION=TEXT TEXT {1+}\r\n!)"
        b" CATENATE (URL /INBOX/;UID=1/;SECTION=1) {4+}\r\nfour"
    )[1]
    assert status.startswith(b"OK [APPENDUID 7 2:5]")
    messages = suite.account.boxes["Drafts"].messages
    assert [messages[uid].content for uid in range(2, 6)] == [b"one", b"body!", b"hello", b"four"]
    assert messages[3].flags == {"\\Seen"}
    assert suite.account.calls.count("append") == 1


def test_a_message_may_be_made_of_the_one_it_replaces(suite, client):
    client.select(b"Drafts")
    answer = client.send(b'a UID REPLACE 1 Drafts CATENATE (TEXT {7+}\r\nTo: b\r\n URL "/Drafts/;UID=1")\r\n')
    assert answer.startswith(b"* OK [APPENDUID 7 2] ")
    assert b"* 1 EXPUNGE\r\n" in answer
    assert b"a OK REPLACE completed" in answer
    assert [message.content for message in suite.account.boxes["Drafts"].messages.values()] == [
        b"To: b\r\nSubject: draft\r\n\r\nbody"
    ]
    client.ok(b"REPLACE 1 Drafts CATENATE (URL ;UID=2/;SECTION=TEXT)")
    assert last(suite).content == b"body"
    assert client.run(b"REPLACE 1 Drafts CATENATE (URL ;UID=3) CATENATE (URL ;UID=3)")[1].startswith(b"BAD ")
    assert count(suite) == 1


@pytest.mark.parametrize(
    "url",
    [
        b"/Drafts/;UID=99",
        b"/none/;UID=1",
        b"/Drafts;UIDVALIDITY=8/;UID=1",
        b"/INBOX/;UID=1/;SECTION=3",
        b"imap://elsewhere.test/x/;UID=1",
        b"//elsewhere.test/x/;UID=1",
        b"/../x/;UID=1",
        b";UID=1",  # nothing is selected
    ],
)
def test_a_url_that_leads_nowhere_is_named(suite, client, url):
    for command in (b'a APPEND Drafts CATENATE (URL "%b")', b'a APPEND Drafts CATENATE (TEXT {1+}\r\nx URL "%b")'):
        answer = client.send(command % url + b"\r\n")
        assert answer.startswith(b"a NO [BADURL " + url + b"] ")
        assert answer.count(b"\r\n") == 1
    assert count(suite) == 1
    client.ok(b"NOOP")


def test_a_bad_url_is_known_before_more_is_sent(suite, client):
    assert client.send(b"a APPEND Drafts CATENATE (URL /none/;UID=1 TEXT {1000}\r\n").startswith(b"a NO [BADURL ")
    client.ok(b"NOOP")
    answer = client.send(b"b APPEND Drafts CATENATE (URL /none/;UID=1 TEXT {9+}\r\nx NOOP\r\n )\r\nc NOOP\r\n")
    assert answer.startswith(b"b NO [BADURL ")
    assert b"x OK" not in answer
    assert b"c OK" in answer


def test_the_name_of_a_bad_url_cannot_end_the_line(client):
    answer = client.send(b"a APPEND Drafts CATENATE (URL {9+}\r\na]\r\n* BYE)\r\n")
    assert answer == b"a NO [BADURL a%5D?* BYE] that is not the URL of a message in this account\r\n"
    assert client.send(b"b APPEND Drafts CATENATE (URL {4097}\r\n").startswith(b"b BAD ")
    client.ok(b"NOOP")


def test_a_message_that_goes_meanwhile_is_no_message(suite, client):
    client.select(b"INBOX")
    del suite.account.boxes["INBOX"].messages[1]
    assert client.run(b"APPEND Drafts CATENATE (URL ;UID=1)")[1].startswith(b"NO [BADURL ;UID=1]")


def test_a_message_that_cannot_be_read_now_is_no_bad_url(suite, client):
    client.select(b"INBOX")
    suite.account.failure = MailError(Kind.UNAVAILABLE, "no disk")
    assert client.run(b"APPEND Drafts CATENATE (URL ;UID=1)")[1].startswith(b"NO [UNAVAILABLE]")
    assert count(suite) == 1


def test_what_becomes_too_large_is_refused(make_suite):
    suite = make_suite(literal_max_octets=100)
    suite.account.put("INBOX", b"x" * 60)
    client = suite.connect().login()
    client.ok(b"APPEND INBOX CATENATE (URL /INBOX/;UID=1 TEXT {40+}\r\n" + b"y" * 40 + b")")
    assert client.run(b"APPEND INBOX CATENATE (URL /INBOX/;UID=1 URL /INBOX/;UID=1)")[1].startswith(b"NO [TOOBIG]")
    assert client.send(b"a APPEND INBOX CATENATE (URL /INBOX/;UID=1 TEXT {41}\r\n").startswith(b"a NO [TOOBIG]")
    many = b" ".join([b"CATENATE (URL /INBOX/;UID=1)"] * 7)
    assert client.run(b"APPEND INBOX " + many)[1].startswith(b"NO [TOOBIG]")
    assert len(suite.account.boxes["INBOX"].messages) == 2


def test_parts_are_limited(suite, client):
    parts = b" ".join([b"URL /Drafts/;UID=1/;PARTIAL=0.1"] * 600)
    answer = client.send(b"a APPEND Drafts CATENATE (%b TEXT {1+}\r\nx %b)\r\n" % (parts, parts))
    assert answer.startswith(b"a NO [LIMIT]")
    assert count(suite) == 1


def test_the_quota_holds_for_what_is_taken_over(suite, client):
    suite.account.limit = (
        sum(len(m.content) for box in suite.account.boxes.values() for m in box.messages.values()) + 30
    )
    assert client.run(b"APPEND Drafts CATENATE (URL /Drafts/;UID=1)")[1].startswith(b"OK")
    assert client.run(b"APPEND Drafts CATENATE (URL /Drafts/;UID=1)")[1].startswith(b"NO [OVERQUOTA]")


def test_a_missing_mailbox_asks_for_create(client):
    assert client.run(b"APPEND none CATENATE (URL /Drafts/;UID=1)")[1].startswith(b"NO [TRYCREATE]")
    assert client.run(b"APPEND none CATENATE (TEXT {1+}\r\nx)")[1].startswith(b"NO [TRYCREATE]")


@pytest.mark.parametrize("url", [b"/Drafts/;UID=99", b"/none/;UID=1", b"imap://elsewhere.test/x/;UID=1", b";UID=1"])
def test_a_missing_mailbox_is_told_before_a_bad_url(suite, client, url):
    for command in (
        b'APPEND none CATENATE (URL "%b")' % url,
        b"APPEND none CATENATE (URL {%d+}\r\n%b)" % (len(url), url),
        b'APPEND none CATENATE (TEXT {1+}\r\nx URL "%b" TEXT {9+}\r\nx NOOP\r\n )' % url,
        b'APPEND none CATENATE (URL "%b" URL {%d+}\r\n%b) {1+}\r\nx' % (url, len(url), url),
    ):
        lines, status = client.run(command)
        assert (lines, status[:15]) == ([], b"NO [TRYCREATE] ")
    answer = client.send(b'a APPEND none CATENATE (URL "%b" TEXT {9}\r\n' % url)
    assert answer.startswith(b"a NO [TRYCREATE]")
    assert answer.count(b"\r\n") == 1
    client.ok(b"NOOP")
    client.select(b"Drafts")
    assert client.run(b"REPLACE 1 none CATENATE (URL /Drafts/;UID=99)")[1].startswith(b"NO [TRYCREATE]")
    assert count(suite) == 1


def test_much_goes_to_a_file_piece_by_piece(suite, client):
    suite.account.put("INBOX", bytes(range(1, 256)) * 4000)
    client.ok(b"APPEND Drafts CATENATE (TEXT {1+}\r\n< URL /INBOX/;UID=2 TEXT {1+}\r\n>)")
    assert suite.account.calls.count("read") == 4
    (file,) = suite.account.files
    assert file.announced == 1 + 255 * 4000
    assert last(suite).content == b"<" + bytes(range(1, 256)) * 4000 + b">"
    assert not file.aborted


def test_a_command_that_breaks_off_leaves_nothing(suite, client):
    suite.account.put("INBOX", b"x" * 200_000)
    client.send(b"a APPEND Drafts CATENATE (URL /INBOX/;UID=2 TEXT {1000}\r\n")
    client.send(b"half")
    client.transport.loseConnection()
    assert suite.account.files[0].aborted
    assert count(suite) == 1


def test_who_hangs_up_while_urls_are_read_is_not_worked_for(suite, client):
    gate = suite.account.gate = Deferred()
    client.send(b"a APPEND Drafts CATENATE (URL /INBOX/;UID=1 URL /INBOX/;UID=1 URL /INBOX/;UID=1)\r\n")
    client.transport.loseConnection()
    calls = len(suite.account.calls)
    gate.callback(None)
    assert suite.account.calls.count("fetch") <= 1
    assert len(suite.account.calls) <= calls + 2
    assert count(suite) == 1


@pytest.mark.parametrize(
    "rest",
    [b"", b")x", b") junk", b" TEXT)", b" URL)", b" FOO x)", b" URL /Drafts/;UID=1", b"))"],
)
def test_what_cannot_be_read_is_bad_and_nothing_is_stored(suite, client, rest):
    assert client.send(b"a APPEND Drafts CATENATE (TEXT {1+}\r\nx" + rest + b"\r\n").startswith(b"a BAD ")
    assert count(suite) == 1
    client.ok(b"NOOP")


def test_append_of_urls_before_login_is_refused(suite):
    client = suite.connect()
    client.received()
    assert client.run(b"APPEND INBOX CATENATE (URL /INBOX/;UID=1)")[1].startswith(b"BAD ")
    assert suite.account.calls == []


def test_the_parts_of_a_message_are_looked_for_once(suite, client):
    client.select()
    mailbox = client.server.session.selected.mailbox
    looked = []
    parts = mailbox.parts

    async def watch(uid):
        looked.append(uid)
        return await parts(uid)

    mailbox.parts = watch
    client.ok(b"APPEND Drafts CATENATE (URL ;UID=1/;SECTION=1 URL ;UID=1/;SECTION=2 URL /INBOX/;UID=1/;SECTION=2.MIME)")
    assert looked == [1]


def test_what_is_too_large_in_any_case_is_not_a_question_of_the_quota(make_suite):
    suite = make_suite(literal_max_octets=100)
    suite.account.limit = 50
    client = suite.connect().login()
    assert client.send(b"a APPEND INBOX {101}\r\n").startswith(b"a NO [TOOBIG]")
    assert client.send(b"b APPEND INBOX {51}\r\n").startswith(b"b NO [OVERQUOTA]")
