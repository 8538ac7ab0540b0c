"""What every store promises about annotations: `IAnnotatedAccount`."""

import pytest
from zope.interface.verify import verifyObject

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    AnnotationLimits,
    Depth,
    IAnnotatedAccount,
    MailboxChange,
    SpecialUse,
    SpecialUseError,
    TooManyAnnotationsError,
    parse_special_use,
)

ROOMY = AnnotationLimits(per_mailbox=20, per_account=50)
EVERYTHING = ("/private", "/shared")
BINARY = bytes(range(256)) * 20


@pytest.fixture
def annotate(bench):
    """Set annotations of a mailbox; give the numbers of the changes."""

    def run(name, values, *, limits=ROOMY, number=1, quota=0):
        return bench.go(bench.account(number, quota).annotate(name, values, limits))

    return run


@pytest.fixture
def annotations(bench):
    """Give the annotations of a mailbox."""

    def look(name, entries=EVERYTHING, depth=Depth.ALL, number=1):
        return bench.go(bench.account(number).annotations(name, entries, depth))

    return look


@pytest.fixture
def refused(bench, annotate):
    """Set annotations in vain; give the kind of the failure."""

    def run(*arguments, **keywords):
        with pytest.raises(MailError) as caught:
            annotate(*arguments, **keywords)
        return caught.value.kind

    return run


def special_use(bench, name):
    return {entry.name: entry.special_use for entry in bench.go(bench.account().list_mailboxes())}[name]


def test_the_interface_is_provided(bench):
    assert verifyObject(IAnnotatedAccount, bench.account())


@pytest.mark.parametrize("name", ["INBOX", "inbox", "Sent", ""])
def test_what_is_set_is_there_after_a_restart_and_can_be_removed(bench, annotate, annotations, name):
    annotate(name, {"/private/comment": b"mine", "/shared/comment": b"ours", "/private/vendor/x/bin": BINARY})
    assert len(annotate(name, {"/shared/comment": b""})) == 1
    bench.reopen()
    kept = {"/private/comment": b"mine", "/shared/comment": b"", "/private/vendor/x/bin": BINARY}
    found = annotations(name)
    found.pop("/private/specialuse", None)
    assert found == kept
    annotate(name, {"/private/comment": None, "/PRIVATE/Vendor/x/bin": None, "/shared/none": None})
    bench.reopen()
    assert {entry for entry in annotations(name) if entry != "/private/specialuse"} == {"/shared/comment"}


def test_entries_are_one_in_any_case_and_shown_as_last_written(annotate, annotations):
    annotate("INBOX", {"/private/Vendor/X/Colour": b"red"})
    annotate("INBOX", {"/PRIVATE/vendor/x/colour": b"blue"})
    assert annotations("INBOX", ["/private/VENDOR/x/COLOUR"], Depth.ENTRY) == {"/PRIVATE/vendor/x/colour": b"blue"}


@pytest.mark.parametrize(
    ("entries", "depth", "found"),
    [
        (["/private/a"], Depth.ENTRY, {"a"}),
        (["/private/a"], Depth.CHILDREN, {"a", "a/b"}),
        (["/private/A"], Depth.ALL, {"a", "a/b", "a/b/c"}),
        (["/private/a/b", "/private/ab"], Depth.ALL, {"a/b", "a/b/c", "ab"}),
        (["/private"], Depth.CHILDREN, {"a", "ab"}),
        (["/private/a/b/c/d", "/shared"], Depth.ALL, set()),
    ],
)
def test_depth_says_how_far_below_an_entry_to_look(annotate, annotations, entries, depth, found):
    annotate("INBOX", {f"/private/{name}": b"x" for name in ("a", "a/b", "a/b/c", "ab")})
    assert set(annotations("INBOX", entries, depth)) == {f"/private/{name}" for name in found}


def test_each_mailbox_and_each_account_has_its_own(annotate, annotations):
    annotate("INBOX", {"/private/comment": b"in"})
    annotate("Sent", {"/private/comment": b"out"})
    annotate("", {"/private/comment": b"all"})
    entry = ["/private/comment"]
    assert [annotations(name, entry) for name in ("INBOX", "Sent", "")] == [
        {"/private/comment": value} for value in (b"in", b"out", b"all")
    ]
    assert annotations("INBOX", entry, number=2) == annotations("", entry, number=2) == {}


def test_they_follow_a_rename_and_go_with_the_mailbox(bench, annotate, annotations):
    account = bench.account()
    bench.go(account.create("a/b", frozenset()))
    annotate("a/b", {"/private/comment": b"b"})
    annotate("a", {"/private/comment": b"a"})
    bench.go(account.rename("a", "c"))
    bench.reopen()
    assert annotations("c/b") == {"/private/comment": b"b"}
    assert annotations("c") == {"/private/comment": b"a"}
    account = bench.account()
    bench.go(account.delete("c"))
    bench.go(account.delete("c/b"))
    bench.go(account.create("c/b", frozenset()))
    bench.reopen()
    assert annotations("c") == annotations("c/b") == {}


def test_those_of_inbox_stay_when_its_messages_move(bench, annotate, annotations):
    annotate("INBOX", {"/private/comment": b"in"})
    bench.go(bench.account().rename("INBOX", "old"))
    assert annotations("INBOX") == {"/private/comment": b"in"}
    assert annotations("old") == {}


def test_there_must_be_such_a_mailbox(bench, annotate, refused):
    bench.go(bench.account().create("a/b", frozenset()))
    bench.go(bench.account().delete("a"))
    for name in ("nowhere", "a", "..", "/"):
        assert refused(name, {"/private/comment": b"x"}) is Kind.NOT_FOUND
        with pytest.raises(MailError) as caught:
            bench.go(bench.account().annotations(name, EVERYTHING, Depth.ALL))
        assert caught.value.kind is Kind.NOT_FOUND


def test_a_mailbox_has_only_so_many_and_all_or_none_are_set(annotate, annotations):
    limits = AnnotationLimits(per_mailbox=3, per_account=5)
    annotate("INBOX", {"/private/1": b"x", "/private/2": b"x"}, limits=limits)
    with pytest.raises(TooManyAnnotationsError):
        annotate("INBOX", {"/private/1": b"y", "/private/3": b"x", "/shared/4": b"x"}, limits=limits)
    assert annotations("INBOX") == {"/private/1": b"x", "/private/2": b"x"}
    annotate("INBOX", {"/private/1": None, "/private/3": b"x", "/shared/4": b"x"}, limits=limits)
    annotate("INBOX", {"/private/2": b"other", "/private/3": b"", "/shared/4": b"x"}, limits=limits)
    assert len(annotations("INBOX")) == 3


def test_an_account_has_only_so_many(bench, annotate, annotations):
    limits = AnnotationLimits(per_mailbox=3, per_account=4)
    bench.go(bench.account().create("a", frozenset()))
    annotate("a", {f"/private/{number}": b"x" for number in range(3)}, limits=limits)
    annotate("", {"/private/1": b"x"}, limits=limits)
    with pytest.raises(TooManyAnnotationsError):
        annotate("INBOX", {"/private/1": b"x"}, limits=limits)
    bench.go(bench.account().delete("a"))
    annotate("INBOX", {"/private/1": b"x"}, limits=limits)
    assert annotations("INBOX") == {"/private/1": b"x"}


def test_they_count_in_the_quota(bench, annotate, annotations, refused):
    bench.append(b"x" * 400)
    annotate("INBOX", {"/private/a": b"y" * 300}, quota=1000)
    assert bench.go(bench.account(quota=1000).quota())["STORAGE"] == (700, 1000)
    assert refused("Sent", {"/private/b": b"z" * 301}, quota=1000) is Kind.OVER_QUOTA
    annotate("INBOX", {"/private/a": b"y" * 600}, quota=1000)
    assert refused("INBOX", {"/private/a": b"y" * 601}, quota=1000) is Kind.OVER_QUOTA
    annotate("INBOX", {"/private/a": b"small"}, quota=100)
    assert annotations("INBOX") == {"/private/a": b"small"}
    assert bench.go(bench.account(quota=1000).quota())["STORAGE"] == (405, 1000)


def test_the_special_use_is_an_annotation(bench, annotate, annotations):
    bench.go(bench.account().create("Old mail", frozenset()))
    assert annotations("Old mail") == {}
    assert annotations("Sent", ["/private/specialUse"], Depth.ENTRY) == {"/private/specialuse": b"\\Sent"}
    annotate("Old mail", {"/private/specialuse": b"\\archive  \\JUNK", "/private/comment": b"x"})
    bench.reopen()
    assert special_use(bench, "Old mail") == {SpecialUse.ARCHIVE, SpecialUse.JUNK}
    assert annotations("Old mail") == {"/private/specialuse": b"\\Archive \\Junk", "/private/comment": b"x"}
    annotate("Old mail", {"/Private/SpecialUse": None})
    annotate("Sent", {"/private/specialuse": b""})
    bench.reopen()
    assert special_use(bench, "Old mail") == special_use(bench, "Sent") == frozenset()
    assert annotations("Old mail") == {"/private/comment": b"x"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Sent", b"\\Nonsense"),
        ("Sent", b"Drafts"),
        ("Sent", b"\\All"),
        ("Sent", b"\\Sent \\Flagged"),
        ("Sent", b"\\Sent\xff"),
        ("INBOX", b"\\Trash"),
        ("INBOX", None),
        ("", b"\\Trash"),
    ],
)
def test_a_special_use_that_cannot_be_is_refused_with_all_else(bench, refused, annotations, name, value):
    assert refused(name, {"/private/comment": b"x", "/private/specialuse": value}) is Kind.INVALID
    assert "/private/comment" not in annotations(name)
    assert special_use(bench, "Sent") == {SpecialUse.SENT}


def test_a_use_that_no_mailbox_can_be_given_may_stay():
    old = frozenset({SpecialUse.FLAGGED})
    assert parse_special_use(b"\\Flagged \\Archive", old) == {SpecialUse.FLAGGED, SpecialUse.ARCHIVE}
    with pytest.raises(SpecialUseError):
        parse_special_use(b"\\Flagged \\All", old)


def test_what_a_mailbox_was_made_for_is_a_change(bench):
    account = bench.account()
    number = bench.go(account.annotated(None)).number
    assert bench.go(account.create("plain", frozenset())).changes == ()
    made = bench.go(account.create("above/Spam", frozenset({SpecialUse.JUNK})))
    (change,) = bench.go(account.annotated(number)).changes
    assert (change.number, change.mailbox, change.entry) == (*made.changes, "above/Spam", "/private/specialuse")


def test_changes_are_told_in_order(bench, annotate):
    account = bench.account()
    began = bench.go(account.annotated(None)).number
    heard = []
    bench.bus.subscribe(1, heard.append)
    numbers = [
        *annotate("INBOX", {"/private/a": b"1", "/shared/b": b"2"}),
        *annotate("", {"/private/c": b"3"}),
        *annotate("Sent", {"/private/specialuse": b"\\Archive"}),
        *annotate("INBOX", {"/private/A": None}),
    ]
    annotate("INBOX", {"/private/never": None})
    assert numbers == sorted(numbers)
    assert MailboxChange(1, 0, 0) in heard
    bench.go(account.rename("Sent", "Gone"))
    changes = bench.go(account.annotated(began))
    assert [(change.mailbox, change.entry) for change in changes.changes] == [
        ("INBOX", "/shared/b"),
        ("", "/private/c"),
        ("Gone", "/private/specialuse"),
        ("INBOX", "/private/A"),
    ]
    assert changes.number == numbers[-1] == changes.changes[-1].number
    assert bench.go(account.annotated(changes.number)).changes == ()
    assert bench.go(bench.account(2).annotated(0)).changes == ()


@pytest.mark.parametrize(
    ("name", "entry", "values"),
    [
        ("INBOX", "/private/comment", (b"one", b"two", BINARY, b"", None)),
        ("Sent", "/shared/vendor/x/y", (BINARY, BINARY[:-1] + b"x", None)),
        ("Sent", "/private/specialuse", (b"\\Archive", b"\\Archive \\Junk", None)),
    ],
)
def test_each_change_of_a_mailbox_takes_its_next_modseq(bench, annotate, name, entry, values):
    def modseq():
        return bench.go(bench.account().status(name)).highest_modseq

    known = bench.go(bench.account().status(name))
    others = {
        each: bench.go(bench.account().status(each)).highest_modseq
        for each in ("INBOX", "Sent", "Trash")
        if each != name
    }
    heard = []
    bench.bus.subscribe(1, heard.append)
    for number, value in enumerate(values, 1):
        (first,) = annotate(name, {entry: value})
        assert modseq() == known.highest_modseq + number
        assert MailboxChange(1, known.mailbox_id, known.highest_modseq + number) in heard
        assert not annotate(name, {entry: value})  # it is so already
        assert bench.go(bench.account().annotated(None)).number == first
        assert modseq() == known.highest_modseq + number
    annotate(name, {"/private/a": b"1", "/private/b": b"2", "/private/never": None})
    annotate("", {"/private/comment": b"of the account"})
    bench.reopen()
    assert modseq() == known.highest_modseq + len(values) + 1
    assert {each: bench.go(bench.account().status(each)).highest_modseq for each in others} == others
    mailbox = bench.go(bench.account().open_mailbox(name, read_only=True))
    changes = bench.go(mailbox.changes(known.highest_modseq))
    assert changes.modseq == modseq()
    assert not [*changes.added, *changes.flags, *changes.expunged]
    mailbox.close()


def test_a_number_is_not_given_twice_when_a_mailbox_goes(bench, annotate):
    account = bench.account()
    bench.go(account.create("a", frozenset()))
    (number,) = annotate("a", {"/private/a": b"1"})
    bench.go(account.delete("a"))
    bench.reopen()
    assert bench.go(bench.account().annotated(0)).changes in ((), [])
    (later,) = annotate("INBOX", {"/private/a": b"1"})
    assert later > number


def test_the_private_ones_of_a_guest_are_its_own(bench, annotate, annotations):
    owner = bench.account()
    kind = type(owner)
    guest = bench.account()
    guest.__class__ = type("Guest", (kind,), {"__slots__": (), "_reader": property(lambda self: 9)})
    annotate("Sent", {"/private/a": b"mine", "/shared/a": b"ours"})
    bench.go(guest.annotate("Sent", {"/private/a": b"theirs", "/shared/b": b"ours, too"}, ROOMY))
    assert dict(bench.go(guest.annotations("Sent", EVERYTHING, Depth.ALL))) == {
        "/private/a": b"theirs",
        "/shared/a": b"ours",
        "/shared/b": b"ours, too",
    }
    found = annotations("Sent")
    assert (found["/private/a"], found["/shared/b"]) == (b"mine", b"ours, too")
    assert [change.entry for change in bench.go(guest.annotated(0)).changes] == ["/shared/a", "/private/a", "/shared/b"]
    for value in (b"\\Trash", None):
        with pytest.raises(MailError) as caught:
            bench.go(guest.annotate("Sent", {"/private/specialuse": value}, ROOMY))
        assert caught.value.kind is Kind.DENIED
