"""THREAD: conversations of what matches."""

import pytest

from mailsuite.imap.verbs import thread


@pytest.fixture
def client(suite, mail):
    put = suite.account.put
    put("INBOX", b"Subject: gone\r\n\r\n", ["\\Deleted"])
    put("INBOX", mail("plans", extra="Message-ID: <a@x.test>\r\n"))
    put("INBOX", mail("other", extra="Message-ID: <o@x.test>\r\n"), ["\\Seen"])
    put("INBOX", mail("Re: plans", extra="Message-ID: <b@x.test>\r\nIn-Reply-To: <a@x.test>\r\n"))
    put("INBOX", mail("new plans", extra="Message-ID: <c@x.test>\r\nReferences: <a@x.test>\r\n <b@x.test>\r\n"))
    put("INBOX", mail("Re: plans", extra="Message-ID: <d@x.test>\r\nReferences: <a@x.test>\r\n"))
    client = suite.connect().login().select()
    client.ok(b"EXPUNGE")  # from here on each UID is one more than its number
    return client


def test_the_algorithms_are_announced(client):
    assert {b"THREAD=ORDEREDSUBJECT", b"THREAD=REFERENCES"} <= set(client.ok(b"CAPABILITY")[0].split())


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (b"THREAD REFERENCES UTF-8 ALL", b"* THREAD (1 (3 4)(5))(2)"),
        (b"UID THREAD REFERENCES UTF-8 ALL", b"* THREAD (2 (4 5)(6))(3)"),
        (b"THREAD ORDEREDSUBJECT UTF-8 ALL", b"* THREAD (1 (3)(5))(2)(4)"),
        (b"uid thread orderedsubject us-ascii ALL", b"* THREAD (2 (4)(6))(3)(5)"),
        (b"THREAD REFERENCES UTF-8 UNSEEN 3:*", b"* THREAD ((3 4)(5))"),
        (b"THREAD REFERENCES UTF-8 SUBJECT new", b"* THREAD (4)"),
        (b"THREAD REFERENCES UTF-8 DRAFT", b"* THREAD"),
        (b"THREAD ORDEREDSUBJECT UTF-8 DRAFT", b"* THREAD"),
    ],
)
def test_what_matches_is_put_into_conversations(client, command, line):
    assert client.ok(command) == [line]


def test_an_unknown_charset_is_no_and_an_unknown_algorithm_is_bad(client):
    assert client.run(b"THREAD REFERENCES x ALL")[1].startswith(b"NO [BADCHARSET (US-ASCII UTF-8)]")
    assert client.run(b"THREAD REFS UTF-8 ALL")[1].startswith(b"BAD")


def test_an_expunge_waits_but_for_uid_thread(suite, client):
    other = suite.connect().login().select()
    other.ok(b"STORE 2 +FLAGS.SILENT (\\Deleted)")
    other.ok(b"EXPUNGE")
    lines, end = client.run(b"THREAD REFERENCES UTF-8 ALL")
    assert lines[0] == b"* THREAD (1 (3 4)(5))"
    assert not [line for line in lines if line.endswith(b"EXPUNGE")]
    assert end.startswith(b"OK [EXPUNGEISSUED]")
    assert client.ok(b"UID THREAD REFERENCES UTF-8 ALL")[:2] == [b"* THREAD (2 (4 5)(6))", b"* 2 EXPUNGE"]


def test_a_thread_that_takes_too_long_is_given_up(suite, client):
    original = suite.account.pass_gate

    async def slow(call):
        await original(call)
        suite.clock.rightNow += 11

    suite.account.pass_gate = slow
    assert client.run(b"THREAD REFERENCES UTF-8 ALL")[1].startswith(b"NO [LIMIT]")


def test_a_long_answer_waits_for_the_client(suite, client, monkeypatch):
    """The line is written piece by piece, and no more of it than the client takes."""
    monkeypatch.setattr(thread, "WRITE_OCTETS", 8)
    gate = suite.gate()
    client.send(b"x THREAD REFERENCES UTF-8 ALL\r\n")
    client.server.pauseProducing()
    gate.callback(None)
    client.settle()
    beginning = client.received()
    assert beginning == b"* THREAD (1 (3 4)("[: len(beginning)]
    assert 0 < len(beginning) < 24
    client.server.resumeProducing()
    client.settle()
    assert beginning + client.received() == b"* THREAD (1 (3 4)(5))(2)\r\nx OK THREAD completed\r\n"
