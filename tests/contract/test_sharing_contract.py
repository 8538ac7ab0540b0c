"""What every store promises about mailboxes that others use: `ISharingStore`, `IGuestAccount`, `IGuestMailbox`."""

import pytest
from zope.interface.verify import verifyObject

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    ALL_RIGHTS,
    ANYONE,
    Account,
    AnnotationLimits,
    AppendMessage,
    Column,
    Depth,
    IGuestAccount,
    IGuestMailbox,
    IRemovingMailbox,
    ISharingStore,
    NoPrivateAnnotationsError,
    RightsMode,
    SpecialUse,
    SpecialUseError,
    StoreMode,
    TooManyAnnotationsError,
    parse_rights,
)
from mailsuite.store.guest import GuestMailbox, GuestSession
from mailsuite.store.memory_account import MemoryAccount
from mailsuite.store.memory_guest import MemoryGuest, MemoryGuestMailbox
from mailsuite.store.memory_mailbox import MemoryMailbox
from mailsuite.store.session import AccountSession, MailboxSession

OWNER = Account(account_id=1, email="user1@example.com")
MAIL = b"Subject: one\r\n\r\nbody\r\n"


def refused(bench, call):
    with pytest.raises(MailError) as caught:
        bench.go(call())
    return caught.value.kind


def guest(bench, number=2):
    return bench.store.guest(OWNER, number)


def grant(bench, rights, name="INBOX", number=2, mode=RightsMode.REPLACE):
    return bench.go(guest(bench, 1).change_rights(name, number, mode, parse_rights(rights)))


def opened(bench, rights="lr", *, read_only=False):
    grant(bench, rights)
    return bench.go(guest(bench).open_mailbox("INBOX", read_only=read_only))


def test_interfaces_are_provided(bench):
    assert verifyObject(ISharingStore, bench.store)
    assert verifyObject(IGuestAccount, guest(bench))
    assert verifyObject(IGuestMailbox, opened(bench))
    assert verifyObject(IRemovingMailbox, bench.mailbox())


def test_rights_are_replaced_added_and_taken_away(bench):
    assert grant(bench, "lr") == parse_rights("lr")
    assert grant(bench, "sw", mode=RightsMode.ADD) == parse_rights("lrsw")
    assert grant(bench, "rk", mode=RightsMode.REMOVE) == parse_rights("lsw")
    grant(bench, "r", number=ANYONE)
    bench.reopen()
    assert bench.go(guest(bench, 1).entries("INBOX")) == {ANYONE: parse_rights("r"), 2: parse_rights("lsw")}
    assert bench.go(guest(bench).rights("inbox")) == parse_rights("lrsw")
    assert bench.go(guest(bench, 3).rights("INBOX")) == parse_rights("r")
    assert bench.go(guest(bench, 1).rights("INBOX")) == ALL_RIGHTS
    assert bench.go(bench.store.sharers(2)) == bench.go(bench.store.sharers(9)) == [1]
    assert bench.go(bench.store.sharers(1)) == []
    assert refused(bench, lambda: guest(bench, 1).change_rights("INBOX", 1, RightsMode.ADD, ALL_RIGHTS)) is Kind.INVALID


def test_every_change_of_rights_is_told_as_a_change_of_the_mailbox(bench):
    box = opened(bench)
    heard = []
    bench.bus.subscribe(1, heard.append)
    before = bench.go(box.snapshot()).highest_modseq
    grant(bench, "lrs")
    bench.reactor.run_until(lambda: heard)
    assert [(change.mailbox_id, change.modseq) for change in heard] == [(box.mailbox_id, before + 1)]
    assert bench.go(box.changes(before)).modseq == before + 1
    assert box.rights == parse_rights("lrs")


def test_what_inbox_is_renamed_to_has_the_rights_of_the_one_above(bench):
    bench.append(MAIL)
    grant(bench, "lrs")
    bench.go(bench.account().create("above", frozenset()))
    grant(bench, "lk", "above")
    bench.go(bench.account().rename("INBOX", "above/between/old"))
    bench.append(MAIL + b"new")
    bench.go(bench.account().rename("INBOX", "alone"))
    bench.reopen()
    for name in ("above/between", "above/between/old"):
        assert bench.go(guest(bench, 1).entries(name)) == {2: parse_rights("lk")}
    assert bench.go(guest(bench, 1).entries("alone")) == {}
    assert bench.go(guest(bench, 1).entries("INBOX")) == {2: parse_rights("lrs")}
    assert bench.contents(name="above/between/old") == [MAIL]


def test_who_gets_or_loses_rights_is_told_that_names_changed(bench):
    heard = []
    bench.bus.subscribe(2, heard.append)
    grant(bench, "lr")
    bench.reactor.run_until(lambda: heard)
    grant(bench, "lr")
    grant(bench, "lr", number=3)
    grant(bench, "lr", number=ANYONE)
    grant(bench, "")
    bench.reactor.run_until(lambda: len(heard) > 1)
    assert [(change.mailbox_id, change.modseq) for change in heard] == [(0, 0), (0, 0)]


def test_what_may_be_looked_up_is_listed_without_what_is_the_owners_own(bench):
    account = bench.account()
    bench.go(account.create("a/b", frozenset({SpecialUse.JUNK})))
    bench.go(account.subscribe("a/b", True))
    grant(bench, "l", "a/b")
    grant(bench, "r", "a")
    (entry,) = bench.go(guest(bench).list_mailboxes())
    assert (entry.name, entry.selectable, entry.subscribed, entry.special_use) == ("a/b", True, False, frozenset())
    assert bench.go(guest(bench, 3).list_mailboxes()) == []
    assert len(bench.go(guest(bench, 1).list_mailboxes())) == len(bench.go(account.list_mailboxes()))


def test_who_reads_sees_everything_and_takes_nothing_recent(bench):
    bench.append(MAIL, MAIL, flags=["work"])
    box = opened(bench)
    assert box.read_only
    snapshot = bench.go(box.snapshot())
    assert (list(snapshot.uids), snapshot.recent, snapshot.keywords) == ([1, 2], {1, 2}, {"work"})
    assert bench.go(box.read_many([1], 10**6)) == [(1, MAIL)]
    assert bench.go(box.read(1, 0, 7)) == MAIL[:7]
    assert bench.go(box.fetch([1], (Column.SIZE,))) == [(1, len(MAIL))]
    assert list(bench.go(box.search_text([1, 2], lambda read, size: b"body" in read(0, size)))) == [1, 2]
    assert bench.go(bench.mailbox().snapshot()).recent == {1, 2}


@pytest.mark.parametrize("left", ["", "lswitea"])
def test_a_mailbox_that_may_no_longer_be_read_is_gone(bench, left):
    bench.append(MAIL)
    box = opened(bench, "lrswite")
    modseq = bench.go(box.snapshot()).highest_modseq
    grant(bench, left)
    for call in (
        box.snapshot,
        lambda: box.changes(modseq),
        lambda: box.history(modseq),
        lambda: box.fetch([1], (Column.FLAGS,)),
        lambda: box.read(1, 0, 10),
        lambda: box.read_many([1], 100),
        lambda: box.parts(1),
        lambda: box.search_text([1], lambda read, size: True),
        lambda: box.store_flags([1], StoreMode.ADD, frozenset({"\\Seen"}), None),
        lambda: box.expunge(None),
        lambda: box.remove([1]),
        lambda: box.copy_to([1], "Trash"),
        lambda: box.move_to([1], "Trash"),
        lambda: box.previews([1], make=True),
        lambda: box.replace(1, "Trash", AppendMessage(content=MAIL)),
    ):
        assert refused(bench, call) is Kind.NOT_FOUND
    assert bench.contents() == [MAIL]


def test_what_is_opened_for_reading_is_not_changed(bench):
    bench.append(MAIL, flags=["\\Deleted"])
    box = opened(bench, "lrswite", read_only=True)
    assert refused(bench, lambda: box.store_flags([1], StoreMode.ADD, frozenset({"\\Seen"}), None)) is Kind.DENIED
    assert refused(bench, lambda: box.expunge(None)) is Kind.DENIED
    assert refused(bench, lambda: box.remove([1])) is Kind.DENIED
    assert refused(bench, lambda: box.move_to([1], "INBOX")) is Kind.DENIED
    assert refused(bench, lambda: box.replace(1, "INBOX", AppendMessage(content=MAIL))) is Kind.DENIED
    assert bench.contents() == [MAIL]


def test_replacing_flags_leaves_those_that_may_not_be_changed(bench):
    bench.append(MAIL, MAIL, flags=["\\Deleted", "\\Seen", "work"])
    box = opened(bench, "lrw")
    rows, _ = bench.go(box.store_flags([1, 2], StoreMode.REPLACE, frozenset({"\\Seen", "new"}), None))
    assert [flags for _, flags, _ in rows] == [{"\\Deleted", "\\Seen", "new"}] * 2
    grant(bench, "lrst")
    rows, _ = bench.go(box.store_flags([1], StoreMode.REPLACE, frozenset(), None))
    assert [flags for _, flags, _ in rows] == [{"new"}]


def test_what_replaces_a_message_has_the_flags_that_may_be_set(bench):
    bench.append(MAIL)
    box = opened(bench, "lrites")
    message = AppendMessage(content=MAIL + b"new", flags=frozenset({"\\Seen", "\\Draft", "work"}))
    appended = bench.go(box.replace(1, "INBOX", message))
    assert list(appended.uids) == [2]
    assert bench.go(box.fetch([1, 2], (Column.FLAGS,))) == [(2, {"\\Seen"})]
    assert refused(bench, lambda: box.replace(1, "INBOX", message)) is Kind.EXPUNGED
    assert refused(bench, lambda: box.replace(2, "Sent", message)) is Kind.NOT_FOUND
    grant(bench, "l", "Sent")
    assert refused(bench, lambda: box.replace(2, "Sent", message)) is Kind.DENIED
    for rights in ("lrie", "lrit", "lrte"):
        grant(bench, rights)
        assert refused(bench, lambda: box.replace(2, "INBOX", message)) is Kind.DENIED
    assert bench.contents() == [MAIL + b"new"]


@pytest.mark.parametrize(("rights", "told"), [("i", False), ("ri", True)])
def test_uids_of_what_is_put_into_a_mailbox_are_told_to_who_may_read_it(bench, rights, told):
    bench.append(MAIL, MAIL, MAIL)
    bench.go(bench.account().create("Drop", frozenset()))
    box = opened(bench, "lrte")
    grant(bench, rights, "Drop")
    message = AppendMessage(content=MAIL)
    done = [
        bench.go(guest(bench).append("Drop", [message])),
        bench.go(box.copy_to([1, 2], "Drop")),
        bench.go(box.move_to([1, 2], "Drop")),
        bench.go(box.replace(3, "Drop", message)),
    ]
    shown = [[1], [2, 3], [4, 5], [6]] if told else [[], [], [], []]
    assert [list(each.uids) for each in done] == shown
    assert all(bool(each.uidvalidity) is told for each in done)
    assert [list(each.source_uids) for each in done] == [[], [1, 2], [1, 2], []]
    assert bench.go(bench.account().status("Drop")).messages == 6


def test_what_replaces_a_message_needs_room_for_what_it_is_larger(bench):
    grant(bench, "i")
    bench.go(guest(bench).check_append("INBOX", 100_000, 10))
    assert refused(bench, lambda: guest(bench).check_append("INBOX", 100_001, 100_001)) is Kind.TOO_LARGE


LIMITS = AnnotationLimits(per_mailbox=10, per_account=10)
NOTES = ["/shared/comment", "/private/comment"]


def test_shared_annotations_are_seen_and_set_with_the_rights_to(bench):
    owner = bench.account()
    uses = {"/shared/comment": b"ours", "/private/comment": b"mine", "/shared/admin": b"mailto:a@example.com"}
    bench.go(owner.annotate("INBOX", uses, LIMITS))
    bench.go(owner.annotate("Sent", {"/shared/comment": b"elsewhere"}, LIMITS))
    for rights, kind in (("rswipkxtea", Kind.NOT_FOUND), ("lkxtea", Kind.DENIED)):
        grant(bench, rights)
        assert refused(bench, lambda: guest(bench).annotations("INBOX", NOTES, Depth.ALL)) is kind
        assert refused(bench, lambda: guest(bench).annotate("INBOX", {"/shared/comment": b"x"}, LIMITS)) is kind
    for right in "rswip":
        grant(bench, f"l{right}")
        assert bench.go(guest(bench).annotations("INBOX", NOTES, Depth.ALL)) == {"/shared/comment": b"ours"}
        assert bench.go(guest(bench).annotations("inbox", ["/shared", "/private"], Depth.ALL)).keys() == {
            "/shared/comment", "/shared/admin",
        }  # fmt: skip
        if right != "w":
            assert (
                refused(bench, lambda: guest(bench).annotate("INBOX", {"/shared/comment": None}, LIMITS)) is Kind.DENIED
            )
    grant(bench, "lw")
    bench.go(guest(bench).annotate("INBOX", {"/shared/comment": b"new", "/Shared/x": b"y"}, LIMITS))
    bench.reopen()
    assert bench.go(bench.account().annotations("INBOX", ["/shared", "/private"], Depth.ALL)) == {
        **uses, "/shared/comment": b"new", "/Shared/x": b"y",
    }  # fmt: skip
    for name in ("", "Nothing", "Sent"):
        assert refused(bench, lambda name=name: guest(bench).annotations(name, NOTES, Depth.ALL)) is Kind.NOT_FOUND
        assert refused(bench, lambda name=name: guest(bench).annotate(name, {NOTES[0]: b"x"}, LIMITS)) is Kind.NOT_FOUND
    assert refused(bench, lambda: guest(bench).annotated(None)) is Kind.DENIED


def test_nothing_is_kept_for_oneself_with_a_mailbox_of_another(bench):
    bench.go(bench.account().annotate("INBOX", {"/private/comment": b"mine"}, LIMITS))
    grant(bench, "lrswipkxtea")
    for entry in ("/private/comment", "/Private/other", "/private/specialuse"):
        with pytest.raises(NoPrivateAnnotationsError):
            bench.go(guest(bench).annotate("INBOX", {"/shared/comment": b"x", entry: None}, LIMITS))
    assert refused(bench, lambda: guest(bench).annotate("INBOX", {"/Shared/Admin": b"x"}, LIMITS)) is Kind.DENIED
    seen = bench.go(bench.account().annotations("INBOX", ["/shared", "/private"], Depth.ALL))
    assert seen == bench.go(guest(bench, 1).annotations("INBOX", ["/shared", "/private"], Depth.ALL))
    assert seen == {"/private/comment": b"mine"}
    bench.go(guest(bench, 1).annotate("INBOX", {"/private/comment": None}, LIMITS))


def test_the_owner_hears_of_what_a_guest_set_and_has_it_in_the_limits(bench):
    grant(bench, "lw")
    number = bench.go(bench.account().annotated(None)).number
    heard = []
    bench.bus.subscribe(1, heard.append)
    bench.go(guest(bench).annotate("INBOX", {"/shared/comment": b"x"}, LIMITS))
    bench.reactor.run_until(lambda: heard)
    (change,) = bench.go(bench.account().annotated(number)).changes
    assert (change.mailbox, change.entry) == ("INBOX", "/shared/comment")
    with pytest.raises(TooManyAnnotationsError):
        bench.go(guest(bench).annotate("INBOX", {f"/shared/{each}": b"x" for each in range(10)}, LIMITS))


def test_an_appended_copy_keeps_the_id_of_its_original(bench):
    appended = bench.go(bench.account().append("INBOX", [AppendMessage(content=MAIL, email_id=b"Mabc")]))
    (row,) = bench.go(bench.mailbox().fetch(appended.uids, (Column.EMAIL_ID,)))
    assert row == (1, b"Mabc")


def test_removed_messages_are_gone_whatever_their_flags(bench):
    bench.append(MAIL, MAIL, MAIL)
    box = bench.mailbox()
    modseq = bench.go(box.snapshot()).highest_modseq
    assert list(bench.go(box.remove([1, 3, 9]))) == [1, 3]
    assert list(bench.go(box.changes(modseq)).expunged) == [1, 3]
    assert list(bench.go(bench.mailbox().remove([1]))) == []
    assert refused(bench, lambda: bench.mailbox(read_only=True).remove([2])) is Kind.DENIED
    bench.reopen()
    assert bench.contents() == [MAIL]


def test_purposes_names_and_limits_of_what_a_guest_makes(bench):
    grant(bench, "lk")
    with pytest.raises(SpecialUseError):
        bench.go(guest(bench).create("INBOX/x", frozenset({SpecialUse.JUNK})))
    for name in ("top", "", "INBOX//x", "INBOX/../x", "Sent/x", "Nothing/x"):
        assert refused(bench, lambda name=name: guest(bench).create(name, frozenset())) is Kind.DENIED
    made = bench.go(guest(bench).create("INBOX/x", frozenset()))
    counts = bench.go(bench.account().status("INBOX/x"))
    assert (made.mailbox_id, made.uidvalidity) == (counts.mailbox_id, counts.uidvalidity)
    assert bench.go(guest(bench).rights("INBOX/x")) == parse_rights("lk")
    for number in range(23):
        bench.go(guest(bench).create(f"INBOX/{number}", frozenset()))
    assert refused(bench, lambda: guest(bench).create("INBOX/more", frozenset())) is Kind.OVER_QUOTA
    assert refused(bench, lambda: guest(bench).check_append("INBOX", 1)) is Kind.DENIED
    grant(bench, "i")
    bench.go(guest(bench).check_append("INBOX", 100_000))
    assert refused(bench, lambda: guest(bench).check_append("INBOX", 100_001)) is Kind.TOO_LARGE


READERS = {"history", "fetch", "read", "read_many", "parts", "previews", "search_text", "close", "watch"}
"""Methods that a guest's mailbox has from an owner's: they only look, so that the right to read is enough."""
HARMLESS = {"begin_body", "logout"}


@pytest.mark.parametrize(
    ("guest_class", "owner_class", "inherited"),
    [
        (GuestMailbox, MailboxSession, READERS),
        (GuestSession, AccountSession, HARMLESS),
        (MemoryGuestMailbox, MemoryMailbox, READERS | {"snapshot", "changes"}),
        (MemoryGuest, MemoryAccount, HARMLESS),
    ],
)
def test_a_guest_has_no_method_of_the_owner_that_does_not_look_at_the_rights(guest_class, owner_class, inherited):
    public = {name for name in vars(owner_class) if not name.startswith("_") and callable(getattr(owner_class, name))}
    assert public - set(vars(guest_class)) - inherited == set()


def test_a_guest_learns_nothing_of_the_account(bench):
    assert refused(bench, guest(bench).quota) is Kind.DENIED
    assert refused(bench, lambda: guest(bench).subscribe("INBOX", True)) is Kind.DENIED
    if bench.kind != "memory":
        grant(bench, "lr", "Sent")
        found = bench.go(guest(bench).statuses(["INBOX", "Sent", "Nothing"]))
        assert [status is not None for status in found] == [False, True, False]
