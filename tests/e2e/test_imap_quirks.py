"""Two programs of different ID at one server: what each is told, what the log says, and what a reload changes."""

import socket

import pytest
from demo_server import CONDITION_SECONDS, MadeServer

SETTINGS = """
[imap]
capabilities_off = ["BINARY"]

[[imap_quirk]]
name = "Example Mail*"
version_below = "3.2"
off = ["QRESYNC"]
reason = "forgets messages after it was offline"
"""
OLD = '("name" "Example Mail for Cars" "version" "3.1.4")'
NEW = '("name" "Example Mail for Cars" "version" "3.2")'
THUNDERBIRD = '("name" "Thunderbird for Android" "version" "12.0b2")'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = MadeServer(tmp_path_factory.mktemp("quirks"), SETTINGS).start()
    yield server
    assert server.stop() == 0


def capabilities(client):
    client.untagged_responses.pop("CAPABILITY", None)  # what came unasked
    kind, (words,) = client.capability()
    assert kind == "OK"
    return set(words.split())


def identify(client, text):
    assert client.xatom("ID", text)[0] == "OK"


def enable(client, name):
    assert client.enable(name)[0] == "OK"
    return b" ".join(client.response("ENABLED")[1]).split()


def test_two_programs_are_told_different_things(server):
    login = server.add_account()
    with server.imap(login) as old, server.imap(login) as new:
        identify(old, OLD)
        identify(new, NEW)
        assert capabilities(new) - capabilities(old) == {b"QRESYNC"}
        assert b"BINARY" not in capabilities(new)
        assert enable(old, "QRESYNC") == []
        assert enable(new, "QRESYNC") == [b"QRESYNC"]
        assert old.select("INBOX")[0] == new.select("INBOX")[0] == "OK"
    told = server.eventually(
        lambda: [line for line in server.output if "name Example Mail*" in line], lambda lines: len(lines) == 1
    )
    assert "QRESYNC" in told[0]
    assert "forgets messages after it was offline" in told[0]


def test_id_before_the_login_counts_and_shipped_rows_act(server):
    login = server.add_account()
    with (
        socket.create_connection(("localhost", server.port("imaps")), CONDITION_SECONDS) as plain,
        server.context.wrap_socket(plain, server_hostname="localhost") as stream,
        stream.makefile("rwb", buffering=0) as client,
    ):
        assert b"CAPABILITY IMAP4rev1" in client.readline()
        client.write(f"a ID {THUNDERBIRD}\r\nb LOGIN {login.email} {login.password}\r\n".encode())
        answer = b""
        while not (line := client.readline()).startswith(b"b "):
            assert line
            answer += line
        assert b"a OK" in answer
        assert line.startswith(b"b OK [CAPABILITY ")
        assert b"CONDSTORE" in line
        assert b"UTF8=ACCEPT" not in line


def test_a_reload_is_enough_for_new_sessions_and_a_wrong_name_changes_nothing(server):
    path = server.folder / "mailsuite.toml"
    before = path.read_text("utf-8")
    login = server.add_account()
    row = f'\n[[imap_quirk]]\naccount = "{login.email}"\noff = ["{{}}"]\n'
    with server.imap(login) as old:
        path.write_text(before + row.format("MOVVE"), "utf-8")
        assert "did you mean MOVE?" in server.command("check", expect=1).stderr
        server.command("reload", expect=1)
        with server.imap(login) as new:
            assert b"MOVE" in capabilities(new)
        path.write_text(before.replace("[imap]", "[imap]\nshipped_quirks = false") + row.format("MOVE"), "utf-8")
        server.command("reload")
        with server.imap(login) as new:
            identify(new, THUNDERBIRD)
            assert b"MOVE" not in capabilities(new)
            assert b"UTF8=ACCEPT" in capabilities(new)
        with server.imap(server.add_account()) as other:
            assert b"MOVE" in capabilities(other)
        assert b"MOVE" in capabilities(old)
    path.write_text(before, "utf-8")
    server.command("reload")
