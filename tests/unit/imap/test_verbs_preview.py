"""FETCH PREVIEW: the first words of messages."""

import pytest

from mailsuite.errors import Kind, MailError


@pytest.fixture
def client(suite, mail):
    for text in ("hello there\r\n", "gr\xfc\xdfe\r\n", ""):
        suite.account.put("INBOX", mail(body=text, extra="Content-Type: text/plain; charset=utf-8\r\n"))
    return suite.connect().login().select()


def test_each_message_has_a_preview(client):
    assert client.ok(b"FETCH 1:3 (PREVIEW)") == [
        b'* 1 FETCH (PREVIEW "hello there")',
        b"* 2 FETCH (PREVIEW {7}",
        b"gr\xc3\xbc\xc3\x9fe)",
        b'* 3 FETCH (PREVIEW "")',
    ]
    assert client.ok(b"UID FETCH 1 preview") == [b'* 1 FETCH (UID 1 PREVIEW "hello there")']


def test_who_is_in_a_hurry_is_told_what_is_known(suite, client):
    assert client.ok(b"FETCH 1:2 (FLAGS PREVIEW (LAZY))") == [
        b"* 1 FETCH (FLAGS (\\Recent) PREVIEW NIL)",
        b"* 2 FETCH (FLAGS (\\Recent) PREVIEW NIL)",
    ]
    assert "make previews" not in suite.account.calls
    client.ok(b"FETCH 1 PREVIEW")
    assert client.ok(b"FETCH 1:2 PREVIEW (lazy)") == [
        b'* 1 FETCH (PREVIEW "hello there")',
        b"* 2 FETCH (PREVIEW NIL)",
    ]
    client.ok(b"FETCH 3 PREVIEW")
    assert client.ok(b"FETCH 3 PREVIEW (LAZY)") == [b'* 3 FETCH (PREVIEW "")'], "known to be empty"


def test_a_preview_stands_among_other_items(client):
    assert client.ok(b"FETCH 1 (RFC822.SIZE PREVIEW UID BODY.PEEK[TEXT])") == [
        b'* 1 FETCH (RFC822.SIZE 167 PREVIEW "hello there" UID 1 BODY[TEXT] {13}',
        b"hello there",
        b")",
    ]
    assert client.ok(b"FETCH 1 (PREVIEW BODY.PEEK[HEADER.FIELDS (TO)] PREVIEW (LAZY))") == [
        b'* 1 FETCH (PREVIEW "hello there" BODY[HEADER.FIELDS (TO)] {24}',
        b"To: bob@example.test",
        b"",
        b")",
    ]


def test_a_preview_of_what_changed(client):
    client.ok(b"STORE 1 +FLAGS (\\Flagged)")
    lines = client.ok(b"FETCH 1:* PREVIEW (CHANGEDSINCE 4)")
    assert [line for line in lines if b"PREVIEW" in line] == [b'* 1 FETCH (PREVIEW "hello there" MODSEQ (5))']


def test_many_are_made_in_small_batches(suite, client, mail):
    for number in range(120):
        suite.account.put("INBOX", mail(body=f"number {number}\r\n"))
    client.ok(b"NOOP")
    assert len(client.ok(b"FETCH 1:* PREVIEW")) == 124
    assert suite.account.calls.count("make previews") == 3
    client.ok(b"FETCH 1:* PREVIEW (LAZY)")
    assert suite.account.calls.count("previews") == 1


def test_a_message_that_cannot_be_read_has_an_empty_one(suite, client):
    async def none(uids, *, make):
        return {}

    client.server.session.selected.mailbox.previews = none
    assert client.ok(b"FETCH 1 PREVIEW") == [b'* 1 FETCH (PREVIEW "")'], "NIL would be a promise"


def test_a_store_that_fails_is_told(suite, client):
    client.ok(b"FETCH 1 RFC822.SIZE")

    async def fails(uids, *, make):
        raise MailError(Kind.UNAVAILABLE, "no disk")

    client.server.session.selected.mailbox.previews = fails
    assert client.run(b"FETCH 1 PREVIEW")[1].startswith(b"NO [UNAVAILABLE]")


@pytest.mark.parametrize(
    "items",
    [b"PREVIEW ()", b"PREVIEW (FOO)", b"(PREVIEW ())", b"(PREVIEW (LAZY FOO))", b"(PREVIEW(LAZY))", b"PREVIEW(LAZY)",
     b"(PREVIEW (LAZY) (LAZY))", b"(PREVIEW  (LAZY))", b"PREVIEW (LAZY", b"PREVIEW[]"],
)  # fmt: skip
def test_what_cannot_be_read_is_bad(client, items):
    assert client.run(b"FETCH 1 " + items)[1].startswith(b"BAD ")
