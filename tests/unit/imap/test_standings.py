"""Which counts of a mailbox are news to a client that did some of it itself."""

import attrs
import pytest

from mailsuite.imap.commands import StatusItem
from mailsuite.imap.notify_commands import NotifyEvent
from mailsuite.imap.standings import NEW, Standing, Standings

BEFORE = Standing(messages=3, uidnext=10, uidvalidity=7, unseen=2, modseq=20)
MESSAGES = [NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE]
FLAGS = [*MESSAGES, NotifyEvent.FLAG_CHANGE]
MOVED = {StatusItem.MESSAGES, StatusItem.UIDNEXT, StatusItem.UIDVALIDITY}


def news(before, own=(), events=FLAGS, *, modseqs=True, **now):
    standings = Standings()
    standings.know(1, before)
    for each in own:
        standings.note_own(1, **each)
    then = attrs.evolve(BEFORE, **now)
    found = set(standings.news(1, then, {1: events}, modseqs=modseqs))
    assert not list(standings.news(1, then, {1: events}, modseqs=modseqs))
    return found


ADDED = {"added": 2}
REMOVED = {"removed": 1}


@pytest.mark.parametrize(
    ("own", "now"),
    [
        ([ADDED], {"messages": 5, "uidnext": 12, "unseen": 4, "modseq": 21}),
        ([ADDED, ADDED], {"messages": 7, "uidnext": 14, "unseen": 2, "modseq": 22}),
        ([REMOVED], {"messages": 2, "unseen": 1, "modseq": 21}),
        ([ADDED, REMOVED], {"messages": 4, "uidnext": 12, "modseq": 22}),
        ([{}], {"modseq": 21}),
    ],
)
@pytest.mark.parametrize("modseqs", [True, False])
def test_what_the_client_did_itself_is_no_news(own, now, modseqs):
    assert news(BEFORE, own, modseqs=modseqs, **now) == set()


@pytest.mark.parametrize(
    ("own", "now"),
    [
        ([], {"messages": 5, "uidnext": 12, "modseq": 21}),
        ([ADDED], {"messages": 6, "uidnext": 13, "modseq": 22}),
        ([ADDED], {"messages": 4, "uidnext": 12, "modseq": 22}),
        ([ADDED], {"messages": 5, "uidnext": 12, "modseq": 22}),
        ([ADDED], {"messages": 5, "uidnext": 12, "modseq": 21, "uidvalidity": 8}),
        ([REMOVED], {"messages": 1, "modseq": 22}),
        ([{}], {"messages": 4, "uidnext": 11, "modseq": 22}),
    ],
)
def test_what_others_did_as_well_is_news(own, now):
    assert news(BEFORE, own, MESSAGES, modseqs=False, **now) == MOVED
    assert news(BEFORE, own, MESSAGES, modseqs=True, **now) == MOVED | {StatusItem.HIGHESTMODSEQ}


def test_flags_are_told_by_what_the_client_knows():
    assert news(BEFORE, unseen=1, modseq=21) == {
        StatusItem.UIDVALIDITY,
        StatusItem.UNSEEN,
        StatusItem.HIGHESTMODSEQ,
    }
    assert news(BEFORE, modseq=21) == {StatusItem.UIDVALIDITY, StatusItem.HIGHESTMODSEQ}
    assert news(BEFORE, modseq=21, modseqs=False) == set()
    assert news(BEFORE, unseen=1, modseq=21, events=MESSAGES) == set()


def test_of_a_new_mailbox_its_messages_are_news():
    assert news(NEW, messages=0, uidnext=1, unseen=0, modseq=1) == set()
    assert news(NEW, messages=1, uidnext=2, unseen=1, modseq=2) == MOVED | {StatusItem.HIGHESTMODSEQ}
    assert news(NEW, [{"added": 1}], messages=1, uidnext=2, unseen=1, modseq=2) == set()


def test_what_was_never_told_is_known_from_now_on():
    standings = Standings()
    assert not standings.is_known(1)
    assert list(standings.news(1, BEFORE, {}, modseqs=True)) == []
    standings.keep({1})
    assert standings.is_known(1)
    standings.keep(())
    assert not standings.is_known(1)
