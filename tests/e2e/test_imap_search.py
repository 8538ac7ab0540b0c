"""Searching, sorting and threading on real sockets, with the clients' words as they are sent."""

import pytest
from imap_words import announced, ask, ok

MESSAGES = [
    ("beta", "Tue, 17 Nov 2026 10:00:00 +0000", "text one\r\n"),
    ("alpha", "Tue, 17 Nov 2026 09:00:00 +0000", "text two\r\n"),
    ("Re: beta", "Tue, 17 Nov 2026 12:00:00 +0100", "text three\r\n"),
]


@pytest.fixture
def client(demo, account):
    with demo.imap(account()) as client:
        for subject, date, body in MESSAGES:
            text = f"From: a@example.test\r\nSubject: {subject}\r\nDate: {date}\r\n\r\n{body}"
            assert client.append("INBOX", None, None, text.encode())[0] == "OK"
        assert client.select("INBOX") == ("OK", [b"3"])
        yield client


def test_a_search_returns_what_is_asked_for(client):
    assert b"ESEARCH" in announced(client)
    assert ok(client, b"SEARCH RETURN (MIN MAX COUNT) SUBJECT beta") == [b'* ESEARCH (TAG "TAG") MIN 1 MAX 3 COUNT 2']
    assert ok(client, b"UID SEARCH RETURN () ALL") == [b'* ESEARCH (TAG "TAG") UID ALL 1:3']
    assert ok(client, b"SEARCH RETURN (ALL COUNT) SUBJECT gamma") == [b'* ESEARCH (TAG "TAG") COUNT 0']
    assert ask(client, b"SEARCH RETURN (FOO) ALL")[1].startswith(b"BAD ")


def test_a_search_by_age_counts_from_now(client):
    assert b"WITHIN" in announced(client)
    old = b'"17-Nov-2025 10:00:00 +0000"'
    content = b"Subject: old\r\n\r\ntext\r\n"
    assert ok(client, b"APPEND INBOX () %b {%d+}\r\n%b" % (old, len(content), content))
    assert ok(client, b"SEARCH YOUNGER 3600") == [b"* SEARCH 1 2 3"]
    assert ok(client, b"SEARCH OLDER 86400") == [b"* SEARCH 4"]
    assert ask(client, b"SEARCH OLDER 0")[1].startswith(b"BAD ")


def test_what_a_search_saved_is_used_by_the_commands_after_it(client):
    assert b"SEARCHRES" in announced(client)
    tags = [b"s1", b"s2", b"s3"]
    client.send(  # all in one go: this is what it is for
        b"s1 SEARCH RETURN (SAVE) SUBJECT beta\r\ns2 UID STORE $ +FLAGS.SILENT (\\Deleted)\r\ns3 UID EXPUNGE $\r\n"
    )
    lines = []
    while tags:
        lines.append(client.readline().removesuffix(b"\r\n"))
        if lines[-1].startswith(tags[0] + b" "):
            assert lines[-1].startswith(tags.pop(0) + b" OK")
    assert [line for line in lines if line.endswith(b"EXPUNGE")] == [b"* 1 EXPUNGE", b"* 2 EXPUNGE"]
    assert ok(client, b"SEARCH $") == [b"* SEARCH"]
    assert ok(client, b"UID SEARCH ALL") == [b"* SEARCH 2"]


def test_messages_are_sorted_on_the_server(client):
    assert {b"SORT", b"SORT=DISPLAY", b"ESORT", b"I18NLEVEL=1"} <= announced(client)
    assert client.sort("(SUBJECT REVERSE DATE)", "UTF-8", "ALL") == ("OK", [b"2 3 1"])
    assert client.uid("SORT", "(DATE)", "UTF-8", "SUBJECT beta") == ("OK", [b"1 3"])
    assert client.sort("(REVERSE SIZE)", "US-ASCII", "ALL") == ("OK", [b"3 2 1"])
    assert ok(client, b"UID SORT RETURN (MIN COUNT) (DISPLAYFROM DATE) UTF-8 ALL") == [
        b'* ESEARCH (TAG "TAG") UID MIN 2 COUNT 3'
    ]


def test_messages_are_put_into_conversations_on_the_server(client):
    assert {b"THREAD=ORDEREDSUBJECT", b"THREAD=REFERENCES"} <= announced(client)
    reply = (
        "From: b@example.test\r\nSubject: more of alpha\r\nDate: Tue, 17 Nov 2026 13:00:00 +0000\r\n"
        "References: <first@example.test>\r\n\r\ntext\r\n"
    )
    first = (
        "From: b@example.test\r\nSubject: ALPHA\r\nDate: Tue, 17 Nov 2026 08:00:00 +0000\r\n"
        "Message-ID: <first@example.test>\r\n\r\ntext\r\n"
    )
    for text in (reply, first):
        assert client.append("INBOX", None, None, text.encode())[0] == "OK"
    assert client.noop()[0] == "OK"
    # The two with the subject "alpha" are equals; "Re: beta" answers "beta".
    assert client.thread("REFERENCES", "UTF-8", "ALL") == ("OK", [b"((5 4)(2))(1 3)"])
    assert client.uid("THREAD", "ORDEREDSUBJECT", "UTF-8", "ALL") == ("OK", [b"(5 2)(1 3)(4)"])
    assert client.thread("REFERENCES", "UTF-8", "SUBJECT gamma") == ("OK", [b""])
