"""Extensions of IMAP on real sockets, with the clients' words as they are sent."""

import contextlib

import pytest
from imap_words import announced, ask, ok

MESSAGE = b"From: a@example.test\r\nSubject: %b\r\n\r\n%b\r\n"


@pytest.fixture
def session(demo, account):
    """Log in to a mailbox of this test's own, as often as is asked for."""
    login = account()
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(demo.imap(login))


def append(client, subject=b"hello", body=b"text", name="INBOX"):
    assert client.append(name, None, None, MESSAGE % (subject, body))[0] == "OK"


def test_a_draft_is_saved_anew_in_one_step(session):
    client, other = session(), session()
    assert b"REPLACE" in announced(client)
    for number in range(3):
        append(client, b"draft %d" % number, name="Drafts")
    ok(client, b"SELECT Drafts")
    ok(other, b"SELECT Drafts")
    new = MESSAGE % (b"better", b"x" * 200_000)
    lines = ok(client, b"REPLACE 2 Drafts (\\Draft) {%d+}\r\n%b" % (len(new), new))
    assert lines[0].startswith(b"* OK [APPENDUID ")
    assert lines[0].split()[4] == b"4]"
    assert lines[1:3] == [b"* 2 EXPUNGE", b"* 3 EXISTS"]
    assert {b"* 2 EXPUNGE", b"* 3 EXISTS"} <= set(ok(other, b"NOOP"))
    assert ok(other, b"SEARCH SUBJECT better") == [b"* SEARCH 3"]
    new = MESSAGE % (b"sent", b"text")
    lines = ok(other, b"UID REPLACE 4 Sent (\\Seen) {%d+}\r\n%b" % (len(new), new))
    assert lines[1:] == [b"* 3 EXPUNGE"]
    assert ok(other, b"STATUS Sent (MESSAGES)") == [b"* STATUS Sent (MESSAGES 1)"]
    assert ask(client, b"UID REPLACE 4 Drafts {3+}\r\nnew")[1].startswith(b"NO [")
    ok(client, b"EXAMINE Drafts")
    assert ask(client, b"REPLACE 1 Drafts {3+}\r\nnew")[1].startswith(b"NO [READ-ONLY]")


def test_a_message_is_made_of_parts_of_others(session):
    client = session()
    assert b"CATENATE" in announced(client)
    large = b"x" * 70 + b"\r\n"
    append(client, b"original", b"first" + large * 20_000, name="Drafts")
    ok(client, b"SELECT Drafts")
    lines = ok(
        client,
        b"UID REPLACE 1 Sent (\\Seen) CATENATE (TEXT {17+}\r\nSubject: made\r\n\r\n"
        b' URL ";UID=1/;SECTION=TEXT/;PARTIAL=0.5" TEXT {2+}\r\n,  URL "/Drafts/;UID=1/;SECTION=TEXT")',
    )
    assert lines[0].startswith(b"* OK [APPENDUID ")
    assert lines[1] == b"* 1 EXPUNGE"
    ok(client, b"SELECT Sent")
    assert ok(client, b"FETCH 1 (RFC822.SIZE BODY.PEEK[]<0.30>)") == [
        b"* 1 FETCH (RFC822.SIZE %d BODY[]<0> {30}" % (17 + 5 + 2 + 5 + 72 * 20_000 + 2),
        b"Subject: made",
        b"",
        b"first, firstx)",
    ]
    url = b"/Sent/;UID=1/;SECTION=7"
    end = ask(client, b'APPEND Sent CATENATE (URL "/Sent/;UID=1") CATENATE (URL "%b")' % url)[1]
    assert end.startswith(b"NO [BADURL %b] " % url)
    assert ok(client, b"STATUS Sent (MESSAGES)") == [b"* STATUS Sent (MESSAGES 1)"]


def test_first_words_are_told_and_kept(session):
    client = session()
    assert b"PREVIEW" in announced(client)
    append(client, b"plain", b"words of mine\r\n> words of yours")
    page = b"From: a@b\r\nContent-Type: text/html\r\n\r\n<style>p {}</style><p>Tom &amp; <b>Jerry</b></p>\r\n"
    assert client.append("INBOX", None, None, page)[0] == "OK"
    ok(client, b"SELECT INBOX")
    assert ok(client, b"FETCH 1:2 (UID PREVIEW (LAZY))") == [
        b"* 1 FETCH (UID 1 PREVIEW NIL)",
        b"* 2 FETCH (UID 2 PREVIEW NIL)",
    ]
    known = [b'* 1 FETCH (PREVIEW "words of mine")', b'* 2 FETCH (PREVIEW "Tom & Jerry")']
    assert ok(client, b"FETCH 1:2 PREVIEW") == known
    other = session()
    ok(other, b"EXAMINE INBOX")
    assert ok(other, b"FETCH 1:2 (PREVIEW (LAZY))") == known


def test_results_are_told_page_by_page(session):
    client = session()
    assert b"PARTIAL" in announced(client)
    for number in range(9):
        append(client, b"%d" % (number % 3))
    ok(client, b"SELECT INBOX")
    assert ok(client, b"UID SEARCH RETURN (PARTIAL -1:-4 COUNT) ALL") == [
        b'* ESEARCH (TAG "TAG") UID PARTIAL (-1:-4 6:9) COUNT 9'
    ]
    assert ok(client, b"SORT RETURN (SAVE PARTIAL 4:5) (SUBJECT) UTF-8 ALL") == [
        b'* ESEARCH (TAG "TAG") PARTIAL (4:5 2,5)'
    ]
    assert ok(client, b"FETCH $ UID") == [b"* 2 FETCH (UID 2)", b"* 5 FETCH (UID 5)"]
    assert ok(client, b"UID FETCH 3:* (UID) (PARTIAL -1:-2)") == [b"* 8 FETCH (UID 8)", b"* 9 FETCH (UID 9)"]


def test_progress_is_announced_and_quick_commands_need_none(session):
    client = session()
    assert b"INPROGRESS" in announced(client)
    append(client)
    ok(client, b"SELECT INBOX")
    for command in (b"SEARCH TEXT text", b"SORT (SUBJECT) UTF-8 ALL", b"COPY 1 Sent"):
        assert not [line for line in ok(client, command) if b"INPROGRESS" in line]


def test_one_connection_serves_two_users(demo, account):
    first, second = account(), account()
    with demo.imap(first) as client:
        assert b"UNAUTHENTICATE" in announced(client)
        append(client, b"of the first")
        ok(client, b"ENABLE CONDSTORE")
        ok(client, b"SELECT INBOX")
        assert ok(client, b"UNAUTHENTICATE") == []
        assert ask(client, b"SELECT INBOX")[1].startswith(b"BAD ")
        assert b"AUTH=PLAIN" in announced(client)
        ok(client, f'LOGIN "{second.email}" "{second.password}"'.encode())
        assert b"* 0 EXISTS" in ok(client, b"SELECT INBOX")
        append(client, b"of the second")
