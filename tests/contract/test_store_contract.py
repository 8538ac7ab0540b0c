"""What every store promises: `IMailAccount`, `IMailbox`, `IBodyFile`, `IDeliveryStore`."""

import pytest
from zope.interface.verify import verifyObject

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    AppendMessage,
    Body,
    Column,
    History,
    IBodyFile,
    IDeliveryStore,
    IMailAccount,
    IMailbox,
    SpecialUse,
    SpecialUseError,
    StoreMode,
    TooManyKeywordsError,
)

ONE = b"From: a@example.com\r\nSubject: one\r\n\r\nfirst body\r\n"
TWO = b"From: b@example.com\r\nSubject: two\r\nX-Own: yes\r\n\r\nsecond body, longer\r\n"
MIXED = (
    b"Content-Type: multipart/mixed; boundary=cut\r\n\r\n--cut\r\n\r\ntext\r\n--cut\r\nContent-Type: image/png\r\n\r\n"
    b"xx\r\n--cut--\r\n"
)
SEEN, DELETED = "\\Seen", "\\Deleted"


def refused(bench, awaitable_of):
    with pytest.raises(MailError) as caught:
        bench.go(awaitable_of())
    return caught.value.kind


def names(bench, number=1):
    return [entry.name for entry in bench.go(bench.account(number).list_mailboxes())]


def test_interfaces_are_provided(bench):
    account = bench.account()
    assert verifyObject(IMailAccount, account)
    assert verifyObject(IMailbox, bench.mailbox())
    assert verifyObject(IDeliveryStore, bench.store)
    assert verifyObject(IBodyFile, bench.go(account.begin_body(10)))


# names


def test_first_use_makes_inbox_and_special_mailboxes(bench):
    entries = bench.go(bench.account().list_mailboxes())
    assert [entry.name for entry in entries] == ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]
    assert [entry.special_use for entry in entries[1:]] == [
        {SpecialUse.ARCHIVE},
        {SpecialUse.DRAFTS},
        {SpecialUse.JUNK},
        {SpecialUse.SENT},
        {SpecialUse.TRASH},
    ]
    assert all(entry.subscribed and entry.selectable for entry in entries[1:])


def test_inbox_is_inbox_in_any_case(bench):
    bench.append(ONE, name="inBox")
    assert bench.go(bench.account().status("INBOX")).messages == 1
    assert bench.mailbox("inbox").name == "INBOX"
    assert refused(bench, lambda: bench.account().create("Inbox", frozenset())) is Kind.EXISTS


@pytest.mark.parametrize(
    "name",
    ["Work", "Work/2024", "a.b", "a.b/c.d", "Entwürfe", "日本", "100 % & more", "~user", "cur", "tmp", "a\\b", "..x"],
)
def test_any_printable_name_can_be_made_found_and_deleted(bench, name):
    account = bench.account()
    made = bench.go(account.create(name, frozenset()))
    assert made.mailbox_id > 0
    assert made.uidvalidity == bench.go(account.status(name)).uidvalidity
    entry = next(entry for entry in bench.go(account.list_mailboxes()) if entry.name == name)
    assert (entry.mailbox_id, entry.selectable) == (made.mailbox_id, True)
    bench.append(ONE, name=name)
    bench.reopen()
    assert bench.contents(name) == [ONE]
    bench.go(bench.account().delete(name))
    assert name not in names(bench)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "a//b",
        "/a",
        "a/",
        "..",
        "../../etc",
        "a/../b",
        ".",
        "nul\0",
        "tab\t",
        "line\r\n",
        "\x7f",
        "x\x85",
        "\ud800",
        "x" * 256,
        "/".join("abcdefghijklmnopqrstuvwxyzabcdefghi"),
    ],
)
def test_hostile_names_are_invalid_to_make_and_not_found_to_open(bench, name):
    account = bench.account()
    assert refused(bench, lambda: account.create(name, frozenset())) is Kind.INVALID
    assert refused(bench, lambda: account.rename("Sent", name)) is Kind.INVALID
    assert refused(bench, lambda: account.open_mailbox(name, read_only=True)) is Kind.NOT_FOUND
    assert refused(bench, lambda: account.status(name)) is Kind.NOT_FOUND
    assert refused(bench, lambda: account.delete(name)) is Kind.NOT_FOUND
    assert refused(bench, lambda: account.append(name, [AppendMessage(content=ONE)])) is Kind.NOT_FOUND


def test_names_are_nfc(bench):
    bench.go(bench.account().create("Cafe\u0301", frozenset()))
    assert "Caf\u00e9" in names(bench)
    assert refused(bench, lambda: bench.account().create("Caf\u00e9", frozenset())) is Kind.EXISTS


def test_create_makes_the_levels_above_and_keeps_attributes(bench):
    bench.go(bench.account().create("a/b/c", frozenset({SpecialUse.ARCHIVE})))
    bench.reopen()
    entries = {entry.name: entry for entry in bench.go(bench.account().list_mailboxes())}
    assert entries["a"].selectable
    assert entries["a/b"].selectable
    assert entries["a/b/c"].special_use == {SpecialUse.ARCHIVE}
    assert refused(bench, lambda: bench.account().create("a/b", frozenset())) is Kind.EXISTS


@pytest.mark.parametrize("use", [SpecialUse.ALL, SpecialUse.FLAGGED])
def test_a_mailbox_is_not_made_to_show_what_is_in_others(bench, use):
    with pytest.raises(SpecialUseError):
        bench.go(bench.account().create("all/of it", frozenset({use, SpecialUse.JUNK})))
    assert not {"all", "all/of it"} & set(names(bench))


def test_too_many_mailboxes_are_over_quota(bench):
    account = bench.account()
    for number in range(24):
        bench.go(account.create(f"box {number}", frozenset()))
    assert refused(bench, lambda: account.create("one more", frozenset())) is Kind.OVER_QUOTA


def test_delete_keeps_a_name_with_mailboxes_below(bench):
    account = bench.account()
    bench.go(account.create("a/b", frozenset()))
    bench.append(ONE, name="a")
    bench.go(account.delete("a"))
    entry = next(entry for entry in bench.go(account.list_mailboxes()) if entry.name == "a")
    assert (entry.selectable, entry.mailbox_id) == (False, 0)
    assert refused(bench, lambda: account.open_mailbox("a", read_only=True)) is Kind.NOT_FOUND
    assert refused(bench, lambda: account.delete("a")) is Kind.CONFLICT
    bench.go(account.delete("a/b"))
    assert not [name for name in names(bench) if name.startswith("a")]


def test_delete_refuses_inbox_and_unknown_names(bench):
    assert refused(bench, lambda: bench.account().delete("inbox")) is Kind.DENIED
    assert refused(bench, lambda: bench.account().delete("nothing")) is Kind.NOT_FOUND


def test_a_name_made_again_has_a_higher_uidvalidity_and_is_empty(bench):
    account = bench.account()
    seen = []
    for _ in range(3):
        made = bench.go(account.create("again", frozenset()))
        status = bench.go(account.status("again"))
        assert status.messages == 0
        seen.append((status.uidvalidity, made.mailbox_id))
        bench.append(ONE, name="again")
        bench.go(account.delete("again"))
    assert seen == sorted(set(seen))
    assert len({validity for validity, _ in seen}) == 3


def test_an_open_mailbox_that_is_deleted_is_not_found(bench):
    bench.go(bench.account().create("gone", frozenset()))
    box = bench.mailbox("gone")
    bench.go(bench.account().delete("gone"))
    assert refused(bench, box.snapshot) is Kind.NOT_FOUND
    assert refused(bench, lambda: box.changes(0)) is Kind.NOT_FOUND


def test_rename_moves_mailboxes_below_and_keeps_ids_uids_and_open_sessions(bench):
    account = bench.account()
    bench.go(account.create("old/sub.dot", frozenset()))
    bench.append(ONE, name="old/sub.dot")
    before = {entry.name: entry.mailbox_id for entry in bench.go(account.list_mailboxes())}
    box = bench.mailbox("old/sub.dot")
    validity = bench.go(box.snapshot()).uidvalidity
    bench.go(account.rename("old", "new/place"))
    after = {entry.name: entry.mailbox_id for entry in bench.go(account.list_mailboxes())}
    assert after["new/place"] == before["old"]
    assert after["new/place/sub.dot"] == before["old/sub.dot"]
    assert after["new"] > 0
    assert not [name for name in after if name.startswith("old")]
    assert bench.go(box.read(1, 0, 100)) == ONE
    bench.reopen()
    assert bench.contents("new/place/sub.dot") == [ONE]
    assert bench.go(bench.account().status("new/place/sub.dot")).uidvalidity == validity


def test_rename_errors(bench):
    account = bench.account()
    assert refused(bench, lambda: account.rename("nothing", "x")) is Kind.NOT_FOUND
    assert refused(bench, lambda: account.rename("Sent", "Trash")) is Kind.EXISTS
    assert refused(bench, lambda: account.rename("Sent", "Sent")) is Kind.EXISTS
    assert refused(bench, lambda: account.rename("Sent", "INBOX")) is Kind.EXISTS
    assert refused(bench, lambda: account.rename("Sent", "Sent/below")) is Kind.INVALID


def test_rename_of_inbox_moves_its_messages(bench):
    bench.append(ONE, TWO, flags=[SEEN])
    bench.go(bench.account().create("INBOX/kept", frozenset()))
    bench.go(bench.account().rename("INBOX", "old mail"))
    assert bench.contents("old mail") == [ONE, TWO]
    status = bench.go(bench.account().status("INBOX"))
    assert (status.messages, status.uidnext) == (0, 3)
    assert "INBOX/kept" in names(bench)
    assert bench.go(bench.account().status("old mail")).unseen == 0


def test_subscriptions_outlive_mailboxes(bench):
    account = bench.account()
    bench.go(account.subscribe("not/there", True))
    bench.go(account.subscribe("Sent", False))
    bench.reopen()
    entries = {entry.name: entry for entry in bench.go(bench.account().list_mailboxes())}
    assert (entries["not/there"].subscribed, entries["not/there"].selectable) == (True, False)
    assert (entries["not"].subscribed, entries["not"].selectable) == (False, False)
    assert not entries["Sent"].subscribed
    bench.go(bench.account().subscribe("not/there", False))
    assert "not/there" not in names(bench)


# messages


def test_append_keeps_octets_flags_and_date(bench):
    appended = bench.append(ONE, TWO, flags=[SEEN, "$Label1"], date=1_234_567_890)
    assert list(appended.uids) == [1, 2]
    bench.reopen()
    box = bench.mailbox()
    rows = bench.go(box.fetch([1, 2], [Column.FLAGS, Column.INTERNAL_DATE, Column.SIZE]))
    assert [tuple(row) for row in rows] == [
        (1, {SEEN, "$Label1"}, 1_234_567_890, len(ONE)),
        (2, {SEEN, "$Label1"}, 1_234_567_890, len(TWO)),
    ]
    assert bench.contents() == [ONE, TWO]
    assert bench.go(box.snapshot()).uidvalidity == appended.uidvalidity


def test_append_without_date_means_now(bench):
    bench.append(ONE)
    assert bench.go(bench.mailbox().fetch([1], [Column.INTERNAL_DATE, Column.SAVED])) == [
        (1, 1_800_000_000, 1_800_000_000)
    ]


def test_append_is_all_or_nothing(bench):
    large = b"x" * 100_001
    kind = refused(
        bench,
        lambda: bench.account().append("INBOX", [AppendMessage(content=ONE), AppendMessage(content=large)]),
    )
    assert kind is Kind.TOO_LARGE
    bad = AppendMessage(content=ONE, flags=frozenset({"\\Unknown"}))
    assert refused(bench, lambda: bench.account().append("INBOX", [AppendMessage(content=ONE), bad])) is Kind.INVALID
    assert bench.contents() == []
    assert list(bench.append(TWO).uids) == [1]


def test_append_to_nothing_is_not_found(bench):
    assert refused(bench, lambda: bench.account().append("none", [AppendMessage(content=ONE)])) is Kind.NOT_FOUND


def test_large_bodies_come_through_a_file(bench):
    account = bench.account()
    body = bench.go(account.begin_body(50))
    bench.go(body.write(ONE[:10]))
    bench.go(body.write(ONE[10:]))
    finished = bench.go(body.finish())
    assert isinstance(finished, Body)
    assert finished.size_octets == len(ONE)
    bench.go(account.append("INBOX", [AppendMessage(content=finished)]))
    assert bench.contents() == [ONE]
    bench.go(account.begin_body(50)).abort()
    assert refused(bench, lambda: account.begin_body(100_001)) is Kind.TOO_LARGE
    assert refused(bench, lambda: bench.account(quota=60).begin_body(50)) is Kind.OVER_QUOTA


def test_fetch_gives_rows_in_order_and_passes_over_what_is_not_there(bench):
    bench.append(ONE, TWO, ONE)
    box = bench.mailbox()
    rows = bench.go(box.fetch([3, 99, 1], [Column.SIZE, Column.UID]))
    assert rows == [(1, len(ONE)), (3, len(ONE))]
    assert bench.go(box.fetch([], [Column.SIZE])) == []
    assert bench.go(box.fetch([0, -1, 2**40], [Column.SIZE])) == []
    assert bench.go(box.fetch([1, 2**32 - 1], [])) == [(1,)]


def test_fetch_gives_no_more_octets_of_header_fields_than_were_asked_for_but_one_message(bench):
    mails = [b"Subject: %b\r\n\r\n" % (b"%d" % number * 100) for number in range(6)]
    bench.append(*mails)
    box = bench.mailbox()
    one = len(mails[0]) - 2

    def given(uids, octets, columns=(Column.SIZE, Column.HEADER)):
        return [row[0] for row in bench.go(box.fetch(uids, columns, octets))]

    everything = list(range(1, 7))
    assert given(everything, None) == everything
    assert given(everything, 6 * one) == everything
    assert given(everything, 6 * one - 1) == everything[:-1]
    assert given(everything, 2 * one) == [1, 2]
    assert given(everything, 0) == [1]
    assert given([99, 6, 2, 4], 2 * one) == [2, 4]
    assert given([2, 4, 2**32 - 1], one) == [2]
    assert given([3, 5], 2 * one) == [3, 5]
    assert given([99], one) == []
    (row,) = bench.go(box.fetch([2, 3], [Column.HEADER, Column.FLAGS], one))
    assert row == (2, mails[1][:-2], frozenset())


def test_fetch_gives_ready_made_octets(bench):
    bench.append(TWO)
    ((_, envelope, body, structure, header),) = bench.go(
        bench.mailbox().fetch([1], [Column.ENVELOPE, Column.BODY, Column.BODYSTRUCTURE, Column.HEADER])
    )
    assert envelope.startswith(b'(NIL "two" ((NIL NIL "b" "example.com"))')
    assert body.startswith(b'("text" "plain" ')
    assert structure.startswith(b'("text" "plain" ')
    assert header == b"From: b@example.com\r\nSubject: two\r\n"


def test_equal_flags_are_the_same_object(bench):
    bench.append(ONE, TWO, flags=[SEEN, "word"])
    snapshot = bench.go(bench.mailbox().snapshot())
    rows = bench.go(bench.mailbox().fetch([1, 2], [Column.FLAGS]))
    if bench.kind != "memory":
        assert snapshot.flags[0] is snapshot.flags[1] is rows[0][1] is rows[1][1]
    assert snapshot.flags[0] == {SEEN, "word"}


def test_rename_makes_no_more_mailboxes_than_create(bench):
    account = bench.account()
    there = len([entry for entry in bench.go(account.list_mailboxes()) if entry.mailbox_id])
    for number in range(bench.settings.mailboxes_max - there - 1):
        bench.go(account.create(f"n{number}", frozenset()))
    bench.append(ONE)
    for old, new in (("INBOX", "a/b"), ("n0", "a/b/c")):
        with pytest.raises(MailError) as refused:
            bench.go(account.rename(old, new))
        assert refused.value.kind is Kind.OVER_QUOTA
    assert len(bench.contents("INBOX")) == 1
    bench.go(account.rename("n0", "a/b"))
    with pytest.raises(MailError) as refused:
        bench.go(account.rename("INBOX", "old"))
    assert refused.value.kind is Kind.OVER_QUOTA
    bench.go(account.rename("a/b", "n0"))
    bench.go(account.delete("n1"))
    bench.go(account.rename("INBOX", "old"))
    assert bench.contents("old") == [ONE]


def test_email_id_survives_copy_and_move(bench):
    bench.append(ONE)
    box = bench.mailbox()
    ((_, original),) = bench.go(box.fetch([1], [Column.EMAIL_ID]))
    bench.go(box.copy_to([1], "Sent"))
    bench.go(box.move_to([1], "Trash"))
    for name in ("Sent", "Trash"):
        assert bench.go(bench.mailbox(name).fetch([1], [Column.EMAIL_ID])) == [(1, original)]


def test_thread_id_is_that_of_what_is_answered_in_whatever_mailbox(bench):
    question = b"Message-ID: <q@example.test>\r\nSubject: q\r\n\r\n?\r\n"
    answer = b"Message-ID: <a@example.test>\r\nIn-Reply-To: <q@example.test>\r\n\r\n!\r\n"
    nameless = b"Subject: q\r\n\r\n?\r\n"
    bench.append(question, nameless, nameless)
    bench.append(answer, name="Sent")
    box = bench.mailbox()
    bench.go(box.copy_to([2], "Sent"))
    rows = bench.go(box.fetch([1, 2, 3], [Column.THREAD_ID]))
    first, second, third = [thread for _, thread in rows]
    assert len({first, second, third}) == 3
    sent = bench.go(bench.mailbox("Sent").fetch([1, 2], [Column.SIZE, Column.THREAD_ID, Column.EMAIL_ID]))
    assert [row[2] for row in sent] == [first, second]
    assert all(row[1] > 0 and row[3] not in {first, second, third} for row in sent)


def test_reading_octets(bench):
    bench.append(ONE, TWO, MIXED)
    box = bench.mailbox()
    assert bench.go(box.read(1, 5, 7)) == ONE[5:12]
    assert bench.go(box.read(1, len(ONE) - 3, 100)) == ONE[-3:]
    assert bench.go(box.read(1, 10_000, 10)) == b""
    assert bench.go(box.read_many([1, 2, 3], 1)) == [(1, ONE)]
    assert bench.go(box.read_many([2, 77, 3], 10**6)) == [(2, TWO), (3, MIXED)]
    assert [part.content_type for part in bench.go(box.parts(3)).children] == ["text/plain", "image/png"]
    for call in (lambda: box.read(9, 0, 1), lambda: box.parts(9)):
        assert refused(bench, call) is Kind.EXPUNGED


def test_search_text_runs_the_test_over_octets(bench):
    bench.append(ONE, TWO, ONE)

    def wanted(read, size):
        assert read(0, size + 10) in {ONE, TWO}
        return b"second" in read(0, size)

    assert list(bench.go(bench.mailbox().search_text([1, 2, 3, 9], wanted))) == [2]


# flags


def test_store_flags_modes_and_modseq(bench):
    bench.append(ONE, TWO)
    box = bench.mailbox()
    before = bench.go(box.snapshot()).highest_modseq
    changed, late = bench.go(box.store_flags([1, 2, 9], StoreMode.ADD, frozenset({SEEN, "$Work"}), None))
    assert [tuple(line) for line in changed] == [
        (1, {SEEN, "$Work"}, before + 1),
        (2, {SEEN, "$Work"}, before + 1),
    ]
    assert list(late) == []
    changed, _ = bench.go(box.store_flags([1], StoreMode.REMOVE, frozenset({SEEN}), None))
    assert [tuple(line) for line in changed] == [(1, {"$Work"}, before + 2)]
    changed, _ = bench.go(box.store_flags([1], StoreMode.REPLACE, frozenset({DELETED}), None))
    assert [tuple(line) for line in changed] == [(1, {DELETED}, before + 3)]
    changed, _ = bench.go(box.store_flags([1], StoreMode.ADD, frozenset({DELETED}), None))
    assert [tuple(line) for line in changed] == [(1, {DELETED}, before + 3)], "nothing changed, so the MODSEQ stays"
    bench.reopen()
    assert list(bench.go(bench.mailbox().snapshot()).flags) == [{DELETED}, {SEEN, "$Work"}]
    assert bench.go(bench.mailbox().snapshot()).keywords == {"$Work"}


def test_unchanged_since_leaves_what_changed_alone(bench):
    bench.append(ONE, TWO)
    box = bench.mailbox()
    first = bench.go(box.snapshot()).highest_modseq
    bench.go(box.store_flags([1], StoreMode.ADD, frozenset({SEEN}), None))
    changed, late = bench.go(box.store_flags([1, 2], StoreMode.ADD, frozenset({DELETED}), first))
    assert [line[0] for line in changed] == [2]
    assert list(late) == [1]
    assert list(bench.go(box.snapshot()).flags) == [{SEEN}, {DELETED}]


def test_flags_compare_without_case_and_recent_cannot_be_stored(bench):
    bench.append(ONE, flags=["\\sEEN", "\\Recent", "Work"])
    box = bench.mailbox()
    changed, _ = bench.go(box.store_flags([1], StoreMode.ADD, frozenset({"work", "\\DELETED"}), None))
    assert changed[0][1] == {SEEN, DELETED, "Work"}
    changed, _ = bench.go(box.store_flags([1], StoreMode.REMOVE, frozenset({"WORK"}), None))
    assert changed[0][1] == {SEEN, DELETED}


@pytest.mark.parametrize("flag", ["\\Own", "", "two words", "par(", "star*", 'quote"', "x" * 51, "ümlaut", "ctl\x01"])
def test_flags_that_cannot_be_stored_are_invalid(bench, flag):
    bench.append(ONE)
    box = bench.mailbox()
    assert refused(bench, lambda: box.store_flags([1], StoreMode.ADD, frozenset({flag}), None)) is Kind.INVALID


def test_too_many_keywords_are_refused_and_change_nothing(bench):
    bench.append(ONE)
    box = bench.mailbox()
    bench.go(box.store_flags([1], StoreMode.ADD, frozenset(f"k{number}" for number in range(20)), None))
    assert bench.account().keywords_max == len(bench.go(box.snapshot()).keywords) == 20
    for mode in (StoreMode.ADD, StoreMode.REPLACE):
        with pytest.raises(TooManyKeywordsError):
            bench.go(box.store_flags([1], mode, frozenset({"k20", SEEN}), None))
    with pytest.raises(TooManyKeywordsError):
        bench.append(ONE, flags=["k20"])
    snapshot = bench.go(box.snapshot())
    assert len(snapshot.keywords) == 20
    assert len(snapshot.uids) == 1
    assert SEEN not in snapshot.flags[0]
    bench.go(box.store_flags([1], StoreMode.ADD, frozenset({"K1", SEEN}), None))


def test_examine_changes_nothing(bench):
    bench.append(ONE, flags=[DELETED])
    box = bench.mailbox(read_only=True)
    assert box.read_only
    for call in (
        lambda: box.store_flags([1], StoreMode.ADD, frozenset({SEEN}), None),
        lambda: box.expunge(None),
        lambda: box.move_to([1], "Trash"),
    ):
        assert refused(bench, call) is Kind.DENIED
    assert bench.go(box.copy_to([1], "Sent")).uids


# recent


def test_recent_belongs_to_one_session(bench):
    bench.append(ONE, TWO)
    assert bench.go(bench.account().status("INBOX")).recent == 2
    assert bench.go(bench.mailbox(read_only=True).snapshot()).recent == {1, 2}
    first = bench.mailbox()
    snapshot = bench.go(first.snapshot())
    assert snapshot.recent == {1, 2}
    second = bench.mailbox()
    assert bench.go(second.snapshot()).recent == set()
    assert bench.go(bench.account().status("INBOX")).recent == 0
    bench.append(ONE)
    assert bench.go(second.changes(snapshot.highest_modseq)).recent == {3}
    assert bench.go(first.changes(snapshot.highest_modseq)).recent == set()


# changes


def test_changes_tell_everything_since_a_modseq(bench):
    bench.append(ONE, TWO, ONE)
    watcher, worker = bench.mailbox(), bench.mailbox()
    start = bench.go(watcher.snapshot()).highest_modseq
    assert bench.go(watcher.changes(start)).modseq == start
    bench.go(worker.store_flags([2, 3], StoreMode.ADD, frozenset({DELETED, "word"}), None))
    bench.go(worker.expunge([3]))
    bench.append(TWO, flags=[SEEN])
    changes = bench.go(watcher.changes(start))
    assert list(changes.expunged) == [3]
    assert [tuple(line) for line in changes.flags] == [(2, {DELETED, "word"}, start + 1), (4, {SEEN}, start + 3)]
    assert list(changes.added) == [4]
    assert changes.keywords == {"word"}
    assert changes.modseq == start + 3
    later = bench.go(watcher.changes(changes.modseq))
    assert (list(later.flags), list(later.expunged), list(later.added)) == ([], [], [])


def test_history_tells_what_changed_since_any_modseq_and_takes_no_recent(bench):
    bench.append(ONE, TWO, MIXED)
    box = bench.mailbox()
    start = bench.go(box.snapshot()).highest_modseq
    rows, _ = bench.go(box.store_flags([2], StoreMode.ADD, frozenset([SEEN]), None))
    bench.go(box.store_flags([1], StoreMode.ADD, frozenset([DELETED]), None))
    bench.go(box.expunge(None))
    bench.append(TWO)
    bench.reopen()
    box = bench.mailbox()
    history = bench.go(box.history(start))
    assert history.complete
    assert list(history.expunged) == [1]
    assert list(history.flags) == [rows[0], (4, frozenset(), history.modseq)]
    assert bench.go(box.snapshot()).recent == {4}
    assert history.modseq == bench.go(box.snapshot()).highest_modseq
    assert bench.go(box.history(history.modseq)) == History(modseq=history.modseq, flags=[], expunged=[], complete=True)
    assert [uid for uid, _, _ in bench.go(box.history(0)).flags] == [2, 3, 4]


def test_accounts_remember_and_mailboxes_keep_their_ids(bench):
    assert bench.account().remembers
    made = bench.go(bench.account().create("Work", frozenset())).mailbox_id
    assert bench.go(bench.account().status("Work")).mailbox_id == made
    bench.go(bench.account().rename("Work", "Play"))
    bench.reopen()
    assert bench.go(bench.account().status("Play")).mailbox_id == made
    assert bench.go(bench.account().status("INBOX")).mailbox_id != made


def test_the_date_of_saving_is_that_of_the_mailbox_it_is_in(bench):
    bench.append(ONE, TWO, date=1_000_000)
    box = bench.mailbox()
    bench.now += 100
    bench.go(box.copy_to([1], "Sent"))
    bench.now += 100
    bench.go(box.move_to([2], "Sent"))
    began = int(bench.now) - 200
    assert [row[1] for row in bench.go(box.fetch([1, 2], [Column.SAVED]))] == [began]
    sent = bench.mailbox("Sent")
    rows = bench.go(sent.fetch([1, 2], [Column.SAVED, Column.INTERNAL_DATE]))
    assert [row[1:] for row in rows] == [(began + 100, 1_000_000), (began + 200, 1_000_000)]


def test_the_bus_tells_after_each_change(bench):
    heard = []
    box = bench.mailbox()
    subscription = bench.account().changes.subscribe(1, heard.append)
    bench.append(ONE)
    assert [(change.account_id, change.mailbox_id) for change in heard] == [(1, box.mailbox_id)]
    assert heard[-1].modseq == bench.go(box.snapshot()).highest_modseq
    bench.go(bench.account().create("new", frozenset()))
    assert any(change.mailbox_id == 0 for change in heard)
    bench.append(ONE, number=2)
    assert all(change.account_id == 1 for change in heard)
    count = len(heard)
    subscription.cancel()
    subscription.cancel()
    bench.append(ONE)
    assert len(heard) == count


# expunge, copy, move


def test_expunge_removes_only_deleted_and_only_what_was_asked(bench):
    bench.append(ONE, TWO, ONE)
    box = bench.mailbox()
    bench.go(box.store_flags([1, 3], StoreMode.ADD, frozenset({DELETED}), None))
    assert list(bench.go(box.expunge([1, 2]))) == [1]
    assert list(bench.go(box.expunge(None))) == [3]
    assert list(bench.go(box.expunge(None))) == []
    assert bench.contents() == [TWO]
    assert list(bench.append(ONE).uids) == [4]
    assert refused(bench, lambda: box.read(1, 0, 1)) is Kind.EXPUNGED
    bench.reopen()
    assert bench.contents() == [TWO, ONE]


def test_copy_keeps_flags_and_date(bench):
    bench.append(ONE, TWO, flags=[SEEN, "word"], date=99)
    box = bench.mailbox()
    copied = bench.go(box.copy_to([2, 1, 5], "Archive"))
    assert (list(copied.source_uids), list(copied.uids)) == ([1, 2], [1, 2])
    archive = bench.mailbox("Archive")
    assert [tuple(row) for row in bench.go(archive.fetch([1, 2], [Column.FLAGS, Column.INTERNAL_DATE]))] == [
        (1, {SEEN, "word"}, 99),
        (2, {SEEN, "word"}, 99),
    ]
    assert bench.go(archive.snapshot()).keywords == {"word"}
    assert bench.contents("Archive") == bench.contents() == [ONE, TWO]
    bench.go(box.store_flags([1, 2], StoreMode.ADD, frozenset({DELETED}), None))
    bench.go(box.expunge(None))
    assert bench.contents("Archive") == [ONE, TWO]
    assert refused(bench, lambda: box.copy_to([1], "none")) is Kind.NOT_FOUND
    assert list(bench.go(box.copy_to([1], "Archive")).uids) == []


def test_copy_into_the_same_mailbox(bench):
    bench.append(ONE)
    box = bench.mailbox()
    before = bench.go(box.snapshot()).highest_modseq
    assert list(bench.go(box.copy_to([1], "INBOX")).uids) == [2]
    assert bench.contents() == [ONE, ONE]
    assert list(bench.go(box.changes(before)).added) == [2]


def test_move_takes_messages_away_and_brings_them_there(bench):
    bench.append(ONE, TWO, flags=[SEEN])
    box = bench.mailbox()
    before = bench.go(box.snapshot()).highest_modseq
    moved = bench.go(box.move_to([1, 9], "Trash"))
    assert (list(moved.source_uids), list(moved.uids)) == ([1], [1])
    assert list(bench.go(box.changes(before)).expunged) == [1]
    bench.reopen()
    assert (bench.contents(), bench.contents("Trash")) == ([TWO], [ONE])
    trash = bench.mailbox("Trash")
    assert list(bench.go(trash.move_to([1], "INBOX")).uids) == [3]
    assert bench.contents() == [TWO, ONE]
    assert refused(bench, lambda: trash.move_to([1], "none")) is Kind.NOT_FOUND


def test_move_into_the_same_mailbox_gives_a_new_uid(bench):
    bench.append(ONE, TWO)
    box = bench.mailbox()
    assert list(bench.go(box.move_to([1], "INBOX")).uids) == [3]
    assert bench.contents() == [TWO, ONE]


def test_previews_are_kept_when_somebody_has_asked(bench):
    bench.append(b"Subject: a\r\n\r\nfirst words\r\n", b"Subject: b\r\n\r\n", TWO)
    box = bench.mailbox()
    before = bench.go(box.snapshot()).highest_modseq
    assert bench.go(box.previews([1, 2], make=False)) == {}
    assert bench.go(box.previews([1, 2, 9], make=True)) == {1: b"first words", 2: b""}
    assert bench.go(box.previews([3, 2, 1], make=False)) == {1: b"first words", 2: b""}
    assert bench.go(box.snapshot()).highest_modseq == before
    bench.reopen()
    box = bench.mailbox()
    assert bench.go(box.previews([1, 2, 3], make=False)) == {1: b"first words", 2: b""}
    bench.go(box.copy_to([1], "Archive"))
    bench.go(box.move_to([1], "Sent"))
    for name in ("Archive", "Sent"):
        assert bench.go(bench.mailbox(name).previews([1], make=False)) == {1: b"first words"}
    assert bench.go(box.previews([1], make=True)) == {}
    bench.go(box.store_flags([2], StoreMode.ADD, frozenset({DELETED}), None))
    bench.go(box.expunge(None))
    assert bench.go(box.previews([1, 2], make=False)) == {}
    assert bench.go(box.previews([], make=True)) == {}


@pytest.mark.parametrize("name", ["INBOX", "Drafts"])
def test_a_message_comes_in_place_of_another_one(bench, name):
    bench.append(ONE, TWO, flags=[SEEN])
    box, goal = bench.mailbox(), bench.mailbox(name)
    before, there = (bench.go(each.snapshot()).highest_modseq for each in (box, goal))
    (old,) = bench.go(box.fetch([1], [Column.EMAIL_ID]))
    message = AppendMessage(content=b"new", flags=frozenset({"$draft"}), internal_date=99)
    uid = 3 if name == "INBOX" else 1
    appended = bench.go(box.replace(1, name, message))
    assert (list(appended.uids), appended.uidvalidity) == ([uid], bench.go(goal.snapshot()).uidvalidity)
    assert list(bench.go(box.changes(before)).expunged) == [1]
    assert list(bench.go(goal.changes(there)).added) == [uid]
    ((_, flags, date, email_id),) = bench.go(goal.fetch([uid], [Column.FLAGS, Column.INTERNAL_DATE, Column.EMAIL_ID]))
    assert (flags, date) == ({"$draft"}, 99)
    assert email_id != old[1]
    bench.reopen()
    assert bench.contents() == ([TWO, b"new"] if name == "INBOX" else [TWO])
    assert bench.go(bench.account().status("INBOX")).messages == len(bench.contents())


def test_a_message_that_cannot_come_leaves_the_other_one(bench):
    bench.append(ONE)
    box = bench.mailbox()
    message = AppendMessage(content=TWO)
    before = bench.go(box.snapshot()).highest_modseq
    assert refused(bench, lambda: box.replace(1, "none", message)) is Kind.NOT_FOUND
    assert refused(bench, lambda: box.replace(2, "INBOX", message)) is Kind.EXPUNGED
    assert refused(bench, lambda: bench.mailbox(read_only=True).replace(1, "INBOX", message)) is Kind.DENIED
    assert refused(bench, lambda: box.replace(1, "INBOX", AppendMessage(content=bytes(100_001)))) is Kind.TOO_LARGE
    assert bench.go(box.snapshot()).highest_modseq == before
    assert bench.contents() == [ONE]


def test_only_what_a_message_needs_beyond_the_one_it_replaces_counts(bench):
    bench.append(b"x" * 60)
    box = bench.mailbox(quota=100)
    account = bench.account(quota=100)
    assert refused(bench, lambda: account.begin_body(90)) is Kind.OVER_QUOTA
    body = bench.go(account.begin_body(90, 60))
    bench.go(body.write(b"y" * 90))
    content = bench.go(body.finish())
    assert refused(bench, lambda: account.begin_body(101, 60)) is Kind.OVER_QUOTA
    assert refused(bench, lambda: box.replace(1, "INBOX", AppendMessage(content=b"z" * 101))) is Kind.OVER_QUOTA
    assert list(bench.go(box.replace(1, "INBOX", AppendMessage(content=content))).uids) == [2]
    assert bench.contents() == [b"y" * 90]
    smaller = bench.mailbox(quota=10)  # the account has more than it may have
    assert list(bench.go(smaller.replace(2, "INBOX", AppendMessage(content=b"z" * 80))).uids) == [3]


# counting


def test_status_counts(bench):
    bench.append(ONE)
    bench.append(TWO, flags=[SEEN, DELETED])
    status = bench.go(bench.account().status("INBOX"))
    assert (status.messages, status.unseen, status.deleted, status.uidnext) == (2, 1, 1, 3)
    assert status.size_octets == len(ONE) + len(TWO)
    assert status.deleted_octets == len(TWO)
    assert status.highest_modseq == bench.go(bench.mailbox().snapshot()).highest_modseq
    bench.go(bench.mailbox().store_flags([1, 2], StoreMode.REPLACE, frozenset({SEEN}), None))
    status = bench.go(bench.account().status("INBOX"))
    assert (status.unseen, status.deleted, status.deleted_octets) == (0, 0, 0)
    assert refused(bench, lambda: bench.account().status("none")) is Kind.NOT_FOUND


def test_quota_binds_append_copy_and_delivery_but_not_move(bench):
    limit = len(ONE) * 2
    bench.append(ONE)
    account = bench.account(quota=limit)
    bench.go(account.append("INBOX", [AppendMessage(content=ONE)]))
    assert bench.go(account.quota()) == {"STORAGE": (limit, limit), "MESSAGES": (2, 0)}
    assert refused(bench, lambda: account.append("INBOX", [AppendMessage(content=b"x")])) is Kind.OVER_QUOTA
    box = bench.mailbox(quota=limit)
    assert refused(bench, lambda: box.copy_to([1], "Sent")) is Kind.OVER_QUOTA
    assert list(bench.go(box.move_to([1], "Sent")).uids) == [1]
    over = bench.delivery(ONE, quota_octets=limit)
    assert bench.deliver(over)[over.delivery_id].error.kind is Kind.OVER_QUOTA
    bench.go(box.store_flags([2], StoreMode.ADD, frozenset({DELETED}), None))
    bench.go(box.expunge(None))
    assert bench.deliver(over)[over.delivery_id].error is None


# deliveries


def test_delivery_stores_once_however_often_it_comes(bench):
    delivery = bench.delivery(ONE)
    first = bench.deliver(delivery, delivery)[delivery.delivery_id]
    bench.reopen()
    again = bench.deliver(delivery)[delivery.delivery_id]
    assert first.error is None
    assert (first.mailbox_id, first.uid) == (again.mailbox_id, again.uid)
    assert bench.contents() == [ONE]
    assert bench.go(bench.mailbox().fetch([first.uid], [Column.INTERNAL_DATE])) == [(first.uid, 1_700_000_000)]


def test_delivery_of_what_was_expunged_or_moved_is_done(bench):
    expunged, moved = bench.delivery(ONE), bench.delivery(TWO)
    bench.deliver(expunged, moved)
    box = bench.mailbox()
    bench.go(box.store_flags([1], StoreMode.ADD, frozenset({DELETED}), None))
    bench.go(box.expunge(None))
    bench.go(box.move_to([2], "Archive"))
    outcomes = bench.deliver(expunged, moved)
    assert all(outcome.error is None for outcome in outcomes.values())
    assert (bench.contents(), bench.contents("Archive")) == ([], [TWO])
    bench.go(bench.account().delete("Archive"))
    assert bench.deliver(moved)[moved.delivery_id].error is None
    assert bench.contents() == []


def test_delivery_to_a_mailbox_that_is_there_or_to_inbox(bench):
    bench.deliver(
        bench.delivery(ONE, mailbox="Junk", flags=frozenset({SEEN})),
        bench.delivery(TWO, mailbox="none"),
        bench.delivery(TWO, mailbox="../../x"),
    )
    assert bench.contents("Junk") == [ONE]
    assert bench.contents() == [TWO, TWO]
    assert list(bench.go(bench.mailbox("Junk").snapshot()).flags) == [{SEEN}]


def test_delivery_to_many_accounts_in_one_call(bench):
    deliveries = [bench.delivery(ONE, number=number) for number in range(1, 8)]
    outcomes = bench.deliver(*deliveries)
    for number in range(1, 8):
        bench.go(bench.account(number).status("INBOX"))
    while len(outcomes) < 7:
        outcomes = bench.deliver(*deliveries)
    assert all(bench.contents(number=number) == [ONE] for number in range(1, 8))
    assert bench.store.backlog() == 0
    bench.store.sync()


@pytest.mark.parametrize("link", [True, False])
def test_delivery_of_a_file(bench, tmp_path, link):
    path = tmp_path / "body"
    path.write_bytes(MIXED)
    bench.deliver(bench.delivery(Body(str(path), len(MIXED)), link=link))
    path.unlink()
    assert bench.contents() == [MIXED]


def test_accounts_do_not_see_each_other(bench):
    bench.append(ONE, number=1)
    bench.append(TWO, number=2)
    assert bench.contents(number=1) == [ONE]
    assert bench.contents(number=2) == [TWO]


def test_removing_a_keyword_makes_none_and_adding_it_in_other_letters_changes_nothing(bench):
    bench.append(ONE, flags=["Work", SEEN])
    box = bench.mailbox()
    before = bench.go(box.snapshot())
    bench.go(box.store_flags([1], StoreMode.ADD, frozenset({"WORK"}), None))
    assert bench.go(box.snapshot()).highest_modseq == before.highest_modseq
    bench.go(box.store_flags([1], StoreMode.REMOVE, frozenset({"other", SEEN}), None))
    assert bench.go(box.snapshot()).keywords == {"Work"}
