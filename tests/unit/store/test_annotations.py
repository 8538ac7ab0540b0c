"""Annotations outlive the index, and lie where another program that moves folders takes them along."""

import os
import shutil

import pytest

from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account, AnnotationLimits, Depth, SpecialUse
from mailsuite.store import Layout, annotations
from mailsuite.testing.faults import FaultyDisk

LIMITS = AnnotationLimits(per_mailbox=2000, per_account=3000)
BINARY = bytes(range(256))
VALUES = {
    "INBOX": {"/private/comment": b"in", "/shared/vendor/x/y z": BINARY},
    "a.b/c": {"/private/Comment": b""},
    "": {"/private/vendor/x": b"all"},
}


def annotate(bench, name, values):
    return bench.go(bench.session().annotate(name, values, LIMITS))


def values(bench, name):
    return dict(bench.go(bench.session().annotations(name, ["/private", "/shared"], Depth.ALL)))


def everything(bench):
    return {name: values(bench, name) for name in VALUES}


@pytest.fixture(params=list(Layout))
def filled(make_bench, request):
    bench = make_bench(layout=request.param)
    bench.go(bench.session().create("a.b/c", frozenset()))
    for name, kept in VALUES.items():
        annotate(bench, name, {**kept, "/private/gone": b"x"})
        annotate(bench, name, {"/private/gone": None})
    annotate(bench, "Sent", {"/private/specialuse": b"\\Archive"})
    annotate(bench, "Junk", {"/private/specialuse": None})
    return bench


def uses(bench):
    return {entry.name: entry.special_use for entry in bench.go(bench.session().list_mailboxes())}


@pytest.mark.parametrize("how", ["asked", "removed", "damaged"])
def test_they_outlive_the_index(filled, how):
    assert everything(filled) == VALUES
    before = filled.go(filled.session().annotated(None)).number
    if how == "asked":
        filled.go(filled.store.reindex(filled.account))
    else:
        filled.store.stop()
        for path in filled.home.glob("index.db*"):
            path.unlink()
        if how == "damaged":
            (filled.home / "index.db").write_bytes(b"this is no database " * 500)
        filled.open()
    assert everything(filled) == VALUES
    assert uses(filled)["Sent"] == {SpecialUse.ARCHIVE}
    assert uses(filled)["Junk"] == frozenset()
    assert annotate(filled, "INBOX", {"/private/comment": b"new"})[0] > before
    filled.go(filled.session().rename("a.b/c", "d"))
    filled.go(filled.store.reindex(filled.account))
    assert values(filled, "d") == VALUES["a.b/c"]


def test_where_the_last_one_goes_the_file_goes(filled):
    assert (filled.home / "..annotations").exists()
    assert (filled.inbox / "mailbox.annotations").exists()
    for name, kept in VALUES.items():
        annotate(filled, name, dict.fromkeys(kept))
    assert not list(filled.root.rglob("*annotations*"))
    filled.go(filled.store.reindex(filled.account))
    assert everything(filled) == {name: {} for name in VALUES}


def test_a_file_of_one_that_is_gone_does_not_bring_it_back_when_the_index_knows_better(bench):
    annotate(bench, "INBOX", {"/private/a": b"x"})
    stale = (bench.inbox / "mailbox.annotations").read_bytes()
    annotate(bench, "INBOX", {"/private/a": None})
    (bench.inbox / "mailbox.annotations").write_bytes(stale)
    bench.go(bench.store.reindex(bench.account))
    assert values(bench, "INBOX") == {}
    assert not (bench.inbox / "mailbox.annotations").exists()


def test_a_folder_that_another_program_brings_has_its_annotations(bench):
    bench.go(bench.session().create("x", frozenset()))
    annotate(bench, "x", {"/private/a": b"mine"})
    shutil.copytree(bench.home / ".x", bench.home / ".y")
    bench.go(bench.session().list_mailboxes())
    assert values(bench, "y") == {"/private/a": b"mine"}
    annotate(bench, "y", {"/private/a": None})
    assert values(bench, "x") == {"/private/a": b"mine"}


def test_what_cannot_be_read_is_passed_over(bench):
    annotate(bench, "INBOX", {"/private/a": b"good"})
    path = bench.inbox / "mailbox.annotations"
    lines = [b"", b"0", b"0 eA==", b"x eA== /private/b", b"0 !!!! /private/c", b"0 eA== private/d", b"0 eA== /\xff\xfe",
             b"99999999999999999999 eA== /private/e", b"0 \xc3\xa9 /private/f", b"7 eA== /private/other"]  # fmt: skip
    path.write_bytes(path.read_bytes() + b"\n".join(lines))
    bench.store.stop()
    (bench.home / "index.db").unlink()
    bench.open()
    assert values(bench, "INBOX") == {"/private/a": b"good"}
    index = bench.index
    assert annotations.read(index, "INBOX", 7, ["/private"], Depth.ALL) == {"/private/other": b"x"}


def test_the_private_ones_of_others_stay_theirs(bench):
    index = bench.index
    annotations.change(index, "INBOX", 7, {"/private/a": b"theirs", "/shared/b": b"ours"}, LIMITS, 0)
    annotate(bench, "INBOX", {"/private/a": b"mine"})
    with pytest.raises(MailError) as caught:
        annotations.change(index, "Sent", 7, {"/private/specialuse": None}, LIMITS, 0)
    assert caught.value.kind is Kind.DENIED
    for _ in range(2):
        index = bench.index
        assert values(bench, "INBOX") == {"/private/a": b"mine", "/shared/b": b"ours"}
        seen = annotations.read(index, "INBOX", 7, ["/private", "/shared"], Depth.ALL)
        assert seen == {"/private/a": b"theirs", "/shared/b": b"ours"}
        assert annotations.read(index, "Sent", 7, ["/private"], Depth.ALL) == {}
        bench.store.stop()
        (bench.home / "index.db").unlink(missing_ok=True)
        bench.open()
    assert [change.entry for change in annotations.changed(bench.index, 8, 0).changes] == ["/shared/b"]


def test_a_folder_that_cannot_be_written_is_written_later(make_bench):
    bench = make_bench()
    annotate(bench, "INBOX", {"/private/a": b"old"})
    bench.store.stop()
    bench.disk = FaultyDisk(path_part="mailbox.annotations", fail_at=1, lasting=True)
    bench.open()
    annotate(bench, "INBOX", {"/private/a": b"new"})
    assert values(bench, "INBOX") == {"/private/a": b"new"}
    assert b"bmV3" not in (bench.inbox / "mailbox.annotations").read_bytes()  # "new" in base64
    bench.store.stop()
    bench.disk = Disk()
    bench.open()
    assert values(bench, "INBOX") == {"/private/a": b"new"}
    assert b"bmV3" in (bench.inbox / "mailbox.annotations").read_bytes()


def test_only_so_many_removals_are_remembered(bench, monkeypatch):
    monkeypatch.setattr(annotations, "REMOVED_KEPT", 3)
    for number in range(6):
        annotate(bench, "INBOX", {f"/private/{number}": b"x"})
    for number in range(6):
        annotate(bench, "INBOX", {f"/private/{number}": None})
    changes = bench.go(bench.session().annotated(0)).changes
    assert [change.entry for change in changes] == ["/private/3", "/private/4", "/private/5"]
    annotate(bench, "INBOX", {"/private/9": b"x"})
    assert bench.go(bench.session().annotated(changes[-1].number)).changes[0].entry == "/private/9"


def test_they_go_along_to_another_address(bench):
    annotate(bench, "", {"/private/a": b"x"})
    annotate(bench, "INBOX", {"/private/a": b"y"})
    bench.go(bench.store.begin_rename(bench.account, "carol@example.com"))
    bench.account = Account(account_id=1, email="carol@example.com")
    bench.go(bench.store.finish_move(1))
    assert (values(bench, ""), values(bench, "INBOX")) == ({"/private/a": b"x"}, {"/private/a": b"y"})
    assert os.path.exists(bench.root / "example.com/carol/..annotations")


def test_an_index_of_the_version_before_has_none_and_takes_them(bench):
    connection = bench.index.connection
    for statement in (
        *(f"DROP TABLE {table}" for table in ("annotation", "annotation_unwritten", "acl", "acl_unwritten")),
        "PRAGMA user_version=4",
    ):
        connection.execute(statement)
    bench.reopen()
    assert values(bench, "INBOX") == {}
    annotate(bench, "INBOX", {"/private/a": b"x"})
    assert values(bench, "INBOX") == {"/private/a": b"x"}
