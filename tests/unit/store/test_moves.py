"""An account's folder follows its address, and stays when the account is removed; whatever is cut off is finished."""

import json
import os

import attrs
import pytest

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import StoreMode
from mailsuite.store import Layout
from mailsuite.testing.faults import Crash, FaultyDisk

MESSAGE = b"Subject: mine\r\n\r\nbody\r\n"
NEW = "Alice.New@other.example"


@pytest.fixture(params=list(Layout), ids=lambda layout: layout.value)
def bench(request, make_bench):
    made = make_bench(layout=request.param)
    made.append(MESSAGE, flags=["\\Seen", "$Work"])
    return made


def as_(bench, email, account_id=1):
    bench.account = attrs.evolve(bench.account, email=email, account_id=account_id)


def test_mail_follows_and_sessions_go_on(bench):
    box = bench.box()
    bench.go(bench.store.begin_rename(bench.account, NEW))
    assert bench.mail() == {1: (MESSAGE, {"\\Seen", "$Work"})}
    bench.go(bench.store.finish_move(1))
    bench.go(box.store_flags([1], StoreMode.ADD, frozenset({"\\Flagged"}), None))
    assert bench.deliver(b"Subject: queued\r\n\r\n", 1).error is None
    as_(bench, NEW)
    assert bench.mail().keys() == {1, 2}
    bench.reopen()
    assert bench.deliver(b"Subject: queued long ago\r\n\r\n", 2).error is None
    assert bench.mail().keys() == {1, 2, 3}
    if bench.settings.layout is not Layout.USERID:
        assert not bench.home.exists()
        place = bench.root / ("other.example/alice&AC4-new" if bench.settings.layout is Layout.DOMAIN else "")
        assert bench.settings.layout is Layout.ADDRESS or (place / "cur").exists()


def test_back_and_forth(bench):
    for old, new in (
        ("alice@example.com", NEW),
        (NEW, "alice@example.com"),
        ("alice@example.com", "third@other.example"),
    ):
        as_(bench, old)
        bench.go(bench.store.begin_rename(bench.account, new))
        bench.go(bench.store.finish_move(1))
        bench.reopen()
    for email in ("alice@example.com", NEW, "third@other.example"):
        bench.reopen()
        as_(bench, email)
        assert bench.mail().keys() == {1}


def test_a_folder_that_is_there_is_not_touched(make_bench):
    bench = make_bench()
    bench.append(MESSAGE)
    target = bench.root / "other.example" / "alice&AC4-new"
    target.mkdir(parents=True)
    with pytest.raises(MailError) as caught:
        bench.go(bench.store.begin_rename(bench.account, NEW))
    assert caught.value.kind is Kind.EXISTS
    assert str(target) in caught.value.detail
    assert os.listdir(target) == []
    assert bench.mail().keys() == {1}


def test_a_rename_that_the_directory_refused_is_forgotten(bench):
    bench.go(bench.store.begin_rename(bench.account, NEW))
    bench.go(bench.store.cancel_move(1))
    bench.reopen()
    assert bench.mail().keys() == {1}
    assert os.listdir(bench.root / "..accounts") == []


def test_a_rename_that_was_cut_off_after_the_directory_changed_is_finished(bench):
    bench.go(bench.store.begin_rename(bench.account, NEW))
    bench.kill()
    as_(bench, NEW)
    assert bench.mail() == {1: (MESSAGE, {"\\Seen", "$Work"})}


def test_a_rename_that_was_cut_off_before_is_done_again(bench):
    bench.go(bench.store.begin_rename(bench.account, NEW))
    bench.kill()
    assert bench.mail().keys() == {1}
    bench.go(bench.store.begin_rename(bench.account, NEW))
    bench.go(bench.store.finish_move(1))
    as_(bench, NEW)
    assert bench.mail().keys() == {1}


def test_who_gets_the_old_address_does_not_get_the_mail(bench):
    bench.go(bench.store.begin_rename(bench.account, NEW))
    bench.kill()
    as_(bench, "alice@example.com", 2)
    assert bench.mail() == {}
    as_(bench, NEW, 1)
    assert bench.mail().keys() == {1}


def test_a_removed_accounts_mail_is_kept_aside_and_a_new_account_starts_empty(bench):
    bench.go(bench.store.begin_removal(bench.account))
    assert bench.mail().keys() == {1}
    aside = bench.go(bench.store.finish_move(1))
    assert aside == bench.go(bench.store.finish_move(1))
    assert aside.startswith(str(bench.root / "..removed"))
    inbox = f"{aside}/INBOX/cur" if bench.settings.layout is Layout.USERID else f"{aside}/cur"
    assert len(os.listdir(inbox)) == 1
    with pytest.raises(MailError, match="removed"):
        bench.mail()
    assert bench.deliver(MESSAGE, 7).error.kind is Kind.UNAVAILABLE
    assert not bench.home.exists()
    bench.reopen()
    as_(bench, "alice@example.com", 2)
    assert bench.mail() == {}


def test_a_removal_that_was_cut_off_gives_nobody_the_mail(bench):
    bench.go(bench.store.begin_removal(bench.account))
    bench.kill()
    as_(bench, "alice@example.com", 2)
    assert bench.mail() == {}
    if bench.settings.layout is not Layout.USERID:  # there the folder bears the number of its account
        assert len(os.listdir(bench.root / "..removed")) == 1


def test_an_account_without_mail_can_be_removed(make_bench):
    bench = make_bench()
    bench.go(bench.store.begin_removal(bench.account))
    assert bench.go(bench.store.finish_move(1)) == ""


@pytest.mark.parametrize("how", ["crash_at", "fail_at"])
def test_a_move_that_is_cut_off_anywhere_is_finished(make_bench, how):
    bench = make_bench()
    bench.append(MESSAGE)
    addresses = [NEW, "alice@example.com"]
    number = 0
    while True:
        number += 1
        bench.disk = disk = FaultyDisk()
        bench.reopen()
        bench.mail()
        last = disk.count + number
        setattr(disk, how, last)
        new, old = addresses
        changed = False
        try:
            bench.go(bench.store.begin_rename(bench.account, new))
            changed = True
            bench.go(bench.store.finish_move(1))
        except (Crash, MailError):
            pass
        bench.disk = type(bench.disk).__mro__[1]()
        bench.kill()
        if changed:
            as_(bench, new)
            addresses = [old, new]
        assert bench.mail().keys() == {1}, number
        if disk.count < last:
            break
    assert number > 10
    record = json.loads((bench.root / "..accounts" / "1").read_text())
    assert record["done"]
