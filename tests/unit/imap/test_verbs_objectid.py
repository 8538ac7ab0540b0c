"""OBJECTID (RFC 8474): ids of mailboxes and messages that stay."""

import re

import pytest

from mailsuite.errors import Kind, MailError


@pytest.fixture
def client(suite, mail):
    for number in range(3):
        uid = suite.account.put("INBOX", mail(str(number)))
        suite.account.boxes["INBOX"].messages[uid].email_id = b"M%d" % (number // 2)
    return suite.connect().login()


def test_create_select_and_status_tell_the_same_id(client):
    _, status = client.run(b"CREATE foo")
    (made,) = re.findall(rb"^OK \[MAILBOXID (\(F[0-9a-f]+-[0-9a-f]+\))\] ", status)
    assert client.ok(b"STATUS foo (MAILBOXID)") == [b"* STATUS foo (MAILBOXID %b)" % made]
    assert b"* STATUS foo (MAILBOXID %b)" % made in client.ok(b'LIST "" foo RETURN (STATUS (MAILBOXID))')
    assert b"* OK [MAILBOXID %b] permanent id" % made in client.ok(b"SELECT foo")
    assert b"* OK [MAILBOXID %b] permanent id" % made in client.ok(b"EXAMINE foo")
    assert made not in client.ok(b"STATUS INBOX (MAILBOXID MESSAGES)")[0]


def test_a_mailbox_that_is_made_is_made_even_when_it_cannot_be_counted(suite, client):
    async def fail(_name):
        raise MailError(Kind.UNAVAILABLE, "no disk")

    suite.account.status = fail
    assert re.fullmatch(rb"OK \[MAILBOXID \(F[0-9a-f-]+\)\] CREATE completed", client.run(b"CREATE foo")[1])


def test_ids_of_messages_are_told_and_searched(client):
    client.select()
    assert client.ok(b"FETCH 1:3 (EMAILID)") == [
        b"* 1 FETCH (EMAILID (M0))",
        b"* 2 FETCH (EMAILID (M0))",
        b"* 3 FETCH (EMAILID (M1))",
    ]
    assert client.ok(b"SEARCH EMAILID M0") == [b"* SEARCH 1 2"]
    assert client.ok(b"SEARCH EMAILID m0") == [b"* SEARCH"]
    assert client.ok(b"SEARCH OR EMAILID M1 UID 1") == [b"* SEARCH 1 3"]


def test_an_answer_has_the_thread_of_what_it_answers(suite, mail):
    for extra in ("Message-ID: <a@x>\r\n", "References: <a@x> <b@x>\r\n", "Message-ID: <c@x>\r\n"):
        suite.account.put("INBOX", mail(extra=extra))
    client = suite.connect().login()
    client.select()
    threads = re.findall(rb"THREADID \(([^()]+)\)", b"".join(client.ok(b"FETCH 1:3 (THREADID)")))
    assert threads[0] == threads[1] != threads[2]
    assert client.ok(b"SEARCH THREADID " + threads[0]) == [b"* SEARCH 1 2"]
    assert client.ok(b"SEARCH NOT THREADID " + threads[0]) == [b"* SEARCH 3"]
    assert client.ok(b"SEARCH THREADID " + threads[0].lower()) == [b"* SEARCH"]
    assert client.ok(b"UID FETCH 3 (THREADID FLAGS)") == [
        b"* 3 FETCH (UID 3 THREADID (%b) FLAGS (\\Recent))" % threads[2]
    ]


def test_an_account_that_remembers_nothing_gives_no_ids(suite, client):
    suite.account.remembers = False
    assert b"OBJECTID" not in client.ok(b"CAPABILITY")[0]
    assert client.run(b"CREATE foo") == ([], b"OK CREATE completed")
    assert not any(b"MAILBOXID" in line for line in client.ok(b"SELECT foo"))
    assert client.run(b"STATUS foo (MAILBOXID)")[1].startswith(b"BAD")
