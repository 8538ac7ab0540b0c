"""Annotations on real sockets: they outlive restarts and indexes, and others hear of them."""

import contextlib

import pytest
from demo_server import DemoServer

BINARY = bytes(range(256)) * 4
SERVER = {
    "MAILSUITE_IMAP__SERVER_COMMENT": "down on Sundays",
    "MAILSUITE_IMAP__ANNOTATIONS_PER_MAILBOX": "10",
    "MAILSUITE_SERVER__WORKERS": "2",
}


@pytest.fixture
def server(tmp_path):
    server = DemoServer(tmp_path / "demo", environment=SERVER).start()
    yield server
    assert server.stop() == 0, "".join(server.output[-50:])


def ask(client, command):
    """Send a command that imaplib does not know; give all that was answered, and how it ended."""
    tag = client._new_tag()
    client.send(tag + b" " + command + b"\r\n")
    answer = b""
    while True:
        line = client.readline()
        if line.startswith(tag + b" "):
            return answer, line.removeprefix(tag + b" ")
        answer += line
        if line.endswith(b"}\r\n"):
            answer += client.read(int(line[line.rindex(b"{") + 1 : -3]))


def ok(client, command):
    answer, end = ask(client, command)
    assert end.startswith(b"OK"), end
    return answer


def test_annotations_outlive_a_restart_and_the_index(server):
    login = server.add_account()
    with server.imap(login) as client:
        assert b" METADATA LIST-METADATA" in ok(client, b"CAPABILITY")
        ok(client, b"CREATE Work/2026")
        ok(client, b'SETMETADATA Work/2026 (/private/vendor/x/colour "#b71c1c" /shared/comment "plans")')
        ok(client, b"SETMETADATA INBOX (/private/vendor/x/bin ~{%d+}\r\n%b)" % (len(BINARY), BINARY))
        ok(client, b'SETMETADATA "" (/private/comment "mine")')
        ok(client, b'SETMETADATA Work/2026 (/private/specialuse "\\\\Archive")')
        ok(client, b"SETMETADATA Archive (/private/specialuse NIL)")
        ok(client, b"RENAME Work/2026 Old/2026")
    expected = {
        b"GETMETADATA (DEPTH infinity) Old/2026 (/private /shared)": (
            b'* METADATA Old/2026 (/private/specialuse "\\\\Archive" /private/vendor/x/colour "#b71c1c"'
            b' /shared/comment "plans")\r\n'
        ),
        b"GETMETADATA INBOX /private/vendor/x/bin": (
            b"* METADATA INBOX (/private/vendor/x/bin ~{%d}\r\n%b)\r\n" % (len(BINARY), BINARY)
        ),
        b'GETMETADATA "" (/private/comment /shared/comment)': (
            b'* METADATA "" (/private/comment "mine" /shared/comment "down on Sundays")\r\n'
        ),
        b'LIST (SPECIAL-USE) "" "Old*" RETURN (METADATA (/shared/comment))': (
            b'* LIST (\\HasNoChildren \\Archive) "/" Old/2026\r\n* METADATA Old/2026 (/shared/comment "plans")\r\n'
        ),
        b'LIST (SPECIAL-USE) "" Archive': b"",
    }

    def look():
        with server.imap(login) as client:
            for command, answer in expected.items():
                assert ok(client, command) == answer

    look()
    server.command("mailbox", "reindex", login.email)
    look()
    assert server.stop() == 0
    for path in server.maildir(login).glob("index.db*"):
        path.unlink()
    server.start()
    look()
    with server.imap(login) as client:
        ok(client, b"DELETE Old/2026")
        ok(client, b"CREATE Old/2026")
        assert ok(client, b"GETMETADATA Old/2026 /shared/comment") == b"* METADATA Old/2026 (/shared/comment NIL)\r\n"


def test_all_who_wait_hear_of_a_change(server):
    """Whichever process each of them is connected to."""
    login = server.add_account()
    with contextlib.ExitStack() as stack:
        watchers = [stack.enter_context(server.imap(login)) for _ in range(4)]
        for watcher in watchers:
            assert ok(watcher, b"ENABLE METADATA") == b"* ENABLED METADATA\r\n"
            watcher.send(b"i IDLE\r\n")
            assert watcher.readline().startswith(b"+ ")
        writer = stack.enter_context(server.imap(login))
        ok(writer, b'SETMETADATA INBOX (/private/comment "x")')
        for watcher in watchers:
            assert watcher.readline() == b"* METADATA INBOX /private/comment\r\n"
            watcher.send(b"DONE\r\n")
            assert watcher.readline().startswith(b"i OK")


def test_what_is_refused(server):
    login = server.add_account()
    with server.imap(login) as client:
        many = b" ".join(b'/private/%d "x"' % number for number in range(11))
        assert ask(client, b"SETMETADATA INBOX (" + many + b")")[1].startswith(b"NO [METADATA TOOMANY]")
        value = b"x" * 20_000
        end = ask(client, b"SETMETADATA INBOX (/private/a {%d+}\r\n%b)" % (len(value), value))[1]
        assert end.startswith(b"NO [METADATA MAXSIZE 16384]")
        value *= 5
        end = ask(client, b"SETMETADATA INBOX (/private/a {%d+}\r\n%b)" % (len(value), value))[1]
        assert end.startswith(b"NO [METADATA MAXSIZE 16384]")
        assert ask(client, b'SETMETADATA "" (/shared/comment "mine")')[1].startswith(b"NO [NOPERM]")
        assert ask(client, b'SETMETADATA INBOX (/private/specialuse "\\\\Trash")')[1].startswith(b"NO [CANNOT]")
        assert ask(client, b'GETMETADATA INBOX "/private/*"')[1].startswith(b"BAD")
        assert ok(client, b"GETMETADATA (DEPTH infinity) INBOX (/private /shared)") == b""
