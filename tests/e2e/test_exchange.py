"""Mail is imported and exported while the server runs."""

import mailbox

from demo_server import MadeServer


def test_what_is_imported_while_somebody_looks_is_there_at_once(tmp_path):
    server = MadeServer(tmp_path / "srv").start()
    try:
        login = server.add_account()
        box = mailbox.mbox(tmp_path / "old.mbox")
        for number in range(20):
            box.add(f"Subject: number {number}\n\nhello\n".encode())
        box.close()
        with server.imap(login) as client:
            assert client.select("INBOX") == ("OK", [b"0"])
            server.command("mailbox", "import", login.email, str(tmp_path / "old.mbox"))
            client.noop()
            assert client.response("EXISTS")[1][-1] == b"20"
            assert client.store("1:5", "+FLAGS", "\\Seen")[0] == "OK"
            assert client.search(None, "UNSEEN")[1][0].split() == [b"%d" % number for number in range(6, 21)]
        done = server.command("mailbox", "import", login.email, str(tmp_path / "old.mbox"))
        assert "0 messages imported" in done.stderr
        server.command("mailbox", "export", login.email, str(tmp_path / "out"))
        out = mailbox.Maildir(tmp_path / "out", create=False)
        assert sorted(message["subject"] for message in out) == sorted(f"number {number}" for number in range(20))
        server.command("mailbox", "verify", login.email)
    finally:
        assert server.stop() == 0
