"""Names of mailboxes that are like each other, and very many of them."""

import pytest

from mailsuite.errors import Kind, MailError

LIKE = ["Work", "Work!", "Work-1", "Work/a", "Work/a/b", "Work0", "Works", "Work/\N{LATIN SMALL LETTER Z WITH CARON}"]


def names(bench):
    return {entry.name: entry.selectable for entry in bench.go(bench.session().list_mailboxes())}


@pytest.fixture
def alike(bench):
    bench.go(bench.session().list_mailboxes())
    for name in LIKE:
        if name not in names(bench):
            bench.go(bench.session().create(name, frozenset()))
    return bench


def test_only_what_is_below_a_name_is_renamed_with_it(alike):
    alike.go(alike.session().rename("Work", "Play"))
    assert {name for name in names(alike) if name[:4] in {"Work", "Play"}} == {
        "Play", "Play/a", "Play/a/b", "Play/\N{LATIN SMALL LETTER Z WITH CARON}", "Work!", "Work-1", "Work0", "Works",
    }  # fmt: skip


def test_a_name_is_kept_while_something_is_below_it_and_no_longer(alike):
    for name in ("Work", "Work/a"):
        alike.go(alike.session().delete(name))
    assert (names(alike)["Work"], names(alike)["Work/a"], names(alike)["Work/a/b"]) == (False, False, True)
    alike.go(alike.session().delete("Work/a/b"))
    assert names(alike)["Work"] is False
    assert "Work/a" not in names(alike)
    alike.go(alike.session().delete("Work/\N{LATIN SMALL LETTER Z WITH CARON}"))
    assert "Work" not in names(alike)
    assert names(alike)["Work0"] is True


def test_a_name_with_mailboxes_below_it_is_not_overwritten(alike):
    with pytest.raises(MailError) as caught:
        alike.go(alike.session().rename("Works", "Work"))
    assert caught.value.kind is Kind.EXISTS
    alike.go(alike.session().create("Play/a", frozenset()))
    alike.go(alike.session().delete("Play"))
    with pytest.raises(MailError) as caught:
        alike.go(alike.session().rename("Work", "Play"))
    assert caught.value.kind is Kind.EXISTS


def test_folders_of_another_program_are_taken_in_together(bench):
    bench.go(bench.session().list_mailboxes())
    for number in range(250):
        for subfolder in ("cur", "new", "tmp"):
            (bench.home / f".Box{number}" / subfolder).mkdir(parents=True)
    found = names(bench)
    assert all(found[f"Box{number}"] for number in range(250))


def test_several_are_counted_and_what_is_not_there_is_nothing(bench):
    bench.append(b"x")
    counts = bench.go(bench.session().statuses(["INBOX", "none", "Trash", "/"]))
    assert [counted and counted.messages for counted in counts] == [1, None, 0, None]


def test_counts_of_several_are_those_of_each(bench):
    bench.append(b"Subject: ours\r\n\r\n", b"Subject: second\r\n\r\n", flags=["\\Seen"])
    bench.go(bench.session().create("Box/Sub", frozenset()))
    wanted = ["INBOX", "Box", "Box/Sub", "Trash", "inbox", "INBOX"]
    for round_ in range(3):
        for number, folder in enumerate((".Trash", "", ".Box.Sub")):
            (bench.home / folder / f"new/{round_}{number}.theirs.host").write_bytes(b"Subject: theirs\r\n\r\n")
        counts = bench.go(bench.session().statuses(wanted))
        assert [each.messages for each in counts] == [round_ + 3, 0, round_ + 1, round_ + 1, round_ + 3, round_ + 3]
        assert [each.unseen for each in counts] == [round_ + 1, 0, round_ + 1, round_ + 1, round_ + 1, round_ + 1]
        assert counts == [bench.go(bench.session().status(name)) for name in wanted]
