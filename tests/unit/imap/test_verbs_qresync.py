"""QRESYNC (RFC 7162 section 3.2): what went and what changed, told in one pass to a client that comes back."""

import pytest


@pytest.fixture
def client(suite, mail):
    for number in range(6):
        suite.account.put("INBOX", mail(str(number)))  # MODSEQs 2 to 7
    suite.account.boxes["INBOX"].recent.clear()
    suite.account.add_box("other")
    return suite.connect().login()


@pytest.fixture
def resyncing(client):
    client.ok(b"ENABLE QRESYNC")
    return client


def change(suite, uid, flag="\\Seen"):
    box = suite.account.boxes["INBOX"]
    box.modseq += 1
    box.messages[uid].flags |= {flag}
    box.messages[uid].modseq = box.modseq
    suite.account.tell(box)


def expunge(suite, *uids):
    box = suite.account.boxes["INBOX"]
    box.modseq += 1
    for uid in uids:
        del box.messages[uid]
        box.expunged.append((uid, box.modseq))
    suite.account.tell(box)


def missed(lines):
    return [line for line in lines if b"VANISHED" in line or b" FETCH " in line]


def test_who_has_not_enabled_it_must_not_use_it(client):
    for command in (b"SELECT INBOX (QRESYNC (7 5))", b"EXAMINE INBOX (QRESYNC (7 5))"):
        assert client.run(command)[1].startswith(b"BAD")
    client.ok(b"ENABLE CONDSTORE")
    client.select()
    assert client.run(b"UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)")[1].startswith(b"BAD")
    assert client.run(b"SELECT other (QRESYNC (7 5))") == ([], b"BAD ENABLE QRESYNC comes first")
    client.ok(b"CHECK")  # the mailbox is still selected


def test_select_tells_what_was_missed(suite, resyncing):
    expunge(suite, 2, 3)
    change(suite, 5)
    lines = resyncing.ok(b"SELECT INBOX (QRESYNC (7 7))")
    assert b"* 4 EXISTS" in lines
    assert b"* OK [HIGHESTMODSEQ 9] highest MODSEQ" in lines
    assert lines[-2:] == [b"* VANISHED (EARLIER) 2:3", b"* 3 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (9))"]
    assert missed(resyncing.ok(b"EXAMINE INBOX (QRESYNC (7 9))")) == []
    assert missed(resyncing.ok(b"SELECT INBOX (QRESYNC (7 8))")) == lines[-1:]
    assert missed(resyncing.ok(b"SELECT INBOX (QRESYNC (7 7 1,3:4,6))")) == [b"* VANISHED (EARLIER) 3"]
    assert missed(resyncing.ok(b"SELECT INBOX (QRESYNC (7 7 4:9))")) == lines[-1:]


@pytest.mark.parametrize("command", [b"SELECT", b"EXAMINE"])
def test_what_happens_while_a_mailbox_is_opened_is_told_afterwards(suite, resyncing, mail, monkeypatch, command):
    pass_gate = suite.account.pass_gate

    async def after_the_snapshot(call):
        await pass_gate(call)
        if call == "history":
            expunge(suite, 2)
            change(suite, 5)
            suite.account.deliver("INBOX", mail("new"))

    monkeypatch.setattr(suite.account, "pass_gate", after_the_snapshot)
    lines, status = resyncing.run(command + b" INBOX (QRESYNC (7 7))")
    assert status.startswith(b"OK [READ-")
    assert [line for line in lines if line.endswith(b" EXISTS")] == [b"* 6 EXISTS"]
    assert missed(lines) == []  # a MODSEQ of 9 would say that the client knows of the expunge, with 8
    told = resyncing.ok(b"NOOP")
    assert told[:2] == [b"* VANISHED 2", b"* 6 EXISTS"]
    assert b"* 4 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (9))" in told


def test_another_uidvalidity_is_no_ground_to_tell_anything(suite, resyncing):
    expunge(suite, 2)
    lines = resyncing.ok(b"SELECT INBOX (QRESYNC (8 1))")
    assert missed(lines) == []
    assert b"* OK [UIDVALIDITY 7] UIDs are valid" in lines


def test_what_is_forgotten_is_told_as_all_that_is_not_there(suite, resyncing):
    expunge(suite, 2, 3)
    box = suite.account.boxes["INBOX"]
    box.forgotten = box.modseq
    box.expunged.clear()
    expunge(suite, 6)
    select = b"SELECT INBOX (QRESYNC (7 7%b))"
    assert missed(resyncing.ok(select % b"")) == [b"* VANISHED (EARLIER) 2:3,6"]
    assert missed(resyncing.ok(select % b" 1:99")) == [b"* VANISHED (EARLIER) 2:3,6"]
    assert missed(resyncing.ok(select % b" 1,3:5")) == [b"* VANISHED (EARLIER) 3"]
    assert missed(resyncing.ok(select % b" (2 4)")) == [b"* VANISHED (EARLIER) 6"]
    assert missed(resyncing.ok(select % b" 1:9 (1,3 1,4)")) == [b"* VANISHED (EARLIER) 2:3,6"]
    assert missed(resyncing.ok(b"SELECT INBOX (QRESYNC (7 8))")) == [b"* VANISHED (EARLIER) 6"]


def test_an_empty_mailbox_that_never_held_anything(resyncing):
    assert missed(resyncing.ok(b"SELECT other (QRESYNC (7 1))")) == []


def test_uid_fetch_tells_what_vanished_before_the_rest(suite, resyncing):
    expunge(suite, 2, 4)
    resyncing.ok(b"SELECT INBOX")
    change(suite, 3)
    lines = resyncing.ok(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 7 VANISHED)")
    assert lines[0] == b"* VANISHED (EARLIER) 2,4"
    assert lines[1] == b"* 2 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (9))"
    assert missed(resyncing.ok(b"UID FETCH 3:5 (FLAGS) (VANISHED CHANGEDSINCE 7)"))[0] == b"* VANISHED (EARLIER) 4"
    assert missed(resyncing.ok(b"UID FETCH 1:* (UID) (CHANGEDSINCE 9 VANISHED)")) == []
    assert resyncing.run(b"FETCH 1:* (FLAGS) (CHANGEDSINCE 7 VANISHED)")[1].startswith(b"BAD")


def test_what_goes_while_the_mailbox_is_selected_is_not_earlier(suite, resyncing):
    resyncing.ok(b"SELECT INBOX")
    expunge(suite, 2)
    lines, status = resyncing.run(b"UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 7 VANISHED)")
    assert lines == [b"* VANISHED 2"]
    assert status.startswith(b"OK [HIGHESTMODSEQ 8]")


def test_a_modseq_is_never_told_before_what_went_earlier(suite, resyncing):
    resyncing.ok(b"SELECT INBOX")
    box = suite.account.boxes["INBOX"]
    listeners, suite.account.changes.listeners = suite.account.changes.listeners, []
    expunge(suite, 2)  # by another process, whose notices have not come yet
    change(suite, 3)
    suite.account.changes.listeners = listeners
    lines, status = resyncing.run(b"UID FETCH 3 (MODSEQ)")
    assert lines == [
        b"* 3 FETCH (UID 3 MODSEQ (9))",
        b"* VANISHED 2",
        b"* 2 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (9))",
    ]
    assert status.startswith(b"OK [HIGHESTMODSEQ %d]" % box.modseq)


def test_expunge_tells_vanished_and_the_modseq(resyncing):
    resyncing.ok(b"SELECT INBOX")
    resyncing.ok(b"STORE 2:3,5 +FLAGS.SILENT (\\Deleted)")
    assert resyncing.run(b"UID EXPUNGE 2") == ([b"* VANISHED 2"], b"OK [HIGHESTMODSEQ 9] EXPUNGE completed")
    assert resyncing.run(b"EXPUNGE") == ([b"* VANISHED 3,5"], b"OK [HIGHESTMODSEQ 10] EXPUNGE completed")
    assert resyncing.run(b"UID EXPUNGE 5") == ([], b"OK EXPUNGE completed")
    lines, status = resyncing.run(b"MOVE 1 other")
    assert lines[1:] == [b"* VANISHED 1"]
    assert status.startswith(b"OK [HIGHESTMODSEQ ")


def test_close_tells_no_modseq(suite, resyncing):
    resyncing.ok(b"SELECT INBOX")
    resyncing.ok(b"STORE 2 +FLAGS.SILENT (\\Deleted)")
    assert resyncing.run(b"CLOSE") == ([], b"OK CLOSE completed")
    assert 2 not in suite.account.boxes["INBOX"].messages


def test_without_qresync_it_is_expunge_and_no_modseq(client):
    client.ok(b"ENABLE CONDSTORE")
    client.select()
    client.ok(b"STORE 2:3 +FLAGS.SILENT (\\Deleted)")
    assert client.run(b"EXPUNGE") == ([b"* 2 EXPUNGE", b"* 2 EXPUNGE"], b"OK EXPUNGE completed")


def test_what_is_held_back_keeps_the_modseq_down(suite, resyncing):
    """As in the example of RFC 7162 section 6."""
    resyncing.ok(b"SELECT INBOX")
    expunge(suite, 6)
    lines, status = resyncing.run(b"STORE 1:2 (UNCHANGEDSINCE 7) +FLAGS.SILENT (\\Seen)")
    assert lines == [b"* 1 FETCH (UID 1 MODSEQ (9))", b"* 2 FETCH (UID 2 MODSEQ (9))"]
    assert status.startswith(b"OK [HIGHESTMODSEQ 7]")
    lines, status = resyncing.run(b"STORE 1:3 (UNCHANGEDSINCE 7) FLAGS (\\Draft)")
    assert lines[-1] == b"* OK [HIGHESTMODSEQ 7] highest MODSEQ"
    assert status.startswith(b"OK [MODIFIED 1:2]")
    lines, status = resyncing.run(b"NOOP")
    assert lines == [b"* VANISHED 6"]
    assert status.startswith(b"OK [HIGHESTMODSEQ 10]")
    assert resyncing.run(b"NOOP") == ([], b"OK NOOP completed")


def test_numbers_do_not_change_while_a_search_names_them(suite, resyncing):
    resyncing.ok(b"SELECT INBOX")
    expunge(suite, 2)
    lines, _ = resyncing.run(b"UID SEARCH 3:4")
    assert not any(b"VANISHED" in line for line in lines)
    assert b"* VANISHED 2" in resyncing.ok(b"UID SEARCH UID 3:4")


def test_an_idling_client_is_told_both(suite, resyncing):
    resyncing.ok(b"SELECT INBOX")
    resyncing.send(b"i IDLE\r\n")
    expunge(suite, 2, 3)
    resyncing.settle()
    assert resyncing.received() == b"* VANISHED 2:3\r\n* OK [HIGHESTMODSEQ 8] highest MODSEQ\r\n"
    resyncing.send(b"DONE\r\n")


def test_ten_thousand_changes_come_in_one_pass_and_in_turns(suite, resyncing, mail):
    content = mail()
    for _ in range(10_000):
        suite.account.put("INBOX", content)
    box = suite.account.boxes["INBOX"]
    box.recent.clear()
    began = box.modseq
    expunge(suite, *range(1_000, 6_000))
    for uid in range(6_000, 10_000):
        box.modseq += 1
        box.messages[uid].modseq = box.modseq
    writes = []
    write = resyncing.server.write

    def note(octets):
        writes.append(len(octets))
        write(octets)

    resyncing.server.write = note
    lines = missed(resyncing.ok(b"SELECT INBOX (QRESYNC (7 %d))" % began))
    told = [line for line in lines if b"EARLIER" in line]
    assert lines[: len(told)] == told  # before any FETCH (RFC 7162 section 3.2.6)
    assert len(lines) - len(told) == 4_000
    assert len(told) == 5
    assert max(writes) < 64 * 1024
    assert suite.account.calls.count("history") == 1
