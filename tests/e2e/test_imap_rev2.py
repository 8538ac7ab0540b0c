"""IMAP4rev2, UTF8=ACCEPT and BINARY on real sockets."""

import base64
import imaplib

import pytest

NAME = "Entwürfe/März".encode()
IMAGE = bytes(range(256)) * 500


@pytest.fixture
def client(demo, account):
    with demo.imap(account()) as client:
        yield client


def ask(client, command):
    """Send a command that imaplib does not know; give all that was answered, and how it ended."""
    tag = client._new_tag()
    client.send(tag + b" " + command + b"\r\n")
    answer = b""
    while True:
        line = client.readline()
        if line.startswith(tag + b" "):
            return answer.replace(tag, b"TAG"), line.removeprefix(tag + b" ")
        answer += line
        if line.endswith(b"}\r\n"):
            answer += client.read(int(line[line.rindex(b"{") + 1 : -3]))


def ok(client, command):
    answer, end = ask(client, command)
    assert end.startswith(b"OK"), end
    return answer


def test_python_speaks_utf8_to_it(demo, account):
    """The message goes first: imaplib of Python 3.11 writes UTF8 (...) into the literal."""
    message = "Subject: größer\r\n\r\nschön\r\n".encode()
    with demo.imap(account()) as client:
        assert client.append("INBOX", None, None, message)[0] == "OK"
        assert client.enable("UTF8=ACCEPT")[0] == "OK"
        assert client.create('"Entwürfe"')[0] == "OK"
        assert client.select("INBOX") == ("OK", [b"1"])
        assert client.search(None, 'SUBJECT "größer"') == ("OK", [b"1"])
        assert client.copy("1", '"Entwürfe"')[0] == "OK"
        assert client.select('"Entwürfe"') == ("OK", [b"1"])
        assert client.fetch("1", "(BODY.PEEK[])")[1][0][1] == message
        assert '"Entwürfe"'.encode() in b" ".join(client.list()[1])
        parted = ok(client, 'APPEND "Entwürfe" UTF8 (~{21+}\r\nSubject: ü\r\n\r\nschön)'.encode())
        assert parted == b"* 2 EXISTS\r\n* 2 RECENT\r\n"


def test_a_client_of_rev2_is_told_what_it_knows(client):
    assert ok(client, b"ENABLE IMAP4rev2") == b"* ENABLED IMAP4REV2\r\n"
    ok(client, b'CREATE "%b"' % NAME)
    ok(client, b'APPEND "%b" {19+}\r\nSubject: x\r\n\r\nhello' % NAME)
    answer = ok(client, b'SELECT "%b"' % NAME)
    assert b'* LIST (\\HasNoChildren) "/" "%b"\r\n' % NAME in answer
    assert b"RECENT" not in answer
    assert ok(client, b"SEARCH ALL") == b'* ESEARCH (TAG "TAG") ALL 1\r\n'
    assert ok(client, b"FETCH 1 FLAGS") == b"* 1 FETCH (FLAGS ())\r\n"


@pytest.mark.parametrize("copies", [1, 4])
def test_parts_are_sent_decoded(client, copies):
    body = base64.encodebytes(IMAGE * copies).replace(b"\n", b"\r\n")
    message = (
        b"Subject: image\r\nMIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + body
    )
    ok(client, b"APPEND INBOX {%d+}\r\n%b" % (len(message), message))
    ok(client, b"SELECT INBOX")
    assert ok(client, b"FETCH 1 BINARY.SIZE[1]") == b"* 1 FETCH (BINARY.SIZE[1] %d)\r\n" % len(IMAGE * copies)
    assert ok(client, b"FETCH 1 BINARY.PEEK[1]") == b"* 1 FETCH (BINARY[1] ~{%d}\r\n%b)\r\n" % (
        len(IMAGE * copies), IMAGE * copies
    )  # fmt: skip


def test_imaplib_without_enable_sees_modified_utf7(client):
    ok(client, b"CREATE Entw&APw-rfe")
    assert any(b"Entw&APw-rfe" in line for line in client.list()[1])
    with pytest.raises((imaplib.IMAP4.error, UnicodeEncodeError)):
        client.create('"Entwürfe"')
