"""What SEARCH can ask: a shallow tree, cheap keys first, and limits that hold."""

import datetime as dt
import inspect

import pytest

from mailsuite.imap import search_grammar
from mailsuite.imap.search_grammar import parse_search
from mailsuite.imap.search_keys import (
    Age,
    All,
    And,
    BodyContains,
    Cost,
    EmailId,
    HasFlag,
    HeaderContains,
    InternalDate,
    ModSeq,
    Not,
    Numbered,
    Or,
    Relation,
    SavedDate,
    SentDate,
    Size,
    TextContains,
    ThreadId,
    mentions,
    names_numbers,
)
from mailsuite.imap.sequence import SequenceSet
from mailsuite.imap.tokens import BadCommandError, Tokens

SEEN, DELETED = HasFlag("\\Seen"), HasFlag("\\Deleted")


def parse(*pieces):
    tokens = Tokens(pieces)
    key = parse_search(tokens)
    tokens.end()
    return key


def refusal(text):
    with pytest.raises(BadCommandError) as refused:
        parse(text)
    return refused.value


def negation(key):
    return Not(key, key.depth + 1, key.cost)


def all_of(*keys):
    return And(keys, 1 + max(key.depth for key in keys), keys[-1].cost)


def any_of(*keys):
    return Or(keys, 1 + max(key.depth for key in keys), keys[-1].cost)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"ALL", All()),
        (b"OLDER 1", Age(older=True, seconds=1)),
        (b"younger 4294967295", Age(older=False, seconds=4294967295)),
        (b"MODSEQ 0", ModSeq(0)),
        (b"EMAILID M6d99_-x", EmailId(b"M6d99_-x")),
        (b"THREADID T64b", ThreadId(b"T64b")),
        (b"SAVEDBEFORE 28-Dec-2014", SavedDate(Relation.BEFORE, dt.date(2014, 12, 28))),
        (b'savedon "1-jan-2015"', SavedDate(Relation.ON, dt.date(2015, 1, 1))),
        (b"SAVEDSINCE 28-Dec-2014", SavedDate(Relation.SINCE, dt.date(2014, 12, 28))),
        (b"SAVEDATESUPPORTED", All()),
        (b'modseq "/flags/\\\\draft" ALL 620162338', ModSeq(620162338)),
        (b"OR NOT MODSEQ 7 LARGER 5", any_of(negation(ModSeq(7)), Size(True, 5))),
        (b"seen", SEEN),
        (b"ANSWERED", HasFlag("\\Answered")),
        (b"DRAFT", HasFlag("\\Draft")),
        (b"FLAGGED", HasFlag("\\Flagged")),
        (b"RECENT", HasFlag("\\Recent")),
        (b"UNSEEN", negation(SEEN)),
        (b"UNANSWERED", negation(HasFlag("\\Answered"))),
        (b"UNDELETED", negation(DELETED)),
        (b"UNDRAFT", negation(HasFlag("\\Draft"))),
        (b"UNFLAGGED", negation(HasFlag("\\Flagged"))),
        (b"OLD", negation(HasFlag("\\Recent"))),
        (b"NEW", all_of(HasFlag("\\Recent"), negation(SEEN))),
        (b"KEYWORD $Forwarded", HasFlag("$Forwarded")),
        (b"UNKEYWORD junk", negation(HasFlag("junk"))),
        (b"1:3,7", Numbered(SequenceSet(((1, 3), (7, 7))), uid=False)),
        (b"*", Numbered(SequenceSet((), 4294967296), uid=False)),
        (b"UID 5:*,$", Numbered(SequenceSet((), 5, saved=True), uid=True)),
        (b"UID 5:*", Numbered(SequenceSet((), 5), uid=True)),
        (b"LARGER 1000", Size(larger=True, octets=1000)),
        (b"LARGER 5000000000", Size(larger=True, octets=5 * 10**9)),
        (b"SMALLER 9223372036854775807", Size(larger=False, octets=2**63 - 1)),
        (b"SMALLER 0", Size(larger=False, octets=0)),
        (b"BEFORE 1-Feb-1994", InternalDate(Relation.BEFORE, dt.date(1994, 2, 1))),
        (b'ON "29-FEB-2024"', InternalDate(Relation.ON, dt.date(2024, 2, 29))),
        (b"SINCE 01-jan-2020", InternalDate(Relation.SINCE, dt.date(2020, 1, 1))),
        (b"SENTBEFORE 1-Feb-1994", SentDate(Relation.BEFORE, dt.date(1994, 2, 1))),
        (b"SENTON 1-Feb-1994", SentDate(Relation.ON, dt.date(1994, 2, 1))),
        (b"SENTSINCE 1-Feb-1994", SentDate(Relation.SINCE, dt.date(1994, 2, 1))),
        (b"FROM Smith", HeaderContains(b"from", "Smith")),
        (b'TO "a b"', HeaderContains(b"to", "a b")),
        (b"CC x", HeaderContains(b"cc", "x")),
        (b"BCC x", HeaderContains(b"bcc", "x")),
        (b'SUBJECT "a \\"b\\""', HeaderContains(b"subject", 'a "b"')),
        (b'HEADER Message-ID ""', HeaderContains(b"message-id", "")),
        (b"BODY x", BodyContains("x")),
        (b"TEXT x", TextContains("x")),
        (b"NOT SEEN", negation(SEEN)),
        (b"NOT NOT SEEN", SEEN),
        (b"NOT UNSEEN", SEEN),
        (b"(SEEN)", SEEN),
        (b"((SEEN))", SEEN),
        (b"SEEN DELETED", all_of(SEEN, DELETED)),
        (b"SEEN (DELETED)", all_of(SEEN, DELETED)),
        (b"(SEEN DELETED) ALL", all_of(All(), SEEN, DELETED)),
        (b"NOT (SEEN DELETED)", negation(all_of(SEEN, DELETED))),
        (b"OR SEEN DELETED", any_of(SEEN, DELETED)),
        (b"OR SEEN OR DELETED ALL", any_of(All(), SEEN, DELETED)),
        (b"OR OR SEEN DELETED ALL", any_of(All(), SEEN, DELETED)),
        (b"OR (OR SEEN DELETED) ALL", any_of(All(), SEEN, DELETED)),
        (b"OR SEEN NOT DELETED ALL", all_of(All(), any_of(SEEN, negation(DELETED)))),
        (b"OR (SEEN DELETED) NOT (OR SEEN DELETED)",
         any_of(all_of(SEEN, DELETED), negation(any_of(SEEN, DELETED)))),
        (b"CHARSET utf-8 SUBJECT x", HeaderContains(b"subject", "x")),
        (b'CHARSET "US-ASCII" ALL', All()),
    ],
)  # fmt: skip
def test_a_search_is_this_key(text, key):
    assert parse(text) == key


def test_cheap_keys_come_first_and_the_order_is_otherwise_kept():
    key = parse(b"BODY x SUBJECT y LARGER 5 SEEN 1:3 FROM z")
    assert [part.cost for part in key.keys] == [
        Cost.NUMBERS, Cost.FLAGS, Cost.INDEX, Cost.HEADER, Cost.HEADER, Cost.BODY
    ]  # fmt: skip
    assert [part.field for part in key.keys if isinstance(part, HeaderContains)] == [b"subject", b"from"]
    assert key.cost is Cost.BODY


def test_texts_can_be_literals_in_utf8():
    assert parse(b"CHARSET UTF-8 SUBJECT {4}", "\u00e9t".encode() + b"x", b" SEEN") == all_of(
        SEEN, HeaderContains(b"subject", "\u00e9tx")
    )
    assert parse(b"SUBJECT {2}", "\u00e9".encode(), b"") == HeaderContains(b"subject", "\u00e9")


def test_an_unknown_charset_is_told_which_are_known():
    error = refusal(b"CHARSET ISO-8859-1 SUBJECT x")
    assert (error.status, error.code) == (b"NO", b"BADCHARSET (US-ASCII UTF-8)")


def test_a_charset_is_never_looked_up_among_python_s_codecs():
    for name in (b"idna", b"zlib", b"unicode_escape", b"utf-7", b"rot13"):
        assert refusal(b"CHARSET " + name + b" ALL").status == b"NO"


@pytest.mark.parametrize(
    "pieces",
    [(b"CHARSET US-ASCII SUBJECT {2}", b"\xc3\xa9", b""), (b"SUBJECT {1}", b"\xff", b"")],
)
def test_text_that_is_not_in_the_charset_is_refused(pieces):
    with pytest.raises(BadCommandError):
        parse(*pieces)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"()", b"(", b")", b"(SEEN", b"SEEN)", b"SEEN ", b" SEEN", b"SEEN  DELETED", b"( SEEN)", b"(SEEN )",
        b"NOT", b"NOT ", b"OR SEEN", b"OR SEEN ", b"(OR SEEN) DELETED", b"(NOT) SEEN", b"NOPE", b"SEENX", b"SEEN1",
        b"LARGER", b"LARGER x", b"LARGER -1", b"LARGER 9223372036854775808", b"SMALLER 10000000000000000000",
        b"BEFORE 30-Feb-2020", b"BEFORE 1-Foo-2020",
        b"BEFORE 2020-01-01", b'BEFORE "1-Jan-2020', b"UID", b"UID x", b"UID 0", b"KEYWORD", b"KEYWORD (x)",
        b"KEYWORD \\Seen", b"HEADER x", b"SUBJECT", b"CHARSET", b"CHARSET UTF-8", b"1:", b"SEEN,DELETED", b"ALL\t",
        b"OLDER", b"OLDER 0", b"YOUNGER 4294967296", b"YOUNGER -1", b"OLDER 1d",
    ],
)  # fmt: skip
def test_what_is_no_search_is_refused(text):
    assert refusal(text).status == b"BAD"


def test_a_thousand_keys_are_enough():
    assert len(parse(b"SEEN " * 999 + b"ALL").keys) == 1000
    error = refusal(b"SEEN " * 1000 + b"ALL")
    assert (error.status, error.code) == (b"NO", b"LIMIT")


def test_a_long_chain_of_or_is_one_flat_key():
    key = parse(b"OR FROM a " * 400 + b"SEEN")
    assert (len(key.keys), key.depth) == (401, 2)
    assert parse(b"OR " * 400 + b"FROM a " * 400 + b"SEEN") == key


def test_a_chain_of_not_is_folded():
    assert parse(b"NOT " * 998 + b"SEEN") == SEEN
    assert parse(b"NOT " * 999 + b"SEEN") == negation(SEEN)


@pytest.mark.parametrize(
    "text",
    [
        b"(" * 65 + b"SEEN" + b")" * 65,
        b"(" * 60000,
        b"NOT " * 15000 + b"SEEN",
        b"NOT (SEEN " * 65 + b"ALL" + b")" * 65,
        b"NOT OR SEEN " * 65 + b"ALL",
    ],
)
def test_deep_nesting_is_refused_and_never_recursed_into(text):
    assert "deeply" in refusal(text).detail


def test_the_deepest_search_allowed_has_a_tree_that_recursion_can_walk():
    key = parse(b"NOT (SEEN " * 31 + b"NOT ALL" + b")" * 31)
    assert key.depth <= search_grammar.NESTING_MAX
    assert hash(key) == hash(parse(b"NOT (SEEN " * 31 + b"NOT ALL" + b")" * 31))
    assert len(inspect.stack()) < 500


def test_sixty_four_levels_of_parentheses_pass():
    assert parse(b"(" * 64 + b"SEEN" + b")" * 64) == SEEN


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (b"MODSEQ 5", True),
        (b"SEEN OR DELETED NOT (SEEN MODSEQ 5)", True),
        (b"NOT MODSEQ 5", True),
        (b"SEEN OR DELETED NOT (SEEN LARGER 5)", False),
    ],
)
def test_whether_a_kind_of_key_is_anywhere(text, answer):
    assert mentions(parse(text), ModSeq) is answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [(b"1:3", True), (b"UID 1:3", False), (b"OR SEEN NOT (DELETED 4)", True), (b"OR SEEN NOT (DELETED UID 4)", False)],
)
def test_whether_sequence_numbers_are_asked_for(text, answer):
    assert names_numbers(parse(text)) is answer
