"""What is told of names, by what there was and what there is."""

import pytest

from mailsuite.imap.changed_names import changed_names
from mailsuite.interfaces import MailboxEntry


def entries(names):
    """Make mailboxes of words: the place of each is its id; where there is `-`, there is none."""
    return {
        number: MailboxEntry(name=name, mailbox_id=number)
        for number, name in enumerate(names.split(), 1)
        if name != "-"
    }


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ("a", "a", ""),
        ("a", "a b", "b"),
        ("a b", "a", "b"),
        ("a", "a a/b", "a a/b"),
        ("a a/b", "a", "a a/b"),
        ("x", "x a/b/c", "a/b a/b/c"),
        ("a", "- a", "a"),
        ("a", "b", "b<a"),
        ("a a/b a/b/c ab", "x x/b x/b/c ab", "x<a"),
        ("a a/b", "x x/c", "x/c<a/b x<a"),
        ("a a/b", "x/y x/y/b x", "x/y<a x"),
        ("a/b a/c/d", "x/b x/c/d", "x<a"),
        ("a/b/c", "a/x/c", "a/x<a/b"),
        ("a/b a/c", "x/b a/c x", "x/b<a/b x"),
        ("a/b", "x/b x", "x/b<a/b x"),
        ("a/b x/c", "x/b x/c", "x/b<a/b"),
        ("a a/b", "- x/b x", "x/b<a/b a x"),
        ("a a/b", "a c/b c", "c/b<a/b c"),
        ("a b", "b -", "b<a"),
        ("a", "b a", "b<a a"),
        ("a/b c/d", "c/b c/d", "c/b<a/b"),
    ],
)
def test_what_is_told(before, now, told):
    found = changed_names(entries(before), entries(now), lambda name: True)
    assert [f"{event.name}<{event.former}" if event.former else event.name for event in found] == told.split()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("x", "x<a"),
        ("a", "x<a"),
        ("x/b/c", "x/b/c<a/b/c"),
        ("x/b x/b/c", "x/b<a/b"),
        ("a x/b/c", "x<a"),
        ("y", ""),
    ],
)
def test_the_highest_of_what_was_renamed_that_the_client_wants_to_hear_of_is_told(wanted, told):
    found = changed_names(entries("a a/b a/b/c"), entries("x x/b x/b/c"), wanted.split().__contains__)
    assert [f"{event.name}<{event.former}" for event in found] == told.split()


def test_a_mailbox_that_can_be_selected_no_longer_is_told():
    before, now = entries("a/b"), {1: MailboxEntry(name="a/b", mailbox_id=1, selectable=False)}
    assert [event.name for event in changed_names(before, now, lambda name: True)] == ["a", "a/b"]
