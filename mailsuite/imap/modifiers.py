"""
What may stand beside the arguments of RFC 3501: parameters of SELECT, modifiers of FETCH and STORE.

RFC 4466 sections 2.1, 2.4 and 2.5; RFC 7162 section 7; RFC 9394 section 4.
"""

import re

import attrs

from mailsuite.imap import commands
from mailsuite.imap.paging import Page, take_page
from mailsuite.imap.sequence import SequenceSet
from mailsuite.imap.tokens import BadCommandError, Tokens

_SET = re.compile(rb"[0-9*:,]+")


@attrs.frozen
class SelectParameters:
    """What may be said with a mailbox that is selected."""

    condstore: bool = False
    resync: commands.Resync | None = None


@attrs.frozen
class FetchModifiers:
    """Of which messages a FETCH wants to know."""

    changed_since: int | None
    vanished: bool
    page: Page | None = None


def parse_select_parameters(tokens: Tokens) -> SelectParameters:
    """
    Read the parameters of SELECT or EXAMINE, if there are some.

    Raises:
        BadCommandError: one is unknown or wrong.
    """
    if tokens.at_end():
        return SelectParameters()
    condstore = False
    resync: commands.Resync | None = None
    tokens.space()
    tokens.expect(b"(")
    while True:
        word = tokens.word("a parameter")
        if word == b"CONDSTORE":
            condstore = True
        elif word == b"QRESYNC" and resync is None:
            tokens.space()
            resync = _resync(tokens)
        else:
            raise BadCommandError("unknown parameter of SELECT")
        if tokens.accept(b")"):
            return SelectParameters(condstore, resync)
        tokens.space()


def _resync(tokens: Tokens) -> commands.Resync:
    tokens.expect(b"(")
    uidvalidity = tokens.number()
    modseq = _modseq(tokens)
    if not uidvalidity or not modseq:
        raise BadCommandError("QRESYNC takes a UIDVALIDITY and a MODSEQ of 1 or more")
    known_uids: SequenceSet | None = None
    known_pairs: tuple[SequenceSet, SequenceSet] | None = None
    more = tokens.accept(b" ")
    if more and tokens.peek() != b"(":
        known_uids = _plain_set(tokens)
        more = tokens.accept(b" ")
    if more:
        tokens.expect(b"(")
        numbers = _plain_set(tokens)
        tokens.space()
        known_pairs = numbers, _plain_set(tokens)
        tokens.expect(b")")
        if known_pairs[0].count != known_pairs[1].count:
            raise BadCommandError("as many UIDs are needed as sequence numbers")
    tokens.expect(b")")
    return commands.Resync(uidvalidity, modseq, known_uids, known_pairs)


def _plain_set(tokens: Tokens) -> SequenceSet:
    found = SequenceSet.parse(tokens.take(_SET, "a set of numbers"))
    if found.tail is not None:
        raise BadCommandError("* is not allowed here")  # RFC 7162 section 7, "known-uids"
    return found


def parse_fetch_modifiers(tokens: Tokens) -> FetchModifiers:
    """
    Read the modifiers of FETCH.

    Raises:
        BadCommandError: one is unknown or wrong, or VANISHED stands without CHANGEDSINCE (RFC 7162 section 3.2.6).
    """
    changed_since: int | None = None
    vanished = False
    page: Page | None = None
    tokens.space()
    tokens.expect(b"(")
    while True:
        word = tokens.word("a modifier")
        if word == b"CHANGEDSINCE" and changed_since is None:
            changed_since = _modseq(tokens)
        elif word == b"PARTIAL" and page is None:
            page = take_page(tokens)
        elif word == b"VANISHED" and not vanished:
            vanished = True
        else:
            raise BadCommandError("unknown modifier of FETCH")
        if tokens.accept(b")"):
            break
        tokens.space()
    if changed_since == 0 or (vanished and changed_since is None):  # RFC 7162 section 7, "chgsince-fetch-mod"
        raise BadCommandError("CHANGEDSINCE with a MODSEQ of 1 or more is needed")
    return FetchModifiers(changed_since, vanished, page)


def parse_unchanged_since(tokens: Tokens) -> int | None:
    """
    Read the modifier of STORE with the space behind it, if there is one.

    Raises:
        BadCommandError: it is another one than UNCHANGEDSINCE.
    """
    if not tokens.accept(b"("):
        return None
    if tokens.word("a modifier") != b"UNCHANGEDSINCE":
        raise BadCommandError("unknown modifier of STORE")
    modseq = _modseq(tokens)
    tokens.expect(b")")
    tokens.space()
    return modseq


def _modseq(tokens: Tokens) -> int:
    tokens.space()
    return tokens.modseq()
